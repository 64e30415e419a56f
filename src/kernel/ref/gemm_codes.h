/* SPDX-License-Identifier: Apache-2.0 */
/* One word of codes, as gemm_codes has it: columns 4 word ... 4 word + 3 of a row, a byte each. 8 bits are four bytes of anything. */
#ifndef PARE_KERNEL_REF_GEMM_CODES_H
#define PARE_KERNEL_REF_GEMM_CODES_H
#include <stdint.h>
#include <string.h>

/* Four fields of two bits, and four single bits, to the low end of a byte each. */
static inline uint32_t pare_gemm_spread2(uint32_t v)
{
    v = (v | v << 12) & 0x000f000fu;
    return (v | v << 6) & 0x03030303u;
}

static inline uint32_t pare_gemm_spread1(uint32_t v)
{
    v = (v | v << 14) & 0x00030003u;
    return (v | v << 7) & 0x01010101u;
}

static inline uint32_t pare_gemm_code_word(const int bits, const uint8_t *row, int64_t word)
{
    uint32_t v;
    switch (bits) {
    case 2: return pare_gemm_spread2(row[word]);
    case 3: /* 48 bytes for 32 words: two low bits, then the third bit */
        row += word / 32 * 48;
        word %= 32;
        return pare_gemm_spread2(row[word]) | pare_gemm_spread1(row[32 + word / 2] >> word % 2 * 4 & 15u) << 2;
    case 4:
        v = row[2 * word] | (uint32_t)row[2 * word + 1] << 8;
        v = (v | v << 8) & 0x00ff00ffu;
        return (v | v << 4) & 0x0f0f0f0fu;
    default: memcpy(&v, row + 4 * word, 4); return v;
    }
}

/* Words [from, words) of 16 rows. */
static inline void pare_gemm_code_words(const int bits, const uint8_t *rows, int64_t stride, int64_t from, int64_t words, uint32_t flip, uint32_t *panel)
{
    for (int64_t i = from; i < words; i++)
        for (int r = 0; r < 16; r++) panel[i * 16 + r] = pare_gemm_code_word(bits, rows + r * stride, i) ^ flip;
}
#endif
