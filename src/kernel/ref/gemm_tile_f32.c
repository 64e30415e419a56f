/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"

void PARE_REF(gemm_tile_f32)(const pare_gemm_tile *t)
{
    const float *w = (const float *)(const void *)t->w, *x = (const float *)(const void *)t->x;
    for (int p = 0; p < 2; p++)
        for (int j = 0; j < t->tokens; j++) {
            float sum[PARE_GEMM_PANEL] = { 0 };
            for (int64_t i = 0; i < t->words; i++)
                for (int r = 0; r < PARE_GEMM_PANEL; r++)
                    sum[r] += w[p * PARE_GEMM_PANEL_WORDS + i * PARE_GEMM_PANEL + r] * x[i * PARE_GEMM_TOKENS + j];
            for (int r = 0; r < PARE_GEMM_PANEL; r++) t->c[j * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL + r] += sum[r];
        }
}
