/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_gemm_sum(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    for (int64_t i = 0; i < 3 * 400; i++) {
        const int64_t n = i / 3;
        int8_t *q = guarded(0, (size_t)n);
        int32_t want = 0;
        for (int64_t j = 0; j < n; j++) want += q[j] = i % 3 == 0 ? 127 : i % 3 == 1 ? -127 : (int8_t)rnd32();
        assert_int_equal(k->gemm_sum(q, n), want);
    }
}
