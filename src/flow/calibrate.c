/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of a calibration. At every site (graph/walk.h) whose layers are to be quantized:
 *
 *   statistics   of the stream that is quantized so far, all that the methods of the site's layers asked for; q k v share them
 *   layers       one after the other through their methods (calibrate_layer.c); from then on the stream computes with the result
 *
 * then all streams move on to the next site. The float stream beside (drift) runs only where a method asks for it.
 *
 * Mixtures of experts: each expert has statistics of the rows that the router sends it; gate and up first, then, with these in place, down. An
 * expert with fewer rows than a quarter of its columns is starved: it is calibrated with the rows of all experts of its layer, and reported.
 * Experts are collected side by side as far as memory allows, in several passes beyond.
 */
#include <math.h>
#include <string.h>

#include "flow/calibrate_parts.h"

enum { STARVED = 4 };                                  /* fewer rows than cols / STARVED */
#define EXPERT_BYTES (UINT64_C(2) << 30)               /* of statistics side by side, without --memory */

/* ------------------------------------------------------------------------------------------------------------------ plan */

pare_plan_item *calibrate_item(const pare_plan *plan, const pare_weights *weights, const pare_graph *g, pare_gw w)
{
    const pare_gweight *x = &g->weights.at[w];
    const int64_t i = x->role == PARE_GW_LINEAR && !x->transposed && x->of_rows == 0 && x->of_count == 0 ? pare_weights_find(weights, x->name) : -1;
    return i >= 0 && i < plan->n_items && plan->items[i].weight == i ? &plan->items[i] : NULL;
}

/* Statistics that an item asks for: its method's, and its scheme's. */
pare_needs calibrate_needs(const pare_plan *plan, const pare_plan_item *item)
{
    return pare_method_needs(item->method, pare_plan_params(plan, item->method)) | pare_scheme_needs(&item->scheme);
}

static void mark(pare_plan *plan, const pare_weights *weights, const pare_graph *g)
{
    for (size_t i = 0; g && i < g->nodes.n; i++) {
        const pare_gnode *node = &g->nodes.at[i];
        for (int k = 0; k < node->n_w && !pare_walk_ends_before(g, node); k++) {
            pare_plan_item *item = node->w[k] >= 0 ? calibrate_item(plan, weights, g, node->w[k]) : NULL;
            if (item && item->action == PARE_ACTION_QUANTIZE) item->calibrated = true;
        }
    }
}

/* m NULL: no method asks for it, a cache does, and the model could be run a moment ago. */
static pare_status cannot_run(const pare_method *m, const pare_err *why, pare_err *err)
{
    if (!m) return pare_fail(err, why->code, "%s", why->text);
    char names[160] = "";
    size_t n = 0;
    for (int i = 0; pare_methods()[i]; i++)
        if (!pare_method_is_calibrated(pare_methods()[i]) && n < sizeof names) n += (size_t)pare_print(names + n, sizeof names - n, "%s%s", n ? ", " : "", pare_methods()[i]->name);
    pare_fail(err, why->code == PARE_ERR_MEMORY ? PARE_ERR_MEMORY : PARE_ERR_UNSUPPORTED, "method %s looks at activations, and this model cannot be run: %s", m->name, why->text);
    return pare_hint(err, "methods without data: %s", names);
}

/* What a method needs statistics for, and the graph never shows, stays in float. */
static pare_status keep_unseen(pare_plan *plan, pare_plan_item *item, const pare_weights *weights, pare_err *err)
{
    if (item->action != PARE_ACTION_QUANTIZE || item->calibrated || calibrate_needs(plan, item) == PARE_NEEDS_NOTHING) return PARE_OK;
    item->action = weights->at[item->weight].layout ? PARE_ACTION_CAST : PARE_ACTION_KEEP;
    item->dtype = weights->at[item->weight].dtype;
    item->n_parts = 0;
    pare_print(item->reason, sizeof item->reason, "method %s: the model's graph shows no inputs of it", item->method->name);
    return pare_plan_warn(plan, item->name, "kept in float: the model's graph shows no inputs that it could be calibrated with", err);
}

