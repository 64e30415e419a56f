/* SPDX-License-Identifier: Apache-2.0 */
/* pare_compare_models: tensor by tensor, in whatever layout each side is stored. Rows are cut by shape; sums are added in row order. */
#include <math.h>
#include <string.h>

#include "flow/flow.h"
#include <pare/report.h>

#define PIECE_ELEMENTS (INT64_C(1) << 17)

typedef struct compare_work {
    pare_ctx *ctx;
    const pare_weights *a, *b;
    int64_t ia, ib, rows, cols, piece;
    float *scratch;            /* per worker: two pieces */
    pare_row_error *error;     /* per piece */
} compare_work;

static pare_status compare_piece(void *arg, int64_t i, int worker, pare_err *err) {
    const compare_work *c = arg;
    const int64_t row = i * c->piece, n = c->rows - row < c->piece ? c->rows - row : c->piece;
    float *x = c->scratch + 2 * (size_t)worker * (size_t)(c->piece * c->cols), *y = x + c->piece * c->cols;
    pare_status st = pare_weights_read(NULL, c->a, c->ia, row, n, x, err);
    if (st == PARE_OK) st = pare_weights_read(NULL, c->b, c->ib, row, n, y, err);
    c->error[i] = (pare_row_error){0};
    for (int64_t r = 0; st == PARE_OK && r < n; r++) {
        pare_row_error e;
        c->ctx->kernels->row_error(x + r * c->cols, y + r * c->cols, c->cols, &e);
        pare_row_error_add(&c->error[i], &e);
    }
    return st;
}

/* Materialized tensors have to be in memory before threads read them. */
static pare_status hold(const pare_weights *w, int64_t i, bool take, pare_err *err) {
    const uint8_t *data;
    pare_status st = PARE_OK;
    const pare_weight *x = &w->at[i];
    for (int p = -1; st == PARE_OK && p < x->n_parts; p++) {
        const int64_t t = p < 0 ? x->tensor : x->part[p];
        if (t < 0) continue;
        if (take)
            st = pare_store_data(w->store, t, &data, err);
        else
            pare_store_release(w->store, t);
    }
    return st;
}

static pare_status compare_tensor(compare_work *c, pare_row_error *total, pare_err *err) {
    const pare_weight *w = &c->a->at[c->ia];
    int64_t numel = 0;
    pare_status st = PARE_OK;
    *total = (pare_row_error){0};
    c->rows = w->ndim > 0 ? w->shape[0] : 1;
    if (!pare_shape_numel(w->ndim, w->shape, &numel) || numel == 0) return PARE_OK;
    c->cols = numel / c->rows;
    c->piece = PIECE_ELEMENTS / c->cols;
    c->piece = c->piece / 128 * 128 > 0 ? c->piece / 128 * 128 : c->piece < 1 ? 1 : c->piece;
    if (c->a->at[c->ia].scheme.granularity == PARE_PER_BLOCK || c->b->at[c->ib].scheme.granularity == PARE_PER_BLOCK) c->piece = 128;
    if (c->piece > c->rows) c->piece = c->rows;
    const int64_t pieces = (c->rows + c->piece - 1) / c->piece;
    c->scratch = pare_alloc_aligned(64, 2 * sizeof(float) * (size_t)(c->piece * c->cols) * (size_t)c->ctx->threads);
    c->error = pare_alloc_zero((size_t)pieces, sizeof *c->error);
    if (!c->scratch || !c->error) {
        st = pare_no_memory(err, w->name, (size_t)(c->piece * c->cols) * 8);
        goto out;
    }
    PARE_TRY(hold(c->a, c->ia, true, err));
    PARE_TRY(hold(c->b, c->ib, true, err));
    PARE_TRY(pare_parallel(c->ctx, pieces, compare_piece, c, err));
    for (int64_t i = 0; i < pieces; i++) pare_row_error_add(total, &c->error[i]);
out:
    hold(c->a, c->ia, false, NULL);
    hold(c->b, c->ib, false, NULL);
    pare_dealloc_aligned(c->scratch);
    pare_dealloc(c->error);
    return st;
}

static void shape_text(const pare_weight *w, char out[96]) {
    size_t n = 0;
    out[0] = 0;
    for (int d = 0; d < w->ndim && n < 80; d++) n += (size_t)pare_print(out + n, 96 - n, d ? "x%lld" : "%lld", (long long)w->shape[d]);
    if (w->ndim == 0) pare_print(out, 96, "scalar");
}

