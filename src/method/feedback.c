/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounding with error feedback; letters and formula in feedback.h. Rows are independent, so a task takes some of them and keeps everything of theirs
 * transposed, a column after the other in places:
 *
 *   W, E [cols][rows of the task]     a block of 128 columns at a time, the last first:
 *     sum[128] = L[behind, block]^T E[behind]          one product, nearly all of the work
 *     for column j of the block, the last first:
 *       q_j = round(w_j + sum_j / L_jj), e_j = w_j - q_j
 *       sum_i += L_ji e_j for the columns i < j of the same 32
 *     after 32 columns: their part of sum_i, for all i of the block before them, as a product
 *
 * A sweep is the same loop with H in the place of L and sums over all columns: q_j = round(q_j + (E H)_j / H_jj).
 */
#include <math.h>
#include <string.h>
#include "method/feedback.h"

enum { BLOCK = PARE_LINALG_DEPTH, PART = 32 /* columns */, MOST_ROWS = PARE_LINALG_BLOCK, LINE = 16 /* floats of a cache line */ };

typedef struct job {
    pare_ctx *ctx;
    const pare_curvature *h;
    const pare_feedback *how;
    const float *w;
    pare_qtensor *q;
    pare_rounder rounder;      /* without scratch */
    int64_t rows, cols, group, groups;
    int64_t width;             /* columns of a block */
    int64_t cut;               /* rows of a task */
    bool packed;               /* errors of a block are kept as products by pieces want them */
    uint8_t *scratch;          /* a piece a thread */
    size_t scratch_bytes, rounder_bytes;
} job;

/* The rows of a task. */
typedef struct task {
    const job *j;
    int64_t row0, rows;        /* rows <= stride */
    int64_t stride;            /* of everything transposed */
    float *w, *e;              /* [cols][stride] */
    float *scale, *zero;       /* [groups][stride] */
    float *sum;                /* [width][stride] */
    float *moved;              /* [PART][stride] */
    float *x, *value;          /* [stride] */
    float *around;             /* [width, width]: H of a block, both triangles; or of a group */
    float *block;              /* [stride][width]: a group's weights, rows again */
    uint8_t *code;             /* [cols][stride] */
    uint8_t *fresh;            /* [stride] */
    uint32_t *packed;          /* [blocks, the last columns first] e */
    void *multiply, *rounder;
} task;

static size_t up64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---------------------------------------------------------------------------------------------------------- memory of a task */

/* Places all arrays from `at`, or only counts (at NULL). */
static size_t place_all(const job *j, uint8_t *at, task *t)
{
    const size_t stride = (size_t)j->cut, cols = (size_t)j->cols, width = (size_t)j->width, groups = (size_t)j->groups;
    const size_t packed = j->packed ? (cols + width - 1) / width * pare_packed_words(j->width, j->cut) * sizeof(uint32_t) : 0;
    const size_t bytes[] = { cols * stride * 4, cols * stride * 4, groups * stride * 4, groups * stride * 4, width * stride * 4, PART * stride * 4, stride * 4, stride * 4,
                             width * width * 4, stride * width * 4, cols * stride, stride, packed, PARE_MULTIPLY_SCRATCH, j->rounder_bytes };
    void **to[] = { (void **)&t->w, (void **)&t->e, (void **)&t->scale, (void **)&t->zero, (void **)&t->sum, (void **)&t->moved, (void **)&t->x, (void **)&t->value,
                    (void **)&t->around, (void **)&t->block, (void **)&t->code, (void **)&t->fresh, (void **)&t->packed, &t->multiply, &t->rounder };
    size_t sum = 0;
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        if (at) *to[i] = at + sum;
        sum += up64(bytes[i]);
    }
    return sum;
}

/* Group of a place. */
static int64_t group_of(const job *j, int64_t p)
{
    return (j->how->ordered_groups ? j->cols - 1 - p : j->h->column[p]) / j->group;
}

