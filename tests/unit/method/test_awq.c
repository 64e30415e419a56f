/* SPDX-License-Identifier: Apache-2.0 */
/* AWQ: scales help where activations have outliers, obey ties, leave dead channels alone; clipping never hurts; the same bytes for any number of threads. */
#include <math.h>
#include <string.h>
#include "unit/method/method_inputs.h"

static const char *const grids[] = { "W4A16:g64", "W4A16_ASYM:g64", "W3A16:g32", "W2A16_ASYM:g64", "W4A16:channel", "W2A16:channel", "W8A16", "NF4:g64", "NF4:nested",
                                     "MXFP4", "NVFP4A16", "FP8_WEIGHT", "FP8:tensor", "W4A16_ASYM:g64:fzero", "FP8_BLOCK", "W8A16:tensor", "W3A16:g48" };

static const pare_method *awq(void)
{
    const pare_method *m = pare_method_find("awq");
    assert_non_null(m);
    return m;
}

/* Scales, then the layer; error of the output against the float layer. */
static double run(const method_inputs *m, const pare_scheme *scheme, const pare_params *params, float *scale, pare_layer_result *r)
{
    const int64_t cols = m->cols;
    const float *w[] = { m->w };
    const pare_scheme *schemes[] = { scheme };
    char note[200] = "";
    pare_err err = { 0 };
    method_inputs scaled = *m;
    const pare_fold_job job = { .name = "h.0.w", .params = params, .cols = cols, .n = 1, .w = w, .rows = &m->rows, .schemes = schemes, .stats = &m->stats };
    if (awq()->fold(m->ctx, &job, scale, note, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_true(note[0]);
    scaled.w = malloc((size_t)(m->rows * cols) * sizeof(float));
    scaled.h = malloc((size_t)(cols * cols) * sizeof(float));
    for (int64_t i = 0; i < m->rows * cols; i++) scaled.w[i] = m->w[i] * scale[i % cols];
    for (int64_t i = 0; i < cols * cols; i++) scaled.h[i] = m->h[i] / scale[i / cols] / scale[i % cols];
    scaled.stats.hessian = scaled.h;
    const pare_layer_job layer = { .name = "h.0.w", .scheme = scheme, .params = params, .rows = m->rows, .cols = cols, .w = scaled.w, .stats = &scaled.stats };
    if (pare_method_apply(m->ctx, awq(), &layer, r, &err) != PARE_OK) fail_msg("%s: %s", scheme->name, err.text);
    const double error = method_inputs_error_of(m, r->q, scale);
    assert_true(fabs(error - r->loss) <= 2e-3 * error + 1e-7);
    free(scaled.w);
    free(scaled.h);
    return error;
}

static double nearest(const method_inputs *m, const pare_scheme *scheme)
{
    pare_layer_result r;
    pare_err err = { 0 };
    const pare_layer_job job = { .name = "w", .scheme = scheme, .rows = m->rows, .cols = m->cols, .w = m->w };
    if (pare_method_apply(m->ctx, pare_method_find("rtn"), &job, &r, &err) != PARE_OK) fail_msg("%s", err.text);
    const double error = method_inputs_error_of(m, r.q, NULL);
    pare_qtensor_free(r.q);
    return error;
}

static void better_under_every_grid(void **state)
{
    method_inputs *m = method_inputs_new(70, 192, 300, 12, 2);
    float scale[192];
    (void)state;
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        const pare_scheme s = method_scheme(grids[i]);
        pare_layer_result r;
        const double plain = nearest(m, &s), error = run(m, &s, NULL, scale, &r);
        /* 8-bit floats keep relative precision: scales do little there */
        const double at_most = s.kind == PARE_CODE_FLOAT ? 1.0 : s.bits == 8 ? 0.7 : 0.45;
        if (!(error <= plain * at_most)) fail_msg("%s: error %g, rounding to nearest %g", grids[i], error, plain);
        assert_int_equal(r.dead, 1);
        for (int64_t c = 0; c < m->cols; c++) assert_true(scale[c] > 0 && isfinite(scale[c]));
        assert_true(scale[5] == 1.0f);
        if (s.kind == PARE_CODE_INT) assert_true(scale[3] > 1 && scale[96] > 1);
        pare_qtensor_free(r.q);
    }
    method_inputs_free(m);
}

/* Clipping alone: descent from rounding to nearest, so never worse than it; more sweeps never worse than fewer. */
static void clipping_never_hurts(void **state)
{
    method_inputs *m = method_inputs_new(70, 192, 300, 12, 1);
    (void)state;
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        const pare_scheme s = method_scheme(grids[i]);
        double last = nearest(m, &s);
        for (int sweeps = 1; sweeps < 4; sweeps += 2) {
            const char *const settings[] = { sweeps == 1 ? "sweeps=1" : "sweeps=3", NULL };
            pare_params p;
            pare_layer_result r;
            pare_err err = { 0 };
            method_params(awq(), &p, settings);
            const pare_layer_job job = { .name = "w", .scheme = &s, .params = &p, .rows = m->rows, .cols = m->cols, .w = m->w, .stats = &m->stats };
            if (pare_method_apply(m->ctx, awq(), &job, &r, &err) != PARE_OK) fail_msg("%s", err.text);
            const double error = method_inputs_error_of(m, r.q, NULL);
            if (!(error <= last * (1 + 1e-5))) fail_msg("%s, %d sweeps: error %g after %g", grids[i], sweeps, error, last);
            last = error;
            pare_qtensor_free(r.q);
            pare_params_clear(&p);
        }
    }
    method_inputs_free(m);
}

