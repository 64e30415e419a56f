/* SPDX-License-Identifier: Apache-2.0 */
/* matvec_float with AVX-512; see matvec_float.h. */
#include <immintrin.h>
#include "kernel/ref/matvec_floats.h"

#define INLINE static inline __attribute__((always_inline))
#define VL 16
enum { ROWS = 4 };
typedef __m512 vec;

INLINE vec load_f32(const void *at) { return _mm512_loadu_ps(at); }
INLINE vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec all(float f) { return _mm512_set1_ps(f); }
INLINE void store(float *at, vec v) { _mm512_storeu_ps(at, v); }

INLINE vec load_bf16(const uint8_t *at)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)at)), 16));
}

INLINE vec load_f16(const uint8_t *at) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)at)); }

/*
 * e5m2 is the upper half of an f16. The others: exponent and mantissa to where f32 has them, times 2^(127 - bias), which is exact, too,
 * for those that are denormal in between; then the sign; then NaN.
 */
INLINE vec load_f8(const uint8_t *at, const pare_dtype format)
{
    const __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)at);
    if (format == PARE_F8_E5M2) return _mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(codes), 8));
    const __m512i u = _mm512_cvtepu8_epi32(codes), magnitude = _mm512_and_si512(u, _mm512_set1_epi32(0x7f));
    const int mantissa = format == PARE_F8_E5M2FNUZ ? 21 : 20, bias = format == PARE_F8_E4M3FN ? 7 : format == PARE_F8_E4M3FNUZ ? 8 : 16;
    const vec size = _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(magnitude, (unsigned)mantissa)), _mm512_castsi512_ps(_mm512_set1_epi32((254 - bias) << 23)));
    const __m512i sign = _mm512_slli_epi32(_mm512_and_si512(u, _mm512_set1_epi32(0x80)), 24), v = _mm512_or_si512(_mm512_castps_si512(size), sign);
    const __m512i bad = format == PARE_F8_E4M3FN ? _mm512_set1_epi32(0x7f) : _mm512_set1_epi32(0x80), look = format == PARE_F8_E4M3FN ? magnitude : u;
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(v, _mm512_cmpeq_epi32_mask(look, bad), _mm512_set1_epi32(0x7fc00000)));
}

typedef __m512 sixteen;
INLINE sixteen table_of(const float *values) { return values != NULL ? _mm512_loadu_ps(values) : _mm512_setzero_ps(); }
INLINE vec load_t4(const uint8_t *at, sixteen table)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)at), low = _mm_set1_epi8(15);
    const __m128i codes = _mm_unpacklo_epi8(_mm_and_si128(bytes, low), _mm_and_si128(_mm_srli_epi16(bytes, 4), low));
    return _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(codes), table);
}

#include "kernel/x86/matvec_float.h"

void pare_matvec_float_avx512(const pare_wmat *w, int64_t row0, int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    if (groups_fit(w)) matvec_float_rows(w, row0, rows, n, x, x_stride, y, y_stride);
    else pare_matvec_floats(w, row0, rows, n, x, x_stride, y, y_stride);
}
