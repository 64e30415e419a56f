/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_pack_lsb(const pare_kernels *ref, const pare_kernels *k)
{
    for (int bits = 1; bits <= 8; bits++)
        for (int64_t n = 0; n < 5000; n += n < 300 ? 1 : 509) {
            const size_t bytes = (size_t)(n * bits + 7) / 8;
            uint8_t *codes = guarded(0, (size_t)n), *a = guarded(1, bytes), *b = guarded(2, bytes);
            for (int64_t i = 0; i < n; i++) codes[i] = (uint8_t)(rnd32() & ((1u << bits) - 1));
            ref->pack_lsb(bits, n, codes, a);
            k->pack_lsb(bits, n, codes, b);
            assert_same("pack_lsb", k, n, a, b, bytes);
            assert_canaries(2);
            memset(b, 0, bytes);
            for (int64_t i = 0; i < n; i++)
                for (int j = 0; j < bits; j++) b[(i * bits + j) / 8] |= (uint8_t)((codes[i] >> j & 1) << (i * bits + j) % 8);
            assert_same("pack_lsb, bit by bit", k, n, b, a, bytes);
        }
}
