/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bitsandbytes, as transformers saves and loads it: NF4 and FP4 with plain or nested scales, and LLM.int8().
 * Source: bitsandbytes functional.py (QuantState), nn/modules.py; transformers quantizers/quantizer_bnb_*.py; measured in tests/interop.
 *
 *   4 bit: W = table[code] * absmax of the block of 64 elements of the flattened weight (blocks may cross rows)
 *     X.weight               U8 [ceil(n/2), 1]   two codes a byte, the first in the high four bits (P2): codes 0 ... 7 make 01 23 45 67
 *     X.weight.absmax        F32 [blocks]        nested: U8, absmax = map[u8] * nested_absmax[block of 256] + nested_offset
 *     X.weight.quant_map     F32 [16]            the table; index = code
 *     X.weight.nested_absmax F32, X.weight.nested_quant_map F32 [256]
 *     X.weight.quant_state.bitsandbytes__nf4     U8: the text {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [out, in],
 *                                                "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.0311} (or __fp4)
 *   8 bit: W = q * SCB / 127
 *     X.weight I8 [out, in]   X.SCB F32 [out] absmax of the row   X.weight_format U8 [] 0 = rows
 *
 * The text's length must be known before any weight is read, so nested_offset ends in spaces, which JSON allows.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "layout/bind.h"

enum { MAIN, ABSMAX, MAP, STATE, NESTED_ABSMAX, NESTED_MAP, PARTS4 };
enum { SCB = 1, FORMAT, PARTS8 };
enum { INFO_NESTED_BLOCK, INFO_OFFSET };
enum { NESTED_BLOCK = 256, STATE_MOST = 512 };

static const char *kind_name(const pare_scheme *s) { return s->codebook == PARE_BOOK_FP4 ? "fp4" : "nf4"; }

/* P2: first code of two in the high four bits; n may be odd at the end of a layer only. */
static void pack_high(const uint8_t *codes, int64_t n, uint8_t *dst)
{
    for (int64_t i = 0; i + 1 < n; i += 2) *dst++ = (uint8_t)(codes[i] << 4 | codes[i + 1]);
    if (n % 2) *dst = (uint8_t)(codes[n - 1] << 4);
}

static void unpack_high(const uint8_t *src, int64_t n, uint8_t *codes)
{
    for (int64_t i = 0; i + 1 < n; i += 2, src++) {
        codes[i] = *src >> 4;
        codes[i + 1] = *src & 15;
    }
    if (n % 2) codes[n - 1] = *src >> 4;
}

/* -------------------------------------------------------------------------------------------------------------- check */

static bool claims(const pare_scheme *s) { return s->kind == PARE_CODE_TABLE || s->act == PARE_ACT_OUTLIERS; }

static bool block_known(int64_t n) { return n >= 32 && n <= 4096 && !(n & (n - 1)); }

static pare_status check(pare_scheme *s, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    warn[0] = 0;
    (void)model_dtype;
    if (!claims(s)) return pare_fail(err, PARE_ERR_USAGE, "%s: bitsandbytes stores NF4, FP4 and LLM_INT8, not %s", name, s->name);
    if (s->kind == PARE_CODE_TABLE && (s->granularity != PARE_PER_GROUP || !pare_scheme_grouped(s, ndim) || !block_known(s->group_size)))
        return pare_fail(err, PARE_ERR_USAGE, "%s: bitsandbytes stores blocks of 32, 64, ... 4096 elements, not %s", name, s->name);
    if (s->kind == PARE_CODE_INT && (s->bits != 8 || !s->symmetric || !pare_scheme_per_row(s)))
        return pare_fail(err, PARE_ERR_USAGE, "%s: LLM.int8() has 8 bits and a scale per output channel, not %s", name, s->name);
    if (s->act != PARE_ACT_NONE && s->act != PARE_ACT_OUTLIERS)
        return pare_fail(err, PARE_ERR_USAGE, "%s: bitsandbytes leaves activations in 16 bit under 4-bit weights, %s does not", name, s->name);
    if (s->scale_dtype != PARE_DTYPE_NONE && s->scale_dtype != PARE_F32)
        return pare_fail(err, PARE_ERR_USAGE, "%s: bitsandbytes stores scales as f32, not %s", name, pare_dtype_get_info(s->scale_dtype)->name);
    s->scale_dtype = PARE_F32;
    const pare_status st = pare_refuse_matrix("bitsandbytes", name, ndim, shape, err);
    if (st == PARE_OK && s->kind == PARE_CODE_TABLE && shape[1] % s->group_size)
        snprintf(warn, 256, "blocks of %lld cross rows of %lld: bitsandbytes 0.50 decodes such layers wrongly on CPUs", (long long)s->group_size, (long long)shape[1]);
    return st;
}

/* -------------------------------------------------------------------------------------------------------------- parts */

/* The text of quant_state; offset as a fixed 16 characters. */
static int state_text(const pare_scheme *s, pare_dtype model_dtype, const int64_t *shape, float offset, char out[STATE_MOST])
{
    const char *dtype = model_dtype == PARE_F16 ? "float16" : model_dtype == PARE_BF16 ? "bfloat16" : "float32";
    int n = snprintf(out, STATE_MOST, "{\"quant_type\": \"%s\", \"blocksize\": %lld, \"dtype\": \"%s\", \"shape\": [%lld, %lld]", kind_name(s),
                     (long long)s->group_size, dtype, (long long)shape[0], (long long)shape[1]);
    if (s->nested)
        n += snprintf(out + n, STATE_MOST - (size_t)n, ", \"nested_blocksize\": %d, \"nested_dtype\": \"float32\", \"nested_offset\": %-16.9g", NESTED_BLOCK,
                      (double)offset);
    return n + snprintf(out + n, STATE_MOST - (size_t)n, "}");
}

static pare_status parts(const pare_scheme *s, pare_dtype model_dtype, int ndim, const int64_t *shape, pare_part *p, int *n, pare_err *err)
{
    (void)ndim;
    (void)err;
    if (s->kind == PARE_CODE_INT) {
        p[MAIN] = pare_part_make(".weight", PARE_I8, PARE_PART_ROWS, 1, 2, shape[0], shape[1]);
        p[SCB] = pare_part_make(".SCB", PARE_F32, PARE_PART_ROWS, 1, 1, shape[0], 0);
        p[FORMAT] = pare_part_make(".weight_format", PARE_U8, PARE_PART_SHARED, 1, 0, 0, 0);
        *n = PARTS8;
        return PARE_OK;
    }
    char text[STATE_MOST], state[48];
    const int64_t numel = shape[0] * shape[1], group = s->group_size, blocks = (numel + group - 1) / group;
    const bool local = !s->nested && shape[1] % group == 0;
    const pare_part_place place = local ? PARE_PART_ROWS : PARE_PART_ONCE;
    p[MAIN] = pare_part_make(".weight", PARE_U8, place, 1, 2, (numel + 1) / 2, 1);
    p[ABSMAX] = pare_part_make(".weight.absmax", s->nested ? PARE_U8 : PARE_F32, place, 1, 1, blocks, 0);
    p[MAIN].unit_bytes = local ? (uint64_t)(shape[1] / 2) : 0;
    p[ABSMAX].unit_bytes = local ? (uint64_t)(shape[1] / group) * 4 : 0;
    p[MAP] = pare_part_make(".weight.quant_map", PARE_F32, PARE_PART_SHARED, 1, 1, 16, 0);
    snprintf(state, sizeof state, ".weight.quant_state.bitsandbytes__%s", kind_name(s));
    p[STATE] = pare_part_make(state, PARE_U8, PARE_PART_SHARED, 1, 1, state_text(s, model_dtype, shape, 0.0f, text), 0);
    *n = STATE + 1;
    if (!s->nested) return PARE_OK;
    p[NESTED_ABSMAX] = pare_part_make(".weight.nested_absmax", PARE_F32, PARE_PART_SHARED, 1, 1, (blocks + NESTED_BLOCK - 1) / NESTED_BLOCK, 0);
    p[NESTED_MAP] = pare_part_make(".weight.nested_quant_map", PARE_F32, PARE_PART_SHARED, 1, 1, 256, 0);
    *n = PARTS4;
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- pack */

/*
 * absmax of a row from its scale absmax / 127, which is rounded: of the neighbours that give this scale the one with the shortest mantissa, so that
 * rows of 16-bit models come back exactly.
 */
static float absmax_of(float scale)
{
    const float near = scale * 127.0f;
    float best = near;
    int best_zeros = -1;
    for (int i = -2; i <= 2; i++) {
        uint32_t bits;
        float x;
        memcpy(&bits, &near, 4);
        bits += (uint32_t)i;
        memcpy(&x, &bits, 4);
        int zeros = 0;
        while (zeros < 23 && !(bits >> zeros & 1)) zeros++;
        if (x / 127.0f == scale && zeros > best_zeros) {
            best = x;
            best_zeros = zeros;
        }
    }
    return best;
}

static void pack_rows8(const pare_pack_in *in, uint8_t *const dst[])
{
    pare_codes_to_signed(in->codes, in->rows * in->cols, 8, dst[MAIN]);
    for (int64_t r = 0; r < in->rows; r++) pare_put_le32f(dst[SCB] + 4 * r, in->scales[r] > 0.0f ? absmax_of(in->scales[r]) : 0.0f);
    if (in->row0 == 0) dst[FORMAT][0] = 0;
}

static pare_status pack(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int n, uint8_t *const dst[], pare_err *err)
{
    const pare_scheme *s = in->scheme;
    if (s->kind == PARE_CODE_INT) {
        pack_rows8(in, dst);
        return PARE_OK;
    }
    const int64_t cells = in->rows * in->cols, shape[2] = { in->rows_total, in->cols };
    int count;
    char text[STATE_MOST];
    pack_high(in->codes, cells, dst[MAIN]);
    if (!s->nested) pare_put_floats(k, PARE_F32, in->scales, (cells + s->group_size - 1) / s->group_size, dst[ABSMAX]);
    if (in->row0 != 0) return PARE_OK;
    memcpy(dst[MAP], pare_codebook_values(s->codebook, &count), 16 * sizeof(float));
    const int length = state_text(s, in->model_dtype, shape, in->nested ? in->nested->offset : 0.0f, text);
    if (length != p[STATE].shape[0])
        return pare_fail(err, PARE_ERR_DATA, "quant_state: %d bytes, %lld are planned", length, (long long)p[STATE].shape[0]);
    memcpy(dst[STATE], text, (size_t)length);
    if (n < PARTS4) return PARE_OK;
    if (!in->nested || in->nested->block != NESTED_BLOCK || in->nested->n != p[ABSMAX].shape[0])
        return pare_fail(err, PARE_ERR_DATA, "nested scales are missing, or are not in blocks of %d", NESTED_BLOCK);
    memcpy(dst[ABSMAX], in->nested->codes, (size_t)in->nested->n);
    memcpy(dst[NESTED_ABSMAX], in->nested->scales, (size_t)in->nested->n_scales * sizeof(float));
    memcpy(dst[NESTED_MAP], pare_dynamic_map(), 256 * sizeof(float));
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------ configuration */

/* A float in the eyes of Python: with a point. "Nothing is an outlier" is 0 there. */
static const char *threshold_text(const pare_scheme *s, char out[32])
{
    snprintf(out, 32, "%.8g", s->act != PARE_ACT_OUTLIERS ? 6.0 : isinf(s->act_threshold) ? 0.0 : (double)s->act_threshold);
    if (!strpbrk(out, ".e")) memcpy(out + strlen(out), ".0", 3);
    return out;
}

static pare_status config(const pare_layout_job *job, pare_json *out, pare_err *err)
{
    char threshold[32];
    const pare_scheme *s = job->n_quantized ? job->schemes[0] : job->scheme;
    const bool four = s->kind == PARE_CODE_TABLE;
    (void)err;
    pare_json_bool(out, "_load_in_4bit", four);
    pare_json_bool(out, "_load_in_8bit", !four);
    pare_json_text(out, "bnb_4bit_compute_dtype", job->model_dtype == PARE_F16 ? "float16" : job->model_dtype == PARE_BF16 ? "bfloat16" : "float32");
    pare_json_text(out, "bnb_4bit_quant_storage", "uint8");
    pare_json_text(out, "bnb_4bit_quant_type", four ? kind_name(s) : "fp4"); /* transformers' default where it says nothing */
    pare_json_bool(out, "bnb_4bit_use_double_quant", s->nested);
    pare_json_bool(out, "llm_int8_enable_fp32_cpu_offload", false);
    pare_json_bool(out, "llm_int8_has_fp16_weight", false);
    pare_json_array(out, "llm_int8_skip_modules");
    for (int64_t i = 0; i < job->n_kept; i++) pare_json_text(out, NULL, job->kept[i]);
    if (pare_layout_silent_head(job)) pare_json_text(out, NULL, "lm_head");
    pare_json_end(out);
    pare_json_raw(out, "llm_int8_threshold", threshold_text(s, threshold));
    pare_json_bool(out, "load_in_4bit", four);
    pare_json_bool(out, "load_in_8bit", !four);
    pare_json_text(out, "quant_method", "bitsandbytes");
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ binding */

/* The text of quant_state: [out, in], block, nested block and offset. */
static pare_status read_state(const pare_bind *b, int64_t tensor, pare_weight *w, pare_dtype *dtype, pare_err *err)
{
    const pare_tensor *t = &b->store->tensors[tensor];
    const uint8_t *data;
    pare_jdoc *doc = NULL;
    pare_status st;
    PARE_TRY(pare_bind_expect(b, tensor, "U8", 1, (int64_t[]){ -1 }, err));
    PARE_TRY(pare_store_data(b->store, tensor, &data, err));
    PARE_TRY(pare_jdoc_parse((const char *)data, (size_t)t->numel, t->name, &doc, err));
    const pare_jval *root = pare_jdoc_root(doc), *shape = pare_j_get(root, "shape"), *offset = pare_j_get(root, "nested_offset");
    const char *text = pare_j_text(pare_j_get(root, "dtype"), "");
    const int64_t block = pare_j_int(pare_j_get(root, "blocksize"), 0);
    *dtype = !strcmp(text, "float16") ? PARE_F16 : !strcmp(text, "bfloat16") ? PARE_BF16 : PARE_F32;
    w->shape[0] = pare_j_int(pare_j_at(shape, 0), 0);
    w->shape[1] = pare_j_int(pare_j_at(shape, 1), 0);
    if (pare_j_count(shape) != 2 || w->shape[0] < 1 || w->shape[1] < 1 || w->shape[0] > INT64_MAX / 8 / w->shape[1])
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: \"shape\" is no [out, in] with both at least 1", t->name);
    if (!block_known(block)) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: \"blocksize\" %lld; 32, 64, ... 4096 are read", t->name, (long long)block);
    w->scheme.group_size = block;
    w->scheme.nested = pare_j_type(offset) != PARE_J_NULL;
    w->info[INFO_NESTED_BLOCK] = pare_j_int(pare_j_get(root, "nested_blocksize"), NESTED_BLOCK);
    if (w->scheme.nested && !block_known(w->info[INFO_NESTED_BLOCK]))
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: \"nested_blocksize\" %lld; 32, 64, ... 4096 are read", t->name, (long long)w->info[INFO_NESTED_BLOCK]);
    const float value = (float)pare_j_real(offset, 0.0);
    if (!isfinite(value)) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: \"nested_offset\" is not finite", t->name);
    memcpy(&w->info[INFO_OFFSET], &value, sizeof value);
out:
    pare_jdoc_free(doc);
    return st;
}

