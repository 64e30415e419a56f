/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWQ, activation-aware weight quantization. Lin et al. 2023, arXiv 2306.00978.
 *
 *   x [cols] inputs, W_i [rows_i, cols] the layers that read them, Q(.) rounding to nearest on the scheme's grid, s [cols] scales
 *
 * fold(): an input channel with large activations matters more, so its weights are made larger before rounding and x smaller by the same factor (eq. 4, 5):
 *
 *   s = mean|x|^a / mean_w^(1-a)       mean_w: |w| over the largest of its block, averaged over all rows
 *   s = mean|x|^a                      the paper's own form
 *   a in {0, 1/grid, ... (grid-1)/grid};  s is scaled so that its largest and smallest are each other's inverse
 *
 * and the s is kept with the least sum_i tr(E_i H E_i^T) / tr(W_i H W_i^T), E_i = Q(W_i diag(s)) diag(1/s) - W_i, H = sum of x x^T: the error of each layer's
 * output as a part of it (the paper runs the block instead). No scale at all is a candidate, too.
 *
 * layer(): the range of each block is clipped where that makes the output's error smaller, then rounding to nearest (clip_search.c); or rounding with
 * error feedback (feedback.h), which searches ranges in its own way.
 */
#include <math.h>
#include <string.h>

#include "method/act_range.h"
#include "method/clip_search.h"
#include "method/feedback.h"
#include "method/method.h"
#include "method/weigh.h"

static const pare_option options[] = {
    {"grid", PARE_OPT_INT, "1..100", "20", "exponents tried for the scales of input channels"},
    {"duo", PARE_OPT_CHOICE, "both|yes|no", "both", "scales from activations and weights (yes), activations alone (no)"},
    {"clip", PARE_OPT_CHOICE, "search|none", "search", "range of a block: searched for the least error of the output, or to its extremes"},
    {"sweeps", PARE_OPT_INT, "1..10", "1", "passes of the range search over a row's blocks"},
    {"rounding", PARE_OPT_CHOICE, "nearest|gptq", "nearest", "codes: nearest = the nearest each, gptq = columns make up for each other's errors"},
    PARE_RANGE_OPTIONS,
    {NULL, PARE_OPT_TEXT, NULL, NULL, NULL},
};

static int64_t int_option(const pare_params *p, const char *name, int64_t or_else) { return p ? pare_params_int(p, name) : or_else; }
static const char *text_option(const pare_params *p, const char *name, const char *or_else) { return p ? pare_params_text(p, name) : or_else; }
static bool wants_feedback(const pare_params *p) { return strcmp(text_option(p, "rounding", "nearest"), "gptq") == 0; }

