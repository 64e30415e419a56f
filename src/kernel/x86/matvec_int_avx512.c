/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_int with AVX-512 (BW, VNNI, VBMI, GFNI): eight rows at a time, 64 bytes of weights in one vector.
 *
 *   U4        a block of 128 columns: two planes, vpdpbusd
 *   U3 U2     two blocks, lanes 0 ... 7 and 8 ... 15: four planes, vpdpbusd. vgf2p8affineqb takes two bits out of every byte at once
 *   I8 U8     a block: four times 32 bytes widened to 16 bits, vpdpwssd
 *
 * A lane of wmat.h is a 32-bit lane here. In exact mode the limbs enter one accumulator, shifted by 8 bits between them. With one limb
 * a zero point times the sum of a lane's q (16 columns of an int8) is one more vpdpwssd: both fit in 16 bits.
 */
#include <immintrin.h>

enum { ROWS = 8, PACKED = 1 };
#include "kernel/x86/matvec_int.h"

#define LOAD(at) _mm512_loadu_si512((const void *)(at))
/* Out of the values from `at` on: those of the lanes, one for all (two false), or one for each half. */
INLINE __m512 values(const float *at, const int lanes, const int two, __m512i lane_at)
{
    if (lanes) return _mm512_permutexvar_ps(lane_at, _mm512_loadu_ps(at));
    return two ? _mm512_mask_mov_ps(_mm512_set1_ps(at[0]), 0xff00, _mm512_set1_ps(at[1])) : _mm512_set1_ps(at[0]);
}

INLINE __m512i numbers(const int32_t *at, const int lanes, const int two, __m512i lane_at)
{
    if (lanes) return _mm512_permutexvar_epi32(lane_at, LOAD(at));
    return two ? _mm512_mask_mov_epi32(_mm512_set1_epi32(at[0]), 0xff00, _mm512_set1_epi32(at[1])) : _mm512_set1_epi32(at[0]);
}

/* Columns from `column` of the panel on; v already has what the middle takes off it. */
INLINE __m512 add_term(__m512 acc, __m512i v, __m512i sum, const span *s, const panel *p, int64_t column, const int limbs, const int lanes, const int two, const int zero,
                       __m512 x_scale, const int each, __m512i lane_at)
{
    const int64_t at = lanes ? column >> s->step : column / PARE_ACT_BLOCK;
    if (zero == ZEROS) {
        const __m512i z = numbers(p->zero + at, lanes, two, lane_at);
        if (limbs == 1) v = _mm512_dpwssd_epi32(v, z, _mm512_sub_epi32(_mm512_setzero_si512(), sum));
        else v = _mm512_sub_epi32(v, _mm512_mullo_epi32(z, sum));
    }
    const __m512 scale = each ? _mm512_mul_ps(x_scale, values(p->scale + at, lanes, two, lane_at)) : x_scale;
    acc = _mm512_add_ps(acc, _mm512_mul_ps(_mm512_cvtepi32_ps(v), scale));
    if (zero == SHIFTS) acc = _mm512_sub_ps(acc, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(values(p->shift + at, lanes, two, lane_at), x_scale)));
    return acc;
}

/*
 * Rows that go through one block together, from row r on: their instructions lie between one another, since a chain of vpdpbusd alone waits
 * five cycles for each. SOME is what fits into registers: sums of all limbs and the weights.
 */
enum { SOME = 4 };
#ifdef __AVX512F__
#define EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)
#else
#define EACH(i, n) for (int i = 0; i < (n); i++) /* emulated: functions would grow too large */
#endif

/* Limbs of each row joined, and `start` added. */
INLINE void join_limbs(__m512i (*v)[3], const int limbs, __m512i start)
{
    for (int i = 0; i < SOME && limbs > 1; i++) {
        const __m512i high = _mm512_add_epi32(_mm512_slli_epi32(v[i][0], 8), v[i][1]);
        v[i][0] = _mm512_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, 8), v[i][2]), start);
    }
}

INLINE void begin_limbs(__m512i (*v)[3], const int limbs, __m512i start)
{
    for (int i = 0; i < SOME; i++)
        for (int limb = 0; limb < limbs; limb++) v[i][limb] = limbs == 1 ? start : _mm512_setzero_si512();
}

/* -------------------------------------------------------------------------------------------------------------- 4 bits */

