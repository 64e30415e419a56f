/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks of AVX-512: fma, vpdpbusd (VNNI), vdpbf16ps (BF16), 24 sums that do not wait for one another. KEEP hides a value from the compiler. */
#include <immintrin.h>
#include "kernel/variants.h"

#ifdef __AVX512F__
#define KEEP(v) __asm__ volatile("" : "+v"(v))
#else
#define KEEP(v) __asm__ volatile("" : : "r"(&(v)) : "memory") /* emulated */
#endif
enum { SUMS = 24 };

int64_t pare_roof_f32_avx512(int64_t rounds, float *sink)
{
    __m512 sum[SUMS], a = _mm512_set1_ps(*sink), b = _mm512_set1_ps(1e-3f), total = a;
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++) {
        KEEP(a);
#pragma GCC unroll 24
        for (int i = 0; i < SUMS; i++) sum[i] = _mm512_fmadd_ps(a, b, sum[i]);
    }
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) total = _mm512_add_ps(total, sum[i]);
    float out[16];
    _mm512_storeu_ps(out, total);
    *sink = out[0];
    return rounds * SUMS * 16 * 2;
}

int64_t pare_roof_i8_avx512(int64_t rounds, int32_t *sink)
{
    __m512i sum[SUMS], w = _mm512_set1_epi8((char)(*sink & 63)), x = _mm512_set1_epi32(*sink), total = x;
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) sum[i] = _mm512_set1_epi32(i);
    for (int64_t r = 0; r < rounds; r++) {
        KEEP(x);
#pragma GCC unroll 24
        for (int i = 0; i < SUMS; i++) {
#ifdef __AVX512VNNI__
            __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[i]) : "v"(w), "v"(x)); /* GCC 12 copies registers around the intrinsic */
#else
            sum[i] = _mm512_dpbusd_epi32(sum[i], w, x); /* emulated */
#endif
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) total = _mm512_add_epi32(total, sum[i]);
    int32_t out[16];
    _mm512_storeu_si512(out, total);
    *sink = out[0];
    return rounds * SUMS * 64 * 2;
}

int64_t pare_roof_bf16_avx512(int64_t rounds, float *sink)
{
    __m512 sum[SUMS], total = _mm512_setzero_ps();
    __m512i w = _mm512_set1_epi32(0x3c003c00), x = _mm512_set1_epi32(0x3c003c00 + (int)*sink);
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++) {
        KEEP(x);
#pragma GCC unroll 24
        for (int i = 0; i < SUMS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)w, (__m512bh)x);
    }
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) total = _mm512_add_ps(total, sum[i]);
    float out[16];
    _mm512_storeu_ps(out, total);
    *sink = out[0];
    return rounds * SUMS * 32 * 2;
}
