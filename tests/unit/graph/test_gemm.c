/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pare_linear_gemm() against sums in f64, for every kind of weight, mode, grouping and tail, at every kernel level that runs here; and
 * that threads and other tokens change nothing.
 */
#include <math.h>
#include "graph/linear.h"
#include "kernel/kernel.h"
#include "support/support.h"

enum { MAX_ROWS = 70, MAX_COLS = 1500, MAX_N = 60 };

typedef struct layer {
    pare_linear l;
    double *w;               /* [rows][cols] true values */
    uint8_t *data, *zero;
    void *scale;
    float *shift;
    int32_t *perm;
} layer;

static uint64_t state = 4711;

static uint32_t rnd(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static float uniform(void) /* -1 ... 1 */
{
    return (float)((int)(rnd() & 0xffffff) - 0x800000) / (float)0x800000;
}

static void *need(size_t n)
{
    void *p = calloc(n ? n : 1, 1);
    assert_non_null(p);
    return p;
}

static int bits_of(pare_wkind kind)
{
    return kind == PARE_W_U4 || kind == PARE_W_T4 ? 4 : kind == PARE_W_U3 ? 3 : kind == PARE_W_U2 ? 2 : 8;
}

static void put_bits(uint8_t *row, int64_t bit, int n, unsigned value)
{
    for (int i = 0; i < n; i++) row[(bit + i) / 8] |= (uint8_t)((value >> i & 1) << (bit + i) % 8);
}

/* Code 4 j + i of a block of 128 in a unit of W_U3 (kernel/wmat.h). */
static void put_u3(uint8_t *unit, int64_t block, int64_t j, int64_t i, unsigned u)
{
    static const int first[4] = { 0, 5, 0, 3 };
    if (i == 2) {
        put_bits(unit + 64 + j, 3 * block, 3, u);
        return;
    }
    put_bits(unit + 32 * block + j, first[i], i == 3 ? 2 : 3, i == 3 ? u & 3 : u);
    if (i == 3) put_bits(unit + 64 + j, 6 + block, 1, u >> 2);
}

static void put_code(const pare_wmat *w, uint8_t *row, int64_t c, unsigned u)
{
    switch (w->kind) {
    case PARE_W_I8: row[c] = (uint8_t)(u ^ 128); break;
    case PARE_W_U8: case PARE_W_F8: row[c] = (uint8_t)u; break;
    case PARE_W_U3:
        put_u3(row + c / 256 * 96, c % 256 / 128, c % 128 / 4, c % 4, u);
        break;
    default: put_bits(row, c * bits_of(w->kind), bits_of(w->kind), u); break;
    }
}

static float put_float(pare_dtype dtype, void *at, int64_t i, float f)
{
    const uint16_t h = dtype == PARE_F16 ? pare_f32_to_f16(f) : pare_f32_to_bf16(f);
    if (dtype == PARE_F32) {
        memcpy((uint8_t *)at + i * 4, &f, 4);
        return f;
    }
    memcpy((uint8_t *)at + i * 2, &h, 2);
    return pare_round_to(dtype, f);
}

static pare_status any_rows(const pare_linear *l, int64_t row0, int64_t rows, float *out, pare_err *err)
{
    const layer *y = l->rows_user;
    if (!y) return pare_fail(err, PARE_ERR_DATA, "no rows");
    for (int64_t i = 0; i < rows * l->w.cols; i++) out[i] = (float)y->w[row0 * l->w.cols + i];
    return PARE_OK;
}

typedef struct how { pare_wkind kind; int64_t rows, cols, group, scale_rows; pare_dtype scale_dtype; bool zero, shift, perm; pare_act act; } how;

static void layer_floats(layer *y, const how *h)
{
    pare_wmat *w = &y->l.w;
    const pare_dtype dtype = h->kind == PARE_W_F16 ? PARE_F16 : h->kind == PARE_W_BF16 ? PARE_BF16 : PARE_F32;
    w->row_bytes = h->cols * (dtype == PARE_F32 ? 4 : 2);
    y->data = need((size_t)(w->row_bytes * h->rows));
    for (int64_t i = 0; i < h->rows * h->cols; i++) y->w[i] = put_float(dtype, y->data, i, uniform());
    if (h->kind == PARE_W_ANY) y->l.rows = any_rows, y->l.rows_user = y;
}

static const float sixteen[16] = { 0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.1f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f };

static void layer_codes(layer *y, const how *h)
{
    pare_wmat *w = &y->l.w;
    const int bits = bits_of(h->kind);
    w->row_bytes = h->kind == PARE_W_U3 ? (h->cols + 255) / 256 * 96 : (h->cols * bits + 7) / 8;
    w->code_dtype = PARE_F8_E4M3FN;
    w->table = sixteen;
    w->group = h->group < h->cols ? h->group : h->cols;
    w->groups = (h->cols + w->group - 1) / w->group;
    w->scale_rows = h->scale_rows;
    w->scale_dtype = h->scale_dtype;
    const int64_t n = ((h->rows + h->scale_rows - 1) / h->scale_rows) * w->groups;
    y->data = need((size_t)(w->row_bytes * h->rows));
    y->scale = need((size_t)n * 4);
    y->zero = need((size_t)n);
    y->shift = need((size_t)n * 4);
    float *scale = need((size_t)n * 4);
    for (int64_t i = 0; i < n; i++) {
        scale[i] = put_float(h->scale_dtype, y->scale, i, 0.01f * (1.1f + uniform()));
        y->zero[i] = (uint8_t)(rnd() % (1u << bits));
        y->shift[i] = uniform();
    }
    for (int64_t r = 0; r < h->rows; r++)
        for (int64_t c = 0; c < h->cols; c++) {
            const int64_t at = r / h->scale_rows * w->groups + c / w->group;
            unsigned u = rnd() % (1u << bits);
            if (h->kind == PARE_W_F8 && (u & 0x7f) == 0x7f) u = 1;
            put_code(w, y->data + r * w->row_bytes, c, u);
            if (h->kind == PARE_W_T4) {
                y->w[r * h->cols + c] = (double)(sixteen[u] * scale[at]);
                continue;
            }
            const double zero = h->zero ? y->zero[at] : 1 << (bits - 1);
            y->w[r * h->cols + c] = h->kind == PARE_W_F8 ? (double)pare_f8_to_f32(PARE_F8_E4M3FN, (uint8_t)u) * scale[at]
                                    : h->shift           ? (double)u * scale[at] - y->shift[at]
                                                         : (u - zero) * scale[at];
        }
    free(scale);
    w->scale = y->scale;
    w->zero = h->zero ? y->zero : NULL;
    w->shift = h->shift ? y->shift : NULL;
}

static void layer_make(layer *y, const how *h)
{
    *y = (layer){ .l = { .w = { .kind = h->kind, .rows = h->rows, .cols = h->cols }, .act = h->act, .act_scale = 0.01f } };
    y->w = need((size_t)(h->rows * h->cols) * sizeof *y->w);
    if (h->kind <= PARE_W_BF16 || h->kind == PARE_W_ANY) layer_floats(y, h);
    else layer_codes(y, h);
    y->l.w.data = y->data;
    if (!h->perm) return;
    y->l.perm = y->perm = need((size_t)h->cols * 4);
    for (int64_t c = 0; c < h->cols; c++) {
        const int64_t other = rnd() % (c + 1);
        y->perm[c] = y->perm[other];
        y->perm[other] = (int32_t)c;
    }
}

static void layer_free(layer *y)
{
    free(y->w), free(y->data), free(y->zero), free(y->scale), free(y->shift), free(y->perm);
}

/* The activations that the product sees, for one token. */
static void seen(const how *h, pare_compute mode, const pare_linear *l, const float *x, double *out)
{
    const bool codes = h->kind == PARE_W_I8 || h->kind == PARE_W_U8 || h->kind == PARE_W_U4 || h->kind == PARE_W_U3 || h->kind == PARE_W_U2;
    for (int64_t c = 0; c < h->cols; c++) out[c] = x[l->perm ? l->perm[c] : c];
    const int64_t block = !codes ? 0 : h->act != PARE_ACT_NONE ? h->cols : mode == PARE_COMPUTE_FAST ? PARE_ACT_BLOCK : 0;
    for (int64_t b = 0; block && b < h->cols; b += block) {
        const int64_t end = b + block < h->cols ? b + block : h->cols;
        double most = 0;
        for (int64_t c = b; c < end; c++) most = fabs(out[c]) > most ? fabs(out[c]) : most;
        const float scale = h->act == PARE_ACT_STATIC_TENSOR ? l->act_scale : (float)most / 127.0f;
        for (int64_t c = b; c < end && scale > 0; c++) {
            const float r = rintf((float)out[c] / scale);
            const double least = h->act == PARE_ACT_STATIC_TENSOR ? -128 : -127;
            out[c] = (double)(r > 127 ? 127 : r < least ? least : r) * scale;
        }
    }
    if (h->kind == PARE_W_BF16 && mode != PARE_COMPUTE_EXACT)
        for (int64_t c = 0; c < h->cols; c++) out[c] = pare_round_to(PARE_BF16, (float)out[c]);
}

static void run(pare_ctx *ctx, const layer *y, int count, pare_compute mode, int64_t n, const float *x, int64_t x_stride, float *out, int64_t y_stride)
{
    pare_err err;
    pare_workspace ws = { 0 };
    const pare_linear *l[24];
    float *at[24];
    int64_t strides[24];
    for (int i = 0; i < count; i++) l[i] = &y[i].l, at[i] = out + i * MAX_ROWS, strides[i] = y_stride;
    memset(&err, 0, sizeof err);
    if (pare_linear_gemm(ctx, l, count, mode, n, x, x_stride, at, strides, &ws, &err) != PARE_OK) fail_msg("%s", err.text);
    pare_workspace_clear(&ws);
}

static float x[MAX_N * (MAX_COLS + 3)], got[MAX_N * MAX_ROWS * 3], again[MAX_N * MAX_ROWS * 3];

static void fill_x(void)
{
    for (int64_t i = 0; i < MAX_N * (MAX_COLS + 3); i++) x[i] = uniform() * (rnd() % 64 ? 1.0f : 30.0f);
}

static void check_values(const how *h, const layer *y, pare_compute mode, int64_t n, int64_t stride, const char *isa)
{
    static double see[MAX_COLS];
    for (int64_t t = 0; t < n; t++) {
        seen(h, mode, &y->l, x + t * stride, see);
        for (int64_t r = 0; r < h->rows; r++) {
            double sum = 0, size = 0;
            for (int64_t c = 0; c < h->cols; c++) {
                sum += y->w[r * h->cols + c] * see[c];
                /* what is subtracted of a code is part of what is rounded */
                size += fabs(y->w[r * h->cols + c] * see[c]) + (h->shift ? 2 * fabs(see[c]) : 0);
            }
            const float v = got[t * MAX_ROWS + r];
            if (!(fabs(v - sum) <= 0x1p-24 * size * (20 + 2 * sqrt((double)h->cols))))
                fail_msg("kind %d mode %d act %d at %s: %lld x %lld group %lld, zero %d shift %d perm %d, token %lld of %lld, row %lld: %.9g, not %.9g (terms: %.3g)",
                         (int)h->kind, (int)mode, (int)h->act, isa, (long long)h->rows, (long long)h->cols, (long long)h->group, h->zero, h->shift, h->perm,
                         (long long)t, (long long)n, (long long)r, v, sum, size);
        }
    }
}

static void one_case(pare_ctx *ctx, const how *h, pare_compute mode, int64_t n)
{
    layer y;
    layer_make(&y, h);
    const int64_t stride = h->cols + (int64_t)(rnd() % 4);
    for (size_t i = 0; i < sizeof got / 4; i++) got[i] = 77.0f;
    run(ctx, &y, 1, mode, n, x, stride, got, MAX_ROWS);
    check_values(h, &y, mode, n, stride, pare_ctx_isa(ctx));
    for (int64_t i = 0; i < MAX_N * MAX_ROWS; i++)
        if (i / MAX_ROWS >= n || i % MAX_ROWS >= h->rows) assert_true(got[i] == 77.0f);
    layer_free(&y);
}

static pare_ctx *ctx_new(const char *isa, int threads)
{
    pare_err err;
    pare_ctx *ctx = NULL;
    assert_ok(pare_ctx_new(&(pare_ctx_options){ .isa = isa, .threads = threads }, &ctx, &err));
    return ctx;
}

static const pare_wkind kinds[] = { PARE_W_F32, PARE_W_F16, PARE_W_BF16, PARE_W_F8, PARE_W_I8, PARE_W_U8, PARE_W_U4, PARE_W_U3, PARE_W_U2, PARE_W_ANY, PARE_W_T4 };
static const int64_t groups[] = { 128, 1 << 20, 64, 32, 24, 5, 1, 200, 256, 129 };
static const int64_t lengths[] = { 1, 2, 3, 5, 31, 64, 127, 128, 129, 255, 300, 512, 513, 777, 1025, 1500 };

static bool float_kind(pare_wkind kind)
{
    return kind <= PARE_W_BF16 || kind == PARE_W_ANY;
}

static void every_case(pare_ctx *ctx, int times)
{
    for (int i = 0; i < times; i++) {
        const pare_wkind kind = kinds[i % 11];
        const int flavour = (int)(rnd() % 8);
        how h = { .kind = kind, .rows = 1 + rnd() % MAX_ROWS, .cols = lengths[rnd() % 16], .group = groups[rnd() % 10], .scale_rows = 1,
                  .scale_dtype = (pare_dtype[]){ PARE_F32, PARE_F16, PARE_BF16 }[rnd() % 3] };
        if (flavour == 1) h.scale_rows = h.rows, h.group = h.cols;
        if (flavour == 2) h.scale_rows = 16;
        if (!float_kind(kind) && kind != PARE_W_F8 && kind != PARE_W_T4) h.zero = flavour == 3 || flavour == 4, h.shift = flavour == 5;
        h.perm = rnd() % 4 == 0;
        h.act = rnd() % 5 ? PARE_ACT_NONE : (pare_act[]){ PARE_ACT_DYNAMIC_TOKEN, PARE_ACT_STATIC_TENSOR }[rnd() % 2];
        one_case(ctx, &h, (pare_compute)(i / 10 % 3), 1 + rnd() % MAX_N);
    }
}

static void test_values(void **unused)
{
    (void)unused;
    const char *names[8];
    bool here[8];
    const int levels = pare_kernels_levels(names, here, 8);
    fill_x();
    for (int i = 0; i < levels; i++) {
        if (!here[i]) continue;
        pare_ctx *ctx = ctx_new(names[i], 1 + i % 2);
        every_case(ctx, i == 0 ? 150 : 900);
        pare_ctx_free(ctx);
    }
}

static pare_gemm_form form_small(int bits) { return bits > 8 ? PARE_GEMM_BF16 : PARE_GEMM_U8; }
static pare_gemm_form form_words(int bits) { return bits > 8 ? PARE_GEMM_BF16 : PARE_GEMM_I16; }
static pare_gemm_form form_wide(int bits) { return bits > 8 ? PARE_GEMM_WIDE_BF16 : PARE_GEMM_WIDE_I8; }

/* Forms that the levels of this machine do not choose, with the reference's tiles. */
static void test_forms(void **unused)
{
    (void)unused;
    fill_x();
    for (int i = 0; i < 3; i++) {
        pare_ctx *ctx = ctx_new(NULL, 2);
        const pare_kernels *ref = pare_kernels_get("ref");
        pare_kernels table = *ctx->kernels;
        table.gemm_form = i == 0 ? form_small : i == 1 ? form_words : form_wide;
        table.gemm_tile_bf16 = ref->gemm_tile_bf16;
        table.gemm_tile_i16 = ref->gemm_tile_i16;
        table.gemm_tile_u8 = ref->gemm_tile_u8;
        table.gemm_wide_bf16 = ref->gemm_wide_bf16;
        table.gemm_wide_i8 = ref->gemm_wide_i8;
        ctx->kernels = &table;
        every_case(ctx, 240);
        pare_ctx_free(ctx);
    }
}

static struct { const pare_kernels *k; int64_t w, x, rows; } count;

static void count_codes(int bits, const uint8_t *rows, int64_t stride, int64_t words, uint8_t off, uint32_t *panel)
{
    count.w += words * PARE_GEMM_PANEL;
    count.k->gemm_codes(bits, rows, stride, words, off, panel);
}

static void count_transpose(const uint32_t *rows, int64_t stride, int64_t words, uint32_t *panel)
{
    count.w += words * PARE_GEMM_PANEL;
    count.k->gemm_transpose(rows, stride, words, panel);
}

static void count_interleave(const uint8_t *rows, int64_t stride, int64_t words, uint32_t *out)
{
    count.x += words * PARE_GEMM_TOKENS;
    count.k->gemm_interleave(rows, stride, words, out);
}

static void count_act(const float *in, int64_t cols, int64_t block, float fixed, int8_t *q, float *scale)
{
    count.rows++;
    count.k->act_int8(in, cols, block, fixed, q, scale);
}

/* A call packs each weight once, and each activation once for all layers that can share it. */
static void test_packs_once(void **unused)
{
    (void)unused;
    enum { N = 516, ROWS = 64, COLS = 1024, LAYERS = 2 };
    const pare_wkind some[] = { PARE_W_F32, PARE_W_BF16, PARE_W_I8, PARE_W_U8, PARE_W_U4, PARE_W_U3, PARE_W_U2 };
    float *in = need(N * COLS * 4), *out = need((size_t)N * LAYERS * MAX_ROWS * 4);
    for (int i = 0; i < 7; i++) {
        pare_ctx *ctx = ctx_new(NULL, 1);
        pare_kernels table = *ctx->kernels;
        layer y[LAYERS];
        for (int j = 0; j < LAYERS; j++) layer_make(&y[j], &(how){ .kind = some[i], .rows = ROWS, .cols = COLS, .group = 128, .scale_rows = 1, .scale_dtype = PARE_F16 });
        memset(&count, 0, sizeof count);
        count.k = ctx->kernels;
        table.gemm_codes = count_codes, table.gemm_transpose = count_transpose, table.gemm_interleave = count_interleave, table.act_int8 = count_act;
        ctx->kernels = &table;
        run(ctx, y, LAYERS, PARE_COMPUTE_FAST, N, in, COLS, out, LAYERS * MAX_ROWS);
        const pare_gemm_form form = table.gemm_form(i == 1 ? 16 : bits_of(some[i]));
        const int per = i == 0 || form == PARE_GEMM_F32 ? 1 : form == PARE_GEMM_U8 || form == PARE_GEMM_WIDE_I8 ? 4 : 2;
        const bool wide = i > 0 && (form == PARE_GEMM_WIDE_I8 || form == PARE_GEMM_WIDE_BF16);
        assert_int_equal(count.w, LAYERS * ROWS * COLS / per);
        assert_int_equal(count.x, wide ? 0 : N * COLS / per); /* wide forms are packed without an op */
        assert_int_equal(count.rows, i < 2 ? 0 : N);
        for (int j = 0; j < LAYERS; j++) layer_free(&y[j]);
        pare_ctx_free(ctx);
    }
    free(in), free(out);
}

/* Every length of columns near a word, a segment and a block. */
static void test_tails(void **unused)
{
    (void)unused;
    pare_ctx *ctx = ctx_new(NULL, 2);
    fill_x();
    for (int k = 0; k < 10; k++)
        for (int64_t cols = 1; cols < 700; cols += cols < 20 || cols % 128 > 120 || cols % 128 < 5 ? 1 : 29)
            one_case(ctx, &(how){ .kind = kinds[k], .rows = 1 + (cols * 7) % 37, .cols = cols, .group = 128, .scale_rows = 1, .scale_dtype = PARE_F16 },
                     (pare_compute)(cols % 3), 9 + cols % 18);
    pare_ctx_free(ctx);
}

static void test_same_bits(void **unused)
{
    (void)unused;
    pare_ctx *one = ctx_new(NULL, 1), *three = ctx_new(NULL, 3);
    fill_x();
    for (int i = 0; i < 30; i++) {
        const how h = { .kind = kinds[i % 11], .rows = 67, .cols = 900, .group = 128, .scale_rows = 1, .scale_dtype = PARE_BF16 };
        const pare_compute mode = (pare_compute)(i / 10);
        layer y;
        layer_make(&y, &h);
        run(one, &y, 1, mode, 50, x, 900, got, MAX_ROWS);
        run(three, &y, 1, mode, 50, x, 900, again, MAX_ROWS);
        for (int64_t t = 0; t < 50; t++) assert_memory_equal(got + t * MAX_ROWS, again + t * MAX_ROWS, 67 * 4);
        for (int64_t first = 0; first < 40; first += 7) { /* a token among others: same bits wherever it stands */
            run(three, &y, 1, mode, 9, x + first * 900, 900, again, MAX_ROWS);
            for (int64_t t = 0; t < 9; t++) assert_memory_equal(got + (first + t) * MAX_ROWS, again + t * MAX_ROWS, 67 * 4);
        }
        layer_free(&y);
    }
    pare_ctx_free(one);
    pare_ctx_free(three);
}

/* Integers: tiles of 32 x 32 give the bits of tiles of 32 x 12, whatever the zero points, shifts, groups and tails. */
static void test_wide_bits(void **unused)
{
    (void)unused;
    if (!pare_kernels_get("amx")) {
        print_message("no AMX here: its bits are not compared\n");
        return;
    }
    static const pare_wkind some[] = { PARE_W_I8, PARE_W_U8, PARE_W_U4, PARE_W_U3, PARE_W_U2 };
    pare_ctx *wide = ctx_new("amx", 2), *small = ctx_new("avx512", 2);
    fill_x();
    for (int i = 0; i < 500; i++) {
        const int64_t rows = 1 + rnd() % MAX_ROWS, cols = 1 + rnd() % 1000, n = 9 + rnd() % (MAX_N - 8);
        const how h = { .kind = some[i % 5], .rows = rows, .cols = cols, .group = i % 3 ? groups[rnd() % 10] : 128, .scale_rows = 1, .scale_dtype = PARE_F16, .zero = rnd() & 1,
                        .shift = rnd() % 4 == 0, .perm = rnd() % 8 == 0, .act = i % 4 ? PARE_ACT_NONE : PARE_ACT_DYNAMIC_TOKEN };
        layer y;
        layer_make(&y, &h);
        run(wide, &y, 1, PARE_COMPUTE_FAST, n, x, cols, got, MAX_ROWS);
        run(small, &y, 1, PARE_COMPUTE_FAST, n, x, cols, again, MAX_ROWS);
        for (int64_t t = 0; t < n; t++)
            if (memcmp(got + t * MAX_ROWS, again + t * MAX_ROWS, (size_t)rows * 4) != 0) fail_msg("case %d: kind %d, %d x %d, token %d of %d", i, (int)h.kind, (int)rows, (int)cols, (int)t, (int)n);
        layer_free(&y);
    }
    pare_ctx_free(wide);
    pare_ctx_free(small);
}

/* More layers than one region takes, of different kinds and cuts, sharing x; more tokens than are packed at a time. */
static void test_many(void **unused)
{
    (void)unused;
    enum { LAYERS = 20, N = 590, COLS = 260 };
    pare_ctx *ctx = ctx_new(NULL, 3);
    layer y[LAYERS];
    float *in = need(N * COLS * 4), *all = need((size_t)N * LAYERS * MAX_ROWS * 4), *alone = need((size_t)N * MAX_ROWS * 4);
    for (int i = 0; i < N * COLS; i++) in[i] = uniform();
    for (int i = 0; i < LAYERS; i++)
        layer_make(&y[i], &(how){ .kind = kinds[i % 11], .rows = 3 + i, .cols = COLS, .group = groups[i % 10], .scale_rows = 1, .scale_dtype = PARE_F32, .perm = i % 6 == 5 });
    for (int mode = 0; mode < 3; mode++) {
        run(ctx, y, LAYERS, (pare_compute)mode, N, in, COLS, all, LAYERS * MAX_ROWS);
        for (int i = 0; i < LAYERS; i++) {
            run(ctx, y + i, 1, (pare_compute)mode, N, in, COLS, alone, MAX_ROWS);
            for (int64_t t = 0; t < N; t++) assert_memory_equal(all + (t * LAYERS + i) * MAX_ROWS, alone + t * MAX_ROWS, (size_t)y[i].l.w.rows * 4);
        }
    }
    for (int i = 0; i < LAYERS; i++) layer_free(&y[i]);
    free(in), free(all), free(alone);
    pare_ctx_free(ctx);
}

static pare_status with_memory(void *arg)
{
    const pare_linear *l = arg;
    pare_err err;
    pare_workspace ws = { 0 };
    pare_ctx *ctx = NULL;
    pare_status st = pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx, &err);
    if (st == PARE_OK) st = pare_linear_gemm(ctx, &l, 1, PARE_COMPUTE_FAST, 20, x, 100, (float *[]){ got }, (int64_t[]){ MAX_ROWS }, &ws, &err);
    pare_workspace_clear(&ws);
    pare_ctx_free(ctx);
    return st;
}

