/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_int with AVX2: two rows at a time, 128 columns (a block) after the other, all tokens over one panel of columns while its weights
 * are in the first cache. Bytes of weights stay in their order: masks and shifts give planes, which meet planes of activations.
 *
 *   U4        2 x 32 bytes a block: nibbles, vpmaddubsw (at most 15 * 128 * 2 * 2 in 16 bits), vpmaddwd with 1
 *   U2        32 bytes a block: four planes of 2 bits
 *   U3        32 bytes a block and 32 for two blocks: four planes as wmat.h says
 *   I8 U8     4 x 32 bytes a block: widened to 16 bits, zero point subtracted, vpmaddwd
 *
 * A lane of wmat.h is a 32-bit lane here: 0 ... 7 in the first vector, 8 ... 15 in the second (U3 U2: of even and odd blocks). Zero points
 * of U4, U3 and U2 enter as V - zero * (sum of q in the lane). Groups that do not begin where lanes do are left to the reference.
 */
#include <immintrin.h>

enum { ROWS = 2, PACKED = 0 };
#include "kernel/x86/matvec_int.h"

#define LOAD(at) _mm256_loadu_si256((const __m256i *)(const void *)(at))

INLINE void scales_of(const pare_dtype dtype, const pare_wmat *w, int64_t at, int64_t n, const float *x, float *out)
{
    const uint8_t *from = (const uint8_t *)w->scale + at * (dtype == PARE_F32 ? 4 : 2);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const uint8_t *here = from + i * (dtype == PARE_F32 ? 4 : 2);
        const __m256 f = dtype == PARE_F32   ? _mm256_loadu_ps((const float *)(const void *)here)
                         : dtype == PARE_F16 ? _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)here))
                                             : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)here)), 16));
        _mm256_storeu_ps(out + i, x ? _mm256_mul_ps(f, _mm256_loadu_ps(x + i)) : f);
    }
    for (; i < n; i++) out[i] = x ? pare_wmat_scale(w, at + i) * x[i] : pare_wmat_scale(w, at + i);
}

INLINE void zeros_of(const pare_wmat *w, int limbs, int64_t at, int64_t n, int32_t *out)
{
    const __m256i factor = _mm256_set1_epi32(zero_as(w->kind, limbs, w->kind == PARE_W_I8 ? 129 : 1) >> 16), offset = _mm256_set1_epi32(w->kind == PARE_W_I8 ? 128 : 0);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256i z = _mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(w->zero + at + i))), offset);
        const __m256i high = _mm256_slli_epi32(_mm256_mullo_epi32(z, factor), 16);
        _mm256_storeu_si256((__m256i *)(void *)(out + i), _mm256_blend_epi16(z, high, 0xaa));
    }
    for (; i < n; i++) out[i] = zero_as(w->kind, limbs, w->zero[at + i]);
}

INLINE void scales_of_rows(const pare_dtype dtype, const pare_wmat *w, int64_t at, int64_t next, int64_t n, const float *x, float *out)
{
    const int64_t size = dtype == PARE_F32 ? 4 : 2, ahead = turns_on(n * size);
    for (int r = 0; r < ROWS; r++, at += next) {
        for (int64_t i = 0; i < n * size; i += 64) _mm_prefetch((const char *)w->scale + at * size + ahead + i, _MM_HINT_T0);
        scales_of(dtype, w, at, n, x, out + r * VALUES);
    }
}

INLINE void zeros_of_rows(const pare_wmat *w, int limbs, int64_t at, int64_t next, int64_t n, int32_t *out)
{
    for (int r = 0; r < ROWS; r++, at += next) {
        for (int64_t i = 0; i < n; i += 64) _mm_prefetch((const char *)w->zero + at + turns_on(n) + i, _MM_HINT_T0);
        zeros_of(w, limbs, at, n, out + r * VALUES);
    }
}

INLINE __m256i low_bits(__m256i v, int shift, int mask)
{
    return _mm256_and_si256(shift ? _mm256_srli_epi16(v, shift) : v, _mm256_set1_epi8((char)mask));
}

/* Term of one vector: acc + (float)v * s, minus (float)sum * shift. `lane` points into the panel's arrays. */
INLINE __m256 add_term(__m256 acc, __m256i v, __m256i sum, const panel *p, int64_t lane, const int lanes, const int zero, int middle, __m256 x_scale, const int each)
{
    if (zero == MIDDLE) v = _mm256_sub_epi32(v, _mm256_slli_epi32(sum, middle));
    if (zero == ZEROS) {
        const __m256i z = lanes ? LOAD(p->zero + lane) : _mm256_set1_epi32(p->zero[lane]);
        v = _mm256_sub_epi32(v, _mm256_mullo_epi32(z, sum));
    }
    const __m256 s = !each ? x_scale : lanes ? _mm256_loadu_ps(p->scale + lane) : _mm256_broadcast_ss(p->scale + lane);
    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(v), s, acc);
    if (zero == SHIFTS)
        acc = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(sum), lanes ? _mm256_loadu_ps(p->shift + lane) : _mm256_broadcast_ss(p->shift + lane), acc);
    return acc;
}

