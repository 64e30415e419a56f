/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HQQ as safetensors: what hqq's HQQLinear saves (encoded_state_dict) and transformers writes for quant_method "hqq".
 * Source: mobiusml/hqq hqq/core/quantize.py, hqq/core/bitpack.py, hqq/core/utils.py; measured in tests/interop.
 *
 *   W = (u - zero) * scale, zero a float. The weight is seen as M = [n, g] (axis 1: a scale for each of its rows) or [g, n] (axis 0: for each
 *   column), n = out * in / g; both lie in memory as the weight does.
 *
 *   X.W_q     M packed in slabs of its rows, slab 0 in the highest bits (P3):  8 6 5 bit  U8 [R, C]        as they are
 *                                                                              4 2 1 bit  U8 [R / (8/b), C]
 *                                                                              3 bit      I32 [ceil(R / 10), C], slabs at bits 27, 24, ... 0
 *             4 bit, codes 0 ... 7 in a column of M: 04 15 26 37
 *   X.scale, X.zero   T [n, 1] or [1, n]        X.shape I64 [2] out, in        X.nbits X.group_size X.axis I32 []
 *   X.packing X.unpack_view_dtype X.compute_dtype   U8: letters, "4bit_u8" "torch.uint8" "torch.float16"
 *   X.view_as_float X.quant_scale X.quant_zero X.offload_meta X.encoded_state_dict X.stores_quant_config X.channel_wise X.optimize X.round_zero   U8 []
 *
 * Read besides: W_q seen as another dtype (view_as_float), 1.58 bit (codes of 2 bit).
 */
#include <stdio.h>
#include <string.h>
#include "layout/bind.h"

enum { W_Q, SCALE, ZERO, SHAPE, NBITS, GROUP, AXIS, PACKING, NEEDED };
enum { UNPACK_VIEW = NEEDED, COMPUTE, FLAGS };
static const char *const suffixes[] = { ".W_q", ".scale", ".zero", ".shape", ".nbits", ".group_size", ".axis", ".packing", ".unpack_view_dtype", ".compute_dtype",
                                        ".view_as_float", ".quant_scale", ".quant_zero", ".offload_meta", ".encoded_state_dict", ".stores_quant_config",
                                        ".channel_wise", ".optimize", ".round_zero" };
enum { PARTS = sizeof suffixes / sizeof *suffixes, QUANT_SCALE = FLAGS + 1, QUANT_ZERO };
enum { INFO_SLAB };

/* ------------------------------------------------------------------------------------------------------------- geometry */

/* Codes in one word, and its bytes. */
static int codes_a_word(int bits) { return bits == 3 ? 10 : bits > 4 ? 1 : 8 / bits; }
static int word_bytes(int bits) { return bits == 3 ? 4 : 1; }

static bool axis0(const pare_scheme *s) { return s->granularity == PARE_PER_GROUP && s->axis == 0; }

/* M = [rows, cols] of a layer. */
static void matrix_of(const pare_scheme *s, const int64_t *shape, int64_t *rows, int64_t *cols)
{
    const int64_t numel = shape[0] * shape[1], group = s->granularity == PARE_PER_GROUP ? s->group_size : shape[1];
    *rows = axis0(s) ? group : numel / group;
    *cols = axis0(s) ? numel / group : group;
}

/* Elements of M in a slab. */
static int64_t slab_of(int bits, int64_t rows, int64_t cols)
{
    const int per = codes_a_word(bits);
    return (rows + per - 1) / per * cols;
}

static int shift_of(int bits, int64_t slab)
{
    return bits == 3 ? 27 - 3 * (int)slab : bits > 4 ? 0 : 8 - bits * (int)(slab + 1);
}

static const char *packing_name(int bits)
{
    return bits == 4 ? "4bit_u8" : bits == 3 ? "3bit_32" : bits == 2 ? "2bit_u8" : bits == 1 ? "1bit_u8" : "8bit_u8";
}

/* -------------------------------------------------------------------------------------------------------------- check */

