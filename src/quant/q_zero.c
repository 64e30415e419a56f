/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer codes with float zero points, 1 to 8 bits: W ~ (u - zero) * scale, the grid of HQQ (Badri and Shaji 2023).
 *
 *   scale = (max - min) / (2^b - 1), zero = -min / scale      the range is the values' own: 0 need not lie in it, nor be exact
 *   u = clamp(rne(W / scale + zero), 0, 2^b - 1)              scale and zero as stored, both in the scheme's scale dtype
 *
 * A block of one value has scale 1. With a search (clip) scale and zero are fitted to the codes by least squares and the codes made again, in turns, from
 * the whole range and from narrower ones:
 *
 *   s = (n sum(xu) - sum(x) sum(u)) / (n sum(u^2) - sum(u)^2),  z = (sum(u) - sum(x) / s) / n
 *
 * Groups along a row (axis 1 of HQQ) or across the whole tensor (its axis 0): quant.h.
 */
#include "quant/zero.h"
#include <float.h>
#include <math.h>

static bool serves(const pare_scheme *s) { return s->kind == PARE_CODE_INT && s->float_zero; }

void pare_zeroer_init(const pare_scheme *s, pare_zeroer *z)
{
    *z = (pare_zeroer){.umax = (1 << s->bits) - 1, .clip = s->clip != PARE_CLIP_NONE};
    z->dtype = s->scale_dtype == PARE_DTYPE_NONE ? PARE_F32 : s->scale_dtype;
}

/* -------------------------------------------------------------------------------------------------------------- search */

/* Ranges get narrower: one that begins with twice the least error so far cuts off more than any rounding can win back, and so do those after it. */
#define GIVE_UP 2.0

typedef struct search { const pare_zeroer *z; const pare_kernels *k; const float *x, *weight; int64_t n; pare_zero_sums sums; double last, error; float scale, zero; } search;

static void store(const pare_zeroer *z, double scale, double zero, float *s, float *t)
{
    *s = pare_scale_store(z->dtype, scale);
    *t = pare_round_to(z->dtype, (float)zero);
    if (!isfinite(*t)) *t = 0.0f;
}

/* Error of the codes under (scale, zero); the least-squares fit of both to those codes, as stored. False when there is none. */
static bool try_pair(search *s, float scale, float zero, float *fit_scale, float *fit_zero)
{
    pare_zero_sums a = s->sums;
    s->k->zero_sums(s->x, s->weight, s->n, scale, zero, s->z->umax, &a);
    const double t = scale, z = zero;
    const double error = a.xx - 2.0 * t * (a.xu - z * a.x) + t * t * (a.uu - 2.0 * z * a.u + z * z * a.w);
    s->last = error;
    if (error < s->error) s->error = error, s->scale = scale, s->zero = zero;
    const double spread = a.w * a.uu - a.u * a.u, slope = spread > 0.0 ? (a.w * a.xu - a.x * a.u) / spread : 0.0;
    if (!(slope > 0.0)) return false;
    store(s->z, slope, (a.u - a.x / slope) / a.w, fit_scale, fit_zero);
    return true;
}

void pare_zeroer_find(const pare_zeroer *z, const pare_kernels *k, const float *x, const float *weight, int64_t n, float *scale, float *zero)
{
    static const double shares[] = {1.0, 0.9, 0.8, 0.7, 0.55};
    float lo = 0.0f, hi = 0.0f;
    if (n > 0) k->minmax(x, n, &lo, &hi);
    const double range = (double)hi - lo, middle = ((double)hi + lo) / 2.0;
    if (!(range > 0.0)) {
        *scale = 1.0f;
        *zero = pare_round_to(z->dtype, -lo);
        return;
    }
    store(z, range / z->umax, -lo * (z->umax / range), scale, zero);
    if (!z->clip) return;
    search s = {.z = z, .k = k, .x = x, .weight = weight, .n = n, .error = HUGE_VAL, .scale = *scale, .zero = *zero};
    k->value_sums(x, weight, n, &s.sums);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        const double narrow = range * shares[i];
        float a, b;
        store(z, narrow / z->umax, (narrow / 2.0 - middle) * (z->umax / narrow), &a, &b);
        for (int turn = 0; turn < 6; turn++) {
            const double before = s.error;
            float next_a, next_b;
            const bool fits = try_pair(&s, a, b, &next_a, &next_b);
            if (turn == 0 && s.last > GIVE_UP * s.error) goto out;
            if (!fits || (next_a == a && next_b == b) || (turn > 1 && !(s.error < before))) break;
            a = next_a;
            b = next_b;
        }
    }
out:
    *scale = s.scale;
    *zero = s.zero;
}

/* ---------------------------------------------------------------------------------------------------------- whole tensor */

typedef struct find_job { const pare_zeroer *z; pare_qtensor *q; } find_job;

