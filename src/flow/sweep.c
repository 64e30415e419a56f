/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pare_sweep: one tensor, or every dense and convolution weight of a model, under each combination of mode, granularity,
 * bits and method. Nothing is written. One f32 copy of one tensor is in memory at a time.
 */
#include <math.h>
#include <string.h>

#include "flow/flow.h"
#include <pare/report.h>

typedef struct sweep_case { pare_scheme scheme; const pare_method *method; const char *clip; pare_row_error error; double bits; double cells; bool failed; } sweep_case;
typedef PARE_VEC(sweep_case) sweep_cases;

static pare_status add_case(sweep_cases *list, int bits, bool symmetric, pare_granularity g, int64_t group, pare_clip clip, pare_err *err) {
    sweep_case c = {.method = pare_method_find("rtn")};
    pare_scheme_init(&c.scheme);
    c.scheme.name[0] = 0;
    c.scheme.bits = bits;
    c.scheme.symmetric = symmetric;
    c.scheme.granularity = g;
    c.scheme.axis = g == PARE_PER_GROUP ? -1 : 0;
    c.scheme.group_size = group;
    c.scheme.scale_dtype = PARE_F16;
    c.scheme.clip = clip;
    c.clip = clip == PARE_CLIP_MSE ? "rtn, clip mse" : "rtn";
    return PARE_VEC_PUSH(list, c) ? PARE_OK : pare_no_memory(err, "sweep", sizeof c);
}

static pare_status make_cases(const pare_sweep_options *o, sweep_cases *list, pare_err *err) {
    static const int default_bits[] = {8, 4, 3, 2};
    static const int64_t default_groups[] = {128, 64, 32};
    const int *bits = o && o->n_bits ? o->bits : default_bits;
    const size_t n_bits = o && o->n_bits ? o->n_bits : 4;
    const int64_t one_group[] = {o ? o->group_size : 0}, *groups = o && o->group_size > 0 ? one_group : default_groups;
    const size_t n_groups = groups == one_group ? 1 : 3;
    for (size_t b = 0; b < n_bits; b++)
        for (int sym = 1; sym >= 0; sym--)
            for (size_t g = 0; g < n_groups + 2; g++)
                for (int clip = 0; clip < 2; clip++) {
                    const pare_granularity how = g == 0 ? PARE_PER_TENSOR : g == 1 ? PARE_PER_CHANNEL : PARE_PER_GROUP;
                    if (bits[b] == 1 && sym) continue; /* codes -1 and 0 only: no use */
                    if (clip && bits[b] >= 8) continue; /* nothing to win */
                    const pare_status st = add_case(list, bits[b], sym != 0, how, g >= 2 ? groups[g - 2] : 0, clip ? PARE_CLIP_MSE : PARE_CLIP_NONE, err);
                    if (st != PARE_OK) return st;
                }
    return PARE_OK;
}

static pare_status run_case(pare_ctx *ctx, sweep_case *c, const float *x, int64_t rows, int64_t cols, float *dq, pare_err *err) {
    const int64_t shape[2] = {rows, cols};
    pare_scheme scheme = c->scheme;
    pare_qtensor *q = NULL;
    pare_status st;
    if ((st = pare_quantize(ctx, x, PARE_F32, 2, shape, &scheme, &q, err)) != PARE_OK) return st;
    st = pare_dequantize(q, dq, err);
    for (int64_t r = 0; st == PARE_OK && r < rows; r++) {
        pare_row_error e;
        ctx->kernels->row_error(x + r * cols, dq + r * cols, cols, &e);
        pare_row_error_add(&c->error, &e);
    }
    const double cells = (double)rows * (double)cols;
    c->bits += pare_qtensor_bits_per_weight(q) * cells;
    c->cells += cells;
    pare_qtensor_free(q);
    return st;
}

