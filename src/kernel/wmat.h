/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the compute kernels read: a weight matrix as it lies in memory (a mapped file where the file's layout is this one), activations
 * as f32 or as blocks of int8. y[t][r] = sum_c W[r][c] x[t][c]. Kernels know pointers and numbers, no qtensor and no file.
 */
#ifndef PARE_KERNEL_WMAT_H
#define PARE_KERNEL_WMAT_H
#include "num/num.h"

/*
 * Rows [out] of columns [in]; row r begins at data + r * row_bytes. Codes u are unsigned unless said otherwise:
 *   W_F32 W_F16 W_BF16  plain floats
 *   W_F8                float8 bit patterns of `code_dtype`, times scale
 *   W_I8                one signed byte a code: u = byte + 128 (the same codes as W_U8, stored as int8 layouts do)
 *   W_U8                one unsigned byte a code
 *   W_U4 W_U2           P1 of docs/formats.md: little-endian bit stream, first code in the lowest bits; a row padded to whole bytes
 *   W_U3                per 128 codes 48 bytes: 32 bytes of the two low bits (P1), then 16 bytes of the third bit (P1); last block padded with zeros
 *   W_ANY               none of these: rows come from a callback of the linear layer (exact, slow); kernels never see it
 * Integer codes: W = (u - zero) * scale, or with `shift` W = u * scale - shift. One scale for `group` columns (the last may be shorter).
 */
typedef enum pare_wkind {
    PARE_W_F32 = 1, PARE_W_F16, PARE_W_BF16, PARE_W_F8, PARE_W_I8, PARE_W_U8, PARE_W_U4, PARE_W_U3, PARE_W_U2, PARE_W_ANY
} pare_wkind;

typedef struct pare_wmat {
    pare_wkind kind;
    int64_t rows, cols, row_bytes;
    const uint8_t *data;
    pare_dtype code_dtype;       /* W_F8 */
    int64_t group, groups;       /* columns a scale; scales a row (1 = per channel). W_F8 by tiles: `group` is the tile's width */
    const void *scale;           /* row r, group g: element r / scale_rows * groups + g; NULL for floats */
    pare_dtype scale_dtype;      /* f32, f16, bf16 */
    int64_t scale_rows;          /* rows that share a scale: 1, or a tile's height, or `rows` (one for the tensor) */
    const uint8_t *zero;         /* [rows / scale_rows][groups] in the domain of u; NULL: the middle, 2^(bits-1) (of W_I8: byte 0) */
    const float *shift;          /* same shape; instead of zero; NULL = none */
} pare_wmat;

/* Activations as int8: x[t][c] = q[t][c] * scale[t][c / block]; q in -127 ... 127. Rows are padded with zeros to a multiple of 64. */
typedef struct pare_qact {
    int64_t n, cols, stride;     /* stride: bytes between rows of q */
    int64_t block, blocks;       /* columns a scale: PARE_ACT_BLOCK (fast mode) or cols (W8A8: per token); scales a row */
    int8_t *q;
    float *scale;                /* [n][blocks] */
    int32_t *sum;                /* [n][ceil(cols / 32)] sums of q over runs of 32, for zero points */
} pare_qact;
#define PARE_ACT_BLOCK 128
#endif
