/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes equal at every level; within 1e-6 of long double, also for rows of outliers; NaN and rows of zeros. */
#include "kernel_check.h"
#include <math.h>

static void near(const float *x, const float *w, const float *y, int64_t n, float eps, float add)
{
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (long double)x[i] * x[i];
    const long double inverse = 1 / sqrtl(sum / (long double)n + eps);
    for (int64_t i = 0; i < n; i++) {
        const long double factor = w ? (long double)w[i] + add : 1.0L + add, want = x[i] * inverse * factor;
        const long double slack = (w ? fabsl((long double)w[i]) : 1.0L) + fabsl((long double)add); /* w + add is rounded too */
        if (!(fabsl(y[i] - want) <= fabsl(x[i] * inverse) * slack * 3e-7L + 1e-44L)) fail_msg("element %lld of %lld: %.9g, not %.9Lg", (long long)i, (long long)n, (double)y[i], want);
    }
}

void check_rms_norm(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 9000; n += n < 70 ? 1 : 1009)
        for (int how = 0; how < 8; how++) {
            float *x = guarded(0, (size_t)n * 4), *w = guarded(1, (size_t)n * 4), *a = guarded(2, (size_t)n * 4), *b = guarded(3, (size_t)n * 4);
            const float eps = how & 1 ? 1e-5f : 1e-6f, add = how & 2 ? 1.0f : 0.0f;
            const float *weight = how < 6 ? w : NULL;
            fill(x, n, how == 4 ? 3 : how & 1 ? 6 : 0, how == 5 ? 1e-4f : 0.1f);
            for (int64_t i = 0; i < n; i++) w[i] = rnd_normal();
            ref->rms_norm(a, x, weight, n, eps, add);
            k->rms_norm(b, x, weight, n, eps, add);
            assert_same("rms_norm", k, n, a, b, (size_t)n * 4);
            assert_canaries(3);
            near(x, weight, b, n, eps, add);
            k->rms_norm(x, x, weight, n, eps, add);
            assert_same("rms_norm in place", k, n, a, x, (size_t)n * 4);
        }
    float bad[20] = { 1.0f, NAN };
    k->rms_norm(bad, bad, NULL, 20, 1e-5f, 0.0f);
    for (int i = 0; i < 20; i++) assert_true(isnan(bad[i]));
}
