/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_gemm_transpose(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    for (int64_t words = 0; words <= PARE_GEMM_WORDS; words++) {
        const int64_t stride = words + words % 3;
        uint32_t *rows = guarded(0, (size_t)(15 * stride + words) * 4), *panel = guarded(1, (size_t)words * 64);
        for (int64_t i = 0; i < 15 * stride + words; i++) rows[i] = rnd32();
        k->gemm_transpose(rows, stride, words, panel);
        for (int64_t i = 0; i < words; i++)
            for (int64_t r = 0; r < 16; r++) assert_int_equal(panel[i * 16 + r], rows[r * stride + i]);
        assert_canaries(1);
    }
}
