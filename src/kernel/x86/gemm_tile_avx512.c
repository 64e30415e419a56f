/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiles in 32 registers of 512 bits: 32 rows x 12 tokens = 24 accumulators, two registers of w. A word of one token and 16 rows is one instruction:
 * fma (32 operations), vdpbf16ps (64), vpdpbusd (128); 24 of them wait for one another long enough. There are two of them in a cycle, and two
 * loads; three of twelve tokens are broadcast into a register (3 instructions, 1 load), the others are operands in memory (2 and 2), so that neither
 * loads nor decoded instructions (31 in 12 cycles: a core that shares its front end with a second thread gets no more) hold up the multipliers.
 * Every loop is written once over a constant number of tokens (1 ... 12) and inlined for each.
 */
#include <immintrin.h>
#include "kernel/variants.h"

#define INLINE static inline __attribute__((always_inline))
#define EACH(NAME)                     \
    switch (t->tokens) {               \
    case 1: NAME(t, 1); break;         \
    case 2: NAME(t, 2); break;         \
    case 3: NAME(t, 3); break;         \
    case 4: NAME(t, 4); break;         \
    case 5: NAME(t, 5); break;         \
    case 6: NAME(t, 6); break;         \
    case 7: NAME(t, 7); break;         \
    case 8: NAME(t, 8); break;         \
    case 9: NAME(t, 9); break;         \
    case 10: NAME(t, 10); break;       \
    case 11: NAME(t, 11); break;       \
    default: NAME(t, 12); break;       \
    }

/* ------------------------------------------------------------------------------------------------------------- f32, bf16 */

INLINE __m512i words_at(const uint32_t *w)
{
    return _mm512_loadu_si512(w);
}

/*
 * sum += w x in place, x a register or one word of memory for all rows. Not intrinsics: GCC 12 makes three copies of a register around
 * vpdpbusd's and then runs out of them, and loads a word that is used twice into a register.
 */
#ifdef __AVX512VNNI__
#define EACH_TOKEN _Pragma("GCC unroll 12") for (int j = 0; j < n; j++)
#define FOUR_WORDS _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++)
#define MUL_ADD(NAME, TYPE, INSTRUCTION, INTRINSIC)                                                 \
    INLINE __attribute__((unused)) TYPE NAME(TYPE sum, __m512i w, __m512i x)                        \
    {                                                                                               \
        __asm__(INSTRUCTION " %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));                            \
        return sum;                                                                                 \
    }                                                                                               \
    INLINE TYPE NAME##_at(TYPE sum, __m512i w, const uint32_t *x)                                   \
    {                                                                                               \
        __asm__(INSTRUCTION " %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*x));                  \
        return sum;                                                                                 \
    }
#else /* emulated: functions would grow too large */
#define EACH_TOKEN for (int j = 0; j < n; j++)
#define FOUR_WORDS for (int i = 0; i < 4; i++)
#define MUL_ADD(NAME, TYPE, INSTRUCTION, INTRINSIC)                                                 \
    INLINE __attribute__((unused)) TYPE NAME(TYPE sum, __m512i w, __m512i x) { return INTRINSIC(sum, w, x); } \
    INLINE TYPE NAME##_at(TYPE sum, __m512i w, const uint32_t *x) { return INTRINSIC(sum, w, _mm512_set1_epi32((int)*x)); }
#endif
#define FMADD_PS(sum, w, x) _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_castsi512_ps(x), sum)
#define DPBF16_PS(sum, w, x) _mm512_dpbf16_ps(sum, (__m512bh)(w), (__m512bh)(x))

/* One word of 32 rows and n tokens. */
#define WORD(NAME, TYPE)                                                                            \
    INLINE void word_##NAME(const uint32_t *w, const uint32_t *x, const int n, TYPE sum[PARE_GEMM_TOKENS][2]) \
    {                                                                                               \
        const __m512i w0 = words_at(w), w1 = words_at(w + PARE_GEMM_PANEL_WORDS);                   \
        EACH_TOKEN                                                                                  \
        {                                                                                           \
            if (j % 4 == 0) {                                                                       \
                const __m512i b = _mm512_set1_epi32((int)x[j]);                                     \
                sum[j][0] = NAME(sum[j][0], w0, b);                                                 \
                sum[j][1] = NAME(sum[j][1], w1, b);                                                 \
            } else {                                                                                \
                sum[j][0] = NAME##_at(sum[j][0], w0, &x[j]);                                        \
                sum[j][1] = NAME##_at(sum[j][1], w1, &x[j]);                                        \
            }                                                                                       \
        }                                                                                           \
    }

