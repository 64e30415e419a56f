/* SPDX-License-Identifier: Apache-2.0 */
/* Same bytes at every level; scales are powers of two, q * scale is within half a step of x, a step is 2^-(bits-2) of the largest power. */
#include "kernel_check.h"
#include <math.h>

void check_act_fixed(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 1; n < 3000; n += n < 300 ? 1 : 331)
        for (int pattern = 0; pattern < PATTERNS + 3; pattern++) {
            const int bits = rnd32() & 1 ? 24 : 28;
            const int64_t blocks = (n + PARE_ACT_BLOCK - 1) / PARE_ACT_BLOCK;
            float *x = guarded(0, (size_t)n * 4), *sa = guarded(1, (size_t)blocks * 4), *sb = guarded(2, (size_t)blocks * 4);
            int32_t *a = guarded(3, (size_t)n * 4), *b = guarded(4, (size_t)n * 4);
            fill(x, n, pattern % PATTERNS, 0.01f);
            if (pattern == PATTERNS + 1) x[rnd32() % (uint32_t)n] = NAN;
            if (pattern == PATTERNS + 2) /* just below a power of two: q must still fit its limbs */
                for (int64_t i = 0; i < n; i++) x[i] = (rnd32() & 1 ? 2.0f : -2.0f) * (1.0f - (float)(rnd32() % 200000) * 0x1p-24f);
            ref->act_fixed(x, n, bits, a, sa);
            k->act_fixed(x, n, bits, b, sb);
            assert_same("act_fixed", k, n, a, b, (size_t)n * 4);
            assert_same("act_fixed scales", k, n, sa, sb, (size_t)blocks * 4);
            assert_canaries(2);
            assert_canaries(4);
            for (int64_t i = 0; i < n; i++) {
                const float s = sb[i / PARE_ACT_BLOCK];
                double most = 0;
                for (int64_t j = i / PARE_ACT_BLOCK * PARE_ACT_BLOCK; j < n && j / PARE_ACT_BLOCK == i / PARE_ACT_BLOCK; j++)
                    most = !isfinite(x[j]) ? INFINITY : fmax(most, fabs((double)x[j]));
                if (!isfinite(most)) {
                    assert_true(isnan(s) && b[i] == 0);
                    continue;
                }
                assert_true(abs(b[i]) <= (bits == 24 ? 8355711 : 1 << 27));
                if (most < 0x1p-100) assert_true(s == 0.0f && b[i] == 0);
                else assert_true(fabs((double)x[i] - b[i] * (double)s) <= most * (bits == 24 ? 0x1.02p-23 : 0x1p-27));
            }
        }
}
