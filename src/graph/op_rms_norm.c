/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RMSNorm (Zhang, Sennrich 2019) of blocks of `dim` columns: y = x / sqrt(mean(x^2) + eps) * (w + add). dim = all columns: the usual norm;
 * dim of a head: the norm of queries and keys (Qwen3, Gemma 3), one weight [dim] for all heads.
 */
#include "graph/op.h"

typedef struct attr { int64_t dim; float eps, add; } attr;

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    char text[96];
    const attr *a = node->attr;
    pare_status st = pare_op_arity(g, node, 1, 1, 1, err);
    if (st == PARE_OK) st = pare_op_same_shape(g, node, err);
    if (st != PARE_OK) return st;
    if (a->dim < 1 || pare_g_cols(g, node->in[0]) % a->dim)
        return pare_fail(err, PARE_ERR_FORMAT, "%s does not fall into blocks of %lld", pare_g_shape_text(g, node->in[0], text), (long long)a->dim);
    return node->w[0] < 0 ? PARE_OK : pare_op_vector(g, node, 0, a->dim, err);
}

typedef struct job { const pare_kernels *k; float *y; const float *x, *w; int64_t blocks; attr a; } job;

static void norm_rows(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    for (int64_t b = row0 * j->blocks; b < (row0 + rows) * j->blocks; b++)
        j->k->rms_norm(j->y + b * j->a.dim, j->x + b * j->a.dim, j->w, j->a.dim, j->a.eps, j->a.add);
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const attr *a = node->attr;
    const int64_t cols = pare_x_cols(x, node->in[0]);
    const job j = { x->k, pare_x_value(x, node->out[0]), pare_x_value(x, node->in[0]), pare_x_vector(x, node->w[0]), cols / a->dim, *a };
    return pare_x_each(x, pare_op_rows(x, node), cols, norm_rows, &j, err);
}

static pare_gv make(pare_graph *g, pare_gv x, const char *weight, int64_t dim, float eps, float add)
{
    const attr a = { dim, eps, add };
    const pare_gw w = weight ? pare_g_vector(g, weight, dim) : PARE_G_NONE;
    return pare_g_node(g, "rms_norm", &x, 1, &w, 1, &a, sizeof a, NULL, 1);
}

pare_gv pare_g_rms_norm(pare_graph *g, pare_gv x, const char *weight, float eps, float add)
{
    return make(g, x, weight, g->failed || x < 0 || (size_t)x >= g->values.n ? 1 : pare_g_cols(g, x), eps, add);
}

pare_gv pare_g_rms_norm_heads(pare_graph *g, pare_gv x, const char *weight, int64_t dim, float eps, float add) { return make(g, x, weight, dim, eps, add); }

/* A norm of whole rows with a weight of its own; one weight for all heads cannot be divided column by column. */
static bool divide(const pare_graph *g, const pare_gnode *node, int out, pare_gdivide *how)
{
    const attr *a = node->attr;
    (void)out;
    *how = (pare_gdivide){ .here = true, .weight = node->w[0], .bias = PARE_G_NONE, .add = a->add };
    return node->w[0] >= 0 && a->dim == pare_g_cols(g, node->in[0]);
}

const pare_gop pare_gop_rms_norm = { .name = "rms_norm", .help = "root mean square norm of rows or heads", .shape = shape, .forward = forward, .inplace = pare_op_always, .divide = divide };
