/* SPDX-License-Identifier: Apache-2.0 */
/* P1, one row: n codes of `bits` bits into ceil(n*bits/8) bytes. The squeeze of eight codes in a register is in num/num_inl.h. */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(pack_lsb)(int bits, int64_t n, const uint8_t *codes, uint8_t *dst)
{
    switch (bits) {
    case 1: pare_pack_row_inl(1, n, codes, dst); return;
    case 2: pare_pack_row_inl(2, n, codes, dst); return;
    case 3: pare_pack_row_inl(3, n, codes, dst); return;
    case 4: {
        for (int64_t i = 0; i < n / 2; i++) dst[i] = (uint8_t)(codes[2 * i] | codes[2 * i + 1] << 4);
        if (n & 1) dst[n / 2] = codes[n - 1];
        return;
    }
    case 5: pare_pack_row_inl(5, n, codes, dst); return;
    case 6: pare_pack_row_inl(6, n, codes, dst); return;
    case 7: pare_pack_row_inl(7, n, codes, dst); return;
    default: memmove(dst, codes, (size_t)n); return;
    }
}