static bool claims(const pare_scheme *s) { return s->float_zero; }

static pare_status check_scheme(pare_scheme *s, const char *name, pare_err *err)
{
    const bool group = s->granularity == PARE_PER_GROUP && (s->axis == -1 || s->axis == 1 || s->axis == 0);
    if (s->kind != PARE_CODE_INT || s->symmetric || s->bits == 7)
        return pare_fail(err, PARE_ERR_USAGE, "%s: HQQ stores asymmetric integers of 1, 2, 3, 4, 5, 6 or 8 bits, not %s", name, s->name);
    if (!group && !pare_scheme_per_row(s))
        return pare_fail(err, PARE_ERR_USAGE, "%s: HQQ stores a scale per output channel or group (axis 1 or 0), not %s", name, s->name);
    if (s->act != PARE_ACT_NONE) return pare_fail(err, PARE_ERR_USAGE, "%s: HQQ leaves activations as they are, %s does not", name, s->name);
    if (s->scale_dtype != PARE_DTYPE_NONE && s->scale_dtype != PARE_F32 && s->scale_dtype != PARE_F16 && s->scale_dtype != PARE_BF16)
        return pare_fail(err, PARE_ERR_USAGE, "%s: scales are f32, f16 or bf16, not %s", name, pare_dtype_get_info(s->scale_dtype)->name);
    if (!s->float_zero) {
        s->float_zero = true; /* its zero points are floats whatever they hold */
        s->zero_min = 0;
        pare_scheme_make_name(s);
    }
    return PARE_OK;
}

static pare_status check(pare_scheme *s, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    int64_t rows, cols;
    pare_status st;
    warn[0] = 0;
    if ((st = check_scheme(s, name, err)) != PARE_OK) return st;
    if ((st = pare_refuse_matrix("HQQ", name, ndim, shape, err)) != PARE_OK) return st;
    if (s->granularity == PARE_PER_GROUP && shape[0] * shape[1] % s->group_size)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: [%lld, %lld] is no whole number of groups of %lld, which HQQ needs", name, (long long)shape[0],
                         (long long)shape[1], (long long)s->group_size);
    matrix_of(s, shape, &rows, &cols);
    const int per = codes_a_word(s->bits);
    if (s->bits != 3 && rows % per)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: HQQ packs %d rows of [%lld, %lld] into one, and %lld is no multiple of %d", name, per, (long long)rows,
                         (long long)cols, (long long)rows, per);
    if (s->scale_dtype == PARE_DTYPE_NONE) s->scale_dtype = pare_scale_dtype_of(model_dtype);
    snprintf(warn, 256, "loaded by hqq and transformers 4; transformers 5 (5.23) does not load HQQ checkpoints");
    return PARE_OK;
}

/* -------------------------------------------------------------------------------------------------------------- parts */

static const char *torch_name(pare_dtype d) { return d == PARE_F16 ? "torch.float16" : d == PARE_BF16 ? "torch.bfloat16" : "torch.float32"; }

/* Text parts; NULL for the others. */
static const char *text_of(const pare_scheme *s, pare_dtype model_dtype, int part)
{
    if (part == PACKING) return packing_name(s->bits);
    if (part == UNPACK_VIEW) return s->bits == 3 ? "torch.int32" : "torch.uint8";
    return part == COMPUTE ? torch_name(model_dtype) : NULL;
}

