/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attend for any vector width: the including file gives `vec` of W floats and the v_ functions on it, MR (rows of a tile) and NAME.
 * The algorithm is that of ref/attend.c, by blocks of 64 keys (32 when rows are very long), in one of two ways:
 *
 *   few rows (decode)    s: tiles of 3 rows x 4 keys, dot products along the row. Keys and values are read as they are stored when they
 *                        are used once or twice, else made f32 once a block.
 *   many rows (prefill)  keys are transposed into panels [dim][2 W]; s: tiles of MR rows x 2 W keys, one broadcast of q a row and step;
 *                        blocks of ROWS rows go through one packed block of keys while it is in the cache.
 *   both                 out = out e^(m - m') + p v: tiles of rows x vectors of v, rescaled on the way in.
 *
 * Which way depends on the number of queries alone, blocks begin at multiples of their size, and a row's sums do not depend on the rows
 * beside it: heads may be given in one call or in several, the bits are the same. Every tile of rows looks at the panels and keys only
 * that one of its rows sees.
 */
#ifndef PARE_KERNEL_X86_ATTEND_H
#define PARE_KERNEL_X86_ATTEND_H
#include <immintrin.h>
#include "kernel/ref/attend.h"
#include "kernel/variants.h"

#define INLINE PARE_INLINE
enum { ROWS = 192, ROWS_FEW = 64, KEYS = 64, QUERIES_FEW = 4, PANEL = 2 * W };

/* Eight of e4m3: the bits of a float16 that is 2^8 smaller, which the conversion takes subnormals of, too; the one code of NaN apart. */
INLINE __m256 y_of_f8(__m128i bytes)
{
    const __m128i code = _mm_cvtepu8_epi16(bytes), rest = _mm_and_si128(code, _mm_set1_epi16(0x7f)), bad = _mm_cmpeq_epi16(rest, _mm_set1_epi16(0x7f));
    const __m128i half = _mm_or_si128(_mm_slli_epi16(rest, 7), _mm_slli_epi16(_mm_andnot_si128(rest, code), 8));
    return _mm256_mul_ps(_mm256_cvtph_ps(_mm_or_si128(half, _mm_and_si128(bad, _mm_set1_epi16(0x7e00)))), _mm256_set1_ps(256.0f));
}

/* Eight stored elements. */
INLINE __m256 y_get(const void *p, int64_t i, pare_dtype dtype)
{
    if (dtype == PARE_F32) return _mm256_loadu_ps((const float *)p + i);
    if (dtype == PARE_F16) return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)p + i)));
    if (dtype == PARE_BF16)
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)p + i))), 16));
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)((const int8_t *)p + i));
    return dtype == PARE_F8_E4M3FN ? y_of_f8(bytes) : _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

/* e^x, x <= 0; below -87 it is 0. As pare_exp, with fused steps; NaN stays. */
INLINE vec v_exp(vec x)
{
    const vec magic = v_set1(PARE_ROUND_F32), c = v_max(v_set1(-87.0f), x);
    const vec t = v_fma(c, v_set1(PARE_LOG2E), magic), n = v_sub(t, magic);
    const vec r = v_fma(n, v_set1(-PARE_LN2_LO), v_fma(n, v_set1(-PARE_LN2_HI), c));
    vec q = v_fma(v_set1(0x1.6a23cep-10f), r, v_set1(0x1.123a2p-7f));
    q = v_fma(q, r, v_set1(0x1.5558f2p-5f));
    q = v_fma(q, r, v_set1(0x1.555492p-3f));
    q = v_fma(q, r, v_set1(0x1.fffffcp-2f));
    const vec p = v_fma(v_mul(r, r), q, v_add(r, v_set1(1.0f)));
    return v_zero_below(v_mul(p, v_pow2_of(t)), x, v_set1(-87.0f));
}

typedef struct work {
    const pare_attend *a;
    pare_attend_row row[ROWS];
    int64_t rows, dim, v_dim;       /* dim, v_dim: rounded up to whole vectors */
    bool few;
    int64_t rows_most;              /* a block of rows: ROWS or ROWS_FEW */
    float *s;                       /* [rows_most][KEYS] */
    float *m, *l, *keep;            /* [rows_most] */
    float *q;                       /* few rows, dim not whole vectors: [rows_most][dim], padded with zeros */
    float *k, *v;                   /* a block: keys as panels or rows [dim], values [v_dim]; padded with zeros */
    int64_t keys;                   /* keys a block */
    int64_t block, count;           /* at hand: first key, number */
    const void *k_at, *v_at;        /* where s and out read them, with dtype and stride */
    int64_t k_stride, v_stride;
    pare_dtype k_dtype, v_dtype;
} work;

