/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and values of one column under a table of 16 values, a scale a row. */
#include "kernel/level.h"
#include "kernel/ref/table16.h"

void PARE_REF(round_column_table)(int64_t n, const float *x, const float *scale, const pare_table16 *t, uint8_t *code, float *value)
{
    float scaled[PARE_TABLE_BLOCK];
    int32_t rank[PARE_TABLE_BLOCK];
    for (int64_t i = 0; i < n; i += PARE_TABLE_BLOCK) {
        const int m = (int)(n - i < PARE_TABLE_BLOCK ? n - i : PARE_TABLE_BLOCK);
        if (t->reciprocal)
            for (int j = 0; j < m; j++) scaled[j] = x[i + j] * pare_table_inverse(scale[i + j]);
        else
            for (int j = 0; j < m; j++) scaled[j] = x[i + j] / scale[i + j];
        pare_table_ranks(scaled, m, t, rank);
        for (int j = 0; j < m; j++) code[i + j] = t->code[rank[j]];
        for (int j = 0; j < m; j++) value[i + j] = t->value[code[i + j]] * scale[i + j];
    }
}
