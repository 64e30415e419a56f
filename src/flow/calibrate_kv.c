/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scales of the key/value cache (--kv-cache). Planning adds two small tensors a cached attention to the output, A.k_scale and A.v_scale; calibration
 * looks at the keys (rotated, as they are cached) and values of the model that is quantized so far, text after text, and chooses scales like those
 * of static activations (method/act_range.h): one for all heads, or one a head.
 *
 * Where a fold divides the rows of the layer that makes the values, the written model's values are smaller than the stream's by the same numbers:
 * they are divided here before they are looked at.
 */
#include <string.h>

#include "flow/calibrate_parts.h"
#include "graph/op.h"
#include "method/act_range.h"

static const pare_option kv_options[] = {
    { "scales", PARE_OPT_CHOICE, "tensor|head", "tensor", "one scale for all heads of a layer, or one a head" },
    { "range", PARE_OPT_CHOICE, "minmax|percentile|mse|average", "minmax", "how the largest value is chosen; cutting keys off costs more than it wins" },
    PARE_PERCENTILE_OPTION,
    { NULL, 0, NULL, NULL, NULL }
};

/* ------------------------------------------------------------------------------------------------------------------ plan */

/* "fp8", "int8:range=percentile,percentile=99.9,scales=head" */
static pare_status read_option(pare_plan *plan, const char *text, pare_err *err)
{
    char word[128];
    const size_t n = strcspn(text, ":");
    pare_status st = pare_params_init(&plan->kv_params, kv_options, err);
    if (st != PARE_OK) return st;
    pare_print(word, sizeof word, "%.*s", (int)(n < 100 ? n : 100), text);
    plan->kv.dtype = pare_dtype_parse(word);
    if (plan->kv.dtype != PARE_I8 && plan->kv.dtype != PARE_F8_E4M3FN) return pare_fail(err, PARE_ERR_USAGE, "--kv-cache: '%s' is neither fp8 nor int8", word);
    for (const char *at = text + n; *at;) {
        const size_t key = strcspn(++at, "=,"), all = strcspn(at, ",");
        char name[64], value[64];
        if (key == all || key >= sizeof name || all - key > sizeof value) return pare_fail(err, PARE_ERR_USAGE, "--kv-cache: '%.*s' is not KEY=VALUE", (int)(all < 100 ? all : 100), at);
        pare_print(name, sizeof name, "%.*s", (int)key, at);
        pare_print(value, sizeof value, "%.*s", (int)(all - key - 1), at + key + 1);
        if ((st = pare_params_set(&plan->kv_params, name, value, "kv-cache", err)) != PARE_OK) return st;
        at += all;
    }
    plan->kv.per_head = strcmp(pare_params_text(&plan->kv_params, "scales"), "head") == 0;
    return PARE_OK;
}

static pare_dtype stored_dtype(const pare_plan *plan)
{
    return plan->model_dtype == PARE_F16 || plan->model_dtype == PARE_BF16 ? plan->model_dtype : PARE_F32;
}

static pare_status add_item(pare_plan *plan, const char *module, const char *which, int64_t heads, float **value, pare_err *err)
{
    pare_plan_item *item = &plan->items[plan->n_items++];
    *item = (pare_plan_item){ .weight = -1, .action = PARE_ACTION_ADD, .role = PARE_ROLE_OTHER, .dtype = stored_dtype(plan), .ndim = 1, .shape = { 1 }, .rows = 1, .cols = 1,
                              .fold_columns = -1, .fold_by = -1 };
    if (plan->kv.per_head) {
        item->ndim = 3;
        item->rows = item->shape[0] = heads;
        item->shape[1] = item->shape[2] = 1;
    }
    item->name = item->module = pare_arena_printf(&plan->arena, "%s.%c_scale", module, *which);
    item->value = *value = pare_arena_alloc(&plan->arena, (size_t)item->rows * sizeof **value);
    if (!item->name || !item->value) return pare_no_memory(err, "plan", (size_t)item->rows * sizeof **value);
    pare_print(item->reason, sizeof item->reason, "%s in the cache: %s, range %s", which, plan->kv.dtype == PARE_I8 ? "int8" : "float8",
               pare_params_text(&plan->kv_params, "range"));
    return PARE_OK;
}

