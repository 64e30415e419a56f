/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPTQ: columns are rounded one after the other, and the columns still to come make up for each error as far as the layer's inputs allow (feedback.h
 * has the formula). Frantar et al. 2022, arXiv 2210.17323. What is different by default, because it was measured to be better on every model
 * tried (docs/methods/gptq.md):
 *
 *   order     columns by falling sum of squares of their inputs, groups of columns as they lie ("static groups"): no g_idx
 *   scales    searched for the least squared error, a column's weighted by L_jj^2: what its error costs once later columns have made up for it
 *   sweeps    afterwards every code is chosen again, given all others
 *   drift     the target is the float model's output, not that of the float weights on inputs that have moved (Qronos, GPTAQ)
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "method/act_range.h"
#include "method/feedback.h"
#include "method/method.h"

static const pare_option options[] = {
    { "act-order", PARE_OPT_BOOL, NULL, "true", "round columns with the largest inputs first" },
    { "static-groups", PARE_OPT_BOOL, NULL, "true", "groups are neighbouring columns; false: columns rounded one after the other (with act-order: a g_idx)" },
    { "damping", PARE_OPT_REAL, "0..1", "0.01", "part of the mean diagonal that is added to the Hessian's diagonal; doubled until it can be factored" },
    { "clip", PARE_OPT_CHOICE, "none|mse", "mse", "range of a block: none = to its extremes, mse = searched for the least squared error, weighted by inputs" },
    { "sweeps", PARE_OPT_INT, "0..100", "4", "times that all codes are chosen again afterwards, each given all others" },
    { "correct", PARE_OPT_CHOICE, "none|gptaq|qronos", "qronos", "match the float model's outputs, not those of its weights on drifted inputs" },
    { "correct-strength", PARE_OPT_REAL, "0..1", "0.75", "how much of the correction" },
    PARE_RANGE_OPTIONS,
    { NULL, PARE_OPT_TEXT, NULL, NULL, NULL },
};

static pare_status prepare(const pare_params *params, pare_scheme *scheme, pare_err *err)
{
    pare_status st = pare_scheme_check(scheme, 0, NULL, err);
    if (st != PARE_OK) return pare_context(err, st, "method gptq");
    const pare_quantizer *q = pare_quantizer_for(scheme);
    if (!q || !q->find || !q->round) return pare_fail(err, PARE_ERR_UNSUPPORTED, "method gptq: scheme '%s' cannot be rounded column by column", scheme->name);
    if (scheme->granularity != PARE_PER_GROUP && scheme->granularity != PARE_PER_CHANNEL)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "method gptq: scheme '%s' has scales that cross rows; a scale a channel or a group is needed", scheme->name);
    if (scheme->granularity == PARE_PER_CHANNEL && scheme->axis != 0)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "method gptq: scales of channels lie along axis 0, not %d", scheme->axis);
    if (params && !pare_params_bool(params, "static-groups") && (scheme->nested || scheme->two_level))
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "method gptq: scheme '%s' needs all scales at once: static-groups=false cannot serve it", scheme->name);
    const char *clip = params ? pare_params_text(params, "clip") : "mse";
    if (strcmp(clip, "mse") == 0 && scheme->clip == PARE_CLIP_NONE) {
        scheme->clip = PARE_CLIP_MSE;
        if (pare_scheme_check(scheme, 0, NULL, NULL) != PARE_OK) scheme->clip = PARE_CLIP_NONE; /* codes whose range is not searched (float8) */
    }
    return PARE_OK;
}

static pare_correction correction(const pare_params *params)
{
    const char *name = pare_params_text(params, "correct");
    return strcmp(name, "gptaq") == 0 ? PARE_CORRECT_GPTAQ : strcmp(name, "qronos") == 0 ? PARE_CORRECT_QRONOS : PARE_CORRECT_NONE;
}

static pare_needs more_needs(const pare_params *params)
{
    return correction(params) == PARE_CORRECT_NONE ? PARE_NEEDS_NOTHING : PARE_NEEDS_DRIFT;
}

/* Groups that are runs of columns in the order of rounding; without act-order that is the order in which they lie. */
static bool moves_groups(const pare_params *params)
{
    return pare_params_bool(params, "act-order") && !pare_params_bool(params, "static-groups");
}

