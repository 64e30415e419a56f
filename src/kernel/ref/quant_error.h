/* SPDX-License-Identifier: Apache-2.0 */
/* One block of a row for quant_error_row(_bf16): codes by groups, dequantized values into a buffer in L1, then the error sums. */
#ifndef PARE_KERNEL_REF_QUANT_ERROR_H
#define PARE_KERNEL_REF_QUANT_ERROR_H
#include "kernel/ref/rows.h"

/* x: elements [at, at + n) of the row, n <= PARE_ROW_BLOCK, at a multiple of 16. */
static inline void pare_quant_error_block(const float *x, int64_t at, int64_t n, const pare_row_quant *q, const float *scale, const int32_t *zero,
                                          uint8_t *codes, pare_error_lanes *lanes)
{
    float y[PARE_ROW_BLOCK];
    for (int64_t i = 0; i < n;) {
        const int64_t g = (at + i) / q->group, left = (g + 1) * q->group - (at + i), m = left < n - i ? left : n - i;
        pare_quant_span(x + i, m, scale[g], zero[g], q->umin, q->umax, codes + at + i);
        pare_dequant_span(codes + at + i, m, scale[g], zero[g], y + i);
        i += m;
    }
    pare_error_lanes_add(lanes, x, y, n);
}
#endif
