/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_unpack_lsb(const pare_kernels *ref, const pare_kernels *k)
{
    for (int bits = 1; bits <= 8; bits++)
        for (int64_t n = 0; n < 5000; n += n < 300 ? 1 : 509) {
            const size_t bytes = (size_t)(n * bits + 7) / 8;
            uint8_t *src = guarded(0, bytes), *a = guarded(1, (size_t)n), *b = guarded(2, (size_t)n);
            for (size_t i = 0; i < bytes; i++) src[i] = (uint8_t)rnd32();
            ref->unpack_lsb(bits, n, src, a);
            k->unpack_lsb(bits, n, src, b);
            assert_same("unpack_lsb", k, n, a, b, (size_t)n);
            assert_canaries(2);
            for (int64_t i = 0; i < n; i++) {
                unsigned code = 0;
                for (int j = 0; j < bits; j++) code |= (unsigned)(src[(i * bits + j) / 8] >> (i * bits + j) % 8 & 1) << j;
                assert_int_equal(b[i], code);
            }
        }
}
