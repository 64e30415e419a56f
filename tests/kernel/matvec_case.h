/* SPDX-License-Identifier: Apache-2.0 */
/* Random weights of any kind for the checks of the matvec ops: codes, scales and zeros in guarded slots 0, 1, 2 and 3. */
#ifndef PARE_MATVEC_CASE_H
#define PARE_MATVEC_CASE_H
#include "kernel_check.h"

typedef struct matvec_shape { int64_t rows, cols, group, scale_rows; } matvec_shape;
enum { MATVEC_SHAPES = 36, ZERO_MIDDLE = 0, ZERO_ANY, ZERO_SHIFTED };
extern const matvec_shape matvec_shapes[MATVEC_SHAPES];

/* group 0 = a row. Row bytes are the least that the kind needs. */
pare_wmat matvec_weights(pare_wkind kind, const matvec_shape *s, pare_dtype scale_dtype, int zero);
/* W[r][c] in double, from the bytes and the description in wmat.h alone. Its magnitude before zero and scale meet: *size. */
double matvec_value(const pare_wmat *w, int64_t r, int64_t c);
/* Activations in the order of the kind from a [n][cols], by the ops of `k`, in slots 4 (q), 5 (scale), 6 (sum). */
pare_mvact matvec_activations(const pare_kernels *k, pare_wkind kind, int limbs, int64_t n, int64_t cols, const float *a);
#endif
