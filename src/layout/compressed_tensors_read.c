/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading compressed-tensors: config_groups, binding, values. Layout and source: l_compressed_tensors.c.
 *
 * The tensors say which format a layer has (weight_packed: pack-quantized; weight I8: int- or naive-quantized; weight F8:
 * float- or naive-quantized), the config group that targets the module says bits, symmetry and strategy; both must agree.
 * Targets: exact module name before "re:" pattern before class name; a single group serves every module.
 *
 * Odd widths written between May and June 2026 have floor(32/b) codes per word with the high bits unused (P1'); they are told
 * from the dense form by the width of weight_packed, since weight_shape gives the input channels.
 */
#include <stdio.h>
#include <string.h>
#include "layout/compressed_tensors.h"

enum { INPUT_SCALE = PARE_CT_CARRIED, INPUT_GLOBAL = PARE_CT_CARRIED + 4 };
static const char *const carried[] = { ".input_scale", ".input_zero_point", ".output_scale", ".output_zero_point", ".input_global_scale" };

/* ----------------------------------------------------------------------------------------------------- configuration */

typedef struct ct_args {
    bool given;                  /* false: nothing is configured, the tensors decide */
    int64_t bits, group, block[2];
    bool is_float, symmetric, act_float;
    int64_t act_bits, act_group;
    pare_granularity strategy;   /* 0 = not said */
    pare_act act;
} ct_args;

static void read_activations(const pare_jval *act, ct_args *a)
{
    const pare_jval *dynamic = pare_j_get(act, "dynamic");
    const bool local = pare_str_same_nocase(pare_j_text(dynamic, ""), "local");
    const int64_t group = pare_j_int(pare_j_get(act, "group_size"), 0), bits = pare_j_int(pare_j_get(act, "num_bits"), 8);
    a->act = !local && !pare_j_bool(dynamic, false) ? PARE_ACT_STATIC_TENSOR : group > 0 && group <= INT32_MAX ? PARE_ACT_DYNAMIC_GROUP : PARE_ACT_DYNAMIC_TOKEN;
    a->act_group = a->act == PARE_ACT_DYNAMIC_GROUP ? group : 0;
    a->act_bits = bits >= 1 && bits <= 16 ? bits : 8;
    a->act_float = pare_str_same_nocase(pare_j_text(pare_j_get(act, "type"), "int"), "float") && (a->act_bits == 8 || a->act_bits == 4);
}

static pare_status read_args(const pare_bind *b, const pare_jval *group, ct_args *a, pare_err *err)
{
    static const struct { const char *name; pare_granularity value; } strategies[] = {
        { "tensor", PARE_PER_TENSOR }, { "channel", PARE_PER_CHANNEL }, { "group", PARE_PER_GROUP }, { "block", PARE_PER_BLOCK },
        { "tensor_group", PARE_PER_GROUP } };
    const pare_jval *w = pare_j_get(group, "weights"), *act = pare_j_get(group, "input_activations"), *tile = pare_j_get(w, "block_structure");
    const char *strategy = pare_j_text(pare_j_get(w, "strategy"), "");
    *a = (ct_args){ .given = pare_j_type(w) == PARE_J_OBJECT, .bits = pare_j_int(pare_j_get(w, "num_bits"), 8),
                    .group = pare_j_int(pare_j_get(w, "group_size"), -1), .symmetric = pare_j_bool(pare_j_get(w, "symmetric"), true),
                    .is_float = pare_str_same_nocase(pare_j_text(pare_j_get(w, "type"), "int"), "float"),
                    .block = { pare_j_int(pare_j_at(tile, 0), 128), pare_j_int(pare_j_at(tile, 1), 128) } };
    if (!a->given) return PARE_OK;
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++)
        if (!strcmp(strategies[i].name, strategy)) a->strategy = strategies[i].value;
    if (*strategy && !a->strategy) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: weight strategy '%s' is not read", b->where, strategy);
    if (a->bits < 1 || a->bits > 8) return pare_fail(err, PARE_ERR_FORMAT, "%s: num_bits %lld; 1 to 8 are read", b->where, (long long)a->bits);
    if (a->is_float && a->bits != 8 && a->bits != 4) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: float weights of %lld bits are not read", b->where, (long long)a->bits);
    if ((a->strategy == PARE_PER_GROUP && a->group < 1) || a->group > INT32_MAX)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: strategy '%s' with group_size %lld", b->where, strategy, (long long)a->group);
    if (a->block[0] < 1 || a->block[1] < 1 || a->block[0] > INT32_MAX || a->block[1] > INT32_MAX)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: block_structure [%lld, %lld]", b->where, (long long)a->block[0], (long long)a->block[1]);
    if (pare_j_type(act) == PARE_J_OBJECT) read_activations(act, a);
    return PARE_OK;
}

