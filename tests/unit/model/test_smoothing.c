/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Smoothing alone: scales that smoothquant and awq find on calibration rows, multiplied in and divided out by the job's own code where nothing is
 * quantized, change the float model by less than 1e-5 of its range; a model of every family that has folds.
 */
#include <math.h>

#include "flow/calibrate.h"
#include "unit/model/model_golden.h"

/* Not GPT-2: its matrices lie the other way round and stay in float where a method looks at inputs. */
static const char *const models[] = {
    "llama", "llama_gqa", "llama_attention_bias", "mistral", "qwen2", "qwen3", "smollm3", "gemma", "gemma2", "gemma3", "phi", "phi3", "stablelm",
    "stablelm_parallel", "olmo", "olmo2", "mixtral", "qwen3_moe", "olmoe", "gpt_neo", "gpt_neox", "gptj", "codegen", "opt", "bloom", "falcon_7b",
    "falcon_40b", "mpt", "bert", "distilbert", "roberta", "t5", "flan_t5", "bart", "marian",
};

static pare_ctx *ctx;

static float *result_of(const golden *g, const char *folder, int64_t *cols)
{
    running r;
    pare_err err = { 0 };
    if (running_open(ctx, folder, PARE_F32, &(pare_engine_options){ .kv_dtype = PARE_F32 }, &r, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    const pare_graph *graph = pare_engine_graph(r.engine);
    const pare_gvalue *v = &graph->values.at[graph->logits != PARE_G_NONE ? graph->logits : graph->hidden_out];
    *cols = v->shape[v->ndim - 1];
    float *out = calloc((size_t)(g->n_prompt * *cols), sizeof *out);
    assert_non_null(out);
    if (g->n_source) assert_ok(pare_engine_encode(r.engine, 0, g->source, g->n_source, &err));
    assert_ok(pare_engine_step(r.engine, &(pare_batch){ .n = g->n_prompt, .ids = g->ids, .types = g->has_types ? g->types : NULL }, out, &err));
    running_close(&r);
    return out;
}

/* The float checkpoint, written with the folds that a calibration found. */
static void write_folded(const pare_weights *weights, const pare_plan *found, const char *folder)
{
    const pare_quantize_options options = { .dtype = "f32" };
    pare_journal *journal;
    pare_journal_state state;
    pare_plan *plan;
    pare_err err = { 0 };
    char hash[8][65], input[8][65] = { { 0 } };
    if (pare_plan_new(ctx, PARE_PLAN_CONVERT, weights, &options, &plan, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_int_equal(plan->n_items, found->n_items);
    assert_true(plan->n_shards <= 8);
    for (size_t i = 0; i < found->folds.n; i++) assert_true(PARE_VEC_PUSH(&plan->folds, found->folds.at[i]));
    for (int64_t i = 0; i < plan->n_items; i++) {
        plan->items[i].fold_columns = found->items[i].fold_columns;
        plan->items[i].fold_by = found->items[i].fold_by;
    }
    assert_ok(pare_journal_open(folder, "test", false, plan, &journal, &state, hash, &err));
    if (pare_stream_run(ctx, plan, weights, folder, &(pare_stream_options){ 0 }, journal, &state, hash, &err) != PARE_OK) fail_msg("%s", err.text);
    pare_journal_close(journal);
    const pare_finish f = { .plan = plan, .weights = weights, .options = &options, .command = "test", .plan_hash = "", .folder = folder,
                            .shard_hash = (const char(*)[65])hash, .input_hash = (const char(*)[65])input };
    assert_ok(pare_finish_folder(ctx, &f, &err));
    pare_plan_free(plan);
}

/* Folds, and how many of them have scales other than 1. */
static int smooth(const golden *g, const char *folder, const char *method, const char *scheme, const char *set, const char *out, int *scaled)
{
    char work[320];
    pare_store *store;
    pare_weights *weights;
    pare_plan *plan;
    pare_workstore *kept;
    pare_err err = { 0 };
    const pare_walk_text text = { g->ids, g->n_prompt };
    const pare_calibration_texts texts = { .texts = (pare_walk_text *)(uintptr_t)&text, .n = 1, .seq_len = g->n_prompt, .tokens = g->n_prompt };
    const pare_quantize_options options = { .method = method, .scheme_name = scheme, .set = &set, .n_set = set ? 1 : 0 };
    snprintf(work, sizeof work, "%s-work", out);
    assert_ok(pare_make_folder(work, &err));
    assert_ok(pare_make_folder(out, &err));
    assert_ok(pare_store_open(folder, &store, &err));
    assert_ok(pare_weights_new(ctx, store, &weights, &err));
    if (pare_plan_new(ctx, PARE_PLAN_QUANTIZE, weights, &options, &plan, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    assert_ok(pare_calibrate_plan(ctx, plan, weights, &err));
    assert_ok(pare_workstore_open(work, false, &kept, &err));
    if (plan->calibrated && pare_calibrate_run(ctx, plan, weights, &texts, &options, kept, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    const int n = (int)plan->folds.n;
    *scaled = 0;
    for (int i = 0; i < n; i++) {
        bool other = false;
        for (int64_t k = 0; k < plan->folds.at[i].cols; k++) other = other || plan->folds.at[i].scale[k] != 1.0f;
        *scaled += other;
    }
    write_folded(weights, plan, out);
    pare_workstore_close(kept);
    pare_plan_free(plan);
    pare_weights_free(weights);
    pare_store_close(store);
    assert_ok(pare_remove_tree(work, &err));
    return n;
}

static int searched, found; /* awq: models, folds with scales */

static void check(void **state)
{
    static const struct { const char *method, *scheme, *set; } by[] = { { "smoothquant", "W8A8", "alpha=0.5" }, { "awq", "W4A16:g16", "grid=5" } };
    static int count;
    const char *model = *state;
    golden *g = golden_open(model);
    const char *folder = golden_write(g, NULL);
    int64_t cols;
    float *want = result_of(g, folder, &cols);
    for (int i = 0; i < 2; i++) {
        char out[300];
        int scaled;
        snprintf(out, sizeof out, "%s/smoothed-%d", test_folder(), count++);
        const int folds = smooth(g, folder, by[i].method, by[i].scheme, by[i].set, out, &scaled);
        float *got = result_of(g, out, &cols);
        const distance d = distance_of(want, got, g->n_prompt, cols);
        print_message("%-22s %-12s %2d folds, %2d scaled: %.1e of the range\n", model, by[i].method, folds, scaled, d.max);
        if (i == 0 && scaled < 1) fail_msg("%s, %s: %d folds, %d with scales", model, by[i].method, folds, scaled);
        if (i == 1) searched++, found += scaled; /* a search may find that no scale helps a random model */
        if (!(d.max < 1e-5)) fail_msg("%s, %s: %d folds move the float model by %.3g of its range", model, by[i].method, folds, d.max);
        free(got);
        assert_ok(pare_remove_tree(out, NULL));
    }
    free(want);
    golden_free(g);
}

/* More folds than models: what was checked were not unit scales. */
static void scales_were_found(void **state)
{
    (void)state;
    if (found <= searched) fail_msg("awq scaled %d folds of %d models", found, searched);
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[sizeof models / sizeof *models + 1];
    size_t n = 0;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (argc < 2 || !strcmp(argv[1], models[i])) tests[n++] = (struct CMUnitTest){ .name = models[i], .test_func = check, .initial_state = (void *)(uintptr_t)models[i] };
    if (n > 1) tests[n++] = (struct CMUnitTest){ .name = "scales_were_found", .test_func = scales_were_found };
    if (pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx, NULL) != PARE_OK) return 1;
    const int failed = _cmocka_run_group_tests("smoothing", tests, n, NULL, NULL);
    pare_ctx_free(ctx);
    return failed;
}
