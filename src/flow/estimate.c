/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pare_estimate: what a model takes in each storage choice, from a checkpoint's headers, from a config.json alone (the
 * skeleton of its architecture), or from a bare count of parameters such as "7B".
 *
 *   float rows      every float parameter and buffer x element size, buffers of a fixed dtype as they are, tied storage once
 *   integer rows    dense weights x bits / 8, one scale a channel or group; everything else as in the float row of `dtype`
 */
#include <math.h>
#include <string.h>

#include "flow/flow.h"
#include "model/model.h"
#include <pare/report.h>

/* What counts: dense weights that will be quantized, other floats, bytes of a fixed dtype. */
typedef struct estimate_sums {
    double dense, floats;        /* elements */
    double scales;               /* scales of the dense ones */
    double fixed_bytes;          /* integer and bool buffers */
    double layers;               /* quantized layers */
    pare_cache_shape cache;
} estimate_sums;

typedef struct estimate_filter { const pare_estimate_options *options; pare_pattern **ignore; } estimate_filter;

static bool ignored(const estimate_filter *f, const char *name) {
    for (size_t i = 0; f->ignore && i < f->options->n_ignore; i++)
        if (pare_pattern_match(f->ignore[i], name)) return true;
    return false;
}

static void count_dense(estimate_sums *s, const estimate_filter *f, int64_t out, int64_t in) {
    const int64_t g = f->options->group_size;
    s->dense += (double)out * (double)in;
    s->scales += (double)out * (g > 0 ? ceil((double)in / (double)g) : 1);
    s->layers++;
}

static void count_skeleton(const pare_skeleton *k, const estimate_filter *f, estimate_sums *s) {
    for (size_t i = 0; i < k->rows.n; i++) {
        const pare_skeleton_row *r = &k->rows.at[i];
        const bool quantized = r->kind == PARE_SKEL_LINEAR || (r->kind == PARE_SKEL_HEAD && f->options->all_layers);
        if (r->tied) continue;
        if (r->kind == PARE_SKEL_BUFFER)
            s->fixed_bytes += (double)pare_dtype_bytes(r->dtype, r->numel);
        else if (quantized && !ignored(f, r->name))
            count_dense(s, f, r->shape[0], r->shape[1]);
        else
            s->floats += (double)r->numel;
    }
    s->cache = k->cache;
}

static void count_weights(const pare_weights *w, const char *model_type, const estimate_filter *f, estimate_sums *s) {
    for (int64_t i = 0; i < w->n; i++) {
        const pare_weight *t = &w->at[i];
        int64_t numel = 0;
        if (t->alias_of >= 0 || !pare_shape_numel(t->ndim, t->shape, &numel)) continue;
        const pare_role role = pare_classify(t->name, t->dtype, t->ndim, t->shape, model_type);
        const bool quantized = role == PARE_ROLE_LINEAR || role == PARE_ROLE_CONV || (role == PARE_ROLE_HEAD && f->options->all_layers);
        if (!pare_dtype_is_float(t->dtype))
            s->fixed_bytes += (double)t->bytes;
        else if (quantized && !ignored(f, t->name))
            count_dense(s, f, t->shape[0], numel / t->shape[0]);
        else
            s->floats += (double)numel;
    }
}

/* Cache shape of a checkpoint whose architecture is known; zeros otherwise. */
static void find_cache(const pare_jval *config, pare_cache_shape *out) {
    pare_skeleton k;
    if (!config || pare_skeleton_of(config, "config.json", &k, NULL) != PARE_OK) return;
    *out = k.cache;
    pare_skeleton_clear(&k);
}

/* "7B", "1.1B", "350M" */
static bool parse_count(const char *text, double *count) {
    const size_t n = strlen(text);
    char digits[32];
    double unit;
    if (n < 2 || n >= sizeof digits) return false;
    switch (text[n - 1]) {
    case 'K': case 'k': unit = 1e3; break;
    case 'M': case 'm': unit = 1e6; break;
    case 'B': case 'b': unit = 1e9; break;
    case 'T': case 't': unit = 1e12; break;
    default: return false;
    }
    memcpy(digits, text, n - 1);
    digits[n - 1] = 0;
    if (!pare_parse_f64(digits, count) || !(*count > 0)) return false;
    *count *= unit;
    return *count < 1e18;
}