/* 3 exact name, 2 pattern, 1 class name, 0 none. */
static pare_status target_rank(const char *target, const char *module, int *rank, pare_err *err)
{
    *rank = 0;
    if (!strcmp(target, module)) {
        *rank = 3;
    } else if (pare_str_starts(target, "re:")) {
        pare_pattern *p;
        pare_status st = pare_pattern_new(target, &p, err);
        if (st != PARE_OK) return st;
        *rank = pare_pattern_match(p, module) ? 2 : 0;
        pare_pattern_free(p);
    } else if (!strcmp(target, "Linear")) {
        *rank = 1;
    }
    return PARE_OK;
}

static pare_status find_args(const pare_bind *b, const char *stem, size_t n, ct_args *a, pare_err *err)
{
    const pare_jval *groups = pare_j_get(b->config, "config_groups"), *best = NULL;
    const char *key;
    int best_rank = 0, rank;
    if (pare_j_count(groups) <= 1) return read_args(b, pare_j_member(groups, 0, &key), a, err);
    char *module = pare_arena_strndup(b->arena, stem, n);
    if (!module) return pare_no_memory(err, "module name", n + 1);
    for (size_t g = 0; g < pare_j_count(groups); g++) {
        const pare_jval *group = pare_j_member(groups, g, &key), *targets = pare_j_get(group, "targets");
        for (size_t t = 0; t < pare_j_count(targets) && best_rank < 3; t++) {
            pare_status st = target_rank(pare_j_text(pare_j_at(targets, t), ""), module, &rank, err);
            if (st != PARE_OK) return pare_context(err, st, "%s: config_groups.%s", b->where, key);
            if (rank <= best_rank) continue;
            best_rank = rank;
            best = group;
        }
    }
    if (best) return read_args(b, best, a, err);
    return pare_fail(err, PARE_ERR_FORMAT, "%s: no config group of %s targets this quantized layer", module, b->where);
}