/* clip=none, duo and grid as said: the codes of rounding to nearest, and scales of the paper's form. */
static void options_count(void **state)
{
    static const char *const settings[] = { "clip=none", "duo=no", "grid=4", NULL };
    method_inputs *m = method_inputs_new(48, 128, 200, 20, 1);
    const pare_scheme s = method_scheme("W4A16:g64");
    pare_params p;
    pare_layer_result r, plain;
    pare_err err = { 0 };
    float scale[128], w[48 * 128];
    (void)state;
    method_params(awq(), &p, settings);
    run(m, &s, &p, scale, &r);
    const double exponent = log((double)scale[3] / scale[10]) / log((double)m->mean_abs[3] / m->mean_abs[10]), fourths = exponent * 4;
    assert_true(fabs(fourths - round(fourths)) < 1e-3 && fourths > 0.5 && fourths < 3.5);
    for (int i = 0; i < 48 * 128; i++) w[i] = m->w[i] * scale[i % 128];
    const pare_layer_job job = { .name = "w", .scheme = &s, .rows = 48, .cols = 128, .w = w };
    assert_int_equal(pare_method_apply(m->ctx, pare_method_find("rtn"), &job, &plain, &err), PARE_OK);
    assert_memory_equal(plain.q->codes, r.q->codes, sizeof w / sizeof *w);
    assert_memory_equal(plain.q->scales, r.q->scales, 48 * 2 * sizeof(float));
    pare_qtensor_free(plain.q);
    pare_qtensor_free(r.q);
    pare_params_clear(&p);
    method_inputs_free(m);
}

/* rounding=gptq: less error than nearest under each grid that goes by columns; a grid that does not is refused. */
static void error_feedback(void **state)
{
    static const char *const settings[] = { "rounding=gptq", NULL };
    method_inputs *m = method_inputs_new(70, 192, 300, 12, 1);
    pare_params p;
    float scale[192];
    pare_err err = { 0 };
    (void)state;
    method_params(awq(), &p, settings);
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        pare_scheme s = method_scheme(grids[i]);
        pare_layer_result r;
        if (s.granularity == PARE_PER_TENSOR || s.granularity == PARE_PER_BLOCK) {
            assert_int_equal(awq()->prepare(&p, &s, &err), PARE_ERR_UNSUPPORTED);
            continue;
        }
        const double plain = run(m, &s, NULL, scale, &r);
        pare_qtensor_free(r.q);
        assert_int_equal(awq()->prepare(&p, &s, &err), PARE_OK);
        const double error = run(m, &s, &p, scale, &r);
        if (!(error < plain)) fail_msg("%s: error %g, to nearest %g", grids[i], error, plain);
        pare_qtensor_free(r.q);
    }
    pare_params_clear(&p);
    method_inputs_free(m);
}