static inline int64_t size_of(pare_dtype dtype) { return dtype == PARE_F32 ? 4 : dtype == PARE_F16 || dtype == PARE_BF16 ? 2 : 1; }

/* Keys of the block that rows r .. r + n see: lo .. hi, empty when lo >= hi. */
INLINE void seen(const work *w, int64_t r, int n, int64_t *lo, int64_t *hi)
{
    *lo = w->count, *hi = 0;
    for (int i = 0; i < n; i++) {
        const int64_t a = w->row[r + i].first - w->block, b = w->row[r + i].last - w->block;
        if (a >= b) continue;
        *lo = a < *lo ? a : *lo;
        *hi = b > *hi ? b : *hi;
    }
    *lo = *lo > 0 ? *lo : 0;
    *hi = *hi < w->count ? *hi : w->count;
}

/*
 * Asks for row j of the block `ahead` blocks on, as it is stored. Few rows read memory in bursts with arithmetic between; asked for a
 * phase early (values while scores are made, the next keys while values are added up), it comes meanwhile. Never faults.
 */
INLINE void ask_row(const work *w, const void *p, int64_t stride, int64_t n, int64_t j)
{
    const int64_t size = size_of(w->a->dtype);
    const uintptr_t at = (uintptr_t)p + (uintptr_t)((w->block + j) * stride * size);
    for (int64_t i = 0; i < n * size; i += 64) _mm_prefetch((const char *)(at + (uintptr_t)i), _MM_HINT_T0);
}

/* ------------------------------------------------------------------------------------------------------ a block made f32 */

INLINE void load_row(float *dst, const void *src, int64_t at, int64_t n, int64_t padded, pare_dtype dtype)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, y_get(src, at + i, dtype));
    if (i < n) pare_attend_load(dst + i, src, at + i, n - i, dtype);
    for (i = n; i < padded; i++) dst[i] = 0.0f;
}

INLINE void load_rows(float *dst, const void *src, int64_t stride, int64_t block, int64_t count, int64_t n, int64_t padded, pare_dtype dtype)
{
    for (int64_t j = 0; j < count; j++) load_row(dst + j * padded, src, (block + j) * stride, n, padded, dtype);
}

/* dst[i][0 .. 8] = element i of eight rows; rows of dst are PANEL apart */
INLINE void transpose(float *dst, const __m256 *x)
{
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = _mm256_shuffle_ps(a[i + j], a[i + 2 + j], 0x44);
            b[i + 2 * j + 1] = _mm256_shuffle_ps(a[i + j], a[i + 2 + j], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(dst + i * PANEL, _mm256_permute2f128_ps(b[i], b[i + 4], 0x20));
        _mm256_storeu_ps(dst + (i + 4) * PANEL, _mm256_permute2f128_ps(b[i], b[i + 4], 0x31));
    }
}

/* Keys of the block to panels [dim][PANEL]; keys past the last are zeros, so are elements past a->dim. */
INLINE void pack_keys(const work *w, pare_dtype dtype)
{
    const pare_attend *a = w->a;
    for (int64_t j = 0; j < w->count; j += 8) {
        float *dst = w->k + j / PANEL * PANEL * w->dim + j % PANEL;
        const int64_t n = w->count - j < 8 ? w->count - j : 8;
        for (int64_t d = 0; d < a->dim; d += 8) {
            __m256 x[8];
            for (int i = 0; i < 8; i++) {
                const int64_t at = (w->block + j + i) * a->k_stride + d;
                if (i >= n) {
                    x[i] = _mm256_setzero_ps();
                } else if (d + 8 <= a->dim) {
                    x[i] = y_get(a->k, at, dtype);
                } else {
                    float part[8] = { 0 };
                    pare_attend_load(part, a->k, at, a->dim - d, dtype);
                    x[i] = _mm256_loadu_ps(part);
                }
            }
            transpose(dst + d * PANEL, x);
        }
    }
}

