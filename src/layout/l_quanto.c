/* SPDX-License-Identifier: Apache-2.0 */
/*
 * optimum-quanto: the folder that QuantizedModelForCausalLM.save_pretrained writes and from_pretrained reads.
 * Source: huggingface/optimum-quanto optimum/quanto/tensor/{packed,grouped,qbits}.py, nn/qmodule.py; measured in tests/interop.
 *
 *   qint8, qfloat8   X.weight._data  I8 / F8 [out, in]   X.weight._scale T [out, 1]      W = scale * code
 *   qint4, qint2     X.weight._data._data U8 [R, gs]     X.weight._scale T [n, 1]        X.weight._shift T or integer [n, 1]
 *                    W is cut into n = out*in/gs groups of gs along the rows; R = ceil(n*b/8), byte e holds the codes of elements
 *                    e, e + R*gs, ... , the first in the lowest bits (P4): 4 bit, codes 0 ... 7 in one column: 40 51 62 73
 *                    shift float:   W = rnd(scale * code) - shift, rounded to T;   shift integer: W = scale * (code - shift)
 *   all              X.input_scale, X.output_scale T []  1 when activations are not quantized
 *   quanto_qmap.json {"X": {"weights": "qint4", "activations": "none"}}; config.json says nothing
 *
 * The group size is nowhere in the file: the loader derives it from `in` (128, less 32 until it divides, never below 32; a whole
 * row when in <= 128 or nothing divides). Nor is the shape; pare adds "shape": [out, in] to its entries of the map, which the
 * loader ignores, and otherwise finds `in` by the bias, the group rule or config.json.
 *
 * Written: T is the model's dtype, zero points as U8 shift, so that codes and values come back exactly; but a BF16 shift,
 * T(scale * zero), for 4 bit in BF16 with groups of 128, since the loader turns those layers into another class that wants it.
 */
#include <stdio.h>
#include <string.h>
#include "layout/bind.h"

enum { DATA, SCALE, SHIFT, INPUT_SCALE, OUTPUT_SCALE, PARTS };
enum { INFO_GROUP, INFO_GROUPS };

/* The loader's rule; `in` itself when there is no grouping. */
static int64_t rule_group(int64_t in)
{
    int64_t group = 128;
    if (in <= group) return in;
    while (in % group && group > 32) group -= 32;
    return in % group ? in : group;
}

static const char *qtype_of(const pare_scheme *s)
{
    if (s->kind == PARE_CODE_FLOAT) return s->code_dtype == PARE_F8_E5M2 ? "qfloat8_e5m2" : "qfloat8_e4m3fn";
    return s->bits == 8 ? "qint8" : s->bits == 4 ? "qint4" : "qint2";
}

/* ------------------------------------------------------------------------------------------------------------ writing */

static pare_status check_packed(pare_scheme *s, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    pare_status st = pare_refuse_matrix("optimum-quanto below 8 bits", name, ndim, shape, err);
    if (st != PARE_OK) return st;
    int64_t group = rule_group(shape[1]), asked = s->granularity == PARE_PER_GROUP ? s->group_size : shape[1];
    if (asked != group)
        snprintf(warn, 256, "optimum-quanto derives the group from the row: %lld of %lld, not %lld", (long long)group, (long long)shape[1], (long long)asked);
    s->granularity = group == shape[1] ? PARE_PER_CHANNEL : PARE_PER_GROUP;
    s->axis = group == shape[1] ? 0 : -1;
    s->group_size = group == shape[1] ? 0 : group;
    return PARE_OK;
}

