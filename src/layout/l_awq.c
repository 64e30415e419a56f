/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWQ, as AutoAWQ stores it: 4 bit, groups of input channels, always with zero points. Written: version "gemm". Read: gemm,
 * gemv, gemv_fast (also with llm-awq's scaled_zeros).
 * Source: casper-hansen/AutoAWQ awq/modules/linear/{gemm,gemv,gemv_fast}.py, awq/utils/packing_utils.py.
 *
 *   gemm        X.qweight I32 [in, out/8]    word (i, j), nibble n (bits 4n..4n+3) = code of output 8j + {0,2,4,6,1,3,5,7}[n]
 *               X.qzeros  I32 [G, out/8]     the same order, true zero points
 *               X.scales  F16 [G, out]
 *   gemv        X.qweight I32 [out, in/8]    bit stream along in; X.qzeros I32 [out, zw], X.scales F16 [out, 8 zw]
 *   gemv_fast   X.qweight I16 [out/4, in]    rule P6; X.qzeros (scaled_zeros) F16 [8 zw, out] = -scale * zero; X.scales F16 [8 zw, out]
 *               zw = ceil(G / 8) rounded up to a multiple of 1, 2, 4 for groups of >= 128, 64, 32
 *   W[o][i] = (u[o][i] - z[g][o]) * scales[g][o],  g = i / group_size
 *
 * Outputs 0 1 2 ... 7 with codes 0 1 2 ... 7 make the word 0x75316420. Symmetric quantization is stored with z = 8.
 * Invariants of what is written: in a multiple of the group, out a multiple of 8.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "layout/bind.h"

enum { QWEIGHT, QZEROS, SCALES, PARTS };
enum { INFO_VERSION, INFO_GROUP, INFO_GROUPS };
enum { GEMM, GEMV, GEMV_FAST };
static const char *const suffixes[PARTS] = { ".qweight", ".qzeros", ".scales" };

/* ------------------------------------------------------------------------------------------------------------ writing */

static pare_status check(pare_scheme *s, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    pare_status st;
    (void)model_dtype;
    warn[0] = 0;
    if (!pare_scheme_plain(s)) return pare_fail(err, PARE_ERR_USAGE, "%s: AWQ does not store %s", name, s->name);
    if (s->kind != PARE_CODE_INT || s->bits != 4)
        return pare_fail(err, PARE_ERR_USAGE, "%s: AWQ stores integers of 4 bits, not %s", name, s->name);
    if (!pare_scheme_per_row(s) && !pare_scheme_grouped(s, 2))
        return pare_fail(err, PARE_ERR_USAGE, "%s: AWQ stores a scale per group of input channels or per output channel, not %s", name, s->name);
    if (s->act != PARE_ACT_NONE)
        return pare_fail(err, PARE_ERR_USAGE, "%s: AWQ is a weight-only layout, %s quantizes activations", name, s->name);
    if (s->scale_dtype != PARE_DTYPE_NONE && s->scale_dtype != PARE_F16)
        return pare_fail(err, PARE_ERR_USAGE, "%s: AWQ scales are f16, not %s", name, pare_dtype_get_info(s->scale_dtype)->name);
    if ((st = pare_refuse_matrix("AWQ", name, ndim, shape, err)) != PARE_OK) return st;
    if (shape[0] % 8)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: out %lld is not a multiple of 8; AWQ packs eight outputs in a word", name, (long long)shape[0]);
    if (s->granularity == PARE_PER_GROUP && shape[1] % s->group_size)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: in %lld is not a multiple of the group size %lld", name, (long long)shape[1],
                         (long long)s->group_size);
    s->scale_dtype = PARE_F16;
    int64_t g = pare_scheme_group_field(s);
    if (g != -1 && g != 32 && g != 64 && g != 128)
        snprintf(warn, 256, "vLLM and GPTQModel take AWQ groups of 32, 64, 128 or whole rows, not %lld", (long long)g);
    else if (shape[0] % 64 || shape[1] % 128)
        snprintf(warn, 256, "vLLM's Marlin kernels need out %% 64 = 0 and in %% 128 = 0 (out %lld, in %lld): the plain AWQ kernel runs",
                 (long long)shape[0], (long long)shape[1]);
    return PARE_OK;
}

