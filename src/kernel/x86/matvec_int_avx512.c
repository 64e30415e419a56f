/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_int with AVX-512 (BW, VNNI, VBMI, GFNI): eight rows at a time, 64 bytes of weights in one vector.
 *
 *   U4        a block of 128 columns: two planes, vpdpbusd
 *   U3 U2     two blocks, lanes 0 ... 7 and 8 ... 15: four planes, vpdpbusd. vgf2p8affineqb takes two bits out of every byte at once
 *   I8 U8     a block: four times 32 bytes widened to 16 bits, vpdpwssd
 *
 * A lane of wmat.h is a 32-bit lane here. In exact mode each limb has a sum of its own. A zero point times the sum of a lane's q is
 * one more vpdpwssd: with one limb both fit in 16 bits (16 columns of an int8), with three they are split.
 *
 * What a row costs is instructions rather than waiting: a core whose other thread is busy decodes less than three a cycle. So operands
 * come from memory inside the instruction, two pointers serve all rows, and numbers of a panel lie at fixed distances. On a core to itself
 * the two vector ports are the limit. A piece of a row (U4 U2 64 bytes, U3 96) takes of them, with a scale for 128 columns, and instructions in all:
 *
 *   exact     U4 13 of 20: 6 dots, 2 to unpack, 3 to join limbs, 2 for the term     U3 23 of 33: 12, 5, 3, 3     U2 22 of 29: 12, 4, 3, 3
 *   fast      U4  6 of 11: 2 dots, 2 to unpack, 2 for the term                      U3 12 of 20:  4, 5, 3        U2 11 of 16:  4, 4, 3
 *
 * One sum for all limbs, shifted between them, would take one less, but its dots wait for one another and registers do not suffice for ten rows.
 */
#include <immintrin.h>

enum { ROWS = 8, PACKED = 1 };
#include "kernel/x86/matvec_int.h"

#define LOAD(at) _mm512_loadu_si512((const void *)(at))

/* 16 scales, or those of them that are there. */
INLINE __m512 some_scales(const pare_dtype dtype, const uint8_t *from, const int all, __mmask16 there)
{
    if (dtype == PARE_F32) return all ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(there, from);
    const __m256i half = all ? _mm256_loadu_si256((const __m256i *)(const void *)from) : _mm256_maskz_loadu_epi16(there, from);
    return dtype == PARE_F16 ? _mm512_cvtph_ps(half) : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

INLINE __mmask16 first_of(int64_t n) { return (__mmask16)(n < 16 ? (1u << n) - 1u : 0xffffu); }

INLINE void scales_of(const pare_dtype dtype, const pare_wmat *w, int64_t at, int64_t n, const float *x, float *out)
{
    const int64_t size = dtype == PARE_F32 ? 4 : 2;
    const uint8_t *from = (const uint8_t *)w->scale + at * size;
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 there = first_of(n - i);
        const __m512 f = some_scales(dtype, from + i * size, 0, there);
        _mm512_storeu_ps(out + i, x ? _mm512_mul_ps(f, _mm512_maskz_loadu_ps(there, x + i)) : f);
    }
}

INLINE void scales_of_rows(const pare_dtype dtype, const pare_wmat *w, int64_t at, int64_t next, int64_t n, const float *x, float *out)
{
    const int64_t size = dtype == PARE_F32 ? 4 : 2, ahead = turns_on(n * size);
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 there = first_of(n - i);
        const __m512 scale = _mm512_maskz_loadu_ps(there, x + i);
        const uint8_t *from = (const uint8_t *)w->scale + (at + i) * size;
        for (int r = 0; r < ROWS; r++, from += next * size) {
            _mm_prefetch((const char *)from + ahead, _MM_HINT_T0);
            const __m512 f = n - i >= 16 ? some_scales(dtype, from, 1, there) : some_scales(dtype, from, 0, there);
            _mm512_storeu_ps(out + r * VALUES + i, _mm512_mul_ps(f, scale));
        }
    }
}

