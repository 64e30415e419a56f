/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_error, quant_error_row and quant_error_row_bf16 with AVX2. A block of 512 elements is quantized and dequantized into L1, then
 * summed up in two passes, whose 12 and 8 accumulators stay in registers. Products of two f32
 * are exact in f64, so fma gives the same sums as the reference's multiplication and addition.
 */
#include "kernel/variants.h"
#include "kernel/x86/rows_avx2.h"

/* -------------------------------------------------------------------------------------------------------------- the sums */

typedef struct sums { __m256d at[4]; } sums; /* the 16 lanes of one sum */

static inline sums load_sums(const double *lanes)
{
    sums s;
    for (int k = 0; k < 4; k++) s.at[k] = _mm256_loadu_pd(lanes + 4 * k);
    return s;
}

static inline void store_sums(double *lanes, sums s)
{
    for (int k = 0; k < 4; k++) _mm256_storeu_pd(lanes + 4 * k, s.at[k]);
}

/* Sums of x*x, x*y and y*y; n a multiple of 16. */
static inline void add_products(pare_error_lanes *e, const float *x, const float *y, int64_t n)
{
    sums signal = load_sums(e->signal), cross = load_sums(e->cross), dq2 = load_sums(e->dq2);
    for (int64_t i = 0; i < n; i += PARE_LANES)
        for (int k = 0; k < 4; k++) {
            const __m256d a = _mm256_cvtps_pd(_mm_loadu_ps(x + i + 4 * k)), b = _mm256_cvtps_pd(_mm_loadu_ps(y + i + 4 * k));
            signal.at[k] = _mm256_fmadd_pd(a, a, signal.at[k]);
            cross.at[k] = _mm256_fmadd_pd(a, b, cross.at[k]);
            dq2.at[k] = _mm256_fmadd_pd(b, b, dq2.at[k]);
        }
    store_sums(e->signal, signal);
    store_sums(e->cross, cross);
    store_sums(e->dq2, dq2);
}

static inline __m256 distance(const float *x, const float *y)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(_mm256_loadu_ps(y), _mm256_loadu_ps(x)));
}

/* Sums of |y - x| and its square, and the largest. */
static inline void add_distances(pare_error_lanes *e, const float *x, const float *y, int64_t n)
{
    sums noise = load_sums(e->noise), abs_sum = load_sums(e->abs_sum);
    __m256 most[2] = { _mm256_loadu_ps(e->max_abs), _mm256_loadu_ps(e->max_abs + 8) };
    for (int64_t i = 0; i < n; i += PARE_LANES)
        for (int h = 0; h < 2; h++) {
            const __m256 m = distance(x + i + 8 * h, y + i + 8 * h);
            const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(m)), high = _mm256_cvtps_pd(_mm256_extractf128_ps(m, 1));
            most[h] = _mm256_max_ps(m, most[h]);
            noise.at[2 * h] = _mm256_fmadd_pd(low, low, noise.at[2 * h]);
            noise.at[2 * h + 1] = _mm256_fmadd_pd(high, high, noise.at[2 * h + 1]);
            abs_sum.at[2 * h] = _mm256_add_pd(abs_sum.at[2 * h], low);
            abs_sum.at[2 * h + 1] = _mm256_add_pd(abs_sum.at[2 * h + 1], high);
        }
    store_sums(e->noise, noise);
    store_sums(e->abs_sum, abs_sum);
    _mm256_storeu_ps(e->max_abs, most[0]);
    _mm256_storeu_ps(e->max_abs + 8, most[1]);
}

static void add_block(pare_error_lanes *e, const float *x, const float *y, int64_t n)
{
    const int64_t whole = n / PARE_LANES * PARE_LANES;
    add_products(e, x, y, whole);
    add_distances(e, x, y, whole);
    if (whole < n) pare_error_lanes_add(e, x + whole, y + whole, n - whole);
}

void pare_row_error_avx2(const float *x, const float *y, int64_t n, pare_row_error *out)
{
    pare_error_lanes lanes = { 0 };
    for (int64_t i = 0; i < n; i += PARE_ROW_BLOCK) add_block(&lanes, x + i, y + i, n - i < PARE_ROW_BLOCK ? n - i : PARE_ROW_BLOCK);
    pare_error_lanes_finish(&lanes, out);
}

/* ------------------------------------------------------------------------------------------------------ codes and values */

typedef struct coder {
    pare_divisor_avx2 d;
    __m256 lo, hi, scale; /* umin - zero, umax - zero */
    __m256i off;          /* bits of 1.5 * 2^23, less zero */
} coder;

