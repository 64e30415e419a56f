/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types of the ops in ops_gemm.def: weights times many tokens. The work is cut into tiles of 32 rows of the weight by 12 tokens by at
 * most 128 words of columns. A word is 32 bits and holds, by form, one f32, two bf16, two int16 or four bytes of neighbouring columns:
 *
 *   weights      w[panel of 16 rows: 2][word: PARE_GEMM_WORDS][row: 16]     16 KiB, fits the first cache
 *   activations  x[word][token: 12]                                         6 KiB, streams by
 *   result       c[token: 12][row: 32] += ...
 *
 * so that every level can take the registers it has: 16 x 6 accumulators in 12 of 256 bits, 32 x 12 in 24 of 512 bits.
 */
#ifndef PARE_KERNEL_GEMM_H
#define PARE_KERNEL_GEMM_H
#include <stdint.h>

enum { PARE_GEMM_PANEL = 16, PARE_GEMM_ROWS = 32, PARE_GEMM_TOKENS = 12, PARE_GEMM_WORDS = 128, PARE_GEMM_PANEL_WORDS = PARE_GEMM_WORDS * PARE_GEMM_PANEL };

typedef enum pare_gemm_form {
    PARE_GEMM_F32 = 1, /* w and x f32 */
    PARE_GEMM_BF16,    /* w and x bf16 */
    PARE_GEMM_I16,     /* w = u - zero and x = q as int16: for levels that cannot multiply 8 by 8 bits without saturation */
    PARE_GEMM_U8       /* w = u unsigned, x = q signed bytes; zero points enter through the sums of q */
} pare_gemm_form;

/*
 * One tile. Integer forms: the words fall into segments, each with one scale a row and one a token; padding inside a segment is 0 in x:
 *   c[t][r] += x_scale[s][t] * (w_scale[s][r] * (sum w x - w_zero[s][r] * x_sum[s][t]) - w_shift[s][r] * x_sum[s][t])
 * where the inner difference is an exact int32: a segment has at most PARE_GEMM_WORDS words.
 */
typedef struct pare_gemm_tile {
    const uint32_t *w, *x;
    float *c;
    int64_t words;
    int tokens;                 /* 1 ... 12 that count; the rest of x and c is there but means nothing */
    int bits;                   /* U8: codes are below 2^bits */
    int segments;
    const int32_t *seg_words;   /* [segments], their sum is `words` */
    const float *w_scale;       /* [segments][32] */
    const int32_t *w_zero;      /* [segments][32]; NULL = zeros */
    const float *w_shift;       /* [segments][32]; NULL = zeros */
    const float *x_scale;       /* [segments][12] */
    const int32_t *x_sum;       /* [segments][12] */
} pare_gemm_tile;
#endif
