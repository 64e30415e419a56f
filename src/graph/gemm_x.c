/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activations for pare_linear_gemm(): how columns are cut into segments and blocks, and 12 tokens at a time packed as the tile ops
 * read them, x[word][token].
 */
#include "graph/gemm_plan.h"
#include <string.h>

static bool is_integer(pare_wkind kind)
{
    return kind == PARE_W_I8 || kind == PARE_W_U8 || kind == PARE_W_U4 || kind == PARE_W_U3 || kind == PARE_W_U2;
}

static int bits_of(pare_wkind kind)
{
    return kind == PARE_W_U4 ? 4 : kind == PARE_W_U3 ? 3 : kind == PARE_W_U2 ? 2 : 8;
}

void pare_gemm_x_choose(const pare_kernels *k, const pare_linear *l, pare_compute mode, pare_gemm_x *x)
{
    const pare_wmat *w = &l->w;
    *x = (pare_gemm_x){ .form = PARE_GEMM_F32, .perm = l->perm, .cols = w->cols };
    x->act_block = w->cols;
    if (is_integer(w->kind) && (mode == PARE_COMPUTE_FAST || l->act != PARE_ACT_NONE)) {
        x->integer = true;
        x->act = l->act;
        x->act_scale = l->act_scale;
        x->form = k->gemm_form(bits_of(w->kind));
        if (l->act == PARE_ACT_NONE) x->act_block = PARE_ACT_BLOCK;
        if (w->group < w->cols && (l->act != PARE_ACT_NONE || w->group % PARE_ACT_BLOCK != 0)) x->group = w->group;
    } else if (w->kind == PARE_W_BF16 && mode != PARE_COMPUTE_EXACT) {
        x->form = k->gemm_form(16);
        x->round_bf16 = true;
    }
}

bool pare_gemm_x_same(const pare_gemm_x *a, const pare_gemm_x *b)
{
    return a->form == b->form && a->integer == b->integer && a->round_bf16 == b->round_bf16 && a->act == b->act &&
           (a->act != PARE_ACT_STATIC_TENSOR || a->act_scale == b->act_scale) && a->perm == b->perm &&
           a->cols == b->cols && a->group == b->group && a->act_block == b->act_block;
}

static int columns_per_word(pare_gemm_form form)
{
    return form == PARE_GEMM_F32 ? 1 : form == PARE_GEMM_U8 ? 4 : 2;
}

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void pare_gemm_x_cut(pare_gemm_x *x)
{
    const int per = columns_per_word(x->form);
    pare_gemm_block b = { 0 };
    x->segments = x->blocks = x->words = 0;
    x->act_blocks = (x->cols + x->act_block - 1) / (x->act_block ? x->act_block : 1);
    for (int64_t c = 0; c < x->cols;) {
        int64_t end = min_i64(x->cols, c + (int64_t)PARE_GEMM_WORDS * per);
        if (x->integer) {
            end = min_i64(end, (c / x->act_block + 1) * x->act_block);
            if (x->group) end = min_i64(end, (c / x->group + 1) * x->group);
        }
        const int32_t words = (int32_t)((end - c + per - 1) / per);
        if (b.words + words > PARE_GEMM_WORDS) {
            if (x->block) x->block[x->blocks] = b;
            x->blocks++;
            b = (pare_gemm_block){ .seg0 = (int32_t)x->segments, .word0 = (int32_t)x->words, .col0 = (int32_t)c };
        }
        if (x->block) x->seg_col[x->segments] = (int32_t)c, x->seg_words[x->segments] = words;
        b.segments++, b.words += words, b.cols += (int32_t)(end - c);
        x->segments++, x->words += words;
        c = end;
    }
    if (b.segments) {
        if (x->block) x->block[x->blocks] = b;
        x->blocks++;
    }
    if (x->block) x->seg_col[x->segments] = (int32_t)x->cols;
}

/* ---------------------------------------------------------------------------------------------------------------- memory */

static size_t up64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static int64_t groups_of(int64_t n)
{
    return (n + PARE_GEMM_TOKENS - 1) / PARE_GEMM_TOKENS;
}

typedef struct sizes { size_t block, seg_col, seg_words, packed, scale, sum, done; } sizes;

static sizes sizes_of(const pare_gemm_x *x, int64_t n)
{
    const size_t slots = (size_t)groups_of(n) * PARE_GEMM_TOKENS, segments = (size_t)x->segments;
    return (sizes){ .block = up64((size_t)x->blocks * sizeof *x->block), .seg_col = up64((segments + 1) * 4), .seg_words = up64(segments * 4),
                    .packed = up64(slots * (size_t)x->words * 4), .scale = x->integer ? up64(slots * segments * 4) : 0,
                    .sum = x->integer ? up64(slots * segments * 4) : 0, .done = 64 };
}

size_t pare_gemm_x_bytes(const pare_gemm_x *x, int64_t n)
{
    const sizes s = sizes_of(x, n);
    return s.block + s.seg_col + s.seg_words + s.packed + s.scale + s.sum + s.done;
}

void pare_gemm_x_place(pare_gemm_x *x, int64_t n, uint8_t *at)
{
    const sizes s = sizes_of(x, n);
    x->block = (void *)at, at += s.block;
    x->seg_col = (void *)at, at += s.seg_col;
    x->seg_words = (void *)at, at += s.seg_words;
    x->packed = (void *)at, at += s.packed;
    x->scale = (void *)at, at += s.scale;
    x->sum = (void *)at, at += s.sum;
    x->done = (void *)at;
    atomic_init(x->done, 0);
    pare_gemm_x_cut(x);
}

