/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_gemm_widen(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    for (int64_t n = 0; n < 300; n++) {
        const int32_t zero = (int32_t)(rnd32() % 256);
        const uint8_t flip = n & 1 ? 128 : 0;
        uint8_t *u = guarded(0, (size_t)n);
        int16_t *out = guarded(1, (size_t)n * 2);
        for (int64_t i = 0; i < n; i++) u[i] = (uint8_t)rnd32();
        k->gemm_widen(u, n, flip, zero, out);
        for (int64_t i = 0; i < n; i++) assert_int_equal(out[i], (u[i] ^ flip) - zero);
        assert_canaries(1);
    }
}
