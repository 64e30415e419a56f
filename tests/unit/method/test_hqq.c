/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HQQ against the hqq package (tests/golden/methods/hqq.safetensors): at 8, 4, 3, 2 and 1 bits and on both axes the sum of |error|^0.7, which it
 * minimizes, and the squared error are no larger. Integer zero points, threads, rows against layers.
 */
#include <math.h>
#include <stdio.h>
#include "file/file.h"
#include "method/method.h"
#include "support/support.h"

#define GOLDEN PARE_SOURCE_DIR "/tests/golden/methods/hqq.safetensors"
enum { ROWS = 8, COLS = 128, GROUP = 64, N = ROWS * COLS };

static pare_ctx *new_ctx(int threads)
{
    pare_ctx *ctx = NULL;
    pare_err err;
    assert_ok(pare_ctx_new(&(pare_ctx_options){ .threads = threads }, &ctx, &err));
    return ctx;
}

static void read_floats(pare_store *s, const char *name, float *out, int64_t n)
{
    const uint8_t *data;
    pare_err err;
    const int64_t t = pare_store_find(s, name);
    if (t < 0) fail_msg("%s is not there", name);
    assert_ok(pare_store_data(s, t, &data, &err));
    assert_int_equal((int64_t)s->tensors[t].numel, n);
    assert_ok(pare_to_f32(out, s->tensors[t].dtype, data, n, &err));
}

static pare_scheme scheme_of(const char *text, const pare_method *m)
{
    pare_scheme s;
    pare_err err;
    assert_ok(pare_scheme_parse(text, &s, &err));
    assert_ok(m->prepare(NULL, &s, &err));
    return s;
}

static pare_qtensor *run(pare_ctx *ctx, const pare_method *m, const pare_scheme *s, float *w, int64_t rows, int64_t cols)
{
    pare_layer_result r = { 0 };
    const pare_layer_job job = { .name = "w", .scheme = s, .rows = rows, .cols = cols, .w = w };
    pare_err err;
    if (m->layer(ctx, &job, &r, &err) != PARE_OK) fail_msg("%s", err.text);
    return r.q;
}

static void errors(const float *w, const float *y, int64_t n, double *lp, double *sse)
{
    *lp = *sse = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)y[i] - (double)w[i];
        *lp += pow(fabs(d), 0.7);
        *sse += d * d;
    }
}

static void against_hqq(void **state)
{
    static const int bits[] = { 8, 4, 3, 2, 1 };
    static float w[N], y[N], codes[N], scale[16], zero[16];
    const pare_method *m = pare_method_find("hqq");
    pare_ctx *ctx = new_ctx(2);
    pare_store *store;
    pare_err err;
    (void)state;
    assert_ok(pare_store_open(GOLDEN, &store, &err));
    read_floats(store, "input/weight", w, N);
    for (int b = 0; b < 5; b++)
        for (int axis = 0; axis < 2; axis++) {
            char name[64], text[64];
            double lp, sse, their_lp, their_sse;
            snprintf(name, sizeof name, "w%d.axis%d/codes", bits[b], axis);
            read_floats(store, name, codes, N);
            snprintf(name, sizeof name, "w%d.axis%d/scale", bits[b], axis);
            read_floats(store, name, scale, 16);
            snprintf(name, sizeof name, "w%d.axis%d/zero", bits[b], axis);
            read_floats(store, name, zero, 16);
            for (int i = 0; i < N; i++) { /* [16, 64] or [64, 16], row-major over the flattened weight */
                const int g = axis ? i / GROUP : i % 16;
                y[i] = (codes[i] - zero[g]) * scale[g];
            }
            errors(w, y, N, &their_lp, &their_sse);
            snprintf(text, sizeof text, "W%dA16_ASYM:g64:axis%d:fzero", bits[b], axis);
            const pare_scheme s = scheme_of(text, m);
            pare_qtensor *q = run(ctx, m, &s, w, ROWS, COLS);
            assert_ok(pare_dequantize(q, y, &err));
            errors(w, y, N, &lp, &sse);
            if (lp > their_lp || sse > their_sse) fail_msg("%s: |e|^0.7 %g, hqq %g; e^2 %g, hqq %g", text, lp, their_lp, sse, their_sse);
            pare_qtensor_free(q);
        }
    pare_store_close(store);
    pare_ctx_free(ctx);
}

