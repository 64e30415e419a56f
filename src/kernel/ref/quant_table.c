/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of a table of 16 values (NF4, FP4, e2m1). */
#include "kernel/level.h"
#include "kernel/ref/table16.h"

void PARE_REF(quant_table)(const float *x, int64_t n, float scale, const pare_table16 *t, uint8_t *codes)
{
    float scaled[PARE_TABLE_BLOCK];
    int32_t rank[PARE_TABLE_BLOCK];
    for (int64_t i = 0; i < n; i += PARE_TABLE_BLOCK) {
        const int m = (int)(n - i < PARE_TABLE_BLOCK ? n - i : PARE_TABLE_BLOCK);
        pare_table_scaled(x + i, m, scale, t, scaled);
        pare_table_ranks(scaled, m, t, rank);
        for (int j = 0; j < m; j++) codes[i + j] = t->code[rank[j]];
    }
}