/* A table in the file must be the one that its name stands for. */
static pare_status check_table(const pare_bind *b, int64_t tensor, const float *want, int n, const char *what, pare_err *err)
{
    const uint8_t *data;
    const pare_tensor *t = &b->store->tensors[tensor];
    pare_status st = pare_bind_expect(b, tensor, "F32", 1, (int64_t[]){ n }, err);
    if (st != PARE_OK || (st = pare_store_data(b->store, tensor, &data, err)) != PARE_OK) return st;
    for (int i = 0; i < n; i++) {
        const float x = pare_le32f(data + 4 * i);
        if (!(fabsf(x - want[i]) <= 1e-6f))
            return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: value %d is %g; in %s it is %g, and other tables are not read", t->name, i, (double)x, what,
                             (double)want[i]);
    }
    return PARE_OK;
}

static pare_status bind4(pare_bind *b, const char *stem, size_t n, int64_t state, pare_codebook book, pare_err *err)
{
    pare_status st;
    int count;
    pare_weight w = { .n_parts = PARTS4, .ndim = 2, .zero_kind = PARE_ZERO_SYM };
    pare_scheme_read(&w.scheme, 4, true, PARE_PER_GROUP, 64, PARE_F32);
    w.scheme.kind = PARE_CODE_TABLE;
    w.scheme.codebook = book;
    for (int i = 0; i < PARTS4; i++) w.part[i] = -1;
    w.part[STATE] = state;
    PARE_TRY(pare_bind_need(b, stem, n, ".weight", &w.part[MAIN], err));
    PARE_TRY(pare_bind_need(b, stem, n, ".weight.absmax", &w.part[ABSMAX], err));
    PARE_TRY(pare_bind_need(b, stem, n, ".weight.quant_map", &w.part[MAP], err));
    PARE_TRY(read_state(b, state, &w, &w.dtype, err));
    const int64_t numel = w.shape[0] * w.shape[1], blocks = (numel + w.scheme.group_size - 1) / w.scheme.group_size;
    const int64_t inner = (blocks + w.info[INFO_NESTED_BLOCK] - 1) / w.info[INFO_NESTED_BLOCK];
    const pare_tensor *main = &b->store->tensors[w.part[MAIN]];
    PARE_TRY(pare_bind_expect(b, w.part[MAIN], "U8 I8 F16 BF16 F32", main->ndim, main->shape, err));
    if (main->bytes < (uint64_t)(numel + 1) / 2 || main->bytes - (uint64_t)(numel + 1) / 2 >= pare_dtype_bytes(main->dtype, 1))
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %llu bytes; [%lld, %lld] in quant_state takes %lld", main->name, (unsigned long long)main->bytes,
                  (long long)w.shape[0], (long long)w.shape[1], (long long)((numel + 1) / 2));
    PARE_TRY(pare_bind_expect(b, w.part[ABSMAX], w.scheme.nested ? "U8" : "F32", 1, (int64_t[]){ blocks }, err));
    PARE_TRY(check_table(b, w.part[MAP], pare_codebook_values(book, &count), 16, kind_name(&w.scheme), err));
    if (w.scheme.nested) {
        PARE_TRY(pare_bind_need(b, stem, n, ".weight.nested_absmax", &w.part[NESTED_ABSMAX], err));
        PARE_TRY(pare_bind_need(b, stem, n, ".weight.nested_quant_map", &w.part[NESTED_MAP], err));
        PARE_TRY(pare_bind_expect(b, w.part[NESTED_ABSMAX], "F32", 1, (int64_t[]){ inner }, err));
        PARE_TRY(check_table(b, w.part[NESTED_MAP], pare_dynamic_map(), 256, "the dynamic map", err));
    }
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

