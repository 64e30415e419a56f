/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks of values among the cuts of a table of 16, a block at a time: the inner loops run over neighbours, so that they vectorize. */
#ifndef PARE_KERNEL_REF_TABLE16_H
#define PARE_KERNEL_REF_TABLE16_H
#include "kernel/ref/rows.h"

enum { PARE_TABLE_BLOCK = 64 };

/* rank[i] = cuts below t[i]; n <= PARE_TABLE_BLOCK */
static inline void pare_table_ranks(const float *t, int n, const pare_table16 *table, int32_t *rank)
{
    for (int i = 0; i < n; i++) rank[i] = 0;
    for (int c = 0; c < 15; c++) {
        const float cut = table->cut[c];
        for (int i = 0; i < n; i++) rank[i] += t[i] > cut;
    }
}

static inline float pare_table_inverse(float scale) { return 1.0f / (scale > 1e-38f ? scale : 1e-38f); }

/* x over one scale, as the table has it. */
static inline void pare_table_scaled(const float *x, int n, float scale, const pare_table16 *table, float *t)
{
    if (table->reciprocal) {
        const float inverse = pare_table_inverse(scale);
        for (int i = 0; i < n; i++) t[i] = x[i] * inverse;
    } else {
        for (int i = 0; i < n; i++) t[i] = x[i] / scale;
    }
}
#endif
