/* SPDX-License-Identifier: Apache-2.0 */
/* As gemm_tile_bf16, with 32 tokens and 16 words of each side by side. */
#include "kernel/level.h"
#include "num/num_inl.h"

static void tile(const pare_gemm_tile *t)
{
    for (int p = 0; p < 2; p++)
        for (int j = 0; j < t->tokens; j++) {
            float sum[PARE_GEMM_PANEL] = { 0 };
            for (int64_t i = 0; i < t->words; i++) {
                const uint32_t x = t->x[(i / PARE_GEMM_STEP * PARE_GEMM_WIDE + j) * PARE_GEMM_STEP + i % PARE_GEMM_STEP];
                const float x0 = pare_bits_f32(x << 16), x1 = pare_bits_f32(x & 0xffff0000u);
                for (int r = 0; r < PARE_GEMM_PANEL; r++) {
                    const uint32_t w = t->w[p * PARE_GEMM_PANEL_WORDS + i * PARE_GEMM_PANEL + r];
                    sum[r] += pare_bits_f32(w << 16) * x0;
                    sum[r] += pare_bits_f32(w & 0xffff0000u) * x1;
                }
            }
            for (int r = 0; r < PARE_GEMM_PANEL; r++) t->c[j * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL + r] += sum[r];
        }
}

void PARE_REF(gemm_wide_bf16)(const pare_gemm_tile *t, int count)
{
    for (int i = 0; i < count; i++) tile(&t[i]);
}
