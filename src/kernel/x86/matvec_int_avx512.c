/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_int with AVX-512 (BW, VNNI): four rows at a time, 64 bytes of weights in one vector, as in matvec_int_avx2.c.
 *
 *   U4        a block of 128 columns: two planes, vpdpbusd
 *   U3 U2     two blocks, lanes 0 ... 7 and 8 ... 15: four planes, vpdpbusd
 *   I8 U8     a block: four times 32 bytes widened to 16 bits, vpdpwssd
 *
 * A lane of wmat.h is a 32-bit lane here. In exact mode the limbs enter one accumulator, shifted by 8 bits between them.
 */
#include <immintrin.h>

enum { ROWS = 4 };
#include "kernel/x86/matvec_int.h"

#define LOAD(at) _mm512_loadu_si512((const void *)(at))

INLINE __m512i low_bits(__m512i v, int shift, int mask)
{
    return _mm512_and_si512(shift ? _mm512_srli_epi16(v, (unsigned)shift) : v, _mm512_set1_epi8((char)mask));
}

/* A value a lane: own ones, one for all (two false), or one for each half. */
INLINE __m512 values(const float *at, const int lanes, const int two)
{
    if (lanes) return _mm512_loadu_ps(at);
    if (!two) return _mm512_set1_ps(*at);
    return _mm512_castsi512_ps(_mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1),
                                                        _mm512_castsi128_si512(_mm_loadl_epi64((const __m128i *)(const void *)at))));
}

INLINE __m512i numbers(const int32_t *at, const int lanes, const int two)
{
    if (lanes) return LOAD(at);
    if (!two) return _mm512_set1_epi32(*at);
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1),
                                    _mm512_castsi128_si512(_mm_loadl_epi64((const __m128i *)(const void *)at)));
}

INLINE __m512 add_term(__m512 acc, __m512i v, __m512i sum, const panel *p, int64_t lane, const int lanes, const int two, const int zero, __m512 x_scale, const int each)
{
    if (zero == ZEROS) v = _mm512_sub_epi32(v, _mm512_mullo_epi32(numbers(p->zero + lane, lanes, two), sum));
    const __m512 s = each ? _mm512_mul_ps(x_scale, values(p->scale + lane, lanes, two)) : x_scale;
    acc = _mm512_add_ps(acc, _mm512_mul_ps(_mm512_cvtepi32_ps(v), s));
    if (zero == SHIFTS) acc = _mm512_sub_ps(acc, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(values(p->shift + lane, lanes, two), x_scale)));
    return acc;
}

/* `start` plus planes of codes times planes of q. start enters in front of the last limb's products. */
INLINE __m512i dot_planes(const __m512i *u, const int planes, const uint8_t *q, const int limbs, __m512i start)
{
    __m512i v = limbs == 1 ? start : _mm512_setzero_si512();
    for (int limb = 0; limb < limbs; limb++) {
        if (limb) v = _mm512_slli_epi32(v, 8);
        if (limbs > 1 && limb == limbs - 1) v = _mm512_add_epi32(v, start);
        for (int i = 0; i < planes; i++) v = _mm512_dpbusd_epi32(v, u[i], LOAD(q + (limb * planes + i) * 64));
    }
    return v;
}

/* -------------------------------------------------------------------------------------------------------------- 4 bits */

INLINE void blocks_u4(const span *s, const int limbs, const int lanes, const int zero, const int each)
{
    __m512 acc[ROWS];
    for (int r = 0; r < ROWS; r++) acc[r] = _mm512_loadu_ps(s->acc[r]);
    for (int64_t b = s->b0; b < s->b1; b++) {
        const uint8_t *q = s->q + b * limbs * 128;
        const __m512 x_scale = _mm512_set1_ps(s->x_scale[b]);
        const __m512i sum = LOAD(s->sum + b * 16), none = _mm512_setzero_si512();
        const __m512i start = zero == MIDDLE ? _mm512_sub_epi32(none, _mm512_slli_epi32(sum, 3)) : none;
        for (int r = 0; r < ROWS; r++) {
            const uint8_t *at = s->w[r] + (b - s->b0) * 64;
            const __m512i w = LOAD(at), u[2] = { low_bits(w, 0, 15), low_bits(w, 4, 15) };
            _mm_prefetch((const char *)at + s->ahead, _MM_HINT_T0);
            acc[r] = add_term(acc[r], dot_planes(u, 2, q, limbs, start), sum, s->p[r], lanes ? b * 16 : b, lanes, 0, zero, x_scale, each);
        }
    }
    for (int r = 0; r < ROWS; r++) _mm512_storeu_ps(s->acc[r], acc[r]);
}

/* --------------------------------------------------------------------------------------------------------- 3 and 2 bits */

