/* SPDX-License-Identifier: Apache-2.0 */
/* SmoothQuant: the formula, planted outliers ten times better than plain W8A8, ties, threads. Static ranges: each observer against its definition. */
#include <math.h>
#include <string.h>
#include "graph/graph.h"
#include "method/act_range.h"
#include "unit/method/method_inputs.h"

enum { ROWS = 96, COLS = 256, TOKENS = 160 };

static const pare_method *smoothquant(void)
{
    const pare_method *m = pare_method_find("smoothquant");
    assert_non_null(m);
    return m;
}

static void scales(const method_inputs *m, const pare_scheme *scheme, const char *alpha, float *scale, char note[200])
{
    const char *const settings[] = { alpha, NULL };
    const float *w[] = { m->w };
    const pare_scheme *schemes[] = { scheme };
    pare_params p;
    pare_err err = { 0 };
    method_params(smoothquant(), &p, settings);
    const pare_fold_job job = { .name = "w", .params = &p, .cols = m->cols, .n = 1, .w = w, .rows = &m->rows, .schemes = schemes, .stats = &m->stats };
    if (smoothquant()->fold(m->ctx, &job, scale, note, &err) != PARE_OK) fail_msg("%s", err.text);
    pare_params_clear(&p);
}

/* What the engine computes of x / scale with W diag(scale) quantized; error against the float layer. */
static double engine_error(const method_inputs *m, const pare_scheme *scheme, const float *scale)
{
    const int64_t rows = m->rows, cols = m->cols, n = m->tokens;
    float *w = malloc((size_t)(rows * cols) * sizeof *w), *x = malloc((size_t)(n * cols) * sizeof *x), *y = malloc((size_t)(n * rows) * sizeof *y);
    pare_layer_result r;
    pare_linear l = { 0 };
    const pare_linear *layers[] = { &l };
    pare_workspace ws = { 0 };
    pare_err err = { 0 };
    double noise = 0, signal = 0;
    method_inputs scaled = *m;
    for (int64_t i = 0; i < rows * cols; i++) w[i] = m->w[i] * scale[i % cols];
    for (int64_t i = 0; i < n * cols; i++) x[i] = m->x[i] / scale[i % cols];
    scaled.range.min = INFINITY, scaled.range.max = -INFINITY;
    scaled.x = x;
    for (int64_t i = 0; i < n * cols; i++) {
        scaled.range.min = x[i] < scaled.range.min ? x[i] : scaled.range.min;
        scaled.range.max = x[i] > scaled.range.max ? x[i] : scaled.range.max;
    }
    const float top = scaled.range.max > -scaled.range.min ? scaled.range.max : -scaled.range.min;
    scaled.range.top = top;
    memset(scaled.range.bins, 0, sizeof scaled.range.bins);
    for (int64_t i = 0; i < n * cols; i++) {
        const int64_t bin = (int64_t)(fabsf(x[i]) / top * PARE_RANGE_BINS);
        scaled.range.bins[bin < PARE_RANGE_BINS ? bin : PARE_RANGE_BINS - 1]++;
    }
    scaled.stats.range = &scaled.range;
    const pare_layer_job job = { .name = "w", .scheme = scheme, .rows = rows, .cols = cols, .w = w, .stats = &scaled.stats };
    if (pare_method_apply(m->ctx, smoothquant(), &job, &r, &err) != PARE_OK) fail_msg("%s", err.text);
    if (pare_linear_begin(&l, rows, cols, r.q, &err) != PARE_OK || pare_linear_pack(&l, m->ctx->kernels, 0, r.q, &err) != PARE_OK) fail_msg("%s", err.text);
    l.act = scheme->act;
    l.act_scale = r.q->input_scale;
    assert_true((l.act_scale > 0) == (l.act == PARE_ACT_STATIC_TENSOR));
    if (pare_linear_forward(m->ctx, layers, 1, PARE_COMPUTE_EXACT, n, x, cols, &y, &rows, &ws, &err) != PARE_OK) fail_msg("%s", err.text);
    for (int64_t t = 0; t < n; t++)
        for (int64_t i = 0; i < rows; i++) {
            double want = 0;
            for (int64_t c = 0; c < cols; c++) want += (double)m->w[i * cols + c] * m->x[t * cols + c];
            noise += pow(y[t * rows + i] - want, 2), signal += want * want;
        }
    pare_linear_clear(&l);
    pare_workspace_clear(&ws);
    pare_qtensor_free(r.q);
    free(w), free(x), free(y);
    return noise / signal;
}

static void formula(void **state)
{
    method_inputs *m = method_inputs_new(ROWS, COLS, TOKENS, 40, 1);
    const pare_scheme s = method_scheme("W8A8");
    float scale[COLS];
    char note[200] = "";
    (void)state;
    double low = INFINITY, high = 0;
    scales(m, &s, "alpha=0.7", scale, note);
    for (int c = 0; c < COLS; c++) {
        float most = 0;
        for (int r = 0; r < ROWS; r++) most = fabsf(m->w[r * COLS + c]) > most ? fabsf(m->w[r * COLS + c]) : most;
        if (c == 5) continue; /* always 0 */
        const double want = pow(m->absmax[c], 0.7) / pow(most, 0.3);
        assert_true(fabs(scale[c] - want) < 1e-5 * want);
        low = want < low ? want : low, high = want > high ? want : high;
    }
    assert_true(fabs(scale[5] - sqrt(low * high)) < 1e-5 * scale[5]);
    assert_non_null(strstr(note, "0.7"));
    method_inputs_free(m);
}

