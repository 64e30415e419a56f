/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binding and reading helpers that all layouts share: which tensors make a layer, are their dtypes and shapes what the
 * layout says, where is the quantization dictionary.
 *
 * The dictionary is looked for in config.json ("quantization_config", at top level or in "text_config"; old
 * compressed-tensors: "compression_config"), then in quantize_config.json and quant_config.json beside it (older GPTQ and AWQ
 * repositories have only that file), and in ModelOpt's hf_quant_config.json.
 */
#include <stdio.h>
#include <string.h>
#include "layout/bind.h"

/* ------------------------------------------------------------------------------------------------- quantization_config */

static const char *lower(pare_arena *arena, const char *text)
{
    char *copy = pare_arena_strdup(arena, text);
    for (char *c = copy; c && *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    return copy;
}

/* What a dictionary without quant_method must be: bitsandbytes has flags of its own, AutoAWQ and AutoGPTQ their old keys. */
static const char *implied_method(const pare_jval *c)
{
    if (pare_j_bool(pare_j_get(c, "load_in_4bit"), false) || pare_j_bool(pare_j_get(c, "load_in_8bit"), false)) return "bitsandbytes";
    if (pare_j_get(c, "zero_point") || pare_j_get(c, "q_group_size")) return "awq";
    if (pare_j_get(c, "bits") || pare_j_get(c, "wbits") || pare_j_get(c, "w_bit")) return "gptq";
    if (pare_j_get(c, "config_groups")) return "compressed-tensors";
    if (pare_j_get(pare_j_get(c, "quantization"), "quant_algo")) return "modelopt";
    return "";
}

/* AutoRound writes GPTQ or AWQ tensors and says which in packing_format. */
static const char *auto_round_method(const pare_jval *c)
{
    const char *packing = pare_j_text(pare_j_get(c, "packing_format"), "");
    if (!strcmp(packing, "auto_round:auto_gptq") || !strcmp(packing, "auto_gptq")) return "gptq";
    if (!strcmp(packing, "auto_round:auto_awq") || !strcmp(packing, "auto_awq")) return "awq";
    return "auto-round";
}

static const pare_jval *config_in(const pare_jval *root, const char **where)
{
    static const char *const keys[] = { "quantization_config", "compression_config", NULL };
    for (int i = 0; keys[i]; i++) {
        const pare_jval *c = pare_j_get(root, keys[i]);
        *where = i ? "config.json: compression_config" : "config.json: quantization_config";
        if (pare_j_type(c) == PARE_J_OBJECT) return c;
        c = pare_j_get(pare_j_get(root, "text_config"), keys[i]);
        *where = "config.json: text_config.quantization_config";
        if (pare_j_type(c) == PARE_J_OBJECT) return c;
    }
    return NULL;
}

/* *doc stays NULL when the folder has no such file. */
static pare_status config_beside(pare_bind *b, pare_jdoc **doc, pare_err *err)
{
    static const char *const files[] = { "quantize_config.json", "quant_config.json", "hf_quant_config.json" };
    pare_status st = PARE_OK;
    for (size_t i = 0; b->store->folder && i < sizeof files / sizeof *files; i++) {
        char *path = pare_path_join(b->store->folder, files[i]);
        if (!path) return pare_no_memory(err, files[i], 0);
        bool there = pare_path_exists(path);
        if (there) st = pare_jdoc_load(path, 16u << 20, doc, err);
        pare_dealloc(path);
        b->where = files[i];
        if (there) return st;
    }
    return st;
}

pare_status pare_bind_find_config(pare_bind *b, pare_jdoc **doc, pare_err *err)
{
    pare_status st;
    b->method = "";
    b->config = b->store->config ? config_in(pare_jdoc_root(b->store->config), &b->where) : NULL;
    if (!b->config) {
        if ((st = config_beside(b, doc, err)) != PARE_OK) return st;
        if (!*doc) return PARE_OK;
        b->config = pare_jdoc_root(*doc);
        if (pare_j_type(b->config) != PARE_J_OBJECT) return pare_fail(err, PARE_ERR_FORMAT, "%s: not a JSON object", b->where);
    }
    const char *method = pare_j_text(pare_j_get(b->config, "quant_method"), implied_method(b->config));
    b->method = lower(b->arena, method);
    if (!b->method) return pare_no_memory(err, "quant_method", strlen(method) + 1);
    if (pare_str_starts(b->method, "modelopt")) b->method = "modelopt"; /* also "modelopt_fp4" */
    if (!strcmp(b->method, "auto-round") || !strcmp(b->method, "intel/auto-round")) b->method = auto_round_method(b->config);
    return PARE_OK;
}

int64_t pare_bind_int(const pare_jval *config, const char *const *keys, int64_t or_else)
{
    for (; *keys; keys++) {
        const pare_jval *v = pare_j_get(config, *keys);
        if (pare_j_type(v) == PARE_J_INT) return pare_j_int(v, or_else);
    }
    return or_else;
}

/* ------------------------------------------------------------------------------------------------------------ binding */

bool pare_bind_in_charge(pare_bind *b, const char *method)
{
    if (!*b->method) return true;
    if (strcmp(b->method, method) != 0) return false;
    b->method_read = true;
    return true;
}

bool pare_bind_stem(const pare_tensor *t, const char *suffix, size_t *n)
{
    size_t all = strlen(t->name), tail = strlen(suffix);
    if (all <= tail || memcmp(t->name + all - tail, suffix, tail) != 0) return false;
    *n = all - tail;
    return true;
}

int64_t pare_bind_part(const pare_bind *b, const char *stem, size_t n, const char *suffix)
{
    char small[512], *name = small;
    size_t tail = strlen(suffix) + 1;
    if (n + tail > sizeof small) {
        name = pare_alloc(n + tail);
        if (!name) return -1;      /* a name that long is then reported as missing: the allocation is what fails next anyway */
    }
    memcpy(name, stem, n);
    memcpy(name + n, suffix, tail);
    int64_t at = pare_store_find(b->store, name);
    if (name != small) pare_dealloc(name);
    return at;
}

pare_status pare_bind_need(const pare_bind *b, const char *stem, size_t n, const char *suffix, int64_t *tensor, pare_err *err)
{
    *tensor = pare_bind_part(b, stem, n, suffix);
    if (*tensor >= 0) return PARE_OK;
    return pare_fail(err, PARE_ERR_FORMAT, "%.*s: a %s layer without its part '%.*s%s'", (int)n, stem, b->layout->name, (int)n, stem, suffix);
}

const char *pare_shape_text(int ndim, const int64_t *shape, char out[96])
{
    size_t n = (size_t)snprintf(out, 96, "[");
    for (int i = 0; i < ndim && n < 70; i++)
        n += (size_t)(shape[i] < 0 ? snprintf(out + n, 96 - n, i ? ", any" : "any")
                                   : snprintf(out + n, 96 - n, i ? ", %lld" : "%lld", (long long)shape[i]));
    snprintf(out + n, 96 - n, "]");
    return out;
}

static bool dtype_among(pare_dtype dtype, const char *names)
{
    const pare_dtype_info *info = pare_dtype_get_info(dtype);
    if (!info || !info->safetensors) return false;
    size_t n = strlen(info->safetensors);
    for (const char *at = names; at && *at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL)
        if (!strncmp(at, info->safetensors, n) && (at[n] == ' ' || !at[n])) return true;
    return false;
}

pare_status pare_bind_expect(const pare_bind *b, int64_t tensor, const char *dtypes, int ndim, const int64_t *shape, pare_err *err)
{
    if (tensor < 0) return PARE_OK;
    const pare_tensor *t = &b->store->tensors[tensor];
    const pare_dtype_info *info = pare_dtype_get_info(t->dtype);
    if (!dtype_among(t->dtype, dtypes))
        return pare_fail(err, PARE_ERR_FORMAT, "%s: dtype %s, a %s layer has %s here", t->name,
                         info && info->safetensors ? info->safetensors : "unknown", b->layout->name, dtypes);
    bool fits = t->ndim == ndim;
    for (int i = 0; fits && i < ndim; i++) fits = shape[i] < 0 || shape[i] == t->shape[i];
    if (fits) return PARE_OK;
    char found[96], wanted[96];
    return pare_fail(err, PARE_ERR_FORMAT, "%s: shape %s, the %s layer's other parts and its configuration ask for %s", t->name,
                     pare_shape_text(t->ndim, t->shape, found), b->layout->name, pare_shape_text(ndim, shape, wanted));
}

pare_status pare_bind_add(pare_bind *b, const char *stem, size_t n, const pare_weight *weight, pare_err *err)
{
    pare_weight w = *weight;
    w.name = pare_arena_printf(b->arena, "%.*s.weight", (int)n, stem);
    if (!w.name) return pare_no_memory(err, "layer name", n + 8);
    w.layout = b->layout;
    pare_scheme_make_name(&w.scheme);
    w.tensor = -1;
    w.alias_of = -1;
    w.bytes = 0;
    for (int p = 0; p < w.n_parts; p++) {
        if (w.part[p] < 0) continue;
        if (b->owner[w.part[p]] >= 0)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: belongs to two layers, %s and %s", b->store->tensors[w.part[p]].name,
                             b->list.at[b->owner[w.part[p]]].name, w.name);
        b->owner[w.part[p]] = (int64_t)b->list.n;
        w.bytes += b->store->tensors[w.part[p]].bytes;
    }
    int64_t plain = pare_store_find(b->store, w.name);
    if (plain >= 0 && b->owner[plain] != (int64_t)b->list.n)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: stored both in float and as a %s layer", w.name, b->layout->name);
    if (!PARE_VEC_PUSH(&b->list, w)) return pare_no_memory(err, "list of layers", sizeof w);
    return PARE_OK;
}

