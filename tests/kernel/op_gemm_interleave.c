/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_gemm_interleave(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    for (int64_t words = 0; words <= PARE_GEMM_WORDS; words++) {
        const int64_t stride = words * 4 + words % 7;
        const size_t bytes = (size_t)(11 * stride + words * 4);
        uint8_t *rows = guarded(0, bytes);
        uint32_t *out = guarded(1, (size_t)words * 48);
        for (size_t i = 0; i < bytes; i++) rows[i] = (uint8_t)rnd32();
        k->gemm_interleave(rows, stride, words, out);
        for (int64_t i = 0; i < words; i++)
            for (int64_t t = 0; t < 12; t++) assert_memory_equal(&out[i * 12 + t], rows + t * stride + i * 4, 4);
        assert_canaries(1);
    }
}