static pare_status add_caches(pare_plan *plan, const pare_graph *g, pare_err *err)
{
    char module[256];
    pare_status st = PARE_OK;
    plan->caches = pare_arena_alloc(&plan->arena, (g->caches.n + 1) * sizeof *plan->caches);
    pare_plan_item *items = pare_alloc_zero((size_t)plan->n_items + 2 * g->caches.n + 1, sizeof *items);
    if (!plan->caches || !items) {
        pare_dealloc(items);
        return pare_no_memory(err, "plan", g->caches.n * sizeof *plan->caches);
    }
    memcpy(items, plan->items, (size_t)plan->n_items * sizeof *items);
    pare_dealloc(plan->items);
    plan->items = items;
    memset(plan->caches, 0, (g->caches.n + 1) * sizeof *plan->caches);
    for (size_t i = 0; i < g->nodes.n; i++) {
        const pare_gnode *node = &g->nodes.at[i];
        const pare_attention *a = node->op == &pare_gop_attention ? node->attr : NULL;
        if (!a || a->cross || a->cache < 0) continue;
        if (!pare_model_attention_name(g, node, module))
            return pare_fail(err, PARE_ERR_UNSUPPORTED, "--kv-cache: attention of layer %d has no module whose name could carry its scales", node->layer + 1);
        if ((st = add_item(plan, module, "keys", a->kv_heads, &plan->caches[a->cache].value[0], err)) != PARE_OK) return st;
        if ((st = add_item(plan, module, "values", a->kv_heads, &plan->caches[a->cache].value[1], err)) != PARE_OK) return st;
        plan->caches[a->cache].ranges = plan->kv.per_head ? a->kv_heads : 1;
        plan->n_caches = (int64_t)g->caches.n;
    }
    return plan->n_caches ? PARE_OK : pare_fail(err, PARE_ERR_UNSUPPORTED, "--kv-cache: this model keeps no keys and values");
}

