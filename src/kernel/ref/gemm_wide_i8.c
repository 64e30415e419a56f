/* SPDX-License-Identifier: Apache-2.0 */
/* As the other integer tiles (gemm_tile_ints.h), with 32 tokens, 16 words of each side by side, and a segment in whole steps. */
#include "kernel/level.h"

static inline int32_t dot(uint32_t w, uint32_t x)
{
    return (int8_t)w * (int8_t)x + (int8_t)(w >> 8) * (int8_t)(x >> 8) + (int8_t)(w >> 16) * (int8_t)(x >> 16) + (int8_t)(w >> 24) * (int8_t)(x >> 24);
}

static void tile(const pare_gemm_tile *t)
{
    for (int p = 0; p < 2; p++)
        for (int j = 0; j < t->tokens; j++) {
            const uint32_t *w = t->w + p * PARE_GEMM_PANEL_WORDS, *x = t->x + j * PARE_GEMM_STEP;
            float *c = t->c + j * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL;
            for (int s = 0; s < t->segments; s++) {
                const int32_t words = t->seg_words[s];
                int32_t sum[PARE_GEMM_PANEL] = { 0 };
                for (int32_t i = 0; i < words; i++, w += PARE_GEMM_PANEL)
                    for (int r = 0; r < PARE_GEMM_PANEL; r++) sum[r] += dot(w[r], x[i / PARE_GEMM_STEP * PARE_GEMM_WIDE * PARE_GEMM_STEP + i % PARE_GEMM_STEP]);
                x += (words + PARE_GEMM_STEP - 1) / PARE_GEMM_STEP * PARE_GEMM_WIDE * PARE_GEMM_STEP;
                const float x_scale = t->x_scale[s * PARE_GEMM_WIDE + j];
                const int32_t x_sum = t->w_zero || t->w_shift ? t->x_sum[s * PARE_GEMM_WIDE + j] : 0;
                const int at = s * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL;
                for (int r = 0; r < PARE_GEMM_PANEL; r++) {
                    const int32_t d = sum[r] - (t->w_zero ? t->w_zero[at + r] : 0) * x_sum;
                    c[r] += x_scale * (float)d * t->w_scale[at + r];
                    if (t->w_shift) c[r] -= t->w_shift[at + r] * (x_scale * (float)x_sum);
                }
            }
        }
}

void PARE_REF(gemm_wide_i8)(const pare_gemm_tile *t, int count)
{
    for (int i = 0; i < count; i++) tile(&t[i]);
}
