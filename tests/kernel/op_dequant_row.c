/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"
#include <math.h>

void check_dequant_row(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    for (int i = 0; row_case_make(i, &c); i++) {
        uint8_t *codes = guarded(0, (size_t)c.q.n);
        float *a = guarded(1, (size_t)c.q.n * 4), *b = guarded(2, (size_t)c.q.n * 4);
        for (int64_t j = 0; j < c.q.n; j++) codes[j] = (uint8_t)rnd32();
        for (int64_t g = 0; g < c.groups; g++) {
            if (isnan(c.scale[g])) c.scale[g] = 1.0f; /* the sign of a NaN result is nobody's promise */
            if (!isfinite(c.scale[g])) c.zero[g] = -1;
        }
        ref->dequant_row(codes, &c.q, c.scale, c.zero, a);
        k->dequant_row(codes, &c.q, c.scale, c.zero, b);
        assert_same("dequant_row", k, c.q.n, a, b, (size_t)c.q.n * 4);
        assert_canaries(2);
        for (int64_t j = 0; j < c.q.n; j++) {
            const float want = (float)((int64_t)codes[j] - c.zero[j / c.q.group]) * c.scale[j / c.q.group];
            assert_true(b[j] == want);
        }
    }
}