static pare_status parts(const pare_scheme *s, pare_dtype model_dtype, int ndim, const int64_t *shape, pare_part *p, int *n, pare_err *err)
{
    int64_t out = shape[0], in = shape[1], groups = pare_scheme_groups(s, in);
    (void)model_dtype;
    (void)ndim;
    (void)err;
    /* 128 rows are 16 words: pieces then fill whole cache lines of their own */
    p[QWEIGHT] = pare_part_make(suffixes[QWEIGHT], PARE_I32, PARE_PART_SHARED, 128, 2, in, out / 8);
    p[QZEROS] = pare_part_make(suffixes[QZEROS], PARE_I32, PARE_PART_SHARED, 128, 2, groups, out / 8);
    p[SCALES] = pare_part_make(suffixes[SCALES], PARE_F16, PARE_PART_SHARED, 128, 2, groups, out);
    *n = PARTS;
    return PARE_OK;
}

static pare_status pack(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int n, uint8_t *const dst[], pare_err *err)
{
    static const int row_of[8] = { 0, 2, 4, 6, 1, 3, 5, 7 };
    int64_t groups = pare_scheme_groups(in->scheme, in->cols), stride = in->rows_total / 8;
    (void)p;
    (void)n;
    pare_tile_pack_awq(in->rows, in->cols, in->codes, dst[QWEIGHT] + in->row0 / 8 * 4, stride);
    pare_put_floats_t(k, PARE_F16, in->scales, in->rows, groups, in->row0, in->rows_total, dst[SCALES]);
    for (int64_t i = 0; in->zeros && i < in->rows * groups; i++)
        if (in->zeros[i] < 0 || in->zeros[i] > 15)
            return pare_fail(err, PARE_ERR_DATA, "row %lld: zero point %d; AWQ stores 0 to 15", (long long)(in->row0 + i / groups), in->zeros[i]);
    for (int64_t g = 0; g < groups; g++)
        for (int64_t r = 0; r < in->rows; r += 8) {
            uint32_t word = 0;
            for (int i = 0; i < 8; i++) word |= (uint32_t)(in->zeros ? in->zeros[(r + row_of[i]) * groups + g] : 8) << (4 * i);
            pare_word_put(dst[QZEROS] + (g * stride + (in->row0 + r) / 8) * 4, word);
        }
    return PARE_OK;
}

static pare_status config(const pare_layout_job *job, pare_json *out, pare_err *err)
{
    const pare_scheme *main = job->n_quantized ? job->schemes[0] : job->scheme;
    for (int64_t i = 1; i < job->n_quantized; i++)
        if (pare_scheme_group_field(job->schemes[i]) != pare_scheme_group_field(main))
            return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: %s, but %s: %s; AWQ has one group size for a whole model", job->quantized[0], main->name,
                             job->quantized[i], job->schemes[i]->name);
    pare_json_text(out, "quant_method", "awq");
    pare_json_int(out, "bits", 4);
    pare_json_int(out, "group_size", pare_scheme_group_field(main));
    pare_json_bool(out, "zero_point", true); /* symmetric files hold zero points too, all 8 */
    pare_json_text(out, "version", "gemm");
    if (job->n_kept) {
        pare_json_array(out, "modules_to_not_convert");
        for (int64_t i = 0; i < job->n_kept; i++) pare_json_text(out, NULL, job->kept[i]);
        pare_json_end(out);
    } else {
        pare_json_null(out, "modules_to_not_convert");
    }
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ binding */

struct awq_config { int64_t bits, group; int version; };

static pare_status read_config(const pare_bind *b, struct awq_config *c, pare_err *err)
{
    static const char *const bits[] = { "bits", "w_bit", "wbits", NULL }, *const group[] = { "group_size", "q_group_size", "groupsize", NULL };
    static const char *const names[] = { "gemm", "gemv", "gemv_fast", NULL };
    const char *version = pare_j_text(pare_j_get(b->config, "version"), "gemm");
    c->bits = pare_bind_int(b->config, bits, 4);
    c->group = pare_bind_int(b->config, group, 0);
    for (c->version = 0; names[c->version] && !pare_str_same_nocase(names[c->version], version); c->version++) {}
    if (pare_str_same_nocase(version, "exllama") || pare_str_same_nocase(version, "ipex")) c->version = GEMM; /* kernels for gemm files */
    if (!names[c->version])
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: version '%s'; 'gemm', 'gemv' and 'gemv_fast' are read", b->where, version);
    if (c->bits != 4) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: bits %lld; AWQ of 4 bits is read", b->where, (long long)c->bits);
    if (c->group < -1 || c->group > INT32_MAX) return pare_fail(err, PARE_ERR_FORMAT, "%s: group_size %lld", b->where, (long long)c->group);
    return PARE_OK;
}

