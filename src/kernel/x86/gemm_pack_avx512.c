/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing for the tiles: 16 x 16 words are transposed in registers, 64 shuffles. Codes of 4, 3 and 2 bits are transposed as they lie in
 * memory, and only then spread to bytes: one multishift takes any eight bits to every byte.
 */
#include <immintrin.h>
#include "kernel/x86/transpose16.h"
#include "kernel/variants.h"

#define INLINE static inline __attribute__((always_inline))

/* The first `bytes` (at most 64) of 16 rows, as words, transposed. */
INLINE void load16(const uint8_t *rows, int64_t stride, int64_t bytes, __m512i v[16])
{
    if (bytes >= 64) {
#pragma GCC unroll 16
        for (int r = 0; r < 16; r++) v[r] = _mm512_loadu_si512((const void *)(rows + r * stride));
    } else {
        const __mmask64 there = ((__mmask64)1 << bytes) - 1;
#pragma GCC unroll 16
        for (int r = 0; r < 16; r++) v[r] = _mm512_maskz_loadu_epi8(there, rows + r * stride);
    }
    transpose16(v);
}

INLINE void put(uint32_t *panel, int64_t word, __m512i v, __m512i off)
{
    _mm512_storeu_si512((void *)(panel + word * PARE_GEMM_PANEL), _mm512_sub_epi8(v, off));
}

/* Fields of `bits` bits from bit `first` of each word on, one to a byte, for multishift: bytes of a pair of words. */
INLINE __m512i fields(const int bits, const int first)
{
    uint64_t at = 0;
    for (int i = 0; i < 8; i++) at |= (uint64_t)((i / 4 * 32 + first + i % 4 * bits) & 63) << 8 * i;
    return _mm512_set1_epi64((int64_t)at);
}

/* A word of packed codes is `per` words of bytes; `left` of them count. */
INLINE void spread(const int bits, const int per, __m512i v, int64_t word, int64_t left, __m512i off, uint32_t *panel)
{
    const __m512i mask = _mm512_set1_epi8((char)((1 << bits) - 1));
#pragma GCC unroll 4
    for (int i = 0; i < per; i++)
        if (i < left) put(panel, word + i, _mm512_and_si512(_mm512_multishift_epi64_epi8(fields(bits, 4 * bits * i), v), mask), off);
}

INLINE void packed_codes(const int bits, const uint8_t *rows, int64_t stride, int64_t words, __m512i off, uint32_t *panel)
{
    const int per = 8 / bits;
    int64_t i = 0;
    for (; i + 16 * per <= words; i += 16 * per, rows += 64) {
        __m512i v[16];
        load16(rows, stride, 64, v);
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++) spread(bits, per, v[j], i + j * per, per, off, panel);
    }
    if (i < words) {
        __m512i v[16];
        load16(rows, stride, (words - i) * bits / 2, v);
        for (int j = 0; i + j * per < words; j++) spread(bits, per, v[j], i + j * per, words - i - j * per, off, panel);
    }
}

/* Bits from `own` on of each word of a to bytes 0, 1 and 3 as W_U3 has them, and of c to bytes 2 and 3, for multishift. */
INLINE __m512i fields3(const int a, const int b, const int c, const int d)
{
    const uint64_t one = (uint64_t)(uint32_t)(a | b << 8 | c << 16 | d << 24), two = (one + 0x20202020u) & 0x3f3f3f3fu;
    return _mm512_set1_epi64((int64_t)(one | two << 32));
}

/* 64 words of three bits from 96 bytes. */
INLINE void codes3(const uint8_t *rows, int64_t stride, int64_t words, __m512i off, uint32_t *panel)
{
    const __m512i of_own = _mm512_set1_epi32(0x0300ffff), seven = _mm512_set1_epi8(7);
    for (int64_t i = 0; i < words; i += 64, rows += 96) {
        const int64_t left = words - i;
        __m512i own[16], both[16];
        load16(rows, stride, 64, own);
        load16(rows + 64, stride, 32, both);
#pragma GCC unroll 64
        for (int j = 0; j < 64; j++) {
            const int high = j / 32, bit = j % 4 * 8;
            const __m512i a = _mm512_multishift_epi64_epi8(fields3(bit, bit + 5, bit, bit + 3), own[j / 4]);
            const __m512i b = _mm512_multishift_epi64_epi8(fields3(bit, bit, bit + 3 * high, bit + 4 + high), both[j % 32 / 4]);
            if (j < left) put(panel, i + j, _mm512_and_si512(_mm512_ternarylogic_epi32(of_own, a, b, 0xca), seven), off); /* of_own ? a : b */
        }
    }
}

INLINE void words8(const uint8_t *rows, int64_t stride, int64_t words, __m512i off, uint32_t *panel)
{
    for (int64_t i = 0; i < words; i += 16, rows += 64) {
        __m512i v[16];
        load16(rows, stride, (words - i) * 4, v);
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++)
            if (i + j < words) put(panel, i + j, v[j], off);
    }
}

void pare_gemm_codes_avx512(int bits, const uint8_t *rows, int64_t stride, int64_t words, uint8_t off, uint32_t *panel)
{
    const __m512i all = _mm512_set1_epi8((char)off);
    switch (bits) {
    case 2: packed_codes(2, rows, stride, words, all, panel); return;
    case 3: codes3(rows, stride, words, all, panel); return;
    case 4: packed_codes(4, rows, stride, words, all, panel); return;
    default: words8(rows, stride, words, all, panel); return;
    }
}

void pare_gemm_transpose_avx512(const uint32_t *rows, int64_t stride, int64_t words, uint32_t *panel)
{
    words8((const uint8_t *)rows, stride * 4, words, _mm512_setzero_si512(), panel);
}

void pare_gemm_interleave_avx512(const uint8_t *rows, int64_t stride, int64_t words, uint32_t *out)
{
    for (int64_t i = 0; i < words; i += 16, rows += 64, out += 16 * PARE_GEMM_TOKENS) {
        const int64_t left = words - i;
        const __mmask64 there = left >= 16 ? ~(__mmask64)0 : ((__mmask64)1 << 4 * left) - 1;
        __m512i v[16];
#pragma GCC unroll 12
        for (int t = 0; t < PARE_GEMM_TOKENS; t++) v[t] = _mm512_maskz_loadu_epi8(there, rows + t * stride);
#pragma GCC unroll 4
        for (int t = PARE_GEMM_TOKENS; t < 16; t++) v[t] = _mm512_setzero_si512();
        transpose16(v);
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++)
            if (j < left) _mm512_mask_storeu_epi32(out + j * PARE_GEMM_TOKENS, 0x0fff, v[j]);
    }
}

int32_t pare_gemm_sum_avx512(const int8_t *q, int64_t n)
{
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sum = _mm512_setzero_si512();
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) sum = _mm512_dpbusd_epi32(sum, ones, _mm512_loadu_si512((const void *)(q + i)));
    if (i < n) sum = _mm512_dpbusd_epi32(sum, ones, _mm512_maskz_loadu_epi8(((__mmask64)1 << (n - i)) - 1, q + i));
    return (int32_t)_mm512_reduce_add_epi32(sum);
}
