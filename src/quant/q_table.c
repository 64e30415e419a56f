/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sixteen values a code: W ~ value[u] * scale; NF4 and FP4 in blocks of 64, MXFP4 in groups of 32, NVFP4 in groups of 16. Tables, scales and papers:
 * table.c; scales as codes (`nested`): nested.c.
 *
 * A last short block of the flattened tensor is divided by its scale where whole blocks are multiplied by 1 / scale, as bitsandbytes does.
 */
#include <math.h>
#include "quant/table.h"

static bool serves(const pare_scheme *s)
{
    return s->kind == PARE_CODE_TABLE || (s->kind == PARE_CODE_FLOAT && s->code_dtype == PARE_F4_E2M1);
}

/* ---------------------------------------------------------------------------------------------------------- whole tensor */

typedef struct find_job { const pare_tabler *t; pare_qtensor *q; } find_job;

static pare_status find_block(void *arg, int64_t b, const pare_values *v, pare_err *err)
{
    const find_job *job = arg;
    (void)err;
    job->q->scales[b] = pare_tabler_find(job->t, v->k, v->x, NULL, v->n);
    return PARE_OK;
}

typedef struct encode_job { const pare_kernels *k; const float *x; pare_qtensor *q; const pare_tabler *t; pare_table16 divides; pare_view view; int64_t whole; } encode_job;

static pare_status encode_cut(void *arg, int64_t cut, int worker, pare_err *err)
{
    const encode_job *job = arg;
    pare_qtensor *q = job->q;
    const int64_t end = job->view.numel - cut * PARE_CUT < PARE_CUT ? job->view.numel : (cut + 1) * PARE_CUT;
    (void)worker, (void)err;
    for (int64_t at = cut * PARE_CUT; at < end;) {
        const pare_span s = pare_view_span(&job->view, at, end);
        for (int64_t i = 0; i < s.n; i += s.group) {
            const int64_t n = s.n - i < s.group ? s.n - i : s.group;
            const float step = pare_tabler_step(job->t, q->scales[s.first + i / s.group]);
            job->k->quant_table(job->x + at + i, n, step, at + i >= job->whole ? &job->divides : &job->t->table, q->codes + at + i);
        }
        at += s.n;
    }
    return PARE_OK;
}

static float tensor_absmax(pare_ctx *ctx, const float *x, int64_t n)
{
    const pare_kernels *k = pare_quant_kernels(ctx);
    float most = 0.0f;
    for (int64_t at = 0; at < n; at += PARE_CUT) {
        float m = 0.0f;
        const int64_t some = n - at < PARE_CUT ? n - at : PARE_CUT;
        k->absmax_groups(x + at, some, some, &m);
        most = fmaxf(most, m);
    }
    return most;
}

static pare_status quantize(pare_ctx *ctx, const float *x, const float *scales_in, const int32_t *zeros_in, pare_qtensor *q, pare_err *err)
{
    pare_tabler t;
    if (zeros_in != NULL) return pare_fail(err, PARE_ERR_USAGE, "codes of a table of 16 values have no zero points");
    if (q->scheme.two_level) q->global_scale = pare_rounder_global(&q->scheme, tensor_absmax(ctx, x, q->grid.numel));
    pare_tabler_init(&q->scheme, q->global_scale, &t);
    find_job find = {&t, q};
    pare_status st = scales_in != NULL ? pare_take_given(scales_in, NULL, q, err) : pare_for_blocks(ctx, x, &q->grid, find_block, &find, err);
    encode_job job = {.k = pare_quant_kernels(ctx), .x = x, .q = q, .t = &t, .divides = t.table, .whole = q->grid.numel};
    job.divides.reciprocal = false;
    if (q->grid.flat == PARE_FLAT_ALONG) job.whole -= q->grid.numel % q->grid.block[q->grid.ndim - 1];
    pare_view_init(&q->grid, &job.view);
    if (st == PARE_OK) st = pare_quant_parallel(ctx, pare_cuts(q->grid.numel), encode_cut, &job, err);
    return st == PARE_OK && q->scheme.nested ? pare_qtensor_nest(q, err) : st;
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

static void code_row(const pare_row_coder *c, void *own, int64_t row, const float *x)
{
    const pare_tabler *t = own;
    float *scales = c->out->scales + row * c->groups, *y = c->s.y;
    uint8_t *codes = c->out->codes + row * c->cols;
    for (int64_t at = 0, g = 0; at < c->cols; at += c->group, g++) {
        const int64_t m = c->cols - at < c->group ? c->cols - at : c->group;
        scales[g] = pare_tabler_find(t, c->k, x + at, NULL, m);
        const float step = pare_tabler_step(t, scales[g]);
        c->k->quant_table(x + at, m, step, &t->table, codes + at);
        for (int64_t i = 0; i < m; i++) y[at + i] = t->table.value[codes[at + i]] * step;
    }
}

static pare_status quantize_rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err)
{
    pare_tabler t;
    pare_tabler_init(scheme, 1.0f, &t);
    return pare_code_rows(k, scheme, in, scratch, out, code_row, &t, err);
}

/* ------------------------------------------------------------------------------------------------------ rounding by column */

static pare_status find(const pare_rounder *r, const float *x, int64_t rows, int64_t stride, int64_t n, const float *importance, float *scale, float *zero,
                        pare_err *err)
{
    pare_tabler t;
    (void)err;
    pare_tabler_init(r->scheme, r->global, &t);
    for (int64_t i = 0; i < rows; i++) {
        scale[i] = pare_tabler_find(&t, r->k, x + i * stride, importance, n);
        zero[i] = 0.0f;
    }
    return PARE_OK;
}

enum { PIECE = 256 };

static void round_column(const pare_rounder *r, int64_t rows, const float *x, const float *scale, const float *zero, uint8_t *code, float *value)
{
    pare_tabler t;
    float step[PIECE];
    (void)zero;
    pare_tabler_init(r->scheme, r->global, &t);
    if (!t.two_level) {
        r->k->round_column_table(rows, x, scale, &t.table, code, value);
        return;
    }
    for (int64_t i = 0; i < rows; i += PIECE) {
        const int64_t n = rows - i < PIECE ? rows - i : PIECE;
        for (int64_t j = 0; j < n; j++) step[j] = scale[i + j] * t.global;
        r->k->round_column_table(n, x + i, step, &t.table, code + i, value + i);
    }
}

const pare_quantizer pare_q_table = {
    .name = "table",
    .help = "4-bit codes for one of 16 values, W = value * scale: NF4, FP4, MXFP4, NVFP4",
    .serves = serves,
    .check = pare_scheme_check,
    .quantize = quantize,
    .rows = quantize_rows,
    .scratch = pare_row_scratch_bytes,
    .find = find,
    .round = round_column,
};
