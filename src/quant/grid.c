/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grid of blocks that share a scale, for any rank and granularity, and the walks over it.
 *
 *   tensor              block = shape
 *   channel on axis k   block = shape, but 1 at k
 *   group g on axis k   block = 1, but min(g, shape[k]) at k; the last group of a line may be shorter
 *   block r x c         block = 1, but r and c at the last two axes
 *   groups of the flattened tensor: quant.h
 */
#include <string.h>
#include "quant/blocks.h"

/* Groups of the flattened tensor (quant.h)? */
static pare_flat flat_of(const pare_scheme *s, const pare_grid *g)
{
    if (s->granularity != PARE_PER_GROUP || g->ndim < 1 || g->numel == 0) return PARE_FLAT_NONE;
    const int axis = s->axis < 0 ? s->axis + g->ndim : s->axis;
    if (s->float_zero && axis == 0 && g->ndim > 1) return PARE_FLAT_ACROSS;
    const bool flat = (s->kind == PARE_CODE_TABLE || s->float_zero) && axis == g->ndim - 1;
    return flat && g->shape[axis] % s->group_size != 0 ? PARE_FLAT_ALONG : PARE_FLAT_NONE;
}

static void flat_blocks(const pare_scheme *s, pare_grid *g)
{
    const int64_t group = s->group_size < g->numel ? s->group_size : g->numel;
    for (int d = 0; d < g->ndim; d++) g->block[d] = g->blocks[d] = 1;
    g->block[g->ndim - 1] = group;
    g->n_scales = g->flat == PARE_FLAT_ACROSS ? g->numel / group : g->numel / group + (g->numel % group != 0);
    g->blocks[g->ndim - 1] = g->n_scales;
}

static void block_of(const pare_scheme *s, pare_grid *g)
{
    const int n = g->ndim;
    const int axis = s->axis < 0 ? s->axis + n : s->axis;
    for (int d = 0; d < n; d++) {
        const bool whole = s->granularity == PARE_PER_TENSOR || s->granularity == PARE_PER_CHANNEL;
        g->block[d] = whole ? g->shape[d] : 1;
    }
    if (s->granularity == PARE_PER_CHANNEL) g->block[axis] = 1;
    if (s->granularity == PARE_PER_GROUP) g->block[axis] = s->group_size;
    if (s->granularity == PARE_PER_BLOCK) {
        g->block[n - 2] = s->block[0];
        g->block[n - 1] = s->block[1];
    }
    for (int d = 0; d < n; d++) {
        if (g->block[d] > g->shape[d]) g->block[d] = g->shape[d];
        if (g->block[d] < 1) g->block[d] = 1;
    }
}

pare_status pare_grid_init(const pare_scheme *scheme, int ndim, const int64_t *shape, pare_grid *grid, pare_err *err)
{
    memset(grid, 0, sizeof *grid);
    pare_status st = pare_scheme_check(scheme, ndim, shape, err);
    if (st != PARE_OK) return st;
    grid->ndim = ndim;
    for (int d = 0; d < ndim; d++) grid->shape[d] = shape[d];
    if (!pare_shape_numel(ndim, shape, &grid->numel)) return pare_fail(err, PARE_ERR_USAGE, "shape: the number of elements overflows 64 bits");
    grid->flat = flat_of(scheme, grid);
    if (grid->flat != PARE_FLAT_NONE) {
        flat_blocks(scheme, grid);
        return PARE_OK;
    }
    block_of(scheme, grid);
    grid->n_scales = 1;
    for (int d = 0; d < ndim; d++) {
        grid->blocks[d] = shape[d] / grid->block[d] + (shape[d] % grid->block[d] != 0);
        grid->n_scales *= grid->blocks[d];
    }
    return PARE_OK;
}

int64_t pare_grid_index(const pare_grid *grid, const int64_t *index)
{
    int64_t at = 0;
    if (grid->flat != PARE_FLAT_NONE) {
        for (int d = 0; d < grid->ndim; d++) at = at * grid->shape[d] + index[d];
        return grid->flat == PARE_FLAT_ALONG ? at / grid->block[grid->ndim - 1] : at % grid->n_scales;
    }
    for (int d = 0; d < grid->ndim; d++) at = at * grid->blocks[d] + index[d] / grid->block[d];
    return at;
}

/* ------------------------------------------------------------------------------------------------------------- views */

typedef struct dim { int64_t shape, block; } dim;