/* Formats beyond ours make the whole checkpoint unread: *format names the first. */
static bool known_formats(const pare_jval *config, const char **format)
{
    static const char *const known[] = { "pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "mixed-precision", "dense", "fakequant",
                                         "nvfp4-pack-quantized", "mxfp4-pack-quantized", "mxfp8-quantized", NULL };
    const pare_jval *groups = pare_j_get(config, "config_groups");
    const char *key;
    *format = pare_j_text(pare_j_get(pare_j_get(config, "sparsity_config"), "format"), "dense");
    if (strcmp(*format, "dense") != 0) return false;
    for (size_t g = 0; g <= pare_j_count(groups); g++) {
        const pare_jval *f = g ? pare_j_get(pare_j_member(groups, g - 1, &key), "format") : pare_j_get(config, "format");
        int i = 0;
        *format = pare_j_text(f, "dense");
        while (known[i] && strcmp(known[i], *format) != 0) i++;
        if (!known[i]) return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------------------ binding */

enum { MAX_DIMS = 5 }; /* three-dimensional convolutions */

static bool is_float8(pare_dtype d)
{
    return d == PARE_F8_E4M3FN || d == PARE_F8_E5M2;
}

static pare_status disagree(const pare_bind *b, int64_t tensor, const char *what, pare_err *err)
{
    const pare_tensor *t = &b->store->tensors[tensor];
    char text[96];
    return pare_fail(err, PARE_ERR_FORMAT, "%s: shape %s %s", t->name, pare_shape_text(t->ndim, t->shape, text), what);
}

/* Input channels: of a convolution, everything behind the first axis. */
static int64_t cols_of(const pare_weight *w)
{
    int64_t cols = 1;
    for (int d = 1; d < w->ndim; d++) cols *= w->shape[d];
    return cols;
}

/* The strategy that the scale's shape shows for [out, in]; what the configuration says must agree. Fills granularity and group. */
static pare_status find_strategy(const pare_bind *b, const ct_args *a, pare_weight *w, pare_err *err)
{
    const pare_tensor *s = &b->store->tensors[w->part[PARE_CT_SCALE]];
    int64_t out = w->shape[0], in = cols_of(w), cols = s->ndim == 2 ? s->shape[1] : 1;
    pare_granularity found = 0;
    w->info[PARE_CT_INFO_GROUPS] = 1;
    w->info[PARE_CT_INFO_GROUP] = in;
    if (a->strategy == PARE_PER_BLOCK) {
        if (s->ndim == 2 && s->shape[0] == (out + a->block[0] - 1) / a->block[0] && cols == (in + a->block[1] - 1) / a->block[1]) found = PARE_PER_BLOCK;
    } else if (s->ndim <= 1 && s->numel == 1 && (a->strategy == PARE_PER_TENSOR || !a->strategy)) {
        found = PARE_PER_TENSOR;
    } else if (s->ndim >= 1 && s->ndim <= 2 && s->shape[0] == out && cols == 1 && a->strategy != PARE_PER_TENSOR) {
        found = PARE_PER_CHANNEL; /* also a group as wide as the row */
    } else if (s->ndim == 2 && s->shape[0] == out && cols > 1 && (a->strategy == PARE_PER_GROUP || !a->strategy)) {
        w->info[PARE_CT_INFO_GROUP] = a->strategy ? a->group : in / cols;
        found = PARE_PER_GROUP;
    }
    if (found == PARE_PER_CHANNEL && a->strategy == PARE_PER_GROUP && a->group < in) found = 0;
    if (found == PARE_PER_GROUP && (w->info[PARE_CT_INFO_GROUP] < 1 || (in + w->info[PARE_CT_INFO_GROUP] - 1) / w->info[PARE_CT_INFO_GROUP] != cols)) found = 0;
    if (!found) {
        char text[160];
        snprintf(text, sizeof text, "fits neither the [%lld, %lld] weight nor its strategy%s", (long long)out, (long long)in,
                 a->given ? " in the configuration" : "");
        return disagree(b, w->part[PARE_CT_SCALE], text, err);
    }
    w->info[PARE_CT_INFO_GROUPS] = found == PARE_PER_GROUP ? cols : 1;
    pare_scheme_read(&w->scheme, (int)a->bits, a->symmetric, found, w->info[PARE_CT_INFO_GROUP], s->dtype);
    if (found == PARE_PER_BLOCK) memcpy(w->scheme.block, a->block, sizeof a->block);
    return PARE_OK;
}

/* Packed width of n fields, dense or in padded words. */
static int64_t packed_words(int bits, int64_t n, bool padded)
{
    int per = 32 / bits;
    return padded ? (n + per - 1) / per : pare_lsb_words(bits, n);
}

/* Shape from weight_shape, packing from the width. */
static pare_status shape_of_packed(const pare_bind *b, ct_args *a, pare_weight *w, pare_err *err)
{
    const pare_tensor *packed = &b->store->tensors[w->part[PARE_CT_MAIN]], *shape = &b->store->tensors[w->part[PARE_CT_SHAPE]];
    const uint8_t *data;
    pare_status st;
    if ((st = pare_bind_expect(b, w->part[PARE_CT_SHAPE], "I64 I32", 1, (int64_t[]){ -1 }, err)) != PARE_OK) return st;
    if (shape->shape[0] < 2 || shape->shape[0] > MAX_DIMS)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: holds %lld sizes, not 2 to %d", shape->name, (long long)shape->shape[0], MAX_DIMS);
    w->ndim = (int)shape->shape[0];
    if ((st = pare_store_data(b->store, w->part[PARE_CT_SHAPE], &data, err)) != PARE_OK) return st;
    for (int i = 0; i < w->ndim; i++)
        w->shape[i] = shape->dtype == PARE_I64 ? (int64_t)pare_le64(data + 8 * i) : (int32_t)pare_le32(data + 4 * i);
    int64_t cols = 1;
    for (int i = 0; i < w->ndim; i++)
        if (w->shape[i] < 1 || (i > 0 && (w->shape[i] > INT64_MAX / 8 / cols || (cols *= w->shape[i]) < 1)))
            return pare_fail(err, PARE_ERR_FORMAT, "%s: holds [%lld, %lld]", shape->name, (long long)w->shape[0], (long long)w->shape[1]);
    if ((st = pare_bind_expect(b, w->part[PARE_CT_MAIN], "I32 U32", 2, (int64_t[]){ w->shape[0], -1 }, err)) != PARE_OK) return st;
    for (int padded = 0; padded < 2; padded++)
        for (int64_t bits = a->given ? a->bits : 1; bits <= (a->given ? a->bits : 8); bits++)
            if (packed->shape[1] == packed_words((int)bits, cols, padded)) {
                a->bits = bits;
                w->info[PARE_CT_INFO_PADDED] = padded;
                return PARE_OK;
            }
    char text[128];
    snprintf(text, sizeof text, "does not hold [%lld, %lld] codes of %lld bits", (long long)w->shape[0], (long long)cols, (long long)a->bits);
    return disagree(b, w->part[PARE_CT_MAIN], text, err);
}

static pare_status check_zeros(const pare_bind *b, ct_args *a, pare_weight *w, pare_err *err)
{
    int64_t z = w->part[PARE_CT_ZERO], groups = w->info[PARE_CT_INFO_GROUPS], lines;
    const pare_tensor *scale = &b->store->tensors[w->part[PARE_CT_SCALE]];
    if (z < 0 && (a->symmetric || !a->given)) return PARE_OK;
    if (z < 0)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: asymmetric in %s, but its zero points (weight_zero_point) are missing", scale->name, b->where);
    if (b->store->tensors[z].dtype == PARE_I8) return pare_bind_expect(b, z, "I8", scale->ndim, scale->shape, err);
    lines = packed_words((int)a->bits, w->shape[0], w->info[PARE_CT_INFO_PADDED]);
    return pare_bind_expect(b, z, "I32 U32", 2, (int64_t[]){ lines, groups }, err);
}

static bool is_exponent(pare_dtype d) { return d == PARE_U8 || d == PARE_F8_E8M0; }

/* What all layers take from the configuration's activations. */
static void take_activations(pare_weight *w, const ct_args *a)
{
    w->scheme.act = a->act;
    if (a->act != PARE_ACT_NONE) {
        w->scheme.act_bits = (int)a->act_bits;
        w->scheme.act_float = a->act_float;
        w->scheme.act_group = a->act_group;
    }
}

/* e2m1 or float8 in groups with scales of 8 bits: NVFP4 (e4m3 under a global scale), MXFP4 and MXFP8 (powers of two). */
static pare_status bind_micro(pare_bind *b, const char *stem, size_t n, const ct_args *a, pare_weight *w, pare_err *err)
{
    pare_status st;
    const pare_tensor *t = &b->store->tensors[w->part[PARE_CT_MAIN]], *scale = &b->store->tensors[w->part[PARE_CT_SCALE]];
    const bool eight = t->dtype != PARE_U8, nv = !is_exponent(scale->dtype);
    const int64_t group = nv ? 16 : 32;
    for (int i = PARE_CT_ZERO; i <= PARE_CT_G_IDX; i++)
        if (w->part[i] >= 0) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %s has neither zero points nor act-order", b->store->tensors[w->part[i]].name, t->name);
    PARE_TRY(pare_bind_expect(b, w->part[PARE_CT_MAIN], eight ? "F8_E4M3" : "U8", 2, (int64_t[]){ -1, -1 }, err));
    w->shape[0] = t->shape[0];
    w->shape[1] = eight ? t->shape[1] : t->shape[1] * 2;
    if (w->shape[1] < group || w->shape[1] % group)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %lld input channels are no whole number of groups of %lld", t->name, (long long)w->shape[1], (long long)group);
    if (a->given && (a->bits != (eight ? 8 : 4) || !a->is_float || (a->strategy && a->strategy != PARE_PER_GROUP) || (a->group > 0 && a->group != group)))
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: float codes of %d bits in groups of %lld here, %s of %lld bits in groups of %lld in %s", t->name, eight ? 8 : 4,
                  (long long)group, a->is_float ? "floats" : "integers", (long long)a->bits, (long long)a->group, b->where);
    PARE_TRY(pare_bind_expect(b, w->part[PARE_CT_SCALE], nv ? "F8_E4M3" : "U8 F8_E8M0", 2, (int64_t[]){ w->shape[0], w->shape[1] / group }, err));
    if (nv) {
        PARE_TRY(pare_bind_need(b, stem, n, ".weight_global_scale", &w->part[PARE_CT_GLOBAL], err));
        if (b->store->tensors[w->part[PARE_CT_GLOBAL]].ndim == 0) PARE_TRY(pare_bind_expect(b, w->part[PARE_CT_GLOBAL], "F32", 0, NULL, err));
        else PARE_TRY(pare_bind_expect(b, w->part[PARE_CT_GLOBAL], "F32", 1, (int64_t[]){ 1 }, err));
    }
    pare_scheme_read(&w->scheme, eight ? 8 : 4, true, PARE_PER_GROUP, group, nv ? PARE_F8_E4M3FN : PARE_F8_E8M0);
    w->scheme.kind = PARE_CODE_FLOAT;
    w->scheme.code_dtype = eight ? PARE_F8_E4M3FN : PARE_F4_E2M1;
    w->scheme.two_level = nv;
    w->info[PARE_CT_INFO_FORMAT] = eight ? PARE_CT_MXFP8 : nv ? PARE_CT_NVFP4 : PARE_CT_MXFP4;
    w->info[PARE_CT_INFO_GROUP] = group;
    w->info[PARE_CT_INFO_GROUPS] = w->shape[1] / group;
    take_activations(w, a);
    w->dtype = PARE_BF16;
    w->zero_kind = PARE_ZERO_SYM;
    PARE_TRY(pare_bind_add(b, stem, n, w, err));
out:
    return st;
}

static pare_status bind_layer(pare_bind *b, const char *stem, size_t n, int64_t main, pare_err *err)
{
    pare_status st;
    pare_weight w = { .n_parts = PARE_CT_PARTS, .part = { main }, .ndim = 2 };
    const pare_tensor *t = &b->store->tensors[main];
    bool packed = pare_str_ends(t->name, ".weight_packed");
    ct_args a;
    w.info[PARE_CT_INFO_FORMAT] = packed ? PARE_CT_PACK : t->dtype == PARE_I8 ? PARE_CT_INT : PARE_CT_FLOAT;
    w.part[PARE_CT_SHAPE] = w.part[PARE_CT_ZERO] = w.part[PARE_CT_G_IDX] = w.part[PARE_CT_GLOBAL] = -1;
    PARE_TRY(find_args(b, stem, n, &a, err));
    PARE_TRY(pare_bind_need(b, stem, n, ".weight_scale", &w.part[PARE_CT_SCALE], err));
    const bool micro = (packed && t->dtype == PARE_U8) || is_exponent(b->store->tensors[w.part[PARE_CT_SCALE]].dtype);
    if (packed && !micro) PARE_TRY(pare_bind_need(b, stem, n, ".weight_shape", &w.part[PARE_CT_SHAPE], err));
    w.part[PARE_CT_ZERO] = pare_bind_part(b, stem, n, ".weight_zero_point");
    w.part[PARE_CT_G_IDX] = pare_bind_part(b, stem, n, ".weight_g_idx");
    for (int i = 0; i < PARE_CT_PARTS - PARE_CT_CARRIED; i++) w.part[PARE_CT_CARRIED + i] = pare_bind_part(b, stem, n, carried[i]);
    if (micro) return bind_micro(b, stem, n, &a, &w, err);
    if (a.given && a.is_float && a.bits != 8)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: dtype %s in the file, float weights of %lld bits in %s", t->name, pare_dtype_get_info(t->dtype)->safetensors,
                  (long long)a.bits, b->where);
    if (a.given && a.is_float != (w.info[PARE_CT_INFO_FORMAT] == PARE_CT_FLOAT))
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %s weights in %s, dtype %s in the file", t->name, a.is_float ? "float" : "integer", b->where,
                  pare_dtype_get_info(t->dtype)->safetensors);
    const pare_tensor *scale = &b->store->tensors[w.part[PARE_CT_SCALE]];
    PARE_TRY(pare_bind_expect(b, w.part[PARE_CT_SCALE], PARE_FLOATS, scale->ndim, scale->shape, err)); /* its dtype; its shape comes below */
    PARE_TRY(pare_bind_expect(b, main, packed ? "I32 U32" : "I8 F8_E4M3 F8_E5M2", 2, (int64_t[]){ -1, -1 }, err));
    memcpy(w.shape, t->shape, 2 * sizeof *w.shape);
    if (packed) PARE_TRY(shape_of_packed(b, &a, &w, err));
    if (!a.given) a.symmetric = w.part[PARE_CT_ZERO] < 0;
    PARE_TRY(find_strategy(b, &a, &w, err));
    PARE_TRY(check_zeros(b, &a, &w, err));
    PARE_TRY(pare_bind_expect(b, w.part[PARE_CT_G_IDX], "I32", 1, (int64_t[]){ cols_of(&w) }, err));
    if (w.info[PARE_CT_INFO_FORMAT] == PARE_CT_FLOAT) {
        w.scheme.kind = PARE_CODE_FLOAT;
        w.scheme.code_dtype = t->dtype;
    }
    take_activations(&w, &a);
    w.dtype = w.scheme.scale_dtype;
    w.zero_kind = w.part[PARE_CT_ZERO] >= 0 ? PARE_ZERO_INT : PARE_ZERO_SYM;
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

