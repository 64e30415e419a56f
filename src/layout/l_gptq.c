/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPTQ: the layout of AutoGPTQ and GPTQModel, read by transformers, vLLM, exllama and llama.cpp's converter.
 * Source: ModelCloud/GPTQModel gptqmodel/nn_modules/qlinear/__init__.py, utils/model.py; measured in tests/interop.
 *
 *   X.qweight I32 [in*b/32, out]    transposed; a column holds one output channel's codes as a bit stream, low bits first:
 *                                   b = 4, row k, column o   31..28 27..24 ...  7..4  3..0
 *                                                            u[o][8k+7]    ...        u[o][8k]
 *   X.qzeros  I32 [G, out*b/32]     zero points as a bit stream along out
 *   X.scales  F16 [G, out]
 *   X.g_idx   I32 [in]              group of each input channel; i / group_size unless the columns were reordered (act-order)
 *   W[o][i] = scales[g][o] * (u[o][i] - z[g][o]),  g = g_idx[i]
 *
 * Zero points: checkpoint_format "gptq" (v1, also when absent) stores z - 1, "gptq_v2" stores z. v1 cannot store z = 0: writers
 * let it wrap in different ways and readers disagree. So v1 is written with z in [1, 2^b-1] (scheme.zero_min), and read as
 * GPTQModel (which transformers uses) writes and reads it: 2, 4 and 8 bits subtract and add 0x55555555, 0x11111111,
 * 0x01010101 to whole words, borrows and carries included, 3 bits go field by field modulo 8.
 * Symmetric 4 bit: z = 8, words 0x77777777 (v1) and 0x88888888 (v2).
 * Files exist that say "gptq" and hold v2 zeros: sym with every stored field 2^(b-1) is read as v2, with a warning.
 *
 * Invariants of what is written: in, out multiples of 32; the group divides in (or G = 1, group_size -1); g_idx always there
 * (llama.cpp's converter and GPTQModel need it).
 */
#include <stdio.h>
#include <string.h>
#include "layout/bind.h"

enum { QWEIGHT, QZEROS, SCALES, G_IDX, PARTS };
enum { INFO_VERSION, INFO_GROUP, INFO_GROUPS };
static const char *const suffixes[PARTS] = { ".qweight", ".qzeros", ".scales", ".g_idx" };

/* ------------------------------------------------------------------------------------------------------------ writing */

static pare_status check_scheme(const pare_scheme *s, const char *name, pare_err *err)
{
    if (!pare_scheme_plain(s)) return pare_fail(err, PARE_ERR_USAGE, "%s: GPTQ does not store %s", name, s->name);
    if (s->kind != PARE_CODE_INT || (s->bits != 2 && s->bits != 3 && s->bits != 4 && s->bits != 8))
        return pare_fail(err, PARE_ERR_USAGE, "%s: GPTQ stores integers of 2, 3, 4 or 8 bits, not %s", name, s->name);
    if (!pare_scheme_per_row(s) && !pare_scheme_grouped(s, 2))
        return pare_fail(err, PARE_ERR_USAGE, "%s: GPTQ stores a scale per output channel or per group of input channels, not %s", name, s->name);
    if (s->act != PARE_ACT_NONE)
        return pare_fail(err, PARE_ERR_USAGE, "%s: GPTQ is a weight-only layout, %s quantizes activations", name, s->name);
    if (s->scale_dtype != PARE_DTYPE_NONE && s->scale_dtype != PARE_F16)
        return pare_fail(err, PARE_ERR_USAGE, "%s: GPTQ scales are f16, not %s", name, pare_dtype_get_info(s->scale_dtype)->name);
    return PARE_OK;
}

static void warn_loaders(const pare_scheme *s, int version, const int64_t *shape, char warn[256])
{
    int64_t g = pare_scheme_group_field(s);
    if (g != -1 && g != 16 && g != 32 && g != 64 && g != 128 && g != 256 && g != 512 && g != 1024) {
        snprintf(warn, 256, "GPTQModel, which transformers loads GPTQ with, refuses groups of %lld: it takes 16, 32, 64 ... 1024 or whole rows", (long long)g);
    } else if (s->bits == 3) {
        snprintf(warn, 256, "llama.cpp's converter does not read 3-bit GPTQ; transformers and vLLM do");
    } else if (version == 1 && !s->symmetric) {
        snprintf(warn, 256, "GPTQModel.load refuses asymmetric v1 files (transformers, vLLM and AutoGPTQ read them); gptq_v2 loads there too");
    } else if (version == 2) {
        snprintf(warn, 256, "gptq_v2 is read by GPTQModel, vLLM from October 2025 and llama.cpp's converter; older loaders take its zero points for v1");
    } else if (s->symmetric && s->bits >= 4 && g != -1 && g != 32 && g != 64 && g != 128) {
        snprintf(warn, 256, "vLLM's Marlin kernels take groups of 32, 64, 128 or whole rows, not %lld: the plain kernel runs", (long long)g);
    } else if (s->symmetric && s->bits >= 4 && (shape[0] % 64 || shape[1] % 128)) {
        snprintf(warn, 256, "vLLM's Marlin kernels need out %% 64 = 0 and in %% 128 = 0 (out %lld, in %lld): the plain kernel runs",
                   (long long)shape[0], (long long)shape[1]);
    }
}

static pare_status check(int version, pare_scheme *s, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    pare_status st;
    warn[0] = 0;
    if ((st = check_scheme(s, name, err)) != PARE_OK) return st;
    if ((st = pare_refuse_matrix("GPTQ", name, ndim, shape, err)) != PARE_OK) return st;
    if (shape[0] % 32 || shape[1] % 32)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: out %lld, in %lld; GPTQ packs multiples of 32", name, (long long)shape[0], (long long)shape[1]);
    if (s->granularity == PARE_PER_GROUP && shape[1] % s->group_size)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: in %lld is not a multiple of the group size %lld, which GPTQ loaders need", name,
                         (long long)shape[1], (long long)s->group_size);
    s->scale_dtype = PARE_F16;
    if (version == 1 && !s->symmetric && s->zero_min < 1) s->zero_min = 1;
    warn_loaders(s, version, shape, warn);
    return PARE_OK;
}

