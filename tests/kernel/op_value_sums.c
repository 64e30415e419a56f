/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level, and near sums in long double; u, uu and xu stay as they are. */
#include "kernel_check.h"
#include <math.h>

void check_value_sums(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 1; n < 400; n += n < 70 ? 1 : 23)
        for (int weighted = 0; weighted < 2; weighted++) {
            float *x = guarded(0, (size_t)n * 4), *w = guarded(1, (size_t)n * 4);
            pare_zero_sums a = { .u = 1, .uu = 2, .xu = 3 }, b = a;
            long double sum = 0, ones = 0, xx = 0;
            for (int64_t i = 0; i < n; i++) {
                x[i] = rnd_normal() * 0.02f;
                w[i] = weighted ? 0.1f + fabsf(rnd_normal()) : 1.0f;
                ones += (long double)w[i];
                sum += (long double)w[i] * x[i];
                xx += (long double)w[i] * x[i] * x[i];
            }
            ref->value_sums(x, weighted ? w : NULL, n, &a);
            k->value_sums(x, weighted ? w : NULL, n, &b);
            assert_same("value_sums", k, n, &a, &b, sizeof a);
            assert_true(b.u == 1 && b.uu == 2 && b.xu == 3);
            assert_true(fabsl(ones - (long double)b.w) <= 1e-12L * ones && fabsl(sum - (long double)b.x) <= 1e-9L * (1 + ones));
            assert_true(fabsl(xx - (long double)b.xx) <= 1e-9L * (1e-3L + xx));
        }
}
