/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of the inputs x [rows, cols] of one layer, text after text: exactly those that are asked for.
 *
 *   Hessian   H = sum x x^T       f32, a text at a time by linalg's blocked product, in the order of texts
 *   drift     G = sum x (f - x)^T likewise
 *   moments   max |x|, sum |x|, sum x^2 of a channel: double, rows in order
 *   range     |x| in 2048 bins up to a power of two above the largest: doubling joins pairs of bins exactly, so the order of arrival does not show
 *   sample    rows at even distances
 *
 * With a scale s a channel all of it is of x / s; H and G are divided once at the end: H_ij / (s_i s_j).
 */
#include <math.h>
#include <string.h>

#include "flow/calibrate.h"
#include "linalg/linalg.h"

enum { COLUMN_BLOCK = 256, VALUE_BLOCK = 1 << 16 };
#define FIRST_TOP 0x1p-40f

struct pare_collect {
    pare_ctx *ctx;
    pare_needs needs;
    int64_t cols, total, rows, texts;
    const float *scale;               /* borrowed, or NULL */
    char what[160];
    float *hessian, *drift;           /* [cols, cols] */
    float *difference; int64_t difference_rows;
    float *absmax; double *sum_abs, *sum_sq; /* [cols] */
    float *mean_abs, *mean_sq;
    float *sample; int64_t sample_rows, sample_max;
    pare_input_range *range;
    uint64_t *bins;                   /* [threads][PARE_RANGE_BINS] */
    float *extremes;                  /* [blocks][2] of the text at hand */
    int64_t extremes_n;
};

/* ---------------------------------------------------------------------------------------------------------------- memory */

uint64_t pare_collect_bytes(pare_needs needs, int64_t cols)
{
    const uint64_t c = (uint64_t)cols, square = c * c * sizeof(float);
    return (needs & PARE_NEEDS_HESSIAN ? square : 0) + (needs & PARE_NEEDS_DRIFT ? square : 0) + (needs & PARE_NEEDS_MOMENTS ? c * 28 : 0) +
           (needs & PARE_NEEDS_SAMPLE ? (uint64_t)PARE_SAMPLE_ROWS * c * sizeof(float) : 0) + (needs & PARE_NEEDS_RANGE ? sizeof(pare_input_range) : 0);
}

static pare_status make(pare_collect *c, pare_err *err)
{
    const size_t n = (size_t)c->cols;
    size_t square;
    bool ok = pare_mul_size(n, n, &square);
    if (ok && (c->needs & PARE_NEEDS_HESSIAN)) ok = (c->hessian = pare_alloc_zero(square, sizeof *c->hessian)) != NULL;
    if (ok && (c->needs & PARE_NEEDS_DRIFT)) ok = (c->drift = pare_alloc_zero(square, sizeof *c->drift)) != NULL;
    if (ok && (c->needs & PARE_NEEDS_MOMENTS)) {
        c->absmax = pare_alloc_zero(3 * n, sizeof *c->absmax);
        c->sum_abs = pare_alloc_zero(2 * n, sizeof *c->sum_abs);
        ok = c->absmax && c->sum_abs;
        if (ok) c->mean_abs = c->absmax + n, c->mean_sq = c->absmax + 2 * n, c->sum_sq = c->sum_abs + n;
    }
    if (ok && (c->needs & PARE_NEEDS_SAMPLE)) {
        c->sample_max = c->total < PARE_SAMPLE_ROWS ? c->total : PARE_SAMPLE_ROWS;
        ok = (c->sample = pare_alloc_zero((size_t)c->sample_max * n + 1, sizeof *c->sample)) != NULL;
    }
    if (ok && (c->needs & PARE_NEEDS_RANGE)) {
        c->range = pare_alloc_zero(1, sizeof *c->range);
        c->bins = pare_alloc_zero((size_t)c->ctx->threads * PARE_RANGE_BINS, sizeof *c->bins);
        ok = c->range && c->bins;
        if (ok) c->range->top = FIRST_TOP;
    }
    return ok ? PARE_OK : pare_no_memory(err, c->what, (size_t)pare_collect_bytes(c->needs, c->cols));
}

