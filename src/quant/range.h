/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/quant: from the values of one block to its scale and zero point, linear codes.
 *
 * Both the streaming and the whole-tensor path choose every scale here, so they cannot differ.
 */
#ifndef PARE_QUANT_RANGE_H
#define PARE_QUANT_RANGE_H
#include "quant/blocks.h"

/* What a scheme means for one block, worked out once. Unsigned codes u; W = (u - zero) * scale. */
typedef struct pare_ranger {
    int bits, umin, umax;
    int32_t middle;            /* 2^(bits-1): the zero point of symmetric schemes */
    int32_t zero_min;          /* asymmetric: smallest zero point */
    bool symmetric, clip;
    float p;                   /* clip: exponent of |error| */
    pare_dtype scale_dtype;    /* f32, f16 or bf16 */
    double divisor;            /* symmetric: scale = absmax / divisor */
    float smallest, largest;   /* positive values that a stored scale can have; symmetric: with no overflow of middle * scale */
} pare_ranger;
void pare_ranger_init(const pare_scheme *scheme, pare_ranger *r);

/* Stored scale for max |x| (symmetric) and for a range lo <= 0 <= hi (asymmetric; no clipping search). */
float pare_ranger_symmetric(const pare_ranger *r, double absmax);
float pare_ranger_asymmetric(const pare_ranger *r, double lo, double hi, int32_t *zero);

/*
 * Values of one block. ctx not NULL: long blocks are cut over its threads; part then holds 2 * pare_cuts(n) doubles.
 * The sums are the same either way. weight: of each value's squared error in a search, NULL = 1.
 */
typedef struct pare_values { const pare_kernels *k; const float *x; int64_t n; pare_ctx *ctx; double *part; const float *weight; } pare_values;
/* Scale and zero point of a block, clipping search included. */
pare_status pare_ranger_find(const pare_ranger *r, const pare_values *v, float *scale, int32_t *zero, pare_err *err);
/* The same when max |x| (symmetric) or min and max (asymmetric) are already known. */
pare_status pare_ranger_find_known(const pare_ranger *r, const pare_values *v, double lo, double hi, float *scale, int32_t *zero, pare_err *err);

/* Smallest positive and largest finite value of a scale dtype; the largest value of it that is not above x (x > 0). */
float pare_scale_smallest(pare_dtype dtype);
float pare_scale_largest(pare_dtype dtype);
float pare_scale_floor(pare_dtype dtype, double x);
/* s > 0 rounded to the dtype, kept positive and finite. */
float pare_scale_store(pare_dtype dtype, double s);
#endif
