/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compressed-tensors, the layout of vLLM and llm-compressor, read by transformers: here the writing of it.
 * Source: vllm-project/compressed-tensors src/compressed_tensors/compressors and quantization; measured in tests/interop.
 *
 *   pack-quantized   integers, activations in float
 *     X.weight_packed      I32 [out, ceil(in*b/32)]   each row one bit stream, low bits first, of u = q + 2^(b-1):
 *                                                     b = 4, values -8 -7 ... -1 make the word 0x76543210
 *     X.weight_scale       T   [out, G]               channel [out, 1], tensor [1]; T: the model's dtype
 *     X.weight_shape       I64 [2]                    a convolution's full shape; its codes lie as [out, in * k...]
 *     X.weight_zero_point  I32 [ceil(out*b/32), G]    asymmetric only; the same bit stream, but DOWN the columns; tensor: I8 [1]
 *   int-quantized    integers, integer activations
 *     X.weight I8 [out, in] signed, X.weight_scale, X.weight_zero_point I8 like the scale (asymmetric only)
 *   float-quantized  float8
 *     X.weight F8_E4M3 [out, in], X.weight_scale; tiles: [ceil(out/128), ceil(in/128)]
 *   nvfp4-pack-quantized   e2m1 in groups of 16
 *     X.weight_packed U8 [out, in/2]   two codes a byte, the first in the low four bits
 *     X.weight_scale F8_E4M3 [out, in/16], X.weight_global_scale F32 [1], a divisor: W = e2m1(code) * scale / global
 *     X.input_global_scale F32 [1]     activations in 4 bit too: likewise of the inputs
 *   mxfp4-pack-quantized   e2m1 in groups of 32; mxfp8-quantized  float8 in groups of 32
 *     X.weight_packed U8 [out, in/2] or X.weight F8_E4M3 [out, in], X.weight_scale U8 [out, in/32]: scale 2^(e - 127)
 *   static activations: X.input_scale T [1]
 *   key/value cache: kv_cache.c; with nothing but that, no groups and the format "dense"
 *   W = (q - z) * s in the signed domain = (u - zero) * s in ours
 *
 * Invariants of what is written: groups divide in; scales are never [] nor [out]; no zero point in a symmetric scheme (vLLM
 * refuses it); quantization_status "compressed", format in every group and at the top ("mixed-precision" when they differ);
 * every float Linear is named in ignore, lm_head also when it is tied and not stored.
 */
#include <stdio.h>
#include <string.h>
#include "layout/compressed_tensors.h"

int pare_ct_format(const pare_scheme *s)
{
    if (s->kind != PARE_CODE_FLOAT) return s->act == PARE_ACT_NONE ? PARE_CT_PACK : PARE_CT_INT;
    if (s->code_dtype == PARE_F4_E2M1) return s->two_level ? PARE_CT_NVFP4 : PARE_CT_MXFP4;
    return s->scale_dtype == PARE_F8_E8M0 ? PARE_CT_MXFP8 : PARE_CT_FLOAT;
}

static bool is_micro(int format) { return format >= PARE_CT_NVFP4; }

static const char *format_name(int format)
{
    static const char *const names[] = { "pack-quantized", "int-quantized", "float-quantized", "nvfp4-pack-quantized", "mxfp4-pack-quantized", "mxfp8-quantized" };
    return names[format];
}

/* -------------------------------------------------------------------------------------------------------------- check */