static pare_status prepare(const pare_params *params, pare_scheme *scheme, pare_err *err)
{
    const pare_status st = pare_scheme_check(scheme, 0, NULL, err);
    if (st != PARE_OK) return pare_context(err, st, "method awq");
    if (wants_feedback(params)) {
        const pare_quantizer *q = pare_quantizer_for(scheme);
        const bool by_column = q && q->find && q->round && (scheme->granularity == PARE_PER_GROUP || (scheme->granularity == PARE_PER_CHANNEL && scheme->axis == 0));
        if (!by_column) return pare_fail(err, PARE_ERR_UNSUPPORTED, "method awq: rounding=gptq goes column by column, which scheme '%s' does not allow", scheme->name);
        if (strcmp(pare_params_text(params, "clip"), "search") == 0 && scheme->clip == PARE_CLIP_NONE && (scheme->kind != PARE_CODE_FLOAT || scheme->bits < 8))
            scheme->clip = PARE_CLIP_MSE;
    }
    if (pare_quantizer_for(scheme) == NULL) return pare_fail(err, PARE_ERR_UNSUPPORTED, "method awq: no quantizer serves scheme '%s'", scheme->name);
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ fold */

typedef struct scaling {
    pare_ctx *ctx;
    const pare_fold_job *job;
    double *x, *w;             /* [cols] mean |x|; mean relative |w| */
    double *signal;            /* [n] tr(W H W^T) of each layer */
    float *s, *a;              /* [cols] scales tried; [largest rows, cols] */
} scaling;

/* |w| over the largest of its block, averaged over the rows of all layers. */
static void relative_weights(scaling *z)
{
    const pare_fold_job *j = z->job;
    double count = 0;
    for (int i = 0; i < j->n; i++) {
        const pare_scheme *s = j->schemes[i];
        const int64_t block = s->granularity == PARE_PER_GROUP && s->group_size < j->cols ? s->group_size : s->granularity == PARE_PER_BLOCK ? s->block[1] : j->cols;
        for (int64_t r = 0; r < j->rows[i]; r++) {
            const float *w = j->w[i] + r * j->cols;
            for (int64_t c0 = 0; c0 < j->cols; c0 += block) {
                const int64_t end = c0 + block < j->cols ? c0 + block : j->cols;
                float most = 0;
                for (int64_t c = c0; c < end; c++) most = fabsf(w[c]) > most ? fabsf(w[c]) : most;
                for (int64_t c = c0; c < end; c++) z->w[c] += (double)fabsf(w[c]) / ((double)most + 1e-6);
            }
        }
        count += (double)j->rows[i];
    }
    for (int64_t c = 0; c < j->cols; c++) z->w[c] /= count;
}

/* Columns that must have one scale get the mean of what it is made of. */
static pare_status tie(const pare_fold_job *j, double *x, pare_err *err)
{
    int32_t last = 0;
    for (int64_t c = 0; c < j->cols && j->tied; c++) last = j->tied[c] > last ? j->tied[c] : last;
    if (!j->tied) return PARE_OK;
    double *sum = pare_alloc_zero((size_t)last + 1, sizeof *sum);
    int64_t *n = pare_alloc_zero((size_t)last + 1, sizeof *n);
    if (sum && n) {
        for (int64_t c = 0; c < j->cols; c++) sum[j->tied[c]] += x[c], n[j->tied[c]]++;
        for (int64_t c = 0; c < j->cols; c++) x[c] = sum[j->tied[c]] / (double)n[j->tied[c]];
    }
    const bool failed = !sum || !n;
    pare_dealloc(sum);
    pare_dealloc(n);
    return failed ? pare_no_memory(err, j->name, ((size_t)last + 1) * sizeof *sum) : PARE_OK;
}

/* The scales of one exponent. A channel that is always 0 is left alone. */
static void make_scales(const scaling *z, double alpha, bool duo, float *s)
{
    double low = INFINITY, high = 0;
    for (int64_t c = 0; c < z->job->cols; c++) {
        double v = pow(z->x[c], alpha);
        if (duo) v /= pow(z->w[c], 1 - alpha) + 1e-4;
        if (v < 1e-4) v = 1e-4;
        s[c] = z->x[c] > 0 ? (float)v : 0;
        if (z->x[c] > 0 && v < low) low = v;
        if (z->x[c] > 0 && v > high) high = v;
    }
    const double middle = high > 0 ? sqrt(low * high) : 1;
    for (int64_t c = 0; c < z->job->cols; c++) s[c] = s[c] > 0 ? (float)((double)s[c] / middle) : 1;
}

/* Sum over the layers of the output's error as a part of the output. s NULL: no scales. */
static pare_status loss_of(const scaling *z, const float *s, double *loss, pare_err *err)
{
    const pare_fold_job *j = z->job;
    pare_status st = PARE_OK;
    *loss = 0;
    for (int i = 0; i < j->n; i++) {
        const int64_t rows = j->rows[i], cols = j->cols;
        const float *w = j->w[i];
        double noise;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++) z->a[r * cols + c] = w[r * cols + c] * (s ? s[c] : 1);
        PARE_TRY(pare_nearest(z->ctx, j->name, j->schemes[i], rows, cols, z->a, z->a, err));
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++) z->a[r * cols + c] = z->a[r * cols + c] / (s ? s[c] : 1) - w[r * cols + c];
        PARE_TRY(pare_weigh(z->ctx, rows, cols, z->a, j->stats->hessian, &noise, err));
        if (z->signal[i] > 0) *loss += noise / z->signal[i];
    }
    PARE_TRY(pare_check_cancel(z->ctx, err));
out:
    return st;
}

static pare_status search(const scaling *z, float *scale, char note[200], pare_err *err)
{
    const pare_fold_job *j = z->job;
    const int64_t grid = int_option(j->params, "grid", 20);
    const char *duo = text_option(j->params, "duo", "both");
    double plain, best, alpha = 0, loss;
    int kind = -1; /* of the best: 0 activations alone, 1 with weights */
    pare_status st;
    PARE_TRY(loss_of(z, NULL, &plain, err));
    best = plain;
    for (int64_t c = 0; c < j->cols; c++) scale[c] = 1;
    for (int k = 0; k < 2; k++) {
        if ((k == 0 && strcmp(duo, "yes") == 0) || (k == 1 && strcmp(duo, "no") == 0)) continue;
        for (int64_t i = k ? 0 : 1; i < grid; i++) { /* mean|x|^0 = no scales */
            const double a = (double)i / (double)grid;
            make_scales(z, a, k, z->s);
            PARE_TRY(loss_of(z, z->s, &loss, err));
            if (!(loss < best)) continue;
            best = loss, alpha = a, kind = k;
            memcpy(scale, z->s, (size_t)j->cols * sizeof *scale);
        }
    }
    if (kind < 0) pare_print(note, 200, "no scales of input channels make the error smaller");
    else pare_print(note, 200, "input channels scaled by |x|^%.2f%s: error %.3g of that without", alpha, kind ? " and weights" : "", plain > 0 ? best / plain : 1);
out:
    return st;
}

