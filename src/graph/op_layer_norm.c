/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LayerNorm (Ba, Kiros, Hinton 2016) of blocks of `dim` columns: y = (x - mean) / sqrt(var + eps) * w + b. Weights: `sets` times w, then `sets`
 * times b; PARE_G_NONE = none. One set of n*dim numbers is spread over n blocks (Cohere's [heads, dim]); `heads` sets of dim: one a head (StableLM).
 */
#include "graph/op.h"

typedef struct attr { int64_t dim; int sets; float eps; } attr;

static int64_t numel(const pare_gweight *w)
{
    int64_t n = 1;
    for (int d = 0; d < w->ndim; d++) n *= w->shape[d];
    return n;
}

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    char text[96];
    const attr *a = node->attr;
    pare_status st = pare_op_arity(g, node, 1, 2 * a->sets, 1, err);
    if (st == PARE_OK) st = pare_op_same_shape(g, node, err);
    if (st != PARE_OK) return st;
    const int64_t cols = pare_g_cols(g, node->in[0]);
    if (a->dim < 1 || cols % a->dim || a->sets < 1 || (a->sets > 1 && cols / a->dim != a->sets))
        return pare_fail(err, PARE_ERR_FORMAT, "%s does not fall into %d blocks of %lld", pare_g_shape_text(g, node->in[0], text), a->sets, (long long)a->dim);
    for (int i = 0; i < 2 * a->sets; i++) {
        if (node->w[i] < 0) continue;
        const bool spread = a->sets == 1 && numel(&g->weights.at[node->w[i]]) == cols;
        if ((st = pare_op_vector(g, node, i, spread ? cols : a->dim, err)) != PARE_OK) return st;
    }
    return PARE_OK;
}

typedef struct job { const pare_exec *x; const pare_gnode *node; float *y; const float *in; int64_t blocks; bool spread_w, spread_b; } job;

static void norm_rows(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    const attr *a = j->node->attr;
    const float *w = pare_x_vector(j->x, j->node->w[0]), *b = pare_x_vector(j->x, j->node->w[a->sets]);
    for (int64_t i = row0 * j->blocks; i < (row0 + rows) * j->blocks; i++) {
        const int64_t block = i % j->blocks;
        if (a->sets > 1) {
            w = pare_x_vector(j->x, j->node->w[block]);
            b = pare_x_vector(j->x, j->node->w[a->sets + block]);
        }
        j->x->k->layer_norm(j->y + i * a->dim, j->in + i * a->dim, w && j->spread_w ? w + block * a->dim : w, b && j->spread_b ? b + block * a->dim : b, a->dim,
                            a->eps);
    }
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const attr *a = node->attr;
    const int64_t cols = pare_x_cols(x, node->in[0]);
    job j = { .x = x, .node = node, .y = pare_x_value(x, node->out[0]), .in = pare_x_value(x, node->in[0]), .blocks = cols / a->dim };
    j.spread_w = a->sets == 1 && node->w[0] >= 0 && numel(&x->graph->weights.at[node->w[0]]) == cols;
    j.spread_b = a->sets == 1 && node->w[1] >= 0 && numel(&x->graph->weights.at[node->w[1]]) == cols;
    return pare_x_each(x, pare_op_rows(x, node), cols, norm_rows, &j, err);
}

pare_gv pare_g_layer_norm(pare_graph *g, pare_gv x, const char *module, float eps, bool weight, bool bias)
{
    const int64_t dim = g->failed || x < 0 || (size_t)x >= g->values.n ? 1 : pare_g_cols(g, x);
    const attr a = { dim, 1, eps };
    const pare_gw w[2] = { weight ? pare_g_vector(g, pare_g_text(g, "%s.weight", module), dim) : PARE_G_NONE,
                           bias ? pare_g_vector(g, pare_g_text(g, "%s.bias", module), dim) : PARE_G_NONE };
    return pare_g_node(g, "layer_norm", &x, 1, w, 2, &a, sizeof a, NULL, 1);
}

pare_gv pare_g_layer_norm_heads(pare_graph *g, pare_gv x, const char *module, int64_t heads, int64_t dim, float eps, bool bias)
{
    const attr a = { dim, 1, eps };
    const int64_t dims[2] = { heads, dim };
    const pare_gw w[2] = { pare_g_weight(g, PARE_GW_VECTOR, pare_g_text(g, "%s.weight", module), 2, dims),
                           bias ? pare_g_weight(g, PARE_GW_VECTOR, pare_g_text(g, "%s.bias", module), 2, dims) : PARE_G_NONE };
    return pare_g_node(g, "layer_norm", &x, 1, w, 2, &a, sizeof a, NULL, 1);
}

pare_gv pare_g_layer_norm_each(pare_graph *g, pare_gv x, const char *const *modules, int64_t heads, int64_t dim, float eps, bool bias)
{
    enum { MOST = 1024 };
    pare_gw w[2 * MOST];
    if (heads < 1 || heads > MOST) {
        pare_g_fail(g, PARE_ERR_FORMAT, "graph: norms of %lld heads; 1 to %d are possible", (long long)heads, MOST);
        return PARE_G_NONE;
    }
    const attr a = { dim, (int)heads, eps };
    for (int64_t h = 0; h < heads; h++) {
        w[h] = pare_g_vector(g, pare_g_text(g, "%s.weight", modules[h]), dim);
        w[heads + h] = bias ? pare_g_vector(g, pare_g_text(g, "%s.bias", modules[h]), dim) : PARE_G_NONE;
    }
    return pare_g_node(g, "layer_norm", &x, 1, w, (int)(2 * heads), &a, sizeof a, NULL, 1);
}

/* A norm of whole rows with weights of its own. */
static bool divide(const pare_graph *g, const pare_gnode *node, int out, pare_gdivide *how)
{
    const attr *a = node->attr;
    (void)out;
    *how = (pare_gdivide){ .here = true, .weight = node->w[0], .bias = node->w[a->sets] };
    return a->sets == 1 && node->w[0] >= 0 && a->dim == pare_g_cols(g, node->in[0]);
}

const pare_gop pare_gop_layer_norm = { .name = "layer_norm", .help = "layer norm of rows or heads", .shape = shape, .forward = forward, .inplace = pare_op_always, .divide = divide };