/* 16 zero points by zero_as(); bytes: of byte kinds, else `shift` as far as -2^k z stands from z. */
INLINE __m512i some_zeros(__m128i codes, const int bytes, __m512i offset, __m512i shift)
{
    const __m512i z = _mm512_sub_epi32(_mm512_cvtepu8_epi32(codes), offset);
    return bytes ? _mm512_mask_blend_epi16(0xaaaaaaaau, z, _mm512_slli_epi32(z, 16)) : _mm512_sub_epi32(z, _mm512_sllv_epi32(z, shift));
}

INLINE void zeros_of_rows(const pare_wmat *w, int limbs, int64_t at, int64_t next, int64_t n, int32_t *out)
{
    const bool bytes = pare_wkind_bytes(w->kind);
    const __m512i offset = _mm512_set1_epi32(w->kind == PARE_W_I8 ? 128 : 0), shift = _mm512_set1_epi32(limbs > 1 ? 16 + zero_shift(w->kind) : 32);
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 there = first_of(n - i);
        const uint8_t *from = w->zero + at + i;
        for (int r = 0; r < ROWS; r++, from += next) {
            _mm_prefetch((const char *)from + turns_on(n), _MM_HINT_T0);
            const __m128i codes = n - i >= 16 ? _mm_loadu_si128((const __m128i *)(const void *)from) : _mm_maskz_loadu_epi8(there, from);
            _mm512_storeu_si512(out + r * VALUES + i, bytes ? some_zeros(codes, 1, offset, shift) : some_zeros(codes, 0, offset, shift));
        }
    }
}

INLINE void zeros_of(const pare_wmat *w, int limbs, int64_t at, int64_t n, int32_t *out)
{
    const bool bytes = pare_wkind_bytes(w->kind);
    const __m512i offset = _mm512_set1_epi32(w->kind == PARE_W_I8 ? 128 : 0), shift = _mm512_set1_epi32(limbs > 1 ? 16 + zero_shift(w->kind) : 32);
    for (int64_t i = 0; i < n; i += 16) {
        const __m128i codes = _mm_maskz_loadu_epi8(first_of(n - i), w->zero + at + i);
        _mm512_storeu_si512(out + i, some_zeros(codes, bytes, offset, shift));
    }
}

/* Out of the values from `at` on: those of the lanes, or one for all. */
INLINE __m512 values(const float *at, const int lanes, __m512i lane_at)
{
    return lanes ? _mm512_permutexvar_ps(lane_at, _mm512_loadu_ps(at)) : _mm512_set1_ps(at[0]);
}

INLINE __m512i numbers(const int32_t *at, const int lanes, __m512i lane_at)
{
    return lanes ? _mm512_permutexvar_epi32(lane_at, LOAD(at)) : _mm512_set1_epi32(at[0]);
}

/* A matrix of vgf2p8affineqb: bit i of every result is bit `from` of the byte. */
#define BIT(i, from) ((long long)1 << (8 * (7 - (i)) + (from)))

/* Sums of q as zero points want them, negative: see zero_as() in matvec_int.h. */
INLINE __m512i split_sum(__m512i sum, const int limbs, const int shift)
{
    if (limbs == 1) return _mm512_sub_epi32(_mm512_setzero_si512(), sum);
    const __m512i low = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_and_si512(sum, _mm512_set1_epi32((1 << shift) - 1)));
    return _mm512_mask_blend_epi16(0xaaaaaaaau, low, _mm512_slli_epi32(sum, (unsigned)(16 - shift)));
}

/*
 * All rows go through one block together: their instructions lie between one another, since a chain of vpdpbusd alone waits five cycles for
 * each.
 */
#ifdef __AVX512F__
#define EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)
#else
#define EACH(i, n) for (int i = 0; i < (n); i++) /* emulated: functions would grow too large */
#endif

