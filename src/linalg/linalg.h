/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/linalg: dense f32 linear algebra for statistics and for methods that feed errors on. All of it is built on one blocked
 * product over the tiles of kernel/gemm.h, because those know this machine (the OpenBLAS of a distribution falls back to its oldest kernels on a
 * processor younger than itself: an eighth of the speed on the one this was measured on), so there is no library to link and none that has threads
 * of its own.
 *
 * Matrices are row-major with a stride. Work is cut by shape: every element is the sum over k in blocks of PARE_LINALG_DEPTH, each block summed from 0
 * by fma in order and then added, wherever the blocks of the result are cut and however many threads there are; what a call sums is then added to C, so
 * calls belong to pieces of data that are cut by shape, too. Sums over tokens are `split`: they are taken in blocks of PARE_LINALG_SPLIT_DEPTH, of
 * factors that have 16 bits of mantissa, where the processor multiplies bf16 many times faster than f32.
 */
#ifndef PARE_LINALG_H
#define PARE_LINALG_H
#include "base/base.h"
#include "kernel/kernel.h"

enum { PARE_LINALG_BLOCK = 384, PARE_LINALG_DEPTH = PARE_GEMM_WORDS, PARE_LINALG_SPLIT_DEPTH = 256 };

/* C[m, n] = alpha A[m, k] B[k, n], added to C where `add`. A[i][l] = a[i * a_row + l * a_col]; of each pair of strides one is 1. */
typedef struct pare_product {
    int64_t m, n, k;
    const float *a; int64_t a_row, a_col;
    const float *b; int64_t b_row, b_col;
    const uint16_t *b_bf16;      /* in the place of b: bf16, b_row = 1 */
    const uint32_t *b_packed;    /* split, k <= PARE_LINALG_SPLIT_DEPTH, n <= PARE_LINALG_BLOCK: b as pare_pack_columns() has packed it; b is given, too */
    float alpha;
    bool add;
    bool split;                  /* 16 bits of a factor's mantissa are enough: by bf16 pieces where the level does (kernel/gemm.h), else as ever */
    bool upper;                  /* m = n: only blocks that hold an element j >= i; what lies below the diagonal outside them stays as it is */
    float *c; int64_t c_stride;  /* may not overlap A or B */
} pare_product;
pare_status pare_multiply(pare_ctx *ctx, const pare_product *p, pare_err *err);
/* The same in the calling thread, for loops over rows of their own. scratch: PARE_MULTIPLY_SCRATCH bytes, 64-byte aligned. */
#define PARE_MULTIPLY_SCRATCH ((size_t)4 * (2 * PARE_LINALG_BLOCK * PARE_LINALG_DEPTH + PARE_LINALG_BLOCK * PARE_LINALG_BLOCK + 16 * PARE_LINALG_DEPTH))
void pare_multiply_here(const pare_kernels *k, const pare_product *p, void *scratch);

/* For a B that meets many A: is this product by pieces, the words that its B takes packed, and packing. */
bool pare_is_split(const pare_kernels *k, const pare_product *p);
size_t pare_packed_words(int64_t k, int64_t n);
void pare_pack_columns(const pare_kernels *k, const pare_product *p, uint32_t *packed);

/* H[cols, cols] += X^T X, X [n, cols]; upper triangle. pare_mirror() makes the lower one of it when all is added. */
pare_status pare_add_xtx(pare_ctx *ctx, int64_t n, int64_t cols, const float *x, int64_t x_stride, float *h, pare_err *err);
/* G[cols, other] += X^T Y */
pare_status pare_add_xty(pare_ctx *ctx, int64_t n, int64_t cols, int64_t other, const float *x, int64_t x_stride, const float *y, int64_t y_stride,
                         float *g, pare_err *err);
pare_status pare_mirror(pare_ctx *ctx, int64_t n, float *h, pare_err *err); /* lower = upper */

/*
 * A = L L^T in place: the lower triangle of a becomes L, the upper one is left alone. Not positive definite is an answer, not an error:
 * *failed is then the index of the first pivot that is not above the rounding error of its diagonal, *pivot its value, and the content of a is lost;
 * else *failed = -1.
 */
pare_status pare_cholesky(pare_ctx *ctx, int64_t n, float *a, int64_t stride, int64_t *failed, double *pivot, pare_err *err);
/* X[rows, n] in place: X <- X L^-1, or X <- X L^-T where `transposed`. Rows are independent of each other. */
pare_status pare_solve_lower(pare_ctx *ctx, int64_t n, const float *l, int64_t l_stride, bool transposed, int64_t rows, float *x, int64_t x_stride, pare_err *err);
/* out[n, n] = (L L^T)^-1, both triangles */
pare_status pare_cholesky_inverse(pare_ctx *ctx, int64_t n, const float *l, int64_t l_stride, float *out, pare_err *err);
/* inv[n, n] = L^-1 of a small lower triangle, in double inside; zeros above the diagonal. Serial. */
void pare_invert_lower(int64_t n, const float *l, int64_t l_stride, float *inv, int64_t inv_stride);
#endif
