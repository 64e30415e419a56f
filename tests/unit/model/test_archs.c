/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every golden model of tests/golden/archs against what transformers computes: prompt and cached decode steps, in one piece and in small
 * ones, several sequences at once, other types of cache, two threads. Names as arguments run only those: test_archs llama_gqa t5.
 */
#include "unit/model/model_golden.h"

/* Bounds for caches that round: on the median row, and ten times that on all together, as a router near a tie may send a token elsewhere. */
static const struct { pare_dtype dtype; const char *name; double bound; } caches[] = {
    { PARE_F16, "cache f16", 1e-3 },
    { PARE_BF16, "cache bf16", 8e-3 },
    { PARE_I8, "cache i8", 2e-2 },
};

static pare_ctx *ctx, *ctx2; /* one thread, two threads */

typedef struct outputs { float *at; int64_t rows, cols; } outputs;

/* What step() gives for a token of this graph. */
static int64_t columns_of(const pare_engine *e)
{
    const pare_graph *g = pare_engine_graph(e);
    const pare_gvalue *v = &g->values.at[g->logits != PARE_G_NONE ? g->logits : g->hidden_out];
    return v->shape[v->ndim - 1];
}

static const float *want_of(const golden *g, const pare_engine *e, int64_t *rows, int64_t *cols)
{
    const bool logits = pare_engine_graph(e)->logits != PARE_G_NONE;
    int64_t r, c;
    if (!logits && golden_numbers(g, "logits", &r, &c)) fail_msg("%s: the model has an output head, the graph has none", g->name);
    const float *want = golden_numbers(g, logits ? "logits" : "hidden", rows, cols);
    if (!want) fail_msg("%s: the graph has logits, the golden has none", g->name);
    if (*cols != columns_of(e)) fail_msg("%s: %lld columns, expected %lld", g->name, (long long)columns_of(e), (long long)*cols);
    return want;
}

