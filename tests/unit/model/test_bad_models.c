/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model folders in which something is wrong: one clear error each that names the place, before any weight is loaded; and what a caller
 * may do wrong with a good one. Every allocation fails once.
 */
#include "unit/model/model_golden.h"

#include <unistd.h>

static pare_ctx *ctx;

/* ----------------------------------------------------------------------------------------------- nothing is loaded before */

typedef struct watch { pare_gsource inner; int *loads; } watch;

static pare_status watch_check(void *user, const pare_gweight *w, bool *present, pare_err *err)
{
    watch *x = user;
    return x->inner.check(x->inner.user, w, present, err);
}
static pare_status watch_linear(void *user, pare_ctx *c, const pare_gweight *w, pare_linear *out, pare_err *err)
{
    watch *x = user;
    ++*x->loads;
    return x->inner.linear(x->inner.user, c, w, out, err);
}
static pare_status watch_vector(void *user, const pare_gweight *w, float *out, pare_err *err)
{
    watch *x = user;
    ++*x->loads;
    return x->inner.vector(x->inner.user, w, out, err);
}
static pare_status watch_table(void *user, const pare_gweight *w, int64_t row, float *out, pare_err *err)
{
    watch *x = user;
    ++*x->loads;
    return x->inner.table(x->inner.user, w, row, out, err);
}
static uint64_t watch_bytes(void *user, const pare_gweight *w)
{
    watch *x = user;
    return x->inner.bytes(x->inner.user, w);
}
static void watch_close(void *user)
{
    watch *x = user;
    x->inner.close(x->inner.user);
    free(x);
}

static bool has(void *user, const char *name) { return pare_weights_find(user, name) >= 0; }

/* What pare_model_engine does, with a source that counts what is read through it. */
static pare_status open_watched(const char *folder, int *loads, pare_err *err)
{
    pare_store *store = NULL;
    pare_weights *weights = NULL;
    pare_graph *graph = NULL;
    pare_engine *engine = NULL;
    *loads = 0;
    pare_status st = pare_store_open(folder, &store, err);
    if (st == PARE_OK) st = pare_weights_new(ctx, store, &weights, err);
    if (st == PARE_OK && !store->config) st = pare_fail(err, PARE_ERR_FORMAT, "no config.json");
    if (st == PARE_OK) {
        const pare_gnames names = { .has = has, .user = weights };
        st = pare_model_graph(pare_jdoc_root(store->config), "config.json", &names, &graph, err);
    }
    if (st == PARE_OK) {
        watch *w = calloc(1, sizeof *w);
        assert_non_null(w);
        w->loads = loads;
        assert_ok(pare_model_source(ctx, weights, PARE_DTYPE_NONE, &w->inner, err));
        const pare_gsource source = { .user = w, .check = watch_check, .linear = watch_linear, .vector = watch_vector, .table = watch_table,
                                      .bytes = watch_bytes, .close = watch_close };
        st = pare_engine_new(ctx, graph, &source, NULL, &engine, err);
    }
    pare_engine_free(engine);
    pare_weights_free(weights);
    pare_store_close(store);
    return st;
}

/* One error, one line, with `part` in it, and nothing was loaded. The same through pare_model_engine. Returns 1 when that is not so. */
static int refused(const char *what, const char *folder, const char *part)
{
    pare_err err = { 0 }, err2 = { 0 };
    running r;
    int loads;
    const char *wrong = NULL;
    if (open_watched(folder, &loads, &err) == PARE_OK) wrong = "accepted";
    else if (!strstr(err.text, part)) wrong = "something else is said";
    else if (strchr(err.text, '\n')) wrong = "more than one line";
    else if (loads) wrong = "weights were loaded before";
    else if (err.code != PARE_ERR_FORMAT && err.code != PARE_ERR_UNSUPPORTED && err.code != PARE_ERR_IO) wrong = "another status";
    else if (running_open(ctx, folder, PARE_DTYPE_NONE, NULL, &r, &err2) == PARE_OK) {
        wrong = "accepted by pare_model_engine";
        running_close(&r);
    }
    print_message("%-38s %s\n", what, err.text);
    if (wrong) print_error("%s: %s (expected '%s', status %d, %d weights loaded): '%s'\n", what, wrong, part, (int)err.code, loads, err.text);
    return wrong != NULL;
}

/* ----------------------------------------------------------------------------------------------------------------- weights */

typedef struct edit { const char *drop, *reshape, *retype; int64_t shape[2]; pare_dtype dtype; } edit;

static bool edit_spec(void *user, pare_spec *s)
{
    const edit *e = user;
    if (e->drop && !strcmp(s->name, e->drop)) return false;
    if (e->reshape && !strcmp(s->name, e->reshape)) memcpy(s->shape, e->shape, sizeof e->shape);
    if (e->retype && !strcmp(s->name, e->retype)) s->dtype = e->dtype;
    return true;
}