/* Stored groups of a gemv file, padding included. */
static int64_t padded_groups(int64_t in, int64_t group)
{
    int64_t unit = group >= 128 ? 1 : group >= 64 ? 2 : 4, words = ((in + group - 1) / group + 7) / 8;
    return (words + unit - 1) / unit * unit * 8;
}

static pare_status find_group(const pare_bind *b, const struct awq_config *c, const pare_tensor *scales, int64_t in, int64_t *group, pare_err *err)
{
    int64_t stored = scales->shape[c->version == GEMV ? 1 : 0];
    *group = c->group > 0 ? c->group : in;
    if (!c->group && c->version == GEMM && stored > 0 && in % stored == 0) *group = in / stored;
    if (!c->group && c->version != GEMM) *group = 128;
    int64_t wanted = c->version == GEMM ? in / *group : padded_groups(in, *group);
    if (in % *group == 0 && stored == wanted) return PARE_OK;
    return pare_fail(err, PARE_ERR_FORMAT, "%s: %lld groups stored; group_size %lld over %lld input channels (%s) makes %lld", scales->name,
                     (long long)stored, (long long)*group, (long long)in, b->where ? b->where : "no configuration", (long long)wanted);
}

/* *out and *in from qweight; the other parts are checked against them. */
static pare_status check_gemm(const pare_bind *b, const int64_t *part, int64_t *out, int64_t *in, pare_err *err)
{
    const pare_tensor *w = &b->store->tensors[part[QWEIGHT]];
    pare_status st;
    if ((st = pare_bind_expect(b, part[QWEIGHT], "I32 U32", 2, (int64_t[]){ -1, -1 }, err)) != PARE_OK) return st;
    *in = w->shape[0];
    *out = w->shape[1] * 8;
    if ((st = pare_bind_expect(b, part[SCALES], PARE_FLOATS, 2, (int64_t[]){ -1, *out }, err)) != PARE_OK) return st;
    return pare_bind_expect(b, part[QZEROS], "I32 U32", 2, (int64_t[]){ b->store->tensors[part[SCALES]].shape[0], *out / 8 }, err);
}

static pare_status check_gemv(const pare_bind *b, const int64_t *part, int64_t *out, int64_t *in, pare_err *err)
{
    const pare_tensor *w = &b->store->tensors[part[QWEIGHT]], *z = &b->store->tensors[part[QZEROS]];
    pare_status st;
    if ((st = pare_bind_expect(b, part[QWEIGHT], "I32 U32", 2, (int64_t[]){ -1, -1 }, err)) != PARE_OK) return st;
    *out = w->shape[0];
    *in = w->shape[1] * 8;
    if ((st = pare_bind_expect(b, part[QZEROS], "I32 U32", 2, (int64_t[]){ *out, -1 }, err)) != PARE_OK) return st;
    return pare_bind_expect(b, part[SCALES], PARE_FLOATS, 2, (int64_t[]){ *out, z->shape[1] * 8 }, err);
}

static pare_status check_fast(const pare_bind *b, const int64_t *part, int64_t *out, int64_t *in, pare_err *err)
{
    const pare_tensor *w = &b->store->tensors[part[QWEIGHT]];
    pare_status st;
    if ((st = pare_bind_expect(b, part[QWEIGHT], "I16 U16", 2, (int64_t[]){ -1, -1 }, err)) != PARE_OK) return st;
    *out = w->shape[0] * 4;
    *in = w->shape[1];
    if (*in % 64) return pare_fail(err, PARE_ERR_FORMAT, "%s: %lld input channels; gemv_fast packs multiples of 64", w->name, (long long)*in);
    if ((st = pare_bind_expect(b, part[SCALES], PARE_FLOATS, 2, (int64_t[]){ -1, *out }, err)) != PARE_OK) return st;
    return pare_bind_expect(b, part[QZEROS], PARE_FLOATS, 2, b->store->tensors[part[SCALES]].shape, err);
}