/* planes of codes times planes of q, all limbs, as exact 32-bit lanes. q: bytes between planes 64, between limbs 64 * planes. */
INLINE __m256i dot_planes(const __m256i *u, const int planes, const uint8_t *q, const int limbs)
{
    const __m256i ones = _mm256_set1_epi16(1), many = _mm256_set1_epi16(256);
    __m256i v = _mm256_setzero_si256();
    for (int limb = 0; limb < limbs; limb++) {
        __m256i m = _mm256_maddubs_epi16(u[0], LOAD(q + limb * planes * 64));
        for (int i = 1; i < planes; i++) m = _mm256_add_epi16(m, _mm256_maddubs_epi16(u[i], LOAD(q + (limb * planes + i) * 64)));
        if (limb == 0) v = _mm256_madd_epi16(m, limbs == 1 ? ones : many);
        else if (limb == 1) v = _mm256_slli_epi32(_mm256_add_epi32(v, _mm256_madd_epi16(m, ones)), 8);
        else v = _mm256_add_epi32(v, _mm256_madd_epi16(m, ones));
    }
    return v;
}

/* -------------------------------------------------------------------------------------------------------------- 4 bits */

INLINE void blocks_u4(const span *s, const int limbs, const int lanes, const int zero, const int each)
{
    __m256 acc[2][2];
    for (int i = 0; i < 4; i++) acc[i / 2][i % 2] = s->fresh ? _mm256_setzero_ps() : _mm256_loadu_ps(s->acc[i / 2] + i % 2 * 8);
    for (int64_t b = s->b0; b < s->b1; b++) {
        const uint8_t *q = s->q + b * limbs * 128;
        const __m256 x_scale = _mm256_broadcast_ss(s->x_scale + b);
        for (int h = 0; h < 2; h++) {
            const __m256i sum = LOAD(s->sum + b * 16 + h * 8);
            for (int r = 0; r < 2; r++) {
                const uint8_t *at = s->w + r * s->apart + (b - s->b0) * 64 + h * 32;
                const __m256i w = LOAD(at), u[2] = { low_bits(w, 0, 15), low_bits(w, 4, 15) };
                if (h == 0) _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
                const __m256i v = dot_planes(u, 2, q + h * 32, limbs);
                acc[r][h] = add_term(acc[r][h], v, sum, &s->p, r * VALUES + (lanes ? b * 16 + h * 8 : b), lanes, zero, 3, x_scale, each);
            }
        }
    }
    for (int i = 0; i < 4; i++) _mm256_storeu_ps(s->acc[i / 2] + i % 2 * 8, acc[i / 2][i % 2]);
}

/* --------------------------------------------------------------------------------------------------------- 3 and 2 bits */

/* The four planes of a block; U3: of the first or the second (high) block of the unit at `at`. */
INLINE void planes_of(const uint8_t *at, const int bits, const int high, __m256i u[4])
{
    if (bits == 2) {
        const __m256i w = LOAD(at);
        for (int p = 0; p < 4; p++) u[p] = low_bits(w, 2 * p, 3);
        return;
    }
    const __m256i own = LOAD(at + high * 32), both = LOAD(at + 64);
    u[0] = low_bits(own, 0, 7);
    u[1] = low_bits(own, 5, 7);
    u[2] = low_bits(both, 3 * high, 7);
    u[3] = _mm256_or_si256(low_bits(own, 3, 3), low_bits(both, 4 + high, 4));
}

INLINE void blocks_u3u2(const span *s, const int bits, const int limbs, const int lanes, const int zero, const int each)
{
    __m256 acc[2][2];
    for (int i = 0; i < 4; i++) acc[i / 2][i % 2] = s->fresh ? _mm256_setzero_ps() : _mm256_loadu_ps(s->acc[i / 2] + i % 2 * 8);
    for (int64_t pair = s->b0 & -2; pair < s->b1; pair += 2)
        for (int h = 0; h < 2; h++) {
            const int64_t b = pair + h;
            if (b < s->b0 || b >= s->b1) continue;
            const uint8_t *q = s->q + pair / 2 * limbs * 256 + h * 32;
            const __m256 x_scale = _mm256_broadcast_ss(s->x_scale + b);
            const __m256i sum = LOAD(s->sum + b * 8);
            for (int r = 0; r < 2; r++) {
                __m256i u[4];
                const uint8_t *at = s->w + r * s->apart + (bits == 3 ? (pair - s->b0) * 48 : (b - s->b0) * 32);
                planes_of(at, bits, h, u);
                if (bits == 3 || h == 0) _mm_prefetch((const char *)at + AHEAD + (bits == 3 ? h * 32 : 0), _MM_HINT_T0);
                const __m256i v = dot_planes(u, 4, q, limbs);
                acc[r][h] = add_term(acc[r][h], v, sum, &s->p, r * VALUES + (lanes ? b * 8 : b), lanes, zero, bits - 1, x_scale, each);
            }
        }
    for (int i = 0; i < 4; i++) _mm256_storeu_ps(s->acc[i / 2] + i % 2 * 8, acc[i / 2][i % 2]);
}

