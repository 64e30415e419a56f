/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWQ (Lin et al. 2023, arXiv 2306.00978, section 3.2) clips a block by the factor with the least error of the block's own part of the output. Parts do
 * not add up alone, though: with blocks g of one row, E = [E_1 E_2 ...],
 *
 *   E H E^T = sum_g (E_g H_gg E_g^T + 2 E_g B_g^T),   B_g = sum over the other blocks k of E_k H_kg
 *
 * so a block is judged by cost(E_g) = E_g (H_gg E_g^T + 2 B_g^T), with the others as they are at the time: descent by coordinates, which never makes
 * the whole error larger than that of rounding to nearest, where it starts.
 *
 * A range is tried by showing pare_rounder_find() a block of two values, its ends: without a search every grid looks at nothing else. Ends may be moved
 * outwards, too: that is a coarser scale, with the last code nearer to where the values are.
 *
 * Layout: a task has ROWS rows and holds everything transposed, [column][row], so that a column of rounded values is contiguous and cost is a loop over
 * rows. Rows do not see each other.
 */
#include "method/clip_search.h"

#include <string.h>

#include "linalg/linalg.h"
#include "method/weigh.h"

enum { ROWS = 64 };
/* Both ends together, then each alone. 1 comes first: what is not better is not taken. */
static const float both[] = { 1.0f, 0.95f, 0.9f, 0.85f, 0.8f, 0.75f, 0.7f, 0.65f, 0.6f, 0.55f, 0.5f, 0.45f, 0.4f, 1.05f, 1.1f };
static const float alone[] = { 0.7f, 0.8f, 0.9f, 0.95f, 1.05f, 1.1f, 1.2f };

typedef struct search {
    pare_ctx *ctx;
    const float *w, *h;
    int sweeps;
    pare_qtensor *q;
    pare_scheme scheme;        /* without a search of its own */
    int64_t rows, cols, group, groups;
    uint8_t *scratch;
    size_t worker_bytes, rounder_bytes;
} search;

/* One task's memory; [n][ROWS] unless it says otherwise, n = columns of the block at hand. */
typedef struct task {
    const search *s;
    pare_rounder rounder;
    void *product;
    int64_t rows, c0, n;
    float *w, *e;              /* [cols][ROWS] */
    float *b, *try, *t;        /* 2 B_g; candidate's error; its product with H_gg */
    float *low, *high;         /* [ROWS] ends of the block */
    float *scale, *zero;       /* [groups][ROWS] */
    double *cost;              /* [ROWS] */
    float *best_low, *best_high;
    float *value;
    uint8_t *code;
} task;

static void *cut(uint8_t **at, size_t bytes)
{
    void *p = *at;
    *at += (bytes + 63) & ~(size_t)63;
    return p;
}

static void task_init(const search *s, uint8_t *at, task *t)
{
    const size_t row = ROWS * sizeof(float), all = (size_t)s->cols * row, block = (size_t)s->group * row;
    *t = (task){ .s = s, .product = cut(&at, PARE_MULTIPLY_SCRATCH) };
    t->rounder = (pare_rounder){ .k = s->ctx->kernels, .scheme = &s->scheme, .global = s->q->global_scale, .scratch = cut(&at, s->rounder_bytes) };
    t->w = cut(&at, all), t->e = cut(&at, all);
    t->b = cut(&at, block), t->try = cut(&at, block), t->t = cut(&at, block);
    t->scale = cut(&at, (size_t)s->groups * row), t->zero = cut(&at, (size_t)s->groups * row);
    t->low = cut(&at, row), t->high = cut(&at, row), t->best_low = cut(&at, row), t->best_high = cut(&at, row), t->value = cut(&at, row);
    t->cost = cut(&at, ROWS * sizeof(double));
    t->code = cut(&at, ROWS);
}

static size_t task_bytes(const search *s)
{
    const size_t row = ROWS * sizeof(float);
    return PARE_MULTIPLY_SCRATCH + s->rounder_bytes + row * (size_t)(2 * s->cols + 3 * s->group + 2 * s->groups) + 8 * row + ROWS * 16 + 1024;
}

/* C [m][ROWS] = H[first, first + m; from, from + k] A [k][ROWS] */
static void times_h(const task *t, int64_t first, int64_t m, int64_t from, int64_t k, const float *a, float *c)
{
    const int64_t cols = t->s->cols;
    const pare_product p = { .m = m, .n = ROWS, .k = k, .a = t->s->h + first * cols + from, .a_row = cols, .a_col = 1, .b = a, .b_row = ROWS, .b_col = 1, .alpha = 1,
                             .c = c, .c_stride = ROWS };
    pare_multiply_here(t->s->ctx->kernels, &p, t->product);
}

