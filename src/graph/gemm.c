/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A linear layer for many tokens: y[t][r] = sum_c W[r][c] x[t][c]. One parallel region: first tasks that pack 12 tokens each (32 in
 * wide forms, whose tiles are of 32 x 32), then tasks of 128 rows each, which wait until the tokens are packed. A task packs its rows a block of
 * columns at a time and multiplies the block with all tokens:
 *
 *   for block of <= 128 words:  pack 4 tiles w[2][words][16]  (16 KiB each)
 *       for 96 tokens:
 *           for tile, for 12 tokens:  c[12][32] += w x            (x: 6 KiB, streams; c of all tokens: 66 KiB a tile, second cache)
 *
 * Indices are handed out in order, so a task that waits waits for tasks that run. A tile's sums depend on its own token and row only.
 */
#include <sched.h>
#include <string.h>
#include "graph/gemm_plan.h"

enum { MAX_LAYERS = 16, TILES = 4, TASK_ROWS = TILES * PARE_GEMM_ROWS,
       GROUPS = 8,          /* of tokens, for which a tile's weights stay in the first cache; 4 to 48 are alike */
       CALL = 4 };          /* groups in a call of a wide tile op, which costs about half a tile; 1 to 4 are alike in a whole model, 8 slower */

typedef struct layer {
    const pare_linear *l;
    pare_gemm_x *x;
    float *y;
    int64_t y_stride, task0; /* first index of its tasks */
} layer;

typedef struct job {
    const pare_ctx *ctx;
    const pare_kernels *k;
    int64_t n;               /* tokens */
    const float *data;
    int64_t stride;
    int plans, layers;
    pare_gemm_x x[MAX_LAYERS];
    layer layer[MAX_LAYERS + 1];
    uint8_t *scratch;        /* a piece a thread */
    size_t scratch_bytes, w_bytes, c_bytes, any_bytes;
} job;

static size_t up64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* True when all tokens are packed; false when the work was cancelled, for then they may never be. */
static bool wait_packed(const job *j, const pare_gemm_x *x)
{
    for (int turn = 0; atomic_load_explicit(x->done, memory_order_acquire) < x->groups; turn++) {
        if (turn < 64) continue;
        if (pare_check_cancel(j->ctx, NULL) != PARE_OK) return false;
        sched_yield();
    }
    return true;
}

typedef void (*tile_fn)(const pare_gemm_tile *);

static tile_fn tile_of(const pare_kernels *k, pare_gemm_form form)
{
    switch (form) {
    case PARE_GEMM_F32: return k->gemm_tile_f32;
    case PARE_GEMM_BF16: return k->gemm_tile_bf16;
    case PARE_GEMM_I16: return k->gemm_tile_i16;
    default: return k->gemm_tile_u8;
    }
}

static int64_t clip(int64_t v, int64_t most)
{
    return v < 0 ? 0 : v < most ? v : most;
}

/* What a task is at: rows [r0, r0 + rows) of a layer, packed for one block of columns in t[0 ... tiles - 1]. */
typedef struct rows_at {
    const job *j;
    const layer *y;
    int64_t r0, rows;
    int tiles;
    pare_gemm_tile t[TILES];
    float *c;                /* [tile][token group][12 or 32 tokens][32] */
} rows_at;

static int tokens_of(const rows_at *a, int64_t g)
{
    return (int)clip(a->j->n - g * a->y->x->tokens, a->y->x->tokens);
}

/* y of the tokens of group g. */
static void store(const rows_at *a, int64_t g)
{
    const int64_t group = a->y->x->tokens, t0 = g * group, tokens = tokens_of(a, g);
    for (int64_t t = 0; t < tokens; t++) {
        float *to = a->y->y + (t0 + t) * a->y->y_stride + a->r0;
        for (int i = 0; i < a->tiles; i++) {
            const float *c = a->c + ((i * a->y->x->groups + g) * group + t) * PARE_GEMM_ROWS;
            const int64_t left = a->rows - i * PARE_GEMM_ROWS;
            if (left >= PARE_GEMM_ROWS) memcpy(to + i * PARE_GEMM_ROWS, c, PARE_GEMM_ROWS * sizeof(float));
            else memcpy(to + i * PARE_GEMM_ROWS, c, (size_t)left * sizeof(float));
        }
    }
}

/*
 * Asks for what comes next, a little with every tile, so that it arrives while multiplying: weights of the block that follows (of the next rows after
 * the last) and, in the last, the lines of y of this tile.
 */
static void fetch(const rows_at *a, const pare_gemm_block *b, int64_t g, int i)
{
    const pare_gemm_x *x = a->y->x;
    const bool last = b == &x->block[x->blocks - 1];
    const int64_t next_r0 = last ? a->r0 + TASK_ROWS : a->r0, next_rows = clip(a->y->l->w.rows - next_r0, TASK_ROWS);
    const int64_t tokens = tokens_of(a, g), rows = clip(a->rows - i * PARE_GEMM_ROWS, PARE_GEMM_ROWS);
    pare_gemm_w_prefetch(a->y->l, last ? x->block : b + 1, next_r0, (int)next_rows, g * a->tiles + i, x->groups * a->tiles);
    const float *to = a->y->y + g * x->tokens * a->y->y_stride + a->r0 + i * PARE_GEMM_ROWS;
    for (int64_t t = 0; last && t < tokens; t++, to += a->y->y_stride)
        for (int64_t r = 0; r < rows; r += 16) __builtin_prefetch(to + r, 1, 2);
}

