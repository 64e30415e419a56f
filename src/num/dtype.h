/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/num: what a dtype's file fills in. A dtype is one file ending in one (or some) const descriptors and one row of
 * dtypes.def each; dtype.c does everything that is common.
 *
 * Conversions meet in the middle: f32 where it holds the value or the target is narrower, f64 for f64 and integers. "odd" =
 * round to odd: an inexact value becomes the neighbour whose last mantissa bit is 1, so that a second rounding to a format
 * with at least two bits less gives what one rounding would have given (Boldo and Melquiond 2008).
 */
#ifndef PARE_NUM_DTYPE_H
#define PARE_NUM_DTYPE_H
#include "num/num.h"

/* Layout of a small float, up to 16 bits: code = sign | exponent | mantissa. */
typedef enum pare_small_kind {
    PARE_SMALL_IEEE, /* all-ones exponent is inf (mantissa 0) or NaN */
    PARE_SMALL_FN,   /* no inf; all ones is NaN */
    PARE_SMALL_FNUZ, /* no inf, no -0; the code of -0 is NaN */
    PARE_SMALL_FULL  /* every code is finite; overflow always saturates, NaN becomes the largest */
} pare_small_kind;

typedef struct pare_small_float {
    int ebits, mbits, bias;
    pare_small_kind kind;
} pare_small_float;

float pare_small_decode(const pare_small_float *f, uint32_t code);
uint32_t pare_small_encode(const pare_small_float *f, float x, bool saturate);

typedef struct pare_dtype_case pare_dtype_case;
struct pare_dtype_case {
    pare_dtype_info info;
    const char *also;              /* further names that parse, separated by spaces */
    const pare_small_float *small; /* 8 bits and below, else NULL */
    /* floats, ints and bool; n elements from a whole byte on. odd: see above, only matters for f64 and wide ints. */
    void (*to_f32)(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd);
    void (*to_f64)(const pare_dtype_case *d, double *dst, const void *src, int64_t n); /* NULL: through f32, which is exact */
    /* at least one of the two; NULL from_f64: through f32 rounded to odd */
    void (*from_f32)(const pare_dtype_case *d, void *dst, const float *src, int64_t n, bool saturate);
    void (*from_f64)(const pare_dtype_case *d, void *dst, const double *src, int64_t n);
    /* one scalar, small floats with a rule of their own (e8m0) */
    float (*decode)(uint8_t code);
    uint8_t (*encode)(float x, bool saturate);
};

/* NULL outside the table. */
const pare_dtype_case *pare_dtype_get_case(pare_dtype dtype);

float pare_f64_to_f32_odd(double x);

#define PARE_DTYPE_ROW(dtype, symbol) extern const pare_dtype_case symbol;
#include "num/dtypes.def"
#undef PARE_DTYPE_ROW
#endif
