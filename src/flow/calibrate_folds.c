/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scales of a calibration that are folded into what makes a layer's input (graph/fold.h): W x = (W diag(s)) (x / s), with x / s made by a norm's weight or
 * an earlier layer's rows, divided once. A stream of the float model runs one layer ahead: a fold may divide rows of a layer that stands before
 * the layer that it serves (v for o), so all scales of a layer are known before the first of its weights is rounded.
 *
 * A fold counts when all its readers are quantized by one method that folds, and when what carries it is stored in a form that can be divided.
 * Rounding happens in the folded model; the streams stay in the unfolded one, with Wq diag(1 / s) for weights: the same up to rounding of floats.
 */
#include <math.h>
#include <string.h>

#include "flow/calibrate_parts.h"

/* ------------------------------------------------------------------------------------------------------------- eligible */

static int64_t uses_of_name(const pare_graph *whole, const char *name)
{
    int64_t n = 0;
    for (const pare_graph *g = whole; g; g = g == whole ? whole->encoder : NULL)
        for (size_t w = 0; w < g->weights.n; w++) n += strcmp(g->weights.at[w].name, name) == 0;
    return n;
}

/* A kept or cast tensor, or a calibrated layer, that belongs to this place alone and is not folded yet. NULL: cannot be divided. */
static pare_plan_item *carrier(const calibrate *c, const pare_graph *g, pare_gw w)
{
    const char *name = g->weights.at[w].name;
    const int64_t i = pare_weights_find(c->weights, name);
    pare_plan_item *item = i >= 0 && c->plan->items[i].weight == i ? &c->plan->items[i] : NULL;
    if (!item || item->action == PARE_ACTION_DROP || item->fold_by >= 0 || uses_of_name(c->graph, name) != 1) return NULL;
    if (item->action == PARE_ACTION_QUANTIZE && !item->calibrated) return NULL;
    for (int64_t k = 0; k < c->plan->n_items; k++) /* a tied copy would change with it */
        if (c->plan->items[k].action == PARE_ACTION_DROP && strcmp(c->plan->items[k].tied_to, item->name) == 0) return NULL;
    return item;
}

static const pare_method *method_of(const calibrate *c, const pare_graph *g, const pare_fold *f)
{
    const pare_method *m = NULL;
    for (int i = 0; i < f->n_readers; i++) {
        const pare_plan_item *item = calibrate_item(c->plan, c->weights, g, f->readers[i].weight);
        if (!item || !item->calibrated || item->fold_columns >= 0 || !item->method->fold || (m && m != item->method) || uses_of_name(c->graph, item->name) != 1) return NULL;
        m = item->method;
    }
    return m;
}

static pare_status ones(calibrate *c, int64_t n, float **out, pare_err *err)
{
    *out = pare_arena_alloc(&c->plan->arena, (size_t)n * sizeof **out);
    if (!*out) return pare_no_memory(err, "scales of a fold", (size_t)n * sizeof **out);
    for (int64_t i = 0; i < n; i++) (*out)[i] = 1.0f;
    return PARE_OK;
}

static pare_status add_fold(calibrate *c, const pare_graph *g, bool encoder, const pare_fold *f, pare_err *err)
{
    const pare_method *m = method_of(c, g, f);
    pare_plan_item *by = m ? carrier(c, g, f->by) : NULL, *bias = by && f->by_bias >= 0 ? carrier(c, g, f->by_bias) : NULL;
    const int64_t at = (int64_t)c->plan->folds.n;
    const bool bias_stored = f->by_bias >= 0 && pare_weights_find(c->weights, g->weights.at[f->by_bias].name) >= 0;
    float *scale, *rows;
    pare_status st;
    if (!by || (bias_stored && !bias) || (bias && (bias->cols != 1 || bias->rows != by->rows || f->add != 0.0f))) return PARE_OK;
    if (!f->by_rows && (by->cols != 1 || by->rows != f->cols)) return PARE_OK;
    for (int64_t i = 0; f->by_rows && i < f->cols; i++)
        if (f->row_of[i] < 0 || f->row_of[i] >= by->rows) return PARE_OK;
    if ((st = ones(c, f->cols, &scale, err)) != PARE_OK || (st = ones(c, by->rows, &rows, err)) != PARE_OK) return st;
    const pare_plan_fold fold = { .name = calibrate_item(c->plan, c->weights, g, f->readers[0].weight)->name, .by_name = by->name, .cols = f->cols, .rows = by->rows, .scale = scale, .by = rows, .add = f->add };
    const calibrate_fold mine = { .fold = f, .graph = g, .encoder = encoder, .method = m, .scale = scale, .by = rows };
    if (!PARE_VEC_PUSH(&c->plan->folds, fold) || !PARE_VEC_PUSH(&c->folds, mine)) return pare_no_memory(err, "folds", sizeof mine);
    by->fold_by = at;
    if (bias) bias->fold_by = at;
    for (int i = 0; i < f->n_readers; i++) calibrate_item(c->plan, c->weights, g, f->readers[i].weight)->fold_columns = at;
    return PARE_OK;
}