/* Tile i of token group g in block b. */
static pare_gemm_tile tile_at(const rows_at *a, const pare_gemm_block *b, int64_t g, int i)
{
    const pare_gemm_x *x = a->y->x;
    const int64_t side = (b->seg0 * x->groups + g * b->segments) * x->tokens;
    pare_gemm_tile t = a->t[i];
    t.tokens = tokens_of(a, g);
    t.x = x->packed + (b->x_word0 * x->groups + g * b->x_words) * x->tokens;
    if (x->integer) t.x_scale = x->scale + side, t.x_sum = x->sum + side;
    t.c = a->c + (i * x->groups + g) * x->tokens * PARE_GEMM_ROWS;
    return t;
}

/*
 * Token groups g0 ... g1 - 1. A wide tile op takes all tiles of a group, whose tokens it holds. Else a tile's weights stay in the first cache for all
 * groups while their tokens come out of the second once for each tile.
 */
static void multiply_groups(const rows_at *a, const pare_gemm_block *b, int64_t g0, int64_t g1)
{
    const pare_kernels *k = a->j->k;
    const pare_gemm_form form = a->y->x->form;
    if (a->y->x->wide) {
        for (int64_t g = g0; g < g1;) {
            pare_gemm_tile t[TILES * CALL];
            int n = 0;
            for (const int64_t end = g + clip(g1 - g, CALL); g < end && (n == 0 || tokens_of(a, g) == t[0].tokens); g++)
                for (int i = 0; i < a->tiles; i++) {
                    t[n++] = tile_at(a, b, g, i);
                    fetch(a, b, g, i);
                }
            (form == PARE_GEMM_WIDE_BF16 ? k->gemm_wide_bf16 : k->gemm_wide_i8)(t, n);
        }
        return;
    }
    const tile_fn tile = tile_of(k, form);
    for (int i = 0; i < a->tiles; i++)
        for (int64_t g = g0; g < g1; g++) {
            const pare_gemm_tile t = tile_at(a, b, g, i);
            fetch(a, b, g, i);
            tile(&t);
        }
}

/* One block of columns with all tokens, some groups at a time. */
static void multiply(const rows_at *a, const pare_gemm_block *b)
{
    const pare_gemm_x *x = a->y->x;
    const bool first = b == x->block, last = b == &x->block[x->blocks - 1];
    if (first) memset(a->c, 0, (size_t)(a->tiles * x->groups * x->tokens * PARE_GEMM_ROWS) * sizeof(float));
    for (int64_t g0 = 0; g0 < x->groups; g0 += GROUPS) {
        const int64_t g1 = g0 + clip(x->groups - g0, GROUPS);
        multiply_groups(a, b, g0, g1);
        for (int64_t g = g0; last && g < g1; g++) store(a, g);
    }
}

static pare_status rows_task(const job *j, const layer *y, int64_t r0, uint8_t *scratch, pare_err *err)
{
    const pare_linear *l = y->l;
    const pare_gemm_x *x = y->x;
    rows_at a = { .j = j, .y = y, .r0 = r0, .rows = clip(l->w.rows - r0, TASK_ROWS), .c = (void *)(scratch + j->w_bytes) };
    pare_gemm_w *w = (void *)scratch;
    float *any = (void *)(scratch + j->w_bytes + j->c_bytes);
    pare_status st = PARE_OK;
    a.tiles = (int)((a.rows + PARE_GEMM_ROWS - 1) / PARE_GEMM_ROWS);
    if (l->w.kind == PARE_W_ANY) PARE_TRY(l->rows(l, r0, a.rows, any, err));
    if (l->w.kind == PARE_W_F8)
        for (int i = 0; i < 256 * TILES; i++) w[i / 256].f8[i % 256] = pare_f8_to_f32(l->w.code_dtype, (uint8_t)i);
    if (!wait_packed(j, x)) PARE_TRY(pare_check_cancel(j->ctx, err));
    for (int64_t b = 0; b < x->blocks; b++) {
        for (int i = 0; i < a.tiles; i++)
            pare_gemm_w_pack(j->k, l, x, &x->block[b], r0 + i * PARE_GEMM_ROWS, (int)clip(a.rows - i * PARE_GEMM_ROWS, PARE_GEMM_ROWS),
                             any + i * PARE_GEMM_ROWS * l->w.cols, &w[i], &a.t[i]);
        multiply(&a, &x->block[b]);
    }
    for (int64_t t = 0; x->blocks == 0 && t < j->n; t++) memset(y->y + t * y->y_stride + r0, 0, (size_t)a.rows * sizeof(float));
out:
    return st;
}