static pare_status check_v1(pare_scheme *s, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    (void)model_dtype;
    return check(1, s, name, ndim, shape, warn, err);
}

static pare_status check_v2(pare_scheme *s, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    (void)model_dtype;
    return check(2, s, name, ndim, shape, warn, err);
}

static pare_status parts(const pare_scheme *s, pare_dtype model_dtype, int ndim, const int64_t *shape, pare_part *p, int *n, pare_err *err)
{
    int64_t out = shape[0], in = shape[1], groups = pare_scheme_groups(s, in);
    (void)model_dtype;
    (void)ndim;
    (void)err;
    p[QWEIGHT] = pare_part_make(suffixes[QWEIGHT], PARE_I32, PARE_PART_SHARED, 32, 2, in / 32 * s->bits, out);
    p[QZEROS] = pare_part_make(suffixes[QZEROS], PARE_I32, PARE_PART_SHARED, 32, 2, groups, out / 32 * s->bits);
    p[SCALES] = pare_part_make(suffixes[SCALES], PARE_F16, PARE_PART_SHARED, 32, 2, groups, out);
    p[G_IDX] = pare_part_make(suffixes[G_IDX], PARE_I32, PARE_PART_SHARED, 32, 1, in, 0);
    *n = PARTS;
    return PARE_OK;
}

static pare_status pack_zeros(int version, const pare_pack_in *in, int64_t groups, uint8_t *dst, pare_err *err)
{
    int bits = in->scheme->bits;
    int32_t middle = 1 << (bits - 1), minus = version == 1 ? 1 : 0, top = (1 << bits) - 1;
    int64_t words = in->rows_total / 32 * bits;
    for (int64_t i = 0; in->zeros && i < in->rows * groups; i++)
        if (in->zeros[i] < minus || in->zeros[i] > top)
            return pare_fail(err, PARE_ERR_DATA, "row %lld: zero point %d; this layout stores %d to %d", (long long)(in->row0 + i / groups),
                             in->zeros[i], minus, top);
    for (int64_t g = 0; g < groups; g++)
        pare_strip_pack(bits, in->rows, in->zeros ? in->zeros + g : &middle, in->zeros ? groups : 0, minus,
                        dst + (g * words + in->row0 / 32 * bits) * 4, 1);
    return PARE_OK;
}

