/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes equal at every level, both kinds of pairs; a rotation written out in f64; a turn by a quarter is exact. */
#include "kernel_check.h"
#include <math.h>

void check_rope(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t half = 0; half < 140; half++)
        for (int pairs = 0; pairs < 2; pairs++) {
            float *x = guarded(0, (size_t)half * 8), *a = guarded(1, (size_t)half * 8), *b = guarded(2, (size_t)half * 8);
            float *c = guarded(3, (size_t)half * 4), *s = guarded(4, (size_t)half * 4);
            for (int64_t i = 0; i < 2 * half; i++) x[i] = a[i] = b[i] = rnd_normal();
            for (int64_t i = 0; i < half; i++) {
                const double angle = (double)rnd_normal() * 100;
                c[i] = half % 3 ? (float)cos(angle) : 0.0f;
                s[i] = half % 3 ? (float)sin(angle) : 1.0f;
            }
            ref->rope(a, c, s, half, pairs);
            k->rope(b, c, s, half, pairs);
            assert_same("rope", k, half, a, b, (size_t)half * 8);
            assert_canaries(2);
            for (int64_t i = 0; i < half; i++) {
                const int64_t p = pairs ? 2 * i : i, q = pairs ? 2 * i + 1 : i + half;
                const double u = (double)x[p], v = (double)x[q], cs = (double)c[i], sn = (double)s[i], slack = (fabs(u) + fabs(v)) * 1.2e-7;
                assert_true(fabs((double)b[p] - (u * cs - v * sn)) <= slack && fabs((double)b[q] - (u * sn + v * cs)) <= slack);
                if (half % 3 == 0) assert_true(b[p] == -x[q] && b[q] == x[p]);
            }
        }
}
