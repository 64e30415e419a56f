/* SPDX-License-Identifier: Apache-2.0 */
/* Building skeletons: the helpers that arch_*.c use, the registry, and checked reading of config values. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"

#define PARE_ARCH(symbol) extern const pare_arch symbol;
#include "model/archs.def"
#undef PARE_ARCH

static const pare_arch *const archs[] = {
#define PARE_ARCH(symbol) &symbol,
#include "model/archs.def"
#undef PARE_ARCH
    NULL,
};

const pare_arch *const *pare_archs(void) { return archs; }

const pare_arch *pare_arch_find(const char *model_type) {
    for (int i = 0; model_type && archs[i]; i++)
        for (const char *const *t = archs[i]->model_types; *t; t++)
            if (strcmp(*t, model_type) == 0) return archs[i];
    return NULL;
}

void pare_skeleton_clear(pare_skeleton *s) {
    PARE_VEC_CLEAR(&s->rows);
    pare_arena_clear(&s->arena);
    memset(s, 0, sizeof *s);
}

const char *pare_skel_name(pare_skeleton *s, const char *format, ...) {
    char text[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    const char *kept = pare_arena_strdup(&s->arena, text);
    if (!kept) s->failed = true;
    return kept ? kept : "";
}

void pare_skel_add(pare_skeleton *s, pare_skeleton_kind kind, pare_dtype dtype, const char *name, int ndim, const int64_t *shape) {
    pare_skeleton_row r = {.name = name, .kind = kind, .dtype = dtype, .ndim = ndim};
    int64_t numel;
    memcpy(r.shape, shape, sizeof *shape * (size_t)ndim);
    if (!pare_shape_numel(ndim, shape, &numel)) {
        s->failed = true;
        return;
    }
    r.numel = (uint64_t)numel;
    if (!PARE_VEC_PUSH(&s->rows, r)) s->failed = true;
}

static void add1(pare_skeleton *s, pare_skeleton_kind kind, const char *module, const char *leaf, int64_t n) {
    pare_skel_add(s, kind, PARE_DTYPE_NONE, pare_skel_name(s, "%s.%s", module, leaf), 1, &n);
}

void pare_skel_linear(pare_skeleton *s, const char *module, int64_t out, int64_t in, bool bias) {
    pare_skel_add(s, PARE_SKEL_LINEAR, PARE_DTYPE_NONE, pare_skel_name(s, "%s.weight", module), 2, (const int64_t[]){out, in});
    if (bias) add1(s, PARE_SKEL_PARAMETER, module, "bias", out);
}

void pare_skel_head(pare_skeleton *s, const char *module, int64_t out, int64_t in, bool bias, bool tied) {
    pare_skel_add(s, PARE_SKEL_HEAD, PARE_DTYPE_NONE, pare_skel_name(s, "%s.weight", module), 2, (const int64_t[]){out, in});
    if (tied && s->rows.n) s->rows.at[s->rows.n - 1].tied = true;
    if (bias) add1(s, PARE_SKEL_PARAMETER, module, "bias", out);
}

void pare_skel_embedding(pare_skeleton *s, const char *module, int64_t n, int64_t dim) {
    pare_skel_add(s, PARE_SKEL_PARAMETER, PARE_DTYPE_NONE, pare_skel_name(s, "%s.weight", module), 2, (const int64_t[]){n, dim});
}

void pare_skel_norm(pare_skeleton *s, const char *module, int64_t dim, bool bias) {
    add1(s, PARE_SKEL_PARAMETER, module, "weight", dim);
    if (bias) add1(s, PARE_SKEL_PARAMETER, module, "bias", dim);
}

void pare_skel_conv(pare_skeleton *s, const char *module, int64_t out, int64_t in, int64_t k, bool bias) {
    pare_skel_add(s, PARE_SKEL_PARAMETER, PARE_DTYPE_NONE, pare_skel_name(s, "%s.weight", module), 4, (const int64_t[]){out, in, k, k});
    if (bias) add1(s, PARE_SKEL_PARAMETER, module, "bias", out);
}

pare_status pare_config_ints(const pare_jval *config, const pare_config_int *w, pare_err *err) {
    for (; w->key; w++) {
        const pare_jval *v = pare_j_get(config, w->key);
        const bool absent = v == NULL || pare_j_type(v) == PARE_J_NULL;
        if (absent && w->or_else < 0) return pare_fail(err, PARE_ERR_FORMAT, "config.json: '%s' is missing", w->key);
        if (!absent && pare_j_type(v) != PARE_J_INT) return pare_fail(err, PARE_ERR_FORMAT, "config.json: '%s' is not a whole number", w->key);
        *w->value = absent ? w->or_else : pare_j_int(v, 0);
        if (*w->value < 0 || *w->value > w->max || (!absent && *w->value == 0 && w->or_else < 0))
            return pare_fail(err, PARE_ERR_FORMAT, "config.json: '%s' is %lld, not between 1 and %lld", w->key, (long long)*w->value, (long long)w->max);
    }
    return PARE_OK;
}

/* Does a table or head of that name stand in these rows already? Encoder and decoder share their embedding. */
static bool shared(const pare_skeleton *s, const pare_gweight *w, size_t n)
{
    for (size_t i = 0; i < n && (w->role == PARE_GW_TABLE || w->role == PARE_GW_HEAD); i++)
        if (s->rows.at[i].kind != PARE_SKEL_LINEAR && strcmp(s->rows.at[i].name, w->name) == 0) return true;
    return false;
}