static pare_status check(pare_scheme *s, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    bool bytes = s->kind == PARE_CODE_FLOAT || s->bits == 8;
    snprintf(warn, 256, "loaded by optimum-quanto's QuantizedModel classes; transformers' AutoModel leaves these layers at random values");
    if (!pare_scheme_plain(s)) return pare_fail(err, PARE_ERR_USAGE, "%s: optimum-quanto does not store %s", name, s->name);
    if (s->kind == PARE_CODE_INT && s->bits != 8 && s->bits != 4 && s->bits != 2)
        return pare_fail(err, PARE_ERR_USAGE, "%s: optimum-quanto stores integers of 2, 4 or 8 bits, not %s", name, s->name);
    if (s->kind == PARE_CODE_FLOAT && s->code_dtype != PARE_F8_E4M3FN && s->code_dtype != PARE_F8_E5M2)
        return pare_fail(err, PARE_ERR_USAGE, "%s: optimum-quanto stores float8 as f8_e4m3fn or f8_e5m2, not %s", name, s->name);
    if (s->act != PARE_ACT_NONE)
        return pare_fail(err, PARE_ERR_USAGE, "%s: optimum-quanto scales activations by calibration, %s does not", name, s->name);
    if (bytes && (!s->symmetric || !pare_scheme_per_row(s)))
        return pare_fail(err, PARE_ERR_USAGE, "%s: optimum-quanto stores 8 bits symmetric with a scale per output channel, not %s", name, s->name);
    if (!bytes && !pare_scheme_per_row(s) && !pare_scheme_grouped(s, ndim))
        return pare_fail(err, PARE_ERR_USAGE, "%s: optimum-quanto stores a scale per group of input channels, not %s", name, s->name);
    if (bytes && (ndim < 2 || ndim > 4)) {
        char text[96];
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: shape %s; optimum-quanto stores dense and convolution weights", name,
                         pare_shape_text(ndim, shape, text));
    }
    if (s->scale_dtype == PARE_DTYPE_NONE) s->scale_dtype = pare_scale_dtype_of(model_dtype);
    return bytes ? PARE_OK : check_packed(s, name, ndim, shape, warn, err);
}

/* TinyGemmWeightQBitsTensor takes a shift of the scale's dtype only. */
static pare_dtype shift_dtype(const pare_scheme *s)
{
    return s->bits == 4 && s->scale_dtype == PARE_BF16 && s->granularity == PARE_PER_GROUP && s->group_size == 128 ? PARE_BF16 : PARE_U8;
}

static bool float_shift(const pare_scheme *s)
{
    return s->kind == PARE_CODE_INT && s->bits != 8 && shift_dtype(s) != PARE_U8;
}

static pare_status parts(const pare_scheme *s, pare_dtype model_dtype, int ndim, const int64_t *shape, pare_part *p, int *n, pare_err *err)
{
    pare_dtype scale = s->scale_dtype;
    (void)model_dtype;
    (void)err;
    if (s->bits == 8) {
        pare_dtype data = s->kind == PARE_CODE_FLOAT ? s->code_dtype : PARE_I8;
        int64_t cols = 1;
        for (int d = 1; d < ndim; d++) cols *= shape[d];
        p[0] = pare_part_make(".weight._data", data, PARE_PART_ROWS, 1, 2, shape[0], cols);
        p[1] = pare_part_make(".weight._scale", scale, PARE_PART_ROWS, 1, 2, shape[0], 1);
        p[0].ndim = p[1].ndim = ndim;
        for (int d = 1; d < ndim; d++) {
            p[0].shape[d] = shape[d];
            p[1].shape[d] = 1;
        }
        *n = 2;
    } else {
        int64_t group = s->granularity == PARE_PER_GROUP ? s->group_size : shape[1], groups = shape[0] * (shape[1] / group), slabs = 8 / s->bits;
        p[0] = pare_part_make(".weight._data._data", PARE_U8, PARE_PART_ONCE, 1, 2, (groups + slabs - 1) / slabs, group);
        p[1] = pare_part_make(".weight._scale", scale, PARE_PART_ONCE, 1, 2, groups, 1);
        p[2] = pare_part_make(".weight._shift", shift_dtype(s), PARE_PART_ONCE, 1, 2, groups, 1);
        *n = 3;
    }
    p[(*n)++] = pare_part_make(".input_scale", scale, PARE_PART_SHARED, 1, 0, 0, 0);
    p[(*n)++] = pare_part_make(".output_scale", scale, PARE_PART_SHARED, 1, 0, 0, 0);
    return PARE_OK;
}