static pare_status bind_layer(pare_bind *b, const struct awq_config *c, const char *stem, size_t n, int64_t qweight, pare_err *err)
{
    pare_status st;
    pare_weight w = { .n_parts = PARTS, .part = { qweight }, .ndim = 2, .zero_kind = PARE_ZERO_INT };
    int64_t out, in, group;
    w.part[QZEROS] = c->version == GEMV_FAST ? pare_bind_part(b, stem, n, ".scaled_zeros") : -1;
    if (w.part[QZEROS] < 0) PARE_TRY(pare_bind_need(b, stem, n, suffixes[QZEROS], &w.part[QZEROS], err));
    PARE_TRY(pare_bind_need(b, stem, n, suffixes[SCALES], &w.part[SCALES], err));
    PARE_TRY((c->version == GEMM ? check_gemm : c->version == GEMV ? check_gemv : check_fast)(b, w.part, &out, &in, err));
    const pare_tensor *scales = &b->store->tensors[w.part[SCALES]];
    if (out < 1 || in < 1) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: an empty layer", b->store->tensors[qweight].name);
    PARE_TRY(find_group(b, c, scales, in, &group, err));
    w.shape[0] = out;
    w.shape[1] = in;
    w.dtype = scales->dtype;
    w.info[INFO_VERSION] = c->version;
    w.info[INFO_GROUP] = group;
    w.info[INFO_GROUPS] = in / group;
    pare_scheme_read(&w.scheme, 4, false, group == in ? PARE_PER_CHANNEL : PARE_PER_GROUP, group, w.dtype);
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

/* Without a declared method: a gemm file by its shapes (qweight an eighth as wide as scales). */
static bool looks_like_awq(const pare_bind *b, const char *stem, size_t n, const pare_tensor *qweight)
{
    int64_t scales = pare_bind_part(b, stem, n, suffixes[SCALES]);
    if (scales < 0 || qweight->ndim != 2 || b->store->tensors[scales].ndim != 2) return false;
    return qweight->shape[1] > 0 && b->store->tensors[scales].shape[1] / 8 == qweight->shape[1] && b->store->tensors[scales].shape[1] % 8 == 0;
}

static pare_status bind(pare_bind *b, pare_err *err)
{
    static const char *const orphans[] = { ".qweight", ".qzeros", ".scaled_zeros", NULL };
    struct awq_config c;
    pare_status st;
    if (!pare_bind_in_charge(b, "awq")) return PARE_OK;
    if ((st = read_config(b, &c, err)) != PARE_OK) return st;
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        const pare_tensor *qweight = &b->store->tensors[t];
        size_t n;
        if (b->owner[t] >= 0 || !pare_bind_stem(qweight, suffixes[QWEIGHT], &n)) continue;
        if (!*b->method && !looks_like_awq(b, qweight->name, n, qweight)) continue;
        if ((st = bind_layer(b, &c, qweight->name, n, t, err)) != PARE_OK) return st;
    }
    return *b->method ? pare_bind_no_orphans(b, orphans, suffixes[QWEIGHT], err) : PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ reading */

static void read_gemm_zeros(const uint8_t *qzeros, int64_t out, int64_t groups, int64_t row0, int64_t rows, int32_t *zeros)
{
    static const int nibble_of[8] = { 0, 4, 1, 5, 2, 6, 3, 7 };
    for (int64_t g = 0; g < groups; g++)
        for (int64_t r = 0; r < rows; r++) {
            uint32_t word = pare_word_get(qzeros + (g * (out / 8) + (row0 + r) / 8) * 4);
            zeros[r * groups + g] = (int32_t)(word >> (4 * nibble_of[(row0 + r) % 8]) & 15);
        }
}

/* Any row range: whole octets are unpacked into a buffer where the range cuts one. */
static pare_status read_gemm_codes(const uint8_t *qweight, int64_t out, int64_t in, int64_t row0, int64_t rows, uint8_t *codes, pare_err *err)
{
    int64_t first = row0 % 8 ? (8 - row0 % 8 < rows ? 8 - row0 % 8 : rows) : 0, body = (rows - first) / 8 * 8, stride = out / 8;
    const uint8_t *src = qweight + (row0 + first) / 8 * 4;
    pare_tile_unpack_awq(body, in, src, stride, codes + first * in);
    if (!first && body == rows) return PARE_OK;
    uint8_t *octet = pare_alloc((size_t)in * 8);
    if (!octet) return pare_no_memory(err, "eight rows", (size_t)in * 8);
    if (first) {
        pare_tile_unpack_awq(8, in, qweight + row0 / 8 * 4, stride, octet);
        memcpy(codes, octet + row0 % 8 * in, (size_t)(first * in));
    }
    if (first + body < rows) {
        pare_tile_unpack_awq(8, in, src + body / 8 * 4, stride, octet);
        memcpy(codes + (first + body) * in, octet, (size_t)((rows - first - body) * in));
    }
    pare_dealloc(octet);
    return PARE_OK;
}

static pare_status read_gemv(const pare_weights *w, const pare_weight *layer, const uint8_t *qweight, const uint8_t *qzeros, int64_t row0,
                             int64_t rows, pare_qtensor *q, pare_err *err)
{
    int64_t in = layer->shape[1], groups = layer->info[INFO_GROUPS], stored = w->store->tensors[layer->part[SCALES]].shape[1];
    pare_status st = PARE_OK;
    w->kernels->unpack_lsb(4, rows * in, qweight + row0 * in / 2, q->codes);
    for (int64_t r = 0; r < rows && st == PARE_OK; r++) {
        pare_strip_unpack(4, 0, groups, qzeros + (row0 + r) * stored / 2, 1, q->zeros + r * groups, 1);
        st = pare_layer_floats(w, layer, SCALES, (row0 + r) * stored, groups, q->scales + r * groups, err);
    }
    return st;
}

/* P6: row n, column k is nibble (k % 32) / 8 of 16-bit word 64 (k / 64) + 16 (n % 4) + 8 (k % 64 / 32) + 2 (k % 8 / 2) + k % 2 of row n / 4. */
static pare_status read_fast(const pare_weights *w, const pare_weight *layer, const uint8_t *qweight, int64_t row0, int64_t rows, pare_qtensor *q,
                             pare_err *err)
{
    int64_t out = layer->shape[0], in = layer->shape[1], groups = layer->info[INFO_GROUPS];
    float *scaled = pare_alloc((size_t)(rows * groups) * sizeof *scaled);
    pare_status st;
    if (!scaled) return pare_no_memory(err, layer->name, (size_t)(rows * groups) * sizeof *scaled);
    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *line = qweight + (row0 + r) / 4 * in * 2;
        for (int64_t k = 0; k < in; k++) {
            int64_t word = 64 * (k / 64) + 16 * ((row0 + r) % 4) + 8 * (k % 64 / 32) + 2 * (k % 8 / 2) + k % 2;
            q->codes[r * in + k] = line[word * 2 + (k % 32 / 16)] >> (k % 16 / 8 * 4) & 15;
        }
    }
    PARE_TRY(pare_layer_floats_t(w, layer, SCALES, groups, out, row0, rows, q->scales, err));
    PARE_TRY(pare_layer_floats_t(w, layer, QZEROS, groups, out, row0, rows, scaled, err));
    for (int64_t i = 0; i < rows * groups; i++) {
        float z = q->scales[i] != 0.0f ? rintf(-scaled[i] / q->scales[i]) : 0.0f;
        if (!(z >= 0.0f && z <= 15.0f))
            PARE_FAIL(err, PARE_ERR_FORMAT, "%s: scaled zero %g with scale %g is no zero point from 0 to 15", layer->name, (double)scaled[i],
                      (double)q->scales[i]);
        q->zeros[i] = (int32_t)z;
    }
out:
    pare_dealloc(scaled);
    return st;
}