/* Weights that choose experts: matrices that no quantizer takes. */
static bool *find_routers(pare_skeleton *s, const pare_graph *g)
{
    bool *router = pare_arena_alloc(&s->arena, g->weights.n + 1);
    if (!router) return NULL;
    memset(router, 0, g->weights.n + 1);
    for (size_t i = 0; i < g->nodes.n; i++)
        if (strcmp(g->nodes.at[i].op->name, "moe") == 0) router[g->nodes.at[i].w[0]] = true;
    return router;
}

/* Every weight of the graph that a checkpoint must hold. */
static void add_graph(pare_skeleton *s, const pare_graph *g)
{
    const size_t before = s->rows.n;
    const bool *router = find_routers(s, g);
    if (!router) s->failed = true;
    for (size_t i = 0; i < g->weights.n && !s->failed; i++) {
        const pare_gweight *w = &g->weights.at[i];
        const bool linear = w->role == PARE_GW_LINEAR && !router[i];
        const pare_skeleton_kind kind = linear ? PARE_SKEL_LINEAR : w->role == PARE_GW_HEAD ? PARE_SKEL_HEAD : PARE_SKEL_PARAMETER;
        if (w->optional) continue;
        pare_skel_add(s, kind, PARE_DTYPE_NONE, pare_skel_name(s, "%s", w->name), w->ndim, w->shape);
        if (!s->failed) s->rows.at[s->rows.n - 1].tied = w->tied != PARE_G_NONE || shared(s, w, before);
    }
}

/* Caches that grow with the text; those of cross-attention are as long as the source. */
static void add_caches(pare_skeleton *s, const pare_graph *g)
{
    for (size_t i = 0; i < g->nodes.n; i++) {
        const pare_gnode *n = &g->nodes.at[i];
        const pare_attention *a = n->attr;
        if (strcmp(n->op->name, "attention") != 0 || a->cross || a->cache < 0 || (size_t)a->cache >= g->caches.n) continue;
        const pare_gcache *c = &g->caches.at[a->cache];
        s->cache.layers++;
        s->cache.kv_heads = c->kv_heads;
        s->cache.head_dim = (c->k_dim + c->v_dim + 1) / 2;
    }
}

/* An architecture that has no skeleton of its own: the graph of a checkpoint that holds what the config implies. */
static pare_status skeleton_of_graph(const pare_jval *config, const char *where, pare_skeleton *out, pare_err *err)
{
    pare_graph *g = NULL;
    const pare_status st = pare_model_graph(config, where, NULL, &g, err);
    if (st != PARE_OK) return st;
    if (g->encoder) add_graph(out, g->encoder);
    add_graph(out, g);
    add_caches(out, g);
    pare_graph_free(g);
    return out->failed ? pare_no_memory(err, where, 0) : PARE_OK;
}

pare_status pare_skeleton_of(const pare_jval *config, const char *where, pare_skeleton *out, pare_err *err)
{
    const char *type = pare_j_text(pare_j_get(config, "model_type"), NULL);
    const pare_arch *arch = pare_arch_find(type);
    memset(out, 0, sizeof *out);
    if (!type) return pare_fail(err, PARE_ERR_FORMAT, "%s: has no 'model_type'", where);
    if (!arch) {
        pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: sizes of model_type '%s' are not known without its weights", where, type);
        return pare_hint(err, "pare list archs; with the weights, any checkpoint can be estimated");
    }
    pare_status st;
    if (arch->skeleton) {
        st = arch->skeleton(config, out, err);
        if (st == PARE_OK && out->failed) st = pare_no_memory(err, where, 0);
        if (st != PARE_OK) st = pare_context(err, st, "%s", where);
    } else
        st = skeleton_of_graph(config, where, out, err);
    if (st != PARE_OK) pare_skeleton_clear(out);
    return st;
}