static pare_status bind8(pare_bind *b, const char *stem, size_t n, int64_t scb, pare_err *err)
{
    pare_status st;
    const uint8_t *format;
    pare_weight w = { .n_parts = PARTS8, .ndim = 2, .dtype = PARE_F16, .zero_kind = PARE_ZERO_SYM };
    double threshold = pare_j_real(pare_j_get(b->config, "llm_int8_threshold"), 6.0);
    w.part[SCB] = scb;
    w.part[FORMAT] = pare_bind_part(b, stem, n, ".weight_format");
    PARE_TRY(pare_bind_need(b, stem, n, ".weight", &w.part[MAIN], err));
    PARE_TRY(pare_bind_expect(b, w.part[MAIN], "I8", 2, (int64_t[]){ -1, -1 }, err));
    memcpy(w.shape, b->store->tensors[w.part[MAIN]].shape, 2 * sizeof *w.shape);
    PARE_TRY(pare_bind_expect(b, scb, PARE_FLOATS, 1, w.shape, err));
    if (w.part[FORMAT] >= 0) {
        PARE_TRY(pare_bind_expect(b, w.part[FORMAT], "U8", 0, NULL, err));
        PARE_TRY(pare_store_data(b->store, w.part[FORMAT], &format, err));
        if (format[0])
            PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: order %d of the weights; 0 (rows) is read", b->store->tensors[w.part[FORMAT]].name, format[0]);
    }
    pare_scheme_read(&w.scheme, 8, true, PARE_PER_CHANNEL, 0, PARE_F32);
    w.scheme.act = PARE_ACT_OUTLIERS;
    w.scheme.act_bits = 8;
    w.scheme.act_threshold = threshold > 0.0 ? (float)threshold : INFINITY;
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

static pare_status bind(pare_bind *b, pare_err *err)
{
    static const char *const states[] = { ".weight.quant_state.bitsandbytes__nf4", ".weight.quant_state.bitsandbytes__fp4" };
    static const char *const orphans[] = { ".weight.absmax", ".weight.quant_map", ".weight.nested_absmax", ".weight.nested_quant_map", NULL };
    static const char *const orphans8[] = { ".weight_format", NULL };
    pare_status st;
    if (!pare_bind_in_charge(b, "bitsandbytes")) return PARE_OK;
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        const char *name = b->store->tensors[t].name;
        size_t n;
        if (b->owner[t] >= 0) continue;
        for (int i = 0; i < 2; i++)
            if (pare_bind_stem(&b->store->tensors[t], states[i], &n) && (st = bind4(b, name, n, t, i ? PARE_BOOK_FP4 : PARE_BOOK_NF4, err)) != PARE_OK) return st;
        if (pare_bind_stem(&b->store->tensors[t], ".SCB", &n) && (st = bind8(b, name, n, t, err)) != PARE_OK) return st;
    }
    if (!*b->method) return PARE_OK;
    if ((st = pare_bind_no_orphans(b, orphans, ".weight.quant_state.bitsandbytes__nf4", err)) != PARE_OK) return st;
    return pare_bind_no_orphans(b, orphans8, ".SCB", err);
}

