/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated activations: float codes are those that the quantizers give for tokens in the place of rows; LLM.int8() is bitsandbytes'
 * (tests/golden/methods/bnb_int8.safetensors); a layer computes with them the same in every mode.
 */
#include <math.h>
#include <stdlib.h>
#include "file/file.h"
#include "graph/linear.h"
#include "support/support.h"

#define GOLDEN PARE_SOURCE_DIR "/tests/golden/methods/bnb_int8.safetensors"
enum { N = 5, COLS = 200 };

static pare_ctx *new_ctx(int threads)
{
    pare_ctx *ctx = NULL;
    pare_err err;
    assert_ok(pare_ctx_new(&(pare_ctx_options){ .threads = threads }, &ctx, &err));
    return ctx;
}

static pare_scheme scheme_of(const char *text)
{
    pare_scheme s;
    pare_err err;
    assert_ok(pare_scheme_parse(text, &s, &err));
    return s;
}

static void fill(float *x, int64_t n)
{
    uint32_t state = 5;
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = ((float)(state >> 8) / 8388608.0f - 1.0f) * (i % 29 == 3 ? 20.0f : 1.5f);
    }
}

static void floats(void **state)
{
    static const struct { const char *scheme, *same; float scale; } cases[] = {
        { "FP8_DYNAMIC", "FP8_WEIGHT", 0 }, { "W4AFP8", "FP8_WEIGHT", 0 }, { "FP8_BLOCK", "FP8_WEIGHT:g128", 0 }, { "MXFP8", "MXFP8A16", 0 },
        { "MXFP4A4", "MXFP4", 0 }, { "NVFP4", "NVFP4A16", 0 } };
    static float x[N * COLS], got[N * COLS], want[COLS];
    pare_ctx *ctx = new_ctx(2);
    pare_err err;
    (void)state;
    fill(x, N * COLS);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const pare_scheme s = scheme_of(cases[c].scheme), same = scheme_of(cases[c].same);
        pare_linear l = { 0 };
        assert_ok(pare_linear_set_act(&l, &s, cases[c].scale, &err));
        assert_int_equal(l.sim.act, s.act);
        assert_ok(pare_act_simulate(ctx, &l.sim, N, COLS, x, COLS, got, &err));
        for (int t = 0; t < N; t++) {
            pare_qtensor *q = NULL;
            assert_ok(pare_quantize(ctx, x + t * COLS, PARE_F32, 2, (int64_t[]){ 1, COLS }, &same, &q, &err));
            assert_ok(pare_dequantize(q, want, &err));
            assert_memory_equal(want, got + t * COLS, sizeof want);
            pare_qtensor_free(q);
        }
    }
    pare_linear l = { 0 };
    const pare_scheme fp8 = scheme_of("FP8");
    assert_int_equal(pare_linear_set_act(&l, &fp8, 0.0f, &err), PARE_ERR_FORMAT);
    assert_ok(pare_linear_set_act(&l, &fp8, 0.01f, &err));
    assert_ok(pare_act_simulate(ctx, &l.sim, N, COLS, x, COLS, got, &err));
    for (int i = 0; i < N * COLS; i++) {
        const float v = pare_f8_to_f32(PARE_F8_E4M3FN, pare_f32_to_f8(PARE_F8_E4M3FN, x[i] / 0.01f, true)) * 0.01f;
        assert_true(v == got[i]);
    }
    pare_ctx_free(ctx);
}

static void *part(pare_store *s, const char *name, pare_dtype dtype, int64_t n)
{
    const uint8_t *data;
    pare_err err;
    const int64_t t = pare_store_find(s, name);
    if (t < 0) fail_msg("%s is not there", name);
    assert_ok(pare_store_data(s, t, &data, &err));
    assert_int_equal((int64_t)s->tensors[t].numel, n);
    void *out = malloc((size_t)n * 4);
    assert_ok(pare_convert(out, dtype, data, s->tensors[t].dtype, n, false, &err));
    return out;
}

static pare_linear layer_of(pare_ctx *ctx, const float *w, int64_t rows, int64_t cols, const pare_scheme *s)
{
    pare_linear l;
    pare_qtensor *q = NULL;
    pare_err err;
    assert_ok(pare_quantize(ctx, w, PARE_F32, 2, (int64_t[]){ rows, cols }, s, &q, &err));
    assert_ok(pare_linear_begin(&l, rows, cols, q, &err));
    assert_ok(pare_linear_pack(&l, ctx->kernels, 0, q, &err));
    assert_ok(pare_linear_set_act(&l, s, 0.0f, &err));
    pare_qtensor_free(q);
    return l;
}

static void forward(pare_ctx *ctx, const pare_linear *l, pare_compute mode, int64_t n, const float *x, float *y)
{
    pare_workspace ws = { 0 };
    pare_err err;
    float *out[] = { y };
    assert_ok(pare_linear_forward(ctx, &l, 1, mode, n, x, l->w.cols, out, &l->w.rows, &ws, &err));
    pare_workspace_clear(&ws);
}

/*
 * One case of the golden: our activations are bitsandbytes' (bit for bit); our output is, within float rounding, what their codes and scales make in
 * double; theirs is the same within the rounding of f16, in which they multiply outlier columns and give the result.
 */
