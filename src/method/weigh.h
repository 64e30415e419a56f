/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an error of weights does to a layer's output, for methods that try candidates. E = Wq - W [rows, cols], H = sum of x x^T [cols, cols]:
 *   sum over tokens |E x|^2 = tr(E H E^T)
 */
#ifndef PARE_METHOD_WEIGH_H
#define PARE_METHOD_WEIGH_H
#include "method/method.h"

/* tr(E H E^T); the same for any number of threads. */
pare_status pare_weigh(pare_ctx *ctx, int64_t rows, int64_t cols, const float *e, const float *h, double *out, pare_err *err);
/* loss of a result: tr(E H E^T) / tr(W H W^T) for q against w; also *dead, the input channels that were always 0. NAN where W x is 0 everywhere. */
pare_status pare_weigh_result(pare_ctx *ctx, const float *w, const pare_qtensor *q, const float *h, double *loss, int64_t *dead, pare_err *err);
/* W [rows, cols] rounded to nearest under any grid, as it dequantizes. out may be w. */
pare_status pare_nearest(pare_ctx *ctx, const char *name, const pare_scheme *scheme, int64_t rows, int64_t cols, float *w, float *out, pare_err *err);
/* Rows of q as they dequantize, in parallel. */
pare_status pare_values_of(pare_ctx *ctx, const pare_qtensor *q, float *out, pare_err *err);
/* Does each block that shares a scale lie in one row? So that ranges can be searched row by row with pare_rounder_find(). */
bool pare_blocks_in_rows(const pare_scheme *scheme, int64_t cols);
#endif