static pare_status read_layer(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *qweight, *qzeros;
    int64_t out = layer->shape[0], groups = layer->info[INFO_GROUPS];
    pare_status st;
    if ((st = pare_layer_part(w, layer, QWEIGHT, &qweight, err)) != PARE_OK) return st;
    if ((st = pare_layer_part(w, layer, QZEROS, &qzeros, err)) != PARE_OK) return st;
    if (layer->info[INFO_VERSION] == GEMV) return read_gemv(w, layer, qweight, qzeros, row0, rows, q, err);
    if (layer->info[INFO_VERSION] == GEMV_FAST) return read_fast(w, layer, qweight, row0, rows, q, err);
    if ((st = pare_layer_floats_t(w, layer, SCALES, groups, out, row0, rows, q->scales, err)) != PARE_OK) return st;
    read_gemm_zeros(qzeros, out, groups, row0, rows, q->zeros);
    return read_gemm_codes(qweight, out, layer->shape[1], row0, rows, q->codes, err);
}

const pare_layout pare_layout_awq = {
    .name = "awq",
    .one_scheme = true,
    .help = "AWQ gemm: 4 bit, interleaved int32 words, zero points",
    .loaders = "transformers (gptqmodel), vLLM, AutoAWQ; not llama.cpp's converter",
    .packing = "P5 along out, transposed; reads gemv (P1 along in) and gemv_fast (P6)",
    .schemes = "int 4; sym asym; channel group; scales f16; in a multiple of the group, out of 8",
    .check = check, .parts = parts, .pack = pack, .config = config,
    .bind = bind, .read = read_layer,
};