static pare_status fold(pare_ctx *ctx, const pare_fold_job *job, float *scale, char note[200], pare_err *err)
{
    scaling z = { .ctx = ctx, .job = job };
    int64_t most = 0;
    pare_status st;
    for (int i = 0; i < job->n; i++) most = job->rows[i] > most ? job->rows[i] : most;
    const size_t all = (size_t)(most * job->cols) * sizeof(float) + 64;
    z.x = pare_alloc_zero((size_t)job->cols + 1, sizeof *z.x);
    z.w = pare_alloc_zero((size_t)job->cols + 1, sizeof *z.w);
    z.s = pare_alloc_zero((size_t)job->cols + 1, sizeof *z.s);
    z.signal = pare_alloc_zero((size_t)job->n + 1, sizeof *z.signal);
    z.a = pare_alloc_aligned(64, all);
    if (!z.x || !z.w || !z.s || !z.signal || !z.a) {
        st = pare_no_memory(err, job->name, all);
        goto out;
    }
    for (int64_t c = 0; c < job->cols; c++) z.x[c] = (double)job->stats->mean_abs[c];
    relative_weights(&z);
    PARE_TRY(tie(job, z.x, err));
    PARE_TRY(tie(job, z.w, err));
    for (int i = 0; i < job->n; i++) PARE_TRY(pare_weigh(ctx, job->rows[i], job->cols, job->w[i], job->stats->hessian, &z.signal[i], err));
    PARE_TRY(search(&z, scale, note, err));
out:
    pare_dealloc(z.x);
    pare_dealloc(z.w);
    pare_dealloc(z.s);
    pare_dealloc(z.signal);
    pare_dealloc_aligned(z.a);
    return st;
}

/* ----------------------------------------------------------------------------------------------------------------- layer */

static pare_status feedback(pare_ctx *ctx, const pare_layer_job *job, pare_layer_result *out, pare_err *err)
{
    const pare_feedback how = { .sweeps = 4 };
    pare_curvature *h = NULL;
    pare_status st;
    PARE_TRY(pare_curvature_new(ctx, job->name, job->cols, job->stats->hessian, 0.01, true, &h, err));
    out->damping = h->damping;
    out->retries = h->retries;
    PARE_TRY(pare_feedback_round(ctx, job->name, h, &how, job->w, out->q, err));
out:
    pare_curvature_free(h);
    return st;
}

static pare_status layer(pare_ctx *ctx, const pare_layer_job *job, pare_layer_result *out, pare_err *err)
{
    const int64_t shape[2] = { job->rows, job->cols };
    const int64_t bad = ctx->kernels->count_nonfinite(job->w, job->rows * job->cols);
    pare_status st;
    memset(out, 0, sizeof *out);
    if (bad) return pare_fail(err, PARE_ERR_DATA, "%s: %lld values are not finite (NaN or Inf)", job->name, (long long)bad);
    if (wants_feedback(job->params) && pare_blocks_in_rows(job->scheme, job->cols)) {
        PARE_TRY(pare_qtensor_new(job->scheme, 2, shape, &out->q, err));
        PARE_TRY(feedback(ctx, job, out, err));
    } else if (pare_blocks_in_rows(job->scheme, job->cols) && strcmp(text_option(job->params, "clip", "search"), "search") == 0) {
        PARE_TRY(pare_qtensor_new(job->scheme, 2, shape, &out->q, err));
        PARE_TRY(pare_clip_search(ctx, job->name, job->w, job->stats->hessian, (int)int_option(job->params, "sweeps", 1), out->q, err));
    } else PARE_TRY(pare_method_apply(ctx, pare_method_find("rtn"), job, out, err));
    PARE_TRY(pare_weigh_result(ctx, job->w, out->q, job->stats->hessian, &out->loss, &out->dead, err));
    return PARE_OK;
out:
    pare_qtensor_free(out->q);
    out->q = NULL;
    return st;
}

const pare_method pare_m_awq = {
    .name = "awq",
    .help = "weights of channels with large activations are scaled up before rounding, ranges clipped for the least error of the output",
    .paper = "Lin et al. 2023, arXiv 2306.00978",
    .needs = PARE_NEEDS_HESSIAN,
    .fold_needs = PARE_NEEDS_MOMENTS | PARE_NEEDS_HESSIAN,
    .scope = PARE_SCOPE_LINEAR,
    .options = options,
    .prepare = prepare,
    .layer = layer,
    .fold = fold,
};
