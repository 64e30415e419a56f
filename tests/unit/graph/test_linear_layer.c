/* SPDX-License-Identifier: Apache-2.0 */
/* Linear layers: packing of every scheme against its dequantized rows, views, modes, threads, errors, failing allocations. */
#include <math.h>
#include "graph/linear.h"
#include "support/support.h"

static uint32_t state = 12345;

static uint32_t rnd(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static float rnd_float(void) { return ((float)(rnd() % 20001) - 10000.0f) / 7000.0f; }

static pare_ctx *new_ctx(int threads, const char *isa)
{
    pare_ctx *ctx = NULL;
    pare_err err;
    assert_ok(pare_ctx_new(&(pare_ctx_options){ .threads = threads, .isa = isa }, &ctx, &err));
    return ctx;
}

/* A qtensor with random content; zero: kind of zero points. */
static pare_qtensor *make(const pare_scheme *scheme, int64_t rows, int64_t cols, pare_zero_kind zero)
{
    pare_err err;
    pare_qtensor *q = NULL;
    assert_ok(pare_qtensor_new(scheme, 2, (int64_t[]){ rows, cols }, &q, &err));
    q->zero_kind = zero;
    for (int64_t i = 0; i < q->grid.numel; i++)
        do q->codes[i] = (uint8_t)(rnd() & ((1u << scheme->bits) - 1));
        while (scheme->kind == PARE_CODE_FLOAT && scheme->bits == 8 && !isfinite(pare_f8_to_f32(scheme->code_dtype, q->codes[i])));
    if (scheme->two_level) q->global_scale = 0.37f;
    if (zero == PARE_ZERO_SHIFT) assert_non_null(q->shifts = pare_alloc_zero((size_t)q->grid.n_scales, sizeof(float)));
    for (int64_t i = 0; i < q->grid.n_scales; i++) {
        q->scales[i] = pare_round_to(q->scheme.scale_dtype, 0.01f + (float)(rnd() % 1000) * 2e-5f);
        if (zero == PARE_ZERO_FLOAT) q->fzeros[i] = (float)(rnd() % 1000) * 0.001f * (float)((1u << scheme->bits) - 1);
        if (zero == PARE_ZERO_INT) q->zeros[i] = (int32_t)(rnd() % (1u << scheme->bits));
        if (zero == PARE_ZERO_SHIFT) q->shifts[i] = pare_round_to(q->scheme.scale_dtype, q->scales[i] * (float)(rnd() % (1u << scheme->bits)));
    }
    return q;
}

/* Rows [row0, row0 + rows) of q as a layout's reader gives them; NULL when scales cross them. */
static pare_qtensor *piece_of(const pare_qtensor *q, int64_t row0, int64_t rows)
{
    pare_err err;
    pare_qtensor *p = NULL;
    const int64_t cols = q->grid.shape[1], per = q->grid.blocks[1], block = q->grid.block[0] == q->grid.shape[0] ? q->grid.shape[0] : q->grid.block[0];
    assert_ok(pare_qtensor_new(&q->scheme, 2, (int64_t[]){ rows, cols }, &p, &err));
    p->zero_kind = q->zero_kind;
    memcpy(p->codes, q->codes + row0 * cols, (size_t)(rows * cols));
    const int64_t from = row0 / block * per, n = p->grid.n_scales;
    memcpy(p->scales, q->scales + from, (size_t)n * sizeof(float));
    p->global_scale = q->global_scale;
    if (q->fzeros) memcpy(p->fzeros, q->fzeros + from, (size_t)n * sizeof(float));
    if (q->zeros) memcpy(p->zeros, q->zeros + from, (size_t)n * sizeof(int32_t));
    if (q->shifts) {
        assert_non_null(p->shifts = pare_alloc_zero((size_t)n, sizeof(float)));
        memcpy(p->shifts, q->shifts + from, (size_t)n * sizeof(float));
    }
    if (q->g_idx) {
        assert_non_null(p->g_idx = pare_alloc_zero((size_t)cols, sizeof(int32_t)));
        memcpy(p->g_idx, q->g_idx, (size_t)cols * sizeof(int32_t));
    }
    return p;
}

static void pack_all(pare_linear *l, const pare_kernels *k, const pare_qtensor *q, int64_t piece)
{
    pare_err err;
    const int64_t rows = q->grid.shape[0];
    assert_ok(pare_linear_begin(l, rows, q->grid.shape[1], q, &err));
    for (int64_t r = 0; r < rows; r += piece) {
        pare_qtensor *p = piece_of(q, r, rows - r < piece ? rows - r : piece);
        assert_ok(pare_linear_pack(l, k, r, p, &err));
        pare_qtensor_free(p);
    }
}

/* y against sums in double over the rows `w`; allowed: what a value of x may be off by, relative to the largest, besides f32 sums. */
static void compare(const char *what, const float *w, const float *x, const float *y, int64_t n, int64_t rows, int64_t cols, double allowed)
{
    for (int64_t t = 0; t < n; t++) {
        double most = 0;
        for (int64_t c = 0; c < cols; c++) most = fmax(most, fabs((double)x[t * cols + c]));
        for (int64_t r = 0; r < rows; r++) {
            double sum = 0, size = 0, weight = 0;
            for (int64_t c = 0; c < cols; c++) {
                const double p = (double)w[r * cols + c] * (double)x[t * cols + c];
                sum += p, size += fabs(p), weight += fabs((double)w[r * cols + c]);
            }
            if (!(fabs((double)y[t * rows + r] - sum) <= size * 3e-6 + weight * most * allowed + 1e-9))
                fail_msg("%s: token %lld, row %lld: %g, not %g", what, (long long)t, (long long)r, (double)y[t * rows + r], sum);
        }
    }
}

static void forward(pare_ctx *ctx, const pare_linear *l, pare_compute mode, int64_t n, const float *x, float *y)
{
    pare_err err;
    pare_workspace ws = { 0 };
    float *out[] = { y };
    assert_ok(pare_linear_forward(ctx, &l, 1, mode, n, x, l->w.cols, out, &l->w.rows, &ws, &err));
    pare_workspace_clear(&ws);
}

/* One layer in all modes, by 1 and 2 threads, at the lowest and the best level. */
static void check_layer(const char *what, const pare_linear *l, const float *w)
{
    const int64_t rows = l->w.rows, cols = l->w.cols, n = 3;
    float *x = calloc((size_t)(n * cols), 4), *y = calloc((size_t)(n * rows), 4), *again = calloc((size_t)(n * rows), 4);
    for (int64_t i = 0; i < n * cols; i++) x[i] = rnd_float();
    static const pare_compute modes[] = { PARE_COMPUTE_EXACT, PARE_COMPUTE_FAST, PARE_COMPUTE_BF16 };
    for (int m = 0; m < 3; m++)
        for (int level = 0; level < 2; level++) {
            pare_ctx *one = new_ctx(1, level ? NULL : "ref"), *two = new_ctx(2, level ? NULL : "ref");
            forward(one, l, modes[m], n, x, y);
            compare(what, w, x, y, n, rows, cols, modes[m] == PARE_COMPUTE_EXACT ? 2.4e-7 : modes[m] == PARE_COMPUTE_FAST ? 0.5 / 127 * 1.01 : 0.004);
            forward(two, l, modes[m], n, x, again);
            assert_memory_equal(y, again, (size_t)(n * rows) * 4);
            for (int64_t t = 0; t < n; t++) forward(two, l, modes[m], 1, x + t * cols, again + t * rows); /* a token alone */
            assert_memory_equal(y, again, (size_t)(n * rows) * 4);
            pare_ctx_free(one);
            pare_ctx_free(two);
        }
    free(x);
    free(y);
    free(again);
}

static void check_scheme(const char *what, pare_scheme scheme, int64_t rows, int64_t cols, pare_zero_kind zero, int64_t piece, const int32_t *g_idx)
{
    pare_err err;
    pare_linear l;
    pare_qtensor *q = make(&scheme, rows, cols, zero);
    if (g_idx) {
        assert_non_null(q->g_idx = pare_alloc_zero((size_t)cols, sizeof(int32_t)));
        memcpy(q->g_idx, g_idx, (size_t)cols * sizeof(int32_t));
    }
    float *w = calloc((size_t)(rows * cols), 4);
    assert_ok(pare_qtensor_dequant_rows(pare_kernels_get(NULL), q, 0, rows, w, &err));
    pack_all(&l, pare_kernels_get(NULL), q, piece);
    check_layer(what, &l, w);
    pare_linear_clear(&l);
    pare_qtensor_free(q);
    free(w);
}

static pare_scheme scheme_of(const char *text)
{
    pare_scheme s;
    pare_err err;
    assert_ok(pare_scheme_parse(text, &s, &err));
    if (s.scale_dtype == PARE_DTYPE_NONE) s.scale_dtype = PARE_F32;
    return s;
}

static void integers(void **unused)
{
    (void)unused;
    static const char *const grains[] = { ":channel", ":tensor", ":g128", ":g32", ":g43", ":64x32", ":axis1:channel" };
    static const int64_t cols[] = { 172, 256, 96 };
    static const pare_dtype dtypes[] = { PARE_F32, PARE_F16, PARE_BF16 };
    for (int bits = 1; bits <= 8; bits++)
        for (int g = 0; g < 7; g++)
            for (int asym = 0; asym < 2; asym++) {
                char text[64];
                pare_print(text, sizeof text, "W%dA16%s%s", bits, asym ? "_ASYM" : "", grains[g]);
                pare_scheme s = scheme_of(text);
                s.scale_dtype = dtypes[(bits + g) % 3];
                check_scheme(text, s, 70, cols[(bits + g + asym) % 3], asym ? PARE_ZERO_INT : PARE_ZERO_SYM, s.granularity == PARE_PER_BLOCK ? 64 : g == 1 || g == 6 ? 70 : 33, NULL);
            }
}

static void shifts(void **unused)
{
    (void)unused;
    static const pare_dtype dtypes[] = { PARE_F32, PARE_F16, PARE_BF16 };
    for (int bits = 2; bits <= 4; bits++)
        for (int d = 0; d < 3; d++)
            for (int g = 0; g < 2; g++) {
                char text[64];
                pare_print(text, sizeof text, "W%dA16_ASYM%s", bits, g ? ":g64" : ":channel");
                pare_scheme s = scheme_of(text);
                s.scale_dtype = dtypes[d];
                check_scheme(text, s, 40, 192, PARE_ZERO_SHIFT, 16, NULL);
            }
}

static void float8(void **unused)
{
    (void)unused;
    static const char *const names[] = { "FP8_WEIGHT", "FP8_WEIGHT:f8_e5m2", "FP8_WEIGHT:tensor", "FP8_WEIGHT:32x64", "FP8_WEIGHT:32x48" };
    for (int i = 0; i < 5; i++) check_scheme(names[i], scheme_of(names[i]), 64, 200, PARE_ZERO_SYM, i == 2 ? 64 : 32, NULL);
}

static void tables(void **unused)
{
    (void)unused;
    static const char *const names[] = { "NF4:g40", "FP4", "NF4:channel", "MXFP4", "NVFP4A16", "NVFP4A16:g20", "MXFP8A16", "MXFP4:g64" };
    for (int i = 0; i < 8; i++)
        for (int64_t cols = 320; cols < 330; cols += 7) {
            pare_scheme s = scheme_of(names[i]);
            if (s.kind == PARE_CODE_TABLE && s.granularity == PARE_PER_GROUP && cols % s.group_size) continue; /* held whole, see below */
            check_scheme(names[i], s, 50, cols, PARE_ZERO_SYM, 16, NULL);
        }
}

static void float_zeros(void **unused)
{
    (void)unused;
    for (int bits = 1; bits <= 8; bits++) {
        char text[40];
        snprintf(text, sizeof text, "W%dA16_ASYM:g64:fzero", bits);
        pare_scheme s = scheme_of(text);
        if (bits % 2) s.scale_dtype = PARE_F16;
        check_scheme(text, s, 40, 192, PARE_ZERO_FLOAT, 16, NULL);
    }
}

/* Groups of the flattened tensor: the layer is held whole, and any rows of it are computed with. */
static void whole(void **unused)
{
    (void)unused;
    static const char *const names[] = { "NF4", "W4A16_ASYM:g64:fzero", "W3A16_ASYM:g20:axis0:fzero" };
    for (int i = 0; i < 3; i++) {
        const pare_scheme s = scheme_of(names[i]);
        pare_qtensor *q = make(&s, 40, 100, i ? PARE_ZERO_FLOAT : PARE_ZERO_SYM);
        float *w = malloc(40 * 100 * sizeof *w);
        pare_linear l;
        pare_err err;
        assert_int_not_equal(q->grid.flat, PARE_FLAT_NONE);
        assert_ok(pare_dequantize(q, w, &err));
        assert_ok(pare_linear_whole(&l, 7, 30, q, &err));
        check_layer(names[i], &l, w + 7 * 100);
        pare_linear_clear(&l);
        free(w);
        q = make(&s, 40, 100, i ? PARE_ZERO_FLOAT : PARE_ZERO_SYM);
        assert_int_equal(pare_linear_begin(&l, 40, 100, q, &err), PARE_ERR_USAGE);
        assert_int_equal(pare_linear_whole(&l, 20, 30, q, &err), PARE_ERR_USAGE); /* takes q all the same */
    }
}

static void act_order(void **unused)
{
    (void)unused;
    int32_t g_idx[256];
    for (int c = 0; c < 256; c++) g_idx[c] = c / 64;
    check_scheme("sorted", scheme_of("W4A16_ASYM:g64"), 20, 256, PARE_ZERO_INT, 7, g_idx);
    for (int c = 255; c > 0; c--) {
        const int other = (int)(rnd() % (uint32_t)(c + 1)), keep = g_idx[c];
        g_idx[c] = g_idx[other], g_idx[other] = keep;
    }
    check_scheme("shuffled", scheme_of("W4A16_ASYM:g64"), 20, 256, PARE_ZERO_INT, 7, g_idx);
    check_scheme("shuffled", scheme_of("W3A16:g64"), 20, 256, PARE_ZERO_SYM, 7, g_idx);
    g_idx[3] = g_idx[3] == 0 ? 1 : 0; /* groups of unequal size */
    check_scheme("irregular", scheme_of("W4A16_ASYM:g64"), 20, 256, PARE_ZERO_INT, 7, g_idx);
}

static void floats(void **unused)
{
    (void)unused;
    static const pare_dtype dtypes[] = { PARE_F32, PARE_F16, PARE_BF16 };
    enum { ROWS = 70, COLS = 131 };
    static float w[ROWS * COLS], turned[ROWS * COLS];
    static uint32_t raw[ROWS * COLS], raw_turned[ROWS * COLS];
    pare_err err;
    pare_linear l;
    pare_ctx *ctx = new_ctx(2, NULL);
    for (int d = 0; d < 3; d++) {
        for (int i = 0; i < ROWS * COLS; i++) w[i] = pare_round_to(dtypes[d], rnd_float());
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < COLS; c++) turned[c * ROWS + r] = w[r * COLS + c];
        assert_ok(pare_from_f32(raw, dtypes[d], w, ROWS * COLS, false, &err));
        assert_ok(pare_from_f32(raw_turned, dtypes[d], turned, ROWS * COLS, false, &err));
        assert_ok(pare_linear_float(&l, dtypes[d], ROWS, COLS, raw, &err));
        assert_int_equal(l.bytes, ROWS * COLS * (d ? 2 : 4));
        check_layer("floats", &l, w);
        pare_linear_clear(&l);
        assert_ok(pare_linear_transposed(ctx, &l, dtypes[d], ROWS, COLS, raw_turned, &err));
        assert_memory_equal(l.w.data, raw, ROWS * COLS * (d ? 2 : 4));
        pare_linear_clear(&l);
    }
    assert_error(pare_linear_float(&l, PARE_I8, 2, 2, raw, &err), PARE_ERR_UNSUPPORTED, "f32, f16 and bf16");
    assert_error(pare_linear_float(&l, PARE_F32, 0, 2, raw, &err), PARE_ERR_UNSUPPORTED, "[0, 2]");
    pare_ctx_free(ctx);
}

