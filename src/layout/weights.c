/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logical weights of a checkpoint: plain tensors, quantized layers (claimed by a layout), and aliases.
 *
 * Invariants: every store tensor belongs to exactly one weight; names are unique; weights are in store order of their first
 * part. Aliases are of two kinds: tensors that share storage (the store knows), and names that only the container's
 * metadata maps to another tensor's name (safetensors writers that drop tied weights note {"removed name": "kept name"}).
 */
#include <assert.h>
#include <string.h>
#include "layout/bind.h"

/* --------------------------------------------------------------------------------------------------------- name index */

struct pare_weight_index { int64_t *slot; size_t n; uint64_t seed; }; /* weight + 1, 0 = free; n a power of two, half full at most */

static uint64_t name_hash(uint64_t h, const char *name)
{
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    return h ^ (h >> 32);
}

static int64_t *name_slot(const pare_weights *w, const char *name)
{
    const struct pare_weight_index *x = w->index;
    for (size_t i = name_hash(x->seed, name) & (x->n - 1);; i = (i + 1) & (x->n - 1))
        if (!x->slot[i] || !strcmp(w->at[x->slot[i] - 1].name, name)) return &x->slot[i];
}

static pare_status index_new(pare_weights *w, pare_err *err)
{
    struct pare_weight_index *x = w->index = pare_alloc_zero(1, sizeof *x);
    if (!x) return pare_no_memory(err, "index of weights", sizeof *x);
    for (x->n = 16; x->n < 2 * (size_t)w->n; x->n *= 2) {}
    x->seed = 0xcbf29ce484222325u ^ (uint64_t)(uintptr_t)w;
    x->slot = pare_alloc_zero(x->n, sizeof *x->slot);
    if (!x->slot) return pare_no_memory(err, "index of weights", x->n * sizeof *x->slot);
    for (int64_t i = 0; i < w->n; i++) {
        int64_t *slot = name_slot(w, w->at[i].name);
        if (*slot) return pare_fail(err, PARE_ERR_FORMAT, "%s: two layers of this name", w->at[i].name);
        *slot = i + 1;
    }
    return PARE_OK;
}

int64_t pare_weights_find(const pare_weights *w, const char *name)
{
    return *name_slot(w, name) - 1;
}

/* ----------------------------------------------------------------------------------------------------------- building */

static pare_status run_layouts(pare_weights *w, pare_bind *b, pare_err *err)
{
    pare_status st;
    for (const pare_layout *const *l = pare_layouts(); *l; l++) {
        size_t before = b->list.n;
        if (!(*l)->bind) continue;
        b->layout = *l;
        if ((st = (*l)->bind(b, err)) != PARE_OK) return st;
        if (!w->layout && b->list.n > before) w->layout = *l;
    }
    if (*b->method && !b->method_read) {
        w->unread = b->method;
        pare_bind_warn(b, "%s: quantization method '%s' is not read by this version; its tensors are taken as they are", b->where, b->method);
    }
    return PARE_OK;
}

static void plain_weight(const pare_tensor *t, int64_t tensor, pare_weight *out)
{
    memset(out, 0, sizeof *out);
    out->name = t->name;
    out->ndim = t->ndim;
    memcpy(out->shape, t->shape, sizeof out->shape);
    out->dtype = t->dtype;
    out->tensor = tensor;
    out->bytes = t->bytes;
    out->alias_of = -1;
}

/* Layers and plain tensors in store order; at[] is big enough. */
static void join(pare_weights *w, pare_bind *b, int64_t *place)
{
    for (size_t i = 0; i < b->list.n; i++) place[i] = -1;
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        int64_t layer = b->owner[t];
        const pare_tensor *tensor = &b->store->tensors[t];
        if (layer < 0) {
            plain_weight(tensor, t, &w->at[w->n]);
            w->at[w->n].kv_scale = w->kv.dtype != PARE_DTYPE_NONE && pare_kv_scale_name(tensor->name);
            b->owner[t] = w->n++;
        } else {
            if (place[layer] < 0) {
                w->at[w->n] = b->list.at[layer];
                place[layer] = w->n++;
            }
            b->owner[t] = place[layer];
        }
        int64_t here = b->owner[t];
        if (layer < 0 && tensor->alias_of >= 0 && w->at[b->owner[tensor->alias_of]].tensor == tensor->alias_of)
            w->at[here].alias_of = b->owner[tensor->alias_of];
    }
}

