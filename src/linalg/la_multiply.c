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
    GROUP_A = PARE_GEMM_TOKENS * DEPTH,
    SPLIT_DEPTH = PARE_LINALG_SPLIT_DEPTH,
    SPLIT_BLOCK = BLOCK * SPLIT_DEPTH, /* words of a packed block */
    SPLIT_AHEAD = 4                    /* depths that are packed before they are multiplied */
};
_Static_assert(sizeof(uint32_t) * 2 * SPLIT_BLOCK <= PARE_MULTIPLY_SCRATCH, "both packed blocks fit");
_Static_assert(BLOCK % (2 * PARE_SPLIT_ITEMS) == 0, "an even number of tiles");

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
    const float *b = p->b_bf16 ? NULL : p->b + l0 * p->b_row + j * p->b_col;
    if (cols <= 0) {
        memset(panel, 0, (size_t)words * PARE_GEMM_PANEL * sizeof(float));
    } else if (p->b_bf16) {
        memset(rows, 0, sizeof(float) * PARE_GEMM_PANEL * DEPTH);
        for (int64_t i = 0; i < cols && i < PARE_GEMM_PANEL; i++) k->bf16_to_f32(rows + i * DEPTH, p->b_bf16 + (j + i) * p->b_col + l0, words);
        k->gemm_transpose((const uint32_t *)rows, DEPTH, words, (uint32_t *)(void *)panel);
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

/* ------------------------------------------------------------------------------------------------------------- by bf16 pieces */

bool pare_is_split(const pare_kernels *k, const pare_product *p)
{
    return p->split && p->k >= PARE_SPLIT_DEPTH && k->gemm_form(32) == PARE_GEMM_SPLIT;
}

/* B of 16 columns from bf16 */
static void pack_half(const pare_kernels *k, const pare_product *p, int64_t j, int64_t l0, int64_t items, int64_t depth, uint32_t *out)
{
    float rows[PARE_SPLIT_ITEMS * SPLIT_DEPTH];
    for (int64_t i = 0; i < items; i++) k->bf16_to_f32(rows + i * SPLIT_DEPTH, p->b_bf16 + (j + i) * p->b_col + l0, depth);
    k->split_pack(rows, SPLIT_DEPTH, 1, items, depth, true, out);
}

/* Columns [j0, j0 + cols) of B, or rows of A, in a depth from l0 on: tile after tile. */
static void split_pack_b(const pare_kernels *k, const pare_product *p, int64_t j0, int64_t cols, int64_t l0, int64_t depth, uint32_t *b)
{
    const int64_t tiles = (cols + 31) / 32 * 2, panel = (depth + 31) / 32 * 2 * PARE_SPLIT_TILE;
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t j = t * PARE_SPLIT_ITEMS, items = least(cols - j, PARE_SPLIT_ITEMS) > 0 ? least(cols - j, PARE_SPLIT_ITEMS) : 0;
        if (p->b_bf16) pack_half(k, p, j0 + j, l0, items, depth, b + t * panel);
        else k->split_pack(p->b + l0 * p->b_row + (j0 + (items ? j : 0)) * p->b_col, p->b_col, p->b_row, items, depth, true, b + t * panel);
    }
}

static void split_pack_a(const pare_kernels *k, const pare_product *p, int64_t i0, int64_t rows, int64_t l0, int64_t depth, uint32_t *a)
{
    const int64_t tiles = (rows + 31) / 32 * 2, panel = (depth + 31) / 32 * 2 * PARE_SPLIT_TILE;
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t i = t * PARE_SPLIT_ITEMS, items = least(rows - i, PARE_SPLIT_ITEMS) > 0 ? least(rows - i, PARE_SPLIT_ITEMS) : 0;
        k->split_pack(p->a + (i0 + (items ? i : 0)) * p->a_row + l0 * p->a_col, p->a_row, p->a_col, items, depth, false, a + t * panel);
    }
}

/* Adds what a depth gives to a block of C. */
static void split_add(const pare_kernels *k, const pare_product *p, int64_t bi, int64_t bj, int64_t l0, const uint32_t *a, const uint32_t *b)
{
    const int64_t i0 = bi * BLOCK, j0 = bj * BLOCK;
    const pare_split_block s = { .a = a, .b = b, .rows = least(p->m - i0, BLOCK), .cols = least(p->n - j0, BLOCK), .depth = least(p->k - l0, SPLIT_DEPTH),
                                 .alpha = p->alpha, .add = p->add || l0 > 0, .c = p->c + i0 * p->c_stride + j0, .c_stride = p->c_stride };
    k->split_multiply(&s);
}

static void split_block_of(const pare_kernels *k, const pare_product *p, int64_t bi, int64_t bj, void *scratch)
{
    uint32_t *a = scratch, *b = a + SPLIT_BLOCK;
    for (int64_t l0 = 0; l0 < p->k; l0 += SPLIT_DEPTH) {
        const int64_t depth = least(p->k - l0, SPLIT_DEPTH);
        split_pack_a(k, p, bi * BLOCK, least(p->m - bi * BLOCK, BLOCK), l0, depth, a);
        if (!p->b_packed) split_pack_b(k, p, bj * BLOCK, least(p->n - bj * BLOCK, BLOCK), l0, depth, b);
        split_add(k, p, bi, bj, l0, a, p->b_packed ? p->b_packed : b);
    }
}

size_t pare_packed_words(int64_t k, int64_t n)
{
    return (size_t)((k + 31) / 32 * 32 * ((n + 31) / 32 * 32));
}

