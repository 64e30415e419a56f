/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiles in 16 registers of 256 bits: 16 rows x 6 tokens = 12 accumulators, two registers of w, one broadcast of x, one product. Every
 * loop is written once over a constant number of tokens (1 ... 6) and inlined for each.
 *
 *   f32    2 loads + 6 broadcasts + 12 fma                      a word: 192 operations on the two fma ports in 6 cycles
 *   int16  2 loads + 6 broadcasts + 12 pmaddwd + 12 paddd       a word: 384 in 6 cycles, exact
 *   bytes  2 loads + 6 broadcasts + 12 pmaddubsw + 12 paddw     a word: 768 in 6 cycles; codes below 2^bits, |q| <= 128: a pair is at
 *          most 2 * 128 * (2^bits - 1), so int16 holds 8 (4 bits), 16 (3) or 32 (2) of them before they are widened
 */
#include <immintrin.h>
#include "kernel/variants.h"

enum { HALF = PARE_GEMM_TOKENS / 2 };

#define INLINE static inline __attribute__((always_inline))

/*
 * The loop over words for 6 tokens, in assembly: compilers compute products ahead and then run out of the 16 registers. ymm0 ... ymm11
 * are the sums (token j: 2j and 2j + 1), 12 and 13 two registers of w, 14 and 15 an x and a product. STEP(x offset, sum, sum) is one token.
 * The x of the next 12 tokens lie 128 words of 48 bytes ahead: they are fetched while these are multiplied.
 */
#define WORDS_OF_6(STEP)                                                                                                           \
    "vpxor %%xmm0, %%xmm0, %%xmm0\n\tvmovdqa %%ymm0, %%ymm1\n\tvmovdqa %%ymm0, %%ymm2\n\tvmovdqa %%ymm0, %%ymm3\n\t"               \
    "vmovdqa %%ymm0, %%ymm4\n\tvmovdqa %%ymm0, %%ymm5\n\tvmovdqa %%ymm0, %%ymm6\n\tvmovdqa %%ymm0, %%ymm7\n\t"                    \
    "vmovdqa %%ymm0, %%ymm8\n\tvmovdqa %%ymm0, %%ymm9\n\tvmovdqa %%ymm0, %%ymm10\n\tvmovdqa %%ymm0, %%ymm11\n\t"                  \
    ".p2align 5\n"                                                                                                                 \
    "1:\tvmovdqu (%[w]), %%ymm12\n\tvmovdqu 32(%[w]), %%ymm13\n\t"                                                               \
    STEP("0", "0", "1") STEP("4", "2", "3") STEP("8", "4", "5") STEP("12", "6", "7") STEP("16", "8", "9") STEP("20", "10", "11")   \
    "prefetcht1 6144(%[x])\n\tadd $64, %[w]\n\tadd $48, %[x]\n\tdec %[n]\n\tjnz 1b\n\t"
#define STEP_F32(X, A, B)                                                                                                          \
    "vbroadcastss " X "(%[x]), %%ymm14\n\tvfmadd231ps %%ymm14, %%ymm12, %%ymm" A "\n\tvfmadd231ps %%ymm14, %%ymm13, %%ymm" B "\n\t"
#define STEP_I16(X, A, B)                                                                                                          \
    "vpbroadcastd " X "(%[x]), %%ymm14\n\tvpmaddwd %%ymm14, %%ymm12, %%ymm15\n\tvpmaddwd %%ymm14, %%ymm13, %%ymm14\n\t"            \
    "vpaddd %%ymm15, %%ymm" A ", %%ymm" A "\n\tvpaddd %%ymm14, %%ymm" B ", %%ymm" B "\n\t"
#define STEP_U8(X, A, B)                                                                                                           \
    "vpbroadcastd " X "(%[x]), %%ymm14\n\tvpmaddubsw %%ymm14, %%ymm12, %%ymm15\n\tvpmaddubsw %%ymm14, %%ymm13, %%ymm14\n\t"        \
    "vpaddw %%ymm15, %%ymm" A ", %%ymm" A "\n\tvpaddw %%ymm14, %%ymm" B ", %%ymm" B "\n\t"