/* Scales that an interrupted run found. */
pare_status calibrate_folds_restore(calibrate *c, pare_err *err)
{
    for (size_t i = 0; i < c->folds.n; i++) {
        calibrate_fold *f = &c->folds.at[i];
        const pare_status st = pare_workstore_get_scale(c->store, (int64_t)i, f->scale, f->fold->cols, c->plan->folds.at[i].note, &f->done, err);
        if (st != PARE_OK) return st;
        for (int64_t k = 0; f->done && k < f->fold->cols; k++) f->by[f->fold->by_rows ? f->fold->row_of[k] : k] = f->scale[k];
    }
    return PARE_OK;
}

pare_status calibrate_folds_begin(calibrate *c, pare_err *err)
{
    bool any = false;
    pare_status st = PARE_OK;
    c->plan->folds.n = 0; /* of an earlier look */
    for (int64_t i = 0; i < c->plan->n_items; i++) c->plan->items[i].fold_columns = c->plan->items[i].fold_by = -1;
    for (int64_t i = 0; i < c->plan->n_items; i++) any = any || (c->plan->items[i].calibrated && c->plan->items[i].method->fold);
    if (!any) return PARE_OK;
    PARE_TRY(pare_model_graph_of(c->weights, &c->graph, err));
    PARE_TRY(pare_graph_finish(c->graph, err));
    for (int i = 0; i < 2; i++) {
        const pare_graph *g = i ? c->graph : c->graph->encoder;
        if (!g) continue;
        PARE_TRY(pare_graph_folds(g, &c->found[i], err));
        for (size_t k = 0; k < c->found[i].at.n; k++) PARE_TRY(add_fold(c, g, i == 0, &c->found[i].at.at[k], err));
    }
out:
    return st;
}

void calibrate_folds_end(calibrate *c)
{
    PARE_VEC_CLEAR(&c->folds);
    pare_folds_clear(&c->found[0]);
    pare_folds_clear(&c->found[1]);
    pare_graph_free(c->graph);
}

