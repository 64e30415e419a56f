/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiles in 32 registers of 512 bits: 32 rows x 12 tokens = 24 accumulators, two registers of w, one broadcast of x. A word of one token
 * and 16 rows is one instruction: fma (32 operations), vdpbf16ps (64), vpdpbusd (128); 24 of them wait for one another long enough.
 * Every loop is written once over a constant number of tokens (1 ... 12) and inlined for each.
 */
#include <immintrin.h>
#include "kernel/variants.h"

#define INLINE static inline __attribute__((always_inline))
#define EACH(NAME)                     \
    switch (t->tokens) {               \
    case 1: NAME(t, 1); break;         \
    case 2: NAME(t, 2); break;         \
    case 3: NAME(t, 3); break;         \
    case 4: NAME(t, 4); break;         \
    case 5: NAME(t, 5); break;         \
    case 6: NAME(t, 6); break;         \
    case 7: NAME(t, 7); break;         \
    case 8: NAME(t, 8); break;         \
    case 9: NAME(t, 9); break;         \
    case 10: NAME(t, 10); break;       \
    case 11: NAME(t, 11); break;       \
    default: NAME(t, 12); break;       \
    }

/* ------------------------------------------------------------------------------------------------------------- f32, bf16 */

INLINE __m512i words_at(const uint32_t *w)
{
    return _mm512_loadu_si512(w);
}

INLINE __m512 mul_add_f32(__m512 sum, __m512i w, __m512i x)
{
    return _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_castsi512_ps(x), sum);
}

INLINE __m512 mul_add_bf16(__m512 sum, __m512i w, __m512i x)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x);
}

#define FLOAT_TILE(NAME, MUL_ADD)                                                                      \
    INLINE void NAME##_tile(const pare_gemm_tile *t, const int n)                                      \
    {                                                                                                  \
        const uint32_t *w = t->w, *x = t->x;                                                           \
        __m512 sum[PARE_GEMM_TOKENS][2];                                                               \
        _Pragma("GCC unroll 12") for (int j = 0; j < n; j++) sum[j][0] = sum[j][1] = _mm512_setzero_ps(); \
        for (int64_t i = 0; i < t->words; i++, w += PARE_GEMM_PANEL, x += PARE_GEMM_TOKENS) {          \
            const __m512i w0 = words_at(w), w1 = words_at(w + PARE_GEMM_PANEL_WORDS);                  \
            __builtin_prefetch(x + PARE_GEMM_WORDS * PARE_GEMM_TOKENS, 0, 2); /* the next 12 tokens */ \
            _Pragma("GCC unroll 12") for (int j = 0; j < n; j++)                                       \
            {                                                                                          \
                const __m512i b = _mm512_set1_epi32((int)x[j]);                                        \
                sum[j][0] = MUL_ADD(sum[j][0], w0, b);                                                 \
                sum[j][1] = MUL_ADD(sum[j][1], w1, b);                                                 \
            }                                                                                          \
        }                                                                                              \
        _Pragma("GCC unroll 12") for (int j = 0; j < n; j++)                                           \
        {                                                                                              \
            float *c = t->c + j * PARE_GEMM_ROWS;                                                      \
            _mm512_storeu_ps(c, _mm512_add_ps(_mm512_loadu_ps(c), sum[j][0]));                         \
            _mm512_storeu_ps(c + 16, _mm512_add_ps(_mm512_loadu_ps(c + 16), sum[j][1]));               \
        }                                                                                              \
    }                                                                                                  \
    void pare_gemm_##NAME##_avx512(const pare_gemm_tile *t) { EACH(NAME##_tile) }

FLOAT_TILE(tile_f32, mul_add_f32)
FLOAT_TILE(tile_bf16, mul_add_bf16)

/* ---------------------------------------------------------------------------------------------------------------- bytes */

/*
 * A segment's sums begin with what zero points take off, -z * (sum of q), where that sum fits into 16 bits: 64 words of four, -32768 at least. One
 * vpdpwssd for each, the upper half of its words 0.
 */
INLINE bool zeros_first(const pare_gemm_tile *t, int s)
{
    return t->w_zero && t->seg_words[s] <= 64;
}

INLINE void begin_with_zeros(const pare_gemm_tile *t, int s, const int n, __m512i sum[PARE_GEMM_TOKENS][2])
{
    const uint32_t *zero = (const uint32_t *)(const void *)(t->w_zero + s * PARE_GEMM_ROWS);
    const __m512i none = _mm512_setzero_si512(), half = _mm512_set1_epi32(0xffff);
    const __m512i z0 = _mm512_and_si512(_mm512_sub_epi32(none, words_at(zero)), half), z1 = _mm512_and_si512(_mm512_sub_epi32(none, words_at(zero + 16)), half);
    const int32_t *x_sum = t->x_sum + s * PARE_GEMM_TOKENS;
#pragma GCC unroll 12
    for (int j = 0; j < n; j++) {
        const __m512i x = _mm512_set1_epi32(x_sum[j]);
        sum[j][0] = _mm512_dpwssd_epi32(none, z0, x);
        sum[j][1] = _mm512_dpwssd_epi32(none, z1, x);
    }
}

