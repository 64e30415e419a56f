/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level, and equal to quant_row and dequant_row with groups of one. */
#include "kernel_check.h"
#include <math.h>

void check_round_column(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    static float scale[4097], zero[4097], y[4097];
    static int32_t zeros[4097];
    static uint8_t codes[4097];
    for (int i = 0; row_case_make(i, &c); i++) {
        if (c.groups > 4096 || c.q.n > 4096) continue;
        float *x = guarded(0, (size_t)c.q.n * 4), *v = guarded(1, (size_t)c.q.n * 4), *w = guarded(2, (size_t)c.q.n * 4);
        uint8_t *a = guarded(3, (size_t)c.q.n), *b = guarded(4, (size_t)c.q.n);
        fill(x, c.q.n, c.pattern, isfinite(c.scale[0]) ? c.scale[0] : 1.0f);
        for (int64_t j = 0; j < c.q.n; j++) {
            const int64_t g = j % c.groups;
            zeros[j] = c.zero[g] > 1 << 20 || c.zero[g] < -(1 << 20) ? 128 : c.zero[g];
            scale[j] = c.scale[g];
            zero[j] = (float)zeros[j];
        }
        ref->round_column(c.q.n, x, scale, zero, c.q.umin, c.q.umax, a, v);
        k->round_column(c.q.n, x, scale, zero, c.q.umin, c.q.umax, b, w);
        assert_same("round_column codes", k, c.q.n, a, b, (size_t)c.q.n);
        assert_canaries(2);
        assert_canaries(4);
        c.q.group = 1;
        ref->quant_row(x, &c.q, scale, zeros, codes);
        ref->dequant_row(codes, &c.q, scale, zeros, y);
        assert_same("round_column against quant_row", k, c.q.n, codes, b, (size_t)c.q.n);
        for (int64_t j = 0; j < c.q.n; j++)
            if (!isnan(y[j])) assert_same("round_column against dequant_row", k, j, &y[j], &w[j], 4);
    }
}
