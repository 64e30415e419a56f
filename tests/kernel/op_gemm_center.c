/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_gemm_center(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    for (int64_t words = 0; words <= PARE_GEMM_WORDS; words++) {
        uint32_t *panel = guarded(0, (size_t)words * 64);
        int8_t *zero = guarded(1, PARE_GEMM_PANEL);
        uint32_t before[PARE_GEMM_WORDS * PARE_GEMM_PANEL];
        for (int64_t i = 0; i < words * PARE_GEMM_PANEL; i++) before[i] = panel[i] = rnd32();
        for (int i = 0; i < PARE_GEMM_PANEL; i++) zero[i] = (int8_t)rnd32();
        k->gemm_center(panel, words, zero);
        for (int64_t i = 0; i < words * PARE_GEMM_PANEL; i++)
            for (int b = 0; b < 32; b += 8) assert_int_equal(panel[i] >> b & 255, ((before[i] >> b) - (uint32_t)zero[i % PARE_GEMM_PANEL]) & 255);
        assert_canaries(1);
    }
}