pare_status pare_ct_bind(pare_bind *b, pare_err *err)
{
    static const char *const orphans[] = { ".weight_packed", ".weight_shape", ".weight_zero_point", ".weight_scale", ".weight_g_idx", ".weight_global_scale", NULL };
    const char *format;
    pare_status st;
    if (!pare_bind_in_charge(b, "compressed-tensors")) return PARE_OK;
    if (!known_formats(b->config, &format)) {
        b->method = format;
        b->method_read = false;
        return PARE_OK;
    }
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        const pare_tensor *main = &b->store->tensors[t];
        size_t n;
        if (b->owner[t] >= 0) continue;
        if (pare_bind_stem(main, ".weight_packed", &n)) {
            const char *mark = main->dtype == PARE_U8 ? ".weight_scale" : ".weight_shape";
            if (!*b->method && pare_bind_part(b, main->name, n, mark) < 0) continue;
        } else {
            if (!pare_bind_stem(main, ".weight", &n) || (main->dtype != PARE_I8 && !is_float8(main->dtype))) continue;
            if (pare_bind_part(b, main->name, n, ".weight_scale") < 0 && !*b->method) continue;
        }
        if ((st = bind_layer(b, main->name, n, t, err)) != PARE_OK) return st;
    }
    return *b->method ? pare_bind_no_orphans(b, orphans, ".weight", err) : PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ reading */

