/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Round to nearest: every weight goes to the nearest code of its block, no data needed. The quantizer of the scheme does
 * all the work; with clip=mse it first searches the range of every block for the least squared error, and fits scale and zero point to the codes by
 * least squares; with clip=lp the sum of |error|^p is the measure (docs/methods/rtn.md).
 */
#include <string.h>
#include "method/act_range.h"

static const pare_option options[] = {
    {"clip", PARE_OPT_CHOICE, "none|mse|lp", "none", "range of a block: none = to its extremes, mse = searched for the least squared error, lp = for the least sum of |error|^p"},
    {"p", PARE_OPT_REAL, "0.1..8", "2.4", "clip=lp: the exponent"},
    PARE_RANGE_OPTIONS,
    {NULL, PARE_OPT_TEXT, NULL, NULL, NULL},
};

static pare_status prepare(const pare_params *params, pare_scheme *scheme, pare_err *err)
{
    const char *clip = params != NULL ? pare_params_text(params, "clip") : NULL;
    if (clip != NULL && strcmp(clip, "mse") == 0) scheme->clip = PARE_CLIP_MSE;
    if (clip != NULL && strcmp(clip, "lp") == 0) {
        scheme->clip = PARE_CLIP_LP;
        scheme->clip_p = pare_params_real(params, "p");
    }
    const pare_status st = pare_scheme_check(scheme, 0, NULL, err);
    if (st != PARE_OK) return pare_context(err, st, "method rtn");
    if (pare_quantizer_for(scheme) == NULL) return pare_fail(err, PARE_ERR_UNSUPPORTED, "method rtn: no quantizer serves scheme '%s'", scheme->name);
    return PARE_OK;
}

static pare_status rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err)
{
    return pare_quantizer_for(scheme)->rows(k, scheme, in, scratch, out, err);
}

static size_t scratch_bytes(const pare_scheme *scheme, int64_t cols) { return pare_quantizer_for(scheme)->scratch(scheme, cols); }

const pare_method pare_m_rtn = {
    .name = "rtn",
    .help = "round to nearest; no calibration data",
    .paper = "Jacob et al. 2018, arXiv 1712.05877",
    .needs = PARE_NEEDS_NOTHING,
    .scope = PARE_SCOPE_LINEAR,
    .options = options,
    .prepare = prepare,
    .rows = rows,
    .scratch = scratch_bytes,
};
