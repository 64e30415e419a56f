/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"
#include "kernel/ref/matvec_rows.h"

void PARE_REF(matvec_int)(const pare_wmat *w, int64_t row0, int64_t rows, const pare_mvact *x, float *y, int64_t y_stride)
{
    pare_matvec_int_rows(w, row0, rows, x, y, y_stride);
}
