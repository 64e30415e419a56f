/* SPDX-License-Identifier: Apache-2.0 */
/* The same double at every level; long double; equal rows give 0; shares of 0 on either side; NaN. */
#include "kernel_check.h"
#include <math.h>

static long double lse(const float *x, int64_t n)
{
    long double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) most = fmaxl(most, x[i]);
    for (int64_t i = 0; i < n; i++) sum += expl(x[i] - most);
    return most + logl(sum);
}

static void random_rows(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 1; n < 60000; n += n < 70 ? 1 : 9001)
        for (int how = 0; how < 4; how++) {
            float *p = guarded(0, (size_t)n * 4), *q = guarded(1, (size_t)n * 4);
            for (int64_t i = 0; i < n; i++) {
                p[i] = how == 2 && i && rnd32() % 2 ? -INFINITY : rnd_normal() * (how == 1 ? 60.0f : 4.0f);
                q[i] = isinf(p[i]) ? (rnd32() % 2 ? p[i] : 0.0f) : p[i] + rnd_normal() * (how == 3 ? 1e-3f : 1.0f);
            }
            bool same_a = false, same_b = true;
            const double a = ref->kl_divergence(p, q, n, &same_a), b = k->kl_divergence(p, q, n, &same_b);
            assert_same("kl_divergence", k, n, &a, &b, sizeof a);
            assert_int_equal(same_b, ref->argmax_f32(p, n) == ref->argmax_f32(q, n));
            assert_int_equal(same_a, same_b);
            const long double lp = lse(p, n), lq = lse(q, n);
            long double want = 0, size = 0;
            for (int64_t i = 0; i < n; i++) {
                if (isinf(p[i])) continue;
                const long double term = expl(p[i] - lp) * ((p[i] - lp) - (q[i] - lq));
                want += term;
                size += fabsl(term);
            }
            if (!(fabsl(b - want) <= 1e-13L * (size + 1))) fail_msg("kl_divergence of %lld: %.17g, not %.20Lg", (long long)n, b, want);
        }
}

void check_kl_divergence(const pare_kernels *ref, const pare_kernels *k)
{
    random_rows(ref, k);
    float p[33], q[33];
    bool same = false;
    for (int i = 0; i < 33; i++) p[i] = q[i] = rnd_normal();
    assert_true(k->kl_divergence(p, q, 33, &same) == 0.0 && same);
    p[4] = -INFINITY;
    assert_true(k->kl_divergence(p, q, 33, NULL) > 0.0);
    assert_true(k->kl_divergence(q, p, 33, NULL) == INFINITY);
    q[4] = -INFINITY;
    assert_true(k->kl_divergence(p, q, 33, NULL) == 0.0);
    q[20] = NAN;
    assert_true(isnan(k->kl_divergence(p, q, 33, NULL)) && isnan(k->kl_divergence(q, p, 33, NULL)));
    for (int i = 0; i < 33; i++) q[i] = -INFINITY;
    assert_true(isnan(k->kl_divergence(p, q, 33, NULL)));
}