static void load(task *t)
{
    const job *j = t->j;
    const pare_qtensor *q = j->q;
    if (t->rows < t->stride) memset(t->w, 0, (size_t)(j->cols * t->stride) * sizeof *t->w);
    for (int64_t r0 = 0; r0 < t->rows; r0 += LINE) /* some rows at a time, so that the lines that are written stay near */
        for (int64_t p = 0; p < j->cols; p++) {
            const float *from = j->w + (t->row0 + r0) * j->cols + j->h->column[p];
            for (int64_t r = 0; r < least(LINE, t->rows - r0); r++) t->w[p * t->stride + r0 + r] = from[r * j->cols];
        }
    for (int64_t g = 0; g < j->groups; g++)
        for (int64_t r = 0; r < t->stride; r++) {
            const int64_t at = (t->row0 + (r < t->rows ? r : 0)) * j->groups + g;
            t->scale[g * t->stride + r] = q->scales[at];
            t->zero[g * t->stride + r] = q->fzeros ? q->fzeros[at] : q->zeros ? (float)q->zeros[at] : 0;
        }
}

static void put_parameters(const job *j, int64_t row0, int64_t rows, int64_t g, const float *scale, const float *zero)
{
    for (int64_t r = 0; r < rows; r++) {
        const int64_t at = (row0 + r) * j->groups + g;
        j->q->scales[at] = scale[r];
        if (j->q->fzeros) j->q->fzeros[at] = zero[r];
        else if (j->q->zeros) j->q->zeros[at] = (int32_t)zero[r];
    }
}

static void store(const task *t)
{
    const job *j = t->j;
    for (int64_t r = 0; r < t->rows; r++) {
        uint8_t *to = j->q->codes + (t->row0 + r) * j->cols;
        for (int64_t p = 0; p < j->cols; p++) to[j->h->column[p]] = t->code[p * t->stride + r];
    }
    if (!j->how->ordered_groups) return;
    for (int64_t g = 0; g < j->groups; g++) put_parameters(j, t->row0, t->rows, g, t->scale + g * t->stride, t->zero + g * t->stride);
}

/* ---------------------------------------------------------------------------------------------------------------- feedback */

/*
 * Scales of the group at places [p0, p1), whose sums are complete but for the group itself: found from the weights at which the loss is least
 * given all errors so far, e_G L_GG = -sum_G, w_G - e_G.
 */
static pare_status find_group(task *t, int64_t p0, int64_t p1, const float *sum, pare_err *err)
{
    const job *j = t->j;
    const int64_t n = p1 - p0, g = group_of(j, p1 - 1), cols = j->cols, stride = t->stride;
    float *e = t->around; /* [n], of one row */
    float *cost = e + n;
    const pare_rounder r = { j->rounder.k, j->rounder.scheme, j->rounder.global, t->rounder };
    for (int64_t i = 0; i < n; i++) { /* in the order of rounding, as columns would lie */
        const int32_t column = j->h->column[p1 - 1 - i];
        cost[i] = j->h->cost[column];
    }
    for (int64_t row = 0; row < t->rows; row++)
        for (int64_t i = n - 1; i >= 0; i--) {
            double s = sum[i * stride + row];
            for (int64_t l = i + 1; l < n; l++) s += (double)e[l] * j->h->square[(p0 + l) * cols + p0 + i];
            e[i] = (float)(-s / j->h->square[(p0 + i) * cols + p0 + i]);
            t->block[row * n + n - 1 - i] = t->w[(p0 + i) * stride + row] - e[i];
        }
    pare_status st = pare_rounder_find(&r, t->block, t->rows, n, n, cost, t->scale + g * stride, t->zero + g * stride, err);
    for (int64_t row = t->rows; row < stride; row++) t->scale[g * stride + row] = 1, t->zero[g * stride + row] = 0;
    return st;
}

static void round_place(task *t, int64_t p, uint8_t *code)
{
    const job *j = t->j;
    const int64_t g = group_of(j, p);
    const pare_rounder r = { j->rounder.k, j->rounder.scheme, j->rounder.global, t->rounder };
    pare_rounder_round(&r, t->stride, t->x, t->scale + g * t->stride, t->zero + g * t->stride, code, t->value);
}

/* sum [m][stride] += A [m][c1 - c0] e of the columns of a block */
static pare_product block_product(const task *t, int64_t m, int64_t c0, int64_t c1)
{
    return (pare_product){ .m = m, .n = t->stride, .k = c1 - c0, .b = t->e + c0 * t->stride, .b_row = t->stride, .b_col = 1, .alpha = 1, .add = true, .split = true,
                           .c = t->sum, .c_stride = t->stride };
}