INLINE void subtract_zeros(const pare_gemm_tile *t, int s, const int n, __m512i sum[PARE_GEMM_TOKENS][2])
{
    const uint32_t *zero = (const uint32_t *)(const void *)(t->w_zero + s * PARE_GEMM_ROWS);
    const __m512i z0 = words_at(zero), z1 = words_at(zero + 16);
    const int32_t *x_sum = t->x_sum + s * PARE_GEMM_TOKENS;
#pragma GCC unroll 12
    for (int j = 0; j < n; j++) {
        const __m512i x = _mm512_set1_epi32(x_sum[j]);
        sum[j][0] = _mm512_sub_epi32(sum[j][0], _mm512_mullo_epi32(z0, x));
        sum[j][1] = _mm512_sub_epi32(sum[j][1], _mm512_mullo_epi32(z1, x));
    }
}

INLINE void add_segment(const pare_gemm_tile *t, int s, const int n, __m512i sum[PARE_GEMM_TOKENS][2])
{
    const float *w_scale = t->w_scale + s * PARE_GEMM_ROWS, *x_scale = t->x_scale + s * PARE_GEMM_TOKENS;
    const __m512 scale0 = _mm512_loadu_ps(w_scale), scale1 = _mm512_loadu_ps(w_scale + 16);
    if (t->w_zero && !zeros_first(t, s)) subtract_zeros(t, s, n, sum);
#pragma GCC unroll 12
    for (int j = 0; j < n; j++) {
        const __m512 x = _mm512_set1_ps(x_scale[j]);
        float *c = t->c + j * PARE_GEMM_ROWS;
        const __m512 y0 = _mm512_mul_ps(scale0, _mm512_cvtepi32_ps(sum[j][0])), y1 = _mm512_mul_ps(scale1, _mm512_cvtepi32_ps(sum[j][1]));
        _mm512_storeu_ps(c, _mm512_fmadd_ps(y0, x, _mm512_loadu_ps(c)));
        _mm512_storeu_ps(c + 16, _mm512_fmadd_ps(y1, x, _mm512_loadu_ps(c + 16)));
    }
    if (!t->w_shift) return;
    const int32_t *x_sum = t->x_sum + s * PARE_GEMM_TOKENS;
    const float *shift = t->w_shift + s * PARE_GEMM_ROWS;
    for (int j = 0; j < n; j++) {
        const __m512 x = _mm512_set1_ps(x_scale[j] * (float)x_sum[j]);
        float *c = t->c + j * PARE_GEMM_ROWS;
        _mm512_storeu_ps(c, _mm512_fnmadd_ps(_mm512_loadu_ps(shift), x, _mm512_loadu_ps(c)));
        _mm512_storeu_ps(c + 16, _mm512_fnmadd_ps(_mm512_loadu_ps(shift + 16), x, _mm512_loadu_ps(c + 16)));
    }
}

/* sum += w x, in place: GCC 12 makes three copies of a register around the intrinsic and then runs out of them. */
INLINE __m512i mul_add_u8(__m512i sum, __m512i w, __m512i x)
{
#ifdef __AVX512VNNI__
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
#else
    return _mm512_dpbusd_epi32(sum, w, x); /* emulated */
#endif
}

INLINE void u8_tile(const pare_gemm_tile *t, const int n)
{
    const uint32_t *w = t->w, *x = t->x;
    for (int s = 0; s < t->segments; s++) {
        __m512i sum[PARE_GEMM_TOKENS][2];
        if (zeros_first(t, s)) {
            begin_with_zeros(t, s, n, sum);
        } else {
#pragma GCC unroll 12
            for (int j = 0; j < n; j++) sum[j][0] = sum[j][1] = _mm512_setzero_si512();
        }
        for (int32_t i = 0; i < t->seg_words[s]; i++, w += PARE_GEMM_PANEL, x += PARE_GEMM_TOKENS) {
            const __m512i w0 = words_at(w), w1 = words_at(w + PARE_GEMM_PANEL_WORDS);
            __builtin_prefetch(x + PARE_GEMM_WORDS * PARE_GEMM_TOKENS, 0, 2);
#pragma GCC unroll 12
            for (int j = 0; j < n; j++) {
                const __m512i b = _mm512_set1_epi32((int)x[j]);
                sum[j][0] = mul_add_u8(sum[j][0], w0, b);
                sum[j][1] = mul_add_u8(sum[j][1], w1, b);
            }
        }
        add_segment(t, s, n, sum);
    }
}

void pare_gemm_tile_u8_avx512(const pare_gemm_tile *t)
{
    EACH(u8_tile)
}
