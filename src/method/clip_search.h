/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of blocks searched for the least error of the layer's output: a block's smallest and largest value are moved inwards (or a little outwards),
 * everything is rounded to nearest, and what is kept is the range with the least tr(E H E^T). Works under every grid whose blocks lie in rows.
 */
#ifndef PARE_METHOD_CLIP_SEARCH_H
#define PARE_METHOD_CLIP_SEARCH_H
#include "method/method.h"

/* q: new and empty, of w's shape. sweeps >= 1: passes over a row's blocks, see clip_search.c. */
pare_status pare_clip_search(pare_ctx *ctx, const char *name, const float *w, const float *h, int sweeps, pare_qtensor *q, pare_err *err);
#endif