pare_status pare_bind_no_orphans(const pare_bind *b, const char *const *suffixes, const char *main, pare_err *err)
{
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        size_t n;
        if (b->owner[t] >= 0) continue;
        for (const char *const *s = suffixes; *s; s++)
            if (pare_bind_stem(&b->store->tensors[t], *s, &n))
                return pare_fail(err, PARE_ERR_FORMAT, "%s: part of no %s layer (no usable '%.*s%s' beside it)", b->store->tensors[t].name,
                                 b->layout->name, (int)n, b->store->tensors[t].name, main);
    }
    return PARE_OK;
}


void pare_scheme_read(pare_scheme *s, int bits, bool symmetric, pare_granularity granularity, int64_t group_size, pare_dtype scale_dtype)
{
    pare_scheme_init(s);
    s->name[0] = 0;
    s->bits = bits;
    s->symmetric = symmetric;
    s->granularity = granularity;
    s->axis = granularity == PARE_PER_GROUP ? -1 : 0;
    s->group_size = granularity == PARE_PER_GROUP ? group_size : 0;
    s->scale_dtype = scale_dtype;
    pare_scheme_make_name(s);
}

/* ------------------------------------------------------------------------------------------------------------ reading */

pare_status pare_layer_part(const pare_weights *w, const pare_weight *layer, int slot, const uint8_t **data, pare_err *err)
{
    *data = NULL;
    if (slot >= layer->n_parts || layer->part[slot] < 0) return PARE_OK;
    return pare_store_data(w->store, layer->part[slot], data, err);
}

