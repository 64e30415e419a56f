/* SPDX-License-Identifier: Apache-2.0 */
/* 16-bit floats with F16C and AVX2. f32 to bf16 as in num/num_inl.h: add half less one and the last kept bit, NaN made quiet. */
#include <immintrin.h>
#include "kernel/variants.h"
#include "num/num_inl.h"

void pare_f16_to_f32_avx2(float *dst, const uint16_t *src, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(src + i))));
    for (; i < n; i++) dst[i] = pare_f16_to_f32_inl(src[i]);
}

void pare_f32_to_f16_avx2(uint16_t *dst, const float *src, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(dst + i), _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    for (; i < n; i++) dst[i] = pare_f32_to_f16_inl(src[i]);
}

/* Eight bf16, each in the low half of a 32-bit lane. */
static inline __m256i bf16_of(__m256 x)
{
    const __m256i u = _mm256_castps_si256(x), high = _mm256_srli_epi32(u, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd), 16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

void pare_f32_to_bf16_avx2(uint16_t *dst, const float *src, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i v = _mm256_packus_epi32(bf16_of(_mm256_loadu_ps(src + i)), bf16_of(_mm256_loadu_ps(src + i + 8)));
        _mm256_storeu_si256((__m256i *)(void *)(dst + i), _mm256_permute4x64_epi64(v, 0xd8));
    }
    for (; i < n; i++) dst[i] = pare_f32_to_bf16_inl(src[i]);
}
