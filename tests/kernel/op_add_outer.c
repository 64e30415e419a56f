/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of plain fma at every level, and nothing beside the n columns of a row is written. */
#include "kernel_check.h"
#include <math.h>

void check_add_outer(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 1200; n += n < 70 ? 1 : 331)
        for (int64_t m = 0; m < 4; m++) {
            const int64_t stride = n + 3, all = m > 0 ? (m - 1) * stride + n : 0;
            float *a = guarded(0, (size_t)all * 4), *b = guarded(1, (size_t)all * 4), *s = guarded(2, (size_t)m * 4), *e = guarded(3, (size_t)n * 4);
            float want[4 * 1300];
            for (int64_t i = 0; i < all; i++) want[i] = a[i] = b[i] = rnd_normal();
            for (int64_t i = 0; i < m; i++) s[i] = rnd_normal();
            for (int64_t i = 0; i < n; i++) e[i] = rnd32() % 4 ? rnd_normal() : rnd_scaled();
            for (int64_t i = 0; i < m; i++)
                for (int64_t t = 0; t < n; t++) want[i * stride + t] = fmaf(s[i], e[t], want[i * stride + t]);
            ref->add_outer(a, stride, m, s, e, n);
            k->add_outer(b, stride, m, s, e, n);
            assert_same("add_outer", ref, n, want, a, (size_t)all * 4);
            assert_same("add_outer", k, n, want, b, (size_t)all * 4);
            assert_canaries(1);
        }
}
