/* SPDX-License-Identifier: Apache-2.0 */
/* See weigh.h. */
#include "method/weigh.h"

#include <math.h>

#include "linalg/linalg.h"

enum { BLOCK = 256, /* rows whose product with H is held at once */ PIECE = 64 };

/* sum a[i] b[i] in eight sums, in double */
static double dot(const float *a, const float *b, int64_t n)
{
    double sum[8] = { 0 };
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += (double)a[i + k] * (double)b[i + k];
    for (int k = 0; i < n; i++, k++) sum[k] += (double)a[i] * (double)b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

pare_status pare_weigh(pare_ctx *ctx, int64_t rows, int64_t cols, const float *e, const float *h, double *out, pare_err *err)
{
    const int64_t most = rows < BLOCK ? rows : BLOCK;
    float *t = pare_alloc_aligned(64, (size_t)(most * cols) * sizeof *t + 64);
    pare_status st = t ? PARE_OK : pare_no_memory(err, "product with the Hessian", (size_t)(most * cols) * sizeof *t);
    *out = 0;
    for (int64_t r = 0; r < rows && st == PARE_OK; r += BLOCK) {
        const int64_t n = rows - r < BLOCK ? rows - r : BLOCK;
        const pare_product p = { .m = n, .n = cols, .k = cols, .a = e + r * cols, .a_row = cols, .a_col = 1, .b = h, .b_row = cols, .b_col = 1, .alpha = 1, .c = t, .c_stride = cols };
        st = pare_multiply(ctx, &p, err);
        for (int64_t i = 0; i < n && st == PARE_OK; i++) *out += dot(e + (r + i) * cols, t + i * cols, cols);
    }
    pare_dealloc_aligned(t);
    if (st == PARE_OK && !isfinite(*out)) return pare_fail(err, PARE_ERR_DATA, "the error of its output, weighted by the Hessian of its inputs, is %g: float32 does not hold them", *out);
    return st;
}

typedef struct values_job { pare_ctx *ctx; const pare_qtensor *q; int64_t rows, cols; float *out; } values_job;

static pare_status some_values(void *arg, int64_t i, int worker, pare_err *err)
{
    const values_job *j = arg;
    const int64_t row = i * PIECE, left = j->rows - row;
    (void)worker;
    return pare_qtensor_dequant_rows(j->ctx->kernels, j->q, row, left < PIECE ? left : PIECE, j->out + row * j->cols, err);
}

pare_status pare_values_of(pare_ctx *ctx, const pare_qtensor *q, float *out, pare_err *err)
{
    values_job j = { ctx, q, q->grid.shape[0], q->grid.shape[1], out };
    return pare_parallel(ctx, (j.rows + PIECE - 1) / PIECE, some_values, &j, err);
}

pare_status pare_weigh_result(pare_ctx *ctx, const float *w, const pare_qtensor *q, const float *h, double *loss, int64_t *dead, pare_err *err)
{
    const int64_t rows = q->grid.shape[0], cols = q->grid.shape[1];
    double noise, signal;
    float *e = pare_alloc_aligned(64, (size_t)(rows * cols) * sizeof *e + 64);
    pare_status st = e ? PARE_OK : pare_no_memory(err, "error of a layer", (size_t)(rows * cols) * sizeof *e);
    *loss = NAN;
    *dead = 0;
    for (int64_t c = 0; c < cols; c++) *dead += h[c * cols + c] == 0.0f;
    if (st == PARE_OK) st = pare_values_of(ctx, q, e, err);
    for (int64_t i = 0; i < rows * cols && st == PARE_OK; i++) e[i] -= w[i];
    if (st == PARE_OK) st = pare_weigh(ctx, rows, cols, e, h, &noise, err);
    if (st == PARE_OK) st = pare_weigh(ctx, rows, cols, w, h, &signal, err);
    if (st == PARE_OK && signal > 0) *loss = noise / signal;
    pare_dealloc_aligned(e);
    return st;
}

pare_status pare_nearest(pare_ctx *ctx, const char *name, const pare_scheme *scheme, int64_t rows, int64_t cols, float *w, float *out, pare_err *err)
{
    const pare_layer_job job = { .name = name, .scheme = scheme, .rows = rows, .cols = cols, .w = w };
    pare_layer_result r = { 0 };
    pare_status st = pare_method_apply(ctx, pare_method_find("rtn"), &job, &r, err);
    if (st == PARE_OK) st = pare_values_of(ctx, r.q, out, err);
    pare_qtensor_free(r.q);
    return st;
}

bool pare_blocks_in_rows(const pare_scheme *scheme, int64_t cols)
{
    pare_scheme s = *scheme;
    s.two_level = s.nested = false; /* what makes them see the whole tensor are the scales' own scales */
    const pare_quantizer *q = pare_quantizer_for(scheme);
    return q && q->find && q->round && pare_scheme_row_local(&s, cols);
}
