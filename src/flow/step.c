/* SPDX-License-Identifier: Apache-2.0 */
/* One step of a stream: copies, casts or quantizes the rows of one weight and hands its output tensors to the writer. */
#include <stdio.h>
#include <string.h>

#include "flow/calibrate_parts.h"
#include "flow/step.h"

enum { MEASURE_ROWS = 64 };
#define PIECE_ELEMENTS (INT64_C(1) << 17) /* about what a core's second-level cache holds with codes and floats */

static pare_status bad_values(const char *name, int64_t count, pare_err *err) {
    pare_fail(err, PARE_ERR_DATA, "%s: %lld value%s not finite (NaN or Inf)", name, (long long)count, count == 1 ? " is" : "s are");
    return pare_hint(err, "--allow-nonfinite goes on: NaN becomes 0, Inf the largest finite value of its row");
}

/*
 * Where a weight's stored values come from: the mapped tensor, or a layout's dequantized rows. Those are read with no
 * context: we are on its worker threads already.
 */
static bool is_plain(const pare_weight *w) { return w->layout == NULL; }

static uint64_t chunk_bytes(const pare_stream *s) {
    const uint64_t limit = s->options.memory ? s->options.memory / 8 : PARE_CHUNK_BYTES;
    return limit < (UINT64_C(1) << 20) ? UINT64_C(1) << 20 : limit < PARE_CHUNK_BYTES ? limit : PARE_CHUNK_BYTES;
}

/* -------------------------------------------------------------------------------------------------------------- keep */

static pare_status emit_stored(pare_stream *s, const pare_plan_item *item, const pare_weight *w, pare_err *err) {
    const uint8_t *data = NULL;
    const pare_tensor *t = &s->weights->store->tensors[w->tensor];
    const uint64_t piece = PARE_CHUNK_BYTES; /* in pieces, so that a cancel is seen */
    pare_status st = pare_store_data(s->weights->store, w->tensor, &data, err);
    (void)item;
    for (uint64_t at = 0; st == PARE_OK && at < t->bytes; at += piece) {
        const uint64_t n = t->bytes - at < piece ? t->bytes - at : piece;
        st = pare_stream_emit(s, &(pare_emission){.at = {{data + at, (size_t)n}}, .n = 1}, err);
    }
    if (data != t->data) { /* a copy that goes away below: it must have been written, or given up */
        const pare_status waited = pare_stream_wait(s, st == PARE_OK ? err : NULL);
        if (st == PARE_OK) st = waited;
    }
    pare_store_release(s->weights->store, w->tensor);
    return st;
}

/* -------------------------------------------------------------------------------------------------------------- cast */

typedef struct cast_work {
    pare_stream *s;
    const pare_plan_item *item;
    const pare_weight *w;
    const uint8_t *data;     /* plain source */
    int64_t first, n, piece; /* elements (plain) or rows (quantized source) of this chunk */
    uint8_t *dst;
    int64_t *lost;           /* per piece: finite values that became infinite */
    float *scratch;          /* per worker: values of a piece, and what they became */
    size_t scratch_n;
} cast_work;

/* Bulk conversions: the kernels where there is one, else the plain loops of num. */
static pare_status rows_to_f32(const pare_kernels *k, pare_dtype dtype, const void *src, int64_t n, float *dst, pare_err *err) {
    if (dtype == PARE_BF16) return k->bf16_to_f32(dst, src, n), PARE_OK;
    if (dtype == PARE_F16) return k->f16_to_f32(dst, src, n), PARE_OK;
    return pare_to_f32(dst, dtype, src, n, err);
}

static pare_status rows_from_f32(const pare_kernels *k, pare_dtype dtype, const float *src, int64_t n, void *dst, pare_err *err) {
    if (dtype == PARE_BF16) return k->f32_to_bf16(dst, src, n), PARE_OK;
    if (dtype == PARE_F16) return k->f32_to_f16(dst, src, n), PARE_OK;
    return pare_from_f32(dst, dtype, src, n, false, err);
}