static pare_status check_activations(const pare_scheme *s, const char *name, pare_err *err)
{
    const int format = pare_ct_format(s), bits = format == PARE_CT_NVFP4 || format == PARE_CT_MXFP4 ? 4 : 8;
    const bool group = is_micro(format) || (format == PARE_CT_FLOAT && s->granularity == PARE_PER_BLOCK);
    if (s->act == PARE_ACT_NONE) return PARE_OK;
    if (s->act_bits != bits)
        return pare_fail(err, PARE_ERR_USAGE, "%s: compressed-tensors quantizes activations of %s to %d bits, not %d", name, format_name(format), bits, s->act_bits);
    if (s->act == PARE_ACT_OUTLIERS || (s->act == PARE_ACT_DYNAMIC_GROUP && !group) || (s->act == PARE_ACT_STATIC_TENSOR && is_micro(format)))
        return pare_fail(err, PARE_ERR_USAGE, "%s: compressed-tensors does not store the activations of %s", name, s->name);
    return PARE_OK;
}

static pare_status check_micro(const pare_scheme *s, const char *name, pare_err *err)
{
    const int64_t group = pare_ct_format(s) == PARE_CT_NVFP4 ? 16 : 32;
    if (pare_scheme_grouped(s, 2) && s->group_size == group && (s->code_dtype == PARE_F4_E2M1 || s->code_dtype == PARE_F8_E4M3FN))
        return check_activations(s, name, err);
    return pare_fail(err, PARE_ERR_USAGE, "%s: compressed-tensors stores %s in groups of %lld input channels, not %s", name, format_name(pare_ct_format(s)),
                     (long long)group, s->name);
}

static pare_status check_scheme(const pare_scheme *s, const char *name, pare_err *err)
{
    bool tile = s->granularity == PARE_PER_BLOCK, tensor = s->granularity == PARE_PER_TENSOR;
    if (s->kind == PARE_CODE_TABLE || s->float_zero || s->nested) return pare_fail(err, PARE_ERR_USAGE, "%s: compressed-tensors does not store %s", name, s->name);
    if (is_micro(pare_ct_format(s))) return check_micro(s, name, err);
    if (s->kind == PARE_CODE_FLOAT && s->code_dtype != PARE_F8_E4M3FN)
        return pare_fail(err, PARE_ERR_USAGE, "%s: compressed-tensors stores float8 as f8_e4m3fn, not %s", name, pare_dtype_get_info(s->code_dtype)->name);
    if (!pare_scheme_per_row(s) && !pare_scheme_grouped(s, 2) && !tensor && !tile)
        return pare_fail(err, PARE_ERR_USAGE, "%s: compressed-tensors stores scales per tensor, output channel or group of input channels, not %s", name,
                         s->name);
    if (tile && s->kind != PARE_CODE_FLOAT)
        return pare_fail(err, PARE_ERR_USAGE, "%s: compressed-tensors stores tiles (%lld x %lld) for float8 only, not for %s", name,
                         (long long)s->block[0], (long long)s->block[1], s->name);
    if (s->scale_dtype != PARE_DTYPE_NONE && s->scale_dtype != PARE_F32 && s->scale_dtype != PARE_F16 && s->scale_dtype != PARE_BF16)
        return pare_fail(err, PARE_ERR_USAGE, "%s: scales are f32, f16 or bf16, not %s", name, pare_dtype_get_info(s->scale_dtype)->name);
    return check_activations(s, name, err);
}

static void warn_loaders(const pare_scheme *s, pare_dtype model_dtype, char warn[256])
{
    bool pack = pare_ct_format(s) == PARE_CT_PACK;
    if (is_micro(pare_ct_format(s))) return;
    if (s->scale_dtype != pare_scale_dtype_of(model_dtype))
        snprintf(warn, 256, "transformers and vLLM cast the scales to the model's dtype %s", pare_dtype_get_info(model_dtype)->name);
    else if (pack && !s->symmetric)
        snprintf(warn, 256, "transformers 5 with compressed-tensors 0.20 loads packed zero points only with dequantize=True; vLLM reads them");
    else if (pack && s->granularity == PARE_PER_TENSOR)
        snprintf(warn, 256, "vLLM reads pack-quantized weights per output channel or group, not per tensor");
    else if (pack && s->bits != 4 && s->bits != 8)
        snprintf(warn, 256, "%d bits: loaders older than June 2026 expect another packing of odd widths or none; 4 and 8 bits load everywhere", s->bits);
    else if (s->granularity == PARE_PER_BLOCK && (s->block[0] != 128 || s->block[1] != 128))
        snprintf(warn, 256, "vLLM reads tiles of 128 x 128, not %lld x %lld", (long long)s->block[0], (long long)s->block[1]);
}