static pare_status count_checkpoint(pare_ctx *ctx, const char *path, const estimate_filter *f, estimate_sums *s, pare_err *err) {
    pare_store *store = NULL;
    pare_weights *weights = NULL;
    pare_status st = PARE_OK;
    PARE_TRY(pare_store_open(path, &store, err));
    PARE_TRY(pare_weights_new(ctx, store, &weights, err));
    const pare_jval *config = store->config ? pare_jdoc_root(store->config) : NULL;
    count_weights(weights, pare_j_text(pare_j_get(config, "model_type"), NULL), f, s);
    find_cache(config, &s->cache);
out:
    pare_weights_free(weights);
    pare_store_close(store);
    return st;
}

static pare_status count_config(const char *path, const estimate_filter *f, estimate_sums *s, pare_err *err) {
    pare_jdoc *doc = NULL;
    pare_skeleton k = {0};
    pare_status st = pare_jdoc_load(path, (size_t)64 << 20, &doc, err);
    if (st == PARE_OK) st = pare_skeleton_of(pare_jdoc_root(doc), path, &k, err);
    if (st == PARE_OK) {
        count_skeleton(&k, f, s);
        pare_skeleton_clear(&k);
    }
    pare_jdoc_free(doc);
    return st;
}

static pare_status count_model(pare_ctx *ctx, const char *model, const estimate_filter *f, estimate_sums *s, pare_err *err) {
    double n;
    if (!pare_path_exists(model) && parse_count(model, &n)) {
        s->dense = n;
        s->scales = f->options->group_size > 0 ? n / (double)f->options->group_size : 0; /* channels are not known: left out */
        return PARE_OK;
    }
    if (pare_str_ends(model, ".json") && !pare_str_ends(model, ".index.json")) return count_config(model, f, s, err);
    if (pare_path_is_folder(model)) {
        /* a folder with a config and no weights yet */
        char *config = pare_path_join(model, "config.json");
        pare_store *store = NULL;
        pare_err ignored_err;
        if (!config) return pare_no_memory(err, model, 0);
        const bool empty = pare_path_exists(config) && pare_store_open(model, &store, &ignored_err) != PARE_OK;
        pare_store_close(store);
        const pare_status st = empty ? count_config(config, f, s, err) : count_checkpoint(ctx, model, f, s, err);
        pare_dealloc(config);
        return st;
    }
    return count_checkpoint(ctx, model, f, s, err);
}

/* --------------------------------------------------------------------------------------------------------- the table */

static pare_status add_row(pare_table *t, const char *storage, double weights, double scales, double rest, pare_err *err) {
    pare_status st = pare_table_row(t, err);
    if (st == PARE_OK) st = pare_table_text(t, "storage", storage, err);
    if (st != PARE_OK) return st;
    pare_table_int(t, "weights", (int64_t)ceil(weights));
    pare_table_int(t, "scales", (int64_t)ceil(scales));
    pare_table_int(t, "rest", (int64_t)ceil(rest));
    pare_table_int(t, "total", (int64_t)(ceil(weights) + ceil(scales) + ceil(rest)));
    return PARE_OK;
}

static double size_of(pare_dtype d) { return (double)pare_dtype_get_info(d)->bits / 8; }

