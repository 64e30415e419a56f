/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes equal at every level; within 1e-6 of long double, also with a mean far from 0; NaN; a row of one value. */
#include "kernel_check.h"
#include <math.h>

static void near(const float *x, const float *w, const float *bias, const float *y, int64_t n, float eps)
{
    long double mean = 0, var = 0;
    for (int64_t i = 0; i < n; i++) mean += (long double)x[i] / (long double)n;
    for (int64_t i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean) / (long double)n;
    const long double inverse = 1 / sqrtl(var + eps);
    for (int64_t i = 0; i < n; i++) {
        const long double part = (x[i] - mean) * inverse * (w ? (long double)w[i] : 1.0L), b = bias ? (long double)bias[i] : 0.0L;
        if (!(fabsl(y[i] - (part + b)) <= (fabsl(part) + fabsl(b)) * 3e-7L + 1e-12L))
            fail_msg("element %lld of %lld: %.9g, not %.9Lg", (long long)i, (long long)n, (double)y[i], part + b);
    }
}

void check_layer_norm(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 9000; n += n < 70 ? 1 : 1009)
        for (int how = 0; how < 6; how++) {
            float *x = guarded(0, (size_t)n * 4), *w = guarded(1, (size_t)n * 4), *c = guarded(2, (size_t)n * 4);
            float *a = guarded(3, (size_t)n * 4), *b = guarded(4, (size_t)n * 4);
            const float *weight = how & 1 ? w : NULL, *bias = how & 2 ? c : NULL;
            fill(x, n, how == 4 ? 6 : 0, 0.1f);
            for (int64_t i = 0; i < n; i++) {
                w[i] = rnd_normal(), c[i] = rnd_normal();
                if (how == 5) x[i] += 1000.0f;
            }
            ref->layer_norm(a, x, weight, bias, n, 1e-5f);
            k->layer_norm(b, x, weight, bias, n, 1e-5f);
            assert_same("layer_norm", k, n, a, b, (size_t)n * 4);
            assert_canaries(4);
            near(x, weight, bias, b, n, 1e-5f);
            k->layer_norm(x, x, weight, bias, n, 1e-5f);
            assert_same("layer_norm in place", k, n, a, x, (size_t)n * 4);
        }
    float bad[20] = { 1.0f, NAN }, flat[7] = { 3.0f, 3.0f, 3.0f, 3.0f, 3.0f, 3.0f, 3.0f };
    k->layer_norm(bad, bad, NULL, NULL, 20, 1e-5f);
    for (int i = 0; i < 20; i++) assert_true(isnan(bad[i]));
    k->layer_norm(flat, flat, NULL, NULL, 7, 1e-5f);
    for (int i = 0; i < 7; i++) assert_true(flat[i] == 0.0f);
}
