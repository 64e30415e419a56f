/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemes: defaults, the named ones (schemes.def), their names and suffixes, and the check that the fields agree.
 */
#include <stdio.h>
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
      .axis = 0, .act = PARE_ACT_##act_, .act_bits = act_bits_}},
#include "quant/schemes.def"
    {NULL, NULL, {.bits = 0}},
};

typedef struct later_row { const char *name, *help, *hint; } later_row;
static const later_row later[] = {
#define PARE_SCHEME_LATER(name_, help_, hint_) {name_, help_, hint_},
#include "quant/schemes.def"
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

/* Granularity that a name without suffix stands for. */
static bool grouped_by_default(const pare_scheme *s) { return s->kind == PARE_CODE_INT && s->bits < 8; }

static void add_granularity(pare_scheme *s)
{
    const bool group = grouped_by_default(s);
    switch (s->granularity) {
    case PARE_PER_TENSOR: add(s->name, ":tensor", 0, 0); break;
    case PARE_PER_CHANNEL:
        if (group) add(s->name, ":channel", 0, 0);
        if (s->axis != 0) add(s->name, ":axis%lld", s->axis, 0);
        break;
    case PARE_PER_GROUP:
        if (!group || s->group_size != PARE_DEFAULT_GROUP) add(s->name, ":g%lld", s->group_size, 0);
        if (s->axis != -1) add(s->name, ":axis%lld", s->axis, 0);
        break;
    case PARE_PER_BLOCK: add(s->name, ":%lldx%lld", s->block[0], s->block[1]); break;
    }
}

void pare_scheme_make_name(pare_scheme *s)
{
    s->name[0] = '\0';
    if (s->kind == PARE_CODE_FLOAT) {
        add(s->name, s->act == PARE_ACT_NONE ? "FP8_WEIGHT" : s->act == PARE_ACT_DYNAMIC_TOKEN ? "FP8_DYNAMIC" : "FP8", 0, 0);
    } else {
        add(s->name, s->symmetric ? "W%lldA%lld" : "W%lldA%lld_ASYM", s->bits, s->act_bits == 0 ? 16 : s->act_bits);
    }
    add_granularity(s);
    if (s->range != PARE_RANGE_AUTO) add(s->name, s->range == PARE_RANGE_FULL ? ":full" : ":narrow", 0, 0);
    const pare_dtype_info *info = s->kind == PARE_CODE_FLOAT && s->code_dtype != PARE_F8_E4M3FN ? pare_dtype_get_info(s->code_dtype) : NULL;
    if (info != NULL) {
        const size_t n = strlen(s->name);
        snprintf(s->name + n, sizeof s->name - n, ":%s", info->name);
    }
}

/* -------------------------------------------------------------------------------------------------------------- parse */

/* "W4A16", "W3A8_ASYM": any width, listed or not. */
static bool parse_width(const char *base, pare_scheme *s)
{
    static const struct { const char *tail; int act; bool asym; } tails[] = {
        {"A16", 16, false}, {"A32", 32, false}, {"A8", 8, false}, {"A16_ASYM", 16, true}, {"A32_ASYM", 32, true}, {"A8_ASYM", 8, true}};
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
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        if (!pare_str_same_nocase(base, later[i].name)) continue;
        pare_fail(err, PARE_ERR_UNSUPPORTED, "scheme '%s': %s; this version of pare does not write it yet", later[i].name, later[i].help);
        pare_hint(err, "%s", later[i].hint);
        return PARE_ERR_UNSUPPORTED;
    }
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
    } else if (s->kind == PARE_CODE_FLOAT && pare_str_starts(text, "f8_")) {
        s->code_dtype = pare_dtype_parse(text);
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
            pare_hint(err, "suffixes are :gN :channel :tensor :RxC :axisN :sym :asym :full :narrow");
            return PARE_ERR_USAGE;
        }
        at = colon != NULL ? colon + 1 : NULL;
        if (i > 0 && at == NULL) pare_scheme_make_name(scheme);
    }
    return pare_scheme_check(scheme, 0, NULL, err);
}

/* -------------------------------------------------------------------------------------------------------------- check */

static pare_status check_codes(const pare_scheme *s, pare_err *err)
{
    if (s->kind == PARE_CODE_FLOAT) {
        if (s->code_dtype < PARE_F8_E4M3FN || s->code_dtype > PARE_F8_E5M2FNUZ)
            return pare_fail(err, PARE_ERR_USAGE, "scheme: float codes need an 8-bit float dtype, not %d", (int)s->code_dtype);
        if (s->bits != 8 || !s->symmetric) return pare_fail(err, PARE_ERR_USAGE, "scheme: float8 codes have 8 bits and no zero point");
        if (s->clip != PARE_CLIP_NONE) return pare_fail(err, PARE_ERR_UNSUPPORTED, "scheme: the clipping search is for integer codes");
        if (s->course) return pare_fail(err, PARE_ERR_USAGE, "scheme: the course's arithmetic is for integer codes");
        return PARE_OK;
    }
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
    if (s->scale_dtype != PARE_DTYPE_NONE && s->scale_dtype != PARE_F32 && s->scale_dtype != PARE_F16 && s->scale_dtype != PARE_BF16)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: scales are f32, f16 or bf16");
    if ((unsigned)s->range > PARE_RANGE_NARROW || (unsigned)s->clip > PARE_CLIP_MSE || (unsigned)s->act > PARE_ACT_STATIC_TENSOR)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: range, clip or act is outside its enum");
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
    if (s->granularity == PARE_PER_BLOCK && ndim < 2)
        return pare_fail(err, PARE_ERR_USAGE, "scheme: tiles need a matrix, the tensor has %d dimensions", ndim);
    return PARE_OK;
}

/* ---------------------------------------------------------------------------------------------------------- row-local */

bool pare_scheme_row_local(const pare_scheme *s)
{
    if (s->granularity == PARE_PER_CHANNEL) return s->axis == 0 || s->axis == -2;
    return s->granularity == PARE_PER_GROUP && (s->axis == -1 || s->axis == 1);
}

int64_t pare_scheme_groups_per_row(const pare_scheme *s, int64_t cols)
{
    if (s->granularity != PARE_PER_GROUP || cols == 0) return 1;
    return cols / s->group_size + (cols % s->group_size != 0);
}