static void bad_weights(void **state)
{
    static const struct { const char *model, *what; edit e; const char *part; } cases[] = {
        { "llama_gqa", "missing matrix", { .drop = "model.layers.1.mlp.up_proj.weight" }, "model.layers.1.mlp.up_proj.weight" },
        { "llama_gqa", "missing norm", { .drop = "model.norm.weight" }, "model.norm.weight" },
        { "llama_gqa", "missing embedding", { .drop = "model.embed_tokens.weight" }, "embed_tokens.weight" },
        { "llama_attention_bias", "missing bias", { .drop = "model.layers.2.self_attn.q_proj.bias" }, "model.layers.2.self_attn.q_proj.bias" },
        { "llama_gqa", "wrong rows", { .reshape = "model.layers.0.self_attn.k_proj.weight", .shape = { 64, 64 } }, "[64, 64]" },
        { "llama_gqa", "transposed matrix", { .reshape = "model.layers.0.mlp.down_proj.weight", .shape = { 88, 64 } }, "model.layers.0.mlp.down_proj.weight" },
        { "llama_gqa", "short vocabulary", { .reshape = "model.embed_tokens.weight", .shape = { 100, 64 } }, "[100, 64]" },
        { "llama_gqa", "integers for floats", { .retype = "model.layers.0.mlp.up_proj.weight", .dtype = PARE_I32 }, "model.layers.0.mlp.up_proj.weight" },
        { "mixtral", "missing expert", { .drop = "model.layers.1.block_sparse_moe.experts.5.w2.weight" }, "experts.5.w2.weight" },
        { "mixtral", "missing router", { .drop = "model.layers.0.block_sparse_moe.gate.weight" }, "gate.weight" },
        { "gpt2", "Conv1D the other way round", { .reshape = "transformer.h.0.mlp.c_fc.weight", .shape = { 256, 64 } }, "transformer.h.0.mlp.c_fc.weight" },
        { "gpt2", "missing positions", { .drop = "transformer.wpe.weight" }, "wpe.weight" },
        { "falcon_7b", "missing fused matrix", { .drop = "transformer.h.1.self_attention.query_key_value.weight" }, "query_key_value.weight" },
        { "bert", "missing layer", { .drop = "encoder.layer.2.output.dense.weight" }, "encoder.layer.2.output.dense.weight" },
        { "t5", "missing cross-attention", { .drop = "decoder.block.1.layer.1.EncDecAttention.k.weight" }, "EncDecAttention.k.weight" },
        { "t5", "missing encoder matrix", { .drop = "encoder.block.0.layer.0.SelfAttention.q.weight" }, "encoder.block.0.layer.0.SelfAttention.q.weight" },
        { "bart", "missing encoder matrix", { .drop = "model.encoder.layers.1.fc1.weight" }, "encoder.layers.1.fc1.weight" },
    };
    int wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        golden *g = golden_open(cases[i].model);
        char what[96];
        snprintf(what, sizeof what, "%s: %s", cases[i].model, cases[i].what);
        wrong += refused(what, golden_write(g, &(golden_write_options){ .edit = edit_spec, .user = (void *)&cases[i].e }), cases[i].part);
        golden_free(g);
    }
    assert_int_equal(wrong, 0);
}

/* ------------------------------------------------------------------------------------------------------------- config.json */

