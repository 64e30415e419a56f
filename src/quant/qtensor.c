/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logical quantized tensor: storage, accessors and the exact way back to float.
 *
 *   u: code, s: scale, z: zero point, t: float shift of the element's block
 *   ZERO_SYM, ZERO_INT   W = (u - z) * s            one f32 product
 *   ZERO_SHIFT           W = rnd(rnd(u * s) - t)    rnd: to the scale's dtype (optimum-quanto)
 *   ZERO_FLOAT           W = (u - z) * s            z a float (HQQ)
 *   float codes          W = float8(u) * s
 *   16 values            W = value[u] * (s * g)     g: the tensor's second-level scale, or 1
 * With g_idx the block of input channel c is g_idx[c] in place of c / group_size (GPTQ's act-order).
 */
#include <string.h>
#include "quant/blocks.h"

/* ------------------------------------------------------------------------------------------------------------- storage */

static pare_status allocate(pare_qtensor *q, pare_err *err)
{
    const size_t numel = (size_t)q->grid.numel, scales = (size_t)q->grid.n_scales;
    q->codes = pare_alloc_zero(numel, 1);
    if (q->codes == NULL) return pare_no_memory(err, "codes", numel);
    q->scales = pare_alloc_zero(scales, sizeof *q->scales);
    if (q->scales == NULL) return pare_no_memory(err, "scales", scales * sizeof *q->scales);
    if (q->scheme.kind != PARE_CODE_INT) return PARE_OK;
    if (q->scheme.float_zero) {
        q->fzeros = pare_alloc_zero(scales, sizeof *q->fzeros);
        return q->fzeros != NULL ? PARE_OK : pare_no_memory(err, "zero points", scales * sizeof *q->fzeros);
    }
    q->zeros = pare_alloc_zero(scales, sizeof *q->zeros);
    if (q->zeros == NULL) return pare_no_memory(err, "zero points", scales * sizeof *q->zeros);
    for (size_t i = 0; i < scales; i++) q->zeros[i] = 1 << (q->scheme.bits - 1);
    return PARE_OK;
}

pare_status pare_qtensor_new(const pare_scheme *scheme, int ndim, const int64_t *shape, pare_qtensor **out, pare_err *err)
{
    *out = NULL;
    pare_grid grid;
    pare_status st = pare_grid_init(scheme, ndim, shape, &grid, err);
    if (st != PARE_OK) return st;
    pare_qtensor *q = pare_alloc_zero(1, sizeof *q);
    if (q == NULL) return pare_no_memory(err, "quantized tensor", sizeof *q);
    q->scheme = *scheme;
    q->grid = grid;
    q->global_scale = 1.0f;
    q->zero_kind = scheme->symmetric ? PARE_ZERO_SYM : scheme->float_zero ? PARE_ZERO_FLOAT : PARE_ZERO_INT;
    if (q->scheme.scale_dtype == PARE_DTYPE_NONE) q->scheme.scale_dtype = PARE_F32;
    if (q->scheme.name[0] == '\0') pare_scheme_make_name(&q->scheme);
    st = allocate(q, err);
    if (st != PARE_OK) {
        pare_qtensor_free(q);
        return st;
    }
    *out = q;
    return PARE_OK;
}

void pare_qtensor_free(pare_qtensor *q)
{
    if (q == NULL) return;
    if (q->nested != NULL) {
        pare_dealloc(q->nested->codes);
        pare_dealloc(q->nested->scales);
        pare_dealloc(q->nested);
    }
    pare_dealloc(q->fzeros);
    pare_dealloc(q->g_idx);
    pare_dealloc(q->shifts);
    pare_dealloc(q->zeros);
    pare_dealloc(q->scales);
    pare_dealloc(q->codes);
    pare_dealloc(q);
}

/* ----------------------------------------------------------------------------------------------------------- accessors */

const pare_scheme *pare_qtensor_scheme(const pare_qtensor *q) { return &q->scheme; }
const uint8_t *pare_qtensor_codes(const pare_qtensor *q) { return q->codes; }

int pare_qtensor_shape(const pare_qtensor *q, const int64_t **shape)
{
    if (shape != NULL) *shape = q->grid.shape;
    return q->grid.ndim;
}

void pare_qtensor_signed_codes(const pare_qtensor *q, int8_t *out)
{
    const int middle = q->scheme.kind == PARE_CODE_INT ? 1 << (q->scheme.bits - 1) : 0;
    for (int64_t i = 0; i < q->grid.numel; i++) {
        const int v = q->codes[i] - middle;
        out[i] = (int8_t)(v > 127 ? v - 256 : v); /* float codes: the byte as it is */
    }
}

const float *pare_qtensor_scales(const pare_qtensor *q, int64_t *n)
{
    if (n != NULL) *n = q->grid.n_scales;
    return q->scales;
}

const int32_t *pare_qtensor_zeros(const pare_qtensor *q, int64_t *n)
{
    if (n != NULL) *n = q->zeros != NULL ? q->grid.n_scales : 0;
    return q->zeros;
}

double pare_qtensor_bits_per_weight(const pare_qtensor *q)
{
    if (q->grid.numel == 0) return 0.0;
    const pare_dtype_info *scale = pare_dtype_get_info(q->scheme.scale_dtype);
    double per_block = scale->bits, once = q->scheme.two_level ? 32.0 : 0.0;
    if (q->nested != NULL) {
        per_block = 8.0;
        once = 32.0 * (double)q->nested->n_scales + 32.0;
    }
    if (q->zero_kind == PARE_ZERO_INT && !q->scheme.symmetric) per_block += q->scheme.bits;
    if (q->zero_kind == PARE_ZERO_SHIFT || q->zero_kind == PARE_ZERO_FLOAT) per_block += scale->bits;
    return q->scheme.bits + (per_block * (double)q->grid.n_scales + once) / (double)q->grid.numel;
}

/* -------------------------------------------------------------------------------------------------------- back to float */

typedef struct decoder { const pare_kernels *k; const pare_qtensor *q; pare_row_quant row; float table[256]; } decoder;

static void decode_float(const decoder *d, const pare_span *s, float *out)
{
    const uint8_t *u = d->q->codes + s->at;
    for (int64_t i = 0, g = s->first; i < s->n; g++) {
        const float scale = d->q->scheme.two_level ? d->q->scales[g] * d->q->global_scale : d->q->scales[g];
        for (const int64_t end = i + s->group < s->n ? i + s->group : s->n; i < end; i++) out[i] = d->table[u[i]] * scale;
    }
}

static void decode_shift(const decoder *d, const pare_span *s, float *out)
{
    const uint8_t *u = d->q->codes + s->at;
    const pare_dtype dtype = d->q->scheme.scale_dtype;
    for (int64_t i = 0, g = s->first; i < s->n; g++) {
        const float scale = d->q->scales[g], shift = d->q->shifts[g];
        for (const int64_t end = i + s->group < s->n ? i + s->group : s->n; i < end; i++)
            out[i] = pare_round_to(dtype, pare_round_to(dtype, (float)u[i] * scale) - shift);
    }
}

static void decode_zero(const decoder *d, const pare_span *s, float *out)
{
    const uint8_t *u = d->q->codes + s->at;
    for (int64_t i = 0, g = s->first; i < s->n; g++) {
        const float scale = d->q->scales[g], zero = d->q->fzeros[g];
        for (const int64_t end = i + s->group < s->n ? i + s->group : s->n; i < end; i++) out[i] = ((float)u[i] - zero) * scale;
    }
}

static void decode_span(decoder *d, const pare_span *s, float *out)
{
    if (d->q->scheme.kind != PARE_CODE_INT) {
        decode_float(d, s, out);
    } else if (d->q->zero_kind == PARE_ZERO_SHIFT) {
        decode_shift(d, s, out);
    } else if (d->q->zero_kind == PARE_ZERO_FLOAT) {
        decode_zero(d, s, out);
    } else {
        d->row.n = s->n;
        d->row.group = s->group;
        d->k->dequant_row(d->q->codes + s->at, &d->row, d->q->scales + s->first, d->q->zeros + s->first, out);
    }
}

/* Rows of a matrix whose columns name their own group. */
static pare_status decode_by_index(const pare_qtensor *q, int64_t row0, int64_t rows, float *out, pare_err *err)
{
    const int64_t cols = q->grid.shape[1], groups = q->grid.blocks[1];
    if (q->grid.ndim != 2 || q->grid.block[0] != 1 || q->zero_kind == PARE_ZERO_SHIFT || q->zero_kind == PARE_ZERO_FLOAT || q->scheme.kind != PARE_CODE_INT)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "g_idx: only for integer codes of a matrix with groups along a row");
    for (int64_t c = 0; c < cols; c++)
        if (q->g_idx[c] < 0 || q->g_idx[c] >= groups)
            return pare_fail(err, PARE_ERR_FORMAT, "g_idx[%lld] is %d; there are %lld groups", (long long)c, (int)q->g_idx[c], (long long)groups);
    for (int64_t r = row0; r < row0 + rows; r++, out += cols) {
        const uint8_t *u = q->codes + r * cols;
        const float *scale = q->scales + r * groups;
        const int32_t *zero = q->zeros + r * groups;
        for (int64_t c = 0; c < cols; c++) out[c] = (float)(u[c] - zero[q->g_idx[c]]) * scale[q->g_idx[c]];
    }
    return PARE_OK;
}