/* {"model.embed_tokens.weight": "lm_head.weight"}: a name that is no tensor and stands for one that is. */
static void join_metadata_aliases(pare_weights *w, const pare_bind *b)
{
    const pare_store *s = b->store;
    for (int m = 0; m < s->n_metadata; m++) {
        int64_t t = pare_store_find(s, s->metadata[m].value);
        if (t < 0 || pare_store_find(s, s->metadata[m].key) >= 0) continue;
        const pare_weight *target = &w->at[b->owner[t]];
        if (target->tensor != t) continue;
        pare_weight alias = *target;
        alias.name = s->metadata[m].key;
        alias.alias_of = b->owner[t];
        w->at[w->n++] = alias;
    }
}

static pare_status build(pare_weights *w, pare_bind *b, pare_err *err)
{
    size_t most = (size_t)b->store->n_tensors + b->list.n + (size_t)b->store->n_metadata;
    int64_t *place = pare_alloc_zero(b->list.n ? b->list.n : 1, sizeof *place);
    w->at = pare_alloc_zero(most ? most : 1, sizeof *w->at);
    if (!place || !w->at) {
        pare_dealloc(place);
        return pare_no_memory(err, "list of weights", most * sizeof *w->at);
    }
    join(w, b, place);
    join_metadata_aliases(w, b);
    pare_dealloc(place);
    return index_new(w, err);
}

pare_status pare_weights_new(pare_ctx *ctx, pare_store *store, pare_weights **out, pare_err *err)
{
    pare_status st;
    pare_bind b = { .ctx = ctx, .store = store };
    pare_weights *w = pare_alloc_zero(1, sizeof *w);
    *out = NULL;
    if (!w) return pare_no_memory(err, "weights", sizeof *w);
    w->store = store;
    w->kernels = ctx ? ctx->kernels : pare_kernels_get(NULL);
    b.arena = &w->arena;
    size_t n = store->n_tensors ? (size_t)store->n_tensors : 1;
    PARE_TRY(pare_alloc_try(n * sizeof *b.owner, "owners of tensors", (void **)&b.owner, err));
    for (size_t i = 0; i < n; i++) b.owner[i] = -1;
    PARE_TRY(pare_bind_find_config(&b, &w->quant_doc, err));
    PARE_TRY(run_layouts(w, &b, err));
    pare_bind_kv(&b, &w->kv);
    PARE_TRY(build(w, &b, err));
    *out = w;
    w = NULL;
out:
    pare_dealloc(b.owner);
    PARE_VEC_CLEAR(&b.list);
    pare_weights_free(w);
    return st;
}

void pare_weights_free(pare_weights *w)
{
    if (!w) return;
    if (w->index) pare_dealloc(w->index->slot);
    pare_dealloc(w->index);
    pare_dealloc(w->at);
    pare_jdoc_free(w->quant_doc);
    pare_arena_clear(&w->arena);
    pare_dealloc(w);
}

/* ------------------------------------------------------------------------------------------------------------ reading */

pare_status pare_weights_prepare(const pare_weights *w, int64_t i, pare_err *err)
{
    const pare_weight *x = &w->at[i];
    const uint8_t *data;
    pare_status st = PARE_OK;
    if (!x->layout) return pare_store_data(w->store, x->tensor, &data, err);
    for (int p = 0; p < x->n_parts && st == PARE_OK; p++) st = pare_layer_part(w, x, p, &data, err);
    return st;
}

