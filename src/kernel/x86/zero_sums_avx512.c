/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zero_sums without weights, sixteen lanes in registers. Sums of codes are whole numbers, exact in f32 for 256 values of 8 bits a lane, so that they
 * are the same as in double; products of a value and a code are exact in double, so that they may be fused into the sum.
 *
 * A vector division takes as long as all the rest. Here the quotient x / s is made from y = 1 / s, rounded once: q = x y is off by two units at most,
 * a correction q + (x - q s) y makes it faithful and the second one correctly rounded (Markstein 1990, theorem 8; Muller et al., Handbook of
 * Floating-Point Arithmetic, 4.7), as long as nothing over- or underflows. Scales beyond 2^+-40 and zeros beyond 2^24 go to the reference. Values are
 * held below 2^80, which are clamped to an end of the codes whatever their quotient. Of |x| < 2^-100 the quotient may be a unit off, below 2^-60:
 * added to a zero of 2^-30 or more it vanishes, and otherwise the code is 0.
 */
#include <immintrin.h>
#include "kernel/ref/rows.h"
#include "kernel/variants.h"

void pare_zero_sums_ref_at_avx512(const float *x, const float *weight, int64_t n, float scale, float zero, int umax, pare_zero_sums *out);

typedef struct group { __m512 scale, inverse, zero, most; } group;

/* 16 -> 8 -> 4 -> 2 -> 1, as pare_fold_lanes adds */
static inline double folded(__m512d a, __m512d b)
{
    const __m512d eight = _mm512_add_pd(a, b);
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

static inline __m512d low(__m512 v)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}

static inline __m512d high(__m512 v)
{
    return _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
}

static inline __m512 codes_of(const group *g, __m512 x)
{
    const __m512 large = _mm512_set1_ps(0x1p80f), magic = _mm512_set1_ps(PARE_RNE_MAGIC), none = _mm512_setzero_ps();
    const __m512 v = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-0x1p80f)), large);
    __m512 q = _mm512_mul_ps(v, g->inverse);
    q = _mm512_fmadd_ps(_mm512_fnmadd_ps(q, g->scale, v), g->inverse, q);
    q = _mm512_fmadd_ps(_mm512_fnmadd_ps(q, g->scale, v), g->inverse, q);
    const __m512 c = _mm512_min_ps(_mm512_max_ps(_mm512_add_ps(q, g->zero), none), g->most);
    return _mm512_sub_ps(_mm512_add_ps(c, magic), magic);
}

void pare_zero_sums_avx512(const float *x, const float *weight, int64_t n, float scale, float zero, int umax, pare_zero_sums *out)
{
    enum { BLOCK = 256 * PARE_LANES };
    if (weight || !(scale >= 0x1p-40f && scale <= 0x1p40f && zero >= -0x1p24f && zero <= 0x1p24f)) {
        pare_zero_sums_ref_at_avx512(x, weight, n, scale, zero, umax, out);
        return;
    }
    const group g = { _mm512_set1_ps(scale), _mm512_set1_ps(1.0f / scale), _mm512_set1_ps(zero), _mm512_set1_ps((float)umax) };
    __m512d u[2], uu[2], su[2];
    for (int h = 0; h < 2; h++) u[h] = uu[h] = su[h] = _mm512_setzero_pd();
    for (int64_t from = 0; from < n; from += BLOCK) {
        const int64_t end = n - from < BLOCK ? n : from + BLOCK;
        __m512 u1 = _mm512_setzero_ps(), u2 = u1;
        int64_t i = from;
        for (; i + PARE_LANES <= end; i += PARE_LANES) {
            const __m512 c = codes_of(&g, _mm512_loadu_ps(x + i));
            u1 = _mm512_add_ps(u1, c);
            u2 = _mm512_fmadd_ps(c, c, u2);
            su[0] = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm256_loadu_ps(x + i)), low(c), su[0]);
            su[1] = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm256_loadu_ps(x + i + 8)), high(c), su[1]);
        }
        if (i < end) {
            const __mmask16 there = (__mmask16)((1u << (end - i)) - 1);
            const __m512 v = _mm512_maskz_loadu_ps(there, x + i), c = _mm512_maskz_mov_ps(there, codes_of(&g, v)); /* what is not there adds 0 */
            u1 = _mm512_add_ps(u1, c);
            u2 = _mm512_fmadd_ps(c, c, u2);
            su[0] = _mm512_fmadd_pd(low(v), low(c), su[0]);
            su[1] = _mm512_fmadd_pd(high(v), high(c), su[1]);
        }
        u[0] = _mm512_add_pd(u[0], low(u1));
        u[1] = _mm512_add_pd(u[1], high(u1));
        uu[0] = _mm512_add_pd(uu[0], low(u2));
        uu[1] = _mm512_add_pd(uu[1], high(u2));
    }
    out->u = folded(u[0], u[1]);
    out->uu = folded(uu[0], uu[1]);
    out->xu = folded(su[0], su[1]);
}
