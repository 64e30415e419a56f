/* SPDX-License-Identifier: Apache-2.0 */
/* y = cap * tanh(x / cap): Gemma 2's bound on logits. */
#include <string.h>

#include "graph/op.h"

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    const pare_op_floats *a = node->attr;
    pare_status st = pare_op_arity(g, node, 1, 0, 1, err);
    if (st != PARE_OK) return st;
    if (!(a->a > 0.0f)) return pare_fail(err, PARE_ERR_FORMAT, "a cap of %g", (double)a->a);
    return pare_op_same_shape(g, node, err);
}

typedef struct job { const pare_kernels *k; float *y; const float *x; int64_t cols; float cap; } job;

static void rows_of(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    float *y = j->y + row0 * j->cols;
    if (j->y != j->x) memcpy(y, j->x + row0 * j->cols, (size_t)(rows * j->cols) * sizeof *y);
    j->k->softcap(y, rows * j->cols, j->cap);
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const job j = { x->k, pare_x_value(x, node->out[0]), pare_x_value(x, node->in[0]), pare_x_cols(x, node->out[0]), ((const pare_op_floats *)node->attr)->a };
    return pare_x_each(x, pare_op_rows(x, node), j.cols, rows_of, &j, err);
}

pare_gv pare_g_softcap(pare_graph *g, pare_gv x, float cap)
{
    const pare_op_floats a = { cap, 0 };
    return pare_g_node(g, "softcap", &x, 1, NULL, 0, &a, sizeof a, NULL, 1);
}

const pare_gop pare_gop_softcap = { .name = "softcap", .help = "cap * tanh(x / cap)", .shape = shape, .forward = forward, .inplace = pare_op_always };
