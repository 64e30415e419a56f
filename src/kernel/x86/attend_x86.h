/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attend for any vector width: the including file gives `vec` of W floats and the v_ functions on it, MR (rows of a tile) and NAME.
 * The algorithm is that of ref/attend.c by blocks of keys, in two steps and a softmax between:
 *
 *   scores    s = q k^T: tiles of rows x panels of 16 keys, one broadcast of q a row and element. Nothing is summed across a vector.
 *   values    out = out e^(m - m') + p v: tiles of rows x vectors of v, rescaled on the way in.
 *
 * both by chunks of at most 64 keys that are made f32 just before, in the first cache: one conversion for all rows, and one set of tiles for all
 * dtypes. f16 for one tile of few rows is converted while the tile loads it: waits for memory then hide behind arithmetic.
 * With few queries (decode) a block is several chunks, so that what a block costs a row (maximum, sum, factor) is shared by many keys, and the
 * next but one is asked for while this one is worked on; with many (prefill) a block is one chunk, and up to 192 rows go through it.
 *
 * Keys that come as rows are transposed to panels first. Blocks begin at multiples of their size, which depends on the shape of a key only, and
 * a row's sums do not depend on the rows beside it: heads may be given in one call or in several, the bits are the same.
 */
#ifndef PARE_KERNEL_X86_ATTEND_H
#define PARE_KERNEL_X86_ATTEND_H
#include <float.h>
#include <immintrin.h>
#include "kernel/ref/attend.h"
#include "kernel/variants.h"

#define INLINE PARE_INLINE
enum {
    ROWS = 192, ROWS_FEW = 64, /* of a block, at most */
    KEYS = 64,                 /* of a chunk, at most; floats from row to row of s */
    BLOCK_FEW = 256,           /* keys of a block of few rows */
    DIM_WHOLE = 64,            /* longer keys come by half as many: a chunk as f32 shares the first cache with the rows */
    QUERIES_FEW = 4,
    AHEAD = 2,                 /* chunks: what is asked for meanwhile */
    PANEL = PARE_KEY_PANEL,
    IN_PANEL = PANEL / W       /* vectors */
};

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

/* e^x, x <= 0; below -87 it is 0, whatever came before that. As pare_exp, with fused steps; NaN stays. t ends in the exponent's bits of 2^n. */
INLINE vec v_exp(vec x)
{
    const vec magic = v_set1(PARE_ROUND_F32 + 127.0f), t = v_fma(x, v_set1(PARE_LOG2E), magic), n = v_sub(t, magic);
    const vec r = v_fma(n, v_set1(-PARE_LN2_LO), v_fma(n, v_set1(-PARE_LN2_HI), x));
    vec q = v_fma(v_set1(0x1.6a23cep-10f), r, v_set1(0x1.123a2p-7f));
    q = v_fma(q, r, v_set1(0x1.5558f2p-5f));
    q = v_fma(q, r, v_set1(0x1.555492p-3f));
    q = v_fma(q, r, v_set1(0x1.fffffcp-2f));
    q = v_fma(q, r, v_set1(1.0f));
    q = v_fma(q, r, v_set1(1.0f));
    return v_mul_from(q, v_pow2_of(t), x, v_set1(-87.0f));
}

typedef struct work {
    const pare_attend *a;
    pare_attend_row row[ROWS];
    int64_t rows, rows_most;        /* of the block at hand, of a block at most */
    int64_t dim, v_dim;             /* rows of a packed panel: whole groups of 8; floats of a packed value: whole vectors */
    bool few;
    float *s;                       /* for each chunk of a block: [rows_most][KEYS] */
    float *m, *l, *keep;            /* [rows_most] */
    float *q;                       /* for each tile of rows: [dim of q][rows of the tile] */
    float *k, *v;                   /* a chunk: keys as panels [dim][PANEL], values [v_dim], padded with zeros */
    int64_t keys, chunks;           /* keys a chunk, chunks a block */
    int64_t block, lo, hi;          /* at hand: first key of the block; keys of it that some row sees lie in lo .. hi */
    int64_t chunk, c_lo, c_hi;      /* first key of the chunk; of the chunk the same */
    float *p;                       /* [rows_most][KEYS] of s: the chunk's */
    const void *k_at, *v_at;        /* where scores and values read the chunk, as what */
    pare_dtype read;                /* f32; f16 when few rows read the cache itself: of one tile, so that nothing is converted twice */
    int64_t k_panel, v_stride;      /* elements from panel to panel, value to value */
} work;

static inline int64_t size_of(pare_dtype dtype) { return dtype == PARE_F32 ? 4 : dtype == PARE_F16 || dtype == PARE_BF16 ? 2 : 1; }

/* Of the n keys from `first` on, those that rows r .. r + rows see: lo .. hi, empty when lo >= hi. */
INLINE void seen(const work *w, int64_t r, int64_t rows, int64_t first, int64_t n, int64_t *lo, int64_t *hi)
{
    *lo = n, *hi = 0;
    for (int64_t i = r; i < r + rows; i++) {
        const int64_t a = w->row[i].first - first, b = w->row[i].last - first;
        if (a >= b) continue;
        *lo = a < *lo ? a : *lo;
        *hi = b > *hi ? b : *hi;
    }
    *lo = *lo > 0 ? *lo : 0;
    *hi = *hi < n ? *hi : n;
}

/* Asks for n bytes, into the second cache: what comes into the first one early drives out what is used, and waits in line there. Never faults. */
INLINE void ask(uintptr_t at, int64_t n)
{
    for (int64_t i = 0; i < n; i += 64) _mm_prefetch((const char *)(at + (uintptr_t)i), _MM_HINT_T1);
}

/* ------------------------------------------------------------------------------------------------------ a chunk made f32 */

/* n elements and zeros up to `padded`. */
INLINE void load_row(float *dst, const void *src, int64_t at, int64_t n, int64_t padded, pare_dtype dtype)
{
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(dst + i, v_get(src, at + i, dtype));
    if (i == n) return;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, y_get(src, at + i, dtype));
    if (i < n) pare_attend_load(dst + i, src, at + i, n - i, dtype);
    for (i = n; i < padded; i++) dst[i] = 0.0f;
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

/* Keys of the chunk to panels [dim][PANEL]; elements past a->dim are zeros. */
INLINE void pack_keys(const work *w, pare_dtype dtype)
{
    const pare_attend *a = w->a;
    for (int64_t j = w->c_lo / 8 * 8; j < w->c_hi; j += 8) {
        float *dst = w->k + j / PANEL * PANEL * w->dim + j % PANEL;
        const int64_t n = w->c_hi - j < 8 ? w->c_hi - j : 8;
        for (int64_t d = 0; d < a->dim; d += 8) {
            __m256 x[8];
            for (int i = 0; i < 8; i++) {
                const int64_t at = (w->chunk + j + i) * a->k_stride + d;
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

/* Stored panels, element for element. */
INLINE void load_panels(const work *w, pare_dtype dtype)
{
    const int64_t panel = PANEL * w->a->dim, begin = w->c_lo / PANEL * panel, end = (w->c_hi + PANEL - 1) / PANEL * panel, at = w->chunk * w->a->dim;
    const void *src = w->a->k; /* named here: a vector's store might change *w */
    float *dst = w->k;
    for (int64_t i = begin; i < end; i += W) v_store(dst + i, v_get(src, at + i, dtype));
}

INLINE void load_values(const work *w, pare_dtype dtype)
{
    const int64_t n = w->a->v_dim, padded = w->v_dim, stride = w->a->v_stride, lo = w->c_lo, hi = w->c_hi;
    const void *src = w->a->v;
    float *dst = w->v;
    int64_t at = (w->chunk + lo) * stride;
    for (int64_t j = lo; j < hi; j++, at += stride) load_row(dst + j * padded, src, at, n, padded, dtype);
}

static void chunk_keys(work *w)
{
    const pare_attend *a = w->a;
    w->k_at = w->k, w->k_panel = (a->k_panels ? a->dim : w->dim) * PANEL;
    if (w->read == PARE_F16) w->k_at = (const uint16_t *)a->k + w->chunk * a->dim;
    else if (a->k_panels && a->dtype == PARE_F32) w->k_at = (const float *)a->k + w->chunk * a->dim;
#define CALL_LOAD(dtype) load_panels(w, dtype)
#define CALL_PACK(dtype) pack_keys(w, dtype)
    else if (a->k_panels) BY_DTYPE(a->dtype, CALL_LOAD);
    else BY_DTYPE(a->dtype, CALL_PACK);
}

static bool v_whole(const work *w) { return w->a->v_dim == w->v_dim; }

static void chunk_values(work *w)
{
    const pare_attend *a = w->a;
    w->v_at = w->v, w->v_stride = w->v_dim;
    if (w->read == PARE_F16) w->v_at = (const uint16_t *)a->v + w->chunk * a->v_stride, w->v_stride = a->v_stride;
    else if (a->dtype == PARE_F32 && v_whole(w)) w->v_at = (const float *)a->v + w->chunk * a->v_stride, w->v_stride = a->v_stride;
#define CALL_VALUES(dtype) load_values(w, dtype)
    else BY_DTYPE(a->dtype, CALL_VALUES);
}

/* ---------------------------------------------------------------------------------------------------------- tiles of rows */

/* Rows of the next tile when `left` remain: any number up to most, MR; what is left is cut in two rather than into a full and a thin one. */
INLINE int tile_rows(int64_t left)
{
    const int most = MR > 6 ? 8 : 6;
    if (left <= most || left == MR) return (int)left;
    return left <= 2 * most ? (int)(left + 1) / 2 : MR;
}

/* STEP(n) with a constant. */
#define BY_ROWS(n, STEP)            \
    do {                            \
        switch (n) {                \
        case 1: STEP(1); break;     \
        case 2: STEP(2); break;     \
        case 3: STEP(3); break;     \
        case 4: STEP(4); break;     \
        case 5: STEP(5); break;     \
        case 6: STEP(6); break;     \
        case 7: if (MR > 6) STEP(7); break; \
        case 8: if (MR > 6) STEP(8); break; \
        default: STEP(MR); break;   \
        }                           \
    } while (0)

/* sum[i][x] += factors[i * apart] y[x]. Two vectors take a factor from memory each, which costs no instruction; more share one that is loaded. */
INLINE void tile_step(vec sum[][4], int rows, const vec *y, int vectors, const float *factors, int64_t apart)
{
    for (int i = 0; i < rows; i++) {
        if (vectors <= 2) {
            for (int x = 0; x < vectors; x++) sum[i][x] = v_fma_at(y[x], factors + i * apart, sum[i][x]);
        } else {
            const vec f = v_set1(factors[i * apart]);
            for (int x = 0; x < vectors; x++) sum[i][x] = v_fma(y[x], f, sum[i][x]);
        }
    }
}

/* ----------------------------------------------------------------------------------------------------------------- scores */

/* Step d of a tile; k: where its first panel begins. */
INLINE void step_scores(vec acc[][4], int rows, const float *q, const void *keys, int64_t k, int64_t panel, int vectors, pare_dtype read)
{
    vec y[4];
    for (int x = 0; x < vectors; x++) y[x] = v_get(keys, k + x / IN_PANEL * panel + x % IN_PANEL * W, read);
    tile_step(acc, rows, y, vectors, q, 1);
}

/*
 * rows x vectors of scores from key j of the chunk on, which begins a panel: s[i][j ...] = <q_i, k> over dim. Meanwhile the same keys of a
 * chunk to come are asked for, `asks` bytes a step.
 */
INLINE void tile_scores(const work *w, int64_t r, int rows, int64_t j, int vectors, int64_t asks, pare_dtype read)
{
    vec acc[12][4];
    const int64_t dim = w->a->dim, panel = w->k_panel;
    const float *q = w->q + r * dim;
    const void *keys = w->k_at;
    float *s = w->p + r * KEYS + j;
    int64_t k = j / PANEL * panel, d = 0;
    uintptr_t next = (uintptr_t)w->a->k + (uintptr_t)((w->chunk + AHEAD * w->keys + j) * dim * size_of(w->a->dtype));
    for (int i = 0; i < rows; i++)
        for (int x = 0; x < vectors; x++) acc[i][x] = v_set1(0.0f);
    for (; d + 2 <= dim; d += 2, next += (uintptr_t)(2 * asks), q += 2 * rows, k += 2 * PANEL) { /* by twos: the loop's own instructions count */
        ask(next, 2 * asks);
        step_scores(acc, rows, q, keys, k, panel, vectors, read);
        step_scores(acc, rows, q + rows, keys, k + PANEL, panel, vectors, read);
    }
    if (d < dim) step_scores(acc, rows, q, keys, k, panel, vectors, read);
    for (int i = 0; i < rows; i++)
        for (int x = 0; x < vectors; x++) v_store(s + i * KEYS + x * W, acc[i][x]);
}

/* Enough sums beside each other to hide how long one takes, and no more than there are registers. */
INLINE int vectors_for(int rows) { return rows <= (MR > 6 ? 6 : 3) ? 4 : 2; }

INLINE void rows_scores(const work *w, int64_t r, int rows, pare_dtype read)
{
    const int vectors = vectors_for(rows);
    int64_t asks = w->few && w->a->k_panels && r == 0 && w->chunk + AHEAD * w->keys < w->a->keys ? W * size_of(w->a->dtype) : 0; /* a vector */
    int64_t lo, hi, j;
    seen(w, r, rows, w->chunk, w->keys, &lo, &hi);
    if (read == PARE_F16) asks = W * size_of(PARE_F16); /* past the end, too: no harm and no question */
    for (j = lo / PANEL * PANEL; j + (vectors - IN_PANEL) * W < hi; j += vectors * W) tile_scores(w, r, rows, j, vectors, vectors * asks, read);
    for (; j < hi; j += PANEL) tile_scores(w, r, rows, j, IN_PANEL, IN_PANEL * asks, read);
}

INLINE void scores(const work *w, pare_dtype read)
{
    for (int64_t r = 0, n; r < w->rows; r += n) {
        n = tile_rows(w->rows - r);
#define STEP(n) rows_scores(w, r, n, read)
        BY_ROWS(n, STEP);
#undef STEP
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

/* Scores of row r for the keys of chunk c. */
INLINE float *scores_at(const work *w, int64_t r, int64_t c) { return w->s + (c * w->rows_most + r) * KEYS; }

/* The part of chunk c that lies in lo .. hi of the block, counted from the chunk's first key; false when there is none. */
INLINE bool in_chunk(const work *w, int64_t c, int64_t lo, int64_t hi, int64_t *from, int64_t *to)
{
    *from = lo > c * w->keys ? lo - c * w->keys : 0;
    *to = hi < (c + 1) * w->keys ? hi - c * w->keys : w->keys;
    return *from < *to;
}

static __attribute__((noinline)) void fill(float *s, int64_t from, int64_t to, float x)
{
    for (int64_t j = from; j < to; j++) s[j] = x;
}

/* Of so many vectors; what they give goes to most and sum by turns, so that none waits for the one before. */
INLINE void part_top(const float *s, int vectors, vec most[4])
{
    for (int x = 0; x < vectors; x++) most[x % 4] = v_max(v_load(s + x * W), most[x % 4]); /* NaN: the second operand */
}

INLINE void part_exp(float *s, int vectors, vec by, vec off, vec sum[4])
{
    for (int x = 0; x < vectors; x++) {
        const vec p = v_exp(v_fma(v_load(s + x * W), by, off));
        v_store(s + x * W, p);
        sum[x % 4] = v_add(sum[x % 4], p);
    }
}

/* Scores of row r where they are not plain products any more; what the row does not see is -inf. Gives the largest. */
static float row_top(const work *w, int64_t r, bool plain)
{
    const pare_attend *a = w->a;
    int64_t lo, hi, from, to;
    vec most[4];
    for (int x = 0; x < 4; x++) most[x] = v_set1(-INFINITY);
    seen(w, r, 1, w->block, w->keys * w->chunks, &lo, &hi);
    for (int64_t c = 0; c < w->chunks; c++) {
        float *s = scores_at(w, r, c);
        if (!in_chunk(w, c, w->lo, w->hi, &from, &to)) continue;
        if (!in_chunk(w, c, lo, hi, &from, &to)) from = to = w->keys;
        if (!plain) {
            for (int64_t j = from; j < to; j++) s[j] *= a->scale;
            adjust(a, &w->row[r], w->block + c * w->keys, from, to, s);
        }
        if (from > 0) fill(s, 0, from, -INFINITY);
        if (to < w->keys) fill(s, to, w->keys, -INFINITY);
        if (w->keys == KEYS) part_top(s, KEYS / W, most);
        else for (int64_t j = 0; j < w->keys; j += PANEL) part_top(s + j, IN_PANEL, most);
    }
    return v_max_of(v_max(v_max(most[0], most[1]), v_max(most[2], most[3])));
}

/*
 * Scores of all rows to p: e^(s - m'), m' the largest so far; zeros where a row sees nothing and another does. m, l and keep = e^(m - m') follow.
 * What is one number a row is computed for W rows at once. Whole chunks, so that where a key's p is added depends on the key only.
 */
static __attribute__((noinline)) void softmax(work *w)
{
    const pare_attend *a = w->a;
    const bool plain = !a->k_scale && !(a->softcap > 0.0f) && !a->alibi && !a->bias && a->scale > 0.0f;
    const float scale = plain ? a->scale : 1.0f;
    float top[ROWS];
    int64_t from, to;
    for (int64_t r = 0; r < w->rows; r++) top[r] = row_top(w, r, plain);
    for (int64_t r = 0; r < w->rows; r += W) {
        const vmask part = v_mask(w->rows - r < W ? w->rows - r : W);
        const vec m = v_load_part(w->m + r, part), here = v_mul(v_load_part(top + r, part), v_set1(scale)), high = v_max(here, m);
        const vec base = v_max(high, v_set1(-FLT_MAX)); /* finite where no key was seen yet */
        v_store_part(w->keep + r, part, v_exp(v_sub(m, base)));
        v_store_part(w->m + r, part, high);
        v_store_part(top + r, part, v_sub(v_set1(0.0f), base));
    }
    for (int64_t r = 0; r < w->rows; r++) {
        const vec by = v_set1(scale), off = v_set1(top[r]);
        vec sum[4];
        for (int x = 0; x < 4; x++) sum[x] = v_set1(0.0f);
        for (int64_t c = 0; c < w->chunks; c++) {
            float *s = scores_at(w, r, c);
            if (!in_chunk(w, c, w->lo, w->hi, &from, &to)) continue;
            if (w->keys == KEYS) part_exp(s, KEYS / W, by, off, sum);
            else for (int64_t j = 0; j < w->keys; j += PANEL) part_exp(s + j, IN_PANEL, by, off, sum);
            for (int64_t j = from; j < to && a->v_scale; j++) s[j] *= a->v_scale[w->block + c * w->keys + j];
        }
        w->l[r] = w->l[r] * w->keep[r] + v_sum_of(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
    }
}

/* ------------------------------------------------------------------------------------------------------------------ p v */

/* Key by key of a tile; at: where the vectors of its value lie. */
INLINE void step_values(vec acc[][4], int rows, const float *p, const void *from, int64_t at, int vectors, pare_dtype read)
{
    vec y[4];
    if (rows <= 3) { /* the order that needs fewer registers */
        for (int i = 0; i < rows; i++) y[i] = v_set1(p[i * KEYS]);
        for (int x = 0; x < vectors; x++) {
            const vec v = v_get(from, at + x * W, read);
            for (int i = 0; i < rows; i++) acc[i][x] = v_fma(y[i], v, acc[i][x]);
        }
    } else {
        for (int x = 0; x < vectors; x++) y[x] = v_get(from, at + x * W, read);
        tile_step(acc, rows, y, vectors, p, KEYS);
    }
}

/* rows x vectors of out from column c on; the last vector may be a part. As much of a chunk to come is asked for meanwhile. */
INLINE void tile_values(const work *w, int64_t r, int rows, int64_t lo, int64_t hi, int64_t c, int vectors, int64_t asks, pare_dtype read)
{
    const int64_t left = w->a->v_dim - c - (vectors - 1) * W, size = size_of(w->a->dtype);
    const vmask part = v_mask(left < W ? left : W);
    const float *p = w->p + r * KEYS + lo;
    const void *from = w->v_at;
    const int64_t stride = w->v_stride;
    const bool dense = w->a->v_stride == w->a->v_dim; /* then line after line, whichever columns are worked on */
    const uintptr_t line = (uintptr_t)(dense ? asks : w->a->v_stride * size);
    int64_t j = lo, at = lo * stride + c;
    uintptr_t next = (uintptr_t)w->a->v + (uintptr_t)((w->chunk + AHEAD * w->keys) * w->a->v_stride * size);
    next += (uintptr_t)(dense ? c * size * w->keys + lo * asks : (lo * w->a->v_stride + c) * size);
    vec acc[12][4];
    for (int i = 0; i < rows; i++) {
        const vec keep = v_set1(w->keep[r + i]);
        for (int x = 0; x < vectors - 1; x++) acc[i][x] = v_mul(v_load(w->row[r + i].out + c + x * W), keep);
        acc[i][vectors - 1] = v_mul(v_load_part(w->row[r + i].out + c + (vectors - 1) * W, part), keep);
    }
    for (; j + 2 <= hi; j += 2, next += 2 * line, p += 2, at += 2 * stride) {
        ask(next, asks);
        ask(next + line, asks);
        step_values(acc, rows, p, from, at, vectors, read);
        step_values(acc, rows, p + 1, from, at + stride, vectors, read);
    }
    if (j < hi) step_values(acc, rows, p, from, at, vectors, read);
    for (int i = 0; i < rows; i++) {
        for (int x = 0; x < vectors - 1; x++) v_store(w->row[r + i].out + c + x * W, acc[i][x]);
        v_store_part(w->row[r + i].out + c + (vectors - 1) * W, part, acc[i][vectors - 1]);
    }
}

INLINE void rows_values(const work *w, int64_t r, int rows, pare_dtype read)
{
    const int vectors = vectors_for(rows);
    int64_t asks = w->few && r == 0 && w->chunk + AHEAD * w->keys < w->a->keys ? W * size_of(w->a->dtype) : 0; /* a vector */
    int64_t lo, hi, c = 0;
    seen(w, r, rows, w->chunk, w->keys, &lo, &hi);
    if (read == PARE_F16) asks = W * size_of(PARE_F16);
    if (lo >= hi) return; /* keep is 1 for all of them, or waits */
    for (; c + (vectors - 1) * W < w->a->v_dim; c += vectors * W) tile_values(w, r, rows, lo, hi, c, vectors, vectors * asks, read);
    if (vectors > 2)
        for (; c + W < w->a->v_dim; c += 2 * W) tile_values(w, r, rows, lo, hi, c, 2, 2 * asks, read);
    for (; c < w->a->v_dim; c += W) tile_values(w, r, rows, lo, hi, c, 1, asks, read);
    for (int i = 0; i < rows; i++) w->keep[r + i] = 1.0f;
}

INLINE void values(const work *w, pare_dtype read)
{
    for (int64_t r = 0, n; r < w->rows; r += n) {
        n = tile_rows(w->rows - r);
#define STEP(n) rows_values(w, r, n, read)
        BY_ROWS(n, STEP);
#undef STEP
    }
}

/* ------------------------------------------------------------------------------------------------------------------ a block */

static void scores_f16(const work *w) { scores(w, PARE_F16); }
static void scores_f32(const work *w) { scores(w, PARE_F32); }
static void values_f16(const work *w) { values(w, PARE_F16); }
static void values_f32(const work *w) { values(w, PARE_F32); }

/* Chunk c of the block; false when nobody sees it. */
static bool chunk_begin(work *w, int64_t c)
{
    const int64_t lo = w->lo - c * w->keys, hi = w->hi - c * w->keys;
    w->chunk = w->block + c * w->keys;
    w->c_lo = lo > 0 ? lo : 0;
    w->c_hi = hi < w->keys ? hi : w->keys;
    w->p = w->s + c * w->rows_most * KEYS;
    return w->c_lo < w->c_hi;
}

static void one_block(work *w)
{
    w->read = w->few && w->a->dtype == PARE_F16 && w->a->k_panels && v_whole(w) && w->rows <= MR ? PARE_F16 : PARE_F32;
    seen(w, 0, w->rows, w->block, w->keys * w->chunks, &w->lo, &w->hi);
    for (int64_t c = 0; c < w->chunks; c++)
        if (chunk_begin(w, c)) {
            chunk_keys(w);
            if (w->read == PARE_F16) scores_f16(w);
            else scores_f32(w);
        }
    softmax(w);
    for (int64_t c = 0; c < w->chunks; c++)
        if (chunk_begin(w, c)) {
            chunk_values(w);
            if (w->read == PARE_F16) values_f16(w);
            else values_f32(w);
        }
}

/* ----------------------------------------------------------------------------------------------------------------- entry */

/* Lays the scratch out; false when rows are too long for it. What a block of keys takes must not depend on the rows: they get what is left. */
static bool plan(work *w, const pare_attend *a)
{
    float *at = a->scratch + (64 - ((uintptr_t)a->scratch & 63)) % 64 / sizeof(float), *end = a->scratch + PARE_ATTEND_SCRATCH(0);
    w->a = a;
    w->few = a->queries <= QUERIES_FEW;
    w->dim = (a->dim + 7) / 8 * 8;
    w->v_dim = (a->v_dim + W - 1) / W * W;
    w->keys = w->few && (a->dim > DIM_WHOLE || a->v_dim > DIM_WHOLE) ? KEYS / 2 : KEYS;
    w->chunks = w->few ? BLOCK_FEW / w->keys : 1;
    const int64_t row = KEYS * w->chunks + a->dim + 3;
    const int64_t k_copy = a->k_panels && a->dtype == PARE_F32 ? 0 : w->dim, v_copy = a->dtype == PARE_F32 && v_whole(w) ? 0 : w->v_dim;
    for (; w->keys * (k_copy + v_copy) + MR * row > end - at; w->keys /= 2)
        if (w->keys == PANEL) return false;
    w->k = at, at += w->keys * k_copy;
    w->v = at, at += w->keys * v_copy;
    w->rows_most = (end - at) / row / MR * MR;
    if (w->rows_most > (w->few ? ROWS_FEW : ROWS)) w->rows_most = w->few ? ROWS_FEW : ROWS;
    w->s = at, at += w->rows_most * KEYS * w->chunks;
    w->q = at, at += w->rows_most * a->dim;
    w->m = at, at += w->rows_most;
    w->l = at, at += w->rows_most;
    w->keep = at;
    return true;
}

static void rows_begin(work *w, int64_t r0, int64_t rows)
{
    const int64_t dim = w->a->dim;
    w->rows = rows;
    for (int64_t r = 0; r < rows; r++) {
        w->row[r] = pare_attend_row_of(w->a, r0 + r);
        w->m[r] = -INFINITY;
        w->l[r] = 0.0f;
        memset(w->row[r].out, 0, (size_t)w->a->v_dim * sizeof(float));
    }
    for (int64_t r = 0, n; r < rows; r += n) {
        n = tile_rows(rows - r);
        for (int64_t i = 0; i < n; i++)
            for (int64_t d = 0; d < dim; d++) w->q[r * dim + d * n + i] = w->row[r + i].q[d];
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
        const int64_t step = w.keys * w.chunks;
        for (w.block = begin / step * step; w.block < end; w.block += step) one_block(&w);
        rows_end(&w, r0);
    }
}
#endif
