/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activations that a scheme quantizes to something else than int8 per token or tensor: they are quantized and dequantized, x', exactly as the scheme
 * says, and the layer computes with x' as exact mode does.
 *
 *   float8, e2m1   per token, per tensor (static) or in groups, scales in f32, of powers of two (MX) or of two levels (NVFP4): the rounding of
 *                  src/quant, a token in the place of a row. NVFP4 without a stored second level: the token's own.
 *   LLM.int8()     Dettmers et al. 2022, arXiv 2208.07339: a column of the call is an outlier column when some token has |x| >= threshold there.
 *                      outlier columns   x' = x
 *                      the others        x' = q a / 127,  q = rne(x (127 (1 / a))),  a = max |x| of the token's entries below the threshold
 *                  As in bitsandbytes, a is taken over entries, not columns; and a token's result depends on the tokens it is computed with.
 *                  threshold inf is plain W8A8, and left to that.
 *   int8           per token or tensor: only for float weights that stand for a quantized layer (calibration); layers of codes compute with the codes
 */
#include <math.h>
#include <string.h>
#include "graph/linear.h"

pare_status pare_linear_set_act(pare_linear *l, const pare_scheme *s, float input_scale, pare_err *err)
{
    l->act = PARE_ACT_NONE;
    memset(&l->sim, 0, sizeof l->sim);
    if (s->act == PARE_ACT_NONE || s->act_bits >= 16) return PARE_OK;
    const bool none_out = s->act == PARE_ACT_OUTLIERS && isinf(s->act_threshold), floats = s->act_float || s->kind == PARE_CODE_FLOAT;
    if (s->act == PARE_ACT_STATIC_TENSOR && !(input_scale > 0.0f && isfinite(input_scale)))
        return pare_fail(err, PARE_ERR_FORMAT, "activations have one static scale, and it is %g", (double)input_scale);
    if (!floats && (s->act == PARE_ACT_DYNAMIC_TOKEN || s->act == PARE_ACT_STATIC_TENSOR || none_out)) {
        if (s->kind != PARE_CODE_INT || s->act_bits != 8)
            return pare_fail(err, PARE_ERR_UNSUPPORTED, "activations of %d-bit integers with weights of scheme %s", s->act_bits, s->name);
        l->act = none_out ? PARE_ACT_DYNAMIC_TOKEN : s->act;
        l->act_scale = input_scale;
        return PARE_OK;
    }
    pare_act_sim *a = &l->sim;
    a->act = s->act;
    a->threshold = s->act_threshold;
    a->scale = input_scale;
    if (s->act == PARE_ACT_OUTLIERS) return PARE_OK;
    if (!floats) return pare_fail(err, PARE_ERR_UNSUPPORTED, "integer activations in groups of %lld", (long long)s->act_group);
    pare_scheme *x = &a->scheme;
    pare_scheme_init(x);
    x->kind = PARE_CODE_FLOAT;
    x->bits = s->act_bits;
    x->code_dtype = s->act_bits == 4 ? PARE_F4_E2M1 : PARE_F8_E4M3FN;
    x->granularity = s->act == PARE_ACT_DYNAMIC_GROUP ? PARE_PER_GROUP : PARE_PER_CHANNEL;
    x->axis = s->act == PARE_ACT_DYNAMIC_GROUP ? -1 : 0;
    x->group_size = s->act_group;
    x->scale_dtype = s->scale_dtype == PARE_F8_E8M0 ? PARE_F8_E8M0 : s->two_level ? PARE_F8_E4M3FN : PARE_F32;
    x->two_level = s->two_level;
    return pare_scheme_check(x, 0, NULL, err);
}

pare_status pare_linear_simulate_act(pare_linear *l, const pare_scheme *s, float input_scale, const float *fold, pare_err *err)
{
    const pare_status st = pare_linear_set_act(l, s, input_scale, err);
    if (st != PARE_OK) return st;
    if (l->act != PARE_ACT_NONE) l->sim = (pare_act_sim){ .act = l->act, .int8 = true, .scale = l->act == PARE_ACT_STATIC_TENSOR ? l->act_scale : 0.0f };
    if (l->sim.act != PARE_ACT_NONE) l->sim.fold = fold;
    l->act = PARE_ACT_NONE;
    return PARE_OK;
}

/* ---------------------------------------------------------------------------------------------------------------- floats */

typedef struct sim_job { pare_ctx *ctx; const pare_act_sim *a; int64_t n, cols; const float *x; int64_t stride; float *out; uint8_t *scratch; size_t each, find; const bool *outlier; } sim_job;

