/* SPDX-License-Identifier: Apache-2.0 */
/* y = a * b; b of one column multiplies every column of a (a gate a token). */
#include "graph/op.h"

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    pare_status st = pare_op_arity(g, node, 2, 0, 1, err);
    if (st != PARE_OK) return st;
    const pare_gvalue *a = pare_g_value(g, node->in[0]), *b = pare_g_value(g, node->in[1]);
    if (b->ndim == 2 && b->shape[1] == 1 && a->shape[0] == b->shape[0]) {
        pare_g_set_shape(g, node->out[0], a->ndim, a->shape);
        return PARE_OK;
    }
    return pare_op_same_shape(g, node, err);
}

typedef struct job { const pare_kernels *k; float *y; const float *a, *b; int64_t cols, b_cols; } job;

static void rows_of(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    if (j->b_cols == j->cols) {
        j->k->mul_f32(j->y + row0 * j->cols, j->a + row0 * j->cols, j->b + row0 * j->cols, rows * j->cols);
        return;
    }
    for (int64_t r = row0; r < row0 + rows; r++)
        for (int64_t c = 0; c < j->cols; c++) j->y[r * j->cols + c] = j->a[r * j->cols + c] * j->b[r];
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const job j = { x->k, pare_x_value(x, node->out[0]), pare_x_value(x, node->in[0]), pare_x_value(x, node->in[1]), pare_x_cols(x, node->out[0]),
                    pare_x_cols(x, node->in[1]) };
    return pare_x_each(x, pare_op_rows(x, node), j.cols, rows_of, &j, err);
}

pare_gv pare_g_mul(pare_graph *g, pare_gv a, pare_gv b) { return pare_g_node(g, "mul", (pare_gv[]){ a, b }, 2, NULL, 0, NULL, 0, NULL, 1); }

const pare_gop pare_gop_mul = { .name = "mul", .help = "a * b", .shape = shape, .forward = forward, .inplace = pare_op_always };
