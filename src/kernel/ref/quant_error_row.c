/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and error sums of a row in one pass over it. */
#include "kernel/level.h"
#include "kernel/ref/quant_error.h"

void PARE_REF(quant_error_row)(const float *x, const pare_row_quant *q, const float *scale, const int32_t *zero, uint8_t *codes, pare_row_error *err)
{
    pare_error_lanes lanes = { 0 };
    for (int64_t i = 0; i < q->n; i += PARE_ROW_BLOCK)
        pare_quant_error_block(x + i, i, q->n - i < PARE_ROW_BLOCK ? q->n - i : PARE_ROW_BLOCK, q, scale, zero, codes, &lanes);
    pare_error_lanes_finish(&lanes, err);
}