/* `count` words; meanwhile the same ones of the next 12 tokens, `ahead` words further on, are fetched: four of them are three lines. */
#define WORDS(NAME, TYPE)                                                                           \
    WORD(NAME, TYPE)                                                                                \
    INLINE void words_##NAME(const uint32_t *w, const uint32_t *x, int64_t count, int64_t ahead, const int n, TYPE sum[PARE_GEMM_TOKENS][2]) \
    {                                                                                               \
        for (; count >= 4; count -= 4, w += 4 * PARE_GEMM_PANEL, x += 4 * PARE_GEMM_TOKENS) {       \
            const uint32_t *next = x + ahead * PARE_GEMM_TOKENS;                                    \
            for (int i = 0; i < 3; i++) __builtin_prefetch(next + 16 * i, 0, 3);                    \
            FOUR_WORDS word_##NAME(w + i * PARE_GEMM_PANEL, x + i * PARE_GEMM_TOKENS, n, sum);      \
        }                                                                                           \
        for (; count > 0; count--, w += PARE_GEMM_PANEL, x += PARE_GEMM_TOKENS) word_##NAME(w, x, n, sum); \
    }

#define FLOAT_TILE(NAME, INSTRUCTION, INTRINSIC)                                                    \
    MUL_ADD(NAME, __m512, INSTRUCTION, INTRINSIC)                                                   \
    WORDS(NAME, __m512)                                                                             \
    INLINE void NAME##_tile(const pare_gemm_tile *t, const int n)                                   \
    {                                                                                               \
        __m512 sum[PARE_GEMM_TOKENS][2];                                                            \
        EACH_TOKEN sum[j][0] = sum[j][1] = _mm512_setzero_ps();                                     \
        words_##NAME(t->w, t->x, t->words, t->words, n, sum);                                       \
        EACH_TOKEN                                                                                  \
        {                                                                                           \
            float *c = t->c + j * PARE_GEMM_ROWS;                                                   \
            _mm512_storeu_ps(c, _mm512_add_ps(_mm512_loadu_ps(c), sum[j][0]));                      \
            _mm512_storeu_ps(c + 16, _mm512_add_ps(_mm512_loadu_ps(c + 16), sum[j][1]));            \
        }                                                                                           \
    }                                                                                               \
    void pare_gemm_tile_##NAME##_avx512(const pare_gemm_tile *t) { EACH(NAME##_tile) }

FLOAT_TILE(f32, "vfmadd231ps", FMADD_PS)
FLOAT_TILE(bf16, "vdpbf16ps", DPBF16_PS)

/* ---------------------------------------------------------------------------------------------------------------- bytes */

MUL_ADD(i16, __m512i, "vpdpwssd", _mm512_dpwssd_epi32)
MUL_ADD(u8, __m512i, "vpdpbusd", _mm512_dpbusd_epi32)
WORDS(u8, __m512i)

/* -z * (sum of q) fits a product of 16 bits: at most 64 words of four, -32768 at least. */
INLINE bool is_short(const pare_gemm_tile *t, int s)
{
    return t->seg_words[s] <= 64;
}

/* The sums of segment s begin with what zero points take off: one number a token, or one vpdpwssd (its words' upper halves 0) a sum, or nothing yet. */
INLINE void begin_segment(const pare_gemm_tile *t, int s, const int n, __m512i sum[PARE_GEMM_TOKENS][2])
{
    const __m512i none = _mm512_setzero_si512();
    if (t->w_zero && is_short(t, s)) {
        const uint32_t *zero = (const uint32_t *)(const void *)(t->w_zero + s * PARE_GEMM_ROWS);
        const __m512i half = _mm512_set1_epi32(0xffff);
        const __m512i z0 = _mm512_and_si512(_mm512_sub_epi32(none, words_at(zero)), half), z1 = _mm512_and_si512(_mm512_sub_epi32(none, words_at(zero + 16)), half);
        EACH_TOKEN
        {
            const uint32_t *x_sum = (const uint32_t *)(t->x_sum + s * PARE_GEMM_TOKENS + j);
            sum[j][0] = i16_at(none, z0, x_sum);
            sum[j][1] = i16_at(none, z1, x_sum);
        }
    } else if (t->w_zero || !t->zero) {
        EACH_TOKEN sum[j][0] = sum[j][1] = none;
    } else {
        int32_t first[16];
        _mm512_storeu_si512(first, _mm512_mullo_epi32(_mm512_set1_epi32(-t->zero), _mm512_maskz_loadu_epi32(0x0fff, t->x_sum + s * PARE_GEMM_TOKENS)));
        EACH_TOKEN sum[j][0] = sum[j][1] = _mm512_set1_epi32(first[j]);
    }
}

