/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA ModelOpt checkpoints (quant_method "modelopt", or hf_quant_config.json beside config.json): read only.
 * Source: vllm model_executor/layers/quantization/modelopt.py.
 *
 *   FP8     X.weight F8_E4M3 [out, in]   X.weight_scale F32 [] or [1] (per tensor), [out] (per channel)     X.input_scale F32
 *   NVFP4   X.weight U8 [out, in/2], first code in the low four bits   X.weight_scale F8_E4M3 [out, in/16]   X.weight_scale_2 F32, a multiplier
 *           W = e2m1(code) * weight_scale * weight_scale_2
 *           X.input_scale F32, likewise of the inputs
 */
#include "layout/bind.h"

enum { WEIGHT, SCALE, SCALE_2, INPUT, PARTS };
enum { GROUP = 16 };

static pare_status bind_nvfp4(pare_bind *b, const char *stem, size_t n, pare_weight *w, pare_err *err)
{
    pare_status st;
    const pare_tensor *t = &b->store->tensors[w->part[WEIGHT]];
    PARE_TRY(pare_bind_need(b, stem, n, ".weight_scale_2", &w->part[SCALE_2], err));
    PARE_TRY(pare_bind_expect(b, w->part[WEIGHT], "U8", 2, (int64_t[]){ -1, -1 }, err));
    w->shape[0] = t->shape[0];
    w->shape[1] = t->shape[1] * 2;
    if (w->shape[1] < GROUP || w->shape[1] % GROUP)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %lld input channels are no whole number of groups of %d", t->name, (long long)w->shape[1], GROUP);
    PARE_TRY(pare_bind_expect(b, w->part[SCALE], "F8_E4M3", 2, (int64_t[]){ w->shape[0], w->shape[1] / GROUP }, err));
    const pare_tensor *global = &b->store->tensors[w->part[SCALE_2]];
    PARE_TRY(pare_bind_expect(b, w->part[SCALE_2], "F32", global->ndim ? 1 : 0, (int64_t[]){ 1 }, err));
    pare_scheme_read(&w->scheme, 4, true, PARE_PER_GROUP, GROUP, PARE_F8_E4M3FN);
    w->scheme.kind = PARE_CODE_FLOAT;
    w->scheme.code_dtype = PARE_F4_E2M1;
    w->scheme.two_level = true;
    if (w->part[INPUT] >= 0) {
        w->scheme.act = PARE_ACT_DYNAMIC_GROUP;
        w->scheme.act_bits = 4;
        w->scheme.act_float = true;
        w->scheme.act_group = GROUP;
    }
out:
    return st;
}

static pare_status bind_fp8(pare_bind *b, pare_weight *w, pare_err *err)
{
    pare_status st;
    const pare_tensor *scale = &b->store->tensors[w->part[SCALE]];
    PARE_TRY(pare_bind_expect(b, w->part[WEIGHT], "F8_E4M3", 2, (int64_t[]){ -1, -1 }, err));
    memcpy(w->shape, b->store->tensors[w->part[WEIGHT]].shape, 2 * sizeof *w->shape);
    const bool whole = scale->numel == 1 && scale->ndim < 2;
    PARE_TRY(pare_bind_expect(b, w->part[SCALE], PARE_FLOATS, whole ? scale->ndim : 1, whole ? scale->shape : w->shape, err));
    pare_scheme_read(&w->scheme, 8, true, whole ? PARE_PER_TENSOR : PARE_PER_CHANNEL, 0, scale->dtype);
    w->scheme.kind = PARE_CODE_FLOAT;
    w->scheme.code_dtype = PARE_F8_E4M3FN;
    w->scheme.act = w->part[INPUT] >= 0 ? PARE_ACT_STATIC_TENSOR : PARE_ACT_DYNAMIC_TOKEN;
    w->scheme.act_bits = 8;
    w->scheme.act_float = true;
out:
    return st;
}

static pare_status bind_layer(pare_bind *b, const char *stem, size_t n, int64_t scale, pare_err *err)
{
    pare_status st;
    pare_weight w = { .n_parts = PARTS, .ndim = 2, .part = { -1, scale, -1, -1 }, .zero_kind = PARE_ZERO_SYM, .dtype = PARE_BF16 };
    w.part[INPUT] = pare_bind_part(b, stem, n, ".input_scale");
    PARE_TRY(pare_bind_need(b, stem, n, ".weight", &w.part[WEIGHT], err));
    const bool four = b->store->tensors[w.part[WEIGHT]].dtype == PARE_U8;
    PARE_TRY(four ? bind_nvfp4(b, stem, n, &w, err) : bind_fp8(b, &w, err));
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

static pare_status bind(pare_bind *b, pare_err *err)
{
    static const char *const orphans[] = { ".weight_scale_2", NULL };
    pare_status st;
    if (!*b->method || !pare_bind_in_charge(b, "modelopt")) return PARE_OK; /* nothing but the configuration tells it from compressed-tensors */
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        size_t n;
        if (b->owner[t] >= 0 || !pare_bind_stem(&b->store->tensors[t], ".weight_scale", &n)) continue;
        if ((st = bind_layer(b, b->store->tensors[t].name, n, t, err)) != PARE_OK) return st;
    }
    return pare_bind_no_orphans(b, orphans, ".weight", err);
}

static pare_status read_layer(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *data, *scale;
    const int64_t in = layer->shape[1], n = q->grid.n_scales;
    pare_status st = pare_layer_part(w, layer, WEIGHT, &data, err);
    if (st != PARE_OK) return st;
    if (layer->scheme.bits == 8) {
        memcpy(q->codes, data + row0 * in, (size_t)(rows * in));
        return pare_layer_floats(w, layer, SCALE, layer->scheme.granularity == PARE_PER_TENSOR ? 0 : row0, n, q->scales, err);
    }
    w->kernels->unpack_lsb(4, rows * in, data + row0 * in / 2, q->codes);
    if ((st = pare_layer_part(w, layer, SCALE, &scale, err)) != PARE_OK) return st;
    for (int64_t i = 0; i < n; i++) {
        q->scales[i] = pare_f8_to_f32(PARE_F8_E4M3FN, scale[row0 * (in / GROUP) + i]);
        if (q->scales[i] != q->scales[i])
            return pare_fail(err, PARE_ERR_FORMAT, "%s: scale %lld is not a number", layer->name, (long long)(row0 * (in / GROUP) + i));
    }
    return pare_layer_floats(w, layer, SCALE_2, 0, 1, &q->global_scale, err);
}

const pare_layout pare_layout_modelopt = {
    .name = "modelopt",
    .help = "NVIDIA ModelOpt: NVFP4 and FP8 (read only)",
    .loaders = "vLLM, TensorRT-LLM, SGLang",
    .packing = "one byte a code; 4 bit P1 along in",
    .schemes = "NVFP4; float8 e4m3 tensor channel",
    .bind = bind, .read = read_layer,
};