pare_status pare_collect_new(pare_ctx *ctx, pare_needs needs, int64_t cols, int64_t total, const float *scale, const char *what, pare_collect **out, pare_err *err)
{
    pare_collect *c = pare_alloc_zero(1, sizeof *c);
    *out = NULL;
    if (!c) return pare_no_memory(err, what, sizeof *c);
    *c = (pare_collect){ .ctx = ctx, .needs = needs, .cols = cols, .total = total > 0 ? total : 1, .scale = scale };
    pare_print(c->what, sizeof c->what, "%s", what);
    const pare_status st = make(c, err);
    if (st != PARE_OK) {
        pare_collect_free(c);
        return st;
    }
    *out = c;
    return PARE_OK;
}

void pare_collect_free(pare_collect *c)
{
    if (!c) return;
    pare_dealloc(c->hessian);
    pare_dealloc(c->drift);
    pare_dealloc(c->difference);
    pare_dealloc(c->absmax);
    pare_dealloc(c->sum_abs);
    pare_dealloc(c->sample);
    pare_dealloc(c->range);
    pare_dealloc(c->bins);
    pare_dealloc(c->extremes);
    pare_dealloc(c);
}

/* --------------------------------------------------------------------------------------------------------------- numbers */

static pare_status check_finite(const pare_collect *c, int64_t text, const float *x, int64_t n, pare_err *err)
{
    const int64_t bad = c->ctx->kernels->count_nonfinite(x, n * c->cols);
    int64_t i = 0;
    if (!bad) return PARE_OK;
    while (x[i] - x[i] == 0) i++;
    pare_fail(err, PARE_ERR_DATA, "%s: %lld value%s that reach%s it in calibration window %lld %s not finite (the first: row %lld, channel %lld)", c->what, (long long)bad,
              bad == 1 ? "" : "s", bad == 1 ? "es" : "", (long long)text, bad == 1 ? "is" : "are", (long long)(i / c->cols), (long long)(i % c->cols));
    return pare_hint(err, "the model itself computes them from this text: its weights, or float32, do not hold");
}

typedef struct moment_job { const pare_collect *c; const float *x; int64_t n; } moment_job;

static pare_status moments(void *arg, int64_t i, int worker, pare_err *err)
{
    const moment_job *j = arg;
    const pare_collect *c = j->c;
    const int64_t from = i * COLUMN_BLOCK, to = from + COLUMN_BLOCK < c->cols ? from + COLUMN_BLOCK : c->cols;
    (void)worker, (void)err;
    for (int64_t r = 0; r < j->n; r++) {
        const float *x = j->x + r * c->cols;
        for (int64_t k = from; k < to; k++) {
            const float a = fabsf(x[k]);
            if (a > c->absmax[k]) c->absmax[k] = a;
            c->sum_abs[k] += (double)a;
            c->sum_sq[k] += (double)x[k] * (double)x[k];
        }
    }
    return PARE_OK;
}

typedef struct difference_job { const pare_collect *c; const float *x, *f; int64_t n; } difference_job;

static pare_status subtract(void *arg, int64_t i, int worker, pare_err *err)
{
    const difference_job *j = arg;
    const int64_t n = j->n * j->c->cols, from = i * VALUE_BLOCK, to = from + VALUE_BLOCK < n ? from + VALUE_BLOCK : n;
    (void)worker, (void)err;
    for (int64_t k = from; k < to; k++) j->c->difference[k] = j->f[k] - j->x[k];
    return PARE_OK;
}

static pare_status add_drift(pare_collect *c, const float *x, const float *f, int64_t n, pare_err *err)
{
    const difference_job j = { c, x, f, n };
    pare_status st;
    if (n > c->difference_rows) {
        pare_dealloc(c->difference);
        c->difference_rows = 0;
        if ((st = pare_alloc_try((size_t)(n * c->cols) * sizeof(float), c->what, (void **)&c->difference, err)) != PARE_OK) return st;
        c->difference_rows = n;
    }
    if ((st = pare_parallel(c->ctx, (n * c->cols + VALUE_BLOCK - 1) / VALUE_BLOCK, subtract, (void *)(uintptr_t)&j, err)) != PARE_OK) return st;
    return pare_add_xty(c->ctx, n, c->cols, c->cols, x, c->cols, c->difference, c->cols, c->drift, err);
}

