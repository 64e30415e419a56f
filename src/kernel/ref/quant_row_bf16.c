/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of one bf16 row, group by group; the arithmetic is in rows.h. */
#include "kernel/level.h"
#include "kernel/ref/rows.h"

void PARE_REF(quant_row_bf16)(const uint16_t *x, const pare_row_quant *q, const float *scale, const int32_t *zero, uint8_t *codes)
{
    for (int64_t i = 0, g = 0; i < q->n; i += q->group, g++)
        pare_quant_span_bf16(x + i, q->n - i < q->group ? q->n - i : q->group, scale[g], zero[g], q->umin, q->umax, codes + i);
}
