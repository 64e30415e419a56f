/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folds of every golden model: with each fold's columns scaled by random numbers and what makes them divided by the same, the model computes what it
 * computed before, within 1e-5 of the range. And the folds that a reader expects are there.
 */
#include <math.h>

#include "graph/fold.h"
#include "unit/model/model_golden.h"

static pare_ctx *ctx;

/* One weight made other: columns times s, rows (or elements) divided by s. */
typedef struct edit { const pare_gweight *w; bool columns; int64_t n; float *s; float add; } edit;
typedef struct edited { pare_gsource inner; PARE_VEC(edit) edits; int used; } edited;

static bool same_weight(const pare_gweight *a, const pare_gweight *b) { return !strcmp(a->name, b->name) && a->of_index == b->of_index && a->row0 == b->row0; }

static pare_status e_check(void *user, const pare_gweight *w, bool *present, pare_err *err) { return ((edited *)user)->inner.check(((edited *)user)->inner.user, w, present, err); }
static pare_status e_table(void *user, const pare_gweight *w, int64_t row, float *out, pare_err *err) { return ((edited *)user)->inner.table(((edited *)user)->inner.user, w, row, out, err); }
static uint64_t e_bytes(void *user, const pare_gweight *w) { return ((edited *)user)->inner.bytes(((edited *)user)->inner.user, w); }
static void e_close(void *user) { ((edited *)user)->inner.close(((edited *)user)->inner.user); }

static pare_status e_linear(void *user, pare_ctx *with, const pare_gweight *w, pare_linear *out, pare_err *err)
{
    edited *e = user;
    pare_linear l = { 0 };
    pare_status st = e->inner.linear(e->inner.user, with, w, &l, err);
    if (st != PARE_OK) return st;
    const int64_t rows = w->shape[0], cols = w->shape[1];
    float *copy = pare_alloc_aligned(64, (size_t)(rows * cols) * sizeof *copy);
    memcpy(copy, l.w.data, (size_t)(rows * cols) * sizeof *copy); /* the inner source holds f32 */
    pare_linear_clear(&l);
    for (size_t i = 0; i < e->edits.n; i++) {
        const edit *d = &e->edits.at[i];
        if (!same_weight(d->w, w)) continue;
        e->used++;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++)
                if (d->columns) copy[r * cols + c] *= d->s[c];
                else copy[r * cols + c] /= d->s[r];
    }
    if ((st = pare_linear_float(out, PARE_F32, rows, cols, copy, err)) == PARE_OK) out->owned[0] = copy;
    return st;
}

static pare_status e_vector(void *user, const pare_gweight *w, float *out, pare_err *err)
{
    edited *e = user;
    const pare_status st = e->inner.vector(e->inner.user, w, out, err);
    for (size_t i = 0; i < e->edits.n && st == PARE_OK; i++) {
        const edit *d = &e->edits.at[i];
        if (!same_weight(d->w, w)) continue;
        e->used++;
        for (int64_t k = 0; k < d->n; k++) out[k] = (out[k] + d->add) / d->s[k] - d->add;
    }
    return st;
}

static void add_edit(edited *e, const pare_gweight *w, bool columns, int64_t n, const float *s, float add)
{
    edit d = { w, columns, n, calloc((size_t)n, sizeof(float)), add };
    memcpy(d.s, s, (size_t)n * sizeof *s);
    assert_true(PARE_VEC_PUSH(&e->edits, d));
}

/* Random scales of 1/4 ... 4; columns that share a row share a scale. Returns the number of folds. */
static int add_folds(edited *e, const pare_graph *g, uint64_t seed)
{
    pare_folds folds;
    pare_err err = { 0 };
    if (pare_graph_folds(g, &folds, &err) != PARE_OK) fail_msg("%s", err.text);
    for (size_t i = 0; i < folds.at.n; i++) {
        const pare_fold *f = &folds.at.at[i];
        const pare_gweight *by = &g->weights.at[f->by];
        const int64_t n = by->shape[0];
        float *s = calloc((size_t)n, sizeof *s), *columns = calloc((size_t)f->cols, sizeof *s);
        for (int64_t k = 0; k < n; k++) s[k] = 1;
        for (int64_t c = 0; c < f->cols; c++) {
            const int64_t k = f->row_of ? f->row_of[c] : c;
            assert_true(k >= 0 && k < n);
            s[k] = (float)exp2(4 * pare_rng_uniform(seed + i, (uint64_t)k) - 2);
            columns[c] = s[k];
        }
        add_edit(e, by, false, n, s, f->add);
        if (f->by_bias >= 0) add_edit(e, &g->weights.at[f->by_bias], false, n, s, 0);
        for (int k = 0; k < f->n_readers; k++) {
            assert_int_equal(g->weights.at[f->readers[k].weight].shape[1], f->cols);
            add_edit(e, &g->weights.at[f->readers[k].weight], true, f->cols, columns, 0);
        }
        free(s);
        free(columns);
    }
    const int n = (int)folds.at.n;
    pare_folds_clear(&folds);
    return n;
}