/* A convolution [out, in, k...] is stored as the matrix [out, in * k...], its shape in weight_shape. */
enum { MAX_DIMS = 5 };
static int64_t cols_of(int ndim, const int64_t *shape)
{
    int64_t cols = 1;
    for (int d = 1; d < ndim; d++) cols *= shape[d];
    return cols;
}

static pare_status check(pare_scheme *s, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err)
{
    pare_status st;
    warn[0] = 0;
    if ((st = check_scheme(s, name, err)) != PARE_OK) return st;
    const bool convolution = ndim > 2 && ndim <= MAX_DIMS && pare_ct_format(s) == PARE_CT_PACK;
    const int64_t in = cols_of(ndim, shape);
    if (!convolution && (st = pare_refuse_matrix("compressed-tensors", name, ndim, shape, err)) != PARE_OK) return st;
    if (s->granularity == PARE_PER_GROUP && in % s->group_size)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: in %lld is not a multiple of the group size %lld, which compressed-tensors needs", name,
                         (long long)in, (long long)s->group_size);
    if (s->scale_dtype == PARE_DTYPE_NONE) s->scale_dtype = pare_scale_dtype_of(model_dtype);
    warn_loaders(s, model_dtype, warn);
    if (convolution) snprintf(warn, 256, "a convolution in compressed-tensors is read by pare; transformers and vLLM replace dense layers only");
    return PARE_OK;
}

/* -------------------------------------------------------------------------------------------------------------- parts */

static const char GLOBAL[] = ".weight_global_scale", INPUT_GLOBAL[] = ".input_global_scale", INPUT_SCALE[] = ".input_scale";

static pare_part scale_part(const pare_scheme *s, const char *suffix, pare_dtype dtype, const int64_t *shape)
{
    pare_part p;
    if (s->granularity == PARE_PER_TENSOR) return pare_part_make(suffix, dtype, PARE_PART_SHARED, 1, 1, 1, 0);
    if (s->granularity != PARE_PER_BLOCK) return pare_part_make(suffix, dtype, PARE_PART_ROWS, 1, 2, shape[0], pare_scheme_groups(s, shape[1]));
    int64_t tiles = (shape[1] + s->block[1] - 1) / s->block[1];
    p = pare_part_make(suffix, dtype, PARE_PART_ROWS, 1, 2, (shape[0] + s->block[0] - 1) / s->block[0], tiles);
    p.unit_rows = s->block[0];
    return p;
}

static pare_part zero_part(const pare_scheme *s, const int64_t *shape)
{
    if (pare_ct_format(s) == PARE_CT_INT || s->granularity == PARE_PER_TENSOR) return scale_part(s, ".weight_zero_point", PARE_I8, shape);
    int64_t groups = pare_scheme_groups(s, shape[1]);
    pare_part p = pare_part_make(".weight_zero_point", PARE_I32, PARE_PART_ROWS, 32, 2, pare_lsb_words(s->bits, shape[0]), groups);
    p.unit_bytes = (uint64_t)(s->bits * groups) * 4; /* 32 rows are exactly `bits` lines of words */
    return p;
}

