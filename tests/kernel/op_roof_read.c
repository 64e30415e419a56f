/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_roof_read(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    for (int64_t n = 0; n < 200; n++) {
        uint64_t *x = guarded(0, (size_t)n * 8), sum = 0;
        for (int64_t i = 0; i < n; i++) sum += x[i] = (uint64_t)rnd32() << 32 | rnd32();
        assert_true(k->roof_read(x, n) == sum);
    }
}
