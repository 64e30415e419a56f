/* SPDX-License-Identifier: Apache-2.0 */
/* act_int8 with AVX-512, 16 values at a time: the reference's operations in its order, a division each. */
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kernel/variants.h"
#include "num/num_inl.h"

static inline __m512 load(const float *x, int64_t left)
{
    return left >= 16 ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps((__mmask16)((1u << left) - 1), x);
}

static inline uint32_t largest(const float *x, int64_t n)
{
    __m512i most = _mm512_setzero_si512();
    uint32_t lane[16], result = 0;
    for (int64_t i = 0; i < n; i += 16) {
        const __m512i a = _mm512_and_si512(_mm512_castps_si512(load(x + i, n - i)), _mm512_set1_epi32(0x7fffffff));
        most = _mm512_max_epi32(most, a); /* no sign: also the order of unsigned numbers */
    }
    _mm512_storeu_si512(lane, most);
    for (int i = 0; i < 16; i++) result = lane[i] > result ? lane[i] : result;
    return result;
}

void pare_act_int8_avx512(const float *x, int64_t cols, int64_t block, float fixed, int8_t *q, float *scale)
{
    for (int64_t c = 0; c < cols; c += block) {
        const int64_t n = cols - c < block ? cols - c : block;
        const uint32_t most = largest(x + c, n);
        const bool finite = most < 0x7f800000u, zero = most < 27u << 23;
        const float s = !finite ? NAN : fixed > 0 ? fixed : zero ? 0.0f : pare_bits_f32(most) / 127.0f;
        *scale++ = s;
        if (!(s > 0.0f)) {
            memset(q + c, 0, (size_t)n);
            continue;
        }
        const __m512 by = _mm512_set1_ps(s), top = _mm512_set1_ps(127.0f), low = _mm512_set1_ps(fixed > 0 ? -128.0f : -127.0f);
        for (int64_t i = 0; i < n; i += 16) {
            const __m512 v = _mm512_min_ps(_mm512_max_ps(_mm512_div_ps(load(x + c + i, n - i), by), low), top);
            const __m128i codes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)); /* rounds to even; the ends are whole, so cutting first is the same */
            if (n - i >= 16) _mm_storeu_si128((__m128i *)(void *)(q + c + i), codes);
            else _mm_mask_storeu_epi8(q + c + i, (__mmask16)((1u << (n - i)) - 1), codes);
        }
    }
}
