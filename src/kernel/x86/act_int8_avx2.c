/* SPDX-License-Identifier: Apache-2.0 */
/* act_int8 with AVX2, 32 values at a time: the reference's operations in its order, a division each. Tails are the reference's loops. */
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kernel/variants.h"
#include "num/num_inl.h"

static inline uint32_t largest(const float *x, int64_t n)
{
    __m256i most = _mm256_setzero_si256();
    uint32_t lane[8], result = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) most = _mm256_max_epu32(most, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + i)), _mm256_set1_epi32(0x7fffffff)));
    _mm256_storeu_si256((__m256i *)(void *)lane, most);
    for (int j = 0; j < 8; j++) result = lane[j] > result ? lane[j] : result;
    for (; i < n; i++) {
        const uint32_t a = pare_f32_bits(x[i]) & 0x7fffffffu;
        result = a > result ? a : result;
    }
    return result;
}

/* Cut to least ... 127, then to even; the ends are whole, so that the order of both is the same. */
static inline __m256i eight(const float *x, __m256 by, __m256 least)
{
    const __m256 v = _mm256_max_ps(_mm256_div_ps(_mm256_loadu_ps(x), by), least);
    return _mm256_cvtps_epi32(_mm256_min_ps(v, _mm256_set1_ps(127.0f)));
}

void pare_act_int8_avx2(const float *x, int64_t cols, int64_t block, float fixed, int8_t *q, float *scale)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const float least = fixed > 0 ? -128.0f : -127.0f;
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
        const __m256 by = _mm256_set1_ps(s), low_end = _mm256_set1_ps(least);
        int64_t i = 0;
        for (; i + 32 <= n; i += 32) {
            const float *at = x + c + i;
            const __m256i low = _mm256_packs_epi32(eight(at, by, low_end), eight(at + 8, by, low_end));
            const __m256i high = _mm256_packs_epi32(eight(at + 16, by, low_end), eight(at + 24, by, low_end));
            _mm256_storeu_si256((__m256i *)(void *)(q + c + i), _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order));
        }
        for (; i < n; i++) {
            float v = rintf(x[c + i] / s);
            v = v < least ? least : v;
            q[c + i] = (int8_t)(v > 127.0f ? 127.0f : v);
        }
    }
}