/* Elements [first, first + n) of an item as its folds leave them: columns times a scale; rows, or a norm's elements (which stand for w + add), divided. */
static void fold_elements(const pare_plan *plan, const pare_plan_item *item, int64_t first, int64_t n, float *x) {
    const pare_plan_fold *s = item->fold_columns >= 0 ? &plan->folds.at[item->fold_columns] : NULL, *by = item->fold_by >= 0 ? &plan->folds.at[item->fold_by] : NULL;
    for (int64_t i = 0; s && i < n; i++) x[i] *= s->scale[(first + i) % item->cols];
    for (int64_t i = 0; by && i < n; i++) x[i] = (x[i] + by->add) / by->by[(first + i) / item->cols] - by->add;
}

static bool is_folded(const pare_plan_item *item) { return item->fold_columns >= 0 || item->fold_by >= 0; }

static pare_status cast_piece(void *arg, int64_t i, int worker, pare_err *err) {
    const cast_work *c = arg;
    const pare_kernels *k = c->s->ctx->kernels;
    const pare_dtype to = c->item->dtype;
    const int64_t from = i * c->piece, n = c->n - from < c->piece ? c->n - from : c->piece;
    const int64_t unit = c->data ? 1 : c->item->cols; /* elements a row of the counted kind */
    float *x = c->scratch + 2 * (size_t)worker * c->scratch_n, *back = x + c->scratch_n;
    uint8_t *dst = c->dst + (size_t)(from * unit) * pare_dtype_bytes(to, 1);
    pare_status st;
    if (c->data) {
        const uint8_t *src = c->data + (size_t)(c->first + from) * pare_dtype_bytes(c->w->dtype, 1);
        if (!is_folded(c->item) && (c->w->dtype == PARE_F64 || to == PARE_F64)) /* not through f32 */
            return pare_convert(dst, to, src, c->w->dtype, n, false, err);
        st = rows_to_f32(k, c->w->dtype, src, n, x, err);
    } else
        st = pare_weights_read(NULL, c->s->weights, c->item->weight, c->first + from, n, x, err);
    if (st == PARE_OK) {
        fold_elements(c->s->plan, c->item, (c->first + from) * unit, n * unit, x);
        st = rows_from_f32(k, to, x, n * unit, dst, err);
    }
    if (st != PARE_OK || to == PARE_F32 || to == PARE_BF16) return st;
    if ((st = rows_to_f32(k, to, dst, n * unit, back, err)) == PARE_OK)
        c->lost[i] = k->count_nonfinite(back, n * unit) - k->count_nonfinite(x, n * unit);
    return st;
}

static pare_status emit_cast(pare_stream *s, const pare_plan_item *item, const pare_weight *w, pare_err *err) {
    const bool plain = is_plain(w);
    const size_t out_size = pare_dtype_bytes(item->dtype, 1);
    const int64_t unit = plain ? 1 : item->cols, total = plain ? item->rows * item->cols : item->rows;
    const int64_t align = w->scheme.granularity == PARE_PER_BLOCK && !plain && w->scheme.block[0] > 0 ? w->scheme.block[0] : 32;
    const int64_t piece = plain ? PIECE_ELEMENTS : ((PIECE_ELEMENTS / (unit ? unit : 1)) / align + 1) * align;
    const uint64_t per_piece = (uint64_t)piece * (uint64_t)unit * out_size;
    const int64_t pieces = (int64_t)(chunk_bytes(s) / (per_piece ? per_piece : 1)) + 1;
    cast_work c = {.s = s, .item = item, .w = w, .piece = piece, .scratch_n = (size_t)(piece * unit)};
    pare_status st = PARE_OK;
    int64_t lost = 0;
    c.scratch = pare_alloc_aligned(64, 2 * c.scratch_n * sizeof(float) * (size_t)s->ctx->threads);
    c.lost = pare_alloc_zero((size_t)pieces, sizeof *c.lost);
    if (!c.scratch || !c.lost) {
        st = pare_no_memory(err, item->name, c.scratch_n * sizeof(float));
        goto out;
    }
    if (plain) PARE_TRY(pare_store_data(s->weights->store, w->tensor, &c.data, err));
    for (c.first = 0; c.first < total; c.first += c.n) {
        c.n = total - c.first < pieces * piece ? total - c.first : pieces * piece;
        const size_t bytes = (size_t)(c.n * unit) * out_size;
        const int64_t count = (c.n + piece - 1) / piece;
        PARE_TRY(pare_stream_buffer(s, bytes, &c.dst, err));
        memset(c.lost, 0, (size_t)pieces * sizeof *c.lost);
        PARE_TRY(pare_parallel(s->ctx, count, cast_piece, &c, err));
        for (int64_t i = 0; i < count; i++) lost += c.lost[i];
        PARE_TRY(pare_stream_emit(s, &(pare_emission){.at = {{c.dst, bytes}}, .n = 1}, err));
    }
    if (lost && !s->options.allow_nonfinite) {
        pare_fail(err, PARE_ERR_DATA, "%s: %lld value%s beyond the range of %s", item->name, (long long)lost, lost == 1 ? " is" : "s are",
                  pare_dtype_get_info(item->dtype)->name);
        st = pare_hint(err, "bf16 has the range of f32; --allow-nonfinite writes infinities");
    }
out:
    if (plain && c.data) pare_store_release(s->weights->store, w->tensor);
    pare_dealloc_aligned(c.scratch);
    pare_dealloc(c.lost);
    return st;
}