INLINE void subtract_zeros(const pare_gemm_tile *t, int s, const int n, __m512i sum[PARE_GEMM_TOKENS][2])
{
    const uint32_t *zero = (const uint32_t *)(const void *)(t->w_zero + s * PARE_GEMM_ROWS);
    const __m512i z0 = words_at(zero), z1 = words_at(zero + 16);
    const int32_t *x_sum = t->x_sum + s * PARE_GEMM_TOKENS;
    EACH_TOKEN
    {
        const __m512i x = _mm512_set1_epi32(x_sum[j]);
        sum[j][0] = _mm512_sub_epi32(sum[j][0], _mm512_mullo_epi32(z0, x));
        sum[j][1] = _mm512_sub_epi32(sum[j][1], _mm512_mullo_epi32(z1, x));
    }
}

INLINE void add_segment(const pare_gemm_tile *t, int s, const int n, __m512i sum[PARE_GEMM_TOKENS][2])
{
    const float *w_scale = t->w_scale + s * PARE_GEMM_ROWS, *x_scale = t->x_scale + s * PARE_GEMM_TOKENS;
    const __m512 scale0 = _mm512_loadu_ps(w_scale), scale1 = _mm512_loadu_ps(w_scale + 16);
    float *const out = t->c;
    if (t->w_zero && !is_short(t, s)) subtract_zeros(t, s, n, sum);
    EACH_TOKEN
    {
        const __m512 x = _mm512_set1_ps(x_scale[j]);
        float *c = out + j * PARE_GEMM_ROWS;
        const __m512 y0 = _mm512_mul_ps(x, _mm512_cvtepi32_ps(sum[j][0])), y1 = _mm512_mul_ps(x, _mm512_cvtepi32_ps(sum[j][1]));
        _mm512_storeu_ps(c, _mm512_fmadd_ps(y0, scale0, _mm512_loadu_ps(c)));
        _mm512_storeu_ps(c + 16, _mm512_fmadd_ps(y1, scale1, _mm512_loadu_ps(c + 16)));
    }
    if (!t->w_shift) return;
    const int32_t *x_sum = t->x_sum + s * PARE_GEMM_TOKENS;
    const float *shift = t->w_shift + s * PARE_GEMM_ROWS;
    for (int j = 0; j < n; j++) {
        const __m512 x = _mm512_set1_ps(x_scale[j] * (float)x_sum[j]);
        float *c = out + j * PARE_GEMM_ROWS;
        _mm512_storeu_ps(c, _mm512_fnmadd_ps(_mm512_loadu_ps(shift), x, _mm512_loadu_ps(c)));
        _mm512_storeu_ps(c + 16, _mm512_fnmadd_ps(_mm512_loadu_ps(shift + 16), x, _mm512_loadu_ps(c + 16)));
    }
}

INLINE void u8_tile(const pare_gemm_tile *t, const int n)
{
    const uint32_t *w = t->w, *x = t->x;
    for (int s = 0; s < t->segments; s++) {
        __m512i sum[PARE_GEMM_TOKENS][2];
        const int64_t words = t->seg_words[s];
        begin_segment(t, s, n, sum);
        words_u8(w, x, words, t->words, n, sum);
        w += words * PARE_GEMM_PANEL, x += words * PARE_GEMM_TOKENS;
        add_segment(t, s, n, sum);
    }
}

void pare_gemm_tile_u8_avx512(const pare_gemm_tile *t)
{
    EACH(u8_tile)
}