/* --------------------------------------------------------------------------------------------------------------- packing */

/* Scales a block and codes q of one token, as decoding has them. */
static void quantize(const pare_kernels *k, const pare_gemm_x *x, const float *row, float *scale, int8_t *q)
{
    k->act_int8(row, x->cols, x->act_block, x->act == PARE_ACT_STATIC_TENSOR ? x->act_scale : 0.0f, q, scale);
}

/* The words of token t of group g of `groups`, and scale and sum of every segment. */
static void pack_codes(const pare_gemm_x *x, const float *scale, const int8_t *q, int64_t g, int64_t groups, int64_t t)
{
    const int per = columns_per_word(x->form);
    for (int64_t b = 0; b < x->blocks; b++) {
        const pare_gemm_block *at = &x->block[b];
        uint32_t *packed = x->packed + (at->word0 * groups + g * at->words) * PARE_GEMM_TOKENS + t;
        const int64_t side = (at->seg0 * groups + g * at->segments) * PARE_GEMM_TOKENS + t;
        for (int64_t s = 0; s < at->segments; s++) {
            const int64_t c0 = x->seg_col[at->seg0 + s], n = x->seg_col[at->seg0 + s + 1] - c0;
            const int8_t *code = q + c0;
            int32_t sum = 0;
            for (int64_t i = 0; i < n; i++) sum += code[i];
            x->sum[side + s * PARE_GEMM_TOKENS] = sum;
            x->scale[side + s * PARE_GEMM_TOKENS] = scale[c0 / x->act_block];
            for (int64_t i = 0; i < n; i += per, packed += PARE_GEMM_TOKENS) {
                int8_t four[4] = { 0 };
                if (n - i >= per) memcpy(four, code + i, (size_t)per);
                else memcpy(four, code + i, (size_t)(n - i));
                if (per == 4) memcpy(packed, four, 4);
                else *packed = (uint32_t)(uint16_t)four[0] | (uint32_t)(uint16_t)four[1] << 16;
            }
        }
    }
}

static void pack_floats(const pare_kernels *k, const pare_gemm_x *x, const float *row, int64_t g, int64_t groups, int64_t t)
{
    for (int64_t b = 0; b < x->blocks; b++) {
        const pare_gemm_block *at = &x->block[b];
        uint32_t *packed = x->packed + (at->word0 * groups + g * at->words) * PARE_GEMM_TOKENS + t;
        if (x->form == PARE_GEMM_F32) {
            for (int64_t i = 0; i < at->cols; i++) memcpy(&packed[i * PARE_GEMM_TOKENS], &row[at->col0 + i], 4);
            continue;
        }
        uint16_t half[PARE_GEMM_WORDS * 2]; /* pairs of bf16; only the last block may have an odd one */
        k->f32_to_bf16(half, row + at->col0, at->cols);
        if (at->cols & 1) half[at->cols] = 0;
        for (int64_t i = 0; i < at->words; i++) packed[i * PARE_GEMM_TOKENS] = half[2 * i] | (uint32_t)half[2 * i + 1] << 16;
    }
}

static void round_row(const pare_kernels *k, float *row, int64_t n)
{
    for (int64_t c = 0; c < n; c += 256) {
        uint16_t half[256];
        const int64_t m = min_i64(256, n - c);
        k->f32_to_bf16(half, row + c, m);
        k->bf16_to_f32(row + c, half, m);
    }
}

void pare_gemm_x_pack(const pare_kernels *k, pare_gemm_x *x, int64_t n, const float *data, int64_t stride, int64_t g, uint8_t *scratch)
{
    float *row = (float *)(void *)scratch, *scale = row + x->cols;
    int8_t *q = (int8_t *)(void *)(scale + x->act_blocks);
    const int64_t t0 = g * PARE_GEMM_TOKENS, tokens = min_i64(PARE_GEMM_TOKENS, n - t0), groups = groups_of(n);
    for (int64_t b = 0; b < x->blocks && tokens < PARE_GEMM_TOKENS; b++) { /* lanes without a token */
        const pare_gemm_block *at = &x->block[b];
        memset(x->packed + (at->word0 * groups + g * at->words) * PARE_GEMM_TOKENS, 0, (size_t)at->words * PARE_GEMM_TOKENS * 4);
        if (!x->integer) continue;
        memset(x->scale + (at->seg0 * groups + g * at->segments) * PARE_GEMM_TOKENS, 0, (size_t)at->segments * PARE_GEMM_TOKENS * 4);
        memset(x->sum + (at->seg0 * groups + g * at->segments) * PARE_GEMM_TOKENS, 0, (size_t)at->segments * PARE_GEMM_TOKENS * 4);
    }
    for (int64_t t = 0; t < tokens; t++) {
        const float *in = data + (t0 + t) * stride;
        const bool changes = x->perm || (x->round_bf16 && x->form == PARE_GEMM_F32);
        if (x->perm) for (int64_t c = 0; c < x->cols; c++) row[c] = in[x->perm[c]];
        else if (changes) memcpy(row, in, (size_t)x->cols * 4);
        if (changes) in = row;
        if (x->integer) {
            quantize(k, x, in, scale, q);
            pack_codes(x, scale, q, g, groups, t);
            continue;
        }
        if (x->round_bf16 && x->form == PARE_GEMM_F32) round_row(k, row, x->cols);
        pack_floats(k, x, in, g, groups, t);
    }
}