/* What becomes of sum A, to be kept at byte AT. */
#define ADD_F32(AT, A) "vaddps " AT "(%[to]), %%ymm" A ", %%ymm" A "\n\tvmovups %%ymm" A ", " AT "(%[to])\n\t"
#define STORE(AT, A) "vmovdqa %%ymm" A ", " AT "(%[to])\n\t"
#define WIDEN(AT, A) "vpmaddwd %%ymm12, %%ymm" A ", %%ymm" A "\n\tvpaddd " AT "(%[to]), %%ymm" A ", %%ymm" A "\n\tvmovdqa %%ymm" A ", " AT "(%[to])\n\t"
#define TO_SUMS(DO)                                                                                                                \
    DO("0", "0") DO("32", "1") DO("64", "2") DO("96", "3") DO("128", "4") DO("160", "5") DO("192", "6") DO("224", "7") DO("256", "8") \
    DO("288", "9") DO("320", "10") DO("352", "11")
#define TO_TILE(DO)                                                                                                                \
    DO("0", "0") DO("32", "1") DO("128", "2") DO("160", "3") DO("256", "4") DO("288", "5") DO("384", "6") DO("416", "7") DO("512", "8") \
    DO("544", "9") DO("640", "10") DO("672", "11")
#define RUN(TEXT, INPUT)                                                                                                           \
    __asm__ volatile(TEXT : [w] "+r"(w), [x] "+r"(x), [n] "+r"(words) : [to] "r"(to) INPUT                                         \
                     : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",    \
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")
#define NOTHING

/* words > 0 of 6 tokens: c += ..., rows of a token 32 floats apart. */
static void f32_of_6(const void *w, const void *x, int64_t words, float *to)
{
    RUN(WORDS_OF_6(STEP_F32) TO_TILE(ADD_F32), NOTHING);
}

/* to[token][half] = ... */
static void i16_of_6(const uint32_t *w, const uint32_t *x, int64_t words, __m256i (*to)[2])
{
    RUN(WORDS_OF_6(STEP_I16) TO_SUMS(STORE), NOTHING);
}

/* to[token][half] += ..., widened. words: as many as int16 holds. */
static void u8_of_6(const uint32_t *w, const uint32_t *x, int64_t words, __m256i (*to)[2])
{
    static const int16_t ones[2] = { 1, 1 };
#define COMMA_ONES , [ones] "m"(ones)
    RUN(WORDS_OF_6(STEP_U8) "vpbroadcastd %[ones], %%ymm12\n\t" TO_SUMS(WIDEN), COMMA_ONES);
#undef COMMA_ONES
}

/* Calls NAME(t, panel, first token, tokens) for both panels with the number of tokens a constant. */
#define EACH_HALF(NAME)                                                                     \
    for (int p = 0; p < 2; p++)                                                             \
        for (int j = 0; j < t->tokens; j += HALF) switch (t->tokens - j) {                  \
            case 1: NAME(t, p, j, 1); break;                                                \
            case 2: NAME(t, p, j, 2); break;                                                \
            case 3: NAME(t, p, j, 3); break;                                                \
            case 4: NAME(t, p, j, 4); break;                                                \
            case 5: NAME(t, p, j, 5); break;                                                \
            default: NAME(t, p, j, 6); break;                                               \
            }

/* ------------------------------------------------------------------------------------------------------------------ f32 */