/* Layers that share an input, more of them than go into one loop, of different kinds. */
static void together(void **unused)
{
    (void)unused;
    enum { LAYERS = 19, COLS = 256, N = 2 };
    pare_linear l[LAYERS];
    const pare_linear *w[LAYERS];
    float *y[LAYERS], x[N * COLS], alone[N * 80];
    int64_t strides[LAYERS];
    pare_err err;
    pare_workspace ws = { 0 };
    pare_ctx *ctx = new_ctx(2, NULL);
    for (int i = 0; i < N * COLS; i++) x[i] = rnd_float();
    for (int i = 0; i < LAYERS; i++) {
        static const char *const names[] = { "W4A16", "W8A16", "W2A16:g64", "W3A16", "FP8_WEIGHT", "W8A16:g64" };
        const pare_scheme s = scheme_of(names[i % 6]);
        pare_qtensor *q = make(&s, 10 + i * 3, COLS, PARE_ZERO_SYM);
        pack_all(&l[i], pare_kernels_get(NULL), q, 8);
        pare_qtensor_free(q);
        w[i] = &l[i];
        strides[i] = l[i].w.rows + i % 2;
        y[i] = calloc((size_t)(N * strides[i]), 4);
    }
    for (pare_compute mode = PARE_COMPUTE_EXACT; mode <= PARE_COMPUTE_FAST; mode++) {
        assert_ok(pare_linear_forward(ctx, w, LAYERS, mode, N, x, COLS, y, strides, &ws, &err));
        for (int i = 0; i < LAYERS; i++) {
            forward(ctx, w[i], mode, N, x, alone);
            for (int t = 0; t < N; t++) assert_memory_equal(alone + t * l[i].w.rows, y[i] + t * strides[i], (size_t)l[i].w.rows * 4);
        }
    }
    l[3].w.cols = 100;
    assert_error(pare_linear_forward(ctx, w, LAYERS, PARE_COMPUTE_FAST, N, x, COLS, y, strides, &ws, &err), PARE_ERR_USAGE, "share an input");
    for (int i = 0; i < LAYERS; i++) {
        pare_linear_clear(&l[i]);
        free(y[i]);
    }
    pare_workspace_clear(&ws);
    pare_ctx_free(ctx);
}

