/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"
#include "kernel/ref/matvec_floats.h"

void PARE_REF(matvec_float)(const pare_wmat *w, int64_t row0, int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    pare_matvec_floats(w, row0, rows, n, x, x_stride, y, y_stride);
}
