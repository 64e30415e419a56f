/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LLM.int8(). Dettmers et al. 2022, arXiv 2208.07339. y = x W^T with both sides in int8, a scale a token and a scale an output channel (eq. 8), but input
 * columns in which any token has |x| >= threshold are taken out and multiplied in 16 bits:
 *
 *   y = sum over columns j in O of x_j W_j^T (16 bit)  +  s_x s_w / 127^2  sum over the others of q(x)_j q(W)_j        O = outlier columns of the call
 *
 * W is stored in int8 whole, rounded as bitsandbytes does (quant/q_llm_int8.c); which columns are outliers is found while the model runs, and nothing of it is
 * stored. So the codes need no data: calibration only tells which columns reach the threshold, and how often that happens in a model.
 */
#include <math.h>
#include <string.h>

#include "method/weigh.h"

static const pare_option options[] = {
    {"threshold", PARE_OPT_TEXT, NULL, "", "input columns that reach it stay in 16 bits: a number, inf = none, empty = the scheme's (6)"},
    {NULL, PARE_OPT_TEXT, NULL, NULL, NULL},
};

static bool read_threshold(const pare_params *params, double *out)
{
    const char *text = params ? pare_params_text(params, "threshold") : "";
    if (!*text) return true;
    if (strcmp(text, "inf") == 0) *out = INFINITY;
    else if (!pare_parse_f64(text, out)) return false;
    return *out > 0;
}

static pare_status prepare(const pare_params *params, pare_scheme *scheme, pare_err *err)
{
    double threshold = scheme->act == PARE_ACT_OUTLIERS ? (double)scheme->act_threshold : 6.0;
    if (!read_threshold(params, &threshold))
        return pare_fail(err, PARE_ERR_USAGE, "method llm.int8: threshold=%s is no positive number, nor inf", pare_params_text(params, "threshold"));
    if (scheme->kind != PARE_CODE_INT || scheme->bits != 8 || !scheme->symmetric || scheme->granularity != PARE_PER_CHANNEL)
        return pare_fail(err, PARE_ERR_USAGE, "method llm.int8: scheme '%s': its weights are 8-bit integers, symmetric, per output channel (LLM_INT8)", scheme->name);
    scheme->act = PARE_ACT_OUTLIERS;
    scheme->act_bits = 8;
    scheme->act_threshold = (float)threshold;
    pare_scheme_make_name(scheme);
    const pare_status st = pare_scheme_check(scheme, 0, NULL, err);
    return st == PARE_OK ? PARE_OK : pare_context(err, st, "method llm.int8");
}

/* "3 of 512 input columns reach 6: 17, 300, 400" */
static void note_outliers(const pare_layer_job *job, char note[200])
{
    const float threshold = job->scheme->act_threshold;
    int64_t n = 0;
    for (int64_t c = 0; c < job->cols; c++) n += job->stats->absmax[c] >= threshold;
    size_t at = (size_t)pare_print(note, 200, "%lld of %lld input columns reach %g%s", (long long)n, (long long)job->cols, (double)threshold, n ? ":" : "");
    for (int64_t c = 0, shown = 0; c < job->cols && n; c++) {
        if (job->stats->absmax[c] < threshold) continue;
        if (at > 180) {
            pare_print(note + at, 200 - at, " ...");
            return;
        }
        at += (size_t)pare_print(note + at, 200 - at, "%s%lld", shown++ ? ", " : " ", (long long)c);
    }
}

static pare_status layer(pare_ctx *ctx, const pare_layer_job *job, pare_layer_result *out, pare_err *err)
{
    const pare_status st = pare_method_apply(ctx, pare_method_find("rtn"), job, out, err);
    if (st == PARE_OK && job->stats && job->stats->absmax) note_outliers(job, out->note);
    return st;
}

const pare_method pare_m_llm_int8 = {
    .name = "llm.int8",
    .help = "8-bit weights and activations, input columns with outliers in 16 bits; calibration only reports which those are",
    .paper = "Dettmers et al. 2022, arXiv 2208.07339",
    .needs = PARE_NEEDS_MOMENTS,
    .scope = PARE_SCOPE_LINEAR,
    .options = options,
    .prepare = prepare,
    .layer = layer,
};