/* W8A8: y = (sum q_w q_x) * scale_w * scale_x with q_x = round(x / scale_x), one scale_x a token or a given one. */
static void int8_activations(void **unused)
{
    (void)unused;
    enum { ROWS = 30, COLS = 300 };
    pare_scheme s = scheme_of("W8A8");
    pare_qtensor *q = make(&s, ROWS, COLS, PARE_ZERO_SYM);
    pare_linear l;
    float x[COLS], y[ROWS];
    pare_ctx *ctx = new_ctx(1, NULL);
    pack_all(&l, pare_kernels_get(NULL), q, ROWS);
    for (int i = 0; i < COLS; i++) x[i] = rnd_float();
    for (int fixed = 0; fixed < 2; fixed++) {
        float most = 0;
        for (int i = 0; i < COLS; i++) most = fmaxf(most, fabsf(x[i]));
        const float scale = fixed ? 0.007f : most / 127.0f; /* 0.007: some saturate */
        l.act = fixed ? PARE_ACT_STATIC_TENSOR : PARE_ACT_DYNAMIC_TOKEN;
        l.act_scale = scale;
        forward(ctx, &l, PARE_COMPUTE_EXACT, 1, x, y);
        for (int r = 0; r < ROWS; r++) {
            int64_t sum = 0;
            for (int c = 0; c < COLS; c++) sum += (q->codes[r * COLS + c] - 128) * (int64_t)fminf(fmaxf(rintf(x[c] / scale), fixed ? -128 : -127), 127);
            assert_true(fabs((double)y[r] - (double)sum * (double)scale * (double)q->scales[r]) <= 1e-6 * fabs((double)y[r]) + 1e-4);
        }
    }
    pare_linear_clear(&l);
    pare_qtensor_free(q);
    pare_ctx_free(ctx);
}

