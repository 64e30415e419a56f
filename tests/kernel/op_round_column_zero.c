/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of quant_zero, values by the definition. */
#include "kernel_check.h"
#include <math.h>

void check_round_column_zero(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 400; n += n < 70 ? 1 : 23)
        for (int bits = 1; bits <= 8; bits++) {
            float *x = guarded(0, (size_t)n * 4), *s = guarded(1, (size_t)n * 4), *z = guarded(2, (size_t)n * 4), *v = guarded(3, (size_t)n * 4);
            uint8_t *a = guarded(4, (size_t)n);
            const int top = (1 << bits) - 1;
            for (int64_t i = 0; i < n; i++) {
                s[i] = 0.01f * (1.0f + (float)(rnd32() % 100));
                z[i] = (float)(rnd32() % 4000) / 1000.0f * (float)top / 3.0f - 0.3f;
                x[i] = rnd_normal() * s[i] * (float)top;
            }
            k->round_column_zero(n, x, s, z, top, a, v);
            for (int64_t i = 0; i < n; i++) {
                uint8_t want;
                ref->quant_zero(&x[i], 1, s[i], z[i], top, &want);
                const float value = ((float)want - z[i]) * s[i];
                assert_int_equal(a[i], want);
                assert_same("round_column_zero", k, i, &value, &v[i], 4);
            }
            assert_canaries(3);
            assert_canaries(4);
        }
}