static uint32_t *packed_at(const task *t, int64_t c1)
{
    const job *j = t->j;
    return t->packed + (j->cols - c1) / j->width * (int64_t)pare_packed_words(j->width, j->cut);
}

static void pack_block(const task *t, int64_t c0, int64_t c1)
{
    const pare_kernels *k = t->j->ctx->kernels;
    const pare_product p = block_product(t, 0, c0, c1);
    if (t->j->packed && pare_is_split(k, &p)) pare_pack_columns(k, &p, packed_at(t, c1));
}

static void add_block(const task *t, int64_t m, int64_t c0, int64_t c1, const float *a, int64_t a_row, int64_t a_col)
{
    const pare_kernels *k = t->j->ctx->kernels;
    pare_product p = block_product(t, m, c0, c1);
    p.a = a, p.a_row = a_row, p.a_col = a_col;
    if (t->j->packed && pare_is_split(k, &p)) p.b_packed = packed_at(t, c1);
    pare_multiply_here(k, &p, t->multiply);
}

/* Where the part of a block begins that ends before s1. */
static int64_t part_before(int64_t p0, int64_t s1, int64_t part)
{
    return s1 - part > p0 ? s1 - part : p0;
}

/* sum[columns before s0] += (rows s0 ... s1 - 1 of a matrix, from the block's first column on)^T times e [s1 - s0][stride]. */
static void add_part(task *t, int64_t p0, int64_t s0, int64_t s1, const float *m, int64_t m_stride, const float *e)
{
    const pare_product p = { .m = s0 - p0, .n = t->stride, .k = s1 - s0, .a = m, .a_row = 1, .a_col = m_stride, .b = e, .b_row = t->stride, .b_col = 1, .alpha = 1,
                             .add = true, .split = true, .c = t->sum, .c_stride = t->stride };
    if (p.m > 0) pare_multiply_here(t->j->ctx->kernels, &p, t->multiply);
}

static pare_status feed_block(task *t, int64_t p0, int64_t p1, pare_err *err)
{
    const job *j = t->j;
    const pare_kernels *k = j->ctx->kernels;
    const float *l = j->h->square;
    const int64_t cols = j->cols, stride = t->stride;
    /* a group whose scales are found on the way wants all that lies behind it */
    const int64_t part = j->how->ordered_groups && j->group % PART && PART % j->group ? j->width : PART;
    pare_status st = PARE_OK;
    memset(t->sum, 0, (size_t)((p1 - p0) * stride) * sizeof(float));
    for (int64_t c1 = cols; c1 > p1; c1 -= j->width) { /* all blocks behind this one are whole */
        const int64_t c0 = c1 - j->width;
        add_block(t, p1 - p0, c0, c1, l + c0 * cols + p0, 1, cols);
    }
    for (int64_t i = p1 - 1, s1 = p1; i >= p0; i--) {
        const int64_t s0 = part_before(p0, s1, part);
        const float *w = t->w + i * stride, *sum = t->sum + (i - p0) * stride;
        float *e = t->e + i * stride;
        if (j->how->ordered_groups && (cols - 1 - i) % j->group == 0) {
            const int64_t first = i + 1 - j->group > 0 ? i + 1 - j->group : 0;
            PARE_TRY(find_group(t, first, i + 1, t->sum + (first - p0) * stride, err));
        }
        const float d = l[i * cols + i];
        for (int64_t r = 0; r < stride; r++) t->x[r] = w[r] + sum[r] / d;
        round_place(t, i, t->code + i * stride);
        for (int64_t r = 0; r < stride; r++) e[r] = w[r] - t->value[r];
        k->add_outer(t->sum + (s0 - p0) * stride, stride, i - s0, l + i * cols + s0, e, stride);
        if (i > s0) continue;
        add_part(t, p0, s0, s1, l + s0 * cols + p0, cols, e);
        s1 = s0;
    }
    pack_block(t, p0, p1);
out:
    return st;
}

/* ------------------------------------------------------------------------------------------------------------------ sweeps */