static void add_samples(pare_collect *c, const float *x, int64_t n)
{
    for (int64_t r = 0; r < n; r++) {
        const int64_t at = c->rows + r; /* the i-th of m samples is the first row at or behind i / m of all */
        if (c->sample_rows >= c->sample_max || at * c->sample_max < c->sample_rows * c->total) continue;
        float *to = c->sample + c->sample_rows++ * c->cols;
        for (int64_t k = 0; k < c->cols; k++) to[k] = c->scale ? x[r * c->cols + k] / c->scale[k] : x[r * c->cols + k];
    }
}

/* ----------------------------------------------------------------------------------------------------------------- range */

typedef struct range_job { const pare_collect *c; const float *x; int64_t n; } range_job;

static float scaled(const pare_collect *c, const float *x, int64_t i) { return c->scale ? x[i] / c->scale[i % c->cols] : x[i]; }

static pare_status find_extremes(void *arg, int64_t i, int worker, pare_err *err)
{
    const range_job *j = arg;
    const int64_t n = j->n * j->c->cols, from = i * VALUE_BLOCK, to = from + VALUE_BLOCK < n ? from + VALUE_BLOCK : n;
    float least = 0, most = 0;
    (void)worker, (void)err;
    for (int64_t k = from; k < to; k++) {
        const float v = scaled(j->c, j->x, k);
        if (v < least) least = v;
        if (v > most) most = v;
    }
    j->c->extremes[2 * i] = least;
    j->c->extremes[2 * i + 1] = most;
    return PARE_OK;
}

static pare_status count_bins(void *arg, int64_t i, int worker, pare_err *err)
{
    const range_job *j = arg;
    const int64_t n = j->n * j->c->cols, from = i * VALUE_BLOCK, to = from + VALUE_BLOCK < n ? from + VALUE_BLOCK : n;
    uint64_t *bins = j->c->bins + (int64_t)worker * PARE_RANGE_BINS;
    const float per = (float)PARE_RANGE_BINS / j->c->range->top; /* a power of two: exact */
    (void)err;
    for (int64_t k = from; k < to; k++) bins[(int)(fabsf(scaled(j->c, j->x, k)) * per)]++;
    return PARE_OK;
}

static void grow_top(pare_input_range *r, float most)
{
    while (r->top <= most) {
        for (int i = 0; i < PARE_RANGE_BINS; i++) {
            const uint64_t pair = i < PARE_RANGE_BINS / 2 ? r->bins[2 * i] + r->bins[2 * i + 1] : 0;
            r->bins[i] = pair;
        }
        r->top *= 2;
    }
}

