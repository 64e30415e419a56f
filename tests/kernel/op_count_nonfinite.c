/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"
#include <math.h>

void check_count_nonfinite(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 3000; n += n < 200 ? 1 : 271) {
        float *x = guarded(0, (size_t)n * 4);
        int64_t want = 0;
        fill(x, n, 1, 1.0f);
        for (int64_t i = 0; i < n; i++) {
            if (rnd32() % 5 == 0) x[i] = rnd32() & 1 ? NAN : -INFINITY;
            want += !isfinite(x[i]);
        }
        assert_int_equal(ref->count_nonfinite(x, n), want);
        assert_int_equal(k->count_nonfinite(x, n), want);
    }
}
