/* SPDX-License-Identifier: Apache-2.0 */
/* Every 8-bit float against the scalar codec and its value. */
#include "kernel_check.h"
#include <math.h>

void check_round_column_f8(const pare_kernels *ref, const pare_kernels *k)
{
    static const pare_dtype dtypes[] = { PARE_F8_E4M3FN, PARE_F8_E5M2, PARE_F8_E4M3FNUZ, PARE_F8_E5M2FNUZ };
    static const float scales[] = { 1.0f, 0.003f, -0.5f, 1e-30f, 1e30f };
    (void)ref;
    for (int d = 0; d < 4; d++)
        for (int64_t n = 0; n < 1500; n += n < 70 ? 1 : 131) {
            float *x = guarded(0, (size_t)n * 4), *s = guarded(1, (size_t)n * 4), *v = guarded(2, (size_t)n * 4);
            uint8_t *b = guarded(3, (size_t)n);
            for (int64_t i = 0; i < n; i++) {
                s[i] = scales[rnd32() % 5];
                fill(&x[i], 1, (int)(rnd32() % PATTERNS), s[i]);
                if (rnd32() % 3 == 0) { /* a value of the format, or the middle between two */
                    const float p = pare_f8_to_f32(dtypes[d], (uint8_t)rnd32()), q = pare_f8_to_f32(dtypes[d], (uint8_t)rnd32());
                    x[i] = isfinite(p) && isfinite(q) ? (rnd32() & 1 ? p : (p + q) / 2) * s[i] : NAN;
                }
                if (rnd32() % 50 == 0) x[i] = INFINITY;
            }
            k->round_column_f8(n, x, s, dtypes[d], b, v);
            for (int64_t i = 0; i < n; i++) {
                const uint8_t want = pare_f32_to_f8(dtypes[d], x[i] / s[i], true);
                const float value = pare_f8_to_f32(dtypes[d], want) * s[i];
                assert_int_equal(b[i], want);
                if (isnan(value)) assert_true(isnan(v[i]));
                else assert_same("value", k, i, &value, &v[i], 4);
            }
            assert_canaries(2);
            assert_canaries(3);
        }
}
