/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer of a calibration: W [rows, cols] is read, folds are applied, W' = diag(1 / by) W diag(s); its method makes codes of it; they are kept in
 * the work store; and the stream goes on with what a model computes with these codes: the weight diag(by) Wq diag(1 / s) in f32, and, where the scheme
 * quantizes activations, inputs that are rounded as the loaded model rounds its x / s.
 */
#include <math.h>
#include <string.h>

#include "flow/calibrate_parts.h"

enum { ROW_BLOCK = 64 };

/* --------------------------------------------------------------------------------------------------------------- reading */

typedef struct read_job { const pare_plan *plan; const pare_weights *weights; const pare_plan_item *item; float *out; } read_job;

static pare_status read_rows(void *arg, int64_t i, int worker, pare_err *err)
{
    const read_job *j = arg;
    const pare_plan_item *item = j->item;
    const int64_t row0 = i * ROW_BLOCK, rows = item->rows - row0 < ROW_BLOCK ? item->rows - row0 : ROW_BLOCK;
    const pare_plan_fold *s = item->fold_columns >= 0 ? &j->plan->folds.at[item->fold_columns] : NULL, *by = item->fold_by >= 0 ? &j->plan->folds.at[item->fold_by] : NULL;
    float *x = j->out + row0 * item->cols;
    (void)worker;
    const pare_status st = pare_weights_read(NULL, j->weights, item->weight, row0, rows, x, err);
    for (int64_t r = 0; st == PARE_OK && r < rows; r++, x += item->cols) {
        for (int64_t k = 0; s && k < item->cols; k++) x[k] *= s->scale[k];
        for (int64_t k = 0; by && k < item->cols; k++) x[k] /= by->by[row0 + r];
    }
    return st;
}

/* NaN -> 0, Inf -> the largest finite magnitude of its row: as step.c does where that is allowed. */
static void repair(float *x, int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r++, x += cols) {
        float most = 0;
        for (int64_t k = 0; k < cols; k++)
            if (x[k] - x[k] == 0 && fabsf(x[k]) > most) most = fabsf(x[k]);
        for (int64_t k = 0; k < cols; k++)
            if (x[k] - x[k] != 0) x[k] = x[k] != x[k] ? 0 : x[k] < 0 ? -most : most;
    }
}

pare_status calibrate_read(pare_ctx *ctx, const pare_plan *plan, const pare_weights *weights, const pare_plan_item *item, bool allow_nonfinite, float *out, pare_err *err)
{
    read_job j = { plan, weights, item, out };
    pare_status st;
    PARE_TRY(pare_weights_prepare(weights, item->weight, err));
    st = pare_parallel(ctx, (item->rows + ROW_BLOCK - 1) / ROW_BLOCK, read_rows, &j, err);
    pare_weights_release(weights, item->weight);
    if (st != PARE_OK) goto out;
    const int64_t bad = ctx->kernels->count_nonfinite(out, item->rows * item->cols);
    if (!bad) return PARE_OK;
    if (!allow_nonfinite) {
        pare_fail(err, PARE_ERR_DATA, "%s: %lld value%s not finite (NaN or Inf)", item->name, (long long)bad, bad == 1 ? " is" : "s are");
        return pare_hint(err, "--allow-nonfinite goes on: NaN becomes 0, Inf the largest finite value of its row");
    }
    repair(out, item->rows, item->cols);
out:
    return st;
}

/* -------------------------------------------------------------------------------------------------------------- going on */

typedef struct value_job { const calibrate *c; const pare_plan_item *item; const pare_qtensor *q; float *out; } value_job;

static pare_status value_rows(void *arg, int64_t i, int worker, pare_err *err)
{
    const value_job *j = arg;
    const pare_plan_item *item = j->item;
    const int64_t row0 = i * ROW_BLOCK, rows = item->rows - row0 < ROW_BLOCK ? item->rows - row0 : ROW_BLOCK;
    const pare_plan *plan = j->c->plan;
    const pare_plan_fold *s = item->fold_columns >= 0 ? &plan->folds.at[item->fold_columns] : NULL, *by = item->fold_by >= 0 ? &plan->folds.at[item->fold_by] : NULL;
    float *x = j->out + row0 * item->cols;
    (void)worker;
    const pare_status st = pare_qtensor_dequant_rows(j->c->ctx->kernels, j->q, row0, rows, x, err);
    for (int64_t r = 0; st == PARE_OK && r < rows; r++, x += item->cols) {
        for (int64_t k = 0; s && k < item->cols; k++) x[k] /= s->scale[k];
        for (int64_t k = 0; by && k < item->cols; k++) x[k] *= by->by[row0 + r];
    }
    return st;
}

static pare_status round_inputs(const calibrate *c, const pare_plan_item *item, const pare_qtensor *q, pare_linear *l, pare_err *err)
{
    const float *fold = item->fold_columns >= 0 ? c->plan->folds.at[item->fold_columns].scale : NULL;
    if (item->scheme.act == PARE_ACT_STATIC_TENSOR && !(q->input_scale > 0)) return PARE_OK; /* the layer saw nothing: writing will say so */
    return pare_linear_simulate_act(l, &item->scheme, q->input_scale, fold, err);
}