static pare_status parts(const pare_scheme *s, pare_dtype model_dtype, int ndim, const int64_t *shape, pare_part *p, int *n, pare_err *err)
{
    int64_t rows, cols;
    (void)ndim;
    (void)err;
    matrix_of(s, shape, &rows, &cols);
    const int64_t slab = slab_of(s->bits, rows, cols);
    p[W_Q] = pare_part_make(suffixes[W_Q], s->bits == 3 ? PARE_I32 : PARE_U8, PARE_PART_ONCE, 1, 2, slab / cols, cols);
    for (int i = SCALE; i <= ZERO; i++)
        p[i] = pare_part_make(suffixes[i], s->scale_dtype, PARE_PART_ONCE, 1, 2, axis0(s) ? 1 : rows, axis0(s) ? cols : 1);
    p[SHAPE] = pare_part_make(suffixes[SHAPE], PARE_I64, PARE_PART_SHARED, 1, 1, 2, 0);
    for (int i = NBITS; i < PARTS; i++) {
        const char *text = text_of(s, model_dtype, i);
        if (text) p[i] = pare_part_make(suffixes[i], PARE_U8, PARE_PART_SHARED, 1, 1, (int64_t)strlen(text), 0);
        else p[i] = pare_part_make(suffixes[i], i <= AXIS ? PARE_I32 : PARE_U8, PARE_PART_SHARED, 1, 0, 0, 0);
    }
    *n = PARTS;
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- pack */

static void pack_slabs(int bits, const uint8_t *codes, int64_t numel, int64_t slab, uint8_t *dst)
{
    const int wide = word_bytes(bits);
    memset(dst, 0, (size_t)(slab * wide));
    for (int64_t first = 0, i = 0; first < numel; first += slab, i++) {
        const int64_t n = numel - first < slab ? numel - first : slab;
        const int shift = shift_of(bits, i);
        if (wide == 1)
            for (int64_t e = 0; e < n; e++) dst[e] |= (uint8_t)(codes[first + e] << shift);
        else
            for (int64_t e = 0; e < n; e++) pare_word_put(dst + 4 * e, pare_word_get(dst + 4 * e) | (uint32_t)codes[first + e] << shift);
    }
}

static bool flag_of(const pare_scheme *s, int part)
{
    static const char *const set[] = { ".encoded_state_dict", ".stores_quant_config", ".channel_wise", ".optimize" };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        if (!strcmp(suffixes[part], set[i])) return true;
    return s->bits == 4 && !strcmp(suffixes[part], ".round_zero"); /* hqq's default config: zero points are rounded to start from at 4 bit */
}

static pare_status pack(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int n, uint8_t *const dst[], pare_err *err)
{
    const pare_scheme *s = in->scheme;
    const int64_t numel = in->rows * in->cols, scales = p[SCALE].shape[0] * p[SCALE].shape[1];
    if (in->row0 || in->rows != in->rows_total || !in->fzeros)
        return pare_fail(err, PARE_ERR_USAGE, "HQQ layers are packed whole, with float zero points");
    pack_slabs(s->bits, in->codes, numel, p[W_Q].shape[0] * p[W_Q].shape[1], dst[W_Q]);
    pare_put_floats(k, p[SCALE].dtype, in->scales, scales, dst[SCALE]);
    pare_put_floats(k, p[ZERO].dtype, in->fzeros, scales, dst[ZERO]);
    pare_put_le64(dst[SHAPE], (uint64_t)in->rows_total);
    pare_put_le64(dst[SHAPE] + 8, (uint64_t)in->cols);
    pare_word_put(dst[NBITS], (uint32_t)s->bits);
    pare_word_put(dst[GROUP], (uint32_t)(s->granularity == PARE_PER_GROUP ? s->group_size : in->cols));
    pare_word_put(dst[AXIS], axis0(s) ? 0 : 1);
    for (int i = PACKING; i < n; i++) {
        const char *text = text_of(s, in->model_dtype, i);
        if (text) memcpy(dst[i], text, (size_t)p[i].shape[0]);
        else dst[i][0] = flag_of(s, i);
    }
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------ configuration */

/* transformers names layers by tag: the name without "model", "layers" and numbers. */
static const char *tag_of(const char *module, char out[256])
{
    size_t n = 0;
    out[0] = 0;
    for (const char *at = module; *at;) {
        const size_t length = strcspn(at, ".");
        const bool number = strspn(at, "0123456789") == length;
        if (!number && !(length == 5 && !memcmp(at, "model", 5)) && !(length == 6 && !memcmp(at, "layers", 6)) && n + length + 2 < 256) {
            if (n) out[n++] = '.';
            memcpy(out + n, at, length);
            out[n += length] = 0;
        }
        at += length + (at[length] == '.');
    }
    return out;
}

/* Tags of which no layer is quantized, each once. */
static void put_skipped(const pare_layout_job *job, pare_json *out)
{
    char tag[256], other[256];
    bool head = pare_layout_silent_head(job);
    pare_json_array(out, "skip_modules");
    for (int64_t i = 0; i < job->n_kept; i++) {
        bool skip = true;
        tag_of(job->kept[i], tag);
        for (int64_t j = 0; skip && j < job->n_quantized; j++) skip = strcmp(tag, tag_of(job->quantized[j], other)) != 0;
        for (int64_t j = 0; skip && j < i; j++) skip = strcmp(tag, tag_of(job->kept[j], other)) != 0;
        if (skip) pare_json_text(out, NULL, tag);
    }
    if (head) pare_json_text(out, NULL, "lm_head");
    pare_json_end(out);
}

static pare_status config(const pare_layout_job *job, pare_json *out, pare_err *err)
{
    const pare_scheme *s = job->n_quantized ? job->schemes[0] : job->scheme;
    (void)err;
    pare_json_object(out, "quant_config");
    pare_json_bool(out, "offload_meta", false);
    pare_json_null(out, "scale_quant_params");
    pare_json_object(out, "weight_quant_params");
    pare_json_int(out, "axis", axis0(s) ? 0 : 1);
    pare_json_bool(out, "channel_wise", true);
    if (s->granularity == PARE_PER_GROUP) pare_json_int(out, "group_size", s->group_size);
    else pare_json_null(out, "group_size");
    pare_json_int(out, "nbits", s->bits);
    pare_json_bool(out, "optimize", true);
    pare_json_bool(out, "round_zero", s->bits == 4);
    pare_json_bool(out, "view_as_float", false);
    pare_json_end(out);
    pare_json_null(out, "zero_quant_params");
    pare_json_end(out);
    pare_json_text(out, "quant_method", "hqq");
    put_skipped(job, out);
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ binding */

static pare_status read_int(const pare_bind *b, int64_t tensor, int64_t *out, pare_err *err)
{
    const uint8_t *data;
    const pare_tensor *t = &b->store->tensors[tensor];
    pare_status st = pare_bind_expect(b, tensor, "I32 F32", 0, NULL, err);
    if (st != PARE_OK || (st = pare_store_data(b->store, tensor, &data, err)) != PARE_OK) return st;
    const float real = pare_le32f(data);
    *out = t->dtype == PARE_I32 ? (int32_t)pare_word_get(data) : real == 1.58f ? 2 : -1; /* "1.58 bit": ternary, stored in 2 bits */
    return PARE_OK;
}

/* Whole numbers of a layer: shape, bits, group, axis; what M is. */
static pare_status read_numbers(const pare_bind *b, pare_weight *w, int64_t *bits, pare_err *err)
{
    const uint8_t *data;
    int64_t group, axis, rows, cols;
    pare_status st;
    PARE_TRY(pare_bind_expect(b, w->part[SHAPE], "I64", 1, (int64_t[]){ 2 }, err));
    PARE_TRY(pare_store_data(b->store, w->part[SHAPE], &data, err));
    for (int i = 0; i < 2; i++) w->shape[i] = (int64_t)pare_le64(data + 8 * i);
    PARE_TRY(read_int(b, w->part[NBITS], bits, err));
    PARE_TRY(read_int(b, w->part[GROUP], &group, err));
    PARE_TRY(read_int(b, w->part[AXIS], &axis, err));
    const char *name = b->store->tensors[w->part[W_Q]].name;
    if (w->shape[0] < 1 || w->shape[1] < 1 || w->shape[0] > INT64_MAX / 8 / w->shape[1])
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: shape [%lld, %lld]", name, (long long)w->shape[0], (long long)w->shape[1]);
    if (*bits < 1 || *bits > 8) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: nbits %lld; 1 to 8 are read", name, (long long)*bits);
    if (axis != 0 && axis != 1) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: axis %lld; 0 or 1", name, (long long)axis);
    if (group < 1 || w->shape[0] * w->shape[1] % group)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: group_size %lld over [%lld, %lld]", name, (long long)group, (long long)w->shape[0], (long long)w->shape[1]);
    const bool channel = axis == 1 && group == w->shape[1];
    pare_scheme_read(&w->scheme, (int)*bits, false, channel ? PARE_PER_CHANNEL : PARE_PER_GROUP, group, b->store->tensors[w->part[SCALE]].dtype);
    if (axis == 0) w->scheme.axis = 0;
    w->scheme.float_zero = true;
    matrix_of(&w->scheme, w->shape, &rows, &cols);
    w->info[INFO_SLAB] = slab_of((int)*bits, rows, cols);
    for (int i = SCALE; i <= ZERO; i++)
        PARE_TRY(pare_bind_expect(b, w->part[i], PARE_FLOATS, 2, (int64_t[]){ axis ? rows : 1, axis ? 1 : cols }, err));
out:
    return st;
}

static pare_status check_packing(const pare_bind *b, const pare_weight *w, int bits, pare_err *err)
{
    const uint8_t *data;
    const pare_tensor *t = &b->store->tensors[w->part[PACKING]], *q = &b->store->tensors[w->part[W_Q]];
    const char *want = packing_name(bits);
    pare_status st = pare_bind_expect(b, w->part[PACKING], "U8", 1, (int64_t[]){ -1 }, err);
    if (st != PARE_OK || (st = pare_store_data(b->store, w->part[PACKING], &data, err)) != PARE_OK) return st;
    if ((size_t)t->numel != strlen(want) || memcmp(data, want, strlen(want)) != 0)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: '%.*s'; %d bits are read as '%s'", t->name, (int)(t->numel < 32 ? t->numel : 32), (const char *)data, bits, want);
    const uint64_t bytes = (uint64_t)w->info[INFO_SLAB] * (uint64_t)word_bytes(bits);
    if (q->bytes != bytes)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: %llu bytes; [%lld, %lld] of %d bits takes %llu", q->name, (unsigned long long)q->bytes, (long long)w->shape[0],
                         (long long)w->shape[1], bits, (unsigned long long)bytes);
    for (int i = QUANT_SCALE; i <= QUANT_ZERO; i++) {
        if (w->part[i] < 0) continue;
        if ((st = pare_bind_expect(b, w->part[i], "U8", 0, NULL, err)) != PARE_OK || (st = pare_store_data(b->store, w->part[i], &data, err)) != PARE_OK) return st;
        if (*data) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: scales or zero points that are quantized themselves are not read", b->store->tensors[w->part[i]].name);
    }
    return PARE_OK;
}

static pare_status bind_layer(pare_bind *b, const char *stem, size_t n, int64_t main, pare_err *err)
{
    pare_status st;
    int64_t bits = 0;
    pare_weight w = { .n_parts = PARTS, .ndim = 2, .zero_kind = PARE_ZERO_FLOAT };
    for (int i = 0; i < PARTS; i++) {
        w.part[i] = i == W_Q ? main : pare_bind_part(b, stem, n, suffixes[i]);
        if (i < NEEDED) PARE_TRY(pare_bind_need(b, stem, n, suffixes[i], &w.part[i], err));
    }
    PARE_TRY(read_numbers(b, &w, &bits, err));
    PARE_TRY(check_packing(b, &w, (int)bits, err));
    w.dtype = w.scheme.scale_dtype;
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

static pare_status bind(pare_bind *b, pare_err *err)
{
    static const char *const orphans[] = { ".packing", ".unpack_view_dtype", ".encoded_state_dict", NULL };
    pare_status st;
    if (!pare_bind_in_charge(b, "hqq")) return PARE_OK;
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        size_t n;
        if (b->owner[t] >= 0 || !pare_bind_stem(&b->store->tensors[t], suffixes[W_Q], &n)) continue;
        if ((st = bind_layer(b, b->store->tensors[t].name, n, t, err)) != PARE_OK) return st;
    }
    return *b->method ? pare_bind_no_orphans(b, orphans, suffixes[W_Q], err) : PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ reading */

/* Codes of elements first ... first+n-1 of the flattened weight; false when one is beyond `bits`. */
static bool unpack_slabs(int bits, const uint8_t *src, int64_t slab, int64_t first, int64_t n, uint8_t *codes)
{
    const uint32_t mask = (1u << bits) - 1;
    uint8_t seen = 0;
    while (n) {
        const int64_t at = first % slab, m = slab - at < n ? slab - at : n;
        const int shift = shift_of(bits, first / slab);
        for (int64_t i = 0; i < m; i++) {
            const uint32_t word = bits == 3 ? pare_word_get(src + 4 * (at + i)) : src[at + i];
            codes[i] = (uint8_t)(bits > 4 ? word : word >> shift & mask);
            seen |= codes[i];
        }
        codes += m;
        first += m;
        n -= m;
    }
    return seen <= mask;
}

static pare_status read_codes(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, uint8_t *codes, pare_err *err)
{
    const uint8_t *data;
    const int64_t in = layer->shape[1];
    pare_status st = pare_layer_part(w, layer, W_Q, &data, err);
    if (st != PARE_OK || unpack_slabs(layer->scheme.bits, data, layer->info[INFO_SLAB], row0 * in, rows * in, codes)) return st;
    return pare_fail(err, PARE_ERR_FORMAT, "%s: a stored code is beyond %d bits", layer->name, layer->scheme.bits);
}

static pare_status read_layer(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const int64_t group = layer->scheme.granularity == PARE_PER_GROUP ? layer->scheme.group_size : layer->shape[1];
    const int64_t first = axis0(&layer->scheme) ? 0 : row0 * layer->shape[1] / group;
    pare_status st = read_codes(w, layer, row0, rows, q->codes, err);
    if (st == PARE_OK) st = pare_layer_floats(w, layer, SCALE, first, q->grid.n_scales, q->scales, err);
    return st == PARE_OK ? pare_layer_floats(w, layer, ZERO, first, q->grid.n_scales, q->fzeros, err) : st;
}

/* Rows of axis 0: element e of the flattened weight has scale e % n. */
static pare_status values(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, float *out, pare_err *err)
{
    pare_status st;
    const int64_t in = layer->shape[1], numel = rows * in, n = layer->shape[0] * in / layer->scheme.group_size;
    uint8_t *codes = pare_alloc((size_t)numel + 1);
    float *scales = pare_alloc_zero((size_t)n, 2 * sizeof *scales), *zeros = scales + n;
    if (!codes || !scales) {
        st = pare_no_memory(err, layer->name, (size_t)numel);
        goto out;
    }
    PARE_TRY(read_codes(w, layer, row0, rows, codes, err));
    PARE_TRY(pare_layer_floats(w, layer, SCALE, 0, n, scales, err));
    PARE_TRY(pare_layer_floats(w, layer, ZERO, 0, n, zeros, err));
    for (int64_t i = 0, at = row0 * in % n; i < numel; i++, at = at + 1 == n ? 0 : at + 1) out[i] = ((float)codes[i] - zeros[at]) * scales[at];
out:
    pare_dealloc(codes);
    pare_dealloc(scales);
    return st;
}

const pare_layout pare_layout_hqq = {
    .name = "hqq",
    .help = "HQQ: integers with float zero points, as safetensors",
    .loaders = "hqq (HQQLinear), transformers 4",
    .packing = "P3 over the weight seen as groups; 3 bit ten codes a word",
    .schemes = "int 1 2 3 4 5 6 8; asym, float zeros; channel, group along (axis 1) or across (axis 0)",
    .claims = claims, .one_scheme = true,
    .check = check, .parts = parts, .pack = pack, .config = config,
    .bind = bind, .read = read_layer, .values = values,
};
