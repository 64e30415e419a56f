/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the courses "Quantization in Depth" and "Quantization Fundamentals", defects included, so that their
 * printed numbers come out (docs/lessons.md). scheme.course = true; everything else in pare uses q_linear.c.
 *
 *   asymmetric   s = (rmax - rmin) / (qmax - qmin),  z = qmin - rmin / s     in double; the range is not widened to hold 0:
 *                z outside [qmin, qmax] is clipped, which loses the data; else rounded half to even
 *   symmetric    s = max|r| / qmax                                          in double; z = 0
 *   codes        q = clamp(rne(r / s + z), qmin, qmax)                      in float32, s stored as float32
 *                qmin = -2^(b-1), qmax = 2^(b-1) - 1, the whole range in both modes
 *   16-bit scales (the course's W8A16 layer): s = (max|r| / qmax) in f32, stored in that dtype; q = rne(r / s) in that dtype,
 *                cast to b bits with wrap-around, no clamp: 127.5 becomes 128 becomes -128
 *
 * A division by zero, NaN there, is an error here.
 */
#include <math.h>
#include "quant/codes.h"

static bool serves(const pare_scheme *s) { return s->kind == PARE_CODE_INT && s->course; }

/* Set when the codes are computed in a 16-bit dtype and wrap. */
static bool wraps(const pare_scheme *s) { return s->symmetric && (s->scale_dtype == PARE_F16 || s->scale_dtype == PARE_BF16); }

/* ------------------------------------------------------------------------------------------------------- scale and zero */

static void clip_zero(pare_course_params *p, double qmin, double qmax)
{
    if (p->zero_raw < qmin) p->zero = (int32_t)qmin;
    else if (p->zero_raw > qmax) p->zero = (int32_t)qmax;
    else p->zero = (int32_t)nearbyint(p->zero_raw);
}

pare_status pare_course_get_params(const float *data, int64_t n, int bits, bool symmetric, pare_course_params *out, pare_err *err)
{
    *out = (pare_course_params){0};
    if (n < 1) return pare_fail(err, PARE_ERR_DATA, "course: no values to find a range of");
    if (bits < (symmetric ? 2 : 1) || bits > 8)
        return pare_fail(err, PARE_ERR_USAGE, "course: %d bits %s; %d to 8 are possible", bits, symmetric ? "symmetric" : "asymmetric", symmetric ? 2 : 1);
    const double qmin = -(double)(1 << (bits - 1)), qmax = (double)(1 << (bits - 1)) - 1.0;
    double lo = data[0], hi = data[0];
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(data[i])) return pare_fail(err, PARE_ERR_DATA, "course: value %lld is NaN or infinite", (long long)i);
        lo = fmin(lo, data[i]);
        hi = fmax(hi, data[i]);
    }
    out->min = lo;
    out->max = hi;
    out->scale = symmetric ? fmax(-lo, hi) / qmax : (hi - lo) / (qmax - qmin);
    if (out->scale == 0.0) {
        if (symmetric) pare_fail(err, PARE_ERR_DATA, "course: all %lld values are 0, so the scale is 0 and the course divides by zero", (long long)n);
        else pare_fail(err, PARE_ERR_DATA, "course: all %lld values are %g, so the scale is 0 and the course divides by zero", (long long)n, lo);
        pare_hint(err, "without the course's arithmetic such a tensor has scale 1 or a range that holds 0");
        return PARE_ERR_DATA;
    }
    out->zero_raw = symmetric ? 0.0 : qmin - lo / out->scale;
    clip_zero(out, qmin, qmax);
    return PARE_OK;
}