/* Errors of the block's columns with this scale and zero point. */
static void errors_of(const task *t, const float *scale, const float *zero, float *e)
{
    for (int64_t c = 0; c < t->n; c++) {
        const float *w = t->w + (t->c0 + c) * ROWS;
        pare_rounder_round(&t->rounder, t->rows, w, scale, zero, t->code, t->value);
        for (int64_t r = 0; r < t->rows; r++) e[c * ROWS + r] = t->value[r] - w[r];
    }
}

/* cost[r] = sum over the block's columns of e (H_gg e + 2 B) */
static void costs(const task *t, const float *e, double *cost)
{
    times_h(t, t->c0, t->n, t->c0, t->n, e, t->t);
    for (int64_t r = 0; r < ROWS; r++) cost[r] = 0;
    for (int64_t c = 0; c < t->n; c++)
        for (int64_t r = 0; r < ROWS; r++) cost[r] += (double)e[c * ROWS + r] * (double)(t->t[c * ROWS + r] + t->b[c * ROWS + r]);
}

/* Tries the range [low_i * low, high_i * high] in every row, keeps it where it is better. */
static pare_status try_range(task *t, int64_t g, float low_factor, float high_factor, bool first, pare_err *err)
{
    float ends[ROWS][2], scale[ROWS] = { 0 }, zero[ROWS] = { 0 };
    double cost[ROWS];
    for (int64_t r = 0; r < t->rows; r++) {
        ends[r][0] = (first ? t->low[r] : t->best_low[r]) * low_factor;
        ends[r][1] = (first ? t->high[r] : t->best_high[r]) * high_factor;
    }
    const pare_status st = pare_rounder_find(&t->rounder, ends[0], t->rows, 2, 2, NULL, scale, zero, err);
    if (st != PARE_OK) return st;
    errors_of(t, scale, zero, t->try);
    costs(t, t->try, cost);
    for (int64_t r = 0; r < t->rows; r++)
        if (cost[r] < t->cost[r]) {
            t->cost[r] = cost[r];
            t->scale[g * ROWS + r] = scale[r], t->zero[g * ROWS + r] = zero[r];
            t->best_low[r] = ends[r][0], t->best_high[r] = ends[r][1];
        }
    return PARE_OK;
}

static void ends_of(task *t)
{
    memset(t->low, 0, ROWS * sizeof *t->low);
    memset(t->high, 0, ROWS * sizeof *t->high);
    for (int64_t c = 0; c < t->n; c++)
        for (int64_t r = 0; r < t->rows; r++) {
            const float w = t->w[(t->c0 + c) * ROWS + r];
            if (w < t->low[r]) t->low[r] = w;
            if (w > t->high[r]) t->high[r] = w;
        }
}

static void open_block(task *t, int64_t g)
{
    const search *s = t->s;
    t->c0 = g * s->group;
    t->n = s->cols - t->c0 < s->group ? s->cols - t->c0 : s->group;
}

/* 2 B_g: all errors without the block's own. */
static void others(const task *t)
{
    const float *e = t->e + t->c0 * ROWS;
    times_h(t, t->c0, t->n, 0, t->s->cols, t->e, t->b);
    times_h(t, t->c0, t->n, t->c0, t->n, e, t->t);
    for (int64_t i = 0; i < t->n * ROWS; i++) t->b[i] = 2 * (t->b[i] - t->t[i]);
}

static pare_status search_block(task *t, int64_t g, pare_err *err)
{
    pare_status st = PARE_OK;
    open_block(t, g);
    ends_of(t);
    others(t);
    costs(t, t->e + t->c0 * ROWS, t->cost);
    memcpy(t->best_low, t->low, ROWS * sizeof *t->low);
    memcpy(t->best_high, t->high, ROWS * sizeof *t->high);
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        if (t->s->scheme.bits > 4 && both[i] < 0.7f) continue;
        PARE_TRY(try_range(t, g, both[i], both[i], true, err));
    }
    for (size_t i = 0; i < sizeof alone / sizeof *alone && !t->s->scheme.symmetric; i++) PARE_TRY(try_range(t, g, alone[i], 1, false, err));
    for (size_t i = 0; i < sizeof alone / sizeof *alone && !t->s->scheme.symmetric; i++) PARE_TRY(try_range(t, g, 1, alone[i], false, err));
    errors_of(t, t->scale + g * ROWS, t->zero + g * ROWS, t->e + t->c0 * ROWS);