/* ---------------------------------------------------------------------------------------------------------- quantize */

typedef struct quant_work {
    pare_stream *s;
    pare_plan_item *item;
    const pare_weight *w;
    const uint8_t *data;          /* plain source, else NULL */
    const pare_qtensor *whole;    /* not NULL: codes are there already (schemes that cross rows) */
    int64_t piece, groups;        /* rows a piece, scales a row */
    int64_t row0, rows;           /* this chunk */
    bool shifted;                 /* errors are measured on the layout's own values */
    bool once;                    /* layout packs the whole layer in one call: pieces only make codes */
    uint8_t *dst[PARE_MAX_PARTS]; /* part p's bytes; dst[0] starts at row0 when streamed */
    bool streamed;                /* part 0 goes out chunk by chunk */
    size_t last_bytes;            /* of the last chunk, which is emitted with the other parts */
    uint8_t *scratch; size_t scratch_n; /* per worker */
    uint8_t *codes; float *scales, *fzeros; int32_t *zeros; /* once: of the whole layer */
    pare_row_error *error;        /* per piece of the chunk */
    int64_t *nonfinite;
} quant_work;

/* A worker's memory: codes, scales, zeros, f32 rows (quantized or repaired source), quantizer's own. */
typedef struct worker_memory { uint8_t *codes; float *scales, *fzeros; int32_t *zeros; float *x, *y; void *own; } worker_memory;

static size_t up64(size_t n) { return (n + 63) & ~(size_t)63; }

static size_t worker_bytes(const quant_work *q) {
    const size_t cells = (size_t)(q->piece * q->item->cols), scales = (size_t)(q->piece * q->groups);
    return up64(cells) + 3 * up64(scales * 4) + up64(cells * 4) + up64((size_t)q->item->cols * 4) + up64(q->item->method->scratch(&q->item->scheme, q->item->cols));
}

static worker_memory memory_of(const quant_work *q, int worker) {
    const size_t cells = (size_t)(q->piece * q->item->cols), scales = (size_t)(q->piece * q->groups);
    uint8_t *p = q->scratch + (size_t)worker * q->scratch_n;
    worker_memory m;
    m.codes = p, p += up64(cells);
    m.scales = (float *)(void *)p, p += up64(scales * 4);
    m.zeros = (int32_t *)(void *)p, p += up64(scales * 4);
    m.fzeros = (float *)(void *)p, p += up64(scales * 4);
    m.x = (float *)(void *)p, p += up64(cells * 4);
    m.y = (float *)(void *)p, p += up64((size_t)q->item->cols * 4);
    m.own = p;
    return m;
}