static pare_status add_row(pare_table *t, const pare_weight *w, const pare_error *e, pare_err *err) {
    char shape[96];
    pare_status st;
    shape_text(w, shape);
    if ((st = pare_table_row(t, err)) != PARE_OK || (st = pare_table_text(t, "name", w->name, err)) != PARE_OK ||
        (st = pare_table_text(t, "shape", shape, err)) != PARE_OK)
        return st;
    pare_table_real(t, "mse", e->mse);
    pare_table_real(t, "sqnr_db", e->sqnr_db);
    pare_table_real(t, "max_abs", e->max_abs);
    pare_table_real(t, "cosine", e->cosine);
    return PARE_OK;
}

static bool same_shape(const pare_weight *a, const pare_weight *b) {
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, sizeof a->shape[0] * (size_t)a->ndim) == 0;
}

static pare_status open_side(pare_ctx *ctx, const char *path, pare_store **store, pare_weights **weights, pare_err *err) {
    pare_status st = pare_store_open(path, store, err);
    if (st == PARE_OK) st = pare_weights_new(ctx, *store, weights, err);
    if (st == PARE_OK && (*weights)->unread)
        st = pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: is quantized as '%s', which this version does not read", path, (*weights)->unread);
    return st;
}

/* Everything that both sides have, in A's order. */
static pare_status compare_all(compare_work *c, pare_compare_result *r, pare_err *err) {
    pare_row_error total = {0}, sums;
    int64_t n_total = 0, numel, common = 0;
    pare_error e;
    pare_status st = PARE_OK;
    for (c->ia = 0; c->ia < c->a->n; c->ia++) {
        const pare_weight *w = &c->a->at[c->ia];
        c->ib = pare_weights_find(c->b, w->name);
        if (c->ib < 0) {
            r->only_a++;
            continue;
        }
        common++;
        if (w->alias_of >= 0 && c->b->at[c->ib].alias_of >= 0) continue; /* compared under its other name */
        if (!same_shape(w, &c->b->at[c->ib])) {
            char sa[96], sb[96];
            shape_text(w, sa);
            shape_text(&c->b->at[c->ib], sb);
            return pare_fail(err, PARE_ERR_DATA, "%s: shape %s in A, %s in B", w->name, sa, sb);
        }
        pare_report_progress(c->ctx, "compare", w->name, (uint64_t)c->ia, (uint64_t)c->a->n, "tensors");
        if ((st = pare_check_cancel(c->ctx, err)) != PARE_OK || (st = compare_tensor(c, &sums, err)) != PARE_OK) return st;
        pare_shape_numel(w->ndim, w->shape, &numel);
        pare_error_finish(&sums, numel, &e);
        if ((st = add_row(r->tensors, w, &e, err)) != PARE_OK) return st;
        pare_row_error_add(&total, &sums);
        n_total += numel;
    }
    if (common == 0) return pare_fail(err, PARE_ERR_DATA, "the two have no tensor name in common (%lld and %lld tensors)", (long long)c->a->n, (long long)c->b->n);
    r->only_b = c->b->n - common;
    pare_error_finish(&total, n_total, &r->total);
    return PARE_OK;
}

pare_status pare_compare_models(pare_ctx *ctx, const char *a, const char *b, pare_compare_result *r, pare_err *err) {
    static const struct { const char *key, *title; pare_cell_type type; const char *unit; } columns[] = {
        {"name", "tensor", PARE_CELL_TEXT, NULL}, {"shape", "shape", PARE_CELL_TEXT, NULL},  {"mse", "MSE", PARE_CELL_REAL, NULL},
        {"sqnr_db", "SQNR", PARE_CELL_REAL, "dB"}, {"max_abs", "max |error|", PARE_CELL_REAL, NULL}, {"cosine", "cosine", PARE_CELL_REAL, NULL}};
    pare_store *sa = NULL, *sb = NULL;
    pare_weights *wa = NULL, *wb = NULL;
    pare_status st = PARE_OK;
    memset(r, 0, sizeof *r);
    PARE_TRY(open_side(ctx, a, &sa, &wa, err));
    PARE_TRY(open_side(ctx, b, &sb, &wb, err));
    PARE_TRY(pare_table_new(&r->tensors, err));
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        PARE_TRY(pare_table_column(r->tensors, columns[i].key, columns[i].title, columns[i].type, columns[i].unit, err));
    compare_work c = {.ctx = ctx, .a = wa, .b = wb};
    PARE_TRY(compare_all(&c, r, err));
out:
    pare_weights_free(wa);
    pare_weights_free(wb);
    pare_store_close(sa);
    pare_store_close(sb);
    if (st != PARE_OK) {
        pare_table_free(r->tensors);
        r->tensors = NULL;
    }
    return st;
}