static void add_note(pare_layer_result *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_note(pare_layer_result *out, const char *format, ...)
{
    const size_t at = strlen(out->note);
    va_list args;
    if (at > 0 && at + 2 < sizeof out->note) memcpy(out->note + at, "; ", 3);
    const size_t from = strlen(out->note);
    va_start(args, format);
    vsnprintf(out->note + from, sizeof out->note - from, format, args);
    va_end(args);
}

static void tell(const pare_layer_job *job, const pare_curvature *h, double damping, pare_layer_result *out)
{
    out->retries = h->retries;
    out->damping = h->flat ? 0 : h->damping;
    out->dead = h->dead;
    if (h->flat) add_note(out, "no input was ever anything but 0: rounded to nearest");
    else if (h->dead) add_note(out, "%lld of %lld inputs were always 0: their weights are rounded to nearest", (long long)h->dead, (long long)job->cols);
    if (h->retries) add_note(out, "damping raised %d times, from %g to %g: the Hessian was not positive definite", h->retries, damping, h->damping);
    if (!h->flat && job->stats->tokens < job->cols) add_note(out, "%lld tokens for %lld inputs", (long long)job->stats->tokens, (long long)job->cols);
}

static pare_status check_job(const pare_layer_job *job, pare_err *err)
{
    if (!job->stats || !job->stats->hessian || job->stats->cols != job->cols)
        return pare_fail(err, PARE_ERR_USAGE, "%s: gptq needs the Hessian of %lld inputs", job->name, (long long)job->cols);
    for (int64_t i = 0; i < job->rows * job->cols; i++)
        if (!isfinite(job->w[i]))
            return pare_fail(err, PARE_ERR_DATA, "%s: weight [%lld, %lld] is %g", job->name, (long long)(i / job->cols), (long long)(i % job->cols), (double)job->w[i]);
    return PARE_OK;
}

static pare_status layer(pare_ctx *ctx, const pare_layer_job *job, pare_layer_result *out, pare_err *err)
{
    pare_status st = PARE_OK;
    const int64_t shape[2] = { job->rows, job->cols };
    const double damping = pare_params_real(job->params, "damping");
    const pare_correction correct = correction(job->params);
    const pare_feedback how = { .ordered_groups = !pare_params_bool(job->params, "static-groups"), .sweeps = (int)pare_params_int(job->params, "sweeps") };
    pare_curvature *h = NULL;
    float *target = NULL;
    const float *w = job->w;
    memset(out, 0, sizeof *out);
    PARE_TRY(check_job(job, err));
    PARE_TRY(pare_qtensor_new(job->scheme, 2, shape, &out->q, err));
    if (job->rows == 0 || job->cols == 0) goto out;
    PARE_TRY(pare_curvature_new(ctx, job->name, job->cols, job->stats->hessian, damping, pare_params_bool(job->params, "act-order"), &h, err));
    tell(job, h, damping, out);
    if (correct != PARE_CORRECT_NONE && job->stats->drift && !h->flat) { /* drift NULL: nothing was quantized before this layer */
        const size_t bytes = (size_t)(job->rows * job->cols) * sizeof *target;
        PARE_TRY(pare_alloc_try(bytes, job->name, (void **)&target, err));
        memcpy(target, job->w, bytes);
        PARE_TRY(pare_curvature_correct(ctx, h, job->stats->drift, correct, pare_params_real(job->params, "correct-strength"), job->rows, target, err));
        w = target;
    }
    if (out->q->grid.flat != PARE_FLAT_NONE) {
        add_note(out, "blocks of %lld cross rows of %lld columns: rounded without error feedback", (long long)job->scheme->group_size, (long long)job->cols);
        PARE_TRY(pare_quantizer_for(job->scheme)->quantize(ctx, w, NULL, NULL, out->q, err));
    } else {
        PARE_TRY(pare_feedback_round(ctx, job->name, h, &how, w, out->q, err));
    }
    PARE_TRY(pare_feedback_loss(ctx, h, job->w, out->q, &out->loss, err));
out:
    pare_dealloc(target);
    pare_curvature_free(h);
    if (st != PARE_OK) {
        pare_qtensor_free(out->q);
        out->q = NULL;
    }
    return st;
}

const pare_method pare_m_gptq = {
    .name = "gptq",
    .help = "columns one after the other, later ones make up for the errors of earlier ones; needs calibration",
    .paper = "Frantar et al. 2022, arXiv 2210.17323",
    .needs = PARE_NEEDS_HESSIAN,
    .more_needs = more_needs, .moves_groups = moves_groups,
    .scope = PARE_SCOPE_LINEAR,
    .options = options,
    .prepare = prepare,
    .layer = layer,
};
