/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes equal at every level; within 4e-7 of long double and the rounding of x - max; entries of -inf are 0; NaN and a row of nothing but -inf are NaN. */
#include "kernel_check.h"
#include <math.h>

void check_softmax(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 20000; n += n < 70 ? 1 : 2003)
        for (int how = 0; how < 4; how++) {
            float *x = guarded(0, (size_t)n * 4), *a = guarded(1, (size_t)n * 4), *b = guarded(2, (size_t)n * 4);
            for (int64_t i = 0; i < n; i++) x[i] = how == 2 && rnd32() % 3 && i ? -INFINITY : rnd_normal() * (how == 1 ? 40.0f : 3.0f) + (how == 3 ? 1e4f : 0.0f);
            if (n) memcpy(a, x, (size_t)n * 4), memcpy(b, x, (size_t)n * 4);
            ref->softmax(a, n);
            k->softmax(b, n);
            assert_same("softmax", k, n, a, b, (size_t)n * 4);
            assert_canaries(2);
            long double most = -INFINITY, sum = 0;
            for (int64_t i = 0; i < n; i++) most = fmaxl(most, x[i]);
            for (int64_t i = 0; i < n; i++) sum += expl(x[i] - most);
            for (int64_t i = 0; i < n; i++) {
                if (x[i] == -INFINITY) {
                    assert_true(b[i] == 0.0f);
                    continue;
                }
                const long double want = expl(x[i] - most) / sum; /* below the least normal float the step between floats counts */
                if (!(fabsl(b[i] - want) <= want * (4e-7L + 6e-8L * (most - x[i])) + 3e-45L)) fail_msg("softmax of %lld, element %lld: %.9g, not %.9Lg", (long long)n, (long long)i, (double)b[i], want);
            }
        }
    float bad[40] = { 1.0f, NAN }, none[3] = { -INFINITY, -INFINITY, -INFINITY };
    k->softmax(bad, 40);
    for (int i = 0; i < 40; i++) assert_true(isnan(bad[i]));
    k->softmax(none, 3);
    for (int i = 0; i < 3; i++) assert_true(isnan(none[i]));
}
