/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands for the compiler's <immintrin.h> where x86/<op>_avx512.c files are built to run on any x86-64 (tests/CMakeLists.txt): SIMDe's
 * emulation in portable C, and what this version of it lacks. Compiled for the baseline, so nothing of AVX is native here. Rounding and
 * order are those of the instructions; fused operations are fused.
 */
#ifndef PARE_EMULATED_IMMINTRIN_H
#define PARE_EMULATED_IMMINTRIN_H
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <simde/x86/avx512.h>
#include <simde/x86/avx2.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#include <simde/x86/gfni.h>
#include "num/num.h"

#define PARE_EMULATED static inline __attribute__((always_inline, unused))


#ifndef __mmask64
typedef simde__mmask8 __mmask8;
typedef simde__mmask16 __mmask16;
typedef simde__mmask32 __mmask32;
typedef simde__mmask64 __mmask64;
#endif

/* Conversions lane by lane: name, result type and lanes, argument type and lanes, expression of lane v. */
#define PARE_CONVERT(name, to, to_lane, from, from_lane, n, value) \
    PARE_EMULATED to name(from a) \
    { \
        from_lane in[sizeof(from) / sizeof(from_lane)]; \
        to_lane out[n]; \
        to result; \
        memcpy(in, &a, sizeof a); \
        for (int i = 0; i < n; i++) { \
            const from_lane v = in[i]; \
            out[i] = (to_lane)(value); \
        } \
        memset(&result, 0, sizeof result); \
        memcpy(&result, out, sizeof out); \
        return result; \
    }
#ifndef _mm512_cvtepi32_ps
PARE_CONVERT(_mm512_cvtepi32_ps, __m512, float, __m512i, int32_t, 16, v)
#endif
#ifndef _mm512_cvtps_pd
PARE_CONVERT(_mm512_cvtps_pd, __m512d, double, __m256, float, 8, v)
#endif
#ifndef _mm512_cvtps_epi32
PARE_CONVERT(_mm512_cvtps_epi32, __m512i, int32_t, __m512, float, 16, fabsf(v) < 2147483648.0f ? (int32_t)rintf(v) : INT32_MIN)
#endif
#ifndef _mm512_cvttps_epi32
PARE_CONVERT(_mm512_cvttps_epi32, __m512i, int32_t, __m512, float, 16, fabsf(v) < 2147483648.0f ? (int32_t)v : INT32_MIN)
#endif
#ifndef _mm512_cvtepi8_epi32
PARE_CONVERT(_mm512_cvtepi8_epi32, __m512i, int32_t, __m128i, int8_t, 16, v)
#endif
#ifndef _mm512_cvtepu8_epi32
PARE_CONVERT(_mm512_cvtepu8_epi32, __m512i, int32_t, __m128i, uint8_t, 16, v)
#endif
#ifndef _mm512_cvtepi16_epi32
PARE_CONVERT(_mm512_cvtepi16_epi32, __m512i, int32_t, __m256i, int16_t, 16, v)
#endif
#ifndef _mm512_cvtepu16_epi32
PARE_CONVERT(_mm512_cvtepu16_epi32, __m512i, int32_t, __m256i, uint16_t, 16, v)
#endif
#ifndef _mm512_cvtepu8_epi16
PARE_CONVERT(_mm512_cvtepu8_epi16, __m512i, int16_t, __m256i, uint8_t, 32, v)
#endif
#ifndef _mm512_cvtepi32_epi8
PARE_CONVERT(_mm512_cvtepi32_epi8, __m128i, int8_t, __m512i, int32_t, 16, v)
#endif
#ifndef _mm512_cvtepi32_epi16
PARE_CONVERT(_mm512_cvtepi32_epi16, __m256i, int16_t, __m512i, int32_t, 16, v)
#endif
#ifndef _mm512_cvtph_ps
PARE_CONVERT(_mm512_cvtph_ps, __m512, float, __m256i, uint16_t, 16, pare_f16_to_f32(v))
#endif
#ifndef _mm512_cvtps_ph /* the rounding argument is nearest even wherever it is used */
PARE_CONVERT(pare_emulated_cvtps_ph, __m256i, uint16_t, __m512, float, 16, pare_f32_to_f16(v))
#define _mm512_cvtps_ph(a, rounding) pare_emulated_cvtps_ph(a)
#endif
/* vcvtneps2bf16 takes denormals for zero and makes none. */
static inline __attribute__((unused)) uint16_t pare_emulated_bf16(float v)
{
    return fabsf(v) < 0x1p-126f ? (uint16_t)(signbit(v) ? 0x8000 : 0) : pare_f32_to_bf16(v);
}
#ifndef _mm512_cvtneps_pbh
PARE_CONVERT(_mm512_cvtneps_pbh, __m256i, uint16_t, __m512, float, 16, pare_emulated_bf16(v))
#define __m256bh __m256i
#endif

