/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes equal at every level; and within summation error of a long double loop. */
#include "kernel_check.h"
#include <math.h>

static void near(double got, long double want, int64_t n)
{
    if (!(fabsl((long double)got - want) <= want * 1e-15L * (long double)(n + 8) || (double)want == got)) fail_msg("%a is not near %La", got, want);
}

void check_row_error(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 6000; n += n < 150 ? 1 : 613)
        for (int pattern = 0; pattern < PATTERNS; pattern++) {
            float *x = guarded(0, (size_t)n * 4), *y = guarded(1, (size_t)n * 4);
            fill(x, n, pattern, 0.01f);
            for (int64_t i = 0; i < n; i++) y[i] = pattern == 0 ? rintf(x[i] / 0.05f) * 0.05f : pattern == 1 ? rnd_normal() : pare_round_to(PARE_BF16, x[i]);
            for (int64_t i = 0; i < n; i++)
                if (!isfinite(y[i])) y[i] = 0.0f;
            pare_row_error a, b;
            memset(&a, 0, sizeof a);
            memset(&b, 0, sizeof b);
            ref->row_error(x, y, n, &a);
            k->row_error(x, y, n, &b);
            assert_same("row_error", k, n, &a, &b, sizeof a);
            long double signal = 0, noise = 0, abs_sum = 0, dq2 = 0, most = 0;
            for (int64_t i = 0; i < n; i++) {
                const long double d = (long double)(y[i] - x[i]);
                signal += (long double)x[i] * x[i];
                dq2 += (long double)y[i] * y[i];
                noise += d * d;
                abs_sum += fabsl(d);
                most = fmaxl(most, fabsl(d));
            }
            near(b.signal, signal, n);
            near(b.noise, noise, n);
            near(b.abs_sum, abs_sum, n);
            near(b.dq2, dq2, n);
            assert_true(b.max_abs == (double)most);
        }
}
