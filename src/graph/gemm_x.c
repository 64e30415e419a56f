/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activations for pare_linear_gemm(): how columns are cut into segments and blocks, and 12 tokens at a time packed as the tile ops
 * read them, x[word][token]; the wide forms are packed by gemm_x_wide.c.
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

void pare_gemm_x_choose(const pare_kernels *k, const pare_linear *l, pare_compute mode, int64_t n, pare_gemm_x *x)
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
    x->wide = x->form == PARE_GEMM_WIDE_I8 || x->form == PARE_GEMM_WIDE_BF16;
    x->tokens = x->wide ? PARE_GEMM_WIDE : PARE_GEMM_TOKENS;
    x->groups = (n + x->tokens - 1) / x->tokens;
}

bool pare_gemm_x_same(const pare_gemm_x *a, const pare_gemm_x *b)
{
    return a->form == b->form && a->integer == b->integer && a->round_bf16 == b->round_bf16 && a->act == b->act &&
           (a->act != PARE_ACT_STATIC_TENSOR || a->act_scale == b->act_scale) && a->perm == b->perm &&
           a->cols == b->cols && a->group == b->group && a->act_block == b->act_block;
}

static int columns_per_word(pare_gemm_form form)
{
    return form == PARE_GEMM_F32 ? 1 : form == PARE_GEMM_U8 || form == PARE_GEMM_WIDE_I8 ? 4 : 2;
}

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void pare_gemm_x_cut(pare_gemm_x *x)
{
    const int per = columns_per_word(x->form);
    const int32_t most = x->wide ? PARE_GEMM_WIDE_WORDS : PARE_GEMM_WORDS;
    pare_gemm_block b = { 0 };
    x->segments = x->blocks = x->words = x->x_words = 0;
    x->act_blocks = (x->cols + x->act_block - 1) / (x->act_block ? x->act_block : 1);
    for (int64_t c = 0; c < x->cols;) {
        int64_t end = min_i64(x->cols, c + (int64_t)PARE_GEMM_WORDS * per);
        if (x->integer) {
            end = min_i64(end, (c / x->act_block + 1) * x->act_block);
            if (x->group) end = min_i64(end, (c / x->group + 1) * x->group);
        }
        const int32_t words = (int32_t)((end - c + per - 1) / per), x_words = x->wide ? (words + PARE_GEMM_STEP - 1) / PARE_GEMM_STEP * PARE_GEMM_STEP : words;
        if (b.segments && b.x_words + x_words > most) {
            if (x->block) x->block[x->blocks] = b;
            x->blocks++;
            b = (pare_gemm_block){ .seg0 = (int32_t)x->segments, .word0 = (int32_t)x->words, .x_word0 = (int32_t)x->x_words, .col0 = (int32_t)c };
        }
        if (x->block) x->seg_col[x->segments] = (int32_t)c, x->seg_words[x->segments] = words;
        b.segments++, b.words += words, b.x_words += x_words, b.cols += (int32_t)(end - c);
        x->segments++, x->words += words, x->x_words += x_words;
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

typedef struct sizes { size_t block, seg_col, seg_words, packed, scale, sum, done; } sizes;

static sizes sizes_of(const pare_gemm_x *x)
{
    const size_t slots = (size_t)(x->groups * x->tokens), segments = (size_t)x->segments;
    return (sizes){ .block = up64((size_t)x->blocks * sizeof *x->block), .seg_col = up64((segments + 1) * 4), .seg_words = up64(segments * 4),
                    .packed = up64(slots * (size_t)x->x_words * 4), .scale = x->integer ? up64(slots * segments * 4) : 0,
                    .sum = x->integer ? up64(slots * segments * 4) : 0, .done = 64 };
}

size_t pare_gemm_x_bytes(const pare_gemm_x *x)
{
    const sizes s = sizes_of(x);
    return s.block + s.seg_col + s.seg_words + s.packed + s.scale + s.sum + s.done;
}

void pare_gemm_x_place(pare_gemm_x *x, uint8_t *at)
{
    const sizes s = sizes_of(x);
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

/* 12 tokens on their way: their rows, and in integer forms codes q[token][cols] and scales scale[token][act_blocks]. */
typedef struct tokens_at {
    const pare_kernels *k;
    const pare_gemm_x *x;
    const float *data;
    int64_t stride;
    int tokens;              /* that are there; the rest becomes 0 */
    int8_t *q;
    float *scale;
} tokens_at;

/* Scales and codes of all tokens, as decoding has them. row: room for one token. */
static void quantize(const tokens_at *a, float *row)
{
    const pare_gemm_x *x = a->x;
    for (int64_t t = 0; t < PARE_GEMM_TOKENS; t++) {
        const float *in = a->data + t * a->stride;
        int8_t *q = a->q + t * x->cols;
        float *scale = a->scale + t * x->act_blocks;
        if (t >= a->tokens) {
            memset(q, 0, (size_t)x->cols);
            memset(scale, 0, (size_t)x->act_blocks * sizeof *scale);
            continue;
        }
        if (x->perm) {
            for (int64_t c = 0; c < x->cols; c++) row[c] = in[x->perm[c]];
            in = row;
        }
        a->k->act_int8(in, x->cols, x->act_block, x->act == PARE_ACT_STATIC_TENSOR ? x->act_scale : 0.0f, q, scale);
    }
}

/* Scale and sum of every segment of a block. */
static void pack_side(const tokens_at *a, const pare_gemm_block *b, float *scale, int32_t *sum)
{
    const pare_gemm_x *x = a->x;
    for (int32_t s = b->seg0; s < b->seg0 + b->segments; s++) {
        const int64_t c0 = x->seg_col[s], n = x->seg_col[s + 1] - c0, block = c0 / x->act_block;
        for (int64_t t = 0; t < PARE_GEMM_TOKENS; t++) {
            *scale++ = a->scale[t * x->act_blocks + block];
            *sum++ = a->k->gemm_sum(a->q + t * x->cols + c0, n);
        }
    }
}

/* Words of token t in a block, integer forms; each segment padded to whole words. */
static void code_words(const tokens_at *a, const pare_gemm_block *b, int64_t t, uint32_t *out)
{
    const pare_gemm_x *x = a->x;
    const int8_t *q = a->q + t * x->cols;
    for (int32_t s = b->seg0; s < b->seg0 + b->segments; s++) {
        const int64_t c0 = x->seg_col[s], n = x->seg_col[s + 1] - c0;
        if (n & 3) out[x->seg_words[s] - 1] = 0;
        if (x->form == PARE_GEMM_U8) memcpy(out, q + c0, (size_t)n);
        else a->k->gemm_widen((const uint8_t *)q + c0, n, 128, 128, (int16_t *)(void *)out);
        out += x->seg_words[s];
    }
}

void pare_gemm_x_bf16(const pare_kernels *k, const pare_gemm_x *x, const float *in, int64_t c, int64_t n, uint32_t *out)
{
    float gathered[PARE_GEMM_WORDS * 2];
    if (x->perm)
        for (int64_t i = 0; i < n; i++) gathered[i] = in[x->perm[c + i]];
    if (n & 1) out[n / 2] = 0;
    k->f32_to_bf16((uint16_t *)(void *)out, x->perm ? gathered : in + c, n);
}

/* Words of token t in a block, float forms. */
static void float_words(const tokens_at *a, const pare_gemm_block *b, int64_t t, uint32_t *out)
{
    const pare_gemm_x *x = a->x;
    const float *in = a->data + t * a->stride;
    float gathered[PARE_GEMM_WORDS];
    uint16_t half[PARE_GEMM_WORDS];
    if (x->form == PARE_GEMM_BF16) { /* only the last block may have an odd one */
        pare_gemm_x_bf16(a->k, x, in, b->col0, b->cols, out);
        return;
    }
    if (x->perm) {
        for (int64_t i = 0; i < b->cols; i++) gathered[i] = in[x->perm[b->col0 + i]];
        in = gathered;
    } else {
        in += b->col0;
    }
    if (x->round_bf16) {
        a->k->f32_to_bf16(half, in, b->cols);
        a->k->bf16_to_f32((float *)(void *)out, half, b->cols);
    } else {
        memcpy(out, in, (size_t)b->cols * 4);
    }
}

void pare_gemm_x_pack(const pare_kernels *k, pare_gemm_x *x, int64_t n, const float *data, int64_t stride, int64_t g, uint8_t *scratch)
{
    if (x->wide) {
        pare_gemm_x_pack_wide(k, x, n, data, stride, g, scratch);
        return;
    }
    const int64_t t0 = g * PARE_GEMM_TOKENS, groups = x->groups;
    float *row = (float *)(void *)scratch;
    tokens_at a = { .k = k, .x = x, .data = data + t0 * stride, .stride = stride, .tokens = (int)min_i64(PARE_GEMM_TOKENS, n - t0) };
    a.scale = row + x->cols;
    a.q = (int8_t *)(a.scale + PARE_GEMM_TOKENS * x->act_blocks);
    if (x->integer) quantize(&a, row);
    const bool plain = x->form == PARE_GEMM_F32 && !x->perm && !x->round_bf16 && a.tokens == PARE_GEMM_TOKENS;
    for (const pare_gemm_block *b = x->block; b < x->block + x->blocks; b++) {
        uint32_t *packed = x->packed + (b->word0 * groups + g * b->words) * PARE_GEMM_TOKENS;
        const int64_t side = (b->seg0 * groups + g * b->segments) * PARE_GEMM_TOKENS;
        if (x->integer) pack_side(&a, b, x->scale + side, x->sum + side);
        if (x->form == PARE_GEMM_U8 && b->cols == b->words * 4) {
            k->gemm_interleave((const uint8_t *)a.q + b->col0, x->cols, b->words, packed);
        } else if (plain) {
            k->gemm_interleave((const uint8_t *)(a.data + b->col0), stride * (int64_t)sizeof(float), b->words, packed);
        } else {
            uint32_t rows[PARE_GEMM_TOKENS][PARE_GEMM_WORDS];
            for (int t = 0; t < PARE_GEMM_TOKENS; t++) {
                if (t >= a.tokens) memset(rows[t], 0, (size_t)b->words * 4);
                else if (x->integer) code_words(&a, b, t, rows[t]);
                else float_words(&a, b, t, rows[t]);
            }
            k->gemm_interleave((const uint8_t *)rows, sizeof rows[0], b->words, packed);
        }
    }
}
