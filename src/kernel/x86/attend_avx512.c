/* SPDX-License-Identifier: Apache-2.0 */
/* attend with AVX-512: 16 floats a vector, tiles of 12 rows x 2 vectors in 24 of 32 registers. */
#include <immintrin.h>
#include <stdint.h>
#include "kernel/nn.h"

typedef __m512 vec;
typedef __mmask16 vmask;
enum { W = 16, MR = 12 };
#define NAME pare_attend_avx512

static inline vec v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
static inline vec v_set1(float x) { return _mm512_set1_ps(x); }
static inline vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
/* a *b + c with the broadcast in the instruction. GCC loads what is used twice once, by an instruction of its own: one more for the front end to
   deliver, and that is what tiles of two vectors wait for. */
static inline __attribute__((always_inline)) vec v_fma_at(vec a, const float *b, vec c)
{
#ifdef __AVX512F__
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(c) : "v"(a), "m"(*b));
    return c;
#else
    return _mm512_fmadd_ps(a, _mm512_set1_ps(*b), c); /* emulated */
#endif
}
static inline vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
/* 2^n: the last bits of t are n + 127 */
static inline vec v_pow2_of(vec t) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(t), 23)); }
/* x < bound ? 0 : a b */
static inline vec v_mul_from(vec a, vec b, vec x, vec bound) { return _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(x, bound, _CMP_NLT_UQ), a, b); }
/* the first n of W */
static inline vmask v_mask(int64_t n) { return (vmask)((1u << n) - 1u); }
static inline vec v_load_part(const float *p, vmask m) { return _mm512_maskz_loadu_ps(m, p); }
static inline void v_store_part(float *p, vmask m, vec x) { _mm512_mask_storeu_ps(p, m, x); }

static inline __m256 v_fold(vec x) { return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1)); }

static inline float v_sum_of(vec x)
{
    const __m256 y = v_fold(x);
    const __m128 h = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1)), q = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

static inline float v_max_of(vec x)
{
    const __m256 y = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 h = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1)), q = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

/* As y_of_f8. */
static inline vec v_of_f8(__m128i bytes)
{
    const __m256i code = _mm256_cvtepu8_epi16(bytes), rest = _mm256_and_si256(code, _mm256_set1_epi16(0x7f)), bad = _mm256_cmpeq_epi16(rest, _mm256_set1_epi16(0x7f));
    const __m256i half = _mm256_or_si256(_mm256_slli_epi16(rest, 7), _mm256_slli_epi16(_mm256_andnot_si256(rest, code), 8));
    return _mm512_mul_ps(_mm512_cvtph_ps(_mm256_or_si256(half, _mm256_and_si256(bad, _mm256_set1_epi16(0x7e00)))), _mm512_set1_ps(256.0f));
}

/* Sixteen stored elements. */
static inline __attribute__((always_inline)) vec v_get(const void *p, int64_t i, pare_dtype dtype)
{
    if (dtype == PARE_F32) return _mm512_loadu_ps((const float *)p + i);
    if (dtype == PARE_F16) return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)p + i)));
    if (dtype == PARE_BF16)
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)p + i))), 16));
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)((const int8_t *)p + i));
    return dtype == PARE_F8_E4M3FN ? v_of_f8(bytes) : _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

void pare_attend_ref_at_avx2(const pare_attend *a);
#include "kernel/x86/attend_x86.h"