INLINE void f32_half(const pare_gemm_tile *t, int p, int j0, const int n)
{
    const float *w = (const float *)(const void *)(t->w + p * PARE_GEMM_PANEL_WORDS), *x = (const float *)(const void *)(t->x + j0);
    float *c = t->c + j0 * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL;
    __m256 sum[HALF][2];
    if (n == HALF && t->words > 0) {
        f32_of_6(w, x, t->words, c);
        return;
    }
#pragma GCC unroll 6
    for (int j = 0; j < n; j++) sum[j][0] = sum[j][1] = _mm256_setzero_ps();
    for (int64_t i = 0; i < t->words; i++, w += PARE_GEMM_PANEL, x += PARE_GEMM_TOKENS) {
        const __m256 w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps(w + 8);
#pragma GCC unroll 6
        for (int j = 0; j < n; j++) {
            const __m256 b = _mm256_broadcast_ss(x + j);
            sum[j][0] = _mm256_fmadd_ps(w0, b, sum[j][0]);
            sum[j][1] = _mm256_fmadd_ps(w1, b, sum[j][1]);
        }
    }
#pragma GCC unroll 6
    for (int j = 0; j < n; j++, c += PARE_GEMM_ROWS) {
        _mm256_storeu_ps(c, _mm256_add_ps(_mm256_loadu_ps(c), sum[j][0]));
        _mm256_storeu_ps(c + 8, _mm256_add_ps(_mm256_loadu_ps(c + 8), sum[j][1]));
    }
}

void pare_gemm_tile_f32_avx2(const pare_gemm_tile *t)
{
    EACH_HALF(f32_half)
}

/* ------------------------------------------------------------------------------------------------------------- integers */

/* sum: of segment s, for n tokens from j0 on. */
INLINE void add_segment(const pare_gemm_tile *t, int s, int p, int j0, const int n, __m256i sum[HALF][2])
{
    float *c = t->c + j0 * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL;
    const int at = s * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL;
    const float *x_scale = t->x_scale + s * PARE_GEMM_TOKENS + j0;
    const int32_t *x_sum = t->w_zero || t->zero || t->w_shift ? t->x_sum + s * PARE_GEMM_TOKENS + j0 : NULL;
    const __m256 scale0 = _mm256_loadu_ps(t->w_scale + at), scale1 = _mm256_loadu_ps(t->w_scale + at + 8);
    if (t->w_zero || t->zero) {
        const __m256i all = _mm256_set1_epi32(t->zero);
        const __m256i z0 = t->w_zero ? _mm256_loadu_si256((const __m256i *)(const void *)(t->w_zero + at)) : all;
        const __m256i z1 = t->w_zero ? _mm256_loadu_si256((const __m256i *)(const void *)(t->w_zero + at + 8)) : all;
#pragma GCC unroll 6
        for (int j = 0; j < n; j++) {
            const __m256i x = _mm256_set1_epi32(x_sum[j]);
            sum[j][0] = _mm256_sub_epi32(sum[j][0], _mm256_mullo_epi32(z0, x));
            sum[j][1] = _mm256_sub_epi32(sum[j][1], _mm256_mullo_epi32(z1, x));
        }
    }
#pragma GCC unroll 6
    for (int j = 0; j < n; j++) {
        const __m256 x = _mm256_broadcast_ss(x_scale + j);
        float *at_c = c + j * PARE_GEMM_ROWS;
        const __m256 y0 = _mm256_mul_ps(x, _mm256_cvtepi32_ps(sum[j][0])), y1 = _mm256_mul_ps(x, _mm256_cvtepi32_ps(sum[j][1]));
        _mm256_storeu_ps(at_c, _mm256_fmadd_ps(y0, scale0, _mm256_loadu_ps(at_c)));
        _mm256_storeu_ps(at_c + 8, _mm256_fmadd_ps(y1, scale1, _mm256_loadu_ps(at_c + 8)));
    }
    if (!t->w_shift) return;
    const __m256 s0 = _mm256_loadu_ps(t->w_shift + at), s1 = _mm256_loadu_ps(t->w_shift + at + 8);
    for (int j = 0; j < n; j++) {
        const __m256 x = _mm256_set1_ps(x_scale[j] * (float)x_sum[j]);
        float *at_c = c + j * PARE_GEMM_ROWS;
        _mm256_storeu_ps(at_c, _mm256_fnmadd_ps(s0, x, _mm256_loadu_ps(at_c)));
        _mm256_storeu_ps(at_c + 8, _mm256_fnmadd_ps(s1, x, _mm256_loadu_ps(at_c + 8)));
    }
}

INLINE __m256i load_w(const uint32_t *w)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)w);
}

