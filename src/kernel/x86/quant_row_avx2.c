/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quant_row and quant_row_bf16 with AVX2. Adding 1.5 * 2^23 to the quotient leaves rne(quotient) in the low 16 bits of the float. (The
 * zero point is added afterwards: an odd one inside the sum would turn ties to the other side.) The saturating pack to bytes does
 * half of the clamping.
 *
 *   bf16: 16 elements are one register; its even ones are (v << 16), its odd ones (v & 0xffff0000) as f32, and the results go
 *   back to their places as (even codes) | (odd codes << 16) with one blend.
 */
#include "kernel/variants.h"
#include "kernel/x86/rows_avx2.h"

typedef struct coder {
    pare_divisor_avx2 d;
    __m256i zero;       /* 16 bits */
    __m256i umin, umax; /* bytes */
} coder;

static inline coder coder_of(float s, int32_t zero, const pare_row_quant *q)
{
    return (coder){ .d = pare_divisor_of(s), .zero = _mm256_set1_epi16((short)zero), .umin = _mm256_set1_epi8((char)q->umin),
                    .umax = _mm256_set1_epi8((char)q->umax) };
}

static inline __m256i code32(__m256 x, const coder *c)
{
    return _mm256_castps_si256(_mm256_add_ps(pare_quotient_avx2(x, c->d), _mm256_set1_ps(PARE_RNE_MAGIC)));
}

static inline __m256i clamp_bytes(__m256i v, const coder *c)
{
    return _mm256_min_epu8(_mm256_max_epu8(v, c->umin), c->umax);
}

static inline __m256i codes_bf16_16(__m256i v, const coder *c)
{
    const __m256i even = code32(_mm256_castsi256_ps(_mm256_slli_epi32(v, 16)), c);
    const __m256i odd = code32(_mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32((int)0xffff0000u))), c);
    return _mm256_add_epi16(_mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa), c->zero);
}

static inline void codes_bf16_32(const uint16_t *x, const coder *c, uint8_t *codes)
{
    const __m256i a = codes_bf16_16(_mm256_loadu_si256((const __m256i *)(const void *)x), c);
    const __m256i b = codes_bf16_16(_mm256_loadu_si256((const __m256i *)(const void *)(x + 16)), c);
    const __m256i v = _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)codes, clamp_bytes(v, c));
}

static inline void codes_f32_32(const float *x, const coder *c, uint8_t *codes)
{
    const __m256i off = _mm256_set1_epi32((int)PARE_RNE_MAGIC_BITS);
    __m256i v[4];
    for (int i = 0; i < 4; i++) v[i] = _mm256_sub_epi32(code32(_mm256_loadu_ps(x + 8 * i), c), off);
    const __m256i a = _mm256_add_epi16(_mm256_packs_epi32(v[0], v[1]), c->zero), b = _mm256_add_epi16(_mm256_packs_epi32(v[2], v[3]), c->zero);
    const __m256i packed = _mm256_packus_epi16(a, b);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256((__m256i *)(void *)codes, clamp_bytes(_mm256_permutevar8x32_epi32(packed, order), c));
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
        int64_t i = at;
        for (; i + 32 <= at + n; i += 32) {
            PARE_AHEAD(x + i, row_bytes);
            codes_bf16_32(x + i, &c, codes + i);
        }
        if (i < at + n) {
            uint16_t in[32] = { 0 };
            uint8_t out[32];
            memcpy(in, x + i, (size_t)(at + n - i) * 2);
            codes_bf16_32(in, &c, out);
            memcpy(codes + i, out, (size_t)(at + n - i));
        }
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
