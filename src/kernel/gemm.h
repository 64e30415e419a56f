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
 *
 * The wide forms are for registers that are matrices themselves (16 x 16 words): 32 tokens, in steps of 16 words of columns, each token's side
 * by side; weights as above. A segment begins a new step. What a step has behind the end of its segment is 0 in x, and in w any
 * number: the next segment's words, or zeros behind the last, of which w has room for.
 *
 *   activations  x[step][token: 32][word: 16]                                   2 KiB a step
 *   result       c[token: 32][row: 32] += ...
 */
#ifndef PARE_KERNEL_GEMM_H
#define PARE_KERNEL_GEMM_H
#include <stdbool.h>
#include <stdint.h>

enum { PARE_GEMM_PANEL = 16, PARE_GEMM_ROWS = 32, PARE_GEMM_TOKENS = 12, PARE_GEMM_WORDS = 128, PARE_GEMM_PANEL_WORDS = PARE_GEMM_WORDS * PARE_GEMM_PANEL,
       PARE_GEMM_WIDE = 32, PARE_GEMM_STEP = 16 /* tokens and words of a step of the wide forms */ };

typedef enum pare_gemm_form {
    PARE_GEMM_F32 = 1, /* w and x f32 */
    PARE_GEMM_BF16,    /* w and x bf16 */
    PARE_GEMM_I16,     /* w = u - zero and x = q as int16: for levels that cannot multiply 8 by 8 bits without saturation */
    PARE_GEMM_SPLIT,   /* f32 as two bf16, the second the rounding error of the first: blocks of pare_split_block */
    PARE_GEMM_U8,      /* w = u unsigned, x = q signed bytes; zero points enter through the sums of q */
    PARE_GEMM_WIDE_BF16, /* as BF16 */
    PARE_GEMM_WIDE_I8    /* w and x = q signed bytes: w = u - zero where that is one, else what w lacks enters through the sums of q */
} pare_gemm_form;

/*
 * One tile. Integer forms: the words fall into segments, each with one scale a row and one a token; padding inside a segment is 0 in x:
 *   c[t][r] += x_scale[s][t] * (w_scale[s][r] * (sum w x - w_zero[s][r] * x_sum[s][t]) - w_shift[s][r] * x_sum[s][t])
 * w_zero is `zero` everywhere where there is no such array; the inner difference is an exact int32: a segment has at most PARE_GEMM_WORDS words.
 */
typedef struct pare_gemm_tile {
    const uint32_t *w, *x;
    float *c;
    int64_t words;
    int tokens;                 /* 1 ... 12 (wide: 32) that count; the rest of x and c is there but means nothing */
    int bits;                   /* U8: codes are below 2^bits */
    int segments;
    const int32_t *seg_words;   /* [segments], their sum is `words` */
    const float *w_scale;       /* [segments][32] */
    int32_t zero;               /* of all rows and segments, where w_zero is NULL (wide: 0) */
    const int32_t *w_zero;      /* [segments][32] or NULL */
    const float *w_shift;       /* [segments][32]; NULL = zeros */
    const float *x_scale;       /* [segments][12], wide: [segments][32] */
    const int32_t *x_sum;       /* the same */
} pare_gemm_tile;

/*
 * SPLIT: x = h + l + rest, h = bf16(x), l = bf16(x - h), |rest| <= 2^-17 |x|; a b is taken for h_a h_b + l_a h_b + h_a l_b, which is off by at most about 2^-15 |a b|
 * and by 2^-18 in the mean. Denormals count as 0. Numbers lie in tiles of 16 items by 32 of depth, a word holds two neighbours of the depth:
 *   a[tile of 16 rows][depth / 32][h, l][row][pair]        b[tile of 16 columns][depth / 32][h, l][pair][column]
 * with an even number of tiles along rows and columns. A sum over the depth is f32.
 */
enum { PARE_SPLIT_ITEMS = 16, PARE_SPLIT_DEPTH = 32, PARE_SPLIT_TILE = 256 };
typedef struct pare_split_block {
    const uint32_t *a, *b;
    int64_t rows, cols, depth;
    float alpha;
    bool add;
    float *c; int64_t c_stride;
} pare_split_block;
#endif