pare_status pare_layer_floats(const pare_weights *w, const pare_weight *layer, int slot, int64_t first, int64_t n, float *out, pare_err *err)
{
    const uint8_t *data;
    pare_status st = pare_layer_part(w, layer, slot, &data, err);
    if (st != PARE_OK) return st;
    const pare_tensor *t = &w->store->tensors[layer->part[slot]];
    return pare_to_f32(out, t->dtype, data + pare_dtype_bytes(t->dtype, (uint64_t)first), n, err);
}

pare_status pare_layer_floats_t(const pare_weights *w, const pare_weight *layer, int slot, int64_t groups, int64_t total, int64_t row0,
                                int64_t rows, float *out, pare_err *err)
{
    const uint8_t *data;
    pare_status st = pare_layer_part(w, layer, slot, &data, err);
    if (st != PARE_OK) return st;
    const pare_tensor *t = &w->store->tensors[layer->part[slot]];
    size_t size = pare_dtype_bytes(t->dtype, 1);
    float line[64];
    for (int64_t r = 0; r < rows; r += 64) {
        int64_t n = rows - r < 64 ? rows - r : 64;
        for (int64_t g = 0; g < groups; g++) {
            if ((st = pare_to_f32(line, t->dtype, data + (size_t)(g * total + row0 + r) * size, n, err)) != PARE_OK) return st;
            for (int64_t i = 0; i < n; i++) out[(r + i) * groups + g] = line[i];
        }
    }
    return PARE_OK;
}

bool pare_layer_view(const pare_weights *w, const pare_weight *layer, int main, int scale, pare_wkind kind, int64_t row_bytes, int64_t group, int64_t groups,
                     bool shared, int64_t row0, int64_t rows, pare_wmat *out)
{
    const uint8_t *codes, *scales;
    const pare_dtype dtype = layer->part[scale] >= 0 ? w->store->tensors[layer->part[scale]].dtype : PARE_DTYPE_NONE;
    if (dtype != PARE_F32 && dtype != PARE_F16 && dtype != PARE_BF16) return false;
    if (pare_layer_part(w, layer, main, &codes, NULL) != PARE_OK || !codes || pare_layer_part(w, layer, scale, &scales, NULL) != PARE_OK) return false;
    *out = (pare_wmat){ .kind = kind, .rows = rows, .cols = layer->shape[1], .row_bytes = row_bytes, .data = codes + row0 * row_bytes, .group = group,
                        .groups = groups, .scale = scales + (shared ? 0 : pare_dtype_bytes(dtype, (uint64_t)(row0 * groups))), .scale_dtype = dtype,
                        .scale_rows = shared ? rows : 1 };
    return true;
}

pare_status pare_layer_g_idx(const pare_weights *w, const pare_weight *layer, int slot, int64_t groups, int64_t group, pare_qtensor *q,
                             pare_err *err)
{
    const uint8_t *data;
    pare_status st = pare_layer_part(w, layer, slot, &data, err);
    if (st != PARE_OK || !data) return st;
    const pare_tensor *t = &w->store->tensors[layer->part[slot]];
    int64_t cols = t->shape[0];
    bool trivial = true;
    for (int64_t i = 0; i < cols; i++) {
        int32_t g = (int32_t)pare_word_get(data + 4 * i);
        if (g < 0 || g >= groups)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: entry %lld is group %d of %lld", t->name, (long long)i, g, (long long)groups);
        trivial &= g == i / group;
    }
    if (trivial) return PARE_OK;
    q->g_idx = pare_alloc((size_t)cols * sizeof *q->g_idx);
    if (!q->g_idx) return pare_no_memory(err, t->name, (size_t)cols * sizeof *q->g_idx);
    for (int64_t i = 0; i < cols; i++) q->g_idx[i] = (int32_t)pare_word_get(data + 4 * i);
    return PARE_OK;
}