static float *prompt_of(const golden *g, pare_engine *e, int64_t *cols)
{
    pare_err err = { 0 };
    const pare_graph *graph = pare_engine_graph(e);
    const pare_gvalue *v = &graph->values.at[graph->logits != PARE_G_NONE ? graph->logits : graph->hidden_out];
    *cols = v->shape[v->ndim - 1];
    float *out = calloc((size_t)(g->n_prompt * *cols), sizeof *out);
    if (g->n_source && pare_engine_encode(e, 0, g->source, g->n_source, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    if (pare_engine_step(e, &(pare_batch){ .n = g->n_prompt, .ids = g->ids, .types = g->has_types ? g->types : NULL }, out, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    return out;
}

static bool has(void *user, const char *name) { return pare_weights_find(user, name) >= 0; }

static void check_golden(void **state)
{
    const char *name = *state;
    golden *g = golden_open(name);
    const char *folder = golden_write(g, NULL);
    const pare_engine_options options = { .ctx = g->ctx, .kv_dtype = PARE_F32 };
    running r;
    pare_err err = { 0 };
    int64_t cols;
    edited e = { 0 };
    pare_graph *graph = NULL;
    pare_engine *engine = NULL;
    if (running_open(ctx, folder, PARE_F32, &options, &r, &err) != PARE_OK) fail_msg("%s: %s", name, err.text);
    float *want = prompt_of(g, r.engine, &cols);
    const pare_gnames names = { .has = has, .user = r.weights };
    if (pare_model_graph(pare_jdoc_root(r.store->config), "config.json", &names, &graph, &err) != PARE_OK) fail_msg("%s: %s", name, err.text);
    assert_int_equal(pare_model_source(ctx, r.weights, PARE_F32, &e.inner, &err), PARE_OK);
    int folds = add_folds(&e, graph, 100);
    if (graph->encoder) folds += add_folds(&e, graph->encoder, 5000);
    const pare_gsource source = { .user = &e, .check = e_check, .linear = e_linear, .vector = e_vector, .table = e_table, .bytes = e_bytes, .close = e_close };
    if (pare_engine_new(ctx, graph, &source, &options, &engine, &err) != PARE_OK) fail_msg("%s: %s", name, err.text);
    float *got = prompt_of(g, engine, &cols);
    const distance d = distance_of(want, got, g->n_prompt, cols);
    print_message("%-26s %d folds, %.1e of the range\n", name, folds, d.max);
    assert_true(e.used >= (int)e.edits.n);
    if (!(d.max <= 1e-5)) fail_msg("%s: %d folds move the result by %.3g of its range", name, folds, d.max);
    pare_engine_free(engine);
    for (size_t i = 0; i < e.edits.n; i++) free(e.edits.at[i].s);
    PARE_VEC_CLEAR(&e.edits);
    free(want);
    free(got);
    running_close(&r);
    golden_free(g);
}

/* What is expected of some architectures: folds a layer. */
static void check_counts(void **state)
{
    static const struct { const char *name; int a_layer; } cases[] = {
        { "llama", 4 },    /* norm -> q k v, v -> o, norm -> gate up, up -> down */
        { "gpt_neox", 2 }, /* two norms of parallel blocks; GELU lets nothing through; v lies in a fused matrix with q and k: counted below */
        { "opt", 4 },      /* norm -> q k v, v -> out, norm -> fc1, fc1 -> ReLU -> fc2 */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        golden *g = golden_open(cases[i].name);
        running r;
        pare_folds folds;
        pare_err err = { 0 };
        if (running_open(ctx, golden_write(g, NULL), PARE_F32, &(pare_engine_options){ 0 }, &r, &err) != PARE_OK) fail_msg("%s: %s", cases[i].name, err.text);
        const pare_graph *graph = pare_engine_graph(r.engine);
        assert_int_equal(pare_graph_folds(graph, &folds, &err), PARE_OK);
        int norms_and_rows = 0, fused = 0;
        for (size_t k = 0; k < folds.at.n; k++)
            if (strstr(graph->weights.at[folds.at.at[k].by].name, "query_key_value")) fused++;
            else norms_and_rows++;
        if (norms_and_rows != cases[i].a_layer * graph->layers) fail_msg("%s: %d folds in %d layers", cases[i].name, norms_and_rows, graph->layers);
        if (!strcmp(cases[i].name, "gpt_neox")) assert_int_equal(fused, graph->layers);
        pare_folds_clear(&folds);
        running_close(&r);
        golden_free(g);
    }
}

int main(void)
{
    static struct CMUnitTest tests[GOLDEN_MAX_NAMES + 1];
    static const char *names[GOLDEN_MAX_NAMES];
    const int n = golden_names(names, GOLDEN_MAX_NAMES);
    for (int i = 0; i < n; i++) tests[i] = (struct CMUnitTest){ .name = names[i], .test_func = check_golden, .initial_state = (void *)names[i] };
    tests[n] = (struct CMUnitTest){ .name = "counts", .test_func = check_counts };
    if (n < 100 || pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx, NULL) != PARE_OK) return 1;
    const int failed = _cmocka_run_group_tests("folds", tests, (size_t)n + 1, NULL, NULL);
    pare_ctx_free(ctx);
    return failed;
}
