/* SPDX-License-Identifier: Apache-2.0 */
/* y = x * s. */
#include "graph/op.h"

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    pare_status st = pare_op_arity(g, node, 1, 0, 1, err);
    return st != PARE_OK ? st : pare_op_same_shape(g, node, err);
}

typedef struct job { float *y; const float *x; int64_t cols; float s; } job;

static void rows_of(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    for (int64_t i = row0 * j->cols; i < (row0 + rows) * j->cols; i++) j->y[i] = j->x[i] * j->s;
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const job j = { pare_x_value(x, node->out[0]), pare_x_value(x, node->in[0]), pare_x_cols(x, node->out[0]), ((const pare_op_floats *)node->attr)->a };
    return pare_x_each(x, pare_op_rows(x, node), j.cols, rows_of, &j, err);
}

pare_gv pare_g_scale(pare_graph *g, pare_gv x, float s)
{
    const pare_op_floats a = { s, 0 };
    return pare_g_node(g, "scale", &x, 1, NULL, 0, &a, sizeof a, NULL, 1);
}

const pare_gop pare_gop_scale = { .name = "scale", .help = "x * s", .shape = shape, .forward = forward, .inplace = pare_op_always };
