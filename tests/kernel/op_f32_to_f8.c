/* SPDX-License-Identifier: Apache-2.0 */
/* Every 8-bit dtype, also those without a fast path, against the scalar codec. */
#include "kernel_check.h"
#include <math.h>

void check_f32_to_f8(const pare_kernels *ref, const pare_kernels *k)
{
    static const pare_dtype dtypes[] = { PARE_F8_E4M3FN, PARE_F8_E5M2, PARE_F8_E4M3FNUZ, PARE_F8_E5M2FNUZ, PARE_F8_E8M0 };
    static const float scales[] = { 1.0f, 0.003f, -0.5f, 1e-30f, 1e30f };
    for (int d = 0; d < 5; d++)
        for (int s = 0; s < 5; s++)
            for (int64_t n = 0; n < 1500; n += n < 70 ? 1 : 131) {
                float *x = guarded(0, (size_t)n * 4);
                uint8_t *a = guarded(1, (size_t)n), *b = guarded(2, (size_t)n);
                fill(x, n, (int)(rnd32() % PATTERNS), scales[s]);
                for (int64_t i = 0; i < n; i++) {
                    if (rnd32() % 3 == 0) { /* a value of the format, or the middle between two */
                        const float v = pare_f8_to_f32(dtypes[d], (uint8_t)rnd32()), w = pare_f8_to_f32(dtypes[d], (uint8_t)rnd32());
                        x[i] = isfinite(v) && isfinite(w) ? (rnd32() & 1 ? v : (v + w) / 2) * scales[s] : NAN;
                    }
                    if (rnd32() % 50 == 0) x[i] = INFINITY;
                }
                ref->f32_to_f8(a, x, n, scales[s], dtypes[d]);
                k->f32_to_f8(b, x, n, scales[s], dtypes[d]);
                assert_same("f32_to_f8", k, n, a, b, (size_t)n);
                for (int64_t i = 0; i < n; i++) assert_int_equal(b[i], pare_f32_to_f8(dtypes[d], x[i] / scales[s], true));
                assert_canaries(2);
            }
}