/* CALL(dtype) with a constant, so that each dtype becomes its own loop. */
#define BY_DTYPE(dtype, CALL)                  \
    do {                                       \
        if ((dtype) == PARE_F32) CALL(PARE_F32);        \
        else if ((dtype) == PARE_F16) CALL(PARE_F16);   \
        else if ((dtype) == PARE_BF16) CALL(PARE_BF16); \
        else if ((dtype) == PARE_F8_E4M3FN) CALL(PARE_F8_E4M3FN); \
        else CALL(PARE_I8);                    \
    } while (0)

static void block_panels(work *w)
{
#define CALL(dtype) pack_keys(w, dtype)
    BY_DTYPE(w->a->dtype, CALL);
#undef CALL
}

static void block_keys(work *w)
{
    const pare_attend *a = w->a;
#define CALL(dtype) load_rows(w->k, a->k, a->k_stride, w->block, w->count, a->dim, w->dim, dtype)
    BY_DTYPE(a->dtype, CALL);
#undef CALL
    w->k_at = w->k, w->k_stride = w->dim, w->k_dtype = PARE_F32;
}

static void block_values(work *w)
{
    const pare_attend *a = w->a;
#define CALL(dtype) load_rows(w->v, a->v, a->v_stride, w->block, w->count, a->v_dim, w->v_dim, dtype)
    BY_DTYPE(a->dtype, CALL);
#undef CALL
    w->v_at = w->v, w->v_stride = w->v_dim, w->v_dtype = PARE_F32;
}

/* As they are stored. */
static void block_as_stored(work *w, bool keys, bool values)
{
    const pare_attend *a = w->a;
    const int64_t size = size_of(a->dtype);
    if (keys) w->k_at = (const uint8_t *)a->k + w->block * a->k_stride * size, w->k_stride = a->k_stride, w->k_dtype = a->dtype;
    if (values) w->v_at = (const uint8_t *)a->v + w->block * a->v_stride * size, w->v_stride = a->v_stride, w->v_dtype = a->dtype;
}

/* ----------------------------------------------------------------------------------------------------------------- scores */

/* rows x PANEL scores: s[i][0 .. PANEL] = <q_i, k> over dim */
INLINE void tile_panel(const work *w, int64_t r, int rows, const float *k, float *s)
{
    vec acc[12][2];
    const float *q[12];
    const int64_t dim = w->a->dim;
    for (int i = 0; i < rows; i++) {
        q[i] = w->row[r + i].q;
        acc[i][0] = acc[i][1] = v_set1(0.0f);
    }
    for (int64_t d = 0; d < dim; d++) {
        const vec k0 = v_load(k + d * PANEL), k1 = v_load(k + d * PANEL + W);
        for (int i = 0; i < rows; i++) {
            const vec x = v_set1(q[i][d]);
            acc[i][0] = v_fma(x, k0, acc[i][0]);
            acc[i][1] = v_fma(x, k1, acc[i][1]);
        }
    }
    for (int i = 0; i < rows; i++) {
        v_store(s + i * KEYS, acc[i][0]);
        v_store(s + i * KEYS + W, acc[i][1]);
    }
}

INLINE void rows_panels(const work *w, int64_t r, int rows)
{
    int64_t lo, hi;
    seen(w, r, rows, &lo, &hi);
    for (int64_t j = lo / PANEL * PANEL; j < hi; j += PANEL) tile_panel(w, r, rows, w->k + j * w->dim, w->s + r * KEYS + j);
}