/* Masked memory: lanes that are off are not touched. */
#define PARE_MASKED(load, store, vector, lane, mask, n) \
    PARE_EMULATED vector load(mask m, const void *at) \
    { \
        lane out[n]; \
        vector result; \
        for (int i = 0; i < n; i++) { \
            memset(&out[i], 0, sizeof out[i]); \
            if (m >> i & 1) memcpy(&out[i], (const lane *)at + i, sizeof out[i]); \
        } \
        memcpy(&result, out, sizeof result); \
        return result; \
    } \
    PARE_EMULATED void store(void *at, mask m, vector v) \
    { \
        lane in[n]; \
        memcpy(in, &v, sizeof v); \
        for (int i = 0; i < n; i++) \
            if (m >> i & 1) memcpy((lane *)at + i, &in[i], sizeof in[i]); \
    }
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_maskz_loadu_epi8
#undef _mm512_mask_storeu_epi8
#undef _mm512_maskz_loadu_epi16
#undef _mm512_mask_storeu_epi16
#undef _mm512_maskz_loadu_epi32
#undef _mm512_mask_storeu_epi32
#undef _mm256_maskz_loadu_epi8
#undef _mm256_mask_storeu_epi8
#undef _mm256_maskz_loadu_epi16
#undef _mm256_mask_storeu_epi16
#undef _mm_maskz_loadu_epi8
#undef _mm_mask_storeu_epi8
PARE_MASKED(_mm512_maskz_loadu_ps, _mm512_mask_storeu_ps, __m512, float, uint16_t, 16)
PARE_MASKED(_mm512_maskz_loadu_epi32, _mm512_mask_storeu_epi32, __m512i, int32_t, uint16_t, 16)
PARE_MASKED(_mm512_maskz_loadu_epi16, _mm512_mask_storeu_epi16, __m512i, int16_t, uint32_t, 32)
PARE_MASKED(_mm512_maskz_loadu_epi8, _mm512_mask_storeu_epi8, __m512i, int8_t, uint64_t, 64)
PARE_MASKED(_mm256_maskz_loadu_epi16, _mm256_mask_storeu_epi16, __m256i, int16_t, uint16_t, 16)
PARE_MASKED(_mm256_maskz_loadu_epi8, _mm256_mask_storeu_epi8, __m256i, int8_t, uint32_t, 32)
PARE_MASKED(_mm_maskz_loadu_epi8, _mm_mask_storeu_epi8, __m128i, int8_t, uint16_t, 16)

/* 128-bit parts */
#define PARE_PARTS(name, vector) \
    PARE_EMULATED vector name(vector a, vector b, int imm) \
    { \
        uint8_t x[64], y[64], out[64]; \
        vector result; \
        memcpy(x, &a, 64); \
        memcpy(y, &b, 64); \
        for (int i = 0; i < 4; i++) memcpy(out + 16 * i, (i < 2 ? x : y) + 16 * (imm >> 2 * i & 3), 16); \
        memcpy(&result, out, 64); \
        return result; \
    }
#undef _mm512_shuffle_f32x4
#undef _mm512_shuffle_i32x4
#undef _mm512_shuffle_i64x2
PARE_PARTS(_mm512_shuffle_f32x4, __m512)
PARE_PARTS(_mm512_shuffle_i32x4, __m512i)
PARE_PARTS(_mm512_shuffle_i64x2, __m512i)
#ifndef _mm512_extractf32x8_ps
PARE_EMULATED __m256 _mm512_extractf32x8_ps(__m512 a, int half)
{
    uint8_t bytes[64];
    __m256 result;
    memcpy(bytes, &a, 64);
    memcpy(&result, bytes + 32 * (half & 1), 32);
    return result;
}
#endif
#ifndef _mm512_multishift_epi64_epi8
/* Byte i of a result of 64 bits: the eight bits from bit at[i] of the same 64 on, turning around. */
PARE_EMULATED __m512i _mm512_multishift_epi64_epi8(__m512i at, __m512i v)
{
    uint8_t from[64], out[64];
    uint64_t in[8];
    __m512i result;
    memcpy(from, &at, 64);
    memcpy(in, &v, 64);
    for (int i = 0; i < 64; i++) {
        const uint64_t x = in[i / 8];
        const int shift = from[i] & 63;
        out[i] = (uint8_t)(x >> shift | x << (64 - shift) % 64);
    }
    memcpy(&result, out, 64);
    return result;
}
#endif

/* Sums in the order of the tree that compilers make: halves onto halves. */
#define PARE_REDUCE(name, vector, lane) \
    PARE_EMULATED lane name(vector v) \
    { \
        lane x[16]; \
        memcpy(x, &v, 64); \
        for (int half = 8; half; half /= 2) \
            for (int i = 0; i < half; i++) x[i] = (lane)(x[i] + x[i + half]); \
        return x[0]; \
    }
#ifndef _mm512_reduce_add_ps
PARE_REDUCE(_mm512_reduce_add_ps, __m512, float)
#endif
#ifndef _mm512_reduce_add_epi32
PARE_REDUCE(_mm512_reduce_add_epi32, __m512i, uint32_t)
#endif
/* SIMDe's round twice. */
#define PARE_FUSED(name, sign) \
    PARE_EMULATED __m512 name(__m512 a, __m512 b, __m512 c) \
    { \
        float x[16], y[16], z[16]; \
        memcpy(x, &a, 64); \
        memcpy(y, &b, 64); \
        memcpy(z, &c, 64); \
        for (int i = 0; i < 16; i++) z[i] = fmaf(sign x[i], y[i], z[i]); \
        memcpy(&c, z, 64); \
        return c; \
    }
#undef _mm512_fmadd_ps
#undef _mm512_fnmadd_ps
PARE_FUSED(_mm512_fmadd_ps, +)
PARE_FUSED(_mm512_fnmadd_ps, -)
#ifndef _mm_prefetch
#define _mm_prefetch(at, hint) ((void)(at))
#endif
#ifndef _MM_HINT_T0
#define _MM_HINT_T0 3
#define _MM_HINT_T1 2
#define _MM_HINT_NTA 0
#endif
#endif