/* NaN -> 0, Inf -> the largest finite magnitude of its row. */
static void repair(float *x, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++, x += cols) {
        float most = 0;
        for (int64_t c = 0; c < cols; c++)
            if (x[c] - x[c] == 0 && (x[c] < 0 ? -x[c] : x[c]) > most) most = x[c] < 0 ? -x[c] : x[c];
        for (int64_t c = 0; c < cols; c++)
            if (x[c] - x[c] != 0) x[c] = x[c] != x[c] ? 0 : x[c] < 0 ? -most : most;
    }
}

static pare_status load_f32(const quant_work *q, int64_t row, int64_t rows, float *x, pare_err *err) {
    const int64_t cols = q->item->cols;
    if (!q->data) return pare_weights_read(NULL, q->s->weights, q->item->weight, row, rows, x, err);
    return rows_to_f32(q->s->ctx->kernels, q->w->dtype, q->data + (size_t)(row * cols) * pare_dtype_bytes(q->w->dtype, 1), rows * cols, x, err);
}

/* Errors of layouts that store a float shift, measured on the values that their loaders compute. */
static void measure_shifted(const quant_work *q, int64_t rows, const worker_memory *m, pare_rows_out *out) {
    const pare_scheme *s = &q->item->scheme;
    const int64_t cols = q->item->cols, group = s->granularity == PARE_PER_GROUP ? s->group_size : cols;
    out->error = (pare_row_error){0};
    for (int64_t r = 0; r < rows; r++) {
        pare_row_error e;
        for (int64_t c = 0; c < cols; c++) {
            const int64_t g = r * q->groups + c / group;
            const float shift = pare_round_to(s->scale_dtype, out->scales[g] * (float)out->zeros[g]);
            m->y[c] = pare_round_to(s->scale_dtype, pare_round_to(s->scale_dtype, (float)out->codes[r * cols + c] * out->scales[g]) - shift);
        }
        q->s->ctx->kernels->row_error(m->x + r * cols, m->y, cols, &e);
        pare_row_error_add(&out->error, &e);
    }
}

/* Codes, scales, zeros of rows [row, row+rows); a piece with NaN or Inf is done again on repaired values when allowed. */
static pare_status quantize_rows(const quant_work *q, int64_t row, int64_t rows, const worker_memory *m, pare_rows_out *out, pare_err *err) {
    const pare_dtype d = q->w->dtype;
    const bool direct = q->data && (d == PARE_F32 || d == PARE_F16 || d == PARE_BF16);
    pare_rows_in in = {.data = m->x, .dtype = PARE_F32, .row0 = row, .rows = rows, .cols = q->item->cols};
    pare_status st = PARE_OK;
    if (direct) {
        in.data = q->data + (size_t)(row * in.cols) * pare_dtype_bytes(d, 1);
        in.dtype = d;
    } else
        st = load_f32(q, row, rows, m->x, err);
    if (st == PARE_OK) st = q->item->method->rows(q->s->ctx->kernels, &q->item->scheme, &in, m->own, out, err);
    if (st != PARE_OK || out->nonfinite == 0 || !q->s->options.allow_nonfinite) return st;
    const int64_t count = out->nonfinite;
    if (direct && (st = load_f32(q, row, rows, m->x, err)) != PARE_OK) return st;
    repair(m->x, rows, in.cols);
    in.data = m->x;
    in.dtype = PARE_F32;
    st = q->item->method->rows(q->s->ctx->kernels, &q->item->scheme, &in, m->own, out, err);
    out->nonfinite = count;
    return st;
}

/* in: codes, scales and what belongs to them, of rows [row, row + rows). */
static pare_status pack_rows(const quant_work *q, int64_t row, int64_t rows, pare_pack_in in, pare_err *err) {
    const pare_plan_item *item = q->item;
    in.scheme = &item->scheme;
    in.model_dtype = q->s->plan->model_dtype;
    in.rows_total = item->rows;
    in.cols = item->cols;
    in.ndim = item->ndim;
    in.shape = item->shape;
    in.row0 = row;
    in.rows = rows;
    uint8_t *dst[PARE_MAX_PARTS];
    for (int p = 0; p < item->n_parts; p++) dst[p] = q->dst[p] + pare_part_offset(&item->parts[p], row);
    if (q->streamed) dst[0] -= pare_part_offset(&item->parts[0], q->row0);
    return q->s->plan->layout->pack(q->s->ctx->kernels, &in, item->parts, item->n_parts, dst, err);
}

