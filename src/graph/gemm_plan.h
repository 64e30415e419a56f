/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of pare_linear_gemm(): how the columns of a layer are cut, activations packed for that cut (gemm_x.c), 32 rows of
 * a weight packed for it (gemm_w.c), and the loop over all tiles (gemm.c).
 *
 *   columns  |<- segment: one scale of x, one of W ->|<- segment ->| ...      padded to whole words
 *            |<-------- block: segments of at most PARE_GEMM_WORDS words ------->|
 *
 * Tokens are cut into groups of what a tile of the form takes: 12, or 32 of a wide form, where each segment of x is padded to whole steps.
 */
#ifndef PARE_GRAPH_GEMM_PLAN_H
#define PARE_GRAPH_GEMM_PLAN_H
#include <stdatomic.h>
#include "graph/linear.h"

enum {
    PARE_GEMM_WIDE_WORDS = 64,   /* of a block, wide forms: several segments at most so many, so that tiles, tokens and sums share the first cache */
    PARE_GEMM_CHUNK = 576,                                     /* tokens that are packed at a time: whole groups of every form */
    PARE_GEMM_MAX_COLS = 1 << 26                               /* columns and padded words stay below 2^31 */
};

typedef struct pare_gemm_block { int32_t seg0, segments, word0, words, x_word0, x_words, col0, cols; } pare_gemm_block; /* words of W and of x */

/* One way to cut and pack the activations; layers that agree in everything but the weights share it. */
typedef struct pare_gemm_x {
    pare_gemm_form form;
    int tokens;                  /* in a group */
    int64_t groups;              /* of all n tokens */
    bool wide, integer, round_bf16;
    pare_act act;                /* integer: whose scales the activations take; float kinds leave activations alone, as in decoding */
    float act_scale;
    const int32_t *perm;
    int64_t cols, group;         /* group: 0 = cuts nothing that act_block does not cut */
    int64_t act_block, act_blocks;
    int64_t segments, words, x_words, blocks;
    pare_gemm_block *block;      /* [blocks] */
    int32_t *seg_col, *seg_words;/* [segments + 1], [segments] */
    uint32_t *packed;            /* block after block: [token group][word][12] or [token group][step][32][16], so that a block is one stream */
    float *scale;                /* block after block: [token group][segment][12 or 32] */
    int32_t *sum;
    atomic_int *done;            /* token groups that are packed */
} pare_gemm_x;

/* What a layer in this mode wants for n tokens; arrays are not there yet. Layers for which pare_gemm_x_same() may share. */
void pare_gemm_x_choose(const pare_kernels *k, const pare_linear *l, pare_compute mode, int64_t n, pare_gemm_x *x);
bool pare_gemm_x_same(const pare_gemm_x *a, const pare_gemm_x *b);
/* Counts segments, blocks and words; with arrays in place fills them. */
void pare_gemm_x_cut(pare_gemm_x *x);
/* Bytes of all arrays, and their places from `at` (64-aligned). */
size_t pare_gemm_x_bytes(const pare_gemm_x *x);
void pare_gemm_x_place(pare_gemm_x *x, uint8_t *at);
/* Packs token group g of n. scratch: PARE_GEMM_X_SCRATCH(cols) bytes. */
#define PARE_GEMM_X_SCRATCH(cols) ((size_t)(cols) * (4 + PARE_GEMM_TOKENS) + ((size_t)(cols) / PARE_ACT_BLOCK + 1) * 4 * PARE_GEMM_TOKENS)
void pare_gemm_x_pack(const pare_kernels *k, pare_gemm_x *x, int64_t n, const float *data, int64_t stride, int64_t g, uint8_t *scratch);
void pare_gemm_x_pack_wide(const pare_kernels *k, pare_gemm_x *x, int64_t n, const float *data, int64_t stride, int64_t g, uint8_t *scratch);
/* Columns [c, c + n) of a token as pairs of bf16; an odd one is followed by 0. */
void pare_gemm_x_bf16(const pare_kernels *k, const pare_gemm_x *x, const float *in, int64_t c, int64_t n, uint32_t *out);

/* 32 rows of one block of columns, ready for the tile ops; belongs to a thread. */
typedef struct pare_gemm_w {
    uint32_t panel[2 * PARE_GEMM_PANEL_WORDS];
    uint32_t rows[PARE_GEMM_PANEL * PARE_GEMM_WORDS];
    uint8_t codes[PARE_GEMM_WORDS * 4 + 256];
    float f8[256];               /* W_F8: the value of every code */
    float scale[PARE_GEMM_WORDS * PARE_GEMM_ROWS]; /* [segment][row]: a segment has at least one word */
    int32_t zero[PARE_GEMM_WORDS * PARE_GEMM_ROWS];
    float shift[PARE_GEMM_WORDS * PARE_GEMM_ROWS];
    int32_t group[PARE_GEMM_WORDS]; /* [segment]: of scales of a row */
    int8_t off[PARE_GEMM_WORDS * PARE_GEMM_ROWS]; /* wide, [segment][row]: what is taken off codes below 8 bits */
    bool zeros_left;             /* wide: some zero point is not taken off */
} pare_gemm_w;
/* Asks the caches for part `turn` of `turns` of the memory of rows r0 ... r0 + n - 1 in a block. */
void pare_gemm_w_prefetch(const pare_linear *l, const pare_gemm_block *b, int64_t r0, int n, int64_t turn, int64_t turns);
/* rows r0 ... r0 + n - 1 (n <= 32, the rest is made zero). any: their f32 values, W_ANY only. Fills t->w ... w_shift. */
void pare_gemm_w_pack(const pare_kernels *k, const pare_linear *l, const pare_gemm_x *x, const pare_gemm_block *b, int64_t r0, int n,
                      const float *any, pare_gemm_w *w, pare_gemm_tile *t);
#endif