static pare_status read_codes(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *data;
    int bits = layer->scheme.bits;
    int64_t in = cols_of(layer), words = packed_words(bits, in, layer->info[PARE_CT_INFO_PADDED]);
    pare_status st = pare_layer_part(w, layer, PARE_CT_MAIN, &data, err);
    if (st != PARE_OK) return st;
    switch (layer->info[PARE_CT_INFO_FORMAT]) {
    case PARE_CT_NVFP4:
    case PARE_CT_MXFP4: w->kernels->unpack_lsb(4, rows * in, data + row0 * in / 2, q->codes); return PARE_OK;
    case PARE_CT_MXFP8:
    case PARE_CT_FLOAT: memcpy(q->codes, data + row0 * in, (size_t)(rows * in)); return PARE_OK;
    case PARE_CT_INT:
        if (pare_codes_from_signed(data + row0 * in, rows * in, bits, q->codes)) return PARE_OK;
        return pare_fail(err, PARE_ERR_FORMAT, "%s: a stored value is outside %d bits", layer->name, bits);
    default: break;
    }
    data += row0 * words * 4;
    if (layer->info[PARE_CT_INFO_PADDED]) return pare_unpack(PARE_PACK_PADDED, bits, rows, in, data, q->codes, err);
    if (in * bits % 32 == 0) w->kernels->unpack_lsb(bits, rows * in, data, q->codes);
    else
        for (int64_t r = 0; r < rows; r++) w->kernels->unpack_lsb(bits, in, data + r * words * 4, q->codes + r * in);
    return PARE_OK;
}

