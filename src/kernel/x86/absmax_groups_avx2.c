/* SPDX-License-Identifier: Apache-2.0 */
/* absmax_groups_bf16 with AVX2: two registers of running maxima, 16 bits a lane. */
#include <immintrin.h>
#include "kernel/variants.h"
#include "num/num_inl.h"

static inline uint32_t fold_max16(__m256i v)
{
    __m128i m = _mm_max_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    /* minpos finds the smallest unsigned 16 bits: of the complement, the largest */
    m = _mm_minpos_epu16(_mm_xor_si128(m, _mm_set1_epi16(-1)));
    return 0xffffu & ~(uint32_t)_mm_cvtsi128_si32(m);
}

void pare_absmax_groups_bf16_avx2(const uint16_t *x, int64_t n, int64_t group, float *out)
{
    const __m256i magnitude = _mm256_set1_epi16(0x7fff);
    for (int64_t at = 0; at < n; at += group) {
        const int64_t end = n - at < group ? n : at + group;
        __m256i a = _mm256_setzero_si256(), b = a;
        int64_t i = at;
        for (; i + 32 <= end; i += 32) {
            a = _mm256_max_epi16(a, _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(const void *)(x + i)), magnitude));
            b = _mm256_max_epi16(b, _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(const void *)(x + i + 16)), magnitude));
        }
        for (; i + 16 <= end; i += 16)
            a = _mm256_max_epi16(a, _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(const void *)(x + i)), magnitude));
        uint32_t m = fold_max16(_mm256_max_epi16(a, b));
        for (; i < end; i++) m = (x[i] & 0x7fffu) > m ? x[i] & 0x7fffu : m;
        *out++ = pare_bits_f32(m << 16);
    }
}