static pare_status quant_piece(void *arg, int64_t i, int worker, pare_err *err) {
    quant_work *q = arg;
    const int64_t row = q->row0 + i * q->piece, left = q->row0 + q->rows - row, rows = left < q->piece ? left : q->piece;
    const worker_memory m = memory_of(q, worker);
    pare_rows_out out = {.codes = m.codes, .scales = m.scales, .zeros = m.zeros, .fzeros = m.fzeros};
    if (q->once) {
        out.codes = q->codes + row * q->item->cols;
        out.scales = q->scales + row * q->groups;
        out.zeros = q->zeros + row * q->groups;
        out.fzeros = q->fzeros + row * q->groups;
    }
    pare_status st = quantize_rows(q, row, rows, &m, &out, err);
    if (st == PARE_OK && q->shifted && out.nonfinite == 0 && (st = load_f32(q, row, rows, m.x, err)) == PARE_OK) measure_shifted(q, rows, &m, &out);
    q->error[i] = out.error;
    q->nonfinite[i] = out.nonfinite;
    if (st == PARE_OK && !q->once && (out.nonfinite == 0 || q->s->options.allow_nonfinite))
        st = pack_rows(q, row, rows, (pare_pack_in){.codes = out.codes, .scales = out.scales, .zeros = out.zeros, .fzeros = out.fzeros, .global_scale = 1.0f}, err);
    return st;
}

/* Which parts does this step write, and is part 0 streamed? Small parts lie in one buffer, emitted at the end. */
static bool step_has(const pare_stream *s, const pare_plan_step *step, int part) {
    const pare_plan_shard *sh = &s->plan->shards[step->shard];
    for (int64_t i = 0; i < step->n; i++)
        if (sh->owner[step->first + i].part == part) return true;
    return false;
}

static pare_status emit_parts(pare_stream *s, const quant_work *q, const pare_plan_step *step, uint8_t **held, pare_err *err) {
    const pare_plan_shard *sh = &s->plan->shards[step->shard];
    pare_emission e = {.owned = *held};
    *held = NULL;
    if (q->last_bytes) {
        e.at[0].data = q->dst[0];
        e.at[e.n++].n = q->last_bytes;
    }
    for (int64_t i = 0; i < step->n; i++) {
        const int p = sh->owner[step->first + i].part;
        if (p == 0 && q->streamed) continue;
        e.at[e.n].data = q->dst[p];
        e.at[e.n++].n = (size_t)pare_part_bytes(&q->item->parts[p]);
    }
    return pare_stream_emit(s, &e, err);
}

static void add_errors(quant_work *q, int64_t pieces, int64_t *nonfinite) {
    for (int64_t i = 0; i < pieces; i++) {
        pare_row_error_add(&q->item->error, &q->error[i]);
        *nonfinite += q->nonfinite[i];
    }
}