INLINE void blocks_u4(const span *s, const int limbs, const int lanes, const int zero, const int each)
{
    const __m512i lane_at = LOAD(s->lane_at), low = _mm512_set1_epi8(15);
    __m512 acc[ROWS];
    EACH(r, ROWS) acc[r] = _mm512_loadu_ps(s->acc[r]);
    for (int64_t b = s->b0; b < s->b1; b++) {
        const uint8_t *q = s->q + b * limbs * 128, *at = s->w + (b - s->b0) * 64;
        const __m512 x_scale = _mm512_set1_ps(s->x_scale[b]);
        const __m512i sum = LOAD(s->sum + b * 16), none = _mm512_setzero_si512();
        const __m512i start = zero == MIDDLE ? _mm512_sub_epi32(none, _mm512_slli_epi32(sum, 3)) : none;
        EACH(half, ROWS / SOME) {
            const int r = half * SOME;
            __m512i w[SOME], v[SOME][3];
            begin_limbs(v, limbs, start);
            EACH(i, SOME) {
                w[i] = LOAD(at + (r + i) * s->apart);
                _mm_prefetch((const char *)at + (r + i) * s->apart + AHEAD, _MM_HINT_T0);
            }
            EACH(p, 2)
                EACH(i, SOME) {
                    const __m512i u = _mm512_and_si512(p ? _mm512_srli_epi16(w[i], 4) : w[i], low);
                    for (int limb = 0; limb < limbs; limb++) v[i][limb] = _mm512_dpbusd_epi32(v[i][limb], u, LOAD(q + (limb * 2 + p) * 64));
                }
            join_limbs(v, limbs, start);
            EACH(i, SOME) acc[r + i] = add_term(acc[r + i], v[i][0], sum, s, &s->p[r + i], b * 128, limbs, lanes, 0, zero, x_scale, each, lane_at);
        }
    }
    EACH(r, ROWS) _mm512_storeu_ps(s->acc[r], acc[r]);
}

/* --------------------------------------------------------------------------------------------------------- 3 and 2 bits */

/* A matrix of vgf2p8affineqb: bit i of every result is bit `from` of the byte. */
#define BIT(i, from) ((long long)1 << (8 * (7 - (i)) + (from)))

/* Two blocks of 2 bits each, and the third bits, those of a byte in its four lowest bits. */
typedef struct codes { __m512i low, high; } codes;

INLINE codes codes_of(const uint8_t *at, const int bits)
{
    if (bits == 2) return (codes){ .low = LOAD(at) };
    const __m512i first = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)at));
    /* Third bits: bytes 0 ... 15 and 48 ... 63 of the vector at 32. Bit 4 (j % 2) + p of byte j / 2 belongs to byte j of plane p, so a result of
     * 64 bits needs 32 of them, and byte i of it those from bit 4 i on. */
    const __m512i dwords = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 12, 12, 13, 13, 14, 14, 15, 15), LOAD(at + 32));
    return (codes){ .low = _mm512_inserti64x4(first, _mm256_loadu_si256((const __m256i *)(const void *)(at + 48)), 1),
                    .high = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x1c1814100c080400), dwords) };
}

/* Plane p of four. */
INLINE __m512i plane_of(const codes *c, const int bits, const int p)
{
    if (bits == 2) return _mm512_gf2p8affine_epi64_epi8(c->low, _mm512_set1_epi64(BIT(0, 2 * p) | BIT(1, 2 * p + 1)), 0);
    const __m512i third = _mm512_gf2p8affine_epi64_epi8(c->high, _mm512_set1_epi64(BIT(2, p)), 0); /* (three & low) | (~three & third) */
    return _mm512_ternarylogic_epi32(_mm512_set1_epi8(3), p ? _mm512_srli_epi16(c->low, (unsigned)(2 * p)) : c->low, third, 0xca);
}

INLINE void blocks_u3u2(const span *s, const int bits, const int limbs, const int lanes, const int zero, const int each)
{
    const int bytes = bits == 3 ? 48 : 32;
    const __m512i lane_at = LOAD(s->lane_at);
    __m512 acc[ROWS];
    EACH(r, ROWS) acc[r] = _mm512_loadu_ps(s->acc[r]);
    for (int64_t b = s->b0; b < s->b1; b += 2) {
        const uint8_t *q = s->q + b / 2 * limbs * 256, *at = s->w + (b - s->b0) * bytes;
        const __m512 x_scale = values(s->x_scale + b, 0, 1, lane_at);
        const __m512i sum = LOAD(s->sum + b * 8), none = _mm512_setzero_si512();
        const __m512i start = zero == MIDDLE ? _mm512_sub_epi32(none, _mm512_slli_epi32(sum, (unsigned)bits - 1)) : none;
        EACH(half, ROWS / SOME) {
            const int r = half * SOME;
            codes w[SOME];
            __m512i v[SOME][3];
            begin_limbs(v, limbs, start);
            EACH(i, SOME) {
                w[i] = codes_of(at + (r + i) * s->apart, bits);
                _mm_prefetch((const char *)at + (r + i) * s->apart + AHEAD, _MM_HINT_T0);
                if (bits == 3) _mm_prefetch((const char *)at + (r + i) * s->apart + AHEAD + 64, _MM_HINT_T0);
            }
            EACH(p, 4)
                EACH(i, SOME) {
                    const __m512i u = plane_of(&w[i], bits, p);
                    for (int limb = 0; limb < limbs; limb++) v[i][limb] = _mm512_dpbusd_epi32(v[i][limb], u, LOAD(q + (limb * 4 + p) * 64));
                }
            join_limbs(v, limbs, start);
            EACH(i, SOME) acc[r + i] = add_term(acc[r + i], v[i][0], sum, s, &s->p[r + i], b * 128, limbs, lanes, 1, zero, x_scale, each, lane_at);
        }
    }
    EACH(r, ROWS) _mm512_storeu_ps(s->acc[r], acc[r]);
}

