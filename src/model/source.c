/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The weights of a graph out of a checkpoint. Float matrices are used where they lie in the mapped file; a cast (--dtype) or a quantized
 * layer is made from rows of at most PIECE elements at a time, so that no float copy of a layer, let alone of a model, exists.
 */
#include <string.h>

#include "model/model.h"

enum { PIECE = 1 << 18 }; /* codes or floats at hand per thread: stays in the level-2 cache */

typedef struct source {
    pare_weights *weights; /* borrowed */
    pare_dtype dtype;      /* float matrices are held in this; NONE = as stored */
} source;

/* --------------------------------------------------------------------------------------------------------------- lookup */

/* Text of a shape for messages: "[2048, 768]". */
static const char *shape_text(int ndim, const int64_t *shape, char out[160])
{
    size_t n = 0;
    out[n++] = '[';
    for (int d = 0; d < ndim; d++) n += (size_t)pare_print(out + n, 160 - n, "%s%lld", d ? ", " : "", (long long)shape[d]);
    pare_print(out + n, 160 - n, "]");
    return out;
}

/* The shape that the checkpoint's tensor must have for this weight. */
static int stored_shape(const pare_gweight *w, int64_t shape[8])
{
    int n = 0;
    if (w->of_count > 0) shape[n++] = w->of_count;
    for (int d = 0; d < w->ndim; d++) shape[n++] = w->shape[d];
    if (w->of_rows > 0) shape[n - w->ndim] = w->of_rows;
    if (w->transposed && w->ndim == 2) {
        int64_t rows = shape[n - 2];
        shape[n - 2] = shape[n - 1];
        shape[n - 1] = rows;
    }
    return n;
}

/* Same numbers, dimensions of 1 apart: [1, 1, n] biases and convolution-shaped vectors of some exporters. */
static bool same_shape(int na, const int64_t *a, int nb, const int64_t *b)
{
    int i = 0, j = 0;
    while (i < na || j < nb) {
        if (i < na && a[i] == 1) { i++; continue; }
        if (j < nb && b[j] == 1) { j++; continue; }
        if (i >= na || j >= nb || a[i++] != b[j++]) return false;
    }
    return true;
}

static const pare_weight *find(const source *s, const pare_gweight *w)
{
    int64_t i = pare_weights_find(s->weights, w->name);
    return i < 0 ? NULL : &s->weights->at[i];
}

static int64_t index_of(const source *s, const pare_weight *w) { return w - s->weights->at; }

/* A name of the checkpoint whose last parts are the same: what a wrong prefix looks like. */
static const char *near_name(const source *s, const char *name)
{
    const char *tail = strrchr(name, '.');
    while (tail && tail > name && *--tail != '.') {}
    for (int64_t i = 0; tail && i < s->weights->n; i++)
        if (pare_str_ends(s->weights->at[i].name, tail)) return s->weights->at[i].name;
    return NULL;
}

static pare_status check(void *user, const pare_gweight *w, bool *present, pare_err *err)
{
    const source *s = user;
    const pare_weight *x = find(s, w);
    int64_t want[8];
    char a[160], b[160];
    *present = x != NULL;
    if (!x) {
        if (w->optional) return PARE_OK;
        const char *near = near_name(s, w->name);
        pare_fail(err, PARE_ERR_FORMAT, "%s: is missing in the checkpoint (%lld tensors), and the architecture needs it", w->name, (long long)s->weights->n);
        return near ? pare_hint(err, "there is '%s'", near) : PARE_ERR_FORMAT;
    }
    int n = stored_shape(w, want);
    if (!same_shape(n, want, x->ndim, x->shape))
        return pare_fail(err, PARE_ERR_FORMAT, "%s: has shape %s, and config.json asks for %s", w->name, shape_text(x->ndim, x->shape, a), shape_text(n, want, b));
    if (!x->layout && pare_dtype_get_info(x->dtype)->kind != PARE_KIND_FLOAT)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: is stored as %s, not as a float%s%s", w->name, pare_dtype_get_info(x->dtype)->name,
                         s->weights->unread ? "; its quantization is not read here: " : "", s->weights->unread ? s->weights->unread : "");
    if (x->layout && w->transposed) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: a transposed layer quantized as %s", w->name, x->layout->name);
    return PARE_OK;
}

