/* SPDX-License-Identifier: Apache-2.0 */
/* One word of codes, as gemm_codes has it: columns 4 word ... 4 word + 3 of a row, a byte each. 8 bits are four bytes of anything. */
#ifndef PARE_KERNEL_REF_GEMM_CODES_H
#define PARE_KERNEL_REF_GEMM_CODES_H
#include <stdint.h>
#include <string.h>

/* Four fields of two bits to the low end of a byte each. */
static inline uint32_t pare_gemm_spread2(uint32_t v)
{
    v = (v | v << 12) & 0x000f000fu;
    return (v | v << 6) & 0x03030303u;
}

static inline uint32_t pare_gemm_code_word(const int bits, const uint8_t *row, int64_t word)
{
    uint32_t v;
    switch (bits) {
    case 2: return pare_gemm_spread2(row[word]);
    case 3: { /* W_U3 */
        row += word / 64 * 96;
        const int high = word % 64 / 32;
        const uint32_t own = row[word % 64], both = row[64 + word % 32];
        return (own & 7u) | own >> 5 << 8 | (both >> 3 * high & 7u) << 16 | (own >> 3 & 3u) << 24 | (both >> (6 + high) & 1u) << 26;
    }
    case 4:
        v = row[2 * word] | (uint32_t)row[2 * word + 1] << 8;
        v = (v | v << 8) & 0x00ff00ffu;
        return (v | v << 4) & 0x0f0f0f0fu;
    default: memcpy(&v, row + 4 * word, 4); return v;
    }
}

/* `off` taken from each byte: no borrow passes the bit that tops a byte, which is added apart. */
static inline uint32_t pare_gemm_take(uint32_t word, uint8_t off)
{
    const uint32_t all = off * 0x01010101u, top = 0x80808080u;
    return ((word | top) - (all & ~top)) ^ ((word ^ ~all) & top);
}

/* Words [from, words) of 16 rows. */
static inline void pare_gemm_code_words(const int bits, const uint8_t *rows, int64_t stride, int64_t from, int64_t words, uint8_t off, uint32_t *panel)
{
    for (int64_t i = from; i < words; i++)
        for (int r = 0; r < 16; r++) panel[i * 16 + r] = pare_gemm_take(pare_gemm_code_word(bits, rows + r * stride, i), off);
}
#endif
