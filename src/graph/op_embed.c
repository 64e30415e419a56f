/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a table by id, times a factor: y[t] = table[id[t]] * scale. The ids are the token ids or the token types. */
#include "graph/op.h"

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    const pare_op_floats *a = node->attr;
    if (node->n_in != 1 || node->n_w != 1 || node->n_out != 1 || node->w[0] < 0 || !a) return pare_fail(err, PARE_ERR_USAGE, "it takes ids and a table");
    const pare_gweight *w = &g->weights.at[node->w[0]];
    if (node->in[0] != g->ids && node->in[0] != g->types) return pare_fail(err, PARE_ERR_USAGE, "it looks up the graph's ids or types");
    if (w->role != PARE_GW_TABLE) return pare_fail(err, PARE_ERR_USAGE, "weight '%s' is no table", w->name);
    pare_g_set_shape(g, node->out[0], 2, (int64_t[]){ PARE_DIM_TOKENS, w->shape[1] });
    return PARE_OK;
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const float scale = ((const pare_op_floats *)node->attr)->a;
    const pare_gweight *w = &x->graph->weights.at[node->w[0]];
    const int32_t *ids = node->in[0] == x->graph->ids ? x->ids : x->types;
    const int64_t cols = w->shape[1];
    float *y = pare_x_value(x, node->out[0]);
    for (int64_t t = 0; t < x->tokens; t++, y += cols) {
        const int32_t id = ids ? ids[t] : 0;
        if (id < 0 || id >= w->shape[0])
            return pare_fail(err, PARE_ERR_USAGE, "id %d is outside of '%s' with its %lld rows", (int)id, w->name, (long long)w->shape[0]);
        pare_status st = pare_x_table_row(x, node->w[0], id, y, err);
        if (st != PARE_OK) return st;
        if (scale != 1.0f)
            for (int64_t c = 0; c < cols; c++) y[c] *= scale;
    }
    return PARE_OK;
}

pare_gv pare_g_embed(pare_graph *g, pare_gv ids, pare_gw table, float scale)
{
    const pare_op_floats a = { scale, 0 };
    return pare_g_node(g, "embed", &ids, 1, &table, 1, &a, sizeof a, NULL, 1);
}

const pare_gop pare_gop_embed = { .name = "embed", .help = "rows of a table by token id or type, times a factor", .shape = shape, .forward = forward };
