/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemes: defaults, the named ones (schemes.def), their names and suffixes, and the check that the fields agree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "quant/quant.h"

#define PARE_DEFAULT_GROUP 128

/* -------------------------------------------------------------------------------------------------------------- table */

#define AXIS_CHANNEL 0
#define AXIS_GROUP (-1)
#define SIZE_CHANNEL 0
#define SIZE_GROUP PARE_DEFAULT_GROUP

static const pare_scheme_row rows[] = {
#define PARE_SCHEME_INT(name_, bits_, sym_, gran_, act_, act_bits_, help_)                                                                 \
    {name_, help_,                                                                                                                         \
     {.name = name_, .kind = PARE_CODE_INT, .bits = bits_, .symmetric = sym_, .granularity = PARE_PER_##gran_, .axis = AXIS_##gran_,        \
      .group_size = SIZE_##gran_, .act = PARE_ACT_##act_, .act_bits = act_bits_}},
#define PARE_SCHEME_FP8(name_, act_, act_bits_, help_)                                                                                     \
    {name_, help_,                                                                                                                         \
     {.name = name_, .kind = PARE_CODE_FLOAT, .bits = 8, .code_dtype = PARE_F8_E4M3FN, .symmetric = true, .granularity = PARE_PER_CHANNEL,  \
      .axis = 0, .act = PARE_ACT_##act_, .act_bits = act_bits_, .act_float = act_bits_ == 8}},
#define PARE_SCHEME(name_, help_, ...) {name_, help_, {.name = name_, .symmetric = true, __VA_ARGS__}},
#include "quant/schemes.def"
    {NULL, NULL, {.bits = 0}},
};

const pare_scheme_row *pare_schemes(int *n)
{
    if (n != NULL) *n = (int)(sizeof rows / sizeof *rows) - 1;
    return rows;
}

void pare_scheme_init(pare_scheme *scheme) { *scheme = rows[0].scheme; }

/* --------------------------------------------------------------------------------------------------------------- name */

/* Appends to a scheme's name; what does not fit is cut. */
static void add(char name[40], const char *format, long long a, long long b)
{
    const size_t n = strlen(name);
    snprintf(name + n, 40 - n, format, a, b);
}

static void add_number(char name[40], const char *format, double a)
{
    const size_t n = strlen(name);
    snprintf(name + n, 40 - n, format, a);
}

static bool is_e2m1(const pare_scheme *s) { return s->kind == PARE_CODE_FLOAT && s->code_dtype == PARE_F4_E2M1; }
static bool is_mx(const pare_scheme *s) { return s->kind == PARE_CODE_FLOAT && s->scale_dtype == PARE_F8_E8M0; }

/* Granularity that a name without suffix stands for. */
static pare_granularity usual_granularity(const pare_scheme *s, int64_t *group)
{
    *group = s->kind == PARE_CODE_TABLE ? 64 : is_mx(s) ? 32 : is_e2m1(s) ? 16 : PARE_DEFAULT_GROUP;
    if (s->kind == PARE_CODE_TABLE || is_mx(s) || is_e2m1(s)) return PARE_PER_GROUP;
    if (s->kind == PARE_CODE_INT) return s->bits < 8 ? PARE_PER_GROUP : PARE_PER_CHANNEL;
    return s->act == PARE_ACT_STATIC_TENSOR ? PARE_PER_TENSOR : s->act == PARE_ACT_DYNAMIC_GROUP ? PARE_PER_BLOCK : PARE_PER_CHANNEL;
}

static void add_granularity(pare_scheme *s)
{
    int64_t group;
    const pare_granularity usual = usual_granularity(s, &group);
    switch (s->granularity) {
    case PARE_PER_TENSOR:
        if (usual != PARE_PER_TENSOR) add(s->name, ":tensor", 0, 0);
        break;
    case PARE_PER_CHANNEL:
        if (usual != PARE_PER_CHANNEL) add(s->name, ":channel", 0, 0);
        if (s->axis != 0) add(s->name, ":axis%lld", s->axis, 0);
        break;
    case PARE_PER_GROUP:
        if (usual != PARE_PER_GROUP || s->group_size != group) add(s->name, ":g%lld", s->group_size, 0);
        if (s->axis != -1) add(s->name, ":axis%lld", s->axis, 0);
        break;
    case PARE_PER_BLOCK:
        if (usual != PARE_PER_BLOCK || s->block[0] != 128 || s->block[1] != 128) add(s->name, ":%lldx%lld", s->block[0], s->block[1]);
        break;
    }
}

/* Name of everything but plain integers; NULL for those. */
static const char *base_name(const pare_scheme *s)
{
    if (s->kind == PARE_CODE_TABLE) return s->codebook == PARE_BOOK_FP4 ? "FP4" : "NF4";
    if (s->kind == PARE_CODE_INT) return s->act == PARE_ACT_OUTLIERS ? "LLM_INT8" : NULL;
    const bool acts = s->act != PARE_ACT_NONE;
    if (is_e2m1(s)) return s->two_level ? acts ? "NVFP4" : "NVFP4A16" : acts ? "MXFP4A4" : "MXFP4";
    if (is_mx(s)) return acts ? "MXFP8" : "MXFP8A16";
    return !acts ? "FP8_WEIGHT" : s->act == PARE_ACT_DYNAMIC_TOKEN ? "FP8_DYNAMIC" : s->act == PARE_ACT_DYNAMIC_GROUP ? "FP8_BLOCK" : "FP8";
}

void pare_scheme_make_name(pare_scheme *s)
{
    s->name[0] = '\0';
    const char *base = base_name(s);
    if (base != NULL) snprintf(s->name, sizeof s->name, "%s", base);
    else if (s->act_float) add(s->name, s->symmetric ? "W%lldAFP%lld" : "W%lldAFP%lld_ASYM", s->bits, s->act_bits);
    else add(s->name, s->symmetric ? "W%lldA%lld" : "W%lldA%lld_ASYM", s->bits, s->act_bits == 0 ? 16 : s->act_bits);
    add_granularity(s);
    if (s->nested) add(s->name, ":nested", 0, 0);
    if (s->float_zero) add(s->name, ":fzero", 0, 0);
    if (s->kind == PARE_CODE_INT && s->act == PARE_ACT_STATIC_TENSOR) add(s->name, ":static", 0, 0);
    if (s->act == PARE_ACT_OUTLIERS && s->act_threshold != 6.0f) add_number(s->name, ":t%g", (double)s->act_threshold);
    if (s->range != PARE_RANGE_AUTO) add(s->name, s->range == PARE_RANGE_FULL ? ":full" : ":narrow", 0, 0);
    const pare_dtype_info *info = s->kind == PARE_CODE_FLOAT && s->code_dtype != PARE_F8_E4M3FN && !is_e2m1(s) ? pare_dtype_get_info(s->code_dtype) : NULL;
    if (info != NULL) {
        const size_t n = strlen(s->name);
        snprintf(s->name + n, sizeof s->name - n, ":%s", info->name);
    }
}

/* -------------------------------------------------------------------------------------------------------------- parse */

/* "W4A16", "W3A8_ASYM": any width, listed or not. */
static bool parse_width(const char *base, pare_scheme *s)
{
    static const struct { const char *tail; int act; bool asym, fp; } tails[] = {
        {"A16", 16, false, false},     {"A32", 32, false, false},     {"A8", 8, false, false},     {"AFP8", 8, false, true},
        {"A16_ASYM", 16, true, false}, {"A32_ASYM", 32, true, false}, {"A8_ASYM", 8, true, false}, {"AFP8_ASYM", 8, true, true}};
    if ((base[0] != 'W' && base[0] != 'w') || base[1] < '1' || base[1] > '8') return false;
    size_t i = 0;
    while (i < sizeof tails / sizeof *tails && !pare_str_same_nocase(base + 2, tails[i].tail)) i++;
    if (i == sizeof tails / sizeof *tails) return false;
    const int bits = base[1] - '0', act = tails[i].act;
    const bool asym = tails[i].asym;
    pare_scheme_init(s);
    s->bits = bits;
    s->symmetric = !asym;
    s->act = act == 8 ? PARE_ACT_DYNAMIC_TOKEN : PARE_ACT_NONE;
    s->act_bits = act;
    s->act_float = tails[i].fp;
    if (bits < 8) {
        s->granularity = PARE_PER_GROUP;
        s->axis = -1;
        s->group_size = PARE_DEFAULT_GROUP;
    }
    pare_scheme_make_name(s);
    return true;
}

static bool is_gguf_type(const char *base)
{
    static const char *const starts[] = {"Q2_", "Q3_", "Q4_", "Q5_", "Q6_", "Q8_", "Q1_", "IQ1_", "IQ2_", "IQ3_", "IQ4_", "TQ1_", "TQ2_"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        char head[8] = {0};
        snprintf(head, strlen(starts[i]) + 1, "%s", base);
        if (pare_str_same_nocase(head, starts[i])) return true;
    }
    return false;
}

static pare_status unknown(const char *base, pare_err *err)
{
    if (is_gguf_type(base)) {
        pare_fail(err, PARE_ERR_UNSUPPORTED, "scheme '%s': a GGUF type; this version of pare does not write it yet", base);
        pare_hint(err, "W8A16 is near Q8_0, W4A16:g32 near Q4_0");
        return PARE_ERR_UNSUPPORTED;
    }
    const char *near = NULL;
    int best = 4;
    for (const pare_scheme_row *r = rows; r->name != NULL; r++) {
        const int d = pare_str_distance(base, r->name, best);
        if (d < best) best = d, near = r->name;
    }
    pare_fail(err, PARE_ERR_USAGE, "scheme '%.64s': unknown", base);
    if (near != NULL) pare_hint(err, "did you mean '%s'? `pare list schemes` shows all", near);
    else pare_hint(err, "`pare list schemes` shows all");
    return PARE_ERR_USAGE;
}

static pare_status parse_base(const char *base, pare_scheme *s, pare_err *err)
{
    for (const pare_scheme_row *r = rows; r->name != NULL; r++) {
        if (!pare_str_same_nocase(base, r->name)) continue;
        *s = r->scheme;
        return PARE_OK;
    }
    return parse_width(base, s) ? PARE_OK : unknown(base, err);
}

static bool set_number(const char *text, int64_t low, int64_t *out)
{
    int64_t v = 0;
    if (!pare_parse_i64(text, &v) || v < low) return false;
    *out = v;
    return true;
}

static bool set_tile(const char *text, pare_scheme *s)
{
    char head[24];
    const char *x = strchr(text, 'x');
    if (x == NULL || (size_t)(x - text) >= sizeof head) return false;
    memcpy(head, text, (size_t)(x - text));
    head[x - text] = '\0';
    s->granularity = PARE_PER_BLOCK;
    return set_number(head, 1, &s->block[0]) && set_number(x + 1, 1, &s->block[1]);
}

static bool apply_suffix(const char *text, pare_scheme *s)
{
    int64_t v = 0;
    if (pare_str_same_nocase(text, "tensor")) {
        s->granularity = PARE_PER_TENSOR;
    } else if (pare_str_same_nocase(text, "channel")) {
        s->granularity = PARE_PER_CHANNEL;
        s->axis = 0;
    } else if (text[0] == 'g' && set_number(text + (pare_str_starts(text, "group") ? 5 : 1), 1, &v)) {
        s->granularity = PARE_PER_GROUP;
        s->group_size = v;
        s->axis = -1;
    } else if (pare_str_starts(text, "axis") && set_number(text + 4, -PARE_MAX_DIMS, &v) && v < PARE_MAX_DIMS) {
        s->axis = (int)v;
    } else if (text[0] >= '0' && text[0] <= '9') {
        return set_tile(text, s);
    } else if (pare_str_starts(text, "block")) {
        return set_tile(text + 5, s);
    } else if (pare_str_same_nocase(text, "sym") || pare_str_same_nocase(text, "asym")) {
        s->symmetric = text[0] == 's' || text[0] == 'S';
    } else if (pare_str_same_nocase(text, "full")) {
        s->range = PARE_RANGE_FULL;
    } else if (pare_str_same_nocase(text, "narrow")) {
        s->range = PARE_RANGE_NARROW;
    } else if (s->kind == PARE_CODE_FLOAT && !is_e2m1(s) && pare_str_starts(text, "f8_")) {
        s->code_dtype = pare_dtype_parse(text);
    } else if (pare_str_same_nocase(text, "nested")) {
        s->nested = true;
    } else if (s->kind == PARE_CODE_INT && pare_str_same_nocase(text, "fzero")) {
        s->float_zero = true;
        s->symmetric = false;
    } else if (s->act != PARE_ACT_NONE && pare_str_same_nocase(text, "static")) {
        s->act = PARE_ACT_STATIC_TENSOR;
    } else if (s->act == PARE_ACT_OUTLIERS && (text[0] == 't' || text[0] == 'T')) {
        char *end;
        s->act_threshold = strtof(text + 1, &end);
        return end != text + 1 && *end == '\0';
    } else {
        return false;
    }
    return true;
}

pare_status pare_scheme_parse(const char *text, pare_scheme *scheme, pare_err *err)
{
    char part[40];
    const char *at = text;
    for (int i = 0; at != NULL; i++) {
        const char *colon = strchr(at, ':');
        const size_t n = colon != NULL ? (size_t)(colon - at) : strlen(at);
        if (n == 0 || n >= sizeof part) return pare_fail(err, PARE_ERR_USAGE, "scheme '%.64s': part %d is empty or too long", text, i + 1);
        memcpy(part, at, n);
        part[n] = '\0';
        if (i == 0) {
            const pare_status st = parse_base(part, scheme, err);
            if (st != PARE_OK) return st;
        } else if (!apply_suffix(part, scheme)) {
            pare_fail(err, PARE_ERR_USAGE, "scheme '%.64s': unknown suffix ':%s'", text, part);
            pare_hint(err, "suffixes are :gN :channel :tensor :RxC :axisN :sym :asym :full :narrow :nested :fzero :static :tN");
            return PARE_ERR_USAGE;
        }
        at = colon != NULL ? colon + 1 : NULL;
        if (i > 0 && at == NULL) pare_scheme_make_name(scheme);
    }
    return pare_scheme_check(scheme, 0, NULL, err);
}

/* -------------------------------------------------------------------------------------------------------------- check */

static pare_status check_floats(const pare_scheme *s, pare_err *err)
{
    const bool sixteen = s->kind == PARE_CODE_TABLE || is_e2m1(s);
    if (s->course) return pare_fail(err, PARE_ERR_USAGE, "scheme: the course's arithmetic is for integer codes");
    if (s->float_zero || !s->symmetric) return pare_fail(err, PARE_ERR_USAGE, "scheme: float and table codes have no zero point");
    if (s->clip == PARE_CLIP_LP) return pare_fail(err, PARE_ERR_UNSUPPORTED, "scheme: the search with an exponent is for integer codes");
    if (s->kind == PARE_CODE_TABLE && s->codebook != PARE_BOOK_NF4 && s->codebook != PARE_BOOK_FP4)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: unknown codebook %d", (int)s->codebook);
    if (sixteen && s->bits != 4) return pare_fail(err, PARE_ERR_USAGE, "scheme: codes of a table of 16 values have 4 bits, not %d", s->bits);
    if (is_e2m1(s) && s->scale_dtype != PARE_F8_E8M0 && !(s->two_level && s->scale_dtype == PARE_F8_E4M3FN))
        return pare_fail(err, PARE_ERR_USAGE, "scheme: e2m1 codes have f8_e8m0 scales (MXFP4), or f8_e4m3fn scales under one for the tensor (NVFP4)");
    if (sixteen) return PARE_OK;
    if (s->code_dtype < PARE_F8_E4M3FN || s->code_dtype > PARE_F8_E5M2FNUZ)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: float codes need an 8-bit float dtype or f4_e2m1, not %d", (int)s->code_dtype);
    if (s->bits != 8) return pare_fail(err, PARE_ERR_USAGE, "scheme: float8 codes have 8 bits, not %d", s->bits);
    if (s->clip != PARE_CLIP_NONE) return pare_fail(err, PARE_ERR_UNSUPPORTED, "scheme: there is no clipping search for float8 codes");
    return PARE_OK;
}

static pare_status check_codes(const pare_scheme *s, pare_err *err)
{
    if (s->two_level && !is_e2m1(s)) return pare_fail(err, PARE_ERR_USAGE, "scheme: a second-level scale is for e2m1 codes (NVFP4)");
    if (s->nested && (s->kind != PARE_CODE_TABLE || (s->scale_dtype != PARE_DTYPE_NONE && s->scale_dtype != PARE_F32)))
        return pare_fail(err, PARE_ERR_USAGE, "scheme: nested scales are for NF4 and FP4 with f32 scales");
    if (s->kind == PARE_CODE_FLOAT || s->kind == PARE_CODE_TABLE) return check_floats(s, err);
    if (s->float_zero && (s->symmetric || s->course || s->zero_min > 0))
        return pare_fail(err, PARE_ERR_USAGE, "scheme: float zero points are for asymmetric integer codes without a least zero point");
    if (s->kind != PARE_CODE_INT) return pare_fail(err, PARE_ERR_USAGE, "scheme: unknown kind of codes %d", (int)s->kind);
    if (s->bits < 1 || s->bits > 8) return pare_fail(err, PARE_ERR_USAGE, "scheme: %d bits; 1 to 8 are possible", s->bits);
    if (s->bits == 1 && s->symmetric && (s->course || s->range == PARE_RANGE_NARROW))
        return pare_fail(err, PARE_ERR_USAGE, "scheme: 1 bit leaves no positive code, so there is no narrow range (and none in the course)");
    if (s->zero_min < 0 || s->zero_min >= 1 << s->bits)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: smallest zero point %d; 0 to %d at %d bits", s->zero_min, (1 << s->bits) - 1, s->bits);
    if (s->course && s->clip != PARE_CLIP_NONE) return pare_fail(err, PARE_ERR_USAGE, "scheme: the course has no clipping search");
    return PARE_OK;
}

static pare_status check_fields(const pare_scheme *s, pare_err *err)
{
    if (s->granularity < PARE_PER_TENSOR || s->granularity > PARE_PER_BLOCK)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: unknown granularity %d", (int)s->granularity);
    if (s->granularity == PARE_PER_GROUP && s->group_size < 1)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: group size %lld; at least 1", (long long)s->group_size);
    if (s->granularity == PARE_PER_BLOCK && (s->block[0] < 1 || s->block[1] < 1))
        return pare_fail(err, PARE_ERR_USAGE, "scheme: tile %lld x %lld; at least 1 x 1", (long long)s->block[0], (long long)s->block[1]);
    if (s->scale_dtype != PARE_DTYPE_NONE && s->scale_dtype != PARE_F32 && s->scale_dtype != PARE_F16 && s->scale_dtype != PARE_BF16 &&
        !is_mx(s) && !is_e2m1(s))
        return pare_fail(err, PARE_ERR_USAGE, "scheme: scales are f32, f16 or bf16");
    if ((unsigned)s->range > PARE_RANGE_NARROW || (unsigned)s->clip > PARE_CLIP_LP || (unsigned)s->act > PARE_ACT_OUTLIERS)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: range, clip or act is outside its enum");
    if (s->clip == PARE_CLIP_LP && s->clip_p != 0.0 && !(s->clip_p >= 0.1 && s->clip_p <= 8.0))
        return pare_fail(err, PARE_ERR_USAGE, "scheme: exponent %g of the clipping search; 0.1 to 8 are possible", s->clip_p);
    if (s->act == PARE_ACT_DYNAMIC_GROUP && s->act_group < 1)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: activations in groups of %lld; at least 1", (long long)s->act_group);
    if (s->act == PARE_ACT_OUTLIERS && (s->kind != PARE_CODE_INT || !(s->act_threshold > 0.0f)))
        return pare_fail(err, PARE_ERR_USAGE, "scheme: outlier columns are for integer codes and need a threshold above 0, not %g", (double)s->act_threshold);
    if (s->act_float && s->act != PARE_ACT_NONE && s->act_bits != 8 && s->act_bits != 4)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: float activations have 8 or 4 bits, not %d", s->act_bits);
    return PARE_OK;
}

pare_status pare_scheme_check(const pare_scheme *s, int ndim, const int64_t *shape, pare_err *err)
{
    pare_status st = check_codes(s, err);
    if (st == PARE_OK) st = check_fields(s, err);
    if (st != PARE_OK || (shape == NULL && ndim == 0)) return st;
    if (ndim < 0 || ndim > PARE_MAX_DIMS) return pare_fail(err, PARE_ERR_UNSUPPORTED, "shape: %d dimensions; 0 to %d are possible", ndim, PARE_MAX_DIMS);
    for (int d = 0; shape != NULL && d < ndim; d++)
        if (shape[d] < 0) return pare_fail(err, PARE_ERR_USAGE, "shape: dimension %d is %lld", d, (long long)shape[d]);
    const bool on_axis = s->granularity == PARE_PER_CHANNEL || s->granularity == PARE_PER_GROUP;
    if (on_axis && (s->axis < -ndim || s->axis >= ndim))
        return pare_fail(err, PARE_ERR_USAGE, "scheme: axis %d of a tensor with %d dimensions", s->axis, ndim);
    int64_t numel;
    const bool across = s->float_zero && s->granularity == PARE_PER_GROUP && ndim > 1 && (s->axis == 0 || s->axis == -ndim);
    if (across && shape != NULL && pare_shape_numel(ndim, shape, &numel) && numel % s->group_size != 0)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "scheme: %lld elements in groups of %lld across the tensor: %lld are left", (long long)numel,
                         (long long)s->group_size, (long long)(numel % s->group_size));
    if (s->granularity == PARE_PER_BLOCK && ndim < 2)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: tiles need a matrix, the tensor has %d dimensions", ndim);
    return PARE_OK;
}

/* ---------------------------------------------------------------------------------------------------------- row-local */

bool pare_scheme_row_local(const pare_scheme *s, int64_t cols)
{
    if (s->two_level || s->nested) return false;
    if (s->granularity == PARE_PER_GROUP && (s->kind == PARE_CODE_TABLE || s->float_zero) && cols % s->group_size != 0) return false;
    if (s->granularity == PARE_PER_CHANNEL) return s->axis == 0 || s->axis == -2;
    return s->granularity == PARE_PER_GROUP && (s->axis == -1 || s->axis == 1);
}

int64_t pare_scheme_groups_per_row(const pare_scheme *s, int64_t cols)
{
    if (s->granularity != PARE_PER_GROUP || cols == 0) return 1;
    return cols / s->group_size + (cols % s->group_size != 0);
}
