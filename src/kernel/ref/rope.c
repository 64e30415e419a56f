/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding of one head (arXiv 2104.09864): pairs are neighbours (GPT-J) or a half apart (GPT-NeoX, Llama). */
#include "kernel/level.h"

void PARE_REF(rope)(float *x, const float *cos, const float *sin, int64_t half, bool pairs)
{
    if (pairs) {
        for (int64_t i = 0; i < half; i++) {
            const float a = x[2 * i], b = x[2 * i + 1];
            x[2 * i] = a * cos[i] - b * sin[i];
            x[2 * i + 1] = b * cos[i] + a * sin[i];
        }
        return;
    }
    float *restrict lo = x, *restrict hi = x + half;
    for (int64_t i = 0; i < half; i++) {
        const float a = lo[i], b = hi[i];
        lo[i] = a * cos[i] - b * sin[i];
        hi[i] = b * cos[i] + a * sin[i];
    }
}
