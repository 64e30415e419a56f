/* SPDX-License-Identifier: Apache-2.0 */
/* matvec_float with AVX2; see matvec_float.h. */
#include <immintrin.h>
#include "kernel/ref/matvec_floats.h"

#define INLINE static inline __attribute__((always_inline))
#define VL 8
enum { ROWS = 2 };
typedef __m256 vec;

INLINE vec load_f32(const void *at) { return _mm256_loadu_ps(at); }
INLINE vec mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec all(float f) { return _mm256_set1_ps(f); }
INLINE void store(float *at, vec v) { _mm256_storeu_ps(at, v); }

INLINE vec load_bf16(const uint8_t *at)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)at)), 16));
}

INLINE vec load_f16(const uint8_t *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)at)); }

/*
 * e5m2 is the upper half of an f16. The others: exponent and mantissa to where f32 has them, times 2^(127 - bias), which is exact, too,
 * for those that are denormal in between; then the sign; then NaN.
 */
INLINE vec load_f8(const uint8_t *at, const pare_dtype format)
{
    const __m128i codes = _mm_loadl_epi64((const __m128i *)(const void *)at);
    if (format == PARE_F8_E5M2) return _mm256_cvtph_ps(_mm_slli_epi16(_mm_cvtepu8_epi16(codes), 8));
    const __m256i u = _mm256_cvtepu8_epi32(codes), magnitude = _mm256_and_si256(u, _mm256_set1_epi32(0x7f));
    const int mantissa = format == PARE_F8_E5M2FNUZ ? 21 : 20, bias = format == PARE_F8_E4M3FN ? 7 : format == PARE_F8_E4M3FNUZ ? 8 : 16;
    const vec size = _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(magnitude, mantissa)), _mm256_castsi256_ps(_mm256_set1_epi32((254 - bias) << 23)));
    const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(u, _mm256_set1_epi32(0x80)), 24), v = _mm256_or_si256(_mm256_castps_si256(size), sign);
    const __m256i bad = format == PARE_F8_E4M3FN ? _mm256_set1_epi32(0x7f) : _mm256_set1_epi32(0x80), look = format == PARE_F8_E4M3FN ? magnitude : u;
    return _mm256_castsi256_ps(_mm256_or_si256(v, _mm256_and_si256(_mm256_cmpeq_epi32(look, bad), _mm256_set1_epi32(0x7fc00000))));
}

typedef struct sixteen { __m256 low, high; } sixteen;
INLINE sixteen table_of(const float *values)
{
    if (values == NULL) return (sixteen){ _mm256_setzero_ps(), _mm256_setzero_ps() };
    return (sixteen){ _mm256_loadu_ps(values), _mm256_loadu_ps(values + 8) };
}
INLINE vec load_t4(const uint8_t *at, sixteen table)
{
    const __m128i bytes = _mm_loadu_si32(at), low = _mm_set1_epi8(15);
    const __m128i codes = _mm_unpacklo_epi8(_mm_and_si128(bytes, low), _mm_and_si128(_mm_srli_epi16(bytes, 4), low));
    const __m256i u = _mm256_cvtepu8_epi32(codes);
    const __m256 a = _mm256_permutevar8x32_ps(table.low, u), b = _mm256_permutevar8x32_ps(table.high, u);
    return _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32(u, 28))); /* bit 3 of the code to the sign */
}

#include "kernel/x86/matvec_float.h"

void pare_matvec_float_avx2(const pare_wmat *w, int64_t row0, int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    if (groups_fit(w)) matvec_float_rows(w, row0, rows, n, x, x_stride, y, y_stride);
    else pare_matvec_floats(w, row0, rows, n, x, x_stride, y, y_stride);
}