/* P4 over the flattened codes: byte e = code[e] | code[e + slab] << b | ... */
static void pack_slabs(int bits, const uint8_t *codes, int64_t n, int64_t slab, uint8_t *dst)
{
    memcpy(dst, codes, (size_t)(n < slab ? n : slab));
    if (n < slab) memset(dst + n, 0, (size_t)(slab - n));
    for (int i = 1; i < 8 / bits && i * slab < n; i++) {
        const uint8_t *src = codes + i * slab;
        int64_t m = n - i * slab < slab ? n - i * slab : slab;
        for (int64_t e = 0; e < m; e++) dst[e] |= (uint8_t)(src[e] << (bits * i));
    }
}

static pare_status pack(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int n, uint8_t *const dst[], pare_err *err)
{
    const pare_scheme *s = in->scheme;
    int64_t groups = in->rows * pare_scheme_groups(s, in->cols), top = (1 << s->bits) - 1;
    float one = 1.0f;
    if (s->kind == PARE_CODE_FLOAT) memcpy(dst[0], in->codes, (size_t)(in->rows * in->cols));
    else if (s->bits == 8) pare_codes_to_signed(in->codes, in->rows * in->cols, 8, dst[0]);
    else pack_slabs(s->bits, in->codes, in->rows * in->cols, p[0].shape[0] * p[0].shape[1], dst[0]);
    pare_put_floats(k, p[1].dtype, in->scales, groups, dst[1]);
    for (int64_t i = 0; s->bits != 8 && i < groups; i++) {
        int32_t z = in->zeros ? in->zeros[i] : 1 << (s->bits - 1);
        if (z < 0 || z > top) return pare_fail(err, PARE_ERR_DATA, "group %lld: zero point %d of 0 to %d", (long long)i, z, (int)top);
        float shift = in->scales[i] * (float)z;
        if (p[2].dtype == PARE_U8) dst[2][i] = (uint8_t)z;
        else pare_put_floats(k, p[2].dtype, &shift, 1, dst[2] + 2 * i);
    }
    for (int i = n - 2; i < n && in->row0 == 0; i++) pare_put_floats(k, p[i].dtype, &one, 1, dst[i]);
    return PARE_OK;
}

