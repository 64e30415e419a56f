/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing for the tiles: 8 x 8 words are transposed in registers. Codes of 4, 3 and 2 bits are transposed as they lie in memory, and
 * only then spread to bytes. Tails are the reference's loops.
 */
#include <immintrin.h>
#include "kernel/ref/gemm_codes.h"
#include "kernel/variants.h"

#define INLINE static inline __attribute__((always_inline))

/* v[i] = word i of 8 rows. */
INLINE void transpose8(const uint8_t *rows, int64_t stride, __m256i v[8])
{
    __m256 a[8], b[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) a[i] = _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)(rows + i * stride)));
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]), b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44), a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44), a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_castps_si256(_mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        v[i + 4] = _mm256_castps_si256(_mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

INLINE void put(uint32_t *panel, int64_t word, __m256i v, uint8_t off)
{
    _mm256_storeu_si256((__m256i *)(void *)(panel + word * PARE_GEMM_PANEL), _mm256_sub_epi8(v, _mm256_set1_epi8((char)off)));
}

/* In every word byte 0 of the result is byte `a` of v, and so on. */
INLINE __m256i bytes_of(__m256i v, const int a, const int b, const int c, const int d)
{
    const int32_t at = a | b << 8 | c << 16 | d << 24;
    return _mm256_shuffle_epi8(v, _mm256_setr_epi32(at, at + 0x04040404, at + 0x08080808, at + 0x0c0c0c0c, at, at + 0x04040404, at + 0x08080808, at + 0x0c0c0c0c));
}

INLINE __m256i masked(__m256i v, uint32_t mask)
{
    return _mm256_and_si256(v, _mm256_set1_epi32((int)mask));
}

/* Word i of the two that a word of 4-bit codes is. */
INLINE __m256i spread4(__m256i v, const int i)
{
    const __m256i b = bytes_of(v, 2 * i, 2 * i, 2 * i + 1, 2 * i + 1);
    return _mm256_or_si256(masked(b, 0x000f000f), masked(_mm256_srli_epi16(b, 4), 0x0f000f00));
}

/* Word i of the four that a word of 2-bit codes is. */
INLINE __m256i spread2(__m256i v, const int i)
{
    const __m256i b = bytes_of(v, i, i, i, i);
    const __m256i even = _mm256_or_si256(masked(b, 0x00000003), masked(_mm256_srli_epi32(b, 4), 0x00030000));
    const __m256i odd = _mm256_or_si256(masked(_mm256_srli_epi32(b, 2), 0x00000300), masked(_mm256_srli_epi32(b, 6), 0x03000000));
    return _mm256_or_si256(even, odd);
}

/* A word of W_U3: from byte i of the words of its block, and of the words that both blocks share. */
INLINE __m256i spread3(__m256i own, __m256i both, const int i, const int high)
{
    const __m256i a = bytes_of(own, i, i, i, i), b = bytes_of(both, i, i, i, i);
    const __m256i first = _mm256_or_si256(masked(a, 0x00000007), masked(_mm256_srli_epi32(a, 5), 0x00000700));
    const __m256i last = _mm256_or_si256(masked(_mm256_srli_epi32(a, 3), 0x03000000), masked(_mm256_srli_epi32(b, 4 + high), 0x04000000));
    return _mm256_or_si256(_mm256_or_si256(first, last), masked(high ? _mm256_srli_epi32(b, 3) : b, 0x00070000));
}

/* Whole steps of words; how many they are. */
INLINE int64_t codes_half(const int bits, const uint8_t *rows, int64_t stride, int64_t words, uint8_t off, uint32_t *panel)
{
    const int step = bits == 8 ? 8 : bits == 4 ? 16 : bits == 3 ? 64 : 32, bytes = bits == 3 ? 96 : 32;
    int64_t at = 0;
    for (; at + step <= words; at += step, rows += bytes) {
        __m256i v[16], both[8];
        transpose8(rows, stride, v);
        if (bits == 3) {
            transpose8(rows + 32, stride, v + 8);
            transpose8(rows + 64, stride, both);
        }
#pragma GCC unroll 64
        for (int i = 0; i < step; i++) {
            if (bits == 8) put(panel, at + i, v[i], off);
            else if (bits == 4) put(panel, at + i, spread4(v[i / 2], i % 2), off);
            else if (bits == 2) put(panel, at + i, spread2(v[i / 4], i % 4), off);
            else put(panel, at + i, spread3(v[i / 4], both[i % 32 / 4], i % 4, i / 32), off);
        }
    }
    return at;
}

INLINE void codes(const int bits, const uint8_t *rows, int64_t stride, int64_t words, uint8_t off, uint32_t *panel)
{
    const int64_t at = codes_half(bits, rows, stride, words, off, panel);
    codes_half(bits, rows + 8 * stride, stride, words, off, panel + 8);
    pare_gemm_code_words(bits, rows, stride, at, words, off, panel);
}

void pare_gemm_codes_avx2(int bits, const uint8_t *rows, int64_t stride, int64_t words, uint8_t off, uint32_t *panel)
{
    switch (bits) {
    case 2: codes(2, rows, stride, words, off, panel); return;
    case 3: codes(3, rows, stride, words, off, panel); return;
    case 4: codes(4, rows, stride, words, off, panel); return;
    default: codes(8, rows, stride, words, off, panel); return;
    }
}

void pare_gemm_transpose_avx2(const uint32_t *rows, int64_t stride, int64_t words, uint32_t *panel)
{
    codes(8, (const uint8_t *)rows, stride * 4, words, 0, panel);
}

/* Four rows of four words in each half; the halves are words i and i + 4. */
void pare_gemm_interleave_avx2(const uint8_t *rows, int64_t stride, int64_t words, uint32_t *out)
{
    int64_t at = 0;
    for (; at + 8 <= words; at += 8)
#pragma GCC unroll 3
        for (int t = 0; t < PARE_GEMM_TOKENS; t += 4) {
            __m256i a[4], b[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) a[i] = _mm256_loadu_si256((const __m256i *)(const void *)(rows + (t + i) * stride + at * 4));
            b[0] = _mm256_unpacklo_epi32(a[0], a[1]), b[1] = _mm256_unpackhi_epi32(a[0], a[1]);
            b[2] = _mm256_unpacklo_epi32(a[2], a[3]), b[3] = _mm256_unpackhi_epi32(a[2], a[3]);
            a[0] = _mm256_unpacklo_epi64(b[0], b[2]), a[1] = _mm256_unpackhi_epi64(b[0], b[2]);
            a[2] = _mm256_unpacklo_epi64(b[1], b[3]), a[3] = _mm256_unpackhi_epi64(b[1], b[3]);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                _mm_storeu_si128((__m128i *)(void *)(out + (at + i) * PARE_GEMM_TOKENS + t), _mm256_castsi256_si128(a[i]));
                _mm_storeu_si128((__m128i *)(void *)(out + (at + i + 4) * PARE_GEMM_TOKENS + t), _mm256_extracti128_si256(a[i], 1));
            }
        }
    for (; at < words; at++)
        for (int t = 0; t < PARE_GEMM_TOKENS; t++) memcpy(&out[at * PARE_GEMM_TOKENS + t], rows + t * stride + at * 4, 4);
}
