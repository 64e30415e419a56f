/* SPDX-License-Identifier: Apache-2.0 */
/* Any method on one whole matrix: what calibration, sensitivity and tests call, whatever kind of function the method has. */
#include <math.h>
#include <string.h>

#include "method/act_range.h"

enum { PIECE = 1 << 17 }; /* elements of a piece of rows, as the streaming path cuts them */

typedef struct rows_work {
    const pare_method *m;
    const pare_kernels *k;
    const pare_layer_job *job;
    pare_qtensor *q;
    int64_t piece, groups;    /* rows of a piece, scales of a row */
    uint8_t *scratch;
    size_t scratch_n;         /* of one worker */
    int64_t *nonfinite;       /* of each piece */
} rows_work;

static pare_status rows_piece(void *arg, int64_t i, int worker, pare_err *err)
{
    const rows_work *w = arg;
    const int64_t row = i * w->piece, left = w->job->rows - row, n = left < w->piece ? left : w->piece, cols = w->job->cols;
    const pare_rows_in in = { .data = w->job->w + row * cols, .dtype = PARE_F32, .row0 = row, .rows = n, .cols = cols };
    pare_rows_out out = { .codes = w->q->codes + row * cols, .scales = w->q->scales + row * w->groups, .zeros = w->q->zeros ? w->q->zeros + row * w->groups : NULL,
                          .fzeros = w->q->fzeros ? w->q->fzeros + row * w->groups : NULL };
    const pare_status st = w->m->rows(w->k, w->job->scheme, &in, w->scratch + (size_t)worker * w->scratch_n, &out, err);
    w->nonfinite[i] = out.nonfinite;
    return st;
}

static pare_status by_rows(pare_ctx *ctx, const pare_method *m, const pare_layer_job *job, pare_qtensor *q, pare_err *err)
{
    rows_work w = { .m = m, .k = ctx->kernels, .job = job, .q = q, .groups = pare_scheme_groups_per_row(job->scheme, job->cols) };
    int64_t bad = 0;
    pare_status st = PARE_OK;
    w.piece = job->cols < PIECE ? PIECE / job->cols : 1;
    w.scratch_n = (m->scratch(job->scheme, job->cols) + 63) & ~(size_t)63;
    const int64_t pieces = (job->rows + w.piece - 1) / w.piece;
    w.scratch = pare_alloc_aligned(64, (w.scratch_n + 64) * (size_t)ctx->threads);
    w.nonfinite = pare_alloc_zero((size_t)pieces, sizeof *w.nonfinite);
    if (!w.scratch || !w.nonfinite) {
        st = pare_no_memory(err, job->name, w.scratch_n * (size_t)ctx->threads);
        goto out;
    }
    PARE_TRY(pare_parallel(ctx, pieces, rows_piece, &w, err));
    for (int64_t i = 0; i < pieces; i++) bad += w.nonfinite[i];
    if (bad) PARE_FAIL(err, PARE_ERR_DATA, "%s: %lld values are not finite (NaN or Inf)", job->name, (long long)bad);
out:
    pare_dealloc_aligned(w.scratch);
    pare_dealloc(w.nonfinite);
    return st;
}

static pare_status codes_of(pare_ctx *ctx, const pare_method *m, const pare_layer_job *job, pare_layer_result *out, pare_err *err)
{
    const int64_t shape[2] = { job->rows, job->cols };
    const pare_quantizer *quantizer = pare_quantizer_for(job->scheme);
    pare_status st = PARE_OK;
    memset(out, 0, sizeof *out);
    out->loss = NAN;
    if (m->layer) return m->layer(ctx, job, out, err);
    if (!quantizer) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: no quantizer serves scheme '%s'", job->name, job->scheme->name);
    PARE_TRY(pare_qtensor_new(job->scheme, 2, shape, &out->q, err));
    if (m->rows && pare_scheme_row_local(job->scheme, job->cols))
        PARE_TRY(by_rows(ctx, m, job, out->q, err));
    else
        PARE_TRY(quantizer->quantize(ctx, job->w, NULL, NULL, out->q, err));
    return PARE_OK;
out:
    pare_qtensor_free(out->q);
    out->q = NULL;
    return pare_context(err, st, "%s", job->name);
}

pare_status pare_method_apply(pare_ctx *ctx, const pare_method *m, const pare_layer_job *job, pare_layer_result *out, pare_err *err)
{
    const pare_status st = codes_of(ctx, m, job, out, err);
    const pare_input_range *range = job->stats ? job->stats->range : NULL;
    if (st != PARE_OK || !range || !pare_scheme_needs(job->scheme)) return st;
    out->q->input_scale = pare_act_scale(job->scheme, range, job->params);
    if (range->max <= 0 && range->min >= 0 && !out->note[0]) pare_print(out->note, sizeof out->note, "no input was ever anything but 0: their static scale is 1");
    return st;
}