/* Every place of the graphs that has this weight computes with q's values from now on: several where layers share weights. */
static pare_status go_on_with(calibrate *c, const pare_plan_item *item, const pare_qtensor *q, pare_err *err)
{
    const pare_graph *whole = pare_walk_graph(c->walk);
    for (const pare_graph *g = whole; g; g = g == whole ? whole->encoder : NULL)
        for (size_t w = 0; w < g->weights.n; w++) {
            if (strcmp(g->weights.at[w].name, item->name) || calibrate_item(c->plan, c->weights, g, (pare_gw)w) != item) continue;
            pare_linear l = { 0 };
            float *x = pare_alloc_aligned(64, (size_t)(item->rows * item->cols) * sizeof *x + 64);
            if (!x) return pare_no_memory(err, item->name, (size_t)(item->rows * item->cols) * sizeof *x);
            value_job j = { c, item, q, x };
            pare_status st = pare_parallel(c->ctx, (item->rows + ROW_BLOCK - 1) / ROW_BLOCK, value_rows, &j, err);
            if (st == PARE_OK) st = pare_linear_float(&l, PARE_F32, item->rows, item->cols, x, err);
            if (st == PARE_OK) st = round_inputs(c, item, q, &l, err);
            if (st != PARE_OK) {
                pare_dealloc_aligned(x);
                return st;
            }
            l.owned[0] = x;
            if ((st = pare_walk_replace(c->walk, QUANTIZED, g, (pare_gw)w, &l, err)) != PARE_OK) return st;
        }
    return PARE_OK;
}

static void is_done(calibrate *c, const pare_plan_item *item)
{
    c->done[item - c->plan->items] = 1;
    c->done_weights += (uint64_t)item->rows * (uint64_t)item->cols;
}

pare_status calibrate_restore(calibrate *c, pare_plan_item *item, bool *found, pare_err *err)
{
    pare_qtensor *q = NULL;
    const int64_t index = item - c->plan->items;
    *found = pare_workstore_has(c->store, index);
    if (!*found) return PARE_OK;
    pare_status st = pare_workstore_get(c->store, index, &item->scheme, item->rows, item->cols, &q, &item->record, err);
    if (st == PARE_OK) st = go_on_with(c, item, q, err);
    if (st == PARE_OK) is_done(c, item);
    pare_qtensor_free(q);
    return st;
}

/* -------------------------------------------------------------------------------------------------------------- rounding */

/* A method must give what the plan has room for. */
static pare_status check_result(const pare_plan *plan, const pare_plan_item *item, const pare_qtensor *q, pare_err *err)
{
    const pare_scheme *a = &item->scheme, *b = q ? &q->scheme : NULL;
    if (q && q->g_idx && !pare_plan_moves_groups(plan, item))
        return pare_fail(err, PARE_ERR_DATA, "%s: method %s put columns into groups of their own order, which the plan has no room for", item->name, item->method->name);
    if (q && q->grid.ndim == 2 && q->grid.shape[0] == item->rows && q->grid.shape[1] == item->cols && a->kind == b->kind && a->bits == b->bits &&
        a->symmetric == b->symmetric && a->granularity == b->granularity && a->group_size == b->group_size && a->float_zero == b->float_zero && a->nested == b->nested)
        return PARE_OK;
    return pare_fail(err, PARE_ERR_DATA, "%s: method %s gave %s where the plan has %s", item->name, item->method->name, q ? b->name : "nothing", a->name);
}

static pare_status round_layer(calibrate *c, const pare_plan_item *item, float *w, const pare_stats *stats, pare_layer_result *r, pare_err *err)
{
    const pare_layer_job job = { .name = item->name, .scheme = &item->scheme, .params = pare_plan_params(c->plan, item->method), .seed = c->options->seed,
                                 .rows = item->rows, .cols = item->cols, .w = w, .stats = stats };
    *r = (pare_layer_result){ .loss = NAN };
    const pare_status st = pare_method_apply(c->ctx, item->method, &job, r, err);
    return st == PARE_OK ? check_result(c->plan, item, r->q, err) : st;
}

pare_status calibrate_layer(calibrate *c, pare_plan_item *item, const pare_stats *stats, const char *remark, pare_err *err)
{
    pare_layer_result r = { 0 };
    const double start = pare_now();
    float *w = pare_alloc_aligned(64, (size_t)(item->rows * item->cols) * sizeof *w + 64);
    pare_status st;
    if (!w) return pare_no_memory(err, item->name, (size_t)(item->rows * item->cols) * sizeof *w);
    PARE_TRY(pare_check_cancel(c->ctx, err));
    PARE_TRY(calibrate_read(c->ctx, c->plan, c->weights, item, c->options->allow_nonfinite, w, err));
    PARE_TRY(round_layer(c, item, w, stats, &r, err));
    pare_dealloc_aligned(w);
    w = NULL;
    item->record = (pare_work_record){ .loss = r.loss, .damping = r.damping, .retries = r.retries, .dead = r.dead, .tokens = stats ? stats->tokens : 0 };
    pare_print(item->record.note, sizeof item->record.note, "%s%s%s", remark, *remark && r.note[0] ? "; " : "", r.note);
    PARE_TRY(pare_workstore_put(c->store, item - c->plan->items, r.q, &item->record, err));
    PARE_TRY(go_on_with(c, item, r.q, err));
    is_done(c, item);
out:
    c->method += pare_now() - start;
    pare_dealloc_aligned(w);
    pare_qtensor_free(r.q);
    return st == PARE_OK || strstr(err ? err->text : "", item->name) ? st : pare_context(err, st, "%s", item->name);
}
