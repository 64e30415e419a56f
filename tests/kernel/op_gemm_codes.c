/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

static unsigned bit(const uint8_t *row, int64_t at)
{
    return row[at / 8] >> at % 8 & 1;
}

static unsigned code(int bits, const uint8_t *row, int64_t c)
{
    unsigned u = 0;
    if (bits == 3) {
        static const int own[4][2] = { { 0, 1 }, { 5, 6 }, { -1, -1 }, { 3, 4 } };
        const int64_t at = c / 256 * 96, block = c / 128 % 2, j = c % 128 / 4, i = c % 4;
        if (i == 2) return row[at + 64 + j] >> 3 * block & 7;
        const unsigned two = bit(row + at + 32 * block + j, own[i][0]) | bit(row + at + 32 * block + j, own[i][1]) << 1;
        return two | (i == 3 ? bit(row + at + 64 + j, 6 + block) : bit(row + at + 32 * block + j, own[i][1] + 1)) << 2;
    }
    for (int i = 0; i < bits; i++) u |= bit(row, c * bits + i) << i;
    return u;
}

void check_gemm_codes(const pare_kernels *ref, const pare_kernels *k)
{
    static const int widths[] = { 2, 3, 4, 8 };
    (void)ref;
    for (int64_t i = 0; i < 4 * (PARE_GEMM_WORDS + 1); i++) {
        const int bits = widths[i % 4];
        const int64_t words = i / 4, row = bits == 3 ? (words + 63) / 64 * 96 : words * bits / 2, stride = row + words % 5;
        const uint8_t off = (uint8_t)(i / 4 % 3 == 0 ? 0 : i / 4 % 3 == 1 ? 128 : 1u << bits >> 1); /* 8 bits: 128 again */
        const size_t bytes = (size_t)(15 * stride + row);
        uint8_t *rows = guarded(0, bytes);
        uint32_t *panel = guarded(1, (size_t)words * 64);
        for (size_t j = 0; j < bytes; j++) rows[j] = (uint8_t)rnd32();
        k->gemm_codes(bits, rows, stride, words, off, panel);
        for (int64_t w = 0; w < words; w++)
            for (int64_t r = 0; r < 16; r++)
                for (int64_t b = 0; b < 4; b++)
                    assert_int_equal(panel[w * 16 + r] >> 8 * b & 255, (code(bits, rows + r * stride, w * 4 + b) - off) & 255);
        assert_canaries(1);
    }
}