static void views(void **unused)
{
    (void)unused;
    uint8_t data[64 + 1], zero[4] = { 3, 17, 0, 0 };
    float scale[4] = { 0.5f, 1, 2, 1 }, x[32], y[4], w[4 * 32];
    pare_err err;
    pare_linear l;
    pare_ctx *ctx = new_ctx(1, NULL);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)rnd();
    for (int i = 0; i < 32; i++) x[i] = rnd_float();
    pare_wmat m = { .kind = PARE_W_U4, .rows = 4, .cols = 32, .row_bytes = 16, .data = data + 1, .group = 32, .groups = 1, .scale = scale, .scale_dtype = PARE_F32, .scale_rows = 1 };
    assert_ok(pare_linear_view(&l, &m, &err));
    assert_int_equal(l.bytes, 64 + 16);
    assert_ptr_equal(l.w.data, data + 1);
    for (int i = 0; i < 128; i++) w[i] = (float)((data[1 + i / 2] >> i % 2 * 4 & 15) - 8) * scale[i / 32];
    forward(ctx, &l, PARE_COMPUTE_EXACT, 1, x, y);
    compare("view", w, x, y, 1, 4, 32, 2.4e-7);
    m.zero = zero;
    assert_error(pare_linear_view(&l, &m, &err), PARE_ERR_UNSUPPORTED, "zero point 17 of row 1");
    m.zero = NULL;
    m.row_bytes = 15;
    assert_error(pare_linear_view(&l, &m, &err), PARE_ERR_USAGE, "15 bytes for 32 columns");
    m.row_bytes = 16;
    m.groups = 2;
    assert_error(pare_linear_view(&l, &m, &err), PARE_ERR_USAGE, "2 groups of 32 columns");
    m.groups = 1;
    m.scale_dtype = PARE_I8;
    assert_error(pare_linear_view(&l, &m, &err), PARE_ERR_UNSUPPORTED, "scales of");
    pare_ctx_free(ctx);
}

