/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A graph being built: values, weights and nodes in one arena, the first failure kept. Nodes can only use values made before them, so
 * the order of nodes is an order of computation.
 */
#include <stdarg.h>
#include <string.h>

#include "graph/op.h"

enum { MAX_NODES = 1 << 20, MAX_ENDS = 1 << 16 /* inputs, weights, outputs of one node: 3 a MoE expert */ };
#define MAX_DIM ((int64_t)1 << 40)

/* ---------------------------------------------------------------------------------------------------------------- registry */

static const pare_gop *const ops[] = {
#define PARE_GOP(x) &pare_gop_##x,
#include "graph/gops.def"
#undef PARE_GOP
    NULL
};

const pare_gop *const *pare_gops(void) { return ops; }

const pare_gop *pare_gop_find(const char *name)
{
    for (int i = 0; ops[i]; i++)
        if (!strcmp(ops[i]->name, name)) return ops[i];
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------------- graph */

pare_graph *pare_graph_new(pare_gkind kind, pare_err *err)
{
    pare_graph *g = pare_alloc_zero(1, sizeof *g);
    if (!g) {
        pare_no_memory(err, "graph", sizeof *g);
        return NULL;
    }
    g->kind = kind;
    g->layer = -1;
    g->ids = g->types = g->memory = g->hidden_out = g->logits = g->pooled = PARE_G_NONE;
    g->decoder_start = -1;
    g->prefix = g->summary = "";
    return g;
}

void pare_graph_free(pare_graph *g)
{
    if (!g) return;
    pare_graph_free(g->encoder);
    PARE_VEC_CLEAR(&g->values);
    PARE_VEC_CLEAR(&g->weights);
    PARE_VEC_CLEAR(&g->nodes);
    PARE_VEC_CLEAR(&g->caches);
    pare_arena_clear(&g->arena);
    pare_dealloc(g);
}

void pare_g_fail(pare_graph *g, pare_status code, const char *format, ...)
{
    char text[sizeof g->error.text];
    va_list args;
    if (g->failed) return;
    va_start(args, format);
    pare_vformat(text, sizeof text, format, args);
    va_end(args);
    g->failed = true;
    pare_fail(&g->error, code, "%s", text);
}

static void no_memory(pare_graph *g, size_t bytes)
{
    pare_err err = { 0 };
    pare_no_memory(&err, "graph", bytes);
    pare_g_fail(g, err.code, "%s", err.text);
}

/* Arena memory; NULL and failed when there is none. */
static void *take(pare_graph *g, size_t bytes)
{
    void *at = pare_arena_alloc(&g->arena, bytes);
    if (!at) no_memory(g, bytes);
    return at;
}

const char *pare_g_text(pare_graph *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = pare_vformat(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : take(g, (size_t)n + 1);
    if (!text) return "";
    va_start(args, format);
    pare_vformat(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

void pare_g_layer(pare_graph *g, int layer)
{
    g->layer = layer;
    if (layer >= g->layers) g->layers = layer + 1;
}

/* -------------------------------------------------------------------------------------------------------------------- text */

static const char *const symbols[] = { "?", "tokens", "memory", "sequences", "wanted" }; /* by -PARE_DIM_* */

static const char *dims_text(int ndim, const int64_t *shape, char out[96])
{
    int n = pare_print(out, 96, "[");
    for (int d = 0; d < ndim && n < 80; d++) {
        if (shape[d] < 0 && shape[d] >= PARE_DIM_WANTED) n += pare_print(out + n, (size_t)(96 - n), "%s%s", d ? ", " : "", symbols[-shape[d]]);
        else n += pare_print(out + n, (size_t)(96 - n), "%s%lld", d ? ", " : "", (long long)shape[d]);
    }
    if (n < 95) pare_print(out + n, (size_t)(96 - n), "]");
    return out;
}

const char *pare_g_shape_text(const pare_graph *g, pare_gv v, char out[96])
{
    if (v < 0 || (size_t)v >= g->values.n) {
        pare_print(out, 96, "none");
        return out;
    }
    return dims_text(g->values.at[v].ndim, g->values.at[v].shape, out);
}

const char *pare_g_weight_shape_text(const pare_gweight *w, char out[96]) { return dims_text(w->ndim, w->shape, out); }

/* ----------------------------------------------------------------------------------------------------------------- weights */

static bool sane_shape(int ndim, const int64_t *shape)
{
    int64_t n = 1;
    for (int d = 0; d < ndim; d++)
        if (shape[d] < 1 || shape[d] > MAX_DIM || __builtin_mul_overflow(n, shape[d], &n) || n > MAX_DIM) return false;
    return true;
}

pare_gw pare_g_weight(pare_graph *g, pare_gw_role role, const char *name, int ndim, const int64_t *shape)
{
    char text[96];
    pare_gweight w = { .role = role, .layer = g->layer, .ndim = ndim, .tied = PARE_G_NONE };
    if (g->failed) return PARE_G_NONE;
    if (ndim < 1 || ndim > 4 || (ndim != 2 && role != PARE_GW_VECTOR)) {
        pare_g_fail(g, PARE_ERR_USAGE, "weight '%s': rank %d", name, ndim);
        return PARE_G_NONE;
    }
    if (!sane_shape(ndim, shape)) {
        pare_g_fail(g, PARE_ERR_FORMAT, "weight '%s': shape %s is not possible", name, dims_text(ndim, shape, text));
        return PARE_G_NONE;
    }
    memcpy(w.shape, shape, (size_t)ndim * sizeof *shape);
    w.name = pare_g_text(g, "%s", name);
    if (g->failed) return PARE_G_NONE;
    if (g->weights.n >= MAX_NODES || !PARE_VEC_PUSH(&g->weights, w)) {
        no_memory(g, sizeof w);
        return PARE_G_NONE;
    }
    return (pare_gw)g->weights.n - 1;
}

pare_gw pare_g_vector(pare_graph *g, const char *name, int64_t n) { return pare_g_weight(g, PARE_GW_VECTOR, name, 1, &n); }

pare_gweight *pare_g_w(pare_graph *g, pare_gw w)
{
    if (w >= 0 && (size_t)w < g->weights.n) return &g->weights.at[w];
    memset(&g->spare, 0, sizeof g->spare);
    g->spare.name = "";
    g->spare.tied = PARE_G_NONE;
    return &g->spare;
}

/* ------------------------------------------------------------------------------------------------------------------ values */

const pare_gvalue *pare_g_value(const pare_graph *g, pare_gv v) { return &g->values.at[v]; }

int64_t pare_g_cols(const pare_graph *g, pare_gv v)
{
    const pare_gvalue *x = pare_g_value(g, v);
    int64_t n = 1;
    for (int d = 1; d < x->ndim; d++) n *= x->shape[d] > 0 ? x->shape[d] : 1;
    return n;
}

void pare_g_set_shape(pare_graph *g, pare_gv v, int ndim, const int64_t *shape)
{
    pare_gvalue *x = &g->values.at[v];
    x->ndim = ndim;
    memcpy(x->shape, shape, (size_t)ndim * sizeof *shape);
}

static pare_gv new_value(pare_graph *g, pare_dtype dtype, int32_t node, int32_t out, const char *name)
{
    const pare_gvalue v = { .name = name, .dtype = dtype, .node = node, .out = out };
    if (!PARE_VEC_PUSH(&g->values, v)) {
        no_memory(g, sizeof v);
        return PARE_G_NONE;
    }
    return (pare_gv)g->values.n - 1;
}

static pare_gv input(pare_graph *g, pare_gv *slot, pare_dtype dtype, const char *name, int ndim, const int64_t *shape)
{
    if (g->failed) return PARE_G_NONE;
    if (*slot == PARE_G_NONE) {
        *slot = new_value(g, dtype, -1, 0, name);
        if (*slot != PARE_G_NONE) pare_g_set_shape(g, *slot, ndim, shape);
    }
    return *slot;
}

pare_gv pare_g_ids(pare_graph *g) { return input(g, &g->ids, PARE_I32, "ids", 1, (int64_t[]){ PARE_DIM_TOKENS }); }
pare_gv pare_g_types(pare_graph *g) { return input(g, &g->types, PARE_I32, "types", 1, (int64_t[]){ PARE_DIM_TOKENS }); }

pare_gv pare_g_memory(pare_graph *g, int64_t hidden)
{
    if (hidden < 1 || hidden > MAX_DIM) {
        pare_g_fail(g, PARE_ERR_FORMAT, "an encoder's result of %lld columns is not possible", (long long)hidden);
        return PARE_G_NONE;
    }
    return input(g, &g->memory, PARE_F32, "memory", 2, (int64_t[]){ PARE_DIM_MEMORY, hidden });
}

/* ------------------------------------------------------------------------------------------------------------------- nodes */

int pare_g_cache(pare_graph *g, int64_t kv_heads, int64_t k_dim, int64_t v_dim, int64_t window)
{
    const pare_gcache c = { .kv_heads = kv_heads, .k_dim = k_dim, .v_dim = v_dim, .window = window };
    if (g->failed) return -1;
    if (!sane_shape(3, (int64_t[]){ kv_heads, k_dim, v_dim })) {
        pare_g_fail(g, PARE_ERR_FORMAT, "a cache of %lld heads with keys of %lld and values of %lld is not possible", (long long)kv_heads,
                    (long long)k_dim, (long long)v_dim);
        return -1;
    }
    if (g->caches.n >= MAX_NODES || !PARE_VEC_PUSH(&g->caches, c)) {
        no_memory(g, sizeof c);
        return -1;
    }
    return (int)g->caches.n - 1;
}

/* "node 12 (linear 'model.layers.3.mlp.up_proj.weight', layer 3)" in front of an error. */
static void fail_node(pare_graph *g, const pare_gnode *node, const pare_err *why)
{
    char in[96];
    const char *w = node->n_w > 0 && node->w[0] >= 0 ? g->weights.at[node->w[0]].name : "";
    pare_g_fail(g, why->code, "graph: node %zu, %s%s%s%s of %s%s: %s", g->nodes.n, node->op->name, *w ? " '" : "", w, *w ? "'" : "",
                node->n_in > 0 ? pare_g_shape_text(g, node->in[0], in) : "nothing", node->layer >= 0 ? pare_g_text(g, " in layer %d", node->layer) : "",
                why->text);
}

static bool ends_exist(pare_graph *g, const char *op, const pare_gv *in, int n_in, const pare_gw *w, int n_w, int n_out)
{
    if (n_in < 0 || n_w < 0 || n_out < 1 || n_in > MAX_ENDS || n_w > MAX_ENDS || n_out > MAX_ENDS || g->nodes.n >= MAX_NODES) {
        pare_g_fail(g, PARE_ERR_USAGE, "graph: node %zu, %s: %d inputs, %d weights, %d outputs", g->nodes.n, op, n_in, n_w, n_out);
        return false;
    }
    for (int i = 0; i < n_in; i++)
        if (in[i] < 0 || (size_t)in[i] >= g->values.n) {
            pare_g_fail(g, PARE_ERR_USAGE, "graph: node %zu, %s: input %d is no value made before", g->nodes.n, op, i);
            return false;
        }
    for (int i = 0; i < n_w; i++)
        if (w[i] < PARE_G_NONE || (w[i] >= 0 && (size_t)w[i] >= g->weights.n)) {
            pare_g_fail(g, PARE_ERR_USAGE, "graph: node %zu, %s: weight %d does not exist", g->nodes.n, op, i);
            return false;
        }
    return true;
}

pare_gv pare_g_node(pare_graph *g, const char *op_name, const pare_gv *in, int n_in, const pare_gw *w, int n_w, const void *attr, size_t attr_bytes,
                    pare_gv *out, int n_out)
{
    pare_err err = { 0 };
    pare_gnode node = { .op = pare_gop_find(op_name), .layer = g->layer, .n_in = n_in, .n_w = n_w, .n_out = n_out };
    for (int i = 0; out && i < n_out; i++) out[i] = PARE_G_NONE;
    if (g->failed) return PARE_G_NONE;
    if (g->finished || !node.op) {
        pare_g_fail(g, PARE_ERR_USAGE, node.op ? "graph: node '%s' after the graph was finished" : "graph: there is no op '%s'", op_name);
        return PARE_G_NONE;
    }
    if (!ends_exist(g, op_name, in, n_in, w, n_w, n_out)) return PARE_G_NONE;
    node.in = take(g, (size_t)n_in * sizeof *in);
    node.w = take(g, (size_t)n_w * sizeof *w);
    node.out = take(g, (size_t)n_out * sizeof *out);
    void *copy = attr_bytes ? take(g, attr_bytes) : NULL;
    if (g->failed) return PARE_G_NONE;
    if (n_in) memcpy(node.in, in, (size_t)n_in * sizeof *in);
    if (n_w) memcpy(node.w, w, (size_t)n_w * sizeof *w);
    if (attr_bytes) memcpy(copy, attr, attr_bytes);
    node.attr = copy;
    for (int i = 0; i < n_out; i++)
        if ((node.out[i] = new_value(g, PARE_F32, (int32_t)g->nodes.n, i, node.op->name)) == PARE_G_NONE) return PARE_G_NONE;
    if (node.op->shape(g, &node, &err) != PARE_OK) {
        fail_node(g, &node, &err);
        return PARE_G_NONE;
    }
    if (g->failed) return PARE_G_NONE;
    if (!PARE_VEC_PUSH(&g->nodes, node)) {
        no_memory(g, sizeof node);
        return PARE_G_NONE;
    }
    for (int i = 0; out && i < n_out; i++) out[i] = node.out[i];
    return node.out[0];
}

/* ------------------------------------------------------------------------------------------------------------ shape rules */

pare_status pare_op_arity(const pare_graph *g, const pare_gnode *node, int n_in, int n_w, int n_out, pare_err *err)
{
    char text[96];
    if (node->n_in != n_in || (n_w >= 0 && node->n_w != n_w) || node->n_out != n_out)
        return pare_fail(err, PARE_ERR_USAGE, "%d inputs, %d weights, %d outputs; it takes %d, %d, %d", node->n_in, node->n_w, node->n_out, n_in, n_w, n_out);
    for (int i = 0; i < n_in; i++) {
        const pare_gvalue *v = pare_g_value(g, node->in[i]);
        if (v->dtype != PARE_F32 || v->ndim < 1)
            return pare_fail(err, PARE_ERR_USAGE, "input %d is %s %s, not f32", i, pare_dtype_get_info(v->dtype)->name, pare_g_shape_text(g, node->in[i], text));
    }
    return PARE_OK;
}

pare_status pare_op_same_shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    char a[96], b[96];
    const pare_gvalue *x = pare_g_value(g, node->in[0]);
    for (int i = 1; i < node->n_in; i++) {
        const pare_gvalue *y = pare_g_value(g, node->in[i]);
        if (x->ndim != y->ndim || memcmp(x->shape, y->shape, (size_t)x->ndim * sizeof *x->shape))
            return pare_fail(err, PARE_ERR_FORMAT, "%s and %s: shapes differ", pare_g_shape_text(g, node->in[0], a), pare_g_shape_text(g, node->in[i], b));
    }
    pare_g_set_shape(g, node->out[0], x->ndim, x->shape);
    return PARE_OK;
}

pare_status pare_op_vector(const pare_graph *g, const pare_gnode *node, int i, int64_t n, pare_err *err)
{
    char text[96];
    const pare_gweight *w;
    int64_t count = 1;
    if (i >= node->n_w || node->w[i] < 0) return pare_fail(err, PARE_ERR_USAGE, "weight %d is missing", i);
    w = &g->weights.at[node->w[i]];
    for (int d = 0; d < w->ndim; d++) count *= w->shape[d];
    if (w->role != PARE_GW_VECTOR) return pare_fail(err, PARE_ERR_USAGE, "weight '%s' is no vector", w->name);
    if (count != n)
        return pare_fail(err, PARE_ERR_FORMAT, "weight '%s' is %s, %lld elements are needed", w->name, pare_g_weight_shape_text(w, text), (long long)n);
    return PARE_OK;
}

bool pare_op_always(const pare_gnode *node)
{
    (void)node;
    return true;
}

/* ------------------------------------------------------------------------------------------------------------------ finish */

static void check_output(pare_graph *g, pare_gv v, const char *what, int64_t rows, int64_t or_rows)
{
    char text[96];
    if (v == PARE_G_NONE || g->failed) return;
    if (v < 0 || (size_t)v >= g->values.n) {
        pare_g_fail(g, PARE_ERR_USAGE, "graph: %s is no value of the graph", what);
        return;
    }
    const pare_gvalue *x = &g->values.at[v];
    if (x->node < 0 || x->ndim != 2 || (x->shape[0] != rows && x->shape[0] != or_rows))
        pare_g_fail(g, PARE_ERR_USAGE, "graph: %s has shape %s, which it cannot have", what, pare_g_shape_text(g, v, text));
}

pare_status pare_graph_finish(pare_graph *g, pare_err *err)
{
    if (g->encoder && !g->encoder->finished && !g->failed && pare_graph_finish(g->encoder, &g->error) != PARE_OK) g->failed = true;
    if (!g->failed && !g->nodes.n) pare_g_fail(g, PARE_ERR_USAGE, "graph: it has no nodes");
    if (!g->failed && g->ids == PARE_G_NONE) pare_g_fail(g, PARE_ERR_USAGE, "graph: it has no input for token ids");
    if (!g->failed && g->logits == PARE_G_NONE && g->hidden_out == PARE_G_NONE) pare_g_fail(g, PARE_ERR_USAGE, "graph: it has no output");
    if (!g->failed && (g->memory != PARE_G_NONE) != (g->encoder != NULL))
        pare_g_fail(g, PARE_ERR_USAGE, g->encoder ? "graph: nothing listens to its encoder" : "graph: cross-attention without an encoder");
    if (!g->failed && g->encoder) {
        const pare_graph *n = g->encoder;
        if (n->encoder || n->hidden_out == PARE_G_NONE || n->kind != PARE_G_ENCODER || pare_g_cols(n, n->hidden_out) != pare_g_cols(g, g->memory))
            pare_g_fail(g, PARE_ERR_USAGE, "graph: the encoder does not give rows of the %lld columns that the decoder listens to", (long long)pare_g_cols(g, g->memory));
    }
    check_output(g, g->hidden_out, "the hidden output", PARE_DIM_TOKENS, PARE_DIM_TOKENS);
    check_output(g, g->logits, "the output of logits", PARE_DIM_WANTED, PARE_DIM_TOKENS);
    check_output(g, g->pooled, "the pooled output", PARE_DIM_SEQUENCES, PARE_DIM_SEQUENCES);
    if (!g->failed && g->logits != PARE_G_NONE && g->vocab && pare_g_cols(g, g->logits) != g->vocab)
        pare_g_fail(g, PARE_ERR_FORMAT, "graph: logits have %lld columns, the vocabulary %lld", (long long)pare_g_cols(g, g->logits), (long long)g->vocab);
    if (g->failed) {
        if (err) *err = g->error;
        return g->error.code;
    }
    g->finished = true;
    return PARE_OK;
}
