/* SPDX-License-Identifier: Apache-2.0 */
/* attend with AVX2: 8 floats a vector, tiles of 6 rows x 2 vectors in 12 of 16 registers. */
#include <immintrin.h>
#include <stdint.h>
#include "kernel/nn.h"

typedef __m256 vec;
typedef __m256i vmask;
enum { W = 8, MR = 6 };
#define NAME pare_attend_avx2

static inline vec v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
static inline vec v_set1(float x) { return _mm256_set1_ps(x); }
static inline vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec v_fma_at(vec a, const float *b, vec c) { return _mm256_fmadd_ps(a, _mm256_broadcast_ss(b), c); }
static inline vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
/* 2^n: the last bits of t are n + 127 */
static inline vec v_pow2_of(vec t) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(t), 23)); }
/* x < bound ? 0 : a b */
static inline vec v_mul_from(vec a, vec b, vec x, vec bound) { return _mm256_andnot_ps(_mm256_cmp_ps(x, bound, _CMP_LT_OQ), _mm256_mul_ps(a, b)); }
/* the first n of W */
static inline vmask v_mask(int64_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
static inline vec v_load_part(const float *p, vmask m) { return _mm256_maskload_ps(p, m); }
static inline void v_store_part(float *p, vmask m, vec x) { _mm256_maskstore_ps(p, m, x); }

static inline float v_sum_of(vec x)
{
    const __m128 h = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)), q = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

static inline float v_max_of(vec x)
{
    const __m128 h = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)), q = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

#define v_get y_get
void pare_attend_ref_at_avx2(const pare_attend *a);
#include "kernel/x86/attend_x86.h"
