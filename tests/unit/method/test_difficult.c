/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Difficult inputs for every method that looks at them: channels that are copies of each other, or nearly; one token again and again; channels and whole
 * inputs that are always 0; sizes from 1e-15 to 1e15; numbers that do not fit. Each gives finite scales and an error no worse than rounding to nearest, or
 * is one error with the layer's name.
 */
#include <math.h>

#include "unit/method/method_inputs.h"

enum { ROWS = 24, COLS = 96, TOKENS = 60 };

typedef struct how { const char *method, *scheme, *set; bool weight_only; } how;
static const how hows[] = {
    { "gptq", "W4A16:g32", NULL, true },     { "gptq", "W2A16_ASYM:g32", NULL, true }, { "gptq", "NF4:g32", "act-order=false", true }, { "awq", "W4A16:g32", NULL, true },
    { "awq", "W3A16_ASYM:g32", NULL, true }, { "awq", "W4A16:g32", "rounding=gptq", true }, { "smoothquant", "W8A8", NULL, false }, { "smoothquant", "W8A8:static", "alpha=0.5", false },
    { "llm.int8", "LLM_INT8", NULL, false },
};

/* ---------------------------------------------------------------------------------------------------------------- inputs */

static void copies(method_inputs *m) /* singular: 48 of 96 directions */
{
    for (int64_t t = 0; t < m->tokens; t++)
        for (int64_t c = 1; c < m->cols; c += 2) m->x[t * m->cols + c] = m->x[t * m->cols + c - 1];
}

static void near_copies(method_inputs *m)
{
    copies(m);
    for (int64_t i = 1; i < m->tokens * m->cols; i += 2) m->x[i] *= 1 + 1e-6f * (float)(i % 7 - 3);
}

static void one_token(method_inputs *m)
{
    for (int64_t t = 1; t < m->tokens; t++) memcpy(m->x + t * m->cols, m->x, (size_t)m->cols * sizeof *m->x);
}

static void dead(method_inputs *m)
{
    for (int64_t i = 0; i < m->tokens * m->cols; i++)
        if (i % m->cols % 3 == 0) m->x[i] = 0;
}

static void all_dead(method_inputs *m) { memset(m->x, 0, (size_t)(m->tokens * m->cols) * sizeof *m->x); }

static void sizes(method_inputs *m)
{
    for (int64_t i = 0; i < m->tokens * m->cols; i++) m->x[i] *= (float)pow(10, (double)(i % m->cols) / (double)(m->cols - 1) * 30 - 15);
}

static void tiny(method_inputs *m)
{
    for (int64_t i = 0; i < m->tokens * m->cols; i++) m->x[i] *= 1e-30f; /* squares: 0 */
}

typedef struct kind { const char *name; void (*make)(method_inputs *m); } kind;
static const kind kinds[] = { { "copies", copies }, { "near copies", near_copies }, { "one token", one_token }, { "dead channels", dead }, { "all dead", all_dead },
                              { "sizes", sizes },   { "tiny", tiny } };

/* --------------------------------------------------------------------------------------------------------------- methods */