/* First row of the checkpoint's tensor, seen as a matrix, that this weight begins with. */
static int64_t first_row(const pare_gweight *w)
{
    int64_t rows = w->of_rows > 0 ? w->of_rows : w->shape[0];
    if (w->transposed) rows = w->shape[1];
    return w->of_index * (w->of_count > 0 ? rows : 0) + w->row0;
}

/* --------------------------------------------------------------------------------------------------------- float matrices */

typedef struct cast_job { const source *s; int64_t weight, row0, rows, cols, piece; pare_dtype dtype; uint8_t *out; float *scratch; } cast_job;

static pare_status cast_piece(void *arg, int64_t i, int worker, pare_err *err)
{
    const cast_job *j = arg;
    float *x = j->scratch + worker * j->piece * j->cols;
    int64_t first = i * j->piece, rows = j->rows - first < j->piece ? j->rows - first : j->piece;
    pare_status st = pare_weights_read(NULL, j->s->weights, j->weight, j->row0 + first, rows, x, err);
    if (st != PARE_OK) return st;
    return pare_convert(j->out + pare_dtype_bytes(j->dtype, (uint64_t)(first * j->cols)), j->dtype, x, PARE_F32, rows * j->cols, true, err);
}

/* Rows as an owned matrix of another dtype. */
static pare_status cast_rows(const source *s, pare_ctx *ctx, const pare_gweight *w, int64_t weight, int64_t row0, int64_t rows, int64_t cols, pare_dtype dtype,
                             uint8_t **out, pare_err *err)
{
    pare_status st;
    cast_job j = { .s = s, .weight = weight, .row0 = row0, .rows = rows, .cols = cols, .dtype = dtype, .piece = PIECE / (cols > 0 ? cols : 1) + 1 };
    size_t bytes = pare_dtype_bytes(dtype, (uint64_t)rows * (uint64_t)cols), scratch = (size_t)j.piece * (size_t)cols * 4 * (size_t)pare_ctx_threads(ctx);
    *out = NULL;
    j.out = pare_alloc_aligned(64, bytes + 64);
    j.scratch = pare_alloc_aligned(64, scratch);
    if (!j.out || !j.scratch) {
        st = pare_no_memory(err, w->name, bytes);
        goto out;
    }
    st = pare_parallel(ctx, (rows + j.piece - 1) / j.piece, cast_piece, &j, err);
out:
    pare_dealloc_aligned(j.scratch);
    if (st != PARE_OK) {
        pare_dealloc_aligned(j.out);
        return st;
    }
    *out = j.out;
    return PARE_OK;
}

static pare_status own(pare_linear *l, void *memory)
{
    for (size_t i = 0; i < sizeof l->owned / sizeof *l->owned; i++)
        if (!l->owned[i]) {
            l->owned[i] = memory;
            break;
        }
    return PARE_OK;
}

typedef struct turn_job { const pare_gweight *w; const uint8_t *data; uint8_t *out; size_t size; } turn_job;

enum { TURN_ROWS = 64 };

/* out[r][c] = data[c][row0 + r * row_step] */
static pare_status turn_rows(void *arg, int64_t i, int worker, pare_err *err)
{
    const turn_job *j = arg;
    const int64_t cols = j->w->shape[1], end = (i + 1) * TURN_ROWS < j->w->shape[0] ? (i + 1) * TURN_ROWS : j->w->shape[0];
    (void)worker, (void)err;
    for (int64_t c = 0; c < cols; c++) {
        const uint8_t *from = j->data + (size_t)(c * j->w->of_rows + j->w->row0) * j->size;
        for (int64_t r = i * TURN_ROWS; r < end; r++) memcpy(j->out + (size_t)(r * cols + c) * j->size, from + (size_t)(r * j->w->row_step) * j->size, j->size);
    }
    return PARE_OK;
}

