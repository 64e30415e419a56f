/* SPDX-License-Identifier: Apache-2.0 */
/* H of a layer's inputs: order of columns, damping, factor, and targets that answer drift. See feedback.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "method/feedback.h"

static const double LEAST_DAMPING = 0.01;

/* Places: by rising diagonal, equal ones from the last column to the first; so that the order of rounding is falling, first column first. */
typedef struct place { float diag; int32_t column; } place;

static int by_diag(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->diag != y->diag) return x->diag < y->diag ? -1 : 1;
    return x->column > y->column ? -1 : 1;
}

static pare_status order(pare_curvature *h, const float *hessian, bool by_diagonal, pare_err *err)
{
    place *p = pare_alloc_zero((size_t)h->n, sizeof *p);
    if (!p) return pare_no_memory(err, "an order of columns", (size_t)h->n * sizeof *p);
    for (int64_t i = 0; i < h->n; i++) {
        const int32_t column = (int32_t)(h->n - 1 - i);
        p[i] = (place){ hessian[column * h->n + column], column };
    }
    if (by_diagonal) qsort(p, (size_t)h->n, sizeof *p, by_diag);
    for (int64_t i = 0; i < h->n; i++) h->column[i] = p[i].column;
    pare_dealloc(p);
    return PARE_OK;
}

typedef struct gather { const pare_curvature *h; const float *hessian; } gather;

/* Row i of H in places. */
static pare_status gather_row(void *arg, int64_t i, int worker, pare_err *err)
{
    (void)worker, (void)err;
    const gather *g = arg;
    const pare_curvature *h = g->h;
    const float *from = g->hessian + h->column[i] * h->n;
    float *to = h->square + i * h->n;
    for (int64_t j = 0; j < h->n; j++) to[j] = from[h->column[j]];
    to[i] = h->diag[i];
    return PARE_OK;
}

/* Adds damping to the diagonal and factors; *failed = -1 when it worked. */
static pare_status factor(pare_ctx *ctx, pare_curvature *h, const float *hessian, double mean, int64_t *failed, double *pivot, pare_err *err)
{
    gather g = { h, hessian };
    for (int64_t i = 0; i < h->n; i++) {
        const float had = hessian[h->column[i] * h->n + h->column[i]];
        double add = h->damping * mean;
        if (h->flat) add = 1;
        else if (had == 0 && add < LEAST_DAMPING * mean) add = LEAST_DAMPING * mean;
        h->diag[i] = (float)(had + add);
        h->added[i] = (float)add;
    }
    pare_status st = pare_parallel(ctx, h->n, gather_row, &g, err);
    if (st != PARE_OK) return st;
    return pare_cholesky(ctx, h->n, h->square, h->n, failed, pivot, err);
}

static pare_status check(const char *name, int64_t n, const float *hessian, double *sum, int64_t *dead, pare_err *err)
{
    *sum = 0;
    *dead = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++)
            if (!isfinite(hessian[i * n + j]))
                return pare_fail(err, PARE_ERR_DATA, "%s: inputs %lld and %lld have the product sum %g", name, (long long)i, (long long)j, (double)hessian[i * n + j]);
        const double d = hessian[i * n + i];
        if (d < 0) return pare_fail(err, PARE_ERR_DATA, "%s: input %lld has the sum of squares %g", name, (long long)i, d);
        *sum += d;
        *dead += d == 0;
    }
    return PARE_OK;
}

