/* SPDX-License-Identifier: Apache-2.0 */
/* P1 read back, one row. */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(unpack_lsb)(int bits, int64_t n, const uint8_t *src, uint8_t *codes)
{
    switch (bits) {
    case 1: pare_unpack_row_inl(1, n, src, codes); return;
    case 2: pare_unpack_row_inl(2, n, src, codes); return;
    case 3: pare_unpack_row_inl(3, n, src, codes); return;
    case 4: {
        for (int64_t i = 0; i < n / 2; i++) {
            codes[2 * i] = src[i] & 15;
            codes[2 * i + 1] = src[i] >> 4;
        }
        if (n & 1) codes[n - 1] = src[n / 2] & 15;
        return;
    }
    case 5: pare_unpack_row_inl(5, n, src, codes); return;
    case 6: pare_unpack_row_inl(6, n, src, codes); return;
    case 7: pare_unpack_row_inl(7, n, src, codes); return;
    default: memmove(codes, src, (size_t)n); return;
    }
}