/* -------------------------------------------------------------------------------------------------------------- 8 bits */

INLINE __m256i widen(const uint8_t *at, const int is_signed)
{
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
    return is_signed ? _mm256_cvtepi8_epi16(v) : _mm256_cvtepu8_epi16(v);
}

/* zero: of U8 without zero points the middle is subtracted like any other; z holds pairs of int16. */
INLINE void blocks_8(const span *s, const int is_signed, const int limbs, const int lanes, const int zero, const int each)
{
    const __m256 high = _mm256_set1_ps(16384.0f);
    __m256 acc[2][2];
    for (int i = 0; i < 4; i++) acc[i / 2][i % 2] = s->fresh ? _mm256_setzero_ps() : _mm256_loadu_ps(s->acc[i / 2] + i % 2 * 8);
    for (int64_t b = s->b0; b < s->b1; b++) {
        const uint8_t *q = s->q + b * limbs * 256;
        const __m256 x_scale = _mm256_broadcast_ss(s->x_scale + b);
        for (int r = 0; r < 2; r++) {
            const uint8_t *at = s->w + r * s->apart + (b - s->b0) * 128;
            _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
            _mm_prefetch((const char *)at + AHEAD + 64, _MM_HINT_T0);
            __m256i v[2][2] = { { _mm256_setzero_si256(), _mm256_setzero_si256() }, { _mm256_setzero_si256(), _mm256_setzero_si256() } };
            for (int unit = 0; unit < 4; unit++)
                for (int h = 0; h < 2; h++) {
                    __m256i w = widen(at + unit * 32 + h * 16, is_signed);
                    const int64_t lane = r * VALUES + (lanes ? (b * 4 + unit) * 16 + h * 8 : b);
                    if (zero == ZEROS) w = _mm256_sub_epi16(w, lanes ? LOAD(s->p.zero + lane) : _mm256_set1_epi32(s->p.zero[lane]));
                    else if (!is_signed && zero == MIDDLE) w = _mm256_sub_epi16(w, _mm256_set1_epi16(128));
                    for (int limb = 0; limb < limbs; limb++)
                        v[limb][h] = _mm256_add_epi32(v[limb][h], _mm256_madd_epi16(w, LOAD(q + (unit * limbs + limb) * 64 + h * 32)));
                    if (unit % (lanes ? s->units : 4) != (lanes ? s->units : 4) - 1) continue;
                    __m256 f = _mm256_cvtepi32_ps(v[0][h]), scale = x_scale;
                    if (limbs > 1) f = _mm256_fmadd_ps(f, high, _mm256_cvtepi32_ps(v[1][h]));
                    if (each) scale = lanes ? _mm256_loadu_ps(s->p.scale + lane) : _mm256_broadcast_ss(s->p.scale + lane);
                    acc[r][h] = _mm256_fmadd_ps(f, scale, acc[r][h]);
                    v[0][h] = v[1][h] = _mm256_setzero_si256();
                }
        }
    }
    for (int i = 0; i < 4; i++) _mm256_storeu_ps(s->acc[i / 2] + i % 2 * 8, acc[i / 2][i % 2]);
}

/* ------------------------------------------------------------------------------------------------------------- dispatch */

FAMILIES

static void sums_of_rows(float (*acc)[16], float *sums)
{
    for (int i = 0; i < ROWS; i++) sums[i] = pare_lanes_sum(acc[i]);
}

static const int32_t *starts_of(const pare_wmat *w, int limbs, const int32_t *sum, int64_t n, int32_t *out)
{
    (void)w, (void)limbs, (void)n, (void)out;
    return sum;
}

static void sums_of_turns(float (*acc)[ROWS][16], float *y, int64_t part)
{
    for (int t = 0; t < TURNS; t++)
        for (int r = 0; r < ROWS; r++) y[t + r * part] = pare_lanes_sum(acc[t][r]);
}

void pare_matvec_int_avx2(const pare_wmat *w, int64_t row0, int64_t rows, const pare_mvact *x, float *y, int64_t y_stride)
{
    matvec_int_rows(family_of, w->kind == PARE_W_U3 ? 2 : 1, w, row0, rows, x, y, y_stride);
}
