/* SPDX-License-Identifier: Apache-2.0 */
/* Values of one row of codes: (code - zero) * scale, one rounding. */
#include "kernel/level.h"
#include "kernel/ref/rows.h"

void PARE_REF(dequant_row)(const uint8_t *codes, const pare_row_quant *q, const float *scale, const int32_t *zero, float *out)
{
    for (int64_t i = 0, g = 0; i < q->n; i += q->group, g++)
        pare_dequant_span(codes + i, q->n - i < q->group ? q->n - i : q->group, scale[g], zero[g], out + i);
}
