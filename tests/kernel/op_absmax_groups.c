/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"
#include <math.h>

void check_absmax_groups(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    for (int i = 0; row_case_make(i, &c); i += 3) {
        float *x = guarded(0, (size_t)c.q.n * 4), *a = guarded(1, (size_t)c.groups * 4), *b = guarded(2, (size_t)c.groups * 4);
        fill(x, c.q.n, c.pattern, c.scale[0]);
        if (rnd32() % 8 == 0) x[rnd32() % (uint32_t)c.q.n] = rnd32() & 1 ? INFINITY : NAN;
        ref->absmax_groups(x, c.q.n, c.q.group, a);
        k->absmax_groups(x, c.q.n, c.q.group, b);
        assert_same("absmax_groups", k, c.q.n, a, b, (size_t)c.groups * 4);
        assert_canaries(2);
        for (int64_t g = 0; g < c.groups; g++) {
            float want = 0;
            bool nan = false;
            for (int64_t j = g * c.q.group; j < c.q.n && j < (g + 1) * c.q.group; j++) want = fmaxf(want, fabsf(x[j])), nan = nan || isnan(x[j]);
            assert_true(nan ? isnan(b[g]) : b[g] == want);
        }
    }
}
