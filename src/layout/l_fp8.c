/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Float8 in tiles as DeepSeek-V3 is published and transformers saves it (quant_method "fp8").
 * Source: transformers quantizers/quantizer_finegrained_fp8.py, integrations/finegrained_fp8.py; measured in tests/interop.
 *
 *   X.weight            F8_E4M3 [out, in]
 *   X.weight_scale_inv  F32 [ceil(out/128), ceil(in/128)]    W = weight * weight_scale_inv: a multiplier, whatever its name says
 *   quantization_config {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128], "modules_to_not_convert": [...]}
 *
 * Activations are float8 in groups as wide as a tile, scaled at run time. Read besides: scales in BF16 and F16, one scale [] for the tensor
 * (weight_block_size null), and activation_scale, which stays with its layer.
 */
#include <stdio.h>
#include "layout/bind.h"

enum { WEIGHT, SCALE, ACTIVATION, PARTS };
static const char *const suffixes[PARTS] = { ".weight", ".weight_scale_inv", ".activation_scale" };

/* ------------------------------------------------------------------------------------------------------------ writing */

static pare_status check(pare_scheme *s, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    warn[0] = 0;
    (void)model_dtype;
    if (s->kind != PARE_CODE_FLOAT || s->code_dtype != PARE_F8_E4M3FN || s->granularity != PARE_PER_BLOCK)
        return pare_fail(err, PARE_ERR_USAGE, "%s: the fp8 layout stores float8 e4m3 in tiles (FP8_BLOCK), not %s", name, s->name);
    if (s->act != PARE_ACT_DYNAMIC_GROUP || s->act_group != s->block[1])
        return pare_fail(err, PARE_ERR_USAGE, "%s: its loaders quantize activations in groups of %lld, %s does not", name, (long long)s->block[1], s->name);
    if (s->scale_dtype != PARE_DTYPE_NONE && s->scale_dtype != PARE_F32)
        return pare_fail(err, PARE_ERR_USAGE, "%s: scales of tiles are f32 here, not %s", name, pare_dtype_get_info(s->scale_dtype)->name);
    s->scale_dtype = PARE_F32;
    if (s->block[0] != 128 || s->block[1] != 128)
        snprintf(warn, 256, "vLLM reads tiles of 128 x 128, not %lld x %lld", (long long)s->block[0], (long long)s->block[1]);
    return pare_refuse_matrix("fp8", name, ndim, shape, err);
}

static pare_status parts(const pare_scheme *s, pare_dtype model_dtype, int ndim, const int64_t *shape, pare_part *p, int *n, pare_err *err)
{
    (void)model_dtype;
    (void)ndim;
    (void)err;
    p[WEIGHT] = pare_part_make(suffixes[WEIGHT], PARE_F8_E4M3FN, PARE_PART_ROWS, 1, 2, shape[0], shape[1]);
    p[SCALE] = pare_part_make(suffixes[SCALE], PARE_F32, PARE_PART_ROWS, 1, 2, (shape[0] + s->block[0] - 1) / s->block[0],
                              (shape[1] + s->block[1] - 1) / s->block[1]);
    p[SCALE].unit_rows = s->block[0];
    *n = ACTIVATION;
    return PARE_OK;
}

static pare_status pack(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int n, uint8_t *const dst[], pare_err *err)
{
    const int64_t tall = in->scheme->block[0];
    (void)n;
    (void)err;
    memcpy(dst[WEIGHT], in->codes, (size_t)(in->rows * in->cols));
    pare_put_floats(k, PARE_F32, in->scales, (in->rows + tall - 1) / tall * p[SCALE].shape[1], dst[SCALE]);
    return PARE_OK;
}