/* All chunks of the layer; part 0 leaves as it is made when the layout lets it. */
static pare_status run_chunks(quant_work *q, const pare_plan_step *step, int64_t chunk_rows, pare_err *err) {
    const pare_part *part0 = &q->item->parts[0];
    const bool wanted = step_has(q->s, step, 0);
    int64_t nonfinite = 0;
    pare_status st;
    for (q->row0 = 0; q->row0 < q->item->rows; q->row0 += q->rows) {
        q->rows = q->item->rows - q->row0 < chunk_rows ? q->item->rows - q->row0 : chunk_rows;
        const int64_t pieces = (q->rows + q->piece - 1) / q->piece;
        const size_t bytes = (size_t)(pare_part_offset(part0, q->row0 + q->rows) - pare_part_offset(part0, q->row0));
        if (q->streamed && (st = pare_stream_buffer(q->s, bytes, &q->dst[0], err)) != PARE_OK) return st;
        if ((st = pare_parallel(q->s->ctx, pieces, quant_piece, q, err)) != PARE_OK) return st;
        add_errors(q, pieces, &nonfinite);
        const bool good = nonfinite == 0 || q->s->options.allow_nonfinite, last = q->row0 + q->rows == q->item->rows;
        if (q->streamed && wanted && last) q->last_bytes = bytes; /* goes with the small parts: an emission waits for the one before */
        if (q->streamed && wanted && !last && good &&
            (st = pare_stream_emit(q->s, &(pare_emission){.at = {{q->dst[0], bytes}}, .n = 1}, err)) != PARE_OK)
            return st;
        if ((st = pare_check_cancel(q->s->ctx, err)) != PARE_OK) return st;
    }
    if (nonfinite && !q->s->options.allow_nonfinite) return bad_values(q->item->name, nonfinite, err);
    if (nonfinite) pare_log(q->s->ctx, PARE_LOG_WARNING, "%s: %lld values that are not finite were replaced", q->item->name, (long long)nonfinite);
    if (q->once)
        return pack_rows(q, 0, q->item->rows, (pare_pack_in){.codes = q->codes, .scales = q->scales, .zeros = q->zeros, .fzeros = q->fzeros, .global_scale = 1.0f}, err);
    return PARE_OK;
}

/* Memory for the parts that are held back until the end of the layer: one block, which is also an emission slot. */
static pare_status place_parts(quant_work *q, uint8_t **held, pare_err *err) {
    size_t n = 0;
    for (int p = q->streamed ? 1 : 0; p < q->item->n_parts; p++) n += up64((size_t)pare_part_bytes(&q->item->parts[p]));
    *held = pare_alloc_aligned(64, n ? n : 64);
    if (!*held) return pare_no_memory(err, q->item->name, n);
    uint8_t *at = *held;
    for (int p = q->streamed ? 1 : 0; p < q->item->n_parts; p++) {
        q->dst[p] = at;
        at += up64((size_t)pare_part_bytes(&q->item->parts[p]));
    }
    return PARE_OK;
}

static pare_status place_work(quant_work *q, int64_t chunk_pieces, pare_err *err) {
    const pare_plan_item *item = q->item;
    const size_t scales = (size_t)(item->rows * q->groups);
    q->scratch_n = up64(worker_bytes(q));
    q->scratch = pare_alloc_aligned(64, q->scratch_n * (size_t)q->s->ctx->threads);
    q->error = pare_alloc_zero((size_t)chunk_pieces, sizeof *q->error);
    q->nonfinite = pare_alloc_zero((size_t)chunk_pieces, sizeof *q->nonfinite);
    if (q->once) {
        q->codes = pare_alloc_aligned(64, (size_t)(item->rows * item->cols));
        q->scales = pare_alloc_zero(scales, sizeof *q->scales);
        q->zeros = pare_alloc_zero(scales, sizeof *q->zeros);
        q->fzeros = pare_alloc_zero(scales, sizeof *q->fzeros);
    }
    if (!q->scratch || !q->error || !q->nonfinite || (q->once && (!q->codes || !q->scales || !q->zeros || !q->fzeros)))
        return pare_no_memory(err, item->name, q->scratch_n);
    return PARE_OK;
}

static void clear_work(quant_work *q) {
    pare_dealloc_aligned(q->scratch);
    pare_dealloc_aligned(q->codes);
    pare_dealloc(q->scales);
    pare_dealloc(q->zeros);
    pare_dealloc(q->fzeros);
    pare_dealloc(q->error);
    pare_dealloc(q->nonfinite);
}

/* The method's own work on a whole layer, else the quantizer's. */
static pare_status whole_layer(const quant_work *q, float *x, pare_qtensor **t, pare_err *err) {
    const pare_plan_item *item = q->item;
    const pare_layer_job job = {.name = item->name, .scheme = &item->scheme, .params = pare_plan_params(q->s->plan, item->method), .seed = q->s->options.seed,
                                .rows = item->rows, .cols = item->cols, .w = x};
    pare_layer_result result = {0};
    const pare_status st = pare_method_apply(q->s->ctx, item->method, &job, &result, err);
    *t = result.q;
    return st;
}

