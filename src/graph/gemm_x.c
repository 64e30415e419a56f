/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activations for pare_linear_gemm(): how columns are cut into segments and blocks, and 12 tokens at a time packed as the tile ops
 * read them, x[word][token]. Quantizing is absmax / 127 (or the checkpoint's own scale) and round to nearest even.
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
    *x = (pare_gemm_x){ .form = PARE_GEMM_F32, .perm = l->perm, .cols = w->cols, .act = l->act, .act_scale = l->act_scale, .act_dtype = PARE_I8 };
    x->act_block = w->cols;
    if (is_integer(w->kind) && (mode == PARE_COMPUTE_FAST || l->act != PARE_ACT_NONE)) {
        x->integer = true;
        x->form = k->gemm_form(bits_of(w->kind));
        if (l->act == PARE_ACT_NONE) x->act_block = PARE_ACT_BLOCK;
        if (w->group < w->cols && (l->act != PARE_ACT_NONE || w->group % PARE_ACT_BLOCK != 0)) x->group = w->group;
    } else if (w->kind == PARE_W_BF16 && mode != PARE_COMPUTE_EXACT && l->act == PARE_ACT_NONE) {
        x->form = k->gemm_form(16);
        x->round_bf16 = true;
    }
    if (w->kind == PARE_W_F8 && l->act != PARE_ACT_NONE) x->act_dtype = w->code_dtype;
}