static pare_status task(void *arg, int64_t i, int worker, pare_err *err)
{
    job *j = arg;
    uint8_t *scratch = j->scratch + (size_t)worker * j->scratch_bytes;
    int at = 0;
    if (i < j->layer[0].task0) {
        while (i >= j->x[at].groups) i -= j->x[at++].groups;
        pare_gemm_x_pack(j->k, &j->x[at], j->n, j->data, j->stride, i, scratch);
        atomic_fetch_add_explicit(j->x[at].done, 1, memory_order_release);
        return PARE_OK;
    }
    while (i >= j->layer[at + 1].task0) at++;
    return rows_task(j, &j->layer[at], (i - j->layer[at].task0) * TASK_ROWS, scratch, err);
}

/* Which layers share packed activations, and how large everything is. */
static void plan(job *j, const pare_linear *const *w, int count, pare_compute mode)
{
    size_t x_bytes = 0;
    int64_t slots = 0; /* tokens of all groups, at most */
    for (int i = 0; i < count; i++) {
        pare_gemm_x x;
        int p = 0;
        pare_gemm_x_choose(j->k, w[i], mode, j->n, &x);
        while (p < j->plans && !pare_gemm_x_same(&j->x[p], &x)) p++;
        if (p == j->plans) {
            pare_gemm_x_cut(&x);
            if (x.groups * x.tokens > slots) slots = x.groups * x.tokens;
            j->x[j->plans++] = x;
        }
        j->layer[i].l = w[i];
        j->layer[i].x = &j->x[p];
        if (PARE_GEMM_X_SCRATCH(x.cols) > x_bytes) x_bytes = PARE_GEMM_X_SCRATCH(x.cols);
        const size_t any = w[i]->w.kind == PARE_W_ANY ? (size_t)w[i]->w.cols * TASK_ROWS * 4 : 0;
        if (any > j->any_bytes) j->any_bytes = any;
    }
    j->layers = count;
    j->w_bytes = up64(sizeof(pare_gemm_w) * TILES);
    j->c_bytes = sizeof(float) * (size_t)(slots * TASK_ROWS);
    j->scratch_bytes = j->w_bytes + j->c_bytes + up64(j->any_bytes);
    if (up64(x_bytes) > j->scratch_bytes) j->scratch_bytes = up64(x_bytes);
}

/* At most MAX_LAYERS layers and PARE_GEMM_CHUNK tokens: one parallel region. */
static pare_status gemm(pare_ctx *ctx, const pare_linear *const *w, int count, pare_compute mode, int64_t n, const float *x, int64_t x_stride,
                        float *const *y, const int64_t *y_stride, int64_t t0, pare_workspace *ws, pare_err *err)
{
    pare_status st = PARE_OK;
    job j = { .ctx = ctx, .k = ctx->kernels, .n = n, .data = x + t0 * x_stride, .stride = x_stride };
    plan(&j, w, count, mode);
    size_t bytes = j.scratch_bytes * (size_t)pare_ctx_threads(ctx);
    for (int p = 0; p < j.plans; p++) bytes += pare_gemm_x_bytes(&j.x[p]);
    void *memory;
    PARE_TRY(pare_workspace_need(ws, bytes, &memory, err));
    uint8_t *at = memory;
    j.scratch = at;
    at += j.scratch_bytes * (size_t)pare_ctx_threads(ctx);
    for (int p = 0; p < j.plans; p++) {
        const size_t size = pare_gemm_x_bytes(&j.x[p]);
        pare_gemm_x_place(&j.x[p], at);
        at += size;
    }
    int64_t tasks = 0;
    for (int p = 0; p < j.plans; p++) tasks += j.x[p].groups;
    for (int i = 0; i <= count; i++) {
        j.layer[i].task0 = tasks;
        if (i == count) break;
        j.layer[i].y = y[i] + t0 * y_stride[i];
        j.layer[i].y_stride = y_stride[i];
        tasks += (w[i]->w.rows + TASK_ROWS - 1) / TASK_ROWS;
    }
    PARE_TRY(pare_parallel(ctx, tasks, task, &j, err));
out:
    return st;
}

pare_status pare_linear_gemm(pare_ctx *ctx, const pare_linear *const *w, int count, pare_compute mode, int64_t n, const float *x,
                             int64_t x_stride, float *const *y, const int64_t *y_stride, pare_workspace *ws, pare_err *err)
{
    pare_status st = PARE_OK;
    for (int i = 0; i < count; i++)
        if (w[i]->w.cols > PARE_GEMM_MAX_COLS)
            return pare_fail(err, PARE_ERR_UNSUPPORTED, "a linear layer of %lld columns: at most %lld can be run", (long long)w[i]->w.cols, (long long)PARE_GEMM_MAX_COLS);
    for (int i = 0; i < count; i += MAX_LAYERS)
        for (int64_t t = 0; t < n; t += PARE_GEMM_CHUNK)
            PARE_TRY(gemm(ctx, w + i, count - i < MAX_LAYERS ? count - i : MAX_LAYERS, mode, n - t < PARE_GEMM_CHUNK ? n - t : PARE_GEMM_CHUNK,
                          x, x_stride, y + i, y_stride + i, t, ws, err));
out:
    return st;
}