out:
    return st;
}

/* Rounding to nearest, where the search starts. */
static pare_status start_block(task *t, int64_t g, pare_err *err)
{
    float ends[ROWS][2];
    open_block(t, g);
    ends_of(t);
    for (int64_t r = 0; r < t->rows; r++) ends[r][0] = t->low[r], ends[r][1] = t->high[r];
    const pare_status st = pare_rounder_find(&t->rounder, ends[0], t->rows, 2, 2, NULL, t->scale + g * ROWS, t->zero + g * ROWS, err);
    if (st == PARE_OK) errors_of(t, t->scale + g * ROWS, t->zero + g * ROWS, t->e + t->c0 * ROWS);
    return st;
}

static void store_block(task *t, int64_t g, int64_t row0)
{
    const search *s = t->s;
    const float *scale = t->scale + g * ROWS, *zero = t->zero + g * ROWS;
    open_block(t, g);
    for (int64_t r = 0; r < t->rows; r++) {
        const int64_t at = (row0 + r) * s->groups + g;
        s->q->scales[at] = scale[r];
        if (s->q->fzeros) s->q->fzeros[at] = zero[r];
        else if (s->q->zeros && !s->scheme.symmetric) s->q->zeros[at] = (int32_t)zero[r];
    }
    for (int64_t c = t->c0; c < t->c0 + t->n; c++) {
        pare_rounder_round(&t->rounder, t->rows, t->w + c * ROWS, scale, zero, t->code, t->value);
        for (int64_t r = 0; r < t->rows; r++) s->q->codes[(row0 + r) * s->cols + c] = t->code[r];
    }
}

static pare_status some_rows(void *arg, int64_t i, int worker, pare_err *err)
{
    const search *s = arg;
    const int64_t row0 = i * ROWS;
    task t;
    pare_status st = PARE_OK;
    task_init(s, s->scratch + (size_t)worker * s->worker_bytes, &t);
    t.rows = s->rows - row0 < ROWS ? s->rows - row0 : ROWS;
    memset(t.w, 0, (size_t)(s->cols * ROWS) * sizeof *t.w);
    memset(t.e, 0, (size_t)(s->cols * ROWS) * sizeof *t.e);
    memset(t.try, 0, (size_t)(s->group * ROWS) * sizeof *t.try);
    for (int64_t r = 0; r < t.rows; r++)
        for (int64_t c = 0; c < s->cols; c++) t.w[c * ROWS + r] = s->w[(row0 + r) * s->cols + c];
    for (int64_t g = 0; g < s->groups; g++) PARE_TRY(start_block(&t, g, err));
    for (int sweep = 0; sweep < s->sweeps; sweep++)
        for (int64_t g = 0; g < s->groups; g++) PARE_TRY(search_block(&t, g, err));
    for (int64_t g = 0; g < s->groups; g++) store_block(&t, g, row0);
out:
    return st;
}

pare_status pare_clip_search(pare_ctx *ctx, const char *name, const float *w, const float *h, int sweeps, pare_qtensor *q, pare_err *err)
{
    search s = { .ctx = ctx, .w = w, .h = h, .sweeps = sweeps, .q = q, .scheme = q->scheme, .rows = q->grid.shape[0], .cols = q->grid.shape[1] };
    pare_status st;
    s.scheme.clip = PARE_CLIP_NONE;
    s.groups = pare_scheme_groups_per_row(&q->scheme, s.cols);
    s.group = q->grid.block[1];
    s.rounder_bytes = (pare_rounder_scratch(&s.scheme, s.group < 2 ? 2 : s.group) + 127) & ~(size_t)63;
    s.worker_bytes = (task_bytes(&s) + 63) & ~(size_t)63;
    if (q->scheme.two_level) {
        float most = 0;
        ctx->kernels->absmax_groups(w, s.rows * s.cols, s.rows * s.cols, &most);
        q->global_scale = pare_rounder_global(&q->scheme, most);
    }
    if (!(s.scratch = pare_alloc_aligned(64, s.worker_bytes * (size_t)ctx->threads))) return pare_no_memory(err, name, s.worker_bytes * (size_t)ctx->threads);
    st = pare_parallel(ctx, (s.rows + ROWS - 1) / ROWS, some_rows, &s, err);
    pare_dealloc_aligned(s.scratch);
    return st == PARE_OK && q->scheme.nested ? pare_qtensor_nest(q, err) : st;
}
