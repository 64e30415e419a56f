/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level, and near sums in long double. */
#include "kernel_check.h"
#include <math.h>

void check_zero_sums(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 1; n < 400; n += n < 70 ? 1 : 23)
        for (int weighted = 0; weighted < 2; weighted++) {
            float *x = guarded(0, (size_t)n * 4), *w = guarded(1, (size_t)n * 4);
            pare_zero_sums a, b;
            long double xu = 0, xx = 0, uu = 0;
            for (int64_t i = 0; i < n; i++) {
                uint8_t u;
                x[i] = rnd_normal() * 0.02f;
                w[i] = weighted ? 0.1f + fabsf(rnd_normal()) : 1.0f;
                ref->quant_zero(&x[i], 1, 0.01f, 6.3f, 15, &u);
                xu += (long double)w[i] * x[i] * u;
                uu += (long double)w[i] * u * u;
                xx += (long double)w[i] * x[i] * x[i];
            }
            ref->zero_sums(x, weighted ? w : NULL, n, 0.01f, 6.3f, 15, &a);
            k->zero_sums(x, weighted ? w : NULL, n, 0.01f, 6.3f, 15, &b);
            assert_same("zero_sums", k, n, &a, &b, sizeof a);
            assert_true(fabsl(xu - (long double)b.xu) <= 1e-9L * (1 + fabsl(uu)) && fabsl(uu - (long double)b.uu) <= 1e-9L * uu);
            assert_true(fabsl(xx - (long double)b.xx) <= 1e-9L * (1e-3L + xx));
        }
}