static void bad_config(void **state)
{
    static const struct { const char *model, *key, *value, *part; } cases[] = {
        { "llama_gqa", "model_type", "\"perceptron9000\"", "perceptron9000" },
        { "llama_gqa", "model_type", "", "model_type" },
        { "llama_gqa", "model_type", "17", "model_type" },
        { "llama_gqa", "hidden_size", "", "hidden_size" },
        { "llama_gqa", "hidden_size", "-64", "hidden_size" },
        { "llama_gqa", "hidden_size", "0", "hidden_size" },
        { "llama_gqa", "hidden_size", "\"64\"", "hidden_size" },
        { "llama_gqa", "hidden_size", "96", "model." },
        { "llama_gqa", "num_hidden_layers", "4", "model.layers.3." },
        { "llama_gqa", "num_hidden_layers", "1000000000", "num_hidden_layers" },
        { "llama_gqa", "num_attention_heads", "0", "num_attention_heads" },
        { "llama_gqa", "num_attention_heads", "8", "model.layers.0.self_attn.q_proj.weight" },
        { "llama_gqa", "num_key_value_heads", "3", "3 key/value heads" },
        { "llama_gqa", "num_key_value_heads", "8", "8 key/value heads" },
        { "llama_gqa", "intermediate_size", "9223372036854775807", "intermediate_size" },
        { "llama_gqa", "vocab_size", "0", "vocab_size" },
        { "llama_gqa", "vocab_size", "-1", "vocab_size" },
        { "llama_gqa", "vocab_size", "1000000000000", "vocab_size" },
        { "llama_gqa", "vocab_size", "9223372036854775807", "vocab_size" },
        { "llama_gqa", "vocab_size", "32000", "[101, 64]" },
        { "llama_gqa", "hidden_act", "\"frobnicate\"", "frobnicate" },
        { "llama_gqa", "rms_norm_eps", "-1.0", "rms_norm_eps" },
        { "llama_gqa", "rope_parameters", "{\"rope_type\": \"spiral\", \"rope_theta\": 10000.0}", "spiral" },
        { "llama_gqa", "rope_parameters", "{\"rope_type\": \"linear\", \"rope_theta\": 10000.0}", "factor" },
        { "llama_gqa", "rope_parameters", "{\"rope_type\": \"linear\", \"factor\": 0.0, \"rope_theta\": 10000.0}", "factor" },
        { "llama_gqa", "rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": -5.0}", "rope_theta" },
        { "llama_head_dim", "head_dim", "23", "23 columns of a head" },
        { "phi3_short", "rope_parameters", "{\"rope_type\": \"longrope\", \"rope_theta\": 10000.0, \"short_factor\": [1.0], \"long_factor\": [1.0]}", "factor" },
        { "mistral", "sliding_window", "-8", "sliding_window" },
        { "gemma2", "query_pre_attn_scalar", "-1", "query_pre_attn_scalar" },
        { "gemma3", "layer_types", "[\"sliding_attention\"]", "layer_types" },
        { "mixtral", "num_experts_per_tok", "7", "7 of 6 experts" },
        { "mixtral", "num_local_experts", "1000000000000", "num_local_experts" },
        { "qwen3_moe", "decoder_sparse_step", "-2", "decoder_sparse_step" },
        { "gpt2", "n_head", "5", "64 is not a multiple of 5 heads" },
        { "gpt2", "n_layer", "-3", "n_layer" },
        { "gpt_neo", "attention_types", "[[[\"global\", \"diagonal\"], 2]]", "diagonal" },
        { "gpt_neo", "attention_types", "[[[\"global\"], 1000000000]]", "attention_types" },
        { "gptj", "rotary_dim", "17", "rotary_dim" },
        { "gptj", "rotary_dim", "64", "rotary_dim" },
        { "opt", "word_embed_proj_dim", "-1", "word_embed_proj_dim" },
        { "falcon_40b", "num_kv_heads", "3", "3 key/value heads" },
        { "bert", "num_attention_heads", "7", "48 is not a multiple of 7 heads" },
        { "bert", "max_position_embeddings", "1000000000000", "max_position_embeddings" },
        { "t5", "relative_attention_num_buckets", "0", "relative_attention_num_buckets" },
        { "t5", "feed_forward_proj", "\"gated-frobnicate\"", "frobnicate" },
        { "bart", "decoder_attention_heads", "5", "48 is not a multiple of 5 heads" },
    };
    int wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        golden *g = golden_open(cases[i].model);
        char *config = golden_config(g, cases[i].key, cases[i].value), what[96];
        snprintf(what, sizeof what, "%s: %s %.24s", cases[i].model, cases[i].key, *cases[i].value ? cases[i].value : "(absent)");
        wrong += refused(what, golden_write(g, &(golden_write_options){ .config = config }), cases[i].part);
        pare_dealloc(config);
        golden_free(g);
    }
    assert_int_equal(wrong, 0);
}

static void bad_files(void **state)
{
    golden *g = golden_open("llama_gqa");
    char path[512];
    int wrong = 0;
    (void)state;
    const char *folder = golden_write(g, NULL);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    const int64_t size = pare_file_size(path);
    assert_int_equal(truncate(path, size - 1), 0);
    wrong += refused("shard short of one byte", folder, "model.safetensors");
    assert_int_equal(truncate(path, size / 2), 0);
    wrong += refused("half a shard", folder, "model.safetensors");
    assert_int_equal(truncate(path, 5), 0);
    wrong += refused("shard of five bytes", folder, "model.safetensors");

    folder = golden_write(g, NULL);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    const char *index = "{\"metadata\": {}, \"weight_map\": {\"model.norm.weight\": \"model-00001-of-00002.safetensors\"}}";
    test_write(path, index, strlen(index));
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(unlink(path), 0);
    wrong += refused("missing shard", folder, "model-00001-of-00002.safetensors");

    folder = golden_write(g, NULL);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(unlink(path), 0);
    wrong += refused("no config.json", folder, "config.json");
    wrong += refused("config.json cut off", golden_write(g, &(golden_write_options){ .config = "{\"model_type\": \"llama\", \"hidd" }), "config.json");
    wrong += refused("config.json is a list", golden_write(g, &(golden_write_options){ .config = "[1, 2]" }), "config.json");
    wrong += refused("config.json is empty", golden_write(g, &(golden_write_options){ .config = "{}" }), "model_type");
    golden_free(g);
    assert_int_equal(wrong, 0);
}