pare_status pare_kv_plan(pare_plan *plan, const pare_weights *weights, const char *option, pare_err *err)
{
    pare_graph *g = NULL;
    pare_err why = { 0 };
    pare_status st;
    if (!option) return PARE_OK;
    if ((st = read_option(plan, option, err)) != PARE_OK) return st;
    if (!plan->layout->kv_cache) {
        pare_fail(err, PARE_ERR_USAGE, "--kv-cache: format %s has no place for scales of a key/value cache", plan->layout->name);
        return pare_hint(err, "--format compressed-tensors has");
    }
    if (pare_model_graph_of(weights, &g, &why) != PARE_OK)
        return pare_fail(err, why.code == PARE_ERR_MEMORY ? PARE_ERR_MEMORY : PARE_ERR_UNSUPPORTED, "--kv-cache: keys and values are measured, and this model cannot be run: %s",
                         why.text);
    st = add_caches(plan, g, err);
    pare_graph_free(g);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ collecting */

/* Columns of the values are divided by these in the written model; NULL: they are as the stream has them. */
static pare_status divisors(const calibrate *c, const pare_graph *g, const pare_gnode *node, int64_t cols, float **out, pare_err *err)
{
    *out = NULL;
    for (int64_t col = 0; col < cols; col++) {
        pare_gv v = node->in[2];
        int64_t at = col;
        const pare_gnode *maker = NULL;
        while (v >= 0 && g->values.at[v].node >= 0 && (maker = &g->nodes.at[g->values.at[v].node])->op != &pare_gop_linear) {
            pare_gdivide how = { 0 };
            if (!maker->op->divide || !maker->op->divide(g, maker, g->values.at[v].out, &how) || how.here) return PARE_OK; /* nothing can be folded through it */
            at = how.column ? how.column(maker, at) : at;
            v = maker->in[how.in];
        }
        if (v < 0 || g->values.at[v].node < 0) return PARE_OK;
        const pare_plan_item *item = calibrate_item(c->plan, c->weights, g, maker->w[g->values.at[v].out]);
        if (!item || item->fold_by < 0) return PARE_OK;
        if (!*out && !(*out = pare_alloc_zero((size_t)cols, sizeof **out))) return pare_no_memory(err, item->name, (size_t)cols * sizeof **out);
        (*out)[col] = c->plan->folds.at[item->fold_by].by[at];
    }
    return PARE_OK;
}

static pare_status open_cache(calibrate *c, calibrate_cache *x, const pare_gnode *node, pare_err *err)
{
    const pare_graph *g = pare_walk_graph(c->walk);
    const pare_attention *a = node->attr;
    char module[256];
    pare_status st;
    x->ranges = c->plan->caches[a->cache].ranges;
    x->at = pare_alloc_zero(2 * (size_t)x->ranges, sizeof(pare_collect *));
    if (!x->at) return pare_no_memory(err, "ranges of a cache", 2 * (size_t)x->ranges * sizeof(pare_collect *));
    if ((st = divisors(c, g, node, a->kv_heads * a->v_dim, &x->divisor, err)) != PARE_OK) return st;
    if (!pare_model_attention_name(g, node, module)) module[0] = 0;
    for (int64_t i = 0; i < 2 * x->ranges && st == PARE_OK; i++) {
        const int64_t r = i % x->ranges, cols = (i < x->ranges ? a->dim : a->v_dim) * a->kv_heads / x->ranges;
        const float *scale = i >= x->ranges && x->divisor ? x->divisor + r * cols : NULL;
        st = pare_collect_new(c->ctx, PARE_NEEDS_RANGE, cols, c->texts->tokens, scale, module, &x->at[i], err);
    }
    return st;
}

/* One head's columns of rows that hold all heads. */
static pare_status add_head(calibrate_cache *x, pare_collect *to, int64_t text, const float *rows, int64_t n, int64_t stride, int64_t cols, pare_err *err)
{
    if (n * cols > x->room) {
        pare_dealloc(x->rows);
        x->room = 0;
        const pare_status st = pare_alloc_try((size_t)(n * cols) * sizeof *x->rows, "rows of a head", (void **)&x->rows, err);
        if (st != PARE_OK) return st;
        x->room = n * cols;
    }
    for (int64_t i = 0; i < n; i++) memcpy(x->rows + i * cols, rows + i * stride, (size_t)cols * sizeof *rows);
    return pare_collect_add(to, text, x->rows, NULL, n, err);
}

pare_status calibrate_see_keys(void *user, int stream, const pare_gnode *node, int64_t text, const float *k, const float *v, int64_t n, pare_err *err)
{
    calibrate *c = user;
    const pare_attention *a = node->attr;
    calibrate_cache *x = &c->caches[a->cache];
    pare_status st = PARE_OK;
    if (stream != QUANTIZED || x->done) return PARE_OK;
    if (!x->at && (st = open_cache(c, x, node, err)) != PARE_OK) return st;
    for (int which = 0; which < 2; which++) {
        const float *rows = which ? v : k;
        const int64_t dim = which ? a->v_dim : a->dim, all = a->kv_heads * dim;
        for (int64_t r = 0; r < x->ranges && st == PARE_OK; r++)
            st = x->ranges == 1 ? pare_collect_add(x->at[which], text, rows, NULL, n, err)
                                : add_head(x, x->at[which * x->ranges + r], text, rows + r * dim, n, all, dim, err);
    }
    return st;
}

static void clear_cache(calibrate_cache *x)
{
    for (int64_t i = 0; x->at && i < 2 * x->ranges; i++) pare_collect_free(x->at[i]);
    pare_dealloc(x->at);
    pare_dealloc(x->divisor);
    pare_dealloc(x->rows);
    *x = (calibrate_cache){ .done = x->done };
}

/* ---------------------------------------------------------------------------------------------------------------- scales */

/* In the work store they are scales behind those of the folds. */
static int64_t number_of(const calibrate *c, int64_t cache) { return (int64_t)c->folds.n + cache; }

static pare_status choose(calibrate *c, int64_t cache, pare_err *err)
{
    calibrate_cache *x = &c->caches[cache];
    pare_plan_cache *p = &c->plan->caches[cache];
    const pare_scheme scheme = { .act = PARE_ACT_STATIC_TENSOR, .act_bits = 8, .act_float = c->plan->kv.dtype == PARE_F8_E4M3FN };
    pare_stats stats;
    pare_status st;
    float *both = pare_alloc_zero(2 * (size_t)x->ranges, sizeof *both);
    if (!both) return pare_no_memory(err, "scales of a cache", 2 * (size_t)x->ranges * sizeof *both);
    for (int64_t i = 0; i < 2 * x->ranges; i++) {
        PARE_TRY(pare_collect_finish(x->at[i], &stats, err));
        const float s = pare_act_scale(&scheme, stats.range, &c->plan->kv_params);
        p->value[i / x->ranges][i % x->ranges] = both[i] = s > 0 ? s : 1.0f; /* nothing but zeros: any */
    }
    st = pare_workstore_put_scale(c->store, number_of(c, cache), both, 2 * x->ranges, "", err);
    x->done = true;
    clear_cache(x);
out:
    pare_dealloc(both);
    return st;
}

pare_status calibrate_kv_begin(calibrate *c, pare_err *err)
{
    if (!c->plan->n_caches) return PARE_OK;
    c->caches = pare_alloc_zero((size_t)c->plan->n_caches, sizeof *c->caches);
    if (!c->caches) return pare_no_memory(err, "caches", (size_t)c->plan->n_caches * sizeof *c->caches);
    for (int64_t i = 0; i < c->plan->n_caches; i++) {
        pare_plan_cache *p = &c->plan->caches[i];
        char note[200];
        if (!p->ranges) { /* of cross-attention */
            c->caches[i].done = true;
            continue;
        }
        float *both = pare_alloc_zero(2 * (size_t)p->ranges, sizeof *both);
        if (!both) return pare_no_memory(err, "scales of a cache", 2 * (size_t)p->ranges * sizeof *both);
        const pare_status st = pare_workstore_get_scale(c->store, number_of(c, i), both, 2 * p->ranges, note, &c->caches[i].done, err);
        for (int64_t k = 0; k < 2 * p->ranges; k++) p->value[k / p->ranges][k % p->ranges] = both[k];
        pare_dealloc(both);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

pare_status calibrate_kv_choose(calibrate *c, pare_err *err)
{
    pare_status st = PARE_OK;
    for (int64_t i = 0; i < c->plan->n_caches && st == PARE_OK; i++)
        if (c->caches[i].at) st = choose(c, i, err);
    return st;
}

bool calibrate_kv_done(const calibrate *c)
{
    for (int64_t i = 0; i < c->plan->n_caches; i++)
        if (!c->caches[i].done) return false;
    return true;
}

void calibrate_kv_end(calibrate *c)
{
    for (int64_t i = 0; c->caches && i < c->plan->n_caches; i++) clear_cache(&c->caches[i]);
    pare_dealloc(c->caches);
    c->caches = NULL;
}
