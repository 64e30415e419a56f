/* SPDX-License-Identifier: Apache-2.0 */
/* matvec_float with AVX2; see matvec_float.h. */
#include <immintrin.h>
#include "kernel/ref/matvec_floats.h"

#define INLINE static inline __attribute__((always_inline))
#define VL 8
enum { ROWS = 2 };
typedef __m256 vec;

INLINE vec mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec all(float f) { return _mm256_set1_ps(f); }

INLINE vec load_bf16(const uint8_t *at)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)at)), 16));
}

INLINE vec load_f16(const uint8_t *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)at)); }

/*
 * e5m2 is the upper half of an f16; exponent and mantissa of e4m3 are moved to where f16 has them and the difference of the biases is
 * multiplied in, which serves denormal codes too. Those of e5m2fnuz reach beyond f16: f32 of normal codes, whole numbers of denormal ones. Then NaN.
 */
INLINE vec load_f8(const uint8_t *at, const pare_dtype format)
{
    const __m128i codes = _mm_loadl_epi64((const __m128i *)(const void *)at), high = _mm_unpacklo_epi8(_mm_setzero_si128(), codes);
    if (format == PARE_F8_E5M2) return _mm256_cvtph_ps(high);
    if (format != PARE_F8_E5M2FNUZ) {
        const __m128i h = _mm_and_si128(_mm_srai_epi16(high, 1), _mm_set1_epi16((short)0xbfff));
        const __m128i look = format == PARE_F8_E4M3FN ? _mm_and_si128(high, _mm_set1_epi16(0x7f00)) : high;
        const __m128i bad = _mm_cmpeq_epi16(look, _mm_set1_epi16(format == PARE_F8_E4M3FN ? 0x7f00 : (short)0x8000));
        return _mm256_mul_ps(_mm256_cvtph_ps(_mm_or_si128(h, _mm_and_si128(bad, _mm_set1_epi16(0x7e00)))), _mm256_set1_ps(format == PARE_F8_E4M3FN ? 256.0f : 128.0f));
    }
    const __m256i u = _mm256_cvtepu8_epi32(codes), magnitude = _mm256_and_si256(u, _mm256_set1_epi32(0x7f)), sign = _mm256_slli_epi32(_mm256_srli_epi32(u, 7), 31);
    const vec normal = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(magnitude, 21), _mm256_set1_epi32((127 - 16) << 23)));
    const vec tiny = _mm256_mul_ps(_mm256_cvtepi32_ps(magnitude), _mm256_set1_ps(0x1p-17f));
    const vec size = _mm256_blendv_ps(normal, tiny, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(4), magnitude)));
    const __m256i bad = _mm256_cmpeq_epi32(u, _mm256_set1_epi32(0x80));
    return _mm256_castsi256_ps(_mm256_or_si256(_mm256_or_si256(_mm256_castps_si256(size), sign), _mm256_and_si256(bad, _mm256_set1_epi32(0x7fc00000))));
}

typedef struct tables { __m256 low, high; } tables;
INLINE tables tables_of(const pare_wmat *w)
{
    if (w->kind != PARE_W_T4) return (tables){ _mm256_setzero_ps(), _mm256_setzero_ps() };
    return (tables){ _mm256_loadu_ps(w->table), _mm256_loadu_ps(w->table + 8) };
}
INLINE vec load_t4(const uint8_t *at, const tables *t)
{
    const __m128i bytes = _mm_loadu_si32(at), low = _mm_set1_epi8(15);
    const __m128i codes = _mm_unpacklo_epi8(_mm_and_si128(bytes, low), _mm_and_si128(_mm_srli_epi16(bytes, 4), low));
    const __m256i u = _mm256_cvtepu8_epi32(codes);
    const __m256 a = _mm256_permutevar8x32_ps(t->low, u), b = _mm256_permutevar8x32_ps(t->high, u);
    return _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32(u, 28))); /* bit 3 of the code to the sign */
}

INLINE int64_t step_of(const pare_wkind kind) { return (void)kind, 32; }

INLINE void load_x(const float *x, const pare_wkind kind, vec *out)
{
    (void)kind; /* columns in their order */
    for (int i = 0; i < 4; i++) out[i] = _mm256_loadu_ps(x + 8 * i);
}

INLINE void load_w(const uint8_t *at, const pare_wkind kind, const pare_dtype f8, const tables *t, bool whole, vec *out)
{
    (void)whole;
    for (int i = 0; i < 4; i++)
        out[i] = kind == PARE_W_F32    ? _mm256_loadu_ps((const float *)(const void *)at + 8 * i)
                 : kind == PARE_W_BF16 ? load_bf16(at + 16 * i)
                 : kind == PARE_W_F16  ? load_f16(at + 16 * i)
                 : kind == PARE_W_T4   ? load_t4(at + 4 * i, t)
                                       : load_f8(at + 8 * i, f8);
}

INLINE float tree(pare_wkind kind, const vec *sums)
{
    (void)kind;
    const __m256 eight = _mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3]));
    __m128 v = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}

#include "kernel/x86/matvec_float.h"

void pare_matvec_float_avx2(const pare_wmat *w, int64_t row0, int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    if (groups_fit(w)) matvec_float_rows(w, row0, rows, n, x, x_stride, y, y_stride);
    else pare_matvec_floats(w, row0, rows, n, x, x_stride, y, y_stride);
}
