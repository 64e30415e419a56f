/* SPDX-License-Identifier: Apache-2.0 */
/* y = act(a) * b: the gate of a gated MLP (Shazeer 2020), in one pass. */
#include "graph/op.h"

typedef struct attr { pare_activation kind; } attr;

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    pare_status st = pare_op_arity(g, node, 2, 0, 1, err);
    return st != PARE_OK ? st : pare_op_same_shape(g, node, err);
}

typedef struct job { const pare_kernels *k; float *y; const float *a, *b; int64_t cols; pare_activation kind; } job;

static void rows_of(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    j->k->activate_mul(j->y + row0 * j->cols, j->a + row0 * j->cols, j->b + row0 * j->cols, rows * j->cols, j->kind);
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const job j = { x->k, pare_x_value(x, node->out[0]), pare_x_value(x, node->in[0]), pare_x_value(x, node->in[1]), pare_x_cols(x, node->out[0]),
                    ((const attr *)node->attr)->kind };
    return pare_x_each(x, pare_op_rows(x, node), j.cols, rows_of, &j, err);
}

pare_gv pare_g_act_mul(pare_graph *g, pare_gv a, pare_gv b, pare_activation kind)
{
    const attr at = { kind };
    return pare_g_node(g, "act_mul", (pare_gv[]){ a, b }, 2, NULL, 0, &at, sizeof at, NULL, 1);
}

/* Through b, which is a factor. */
static bool divide(const pare_graph *g, const pare_gnode *node, int out, pare_gdivide *how)
{
    (void)g, (void)node, (void)out;
    *how = (pare_gdivide){ .in = 1 };
    return true;
}

const pare_gop pare_gop_act_mul = { .name = "act_mul", .help = "act(a) * b", .shape = shape, .forward = forward, .inplace = pare_op_always, .divide = divide };
