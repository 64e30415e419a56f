/* SPDX-License-Identifier: Apache-2.0 */
/* Every size against a plain loop. */
#include "kernel_check.h"

void check_minmax(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    for (int64_t n = 1; n < 300; n++) {
        float *x = guarded(0, (size_t)n * 4), lo, hi;
        fill(x, n, (int)(rnd32() % PATTERNS), 0.02f);
        const float shift = (float)((int)(rnd32() % 3) - 1);
        for (int64_t i = 0; i < n; i++) x[i] += shift;
        float a = x[0], b = x[0];
        for (int64_t i = 0; i < n; i++) {
            a = x[i] < a ? x[i] : a;
            b = x[i] > b ? x[i] : b;
        }
        k->minmax(x, n, &lo, &hi);
        assert_true(lo == a && hi == b);
    }
}
