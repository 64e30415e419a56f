/* SPDX-License-Identifier: Apache-2.0 */
/* One vector a text: [tokens, n] -> [sequences, n]; first row, mean, largest of each column, or last row; then divided by its length. */
#include <math.h>
#include <string.h>

#include "graph/op.h"

typedef struct attr { pare_pooling kind; bool normalize; } attr;

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    char text[96];
    const attr *a = node->attr;
    pare_status st = pare_op_arity(g, node, 1, 0, 1, err);
    if (st != PARE_OK) return st;
    const pare_gvalue *x = pare_g_value(g, node->in[0]);
    if (a->kind < PARE_POOL_CLS || a->kind > PARE_POOL_LAST) return pare_fail(err, PARE_ERR_USAGE, "kind %d", (int)a->kind);
    if (g->kind != PARE_G_ENCODER) return pare_fail(err, PARE_ERR_USAGE, "a decoder runs texts in pieces, which cannot be pooled");
    if (x->shape[0] != PARE_DIM_TOKENS || x->ndim != 2) return pare_fail(err, PARE_ERR_USAGE, "%s has no row a token", pare_g_shape_text(g, node->in[0], text));
    pare_g_set_shape(g, node->out[0], 2, (int64_t[]){ PARE_DIM_SEQUENCES, x->shape[1] });
    return PARE_OK;
}

/* Divides by max(|y|, 1e-12), as torch.nn.functional.normalize does. */
static void to_unit(float *y, int64_t n)
{
    double sum = 0;
    for (int64_t c = 0; c < n; c++) sum += (double)y[c] * (double)y[c];
    const double length = sqrt(sum) > 1e-12 ? sqrt(sum) : 1e-12;
    for (int64_t c = 0; c < n; c++) y[c] = (float)((double)y[c] / length);
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const attr *a = node->attr;
    const int64_t cols = pare_x_cols(x, node->in[0]);
    const float *in = pare_x_value(x, node->in[0]);
    float *y = pare_x_value(x, node->out[0]);
    (void)err;
    for (int64_t s = 0; s < x->sequences; s++, y += cols) {
        const pare_run *r = &x->runs[s];
        const float *first = in + r->row0 * cols;
        memcpy(y, a->kind == PARE_POOL_LAST ? first + (r->n - 1) * cols : first, (size_t)cols * sizeof *y);
        for (int64_t t = 1; t < r->n && (a->kind == PARE_POOL_MEAN || a->kind == PARE_POOL_MAX); t++)
            for (int64_t c = 0; c < cols; c++) {
                const float v = first[t * cols + c];
                y[c] = a->kind == PARE_POOL_MEAN ? y[c] + v : v > y[c] ? v : y[c];
            }
        if (a->kind == PARE_POOL_MEAN)
            for (int64_t c = 0; c < cols; c++) y[c] /= (float)r->n;
        if (a->normalize) to_unit(y, cols);
    }
    return PARE_OK;
}

pare_gv pare_g_pool(pare_graph *g, pare_gv x, pare_pooling kind, bool normalize)
{
    const attr a = { kind, normalize };
    return pare_g_node(g, "pool", &x, 1, NULL, 0, &a, sizeof a, NULL, 1);
}

const pare_gop pare_gop_pool = { .name = "pool", .help = "one vector a text: first, mean, max or last row", .shape = shape, .forward = forward };
