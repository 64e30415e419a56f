/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scales of the key/value cache in a checkpoint: numbers that calibration found, by which keys (after their rotation) and values are divided before they
 * are kept as int8 or float8 (E4M3). They belong to attention, not to a weight.
 *
 *   compressed-tensors   kv_cache_scheme {num_bits 8, type int | float, strategy tensor | attn_head, symmetric, dynamic false} in quantization_config
 *                        A.k_scale, A.v_scale  T [1], or [kv_heads, 1, 1] with attn_head; A: the attention module ("model.layers.0.self_attn")
 *   modelopt             kv_cache_quant_algo "FP8", or kv_cache_scheme;  A.k_proj.k_scale, A.v_proj.v_scale  F32 []
 *
 * Source: vllm-project/compressed-tensors quantization/lifecycle (apply.py, initialize.py), vllm model_executor/layers/quantization/kv_cache.py.
 * They stay plain weights of the checkpoint, marked, since the configuration alone gives them a meaning: whoever drops that drops them.
 */
#include <math.h>
#include "layout/bind.h"

static const char *const kinds[2] = { ".k_scale", ".v_scale" };
static const char *const projections[2] = { ".k_proj.k_scale", ".v_proj.v_scale" };

/* What is not read (4 bits, zero points, scales found at run time) leaves the cache as it is, with a word. */
static pare_kvscheme scheme_of(pare_bind *b, const pare_jval *args)
{
    const pare_jval *bits = pare_j_get(args, "num_bits"), *dynamic = pare_j_get(args, "dynamic");
    const char *type = pare_j_text(pare_j_get(args, "type"), "float"), *strategy = pare_j_text(pare_j_get(args, "strategy"), "tensor");
    const bool is_float = pare_str_same_nocase(type, "float"), head = pare_str_same_nocase(strategy, "attn_head");
    const bool known = pare_j_int(bits, 8) == 8 && (is_float || pare_str_same_nocase(type, "int")) && (head || pare_str_same_nocase(strategy, "tensor")) &&
                       pare_j_bool(pare_j_get(args, "symmetric"), true) && !pare_j_bool(dynamic, false) && pare_j_type(dynamic) != PARE_J_TEXT;
    if (known) return (pare_kvscheme){ is_float ? PARE_F8_E4M3FN : PARE_I8, head };
    pare_bind_warn(b, "%s: kv_cache_scheme is not 8-bit, symmetric and static per tensor or head: the key/value cache stays in float", b->where);
    return (pare_kvscheme){ 0 };
}

void pare_bind_kv(pare_bind *b, pare_kvscheme *out)
{
    const pare_jval *inner = pare_j_get(b->config, "quantization"), *args = pare_j_get(b->config, "kv_cache_scheme");
    const char *algo = pare_j_text(pare_j_get(inner ? inner : b->config, "kv_cache_quant_algo"), "");
    *out = (pare_kvscheme){ 0 };
    if (!b->method || (strcmp(b->method, "compressed-tensors") != 0 && strcmp(b->method, "modelopt") != 0)) return;
    if (pare_j_type(args) == PARE_J_OBJECT) *out = scheme_of(b, args);
    else if (pare_str_same_nocase(algo, "FP8")) *out = (pare_kvscheme){ PARE_F8_E4M3FN, false };
}

bool pare_kv_scale_name(const char *name) { return pare_str_ends(name, kinds[0]) || pare_str_ends(name, kinds[1]); }

static int64_t find(const pare_weights *w, const char *module, const char *end)
{
    char name[512];
    const int n = pare_print(name, sizeof name, "%s%s", module, end);
    return n > 0 && (size_t)n < sizeof name ? pare_weights_find(w, name) : -1;
}

static pare_status read_one(const pare_weights *w, const char *module, int which, int64_t heads, float *out, pare_err *err)
{
    int64_t i = find(w, module, kinds[which]);
    if (i < 0) i = find(w, module, projections[which]);
    if (i < 0 && w->kv.dtype == PARE_F8_E4M3FN) { /* vLLM's rule */
        for (int64_t h = 0; h < heads; h++) out[h] = 1.0f;
        return PARE_OK;
    }
    if (i < 0) return pare_fail(err, PARE_ERR_FORMAT, "%s%s: is missing, and the configuration says that the cache is int8", module, kinds[which]);
    const pare_weight *x = &w->at[i];
    int64_t n = 1;
    for (int d = 0; d < x->ndim; d++) n *= x->shape[d];
    if (x->layout || !pare_dtype_is_float(x->dtype) || (n != 1 && n != heads))
        return pare_fail(err, PARE_ERR_FORMAT, "%s: %lld %s where a scale, or one for each of %lld key/value heads, belongs", x->name, (long long)n,
                         pare_dtype_get_info(x->dtype)->name, (long long)heads);
    const int64_t rows = x->ndim ? x->shape[0] : 1;
    const pare_status st = pare_weights_read(NULL, w, i, 0, rows, out, err);
    if (st != PARE_OK) return st;
    for (int64_t h = n; h < heads; h++) out[h] = out[0];
    for (int64_t h = 0; h < heads; h++)
        if (!(out[h] > 0.0f) || !isfinite(out[h])) return pare_fail(err, PARE_ERR_FORMAT, "%s: scale %g of a key/value cache", x->name, (double)out[h]);
    return PARE_OK;
}

pare_status pare_weights_kv_scales(const pare_weights *w, const char *module, int64_t heads, float *k, float *v, pare_err *err)
{
    const pare_status st = read_one(w, module, 0, heads, k, err);
    return st == PARE_OK ? read_one(w, module, 1, heads, v, err) : st;
}