static pare_status block_params(const pare_scheme *s, const float *x, int64_t n, float *scale, int32_t *zero, pare_err *err)
{
    pare_course_params p;
    const pare_status st = pare_course_get_params(x, n, s->bits, s->symmetric, &p, err);
    if (st != PARE_OK) return st;
    *scale = pare_round_to(s->scale_dtype == PARE_DTYPE_NONE ? PARE_F32 : s->scale_dtype, (float)p.scale);
    *zero = p.zero + (1 << (s->bits - 1));
    if (*scale == 0.0f || !isfinite(*scale))
        return pare_fail(err, PARE_ERR_DATA, "course: the scale %g is %g in its dtype, and the course divides by it", p.scale, (double)*scale);
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- codes */

static uint8_t clamped_code(float r, float s, float z, int bits)
{
    const float half = (float)(1 << (bits - 1));
    const float sum = r / s + z; /* two float32 operations, as torch does them */
    float q = nearbyintf(sum);
    if (!(q >= -half)) q = -half;
    if (q > half - 1.0f) q = half - 1.0f;
    return (uint8_t)((int)q + (1 << (bits - 1)));
}

static uint8_t wrapped_code(float r, float s, pare_dtype dtype, int bits)
{
    const float quotient = pare_round_to(dtype, pare_round_to(dtype, r) / s);
    const float q = pare_round_to(dtype, nearbyintf(quotient));
    const int64_t whole = fabsf(q) < 1e9f ? (int64_t)q : 0; /* what a cast of more than that gives is anyone's guess */
    return (uint8_t)((uint64_t)(whole + (1 << (bits - 1))) & ((1u << bits) - 1));
}

static void encode(const pare_scheme *s, const float *x, int64_t n, float scale, int32_t zero, uint8_t *codes)
{
    const float z = (float)(zero - (1 << (s->bits - 1)));
    if (wraps(s))
        for (int64_t i = 0; i < n; i++) codes[i] = wrapped_code(x[i], scale, s->scale_dtype, s->bits);
    else
        for (int64_t i = 0; i < n; i++) codes[i] = clamped_code(x[i], scale, z, s->bits);
}

/* ---------------------------------------------------------------------------------------------------------- whole tensor */

static pare_status find_block(void *arg, int64_t b, const pare_values *v, pare_err *err)
{
    pare_qtensor *q = arg;
    const pare_status st = block_params(&q->scheme, v->x, v->n, &q->scales[b], &q->zeros[b], err);
    return st != PARE_OK && q->grid.n_scales > 1 ? pare_context(err, st, "block %lld", (long long)b) : st;
}

static pare_status quantize(pare_ctx *ctx, const float *x, const float *scales_in, const int32_t *zeros_in, pare_qtensor *q, pare_err *err)
{
    pare_view view;
    pare_view_init(&q->grid, &view);
    const pare_status st = scales_in != NULL ? pare_take_given(scales_in, zeros_in, q, err) : pare_for_blocks(ctx, x, &q->grid, find_block, q, err);
    if (st != PARE_OK) return st;
    for (int64_t at = 0; at < view.numel;) {
        const pare_span s = pare_view_span(&view, at, view.numel);
        for (int64_t i = 0; i < s.n; i += s.group) {
            const int64_t g = s.first + i / s.group, n = s.n - i < s.group ? s.n - i : s.group;
            encode(&q->scheme, x + at + i, n, q->scales[g], q->zeros[g], q->codes + at + i);
        }
        at += s.n;
    }
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

static pare_status one_row(const pare_kernels *k, const pare_scheme *s, const float *x, int64_t n, float *scales, int32_t *zeros, uint8_t *codes,
                           float *y, pare_row_error *e, pare_err *err)
{
    const int64_t group = s->granularity == PARE_PER_GROUP && s->group_size < n ? s->group_size : n;
    const pare_row_quant row = {.n = n, .group = group, .bits = s->bits, .umin = 0, .umax = (1 << s->bits) - 1};
    for (int64_t at = 0, g = 0; at < n; at += group, g++) {
        const int64_t count = n - at < group ? n - at : group;
        const pare_status st = block_params(s, x + at, count, &scales[g], &zeros[g], err);
        if (st != PARE_OK) return st;
        encode(s, x + at, count, scales[g], zeros[g], codes + at);
    }
    k->dequant_row(codes, &row, scales, zeros, y);
    k->row_error(x, y, n, e);
    return PARE_OK;
}

static pare_status quantize_rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_row_scratch s;
    const int64_t groups = pare_scheme_groups_per_row(scheme, in->cols);
    pare_row_scratch_cut(scheme, in->cols, scratch, &s);
    out->error = (pare_row_error){0};
    out->nonfinite = 0;
    for (int64_t row = 0; row < in->rows && in->cols > 0 && st == PARE_OK; row++) {
        const float *x;
        pare_row_error e = {0};
        int32_t *zeros = out->zeros != NULL ? out->zeros + row * groups : s.zero;
        PARE_TRY(pare_row_values(k, in, row, &s, &x, err));
        const int64_t bad = k->count_nonfinite(x, in->cols);
        out->nonfinite += bad;
        if (bad > 0) x = pare_row_sanitize(x, in->cols, &s);
        PARE_TRY(one_row(k, scheme, x, in->cols, out->scales + row * groups, zeros, out->codes + row * in->cols, s.y, &e, err));
        pare_row_error_add(&out->error, &e);
    }
out:
    return st;
}

const pare_quantizer pare_q_course = {
    .name = "course",
    .help = "integer codes by the arithmetic of the courses, defects included, for the lessons' numbers",
    .serves = serves,
    .check = pare_scheme_check,
    .quantize = quantize,
    .rows = quantize_rows,
    .scratch = pare_row_scratch_bytes,
};