static void as_bitsandbytes(pare_ctx *ctx, pare_store *store, const char *name, const char *scheme, int64_t row0, int64_t n)
{
    enum { C = 128, ROWS = 24 };
    float got[6 * C], y[6 * ROWS], again[6 * ROWS];
    char part_name[64];
    pare_err err;
    const pare_scheme s = scheme_of(scheme);
    float *all = part(store, "input/x", PARE_F32, 6 * C), *x = all + row0 * C, *w = part(store, "weight/weight", PARE_F32, ROWS * C);
    float *cb = part(store, "weight/CB", PARE_F32, ROWS * C), *scb = part(store, "weight/SCB", PARE_F32, ROWS);
    snprintf(part_name, sizeof part_name, "%s/CA", name);
    float *ca = part(store, part_name, PARE_F32, n * C);
    snprintf(part_name, sizeof part_name, "%s/SCA", name);
    float *sca = part(store, part_name, PARE_F32, n);
    snprintf(part_name, sizeof part_name, "%s/y", name);
    float *theirs = part(store, part_name, PARE_F32, n * ROWS);
    pare_linear l = layer_of(ctx, w, ROWS, C, &s);
    bool outlier[C] = { false };
    for (int i = 0; i < n * C; i++) outlier[i % C] |= fabsf(x[i]) >= s.act_threshold;
    assert_ok(pare_act_simulate(ctx, &l.sim, n, C, x, C, got, &err));
    for (int i = 0; i < n * C; i++) {
        if (outlier[i % C]) assert_true(got[i] == x[i] && ca[i] == 0.0f);
        else assert_true(got[i] == ca[i] * (sca[i / C] / 127.0f));
    }
    forward(ctx, &l, PARE_COMPUTE_FAST, n, x, y);
    forward(ctx, &l, PARE_COMPUTE_EXACT, n, x, again);
    assert_memory_equal(y, again, (size_t)(n * ROWS) * sizeof *y);
    for (int t = 0; t < n; t++)
        for (int r = 0; r < ROWS; r++) {
            double want = 0, size = 0, half = 0;
            for (int c = 0; c < C; c++) {
                const double a = outlier[c] ? (double)x[t * C + c] : (double)ca[t * C + c] * (double)sca[t] / 127, v = a * (double)cb[r * C + c] * (double)scb[r] / 127;
                want += v, size += fabs(v);
                if (outlier[c]) half += fabs(v);
            }
            assert_true(fabs((double)y[t * ROWS + r] - want) <= 1e-6 * size);
            assert_true(fabs((double)theirs[t * ROWS + r] - want) <= 0x1p-10 * (fabs(want) + half));
        }
    pare_linear_clear(&l);
    free(all), free(w), free(cb), free(scb), free(ca), free(sca), free(theirs);
}

static void llm_int8(void **state)
{
    enum { TOKENS = 6, C = 128, ROWS = 24 };
    pare_ctx *ctx = new_ctx(2);
    pare_store *store;
    pare_err err;
    float y[TOKENS * ROWS], again[TOKENS * ROWS];
    (void)state;
    assert_ok(pare_store_open(GOLDEN, &store, &err));
    as_bitsandbytes(ctx, store, "threshold6", "LLM_INT8", 0, TOKENS);
    as_bitsandbytes(ctx, store, "threshold0", "LLM_INT8:t1000", 0, TOKENS);
    as_bitsandbytes(ctx, store, "one-token", "LLM_INT8", 2, 1);
    float *x = part(store, "input/x", PARE_F32, TOKENS * C), *w = part(store, "weight/weight", PARE_F32, ROWS * C);
    const pare_scheme none = scheme_of("LLM_INT8:tinf"), plain = scheme_of("W8A8");
    pare_linear a = layer_of(ctx, w, ROWS, C, &none), b = layer_of(ctx, w, ROWS, C, &none);
    assert_int_equal(a.act, PARE_ACT_DYNAMIC_TOKEN);
    assert_ok(pare_linear_set_act(&b, &plain, 0.0f, &err));
    forward(ctx, &a, PARE_COMPUTE_EXACT, TOKENS, x, y);
    forward(ctx, &b, PARE_COMPUTE_EXACT, TOKENS, x, again);
    assert_memory_equal(y, again, sizeof y);
    pare_linear_clear(&a);
    pare_linear_clear(&b);
    free(x);
    free(w);
    pare_store_close(store);
    pare_ctx_free(ctx);
}

/* Layers that share an input, some with simulated activations, give what each gives alone. */
static void together(void **state)
{
    static const char *const names[] = { "W4AFP8:g40", "W4A16:g40", "FP8_DYNAMIC", "NVFP4", "NVFP4", "W8A8" };
    enum { ROWS = 20, LAYERS = 6 };
    static float w[ROWS * COLS], x[12 * COLS], one[12 * ROWS], many[LAYERS][12 * ROWS];
    pare_ctx *ctx = new_ctx(2);
    pare_linear l[LAYERS];
    const pare_linear *at[LAYERS];
    float *y[LAYERS];
    int64_t stride[LAYERS];
    pare_workspace ws = { 0 };
    pare_err err;
    (void)state;
    fill(w, ROWS * COLS);
    fill(x, 12 * COLS);
    for (int i = 0; i < LAYERS; i++) {
        const pare_scheme s = scheme_of(names[i]);
        l[i] = layer_of(ctx, w, ROWS, COLS, &s);
        at[i] = &l[i];
        y[i] = many[i];
        stride[i] = ROWS;
    }
    for (int n = 3; n < 13; n += 9) { /* both paths */
        assert_ok(pare_linear_forward(ctx, at, LAYERS, PARE_COMPUTE_FAST, n, x, COLS, y, stride, &ws, &err));
        for (int i = 0; i < LAYERS; i++) {
            forward(ctx, &l[i], PARE_COMPUTE_FAST, n, x, one);
            assert_memory_equal(one, many[i], (size_t)n * ROWS * 4);
        }
    }
    for (int i = 0; i < LAYERS; i++) pare_linear_clear(&l[i]);
    pare_workspace_clear(&ws);
    pare_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(floats), cmocka_unit_test(llm_int8), cmocka_unit_test(together) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