/* ----------------------------------------------------------------------------------------------------------------- callers */

static void bad_calls(void **state)
{
    golden *g = golden_open("llama_gqa");
    pare_err err = { 0 };
    running r;
    int64_t rows, cols;
    const float *want = golden_numbers(g, "logits", &rows, &cols);
    float *out = calloc((size_t)(GOLDEN_MAX_ROWS * cols), sizeof *out);
    (void)state;
    assert_ok(running_open(ctx, golden_write(g, NULL), PARE_DTYPE_NONE, &(pare_engine_options){ .ctx = 36, .kv_dtype = PARE_F32 }, &r, &err));
    const int32_t high = 101, low = -1, seq = 1;
    assert_error(pare_engine_step(r.engine, &(pare_batch){ .n = 1, .ids = &high }, out, &err), PARE_ERR_USAGE, "101");
    assert_error(pare_engine_step(r.engine, &(pare_batch){ .n = 1, .ids = &low }, out, &err), PARE_ERR_USAGE, "-1");
    assert_int_not_equal(pare_engine_step(r.engine, &(pare_batch){ .n = 1, .ids = g->ids, .seq = &seq }, out, &err), PARE_OK);
    assert_int_equal(pare_engine_length(r.engine, 0), 0);
    assert_ok(pare_engine_step(r.engine, &(pare_batch){ .n = 33, .ids = g->ids }, out, &err));
    memset(&err, 0, sizeof err);
    assert_int_not_equal(pare_engine_step(r.engine, &(pare_batch){ .n = 4, .ids = g->ids + 33 }, out, &err), PARE_OK);
    if (!strstr(err.text, "36")) fail_msg("a full cache: '%s'", err.text);
    assert_int_equal(pare_engine_length(r.engine, 0), 33); /* as before, and it goes on */
    assert_ok(pare_engine_step(r.engine, &(pare_batch){ .n = 3, .ids = g->ids + 33 }, out, &err));
    assert_true(distance_of(want + 33 * cols, out, 3, cols).max <= 2 * g->tolerance);
    running_close(&r);
    assert_int_not_equal(running_open(ctx, golden_write(g, NULL), PARE_DTYPE_NONE, &(pare_engine_options){ .memory = 1000 }, &r, &err), PARE_OK);
    assert_int_equal(err.code, PARE_ERR_MEMORY);
    assert_non_null(strstr(err.text, "1000"));
    free(out);
    golden_free(g);
}

/* ------------------------------------------------------------------------------------------------------------- allocations */

typedef struct whole { const golden *g; const char *folder; float *out; } whole;

static pare_status open_and_run(void *arg)
{
    const whole *w = arg;
    pare_err err = { 0 };
    running r;
    pare_ctx *own = NULL;
    pare_status st = pare_ctx_new(&(pare_ctx_options){ .threads = 1 }, &own, &err);
    if (st != PARE_OK) return st;
    st = running_open(own, w->folder, PARE_DTYPE_NONE, NULL, &r, &err);
    if (st == PARE_OK && w->g->n_source) st = pare_engine_encode(r.engine, 0, w->g->source, w->g->n_source, &err);
    if (st == PARE_OK) st = pare_engine_step(r.engine, &(pare_batch){ .n = w->g->n_prompt, .ids = w->g->ids }, w->out, &err);
    if (st == PARE_OK && w->g->n_steps) st = pare_engine_step(r.engine, &(pare_batch){ .n = 1, .ids = w->g->ids + w->g->n_prompt }, w->out, &err);
    running_close(&r);
    pare_ctx_free(own);
    return st;
}

static void every_allocation(void **state)
{
    static const char *const models[] = { "llama_old_yarn", "gemma2", "mixtral", "gpt2_hub", "falcon_rw", "minilm_mean", "t5" };
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        golden *g = golden_open(models[i]);
        whole w = { .g = g, .folder = golden_write(g, NULL), .out = calloc(GOLDEN_MAX_ROWS * 256, sizeof(float)) };
        const int calls = test_every_allocation(open_and_run, &w);
        print_message("%-16s %d allocations\n", models[i], calls);
        free(w.out);
        golden_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_weights), cmocka_unit_test(bad_config), cmocka_unit_test(bad_files), cmocka_unit_test(bad_calls), cmocka_unit_test(every_allocation),
    };
    if (pare_ctx_new(&(pare_ctx_options){ .threads = 1 }, &ctx, NULL) != PARE_OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pare_ctx_free(ctx);
    return failed;
}
