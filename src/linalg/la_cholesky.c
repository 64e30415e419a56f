/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cholesky, block column by block column from the left (each block of L is written once), and triangular solves:
 *
 *   for block column K of 128:   A[K.., K] -= L[K.., <K] L[K, <K]^T      one product: nearly all of the work
 *                                L[K, K]    = Cholesky of that block     in double, one thread
 *                                L[>K, K]   = A[>K, K] L[K, K]^-T        a product with the inverse of a triangle of 128
 *
 * Golub and Van Loan, Matrix Computations, section 4.2.
 */
#include <math.h>
#include <string.h>
#include "linalg/linalg.h"

enum { NB = PARE_LINALG_DEPTH };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* a (lower triangle) = L L^T in double, d: [n, n]. True when positive definite; else *failed, *pivot. diag: of the matrix before elimination. */
static bool small_cholesky(int64_t n, float *a, int64_t stride, const float *diag, double *d, int64_t *failed, double *pivot)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) d[i * n + j] = a[i * stride + j];
    for (int64_t j = 0; j < n; j++) {
        double p = d[j * n + j];
        for (int64_t l = 0; l < j; l++) p -= d[j * n + l] * d[j * n + l];
        if (!(p > 0x1p-23 * fabs((double)diag[j])) || isinf(p)) {
            *failed = j;
            *pivot = p;
            return false;
        }
        const double root = sqrt(p);
        d[j * n + j] = root;
        for (int64_t i = j + 1; i < n; i++) {
            double s = d[i * n + j];
            for (int64_t l = 0; l < j; l++) s -= d[i * n + l] * d[j * n + l];
            d[i * n + j] = s / root;
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) a[i * stride + j] = (float)d[i * n + j];
    return true;
}

void pare_invert_lower(int64_t n, const float *l, int64_t l_stride, float *inv, int64_t inv_stride)
{
    for (int64_t j = 0; j < n; j++) { /* column j of the inverse */
        for (int64_t i = 0; i < j; i++) inv[i * inv_stride + j] = 0;
        inv[j * inv_stride + j] = (float)(1.0 / l[j * l_stride + j]);
        for (int64_t i = j + 1; i < n; i++) {
            double s = 0;
            for (int64_t p = j; p < i; p++) s += (double)l[i * l_stride + p] * inv[p * inv_stride + j];
            inv[i * inv_stride + j] = (float)(-s / l[i * l_stride + i]);
        }
    }
}

pare_status pare_cholesky(pare_ctx *ctx, int64_t n, float *a, int64_t stride, int64_t *failed, double *pivot, pare_err *err)
{
    pare_status st = PARE_OK;
    float *diag = NULL, *inv = NULL, *panel = NULL;
    double *square = NULL;
    *failed = -1;
    *pivot = 0;
    PARE_TRY(pare_alloc_try((size_t)(n ? n : 1) * sizeof *diag, "a diagonal", (void **)&diag, err));
    PARE_TRY(pare_alloc_try(sizeof(float) * NB * NB, "a block of a Cholesky factor", (void **)&inv, err));
    PARE_TRY(pare_alloc_try(sizeof(double) * NB * NB, "a block of a Cholesky factor", (void **)&square, err));
    PARE_TRY(pare_alloc_try((size_t)(n ? n : 1) * NB * sizeof *panel, "a panel of a Cholesky factor", (void **)&panel, err));
    for (int64_t i = 0; i < n; i++) diag[i] = a[i * stride + i];
    for (int64_t k = 0; k < n; k += NB) {
        const int64_t nb = least(n - k, NB), below = n - k - nb;
        float *at = a + k * stride + k;
        /* through `panel`: the block column is then written without its upper triangle */
        pare_product p = { .m = n - k, .n = nb, .k = k, .a = a + k * stride, .a_row = stride, .a_col = 1, .b = a + k * stride, .b_row = 1, .b_col = stride,
                           .alpha = 1, .c = panel, .c_stride = NB };
        if (k > 0) {
            PARE_TRY(pare_multiply(ctx, &p, err));
            for (int64_t i = 0; i < n - k; i++)
                for (int64_t j = 0; j < least(nb, i + 1); j++) at[i * stride + j] -= panel[i * NB + j];
        }
        if (!small_cholesky(nb, at, stride, diag + k, square, failed, pivot)) {
            *failed += k;
            goto out;
        }
        if (below == 0) break;
        pare_invert_lower(nb, at, stride, inv, NB);
        for (int64_t i = 0; i < below; i++) memcpy(panel + i * NB, at + (nb + i) * stride, (size_t)nb * sizeof(float));
        p = (pare_product){ .m = below, .n = nb, .k = nb, .a = panel, .a_row = NB, .a_col = 1, .b = inv, .b_row = 1, .b_col = NB, .alpha = 1,
                            .c = at + nb * stride, .c_stride = stride };
        PARE_TRY(pare_multiply(ctx, &p, err));
    }
out:
    pare_dealloc(panel);
    pare_dealloc(square);
    pare_dealloc(inv);
    pare_dealloc(diag);
    return st;
}