static pare_status sweep_tensor(pare_ctx *ctx, pare_model *m, int64_t i, sweep_cases *cases, pare_err *err) {
    const pare_model_tensor *t = pare_model_get(m, i);
    const int64_t rows = t->ndim ? t->shape[0] : 1;
    int64_t n = 0;
    float *x = NULL, *dq = NULL;
    pare_status st = PARE_OK;
    if (!pare_shape_numel(t->ndim, t->shape, &n) || n == 0) return PARE_OK;
    x = pare_alloc_aligned(64, (size_t)n * sizeof *x);
    dq = pare_alloc_aligned(64, (size_t)n * sizeof *dq);
    if (!x || !dq) {
        st = pare_no_memory(err, t->name, (size_t)n * sizeof *x);
        goto out;
    }
    PARE_TRY(pare_model_read(m, i, 0, rows, x, err));
    for (size_t k = 0; k < cases->n; k++) {
        PARE_TRY(pare_check_cancel(ctx, err));
        st = run_case(ctx, &cases->at[k], x, rows, n / rows, dq, err);
        if (st != PARE_OK) {
            pare_context(err, st, "%s", t->name);
            goto out;
        }
    }
out:
    pare_dealloc_aligned(x);
    pare_dealloc_aligned(dq);
    return st;
}

static pare_status fill_table(const sweep_cases *cases, pare_table *t, pare_err *err) {
    static const struct { const char *key, *title; pare_cell_type type; const char *unit; } columns[] = {
        {"bits", "bits", PARE_CELL_INT, NULL}, {"mode", "mode", PARE_CELL_TEXT, NULL}, {"granularity", "granularity", PARE_CELL_TEXT, NULL},
        {"method", "method", PARE_CELL_TEXT, NULL}, {"mse", "MSE", PARE_CELL_REAL, NULL}, {"sqnr_db", "SQNR", PARE_CELL_REAL, "dB"},
        {"bits_per_weight", "bits per weight", PARE_CELL_REAL, NULL}, {"bytes", "bytes", PARE_CELL_BYTES, NULL}};
    pare_status st = PARE_OK;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        PARE_TRY(pare_table_column(t, columns[i].key, columns[i].title, columns[i].type, columns[i].unit, err));
    for (size_t k = 0; k < cases->n; k++) {
        const sweep_case *c = &cases->at[k];
        char granularity[32];
        pare_error e;
        pare_error_finish(&c->error, (int64_t)c->cells, &e);
        if (c->scheme.granularity == PARE_PER_GROUP)
            pare_print(granularity, sizeof granularity, "group %lld", (long long)c->scheme.group_size);
        else
            pare_print(granularity, sizeof granularity, "%s", c->scheme.granularity == PARE_PER_TENSOR ? "tensor" : "channel");
        PARE_TRY(pare_table_row(t, err));
        pare_table_int(t, "bits", c->scheme.bits);
        PARE_TRY(pare_table_text(t, "mode", c->scheme.symmetric ? "symmetric" : "asymmetric", err));
        PARE_TRY(pare_table_text(t, "granularity", granularity, err));
        PARE_TRY(pare_table_text(t, "method", c->clip, err));
        pare_table_real(t, "mse", e.mse);
        pare_table_real(t, "sqnr_db", e.sqnr_db);
        pare_table_real(t, "bits_per_weight", c->bits / c->cells);
        pare_table_int(t, "bytes", (int64_t)ceil(c->bits / 8));
    }
out:
    return st;
}

pare_status pare_sweep(pare_ctx *ctx, pare_model *m, const char *name, const pare_sweep_options *options, pare_table **out, pare_err *err) {
    sweep_cases cases = {0};
    pare_table *t = NULL;
    pare_status st = PARE_OK;
    int64_t done = 0;
    *out = NULL;
    PARE_TRY(make_cases(options, &cases, err));
    for (int64_t i = 0; i < pare_model_count(m); i++) {
        const pare_model_tensor *w = pare_model_get(m, i);
        if (name ? strcmp(w->name, name) != 0 : !w->is_linear || w->alias_of) continue;
        pare_report_progress(ctx, "sweep", w->name, (uint64_t)i, (uint64_t)pare_model_count(m), "tensors");
        PARE_TRY(sweep_tensor(ctx, m, i, &cases, err));
        done++;
    }
    if (done == 0) {
        if (name)
            PARE_FAIL(err, PARE_ERR_DATA, "%s: there is no tensor '%s'", m->path, name);
        PARE_FAIL(err, PARE_ERR_DATA, "%s: none of %lld tensors is a dense or convolution weight", m->path, (long long)pare_model_count(m));
    }
    PARE_TRY(pare_table_new(&t, err));
    PARE_TRY(fill_table(&cases, t, err));
out:
    PARE_VEC_CLEAR(&cases);
    if (st != PARE_OK) {
        pare_table_free(t);
        t = NULL;
    }
    *out = t;
    return st;
}