/* sum[block] = (E H)[block]: what lies behind the block, before it, and in it. */
static void full_sums(task *t, int64_t p0, int64_t p1)
{
    const job *j = t->j;
    const float *h = j->h->square;
    const int64_t cols = j->cols, stride = t->stride, n = p1 - p0;
    float *in = t->around;
    for (int64_t i = 0; i < n; i++) {
        in[i * n + i] = j->h->diag[p0 + i];
        for (int64_t l = i + 1; l < n; l++) in[i * n + l] = in[l * n + i] = h[(p0 + i) * cols + p0 + l];
    }
    memset(t->sum, 0, (size_t)(n * stride) * sizeof(float));
    for (int64_t c1 = cols; c1 > 0; c1 -= least(c1, j->width)) {
        const int64_t c0 = c1 > j->width ? c1 - j->width : 0;
        if (c1 == p1) add_block(t, n, c0, c1, in, n, 1);
        else if (c0 >= p1) add_block(t, n, c0, c1, h + p0 * cols + c0, cols, 1);
        else add_block(t, n, c0, c1, h + c0 * cols + p0, 1, cols);
    }
}

static void sweep_block(task *t, int64_t p0, int64_t p1, int64_t *changed)
{
    const job *j = t->j;
    const int64_t stride = t->stride, n = p1 - p0;
    bool any = false; /* of the part at hand */
    const int64_t before = *changed;
    full_sums(t, p0, p1);
    for (int64_t i = p1 - 1, s1 = p1; i >= p0; i--) {
        const int64_t s0 = part_before(p0, s1, PART);
        float *change = t->moved + (i - s0) * stride;
        float *e = t->e + i * stride, *sum = t->sum + (i - p0) * stride;
        const float *w = t->w + i * stride;
        uint8_t *code = t->code + i * stride;
        const float d = j->h->diag[i];
        int64_t moved = 0;
        for (int64_t r = 0; r < stride; r++) t->x[r] = w[r] - e[r] + sum[r] / d;
        round_place(t, i, t->fresh);
        for (int64_t r = 0; r < stride; r++) {
            const bool same = t->fresh[r] == code[r];
            const float now = same ? e[r] : w[r] - t->value[r];
            moved += !same;
            change[r] = now - e[r];
            e[r] = now;
            code[r] = t->fresh[r];
        }
        if (moved) j->ctx->kernels->add_outer(t->sum + (s0 - p0) * stride, stride, i - s0, t->around + (i - p0) * n + s0 - p0, change, stride);
        *changed += moved;
        any = any || moved;
        if (i > s0) continue;
        if (any) add_part(t, p0, s0, s1, t->around + (s0 - p0) * n, n, t->moved);
        s1 = s0;
        any = false;
    }
    if (*changed > before) pack_block(t, p0, p1);
}

/* ------------------------------------------------------------------------------------------------------------------- tasks */

static pare_status round_rows(void *arg, int64_t index, int worker, pare_err *err)
{
    const job *j = arg;
    pare_status st = PARE_OK;
    task t = { .j = j, .row0 = index * j->cut, .stride = j->cut };
    t.rows = least(j->cut, j->rows - t.row0);
    (void)place_all(j, j->scratch + (size_t)worker * j->scratch_bytes, &t);
    load(&t);
    for (int64_t p1 = j->cols; p1 > 0; p1 -= least(p1, j->width)) {
        PARE_TRY(pare_check_cancel(j->ctx, err));
        PARE_TRY(feed_block(&t, p1 > j->width ? p1 - j->width : 0, p1, err));
    }
    for (int s = 0; s < j->how->sweeps; s++) {
        int64_t changed = 0;
        for (int64_t p1 = j->cols; p1 > 0; p1 -= least(p1, j->width)) {
            PARE_TRY(pare_check_cancel(j->ctx, err));
            sweep_block(&t, p1 > j->width ? p1 - j->width : 0, p1, &changed);
        }
        if (changed == 0) break;
    }
    store(&t);
out:
    return st;
}

/* Scales of groups of columns, from W. */
static pare_status find_rows(void *arg, int64_t index, int worker, pare_err *err)
{
    const job *j = arg;
    const int64_t row0 = index * j->cut, rows = least(j->cut, j->rows - row0);
    task t = { .j = j, .row0 = row0, .rows = rows, .stride = j->cut };
    (void)place_all(j, j->scratch + (size_t)worker * j->scratch_bytes, &t);
    const pare_rounder r = { j->rounder.k, j->rounder.scheme, j->rounder.global, t.rounder };
    for (int64_t g = 0; g < j->groups; g++) {
        const int64_t c0 = g * j->group;
        const pare_status st = pare_rounder_find(&r, j->w + row0 * j->cols + c0, rows, j->cols, least(j->group, j->cols - c0), j->h->cost + c0, t.x, t.value, err);
        if (st != PARE_OK) return st;
        put_parameters(j, row0, rows, g, t.x, t.value);
    }
    return PARE_OK;
}

