/* SPDX-License-Identifier: Apache-2.0 */
/*
 * act_arrange with AVX-512 (BW, VNNI, VBMI). q + 0x808080 is sum (limb + 128) 256^i, so its bytes with the top bit turned are the balanced
 * limbs. vpermt2b takes them out of 32 columns at once, by limb and column % planes; pieces of several such vectors, transposed, are the rows of wmat.h.
 */
#include <immintrin.h>
#include "kernel/variants.h"

#define INLINE static inline __attribute__((always_inline))
#define LOAD(at) _mm512_loadu_si512((const void *)(at))

/* Bytes [0, 64) of a table for vpermt2b. */
typedef struct places { uint8_t at[64]; } places;

/* Byte i of piece g, one of 64 / width: limb g / planes + first, column planes * i + g % planes of 32 columns in words of four bytes, last limb lowest. */
INLINE __m512i places_of(const int planes, const int width, const int first)
{
    places p;
    for (int b = 0; b < 64; b++) {
        const int g = b / width, i = b % width, column = (planes * i + g % planes) % 32;
        p.at[b] = (uint8_t)(4 * column + 2 - (g / planes + first) % 3);
    }
    return LOAD(p.at);
}

INLINE __m512i columns32(const int32_t *q, int64_t c, int64_t cols)
{
    const __m512i bias = _mm512_set1_epi32(0x808080);
    if (cols - c >= 16) return _mm512_xor_si512(_mm512_add_epi32(LOAD(q + c), bias), bias);
    const __mmask16 there = cols <= c ? 0 : (__mmask16)((1u << (cols - c)) - 1);
    return _mm512_xor_si512(_mm512_add_epi32(there ? _mm512_maskz_loadu_epi32(there, q + c) : _mm512_setzero_si512(), bias), bias);
}

INLINE __m512i columns8(const int8_t *q, int64_t c, int64_t cols)
{
    if (cols - c >= 64) return LOAD(q + c);
    return cols <= c ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi8(((__mmask64)1 << (cols - c)) - 1, q + c);
}

/* Part i (128 bits) of the four vectors, beside one another, to out + 64 * step * i. */
INLINE void transposed_parts(const __m512i *v, int8_t *out, const int step)
{
    const __m512i a = _mm512_shuffle_i64x2(v[0], v[1], 0x44), b = _mm512_shuffle_i64x2(v[0], v[1], 0xee);
    const __m512i c = _mm512_shuffle_i64x2(v[2], v[3], 0x44), d = _mm512_shuffle_i64x2(v[2], v[3], 0xee);
    _mm512_storeu_si512(out, _mm512_shuffle_i64x2(a, c, 0x88));
    _mm512_storeu_si512(out + 64 * step, _mm512_shuffle_i64x2(a, c, 0xdd));
    _mm512_storeu_si512(out + 128 * step, _mm512_shuffle_i64x2(b, d, 0x88));
    _mm512_storeu_si512(out + 192 * step, _mm512_shuffle_i64x2(b, d, 0xdd));
}

/* The same with pieces of 64 bits of eight vectors. */
INLINE void transposed_words(const __m512i *v, int8_t *out)
{
    __m512i even[4], odd[4];
    for (int i = 0; i < 4; i++) even[i] = _mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]), odd[i] = _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]);
    transposed_parts(even, out, 2);
    transposed_parts(odd, out + 64, 2);
}

/* Lane sums of a unit: each limb times ones, joined. */
INLINE void sums_of(const int8_t *out, const int limbs, const int planes, int32_t *sum)
{
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i s = _mm512_setzero_si512();
    for (int limb = 0; limb < limbs; limb++) {
        s = _mm512_slli_epi32(s, 8);
        for (int p = 0; p < planes; p++) s = _mm512_dpbusd_epi32(s, ones, LOAD(out + (limb * planes + p) * 64));
    }
    _mm512_storeu_si512(sum, s);
}