/* Rows that take turns with others' in a transposed tensor: an owned copy, cast when it must be. */
static pare_status turned_linear(source *s, pare_ctx *ctx, const pare_gweight *w, const pare_weight *x, pare_dtype dtype, pare_linear *out, pare_err *err)
{
    const int64_t rows = w->shape[0], cols = w->shape[1];
    turn_job j = { .w = w, .size = pare_dtype_bytes(x->dtype, 1) };
    uint8_t *cast = NULL;
    pare_status st;
    PARE_TRY(pare_store_data(s->weights->store, x->tensor, &j.data, err));
    j.data += (size_t)(w->of_index * cols * w->of_rows) * j.size;
    if (!(j.out = pare_alloc_aligned(64, (size_t)(rows * cols) * j.size + 64))) PARE_FAIL(err, PARE_ERR_MEMORY, "%s: no memory for its rows", w->name);
    PARE_TRY(pare_parallel(ctx, (rows + TURN_ROWS - 1) / TURN_ROWS, turn_rows, &j, err));
    pare_weights_release(s->weights, index_of(s, x));
    if (dtype != x->dtype) {
        if (!(cast = pare_alloc_aligned(64, pare_dtype_bytes(dtype, (uint64_t)(rows * cols)) + 64))) PARE_FAIL(err, PARE_ERR_MEMORY, "%s: no memory for its rows", w->name);
        PARE_TRY(pare_convert(cast, dtype, j.out, x->dtype, rows * cols, true, err));
        pare_dealloc_aligned(j.out);
        j.out = cast, cast = NULL;
    }
    PARE_TRY(pare_linear_float(out, dtype, rows, cols, j.out, err));
    return own(out, j.out);
out:
    pare_dealloc_aligned(j.out);
    pare_dealloc_aligned(cast);
    return st;
}

static pare_status float_linear(source *s, pare_ctx *ctx, const pare_gweight *w, const pare_weight *x, pare_linear *out, pare_err *err)
{
    pare_status st;
    const uint8_t *data = NULL;
    uint8_t *copy = NULL;
    const int64_t rows = w->shape[0], cols = w->shape[1], row0 = first_row(w), i = index_of(s, x);
    const bool kernel_dtype = x->dtype == PARE_F32 || x->dtype == PARE_F16 || x->dtype == PARE_BF16;
    const pare_dtype dtype = s->dtype != PARE_DTYPE_NONE ? s->dtype : kernel_dtype ? x->dtype : PARE_F32;
    PARE_TRY(pare_weights_prepare(s->weights, i, err));
    if (w->row_step > 1) return turned_linear(s, ctx, w, x, dtype, out, err);
    if (dtype == x->dtype) {
        PARE_TRY(pare_store_data(s->weights->store, x->tensor, &data, err));
        data += pare_dtype_bytes(dtype, (uint64_t)row0 * (uint64_t)(w->transposed ? rows : cols));
    } else {
        PARE_TRY(cast_rows(s, ctx, w, i, row0, w->transposed ? cols : rows, w->transposed ? rows : cols, dtype, &copy, err));
        data = copy;
        pare_weights_release(s->weights, i);
    }
    if (w->transposed) {
        st = pare_linear_transposed(ctx, out, dtype, rows, cols, data, err);
        pare_dealloc_aligned(copy);
        return st;
    }
    PARE_TRY(pare_linear_float(out, dtype, rows, cols, data, err));
    return copy ? own(out, copy) : PARE_OK;
out:
    pare_dealloc_aligned(copy);
    return st;
}

/* ------------------------------------------------------------------------------------------------------- quantized layers */

typedef struct pack_job { const source *s; pare_linear *out; const pare_kernels *k; int64_t weight, row0, rows, piece; } pack_job;

static pare_status pack_piece(void *arg, int64_t i, int worker, pare_err *err)
{
    const pack_job *j = arg;
    pare_qtensor *q = NULL;
    int64_t first = i * j->piece, rows = j->rows - first < j->piece ? j->rows - first : j->piece;
    (void)worker;
    pare_status st = pare_weights_qtensor(j->s->weights, j->weight, j->row0 + first, rows, &q, err);
    if (st == PARE_OK) st = pare_linear_pack(j->out, j->k, first, q, err);
    pare_qtensor_free(q);
    return st;
}

