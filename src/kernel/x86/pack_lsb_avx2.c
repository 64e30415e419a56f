/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1 with AVX2, 32 codes of b bits at a time.
 *
 * Packing multiplies neighbours together: bytes to 2b bits in 16, to 4b bits in 32, to 8b bits in 64; a byte shuffle then closes the
 * gaps of the two 64-bit fields in each half, 2b bytes a half, and the halves are stored one over the other's end.
 * Unpacking gives each 32-bit lane the bytes that hold its four codes, shifts off the half byte that may precede them, and spreads.
 * 4 and 8 bits and the tails are the reference's loops.
 */
#include <immintrin.h>
#include "kernel/variants.h"
#include "num/num_inl.h"

static inline __m256i both(__m128i v) { return _mm256_broadcastsi128_si256(v); }

/* Byte k of the result of a half comes from byte k (k < b) or 8 + k - b (k < 2b). */
static inline __m256i squeeze_order(const int b)
{
    uint8_t at[16];
    for (int k = 0; k < 16; k++) at[k] = (uint8_t)(k < b ? k : k < 2 * b ? 8 + k - b : 0x80);
    return both(_mm_loadu_si128((const __m128i *)(const void *)at));
}

static inline __m256i squeeze32(__m256i v, const int b)
{
    __m256i t;
    if (b == 7) t = _mm256_or_si256(_mm256_and_si256(v, _mm256_set1_epi16(0x00ff)), _mm256_srli_epi16(_mm256_and_si256(v, _mm256_set1_epi16((short)0xff00)), 1));
    else t = _mm256_maddubs_epi16(v, _mm256_set1_epi16((short)(1 | 1 << b << 8)));
    t = _mm256_madd_epi16(t, _mm256_set1_epi32(1 | 1 << 2 * b << 16));
    const __m256i low = _mm256_and_si256(t, _mm256_set1_epi64x(0xffffffff));
    const __m256i high = _mm256_slli_epi64(_mm256_srli_epi64(t, 32), 4 * b);
    return _mm256_or_si256(low, high);
}

static inline void pack_wide(const int b, int64_t n, const uint8_t *codes, uint8_t *dst)
{
    const __m256i order = squeeze_order(b);
    int64_t i = 0, at = 0; /* at = i * b / 8 */
    for (const int64_t bytes = (n * b + 7) / 8; i + 32 <= n && at + 2 * b + 16 <= bytes; i += 32, at += 4 * b) {
        const __m256i v = _mm256_shuffle_epi8(squeeze32(_mm256_loadu_si256((const __m256i *)(const void *)(codes + i)), b), order);
        _mm_storeu_si128((__m128i *)(void *)(dst + at), _mm256_castsi256_si128(v));
        _mm_storeu_si128((__m128i *)(void *)(dst + at + 2 * b), _mm256_extracti128_si256(v, 1));
    }
    pare_pack_row_inl(b, n - i, codes + i, dst + at);
}

static inline void unpack_wide(const int b, int64_t n, const uint8_t *src, uint8_t *codes)
{
    uint8_t from[16];
    uint32_t skip[4];
    for (int lane = 0; lane < 4; lane++) {
        skip[lane] = (uint32_t)(4 * b * lane % 8);
        for (int k = 0; k < 4; k++) from[4 * lane + k] = (uint8_t)(4 * b * lane / 8 + k < 16 ? 4 * b * lane / 8 + k : 0x80);
    }
    const __m256i order = both(_mm_loadu_si128((const __m128i *)(const void *)from)), shift = both(_mm_loadu_si128((const __m128i *)(const void *)skip));
    const int pair = (1 << 2 * b) - 1, one = (1 << b) - 1;
    const __m256i pair_low = _mm256_set1_epi32(pair), pair_high = _mm256_set1_epi32((int)((uint32_t)pair << 16));
    const __m256i one_low = _mm256_set1_epi16((short)one), one_high = _mm256_set1_epi16((short)(one << 8));
    int64_t i = 0, at = 0;
    for (const int64_t bytes = (n * b + 7) / 8; i + 32 <= n && at + 2 * b + 16 <= bytes; i += 32, at += 4 * b) {
        const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(src + at)), high = _mm_loadu_si128((const __m128i *)(const void *)(src + at + 2 * b));
        __m256i v = _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), order);
        v = _mm256_srlv_epi32(v, shift);
        v = _mm256_or_si256(_mm256_and_si256(v, pair_low), _mm256_and_si256(_mm256_slli_epi32(v, 16 - 2 * b), pair_high));
        v = _mm256_or_si256(_mm256_and_si256(v, one_low), _mm256_and_si256(_mm256_slli_epi16(v, 8 - b), one_high));
        _mm256_storeu_si256((__m256i *)(void *)(codes + i), v);
    }
    pare_unpack_row_inl(b, n - i, src + at, codes + i);
}

static void pack_1(int64_t n, const uint8_t *codes, uint8_t *dst)
{
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m256i v = _mm256_slli_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(codes + i)), 7);
        const uint32_t bits = (uint32_t)_mm256_movemask_epi8(v);
        memcpy(dst + i / 8, &bits, 4);
    }
    pare_pack_row_inl(1, n - i, codes + i, dst + i / 8);
}

static void pack_4(int64_t n, const uint8_t *codes, uint8_t *dst)
{
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __m256i weights = _mm256_set1_epi16(1 | 16 << 8);
        const __m256i a = _mm256_maddubs_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(codes + i)), weights);
        const __m256i b = _mm256_maddubs_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(codes + i + 32)), weights);
        _mm256_storeu_si256((__m256i *)(void *)(dst + i / 2), _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xd8));
    }
    for (; i + 2 <= n; i += 2) dst[i / 2] = (uint8_t)(codes[i] | codes[i + 1] << 4);
    if (i < n) dst[i / 2] = codes[i];
}

static void unpack_4(int64_t n, const uint8_t *src, uint8_t *codes)
{
    for (int64_t i = 0; i < n / 2; i++) {
        codes[2 * i] = src[i] & 15;
        codes[2 * i + 1] = src[i] >> 4;
    }
    if (n & 1) codes[n - 1] = src[n / 2] & 15;
}

void pare_pack_lsb_avx2(int bits, int64_t n, const uint8_t *codes, uint8_t *dst)
{
    switch (bits) {
    case 1: pack_1(n, codes, dst); return;
    case 2: pack_wide(2, n, codes, dst); return;
    case 3: pack_wide(3, n, codes, dst); return;
    case 4: pack_4(n, codes, dst); return;
    case 5: pack_wide(5, n, codes, dst); return;
    case 6: pack_wide(6, n, codes, dst); return;
    case 7: pack_wide(7, n, codes, dst); return;
    default: memmove(dst, codes, (size_t)n); return;
    }
}

void pare_unpack_lsb_avx2(int bits, int64_t n, const uint8_t *src, uint8_t *codes)
{
    switch (bits) {
    case 1: unpack_wide(1, n, src, codes); return;
    case 2: unpack_wide(2, n, src, codes); return;
    case 3: unpack_wide(3, n, src, codes); return;
    case 4: unpack_4(n, src, codes); return;
    case 5: unpack_wide(5, n, src, codes); return;
    case 6: unpack_wide(6, n, src, codes); return;
    case 7: unpack_wide(7, n, src, codes); return;
    default: memmove(codes, src, (size_t)n); return;
    }
}