static pare_status read_zeros(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *data;
    int bits = layer->scheme.bits, per = 32 / bits;
    int64_t groups = layer->info[PARE_CT_INFO_GROUPS];
    pare_status st = pare_layer_part(w, layer, PARE_CT_ZERO, &data, err);
    if (st != PARE_OK || !data) return st;
    if (w->store->tensors[layer->part[PARE_CT_ZERO]].dtype == PARE_I8) {
        bool shared = layer->scheme.granularity == PARE_PER_TENSOR;
        for (int64_t i = 0; i < q->grid.n_scales; i++) q->zeros[i] = (int8_t)data[shared ? 0 : row0 * groups + i] + (1 << (bits - 1));
        return PARE_OK;
    }
    for (int64_t g = 0; g < groups; g++) {
        if (!layer->info[PARE_CT_INFO_PADDED]) pare_strip_unpack(bits, row0, rows, data + g * 4, groups, q->zeros + g, groups);
        for (int64_t r = 0; layer->info[PARE_CT_INFO_PADDED] && r < rows; r++)
            q->zeros[r * groups + g] = (int32_t)(pare_word_get(data + ((row0 + r) / per * groups + g) * 4) >> ((row0 + r) % per * bits) & ((1u << bits) - 1));
    }
    return PARE_OK;
}