static pare_status pack(int version, const pare_kernels *k, const pare_pack_in *in, uint8_t *const dst[], pare_err *err)
{
    int64_t groups = pare_scheme_groups(in->scheme, in->cols), group = in->scheme->granularity == PARE_PER_GROUP ? in->scheme->group_size : in->cols;
    pare_tile_pack_t(k, in->scheme->bits, in->rows, in->cols, in->codes, dst[QWEIGHT] + in->row0 * 4, in->rows_total);
    pare_put_floats_t(k, PARE_F16, in->scales, in->rows, groups, in->row0, in->rows_total, dst[SCALES]);
    if (in->row0 == 0)
        for (int64_t i = 0; i < in->cols; i++) pare_word_put(dst[G_IDX] + i * 4, (uint32_t)(in->g_idx ? in->g_idx[i] : i / group));
    return pack_zeros(version, in, groups, dst[QZEROS], err);
}

static pare_status pack_v1(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int n, uint8_t *const dst[], pare_err *err)
{
    (void)p;
    (void)n;
    return pack(1, k, in, dst, err);
}

static pare_status pack_v2(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int n, uint8_t *const dst[], pare_err *err)
{
    (void)p;
    (void)n;
    return pack(2, k, in, dst, err);
}

/* ------------------------------------------------------------------------------------------------------ configuration */

/* Regular expression of exactly this module, as GPTQModel and vLLM match it (from the start): dots escaped, "$" at the end. */
static void add_dynamic_key(pare_str *s, const char *sign, const char *module)
{
    pare_str_add(s, sign);
    for (const char *c = module; *c; c++) {
        if (strchr(".^$*+?()[]{}|\\", *c)) pare_str_addn(s, "\\", 1);
        pare_str_addn(s, c, 1);
    }
    pare_str_add(s, "$");
}

