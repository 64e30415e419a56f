/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotary embedding (Su et al. 2021) of the columns [first, first + dim) of each head: x is turned by the angle position * inv_freq. Cosines and sines of the
 * chunk's tokens are worked out once for all nodes with the same frequencies (positions.c).
 */
#include <math.h>
#include <string.h>

#include "graph/engine.h"

static bool finite_all(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    char text[96];
    const pare_rope *r = node->attr;
    pare_status st = pare_op_arity(g, node, 1, 0, 1, err);
    if (st != PARE_OK) return st;
    const pare_gvalue *x = pare_g_value(g, node->in[0]);
    if (r->heads < 1 || r->head_dim < 1 || x->ndim != 2 || x->shape[0] != PARE_DIM_TOKENS || x->shape[1] % r->heads || x->shape[1] / r->heads != r->head_dim)
        return pare_fail(err, PARE_ERR_FORMAT, "%s is not %lld heads of %lld", pare_g_shape_text(g, node->in[0], text), (long long)r->heads, (long long)r->head_dim);
    if (r->dim < 2 || r->dim > PARE_ROPE_MAX || r->dim % 2 || r->first < 0 || r->first > r->head_dim || r->dim > r->head_dim - r->first)
        return pare_fail(err, PARE_ERR_FORMAT, "%lld rotated columns from %lld on of heads of %lld", (long long)r->dim, (long long)r->first, (long long)r->head_dim);
    if (!r->inv_freq || !finite_all(r->inv_freq, r->dim / 2) || (r->long_inv_freq && !finite_all(r->long_inv_freq, r->dim / 2)))
        return pare_fail(err, PARE_ERR_FORMAT, "its frequencies are missing or not finite");
    if ((r->long_inv_freq || r->dynamic) && r->original < 1) return pare_fail(err, PARE_ERR_FORMAT, "original length %lld", (long long)r->original);
    return pare_op_same_shape(g, node, err);
}

typedef struct job { const pare_kernels *k; const pare_rope *r; const pare_rope_table *table; float *y; const float *x; int64_t cols; } job;

static void turn_rows(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    const int64_t half = j->r->dim / 2;
    for (int64_t t = row0; t < row0 + rows; t++) {
        float *y = j->y + t * j->cols;
        if (j->y != j->x) memcpy(y, j->x + t * j->cols, (size_t)j->cols * sizeof *y);
        for (int64_t h = 0; h < j->r->heads; h++)
            j->k->rope(y + h * j->r->head_dim + j->r->first, j->table->cos + t * half, j->table->sin + t * half, half, j->r->pairs);
    }
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const job j = { x->k, node->attr, &x->engine->ropes.at[x->engine->node_table[pare_node_index(x, node)]], pare_x_value(x, node->out[0]),
                    pare_x_value(x, node->in[0]), pare_x_cols(x, node->in[0]) };
    return pare_x_each(x, x->tokens, j.cols, turn_rows, &j, err);
}

pare_gv pare_g_rope(pare_graph *g, pare_gv x, const pare_rope *rope) { return pare_g_node(g, "rope", &x, 1, NULL, 0, rope, sizeof *rope, NULL, 1); }

const pare_gop pare_gop_rope = { .name = "rope", .help = "rotary position embedding of heads", .shape = shape, .forward = forward, .inplace = pare_op_always };
