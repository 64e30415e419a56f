/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peaks of AVX2. Bytes: pmaddubsw, pmaddwd and paddd are what multiplies 32 pairs and adds them to int32. KEEP hides a value from the
 * compiler, which would else compute the products once.
 */
#include <immintrin.h>
#include "kernel/variants.h"

#define KEEP(v) __asm__ volatile("" : "+x"(v))
enum { SUMS = 12 };

int64_t pare_roof_f32_avx2(int64_t rounds, float *sink)
{
    __m256 sum[SUMS], a = _mm256_set1_ps(*sink), b = _mm256_set1_ps(1e-3f), total = a;
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; i++) sum[i] = _mm256_set1_ps((float)i); /* different ones, or they are one to the compiler */
    for (int64_t r = 0; r < rounds; r++) {
        KEEP(a);
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++) sum[i] = _mm256_fmadd_ps(a, b, sum[i]);
    }
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; i++) total = _mm256_add_ps(total, sum[i]);
    *sink = _mm256_cvtss_f32(total);
    return rounds * SUMS * 8 * 2;
}

int64_t pare_roof_i8_avx2(int64_t rounds, int32_t *sink)
{
    __m256i sum[SUMS], w = _mm256_set1_epi8((char)(*sink & 63)), x = _mm256_set1_epi32(*sink), total = x;
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; i++) sum[i] = _mm256_set1_epi32(i);
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++) {
            KEEP(x);
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), ones));
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; i++) total = _mm256_add_epi32(total, sum[i]);
    *sink = _mm256_cvtsi256_si32(total);
    return rounds * SUMS * 32 * 2;
}