static pare_status files(const pare_layout_job *job, pare_status (*emit)(void *arg, const char *name, const char *text, pare_err *err), void *arg,
                         pare_err *err)
{
    pare_status st;
    pare_json *j = NULL;
    char *text = NULL;
    PARE_TRY(pare_json_new(4, &j, err));
    pare_json_object(j, NULL);
    for (int64_t i = 0; i < job->n_quantized; i++) {
        pare_json_object(j, job->quantized[i]);
        pare_json_text(j, "weights", qtype_of(job->schemes[i]));
        pare_json_text(j, "activations", "none");
        if (job->shapes && job->schemes[i]->bits != 8) {
            pare_json_array(j, "shape");
            pare_json_int(j, NULL, job->shapes[i][0]);
            pare_json_int(j, NULL, job->shapes[i][1]);
            pare_json_end(j);
        }
        pare_json_end(j);
    }
    pare_json_end(j);
    PARE_TRY(pare_json_take(j, &text, err));
    PARE_TRY(emit(arg, "quanto_qmap.json", text, err));
out:
    pare_free(text);
    pare_json_free(j);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ binding */

/* Input channels by the module's usual name: which sizes of config.json they are. */
static int64_t in_by_name(const pare_jval *config, const char *stem, size_t n)
{
    static const char *const wide[] = { "q_proj", "k_proj", "v_proj", "qkv_proj", "query", "key", "value", "query_key_value", "c_attn", "gate_proj", "up_proj",
                                        "gate_up_proj", "fc1", "c_fc", "fc_in", "dense_h_to_4h", "w1", "w3", "lm_head", "embed_out", NULL };
    static const char *const narrow[] = { "down_proj", "fc2", "fc_out", "dense_4h_to_h", "w2", NULL }, *const joined[] = { "o_proj", "out_proj", NULL };
    static const char *const hidden_keys[] = { "hidden_size", "n_embd", "d_model", NULL }, *const inner_keys[] = { "intermediate_size", "ffn_dim", "n_inner", NULL };
    const char *leaf = stem + n;
    while (leaf > stem && leaf[-1] != '.') leaf--;
    size_t length = (size_t)(stem + n - leaf);
    int64_t hidden = pare_bind_int(config, hidden_keys, 0), heads = pare_j_int(pare_j_get(config, "num_attention_heads"), 0);
    for (int i = 0; wide[i]; i++)
        if (strlen(wide[i]) == length && !memcmp(wide[i], leaf, length)) return hidden;
    for (int i = 0; narrow[i]; i++)
        if (strlen(narrow[i]) == length && !memcmp(narrow[i], leaf, length)) return pare_bind_int(config, inner_keys, 0);
    for (int i = 0; joined[i]; i++)
        if (strlen(joined[i]) == length && !memcmp(joined[i], leaf, length) && heads > 0) {
            int64_t dim = pare_j_int(pare_j_get(config, "head_dim"), hidden / heads);
            return dim > 0 && dim < 1 << 20 && heads < 1 << 20 ? dim * heads : 0;
        }
    return 0;
}

struct quanto_map { pare_jdoc *doc; const pare_jval *root; };

static pare_status load_map(const pare_bind *b, struct quanto_map *map, pare_err *err)
{
    pare_status st = PARE_OK;
    if (!b->store->folder) return PARE_OK;
    char *path = pare_path_join(b->store->folder, "quanto_qmap.json");
    if (!path) return pare_no_memory(err, "quanto_qmap.json", 0);
    if (pare_path_exists(path)) st = pare_jdoc_load(path, 64u << 20, &map->doc, err);
    pare_dealloc(path);
    if (st == PARE_OK && map->doc) map->root = pare_jdoc_root(map->doc);
    return st;
}

/* [out, in] of n groups of `group` elements; 0 when it cannot be told. */
static pare_status find_shape(const pare_bind *b, const pare_jval *entry, const char *stem, size_t n, int64_t groups, int64_t group, int64_t *shape,
                              pare_err *err)
{
    const pare_jval *given = pare_j_get(entry, "shape"), *config = b->store->config ? pare_jdoc_root(b->store->config) : NULL;
    int64_t bias = pare_bind_part(b, stem, n, ".bias"), in = 0, total;
    if (groups < 1 || group < 1 || groups > INT64_MAX / group)
        return pare_fail(err, PARE_ERR_FORMAT, "%.*s: %lld groups of %lld", (int)n, stem, (long long)groups, (long long)group);
    total = groups * group;
    if (pare_j_count(given) == 2) in = pare_j_int(pare_j_at(given, 1), 0);
    else if (group > 128 || group % 32) in = group; /* no group of the rule: whole rows */
    else if (bias >= 0 && b->store->tensors[bias].ndim == 1 && b->store->tensors[bias].shape[0] > 0) in = total / b->store->tensors[bias].shape[0];
    else in = in_by_name(config, stem, n);
    if (in > 0 && total % in == 0 && rule_group(in) == group) {
        shape[0] = total / in;
        shape[1] = in;
        return PARE_OK;
    }
    if (in > 0)
        return pare_fail(err, PARE_ERR_FORMAT, "%.*s: %lld groups of %lld are no matrix with %lld input channels", (int)n, stem, (long long)groups,
                         (long long)group, (long long)in);
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "%.*s: optimum-quanto stores no shape, and neither bias nor config.json tell the input channels", (int)n, stem);
}