/*
 * The scale of static activations, where the checkpoint carries one: X.input_scale; of two-level ones (NVFP4) the divisor X.input_global_scale, or nothing.
 * *out stays 0 where there is none and none is needed.
 */
static pare_status static_scale(const source *s, const pare_weight *x, float *out, pare_err *err)
{
    char name[512];
    const bool two_level = x->scheme.two_level;
    const char *end = strrchr(x->name, '.');
    if (x->scheme.act != PARE_ACT_STATIC_TENSOR && !(two_level && x->scheme.act == PARE_ACT_DYNAMIC_GROUP)) return PARE_OK;
    pare_print(name, sizeof name, "%.*s.%s", end ? (int)(end - x->name) : (int)strlen(x->name), x->name, two_level ? "input_global_scale" : "input_scale");
    int64_t t = pare_store_find(s->weights->store, name);
    if (t < 0 && two_level) return PARE_OK;
    if (t < 0) return pare_fail(err, PARE_ERR_FORMAT, "%s: is missing, and the activations of %s have a static scale", name, x->name);
    const pare_tensor *tensor = &s->weights->store->tensors[t];
    const uint8_t *data;
    pare_status st;
    if (tensor->numel != 1) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: %llu scales, expected one", name, (unsigned long long)tensor->numel);
    if ((st = pare_store_data(s->weights->store, t, &data, err)) != PARE_OK) return st;
    if ((st = pare_convert(out, PARE_F32, data, tensor->dtype, 1, false, err)) != PARE_OK) return st;
    if (two_level) *out = 1.0f / *out;
    return PARE_OK;
}

static pare_status whole_linear(source *s, const pare_gweight *w, const pare_weight *x, pare_linear *out, pare_err *err)
{
    const int64_t i = index_of(s, x);
    pare_qtensor *q = NULL;
    pare_status st = pare_weights_prepare(s->weights, i, err);
    if (st == PARE_OK) st = pare_weights_qtensor(s->weights, i, 0, x->shape[0], &q, err);
    if (st == PARE_OK) st = pare_linear_whole(out, first_row(w), w->shape[0], q, err);
    if (st == PARE_OK) pare_weights_release(s->weights, i);
    if (st == PARE_OK && x->scheme.act != PARE_ACT_NONE) {
        float scale = 0.0f;
        st = static_scale(s, x, &scale, err);
        if (st == PARE_OK) st = pare_linear_set_act(out, &x->scheme, scale, err);
        if (st != PARE_OK) pare_linear_clear(out);
    }
    return st;
}

static pare_status quantized_linear(source *s, pare_ctx *ctx, const pare_gweight *w, const pare_weight *x, pare_linear *out, pare_err *err)
{
    pare_status st;
    const int64_t rows = w->shape[0], cols = w->shape[1], row0 = first_row(w), i = index_of(s, x);
    const int64_t align = x->scheme.granularity == PARE_PER_BLOCK && x->scheme.block[0] > 0 ? x->scheme.block[0] : 1;
    pack_job j = { .s = s, .out = out, .k = ctx->kernels, .weight = i, .row0 = row0, .rows = rows };
    pare_qtensor *like = NULL;
    pare_wmat view;
    j.piece = (PIECE / cols / align + 1) * align;
    if (j.piece >= 64) j.piece = j.piece / 64 * 64;
    if (pare_weight_flat(x)) return whole_linear(s, w, x, out, err);
    PARE_TRY(pare_weights_prepare(s->weights, i, err));
    const bool in_place = pare_weights_view(s->weights, i, row0, rows, &view);
    if (in_place) {
        PARE_TRY(pare_linear_view(out, &view, err));
    } else {
        PARE_TRY(pare_weights_qtensor(s->weights, i, row0, rows < align ? rows : align, &like, err));
        PARE_TRY(pare_linear_begin(out, rows, cols, like, err));
    }
    if (x->scheme.act != PARE_ACT_NONE) {
        float scale = like != NULL ? like->input_scale : 0.0f;
        if (!(scale > 0.0f)) PARE_TRY(static_scale(s, x, &scale, err));
        PARE_TRY(pare_linear_set_act(out, &x->scheme, scale, err));
    }
    if (!in_place) {
        PARE_TRY(pare_parallel(ctx, (rows + j.piece - 1) / j.piece, pack_piece, &j, err));
        pare_weights_release(s->weights, i);
    }
out:
    pare_qtensor_free(like);
    if (st != PARE_OK) pare_linear_clear(out);
    return st;
}

