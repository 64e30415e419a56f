/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quant_row and quant_row_bf16 with AVX2. Adding 1.5 * 2^23 to the quotient leaves rne(quotient) in the low 16 bits of the float. (The
 * zero point is added afterwards: an odd one inside the sum would turn ties to the other side.) Saturating packs to bytes do half of
 * the clamping.
 *
 *   bf16: 16 elements are one register; its even ones are (v << 16), its odd ones (v & 0xffff0000) as f32, and the results go
 *   back to their places as (even codes) | (odd codes << 16) with one blend. Instead of clamping quotients to 16 bits, the
 *   largest |x| of the group is kept; a group with |x| > 1024 * scale is done again by division.
 */
#include "kernel/variants.h"
#include "kernel/x86/rows_avx2.h"

typedef struct coder {
    pare_divisor_avx2 d;
    __m256 lo, hi;      /* umin - zero, umax - zero */
    __m256i zero;       /* 16 bits */
    __m256i umin, umax; /* bytes */
} coder;

static inline coder coder_of(float s, int32_t zero, const pare_row_quant *q)
{
    return (coder){ .d = pare_divisor_of(s), .lo = _mm256_set1_ps((float)(q->umin - zero)), .hi = _mm256_set1_ps((float)(q->umax - zero)),
                    .zero = _mm256_set1_epi16((short)zero), .umin = _mm256_set1_epi8((char)q->umin), .umax = _mm256_set1_epi8((char)q->umax) };
}

static inline __m256i rounded(__m256 q)
{
    return _mm256_castps_si256(_mm256_add_ps(q, _mm256_set1_ps(PARE_RNE_MAGIC)));
}

static inline __m256i codes_bf16_16(__m256i v, const coder *c)
{
    const __m256i even = rounded(pare_quotient_avx2(_mm256_castsi256_ps(_mm256_slli_epi32(v, 16)), c->d));
    const __m256i odd = rounded(pare_quotient_avx2(_mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32((int)0xffff0000u))), c->d));
    return _mm256_add_epi16(_mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa), c->zero);
}

/* Returns the largest |x|, 16 bits a lane, of these and `most`. */
static inline __m256i codes_bf16_32(const uint16_t *x, const coder *c, __m256i most, uint8_t *codes)
{
    const __m256i magnitude = _mm256_set1_epi16(0x7fff);
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)x), b = _mm256_loadu_si256((const __m256i *)(const void *)(x + 16));
    const __m256i v = _mm256_permute4x64_epi64(_mm256_packus_epi16(codes_bf16_16(a, c), codes_bf16_16(b, c)), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)codes, _mm256_min_epu8(_mm256_max_epu8(v, c->umin), c->umax));
    return _mm256_max_epi16(most, _mm256_max_epi16(_mm256_and_si256(a, magnitude), _mm256_and_si256(b, magnitude)));
}

static inline void codes_f32_32(const float *x, const coder *c, uint8_t *codes)
{
    const __m256i off = _mm256_set1_epi32((int)PARE_RNE_MAGIC_BITS);
    __m256i v[4];
    for (int i = 0; i < 4; i++) {
        const __m256 q = pare_quotient_avx2(_mm256_loadu_ps(x + 8 * i), c->d);
        v[i] = _mm256_sub_epi32(rounded(_mm256_min_ps(_mm256_max_ps(q, c->lo), c->hi)), off);
    }
    const __m256i a = _mm256_add_epi16(_mm256_packs_epi32(v[0], v[1]), c->zero), b = _mm256_add_epi16(_mm256_packs_epi32(v[2], v[3]), c->zero);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256((__m256i *)(void *)codes, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order));
}

/* One group of a bf16 row; false when a value was too large for 16-bit codes and the codes are void. */
static inline bool group_bf16(const uint16_t *x, int64_t n, float scale, const coder *c, size_t row_bytes, uint8_t *codes)
{
    __m256i most = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        PARE_AHEAD(x + i, row_bytes);
        most = codes_bf16_32(x + i, c, most, codes + i);
    }
    if (i < n) {
        uint16_t in[32] = { 0 };
        uint8_t out[32];
        memcpy(in, x + i, (size_t)(n - i) * 2);
        most = codes_bf16_32(in, c, most, out);
        memcpy(codes + i, out, (size_t)(n - i));
    }
    const __m256i bound = _mm256_set1_epi16((short)(pare_f32_bits(1024.0f * scale) >> 16));
    return _mm256_testz_si256(_mm256_cmpgt_epi16(most, bound), _mm256_set1_epi8(-1));
}

void pare_quant_row_bf16_avx2(const uint16_t *x, const pare_row_quant *q, const float *scale, const int32_t *zero, uint8_t *codes)
{
    const size_t row_bytes = (size_t)q->n * 2;
    for (int64_t at = 0, g = 0; at < q->n; at += q->group, g++) {
        const int64_t n = q->n - at < q->group ? q->n - at : q->group;
        if (!pare_divisor_fits(scale[g], zero[g])) {
            pare_quant_span_bf16(x + at, n, scale[g], zero[g], q->umin, q->umax, codes + at);
            continue;
        }
        const coder c = coder_of(scale[g], zero[g], q);
        if (!group_bf16(x + at, n, scale[g], &c, row_bytes, codes + at))
            pare_quant_span_bf16(x + at, n, scale[g], zero[g], q->umin, q->umax, codes + at);
    }
}

void pare_quant_row_avx2(const float *x, const pare_row_quant *q, const float *scale, const int32_t *zero, uint8_t *codes)
{
    const size_t row_bytes = (size_t)q->n * 4;
    for (int64_t at = 0, g = 0; at < q->n; at += q->group, g++) {
        const int64_t n = q->n - at < q->group ? q->n - at : q->group;
        if (!pare_divisor_fits(scale[g], zero[g])) {
            pare_quant_span(x + at, n, scale[g], zero[g], q->umin, q->umax, codes + at);
            continue;
        }
        const coder c = coder_of(scale[g], zero[g], q);
        int64_t i = at;
        for (; i + 32 <= at + n; i += 32) {
            PARE_AHEAD(x + i, row_bytes);
            PARE_AHEAD(x + i + 16, row_bytes);
            codes_f32_32(x + i, &c, codes + i);
        }
        if (i < at + n) {
            float in[32] = { 0 };
            uint8_t out[32];
            memcpy(in, x + i, (size_t)(at + n - i) * 4);
            codes_f32_32(in, &c, out);
            memcpy(codes + i, out, (size_t)(at + n - i));
        }
    }
}