static float largest(const float *w, int64_t n)
{
    float top = 0;
    for (int64_t i = 0; i < n; i++)
        if (fabsf(w[i]) > top) top = fabsf(w[i]);
    return top;
}

/* A whole number of groups, where groups are found on the way; rows so that there are several tasks, whatever the number of threads. */
static void cut(job *j)
{
    const pare_scheme *s = &j->q->scheme;
    j->group = s->granularity == PARE_PER_GROUP && s->group_size < j->cols ? s->group_size : j->cols;
    j->groups = pare_scheme_groups_per_row(s, j->cols);
    j->width = BLOCK;
    if (j->how->ordered_groups && j->groups > 1) j->width = j->group >= BLOCK ? j->group : BLOCK / j->group * j->group;
    if (j->width > j->cols) j->width = j->cols;
    j->packed = j->width <= PARE_LINALG_SPLIT_DEPTH && j->ctx->kernels->gemm_form(32) == PARE_GEMM_SPLIT;
    j->cut = (j->rows + 3) / 4 < MOST_ROWS ? ((j->rows + 3) / 4 + 31) / 32 * 32 : MOST_ROWS;
}

pare_status pare_feedback_round(pare_ctx *ctx, const char *name, const pare_curvature *h, const pare_feedback *how, const float *w, pare_qtensor *q, pare_err *err)
{
    pare_status st = PARE_OK;
    job j = { .ctx = ctx, .h = h, .how = how, .w = w, .q = q, .rows = q->grid.shape[0], .cols = h->n };
    pare_feedback static_groups = *how;
    if (j.rows == 0 || j.cols == 0) return PARE_OK;
    cut(&j);
    if (j.groups == 1) static_groups.ordered_groups = false, j.how = &static_groups; /* the same, and simpler */
    if (q->scheme.two_level) q->global_scale = pare_rounder_global(&q->scheme, largest(w, j.rows * j.cols));
    j.rounder = (pare_rounder){ .k = ctx->kernels, .scheme = &q->scheme, .global = q->scheme.two_level ? q->global_scale : 1 };
    j.rounder_bytes = pare_rounder_scratch(&q->scheme, j.group);
    task t;
    j.scratch_bytes = place_all(&j, NULL, &t);
    const size_t bytes = j.scratch_bytes * (size_t)pare_ctx_threads(ctx);
    const int64_t tasks = (j.rows + j.cut - 1) / j.cut;
    j.scratch = pare_alloc_aligned(64, bytes);
    if (!j.scratch) PARE_TRY(pare_no_memory(err, name, bytes));
    if (!j.how->ordered_groups) {
        PARE_TRY(pare_parallel(ctx, tasks, find_rows, &j, err));
        if (q->scheme.nested) PARE_TRY(pare_qtensor_nest(q, err));
    }
    PARE_TRY(pare_parallel(ctx, tasks, round_rows, &j, err));
    bool in_order = true; /* places are columns from the last to the first: groups are where they always are */
    for (int64_t p = 0; p < j.cols; p++) in_order = in_order && h->column[p] == j.cols - 1 - p;
    if (j.how->ordered_groups && !in_order) {
        PARE_TRY(pare_alloc_try((size_t)j.cols * sizeof *q->g_idx, name, (void **)&q->g_idx, err));
        for (int64_t p = 0; p < j.cols; p++) q->g_idx[h->column[p]] = (int32_t)group_of(&j, p);
    }
out:
    pare_dealloc_aligned(j.scratch);
    return st;
}

/* -------------------------------------------------------------------------------------------------------------------- loss */

typedef struct loss_job {
    pare_ctx *ctx;
    const pare_curvature *h;
    const float *w;
    const pare_qtensor *q;
    int64_t rows, cut;
    double (*sums)[2];   /* of a task: of W - Q, of W */
    uint8_t *scratch;
    size_t scratch_bytes;
} loss_job;

