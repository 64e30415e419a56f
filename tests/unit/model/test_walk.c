/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over every golden model: what reaches each layer, and what comes out in the end, is what the engine computes for the same text in one
 * chunk, bit for bit; in both streams, in memory and in a work file, with one thread and with two; an encoder-decoder reads a text twice.
 */
#include "unit/model/model_golden.h"

enum { TEXTS = 3, MOST_SEEN = 4096 };

static pare_ctx *ctx, *ctx2;

/* Inputs of linear layers, as the engine shows them; known by the weight's name and slice, as the engine's graph is gone when a walk is compared. */
typedef struct seen_rows { char key[160]; int64_t text, n; float *x; } seen_rows;
typedef struct record { seen_rows at[MOST_SEEN]; int n; int64_t text; } record;

static void key_of(const pare_gweight *w, char key[160]) { snprintf(key, 160, "%.120s/%lld/%lld", w->name, (long long)w->of_index, (long long)w->row0); }

static pare_status note(void *user, const pare_gnode *node, int which, const pare_gweight *w, const float *x, int64_t n, int64_t cols, const float *y, int64_t rows,
                        pare_err *err)
{
    record *r = user;
    seen_rows *s = &r->at[r->n++];
    (void)node, (void)which, (void)y, (void)rows, (void)err;
    assert_true(r->n <= MOST_SEEN);
    *s = (seen_rows){ .text = r->text, .n = n, .x = malloc((size_t)(n * cols) * sizeof *x) };
    assert_non_null(s->x);
    memcpy(s->x, x, (size_t)(n * cols) * sizeof *x);
    key_of(w, s->key);
    return PARE_OK;
}

typedef struct texts { int32_t ids[TEXTS][GOLDEN_MAX_ROWS]; pare_walk_text at[TEXTS]; } texts;

/* The golden's own prompt, the prompt backwards, and its first ids. */
static void make_texts(const golden *g, texts *t)
{
    for (int k = 0; k < TEXTS; k++) {
        const int64_t n = k == 2 ? (g->n_prompt + 1) / 2 : g->n_prompt;
        for (int64_t i = 0; i < n; i++) t->ids[k][i] = g->ids[k == 1 ? n - 1 - i : i];
        t->at[k] = (pare_walk_text){ t->ids[k], n };
    }
}

static int64_t columns_of(const pare_graph *g)
{
    const pare_gvalue *v = &g->values.at[g->logits >= 0 ? g->logits : g->hidden_out];
    return v->shape[v->ndim - 1];
}

typedef struct result { float *at; int64_t rows, cols; } result;

static void run_engine(const char *folder, const texts *t, record *r, result out[TEXTS])
{
    running run;
    pare_err err = { 0 };
    if (running_open(ctx, folder, PARE_DTYPE_NONE, &(pare_engine_options){ .ctx = GOLDEN_MAX_ROWS, .kv_dtype = PARE_F32 }, &run, &err) != PARE_OK) fail_msg("%s", err.text);
    const pare_graph *graph = pare_engine_graph(run.engine);
    pare_engine_observe(run.engine, &(pare_observer){ r, note });
    for (int k = 0; k < TEXTS; k++) {
        int32_t ids[GOLDEN_MAX_ROWS];
        pare_batch b = { .n = t->at[k].n, .ids = t->at[k].ids };
        r->text = k;
        out[k] = (result){ .rows = b.n, .cols = columns_of(graph) };
        out[k].at = calloc((size_t)(out[k].rows * out[k].cols), sizeof(float));
        assert_non_null(out[k].at);
        pare_engine_truncate(run.engine, 0, 0);
        if (pare_engine_encoder(run.engine)) {
            if (pare_engine_encode(run.engine, 0, b.ids, b.n, &err) != PARE_OK) fail_msg("%s", err.text);
            ids[0] = (int32_t)graph->decoder_start;
            memcpy(ids + 1, b.ids, (size_t)(b.n - 1) * sizeof *ids);
            if (graph->decoder_start >= 0) b.ids = ids;
        }
        if (pare_engine_step(run.engine, &b, out[k].at, &err) != PARE_OK) fail_msg("%s", err.text);
    }
    running_close(&run);
}

static void check_rows(const char *name, const record *r, const pare_gweight *w, int64_t text, const float *x, int64_t n, int64_t cols)
{
    char key[160];
    key_of(w, key);
    for (int i = 0; i < r->n; i++) {
        const seen_rows *s = &r->at[i];
        if (s->text != text || strcmp(s->key, key)) continue;
        if (s->n != n || memcmp(s->x, x, (size_t)(n * cols) * sizeof *x))
            fail_msg("%s: text %lld: rows that reach %s differ from the engine's (%lld rows, expected %lld)", name, (long long)text, key, (long long)n, (long long)s->n);
        return;
    }
    fail_msg("%s: the engine shows no %s", name, key);
}

typedef struct expert_look { const char *name; const record *r; const pare_graph *g; int32_t node; int64_t calls; } expert_look;