static pare_status find_block(void *arg, int64_t b, const pare_values *v, pare_err *err)
{
    const find_job *job = arg;
    (void)err;
    pare_zeroer_find(job->z, v->k, v->x, NULL, v->n, &job->q->scales[b], &job->q->fzeros[b]);
    return PARE_OK;
}

typedef struct encode_job { const pare_kernels *k; const float *x; pare_qtensor *q; int umax; pare_view view; } encode_job;

static pare_status encode_cut(void *arg, int64_t cut, int worker, pare_err *err)
{
    const encode_job *job = arg;
    pare_qtensor *q = job->q;
    const int64_t end = job->view.numel - cut * PARE_CUT < PARE_CUT ? job->view.numel : (cut + 1) * PARE_CUT;
    float values[256];
    (void)worker, (void)err;
    for (int64_t at = cut * PARE_CUT; at < end;) {
        const pare_span s = pare_view_span(&job->view, at, end);
        if (s.group == 1) { /* a scale a neighbour: groups across */
            for (int64_t i = 0; i < s.n; i += 256) {
                const int64_t n = s.n - i < 256 ? s.n - i : 256;
                job->k->round_column_zero(n, job->x + at + i, q->scales + s.first + i, q->fzeros + s.first + i, job->umax, q->codes + at + i, values);
            }
            at += s.n;
            continue;
        }
        for (int64_t i = 0; i < s.n; i += s.group) {
            const int64_t g = s.first + i / s.group, n = s.n - i < s.group ? s.n - i : s.group;
            job->k->quant_zero(job->x + at + i, n, q->scales[g], q->fzeros[g], job->umax, q->codes + at + i);
        }
        at += s.n;
    }
    return PARE_OK;
}

static pare_status quantize(pare_ctx *ctx, const float *x, const float *scales_in, const int32_t *zeros_in, pare_qtensor *q, pare_err *err)
{
    pare_zeroer z;
    pare_zeroer_init(&q->scheme, &z);
    find_job find = {&z, q};
    pare_status st = scales_in != NULL ? pare_take_given(scales_in, NULL, q, err) : pare_for_blocks(ctx, x, &q->grid, find_block, &find, err);
    for (int64_t i = 0; st == PARE_OK && scales_in != NULL && i < q->grid.n_scales; i++)
        q->fzeros[i] = zeros_in != NULL ? (float)zeros_in[i] : (float)(1 << (q->scheme.bits - 1));
    encode_job job = {.k = pare_quant_kernels(ctx), .x = x, .q = q, .umax = z.umax};
    pare_view_init(&q->grid, &job.view);
    return st == PARE_OK ? pare_quant_parallel(ctx, pare_cuts(q->grid.numel), encode_cut, &job, err) : st;
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

static void code_row(const pare_row_coder *c, void *own, int64_t row, const float *x)
{
    const pare_zeroer *z = own;
    float *scales = c->out->scales + row * c->groups, *zeros = c->out->fzeros + row * c->groups;
    uint8_t *codes = c->out->codes + row * c->cols;
    for (int64_t at = 0, g = 0; at < c->cols; at += c->group, g++) {
        const int64_t n = c->cols - at < c->group ? c->cols - at : c->group;
        pare_zeroer_find(z, c->k, x + at, NULL, n, &scales[g], &zeros[g]);
        c->k->quant_zero(x + at, n, scales[g], zeros[g], z->umax, codes + at);
        for (int64_t i = at; i < at + n; i++) c->s.y[i] = ((float)codes[i] - zeros[g]) * scales[g];
    }
}

static pare_status quantize_rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err)
{
    pare_zeroer z;
    pare_zeroer_init(scheme, &z);
    return pare_code_rows(k, scheme, in, scratch, out, code_row, &z, err);
}

/* ------------------------------------------------------------------------------------------------------ rounding by column */

static pare_status find(const pare_rounder *r, const float *x, int64_t rows, int64_t stride, int64_t n, const float *importance, float *scale, float *zero,
                        pare_err *err)
{
    pare_zeroer z;
    (void)err;
    pare_zeroer_init(r->scheme, &z);
    for (int64_t i = 0; i < rows; i++) pare_zeroer_find(&z, r->k, x + i * stride, importance, n, &scale[i], &zero[i]);
    return PARE_OK;
}

static void round_column(const pare_rounder *r, int64_t rows, const float *x, const float *scale, const float *zero, uint8_t *code, float *value)
{
    r->k->round_column_zero(rows, x, scale, zero, (1 << r->scheme->bits) - 1, code, value);
}

const pare_quantizer pare_q_zero = {
    .name = "zero",
    .help = "integer codes with float zero points, W = (code - zero) * scale, as HQQ stores them; 1 to 8 bits",
    .serves = serves,
    .check = pare_scheme_check,
    .quantize = quantize,
    .rows = quantize_rows,
    .scratch = pare_row_scratch_bytes,
    .find = find,
    .round = round_column,
};
