/* SPDX-License-Identifier: Apache-2.0 */
/* The same double at every level; within 1e-14 of long double; infinities and NaN. */
#include "kernel_check.h"
#include <math.h>

void check_log_sum_exp(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 1; n < 60000; n += n < 70 ? 1 : 9001)
        for (int how = 0; how < 4; how++) {
            float *x = guarded(0, (size_t)n * 4);
            for (int64_t i = 0; i < n; i++) x[i] = how == 2 && i && rnd32() % 2 ? -INFINITY : rnd_normal() * (how == 1 ? 60.0f : 4.0f) - (how == 3 ? 3e4f : 0.0f);
            const double a = ref->log_sum_exp(x, n), b = k->log_sum_exp(x, n);
            assert_same("log_sum_exp", k, n, &a, &b, sizeof a);
            long double most = -INFINITY, sum = 0;
            for (int64_t i = 0; i < n; i++) most = fmaxl(most, x[i]);
            for (int64_t i = 0; i < n; i++) sum += expl(x[i] - most);
            if (!(fabsl(b - (most + logl(sum))) <= 1e-14L + 2.3e-16L * fabsl(most))) fail_msg("log_sum_exp of %lld: %.17g, not %.20Lg", (long long)n, b, most + logl(sum));
        }
    float x[40];
    for (int i = 0; i < 40; i++) x[i] = -INFINITY;
    assert_true(k->log_sum_exp(x, 0) == -INFINITY && k->log_sum_exp(x, 40) == -INFINITY);
    x[7] = INFINITY;
    assert_true(k->log_sum_exp(x, 40) == INFINITY);
    x[9] = NAN;
    assert_true(isnan(k->log_sum_exp(x, 40)));
}