bool pare_gemm_x_same(const pare_gemm_x *a, const pare_gemm_x *b)
{
    return a->form == b->form && a->integer == b->integer && a->round_bf16 == b->round_bf16 && a->act == b->act &&
           a->act_dtype == b->act_dtype && (a->act != PARE_ACT_STATIC_TENSOR || a->act_scale == b->act_scale) && a->perm == b->perm &&
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

/* Scales a block and codes q + 128 of one token. */
static void quantize(const pare_kernels *k, const pare_gemm_x *x, const float *row, float *scale, int32_t *zero, uint8_t *u)
{
    const pare_row_quant q = { .n = x->cols, .group = x->act_block, .bits = 8, .umin = 1, .umax = 255 };
    if (x->act != PARE_ACT_STATIC_TENSOR) k->absmax_groups(row, x->cols, x->act_block, scale);
    for (int64_t b = 0; b < x->act_blocks; b++) {
        scale[b] = x->act == PARE_ACT_STATIC_TENSOR ? x->act_scale : scale[b] / 127.0f;
        zero[b] = 128;
    }
    k->quant_row(row, &q, scale, zero, u);
}

/* The words of one token, t of its group, and scale and sum of every segment. */
static void pack_codes(const pare_gemm_x *x, const float *scale, const uint8_t *u, int64_t t, uint32_t *packed, float *x_scale, int32_t *x_sum)
{
    const int per = columns_per_word(x->form);
    for (int64_t s = 0; s < x->segments; s++) {
        const int64_t c0 = x->seg_col[s], n = x->seg_col[s + 1] - c0;
        const uint8_t *at = u + c0;
        int32_t sum = 0;
        for (int64_t i = 0; i < n; i++) sum += at[i];
        x_sum[s * PARE_GEMM_TOKENS + t] = sum - (int32_t)n * 128;
        x_scale[s * PARE_GEMM_TOKENS + t] = scale[c0 / x->act_block];
        for (int64_t i = 0; i < n; i += per, packed += PARE_GEMM_TOKENS) {
            uint8_t four[4] = { 128, 128, 128, 128 };
            if (n - i >= per) memcpy(four, at + i, (size_t)per);
            else memcpy(four, at + i, (size_t)(n - i));
            if (per == 4) {
                uint32_t word;
                memcpy(&word, four, 4);
                packed[t] = word ^ 0x80808080u;
            } else {
                packed[t] = (uint32_t)(uint16_t)(four[0] - 128) | (uint32_t)(uint16_t)(four[1] - 128) << 16;
            }
        }
    }
}

static void pack_floats(const pare_kernels *k, const pare_gemm_x *x, const float *row, int64_t t, uint32_t *packed)
{
    if (x->form == PARE_GEMM_F32) {
        for (int64_t c = 0; c < x->cols; c++) memcpy(&packed[c * PARE_GEMM_TOKENS + t], &row[c], 4);
        return;
    }
    for (int64_t c = 0; c < x->cols; c += 256) { /* bf16 pairs; blocks are 256 columns, so only the last may be odd */
        uint16_t half[256];
        const int64_t n = min_i64(256, x->cols - c);
        k->f32_to_bf16(half, row + c, n);
        if (n & 1) half[n] = 0;
        for (int64_t i = 0; i < n; i += 2) packed[(c + i) / 2 * PARE_GEMM_TOKENS + t] = half[i] | (uint32_t)half[i + 1] << 16;
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

/* What W8A8 or float8 activations would be, as floats, for weights that only float kernels can hold. */
static void fake_quantize(const pare_kernels *k, const pare_gemm_x *x, float *row, float *scale, int32_t *zero, uint8_t *u)
{
    if (x->act_dtype == PARE_I8) {
        quantize(k, x, row, scale, zero, u);
        for (int64_t c = 0; c < x->cols; c++) row[c] = (float)((int)u[c] - 128) * scale[0];
        return;
    }
    const pare_dtype_info *info = pare_dtype_get_info(x->act_dtype);
    if (x->act != PARE_ACT_STATIC_TENSOR) k->absmax_groups(row, x->cols, x->cols, scale);
    const float s = x->act == PARE_ACT_STATIC_TENSOR ? x->act_scale : scale[0] / (float)info->max;
    if (!(s > 0.0f)) return; /* all zero; a NaN stays one */
    k->f32_to_f8(u, row, x->cols, s, x->act_dtype);
    for (int64_t c = 0; c < x->cols; c++) row[c] = pare_f8_to_f32(x->act_dtype, u[c]) * s;
}

void pare_gemm_x_pack(const pare_kernels *k, pare_gemm_x *x, int64_t n, const float *data, int64_t stride, int64_t g, uint8_t *scratch)
{
    float *row = (float *)(void *)scratch, *scale = row + x->cols;
    int32_t *zero = (int32_t *)(void *)(scale + x->act_blocks);
    uint8_t *u = (uint8_t *)(void *)(zero + x->act_blocks);
    const int64_t t0 = g * PARE_GEMM_TOKENS, tokens = min_i64(PARE_GEMM_TOKENS, n - t0);
    uint32_t *packed = x->packed + g * x->words * PARE_GEMM_TOKENS;
    float *x_scale = x->integer ? x->scale + g * x->segments * PARE_GEMM_TOKENS : NULL;
    int32_t *x_sum = x->integer ? x->sum + g * x->segments * PARE_GEMM_TOKENS : NULL;
    if (tokens < PARE_GEMM_TOKENS) memset(packed, 0, (size_t)x->words * PARE_GEMM_TOKENS * 4);
    if (tokens < PARE_GEMM_TOKENS && x->integer) memset(x_scale, 0, (size_t)x->segments * PARE_GEMM_TOKENS * 4);
    if (tokens < PARE_GEMM_TOKENS && x->integer) memset(x_sum, 0, (size_t)x->segments * PARE_GEMM_TOKENS * 4);
    for (int64_t t = 0; t < tokens; t++) {
        const float *in = data + (t0 + t) * stride;
        const bool changes = x->perm || (!x->integer && (x->act != PARE_ACT_NONE || (x->round_bf16 && x->form == PARE_GEMM_F32)));
        if (x->perm) for (int64_t c = 0; c < x->cols; c++) row[c] = in[x->perm[c]];
        else if (changes) memcpy(row, in, (size_t)x->cols * 4);
        if (changes) in = row;
        if (x->integer) {
            quantize(k, x, in, scale, zero, u);
            pack_codes(x, scale, u, t, packed, x_scale, x_sum);
            continue;
        }
        if (x->act != PARE_ACT_NONE) fake_quantize(k, x, row, scale, zero, u);
        if (x->round_bf16 && x->form == PARE_GEMM_F32) round_row(k, row, x->cols);
        pack_floats(k, x, in, t, packed);
    }
}