void pare_weights_release(const pare_weights *w, int64_t i)
{
    const pare_weight *x = &w->at[i];
    if (!x->layout) pare_store_release(w->store, x->tensor);
    for (int p = 0; x->layout && p < x->n_parts; p++)
        if (x->part[p] >= 0) pare_store_release(w->store, x->part[p]);
}

bool pare_weights_view(const pare_weights *w, int64_t i, int64_t row0, int64_t rows, pare_wmat *out)
{
    const pare_weight *x = &w->at[i];
    if (!x->layout || !x->layout->view || x->ndim != 2 || row0 < 0 || rows < 1 || row0 > x->shape[0] || rows > x->shape[0] - row0) return false;
    memset(out, 0, sizeof *out);
    return x->layout->view(w, x, row0, rows, out);
}

/* A scalar is one row of one element, a vector rows of one. */
static pare_status check_rows(const pare_weight *x, int64_t row0, int64_t rows, int64_t *row_elements, pare_err *err)
{
    int64_t total = x->ndim ? x->shape[0] : 1;
    *row_elements = 1;
    for (int d = 1; d < x->ndim; d++) *row_elements *= x->shape[d]; /* the store checked the product */
    if (row0 >= 0 && rows >= 0 && row0 <= total && rows <= total - row0) return PARE_OK;
    return pare_fail(err, PARE_ERR_USAGE, "%s: rows %lld to %lld of %lld", x->name, (long long)row0, (long long)(row0 + rows), (long long)total);
}

bool pare_weight_flat(const pare_weight *x)
{
    pare_grid grid;
    int64_t shape[2] = { x->ndim ? x->shape[0] : 1, 1 };
    for (int d = 1; d < x->ndim; d++) shape[1] *= x->shape[d];
    return x->layout && pare_grid_init(&x->scheme, 2, shape, &grid, NULL) == PARE_OK && grid.flat != PARE_FLAT_NONE;
}

/* Groups run across all rows: no qtensor of some of them exists. */
static bool across(const pare_weight *x)
{
    return x->scheme.granularity == PARE_PER_GROUP && x->scheme.float_zero && x->scheme.axis == 0 && x->layout->values;
}

int64_t pare_weights_row_unit(const pare_weight *x)
{
    const pare_scheme *s = &x->scheme;
    int64_t cols = 1;
    for (int d = 1; d < x->ndim; d++) cols *= x->shape[d];
    if (!x->layout || x->ndim < 1) return 1;
    if (s->granularity == PARE_PER_BLOCK) return s->block[0];
    if (s->granularity != PARE_PER_GROUP || (s->kind != PARE_CODE_TABLE && !s->float_zero)) return 1;
    if (s->float_zero && s->axis == 0) return x->shape[0] > 0 ? x->shape[0] : 1;
    int64_t a = s->group_size, b = cols;
    while (b) {
        const int64_t r = a % b;
        a = b;
        b = r;
    }
    return s->group_size / a;
}

pare_status pare_weights_qtensor(const pare_weights *w, int64_t i, int64_t row0, int64_t rows, pare_qtensor **out, pare_err *err)
{
    pare_status st;
    const pare_weight *x = &w->at[i];
    pare_qtensor *q = NULL;
    int64_t shape[2] = { rows, 1 }, ignored;
    *out = NULL;
    if (!x->layout) return pare_fail(err, PARE_ERR_USAGE, "%s: not a quantized weight", x->name);
    PARE_TRY(check_rows(x, row0, rows, &ignored, err));
    const int64_t unit = pare_weights_row_unit(x);
    if (row0 % unit) PARE_FAIL(err, PARE_ERR_USAGE, "%s: row %lld does not begin a block of %lld rows", x->name, (long long)row0, (long long)unit);
    if (across(x) && rows != x->shape[0])
        PARE_FAIL(err, PARE_ERR_USAGE, "%s: rows %lld to %lld of a layer whose groups run across all %lld", x->name, (long long)row0,
                  (long long)(row0 + rows), (long long)x->shape[0]);
    for (int d = 1; d < x->ndim; d++) shape[1] *= x->shape[d]; /* a convolution is stored as the matrix [out, rest] */
    PARE_TRY(pare_qtensor_new(&x->scheme, 2, shape, &q, err));
    q->zero_kind = x->zero_kind;
    PARE_TRY(x->layout->read(w, x, row0, rows, q, err));
    *out = q;
    q = NULL;
out:
    pare_qtensor_free(q);
    return st;
}

