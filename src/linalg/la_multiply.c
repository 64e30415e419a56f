/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C = alpha A B by blocks of 384 x 384 of C: a task packs 128 rows of B into panels of 16 columns and 128 columns of A into groups of 12 rows, and
 * multiplies all pairs:
 *
 *   for 128 of k:   pack B [12 tiles][2][128][16]     192 KiB \
 *                   pack A [32 groups][128][12]       192 KiB  }  second cache
 *       for tile:   for group: c[12][32] += a b       576 KiB /
 *
 * 384 multiply-adds for two packed numbers: packing is a few hundredths of the time.
 */
#include <string.h>
#include "linalg/linalg.h"

enum {
    BLOCK = PARE_LINALG_BLOCK,
    DEPTH = PARE_LINALG_DEPTH,
    TILES = BLOCK / PARE_GEMM_ROWS,
    GROUPS = BLOCK / PARE_GEMM_TOKENS,
    TILE_C = PARE_GEMM_TOKENS * PARE_GEMM_ROWS,
    TILE_B = 2 * PARE_GEMM_PANEL_WORDS,
    GROUP_A = PARE_GEMM_TOKENS * DEPTH
};

typedef struct space { float *a, *b, *c, *rows; } space;

static space space_of(void *scratch)
{
    space s = { .a = scratch };
    s.b = s.a + BLOCK * DEPTH;
    s.c = s.b + BLOCK * DEPTH;
    s.rows = s.c + BLOCK * BLOCK;
    return s;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* panel[word][16] = B[l0 + word][j ... j + cols - 1], zeros behind. */
static void pack_panel(const pare_kernels *k, const pare_product *p, int64_t l0, int64_t words, int64_t j, int64_t cols, float *rows, float *panel)
{
    const float *b = p->b + l0 * p->b_row + j * p->b_col;
    if (cols <= 0) {
        memset(panel, 0, (size_t)words * PARE_GEMM_PANEL * sizeof(float));
    } else if (p->b_col == 1) {
        for (int64_t l = 0; l < words; l++, panel += PARE_GEMM_PANEL) {
            if (cols >= PARE_GEMM_PANEL) {
                memcpy(panel, b + l * p->b_row, PARE_GEMM_PANEL * sizeof(float));
            } else {
                memset(panel, 0, PARE_GEMM_PANEL * sizeof(float));
                memcpy(panel, b + l * p->b_row, (size_t)cols * sizeof(float));
            }
        }
    } else if (cols >= PARE_GEMM_PANEL) {
        k->gemm_transpose((const uint32_t *)(const void *)b, p->b_col, words, (uint32_t *)(void *)panel);
    } else {
        memset(rows, 0, sizeof(float) * PARE_GEMM_PANEL * DEPTH);
        for (int64_t i = 0; i < cols; i++) memcpy(rows + i * DEPTH, b + i * p->b_col, (size_t)words * sizeof(float));
        k->gemm_transpose((const uint32_t *)(const void *)rows, DEPTH, words, (uint32_t *)(void *)panel);
    }
}

/* out[word][12] = A[i ... i + n - 1][l0 + word]; what lies behind n means nothing, but is there. */
static void pack_group(const pare_kernels *k, const pare_product *p, int64_t l0, int64_t words, int64_t i, int64_t n, float *rows, float *out)
{
    const float *a = p->a + i * p->a_row + l0 * p->a_col;
    if (p->a_row == 1) {
        if (n < PARE_GEMM_TOKENS) memset(out, 0, (size_t)words * PARE_GEMM_TOKENS * sizeof(float));
        for (int64_t l = 0; l < words; l++) {
            if (n >= PARE_GEMM_TOKENS) memcpy(out + l * PARE_GEMM_TOKENS, a + l * p->a_col, PARE_GEMM_TOKENS * sizeof(float));
            else memcpy(out + l * PARE_GEMM_TOKENS, a + l * p->a_col, (size_t)n * sizeof(float));
        }
        return;
    }
    int64_t stride = p->a_row;
    if (n < PARE_GEMM_TOKENS) {
        memset(rows, 0, sizeof(float) * PARE_GEMM_TOKENS * DEPTH);
        for (int64_t r = 0; r < n; r++) memcpy(rows + r * DEPTH, a + r * p->a_row, (size_t)words * sizeof(float));
        a = rows;
        stride = DEPTH;
    }
    k->gemm_interleave((const uint8_t *)a, stride * (int64_t)sizeof(float), words, (uint32_t *)(void *)out);
}

/* C block from the sums: alpha times, added or put. */
static void store_block(const pare_product *p, const space *s, int64_t i0, int64_t rows, int64_t j0, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++) {
        float *to = p->c + (i0 + i) * p->c_stride + j0;
        for (int64_t j = 0; j < cols; j += PARE_GEMM_ROWS) {
            const float *c = s->c + ((i / PARE_GEMM_TOKENS) * TILES + j / PARE_GEMM_ROWS) * TILE_C + (i % PARE_GEMM_TOKENS) * PARE_GEMM_ROWS;
            const int64_t n = least(cols - j, PARE_GEMM_ROWS);
            if (p->add)
                for (int64_t e = 0; e < n; e++) to[j + e] += p->alpha * c[e];
            else
                for (int64_t e = 0; e < n; e++) to[j + e] = p->alpha * c[e];
        }
    }
}