static pare_status parts(const pare_scheme *s, pare_dtype model_dtype, int ndim, const int64_t *layer, pare_part *p, int *n, pare_err *err)
{
    const int64_t shape[2] = { layer[0], cols_of(ndim, layer) };
    (void)model_dtype;
    (void)err;
    *n = 0;
    switch (pare_ct_format(s)) {
    case PARE_CT_PACK: p[(*n)++] = pare_part_make(".weight_packed", PARE_I32, PARE_PART_ROWS, 1, 2, shape[0], pare_lsb_words(s->bits, shape[1])); break;
    case PARE_CT_NVFP4:
    case PARE_CT_MXFP4: p[(*n)++] = pare_part_make(".weight_packed", PARE_U8, PARE_PART_ROWS, 1, 2, shape[0], shape[1] / 2); break;
    case PARE_CT_INT: p[(*n)++] = pare_part_make(".weight", PARE_I8, PARE_PART_ROWS, 1, 2, shape[0], shape[1]); break;
    default: p[(*n)++] = pare_part_make(".weight", s->code_dtype, PARE_PART_ROWS, 1, 2, shape[0], shape[1]); break;
    }
    p[(*n)++] = scale_part(s, ".weight_scale", s->scale_dtype == PARE_F8_E8M0 ? PARE_U8 : s->scale_dtype, shape);
    if (pare_ct_format(s) == PARE_CT_PACK) p[(*n)++] = pare_part_make(".weight_shape", PARE_I64, PARE_PART_SHARED, 1, 1, ndim, 0);
    if (s->kind == PARE_CODE_INT && !s->symmetric) p[(*n)++] = zero_part(s, shape);
    if (s->two_level) p[(*n)++] = pare_part_make(GLOBAL, PARE_F32, PARE_PART_SHARED, 1, 1, 1, 0);
    if (s->two_level && s->act != PARE_ACT_NONE) p[(*n)++] = pare_part_make(INPUT_GLOBAL, PARE_F32, PARE_PART_SHARED, 1, 1, 1, 0);
    if (s->act == PARE_ACT_STATIC_TENSOR) p[(*n)++] = pare_part_make(INPUT_SCALE, s->scale_dtype, PARE_PART_SHARED, 1, 1, 1, 0);
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- pack */

static void pack_rows(const pare_kernels *k, const pare_pack_in *in, uint8_t *dst)
{
    int bits = in->scheme->bits;
    int64_t words = pare_lsb_words(bits, in->cols);
    if (in->cols * bits % 32 == 0) {
        k->pack_lsb(bits, in->rows * in->cols, in->codes, dst); /* rows end on words: one stream */
        return;
    }
    for (int64_t r = 0; r < in->rows; r++, dst += words * 4) {
        memset(dst + (words - 1) * 4, 0, 4);
        k->pack_lsb(bits, in->cols, in->codes + r * in->cols, dst);
    }
}

static pare_status pack_zeros(const pare_pack_in *in, const pare_part *part, int64_t n, uint8_t *dst, pare_err *err)
{
    int bits = in->scheme->bits;
    int32_t top = (1 << bits) - 1, middle = 1 << (bits - 1);
    int64_t groups = part->ndim == 2 ? part->shape[1] : 1;
    for (int64_t i = 0; i < n; i++)
        if (in->zeros[i] < 0 || in->zeros[i] > top)
            return pare_fail(err, PARE_ERR_DATA, "row %lld: zero point %d of 0 to %d", (long long)(in->row0 + i / groups), in->zeros[i], top);
    if (part->dtype == PARE_I8)
        for (int64_t i = 0; i < n; i++) dst[i] = (uint8_t)(in->zeros[i] - middle);
    else
        for (int64_t g = 0; g < groups; g++) pare_strip_pack(bits, in->rows, in->zeros + g, groups, 0, dst + g * 4, groups);
    return PARE_OK;
}

/*
 * The library's divisor 2688 / absmax from our factor, its rounded inverse: of the neighbours with this inverse the one whose absmax has the shortest
 * mantissa, so that tensors of 16-bit models get the library's bytes.
 */
static float divisor_of(float factor)
{
    const float near = 1.0f / factor;
    float best = near;
    int best_zeros = -1;
    for (int i = -2; i <= 2; i++) {
        uint32_t bits;
        float c;
        memcpy(&bits, &near, 4);
        bits += (uint32_t)i;
        memcpy(&c, &bits, 4);
        const float absmax = 2688.0f / c;
        memcpy(&bits, &absmax, 4);
        int zeros = 0;
        while (zeros < 23 && !(bits >> zeros & 1)) zeros++;
        if (1.0f / c == factor && 2688.0f / absmax == c && zeros > best_zeros) {
            best = c;
            best_zeros = zeros;
        }
    }
    return best;
}

static void put_scales(const pare_kernels *k, const pare_pack_in *in, const pare_part *part, int64_t n, uint8_t *dst)
{
    const pare_dtype dtype = in->scheme->scale_dtype;
    if (dtype != PARE_F8_E8M0 && dtype != PARE_F8_E4M3FN) {
        pare_put_floats(k, part->dtype, in->scales, n, dst);
        return;
    }
    for (int64_t i = 0; i < n; i++) dst[i] = pare_f32_to_f8(dtype, in->scales[i], true);
}

/* The parts behind the scales, each known by its suffix. */
static pare_status pack_rest(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int64_t scales, uint8_t *dst, pare_err *err)
{
    if (!strcmp(p->suffix, ".weight_zero_point")) return pack_zeros(in, p, scales, dst, err);
    if (in->row0 != 0) return PARE_OK;
    if (p->dtype == PARE_I64) {
        const int64_t matrix[2] = { in->rows_total, in->cols };
        const int64_t *shape = in->shape ? in->shape : matrix;
        for (int64_t d = 0; d < p->shape[0]; d++) pare_put_le64(dst + 8 * d, (uint64_t)shape[d]);
        return PARE_OK;
    }
    if (!strcmp(p->suffix, GLOBAL)) {
        pare_put_le32f(dst, divisor_of(in->global_scale));
        return PARE_OK;
    }
    if (!(in->input_scale > 0.0f)) {
        pare_fail(err, PARE_ERR_DATA, "%s: the scale of the activations is not known", in->scheme->name);
        return pare_hint(err, "it comes from calibration; FP8_DYNAMIC, W8A8 and NVFP4A16 need none");
    }
    if (!strcmp(p->suffix, INPUT_GLOBAL)) pare_put_le32f(dst, divisor_of(in->input_scale));
    else pare_put_floats(k, p->dtype, &in->input_scale, 1, dst);
    return PARE_OK;
}

static pare_status pack(const pare_kernels *k, const pare_pack_in *in, const pare_part *p, int n, uint8_t *const dst[], pare_err *err)
{
    const pare_scheme *s = in->scheme;
    pare_status st = PARE_OK;
    int64_t scales = in->rows * pare_scheme_groups(s, in->cols);
    if (in->g_idx)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "compressed-tensors of today stores no g_idx: keep groups of neighbouring columns (static-groups)");
    if (s->granularity == PARE_PER_BLOCK) scales = (in->rows + s->block[0] - 1) / s->block[0] * ((in->cols + s->block[1] - 1) / s->block[1]);
    if (s->granularity == PARE_PER_TENSOR) scales = in->row0 == 0;
    switch (pare_ct_format(s)) {
    case PARE_CT_PACK: pack_rows(k, in, dst[0]); break;
    case PARE_CT_INT: pare_codes_to_signed(in->codes, in->rows * in->cols, s->bits, dst[0]); break;
    case PARE_CT_NVFP4:
    case PARE_CT_MXFP4: k->pack_lsb(4, in->rows * in->cols, in->codes, dst[0]); break;
    default: memcpy(dst[0], in->codes, (size_t)(in->rows * in->cols)); break;
    }
    put_scales(k, in, &p[1], scales, dst[1]);
    for (int i = 2; i < n && st == PARE_OK; i++) st = pack_rest(k, in, &p[i], scales, dst[i], err);
    return st;
}

