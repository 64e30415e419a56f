/* SPDX-License-Identifier: Apache-2.0 */
/* y = a + b. */
#include "graph/op.h"

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    pare_status st = pare_op_arity(g, node, 2, 0, 1, err);
    return st != PARE_OK ? st : pare_op_same_shape(g, node, err);
}

typedef struct job { const pare_kernels *k; float *y; const float *a, *b; int64_t cols; } job;

static void rows_of(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    j->k->add_f32(j->y + row0 * j->cols, j->a + row0 * j->cols, j->b + row0 * j->cols, rows * j->cols);
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const job j = { x->k, pare_x_value(x, node->out[0]), pare_x_value(x, node->in[0]), pare_x_value(x, node->in[1]), pare_x_cols(x, node->out[0]) };
    return pare_x_each(x, pare_op_rows(x, node), j.cols, rows_of, &j, err);
}

pare_gv pare_g_add(pare_graph *g, pare_gv a, pare_gv b) { return pare_g_node(g, "add", (pare_gv[]){ a, b }, 2, NULL, 0, NULL, 0, NULL, 1); }

const pare_gop pare_gop_add = { .name = "add", .help = "a + b", .shape = shape, .forward = forward, .inplace = pare_op_always };