static void refused(void **unused)
{
    (void)unused;
    pare_err err;
    pare_linear l;
    pare_scheme s = scheme_of("W4A16_ASYM:g32");
    pare_qtensor *q = make(&s, 4, 64, PARE_ZERO_INT), *other;
    const pare_kernels *k = pare_kernels_get(NULL);
    assert_error(pare_linear_begin(&l, 4, 65, q, &err), PARE_ERR_UNSUPPORTED, "expected 2, 65");
    assert_ok(pare_linear_begin(&l, 4, 64, q, &err));
    assert_error(pare_linear_pack(&l, k, 1, q, &err), PARE_ERR_USAGE, "rows 1 + 4 of a layer [4, 64]");
    q->zeros[5] = 17;
    assert_error(pare_linear_pack(&l, k, 0, q, &err), PARE_ERR_UNSUPPORTED, "zero point 17");
    q->zeros[5] = 16;
    assert_ok(pare_linear_pack(&l, k, 0, q, &err));
    s = scheme_of("W4A16:g32");
    other = make(&s, 4, 64, PARE_ZERO_SYM);
    assert_error(pare_linear_pack(&l, k, 0, other, &err), PARE_ERR_FORMAT, "another scheme");
    pare_linear_clear(&l);
    pare_qtensor_free(other);
    assert_non_null(q->g_idx = pare_alloc_zero(64, sizeof(int32_t)));
    q->g_idx[9] = 2;
    assert_error(pare_linear_begin(&l, 4, 64, q, &err), PARE_ERR_FORMAT, "g_idx[9] is 2; there are 2 groups");
    pare_qtensor_free(q);
    s.scale_dtype = PARE_BF16;
    q = make(&s, 4, 64, PARE_ZERO_SYM);
    q->scales[3] = 0.1f;
    assert_ok(pare_linear_begin(&l, 4, 64, q, &err));
    assert_error(pare_linear_pack(&l, k, 0, q, &err), PARE_ERR_DATA, "scale 0.1 is no");
    pare_linear_clear(&l);
    pare_qtensor_free(q);
}