static void planted_outliers(void **state)
{
    static const char *const schemes[] = { "W8A8", "W8A8:static" };
    method_inputs *m = method_inputs_new(ROWS, COLS, TOKENS, 80, 2);
    float ones[COLS], half[COLS], searched[COLS];
    char note[200] = "";
    (void)state;
    for (int c = 0; c < COLS; c++) ones[c] = 1;
    for (int r = 0; r < ROWS; r++) m->w[r * COLS + 3] *= 0.3f, m->w[r * COLS + COLS / 2] *= 0.3f; /* as in trained models: small weights where inputs are large */
    for (int i = 0; i < 2; i++) {
        const pare_scheme s = method_scheme(schemes[i]);
        scales(m, &s, "alpha=0.5", half, note);
        scales(m, &s, "alpha=auto", searched, note);
        const double plain = engine_error(m, &s, ones), at_half = engine_error(m, &s, half), best = engine_error(m, &s, searched);
        if (!(plain > 10 * at_half && plain > 10 * best && best < 1.1 * at_half)) fail_msg("%s: plain %g, alpha 0.5 %g, searched %g", schemes[i], plain, at_half, best);
    }
    method_inputs_free(m);
}

static void tied_and_threads(void **state)
{
    const pare_scheme s = method_scheme("W8A8");
    float scale[2][COLS];
    int32_t tied[COLS];
    char note[200];
    pare_err err = { 0 };
    (void)state;
    for (int c = 0; c < COLS; c++) tied[c] = c % 64;
    for (int i = 0; i < 2; i++) {
        method_inputs *m = method_inputs_new(ROWS, COLS, TOKENS, 30, i ? 4 : 1);
        const float *w[] = { m->w, m->w + 32 * COLS };
        const int64_t rows[] = { 32, 64 };
        const pare_scheme *schemes[] = { &s, &s };
        const pare_fold_job job = { .name = "w", .cols = COLS, .n = 2, .w = w, .rows = rows, .schemes = schemes, .tied = tied, .stats = &m->stats };
        if (smoothquant()->fold(m->ctx, &job, scale[i], note, &err) != PARE_OK) fail_msg("%s", err.text);
        for (int c = 0; c < COLS; c++) assert_true(scale[i][c] == scale[i][c % 64] && scale[i][c] > 0);
        method_inputs_free(m);
    }
    assert_memory_equal(scale[0], scale[1], sizeof scale[0]);
}

static void refusals(void **state)
{
    static const char *const bad[] = { "alpha=1.5", NULL }, *const worse[] = { "alpha=x", NULL };
    pare_scheme s = method_scheme("W4A16"), t = method_scheme("W8A8");
    pare_params p;
    pare_err err = { 0 };
    (void)state;
    assert_int_equal(smoothquant()->prepare(NULL, &s, &err), PARE_ERR_USAGE);
    assert_non_null(strstr(err.text, "W4A16"));
    for (int i = 0; i < 2; i++) {
        method_params(smoothquant(), &p, i ? worse : bad);
        assert_int_equal(smoothquant()->prepare(&p, &t, &err), PARE_ERR_USAGE);
        pare_params_clear(&p);
    }
}

/* 1000 values: 990 spread over 0 ... 1, ten at 40. */
static void observers(void **state)
{
    static const char *const how[] = { "range=minmax", "range=percentile", "range=average", "range=mse" };
    const pare_method *rtn = pare_method_find("rtn");
    pare_scheme s = method_scheme("W8A8:static"), f = method_scheme("FP8");
    pare_input_range r = { .min = -40, .max = 38, .top = 64, .average_max = 12.75f };
    float scale[4];
    (void)state;
    for (int i = 0; i < 32; i++) r.bins[i] = 31;
    r.bins[1279] = 10;
    for (int i = 0; i < 4; i++) {
        const char *const settings[] = { how[i], "percentile=99", NULL };
        pare_params p;
        method_params(rtn, &p, settings);
        scale[i] = pare_act_scale(&s, &r, &p);
        if (i == 0) assert_true(fabsf(pare_act_scale(&f, &r, &p) - 40.0f / 448) < 1e-7f);
        pare_params_clear(&p);
    }
    assert_true(fabsf(scale[0] - 40.0f / 127.5f) < 1e-6f);
    assert_true(fabsf(scale[1] - 1.0f / 127.5f) < 1e-6f);
    assert_true(fabsf(scale[2] - 0.1f) < 1e-6f);
    assert_true(scale[3] > 0.9f * scale[0]); /* cutting off ten values at 40 costs more than coarse steps for the rest */
    r.bins[1279] = 0; /* the extremes were seen, but so seldom that they do not matter */
    assert_true(pare_act_scale(&s, &r, NULL) < 2.0f / 127.5f);
    memset(&r, 0, sizeof r);
    assert_true(pare_act_scale(&s, &r, NULL) == 1.0f); /* nothing but 0: any scale that can be stored */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(formula), cmocka_unit_test(planted_outliers), cmocka_unit_test(tied_and_threads), cmocka_unit_test(refusals),
                                        cmocka_unit_test(observers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