/* GCC 12 copies registers around the intrinsics of dot products, and loads first what the instruction could read from memory itself. */
#ifdef __AVX512VNNI__
#define DOT_ONE(sum, w, x) __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*(x)))
#define DOT_LANES(sum, w, x) __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x))
#define DOT_U8(sum, w, q) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "m"(*(const __m512i *)(const void *)(q)))
#define HIDE(p) __asm__("" : "+r"(p)) /* a pointer to know nothing of: else GCC keeps one to every operand, more than there are registers */
#else /* emulated */
#define DOT_ONE(sum, w, x) ((sum) = _mm512_dpwssd_epi32(sum, w, _mm512_set1_epi32(*(x))))
#define DOT_LANES(sum, w, x) ((sum) = _mm512_dpwssd_epi32(sum, w, x))
#define DOT_U8(sum, w, q) ((sum) = _mm512_dpbusd_epi32(sum, w, LOAD(q)))
#define HIDE(p) (void)(p)
#endif

/* So many rows go through a block together that a dot product seldom waits for the one before it in its sum, five cycles. */
INLINE int together(const int limbs) { return limbs == 1 ? 8 : 4; }

/* Sums of a row's limbs, the last one of which begins with what the middle of the codes takes off. */
INLINE void begin_limbs(__m512i *v, const int limbs, __m512i start)
{
    for (int limb = 0; limb < limbs - 1; limb++) v[limb] = _mm512_setzero_si512();
    v[limbs - 1] = start;
}

/* 65536 v[0] + 256 v[1] + v[2]. |v[0]| < 2^15 (16 codes of 3 bits or 8 of 4, times an int8), so vpdpwssd multiplies its low half and adds. */
INLINE __m512i joined(__m512i *v, const int limbs)
{
    static const int32_t high = 256;
    if (limbs == 1) return v[0];
    DOT_ONE(v[1], v[0], &high);
    return _mm512_add_epi32(_mm512_slli_epi32(v[1], 8), v[2]);
}

/*
 * Where a block loop is: rows at w, w + one, w + 2 one ..., of which the addresses of the processor give all with two pointers; panels' numbers of the
 * first row; x: scale of the activations.
 */
typedef struct place {
    const uint8_t *w, *w5, *q;
    int64_t one, three;
    const int32_t *sum, *zero;
    const float *scale, *shift, *x_scale;
    __m512 x;
} place;

INLINE place begin_of(const span *s, int64_t q_bytes, int64_t sums, int64_t number)
{
    place at = { .w = s->w, .w5 = s->w + 5 * s->apart, .q = s->q + q_bytes, .one = s->apart, .three = 3 * s->apart, .sum = s->sum + sums,
                 .zero = s->p.zero + number, .scale = s->p.scale + number, .shift = s->p.shift + number, .x_scale = s->x_scale + s->b0 };
    HIDE(at.one);
    HIDE(at.three);
    return at;
}

INLINE void look_at(place *at, const int zero, const int each)
{
    HIDE(at->w);
    HIDE(at->w5);
    HIDE(at->q);
    HIDE(at->sum);
    if (each) HIDE(at->scale);
    if (zero == ZEROS) HIDE(at->zero);
    if (zero == SHIFTS) HIDE(at->shift);
}

INLINE void go_on(place *at, int64_t bytes, int64_t q_bytes, int64_t sums, int64_t numbers, int64_t blocks)
{
    at->w += bytes, at->w5 += bytes, at->q += q_bytes, at->sum += sums, at->x_scale += blocks;
    at->zero += numbers, at->scale += numbers, at->shift += numbers;
}

INLINE const uint8_t *row_of(const place *at, const int i)
{
    return i < 3 ? at->w + i * at->one : i == 3 ? at->w + at->three : i == 4 ? at->w + 4 * at->one : i == 6 ? at->w + 2 * at->three : at->w5 + (i - 5) * at->one;
}

/* Asks for what comes in all rows. */
INLINE void soon_of(const place *at, const int64_t ahead)
{
    place from = *at;
    from.w += ahead, from.w5 += ahead;
    HIDE(from.w);
    HIDE(from.w5);
    EACH(i, ROWS) _mm_prefetch((const char *)row_of(&from, i), _MM_HINT_T0);
}