static inline coder coder_of(float s, int32_t zero, const pare_row_quant *q)
{
    return (coder){ .d = pare_divisor_of(s), .lo = _mm256_set1_ps((float)(q->umin - zero)), .hi = _mm256_set1_ps((float)(q->umax - zero)),
                    .scale = _mm256_set1_ps(s), .off = _mm256_set1_epi32((int)(PARE_RNE_MAGIC_BITS - (uint32_t)zero)) };
}

static inline __m256i code_and_value(const float *x, const coder *c, float *y)
{
    const __m256 magic = _mm256_set1_ps(PARE_RNE_MAGIC);
    const __m256 t = _mm256_min_ps(_mm256_max_ps(pare_quotient_avx2(_mm256_loadu_ps(x), c->d), c->lo), c->hi), r = _mm256_add_ps(t, magic);
    _mm256_storeu_ps(y, _mm256_mul_ps(_mm256_sub_ps(r, magic), c->scale));
    return _mm256_sub_epi32(_mm256_castps_si256(r), c->off);
}

/* Codes and dequantized values of n elements that share a scale. */
static void code_span(const float *x, int64_t n, float s, int32_t zero, const pare_row_quant *q, uint8_t *codes, float *y)
{
    int64_t i = 0;
    if (pare_divisor_fits(s, zero)) {
        const coder c = coder_of(s, zero, q);
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        for (; i + 32 <= n; i += 32) {
            __m256i v[4];
            for (int k = 0; k < 4; k++) v[k] = code_and_value(x + i + 8 * k, &c, y + i + 8 * k);
            const __m256i packed = _mm256_packus_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
            _mm256_storeu_si256((__m256i *)(void *)(codes + i), _mm256_permutevar8x32_epi32(packed, order));
        }
        for (; i + 8 <= n; i += 8) {
            const __m256i v = code_and_value(x + i, &c, y + i);
            const __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
            _mm_storel_epi64((__m128i *)(void *)(codes + i), _mm_packus_epi16(w, w));
        }
    }
    pare_quant_span(x + i, n - i, s, zero, q->umin, q->umax, codes + i);
    pare_dequant_span(codes + i, n - i, s, zero, y + i);
}

/* Elements [at, at + n) of the row, n <= PARE_ROW_BLOCK. */
static void one_block(const float *x, int64_t at, int64_t n, const pare_row_quant *q, const float *scale, const int32_t *zero, uint8_t *codes,
                      pare_error_lanes *lanes)
{
    float y[PARE_ROW_BLOCK];
    int64_t g = at / q->group, left = (g + 1) * q->group - at;
    for (int64_t i = 0; i < n; g++, left = q->group) {
        const int64_t m = left < n - i ? left : n - i;
        code_span(x + i, m, scale[g], zero[g], q, codes + at + i, y + i);
        i += m;
    }
    add_block(lanes, x, y, n);
}

void pare_quant_error_row_avx2(const float *x, const pare_row_quant *q, const float *scale, const int32_t *zero, uint8_t *codes, pare_row_error *err)
{
    pare_error_lanes lanes = { 0 };
    for (int64_t i = 0; i < q->n; i += PARE_ROW_BLOCK) {
        const int64_t n = q->n - i < PARE_ROW_BLOCK ? q->n - i : PARE_ROW_BLOCK;
        for (int64_t j = 0; j < n; j += 16) PARE_AHEAD(x + i + j, (size_t)q->n * 4);
        one_block(x + i, i, n, q, scale, zero, codes, &lanes);
    }
    pare_error_lanes_finish(&lanes, err);
}

void pare_quant_error_row_bf16_avx2(const uint16_t *x, const pare_row_quant *q, const float *scale, const int32_t *zero, uint8_t *codes, pare_row_error *err)
{
    pare_error_lanes lanes = { 0 };
    float block[PARE_ROW_BLOCK];
    for (int64_t i = 0; i < q->n; i += PARE_ROW_BLOCK) {
        const int64_t n = q->n - i < PARE_ROW_BLOCK ? q->n - i : PARE_ROW_BLOCK;
        int64_t j = 0;
        for (; j + 8 <= n; j += 8) {
            if (j % 32 == 0) PARE_AHEAD(x + i + j, (size_t)q->n * 2);
            const __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(x + i + j)));
            _mm256_storeu_si256((__m256i *)(void *)(block + j), _mm256_slli_epi32(v, 16));
        }
        for (; j < n; j++) block[j] = pare_bf16_to_f32_inl(x[i + j]);
        one_block(block, i, n, q, scale, zero, codes, &lanes);
    }
    pare_error_lanes_finish(&lanes, err);
}