pare_status pare_qtensor_dequant_rows(const pare_kernels *k, const pare_qtensor *q, int64_t row0, int64_t rows, float *out, pare_err *err)
{
    const int64_t total = q->grid.ndim > 0 ? q->grid.shape[0] : 1;
    if (row0 < 0 || rows < 0 || rows > total - row0)
        return pare_fail(err, PARE_ERR_USAGE, "rows %lld + %lld of a tensor with %lld", (long long)row0, (long long)rows, (long long)total);
    if (q->grid.numel == 0 || rows == 0) return PARE_OK;
    if (q->g_idx != NULL) return decode_by_index(q, row0, rows, out, err);
    decoder d = {.k = k, .q = q, .row = {.bits = q->scheme.bits, .umin = 0, .umax = (1 << q->scheme.bits) - 1}};
    pare_scheme_values(&q->scheme, d.table);
    pare_view view;
    pare_view_init(&q->grid, &view);
    const int64_t rest = q->grid.numel / total, start = row0 * rest, end = start + rows * rest;
    for (int64_t at = start; at < end;) {
        const pare_span s = pare_view_span(&view, at, end);
        decode_span(&d, &s, out + (at - start));
        at += s.n;
    }
    return PARE_OK;
}

pare_status pare_dequantize(const pare_qtensor *q, float *out, pare_err *err)
{
    return pare_qtensor_dequant_rows(pare_kernels_get(NULL), q, 0, q->grid.ndim > 0 ? q->grid.shape[0] : 1, out, err);
}