static pare_status add_range(pare_collect *c, const float *x, int64_t n, pare_err *err)
{
    const range_job j = { c, x, n };
    const int64_t blocks = (n * c->cols + VALUE_BLOCK - 1) / VALUE_BLOCK;
    float least = 0, most = 0;
    pare_status st;
    if (blocks > c->extremes_n) {
        pare_dealloc(c->extremes);
        c->extremes_n = 0;
        if ((st = pare_alloc_try((size_t)blocks * 2 * sizeof(float), c->what, (void **)&c->extremes, err)) != PARE_OK) return st;
        c->extremes_n = blocks;
    }
    if ((st = pare_parallel(c->ctx, blocks, find_extremes, (void *)(uintptr_t)&j, err)) != PARE_OK) return st;
    for (int64_t i = 0; i < blocks; i++) {
        if (c->extremes[2 * i] < least) least = c->extremes[2 * i];
        if (c->extremes[2 * i + 1] > most) most = c->extremes[2 * i + 1];
    }
    const float peak = -least > most ? -least : most;
    if (peak > 0x1p126f) return pare_fail(err, PARE_ERR_DATA, "%s: an input of %g has no range", c->what, (double)peak);
    grow_top(c->range, peak);
    memset(c->bins, 0, (size_t)c->ctx->threads * PARE_RANGE_BINS * sizeof *c->bins);
    if ((st = pare_parallel(c->ctx, blocks, count_bins, (void *)(uintptr_t)&j, err)) != PARE_OK) return st;
    for (int t = 0; t < c->ctx->threads; t++)
        for (int i = 0; i < PARE_RANGE_BINS; i++) c->range->bins[i] += c->bins[t * PARE_RANGE_BINS + i];
    if (least < c->range->min) c->range->min = least;
    if (most > c->range->max) c->range->max = most;
    c->range->average_max = c->texts == 0 ? peak : 0.9f * c->range->average_max + 0.1f * peak;
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------------- all */

pare_status pare_collect_add(pare_collect *c, int64_t text, const float *x, const float *f, int64_t n, pare_err *err)
{
    const moment_job m = { c, x, n };
    pare_status st;
    if (n < 1) return PARE_OK;
    PARE_TRY(check_finite(c, text, x, n, err));
    if (c->hessian) PARE_TRY(pare_add_xtx(c->ctx, n, c->cols, x, c->cols, c->hessian, err));
    if (c->drift && f) PARE_TRY(add_drift(c, x, f, n, err));
    if (c->absmax) PARE_TRY(pare_parallel(c->ctx, (c->cols + COLUMN_BLOCK - 1) / COLUMN_BLOCK, moments, (void *)(uintptr_t)&m, err));
    if (c->sample) add_samples(c, x, n);
    if (c->range) PARE_TRY(add_range(c, x, n, err));
    c->rows += n;
    c->texts++;
out:
    return st;
}

typedef struct divide_job { const pare_collect *c; float *m; } divide_job;

static pare_status divide_row(void *arg, int64_t i, int worker, pare_err *err)
{
    const divide_job *j = arg;
    const float *s = j->c->scale;
    (void)worker, (void)err;
    for (int64_t k = 0; k < j->c->cols; k++) j->m[i * j->c->cols + k] = (float)((double)j->m[i * j->c->cols + k] / ((double)s[i] * (double)s[k]));
    return PARE_OK;
}

pare_status pare_collect_finish(pare_collect *c, pare_stats *out, pare_err *err)
{
    pare_status st = PARE_OK;
    float *squares[2] = { c->hessian, c->drift };
    *out = (pare_stats){ .cols = c->cols, .tokens = c->rows };
    if (c->hessian) PARE_TRY(pare_mirror(c->ctx, c->cols, c->hessian, err));
    for (int i = 0; i < 2; i++) {
        const divide_job j = { c, squares[i] };
        if (squares[i] && c->scale) PARE_TRY(pare_parallel(c->ctx, c->cols, divide_row, (void *)(uintptr_t)&j, err));
        const int64_t bad = squares[i] ? c->ctx->kernels->count_nonfinite(squares[i], c->cols * c->cols) : 0;
        if (bad) PARE_FAIL(err, PARE_ERR_DATA, "%s: its inputs are so large that %lld of %lld sums of their products over %lld tokens do not fit in float32", c->what,
                           (long long)bad, (long long)(c->cols * c->cols), (long long)c->rows);
    }
    for (int64_t k = 0; k < c->cols && c->absmax; k++) {
        const double s = c->scale ? (double)c->scale[k] : 1.0, n = c->rows > 0 ? (double)c->rows : 1.0;
        c->absmax[k] = (float)((double)c->absmax[k] / s);
        c->mean_abs[k] = (float)(c->sum_abs[k] / n / s);
        c->mean_sq[k] = (float)(c->sum_sq[k] / n / (s * s));
    }
    out->hessian = c->hessian;
    out->drift = c->drift;
    out->absmax = c->absmax;
    out->mean_abs = c->mean_abs;
    out->mean_sq = c->mean_sq;
    out->sample = c->sample;
    out->sample_rows = c->sample_rows;
    out->range = c->range;
out:
    return st;
}
