/* SPDX-License-Identifier: Apache-2.0 */
/* Columns picked in blocks: y = for i in [0, count): x[offset + i * stride, ... + block). Takes fused projections apart. */
#include <string.h>

#include "graph/op.h"

typedef struct attr { int64_t offset, block, stride, count; } attr;

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    char text[96];
    const attr *a = node->attr;
    int64_t end, last;
    pare_status st = pare_op_arity(g, node, 1, 0, 1, err);
    if (st != PARE_OK) return st;
    const pare_gvalue *x = pare_g_value(g, node->in[0]);
    if (a->offset < 0 || a->block < 1 || a->count < 1 || (a->count > 1 && a->stride < a->block) || __builtin_mul_overflow(a->count - 1, a->stride, &last) ||
        __builtin_add_overflow(last, a->offset, &end) || __builtin_add_overflow(end, a->block, &end) || x->ndim != 2 || end > x->shape[1])
        return pare_fail(err, PARE_ERR_FORMAT, "%lld blocks of %lld columns, %lld apart from %lld on, are not in %s", (long long)a->count, (long long)a->block,
                         (long long)a->stride, (long long)a->offset, pare_g_shape_text(g, node->in[0], text));
    pare_g_set_shape(g, node->out[0], 2, (int64_t[]){ x->shape[0], a->block * a->count });
    return PARE_OK;
}

typedef struct job { float *y; const float *x; int64_t cols; const attr *a; } job;

static void rows_of(const void *arg, int64_t row0, int64_t rows)
{
    const job *j = arg;
    const attr *a = j->a;
    for (int64_t r = row0; r < row0 + rows; r++) {
        float *y = j->y + r * a->block * a->count;
        for (int64_t i = 0; i < a->count; i++) memcpy(y + i * a->block, j->x + r * j->cols + a->offset + i * a->stride, (size_t)a->block * sizeof *y);
    }
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const job j = { pare_x_value(x, node->out[0]), pare_x_value(x, node->in[0]), pare_x_cols(x, node->in[0]), node->attr };
    return pare_x_each(x, pare_op_rows(x, node), pare_x_cols(x, node->out[0]), rows_of, &j, err);
}

pare_gv pare_g_columns(pare_graph *g, pare_gv x, int64_t offset, int64_t block, int64_t stride, int64_t count)
{
    const attr a = { offset, block, stride, count };
    return pare_g_node(g, "columns", &x, 1, NULL, 0, &a, sizeof a, NULL, 1);
}

static int64_t column(const pare_gnode *node, int64_t c)
{
    const attr *a = node->attr;
    return a->offset + c / a->block * a->stride + c % a->block;
}

static bool divide(const pare_graph *g, const pare_gnode *node, int out, pare_gdivide *how)
{
    (void)g, (void)node, (void)out;
    *how = (pare_gdivide){ .in = 0, .column = column };
    return true;
}

const pare_gop pare_gop_columns = { .name = "columns", .help = "columns picked in blocks", .shape = shape, .forward = forward, .divide = divide };