/* rows x keys dot products; keys is 4 or 8. Keys past the last are the last once more. */
INLINE void tile_dot(const work *w, int64_t r, int rows, int64_t j, int keys, pare_dtype dtype)
{
    vec acc[3][8];
    int64_t at[8];
    for (int c = 0; c < keys; c++) at[c] = (j + c < w->count ? j + c : w->count - 1) * w->k_stride;
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < keys; c++) acc[i][c] = v_set1(0.0f);
    for (int64_t d = 0; d < w->dim; d += W) {
        vec q[3];
        for (int i = 0; i < rows; i++) q[i] = v_load(w->row[r + i].q + d);
        for (int c = 0; c < keys; c++) {
            const vec k = v_get(w->k_at, at[c] + d, dtype);
            for (int i = 0; i < rows; i++) acc[i][c] = v_fma(q[i], k, acc[i][c]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < keys; c += 4) _mm_storeu_ps(w->s + (r + i) * KEYS + j + c, v_sums(acc[i][c], acc[i][c + 1], acc[i][c + 2], acc[i][c + 3]));
}

INLINE void rows_dot(const work *w, int64_t r, int rows, int keys, pare_dtype dtype)
{
    for (int64_t j = 0; j < w->count; j += keys) {
        if (r == 0)
            for (int64_t c = 0; c < keys; c++) ask_row(w, w->a->v, w->a->v_stride, w->a->v_dim, j + c);
        tile_dot(w, r, rows, j, keys, dtype);
    }
}

/* ---------------------------------------------------------------------------------------------------------------- softmax */

/* What is rare: everything but the scale. */
static __attribute__((noinline)) void adjust(const pare_attend *a, const pare_attend_row *row, int64_t block, int64_t lo, int64_t hi, float *s)
{
    if (a->k_scale)
        for (int64_t j = lo; j < hi; j++) s[j] *= a->k_scale[block + j];
    if (a->softcap > 0.0f) {
        const float cap = a->softcap;
        for (int64_t j = lo; j < hi; j++) s[j] = cap * pare_tanh(s[j] / cap);
    }
    if (a->alibi && a->key_pos)
        for (int64_t j = lo; j < hi; j++) s[j] += row->slope * (float)(a->key_pos[block + j] - row->pos);
    else if (a->alibi)
        for (int64_t j = lo; j < hi; j++) s[j] += row->slope * (float)((int32_t)(block + j) - row->pos);
    if (row->bias)
        for (int64_t j = lo; j < hi; j++) s[j] += row->bias[block + j];
}

/* Scores of row r to p, zeros where it sees nothing; m, l and keep follow. */
static void row_softmax(work *w, int64_t r)
{
    const pare_attend *a = w->a;
    const pare_attend_row *row = &w->row[r];
    float *s = w->s + r * KEYS;
    const int64_t end = (w->count + W - 1) / W * W;
    int64_t lo, hi;
    seen(w, r, 1, &lo, &hi);
    w->keep[r] = 1.0f;
    if (lo >= hi) {
        for (int64_t j = 0; j < end; j++) s[j] = 0.0f;
        return;
    }
    const vec scale = v_set1(a->scale);
    for (int64_t j = 0; j < end; j += W) v_store(s + j, v_mul(v_load(s + j), scale));
    if (a->k_scale || a->softcap > 0.0f || a->alibi || row->bias) adjust(a, row, w->block, lo, hi, s);
    for (int64_t j = 0; j < lo; j++) s[j] = -INFINITY;
    for (int64_t j = hi; j < end; j++) s[j] = -INFINITY;

    vec most = v_set1(w->m[r]);
    for (int64_t j = 0; j < end; j += W) most = v_max(v_load(s + j), most); /* NaN: the second operand */
    const float top = v_max_of(most), base = top > -INFINITY ? top : 0.0f;
    const vec off = v_set1(base);
    vec sum = v_set1(0.0f);
    for (int64_t j = 0; j < end; j += W) {
        const vec p = v_exp(v_sub(v_load(s + j), off));
        v_store(s + j, p);
        sum = v_add(sum, p);
    }
    if (a->v_scale)
        for (int64_t j = lo; j < hi; j++) s[j] *= a->v_scale[w->block + j];
    w->keep[r] = pare_exp(w->m[r] - base);
    w->l[r] = w->l[r] * w->keep[r] + v_sum_of(sum);
    w->m[r] = top;
}

/* ------------------------------------------------------------------------------------------------------------------ p v */

/* rows x vectors of out from column c on; the last vector may be a part */
INLINE void tile_values(const work *w, int64_t r, int rows, int64_t lo, int64_t hi, int64_t c, int vectors, pare_dtype dtype, bool ask)
{
    const int64_t left = w->a->v_dim - c - (vectors - 1) * W;
    const vmask part = v_mask(left < W ? left : W);
    const float *p = w->s + r * KEYS;
    vec acc[12][8];
    for (int i = 0; i < rows; i++) {
        const vec keep = v_set1(w->keep[r + i]);
        for (int x = 0; x < vectors - 1; x++) acc[i][x] = v_mul(v_load(w->row[r + i].out + c + x * W), keep);
        acc[i][vectors - 1] = v_mul(v_load_part(w->row[r + i].out + c + (vectors - 1) * W, part), keep);
    }
    for (int64_t j = lo; j < hi; j++) {
        vec y[8];
        if (ask) ask_row(w, w->a->k, w->a->k_stride, w->a->dim, w->keys + j);
        if (rows <= 3) { /* the order that needs fewer registers */
            for (int i = 0; i < rows; i++) y[i] = v_set1(p[i * KEYS + j]);
            for (int x = 0; x < vectors; x++) {
                const vec v = v_get(w->v_at, j * w->v_stride + c + x * W, dtype);
                for (int i = 0; i < rows; i++) acc[i][x] = v_fma(y[i], v, acc[i][x]);
            }
        } else {
            for (int x = 0; x < vectors; x++) y[x] = v_get(w->v_at, j * w->v_stride + c + x * W, dtype);
            for (int i = 0; i < rows; i++) {
                const vec q = v_set1(p[i * KEYS + j]);
                for (int x = 0; x < vectors; x++) acc[i][x] = v_fma(q, y[x], acc[i][x]);
            }
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int x = 0; x < vectors - 1; x++) v_store(w->row[r + i].out + c + x * W, acc[i][x]);
        v_store_part(w->row[r + i].out + c + (vectors - 1) * W, part, acc[i][vectors - 1]);
    }
}

INLINE void rows_values(const work *w, int64_t r, int rows, int vectors, pare_dtype dtype, bool ask)
{
    int64_t lo, hi, c = 0;
    seen(w, r, rows, &lo, &hi);
    if (lo >= hi) return; /* keep is 1 for all of them */
    if (ask && r == 0 && c + (vectors - 1) * W < w->a->v_dim) {
        tile_values(w, r, rows, lo, hi, c, vectors, dtype, true);
        c += vectors * W;
    }
    for (; c + (vectors - 1) * W < w->a->v_dim; c += vectors * W) tile_values(w, r, rows, lo, hi, c, vectors, dtype, false);
    if (vectors > 4)
        for (; c + 3 * W < w->a->v_dim; c += 4 * W) tile_values(w, r, rows, lo, hi, c, 4, dtype, false);
    if (vectors > 2)
        for (; c + W < w->a->v_dim; c += 2 * W) tile_values(w, r, rows, lo, hi, c, 2, dtype, false);
    for (; c < w->a->v_dim; c += W) tile_values(w, r, rows, lo, hi, c, 1, dtype, false);
}

/* ------------------------------------------------------------------------------------------------------------- few rows */

#define CALL_DOT1(dtype) rows_dot(w, r, 1, 8, dtype)
#define CALL_DOT2(dtype) rows_dot(w, r, 2, 4, dtype)
#define CALL_VALUES1(dtype) rows_values(w, r, 1, 8, dtype, true)
#define CALL_VALUES2(dtype) rows_values(w, r, 2, 4, dtype, true)

static void few_block(work *w)
{
    const pare_attend *a = w->a;
    const bool once = w->rows <= 2;
    const bool k_whole = a->dim == w->dim && (once || a->dtype == PARE_F32), v_whole = a->v_dim == w->v_dim && (once || a->dtype == PARE_F32);
    int64_t r = 0;
    block_as_stored(w, k_whole, v_whole);
    if (!k_whole) block_keys(w);
    if (!v_whole) block_values(w);
    for (; r + 3 <= w->rows; r += 3) rows_dot(w, r, 3, 4, PARE_F32);
    if (r + 2 == w->rows) BY_DTYPE(w->k_dtype, CALL_DOT2);
    if (r + 1 == w->rows) BY_DTYPE(w->k_dtype, CALL_DOT1);
    for (r = 0; r < w->rows; r++) row_softmax(w, r);
    for (r = 0; r + 6 <= w->rows; r += 6) rows_values(w, r, 6, 2, PARE_F32, true);
    for (; r + 3 <= w->rows; r += 3) rows_values(w, r, 3, 4, PARE_F32, true);
    if (r + 2 == w->rows) BY_DTYPE(w->v_dtype, CALL_VALUES2);
    if (r + 1 == w->rows) BY_DTYPE(w->v_dtype, CALL_VALUES1);
}

/* ------------------------------------------------------------------------------------------------------------ many rows */

/* STEP(rows) over tiles of MR rows, then smaller ones. */
#define BY_ROWS(STEP)                                                   \
    do {                                                                \
        int64_t r = 0;                                                  \
        for (; r + MR <= w->rows; r += MR) STEP(MR);                    \
        if (MR > 6)                                                     \
            for (; r + 6 <= w->rows; r += 6) STEP(6);                   \
        for (; r + 3 <= w->rows; r += 3) STEP(3);                       \
        for (; r < w->rows; r++) STEP(1);                               \
    } while (0)

static void many_block(work *w)
{
    const bool whole = w->a->dtype == PARE_F32 && w->a->v_dim == w->v_dim;
    block_panels(w);
    block_as_stored(w, false, whole);
    if (!whole) block_values(w);
#define STEP(n) rows_panels(w, r, n)
    BY_ROWS(STEP);
#undef STEP
    for (int64_t r = 0; r < w->rows; r++) row_softmax(w, r);
#define STEP(n) rows_values(w, r, n, 2, PARE_F32, false)
    BY_ROWS(STEP);
#undef STEP
}

/* ----------------------------------------------------------------------------------------------------------------- entry */

/* Lays the scratch out; false when rows are too long for it. */
static bool plan(work *w, const pare_attend *a)
{
    float *at = a->scratch + (64 - ((uintptr_t)a->scratch & 63)) % 64 / sizeof(float), *end = a->scratch + PARE_ATTEND_SCRATCH(0);
    const bool few = a->queries <= QUERIES_FEW;
    const int64_t rows = few ? ROWS_FEW : ROWS;
    w->a = a;
    w->few = few;
    w->rows_most = rows;
    w->dim = (a->dim + W - 1) / W * W;
    w->v_dim = (a->v_dim + W - 1) / W * W;
    w->s = at, at += rows * KEYS;
    w->m = at, at += rows;
    w->l = at, at += rows;
    w->keep = at, at += rows;
    w->q = at, at += few && w->dim != a->dim ? rows * w->dim : 0;
    for (w->keys = KEYS; w->keys * (w->dim + w->v_dim) > end - at; w->keys /= 2)
        if (w->keys == PANEL) return false;
    w->k = at;
    w->v = at + w->keys * w->dim;
    return true;
}

static void rows_begin(work *w, int64_t r0, int64_t rows)
{
    w->rows = rows;
    for (int64_t r = 0; r < rows; r++) {
        w->row[r] = pare_attend_row_of(w->a, r0 + r);
        w->m[r] = -INFINITY;
        w->l[r] = 0.0f;
        memset(w->row[r].out, 0, (size_t)w->a->v_dim * sizeof(float));
        if (w->few && w->dim != w->a->dim) {
            load_row(w->q + r * w->dim, w->row[r].q, 0, w->a->dim, w->dim, PARE_F32);
            w->row[r].q = w->q + r * w->dim;
        }
    }
}

static void rows_end(work *w, int64_t r0)
{
    for (int64_t r = 0; r < w->rows; r++) {
        const float factor = pare_attend_factor(w->a, (r0 + r) % w->a->heads, w->m[r], w->l[r]);
        float *out = w->row[r].out;
        for (int64_t d = 0; d < w->a->v_dim; d++) out[d] *= factor;
    }
}

void NAME(const pare_attend *a)
{
    work w;
    const int64_t rows = a->queries * a->heads;
    if (!plan(&w, a)) {
        pare_attend_ref_at_avx2(a);
        return;
    }
    for (int64_t r0 = 0; r0 < rows; r0 += w.rows_most) {
        const int64_t r1 = rows < r0 + w.rows_most ? rows : r0 + w.rows_most;
        int64_t begin, end;
        pare_attend_range(a, r0, r1, &begin, &end);
        rows_begin(&w, r0, r1 - r0);
        for (w.block = begin / w.keys * w.keys; w.block < end; w.block += w.keys) {
            w.count = end - w.block < w.keys ? end - w.block : w.keys;
            if (w.few) few_block(&w);
            else many_block(&w);
        }
        rows_end(&w, r0);
    }
}
#endif