static pare_status linear(void *user, pare_ctx *ctx, const pare_gweight *w, pare_linear *out, pare_err *err)
{
    source *s = user;
    const pare_weight *x = find(s, w);
    memset(out, 0, sizeof *out);
    if (!x) return pare_fail(err, PARE_ERR_FORMAT, "%s: is missing in the checkpoint", w->name);
    return x->layout ? quantized_linear(s, ctx, w, x, out, err) : float_linear(s, ctx, w, x, out, err);
}

/* ------------------------------------------------------------------------------------------------------- vectors, tables */

static pare_status vector(void *user, const pare_gweight *w, float *out, pare_err *err)
{
    source *s = user;
    const pare_weight *x = find(s, w);
    int64_t rows = x && x->ndim ? x->shape[0] : 1, n = 1;
    for (int d = 0; d < w->ndim; d++) n *= w->shape[d];
    if (!x) {
        for (int64_t i = 0; i < n; i++) out[i] = w->ones ? 1.0f : 0.0f;
        return PARE_OK;
    }
    if (w->of_count > 0 || w->of_rows > 0) return pare_weights_read(NULL, s->weights, index_of(s, x), first_row(w), w->shape[0], out, err);
    return pare_weights_read(NULL, s->weights, index_of(s, x), 0, rows, out, err);
}

static pare_status table(void *user, const pare_gweight *w, int64_t row, float *out, pare_err *err)
{
    source *s = user;
    const pare_weight *x = find(s, w);
    if (!x) return pare_fail(err, PARE_ERR_FORMAT, "%s: is missing in the checkpoint", w->name);
    return pare_weights_read(NULL, s->weights, index_of(s, x), w->row0 + row, 1, out, err);
}

static void drop(void *user, const pare_gweight *w)
{
    source *s = user;
    const pare_weight *x = find(s, w);
    if (x) pare_weights_release(s->weights, index_of(s, x));
}

/* What pare_linear_begin() allocates for rows of a quantized weight, from above: codes in the kernels' widths, scales, zeros or shifts. */
static uint64_t packed_bytes(const pare_weight *x, uint64_t rows, uint64_t cols)
{
    const uint64_t group = x->scheme.granularity == PARE_PER_GROUP && x->scheme.group_size > 0 ? (uint64_t)x->scheme.group_size : cols;
    const uint64_t scale = x->scheme.scale_dtype == PARE_F16 || x->scheme.scale_dtype == PARE_BF16 ? 2 : 4;
    if (pare_weight_flat(x)) return (uint64_t)(x->shape[0] * x->shape[1]) * 2 + 4096; /* held whole, a byte a code */
    const uint64_t zero = x->zero_kind == PARE_ZERO_INT ? 1 : x->zero_kind == PARE_ZERO_SHIFT || x->zero_kind == PARE_ZERO_FLOAT ? 4 : 0;
    return rows * ((uint64_t)pare_linear_row_bytes(x->scheme.bits, (int64_t)cols) + (cols + group - 1) / group * (scale + zero)) + 256;
}

static uint64_t bytes(void *user, const pare_gweight *w)
{
    source *s = user;
    const pare_weight *x = find(s, w);
    uint64_t n = 1, whole = 1;
    if (!x) return 0;
    for (int d = 0; d < w->ndim; d++) n *= (uint64_t)w->shape[d];
    if (!x->layout) return pare_dtype_bytes(s->dtype != PARE_DTYPE_NONE && w->role != PARE_GW_TABLE ? s->dtype : x->dtype, n);
    for (int d = 0; d < x->ndim; d++) whole *= (uint64_t)x->shape[d];
    const uint64_t stored = whole ? (uint64_t)((double)x->bytes * ((double)n / (double)whole)) : 0;
    const uint64_t packed = w->ndim == 2 ? packed_bytes(x, (uint64_t)w->shape[0], (uint64_t)w->shape[1]) : 0;
    return stored > packed ? stored : packed;
}