/* Three limbs, 2 or 4 planes: 64 columns of each make a unit. */
INLINE void planes_3(const int planes, int64_t cols, const int32_t *q, int8_t *out, int32_t *sum)
{
    const __m512i upper = places_of(planes, 32 / planes, 0), low = places_of(planes, 32 / planes, 2); /* the latter twice: limb 0 once more behind it */
    for (int64_t c = 0; c < cols; c += 64 * planes, out += 192 * planes) {
        __m512i v[8], last[8];
        for (int i = 0; i < 2 * planes; i++) {
            const __m512i a = columns32(q, c + 32 * i, cols), b = columns32(q, c + 32 * i + 16, cols);
            v[i] = _mm512_permutex2var_epi8(a, upper, b);
            last[i] = _mm512_permutex2var_epi8(a, low, b);
        }
        int8_t both[512];
        if (planes == 4) transposed_words(v, out), transposed_words(last, both);
        else transposed_parts(v, out, 1), transposed_parts(last, both, 1);
        for (int p = 0; p < planes; p++) _mm512_storeu_si512(out + (2 * planes + p) * 64, LOAD(both + 64 * p));
        if (sum) sums_of(out, 3, planes, sum), sum += 16;
    }
}

static void planes4_3(int64_t cols, const int32_t *q, int8_t *out, int32_t *sum) { planes_3(4, cols, q, out, sum); }
static void planes2_3(int64_t cols, const int32_t *q, int8_t *out, int32_t *sum) { planes_3(2, cols, q, out, sum); }

static void planes4_1(int64_t cols, const int8_t *q, int8_t *out, int32_t *sum)
{
    places p;
    for (int b = 0; b < 64; b++) p.at[b] = (uint8_t)(b % 16 * 4 + b / 16);
    for (int64_t c = 0; c < cols; c += 256, out += 256) {
        __m512i v[4];
        for (int i = 0; i < 4; i++) v[i] = _mm512_permutexvar_epi8(LOAD(p.at), columns8(q, c + 64 * i, cols));
        transposed_parts(v, out, 1);
        if (sum) sums_of(out, 1, 4, sum), sum += 16;
    }
}

static void planes2_1(int64_t cols, const int8_t *q, int8_t *out, int32_t *sum)
{
    places p;
    for (int b = 0; b < 64; b++) p.at[b] = (uint8_t)(b % 32 * 2 + b / 32);
    for (int64_t c = 0; c < cols; c += 128, out += 128) {
        const __m512i a = _mm512_permutexvar_epi8(LOAD(p.at), columns8(q, c, cols)), b = _mm512_permutexvar_epi8(LOAD(p.at), columns8(q, c + 64, cols));
        _mm512_storeu_si512(out, _mm512_shuffle_i64x2(a, b, 0x44));
        _mm512_storeu_si512(out + 64, _mm512_shuffle_i64x2(a, b, 0xee));
        if (sum) sums_of(out, 1, 2, sum), sum += 16;
    }
}

/* Byte kinds: int16, of exact mode the rest above 14 bits and 14 balanced bits. */
static void halves_1(int64_t cols, const int8_t *q, int16_t *out)
{
    for (int64_t c = 0; c < (cols + 127) / 128 * 128; c += 64, out += 64) {
        int8_t part[64];
        _mm512_storeu_si512(part, columns8(q, c, cols));
        for (int i = 0; i < 2; i++) _mm512_storeu_si512(out + 32 * i, _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(part + 32 * i))));
    }
}

static void halves_2(int64_t cols, const int32_t *q, int16_t *out)
{
    const __m512i half = _mm512_set1_epi32(8192), bits = _mm512_set1_epi32(16383);
    for (int64_t c = 0; c < (cols + 127) / 128 * 128; c += 16) {
        const __mmask16 there = cols - c >= 16 ? 0xffff : cols <= c ? 0 : (__mmask16)((1u << (cols - c)) - 1);
        const __m512i v = there ? _mm512_maskz_loadu_epi32(there, q + c) : _mm512_setzero_si512();
        const __m512i up = _mm512_add_epi32(v, half), low = _mm512_sub_epi32(_mm512_and_si512(up, bits), half);
        int16_t *at = out + c / 32 * 64 + c % 32;
        _mm256_storeu_si256((__m256i *)(void *)at, _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 14))); /* the sign is above what stays */
        _mm256_storeu_si256((__m256i *)(void *)(at + 32), _mm512_cvtepi32_epi16(low));
    }
}

void pare_act_arrange_avx512(pare_wkind kind, int limbs, int64_t cols, const void *q, void *out, int32_t *sum)
{
    const bool bytes = kind == PARE_W_I8 || kind == PARE_W_U8;
    if (bytes && limbs == 1) halves_1(cols, q, out);
    else if (bytes) halves_2(cols, q, out);
    else if (limbs == 1) (kind == PARE_W_U4 ? planes2_1 : planes4_1)(cols, q, out, sum);
    else (kind == PARE_W_U4 ? planes2_3 : planes4_3)(cols, q, out, sum);
}
