/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of LLM.int8(): int8 per output channel, rounded as bitsandbytes does, so that its codes come out bit for bit.
 *
 *   u = rne(W * (127 * (1 / absmax))) + 128,  scale = absmax / 127      a rounded reciprocal, times 127, where q_linear divides: they part at some ties
 *
 * A row of zeros has scale 0. Dettmers et al. 2022, arXiv 2208.07339. What happens to activations: graph/linear_forward.c.
 */
#include <math.h>
#include <string.h>
#include "quant/codes.h"

static bool serves(const pare_scheme *s)
{
    return s->kind == PARE_CODE_INT && s->act == PARE_ACT_OUTLIERS && s->bits == 8 && s->symmetric && s->clip == PARE_CLIP_NONE && !s->course &&
           s->range != PARE_RANGE_FULL && (s->scale_dtype == PARE_DTYPE_NONE || s->scale_dtype == PARE_F32) && s->granularity == PARE_PER_CHANNEL &&
           s->axis == 0;
}

static void code_row(const pare_kernels *k, const float *x, int64_t n, float *scale, uint8_t *codes)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding and taking it away rounds to a whole number */
    float most = 0.0f;
    if (n > 0) k->absmax_groups(x, n, n, &most);
    *scale = most / 127.0f;
    if (most == 0.0f) {
        memset(codes, 128, (size_t)n);
        return;
    }
    const float factor = 127.0f * (1.0f / most); /* torch's 127.0 / tensor */
    for (int64_t i = 0; i < n; i++) {
        float t = x[i] * factor; /* a tiny row overflows to inf: held at the ends */
        t = t > -127.0f ? t : -127.0f;
        t = t < 127.0f ? t : 127.0f;
        codes[i] = (uint8_t)((int)((t + magic) - magic) + 128);
    }
}

typedef struct row_job { const pare_kernels *k; const float *x; pare_qtensor *q; int64_t n; } row_job;

static pare_status one_row(void *arg, int64_t row, int worker, pare_err *err)
{
    const row_job *job = arg;
    (void)worker, (void)err;
    code_row(job->k, job->x + row * job->n, job->n, &job->q->scales[row], job->q->codes + row * job->n);
    return PARE_OK;
}

static pare_status encode_given(pare_ctx *ctx, const float *x, const float *scales, const int32_t *zeros, pare_qtensor *q, pare_err *err)
{
    pare_ranger r;
    pare_ranger_init(&q->scheme, &r);
    const pare_status st = pare_take_given(scales, zeros, q, err);
    return st == PARE_OK ? pare_encode_linear(ctx, x, &r, q, err) : st;
}

static pare_status quantize(pare_ctx *ctx, const float *x, const float *scales_in, const int32_t *zeros_in, pare_qtensor *q, pare_err *err)
{
    if (scales_in != NULL) return encode_given(ctx, x, scales_in, zeros_in, q, err);
    if (q->grid.n_scales == 0 || q->grid.numel == 0) return PARE_OK;
    row_job job = {.k = pare_quant_kernels(ctx), .x = x, .q = q, .n = q->grid.numel / q->grid.n_scales};
    return pare_quant_parallel(ctx, q->grid.n_scales, one_row, &job, err);
}

static void stream_row(const pare_row_coder *c, void *own, int64_t row, const float *x)
{
    uint8_t *codes = c->out->codes + row * c->cols;
    (void)own;
    code_row(c->k, x, c->cols, &c->out->scales[row], codes);
    if (c->out->zeros != NULL) c->out->zeros[row] = 128;
    for (int64_t i = 0; i < c->cols; i++) c->s.y[i] = (float)((int)codes[i] - 128) * c->out->scales[row];
}

static pare_status quantize_rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err)
{
    return pare_code_rows(k, scheme, in, scratch, out, stream_row, NULL, err);
}

const pare_quantizer pare_q_llm_int8 = {
    .name = "llm_int8",
    .help = "8-bit integer codes per output channel, rounded as bitsandbytes' LLM.int8()",
    .serves = serves,
    .check = pare_scheme_check,
    .quantize = quantize,
    .rows = quantize_rows,
    .scratch = pare_row_scratch_bytes,
};
