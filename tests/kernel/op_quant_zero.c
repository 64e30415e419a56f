/* SPDX-License-Identifier: Apache-2.0 */
/* Every size against the definition. */
#include "kernel_check.h"
#include <math.h>

void check_quant_zero(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    for (int64_t n = 0; n < 400; n += n < 70 ? 1 : 23)
        for (int bits = 1; bits <= 8; bits++) {
            float *x = guarded(0, (size_t)n * 4);
            uint8_t *a = guarded(1, (size_t)n);
            const int top = (1 << bits) - 1;
            const float scale = 0.01f * (1.0f + (float)(rnd32() % 100)), zero = (float)(rnd32() % 4000) / 1000.0f * (float)top / 3.0f - 0.3f;
            fill(x, n, bits % 2 ? 0 : 2, scale);
            if (n > 5) x[3] = INFINITY, x[4] = -INFINITY;
            k->quant_zero(x, n, scale, zero, top, a);
            for (int64_t i = 0; i < n; i++) {
                const float t = x[i] / scale + zero, c = t < 0 ? 0 : t > (float)top ? (float)top : t;
                assert_int_equal(a[i], (int)rintf(c));
            }
            assert_canaries(1);
        }
}
