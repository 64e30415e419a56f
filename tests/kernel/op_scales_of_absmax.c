/* SPDX-License-Identifier: Apache-2.0 */
/* Against the scalar rounding of num and a division in double; zeros, NaN, inf, results below the smallest and above the largest scale. */
#include "kernel_check.h"
#include <math.h>

void check_scales_of_absmax(const pare_kernels *ref, const pare_kernels *k)
{
    static const pare_dtype dtypes[] = { PARE_F32, PARE_F16, PARE_BF16 };
    static const float smallest[] = { 0x1p-149f, 0x1p-24f, 0x1p-133f }, largest[] = { 3.4028234e38f, 65504.0f, 0x1.fep127f };
    static const float divisors[] = { 127.0f, 127.5f, 7.5f, 7.0f, 1.5f, 1.0f };
    for (int64_t n = 0; n < 700; n += n < 80 ? 1 : 57)
        for (int d = 0; d < 3; d++)
            for (int v = 0; v < 6; v++) {
                float *m = guarded(0, (size_t)n * 4), *a = guarded(1, (size_t)n * 4), *b = guarded(2, (size_t)n * 4);
                for (int64_t i = 0; i < n; i++) {
                    const uint32_t kind = rnd32() % 16;
                    m[i] = kind == 0 ? 0.0f : kind == 1 ? NAN : kind == 2 ? INFINITY : fabsf(kind < 8 ? rnd_scaled() : rnd_normal());
                }
                ref->scales_of_absmax(m, n, divisors[v], dtypes[d], smallest[d], largest[d] / 2, a);
                k->scales_of_absmax(m, n, divisors[v], dtypes[d], smallest[d], largest[d] / 2, b);
                assert_same("scales_of_absmax", k, n, a, b, (size_t)n * 4);
                assert_canaries(2);
                for (int64_t i = 0; i < n; i++) {
                    float want = pare_round_to(dtypes[d], (float)((double)m[i] / (double)divisors[v]));
                    if (!(want > 0.0f)) want = smallest[d];
                    if (want > largest[d] / 2) want = largest[d] / 2;
                    if (m[i] == 0.0f) want = 1.0f;
                    assert_true(b[i] == want);
                }
            }
}