/* Loaders only replace linear layers inside the repeated blocks: those have a number in their path. */
static bool inside_blocks(const char *module)
{
    for (const char *dot = strchr(module, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t digits = strspn(dot + 1, "0123456789");
        if (digits && (dot[1 + digits] == '.' || !dot[1 + digits])) return true;
    }
    return false;
}

static bool differs(const pare_scheme *a, const pare_scheme *b)
{
    return a->bits != b->bits || a->symmetric != b->symmetric || pare_scheme_group_field(a) != pare_scheme_group_field(b);
}

/* "-:" layers that stay float, "+:" layers whose scheme is not the main one. *any says whether the object has members. */
static pare_status put_dynamic(const pare_layout_job *job, const pare_scheme *main, pare_json *out, bool *any, pare_err *err)
{
    pare_str key = { 0 };
    *any = false;
    for (int64_t i = 0; i < job->n_kept + job->n_quantized; i++) {
        bool kept = i < job->n_kept;
        const char *module = kept ? job->kept[i] : job->quantized[i - job->n_kept];
        const pare_scheme *s = kept ? NULL : job->schemes[i - job->n_kept];
        if (kept ? !inside_blocks(module) : !differs(s, main)) continue;
        if (!*any) pare_json_object(out, "dynamic");
        *any = true;
        key.n = 0;
        add_dynamic_key(&key, kept ? "-:" : "+:", module);
        if (key.failed) break;
        pare_json_object(out, key.at);
        if (s) {
            pare_json_int(out, "bits", s->bits);
            pare_json_int(out, "group_size", pare_scheme_group_field(s));
            pare_json_bool(out, "sym", s->symmetric);
        }
        pare_json_end(out);
    }
    if (*any) pare_json_end(out);
    bool failed = key.failed;
    pare_str_clear(&key);
    return failed ? pare_no_memory(err, "quantization_config", 0) : PARE_OK;
}

/* transformers (optimum) does not know "dynamic": it needs the list of layers that are quantized. */
static void put_module_list(const pare_layout_job *job, pare_json *out)
{
    bool kept = false;
    for (int64_t i = 0; i < job->n_kept; i++) kept |= inside_blocks(job->kept[i]);
    if (!kept) return;
    pare_json_array(out, "modules_in_block_to_quantize");
    pare_json_array(out, NULL);
    for (int64_t i = 0; i < job->n_quantized; i++)
        if (inside_blocks(job->quantized[i])) pare_json_text(out, NULL, job->quantized[i]);
    pare_json_end(out);
    pare_json_end(out);
}

static pare_status config(int version, const pare_layout_job *job, pare_json *out, pare_err *err)
{
    const pare_scheme *main = job->n_quantized ? job->schemes[0] : job->scheme;
    const char *format = version == 1 ? "gptq" : "gptq_v2";
    bool lm_head = false, any;
    for (int64_t i = 0; i < job->n_quantized; i++) {
        lm_head |= !strcmp(job->quantized[i], "lm_head");
        if (!differs(job->schemes[i], job->scheme)) main = job->schemes[i];
    }
    pare_json_text(out, "quant_method", "gptq");
    pare_json_int(out, "bits", main->bits);
    pare_json_int(out, "group_size", pare_scheme_group_field(main));
    pare_json_bool(out, "sym", main->symmetric);
    pare_json_bool(out, "desc_act", job->g_idx); /* without it loaders may take g_idx for i / group_size */
    pare_json_bool(out, "lm_head", lm_head);
    pare_json_text(out, "method", "gptq");
    pare_json_text(out, "checkpoint_format", format);
    pare_json_text(out, "format", format);
    pare_json_text(out, "pack_dtype", "int32");
    pare_status st = put_dynamic(job, main, out, &any, err);
    put_module_list(job, out);
    pare_json_object(out, "meta");
    pare_json_array(out, "quantizer");
    char quantizer[48];
    snprintf(quantizer, sizeof quantizer, "pare:%s", pare_version());
    pare_json_text(out, NULL, quantizer);
    pare_json_end(out);
    pare_json_end(out);
    return st;
}

static pare_status config_v1(const pare_layout_job *job, pare_json *out, pare_err *err) { return config(1, job, out, err); }
static pare_status config_v2(const pare_layout_job *job, pare_json *out, pare_err *err) { return config(2, job, out, err); }

/* The same object as a file: vLLM and AutoGPTQ look for it. */
static pare_status files(int version, const pare_layout_job *job,
                         pare_status (*emit)(void *arg, const char *name, const char *text, pare_err *err), void *arg, pare_err *err)
{
    pare_status st;
    pare_json *j = NULL;
    char *text = NULL;
    PARE_TRY(pare_json_new(2, &j, err));
    pare_json_object(j, NULL);
    PARE_TRY(config(version, job, j, err));
    pare_json_end(j);
    PARE_TRY(pare_json_take(j, &text, err));
    PARE_TRY(emit(arg, "quantize_config.json", text, err));
out:
    pare_free(text);
    pare_json_free(j);
    return st;
}

static pare_status files_v1(const pare_layout_job *job, pare_status (*emit)(void *arg, const char *name, const char *text, pare_err *err), void *arg,
                            pare_err *err)
{
    return files(1, job, emit, arg, err);
}

static pare_status files_v2(const pare_layout_job *job, pare_status (*emit)(void *arg, const char *name, const char *text, pare_err *err), void *arg,
                            pare_err *err)
{
    return files(2, job, emit, arg, err);
}

/* ------------------------------------------------------------------------------------------------------------ binding */

/* What the configuration says; -1 / 0 = silent. */
struct gptq_config { int64_t bits, group; bool sym, dynamic, probed; int version; };

static pare_status read_config(const pare_bind *b, struct gptq_config *c, pare_err *err)
{
    static const char *const bits[] = { "bits", "w_bit", "wbits", NULL }, *const group[] = { "group_size", "groupsize", "q_group_size", NULL };
    const char *format = pare_j_text(pare_j_get(b->config, "checkpoint_format"), pare_j_text(pare_j_get(b->config, "format"), "gptq"));
    const char *pack_dtype = pare_j_text(pare_j_get(b->config, "pack_dtype"), "int32");
    c->bits = pare_bind_int(b->config, bits, 0);
    c->group = pare_bind_int(b->config, group, 0);
    c->sym = pare_j_bool(pare_j_get(b->config, "sym"), true);
    c->dynamic = pare_j_count(pare_j_get(b->config, "dynamic")) > 0 || pare_j_count(pare_j_get(b->config, "extra_config")) > 0;
    c->probed = false;
    c->version = pare_str_same_nocase(format, "gptq_v2") ? 2 : 1;
    if (c->version == 1 && !pare_str_same_nocase(format, "gptq"))
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: checkpoint_format '%s'; 'gptq' and 'gptq_v2' are read", b->where, format);
    if (pare_j_bool(pare_j_get(b->config, "is_marlin_format"), false))
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: is_marlin_format; the Marlin kernel layout is not read", b->where);
    if (strcmp(pack_dtype, "int32") != 0)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: pack_dtype '%s'; 'int32' is read", b->where, pack_dtype);
    if (c->bits && c->bits != 2 && c->bits != 3 && c->bits != 4 && c->bits != 8)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: bits %lld; GPTQ has 2, 3, 4 and 8", b->where, (long long)c->bits);
    if (c->group < -1 || c->group > INT32_MAX)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: group_size %lld", b->where, (long long)c->group);
    return PARE_OK;
}

/* Do these bits explain the shapes? *in receives the input channels. */
static bool bits_fit(const pare_store *s, const int64_t *part, int64_t bits, int64_t *in)
{
    const int64_t *w = s->tensors[part[QWEIGHT]].shape, *z = s->tensors[part[QZEROS]].shape, *scale = s->tensors[part[SCALES]].shape;
    if (w[0] < 1 || w[1] < 1 || w[0] > INT64_MAX / 32 || w[0] * 32 % bits || z[1] != pare_lsb_words((int)bits, scale[1])) return false;
    *in = w[0] * 32 / bits;
    return part[G_IDX] < 0 || s->tensors[part[G_IDX]].shape[0] == *in;
}

static pare_status find_bits(const pare_bind *b, const struct gptq_config *c, const int64_t *part, int64_t *bits, int64_t *in, pare_err *err)
{
    static const int64_t all[] = { 4, 8, 3, 2 };
    const pare_tensor *w = &b->store->tensors[part[QWEIGHT]], *z = &b->store->tensors[part[QZEROS]];
    *bits = c->bits;
    if (c->bits && bits_fit(b->store, part, c->bits, in)) return PARE_OK;
    for (size_t i = 0; (!c->bits || c->dynamic) && i < sizeof all / sizeof *all; i++) {
        *bits = all[i];
        if (bits_fit(b->store, part, *bits, in)) return PARE_OK;
    }
    char ws[96], zs[96];
    pare_shape_text(w->ndim, w->shape, ws);
    pare_shape_text(z->ndim, z->shape, zs);
    if (c->bits)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: shape %s with qzeros %s is not %lld bits, as %s says", w->name, ws, zs, (long long)c->bits, b->where);
    return pare_fail(err, PARE_ERR_FORMAT, "%s: shape %s with qzeros %s fits no GPTQ width", w->name, ws, zs);
}

static pare_status find_group(const pare_bind *b, const struct gptq_config *c, const int64_t *part, int64_t in, int64_t *group, pare_err *err)
{
    const pare_tensor *s = &b->store->tensors[part[SCALES]];
    int64_t groups = s->shape[0];
    *group = c->group > 0 ? c->group : in;
    if (c->group && (in + *group - 1) / *group == groups) return PARE_OK;
    if ((!c->group || c->dynamic) && groups > 0 && in % groups == 0) {
        *group = in / groups;
        return PARE_OK;
    }
    if (c->group)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: %lld groups for %lld input channels; group_size %lld in %s makes %lld", s->name, (long long)groups,
                         (long long)in, (long long)c->group, b->where, (long long)((in + *group - 1) / *group));
    return pare_fail(err, PARE_ERR_FORMAT, "%s: %lld groups do not divide %lld input channels", s->name, (long long)groups, (long long)in);
}