/* ----------------------------------------------------------------------------------------------------------------- solves */

typedef struct solve_job {
    const pare_kernels *k;
    int64_t n, rows;
    const float *l; int64_t l_stride;
    bool transposed;
    float *x; int64_t x_stride;
    float *inv;        /* [blocks][NB, NB]: inverses of the diagonal blocks */
    uint8_t *scratch;
    size_t scratch_bytes;
} solve_job;

static pare_status invert_task(void *arg, int64_t b, int worker, pare_err *err)
{
    (void)worker, (void)err;
    const solve_job *j = arg;
    pare_invert_lower(least(j->n - b * NB, NB), j->l + b * NB * j->l_stride + b * NB, j->l_stride, j->inv + b * NB * NB, NB);
    return PARE_OK;
}

/* 384 rows: block of columns after block of columns, in the order in which they are known. */
static pare_status solve_task(void *arg, int64_t task, int worker, pare_err *err)
{
    (void)err;
    const solve_job *j = arg;
    const int64_t rows = least(j->rows - task * PARE_LINALG_BLOCK, PARE_LINALG_BLOCK), blocks = (j->n + NB - 1) / NB;
    float *x = j->x + task * PARE_LINALG_BLOCK * j->x_stride, *known = (void *)(j->scratch + (size_t)worker * j->scratch_bytes);
    void *scratch = known + PARE_LINALG_BLOCK * NB;
    for (int64_t s = 0; s < blocks; s++) {
        const int64_t b = j->transposed ? s : blocks - 1 - s, c0 = b * NB, nb = least(j->n - c0, NB), next = c0 + nb;
        pare_product p = { .m = rows, .n = nb, .a_row = j->x_stride, .a_col = 1, .alpha = -1, .add = true, .c = x + c0, .c_stride = j->x_stride };
        if (j->transposed) { /* X_b -= sum over i < b of X_i L_bi^T */
            p.k = c0, p.a = x, p.b = j->l + c0 * j->l_stride, p.b_row = 1, p.b_col = j->l_stride;
        } else {             /* X_b -= sum over i > b of X_i L_ib */
            p.k = j->n - next, p.a = x + next, p.b = j->l + next * j->l_stride + c0, p.b_row = j->l_stride, p.b_col = 1;
        }
        if (p.k > 0) pare_multiply_here(j->k, &p, scratch);
        for (int64_t i = 0; i < rows; i++) memcpy(known + i * NB, x + i * j->x_stride + c0, (size_t)nb * sizeof(float));
        p = (pare_product){ .m = rows, .n = nb, .k = nb, .a = known, .a_row = NB, .a_col = 1, .b = j->inv + b * NB * NB, .alpha = 1, .c = x + c0,
                            .c_stride = j->x_stride };
        p.b_row = j->transposed ? 1 : NB;
        p.b_col = j->transposed ? NB : 1;
        pare_multiply_here(j->k, &p, scratch);
    }
    return PARE_OK;
}

pare_status pare_solve_lower(pare_ctx *ctx, int64_t n, const float *l, int64_t l_stride, bool transposed, int64_t rows, float *x, int64_t x_stride, pare_err *err)
{
    pare_status st = PARE_OK;
    const int64_t blocks = (n + NB - 1) / NB;
    solve_job j = { .k = ctx->kernels, .n = n, .rows = rows, .l = l, .l_stride = l_stride, .transposed = transposed, .x = x, .x_stride = x_stride };
    j.scratch_bytes = sizeof(float) * PARE_LINALG_BLOCK * NB + PARE_MULTIPLY_SCRATCH;
    const size_t bytes = j.scratch_bytes * (size_t)pare_ctx_threads(ctx);
    PARE_TRY(pare_alloc_try((size_t)(blocks ? blocks : 1) * NB * NB * sizeof(float), "blocks of a triangular solve", (void **)&j.inv, err));
    j.scratch = pare_alloc_aligned(64, bytes);
    if (!j.scratch) PARE_TRY(pare_no_memory(err, "blocks of a triangular solve", bytes));
    PARE_TRY(pare_parallel(ctx, blocks, invert_task, &j, err));
    PARE_TRY(pare_parallel(ctx, (rows + PARE_LINALG_BLOCK - 1) / PARE_LINALG_BLOCK, solve_task, &j, err));
out:
    pare_dealloc_aligned(j.scratch);
    pare_dealloc(j.inv);
    return st;
}

pare_status pare_cholesky_inverse(pare_ctx *ctx, int64_t n, const float *l, int64_t l_stride, float *out, pare_err *err)
{
    pare_status st = PARE_OK;
    for (int64_t i = 0; i < n; i++) {
        memset(out + i * n, 0, (size_t)n * sizeof(float));
        out[i * n + i] = 1;
    }
    PARE_TRY(pare_solve_lower(ctx, n, l, l_stride, true, n, out, n, err));
    PARE_TRY(pare_solve_lower(ctx, n, l, l_stride, false, n, out, n, err));
    PARE_TRY(pare_mirror(ctx, n, out, err));
out:
    return st;
}