static void step(const golden *g, pare_engine *e, const pare_batch *b, float *out)
{
    pare_err err = { 0 };
    if (pare_engine_step(e, b, out, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
}

/* Prompt in one step, then token by token. Caller frees. */
static float *run(const golden *g, pare_engine *e)
{
    pare_err err = { 0 };
    const int64_t cols = columns_of(e), rows = g->n_prompt + g->n_steps;
    float *out = calloc((size_t)(rows * cols), sizeof *out);
    assert_non_null(out);
    if (g->n_source && pare_engine_encode(e, 0, g->source, g->n_source, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    step(g, e, &(pare_batch){ .n = g->n_prompt, .ids = g->ids, .types = g->has_types ? g->types : NULL }, out);
    for (int64_t i = g->n_prompt; i < rows; i++) step(g, e, &(pare_batch){ .n = 1, .ids = &g->ids[i] }, out + i * cols);
    return out;
}

static void start(const golden *g, pare_ctx *with, const char *folder, const pare_engine_options *options, running *r)
{
    pare_err err = { 0 };
    if (running_open(with, folder, PARE_DTYPE_NONE, options, r, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
}

static void near(const golden *g, const char *what, const float *want, const float *got, int64_t rows, int64_t cols, double max)
{
    const distance d = distance_of(want, got, rows, cols);
    if (!(d.max <= max))
        fail_msg("%s, %s: off by %.3g of the range at row %lld column %lld (%g, expected %g), rms %.3g; allowed %.1g", g->name, what, d.max,
                 (long long)d.row, (long long)d.col, (double)got[d.row * cols + d.col], (double)want[d.row * cols + d.col], d.rms, max);
}

/* ------------------------------------------------------------------------------------------------------------ one golden */

static void check_exact(const golden *g, const char *folder)
{
    running r;
    int64_t rows, cols;
    start(g, ctx, folder, &(pare_engine_options){ .ctx = g->ctx, .kv_dtype = PARE_F32 }, &r);
    const float *want = want_of(g, r.engine, &rows, &cols);
    float *out = run(g, r.engine);
    assert_int_equal(rows, g->n_prompt + g->n_steps);
    const distance d = distance_of(want, out, rows, cols);
    print_message("%-22s %.1e of the range (%.0e allowed)\n", g->name, d.max, g->tolerance);
    near(g, "whole prompt", want, out, rows, cols, g->tolerance);
    for (int64_t i = 0; i < g->n_steps; i++) {
        const int64_t best = best_of(out + (g->n_prompt - 1 + i) * cols, cols);
        if (best != g->ids[g->n_prompt + i])
            fail_msg("%s: greedy token %lld is %lld, expected %d", g->name, (long long)i, (long long)best, g->ids[g->n_prompt + i]);
    }
    if (g->n_steps) { /* the last token once more: the row before it is forgotten and made again */
        float *again = calloc((size_t)cols, sizeof *again);
        assert_int_equal(pare_engine_length(r.engine, 0), rows);
        pare_engine_truncate(r.engine, 0, rows - 1);
        assert_int_equal(pare_engine_length(r.engine, 0), rows - 1);
        step(g, r.engine, &(pare_batch){ .n = 1, .ids = &g->ids[rows - 1] }, again);
        assert_memory_equal(again, out + (rows - 1) * cols, (size_t)cols * sizeof *again);
        free(again);
        pare_engine_truncate(r.engine, 0, 0); /* and the whole from the beginning */
        again = run(g, r.engine);
        assert_memory_equal(again, out, (size_t)(rows * cols) * sizeof *again);
        free(again);
    }
    free(out);
    running_close(&r);
}

static void check_chunks(const golden *g, const char *folder)
{
    running r;
    int64_t rows, cols;
    start(g, ctx, folder, &(pare_engine_options){ .ctx = g->ctx, .kv_dtype = PARE_F32, .chunk = 5 }, &r);
    const float *want = want_of(g, r.engine, &rows, &cols);
    float *out = run(g, r.engine);
    near(g, "chunks of 5", want, out, rows, cols, g->tolerance);
    free(out);
    running_close(&r);
}

static void check_caches(const golden *g, const char *folder)
{
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
        running r;
        int64_t rows, cols;
        start(g, ctx, folder, &(pare_engine_options){ .ctx = g->ctx, .kv_dtype = caches[i].dtype }, &r);
        const float *want = want_of(g, r.engine, &rows, &cols);
        float *out = run(g, r.engine);
        const distance d = distance_of(want, out, rows, cols);
        if (!(d.median <= caches[i].bound) || !(d.rms <= 10 * caches[i].bound))
            fail_msg("%s, %s: median row off by %.3g of the range, rms %.3g; allowed %.1g", g->name, caches[i].name, d.median, d.rms, caches[i].bound);
        if (!(d.rms > 0)) fail_msg("%s, %s: rounds nothing", g->name, caches[i].name);
        free(out);
        running_close(&r);
    }
}

/* Results must be the same bits for every number of threads. */
static void check_threads(const golden *g, const char *folder)
{
    running r1, r2;
    int64_t rows, cols;
    start(g, ctx, folder, &(pare_engine_options){ .ctx = g->ctx, .kv_dtype = PARE_F32 }, &r1);
    start(g, ctx2, folder, &(pare_engine_options){ .ctx = g->ctx, .kv_dtype = PARE_F32 }, &r2);
    want_of(g, r1.engine, &rows, &cols);
    float *a = run(g, r1.engine), *b = run(g, r2.engine);
    if (memcmp(a, b, (size_t)(rows * cols) * sizeof *a)) fail_msg("%s: two threads give other numbers than one", g->name);
    free(a);
    free(b);
    running_close(&r1);
    running_close(&r2);
}

static void put(int32_t *ids, int32_t *seq, int64_t *n, const int32_t *from, int64_t count, int32_t slot)
{
    memcpy(ids + *n, from, (size_t)count * sizeof *ids);
    for (int64_t i = 0; i < count; i++) seq[*n + i] = slot;
    *n += count;
}

/* Two sequences of the same tokens; the second one starts earlier and goes in other steps. */
static void check_two(const golden *g, const char *folder)
{
    running r;
    int64_t rows, cols, n = 0, lead = g->n_prompt > 10 ? 10 : 3;
    int32_t ids[2 * GOLDEN_MAX_ROWS], seq[2 * GOLDEN_MAX_ROWS];
    pare_err err = { 0 };
    start(g, ctx, folder, &(pare_engine_options){ .ctx = g->ctx, .kv_dtype = PARE_F32, .sequences = 2 }, &r);
    const float *want = want_of(g, r.engine, &rows, &cols);
    float *first = calloc((size_t)(rows * cols), sizeof *first), *second = calloc((size_t)(rows * cols), sizeof *second);
    float *out = calloc((size_t)(2 * rows * cols), sizeof *out);
    for (int slot = 0; slot < 2 && g->n_source; slot++)
        if (pare_engine_encode(r.engine, slot, g->source, g->n_source, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    put(ids, seq, &n, g->ids, lead, 1);
    step(g, r.engine, &(pare_batch){ .n = n, .ids = ids, .seq = seq }, second);
    n = 0;
    put(ids, seq, &n, g->ids, g->n_prompt, 0);
    put(ids, seq, &n, g->ids + lead, g->n_prompt - lead, 1);
    step(g, r.engine, &(pare_batch){ .n = n, .ids = ids, .seq = seq }, out);
    memcpy(first, out, (size_t)(g->n_prompt * cols) * sizeof *out);
    memcpy(second + lead * cols, out + g->n_prompt * cols, (size_t)((g->n_prompt - lead) * cols) * sizeof *out);
    for (int64_t i = g->n_prompt; i < rows; i++) {
        n = 0;
        put(ids, seq, &n, g->ids + i, 1, 0);
        put(ids, seq, &n, g->ids + i, 1, 1);
        step(g, r.engine, &(pare_batch){ .n = n, .ids = ids, .seq = seq }, out);
        memcpy(first + i * cols, out, (size_t)cols * sizeof *out);
        memcpy(second + i * cols, out + cols, (size_t)cols * sizeof *out);
    }
    near(g, "first of two sequences", want, first, rows, cols, g->tolerance);
    if (g->chunks) near(g, "second of two sequences", want, second, rows, cols, g->tolerance);
    free(first);
    free(second);
    free(out);
    running_close(&r);
}

/* Only some rows are wanted: the same numbers as those rows have when all are. */
static void check_wanted(const golden *g, const char *folder)
{
    running r;
    int64_t rows, cols, n = 0;
    uint8_t want[GOLDEN_MAX_ROWS] = { 0 };
    start(g, ctx, folder, &(pare_engine_options){ .ctx = g->ctx, .kv_dtype = PARE_F32 }, &r);
    const float *all = want_of(g, r.engine, &rows, &cols);
    float *picked = calloc((size_t)(rows * cols), sizeof *picked), *out = calloc((size_t)(rows * cols), sizeof *out);
    for (int64_t i = 0; i < g->n_prompt; i++)
        if ((want[i] = i % 5 == 1 || i + 1 == g->n_prompt)) memcpy(picked + n++ * cols, all + i * cols, (size_t)cols * sizeof *all);
    if (g->n_source) assert_ok(pare_engine_encode(r.engine, 0, g->source, g->n_source, NULL));
    step(g, r.engine, &(pare_batch){ .n = g->n_prompt, .ids = g->ids, .want = want }, out);
    near(g, "some rows wanted", picked, out, n, cols, 1.5 * g->tolerance); /* the range of fewer rows is smaller */
    free(picked);
    free(out);
    running_close(&r);
}

/* Encoders: texts beside each other do not see each other, and pooling is the checkpoint's. */
static void check_encoder(const golden *g, const char *folder)
{
    running r;
    int64_t rows, cols, n = 0, pooled_rows, dim;
    int32_t ids[2 * GOLDEN_MAX_ROWS], seq[2 * GOLDEN_MAX_ROWS], types[2 * GOLDEN_MAX_ROWS] = { 0 };
    pare_err err = { 0 };
    start(g, ctx, folder, &(pare_engine_options){ .sequences = 2 }, &r);
    const float *want = want_of(g, r.engine, &rows, &cols), *pooled = golden_numbers(g, "pooled", &pooled_rows, &dim);
    float *out = calloc((size_t)(2 * rows * cols), sizeof *out);
    put(ids, seq, &n, g->ids + 5, 20, 1);
    put(ids, seq, &n, g->ids, g->n_prompt, 0);
    memcpy(types + 20, g->types, (size_t)g->n_prompt * sizeof *types);
    const pare_batch batch = { .n = n, .ids = ids, .seq = seq, .types = g->has_types ? types : NULL };
    step(g, r.engine, &batch, out);
    near(g, "second of two texts", want, out + 20 * cols, rows, cols, g->tolerance);
    if (pooled) {
        float *vectors = calloc((size_t)(2 * dim), sizeof *vectors);
        assert_int_not_equal(pare_engine_graph(r.engine)->pooled, PARE_G_NONE);
        if (pare_engine_pool(r.engine, &batch, vectors, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
        near(g, "pooled", pooled, vectors + dim, 1, dim, g->tolerance);
        free(vectors);
    }
    free(out);
    running_close(&r);
}

static void check_golden(void **state)
{
    const char *name = *state;
    golden *g = golden_open(name);
    const char *folder = golden_write(g, NULL);
    check_exact(g, folder);
    check_threads(g, folder);
    check_chunks(g, folder);
    if (g->n_steps) {
        check_two(g, folder);
        check_wanted(g, folder);
        check_caches(g, folder);
    } else
        check_encoder(g, folder);
    golden_free(g);
}

/* Each architecture that claims to run has a golden, so that none goes unverified. */
static void check_all_covered(void **state)
{
    const char *names[GOLDEN_MAX_NAMES];
    const int n = golden_names(names, GOLDEN_MAX_NAMES);
    (void)state;
    for (const pare_arch *const *a = pare_archs(); *a; a++) {
        bool found = false;
        for (int i = 0; i < n && !found && (*a)->graph; i++) {
            golden *g = golden_open(names[i]);
            found = pare_arch_find(pare_j_text(pare_j_get(pare_j_get(g->json, "config"), "model_type"), "")) == *a;
            golden_free(g);
        }
        if ((*a)->graph && !found) fail_msg("architecture %s has no golden model", (*a)->name);
    }
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[GOLDEN_MAX_NAMES + 1];
    static const char *names[GOLDEN_MAX_NAMES];
    size_t n = 0;
    const int all = golden_names(names, GOLDEN_MAX_NAMES);
    for (int i = 0; i < all; i++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++) wanted = wanted || !strcmp(argv[a], names[i]);
        if (wanted) tests[n++] = (struct CMUnitTest){ .name = names[i], .test_func = check_golden, .initial_state = (void *)names[i] };
    }
    if (argc < 2) tests[n++] = (struct CMUnitTest){ .name = "all_covered", .test_func = check_all_covered };
    if (n < (argc < 2 ? 100u : 1u)) {
        fprintf(stderr, "test_archs: golden models are missing\n");
        return 1;
    }
    if (pare_ctx_new(&(pare_ctx_options){ .threads = 1 }, &ctx, NULL) != PARE_OK || pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx2, NULL) != PARE_OK)
        return 1;
    const int failed = _cmocka_run_group_tests("archs", tests, n, NULL, NULL);
    pare_ctx_free(ctx);
    pare_ctx_free(ctx2);
    return failed;
}
