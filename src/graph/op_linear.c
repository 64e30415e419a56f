/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dense layers that share their input: y_i = x W_i^T + b_i, W_i [out_i, in], for i in [0, count). One node, one parallel region: q k v; gate up.
 * Weights: the count matrices, then count biases or PARE_G_NONE.
 */
#include "graph/engine.h"

enum { MOST = 16 }; /* layers of one node */

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    char text[96], wtext[96];
    const pare_op_linear *a = node->attr;
    if (!a || a->count < 1 || a->count > MOST) return pare_fail(err, PARE_ERR_USAGE, "between 1 and %d layers share an input", MOST);
    pare_status st = pare_op_arity(g, node, 1, 2 * a->count, a->count, err);
    if (st != PARE_OK) return st;
    const pare_gvalue *x = pare_g_value(g, node->in[0]);
    for (int i = 0; i < a->count; i++) {
        if (node->w[i] < 0) return pare_fail(err, PARE_ERR_USAGE, "weight %d is missing", i);
        const pare_gweight *w = &g->weights.at[node->w[i]];
        if (w->role != PARE_GW_LINEAR && w->role != PARE_GW_HEAD) return pare_fail(err, PARE_ERR_USAGE, "weight '%s' is no matrix of a layer", w->name);
        if (x->ndim < 2 || x->shape[x->ndim - 1] != w->shape[1])
            return pare_fail(err, PARE_ERR_FORMAT, "'%s' %s cannot multiply %s", w->name, pare_g_weight_shape_text(w, wtext), pare_g_shape_text(g, node->in[0], text));
        if (node->w[a->count + i] >= 0 && (st = pare_op_vector(g, node, a->count + i, w->shape[0], err)) != PARE_OK) return st;
        int64_t dims[PARE_MAX_DIMS];
        for (int d = 0; d < x->ndim; d++) dims[d] = x->shape[d];
        dims[x->ndim - 1] = w->shape[0];
        pare_g_set_shape(g, node->out[i], x->ndim, dims);
        x = pare_g_value(g, node->in[0]);
    }
    return PARE_OK;
}

typedef struct bias_rows { const pare_kernels *k; float *y; const float *b; int64_t cols; } bias_rows;

static void add_bias(const void *arg, int64_t row0, int64_t rows)
{
    const bias_rows *j = arg;
    for (int64_t r = row0; r < row0 + rows; r++) j->k->add_f32(j->y + r * j->cols, j->y + r * j->cols, j->b, j->cols);
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const int count = ((const pare_op_linear *)node->attr)->count;
    const pare_linear *w[MOST];
    float *y[MOST];
    int64_t stride[MOST];
    pare_status st;
    const float *in = pare_x_value(x, node->in[0]);
    const int64_t cols = x->graph->weights.at[node->w[0]].shape[1];
    const int64_t rows = pare_x_rows(x, node->in[0]) * pare_x_cols(x, node->in[0]) / cols;
    for (int i = 0; i < count; i++) {
        w[i] = pare_x_linear(x, node->w[i]);
        y[i] = pare_x_value(x, node->out[i]);
        stride[i] = x->graph->weights.at[node->w[i]].shape[0];
    }
    if (x->engine->weights[node->w[0]].slice_rows && count == 1) PARE_TRY(pare_engine_sliced(x, node->w[0], rows, in, y[0], err));
    else PARE_TRY(pare_linear_forward(x->ctx, w, count, x->compute, rows, in, cols, y, stride, x->ws, err));
    for (int i = 0; i < count; i++) {
        const bias_rows j = { x->k, y[i], pare_x_vector(x, node->w[count + i]), stride[i] };
        if (j.b) PARE_TRY(pare_x_each(x, rows, stride[i], add_bias, &j, err));
        PARE_TRY(pare_x_observe(x, node, i, node->w[i], rows, in, y[i], err));
    }
out:
    return st;
}

void pare_g_linears_w(pare_graph *g, pare_gv x, int count, const pare_gw *w, const pare_gw *bias, pare_gv *out)
{
    const pare_op_linear a = { count };
    pare_gw ends[2 * MOST];
    for (int i = 0; i < count; i++) out[i] = PARE_G_NONE;
    if (count < 1 || count > MOST) {
        pare_g_fail(g, PARE_ERR_USAGE, "graph: %d layers share an input; 1 to %d can", count, MOST);
        return;
    }
    for (int i = 0; i < count; i++) {
        ends[i] = w[i];
        ends[count + i] = bias ? bias[i] : PARE_G_NONE;
    }
    pare_g_node(g, "linear", &x, 1, ends, 2 * count, &a, sizeof a, out, count);
}

void pare_g_linears(pare_graph *g, pare_gv x, int count, const char *const *modules, const int64_t *outs, int64_t in, const bool *bias, pare_gv *out)
{
    pare_gw w[MOST], b[MOST];
    for (int i = 0; i < count && i < MOST; i++) {
        w[i] = pare_g_weight(g, PARE_GW_LINEAR, pare_g_text(g, "%s.weight", modules[i]), 2, (int64_t[]){ outs[i], in });
        b[i] = bias && bias[i] ? pare_g_vector(g, pare_g_text(g, "%s.bias", modules[i]), outs[i]) : PARE_G_NONE;
    }
    pare_g_linears_w(g, x, count, w, b, out);
}

pare_gv pare_g_linear(pare_graph *g, pare_gv x, const char *module, int64_t out, int64_t in, bool bias)
{
    pare_gv y;
    pare_g_linears(g, x, 1, &module, &out, in, &bias, &y);
    return y;
}

/* Row r of the weight (and of the bias) makes column r. */
static bool divide(const pare_graph *g, const pare_gnode *node, int out, pare_gdivide *how)
{
    const int count = ((const pare_op_linear *)node->attr)->count;
    (void)g;
    *how = (pare_gdivide){ .here = true, .weight = node->w[out], .bias = node->w[count + out], .rows = true };
    return true;
}

const pare_gop pare_gop_linear = { .name = "linear", .help = "dense layers that share their input, with biases", .shape = shape, .forward = forward, .divide = divide };
