/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of 16 values for the checks; see table_case.h. */
#include "table_case.h"
#include <math.h>

void table_make(int i, pare_table16 *t)
{
    float v = -1.0f;
    for (int k = 0; k < 16; k++) t->code[k] = (uint8_t)k;
    for (int k = 15; k > 0; k--) {
        const int j = (int)(rnd32() % (uint32_t)(k + 1));
        const uint8_t c = t->code[k];
        t->code[k] = t->code[j];
        t->code[j] = c;
    }
    for (int k = 0; k < 16; k++) {
        t->value[t->code[k]] = v;
        const float next = v + 0.02f + (float)(rnd32() % 100) * 0.002f;
        if (k < 15) t->cut[k] = (v + next) / 2.0f;
        v = next;
    }
    t->reciprocal = i % 2 == 0;
}

void table_fill(float *x, int64_t n, float scale, const pare_table16 *t)
{
    for (int64_t i = 0; i < n; i++) {
        x[i] = rnd_normal() * 0.5f * scale;
        if (rnd32() % 3 == 0) x[i] = t->cut[rnd32() % 15] * scale;
        if (rnd32() % 50 == 0) x[i] = rnd32() & 1 ? 0.0f : -0.0f;
        if (rnd32() % 80 == 0) x[i] = rnd_scaled();
        if (rnd32() % 100 == 0) x[i] = rnd32() & 1 ? INFINITY : -INFINITY;
    }
}

uint8_t table_plain(float x, float scale, const pare_table16 *t)
{
    const float inverse = 1.0f / (scale > 1e-38f ? scale : 1e-38f);
    const float s = t->reciprocal ? x * inverse : x / scale;
    int k = 0;
    for (int c = 0; c < 15; c++) k += s > t->cut[c];
    return t->code[k];
}
