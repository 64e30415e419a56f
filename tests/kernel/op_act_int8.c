/* SPDX-License-Identifier: Apache-2.0 */
/* Same bytes at every level; codes and scales against a division in f32 and rintf. */
#include "kernel_check.h"
#include <math.h>

void check_act_int8(const pare_kernels *ref, const pare_kernels *k)
{
    static const int64_t blocks[] = { 1, 5, 32, 128, 5000 };
    for (int64_t n = 1; n < 3000; n += n < 150 ? 1 : 331)
        for (int pattern = 0; pattern < PATTERNS + 2; pattern++) {
            const int64_t block = blocks[rnd32() % 5], groups = (n + block - 1) / block;
            const float fixed = rnd32() % 4 ? 0.0f : 0.02f;
            float *x = guarded(0, (size_t)n * 4), *sa = guarded(1, (size_t)groups * 4), *sb = guarded(2, (size_t)groups * 4);
            int8_t *a = guarded(3, (size_t)n), *b = guarded(4, (size_t)n);
            fill(x, n, pattern % PATTERNS, 0.01f);
            if (pattern >= PATTERNS) x[rnd32() % (uint32_t)n] = pattern == PATTERNS ? NAN : -INFINITY;
            ref->act_int8(x, n, block, fixed, a, sa);
            k->act_int8(x, n, block, fixed, b, sb);
            assert_same("act_int8", k, n, a, b, (size_t)n);
            assert_same("act_int8 scales", k, n, sa, sb, (size_t)groups * 4);
            assert_canaries(2);
            assert_canaries(4);
            for (int64_t g = 0; g < groups; g++) {
                float most = 0;
                bool finite = true;
                const int64_t end = (g + 1) * block < n ? (g + 1) * block : n;
                for (int64_t i = g * block; i < end; i++) most = fmaxf(most, fabsf(x[i])), finite = finite && isfinite(x[i]);
                if (!finite) assert_true(isnan(sb[g]));
                else assert_true(sb[g] == (fixed > 0 ? fixed : most < 0x1p-100f ? 0.0f : most / 127.0f));
                for (int64_t i = g * block; i < end; i++)
                    assert_true(b[i] == (!finite || sb[g] == 0.0f ? 0.0f : fminf(fmaxf(rintf(x[i] / sb[g]), fixed > 0 ? -128.0f : -127.0f), 127.0f)));
            }
        }
}