/* Which site shows what the fold divides. */
pare_status calibrate_folds_place(calibrate *c, pare_err *err)
{
    int64_t n;
    const pare_walk_site *sites = pare_walk_sites(c->walk, &n);
    for (size_t i = 0; i < c->folds.n; i++) {
        calibrate_fold *f = &c->folds.at[i];
        for (int64_t s = 0; s < n && !f->site; s++) {
            const bool encoder = sites[s].graph != pare_walk_graph(c->walk);
            for (int r = 0; r < sites[s].n_readers && encoder == f->encoder; r++)
                if (sites[s].readers[r].node == f->fold->readers[0].node && sites[s].readers[r].which == f->fold->readers[0].which) f->site = &sites[s];
        }
        if (!f->site) return pare_fail(err, PARE_ERR_DATA, "%s: its fold has no place in the walk", c->plan->folds.at[i].name);
    }
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- scales */

typedef struct fold_weights { float **w; int64_t *rows; const pare_scheme **schemes; } fold_weights;

static void clear_weights(fold_weights *f, int n)
{
    for (int i = 0; f->w && i < n; i++) pare_dealloc_aligned(f->w[i]);
    pare_dealloc(f->w);
    pare_dealloc(f->rows);
    pare_dealloc((void *)(uintptr_t)f->schemes);
}

static pare_status read_weights(calibrate *c, const calibrate_fold *f, fold_weights *out, pare_err *err)
{
    const int n = f->fold->n_readers;
    out->w = pare_alloc_zero((size_t)n, sizeof *out->w);
    out->rows = pare_alloc_zero((size_t)n, sizeof *out->rows);
    out->schemes = pare_alloc_zero((size_t)n, sizeof *out->schemes);
    if (!out->w || !out->rows || !out->schemes) return pare_no_memory(err, "layers of a fold", (size_t)n * sizeof *out->w);
    for (int i = 0; i < n; i++) {
        const pare_plan_item *item = calibrate_item(c->plan, c->weights, f->graph, f->fold->readers[i].weight);
        const size_t bytes = (size_t)(item->rows * item->cols) * sizeof(float) + 64;
        out->w[i] = pare_alloc_aligned(64, bytes);
        if (!out->w[i]) return pare_no_memory(err, item->name, bytes);
        out->rows[i] = item->rows;
        out->schemes[i] = &item->scheme;
        const pare_status st = calibrate_read(c->ctx, c->plan, c->weights, item, c->options->allow_nonfinite, out->w[i], err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static pare_status check_scales(const calibrate_fold *f, const char *name, pare_err *err)
{
    for (int64_t k = 0; k < f->fold->cols; k++) {
        if (!(f->scale[k] > 0) || f->scale[k] - f->scale[k] != 0)
            return pare_fail(err, PARE_ERR_DATA, "%s: method %s gave channel %lld the scale %g", name, f->method->name, (long long)k, (double)f->scale[k]);
        if (f->fold->by_rows && f->by[f->fold->row_of[k]] != f->scale[k])
            return pare_fail(err, PARE_ERR_DATA, "%s: method %s gave channel %lld the scale %g, and %g to another that shares row %d", name, f->method->name, (long long)k,
                             (double)f->scale[k], (double)f->by[f->fold->row_of[k]], f->fold->row_of[k]);
    }
    return PARE_OK;
}

/* stats NULL: nothing is known, the layers stay as they are. */
static pare_status find_scale(calibrate *c, size_t index, const pare_stats *stats, const char *remark, pare_err *err)
{
    calibrate_fold *f = &c->folds.at[index];
    pare_plan_fold *p = &c->plan->folds.at[index];
    const double start = pare_now();
    fold_weights w = { 0 };
    pare_status st = PARE_OK;
    pare_print(p->note, sizeof p->note, "%s", remark);
    if (stats) {
        PARE_TRY(read_weights(c, f, &w, err));
        const pare_fold_job job = { .name = p->name, .params = pare_plan_params(c->plan, f->method), .cols = f->fold->cols, .n = f->fold->n_readers,
                                    .w = (const float *const *)w.w, .rows = w.rows, .schemes = w.schemes, .tied = f->fold->row_of, .stats = stats };
        PARE_TRY(f->method->fold(c->ctx, &job, f->scale, p->note, err));
        for (int64_t k = 0; k < f->fold->cols; k++) f->by[f->fold->by_rows ? f->fold->row_of[k] : k] = f->scale[k];
        PARE_TRY(check_scales(f, p->name, err));
    }
    PARE_TRY(pare_workstore_put_scale(c->store, (int64_t)index, f->scale, f->fold->cols, p->note, err));
    f->done = true;
out:
    clear_weights(&w, f->fold->n_readers);
    c->method += pare_now() - start;
    return st == PARE_OK || strstr(err ? err->text : "", p->name) ? st : pare_context(err, st, "%s", p->name);
}

static pare_status fold_value(calibrate *c, size_t index, pare_err *err)
{
    const calibrate_fold *f = &c->folds.at[index];
    pare_collect *collect = NULL;
    pare_stats stats;
    const double start = pare_now();
    pare_status st = pare_collect_new(c->ctx, f->method->fold_needs, f->fold->cols, c->texts->tokens, NULL, c->plan->folds.at[index].name, &collect, err);
    for (int64_t t = 0; t < c->texts->n && st == PARE_OK; t++) {
        const float *x;
        int64_t n;
        pare_walk_rows(c->walk, c->ahead, f->site, t, &x, &n);
        st = pare_collect_add(collect, t, x, NULL, n, err);
        if (st == PARE_OK) st = pare_check_cancel(c->ctx, err);
    }
    if (st == PARE_OK) st = pare_collect_finish(collect, &stats, err);
    c->statistics += pare_now() - start;
    if (st == PARE_OK) st = find_scale(c, index, &stats, "", err);
    pare_collect_free(collect);
    return st;
}

/* -------------------------------------------------------------------------------------------------------------- experts */

typedef struct expert_folds { calibrate *c; pare_collect **at; /* [folds] */ } expert_folds;

static pare_status see(void *user, int64_t text, int which, const float *x, int64_t n, int64_t cols, const int32_t *tokens, pare_err *err)
{
    const expert_folds *e = user;
    (void)cols, (void)tokens;
    for (size_t i = 0; i < e->c->folds.n; i++)
        if (e->at[i] && e->c->folds.at[i].fold->readers[0].which == which) return pare_collect_add(e->at[i], text, x, NULL, n, err);
    return PARE_OK;
}

/* All experts' folds at the piece that the stream ahead stands before, as many at once as fit. */
static pare_status fold_experts(calibrate *c, pare_err *err)
{
    expert_folds e = { c, pare_alloc_zero(c->folds.n + 1, sizeof *e.at) };
    const int piece = pare_walk_at(c->walk, c->ahead);
    pare_status st = e.at ? PARE_OK : pare_no_memory(err, "folds", c->folds.n * sizeof *e.at);
    bool more = st == PARE_OK;
    while (more) {
        const pare_walk_site *site = NULL;
        uint64_t bytes = 0;
        more = false;
        for (size_t i = 0; i < c->folds.n; i++) {
            const calibrate_fold *f = &c->folds.at[i];
            if (f->done || f->site->piece != piece || f->site->expert < 0) continue;
            const uint64_t one = pare_collect_bytes(f->method->fold_needs, f->fold->cols);
            if ((more = site && bytes + one > calibrate_expert_bytes(c->options))) break;
            PARE_TRY(pare_collect_new(c->ctx, f->method->fold_needs, f->fold->cols, c->texts->tokens, NULL, c->plan->folds.at[i].name, &e.at[i], err));
            bytes += one;
            site = f->site;
        }
        if (!site) break;
        PARE_TRY(pare_walk_observe(c->walk, c->ahead, site->node, site->stage, see, &e, err));
        for (size_t i = 0; i < c->folds.n; i++) {
            pare_stats stats;
            char remark[160];
            if (!e.at[i]) continue;
            PARE_TRY(pare_collect_finish(e.at[i], &stats, err));
            const bool starved = stats.tokens < calibrate_wanted_rows(stats.cols);
            pare_print(remark, sizeof remark, "starved: %lld rows of %lld wanted; left as it is", (long long)stats.tokens, (long long)calibrate_wanted_rows(stats.cols));
            PARE_TRY(find_scale(c, i, starved ? NULL : &stats, starved ? remark : "", err));
            pare_collect_free(e.at[i]);
            e.at[i] = NULL;
        }
    }
out:
    for (size_t i = 0; e.at && i < c->folds.n; i++) pare_collect_free(e.at[i]);
    pare_dealloc(e.at);
    return st;
}

/* ---------------------------------------------------------------------------------------------------------------- ahead */

/* The scales of the layer that this site belongs to. */
pare_status calibrate_folds_ahead(calibrate *c, const pare_walk_site *site, pare_err *err)
{
    int last = site->piece;
    bool encoder, same;
    pare_status st = PARE_OK;
    if (!c->folds.n) return PARE_OK;
    const int layer = pare_walk_layer(c->walk, last, &encoder);
    while (last + 1 < pare_walk_pieces(c->walk) && pare_walk_layer(c->walk, last + 1, &same) == layer && same == encoder) last++;
    while (pare_walk_at(c->walk, c->ahead) <= last) {
        const int piece = pare_walk_at(c->walk, c->ahead);
        bool experts = false;
        for (size_t i = 0; i < c->folds.n; i++) {
            const calibrate_fold *f = &c->folds.at[i];
            if (f->done || f->site->piece != piece) continue;
            if (f->site->expert >= 0) experts = true;
            else PARE_TRY(fold_value(c, i, err));
        }
        if (experts) PARE_TRY(fold_experts(c, err));
        PARE_TRY(calibrate_move(c, c->ahead, err));
    }
out:
    return st;
}