/* A g_idx that holds -1 was never filled: the library ignores it then. */
static pare_status g_idx_in_use(const pare_weights *w, const pare_weight *layer, bool *yes, pare_err *err)
{
    const uint8_t *data;
    pare_status st = pare_layer_part(w, layer, PARE_CT_G_IDX, &data, err);
    *yes = data != NULL;
    for (int64_t i = 0; *yes && i < cols_of(layer); i++) *yes = pare_word_get(data + 4 * i) != UINT32_MAX;
    return st;
}

/* Scales of 8 bits, the global scale, and what is stored of the activations. */
static pare_status read_micro(const pare_weights *w, const pare_weight *layer, int64_t first, pare_qtensor *q, pare_err *err)
{
    const uint8_t *data;
    pare_status st = pare_layer_part(w, layer, PARE_CT_SCALE, &data, err);
    if (st != PARE_OK) return st;
    for (int64_t i = 0; i < q->grid.n_scales; i++) {
        q->scales[i] = pare_f8_to_f32(layer->scheme.scale_dtype, data[first + i]);
        if (!(q->scales[i] - q->scales[i] == 0.0f))
            return pare_fail(err, PARE_ERR_FORMAT, "%s: scale %lld is not a number", layer->name, (long long)(first + i));
    }
    if (!layer->scheme.two_level) return PARE_OK;
    if ((st = pare_layer_part(w, layer, PARE_CT_GLOBAL, &data, err)) != PARE_OK) return st;
    const float divisor = pare_le32f(data);
    q->global_scale = 1.0f / divisor;
    if (divisor != 0.0f && q->global_scale - q->global_scale == 0.0f && q->global_scale != 0.0f) return PARE_OK;
    return pare_fail(err, PARE_ERR_FORMAT, "%s: weight_global_scale is %g", layer->name, (double)divisor);
}

