/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 8-bit float codes: W ~ float8(u) * scale.
 *
 *   scale = absmax / max      max: largest finite value of the dtype, 448 for e4m3fn, 57344 for e5m2
 *   u = float8(W / scale)     nearest, ties to even, saturating
 *
 * Scale per tensor, channel, group or tile (128 x 128 in DeepSeek-V3); a block of zeros has scale 1. MXFP8: groups of 32 over a power of two,
 * 2^(floor(log2 m) - 8), m = absmax rounded to two significant bits (OCP MX v1.0; table.c).
 * Micikevicius et al. 2022, arXiv 2209.05433.
 */
#include <math.h>
#include "quant/table.h"

static bool serves(const pare_scheme *s) { return s->kind == PARE_CODE_FLOAT && s->code_dtype != PARE_F4_E2M1; }

/* Stored scale for the largest magnitude; never so large that the largest code becomes infinite. */
static float scale_for(pare_dtype scale_dtype, double largest_code, double absmax)
{
    if (scale_dtype == PARE_F8_E8M0) return pare_mx_scale((float)absmax, ilogb(largest_code));
    if (absmax == 0.0) return 1.0f;
    const float scale = pare_scale_store(scale_dtype, absmax / largest_code);
    return isinf((float)(scale * largest_code)) ? pare_scale_floor(scale_dtype, 3.4028234663852886e38 / largest_code) : scale;
}

/* ---------------------------------------------------------------------------------------------------------- whole tensor */

typedef struct find_job { pare_qtensor *q; double largest; } find_job;

static pare_status find_block(void *arg, int64_t b, const pare_values *v, pare_err *err)
{
    const find_job *job = arg;
    float most = 0.0f;
    (void)err;
    if (v->n > 0) v->k->absmax_groups(v->x, v->n, v->n, &most);
    job->q->scales[b] = scale_for(job->q->scheme.scale_dtype, job->largest, most);
    return PARE_OK;
}

typedef struct encode_job { const pare_kernels *k; const float *x; pare_qtensor *q; pare_view view; } encode_job;

static pare_status encode_cut(void *arg, int64_t cut, int worker, pare_err *err)
{
    const encode_job *job = arg;
    pare_qtensor *q = job->q;
    const int64_t end = job->view.numel - cut * PARE_CUT < PARE_CUT ? job->view.numel : (cut + 1) * PARE_CUT;
    (void)worker, (void)err;
    for (int64_t at = cut * PARE_CUT; at < end;) {
        const pare_span s = pare_view_span(&job->view, at, end);
        for (int64_t i = 0; i < s.n; i += s.group)
            job->k->f32_to_f8(q->codes + at + i, job->x + at + i, s.n - i < s.group ? s.n - i : s.group, q->scales[s.first + i / s.group],
                              q->scheme.code_dtype);
        at += s.n;
    }
    return PARE_OK;
}

static pare_status quantize(pare_ctx *ctx, const float *x, const float *scales_in, const int32_t *zeros_in, pare_qtensor *q, pare_err *err)
{
    find_job find = {q, pare_dtype_get_info(q->scheme.code_dtype)->max};
    if (zeros_in != NULL) return pare_fail(err, PARE_ERR_USAGE, "float8 codes have no zero points");
    pare_status st = scales_in != NULL ? pare_take_given(scales_in, NULL, q, err) : pare_for_blocks(ctx, x, &q->grid, find_block, &find, err);
    if (st != PARE_OK) return st;
    encode_job job = {.k = pare_quant_kernels(ctx), .x = x, .q = q};
    pare_view_init(&q->grid, &job.view);
    return pare_quant_parallel(ctx, pare_cuts(q->grid.numel), encode_cut, &job, err);
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

typedef struct row_job { pare_dtype scale_dtype; double largest; float table[256]; } row_job;

static void code_row(const pare_row_coder *c, void *own, int64_t row, const float *x)
{
    const row_job *job = own;
    float *scales = c->out->scales + row * c->groups;
    uint8_t *codes = c->out->codes + row * c->cols;
    c->k->absmax_groups(x, c->cols, c->group, c->s.hi);
    for (int64_t at = 0, g = 0; at < c->cols; at += c->group, g++) {
        const int64_t n = c->cols - at < c->group ? c->cols - at : c->group;
        scales[g] = scale_for(job->scale_dtype, job->largest, c->s.hi[g]);
        c->k->f32_to_f8(codes + at, x + at, n, scales[g], c->scheme->code_dtype);
        for (int64_t i = 0; i < n; i++) c->s.y[at + i] = job->table[codes[at + i]] * scales[g];
    }
}

static pare_status quantize_rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err)
{
    row_job job = {.scale_dtype = scheme->scale_dtype == PARE_DTYPE_NONE ? PARE_F32 : scheme->scale_dtype, .largest = pare_dtype_get_info(scheme->code_dtype)->max};
    for (int u = 0; u < 256; u++) job.table[u] = pare_f8_to_f32(scheme->code_dtype, (uint8_t)u);
    return pare_code_rows(k, scheme, in, scratch, out, code_row, &job, err);
}

/* ------------------------------------------------------------------------------------------------------ rounding by column */

static pare_status find(const pare_rounder *r, const float *x, int64_t rows, int64_t stride, int64_t n, const float *importance, float *scale, float *zero,
                        pare_err *err)
{
    const pare_dtype scale_dtype = r->scheme->scale_dtype == PARE_DTYPE_NONE ? PARE_F32 : r->scheme->scale_dtype;
    const double largest = pare_dtype_get_info(r->scheme->code_dtype)->max;
    (void)importance, (void)err;
    for (int64_t i = 0; i < rows; i++) {
        float most = 0.0f;
        if (n > 0) r->k->absmax_groups(x + i * stride, n, n, &most);
        scale[i] = scale_for(scale_dtype, largest, most);
        zero[i] = 0.0f;
    }
    return PARE_OK;
}

static void round_column(const pare_rounder *r, int64_t rows, const float *x, const float *scale, const float *zero, uint8_t *code, float *value)
{
    (void)zero;
    r->k->round_column_f8(rows, x, scale, r->scheme->code_dtype, code, value);
}

const pare_quantizer pare_q_float8 = {
    .name = "float8",
    .help = "8-bit float codes, W = float8(code) * scale; tensor, channel, group or tile",
    .serves = serves,
    .check = pare_scheme_check,
    .quantize = quantize,
    .rows = quantize_rows,
    .scratch = pare_row_scratch_bytes,
    .find = find,
    .round = round_column,
};
