/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_float with AVX-512; see matvec_float.h. A vector of 32 bf16 becomes two of f32 by a shift and a mask: one of the even columns, one of
 * the odd ones. Bytes of f8 become bf16 by tables, the two halves of 64 with 128 entries each (VBMI), and then the same.
 */
#include <immintrin.h>
#include "kernel/ref/matvec_floats.h"

#define INLINE static inline __attribute__((always_inline))
#define VL 16
enum { ROWS = 8 };
typedef __m512 vec;

INLINE vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec all(float f) { return _mm512_set1_ps(f); }

INLINE vec load_f16(const uint8_t *at) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)at)); }

typedef struct tables {
    __m512 values;               /* W_T4 */
    __m512i low[2], high[2];     /* W_F8: bytes of the bf16 of codes 0 ... 127 */
} tables;

/* bf16 of all magnitudes: normal ones have exponent and mantissa where they are, the others are whole numbers; the last four may be inf or NaN. */
static void f8_tables(const pare_dtype dtype, tables *t)
{
    const int mantissa = dtype == PARE_F8_E4M3FN || dtype == PARE_F8_E4M3FNUZ ? 3 : 2;
    const int bias = dtype == PARE_F8_E4M3FN ? 7 : dtype == PARE_F8_E4M3FNUZ ? 8 : dtype == PARE_F8_E5M2 ? 15 : 16;
    const float least = pare_bits_f32((uint32_t)(127 + 1 - bias - mantissa) << 23);
    uint16_t h[128];
    uint8_t low[128], high[128];
    for (int u = 0; u < 128; u++) h[u] = (uint16_t)((u << (7 - mantissa)) + ((127 - bias) << 7));
    for (int u = 0; u < 1 << mantissa; u++) h[u] = (uint16_t)(pare_f32_bits((float)u * least) >> 16);
    for (int u = 124; u < 128; u++) h[u] = (uint16_t)(pare_f32_bits(pare_f8_to_f32(dtype, (uint8_t)u)) >> 16);
    for (int u = 0; u < 128; u++) low[u] = (uint8_t)h[u], high[u] = (uint8_t)(h[u] >> 8);
    for (int i = 0; i < 2; i++) t->low[i] = _mm512_loadu_si512(low + 64 * i), t->high[i] = _mm512_loadu_si512(high + 64 * i);
}

static tables tables_of(const pare_wmat *w)
{
    tables t = { .values = w->kind == PARE_W_T4 ? _mm512_loadu_ps(w->table) : _mm512_setzero_ps() };
    if (w->kind == PARE_W_F8) f8_tables(w->code_dtype, &t);
    return t;
}

/* out[0], out[1]: even and odd ones of 32 bf16. */
INLINE void widen(__m512i v, vec *out)
{
    out[0] = _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
    out[1] = _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000u)));
}

/* 64 codes, or 32 when not whole. Quarters of 128 bits are unpacked for themselves, so each must have eight of the first 32 columns in front. */
INLINE void load_f8(const uint8_t *at, const pare_dtype format, const tables *t, bool whole, vec *out)
{
    const __m512i codes = whole ? _mm512_loadu_si512(at) : _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)at));
    const __m512i u = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), codes);
    __m512i low = _mm512_permutex2var_epi8(t->low[0], u, t->low[1]), high = _mm512_permutex2var_epi8(t->high[0], u, t->high[1]);
    high = _mm512_ternarylogic_epi32(high, u, _mm512_set1_epi8((char)0x80), 0xf8); /* high | (u & sign) */
    if (format == PARE_F8_E4M3FNUZ || format == PARE_F8_E5M2FNUZ) { /* -0 is NaN */
        const __mmask64 nan = _mm512_cmpeq_epi8_mask(u, _mm512_set1_epi8((char)0x80));
        low = _mm512_mask_mov_epi8(low, nan, _mm512_set1_epi8((char)0xc0)), high = _mm512_mask_mov_epi8(high, nan, _mm512_set1_epi8(0x7f));
    }
    widen(_mm512_unpacklo_epi8(low, high), out);
    if (whole) widen(_mm512_unpackhi_epi8(low, high), out + 2);
}

INLINE vec load_t4(const uint8_t *at, const tables *t)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)at), low = _mm_set1_epi8(15);
    const __m128i codes = _mm_unpacklo_epi8(_mm_and_si128(bytes, low), _mm_and_si128(_mm_srli_epi16(bytes, 4), low));
    return _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(codes), t->values);
}

INLINE bool is_apart(const pare_wkind kind) { return kind == PARE_W_BF16 || kind == PARE_W_F8; }
INLINE int64_t step_of(const pare_wkind kind) { return kind == PARE_W_F8 ? 64 : 32; }

INLINE void load_x(const float *x, const pare_wkind kind, vec *out)
{
    const vec a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    out[0] = is_apart(kind) ? _mm512_permutex2var_ps(a, even, b) : a;
    out[1] = is_apart(kind) ? _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b) : b;
}

INLINE void load_w(const uint8_t *at, const pare_wkind kind, const pare_dtype f8, const tables *t, bool whole, vec *out)
{
    if (kind == PARE_W_BF16) {
        widen(_mm512_loadu_si512(at), out);
    } else if (kind == PARE_W_F8) {
        load_f8(at, f8, t, whole, out);
    } else {
        for (int i = 0; i < 2; i++) out[i] = kind == PARE_W_F32 ? _mm512_loadu_ps(at + 64 * i) : kind == PARE_W_F16 ? load_f16(at + 32 * i) : load_t4(at + 8 * i, t);
    }
}

INLINE float tree(pare_wkind kind, const vec *sums)
{
    vec a = sums[0], b = sums[1];
    if (is_apart(kind)) {
        const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        a = _mm512_permutex2var_ps(sums[0], first, sums[1]), b = _mm512_permutex2var_ps(sums[0], _mm512_add_epi32(first, _mm512_set1_epi32(8)), sums[1]);
    }
    const vec v = _mm512_add_ps(a, b);
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

#include "kernel/x86/matvec_float.h"

void pare_matvec_float_avx512(const pare_wmat *w, int64_t row0, int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    if (groups_fit(w)) matvec_float_rows(w, row0, rows, n, x, x_stride, y, y_stride);
    else pare_matvec_floats(w, row0, rows, n, x, x_stride, y, y_stride);
}