static pare_status read_activation_scale(const pare_weights *w, const pare_weight *layer, pare_qtensor *q, pare_err *err)
{
    const int slot = layer->scheme.act == PARE_ACT_STATIC_TENSOR ? INPUT_SCALE : layer->scheme.two_level ? INPUT_GLOBAL : -1;
    if (slot < 0 || layer->part[slot] < 0 || w->store->tensors[layer->part[slot]].numel != 1 || !pare_dtype_is_float(w->store->tensors[layer->part[slot]].dtype))
        return PARE_OK;
    pare_status st = pare_layer_floats(w, layer, slot, 0, 1, &q->input_scale, err);
    if (slot == INPUT_GLOBAL) q->input_scale = q->input_scale > 0.0f ? 1.0f / q->input_scale : 0.0f;
    return st;
}

pare_status pare_ct_read(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    int64_t first = row0 * layer->info[PARE_CT_INFO_GROUPS];
    bool indexed;
    pare_status st;
    if (layer->scheme.granularity == PARE_PER_TENSOR) first = 0;
    if (layer->scheme.granularity == PARE_PER_BLOCK) first = row0 / layer->scheme.block[0] * q->grid.blocks[1];
    const bool micro = layer->info[PARE_CT_INFO_FORMAT] >= PARE_CT_NVFP4;
    st = micro ? read_micro(w, layer, first, q, err) : pare_layer_floats(w, layer, PARE_CT_SCALE, first, q->grid.n_scales, q->scales, err);
    if (st != PARE_OK || (st = read_activation_scale(w, layer, q, err)) != PARE_OK) return st;
    if ((st = read_codes(w, layer, row0, rows, q, err)) != PARE_OK) return st;
    if ((st = read_zeros(w, layer, row0, rows, q, err)) != PARE_OK) return st;
    if ((st = g_idx_in_use(w, layer, &indexed, err)) != PARE_OK || !indexed) return st;
    return pare_layer_g_idx(w, layer, PARE_CT_G_IDX, layer->info[PARE_CT_INFO_GROUPS], layer->info[PARE_CT_INFO_GROUP], q, err);
}

/* Symmetric integer codes in whole rows of words or bytes are what kernels read. */
bool pare_ct_view(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_wmat *out)
{
    const int bits = layer->scheme.bits;
    const bool pack = layer->info[PARE_CT_INFO_FORMAT] == PARE_CT_PACK, shared = layer->scheme.granularity == PARE_PER_TENSOR;
    const int64_t in = cols_of(layer);
    bool indexed;
    if (layer->scheme.kind != PARE_CODE_INT || layer->part[PARE_CT_ZERO] >= 0 || layer->info[PARE_CT_INFO_PADDED]) return false;
    if (layer->scheme.granularity == PARE_PER_BLOCK || (pack ? bits != 8 && bits != 4 && bits != 2 : bits != 8)) return false;
    if (g_idx_in_use(w, layer, &indexed, NULL) != PARE_OK || indexed) return false;
    const pare_wkind kind = !pack ? PARE_W_I8 : bits == 8 ? PARE_W_U8 : bits == 4 ? PARE_W_U4 : PARE_W_U2;
    return pare_layer_view(w, layer, PARE_CT_MAIN, PARE_CT_SCALE, kind, pack ? packed_words(bits, in, false) * 4 : in,
                           layer->scheme.granularity == PARE_PER_GROUP ? layer->info[PARE_CT_INFO_GROUP] : in, layer->info[PARE_CT_INFO_GROUPS], shared, row0, rows, out);
}
