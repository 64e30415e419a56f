/* SPDX-License-Identifier: Apache-2.0 */
/* minmax_groups and minmax with AVX2: two registers for each extreme; the operand order of min and max skips NaN as the reference does. */
#include <immintrin.h>
#include "kernel/variants.h"

static inline float fold_min(__m256 v)
{
    __m128 m = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_min_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_min_ss(m, _mm_shuffle_ps(m, m, 1)));
}

static inline float fold_max(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}

/* Of n numbers and `start`. */
static inline void extremes(const float *x, int64_t n, float start, float *min, float *max)
{
    __m256 lo = _mm256_set1_ps(start), hi = lo, lo2 = lo, hi2 = lo;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        lo = _mm256_min_ps(a, lo);
        hi = _mm256_max_ps(a, hi);
        lo2 = _mm256_min_ps(b, lo2);
        hi2 = _mm256_max_ps(b, hi2);
    }
    float l = fold_min(_mm256_min_ps(lo2, lo)), h = fold_max(_mm256_max_ps(hi2, hi));
    for (; i < n; i++) {
        l = x[i] < l ? x[i] : l;
        h = x[i] > h ? x[i] : h;
    }
    *min = l;
    *max = h;
}

void pare_minmax_groups_avx2(const float *x, int64_t n, int64_t group, float *min, float *max)
{
    for (int64_t at = 0; at < n; at += group) extremes(x + at, n - at < group ? n - at : group, 0.0f, min++, max++);
}

void pare_minmax_avx2(const float *x, int64_t n, float *min, float *max)
{
    extremes(x, n, x[0], min, max);
    *min += 0.0f; /* one sign of 0 */
    *max += 0.0f;
}