/* acc + (float)v * the scale of a row; v already has what zero points take off it. */
INLINE __m512 add_term(__m512 acc, __m512i v, __m512i sum, const place *at, const int row, const int lanes, const int zero, const int each, __m512i lane_at)
{
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), each ? values(at->scale + row * VALUES, lanes, lane_at) : at->x, acc);
    return zero == SHIFTS ? _mm512_fnmadd_ps(_mm512_cvtepi32_ps(sum), values(at->shift + row * VALUES, lanes, lane_at), acc) : acc;
}

/* -------------------------------------------------------------------------------------------------------------- 4 bits */

INLINE void blocks_u4(const span *s, const int limbs, const int lanes, const int zero, const int each)
{
    const int G = together(limbs), groups = ROWS / G; /* a division in the loop's condition, checked by a sanitizer, would keep it from being unrolled */
    const __m512i lane_at = LOAD(s->lane_at), low = _mm512_set1_epi8(15), none = _mm512_setzero_si512();
    __m512 acc[ROWS];
    EACH(r, ROWS) acc[r] = s->fresh ? _mm512_setzero_ps() : _mm512_loadu_ps(s->acc[r]);
    const int64_t numbers_each = lanes ? 128 >> s->step : 1;
    place at = begin_of(s, s->b0 * limbs * 128, s->b0 * 16, s->b0 * numbers_each);
    for (int64_t left = s->b1 - s->b0; left > 0; left--) {
        look_at(&at, zero, each);
        if (!each) at.x = _mm512_set1_ps(*at.x_scale);
        const __m512i sum = LOAD(at.sum), start = zero == MIDDLE ? sum : none;
        soon_of(&at, AHEAD);
        EACH(g, groups) {
            __m512i w[8];
            __m512i v[8][3];
            EACH(i, G) {
                w[i] = LOAD(row_of(&at, g * G + i));
                begin_limbs(v[i], limbs, start);
            }
            EACH(p, 2)
                EACH(i, G) {
                    const __m512i u = p ? _mm512_gf2p8affine_epi64_epi8(w[i], _mm512_set1_epi64(BIT(0, 4) | BIT(1, 5) | BIT(2, 6) | BIT(3, 7)), 0) : _mm512_and_si512(w[i], low);
                    for (int limb = 0; limb < limbs; limb++) DOT_U8(v[i][limb], u, at.q + (limb * 2 + p) * 64);
                }
            EACH(i, G) {
                const int row = g * G + i;
                const int32_t *z = at.zero + row * VALUES;
                if (zero == ZEROS && lanes) DOT_LANES(v[i][limbs - 1], sum, numbers(z, 1, lane_at));
                else if (zero == ZEROS) DOT_ONE(v[i][limbs - 1], sum, z);
                acc[row] = add_term(acc[row], joined(v[i], limbs), sum, &at, row, lanes, zero, each, lane_at);
            }
        }
        go_on(&at, 64, limbs * 128, 16, numbers_each, 1);
    }
    EACH(r, ROWS) _mm512_storeu_ps(s->acc[r], acc[r]);
}

/* --------------------------------------------------------------------------------------------------------- 3 and 2 bits */

/* The same matrix for both blocks of a vector, or one each. */
INLINE __m512i matrices(long long first, long long second) { return _mm512_setr_epi64(first, first, first, first, second, second, second, second); }

/* Two blocks are four planes, p: those of 2 bits are fields of one vector; of 3 bits as wmat.h says, `both` being what the two blocks share. */
INLINE __m512i plane_of(__m512i own, __m512i both, const int bits, const int p)
{
    if (p == 0) return _mm512_and_si512(own, _mm512_set1_epi8(bits == 2 ? 3 : 7));
    if (bits == 2) return _mm512_gf2p8affine_epi64_epi8(own, _mm512_set1_epi64(BIT(0, 2 * p) | BIT(1, 2 * p + 1)), 0);
    if (p == 1) return _mm512_gf2p8affine_epi64_epi8(own, _mm512_set1_epi64(BIT(0, 5) | BIT(1, 6) | BIT(2, 7)), 0);
    if (p == 2) return _mm512_gf2p8affine_epi64_epi8(both, matrices(BIT(0, 0) | BIT(1, 1) | BIT(2, 2), BIT(0, 3) | BIT(1, 4) | BIT(2, 5)), 0);
    const __m512i parts = _mm512_ternarylogic_epi32(_mm512_set1_epi8(0x18), own, both, 0xca); /* mask ? own : both */
    return _mm512_gf2p8affine_epi64_epi8(parts, matrices(BIT(0, 3) | BIT(1, 4) | BIT(2, 6), BIT(0, 3) | BIT(1, 4) | BIT(2, 7)), 0);
}