/* One piece of pare_weights_read(). */
static pare_status read_layer_rows(const pare_weights *w, int64_t i, int64_t row0, int64_t rows, float *out, pare_err *err)
{
    const pare_weight *x = &w->at[i];
    pare_qtensor *q;
    if (across(x)) return x->layout->values(w, x, row0, rows, out, err);
    int64_t begin = row0 - row0 % pare_weights_row_unit(x);
    pare_status st = pare_weights_qtensor(w, i, begin, row0 + rows - begin, &q, err);
    if (st != PARE_OK) return st;
    st = pare_qtensor_dequant_rows(w->kernels, q, row0 - begin, rows, out, err);
    pare_qtensor_free(q);
    return st;
}

static pare_status read_plain(const pare_weights *w, const pare_weight *x, int64_t first, int64_t n, float *out, pare_err *err)
{
    const uint8_t *data;
    pare_status st = pare_store_data(w->store, x->tensor, &data, err);
    if (st != PARE_OK || !n) return st;
    if (x->dtype == PARE_F4_E2M1 && first % 2)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: element %lld of a 4-bit tensor does not begin a byte", x->name, (long long)first);
    data += pare_dtype_bytes(x->dtype, (uint64_t)first);
    if (x->dtype == PARE_F32) memcpy(out, data, (size_t)n * 4);
    else if (x->dtype == PARE_BF16) w->kernels->bf16_to_f32(out, (const uint16_t *)(const void *)data, n);
    else if (x->dtype == PARE_F16) w->kernels->f16_to_f32(out, (const uint16_t *)(const void *)data, n);
    else return pare_context(err, pare_to_f32(out, x->dtype, data, n, err), "%s", x->name);
    return PARE_OK;
}

struct read_job { const pare_weights *w; int64_t weight, row0, rows, piece, row_elements; float *out; };

static pare_status read_piece(void *arg, int64_t i, int worker, pare_err *err)
{
    const struct read_job *job = arg;
    const pare_weight *x = &job->w->at[job->weight];
    int64_t row = i * job->piece, rows = job->rows - row < job->piece ? job->rows - row : job->piece;
    float *out = job->out + row * job->row_elements;
    (void)worker;
    if (!x->layout) return read_plain(job->w, x, (job->row0 + row) * job->row_elements, rows * job->row_elements, out, err);
    return read_layer_rows(job->w, job->weight, job->row0 + row, rows, out, err);
}

/*
 * Cut into pieces of about 2^19 elements, rows in multiples of 128 (whole cache lines of transposed parts, whole blocks). On
 * ctx's threads when there is one: pass NULL from inside a worker.
 */
pare_status pare_weights_read(pare_ctx *ctx, const pare_weights *w, int64_t i, int64_t row0, int64_t rows, float *out, pare_err *err)
{
    const pare_weight *x = &w->at[i];
    struct read_job job = { .w = w, .weight = i, .row0 = row0, .rows = rows, .out = out };
    pare_status st = check_rows(x, row0, rows, &job.row_elements, err);
    if (st != PARE_OK || !rows || !job.row_elements) return st;
    if ((st = pare_weights_prepare(w, i, err)) != PARE_OK) return st;
    job.piece = (((int64_t)1 << 19) / job.row_elements + 127) / 128 * 128;
    if (!job.piece) job.piece = 128;
    if (pare_weight_flat(x)) job.piece = rows;
    int64_t pieces = (rows + job.piece - 1) / job.piece;
    if (ctx && pieces > 1) return pare_parallel(ctx, pieces, read_piece, &job, err);
    for (int64_t p = 0; p < pieces && st == PARE_OK; p++) st = read_piece(&job, p, 0, err);
    return st;
}
