/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/quant: codes that stand for one of 16 values, and the scales that go with them. */
#ifndef PARE_QUANT_TABLE_H
#define PARE_QUANT_TABLE_H
#include "quant/codes.h"

/* What a scheme of 16 values means for one block, worked out once. */
typedef struct pare_tabler {
    pare_table16 table;
    pare_dtype scale_dtype;
    double largest;          /* |W| of the code farthest out at scale 1 */
    bool codebook;           /* NF4, FP4: the scale is max |x| itself, also 0 */
    bool clip, two_level;
    float global;            /* second level: multiplies every stored scale */
} pare_tabler;
void pare_tabler_init(const pare_scheme *scheme, float global, pare_tabler *t);
/* Stored scale of a block with this largest magnitude; what codes are made with. */
float pare_tabler_scale(const pare_tabler *t, float absmax);
static inline float pare_tabler_step(const pare_tabler *t, float stored) { return t->two_level ? stored * t->global : stored; }
/* Stored scale of n values, search included. weight: of each squared error, NULL = 1. */
float pare_tabler_find(const pare_tabler *t, const pare_kernels *k, const float *x, const float *weight, int64_t n);

/* Power of two that OCP MX elements are stored over: 2^(floor(log2 m) - offset), m = absmax rounded to two significant bits; 2^-127 for 0. */
float pare_mx_scale(float absmax, int offset);
#endif
