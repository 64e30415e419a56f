/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The W8A16 state dict of the course "Quantization in Depth" (DeepLearning.AI and Hugging Face, lesson 4): what its
 * W8A16LinearLayer registers as buffers in place of a Linear's weight.
 *
 *   X.int8_weights I8 [out, in]     signed codes, row-major
 *   X.scales       T  [out]         T: dtype of the model's weights
 *   X.bias         as it was        an ordinary tensor
 *   W[o][i] = int8_weights[o][i] * scales[o]
 *
 * Loaded by load_state_dict(strict=True) of a model whose Linear modules were replaced; scales must be [out], not [1, out].
 * Nothing is said in config.json: the names are the mark.
 */
#include "layout/bind.h"

enum { WEIGHTS, SCALES, PARTS };
static const char *const suffixes[PARTS] = { ".int8_weights", ".scales" };

static pare_status check(pare_scheme *s, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    warn[0] = 0;
    if (s->kind != PARE_CODE_INT || s->bits != 8 || !s->symmetric || !pare_scheme_per_row(s) || s->act != PARE_ACT_NONE)
        return pare_fail(err, PARE_ERR_USAGE, "%s: the course's state dict stores W8A16 (8 bit, symmetric, a scale per output channel), not %s", name,
                         s->name);
    if (s->scale_dtype == PARE_DTYPE_NONE) s->scale_dtype = pare_scale_dtype_of(model_dtype);
    return pare_refuse_matrix("the course's W8A16 layer", name, ndim, shape, err);
}

static pare_status parts(const pare_scheme *s, pare_dtype model_dtype, int ndim, const int64_t *shape, pare_part *p, int *n, pare_err *err)
{
    (void)model_dtype;
    (void)ndim;
    (void)err;
    p[WEIGHTS] = pare_part_make(suffixes[WEIGHTS], PARE_I8, PARE_PART_ROWS, 1, 2, shape[0], shape[1]);
    p[SCALES] = pare_part_make(suffixes[SCALES], s->scale_dtype, PARE_PART_ROWS, 1, 1, shape[0], 0);
    *n = PARTS;
    return PARE_OK;
}

static pare_status pack(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int n, uint8_t *const dst[], pare_err *err)
{
    (void)n;
    (void)err;
    pare_codes_to_signed(in->codes, in->rows * in->cols, 8, dst[WEIGHTS]);
    pare_put_floats(k, p[SCALES].dtype, in->scales, in->rows, dst[SCALES]);
    return PARE_OK;
}

static pare_status bind(pare_bind *b, pare_err *err)
{
    static const int64_t any[2] = { -1, -1 };
    static const char *const orphans[] = { ".int8_weights", NULL };
    pare_status st;
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        const pare_tensor *weights = &b->store->tensors[t];
        pare_weight w = { .n_parts = PARTS, .part = { t }, .ndim = 2, .zero_kind = PARE_ZERO_SYM };
        size_t n;
        if (b->owner[t] >= 0 || !pare_bind_stem(weights, suffixes[WEIGHTS], &n)) continue;
        if ((st = pare_bind_need(b, weights->name, n, suffixes[SCALES], &w.part[SCALES], err)) != PARE_OK) return st;
        if ((st = pare_bind_expect(b, t, "I8", 2, any, err)) != PARE_OK) return st;
        if ((st = pare_bind_expect(b, w.part[SCALES], PARE_FLOATS, 1, weights->shape, err)) != PARE_OK) return st;
        w.shape[0] = weights->shape[0];
        w.shape[1] = weights->shape[1];
        w.dtype = b->store->tensors[w.part[SCALES]].dtype;
        pare_scheme_read(&w.scheme, 8, true, PARE_PER_CHANNEL, 0, w.dtype);
        if ((st = pare_bind_add(b, weights->name, n, &w, err)) != PARE_OK) return st;
    }
    return pare_bind_no_orphans(b, orphans, suffixes[WEIGHTS], err);
}

static pare_status read_layer(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *codes;
    pare_status st = pare_layer_part(w, layer, WEIGHTS, &codes, err);
    if (st != PARE_OK) return st;
    pare_codes_from_signed(codes + row0 * layer->shape[1], rows * layer->shape[1], 8, q->codes);
    return pare_layer_floats(w, layer, SCALES, row0, rows, q->scales, err);
}

static bool view(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_wmat *out)
{
    const int64_t in = layer->shape[1];
    return pare_layer_view(w, layer, WEIGHTS, SCALES, PARE_W_I8, in, in, 1, false, row0, rows, out);
}

const pare_layout pare_layout_course = {
    .name = "course",
    .help = "the course's W8A16LinearLayer: int8_weights and scales",
    .loaders = "load_state_dict of the course's replaced layers",
    .packing = "one byte a code",
    .schemes = "int 8; sym; channel",
    .check = check, .parts = parts, .pack = pack,
    .bind = bind, .read = read_layer, .view = view,
};
