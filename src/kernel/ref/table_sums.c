/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over the values of the codes of a table of 16, for the search of a scale. Canonical order, see rows.h. */
#include "kernel/level.h"
#include "kernel/ref/table16.h"

void PARE_REF(table_sums)(const float *x, const float *weight, int64_t n, float scale, const pare_table16 *t, pare_table_sums *out)
{
    double xv[PARE_LANES] = { 0 }, vv[PARE_LANES] = { 0 };
    float scaled[PARE_TABLE_BLOCK], sorted[16], v[PARE_TABLE_BLOCK], w[PARE_TABLE_BLOCK];
    int32_t rank[PARE_TABLE_BLOCK];
    for (int k = 0; k < 16; k++) sorted[k] = t->value[t->code[k]];
    for (int64_t i = 0; i < n; i += PARE_TABLE_BLOCK) {
        const int m = (int)(n - i < PARE_TABLE_BLOCK ? n - i : PARE_TABLE_BLOCK);
        pare_table_scaled(x + i, m, scale, t, scaled);
        pare_table_ranks(scaled, m, t, rank);
        for (int j = 0; j < m; j++) v[j] = sorted[rank[j]];
        for (int j = 0; j < m; j++) w[j] = weight ? weight[i + j] * v[j] : v[j];
        int j = 0;
        for (; j + PARE_LANES <= m; j += PARE_LANES)
            for (int l = 0; l < PARE_LANES; l++) {
                xv[l] += (double)x[i + j + l] * (double)w[j + l];
                vv[l] += (double)v[j + l] * (double)w[j + l];
            }
        for (int l = 0; j + l < m; l++) {
            xv[l] += (double)x[i + j + l] * (double)w[j + l];
            vv[l] += (double)v[j + l] * (double)w[j + l];
        }
    }
    out->xv = pare_fold_lanes(xv);
    out->vv = pare_fold_lanes(vv);
}
