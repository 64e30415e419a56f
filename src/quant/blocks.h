/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to src/quant: walking a tensor by the blocks that share a scale.
 *
 * A view is a grid with neighbouring dimensions merged wherever that keeps every block in place, so that the last dimension
 * of the view is as long as possible: a [out, in, 3, 3] kernel with a scale per output channel is one line of numel elements
 * with blocks of in*9. Element order and scale order are those of the grid.
 */
#ifndef PARE_QUANT_BLOCKS_H
#define PARE_QUANT_BLOCKS_H
#include "quant/quant.h"

/* Elements of one piece of parallel work and of one partial sum; a fixed number, so that results do not depend on threads. */
#define PARE_CUT ((int64_t)1 << 16)

typedef struct pare_view {
    int ndim;                                                                        /* >= 1 */
    int64_t shape[PARE_MAX_DIMS], block[PARE_MAX_DIMS], blocks[PARE_MAX_DIMS];
    int64_t stride[PARE_MAX_DIMS];                                                   /* scales per step of blocks[d] */
    int64_t numel, n_blocks, block_numel;                                            /* block_numel: elements of a full block */
} pare_view;
void pare_view_init(const pare_grid *grid, pare_view *view);

/* Elements [at, at + n) lie in one line; element i of them has scale[first + i / group]. */
typedef struct pare_span { int64_t at, n, group, first; } pare_span;
/* The span that starts at element `at` and ends before `end`. */
pare_span pare_view_span(const pare_view *view, int64_t at, int64_t end);

/* Values of block b in row-major order, *n of them: a pointer into x where they lie together, else gathered into scratch [block_numel]. */
const float *pare_view_block(const pare_view *view, const float *x, int64_t b, float *scratch, int64_t *n);
static inline bool pare_view_contiguous(const pare_view *view) { return view->ndim == 1; }

/* pare_parallel(), or a plain loop when there is no context. */
pare_status pare_quant_parallel(pare_ctx *ctx, int64_t n, pare_task_fn fn, void *arg, pare_err *err);
/* The context's kernels, or the best of this machine. */
const pare_kernels *pare_quant_kernels(pare_ctx *ctx);
/* Calls fn(arg, cut, worker) for every PARE_CUT elements of numel. */
static inline int64_t pare_cuts(int64_t numel) { return numel / PARE_CUT + (numel % PARE_CUT != 0); }
#endif