/* ------------------------------------------------------------------------------------------------------ configuration */

static bool same_group(const pare_scheme *a, const pare_scheme *b)
{
    bool tile = a->granularity == PARE_PER_BLOCK;
    return a->kind == b->kind && a->bits == b->bits && a->symmetric == b->symmetric && a->granularity == b->granularity && a->act == b->act &&
           a->act_bits == b->act_bits && a->act_float == b->act_float && a->act_group == b->act_group && pare_ct_format(a) == pare_ct_format(b) &&
           pare_scheme_group_field(a) == pare_scheme_group_field(b) && (!tile || (a->block[0] == b->block[0] && a->block[1] == b->block[1]));
}

static const char *scale_name(const pare_scheme *s)
{
    return s->scale_dtype == PARE_F8_E8M0 ? "torch.uint8" : s->scale_dtype == PARE_F8_E4M3FN ? "torch.float8_e4m3fn" : NULL;
}

static void put_weights(pare_json *out, const pare_scheme *s)
{
    static const char *const strategy[] = { [PARE_PER_TENSOR] = "tensor", [PARE_PER_CHANNEL] = "channel", [PARE_PER_GROUP] = "group",
                                            [PARE_PER_BLOCK] = "block" };
    const char *scale = scale_name(s);
    pare_json_object(out, "weights");
    if (s->granularity == PARE_PER_BLOCK) {
        pare_json_array(out, "block_structure");
        pare_json_int(out, NULL, s->block[0]);
        pare_json_int(out, NULL, s->block[1]);
        pare_json_end(out);
    }
    pare_json_bool(out, "dynamic", false);
    if (s->granularity == PARE_PER_GROUP) pare_json_int(out, "group_size", s->group_size);
    else pare_json_null(out, "group_size");
    pare_json_int(out, "num_bits", s->bits);
    if (scale) pare_json_text(out, "scale_dtype", scale);
    pare_json_text(out, "strategy", s->two_level ? "tensor_group" : strategy[s->granularity]);
    pare_json_bool(out, "symmetric", s->symmetric);
    pare_json_text(out, "type", s->kind == PARE_CODE_FLOAT ? "float" : "int");
    pare_json_end(out);
}

