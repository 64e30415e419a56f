/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the quantizers share: the loop over blocks, encoding a whole tensor, given scales, and the rows of the streaming form.
 */
#include <math.h>
#include <string.h>
#include "quant/codes.h"

/* ------------------------------------------------------------------------------------------------------ loop over blocks */

typedef struct blocks_job {
    const pare_kernels *k;
    const float *x;
    pare_view view;
    int64_t per;      /* blocks of one task */
    float *scratch;   /* block_numel floats a worker, when blocks are gathered */
    pare_block_fn fn;
    void *arg;
} blocks_job;

static pare_status blocks_task(void *arg, int64_t task, int worker, pare_err *err)
{
    const blocks_job *job = arg;
    float *scratch = job->scratch != NULL ? job->scratch + worker * job->view.block_numel : NULL;
    const int64_t first = task * job->per;
    for (int64_t b = first; b < first + job->per && b < job->view.n_blocks; b++) {
        pare_values v = {.k = job->k};
        v.x = pare_view_block(&job->view, job->x, b, scratch, &v.n);
        const pare_status st = job->fn(job->arg, b, &v, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

/* One block: cut over the threads by whoever works on it. */
static pare_status single_block(pare_ctx *ctx, const blocks_job *job, pare_err *err)
{
    pare_values v = {.k = job->k, .x = job->x, .n = job->view.numel};
    size_t bytes;
    if (ctx != NULL && v.n > PARE_CUT) {
        if (!pare_mul_size((size_t)pare_cuts(v.n), 2 * sizeof *v.part, &bytes)) return pare_no_memory(err, "partial sums", SIZE_MAX);
        v.part = pare_alloc(bytes);
        if (v.part == NULL) return pare_no_memory(err, "partial sums", bytes);
        v.ctx = ctx;
    }
    const pare_status st = job->fn(job->arg, 0, &v, err);
    pare_dealloc(v.part);
    return st;
}

pare_status pare_for_blocks(pare_ctx *ctx, const float *x, const pare_grid *grid, pare_block_fn fn, void *arg, pare_err *err)
{
    blocks_job job = {.k = pare_quant_kernels(ctx), .x = x, .fn = fn, .arg = arg};
    pare_view_init(grid, &job.view);
    if (job.view.n_blocks == 0) return PARE_OK;
    if (job.view.n_blocks == 1) return single_block(ctx, &job, err);
    if (!pare_view_contiguous(&job.view)) {
        const size_t workers = ctx != NULL ? (size_t)ctx->threads : 1;
        size_t n, bytes;
        if (!pare_mul_size(workers, (size_t)job.view.block_numel, &n) || !pare_mul_size(n, sizeof(float), &bytes))
            return pare_no_memory(err, "a block of values for each thread", SIZE_MAX);
        job.scratch = pare_alloc(bytes);
        if (job.scratch == NULL) return pare_no_memory(err, "a block of values for each thread", bytes);
    }
    job.per = job.view.block_numel < PARE_CUT ? PARE_CUT / job.view.block_numel : 1;
    const int64_t tasks = job.view.n_blocks / job.per + (job.view.n_blocks % job.per != 0);
    const pare_status st = pare_quant_parallel(ctx, tasks, blocks_task, &job, err);
    pare_dealloc(job.scratch);
    return st;
}

/* ---------------------------------------------------------------------------------------------------------- whole tensor */

typedef struct encode_job { const pare_kernels *k; const float *x; const pare_ranger *r; pare_qtensor *q; pare_view view; } encode_job;

static pare_status encode_cut(void *arg, int64_t cut, int worker, pare_err *err)
{
    const encode_job *job = arg;
    const pare_qtensor *q = job->q;
    const int64_t end = job->view.numel - cut * PARE_CUT < PARE_CUT ? job->view.numel : (cut + 1) * PARE_CUT;
    (void)worker, (void)err;
    for (int64_t at = cut * PARE_CUT; at < end;) {
        const pare_span s = pare_view_span(&job->view, at, end);
        const pare_row_quant row = {.n = s.n, .group = s.group, .bits = job->r->bits, .umin = job->r->umin, .umax = job->r->umax};
        job->k->quant_row(job->x + at, &row, q->scales + s.first, q->zeros + s.first, q->codes + at);
        at += s.n;
    }
    return PARE_OK;
}

pare_status pare_encode_linear(pare_ctx *ctx, const float *x, const pare_ranger *r, pare_qtensor *q, pare_err *err)
{
    encode_job job = {.k = pare_quant_kernels(ctx), .x = x, .r = r, .q = q};
    pare_view_init(&q->grid, &job.view);
    return pare_quant_parallel(ctx, pare_cuts(q->grid.numel), encode_cut, &job, err);
}

pare_status pare_take_given(const float *scales, const int32_t *zeros, pare_qtensor *q, pare_err *err)
{
    const pare_scheme *s = &q->scheme;
    const int32_t middle = s->kind == PARE_CODE_INT ? 1 << (s->bits - 1) : 0, top = (1 << s->bits) - 1;
    for (int64_t i = 0; i < q->grid.n_scales; i++) {
        const float scale = pare_round_to(s->scale_dtype, scales[i]);
        if (!isfinite(scale) || scale == 0.0f)
            return pare_fail(err, PARE_ERR_USAGE, "scale %lld is %g (as stored %g); it must be finite and not 0", (long long)i,
                             (double)scales[i], (double)scale);
        q->scales[i] = scale;
        if (zeros == NULL || q->zeros == NULL) continue;
        if (s->symmetric ? zeros[i] != middle : zeros[i] < 0 || zeros[i] > top)
            return pare_fail(err, PARE_ERR_USAGE, "zero point %lld is %d; %s %d", (long long)i, (int)zeros[i],
                             s->symmetric ? "symmetric codes have" : "it must be in 0 to", (int)(s->symmetric ? middle : top));
        q->zeros[i] = zeros[i];
    }
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

static size_t padded(int64_t n) { return ((size_t)n * sizeof(float) + 63) / 64 * 64; }

size_t pare_row_scratch_bytes(const pare_scheme *scheme, int64_t cols)
{
    return 2 * padded(cols) + 3 * padded(pare_scheme_groups_per_row(scheme, cols));
}

void pare_row_scratch_cut(const pare_scheme *scheme, int64_t cols, void *memory, pare_row_scratch *out)
{
    const size_t row = padded(cols), groups = padded(pare_scheme_groups_per_row(scheme, cols));
    char *at = memory;
    out->x = (float *)(void *)at;
    out->y = (float *)(void *)(at + row);
    out->lo = (float *)(void *)(at + 2 * row);
    out->hi = (float *)(void *)(at + 2 * row + groups);
    out->zero = (int32_t *)(void *)(at + 2 * row + 2 * groups);
}

pare_status pare_row_values(const pare_kernels *k, const pare_rows_in *in, int64_t row, const pare_row_scratch *s, const float **x, pare_err *err)
{
    const size_t element = pare_dtype_bytes(in->dtype, 1);
    const uint8_t *from = (const uint8_t *)in->data + (size_t)row * (size_t)in->cols * element;
    *x = s->x;
    if (in->dtype == PARE_F32) *x = (const float *)(const void *)from;
    else if (in->dtype == PARE_BF16) k->bf16_to_f32(s->x, (const uint16_t *)(const void *)from, in->cols);
    else if (in->dtype == PARE_F16) k->f16_to_f32(s->x, (const uint16_t *)(const void *)from, in->cols);
    else return pare_to_f32(s->x, in->dtype, from, in->cols, err);
    return PARE_OK;
}

const float *pare_row_sanitize(const float *x, int64_t n, const pare_row_scratch *s)
{
    float most = 0.0f;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]) && fabsf(x[i]) > most) most = fabsf(x[i]);
    for (int64_t i = 0; i < n; i++) s->x[i] = isnan(x[i]) ? 0.0f : isinf(x[i]) ? copysignf(most, x[i]) : x[i];
    return s->x;
}

pare_status pare_code_rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_code_row fn, void *own,
                           pare_err *err)
{
    pare_row_coder c = {.k = k, .scheme = scheme, .cols = in->cols, .groups = pare_scheme_groups_per_row(scheme, in->cols), .out = out};
    c.group = scheme->granularity == PARE_PER_GROUP && scheme->group_size < in->cols ? scheme->group_size : in->cols;
    pare_row_scratch_cut(scheme, in->cols, scratch, &c.s);
    out->error = (pare_row_error){0};
    out->nonfinite = 0;
    for (int64_t row = 0; row < in->rows && in->cols > 0; row++) {
        const float *x;
        pare_row_error e;
        const pare_status st = pare_row_values(k, in, row, &c.s, &x, err);
        if (st != PARE_OK) return st;
        const int64_t bad = k->count_nonfinite(x, in->cols);
        out->nonfinite += bad;
        if (bad > 0) x = pare_row_sanitize(x, in->cols, &c.s);
        fn(&c, own, row, x);
        k->row_error(x, c.s.y, in->cols, &e);
        pare_row_error_add(&out->error, &e);
    }
    return PARE_OK;
}
