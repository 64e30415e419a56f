/* SPDX-License-Identifier: Apache-2.0 */
/* quant_sse with AVX2: the quotient of rows_avx2.h; 16 f64 lanes in four registers. */
#include "kernel/variants.h"
#include "kernel/x86/rows_avx2.h"

typedef struct coder {
    pare_divisor_avx2 d;
    __m256 lo, hi, scale;
} coder;

static inline __m256 difference(const float *x, const coder *c)
{
    const __m256 magic = _mm256_set1_ps(PARE_RNE_MAGIC), v = _mm256_loadu_ps(x);
    const __m256 t = _mm256_min_ps(_mm256_max_ps(pare_quotient_avx2(v, c->d), c->lo), c->hi);
    const __m256 r = _mm256_sub_ps(_mm256_add_ps(t, magic), magic);
    return _mm256_sub_ps(_mm256_mul_ps(r, c->scale), v);
}

static inline __m256d add_squares(__m256d sum, __m128 d)
{
    const __m256d w = _mm256_cvtps_pd(d);
    return _mm256_fmadd_pd(w, w, sum);
}

/* The canonical tree of 16 lanes: 16 -> 8 -> 4 -> 2 -> 1. */
static inline double fold(__m256d s0, __m256d s1, __m256d s2, __m256d s3)
{
    const __m256d four = _mm256_add_pd(_mm256_add_pd(s0, s2), _mm256_add_pd(s1, s3));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

double pare_quant_sse_avx2(const float *x, int64_t n, float scale, int32_t zero, int umin, int umax)
{
    double lane[PARE_LANES] = { 0 };
    int64_t i = 0;
    if (pare_divisor_fits(scale, zero)) {
        const coder c = { .d = pare_divisor_of(scale), .lo = _mm256_set1_ps((float)(umin - zero)), .hi = _mm256_set1_ps((float)(umax - zero)),
                          .scale = _mm256_set1_ps(scale) };
        __m256d s0 = _mm256_setzero_pd(), s1 = s0, s2 = s0, s3 = s0;
        for (; i + PARE_LANES <= n; i += PARE_LANES) {
            const __m256 a = difference(x + i, &c), b = difference(x + i + 8, &c);
            s0 = add_squares(s0, _mm256_castps256_ps128(a));
            s1 = add_squares(s1, _mm256_extractf128_ps(a, 1));
            s2 = add_squares(s2, _mm256_castps256_ps128(b));
            s3 = add_squares(s3, _mm256_extractf128_ps(b, 1));
        }
        if (i == n) return fold(s0, s1, s2, s3);
        _mm256_storeu_pd(lane, s0);
        _mm256_storeu_pd(lane + 4, s1);
        _mm256_storeu_pd(lane + 8, s2);
        _mm256_storeu_pd(lane + 12, s3);
    }
    for (; i < n; i += PARE_LANES) { /* the tail, or all of it */
        const int64_t m = n - i < PARE_LANES ? n - i : PARE_LANES;
        uint8_t codes[PARE_LANES];
        float y[PARE_LANES];
        pare_quant_span(x + i, m, scale, zero, umin, umax, codes);
        pare_dequant_span(codes, m, scale, zero, y);
        for (int64_t j = 0; j < m; j++) {
            const float d = y[j] - x[i + j];
            lane[j] += (double)d * (double)d;
        }
    }
    return pare_fold_lanes(lane);
}
