/* SPDX-License-Identifier: Apache-2.0 */
/* Only the rows whose logits are wanted: [tokens, n] -> [wanted, n]. The engine runs what comes after it in blocks of rows. */
#include <string.h>

#include "graph/op.h"

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    char text[96];
    int64_t dims[PARE_MAX_DIMS];
    pare_status st = pare_op_arity(g, node, 1, 0, 1, err);
    if (st != PARE_OK) return st;
    const pare_gvalue *x = pare_g_value(g, node->in[0]);
    if (x->shape[0] != PARE_DIM_TOKENS) return pare_fail(err, PARE_ERR_USAGE, "%s has no row a token", pare_g_shape_text(g, node->in[0], text));
    memcpy(dims, x->shape, sizeof dims);
    dims[0] = PARE_DIM_WANTED;
    pare_g_set_shape(g, node->out[0], x->ndim, dims);
    return PARE_OK;
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    (void)err;
    const int64_t cols = pare_x_cols(x, node->in[0]);
    const float *in = pare_x_value(x, node->in[0]);
    float *y = pare_x_value(x, node->out[0]);
    for (int64_t i = 0; i < x->wanted; i++) memcpy(y + i * cols, in + x->want_rows[i] * cols, (size_t)cols * sizeof *y);
    return PARE_OK;
}

pare_gv pare_g_rows_last(pare_graph *g, pare_gv x) { return pare_g_node(g, "rows_last", &x, 1, NULL, 0, NULL, 0, NULL, 1); }

const pare_gop pare_gop_rows_last = { .name = "rows_last", .help = "the rows whose logits are wanted", .shape = shape, .forward = forward };
