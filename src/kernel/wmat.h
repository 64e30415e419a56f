/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the compute kernels read: a weight matrix as it lies in memory (a mapped file where the file's layout is this one), activations
 * as f32 or as integers. y[t][r] = sum_c W[r][c] x[t][c]. Kernels know pointers and numbers, no qtensor and no file.
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
 *   W_U3                per 256 codes 96 bytes, the last unit padded with zeros: byte j < 32 has codes 4 j (bits 0 ... 2), 4 j + 1 (bits 5 ... 7) and the two low
 *                       bits of 4 j + 3 (bits 3, 4); bytes 32 ... 63 the same of codes 128 ... 255; byte 64 + j has codes 4 j + 2 (bits 0 ... 2) and 130 + 4 j (bits
 *                       3 ... 5), and the third bits of 4 j + 3 (bit 6) and 131 + 4 j (bit 7). So most planes are one mask of one vector
 *   W_T4                P1 codes of 4 bits (rows padded to whole bytes): table[u] times scale (NF4, FP4, MXFP4, NVFP4)
 *   W_ANY               none of these: rows come from a callback of the linear layer (exact, slow); kernels never see it
 * Integer codes: W = (u - zero) * scale, or with `shift` W = u * scale - shift. One scale for `group` columns (the last may be shorter).
 */
typedef enum pare_wkind {
    PARE_W_F32 = 1, PARE_W_F16, PARE_W_BF16, PARE_W_F8, PARE_W_I8, PARE_W_U8, PARE_W_U4, PARE_W_U3, PARE_W_U2, PARE_W_T4, PARE_W_ANY
} pare_wkind;

typedef struct pare_wmat {
    pare_wkind kind;
    int64_t rows, cols, row_bytes;
    const uint8_t *data;
    pare_dtype code_dtype;       /* W_F8 */
    const float *table;          /* W_T4: 16 values */
    int64_t group, groups;       /* columns a scale; scales a row (1 = per channel). W_F8 by tiles: `group` is the tile's width */
    const void *scale;           /* row r, group g: element r / scale_rows * groups + g; NULL for floats */
    pare_dtype scale_dtype;      /* f32, f16, bf16 */
    int64_t scale_rows;          /* rows that share a scale: 1, or a tile's height, or `rows` (one for the tensor) */
    const uint8_t *zero;         /* [rows / scale_rows][groups] in the domain of u; NULL: the middle, 2^(bits-1) (of W_I8: byte 0) */
    const float *shift;          /* same shape; instead of zero; NULL = none */
} pare_wmat;

#define PARE_ACT_BLOCK 128

/*
 * Activations as matvec_int reads them: integers q with one scale for PARE_ACT_BLOCK columns, x[c] = q[c] * scale[c / PARE_ACT_BLOCK],
 * in the order in which the bytes of a weight kind want them. Fast mode has one limb: q is an int8. Exact mode has q of 24 (U4, U3,
 * U2) or 28 bits (I8, U8) and a power of two as scale, so that x is off by at most 2^-23 or 2^-27 of the block's largest, and whole
 * numbers are exact; q is split into balanced limbs, most significant first. The order of a token's limbs:
 *
 *   U4      unit of 128 columns: [limb 1 or 3][even columns, odd columns][64 int8]      q = (l0 * 256 + l1) * 256 + l2
 *   U3 U2   unit of 256 columns: [limb 1 or 3][column % 4][64 int8]                     the same
 *   I8 U8   unit of  32 columns: [limb 1 or 2][32 int16]                                q = l0 * 2^14 + l1
 *
 * so that a vector of 64 bytes of weights, masked and shifted, meets vectors of 64 bytes. Columns behind the last, up to a whole unit and block, are 0.
 * Column c belongs to lane (c / 8) % 16 (U4), (c / 16) % 16 (U3 U2), (c / 2) % 16 (I8 U8): one 32-bit word of these vectors. The sum of
 * a row is the sum of its 16 lanes (pare_lanes_sum), and a lane is the sum, in the order of columns, of one term a segment (columns
 * that share the scale of x and that of W), each added by one fma:
 *
 *   term = (float)V * s, V = sum (u - zero) q exactly, s = the product of both scales (of x alone where a row has one scale: it is
 *          multiplied at the end); I8 U8 exact: V = H * 2^14 + L, one sum a limb, and (float)H * 16384 + (float)L stands for (float)V
 *          with `shift`: then also minus (float)(sum q) * (shift * scale of x)
 */
typedef struct pare_mvact {
    int64_t n, cols, blocks;     /* tokens, columns, ceil(cols / PARE_ACT_BLOCK) */
    int limbs;
    const void *q;               /* token t begins at byte t * q_stride */
    int64_t q_stride;
    const float *scale;          /* [n][scale_stride], the last block doubled when their number is odd: units of two blocks */
    int64_t scale_stride;
    const int32_t *sum;          /* U4: [n][blocks][16 lanes], U3 U2: [n][blocks, an even number][8 lanes of a block]: sum of q; else NULL */
    int64_t sum_stride;
} pare_mvact;
#endif