static pare_status see(void *user, int64_t text, int which, const float *x, int64_t n, int64_t cols, const int32_t *tokens, pare_err *err)
{
    expert_look *l = user;
    (void)err;
    check_rows(l->name, l->r, &l->g->weights.at[l->g->nodes.at[l->node].w[which]], text, x, n, cols);
    for (int64_t k = 0; k < n; k++) assert_true(tokens[k] >= 0 && (k == 0 || tokens[k] > tokens[k - 1]));
    l->calls++;
    return PARE_OK;
}

static void check_sites(const golden *g, pare_walk *w, int stream, const record *r, int64_t *checked)
{
    int64_t n;
    pare_err err = { 0 };
    const pare_walk_site *sites = pare_walk_sites(w, &n);
    for (int64_t i = 0; i < n; i++) {
        const pare_walk_site *s = &sites[i];
        if (s->piece != pare_walk_at(w, stream)) continue;
        if (s->expert >= 0) {
            expert_look l = { g->name, r, s->graph, s->node, 0 };
            if (s->expert > 0) continue;
            if (pare_walk_observe(w, stream, s->node, s->stage, see, &l, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
            assert_true(l.calls > 0);
            *checked += l.calls;
            continue;
        }
        for (int64_t t = 0; t < TEXTS; t++) {
            const float *x;
            int64_t rows;
            pare_walk_rows(w, stream, s, t, &x, &rows);
            check_rows(g->name, r, &s->graph->weights.at[s->readers[0].weight], t, x, rows, s->cols);
            ++*checked;
        }
    }
}

typedef struct row_check { const golden *g; const result *want; int64_t rows; } row_check;

static pare_status check_result(void *user, int64_t token, const float *row, pare_err *err)
{
    row_check *c = user;
    (void)err;
    if (memcmp(row, c->want->at + token * c->want->cols, (size_t)c->want->cols * sizeof *row)) fail_msg("%s: row %lld of the walk's result differs from the engine's", c->g->name, (long long)token);
    c->rows++;
    return PARE_OK;
}

static void check_walk(const golden *g, pare_ctx *with, const char *folder, const char *file, const texts *t, const record *r, const result want[TEXTS])
{
    pare_store *store = NULL;
    pare_weights *weights = NULL;
    pare_walk *w = NULL;
    pare_err err = { 0 };
    int64_t checked = 0;
    if (pare_store_open(folder, &store, &err) != PARE_OK || pare_weights_new(with, store, &weights, &err) != PARE_OK) fail_msg("%s", err.text);
    if (pare_model_walk(with, weights, t->at, TEXTS, &(pare_walk_options){ .streams = 2, .file = file }, &w, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    /* the second stream stays one piece behind the first, so that neither can lean on what the other left in the engine */
    for (int p = 0; p <= pare_walk_pieces(w); p++)
        for (int s = 0; s < 2; s++) {
            if (p - s < 0 || p - s >= pare_walk_pieces(w)) continue;
            check_sites(g, w, s, r, &checked);
            if (pare_walk_run(w, s, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
        }
    assert_true(checked > 0);
    for (int s = 0; s < 2; s++)
        for (int k = 0; k < TEXTS; k++) {
            row_check c = { g, &want[k], 0 };
            if (pare_walk_result(w, s, k, check_result, &c, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
            assert_int_equal(c.rows, want[k].rows);
        }
    pare_walk_free(w);
    if (file) assert_false(pare_path_exists(file));
    pare_weights_free(weights);
    pare_store_close(store);
}

static void check_golden(void **state)
{
    golden *g = golden_open(*state);
    const char *folder = golden_write(g, NULL);
    static record k;
    result want[TEXTS];
    texts t;
    k.n = 0;
    make_texts(g, &t);
    run_engine(folder, &t, &k, want);
    check_walk(g, ctx, folder, NULL, &t, &k, want);
    check_walk(g, ctx2, folder, test_path("states"), &t, &k, want);
    for (int i = 0; i < k.n; i++) free(k.at[i].x);
    for (int i = 0; i < TEXTS; i++) free(want[i].at);
    golden_free(g);
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[GOLDEN_MAX_NAMES];
    static const char *names[GOLDEN_MAX_NAMES];
    size_t n = 0;
    const int all = golden_names(names, GOLDEN_MAX_NAMES);
    for (int i = 0; i < all; i++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++) wanted = wanted || !strcmp(argv[a], names[i]);
        if (wanted) tests[n++] = (struct CMUnitTest){ .name = names[i], .test_func = check_golden, .initial_state = (void *)names[i] };
    }
    if (n < (argc < 2 ? 100u : 1u)) {
        fprintf(stderr, "test_walk: golden models are missing\n");
        return 1;
    }
    if (pare_ctx_new(&(pare_ctx_options){ .threads = 1 }, &ctx, NULL) != PARE_OK || pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx2, NULL) != PARE_OK)
        return 1;
    const int failed = _cmocka_run_group_tests("walk", tests, n, NULL, NULL);
    pare_ctx_free(ctx);
    pare_ctx_free(ctx2);
    return failed;
}
