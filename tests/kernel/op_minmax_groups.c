/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_minmax_groups(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    for (int i = 0; row_case_make(i, &c); i += 3) {
        const size_t bytes = (size_t)c.groups * 4;
        float *x = guarded(0, (size_t)c.q.n * 4), *a = guarded(1, bytes), *b = guarded(2, bytes), *a2 = guarded(3, bytes), *b2 = guarded(4, bytes);
        fill(x, c.q.n, c.pattern, c.scale[0]);
        if (i % 5 == 0)
            for (int64_t j = 0; j < c.q.n; j++) x[j] = x[j] < 0 ? -x[j] : x[j]; /* 0 must still be inside */
        ref->minmax_groups(x, c.q.n, c.q.group, a, a2);
        k->minmax_groups(x, c.q.n, c.q.group, b, b2);
        assert_same("minmax_groups min", k, c.q.n, a, b, bytes);
        assert_same("minmax_groups max", k, c.q.n, a2, b2, bytes);
        assert_canaries(2);
        assert_canaries(4);
        for (int64_t g = 0; g < c.groups; g++) {
            float lo = 0, hi = 0;
            for (int64_t j = g * c.q.group; j < c.q.n && j < (g + 1) * c.q.group; j++) lo = x[j] < lo ? x[j] : lo, hi = x[j] > hi ? x[j] : hi;
            assert_true(b[g] == lo && b2[g] == hi);
        }
    }
}
