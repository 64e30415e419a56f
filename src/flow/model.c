/* SPDX-License-Identifier: Apache-2.0 */
/* pare_model_*: an opened checkpoint as the public API shows it: logical tensors, their scheme when quantized, their values. */
#include <string.h>

#include "flow/flow.h"

/* Types that name themselves differently: architecture from config.json. */
static const char *architecture_of(const pare_jval *config) {
    const char *name = pare_j_text(pare_j_at(pare_j_get(config, "architectures"), 0), NULL);
    return name ? name : pare_j_text(pare_j_get(config, "model_type"), NULL);
}

static const char *file_of(const pare_model *m, const pare_weight *w) {
    int64_t t = w->tensor;
    for (int i = 0; t < 0 && i < w->n_parts; i++) t = w->part[i];
    return t >= 0 ? m->store->files[m->store->tensors[t].file].name : m->store->files[0].name;
}

static void fill_tensor(pare_model *m, int64_t i, const char *model_type) {
    const pare_weight *w = &m->weights->at[i];
    pare_model_tensor *t = &m->tensors[i];
    const pare_role role = pare_classify(w->name, w->dtype, w->ndim, w->shape, model_type);
    t->name = w->name;
    t->dtype = w->dtype;
    t->ndim = w->ndim;
    memcpy(t->shape, w->shape, sizeof t->shape);
    t->bytes = w->bytes;
    t->file = file_of(m, w);
    t->quantized = w->layout != NULL;
    if (w->layout) {
        t->scheme = w->scheme;
        if (!t->scheme.name[0]) pare_scheme_make_name(&t->scheme);
        t->layout = w->layout->name;
    }
    t->alias_of = w->alias_of >= 0 ? m->weights->at[w->alias_of].name : NULL;
    t->is_linear = role == PARE_ROLE_LINEAR || role == PARE_ROLE_CONV;
    int64_t numel = 0;
    if (w->alias_of < 0) {
        pare_shape_numel(w->ndim, w->shape, &numel);
        m->info.parameters += (uint64_t)numel;
        m->info.bytes += w->bytes;
    }
}

static void fill_info(pare_model *m) {
    const pare_jval *config = m->store->config ? pare_jdoc_root(m->store->config) : NULL;
    m->info.path = m->path;
    m->info.container = m->store->format->name;
    m->info.architecture = architecture_of(config);
    m->info.layout = m->weights->layout ? m->weights->layout->name : m->weights->unread;
    m->info.kv_cache = m->weights->kv.dtype == PARE_I8 ? "int8" : m->weights->kv.dtype == PARE_F8_E4M3FN ? "float8" : NULL;
    m->info.config_json = m->store->config_text;
    m->info.tied_embeddings = pare_j_bool(pare_j_get(config, "tie_word_embeddings"), false);
    m->info.tensors = m->weights->n;
    for (int64_t i = 0; i < m->weights->n; i++) fill_tensor(m, i, pare_j_text(pare_j_get(config, "model_type"), NULL));
}

pare_status pare_model_open(pare_ctx *ctx, const char *path, const char *hub_cache, pare_model **out, pare_err *err) {
    pare_status st = PARE_OK;
    pare_model *m = pare_alloc_zero(1, sizeof *m);
    *out = NULL;
    if (!m) return pare_no_memory(err, path, sizeof *m);
    m->ctx = ctx;
    PARE_TRY(pare_find_model(path, hub_cache, &m->path, err));
    PARE_TRY(pare_store_open(m->path, &m->store, err));
    PARE_TRY(pare_weights_new(ctx, m->store, &m->weights, err));
    m->tensors = pare_alloc_zero((size_t)m->weights->n + 1, sizeof *m->tensors);
    if (!m->tensors) {
        st = pare_no_memory(err, path, (size_t)m->weights->n * sizeof *m->tensors);
        goto out;
    }
    fill_info(m);
out:
    if (st != PARE_OK) {
        pare_model_close(m);
        m = NULL;
    }
    *out = m;
    return st;
}

void pare_model_close(pare_model *m) {
    if (!m) return;
    pare_dealloc(m->tensors);
    pare_weights_free(m->weights);
    pare_store_close(m->store);
    pare_dealloc(m->path);
    pare_dealloc(m);
}

const pare_model_info *pare_model_get_info(const pare_model *m) { return &m->info; }
int64_t pare_model_count(const pare_model *m) { return m->weights->n; }
const pare_model_tensor *pare_model_get(const pare_model *m, int64_t i) { return i >= 0 && i < m->weights->n ? &m->tensors[i] : NULL; }
int64_t pare_model_find(const pare_model *m, const char *name) { return pare_weights_find(m->weights, name); }

pare_status pare_model_read(pare_model *m, int64_t i, int64_t row, int64_t rows, float *out, pare_err *err) {
    if (i < 0 || i >= m->weights->n) return pare_fail(err, PARE_ERR_USAGE, "%s: there is no tensor %lld", m->path, (long long)i);
    const int64_t have = m->tensors[i].ndim > 0 ? m->tensors[i].shape[0] : 1;
    if (row < 0 || rows < 0 || row > have || rows > have - row)
        return pare_fail(err, PARE_ERR_USAGE, "%s: rows %lld to %lld of %lld", m->tensors[i].name, (long long)row, (long long)(row + rows), (long long)have);
    return pare_weights_read(m->ctx, m->weights, i, row, rows, out, err);
}

pare_status pare_model_read_quantized(pare_model *m, int64_t i, pare_qtensor **out, pare_err *err) {
    *out = NULL;
    if (i < 0 || i >= m->weights->n) return pare_fail(err, PARE_ERR_USAGE, "%s: there is no tensor %lld", m->path, (long long)i);
    if (!m->tensors[i].quantized) return pare_fail(err, PARE_ERR_USAGE, "%s: is not quantized", m->tensors[i].name);
    return pare_weights_qtensor(m->weights, i, 0, m->tensors[i].shape[0], out, err);
}