/* |X L|^2 - sum of x_j^2 times what was added to H_jj; X [rows, cols] in places. */
static double energy(const loss_job *j, int64_t rows, const float *x, float *product, void *multiply)
{
    const int64_t n = j->h->n;
    float *triangle = product + j->cut * BLOCK;
    double sum = 0;
    for (int64_t c0 = 0; c0 < n; c0 += BLOCK) {
        const int64_t width = least(n - c0, BLOCK), behind = n - c0 - width;
        pare_product p = { .m = rows, .n = width, .k = behind, .a = x + c0 + width, .a_row = n, .a_col = 1, .b = j->h->square + (c0 + width) * n + c0, .b_row = n,
                           .b_col = 1, .alpha = 1, .split = true, .c = product, .c_stride = BLOCK };
        if (behind > 0) pare_multiply_here(j->ctx->kernels, &p, multiply);
        for (int64_t l = 0; l < width; l++)
            for (int64_t i = 0; i < width; i++) triangle[l * BLOCK + i] = i <= l ? j->h->square[(c0 + l) * n + c0 + i] : 0;
        p.add = behind > 0, p.k = width, p.a = x + c0, p.b = triangle, p.b_row = BLOCK;
        pare_multiply_here(j->ctx->kernels, &p, multiply);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < width; i++) {
                const double y = product[r * BLOCK + i], v = x[r * n + c0 + i];
                sum += y * y - v * v * j->h->added[c0 + i];
            }
    }
    return sum;
}

static pare_status loss_rows(void *arg, int64_t index, int worker, pare_err *err)
{
    const loss_job *j = arg;
    pare_status st = PARE_OK;
    const int64_t n = j->h->n, row0 = index * j->cut, rows = least(j->cut, j->rows - row0);
    float *x = (void *)(j->scratch + (size_t)worker * j->scratch_bytes), *y = x + j->cut * n, *product = y + j->cut * n;
    void *multiply = product + up64((size_t)((j->cut + BLOCK) * BLOCK));
    const float *w = j->w + row0 * n;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t p = 0; p < n; p++) x[r * n + p] = w[r * n + j->h->column[p]];
    j->sums[index][1] = energy(j, rows, x, product, multiply);
    PARE_TRY(pare_qtensor_dequant_rows(j->ctx->kernels, j->q, row0, rows, y, err));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t p = 0; p < n; p++) x[r * n + p] -= y[r * n + j->h->column[p]];
    j->sums[index][0] = energy(j, rows, x, product, multiply);
out:
    return st;
}

pare_status pare_feedback_loss(pare_ctx *ctx, const pare_curvature *h, const float *w, const pare_qtensor *q, double *loss, pare_err *err)
{
    pare_status st = PARE_OK;
    loss_job j = { .ctx = ctx, .h = h, .w = w, .q = q, .rows = q->grid.shape[0] };
    j.cut = j.rows < 4 * 192 ? 48 : 192; /* multiples of 12; by the shape alone */
    const int64_t tasks = (j.rows + j.cut - 1) / j.cut;
    j.scratch_bytes = up64((size_t)(2 * j.cut * h->n) * sizeof(float) + up64((size_t)((j.cut + BLOCK) * BLOCK)) * sizeof(float)) + PARE_MULTIPLY_SCRATCH;
    const size_t bytes = j.scratch_bytes * (size_t)pare_ctx_threads(ctx);
    double sum[2] = { 0, 0 };
    *loss = 0;
    j.sums = pare_alloc_zero((size_t)(tasks ? tasks : 1), sizeof *j.sums);
    j.scratch = pare_alloc_aligned(64, bytes);
    if (!j.sums || !j.scratch) PARE_TRY(pare_no_memory(err, "the loss of a layer", bytes));
    PARE_TRY(pare_parallel(ctx, tasks, loss_rows, &j, err));
    for (int64_t i = 0; i < tasks; i++) sum[0] += j.sums[i][0], sum[1] += j.sums[i][1];
    if (sum[1] > 0) *loss = sum[0] > 0 ? sum[0] / sum[1] : 0;
out:
    pare_dealloc_aligned(j.scratch);
    pare_dealloc(j.sums);
    return st;
}