/* The four planes of two blocks. */
INLINE void planes_of(const uint8_t *at, const int bits, __m512i u[4])
{
    if (bits == 2) {
        const __m512i w = LOAD(at);
        for (int p = 0; p < 4; p++) u[p] = low_bits(w, 2 * p, 3);
        return;
    }
    const __m256i *first = (const __m256i *)(const void *)at, *second = (const __m256i *)(const void *)(at + 48);
    const __m512i w = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(first)), _mm256_loadu_si256(second), 1);
    /* the 16 bytes of third bits, each byte twice: bits 4 (j % 2) + p of byte j / 2 belong to byte j of plane p */
    const __m256i high0 = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(at + 32)));
    const __m256i high1 = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(at + 80)));
    const __m512i pairs = _mm512_inserti64x4(_mm512_castsi256_si512(high0), high1, 1);
    const __m512i high = _mm512_or_si512(pairs, _mm512_slli_epi16(pairs, 4)); /* low byte: bits 0 ... 3 below, high byte: bits 4 ... 7 below */
    const __m512i three = _mm512_set1_epi8(3), seven = _mm512_set1_epi8(7);
    /* (three & low) | (~three & high), then & 7 */
    u[0] = _mm512_and_si512(_mm512_ternarylogic_epi32(three, w, _mm512_slli_epi16(high, 2), 0xca), seven);
    u[1] = _mm512_and_si512(_mm512_ternarylogic_epi32(three, _mm512_srli_epi16(w, 2), _mm512_slli_epi16(high, 1), 0xca), seven);
    u[2] = _mm512_and_si512(_mm512_ternarylogic_epi32(three, _mm512_srli_epi16(w, 4), high, 0xca), seven);
    u[3] = _mm512_and_si512(_mm512_ternarylogic_epi32(three, _mm512_srli_epi16(w, 6), _mm512_srli_epi16(high, 1), 0xca), seven);
}

INLINE void blocks_u3u2(const span *s, const int bits, const int limbs, const int lanes, const int zero, const int each)
{
    const int bytes = bits == 3 ? 48 : 32;
    __m512 acc[ROWS];
    for (int r = 0; r < ROWS; r++) acc[r] = _mm512_loadu_ps(s->acc[r]);
    for (int64_t b = s->b0; b < s->b1; b += 2) {
        const uint8_t *q = s->q + b / 2 * limbs * 256;
        const __m512 x_scale = values(s->x_scale + b, 0, 1);
        const __m512i sum = LOAD(s->sum + b * 8), none = _mm512_setzero_si512();
        const __m512i start = zero == MIDDLE ? _mm512_sub_epi32(none, _mm512_slli_epi32(sum, (unsigned)bits - 1)) : none;
        for (int r = 0; r < ROWS; r++) {
            const uint8_t *at = s->w[r] + (b - s->b0) * bytes;
            __m512i u[4];
            planes_of(at, bits, u);
            _mm_prefetch((const char *)at + s->ahead, _MM_HINT_T0);
            if (bits == 3) _mm_prefetch((const char *)at + s->ahead + 64, _MM_HINT_T0);
            acc[r] = add_term(acc[r], dot_planes(u, 4, q, limbs, start), sum, s->p[r], lanes ? b * 8 : b, lanes, 1, zero, x_scale, each);
        }
    }
    for (int r = 0; r < ROWS; r++) _mm512_storeu_ps(s->acc[r], acc[r]);
}

/* -------------------------------------------------------------------------------------------------------------- 8 bits */

INLINE void blocks_8(const span *s, const int is_signed, const int limbs, const int lanes, const int zero, const int each)
{
    __m512 acc[ROWS];
    for (int r = 0; r < ROWS; r++) acc[r] = _mm512_loadu_ps(s->acc[r]);
    for (int64_t b = s->b0; b < s->b1; b++) {
        const uint8_t *q = s->q + b * limbs * 256;
        const __m512 x_scale = _mm512_set1_ps(s->x_scale[b]);
        for (int r = 0; r < ROWS; r++) {
            const uint8_t *at = s->w[r] + (b - s->b0) * 128;
            __m512i v[2] = { _mm512_setzero_si512(), _mm512_setzero_si512() };
            _mm_prefetch((const char *)at + s->ahead, _MM_HINT_T0);
            _mm_prefetch((const char *)at + s->ahead + 64, _MM_HINT_T0);
            for (int unit = 0; unit < 4; unit++) {
                const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)(at + unit * 32));
                const int64_t lane = lanes ? (b * 4 + unit) * 16 : b;
                __m512i w = is_signed ? _mm512_cvtepi8_epi16(half) : _mm512_cvtepu8_epi16(half);
                if (zero == ZEROS) w = _mm512_sub_epi16(w, numbers(s->p[r]->zero + lane, lanes, 0));
                else if (!is_signed && zero == MIDDLE) w = _mm512_sub_epi16(w, _mm512_set1_epi16(128));
                for (int limb = 0; limb < limbs; limb++) v[limb] = _mm512_dpwssd_epi32(v[limb], w, LOAD(q + (unit * limbs + limb) * 64));
                if (unit % (lanes ? s->units : 4) != (lanes ? s->units : 4) - 1) continue;
                __m512 f = _mm512_cvtepi32_ps(v[0]), scale = x_scale;
                if (limbs > 1) f = _mm512_add_ps(_mm512_mul_ps(f, _mm512_set1_ps(16384.0f)), _mm512_cvtepi32_ps(v[1]));
                if (each) scale = _mm512_mul_ps(x_scale, values(s->p[r]->scale + lane, lanes, 0));
                acc[r] = _mm512_add_ps(acc[r], _mm512_mul_ps(f, scale));
                v[0] = v[1] = _mm512_setzero_si512();
            }
        }
    }
    for (int r = 0; r < ROWS; r++) _mm512_storeu_ps(s->acc[r], acc[r]);
}

/* ------------------------------------------------------------------------------------------------------------- dispatch */

FAMILIES

void pare_matvec_int_avx512(const pare_wmat *w, int64_t row0, int64_t rows, const pare_mvact *x, float *y, int64_t y_stride)
{
    matvec_int_rows(family_of, w->kind == PARE_W_U3 || w->kind == PARE_W_U2 ? 2 : 1, w, row0, rows, x, y, y_stride);
}