static void close_source(void *user) { pare_dealloc(user); }

pare_status pare_model_source(pare_ctx *ctx, const pare_weights *weights, pare_dtype dtype, pare_gsource *out, pare_err *err)
{
    (void)ctx;
    memset(out, 0, sizeof *out);
    if (dtype != PARE_DTYPE_NONE && dtype != PARE_F32 && dtype != PARE_F16 && dtype != PARE_BF16)
        return pare_fail(err, PARE_ERR_USAGE, "weights cannot be held as %s: f32, f16 or bf16", pare_dtype_get_info(dtype)->name);
    source *s = pare_alloc_zero(1, sizeof *s);
    if (!s) return pare_no_memory(err, "source of weights", sizeof *s);
    s->weights = (pare_weights *)weights;
    s->dtype = dtype;
    *out = (pare_gsource){ .user = s, .check = check, .linear = linear, .vector = vector, .table = table, .drop = drop, .bytes = bytes, .close = close_source };
    return PARE_OK;
}

/* ---------------------------------------------------------------------------------------------------------------- engine */

static bool has(void *user, const char *name) { return pare_weights_find(user, name) >= 0; }

static pare_status companion(void *user, const char *file, pare_jdoc **out, pare_err *err)
{
    const char *folder = ((const pare_weights *)user)->store->folder;
    *out = NULL;
    if (!folder) return PARE_OK;
    char *path = pare_path_join(folder, file);
    if (!path) return pare_no_memory(err, file, 0);
    pare_status st = pare_path_exists(path) ? pare_jdoc_load(path, 1 << 20, out, err) : PARE_OK;
    pare_dealloc(path);
    return st;
}

pare_status pare_model_graph_of(const pare_weights *weights, pare_graph **graph, pare_err *err)
{
    const pare_store *store = weights->store;
    const char *where = store->n_files ? store->files[0].name : "model";
    const pare_gnames names = { .has = has, .user = (void *)weights, .json = companion };
    *graph = NULL;
    if (!store->config) return pare_fail(err, PARE_ERR_FORMAT, "%s: there is no config.json beside it, and running a model needs its architecture", where);
    if (weights->unread)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: quantized as %s, which this version does not read", where, weights->unread);
    pare_status st = pare_model_graph(pare_jdoc_root(store->config), "config.json", &names, graph, err);
    if (st == PARE_OK && (st = pare_model_kv_scales(weights, *graph, err)) != PARE_OK) {
        pare_graph_free(*graph);
        *graph = NULL;
    }
    return st;
}

/* Graph and source of a checkpoint. */
static pare_status make_parts(pare_ctx *ctx, const pare_weights *weights, pare_dtype dtype, pare_graph **graph, pare_gsource *s, pare_err *err)
{
    pare_status st = pare_model_graph_of(weights, graph, err);
    if (st != PARE_OK) return st;
    if ((st = pare_model_source(ctx, weights, dtype, s, err)) != PARE_OK) pare_graph_free(*graph);
    return st;
}

pare_status pare_model_engine(pare_ctx *ctx, const pare_weights *weights, pare_dtype dtype, const pare_engine_options *options, pare_engine **out, pare_err *err)
{
    pare_graph *graph = NULL;
    pare_gsource s = { 0 };
    *out = NULL;
    pare_status st = make_parts(ctx, weights, dtype, &graph, &s, err);
    return st == PARE_OK ? pare_engine_new(ctx, graph, &s, options, out, err) : st;
}

pare_status pare_model_walk(pare_ctx *ctx, const pare_weights *weights, const pare_walk_text *texts, int64_t n_texts, const pare_walk_options *options, pare_walk **out,
                            pare_err *err)
{
    pare_graph *graph = NULL;
    pare_gsource s = { 0 };
    *out = NULL;
    pare_status st = make_parts(ctx, weights, PARE_DTYPE_NONE, &graph, &s, err);
    return st == PARE_OK ? pare_walk_new(ctx, graph, &s, texts, n_texts, options, out, err) : st;
}
