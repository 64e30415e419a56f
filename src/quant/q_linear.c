/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear quantization, 1 to 8 bits: W ~ (u - zero) * scale.
 *
 *   u = clamp(rne(W / scale) + zero, umin, umax)      u: code 0 ... 2^b - 1, zero: code of 0.0, scale: as stored
 *
 * How scale and zero come from a block's values is in range.c. 0.0 is always exact. |error| <= scale / 2 inside the range.
 * 1 bit symmetric has only the values -scale and 0, and exists for completeness.
 *
 * Jacob et al. 2018, arXiv 1712.05877, equations 1 and 5.
 */
#include <math.h>
#include "quant/codes.h"

static bool serves(const pare_scheme *s) { return s->kind == PARE_CODE_INT && !s->course; }

/* ---------------------------------------------------------------------------------------------------------- whole tensor */

typedef struct find_job { const pare_ranger *r; pare_qtensor *q; } find_job;

static pare_status find_block(void *arg, int64_t b, const pare_values *v, pare_err *err)
{
    const find_job *job = arg;
    return pare_ranger_find(job->r, v, &job->q->scales[b], &job->q->zeros[b], err);
}

static pare_status quantize(pare_ctx *ctx, const float *x, const float *scales_in, const int32_t *zeros_in, pare_qtensor *q, pare_err *err)
{
    pare_ranger r;
    pare_ranger_init(&q->scheme, &r);
    find_job job = {&r, q};
    pare_status st = scales_in != NULL ? pare_take_given(scales_in, zeros_in, q, err) : pare_for_blocks(ctx, x, &q->grid, find_block, &job, err);
    if (st == PARE_OK) st = pare_encode_linear(ctx, x, &r, q, err);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

typedef struct row_job {
    const pare_kernels *k;
    const pare_ranger *r;
    pare_row_quant shape;
    int64_t groups;
    pare_row_scratch s;
} row_job;

/* Scales and zero points of a row whose extremes are in s.lo and s.hi; x is needed for the clipping search only. */
static pare_status row_scales(const row_job *job, const float *x, float *scales, int32_t *zeros, pare_err *err)
{
    for (int64_t g = 0; g < job->groups; g++) {
        const double lo = job->r->symmetric ? 0.0 : job->s.lo[g], hi = job->s.hi[g];
        const int64_t from = g * job->shape.group, left = job->shape.n - from;
        const pare_values v = {.k = job->k, .x = x != NULL ? x + from : NULL, .n = left < job->shape.group ? left : job->shape.group};
        const pare_status st = pare_ranger_find_known(job->r, &v, lo, hi, &scales[g], &zeros[g], err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static pare_status row_from_f32(const row_job *job, const float *x, float *scales, int32_t *zeros, uint8_t *codes, pare_row_error *e, pare_err *err)
{
    if (job->r->symmetric) job->k->absmax_groups(x, job->shape.n, job->shape.group, job->s.hi);
    else job->k->minmax_groups(x, job->shape.n, job->shape.group, job->s.lo, job->s.hi);
    const pare_status st = row_scales(job, x, scales, zeros, err);
    if (st == PARE_OK) job->k->quant_error_row(x, &job->shape, scales, zeros, codes, e);
    return st;
}

/* The hot path: symmetric without search straight from bf16, no float row in between. */
static pare_status row_from_bf16(const row_job *job, const uint16_t *x, float *scales, int32_t *zeros, uint8_t *codes, pare_row_error *e, pare_err *err)
{
    job->k->absmax_groups_bf16(x, job->shape.n, job->shape.group, job->s.hi);
    const pare_status st = row_scales(job, NULL, scales, zeros, err);
    if (st == PARE_OK) job->k->quant_error_row_bf16(x, &job->shape, scales, zeros, codes, e);
    return st;
}

static pare_status one_row(const row_job *job, const pare_rows_in *in, int64_t row, pare_rows_out *out, pare_err *err)
{
    pare_status st = PARE_OK;
    float *scales = out->scales + row * job->groups;
    int32_t *zeros = out->zeros != NULL ? out->zeros + row * job->groups : job->s.zero;
    uint8_t *codes = out->codes + row * in->cols;
    pare_row_error e = {0};
    const float *x = NULL;
    if (in->dtype == PARE_BF16 && job->r->symmetric && !job->r->clip) {
        PARE_TRY(row_from_bf16(job, (const uint16_t *)in->data + row * in->cols, scales, zeros, codes, &e, err));
    } else {
        PARE_TRY(pare_row_values(job->k, in, row, &job->s, &x, err));
        PARE_TRY(row_from_f32(job, x, scales, zeros, codes, &e, err));
    }
    if (!isfinite(e.signal)) { /* squares of finite f32 do not overflow in double: the row holds NaN or Inf */
        if (x == NULL) PARE_TRY(pare_row_values(job->k, in, row, &job->s, &x, err));
        out->nonfinite += job->k->count_nonfinite(x, in->cols);
        x = pare_row_sanitize(x, in->cols, &job->s);
        PARE_TRY(row_from_f32(job, x, scales, zeros, codes, &e, err));
    }
    pare_row_error_add(&out->error, &e);
out:
    return st;
}

static pare_status quantize_rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err)
{
    pare_ranger r;
    pare_ranger_init(scheme, &r);
    row_job job = {.k = k, .r = &r, .groups = pare_scheme_groups_per_row(scheme, in->cols)};
    const int64_t group = scheme->granularity == PARE_PER_GROUP && scheme->group_size < in->cols ? scheme->group_size : in->cols;
    job.shape = (pare_row_quant){.n = in->cols, .group = group, .bits = r.bits, .umin = r.umin, .umax = r.umax};
    pare_row_scratch_cut(scheme, in->cols, scratch, &job.s);
    out->error = (pare_row_error){0};
    out->nonfinite = 0;
    for (int64_t row = 0; row < in->rows && in->cols > 0; row++) {
        const pare_status st = one_row(&job, in, row, out, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------ rounding by column */

static pare_status find(const pare_rounder *r, const float *x, int64_t rows, int64_t stride, int64_t n, const float *importance, float *scale, float *zero,
                        pare_err *err)
{
    pare_ranger ranger;
    pare_ranger_init(r->scheme, &ranger);
    for (int64_t i = 0; i < rows; i++) {
        const pare_values v = {.k = r->k, .x = x + i * stride, .n = n, .weight = importance};
        int32_t z;
        const pare_status st = pare_ranger_find(&ranger, &v, &scale[i], &z, err);
        if (st != PARE_OK) return st;
        zero[i] = (float)z;
    }
    return PARE_OK;
}

static void round_column(const pare_rounder *r, int64_t rows, const float *x, const float *scale, const float *zero, uint8_t *code, float *value)
{
    pare_ranger ranger;
    pare_ranger_init(r->scheme, &ranger);
    r->k->round_column(rows, x, scale, zero, ranger.umin, ranger.umax, code, value);
}

const pare_quantizer pare_q_linear = {
    .name = "linear",
    .help = "integer codes, W = (code - zero) * scale; 1 to 8 bits; tensor, channel, group or tile",
    .serves = serves,
    .check = pare_scheme_check,
    .quantize = quantize,
    .rows = quantize_rows,
    .scratch = pare_row_scratch_bytes,
    .find = find,
    .round = round_column,
};
