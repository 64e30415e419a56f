/* SPDX-License-Identifier: Apache-2.0 */
/* Help for the tests of src/quant: random tensors, contexts, comparing. */
#ifndef QUANT_SUPPORT_H
#define QUANT_SUPPORT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "quant/quant.h"

typedef enum fill { FILL_NORMAL, FILL_UNIFORM, FILL_POSITIVE, FILL_NEGATIVE, FILL_OUTLIERS, FILL_SPARSE, FILL_COUNT } fill;
/* Deterministic values; never NaN or Inf. */
void fill_values(float *x, int64_t n, fill kind, uint64_t seed);
/* Product of the shape. */
int64_t numel_of(int ndim, const int64_t *shape);
/* A context; fails the test when it cannot be had. */
pare_ctx *new_ctx(int threads, const char *isa);
/* Scale index of every element, by pare_grid_index. */
void scale_of_elements(const pare_qtensor *q, int64_t *out);
/* Codes, scales and zeros are the same bytes. */
void assert_same_qtensor(const pare_qtensor *a, const pare_qtensor *b);
/* Fails the test with err's text when st is not PARE_OK. */
void assert_ok(pare_status st, const pare_err *err);
/* A scheme of integer codes. */
pare_scheme int_scheme(int bits, bool symmetric, pare_granularity granularity, int axis, int64_t group);
#endif