INLINE void i16_half(const pare_gemm_tile *t, int p, int j0, const int n)
{
    const uint32_t *w = t->w + p * PARE_GEMM_PANEL_WORDS, *x = t->x + j0;
    for (int s = 0; s < t->segments; s++) {
        __m256i sum[HALF][2];
        if (n == HALF && t->seg_words[s] > 0) {
            i16_of_6(w, x, t->seg_words[s], sum);
            add_segment(t, s, p, j0, n, sum);
            w += t->seg_words[s] * PARE_GEMM_PANEL, x += t->seg_words[s] * PARE_GEMM_TOKENS;
            continue;
        }
#pragma GCC unroll 6
        for (int j = 0; j < n; j++) sum[j][0] = sum[j][1] = _mm256_setzero_si256();
        for (int32_t i = 0; i < t->seg_words[s]; i++, w += PARE_GEMM_PANEL, x += PARE_GEMM_TOKENS) {
            const __m256i w0 = load_w(w), w1 = load_w(w + 8);
#pragma GCC unroll 6
            for (int j = 0; j < n; j++) {
                const __m256i b = _mm256_set1_epi32((int)x[j]);
                sum[j][0] = _mm256_add_epi32(sum[j][0], _mm256_madd_epi16(w0, b));
                sum[j][1] = _mm256_add_epi32(sum[j][1], _mm256_madd_epi16(w1, b));
            }
        }
        add_segment(t, s, p, j0, n, sum);
    }
}

void pare_gemm_tile_i16_avx2(const pare_gemm_tile *t)
{
    EACH_HALF(i16_half)
}

/* words <= `deep`: the int16 sums of pairs, widened and added to wide[], which lies in memory. */
INLINE void u8_run(const uint32_t *w, const uint32_t *x, int32_t words, const int n, __m256i wide[HALF][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[HALF][2];
#pragma GCC unroll 6
    for (int j = 0; j < n; j++) sum[j][0] = sum[j][1] = _mm256_setzero_si256();
    for (int32_t i = 0; i < words; i++, w += PARE_GEMM_PANEL, x += PARE_GEMM_TOKENS) {
        const __m256i w0 = load_w(w), w1 = load_w(w + 8);
#pragma GCC unroll 6
        for (int j = 0; j < n; j++) {
            const __m256i b = _mm256_set1_epi32((int)x[j]);
            sum[j][0] = _mm256_add_epi16(sum[j][0], _mm256_maddubs_epi16(w0, b));
            sum[j][1] = _mm256_add_epi16(sum[j][1], _mm256_maddubs_epi16(w1, b));
        }
    }
#pragma GCC unroll 6
    for (int j = 0; j < n; j++) {
        wide[j][0] = _mm256_add_epi32(wide[j][0], _mm256_madd_epi16(sum[j][0], ones));
        wide[j][1] = _mm256_add_epi32(wide[j][1], _mm256_madd_epi16(sum[j][1], ones));
    }
}

INLINE void u8_half(const pare_gemm_tile *t, int p, int j0, const int n)
{
    const uint32_t *w = t->w + p * PARE_GEMM_PANEL_WORDS, *x = t->x + j0;
    const int32_t deep = t->bits >= 4 ? 8 : t->bits == 3 ? 16 : 32;
    for (int s = 0; s < t->segments; s++) {
        __m256i wide[HALF][2];
#pragma GCC unroll 6
        for (int j = 0; j < n; j++) wide[j][0] = wide[j][1] = _mm256_setzero_si256();
        for (int32_t i = 0; i < t->seg_words[s]; i += deep) {
            const int32_t left = t->seg_words[s] - i, words = left < deep ? left : deep;
            if (n == HALF) u8_of_6(w, x, words, wide);
            else u8_run(w, x, words, n, wide);
            w += words * PARE_GEMM_PANEL, x += words * PARE_GEMM_TOKENS;
        }
        add_segment(t, s, p, j0, n, wide);
    }
}

void pare_gemm_tile_u8_avx2(const pare_gemm_tile *t)
{
    EACH_HALF(u8_half)
}