/* Merges an outer dimension with the one inside it when blocks and their order stay what they are. */
static bool merge(dim outer, dim inner, dim *out)
{
    if (inner.block == inner.shape) {
        *out = (dim){outer.shape * inner.shape, outer.block * inner.shape};
    } else if (outer.shape == 1 || (outer.block == 1 && inner.shape % inner.block == 0)) {
        *out = (dim){outer.shape * inner.shape, inner.block};
    } else {
        return false;
    }
    return true;
}

void pare_view_init(const pare_grid *grid, pare_view *view)
{
    dim kept[PARE_MAX_DIMS + 1]; /* from the innermost outwards */
    int n = 0;
    kept[0] = (dim){1, 1};
    if (grid->flat == PARE_FLAT_ALONG) {
        kept[0] = (dim){grid->numel, grid->block[grid->ndim - 1]};
    } else if (grid->flat == PARE_FLAT_ACROSS) {
        const int64_t group = grid->block[grid->ndim - 1];
        kept[0] = (dim){grid->n_scales, 1};
        kept[n = 1] = (dim){group, group};
    }
    for (int d = grid->ndim - 1; d >= 0 && grid->numel > 0 && grid->flat == PARE_FLAT_NONE; d--) {
        const dim outer = {grid->shape[d], grid->block[d]};
        if (!merge(outer, kept[n], &kept[n])) kept[++n] = outer;
    }
    memset(view, 0, sizeof *view);
    view->ndim = n + 1;
    view->numel = grid->numel;
    view->n_blocks = grid->n_scales;
    view->block_numel = 1;
    for (int d = 0; d <= n; d++) {
        view->shape[d] = kept[n - d].shape;
        view->block[d] = kept[n - d].block;
        view->blocks[d] = view->shape[d] / view->block[d] + (view->shape[d] % view->block[d] != 0);
        view->block_numel *= view->block[d];
    }
    int64_t stride = 1;
    for (int d = n; d >= 0; d--) {
        view->stride[d] = stride;
        stride *= view->blocks[d];
    }
}

pare_span pare_view_span(const pare_view *view, int64_t at, int64_t end)
{
    const int last = view->ndim - 1;
    const int64_t length = view->shape[last], group = view->block[last];
    const int64_t inside = at % length, into = inside % group;
    int64_t line = at / length, first = inside / group;
    for (int d = last - 1; d >= 0; d--) {
        first += line % view->shape[d] / view->block[d] * view->stride[d];
        line /= view->shape[d];
    }
    int64_t n = into != 0 ? group - into : length - inside; /* to the end of the group that is cut, else of the line */
    if (n > length - inside) n = length - inside;
    if (n > end - at) n = end - at;
    return (pare_span){at, n, group, first};
}

const float *pare_view_block(const pare_view *view, const float *x, int64_t b, float *scratch, int64_t *n)
{
    const int last = view->ndim - 1;
    int64_t low[PARE_MAX_DIMS], size[PARE_MAX_DIMS], at[PARE_MAX_DIMS] = {0}, count = 1;
    for (int d = 0; d <= last; d++) {
        low[d] = b / view->stride[d] % view->blocks[d] * view->block[d];
        size[d] = view->shape[d] - low[d] < view->block[d] ? view->shape[d] - low[d] : view->block[d];
        count *= size[d];
    }
    *n = count;
    if (last == 0) return x + low[0];
    for (int64_t done = 0; done < count; done += size[last]) {
        int64_t from = 0;
        for (int d = 0; d <= last; d++) from = from * view->shape[d] + low[d] + (d < last ? at[d] : 0);
        memcpy(scratch + done, x + from, (size_t)size[last] * sizeof *x);
        for (int d = last - 1; d >= 0 && ++at[d] == size[d]; d--) at[d] = 0;
    }
    return scratch;
}

/* ---------------------------------------------------------------------------------------------------------- parallel */

pare_status pare_quant_parallel(pare_ctx *ctx, int64_t n, pare_task_fn fn, void *arg, pare_err *err)
{
    if (ctx != NULL) return pare_parallel(ctx, n, fn, arg, err);
    for (int64_t i = 0; i < n; i++) {
        const pare_status st = fn(arg, i, 0, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

const pare_kernels *pare_quant_kernels(pare_ctx *ctx)
{
    return ctx != NULL && ctx->kernels != NULL ? ctx->kernels : pare_kernels_get(NULL);
}
