/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integer tiles: DOT(w, x) is the dot product of two words. Everything up to the difference is exact; the floats follow in one
 * order at every level: (x_scale * f32(difference)) * w_scale added to c; then w_shift * (x_scale * f32(x_sum)) taken off.
 */
#include "kernel/level.h"

#define PARE_GEMM_INT_TILE(NAME, DOT)                                                                                          \
    void PARE_REF(NAME)(const pare_gemm_tile *t)                                                                               \
    {                                                                                                                          \
        for (int p = 0; p < 2; p++)                                                                                            \
            for (int j = 0; j < t->tokens; j++) {                                                                              \
                const uint32_t *w = t->w + p * PARE_GEMM_PANEL_WORDS, *x = t->x + j;                                           \
                float *c = t->c + j * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL;                                                    \
                for (int s = 0; s < t->segments; s++) {                                                                        \
                    int32_t sum[PARE_GEMM_PANEL] = { 0 };                                                                      \
                    for (int32_t i = 0; i < t->seg_words[s]; i++, w += PARE_GEMM_PANEL, x += PARE_GEMM_TOKENS)                 \
                        for (int r = 0; r < PARE_GEMM_PANEL; r++) sum[r] += DOT(w[r], *x);                                     \
                    const float x_scale = t->x_scale[s * PARE_GEMM_TOKENS + j];                                                \
                    const int32_t x_sum = t->w_zero || t->zero || t->w_shift ? t->x_sum[s * PARE_GEMM_TOKENS + j] : 0;         \
                    const int at = s * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL;                                                   \
                    for (int r = 0; r < PARE_GEMM_PANEL; r++) {                                                                \
                        const int32_t d = sum[r] - (t->w_zero ? t->w_zero[at + r] : t->zero) * x_sum;                          \
                        c[r] += x_scale * (float)d * t->w_scale[at + r];                                                       \
                        if (t->w_shift) c[r] -= t->w_shift[at + r] * (x_scale * (float)x_sum);                                 \
                    }                                                                                                          \
                }                                                                                                              \
            }                                                                                                                  \
    }
