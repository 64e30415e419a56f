/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zero_sums without weights, sixteen lanes in registers. Sums of codes are whole numbers, exact in f32 for 256 values of 8 bits a lane, so that they
 * are the same as in double; the others are added as the reference adds them.
 */
#include <immintrin.h>
#include "kernel/ref/rows.h"
#include "kernel/variants.h"

void pare_zero_sums_ref_at_avx512(const float *x, const float *weight, int64_t n, float scale, float zero, int umax, pare_zero_sums *out);

typedef struct lanes { double v[PARE_LANES]; } lanes;

static inline double folded(__m512d a, __m512d b)
{
    lanes l;
    _mm512_storeu_pd(l.v, a);
    _mm512_storeu_pd(l.v + 8, b);
    return pare_fold_lanes(l.v);
}

static inline __m512d low(__m512 v)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}

static inline __m512d high(__m512 v)
{
    return _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
}

void pare_zero_sums_avx512(const float *x, const float *weight, int64_t n, float scale, float zero, int umax, pare_zero_sums *out)
{
    enum { BLOCK = 256 * PARE_LANES };
    if (weight) {
        pare_zero_sums_ref_at_avx512(x, weight, n, scale, zero, umax, out);
        return;
    }
    const __m512 by = _mm512_set1_ps(scale), shift = _mm512_set1_ps(zero), none = _mm512_setzero_ps(), most = _mm512_set1_ps((float)umax);
    const __m512 magic = _mm512_set1_ps(PARE_RNE_MAGIC);
    __m512d u[2], uu[2], s[2], su[2], ss[2];
    for (int h = 0; h < 2; h++) u[h] = uu[h] = s[h] = su[h] = ss[h] = _mm512_setzero_pd();
    for (int64_t from = 0; from < n; from += BLOCK) {
        const int64_t end = n - from < BLOCK ? n : from + BLOCK;
        __m512 u1 = none, u2 = none;
        for (int64_t i = from; i < end; i += PARE_LANES) {
            float some[PARE_LANES] = { 0 };
            const __mmask16 there = end - i >= PARE_LANES ? (__mmask16)0xffff : (__mmask16)((1u << (end - i)) - 1);
            if (there != 0xffff) memcpy(some, x + i, (size_t)(end - i) * sizeof *some);
            const __m512 v = _mm512_loadu_ps(there != 0xffff ? some : x + i);
            __m512 c = _mm512_add_ps(_mm512_div_ps(v, by), shift);
            c = _mm512_min_ps(_mm512_max_ps(c, none), most);
            c = _mm512_sub_ps(_mm512_add_ps(c, magic), magic);
            c = _mm512_maskz_mov_ps(there, c); /* what is not there adds 0 */
            u1 = _mm512_add_ps(u1, c);
            u2 = _mm512_add_ps(u2, _mm512_mul_ps(c, c));
            const __m512d a = low(v), b = high(v);
            s[0] = _mm512_add_pd(s[0], a);
            s[1] = _mm512_add_pd(s[1], b);
            su[0] = _mm512_add_pd(su[0], _mm512_mul_pd(a, low(c)));
            su[1] = _mm512_add_pd(su[1], _mm512_mul_pd(b, high(c)));
            ss[0] = _mm512_add_pd(ss[0], _mm512_mul_pd(a, a));
            ss[1] = _mm512_add_pd(ss[1], _mm512_mul_pd(b, b));
        }
        u[0] = _mm512_add_pd(u[0], low(u1));
        u[1] = _mm512_add_pd(u[1], high(u1));
        uu[0] = _mm512_add_pd(uu[0], low(u2));
        uu[1] = _mm512_add_pd(uu[1], high(u2));
    }
    *out = (pare_zero_sums){ .w = (double)n, .u = folded(u[0], u[1]), .uu = folded(uu[0], uu[1]), .x = folded(s[0], s[1]), .xu = folded(su[0], su[1]),
                             .xx = folded(ss[0], ss[1]) };
}