static pare_status storage_rows(pare_table *t, const estimate_sums *s, const pare_estimate_options *o, pare_err *err) {
    static const int bits[] = {8, 4, 2};
    const pare_dtype dtype = o->dtype != PARE_DTYPE_NONE ? o->dtype : PARE_F16, scale = o->scale_dtype != PARE_DTYPE_NONE ? o->scale_dtype : dtype;
    const double extra = o->format && strcmp(o->format, "quanto") == 0 ? 8 * s->layers : 0;
    pare_status st;
    if ((st = add_row(t, "fp32", 4 * s->dense, 0, 4 * s->floats + s->fixed_bytes, err)) != PARE_OK) return st;
    if ((st = add_row(t, "16-bit", 2 * s->dense, 0, 2 * s->floats + s->fixed_bytes, err)) != PARE_OK) return st;
    for (int i = 0; i < 3; i++) {
        char name[16];
        pare_print(name, sizeof name, "int%d", bits[i]);
        st = add_row(t, name, s->dense * bits[i] / 8, s->scales * size_of(scale), size_of(dtype) * s->floats + s->fixed_bytes + extra, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static pare_status extra_rows(pare_table *t, const estimate_sums *s, const pare_estimate_options *o, const char *model, pare_err *err) {
    const double values = s->dense + s->floats;
    pare_status st;
    if (o->ctx_tokens > 0) {
        const pare_cache_shape *c = &s->cache;
        char name[64];
        const pare_dtype kv = o->kv_dtype != PARE_DTYPE_NONE ? o->kv_dtype : PARE_F16;
        const double rows = 2.0 * (double)c->layers * (double)c->kv_heads * (double)o->ctx_tokens;
        if (kv != PARE_F32 && kv != PARE_F16 && kv != PARE_BF16 && kv != PARE_I8 && kv != PARE_F8_E4M3FN)
            return pare_fail(err, PARE_ERR_USAGE, "a KV cache is f32, f16, bf16, i8 or f8_e4m3fn, not %s", pare_dtype_get_info(kv)->name);
        if (c->layers == 0) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: the shape of its KV cache is not known", model);
        pare_print(name, sizeof name, "KV cache, %lld tokens, %s", (long long)o->ctx_tokens, o->kv_dtype == PARE_DTYPE_NONE ? "16-bit" : pare_dtype_get_info(kv)->name);
        st = add_row(t, name, 0, kv == PARE_I8 ? rows * sizeof(float) : 0, rows * (double)c->head_dim * size_of(kv), err);
        if (st != PARE_OK) return st;
    }
    if (!o->train) return PARE_OK;
    if ((st = add_row(t, "training, gradients, fp32", 0, 0, 4 * values, err)) != PARE_OK) return st;
    if ((st = add_row(t, "training, AdamW states, fp32", 0, 0, 8 * values, err)) != PARE_OK) return st;
    return add_row(t, "training, all with fp32 weights", 4 * s->dense, 0, 4 * s->floats + s->fixed_bytes + 12 * values, err);
}

pare_status pare_estimate(pare_ctx *ctx, const char *model, const pare_estimate_options *options, pare_table **out, pare_err *err) {
    static const char *const bytes[] = {"weights", "scales", "rest", "total"};
    const pare_estimate_options none = {0};
    estimate_filter f = {.options = options ? options : &none};
    estimate_sums s = {0};
    pare_table *t = NULL;
    pare_status st = PARE_OK;
    *out = NULL;
    f.ignore = pare_alloc_zero(f.options->n_ignore + 1, sizeof *f.ignore);
    if (!f.ignore) return pare_no_memory(err, "patterns", 0);
    for (size_t i = 0; i < f.options->n_ignore; i++) PARE_TRY(pare_pattern_new(f.options->ignore[i], &f.ignore[i], err));
    PARE_TRY(count_model(ctx, model, &f, &s, err));
    PARE_TRY(pare_table_new(&t, err));
    PARE_TRY(pare_table_column(t, "storage", NULL, PARE_CELL_TEXT, NULL, err));
    for (int i = 0; i < 4; i++) PARE_TRY(pare_table_column(t, bytes[i], NULL, PARE_CELL_BYTES, NULL, err));
    PARE_TRY(storage_rows(t, &s, f.options, err));
    PARE_TRY(extra_rows(t, &s, f.options, model, err));
out:
    for (size_t i = 0; i < f.options->n_ignore; i++) pare_pattern_free(f.ignore[i]);
    pare_dealloc(f.ignore);
    if (st != PARE_OK) {
        pare_table_free(t);
        t = NULL;
    }
    *out = t;
    return st;
}