static void put_activations(pare_json *out, const pare_scheme *s)
{
    const bool group = s->act == PARE_ACT_DYNAMIC_GROUP, fixed = s->act == PARE_ACT_STATIC_TENSOR, micro = group && is_micro(pare_ct_format(s));
    if (s->act == PARE_ACT_NONE) {
        pare_json_null(out, "input_activations");
        return;
    }
    pare_json_object(out, "input_activations");
    if (s->two_level) pare_json_text(out, "dynamic", "local"); /* a scale a group at run time, under the stored one */
    else pare_json_bool(out, "dynamic", !fixed);
    if (group) pare_json_int(out, "group_size", s->act_group);
    else pare_json_null(out, "group_size");
    pare_json_int(out, "num_bits", s->act_bits);
    if (micro) pare_json_text(out, "scale_dtype", scale_name(s));
    pare_json_text(out, "strategy", s->two_level ? "tensor_group" : group ? "group" : fixed ? "tensor" : "token");
    pare_json_bool(out, "symmetric", true);
    pare_json_text(out, "type", s->act_float ? "float" : "int");
    pare_json_end(out);
}

/* First module of each distinct scheme; at most 64 groups. None: nothing but the key/value cache. */
enum { MAX_GROUPS = 64 };
static int distinct(const pare_layout_job *job, const pare_scheme **out)
{
    int n = 0;
    for (int64_t i = 0; i < job->n_quantized; i++) {
        int g = 0;
        while (g < n && !same_group(out[g], job->schemes[i])) g++;
        if (g == n && n < MAX_GROUPS) out[n++] = job->schemes[i];
    }
    return n;
}