/* Errors of the whole layer, cut by rows. */
typedef struct measure_work { const quant_work *q; const float *x; float *y; pare_row_error *error; } measure_work;

static pare_status measure_piece(void *arg, int64_t i, int worker, pare_err *err) {
    const measure_work *m = arg;
    const int64_t cols = m->q->item->cols, first = i * MEASURE_ROWS, rows = m->q->item->rows - first < MEASURE_ROWS ? m->q->item->rows - first : MEASURE_ROWS;
    float *y = m->y + (int64_t)worker * MEASURE_ROWS * cols;
    const pare_kernels *k = m->q->s->ctx->kernels;
    const pare_status st = pare_qtensor_dequant_rows(k, m->q->whole, first, rows, y, err);
    for (int64_t r = 0; st == PARE_OK && r < rows; r++) {
        pare_row_error e;
        k->row_error(m->x + (first + r) * cols, y + r * cols, cols, &e);
        pare_row_error_add(&m->error[i], &e);
    }
    return st;
}

static pare_status measure_whole(const quant_work *q, const float *x, pare_err *err) {
    const int64_t pieces = (q->item->rows + MEASURE_ROWS - 1) / MEASURE_ROWS;
    measure_work m = {.q = q, .x = x, .error = pare_alloc_zero((size_t)pieces, sizeof *m.error)};
    m.y = pare_alloc_aligned(64, (size_t)q->s->ctx->threads * MEASURE_ROWS * (size_t)q->item->cols * sizeof *m.y);
    pare_status st = m.y && m.error ? pare_parallel(q->s->ctx, pieces, measure_piece, &m, err) : pare_no_memory(err, q->item->name, (size_t)q->item->cols * MEASURE_ROWS);
    for (int64_t i = 0; st == PARE_OK && i < pieces; i++) pare_row_error_add(&q->item->error, &m.error[i]);
    pare_dealloc(m.error);
    pare_dealloc_aligned(m.y);
    return st;
}

/* The layer as its method left it: what was read for it, and its codes. */
static pare_status take_calibrated(quant_work *q, float *x, pare_qtensor **t, pare_err *err) {
    pare_stream *s = q->s;
    pare_plan_item *item = q->item;
    const pare_status st = calibrate_read(s->ctx, s->plan, s->weights, item, s->options.allow_nonfinite, x, err);
    return st == PARE_OK ? pare_workstore_get(s->plan->work, item - s->plan->items, &item->scheme, item->rows, item->cols, t, NULL, err) : st;
}

/* Schemes whose scale is shared across rows, and calibrated layers: the layer in f32, quantized as a whole, packed in one call. */
static pare_status quantize_whole(quant_work *q, const pare_plan_step *step, pare_err *err) {
    pare_plan_item *item = q->item;
    const size_t n = (size_t)(item->rows * item->cols);
    pare_qtensor *t = NULL;
    float *x = pare_alloc_aligned(64, n * sizeof *x);
    uint8_t *held = NULL;
    pare_status st = PARE_OK;
    if (!x) {
        st = pare_no_memory(err, item->name, n * sizeof *x);
        goto out;
    }
    if (item->calibrated) PARE_TRY(take_calibrated(q, x, &t, err));
    else {
        PARE_TRY(load_f32(q, 0, item->rows, x, err));
        const int64_t bad = q->s->ctx->kernels->count_nonfinite(x, (int64_t)n);
        if (bad && !q->s->options.allow_nonfinite) {
            st = bad_values(item->name, bad, err);
            goto out;
        }
        if (bad) repair(x, item->rows, item->cols);
        PARE_TRY(whole_layer(q, x, &t, err));
        if (item->method->layer) { /* which may have changed x */
            PARE_TRY(load_f32(q, 0, item->rows, x, err));
            if (bad) repair(x, item->rows, item->cols);
        }
    }
    q->whole = t;
    PARE_TRY(measure_whole(q, x, err));
    PARE_TRY(place_parts(q, &held, err));
    PARE_TRY(pack_rows(q, 0, item->rows, (pare_pack_in){.codes = t->codes, .scales = t->scales, .zeros = t->zeros, .fzeros = t->fzeros,
                                                        .global_scale = t->global_scale, .nested = t->nested, .g_idx = t->g_idx, .input_scale = t->input_scale}, err));
    PARE_TRY(emit_parts(q->s, q, step, &held, err));
out:
    pare_dealloc_aligned(held);
    pare_dealloc_aligned(x);
    pare_qtensor_free(t);
    return st;
}