pare_status pare_curvature_new(pare_ctx *ctx, const char *name, int64_t n, const float *hessian, double damping, bool by_diagonal, pare_curvature **out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_curvature *h = NULL;
    double sum, pivot = 0, total = 0;
    int64_t failed = -1;
    size_t square;
    *out = NULL;
    if (!pare_mul_size((size_t)n, (size_t)n * sizeof(float), &square)) PARE_TRY(pare_no_memory(err, name, SIZE_MAX));
    h = pare_alloc_zero(1, sizeof *h);
    if (!h) PARE_TRY(pare_no_memory(err, name, sizeof *h));
    h->n = n;
    h->damping = damping;
    PARE_TRY(pare_alloc_try((size_t)n * sizeof *h->column, name, (void **)&h->column, err));
    PARE_TRY(pare_alloc_try((size_t)n * sizeof *h->diag, name, (void **)&h->diag, err));
    PARE_TRY(pare_alloc_try((size_t)n * sizeof *h->added, name, (void **)&h->added, err));
    PARE_TRY(pare_alloc_try((size_t)n * sizeof *h->cost, name, (void **)&h->cost, err));
    PARE_TRY(pare_alloc_try(square, name, (void **)&h->square, err));
    PARE_TRY(check(name, n, hessian, &sum, &h->dead, err));
    h->flat = sum == 0;
    PARE_TRY(order(h, hessian, by_diagonal, err));
    for (;;) {
        PARE_TRY(factor(ctx, h, hessian, sum / (double)n, &failed, &pivot, err));
        if (failed < 0) break;
        const double next = h->damping < LEAST_DAMPING / 2 ? LEAST_DAMPING : 2 * h->damping;
        if (next > 1)
            PARE_FAIL(err, PARE_ERR_DATA, "%s: the Hessian of %lld inputs is not positive definite, even with damping %g of its mean diagonal: pivot %lld is %g", name,
                      (long long)n, h->damping, (long long)failed, pivot);
        h->damping = next;
        h->retries++;
    }
    for (int64_t i = 0; i < n; i++) {
        const double d = h->square[i * n + i];
        total += d * d / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        const double d = h->square[i * n + i], cost = d * d / total;
        h->cost[h->column[i]] = (float)(cost > 1e-30 ? cost : 1e-30);
    }
    *out = h;
    h = NULL;
out:
    pare_curvature_free(h);
    return st;
}

void pare_curvature_free(pare_curvature *h)
{
    if (!h) return;
    pare_dealloc(h->square);
    pare_dealloc(h->cost);
    pare_dealloc(h->added);
    pare_dealloc(h->diag);
    pare_dealloc(h->column);
    pare_dealloc(h);
}

/* ----------------------------------------------------------------------------------------------------------------- drift */

/* to[i][p] = from[i][column[p]], or back. */
static void permute(const pare_curvature *h, int64_t rows, const float *from, float *to)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t p = 0; p < h->n; p++) to[i * h->n + p] = from[i * h->n + h->column[p]];
}

pare_status pare_curvature_correct(pare_ctx *ctx, const pare_curvature *h, const float *drift, pare_correction how, double strength, int64_t rows, float *w, pare_err *err)
{
    pare_status st = PARE_OK;
    const int64_t n = h->n;
    float *move = NULL, *part = NULL, *places = NULL;
    const size_t bytes = (size_t)rows * (size_t)n * sizeof(float);
    if (how == PARE_CORRECT_NONE || rows == 0) return PARE_OK;
    PARE_TRY(pare_alloc_try(bytes, "a correction of weights", (void **)&move, err));
    pare_product p = { .m = rows, .n = n, .k = n, .a = w, .a_row = n, .a_col = 1, .alpha = 1, .split = true, .c = move, .c_stride = n };
    if (how == PARE_CORRECT_QRONOS) { /* W D^T, in places */
        PARE_TRY(pare_alloc_try(bytes, "a correction of weights", (void **)&places, err));
        p.b = drift, p.b_row = 1, p.b_col = n, p.c = places;
        PARE_TRY(pare_multiply(ctx, &p, err));
        permute(h, rows, places, move);
        PARE_TRY(pare_solve_lower(ctx, n, h->square, n, true, rows, move, n, err));
    } else { /* W (D^T L^-T, of each row only what lies at places before its own) */
        PARE_TRY(pare_alloc_try((size_t)n * (size_t)n * sizeof(float), "drift in places", (void **)&part, err));
        PARE_TRY(pare_alloc_try(bytes, "a correction of weights", (void **)&places, err));
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) part[i * n + j] = drift[h->column[j] * n + h->column[i]];
        PARE_TRY(pare_solve_lower(ctx, n, h->square, n, true, n, part, n, err));
        for (int64_t i = 0; i < n; i++) memset(part + i * n + i, 0, (size_t)(n - i) * sizeof(float));
        permute(h, rows, w, places);
        p.a = places, p.b = part, p.b_row = n, p.b_col = 1;
        PARE_TRY(pare_multiply(ctx, &p, err));
    }
    PARE_TRY(pare_solve_lower(ctx, n, h->square, n, false, rows, move, n, err));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) w[i * n + h->column[j]] += (float)strength * move[i * n + j];
out:
    pare_dealloc(places);
    pare_dealloc(part);
    pare_dealloc(move);
    return st;
}
