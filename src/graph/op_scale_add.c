/* SPDX-License-Identifier: Apache-2.0 */
/* y = a * s + b. */
#include "graph/op.h"

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    pare_status st = pare_op_arity(g, node, 2, 0, 1, err);
    return st != PARE_OK ? st : pare_op_same_shape(g, node, err);
}

typedef struct job { const pare_kernels *k; float *y; const float *a, *b; int64_t cols; float s; } job;

static void rows_of(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    j->k->scale_add_f32(j->y + row0 * j->cols, j->a + row0 * j->cols, j->s, j->b + row0 * j->cols, rows * j->cols);
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const job j = { x->k, pare_x_value(x, node->out[0]), pare_x_value(x, node->in[0]), pare_x_value(x, node->in[1]), pare_x_cols(x, node->out[0]),
                    ((const pare_op_floats *)node->attr)->a };
    return pare_x_each(x, pare_op_rows(x, node), j.cols, rows_of, &j, err);
}

pare_gv pare_g_scale_add(pare_graph *g, pare_gv a, float s, pare_gv b)
{
    const pare_op_floats attr = { s, 0 };
    return pare_g_node(g, "scale_add", (pare_gv[]){ a, b }, 2, NULL, 0, &attr, sizeof attr, NULL, 1);
}

const pare_gop pare_gop_scale_add = { .name = "scale_add", .help = "a * s + b", .shape = shape, .forward = forward, .inplace = pare_op_always };