/* Two layers that share x, columns tied in pairs as by grouped-query attention. */
static void ties_are_kept(void **state)
{
    enum { COLS = 128 };
    method_inputs *m = method_inputs_new(64, COLS, 200, 9, 1);
    const pare_scheme s = method_scheme("W3A16:g64"), t = method_scheme("W8A16");
    const float *w[] = { m->w, m->w + 24 * COLS };
    const int64_t rows[] = { 24, 40 };
    const pare_scheme *schemes[] = { &s, &t };
    int32_t tied[COLS];
    float scale[COLS];
    char note[200];
    pare_err err = { 0 };
    int moved = 0;
    (void)state;
    for (int c = 0; c < COLS; c++) tied[c] = c % (COLS / 2);
    const pare_fold_job job = { .name = "w", .cols = COLS, .n = 2, .w = w, .rows = rows, .schemes = schemes, .tied = tied, .stats = &m->stats };
    if (awq()->fold(m->ctx, &job, scale, note, &err) != PARE_OK) fail_msg("%s", err.text);
    for (int c = 0; c < COLS; c++) {
        assert_true(scale[c] == scale[c % (COLS / 2)]);
        moved += scale[c] != 1.0f;
    }
    assert_true(moved > COLS / 2);
    method_inputs_free(m);
}

static void same_for_every_thread_count(void **state)
{
    float scale[2][192];
    pare_layer_result r[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        method_inputs *m = method_inputs_new(150, 192, 100, 12, i ? 4 : 1);
        const pare_scheme s = method_scheme("W3A16_ASYM:g64");
        run(m, &s, NULL, scale[i], &r[i]);
        method_inputs_free(m);
    }
    assert_memory_equal(scale[0], scale[1], sizeof scale[0]);
    assert_memory_equal(r[0].q->codes, r[1].q->codes, 150 * 192);
    assert_memory_equal(r[0].q->scales, r[1].q->scales, 150 * 3 * sizeof(float));
    assert_memory_equal(r[0].q->zeros, r[1].q->zeros, 150 * 3 * sizeof(int32_t));
    pare_qtensor_free(r[0].q);
    pare_qtensor_free(r[1].q);
}

/* Nothing was ever seen: no scales, codes of rounding to nearest, no loss that could be known. A NaN among the weights has a name. */
static void nothing_to_go_by(void **state)
{
    method_inputs *m = method_inputs_new(16, 64, 40, 1, 1);
    const pare_scheme s = method_scheme("W4A16:g32");
    const float *w[] = { m->w };
    const pare_scheme *schemes[] = { &s };
    float scale[64];
    char note[200];
    pare_layer_result r, plain;
    pare_err err = { 0 };
    (void)state;
    memset(m->x, 0, (size_t)(m->tokens * m->cols) * sizeof *m->x);
    method_inputs_measure(m);
    const pare_fold_job fold = { .name = "w", .cols = 64, .n = 1, .w = w, .rows = &m->rows, .schemes = schemes, .stats = &m->stats };
    assert_int_equal(awq()->fold(m->ctx, &fold, scale, note, &err), PARE_OK);
    for (int c = 0; c < 64; c++) assert_true(scale[c] == 1.0f);
    const pare_layer_job job = { .name = "h.7.w", .scheme = &s, .rows = 16, .cols = 64, .w = m->w, .stats = &m->stats };
    assert_int_equal(pare_method_apply(m->ctx, awq(), &job, &r, &err), PARE_OK);
    assert_int_equal(pare_method_apply(m->ctx, pare_method_find("rtn"), &job, &plain, &err), PARE_OK);
    assert_memory_equal(r.q->codes, plain.q->codes, 16 * 64);
    assert_true(isnan(r.loss));
    assert_int_equal(r.dead, 64);
    pare_qtensor_free(r.q);
    pare_qtensor_free(plain.q);
    m->w[70] = NAN;
    assert_int_equal(pare_method_apply(m->ctx, awq(), &job, &r, &err), PARE_ERR_DATA);
    assert_non_null(strstr(err.text, "h.7.w"));
    method_inputs_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(better_under_every_grid),     cmocka_unit_test(clipping_never_hurts), cmocka_unit_test(options_count), cmocka_unit_test(error_feedback),
                                        cmocka_unit_test(ties_are_kept),               cmocka_unit_test(same_for_every_thread_count),
                                        cmocka_unit_test(nothing_to_go_by) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