/* ------------------------------------------------------------------------------------------------------------ reading */

static pare_status read_nested(const pare_weights *w, const pare_weight *layer, int64_t first, int64_t n, float *scales, pare_err *err)
{
    const uint8_t *codes, *absmax;
    const float *map = pare_dynamic_map();
    float offset;
    pare_status st = pare_layer_part(w, layer, ABSMAX, &codes, err);
    if (st != PARE_OK || (st = pare_layer_part(w, layer, NESTED_ABSMAX, &absmax, err)) != PARE_OK) return st;
    memcpy(&offset, &layer->info[INFO_OFFSET], sizeof offset);
    for (int64_t i = 0; i < n; i++)
        scales[i] = map[codes[first + i]] * pare_le32f(absmax + 4 * ((first + i) / layer->info[INFO_NESTED_BLOCK])) + offset;
    return PARE_OK;
}

static pare_status read_layer(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *data;
    const int64_t in = layer->shape[1], first = row0 * in / (layer->scheme.group_size ? layer->scheme.group_size : 1);
    pare_status st = pare_layer_part(w, layer, MAIN, &data, err);
    if (st != PARE_OK) return st;
    if (layer->scheme.kind == PARE_CODE_TABLE) {
        unpack_high(data + row0 * in / 2, rows * in, q->codes);
        if (layer->scheme.nested) return read_nested(w, layer, first, q->grid.n_scales, q->scales, err);
        return pare_layer_floats(w, layer, ABSMAX, first, q->grid.n_scales, q->scales, err);
    }
    pare_codes_from_signed(data + row0 * in, rows * in, 8, q->codes);
    if ((st = pare_layer_floats(w, layer, SCB, row0, rows, q->scales, err)) != PARE_OK) return st;
    for (int64_t i = 0; i < rows; i++) q->scales[i] /= 127.0f;
    return PARE_OK;
}

const pare_layout pare_layout_bitsandbytes = {
    .name = "bitsandbytes",
    .help = "NF4 and FP4 with plain or nested scales, LLM.int8()",
    .loaders = "transformers (bitsandbytes), vLLM, PEFT for QLoRA",
    .packing = "P2 over the flattened weight; 8 bit one byte a code",
    .schemes = "NF4 FP4, blocks of 32 to 4096, scales f32 or nested; LLM_INT8: int 8 sym channel",
    .claims = claims, .one_scheme = true,
    .check = check, .parts = parts, .pack = pack, .config = config,
    .bind = bind, .read = read_layer,
};
