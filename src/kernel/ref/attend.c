/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention by blocks of keys with an online softmax (arXiv 1805.02867, 2205.14135). A block of keys and values is made f32 once for up to
 * ROWS rows; a row is a query of one head. Each row keeps its largest score m and its sum l of e^(s - m); out holds the unnormalized result:
 * Blocks begin at multiples of their size, so that a row's result does not depend on the rows beside it:
 *   m' = max(m, max s);  p = e^(s - m');  l = l e^(m - m') + sum p;  out = out e^(m - m') + p v
 */
#include "kernel/level.h"
#include "kernel/ref/attend.h"
#include "kernel/ref/lanes.h"
#include "kernel/ref/vmath.h"

static float dot(const float *a, const float *b, int64_t n)
{
    float lane[PARE_LANES] = { 0 };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) lane[j] += a[i + j] * b[i + j];
    for (int j = 0; i + j < n; j++) lane[j] += a[i + j] * b[i + j];
    for (int width = PARE_LANES / 2; width; width /= 2)
        for (int j = 0; j < width; j++) lane[j] += lane[j + width];
    return lane[0];
}

/* Keys block .. block + count to rows. */
static void load_keys(float *k, const pare_attend *a, int64_t block, int64_t count)
{
    float x[PARE_KEY_PANEL];
    if (!a->k_panels) {
        for (int64_t j = 0; j < count; j++) pare_attend_load(k + j * a->dim, a->k, (block + j) * a->k_stride, a->dim, a->dtype);
        return;
    }
    for (int64_t j = 0, n; j < count; j += n, k += n * a->dim) {
        const int64_t skip = (block + j) % PARE_KEY_PANEL, panel = block + j - skip;
        n = count - j < PARE_KEY_PANEL - skip ? count - j : PARE_KEY_PANEL - skip;
        for (int64_t d = 0; d < a->dim; d++) {
            pare_attend_load(x, a->k, panel * a->dim + d * PARE_KEY_PANEL, PARE_KEY_PANEL, a->dtype);
            for (int64_t i = 0; i < n; i++) k[i * a->dim + d] = x[skip + i];
        }
    }
}

/* Scores of one row against keys begin .. end; s[0] is key begin. */
static void scores(const pare_attend *a, const pare_attend_row *r, const float *k, int64_t block, int64_t begin, int64_t end, float *s)
{
    for (int64_t j = begin; j < end; j++) {
        float x = dot(r->q, k + (j - block) * a->dim, a->dim) * a->scale;
        if (a->k_scale) x *= a->k_scale[j];
        if (a->softcap > 0.0f) x = a->softcap * pare_tanh(x / a->softcap);
        if (a->alibi) x += r->slope * (float)((a->key_pos ? a->key_pos[j] : (int32_t)j) - r->pos);
        if (r->bias) x += r->bias[j];
        s[j - begin] = x;
    }
}

/* One row against the part of a block that it sees. */
static void row_block(const pare_attend *a, const pare_attend_row *r, const float *k, const float *v, int64_t block, int64_t count, float *s, float *m, float *l)
{
    const int64_t begin = r->first > block ? r->first : block, end = r->last < block + count ? r->last : block + count;
    if (begin >= end) return;
    scores(a, r, k, block, begin, end, s);
    const float most = pare_max(s, end - begin), top = most > *m ? most : *m, base = top > -INFINITY ? top : 0.0f;
    const float keep = pare_exp(*m - base);
    float sum = 0.0f;
    for (int64_t d = 0; d < a->v_dim; d++) r->out[d] *= keep;
    for (int64_t j = begin; j < end; j++) {
        float p = pare_exp(s[j - begin] - base);
        sum += p;
        if (a->v_scale) p *= a->v_scale[j];
        const float *value = v + (j - block) * a->v_dim;
        for (int64_t d = 0; d < a->v_dim; d++) r->out[d] += p * value[d];
    }
    *l = *l * keep + sum;
    *m = top;
}

void PARE_REF(attend)(const pare_attend *a)
{
    enum { ROWS = 128, KEYS = 64 };
    float *m = a->scratch, *l = m + ROWS, *s = l + ROWS, *k = s + KEYS;
    const int64_t room = (PARE_ATTEND_SCRATCH(0) - 2 * ROWS - KEYS) / (a->dim + a->v_dim), keys = room < KEYS ? room : KEYS;
    float *v = k + keys * a->dim;
    const int64_t rows = a->queries * a->heads;
    for (int64_t r0 = 0; r0 < rows; r0 += ROWS) {
        const int64_t r1 = rows < r0 + ROWS ? rows : r0 + ROWS;
        int64_t begin, end;
        pare_attend_range(a, r0, r1, &begin, &end);
        for (int64_t r = r0; r < r1; r++) {
            memset(pare_attend_row_of(a, r).out, 0, (size_t)a->v_dim * sizeof(float));
            m[r - r0] = -INFINITY;
            l[r - r0] = 0.0f;
        }
        for (int64_t b = begin / keys * keys; b < end; b += keys) {
            const int64_t count = end - b < keys ? end - b : keys;
            load_keys(k, a, b, count);
            for (int64_t j = 0; j < count; j++) pare_attend_load(v + j * a->v_dim, a->v, (b + j) * a->v_stride, a->v_dim, a->dtype);
            for (int64_t r = r0; r < r1; r++) {
                const pare_attend_row row = pare_attend_row_of(a, r);
                row_block(a, &row, k, v, b, count, s, &m[r - r0], &l[r - r0]);
            }
        }
        for (int64_t r = r0; r < r1; r++) {
            const pare_attend_row row = pare_attend_row_of(a, r);
            const float factor = pare_attend_factor(a, r % a->heads, m[r - r0], l[r - r0]);
            for (int64_t d = 0; d < a->v_dim; d++) row.out[d] *= factor;
        }
    }
}
