/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a table by position: y[t] = table[position[t] + offset]. The engine lets no sequence grow beyond the table. */
#include "graph/op.h"

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    const pare_op_offset *a = node->attr;
    if (node->n_in != 1 || node->n_w != 1 || node->n_out != 1 || node->w[0] < 0 || !a || node->in[0] != g->ids)
        return pare_fail(err, PARE_ERR_USAGE, "it takes the graph's ids and a table");
    const pare_gweight *w = &g->weights.at[node->w[0]];
    if (w->role != PARE_GW_TABLE) return pare_fail(err, PARE_ERR_USAGE, "weight '%s' is no table", w->name);
    if (a->offset < 0 || a->offset >= w->shape[0])
        return pare_fail(err, PARE_ERR_FORMAT, "positions from row %lld on of '%s' with its %lld rows", (long long)a->offset, w->name, (long long)w->shape[0]);
    pare_g_set_shape(g, node->out[0], 2, (int64_t[]){ PARE_DIM_TOKENS, w->shape[1] });
    return PARE_OK;
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const int64_t offset = ((const pare_op_offset *)node->attr)->offset;
    const pare_gweight *w = &x->graph->weights.at[node->w[0]];
    float *y = pare_x_value(x, node->out[0]);
    for (int64_t t = 0; t < x->tokens; t++, y += w->shape[1]) {
        const int64_t row = x->pos[t] + offset;
        if (row < 0 || row >= w->shape[0])
            return pare_fail(err, PARE_ERR_USAGE, "position %d is outside of '%s' with its %lld rows", (int)x->pos[t], w->name, (long long)w->shape[0]);
        pare_status st = pare_x_table_row(x, node->w[0], row, y, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

pare_gv pare_g_embed_positions(pare_graph *g, pare_gw table, int64_t offset)
{
    const pare_op_offset a = { offset };
    const pare_gv ids = pare_g_ids(g);
    return pare_g_node(g, "embed_positions", &ids, 1, &table, 1, &a, sizeof a, NULL, 1);
}

const pare_gop pare_gop_embed_positions = { .name = "embed_positions", .help = "rows of a table by position", .shape = shape, .forward = forward };