/* With several groups every module is named: class names would also catch the fused modules that vLLM makes of q, k, v. */
static void put_group(const pare_layout_job *job, const pare_scheme *s, int index, bool alone, pare_json *out)
{
    char key[32];
    snprintf(key, sizeof key, "group_%d", index);
    pare_json_object(out, key);
    pare_json_text(out, "format", format_name(pare_ct_format(s)));
    put_activations(out, s);
    pare_json_null(out, "output_activations");
    pare_json_array(out, "targets");
    if (alone) pare_json_text(out, NULL, "Linear");
    for (int64_t i = 0; !alone && i < job->n_quantized; i++)
        if (same_group(job->schemes[i], s)) pare_json_text(out, NULL, job->quantized[i]);
    pare_json_end(out);
    put_weights(out, s);
    pare_json_end(out);
}

static void put_kv(pare_json *out, const pare_kvscheme *kv)
{
    if (kv->dtype == PARE_DTYPE_NONE) {
        pare_json_null(out, "kv_cache_scheme");
        return;
    }
    pare_json_object(out, "kv_cache_scheme");
    pare_json_bool(out, "dynamic", false);
    pare_json_null(out, "group_size");
    pare_json_int(out, "num_bits", 8);
    pare_json_text(out, "strategy", kv->per_head ? "attn_head" : "tensor");
    pare_json_bool(out, "symmetric", true);
    pare_json_text(out, "type", kv->dtype == PARE_I8 ? "int" : "float");
    pare_json_end(out);
}

static pare_status config(const pare_layout_job *job, pare_json *out, pare_err *err)
{
    const pare_scheme *groups[MAX_GROUPS];
    int n = distinct(job, groups), format = n ? pare_ct_format(groups[0]) : PARE_CT_PACK;
    bool mixed = false;
    for (int64_t i = 0; i < job->n_quantized; i++) {
        int g = 0;
        while (g < n && !same_group(groups[g], job->schemes[i])) g++;
        if (g == n) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: more than %d different schemes in one checkpoint", job->quantized[i], MAX_GROUPS);
    }
    pare_json_object(out, "config_groups");
    for (int g = 0; g < n; g++) {
        put_group(job, groups[g], g, n == 1, out);
        mixed |= pare_ct_format(groups[g]) != format;
    }
    pare_json_end(out);
    pare_json_text(out, "format", !n ? "dense" : mixed ? "mixed-precision" : format_name(format));
    pare_json_null(out, "global_compression_ratio");
    pare_json_array(out, "ignore");
    for (int64_t i = 0; i < job->n_kept; i++) pare_json_text(out, NULL, job->kept[i]);
    if (pare_layout_silent_head(job)) pare_json_text(out, NULL, "lm_head");
    pare_json_end(out);
    put_kv(out, &job->kv);
    pare_json_text(out, "quant_method", "compressed-tensors");
    pare_json_text(out, "quantization_status", "compressed");
    pare_json_object(out, "sparsity_config");
    pare_json_end(out);
    pare_json_object(out, "transform_config");
    pare_json_end(out);
    pare_json_text(out, "version", "0.20.0");
    return PARE_OK;
}

const pare_layout pare_layout_compressed_tensors = {
    .name = "compressed-tensors",
    .help = "layers of vLLM and llm-compressor: integers, float8, NVFP4, MXFP4, MXFP8",
    .loaders = "vLLM, transformers (compressed-tensors); llama.cpp's converter (one scheme)",
    .packing = "P1 along in; zero points P1 along out; 8-bit forms one byte a code",
    .schemes = "int 1-8, float8; sym asym; tensor channel group, tiles for float8; NVFP4 MXFP4 MXFP8; activations in float, "
               "per token, static, per group; key/value cache int8 float8",
    .kv_cache = true,
    .check = check, .parts = parts, .pack = pack, .config = config,
    .bind = pare_ct_bind, .read = pare_ct_read, .view = pare_ct_view,
};