void pare_pack_columns(const pare_kernels *k, const pare_product *p, uint32_t *packed)
{
    split_pack_b(k, p, 0, p->n, 0, p->k, packed);
}

/* ------------------------------------------------------------------------------------------------------------------------- all */

/* One block of C; block numbers along i and j. */
static void block_of(const pare_kernels *k, const pare_product *p, int64_t bi, int64_t bj, void *scratch)
{
    if (pare_is_split(k, p)) {
        split_block_of(k, p, bi, bj, scratch);
        return;
    }
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

typedef struct job {
    const pare_kernels *k;
    const pare_product *p;
    uint8_t *scratch;          /* a piece a thread */
    uint32_t *a, *b;           /* split: packed blocks [block of rows, columns][SPLIT_AHEAD][SPLIT_BLOCK], of depths from l0 on */
    int64_t l0;
} job;

static void block_at(const pare_product *p, int64_t i, int64_t *bi, int64_t *bj)
{
    const int64_t n = blocks(p->n);
    *bi = 0;
    if (p->upper) { /* rows of blocks, each from the diagonal on */
        while (i >= n - *bi) i -= n - (*bi)++;
        *bj = *bi + i;
    } else {
        *bi = i / n;
        *bj = i % n;
    }
}

static pare_status task(void *arg, int64_t i, int worker, pare_err *err)
{
    (void)err;
    const job *j = arg;
    int64_t bi, bj;
    block_at(j->p, i, &bi, &bj);
    block_of(j->k, j->p, bi, bj, j->scratch + (size_t)worker * PARE_MULTIPLY_SCRATCH);
    return PARE_OK;
}

/* First all of A and B, some depths of it, is packed, then it is multiplied: a number is packed once. */
static pare_status split_pack_task(void *arg, int64_t i, int worker, pare_err *err)
{
    (void)worker, (void)err;
    const job *j = arg;
    const pare_product *p = j->p;
    const int64_t ahead = i % SPLIT_AHEAD, l0 = j->l0 + ahead * SPLIT_DEPTH, block = i / SPLIT_AHEAD, of_a = blocks(p->m);
    const int64_t depth = least(p->k - l0, SPLIT_DEPTH);
    if (depth <= 0) return PARE_OK;
    if (block < of_a) split_pack_a(j->k, p, block * BLOCK, least(p->m - block * BLOCK, BLOCK), l0, depth, j->a + (block * SPLIT_AHEAD + ahead) * SPLIT_BLOCK);
    else split_pack_b(j->k, p, (block - of_a) * BLOCK, least(p->n - (block - of_a) * BLOCK, BLOCK), l0, depth, j->b + ((block - of_a) * SPLIT_AHEAD + ahead) * SPLIT_BLOCK);
    return PARE_OK;
}

static pare_status split_task(void *arg, int64_t i, int worker, pare_err *err)
{
    (void)worker, (void)err;
    const job *j = arg;
    int64_t bi, bj;
    block_at(j->p, i, &bi, &bj);
    for (int64_t ahead = 0; ahead < SPLIT_AHEAD && j->l0 + ahead * SPLIT_DEPTH < j->p->k; ahead++)
        split_add(j->k, j->p, bi, bj, j->l0 + ahead * SPLIT_DEPTH, j->a + (bi * SPLIT_AHEAD + ahead) * SPLIT_BLOCK, j->b + (bj * SPLIT_AHEAD + ahead) * SPLIT_BLOCK);
    return PARE_OK;
}

static pare_status split_all(pare_ctx *ctx, const pare_product *p, int64_t count, pare_err *err)
{
    pare_status st = PARE_OK;
    const int64_t packed = blocks(p->m) + blocks(p->n);
    const size_t bytes = (size_t)packed * SPLIT_AHEAD * SPLIT_BLOCK * sizeof(uint32_t);
    job j = { .k = ctx->kernels, .p = p, .a = pare_alloc_aligned(64, bytes) };
    if (!j.a) PARE_TRY(pare_no_memory(err, "a matrix product", bytes));
    j.b = j.a + blocks(p->m) * SPLIT_AHEAD * SPLIT_BLOCK;
    for (; j.l0 < p->k; j.l0 += SPLIT_AHEAD * SPLIT_DEPTH) {
        PARE_TRY(pare_parallel(ctx, packed * SPLIT_AHEAD, split_pack_task, &j, err));
        PARE_TRY(pare_parallel(ctx, count, split_task, &j, err));
    }
out:
    pare_dealloc_aligned(j.a);
    return st;
}

pare_status pare_multiply(pare_ctx *ctx, const pare_product *p, pare_err *err)
{
    pare_status st = PARE_OK;
    const size_t bytes = PARE_MULTIPLY_SCRATCH * (size_t)pare_ctx_threads(ctx);
    const int64_t n = blocks(p->n), count = p->upper ? n * (n + 1) / 2 : blocks(p->m) * n;
    if (pare_is_split(ctx->kernels, p)) return split_all(ctx, p, count, err);
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
                             .alpha = 1, .add = true, .split = true, .upper = true, .c = h, .c_stride = cols };
    return pare_multiply(ctx, &p, err);
}

pare_status pare_add_xty(pare_ctx *ctx, int64_t n, int64_t cols, int64_t other, const float *x, int64_t x_stride, const float *y, int64_t y_stride,
                         float *g, pare_err *err)
{
    const pare_product p = { .m = cols, .n = other, .k = n, .a = x, .a_row = 1, .a_col = x_stride, .b = y, .b_row = y_stride, .b_col = 1,
                             .alpha = 1, .add = true, .split = true, .c = g, .c_stride = other };
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
