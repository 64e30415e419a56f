/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and error sums of a bf16 row in one pass over it. */
#include "kernel/level.h"
#include "kernel/ref/quant_error.h"

void PARE_REF(quant_error_row_bf16)(const uint16_t *x, const pare_row_quant *q, const float *scale, const int32_t *zero, uint8_t *codes,
                                    pare_row_error *err)
{
    pare_error_lanes lanes = { 0 };
    float block[PARE_ROW_BLOCK];
    for (int64_t i = 0; i < q->n; i += PARE_ROW_BLOCK) {
        const int64_t n = q->n - i < PARE_ROW_BLOCK ? q->n - i : PARE_ROW_BLOCK;
        for (int64_t j = 0; j < n; j++) block[j] = pare_bf16_to_f32_inl(x[i + j]);
        pare_quant_error_block(block, i, n, q, scale, zero, codes, &lanes);
    }
    pare_error_lanes_finish(&lanes, err);
}