static pare_status quantize_streamed(quant_work *q, const pare_plan_step *step, pare_err *err) {
    const pare_plan_item *item = q->item;
    const int64_t align = pare_parts_align(item->parts, item->n_parts);
    uint8_t *held = NULL;
    pare_status st = PARE_OK;
    q->once = align == 0;
    q->shifted = q->s->plan->layout->float_shift && q->s->plan->layout->float_shift(&item->scheme);
    q->streamed = !q->once && item->parts[0].place == PARE_PART_ROWS;
    q->groups = pare_scheme_groups_per_row(&item->scheme, item->cols);
    const int64_t unit = q->once ? 1 : align, rows = PIECE_ELEMENTS / item->cols;
    q->piece = rows / unit > 0 ? rows / unit * unit : unit;
    if (q->piece > item->rows) q->piece = (item->rows + unit - 1) / unit * unit;
    const uint64_t bytes0 = pare_part_bytes(&item->parts[0]), per_row = bytes0 / (uint64_t)item->rows + 1;
    int64_t chunk_pieces = (int64_t)(chunk_bytes(q->s) / (per_row * (uint64_t)q->piece)) + 1;
    if (!q->streamed) chunk_pieces = (item->rows + q->piece - 1) / q->piece;
    PARE_TRY(place_work(q, chunk_pieces, err));
    PARE_TRY(place_parts(q, &held, err));
    PARE_TRY(run_chunks(q, step, chunk_pieces * q->piece, err));
    PARE_TRY(emit_parts(q->s, q, step, &held, err));
out:
    pare_dealloc_aligned(held);
    clear_work(q);
    return st;
}

static pare_status emit_quantized(pare_stream *s, const pare_plan_step *step, const pare_weight *w, pare_err *err) {
    quant_work q = {.s = s, .item = &s->plan->items[step->item], .w = w};
    pare_status st = PARE_OK;
    q.item->error = (pare_row_error){0};
    if (is_plain(w) && (st = pare_store_data(s->weights->store, w->tensor, &q.data, err)) != PARE_OK) return st;
    st = pare_scheme_row_local(&q.item->scheme, q.item->cols) && !q.item->calibrated ? quantize_streamed(&q, step, err) : quantize_whole(&q, step, err);
    q.item->measured = st == PARE_OK;
    if (q.data) pare_store_release(s->weights->store, w->tensor);
    return st;
}

static pare_status emit_added(pare_stream *s, const pare_plan_item *item, pare_err *err) {
    const size_t bytes = pare_dtype_bytes(item->dtype, (uint64_t)item->rows);
    uint8_t *at;
    pare_status st = pare_stream_buffer(s, bytes, &at, err);
    if (st == PARE_OK) st = rows_from_f32(s->ctx->kernels, item->dtype, item->value, item->rows, at, err);
    return st == PARE_OK ? pare_stream_emit(s, &(pare_emission){.at = {{at, bytes}}, .n = 1}, err) : st;
}

pare_status pare_stream_step(pare_stream *s, const pare_plan_step *step, pare_err *err) {
    const pare_plan_item *item = &s->plan->items[step->item];
    const pare_weight *w = item->weight >= 0 ? &s->weights->at[item->weight] : NULL;
    switch (item->action) {
    case PARE_ACTION_KEEP: return is_folded(item) ? emit_cast(s, item, w, err) : emit_stored(s, item, w, err);
    case PARE_ACTION_CAST: return emit_cast(s, item, w, err);
    case PARE_ACTION_QUANTIZE: return emit_quantized(s, step, w, err);
    case PARE_ACTION_ADD: return emit_added(s, item, err);
    case PARE_ACTION_DROP: break;
    }
    return PARE_OK;
}