static pare_status check_shapes(const pare_bind *b, const int64_t *part, pare_err *err)
{
    const int64_t any[2] = { -1, -1 };
    pare_status st;
    if ((st = pare_bind_expect(b, part[QWEIGHT], "I32 U32", 2, any, err)) != PARE_OK) return st;
    if ((st = pare_bind_expect(b, part[SCALES], PARE_FLOATS, 2, (int64_t[]){ -1, b->store->tensors[part[QWEIGHT]].shape[1] }, err)) != PARE_OK) return st;
    const int64_t *scale = b->store->tensors[part[SCALES]].shape;
    if ((st = pare_bind_expect(b, part[QZEROS], "I32 U32", 2, (int64_t[]){ scale[0], -1 }, err)) != PARE_OK) return st;
    return pare_bind_expect(b, part[G_IDX], "I32 U32", 1, any, err);
}

/* Is every stored zero of this layer 2^(bits-1)? */
static pare_status all_middle(const pare_bind *b, int64_t qzeros, int bits, int64_t out, bool *yes, pare_err *err)
{
    const uint8_t *data;
    const pare_tensor *t = &b->store->tensors[qzeros];
    pare_status st = pare_store_data(b->store, qzeros, &data, err);
    *yes = st == PARE_OK && t->numel > 0;
    for (int64_t g = 0; *yes && g < t->shape[0]; g++)
        for (int64_t o = 0; *yes && o < out; o++) {
            int32_t z;
            pare_strip_unpack(bits, o, 1, data + g * t->shape[1] * 4, 1, &z, 1);
            *yes = z == 1 << (bits - 1);
        }
    pare_store_release(b->store, qzeros);
    return st;
}