/* W diag(scale) by the method, scale folded; the error of the weights alone. */
static double error_of(method_inputs *m, const how *h, const char *what, bool nearest)
{
    const char *const settings[] = { h->set, NULL };
    const pare_method *method = pare_method_find(h->method);
    const float *w[] = { m->w };
    char note[200];
    float scale[COLS], *scaled = malloc(sizeof *scaled * ROWS * COLS), *x = m->x;
    pare_scheme s = method_scheme(h->scheme);
    const pare_scheme *schemes[] = { &s };
    pare_params p;
    pare_layer_result r;
    pare_err err = { 0 };
    assert_non_null(scaled);
    method_params(method, &p, settings);
    assert_ok(method->prepare(&p, &s, &err));
    for (int c = 0; c < COLS; c++) scale[c] = 1;
    const pare_fold_job fold = { .name = "w", .params = &p, .cols = COLS, .n = 1, .w = w, .rows = &m->rows, .schemes = schemes, .stats = &m->stats };
    if (method->fold && !nearest && method->fold(m->ctx, &fold, scale, note, &err) != PARE_OK) fail_msg("%s, %s: %s", h->method, what, err.text);
    for (int c = 0; c < COLS; c++)
        if (!(scale[c] > 0 && isfinite(scale[c]))) fail_msg("%s, %s: channel %d has the scale %g", h->method, what, c, (double)scale[c]);
    for (int i = 0; i < ROWS * COLS; i++) scaled[i] = m->w[i] * scale[i % COLS];
    /* statistics of x / s */
    m->x = malloc(sizeof *x * TOKENS * COLS);
    assert_non_null(m->x);
    for (int i = 0; i < TOKENS * COLS; i++) m->x[i] = x[i] / scale[i % COLS];
    method_inputs_measure(m);
    m->stats.sample = m->x;
    const pare_layer_job job = { .name = "w", .scheme = &s, .params = &p, .rows = ROWS, .cols = COLS, .w = scaled, .stats = &m->stats };
    if (pare_method_apply(m->ctx, nearest ? pare_method_find("rtn") : method, &job, &r, &err) != PARE_OK) fail_msg("%s, %s: %s", h->method, what, err.text);
    for (int64_t i = 0; i < r.q->grid.n_scales; i++) assert_true(isfinite(r.q->scales[i]) && r.q->scales[i] >= 0);
    if (s.act == PARE_ACT_STATIC_TENSOR && !(r.q->input_scale > 0 && isfinite(r.q->input_scale))) fail_msg("%s, %s: static scale %g", h->method, what, (double)r.q->input_scale);
    if (!nearest && !isnan(r.loss) && !(r.loss >= 0 && isfinite(r.loss))) fail_msg("%s, %s: loss %g", h->method, what, r.loss);
    if (!nearest && !isnan(r.loss) && strstr(what, "dead")) assert_true(r.dead >= COLS / 3);
    free(m->x);
    m->x = x;
    method_inputs_measure(m);
    m->stats.sample = m->x;
if (getenv("DBG")) print_message("scale %g q scale %g code %d w %g x %g in %g\n", scale[1], r.q->scales[0], r.q->codes[1], m->w[1], m->x[1], r.q->input_scale);
    const double e = method_inputs_error_of(m, r.q, scale);
    pare_qtensor_free(r.q);
    pare_params_clear(&p);
    free(scaled);
    return e;
}

static void every_method(void **state)
{
    const kind *k = *state;
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        method_inputs *m = method_inputs_new(ROWS, COLS, TOKENS, 1, 2);
        k->make(m);
        method_inputs_measure(m);
        const double nearest = error_of(m, &hows[i], k->name, true), got = error_of(m, &hows[i], k->name, false);
        if (!(got <= 1.05 * nearest) && !isnan(nearest) && hows[i].weight_only) fail_msg("%s %s, %s: error %g, to the nearest %g", hows[i].method, hows[i].scheme, k->name, got, nearest);
        if (!(got <= 4 * nearest) && !isnan(nearest)) fail_msg("%s %s, %s: error %g of weights, to the nearest %g", hows[i].method, hows[i].scheme, k->name, got, nearest);
        print_message("%-12s %-16s %-14s %.2e, nearest %.2e\n", hows[i].method, hows[i].scheme, k->name, got, nearest);
        method_inputs_free(m);
    }
}

/* Products that float32 does not hold. */
static void too_large(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        method_inputs *m = method_inputs_new(ROWS, COLS, TOKENS, 1, 2);
        const char *const settings[] = { hows[i].set, NULL };
        const pare_method *method = pare_method_find(hows[i].method);
        pare_scheme s = method_scheme(hows[i].scheme);
        pare_params p;
        pare_layer_result r;
        pare_err err = { 0 };
        if (!(method->needs & PARE_NEEDS_HESSIAN)) {
            method_inputs_free(m);
            continue;
        }
        for (int k = 0; k < TOKENS * COLS; k++) m->x[k] *= 1e25f;
        method_inputs_measure(m);
        method_params(method, &p, settings);
        assert_ok(method->prepare(&p, &s, &err));
        const pare_layer_job job = { .name = "w", .scheme = &s, .params = &p, .rows = ROWS, .cols = COLS, .w = m->w, .stats = &m->stats };
        assert_int_equal(pare_method_apply(m->ctx, method, &job, &r, &err), PARE_ERR_DATA);
        pare_params_clear(&p);
        method_inputs_free(m);
    }
}

int main(void)
{
    static struct CMUnitTest tests[sizeof kinds / sizeof *kinds + 1];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) tests[i] = (struct CMUnitTest){ .name = kinds[i].name, .test_func = every_method, .initial_state = (void *)(uintptr_t)&kinds[i] };
    tests[sizeof kinds / sizeof *kinds] = (struct CMUnitTest)cmocka_unit_test(too_large);
    return _cmocka_run_group_tests("difficult", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