INLINE void blocks_u3u2(const span *s, const int bits, const int limbs, const int lanes, const int zero, const int each)
{
    (void)lanes; /* two blocks in a vector: there are always several values */
    const int bytes = bits == 3 ? 48 : 32; /* a block */
    const int G = together(limbs), groups = ROWS / G; /* a division in the loop's condition, checked by a sanitizer, would keep it from being unrolled */
    const __m512i lane_at = LOAD(s->lane_at), none = _mm512_setzero_si512();
    __m512 acc[ROWS];
    EACH(r, ROWS) acc[r] = s->fresh ? _mm512_setzero_ps() : _mm512_loadu_ps(s->acc[r]);
    const int64_t numbers_each = 256 >> s->step;
    place at = begin_of(s, s->b0 / 2 * limbs * 256, s->b0 * 8, s->b0 / 2 * numbers_each);
    for (int64_t b = s->b0; b < s->b1; b += 2) {
        look_at(&at, zero, each);
        if (!each) at.x = _mm512_mask_mov_ps(_mm512_set1_ps(at.x_scale[0]), 0xff00, _mm512_set1_ps(at.x_scale[1]));
        const __m512i sum = LOAD(at.sum), start = zero == MIDDLE ? sum : none;
        if (bits == 2) soon_of(&at, AHEAD);
        else if (b % 4) soon_of(&at, 2 * AHEAD + 32); /* two units are three lines */
        else soon_of(&at, 2 * AHEAD), soon_of(&at, 2 * AHEAD + 64);
        EACH(g, groups) {
            __m512i own[8], v[8][3];
            EACH(i, G) {
                own[i] = LOAD(row_of(&at, g * G + i));
                begin_limbs(v[i], limbs, start);
            }
            EACH(p, 4)
                EACH(i, G) {
                    if (bits == 3 && p > 1) continue;
                    const __m512i u = plane_of(own[i], own[i], bits, p);
                    for (int limb = 0; limb < limbs; limb++) DOT_U8(v[i][limb], u, at.q + (limb * 4 + p) * 64);
                }
            EACH(i, G) {
                if (bits == 2) continue;
                const __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)(row_of(&at, g * G + i) + 64)));
                const __m512i u2 = plane_of(own[i], both, 3, 2), u3 = plane_of(own[i], both, 3, 3);
                for (int limb = 0; limb < limbs; limb++) DOT_U8(v[i][limb], u2, at.q + (limb * 4 + 2) * 64);
                for (int limb = 0; limb < limbs; limb++) DOT_U8(v[i][limb], u3, at.q + (limb * 4 + 3) * 64);
            }
            EACH(i, G) {
                const int row = g * G + i;
                if (zero == ZEROS) DOT_LANES(v[i][limbs - 1], sum, numbers(at.zero + row * VALUES, 1, lane_at));
                acc[row] = add_term(acc[row], joined(v[i], limbs), sum, &at, row, 1, zero, each, lane_at);
            }
        }
        go_on(&at, 2 * bytes, limbs * 256, 16, numbers_each, 2);
    }
    EACH(r, ROWS) _mm512_storeu_ps(s->acc[r], acc[r]);
}

/* -------------------------------------------------------------------------------------------------------------- 8 bits */