/* A file that says "gptq" and is symmetric: are its zero points v2? Judged by its first layer, once. */
static pare_status probe_v2(const pare_bind *b, struct gptq_config *c, const int64_t *part, int bits, pare_err *err)
{
    bool v2;
    const pare_tensor *qzeros = &b->store->tensors[part[QZEROS]];
    if (c->version != 1 || !c->sym || c->probed) return PARE_OK;
    c->probed = true;
    pare_status st = all_middle(b, part[QZEROS], bits, b->store->tensors[part[SCALES]].shape[1], &v2, err);
    if (st != PARE_OK || !v2) return st;
    c->version = 2;
    pare_bind_warn(b, "%s: the file says 'gptq', but every zero point of this symmetric layer is stored as 'gptq_v2' stores it; read as gptq_v2",
                   qzeros->name);
    return PARE_OK;
}

static pare_status bind_layer(pare_bind *b, struct gptq_config *c, const char *stem, size_t n, int64_t qweight, pare_err *err)
{
    pare_status st;
    pare_weight w = { .n_parts = PARTS, .ndim = 2, .zero_kind = PARE_ZERO_INT };
    int64_t bits, in, group;
    w.part[QWEIGHT] = qweight;
    PARE_TRY(pare_bind_need(b, stem, n, suffixes[QZEROS], &w.part[QZEROS], err));
    PARE_TRY(pare_bind_need(b, stem, n, suffixes[SCALES], &w.part[SCALES], err));
    w.part[G_IDX] = pare_bind_part(b, stem, n, suffixes[G_IDX]);
    PARE_TRY(check_shapes(b, w.part, err));
    PARE_TRY(find_bits(b, c, w.part, &bits, &in, err));
    PARE_TRY(find_group(b, c, w.part, in, &group, err));
    PARE_TRY(probe_v2(b, c, w.part, (int)bits, err));
    const pare_tensor *scales = &b->store->tensors[w.part[SCALES]];
    w.shape[0] = scales->shape[1];
    w.shape[1] = in;
    w.dtype = scales->dtype;
    w.info[INFO_VERSION] = c->version;
    w.info[INFO_GROUP] = group;
    w.info[INFO_GROUPS] = scales->shape[0];
    pare_scheme_read(&w.scheme, (int)bits, c->sym, scales->shape[0] == 1 ? PARE_PER_CHANNEL : PARE_PER_GROUP, group, scales->dtype);
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

/* Without a declared method GPTQ is told from AWQ by its transposed shapes: qweight is as wide as scales. */
static bool looks_like_gptq(const pare_bind *b, const char *stem, size_t n, const pare_tensor *qweight)
{
    int64_t scales = pare_bind_part(b, stem, n, suffixes[SCALES]);
    if (scales < 0 || qweight->ndim != 2 || b->store->tensors[scales].ndim != 2) return false;
    return qweight->shape[1] == b->store->tensors[scales].shape[1];
}

static pare_status bind(int version, pare_bind *b, pare_err *err)
{
    static const char *const orphans[] = { ".qweight", ".qzeros", ".g_idx", NULL };
    struct gptq_config c;
    pare_status st;
    if (!pare_bind_in_charge(b, "gptq")) return PARE_OK;
    if ((st = read_config(b, &c, err)) != PARE_OK || c.version != version) return st;
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        const pare_tensor *qweight = &b->store->tensors[t];
        size_t n;
        if (b->owner[t] >= 0 || !pare_bind_stem(qweight, suffixes[QWEIGHT], &n)) continue;
        if (!*b->method && !looks_like_gptq(b, qweight->name, n, qweight)) continue;
        if ((st = bind_layer(b, &c, qweight->name, n, t, err)) != PARE_OK) return st;
    }
    return *b->method ? pare_bind_no_orphans(b, orphans, suffixes[QWEIGHT], err) : PARE_OK;
}