/* One block of C; block numbers along i and j. */
static void block_of(const pare_kernels *k, const pare_product *p, int64_t bi, int64_t bj, void *scratch)
{
    const space s = space_of(scratch);
    const int64_t i0 = bi * BLOCK, j0 = bj * BLOCK, rows = least(p->m - i0, BLOCK), cols = least(p->n - j0, BLOCK);
    const int64_t groups = (rows + PARE_GEMM_TOKENS - 1) / PARE_GEMM_TOKENS, tiles = (cols + PARE_GEMM_ROWS - 1) / PARE_GEMM_ROWS;
    for (int64_t g = 0; g < groups; g++) memset(s.c + g * TILES * TILE_C, 0, (size_t)tiles * TILE_C * sizeof(float));
    for (int64_t l0 = 0; l0 < p->k; l0 += DEPTH) {
        const int64_t words = least(p->k - l0, DEPTH);
        for (int64_t g = 0; g < groups; g++)
            pack_group(k, p, l0, words, i0 + g * PARE_GEMM_TOKENS, rows - g * PARE_GEMM_TOKENS, s.rows, s.a + g * GROUP_A);
        for (int64_t t = 0; t < tiles; t++) {
            for (int64_t h = 0; h < 2; h++) {
                const int64_t j = t * PARE_GEMM_ROWS + h * PARE_GEMM_PANEL;
                pack_panel(k, p, l0, words, j0 + j, cols - j, s.rows, s.b + t * TILE_B + h * PARE_GEMM_PANEL_WORDS);
            }
            pare_gemm_tile tile = { .w = (const uint32_t *)(const void *)(s.b + t * TILE_B), .words = words };
            for (int64_t g = 0; g < groups; g++) {
                tile.x = (const uint32_t *)(const void *)(s.a + g * GROUP_A);
                tile.c = s.c + (g * TILES + t) * TILE_C;
                tile.tokens = (int)least(rows - g * PARE_GEMM_TOKENS, PARE_GEMM_TOKENS);
                k->gemm_tile_f32(&tile);
            }
        }
    }
    store_block(p, &s, i0, rows, j0, cols);
}

static int64_t blocks(int64_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

void pare_multiply_here(const pare_kernels *k, const pare_product *p, void *scratch)
{
    for (int64_t bi = 0; bi < blocks(p->m); bi++)
        for (int64_t bj = p->upper ? bi : 0; bj < blocks(p->n); bj++) block_of(k, p, bi, bj, scratch);
}

typedef struct job { const pare_kernels *k; const pare_product *p; uint8_t *scratch; } job;

static pare_status task(void *arg, int64_t i, int worker, pare_err *err)
{
    (void)err;
    const job *j = arg;
    int64_t bi = 0, bj;
    if (j->p->upper) { /* rows of blocks, each from the diagonal on */
        const int64_t n = blocks(j->p->n);
        while (i >= n - bi) i -= n - bi++;
        bj = bi + i;
    } else {
        bi = i / blocks(j->p->n);
        bj = i % blocks(j->p->n);
    }
    block_of(j->k, j->p, bi, bj, j->scratch + (size_t)worker * PARE_MULTIPLY_SCRATCH);
    return PARE_OK;
}

pare_status pare_multiply(pare_ctx *ctx, const pare_product *p, pare_err *err)
{
    pare_status st = PARE_OK;
    const size_t bytes = PARE_MULTIPLY_SCRATCH * (size_t)pare_ctx_threads(ctx);
    const int64_t n = blocks(p->n), count = p->upper ? n * (n + 1) / 2 : blocks(p->m) * n;
    job j = { .k = ctx->kernels, .p = p, .scratch = pare_alloc_aligned(64, bytes) };
    if (!j.scratch) PARE_TRY(pare_no_memory(err, "blocks of a matrix product", bytes));
    PARE_TRY(pare_parallel(ctx, count, task, &j, err));
out:
    pare_dealloc_aligned(j.scratch);
    return st;
}

pare_status pare_add_xtx(pare_ctx *ctx, int64_t n, int64_t cols, const float *x, int64_t x_stride, float *h, pare_err *err)
{
    const pare_product p = { .m = cols, .n = cols, .k = n, .a = x, .a_row = 1, .a_col = x_stride, .b = x, .b_row = x_stride, .b_col = 1,
                             .alpha = 1, .add = true, .upper = true, .c = h, .c_stride = cols };
    return pare_multiply(ctx, &p, err);
}

pare_status pare_add_xty(pare_ctx *ctx, int64_t n, int64_t cols, int64_t other, const float *x, int64_t x_stride, const float *y, int64_t y_stride,
                         float *g, pare_err *err)
{
    const pare_product p = { .m = cols, .n = other, .k = n, .a = x, .a_row = 1, .a_col = x_stride, .b = y, .b_row = y_stride, .b_col = 1,
                             .alpha = 1, .add = true, .c = g, .c_stride = other };
    return pare_multiply(ctx, &p, err);
}

/* ---------------------------------------------------------------------------------------------------------------- mirror */

enum { MIRROR = 64 }; /* two blocks of 16 KiB */

typedef struct mirror_job { int64_t n; float *h; } mirror_job;

static pare_status mirror_task(void *arg, int64_t b, int worker, pare_err *err)
{
    (void)worker, (void)err;
    const mirror_job *m = arg;
    const int64_t i1 = least((b + 1) * MIRROR, m->n);
    for (int64_t j0 = 0; j0 <= b * MIRROR; j0 += MIRROR)
        for (int64_t i = b * MIRROR; i < i1; i++)
            for (int64_t j = j0; j < least(j0 + MIRROR, i); j++) m->h[i * m->n + j] = m->h[j * m->n + i];
    return PARE_OK;
}

pare_status pare_mirror(pare_ctx *ctx, int64_t n, float *h, pare_err *err)
{
    mirror_job m = { n, h };
    return pare_parallel(ctx, (n + MIRROR - 1) / MIRROR, mirror_task, &m, err);
}