/* -------------------------------------------------------------------------------------------------------------- 8 bits */

/* Zero points of byte kinds are pairs of int16. */
INLINE void blocks_8(const span *s, const int is_signed, const int limbs, const int lanes, const int zero, const int each)
{
    const __m512i lane_at = LOAD(s->lane_at);
    __m512 acc[ROWS];
    EACH(r, ROWS) acc[r] = _mm512_loadu_ps(s->acc[r]);
    for (int64_t b = s->b0; b < s->b1; b++) {
        const uint8_t *q = s->q + b * limbs * 256;
        const __m512 x_scale = _mm512_set1_ps(s->x_scale[b]);
        EACH(r, ROWS) {
            const uint8_t *at = s->w + r * s->apart + (b - s->b0) * 128;
            __m512i v[2] = { _mm512_setzero_si512(), _mm512_setzero_si512() };
            _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
            _mm_prefetch((const char *)at + AHEAD + 64, _MM_HINT_T0);
            for (int unit = 0; unit < 4; unit++) {
                const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)(at + unit * 32));
                const int64_t value = lanes ? (b * 128 + unit * 32) >> s->step : b;
                __m512i w = is_signed ? _mm512_cvtepi8_epi16(half) : _mm512_cvtepu8_epi16(half);
                if (zero == ZEROS) w = _mm512_sub_epi16(w, numbers(s->p[r].zero + value, lanes, 0, lane_at));
                else if (!is_signed && zero == MIDDLE) w = _mm512_sub_epi16(w, _mm512_set1_epi16(128));
                for (int limb = 0; limb < limbs; limb++) v[limb] = _mm512_dpwssd_epi32(v[limb], w, LOAD(q + (unit * limbs + limb) * 64));
                if (unit % (lanes ? s->units : 4) != (lanes ? s->units : 4) - 1) continue;
                __m512 f = _mm512_cvtepi32_ps(v[0]), scale = x_scale;
                if (limbs > 1) f = _mm512_add_ps(_mm512_mul_ps(f, _mm512_set1_ps(16384.0f)), _mm512_cvtepi32_ps(v[1]));
                if (each) scale = _mm512_mul_ps(x_scale, values(s->p[r].scale + value, lanes, 0, lane_at));
                acc[r] = _mm512_add_ps(acc[r], _mm512_mul_ps(f, scale));
                v[0] = v[1] = _mm512_setzero_si512();
            }
        }
    }
    EACH(r, ROWS) _mm512_storeu_ps(s->acc[r], acc[r]);
}

/* ------------------------------------------------------------------------------------------------------------- dispatch */

FAMILIES

/* The eight trees of pare_lanes_sum() side by side: halves of two vectors next to one another, then their sum. */
static void sums_of_rows(float (*acc)[16], float *sums)
{
    __m512 v[ROWS], pair[4], four[2];
    for (int r = 0; r < ROWS; r++) v[r] = _mm512_loadu_ps(acc[r]);
    for (int i = 0; i < 4; i++) /* parts of 128 bits: a b | a b, where a and b are 8 lanes of two rows */
        pair[i] = _mm512_add_ps(_mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0x44), _mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0xee));
    for (int i = 0; i < 2; i++) /* a part: 4 lanes of a row */
        four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(pair[2 * i], pair[2 * i + 1], 0x88), _mm512_shuffle_f32x4(pair[2 * i], pair[2 * i + 1], 0xdd));
    /* lanes 0 1 of rows r and r + 4 beside one another in part r */
    const __m512 two = _mm512_add_ps(_mm512_shuffle_ps(four[0], four[1], 0x44), _mm512_shuffle_ps(four[0], four[1], 0xee));
    float out[16];
    _mm512_storeu_ps(out, _mm512_add_ps(two, _mm512_shuffle_ps(two, two, 0xb1)));
    for (int r = 0; r < ROWS; r++) sums[r] = out[r % 4 * 4 + r / 4 * 2];
}

void pare_matvec_int_avx512(const pare_wmat *w, int64_t row0, int64_t rows, const pare_mvact *x, float *y, int64_t y_stride)
{
    matvec_int_rows(family_of, w->kind == PARE_W_U3 || w->kind == PARE_W_U2 ? 2 : 1, w, row0, rows, x, y, y_stride);
}