static pare_status one_token(const sim_job *j, int64_t t, uint8_t *scratch, pare_err *err)
{
    const pare_act_sim *a = j->a;
    const float *x = j->x + t * j->stride;
    const int64_t cols = j->cols, group = a->act == PARE_ACT_DYNAMIC_GROUP && a->scheme.group_size < cols ? a->scheme.group_size : cols;
    float *scale = (float *)(void *)(scratch + j->find), *zero = scale + cols, *found = zero + cols;
    uint8_t *codes = (uint8_t *)(found + 2 * (cols / group + 2));
    pare_rounder r = {.k = j->ctx->kernels, .scheme = &a->scheme, .global = 1.0f, .scratch = scratch};
    if (a->scheme.two_level) {
        float most = 0.0f;
        j->ctx->kernels->absmax_groups(x, cols, cols, &most);
        r.global = a->scale > 0.0f ? a->scale : pare_rounder_global(&a->scheme, most);
    }
    memset(zero, 0, (size_t)cols * sizeof *zero);
    for (int64_t g = 0, c = 0; c < cols; g++) {
        const int64_t n = cols - c < group ? cols - c : group;
        float *unused = found + cols / group + 2;
        const pare_status st = a->act == PARE_ACT_STATIC_TENSOR ? PARE_OK : pare_rounder_find(&r, x + c, 1, n, n, NULL, &found[g], &unused[g], err);
        if (st != PARE_OK) return st;
        const float s = a->act == PARE_ACT_STATIC_TENSOR ? a->scale : found[g];
        for (const int64_t end = c + n; c < end; c++) scale[c] = s;
    }
    pare_rounder_round(&r, cols, x, scale, zero, codes, j->out + t * cols);
    return PARE_OK;
}

/* -------------------------------------------------------------------------------------------------------------- outliers */

static void mark_outliers(const sim_job *j, bool *outlier)
{
    memset(outlier, 0, (size_t)j->cols * sizeof *outlier);
    for (int64_t t = 0; t < j->n; t++)
        for (int64_t c = 0; c < j->cols; c++) outlier[c] |= fabsf(j->x[t * j->stride + c]) >= j->a->threshold;
}

static void one_int8_token(const sim_job *j, int64_t t)
{
    const float *x = j->x + t * j->stride, magic = 12582912.0f; /* 1.5 * 2^23 */
    float *out = j->out + t * j->cols, most = 0.0f;
    for (int64_t c = 0; c < j->cols; c++) {
        const float m = fabsf(x[c]);
        if (m < j->a->threshold && m > most) most = m;
    }
    const float factor = most > 0.0f ? 127.0f * (1.0f / most) : 0.0f, step = most / 127.0f; /* torch's 127.0 / tensor */
    for (int64_t c = 0; c < j->cols; c++) out[c] = j->outlier[c] ? x[c] : ((x[c] * factor + magic) - magic) * step;
}

static void one_coded_token(const sim_job *j, int64_t t, int8_t *codes)
{
    float scale, *out = j->out + t * j->cols;
    j->ctx->kernels->act_int8(j->x + t * j->stride, j->cols, j->cols, j->a->scale, codes, &scale);
    for (int64_t c = 0; c < j->cols; c++) out[c] = (float)codes[c] * scale;
}

static pare_status tokens(void *arg, int64_t i, int worker, pare_err *err)
{
    const sim_job *j = arg;
    if (j->a->int8) {
        one_coded_token(j, i, (int8_t *)j->scratch + (size_t)worker * j->each);
        return PARE_OK;
    }
    if (j->a->act != PARE_ACT_OUTLIERS) return one_token(j, i, j->scratch + (size_t)worker * j->each, err);
    one_int8_token(j, i);
    return PARE_OK;
}

static pare_status simulate(pare_ctx *ctx, const pare_act_sim *a, int64_t n, int64_t cols, const float *x, int64_t stride, float *out, pare_err *err)
{
    sim_job j = {.ctx = ctx, .a = a, .n = n, .cols = cols, .x = x, .stride = stride, .out = out};
    const bool ints = a->act == PARE_ACT_OUTLIERS;
    j.find = ints || a->int8 ? 0 : (pare_rounder_scratch(&a->scheme, cols) + 63) & ~(size_t)63;
    j.each = a->int8 ? ((size_t)cols + 63) & ~(size_t)63 : ints ? 0 : (j.find + (size_t)cols * 21 + 128 + 63) & ~(size_t)63;
    const size_t bytes = ints ? (size_t)cols : j.each * (size_t)pare_ctx_threads(ctx);
    j.scratch = pare_alloc_aligned(64, bytes);
    if (!j.scratch) return pare_no_memory(err, "activations", bytes);
    if (ints) {
        mark_outliers(&j, (bool *)j.scratch);
        j.outlier = (const bool *)j.scratch;
    }
    const pare_status st = pare_parallel(ctx, n, tokens, &j, err);
    pare_dealloc_aligned(j.scratch);
    return st;
}

pare_status pare_act_simulate(pare_ctx *ctx, const pare_act_sim *a, int64_t n, int64_t cols, const float *x, int64_t stride, float *out, pare_err *err)
{
    if (!a->fold) return simulate(ctx, a, n, cols, x, stride, out, err);
    float *divided = pare_alloc_aligned(64, (size_t)(n * cols) * sizeof *divided);
    if (!divided) return pare_no_memory(err, "activations", (size_t)(n * cols) * sizeof *divided);
    for (int64_t t = 0; t < n; t++)
        for (int64_t c = 0; c < cols; c++) divided[t * cols + c] = x[t * stride + c] / a->fold[c];
    const pare_status st = simulate(ctx, a, n, cols, divided, cols, out, err);
    for (int64_t t = 0; t < n && st == PARE_OK; t++)
        for (int64_t c = 0; c < cols; c++) out[t * cols + c] *= a->fold[c];
    pare_dealloc_aligned(divided);
    return st;
}