static pare_status bind_v1(pare_bind *b, pare_err *err) { return bind(1, b, err); }
static pare_status bind_v2(pare_bind *b, pare_err *err) { return bind(2, b, err); }

/* ------------------------------------------------------------------------------------------------------------ reading */

static void read_zeros(int version, int bits, const uint8_t *line, int64_t row0, int64_t rows, int32_t *zeros, int64_t stride)
{
    uint32_t mask = (1u << bits) - 1, ones = version == 1 ? UINT32_MAX / mask : 0; /* 1 in every field */
    if (bits == 3) {
        pare_strip_unpack(bits, row0, rows, line, 1, zeros, stride);
        for (int64_t r = 0; version == 1 && r < rows; r++) zeros[r * stride] = (zeros[r * stride] + 1) & (int32_t)mask;
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t bit = (row0 + r) * bits;
        zeros[r * stride] = (int32_t)((pare_word_get(line + bit / 32 * 4) + ones) >> (bit % 32) & mask);
    }
}

static pare_status read_layer(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *qweight, *qzeros;
    int bits = layer->scheme.bits;
    int64_t out = layer->shape[0], groups = layer->info[INFO_GROUPS], words = pare_lsb_words(bits, out);
    pare_status st;
    if ((st = pare_layer_part(w, layer, QWEIGHT, &qweight, err)) != PARE_OK) return st;
    if ((st = pare_layer_part(w, layer, QZEROS, &qzeros, err)) != PARE_OK) return st;
    if ((st = pare_layer_floats_t(w, layer, SCALES, groups, out, row0, rows, q->scales, err)) != PARE_OK) return st;
    pare_tile_unpack_t(w->kernels, bits, rows, layer->shape[1], qweight + row0 * 4, out, q->codes);
    for (int64_t g = 0; g < groups; g++)
        read_zeros((int)layer->info[INFO_VERSION], bits, qzeros + g * words * 4, row0, rows, q->zeros + g, groups);
    return pare_layer_g_idx(w, layer, G_IDX, groups, layer->info[INFO_GROUP], q, err);
}

const pare_layout pare_layout_gptq = {
    .name = "gptq",
    .one_scheme = true, .g_idx = true,
    .help = "GPTQ v1: transposed int32 words, zero points stored minus one",
    .loaders = "transformers (optimum + gptqmodel), vLLM, GPTQModel, exllama; llama.cpp's converter (not 3 bit)",
    .packing = "P1 along in, transposed; zero points P1 along out",
    .schemes = "int 2 3 4 8; sym asym; channel group; scales f16; in, out multiples of 32",
    .check = check_v1, .parts = parts, .pack = pack_v1, .config = config_v1, .files = files_v1,
    .bind = bind_v1, .read = read_layer,
};

const pare_layout pare_layout_gptq_v2 = {
    .name = "gptq_v2",
    .one_scheme = true, .g_idx = true,
    .help = "GPTQ v2: the same with zero points as they are",
    .loaders = "GPTQModel, transformers (optimum + gptqmodel), vLLM from October 2025, llama.cpp's converter (not 3 bit)",
    .packing = "P1 along in, transposed; zero points P1 along out",
    .schemes = "int 2 3 4 8; sym asym; channel group; scales f16; in, out multiples of 32",
    .check = check_v2, .parts = parts, .pack = pack_v2, .config = config_v2, .files = files_v2,
    .bind = bind_v2, .read = read_layer,
};