static pare_status config(const pare_layout_job *job, pare_json *out, pare_err *err)
{
    const pare_scheme *s = job->n_quantized ? job->schemes[0] : job->scheme;
    for (int64_t i = 1; i < job->n_quantized; i++)
        if (job->schemes[i]->block[0] != s->block[0] || job->schemes[i]->block[1] != s->block[1])
            return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: tiles of another size than %s has; fp8 has one for a model", job->quantized[i], job->quantized[0]);
    pare_json_text(out, "activation_scheme", "dynamic");
    pare_json_array(out, "modules_to_not_convert");
    for (int64_t i = 0; i < job->n_kept; i++) pare_json_text(out, NULL, job->kept[i]);
    if (pare_layout_silent_head(job)) pare_json_text(out, NULL, "lm_head");
    pare_json_end(out);
    pare_json_text(out, "quant_method", "fp8");
    pare_json_array(out, "weight_block_size");
    pare_json_int(out, NULL, s->block[0]);
    pare_json_int(out, NULL, s->block[1]);
    pare_json_end(out);
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ reading */

static pare_status bind_layer(pare_bind *b, const char *stem, size_t n, int64_t scale, pare_err *err)
{
    pare_status st;
    pare_weight w = { .n_parts = PARTS, .ndim = 2, .part = { -1, scale, -1 }, .zero_kind = PARE_ZERO_SYM, .dtype = PARE_BF16 };
    const pare_jval *tile = pare_j_get(b->config, "weight_block_size");
    const int64_t block[2] = { pare_j_int(pare_j_at(tile, 0), 128), pare_j_int(pare_j_at(tile, 1), 128) };
    const pare_tensor *s = &b->store->tensors[scale];
    w.part[ACTIVATION] = pare_bind_part(b, stem, n, suffixes[ACTIVATION]);
    PARE_TRY(pare_bind_need(b, stem, n, suffixes[WEIGHT], &w.part[WEIGHT], err));
    PARE_TRY(pare_bind_expect(b, w.part[WEIGHT], "F8_E4M3", 2, (int64_t[]){ -1, -1 }, err));
    memcpy(w.shape, b->store->tensors[w.part[WEIGHT]].shape, 2 * sizeof *w.shape);
    if (block[0] < 1 || block[1] < 1 || block[0] > INT32_MAX || block[1] > INT32_MAX)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: weight_block_size [%lld, %lld]", b->where, (long long)block[0], (long long)block[1]);
    const bool whole = s->ndim < 2 && s->numel == 1;
    if (whole) PARE_TRY(pare_bind_expect(b, scale, PARE_FLOATS, s->ndim, s->shape, err));
    else
        PARE_TRY(pare_bind_expect(b, scale, PARE_FLOATS, 2,
                                  (int64_t[]){ (w.shape[0] + block[0] - 1) / block[0], (w.shape[1] + block[1] - 1) / block[1] }, err));
    pare_scheme_read(&w.scheme, 8, true, whole ? PARE_PER_TENSOR : PARE_PER_BLOCK, 0, s->dtype);
    w.scheme.kind = PARE_CODE_FLOAT;
    w.scheme.code_dtype = PARE_F8_E4M3FN;
    if (!whole) memcpy(w.scheme.block, block, sizeof block);
    w.scheme.act = whole ? PARE_ACT_STATIC_TENSOR : PARE_ACT_DYNAMIC_GROUP;
    if (whole && w.part[ACTIVATION] < 0) w.scheme.act = PARE_ACT_DYNAMIC_TOKEN;
    w.scheme.act_bits = 8;
    w.scheme.act_float = true;
    w.scheme.act_group = whole ? 0 : block[1];
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

static pare_status bind(pare_bind *b, pare_err *err)
{
    pare_status st;
    if (!pare_bind_in_charge(b, "fp8")) return PARE_OK;
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        size_t n;
        if (b->owner[t] >= 0 || !pare_bind_stem(&b->store->tensors[t], suffixes[SCALE], &n)) continue;
        if ((st = bind_layer(b, b->store->tensors[t].name, n, t, err)) != PARE_OK) return st;
    }
    return PARE_OK;
}

static pare_status read_layer(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *data;
    const int64_t first = layer->scheme.granularity == PARE_PER_BLOCK ? row0 / layer->scheme.block[0] * q->grid.blocks[1] : 0;
    pare_status st = pare_layer_part(w, layer, WEIGHT, &data, err);
    if (st != PARE_OK) return st;
    memcpy(q->codes, data + row0 * layer->shape[1], (size_t)(rows * layer->shape[1]));
    return pare_layer_floats(w, layer, SCALE, first, q->grid.n_scales, q->scales, err);
}

const pare_layout pare_layout_fp8 = {
    .name = "fp8",
    .help = "float8 in tiles, weight_scale_inv: DeepSeek-V3 and its kin",
    .loaders = "transformers, vLLM, SGLang, llama.cpp's converter",
    .packing = "one byte a code",
    .schemes = "float8 e4m3 in tiles, activations float8 in groups at run time",
    .one_scheme = true,
    .check = check, .parts = parts, .pack = pack, .config = config,
    .bind = bind, .read = read_layer,
};