static void fill(float *w, int64_t n, uint32_t state)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < 6; j++) {
            state = state * 1664525u + 1013904223u;
            sum += (double)(state >> 8) / 16777216.0 - 0.5;
        }
        w[i] = (float)(sum * (i % 37 == 3 ? 0.2 : 0.02));
    }
}

/* The same bytes for one and two threads; every grid that the method takes gives a smaller |e|^p than plain rounding. */
static void grids(void **state)
{
    static const char *const names[] = { "W4A16_ASYM:g64:fzero", "W3A16_ASYM:g50:fzero", "W2A16_ASYM:g32:axis0:fzero", "W4A16_ASYM:g64", "W3A16:g32", "W4A16_ASYM:fzero:channel",
                                         "W4A16:tensor", "W5A16_ASYM:g64:fzero", "W1A16_ASYM:g16:fzero" };
    enum { R = 40, C = 192 };
    static float w[R * C], y[R * C];
    const pare_method *m = pare_method_find("hqq");
    pare_ctx *one = new_ctx(1), *two = new_ctx(2);
    pare_err err;
    (void)state;
    fill(w, R * C, 7);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const pare_scheme s = scheme_of(names[i], m);
        pare_scheme plain = s;
        double lp, sse, plain_lp, plain_sse;
        plain.clip = PARE_CLIP_NONE;
        pare_qtensor *a = run(one, m, &s, w, R, C), *b = run(two, m, &s, w, R, C), *c = NULL;
        assert_memory_equal(a->codes, b->codes, R * C);
        assert_memory_equal(a->scales, b->scales, (size_t)a->grid.n_scales * 4);
        if (a->fzeros) assert_memory_equal(a->fzeros, b->fzeros, (size_t)a->grid.n_scales * 4);
        assert_ok(pare_dequantize(a, y, &err));
        errors(w, y, R * C, &lp, &sse);
        assert_ok(pare_quantize(one, w, PARE_F32, 2, (int64_t[]){ R, C }, &plain, &c, &err));
        assert_ok(pare_dequantize(c, y, &err));
        errors(w, y, R * C, &plain_lp, &plain_sse);
        if (!(lp < plain_lp)) fail_msg("%s: |e|^0.7 %g, plain rounding %g", names[i], lp, plain_lp);
        pare_qtensor_free(a);
        pare_qtensor_free(b);
        pare_qtensor_free(c);
    }
    pare_ctx_free(one);
    pare_ctx_free(two);
}

static void special(void **state)
{
    const pare_method *m = pare_method_find("hqq");
    pare_ctx *ctx = new_ctx(1);
    pare_scheme s = scheme_of("W2A16_ASYM:g4:fzero", m), nf4;
    float w[16] = { 3, 3, 3, 3, 0, 0, 0, 0, -1, -2, -3, -4, 1e-30f, 2e-30f, 3e-30f, 0 }, y[16];
    pare_err err;
    (void)state;
    pare_qtensor *q = run(ctx, m, &s, w, 2, 8); /* constant groups and whole grids are exact */
    assert_ok(pare_dequantize(q, y, &err));
    for (int i = 0; i < 12; i++) assert_true(fabsf(y[i] - w[i]) <= 1e-6f * fabsf(w[i]));
    pare_qtensor_free(q);
    w[3] = NAN;
    pare_layer_result r = { 0 };
    const pare_layer_job job = { .name = "w", .scheme = &s, .rows = 2, .cols = 8, .w = w };
    assert_int_equal(m->layer(ctx, &job, &r, &err), PARE_ERR_DATA);
    assert_null(r.q);
    assert_ok(pare_scheme_parse("NF4", &nf4, &err));
    assert_int_equal(m->prepare(NULL, &nf4, &err), PARE_ERR_UNSUPPORTED);
    pare_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(against_hqq), cmocka_unit_test(grids), cmocka_unit_test(special) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