static pare_status bind_bytes(pare_bind *b, const char *stem, size_t n, int64_t data, pare_err *err)
{
    pare_status st;
    const pare_tensor *t = &b->store->tensors[data];
    pare_weight w = { .n_parts = PARTS, .part = { data }, .ndim = t->ndim, .zero_kind = PARE_ZERO_SYM };
    int64_t one[PARE_MAX_DIMS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    w.part[SHIFT] = -1;
    w.part[INPUT_SCALE] = pare_bind_part(b, stem, n, ".input_scale");
    w.part[OUTPUT_SCALE] = pare_bind_part(b, stem, n, ".output_scale");
    PARE_TRY(pare_bind_need(b, stem, n, ".weight._scale", &w.part[SCALE], err));
    PARE_TRY(pare_bind_expect(b, data, "I8 F8_E4M3 F8_E5M2 F8_E4M3FNUZ", t->ndim, t->shape, err));
    if (t->ndim < 2) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: rank %d; a weight has 2 or more", t->name, t->ndim);
    one[0] = t->shape[0];
    PARE_TRY(pare_bind_expect(b, w.part[SCALE], PARE_FLOATS, t->ndim, one, err));
    memcpy(w.shape, t->shape, sizeof w.shape);
    w.dtype = b->store->tensors[w.part[SCALE]].dtype;
    w.info[INFO_GROUPS] = 1;
    pare_scheme_read(&w.scheme, 8, true, PARE_PER_CHANNEL, 0, w.dtype);
    if (t->dtype != PARE_I8) {
        w.scheme.kind = PARE_CODE_FLOAT;
        w.scheme.code_dtype = t->dtype;
    }
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

static pare_status bind_packed(pare_bind *b, const struct quanto_map *map, const char *stem, size_t n, int64_t data, pare_err *err)
{
    pare_status st;
    const int64_t any[2] = { -1, -1 };
    pare_weight w = { .n_parts = PARTS, .part = { data }, .ndim = 2, .zero_kind = PARE_ZERO_SHIFT };
    const pare_tensor *t = &b->store->tensors[data];
    const char *module = pare_arena_strndup(b->arena, stem, n);
    if (!module) return pare_no_memory(err, "module name", n + 1);
    const pare_jval *entry = pare_j_get(map->root, module);
    const char *qtype = pare_j_text(pare_j_get(entry, "weights"), "");
    w.part[INPUT_SCALE] = pare_bind_part(b, stem, n, ".input_scale");
    w.part[OUTPUT_SCALE] = pare_bind_part(b, stem, n, ".output_scale");
    PARE_TRY(pare_bind_need(b, stem, n, ".weight._scale", &w.part[SCALE], err));
    PARE_TRY(pare_bind_need(b, stem, n, ".weight._shift", &w.part[SHIFT], err));
    PARE_TRY(pare_bind_expect(b, data, "U8", 2, any, err));
    PARE_TRY(pare_bind_expect(b, w.part[SCALE], PARE_FLOATS, 2, (int64_t[]){ -1, 1 }, err));
    const pare_tensor *scale = &b->store->tensors[w.part[SCALE]], *shift = &b->store->tensors[w.part[SHIFT]];
    PARE_TRY(pare_bind_expect(b, w.part[SHIFT], PARE_FLOATS " U8 I8", 2, scale->shape, err));
    PARE_TRY(find_shape(b, entry, stem, n, scale->shape[0], t->shape[1], w.shape, err));
    int bits = !strcmp(qtype, "qint2") || (strcmp(qtype, "qint4") != 0 && t->shape[0] != (scale->shape[0] + 1) / 2) ? 2 : 4;
    if (t->shape[0] != (scale->shape[0] * bits + 7) / 8)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %lld rows hold no %lld groups of %d bits", t->name, (long long)t->shape[0], (long long)scale->shape[0], bits);
    if (shift->dtype == PARE_U8 || shift->dtype == PARE_I8) w.zero_kind = PARE_ZERO_INT;
    w.info[INFO_GROUP] = t->shape[1];
    w.info[INFO_GROUPS] = w.shape[1] / t->shape[1];
    w.dtype = scale->dtype;
    pare_scheme_read(&w.scheme, bits, false, w.info[INFO_GROUPS] == 1 ? PARE_PER_CHANNEL : PARE_PER_GROUP, t->shape[1], w.dtype);
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

static pare_status bind(pare_bind *b, pare_err *err)
{
    static const char *const orphans[] = { ".weight._data", ".weight._data._data", ".weight._scale", ".weight._shift", NULL };
    struct quanto_map map = { NULL, NULL };
    bool loaded = false;
    pare_status st = PARE_OK;
    if (!pare_bind_in_charge(b, "quanto")) return PARE_OK;
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        const pare_tensor *data = &b->store->tensors[t];
        size_t n;
        if (b->owner[t] >= 0) continue;
        if (pare_bind_stem(data, ".weight._data", &n)) PARE_TRY(bind_bytes(b, data->name, n, t, err));
        if (!pare_bind_stem(data, ".weight._data._data", &n)) continue;
        if (!loaded) PARE_TRY(load_map(b, &map, err));
        loaded = true;
        PARE_TRY(bind_packed(b, &map, data->name, n, t, err));
    }
    PARE_TRY(pare_bind_no_orphans(b, orphans, ".weight._data", err));
out:
    pare_jdoc_free(map.doc);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ reading */

static void unpack_slabs(int bits, const uint8_t *src, int64_t slab, int64_t first, int64_t n, uint8_t *codes)
{
    uint8_t mask = (uint8_t)((1u << bits) - 1);
    while (n) {
        int64_t at = first % slab, m = slab - at < n ? slab - at : n;
        int shift = (int)(first / slab) * bits;
        for (int64_t i = 0; i < m; i++) codes[i] = src[at + i] >> shift & mask;
        codes += m;
        first += m;
        n -= m;
    }
}

static pare_status read_shift(const pare_weights *w, const pare_weight *layer, int64_t first, pare_qtensor *q, pare_err *err)
{
    const uint8_t *data;
    int64_t n = q->grid.n_scales;
    pare_status st = pare_layer_part(w, layer, SHIFT, &data, err);
    if (st != PARE_OK || !data) return st;
    if (layer->zero_kind == PARE_ZERO_INT) {
        for (int64_t i = 0; i < n; i++) {
            q->zeros[i] = data[first + i];
            if (q->zeros[i] >> layer->scheme.bits)
                return pare_fail(err, PARE_ERR_FORMAT, "%s: shift %d of 0 to %d", layer->name, q->zeros[i], (1 << layer->scheme.bits) - 1);
        }
        return PARE_OK;
    }
    q->shifts = pare_alloc_zero(n ? (size_t)n : 1, sizeof *q->shifts);
    if (!q->shifts) return pare_no_memory(err, layer->name, (size_t)n * sizeof *q->shifts);
    return pare_layer_floats(w, layer, SHIFT, first, n, q->shifts, err);
}

static pare_status read_layer(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *data;
    int64_t in = 1, first = row0 * layer->info[INFO_GROUPS];
    pare_status st = pare_layer_part(w, layer, DATA, &data, err);
    if (st != PARE_OK) return st;
    const pare_tensor *t = &w->store->tensors[layer->part[DATA]];
    for (int d = 1; d < layer->ndim; d++) in *= layer->shape[d];
    if (layer->scheme.kind == PARE_CODE_FLOAT) memcpy(q->codes, data + row0 * in, (size_t)(rows * in));
    else if (layer->scheme.bits == 8) pare_codes_from_signed(data + row0 * in, rows * in, 8, q->codes);
    else unpack_slabs(layer->scheme.bits, data, t->shape[0] * t->shape[1], row0 * in, rows * in, q->codes);
    if ((st = pare_layer_floats(w, layer, SCALE, first, q->grid.n_scales, q->scales, err)) != PARE_OK) return st;
    return read_shift(w, layer, first, q, err);
}

/* int8 per output channel lies as kernels read it; the packed forms run their slabs over rows. */
static bool view(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_wmat *out)
{
    if (layer->scheme.kind != PARE_CODE_INT || layer->scheme.bits != 8 || layer->zero_kind != PARE_ZERO_SYM) return false;
    return pare_layer_view(w, layer, DATA, SCALE, PARE_W_I8, layer->shape[1], layer->shape[1], 1, false, row0, rows, out);
}

const pare_layout pare_layout_quanto = {
    .name = "quanto",
    .convolutions = true,
    .help = "optimum-quanto folder: qint8, qfloat8, qint4, qint2",
    .loaders = "optimum-quanto (QuantizedModelForCausalLM); not transformers' AutoModel",
    .packing = "one byte a code; 4 and 2 bit P4 over groups",
    .schemes = "int 8 and float8 sym channel; int 4 2 sym asym, groups of 128 less 32s until they divide in",
    .check = check, .float_shift = float_shift, .parts = parts, .pack = pack, .files = files,
    .bind = bind, .read = read_layer, .view = view,
};