static void test_failures(void **unused)
{
    (void)unused;
    pare_err err;
    pare_workspace ws = { 0 };
    pare_ctx *ctx = ctx_new(NULL, 3);
    layer y;
    layer_make(&y, &(how){ .kind = PARE_W_ANY, .rows = 66, .cols = 100 });
    fill_x();
    assert_true(test_every_allocation(with_memory, &y.l) > 1);
    y.l.rows_user = NULL;
    const pare_linear *l = &y.l;
    float *at = got;
    const int64_t stride = MAX_ROWS;
    assert_error(pare_linear_gemm(ctx, &l, 1, PARE_COMPUTE_FAST, 20, x, 100, &at, &stride, &ws, &err), PARE_ERR_DATA, "no rows");
    y.l.w.cols = (int64_t)1 << 40;
    assert_error(pare_linear_gemm(ctx, &l, 1, PARE_COMPUTE_FAST, 20, x, 100, &at, &stride, &ws, &err), PARE_ERR_UNSUPPORTED, "1099511627776 columns");
    y.l.w.cols = 0; /* nothing to add up */
    y.l.rows_user = &y;
    assert_ok(pare_linear_gemm(ctx, &l, 1, PARE_COMPUTE_FAST, 20, x, 100, &at, &stride, &ws, &err));
    for (int i = 0; i < 20 * MAX_ROWS; i++) assert_true(i % MAX_ROWS >= 66 || got[i] == 0);
    assert_ok(pare_linear_gemm(ctx, &l, 1, PARE_COMPUTE_FAST, 0, x, 100, &at, &stride, &ws, &err));
    y.l.w.cols = 100;
    pare_ctx_cancel(ctx);
    assert_error(pare_linear_gemm(ctx, &l, 1, PARE_COMPUTE_FAST, 20, x, 100, &at, &stride, &ws, &err), PARE_ERR_CANCELLED, "cancel");
    pare_workspace_clear(&ws);
    layer_free(&y);
    pare_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_values), cmocka_unit_test(test_forms), cmocka_unit_test(test_packs_once),
                                        cmocka_unit_test(test_tails), cmocka_unit_test(test_same_bits), cmocka_unit_test(test_wide_bits),
                                        cmocka_unit_test(test_many), cmocka_unit_test(test_failures) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