static pare_status whole_life(void *arg)
{
    const pare_qtensor *q = arg;
    pare_err err;
    pare_linear l;
    pare_ctx *ctx = NULL;
    pare_workspace ws = { 0 };
    float x[256] = { 1 }, y[20], *out[] = { y };
    const pare_linear *w = &l;
    int64_t stride = 20;
    pare_status st = pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx, &err);
    if (st != PARE_OK) return st;
    st = pare_linear_begin(&l, 20, 256, q, &err);
    if (st == PARE_OK) st = pare_linear_pack(&l, pare_kernels_get(NULL), 0, q, &err);
    if (st == PARE_OK) st = pare_linear_forward(ctx, &w, 1, PARE_COMPUTE_EXACT, 1, x, 256, out, &stride, &ws, &err);
    pare_linear_clear(&l);
    pare_workspace_clear(&ws);
    pare_ctx_free(ctx);
    return st;
}

static void allocations(void **unused)
{
    (void)unused;
    const pare_scheme s = scheme_of("W4A16_ASYM:g64");
    pare_qtensor *q = make(&s, 20, 256, PARE_ZERO_INT);
    assert_true(test_every_allocation(whole_life, q) > 4);
    assert_non_null(q->g_idx = pare_alloc_zero(256, sizeof(int32_t)));
    for (int c = 0; c < 256; c++) q->g_idx[c] = c % 4;
    assert_true(test_every_allocation(whole_life, q) > 5);
    q->g_idx[0] = 1; /* irregular: rows are decoded */
    assert_true(test_every_allocation(whole_life, q) > 5);
    pare_qtensor_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers), cmocka_unit_test(shifts), cmocka_unit_test(float8), cmocka_unit_test(tables), cmocka_unit_test(float_zeros), cmocka_unit_test(whole), cmocka_unit_test(act_order), cmocka_unit_test(floats), cmocka_unit_test(together),
        cmocka_unit_test(int8_activations), cmocka_unit_test(views), cmocka_unit_test(refused), cmocka_unit_test(allocations),
    };
    return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
