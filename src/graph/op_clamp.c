/* SPDX-License-Identifier: Apache-2.0 */
/* y = min(max(x, low), high). */
#include "graph/op.h"

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    const pare_op_floats *a = node->attr;
    pare_status st = pare_op_arity(g, node, 1, 0, 1, err);
    if (st != PARE_OK) return st;
    if (!(a->a <= a->b)) return pare_fail(err, PARE_ERR_FORMAT, "limits %g and %g", (double)a->a, (double)a->b);
    return pare_op_same_shape(g, node, err);
}

typedef struct job { float *y; const float *x; int64_t cols; float low, high; } job;

static void rows_of(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    for (int64_t i = row0 * j->cols; i < (row0 + rows) * j->cols; i++) {
        const float v = j->x[i];
        j->y[i] = v < j->low ? j->low : v > j->high ? j->high : v;
    }
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const pare_op_floats *a = node->attr;
    const job j = { pare_x_value(x, node->out[0]), pare_x_value(x, node->in[0]), pare_x_cols(x, node->out[0]), a->a, a->b };
    return pare_x_each(x, pare_op_rows(x, node), j.cols, rows_of, &j, err);
}

pare_gv pare_g_clamp(pare_graph *g, pare_gv x, float low, float high)
{
    const pare_op_floats a = { low, high };
    return pare_g_node(g, "clamp", &x, 1, NULL, 0, &a, sizeof a, NULL, 1);
}

const pare_gop pare_gop_clamp = { .name = "clamp", .help = "x kept between two limits", .shape = shape, .forward = forward, .inplace = pare_op_always };