/* Zero points of byte kinds are pairs of int16. */
INLINE void blocks_8(const span *s, const int is_signed, const int limbs, const int lanes, const int zero, const int each)
{
    const __m512i lane_at = LOAD(s->lane_at);
    __m512 acc[ROWS];
    EACH(r, ROWS) acc[r] = s->fresh ? _mm512_setzero_ps() : _mm512_loadu_ps(s->acc[r]);
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
                if (zero == ZEROS) w = _mm512_sub_epi16(w, numbers(s->p.zero + r * VALUES + value, lanes, lane_at));
                else if (!is_signed && zero == MIDDLE) w = _mm512_sub_epi16(w, _mm512_set1_epi16(128));
                for (int limb = 0; limb < limbs; limb++) v[limb] = _mm512_dpwssd_epi32(v[limb], w, LOAD(q + (unit * limbs + limb) * 64));
                if (unit % (lanes ? s->units : 4) != (lanes ? s->units : 4) - 1) continue;
                __m512 f = _mm512_cvtepi32_ps(v[0]), scale = x_scale;
                if (limbs > 1) f = _mm512_fmadd_ps(f, _mm512_set1_ps(16384.0f), _mm512_cvtepi32_ps(v[1]));
                if (each) scale = values(s->p.scale + r * VALUES + value, lanes, lane_at);
                acc[r] = _mm512_fmadd_ps(f, scale, acc[r]);
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

/* Times the middle of the codes, which every row begins with; for zero points split, negative (zero_as()); for shifts the sums. */
static const int32_t *starts_of(const pare_wmat *w, int limbs, const int32_t *sum, int64_t n, int32_t *out)
{
    const bool u4 = w->kind == PARE_W_U4;
    const __m512i middle = _mm512_set1_epi32(u4 ? -8 : w->kind == PARE_W_U3 ? -4 : -2);
    if (w->shift) return sum;
    for (int64_t i = 0; i < n; i += 16) {
        const __m512i s = LOAD(sum + i);
        _mm512_storeu_si512(out + i, !w->zero ? _mm512_mullo_epi32(s, middle) : limbs == 1 ? split_sum(s, 1, 0)
                                     : u4 ? split_sum(s, 3, zero_shift(PARE_W_U4)) : split_sum(s, 3, zero_shift(PARE_W_U2)));
    }
    return out;
}

/* Halves of two vectors beside one another, added: a | b, 8 lanes each. */
INLINE __m512 added_halves(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_mask_blend_ps(0xff00, a, b), _mm512_shuffle_f32x4(a, b, 0x4e)); /* al bh + ah bl */
}

/* Four rows by four turns: a vector of 16 sums, four a part of 128 bits. */
static void sums_of_turns(float (*acc)[ROWS][16], float *y, int64_t part)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int r0 = 0; r0 < ROWS; r0 += 4) {
        __m512 four[4], two[2];
        EACH(i, 4) { /* parts: 4 lanes of a turn */
            float (*at)[16] = &acc[0][r0 + i];
            const __m512 a = added_halves(_mm512_loadu_ps(at[0]), _mm512_loadu_ps(at[ROWS])), b = added_halves(_mm512_loadu_ps(at[2 * ROWS]), _mm512_loadu_ps(at[3 * ROWS]));
            four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
        }
        EACH(i, 2) two[i] = _mm512_add_ps(_mm512_shuffle_ps(four[2 * i], four[2 * i + 1], 0x44), _mm512_shuffle_ps(four[2 * i], four[2 * i + 1], 0xee));
        const __m512 sums = _mm512_add_ps(_mm512_shuffle_ps(two[0], two[1], 0x88), _mm512_shuffle_ps(two[0], two[1], 0xdd)); /* parts: four rows of a turn */
        float out[16];
        _mm512_storeu_ps(out, _mm512_permutexvar_ps(order, sums));
        for (int i = 0; i < 4; i++) _mm_storeu_ps(y + (r0 + i) * part, _mm_loadu_ps(out + 4 * i));
    }
}

void pare_matvec_int_avx512(const pare_wmat *w, int64_t row0, int64_t rows, const pare_mvact *x, float *y, int64_t y_stride)
{
    matvec_int_rows(family_of, w->kind == PARE_W_U3 || w->kind == PARE_W_U2 ? 2 : 1, w, row0, rows, x, y, y_stride);
}