pare_status pare_calibrate_plan(pare_ctx *ctx, pare_plan *plan, const pare_weights *weights, pare_err *err)
{
    const pare_method *first = NULL;
    pare_graph *g = NULL;
    pare_err why = { 0 };
    pare_status st = PARE_OK;
    (void)ctx;
    for (int64_t i = 0; i < plan->n_items && !first; i++)
        if (plan->items[i].action == PARE_ACTION_QUANTIZE && (pare_method_is_calibrated(plan->items[i].method) || pare_scheme_needs(&plan->items[i].scheme))) first = plan->items[i].method;
    if (!first && !plan->n_caches) return PARE_OK;
    if (pare_model_graph_of(weights, &g, &why) != PARE_OK) return cannot_run(first, &why, err);
    mark(plan, weights, g);
    mark(plan, weights, g->encoder);
    plan->calibrated = 0;
    for (int64_t i = 0; i < plan->n_items; i++) {
        PARE_TRY(keep_unseen(plan, &plan->items[i], weights, err));
        plan->calibrated += plan->items[i].calibrated;
    }
out:
    pare_graph_free(g);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ statistics */

/* Open readers of a site: those that are not done; what is in the store is put in place. */
static pare_status open_readers(calibrate *c, const pare_walk_site *site, pare_needs *needs, int *open, pare_err *err)
{
    *open = 0;
    *needs = PARE_NEEDS_NOTHING;
    for (int i = 0; i < site->n_readers; i++) {
        pare_plan_item *item = calibrate_item(c->plan, c->weights, site->graph, site->readers[i].weight);
        bool found = false;
        if (c->done[item - c->plan->items]) continue;
        const pare_status st = calibrate_restore(c, item, &found, err);
        if (st != PARE_OK) return st;
        if (found) continue;
        *needs |= calibrate_needs(c->plan, item);
        ++*open;
    }
    return PARE_OK;
}

static const float *scale_of(const calibrate *c, const pare_walk_site *site)
{
    const pare_plan_item *item = calibrate_item(c->plan, c->weights, site->graph, site->readers[0].weight);
    return item->fold_columns >= 0 ? c->plan->folds.at[item->fold_columns].scale : NULL;
}

static const char *name_of(const pare_walk_site *site) { return site->graph->weights.at[site->readers[0].weight].name; }

static void report(const calibrate *c, const pare_walk_site *site)
{
    char text[160];
    const pare_plan_item *item = calibrate_item(c->plan, c->weights, site->graph, site->readers[0].weight);
    pare_print(text, sizeof text, "layer %d of %d, %s", site->layer + 1, site->graph->layers, item->method->name);
    pare_report_progress(c->ctx, "calibrate", text, c->done_weights, c->all_weights, "weights");
}

static pare_status collect_value(calibrate *c, const pare_walk_site *site, pare_needs needs, pare_collect **out, pare_err *err)
{
    const double start = pare_now();
    pare_status st = pare_collect_new(c->ctx, needs, site->cols, c->texts->tokens, scale_of(c, site), name_of(site), out, err);
    for (int64_t t = 0; t < c->texts->n && st == PARE_OK; t++) {
        const float *x, *f = NULL;
        int64_t n;
        pare_walk_rows(c->walk, QUANTIZED, site, t, &x, &n);
        if (c->drift >= 0) pare_walk_rows(c->walk, c->drift, site, t, &f, &n);
        st = pare_collect_add(*out, t, x, f, n, err);
        if (st == PARE_OK) st = pare_check_cancel(c->ctx, err);
    }
    c->statistics += pare_now() - start;
    return st;
}

static pare_status round_readers(calibrate *c, const pare_walk_site *site, const pare_stats *stats, const char *remark, pare_err *err)
{
    pare_status st = PARE_OK;
    for (int i = 0; i < site->n_readers && st == PARE_OK; i++) {
        pare_plan_item *item = calibrate_item(c->plan, c->weights, site->graph, site->readers[i].weight);
        if (c->done[item - c->plan->items]) continue;
        report(c, site);
        st = calibrate_layer(c, item, stats, remark, err);
    }
    return st;
}

static pare_status do_value(calibrate *c, const pare_walk_site *site, pare_err *err)
{
    pare_needs needs;
    pare_collect *collect = NULL;
    pare_stats stats;
    int open;
    pare_status st;
    PARE_TRY(open_readers(c, site, &needs, &open, err));
    if (!open) goto out;
    report(c, site);
    if (needs != PARE_NEEDS_NOTHING) {
        PARE_TRY(collect_value(c, site, needs, &collect, err));
        PARE_TRY(pare_collect_finish(collect, &stats, err));
    }
    st = round_readers(c, site, collect ? &stats : NULL, "", err);
out:
    pare_collect_free(collect);
    return st;
}

/* --------------------------------------------------------------------------------------------------------------- experts */

/* Sites [first, first + n) of one node and stage; collectors [n], NULL where an expert is done or in another pass. */
typedef struct experts {
    calibrate *c;
    const pare_walk_site *sites;
    int64_t n;
    pare_collect **at;
    pare_collect *pool;        /* of all experts' rows, when one is starved; of x / pool_scale */
    const float *pool_scale;
    float *f; int64_t f_floats; /* the float model's rows in the place of an expert's: [n, in], then gate and up [n, ffn] */
    pare_workspace ws;
} experts;

int64_t calibrate_wanted_rows(int64_t cols) { return (cols + STARVED - 1) / STARVED; }
uint64_t calibrate_expert_bytes(const pare_quantize_options *options) { return options->memory ? options->memory / 2 : EXPERT_BYTES; }

/* act(gate x) * (up x) of one expert of the float model, x [n, in]. */
static pare_status float_ffn(experts *e, const pare_walk_site *site, int expert, int64_t n, const float *x, float *gate, float *up, pare_err *err)
{
    const pare_gnode *node = &site->graph->nodes.at[site->node];
    const pare_moe *m = node->attr;
    pare_linear l[2] = { 0 };
    const pare_linear *at[2] = { &l[0], &l[1] };
    pare_status st;
    for (int k = 0; k < 2; k++) PARE_TRY(pare_walk_linear(e->c->walk, site->graph, node->w[1 + 3 * expert + k], &l[k], err));
    PARE_TRY(pare_linear_forward(e->c->ctx, at, 2, PARE_COMPUTE_EXACT, n, x, l[0].w.cols, (float *[]){ gate, up }, (int64_t[]){ m->ffn, m->ffn }, &e->ws, err));
    e->c->ctx->kernels->activate_mul(gate, gate, up, n * m->ffn, m->act);
out:
    pare_linear_clear(&l[0]);
    pare_linear_clear(&l[1]);
    return st;
}

/*
 * What the float model has in the place of an expert's rows: of gate and up, its rows of the same tokens; of down, what its expert makes of these, whatever its
 * own router chose.
 */
static pare_status float_rows(experts *e, const pare_walk_site *site, int expert, int64_t text, int64_t n, const int32_t *tokens, const float **f, pare_err *err)
{
    const pare_gnode *node = &site->graph->nodes.at[site->node];
    const pare_moe *m = node->attr;
    const int64_t in = site->graph->weights.at[node->w[1]].shape[1], floats = n * (in + (site->stage ? 2 * m->ffn : 0));
    pare_walk_site input = *site;
    const float *all;
    int64_t rows;
    *f = NULL;
    if (e->c->drift < 0) return PARE_OK;
    if (floats > e->f_floats) {
        pare_dealloc(e->f);
        e->f = NULL;
        e->f_floats = 0;
        const pare_status st = pare_alloc_try((size_t)floats * sizeof *e->f, name_of(site), (void **)&e->f, err);
        if (st != PARE_OK) return st;
        e->f_floats = floats;
    }
    input.cols = in;
    pare_walk_rows(e->c->walk, e->c->drift, &input, text, &all, &rows);
    for (int64_t i = 0; i < n; i++) memcpy(e->f + i * in, all + tokens[i] * in, (size_t)in * sizeof *e->f);
    *f = site->stage ? e->f + n * in : e->f;
    return site->stage ? float_ffn(e, site, expert, n, e->f, e->f + n * in, e->f + n * (in + m->ffn), err) : PARE_OK;
}

static pare_status see_expert(void *user, int64_t text, int which, const float *x, int64_t n, int64_t cols, const int32_t *tokens, pare_err *err)
{
    experts *e = user;
    const int expert = (which - 1) / 3;
    const double start = pare_now();
    const float *f;
    pare_status st = PARE_OK;
    (void)cols;
    for (int64_t i = 0; i < e->n && st == PARE_OK; i++) {
        if (e->sites[i].expert != expert && !e->pool) continue;
        pare_collect *to = e->pool ? e->pool : e->at[i];
        if (!to) break;
        if ((st = float_rows(e, &e->sites[i], expert, text, n, tokens, &f, err)) == PARE_OK) st = pare_collect_add(to, text, x, f, n, err);
        break;
    }
    e->c->statistics += pare_now() - start;
    return st;
}

static pare_status observe(experts *e, pare_err *err)
{
    const double start = pare_now(), before = e->c->statistics;
    const pare_status st = pare_walk_observe(e->c->walk, QUANTIZED, e->sites[0].node, e->sites[0].stage, see_expert, e, err);
    e->c->forward += pare_now() - start - (e->c->statistics - before);
    return st;
}

/* Scales that are all 1 (of a fold that was left alone) are none. */
static const float *scale_unless_ones(const calibrate *c, const pare_walk_site *site)
{
    const float *scale = scale_of(c, site);
    for (int64_t k = 0; scale && k < site->cols; k++)
        if (scale[k] != 1.0f) return scale;
    return NULL;
}

/* Rows of all experts, of x / scale: a fold of down is each expert's own. */
static pare_status pool_all(experts *e, const float *scale, pare_err *err)
{
    pare_needs needs = PARE_NEEDS_NOTHING;
    pare_collect *pool = NULL;
    const pare_moe *moe = e->sites[0].graph->nodes.at[e->sites[0].node].attr;
    for (int64_t i = 0; i < e->n; i++)
        for (int k = 0; k < e->sites[i].n_readers; k++)
            needs |= calibrate_needs(e->c->plan, calibrate_item(e->c->plan, e->c->weights, e->sites[i].graph, e->sites[i].readers[k].weight));
    pare_collect_free(e->pool);
    e->pool = NULL;
    pare_status st = pare_collect_new(e->c->ctx, needs, e->sites[0].cols, e->c->texts->tokens * moe->top, scale, name_of(&e->sites[0]), &pool, err);
    if (st != PARE_OK) return st;
    e->pool = pool;
    e->pool_scale = scale;
    return observe(e, err);
}

static pare_status round_expert(experts *e, int64_t i, pare_stats *pooled, pare_err *err)
{
    const pare_walk_site *site = &e->sites[i];
    const int64_t wanted = calibrate_wanted_rows(site->cols);
    char remark[160] = "";
    pare_stats stats;
    pare_status st = pare_collect_finish(e->at[i], &stats, err);
    if (st != PARE_OK) return st;
    if (stats.tokens < wanted) {
        const float *scale = scale_unless_ones(e->c, site);
        if (!e->pool || e->pool_scale != scale) {
            if ((st = pool_all(e, scale, err)) != PARE_OK || (st = pare_collect_finish(e->pool, pooled, err)) != PARE_OK) return st;
        }
        pare_print(remark, sizeof remark, "starved: %lld rows of %lld wanted; calibrated with those of all experts of the layer", (long long)stats.tokens, (long long)wanted);
        pare_log(e->c->ctx, PARE_LOG_WARNING, "%s: %s", name_of(site), remark);
        stats = *pooled;
    }
    return round_readers(e->c, site, &stats, remark, err);
}

/* As many experts as fit, from `first` on; *next: the first that did not. */
static pare_status begin_pass(experts *e, int64_t first, pare_needs *needs, int64_t *next, int *open, pare_err *err)
{
    const uint64_t limit = calibrate_expert_bytes(e->c->options);
    uint64_t bytes = 0;
    pare_status st;
    *open = 0;
    for (*next = first; *next < e->n; ++*next) {
        pare_needs n;
        int readers;
        if ((st = open_readers(e->c, &e->sites[*next], &n, &readers, err)) != PARE_OK) return st;
        if (!readers) continue;
        const uint64_t more = pare_collect_bytes(n, e->sites[*next].cols);
        if (*open && bytes + more > limit) break;
        st = pare_collect_new(e->c->ctx, n, e->sites[*next].cols, e->c->texts->tokens, scale_of(e->c, &e->sites[*next]), name_of(&e->sites[*next]), &e->at[*next], err);
        if (st != PARE_OK) return st;
        bytes += more;
        *needs |= n;
        ++*open;
    }
    return PARE_OK;
}

static pare_status do_experts(calibrate *c, const pare_walk_site *sites, int64_t n, pare_err *err)
{
    experts e = { .c = c, .sites = sites, .n = n };
    pare_stats pooled = { 0 };
    pare_status st = PARE_OK;
    e.at = pare_alloc_zero((size_t)n + 1, sizeof *e.at);
    if (!e.at) return pare_no_memory(err, "experts", (size_t)n * sizeof *e.at);
    for (int64_t first = 0, next; first < n; first = next) {
        pare_needs needs = PARE_NEEDS_NOTHING;
        int open;
        report(c, &sites[first]);
        PARE_TRY(begin_pass(&e, first, &needs, &next, &open, err));
        if (needs != PARE_NEEDS_NOTHING) {
            pare_collect *pool = e.pool;
            e.pool = NULL;
            st = observe(&e, err);
            e.pool = pool;
            if (st != PARE_OK) goto out;
        }
        for (int64_t i = first; i < next; i++) {
            if (!e.at[i]) continue;
            if (needs == PARE_NEEDS_NOTHING) PARE_TRY(round_readers(c, &sites[i], NULL, "", err));
            else PARE_TRY(round_expert(&e, i, &pooled, err));
            pare_collect_free(e.at[i]);
            e.at[i] = NULL;
        }
    }
out:
    for (int64_t i = 0; i < n; i++) pare_collect_free(e.at[i]);
    pare_collect_free(e.pool);
    pare_workspace_clear(&e.ws);
    pare_dealloc(e.f);
    pare_dealloc(e.at);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------------ walk */

pare_status calibrate_move(calibrate *c, int stream, pare_err *err)
{
    const double start = pare_now();
    const pare_status st = pare_walk_run(c->walk, stream, err);
    c->forward += pare_now() - start;
    return st == PARE_OK && stream == QUANTIZED ? calibrate_kv_choose(c, err) : st;
}

static pare_status walk(calibrate *c, pare_err *err)
{
    int64_t n, i = 0;
    const pare_walk_site *sites = pare_walk_sites(c->walk, &n);
    pare_status st = PARE_OK;
    while (i < n) {
        while (pare_walk_at(c->walk, QUANTIZED) < sites[i].piece) {
            PARE_TRY(calibrate_move(c, QUANTIZED, err));
            if (c->drift >= 0) PARE_TRY(calibrate_move(c, c->drift, err));
        }
        PARE_TRY(calibrate_folds_ahead(c, &sites[i], err));
        if (sites[i].expert < 0) {
            PARE_TRY(do_value(c, &sites[i++], err));
            continue;
        }
        int64_t end = i;
        while (end < n && sites[end].node == sites[i].node && sites[end].stage == sites[i].stage && sites[end].graph == sites[i].graph) end++;
        PARE_TRY(do_experts(c, sites + i, end - i, err));
        i = end;
    }
    while (!calibrate_kv_done(c) && pare_walk_at(c->walk, QUANTIZED) < pare_walk_pieces(c->walk)) PARE_TRY(calibrate_move(c, QUANTIZED, err));
out:
    return st;
}

static bool wanted(void *user, const pare_graph *g, pare_gw w)
{
    const calibrate *c = user;
    const pare_plan_item *item = calibrate_item(c->plan, c->weights, g, w);
    return item && (item->calibrated || !c->plan->calibrated); /* only a cache is looked at: cut at every layer all the same, for memory's sake */
}

/* Everything in the store already: an interrupted run that died while it wrote. */
static pare_status all_there(calibrate *c, bool *all, pare_err *err)
{
    *all = calibrate_kv_done(c);
    for (size_t i = 0; i < c->folds.n && *all; i++) *all = c->folds.at[i].done;
    for (int64_t i = 0; i < c->plan->n_items && *all; i++) *all = !c->plan->items[i].calibrated || pare_workstore_has(c->store, i);
    for (int64_t i = 0; i < c->plan->n_items && *all; i++) {
        pare_plan_item *item = &c->plan->items[i];
        pare_qtensor *q = NULL;
        if (!item->calibrated) continue;
        const pare_status st = pare_workstore_get(c->store, i, &item->scheme, item->rows, item->cols, &q, &item->record, err);
        pare_qtensor_free(q);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

pare_walk_options calibrate_walk_options(calibrate *c)
{
    pare_needs needs = PARE_NEEDS_NOTHING;
    pare_walk_options o = { .streams = 1, .split = true, .wanted = wanted, .user = c };
    c->drift = c->ahead = -1;
    for (int64_t i = 0; i < c->plan->n_items; i++)
        if (c->plan->items[i].calibrated) needs |= calibrate_needs(c->plan, &c->plan->items[i]);
    if (needs & PARE_NEEDS_DRIFT) c->drift = o.streams++;
    if (c->folds.n) c->ahead = o.streams++;
    if (c->plan->n_caches) o.keys = calibrate_see_keys;
    return o;
}

static pare_status start(calibrate *c, pare_err *err)
{
    pare_walk_options o = calibrate_walk_options(c);
    pare_preflight p;
    char *file = NULL;
    pare_status st;
    for (int64_t i = 0; i < c->plan->n_items; i++)
        if (c->plan->items[i].calibrated) c->all_weights += (uint64_t)c->plan->items[i].rows * (uint64_t)c->plan->items[i].cols;
    PARE_TRY(calibrate_measure(c, &p, err));
    if (p.spilled && !(file = pare_path_join(pare_workstore_folder(c->store), "states"))) {
        st = pare_no_memory(err, "states", 0);
        goto out;
    }
    o.file = file;
    PARE_TRY(pare_model_walk(c->ctx, c->weights, c->texts->texts, c->texts->n, &o, &c->walk, err));
out:
    pare_dealloc(file);
    return st;
}

pare_status pare_calibrate_run(pare_ctx *ctx, pare_plan *plan, const pare_weights *weights, const pare_calibration_texts *texts, const pare_quantize_options *options,
                               pare_workstore *store, pare_err *err)
{
    calibrate c = { .ctx = ctx, .plan = plan, .weights = weights, .texts = texts, .options = options, .store = store };
    const double begin = pare_now();
    bool all;
    pare_status st;
    PARE_TRY(calibrate_folds_begin(&c, err));
    PARE_TRY(calibrate_folds_restore(&c, err));
    PARE_TRY(calibrate_kv_begin(&c, err));
    PARE_TRY(all_there(&c, &all, err));
    if (all) goto out;
    c.done = pare_alloc_zero((size_t)plan->n_items + 1, sizeof *c.done);
    if (!c.done) {
        st = pare_no_memory(err, "calibration", (size_t)plan->n_items);
        goto out;
    }
    for (int64_t i = 0; i < plan->n_items; i++) c.done[i] = !plan->items[i].calibrated;
    PARE_TRY(start(&c, err));
    PARE_TRY(calibrate_folds_place(&c, err));
    PARE_TRY(walk(&c, err));
    pare_report_progress(ctx, "calibrate", NULL, c.all_weights, c.all_weights, "weights");
    pare_log(ctx, PARE_LOG_INFO, "calibration: %.1f s: %.1f s forward, %.1f s statistics, %.1f s methods", pare_now() - begin, c.forward, c.statistics, c.method);
out:
    pare_walk_free(c.walk);
    calibrate_kv_end(&c);
    calibrate_folds_end(&c);
    pare_dealloc(c.done);
    return st;
}
