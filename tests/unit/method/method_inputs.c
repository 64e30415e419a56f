/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/method/method_inputs.h"

#include <math.h>
#include <string.h>

static float normal(const char *what, int64_t i) { return (float)pare_rng_normal(pare_rng_key(11, what), (uint64_t)i); }

static void fill(method_inputs *m, float outlier)
{
    enum { COMMON = 4 };
    for (int64_t i = 0; i < m->rows * m->cols; i++) m->w[i] = 0.05f * normal("w", i);
    for (int64_t t = 0; t < m->tokens; t++)
        for (int64_t c = 0; c < m->cols; c++) {
            float v = 0.5f * normal("noise", t * m->cols + c);
            for (int k = 0; k < COMMON; k++) v += 0.5f * normal("token", t * COMMON + k) * normal("direction", k * m->cols + c);
            if (c == 3 || c == m->cols / 2) v *= outlier;
            m->x[t * m->cols + c] = c == 5 ? 0 : v;
        }
}

void method_inputs_measure(method_inputs *m)
{
    memset(m->h, 0, (size_t)(m->cols * m->cols) * sizeof *m->h);
    m->range = (pare_input_range){ .min = INFINITY, .max = -INFINITY, .top = 1 };
    for (int64_t a = 0; a < m->cols; a++) {
        double most = 0, sum = 0, square = 0;
        for (int64_t t = 0; t < m->tokens; t++) {
            const float v = m->x[t * m->cols + a];
            most = fabsf(v) > most ? fabsf(v) : most, sum += fabsf(v), square += (double)v * v;
            m->range.min = v < m->range.min ? v : m->range.min;
            m->range.max = v > m->range.max ? v : m->range.max;
        }
        m->absmax[a] = (float)most, m->mean_abs[a] = (float)(sum / (double)m->tokens), m->mean_sq[a] = (float)(square / (double)m->tokens);
        for (int64_t b = 0; b <= a; b++) {
            double dot = 0;
            for (int64_t t = 0; t < m->tokens; t++) dot += (double)m->x[t * m->cols + a] * m->x[t * m->cols + b];
            m->h[a * m->cols + b] = m->h[b * m->cols + a] = (float)dot;
        }
    }
    const float top = m->range.max > -m->range.min ? m->range.max : -m->range.min;
    while (m->range.top < top) m->range.top *= 2;
    for (int64_t i = 0; i < m->tokens * m->cols; i++) {
        const int64_t bin = (int64_t)(fabsf(m->x[i]) / m->range.top * PARE_RANGE_BINS);
        m->range.bins[bin < PARE_RANGE_BINS ? bin : PARE_RANGE_BINS - 1]++;
    }
    m->range.average_max = 0.8f * top;
}

method_inputs *method_inputs_new(int64_t rows, int64_t cols, int64_t tokens, float outlier, int threads)
{
    const pare_ctx_options o = { .threads = threads };
    method_inputs *m = calloc(1, sizeof *m);
    assert_non_null(m);
    assert_int_equal(pare_ctx_new(&o, &m->ctx, NULL), PARE_OK);
    m->rows = rows, m->cols = cols, m->tokens = tokens;
    m->w = calloc((size_t)(rows * cols), sizeof *m->w);
    m->x = calloc((size_t)(tokens * cols), sizeof *m->x);
    m->h = calloc((size_t)(cols * cols), sizeof *m->h);
    m->absmax = calloc((size_t)cols, sizeof(float));
    m->mean_abs = calloc((size_t)cols, sizeof(float));
    m->mean_sq = calloc((size_t)cols, sizeof(float));
    assert_true(m->w && m->x && m->h && m->absmax && m->mean_abs && m->mean_sq);
    fill(m, outlier);
    method_inputs_measure(m);
    m->stats = (pare_stats){ .cols = cols, .tokens = tokens, .absmax = m->absmax, .mean_abs = m->mean_abs, .mean_sq = m->mean_sq, .hessian = m->h, .sample = m->x,
                             .sample_rows = tokens, .range = &m->range };
    return m;
}

void method_inputs_free(method_inputs *m)
{
    if (!m) return;
    pare_ctx_free(m->ctx);
    free(m->w), free(m->x), free(m->h), free(m->absmax), free(m->mean_abs), free(m->mean_sq);
    free(m);
}

double method_inputs_error(const method_inputs *m, const float *got)
{
    double noise = 0, signal = 0;
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t t = 0; t < m->tokens; t++) {
            const float *w = m->w + r * m->cols, *g = got + r * m->cols, *x = m->x + t * m->cols;
            double e = 0, y = 0;
            for (int64_t c = 0; c < m->cols; c++) e += ((double)g[c] - w[c]) * x[c], y += (double)w[c] * x[c];
            noise += e * e, signal += y * y;
        }
    return noise / signal;
}

double method_inputs_error_of(const method_inputs *m, const pare_qtensor *q, const float *scale)
{
    float *y = calloc((size_t)(m->rows * m->cols), sizeof *y);
    assert_non_null(y);
    assert_int_equal(pare_dequantize(q, y, NULL), PARE_OK);
    for (int64_t i = 0; i < m->rows * m->cols && scale; i++) y[i] /= scale[i % m->cols];
    const double error = method_inputs_error(m, y);
    free(y);
    return error;
}

void method_params(const pare_method *m, pare_params *p, const char *const *settings)
{
    pare_err err = { 0 };
    assert_int_equal(pare_params_init(p, m->options, &err), PARE_OK);
    for (; settings && *settings; settings++) {
        char name[64];
        const char *eq = strchr(*settings, '=');
        assert_non_null(eq);
        snprintf(name, sizeof name, "%.*s", (int)(eq - *settings), *settings);
        if (pare_params_set(p, name, eq + 1, m->name, &err) != PARE_OK) fail_msg("%s", err.text);
    }
}

pare_scheme method_scheme(const char *name)
{
    pare_scheme s;
    pare_err err = { 0 };
    if (pare_scheme_parse(name, &s, &err) != PARE_OK) fail_msg("%s", err.text);
    if (s.scale_dtype == PARE_DTYPE_NONE) s.scale_dtype = PARE_F32;
    return s;
}
