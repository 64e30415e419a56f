/* SPDX-License-Identifier: Apache-2.0 */
/* Against a plain loop: ties, -inf, NaN, nothing at all. */
#include "kernel_check.h"
#include <math.h>

void check_argmax_f32(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 9000; n += n < 200 ? 1 : 997)
        for (int how = 0; how < 6; how++) {
            float *x = guarded(0, (size_t)n * 4);
            for (int64_t i = 0; i < n; i++) {
                x[i] = how == 1 ? (float)(rnd32() % 4) : how == 2 ? -INFINITY : how == 3 ? NAN : rnd_normal();
                if (how >= 4 && rnd32() % 3 == 0) x[i] = how == 4 ? NAN : -INFINITY;
            }
            int64_t want = -1;
            for (int64_t i = 0; i < n; i++)
                if (!isnan(x[i]) && (want < 0 || x[i] > x[want])) want = i;
            want = want < 0 ? 0 : want;
            assert_int_equal(ref->argmax_f32(x, n), want);
            assert_int_equal(k->argmax_f32(x, n), want);
        }
}
