/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs of the Llama kind without weights: values of config.json that make no sense are one clear error each, names are found under every
 * prefix and layout of experts, sizes come out as they must, rotary frequencies in closed form, nothing leaks when memory is gone.
 */
#include <math.h>

#include "model/model.h"
#include "support/support.h"

typedef struct pair { const char *key, *value; } pair;

/* A small model of that type, one or two values changed; value NULL: the key is left out. Borrowed until the next call. */
static const char *config_text(const char *type, pair a, pair b)
{
    static const pair base[] = {{"hidden_size", "64"}, {"intermediate_size", "96"}, {"num_hidden_layers", "2"}, {"num_attention_heads", "4"},
                                {"num_key_value_heads", "2"}, {"vocab_size", "100"}, {"head_dim", "16"}, {"max_position_embeddings", "128"},
                                {"num_experts", "4"}, {"num_experts_per_tok", "2"}, {"moe_intermediate_size", "40"}};
    static char text[2048];
    const pair changes[] = {a, b};
    size_t n = (size_t)pare_print(text, sizeof text, "{\"model_type\": \"%s\"", type);
    for (size_t i = 0; i < sizeof base / sizeof *base; i++) {
        bool changed = false;
        for (int c = 0; c < 2; c++) changed |= changes[c].key && strcmp(changes[c].key, base[i].key) == 0;
        if (!changed) n += (size_t)pare_print(text + n, sizeof text - n, ", \"%s\": %s", base[i].key, base[i].value);
    }
    for (int c = 0; c < 2; c++)
        if (changes[c].key && changes[c].value) n += (size_t)pare_print(text + n, sizeof text - n, ", \"%s\": %s", changes[c].key, changes[c].value);
    pare_print(text + n, sizeof text - n, "}");
    return text;
}

static pare_status build(const char *text, const pare_gnames *names, pare_graph **out, pare_err *err)
{
    pare_jdoc *doc = NULL;
    pare_status st = pare_jdoc_parse(text, strlen(text), "config.json", &doc, err);
    *out = NULL;
    if (st == PARE_OK) st = pare_model_graph(pare_jdoc_root(doc), "config.json", names, out, err);
    pare_jdoc_free(doc);
    return st;
}

/* ---------------------------------------------------------------------------------------------------------- bad configs */

typedef struct bad { const char *type; pair a, b; pare_status status; const char *part; } bad;

#define NONE {NULL, NULL}
static const bad bads[] = {
    {"llama", {"hidden_size", NULL}, NONE, PARE_ERR_FORMAT, "'hidden_size' is missing"},
    {"llama", {"num_hidden_layers", NULL}, NONE, PARE_ERR_FORMAT, "'num_hidden_layers' is missing"},
    {"llama", {"vocab_size", NULL}, NONE, PARE_ERR_FORMAT, "'vocab_size' is missing"},
    {"llama", {"intermediate_size", "null"}, NONE, PARE_ERR_FORMAT, "'intermediate_size' is missing"},
    {"llama", {"hidden_size", "-64"}, NONE, PARE_ERR_FORMAT, "'hidden_size' is -64"},
    {"llama", {"hidden_size", "0"}, NONE, PARE_ERR_FORMAT, "'hidden_size' is 0"},
    {"llama", {"hidden_size", "\"64\""}, NONE, PARE_ERR_FORMAT, "'hidden_size' is not a whole number"},
    {"llama", {"hidden_size", "62"}, {"head_dim", NULL}, PARE_ERR_FORMAT, "62 is not a multiple of 4 heads"},
    {"llama", {"num_key_value_heads", "3"}, NONE, PARE_ERR_FORMAT, "4 attention heads cannot share 3"},
    {"llama", {"num_key_value_heads", "8"}, NONE, PARE_ERR_FORMAT, "4 attention heads cannot share 8"},
    {"llama", {"vocab_size", "9000000000"}, NONE, PARE_ERR_FORMAT, "'vocab_size' is 9000000000"},
    {"llama", {"num_hidden_layers", "100000"}, NONE, PARE_ERR_FORMAT, "'num_hidden_layers' is 100000"},
    {"llama", {"head_dim", "15"}, NONE, PARE_ERR_FORMAT, "15 of the 15 columns"},
    {"llama", {"rms_norm_eps", "-1"}, NONE, PARE_ERR_FORMAT, "'rms_norm_eps' is -1"},
    {"llama", {"hidden_act", "\"loud\""}, NONE, PARE_ERR_UNSUPPORTED, "activation 'loud'"},
    {"llama", {"attention_bias", "3"}, NONE, PARE_ERR_FORMAT, "'attention_bias' is neither true nor false"},
    {"llama", {"tie_word_embeddings", "\"yes\""}, NONE, PARE_ERR_FORMAT, "'tie_word_embeddings'"},
    {"llama", {"rope_theta", "-5"}, NONE, PARE_ERR_FORMAT, "'rope_theta' is -5"},
    {"llama", {"rope_parameters", "{\"rope_theta\": 0}"}, NONE, PARE_ERR_FORMAT, "'rope_theta' of the rotary embedding"},
    {"llama", {"rope_scaling", "{\"type\": \"spiral\", \"factor\": 2}"}, NONE, PARE_ERR_UNSUPPORTED, "type 'spiral'"},
    {"llama", {"rope_scaling", "{\"type\": \"linear\"}"}, NONE, PARE_ERR_FORMAT, "no 'factor'"},
    {"llama", {"rope_scaling", "{\"type\": \"linear\", \"factor\": \"two\"}"}, NONE, PARE_ERR_FORMAT, "'factor' of the rotary embedding"},
    {"llama", {"rope_scaling", "{\"type\": \"yarn\", \"factor\": -2}"}, NONE, PARE_ERR_FORMAT, "'factor' of the rotary embedding"},
    {"llama", {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 2, \"rope_theta\": 1}"}, NONE, PARE_ERR_FORMAT, "not above 1"},
    {"llama", {"rope_scaling", "{\"type\": \"llama3\", \"factor\": 2, \"low_freq_factor\": 4, \"high_freq_factor\": 4}"}, NONE, PARE_ERR_FORMAT, "not above low_freq"},
    {"llama", {"rope_scaling", "{\"type\": \"llama3\", \"factor\": 2, \"low_freq_factor\": 1}"}, NONE, PARE_ERR_FORMAT, "no 'high_freq_factor'"},
    {"llama", {"rope_scaling", "{\"type\": \"longrope\", \"short_factor\": [1], \"long_factor\": [1]}"}, NONE, PARE_ERR_FORMAT, "'short_factor' of the rotary embedding has 1 numbers, expected 8"},
    {"llama", {"rope_scaling", "{\"type\": \"dynamic\", \"factor\": 2}"}, {"head_dim", "2"}, PARE_ERR_FORMAT, "dynamic rotary embedding of 2 columns"},
    {"mistral", {"sliding_window", "-3"}, NONE, PARE_ERR_FORMAT, "'sliding_window' is -3"},
    {"mistral", {"sliding_window", "0"}, NONE, PARE_ERR_FORMAT, "'sliding_window' is 0"},
    {"qwen2", {"use_sliding_window", "true"}, {"layer_types", "[\"full_attention\"]"}, PARE_ERR_FORMAT, "'layer_types' has 1 entries for 2 layers"},
    {"qwen3", {"use_sliding_window", "true"}, {"layer_types", "[\"full_attention\", \"linear_attention\"]"}, PARE_ERR_UNSUPPORTED, "type 'linear_attention'"},
    {"smollm3", {"no_rope_layers", "[1]"}, NONE, PARE_ERR_FORMAT, "'no_rope_layers' has 1 entries"},
    {"gemma2", {"query_pre_attn_scalar", "0"}, NONE, PARE_ERR_FORMAT, "'query_pre_attn_scalar' is 0"},
    {"gemma2", {"final_logit_softcapping", "-30"}, NONE, PARE_ERR_FORMAT, "'final_logit_softcapping' is -30"},
    {"gemma3_text", {"use_bidirectional_attention", "true"}, NONE, PARE_ERR_UNSUPPORTED, "'use_bidirectional_attention'"},
    {"gemma3", {"text_config", "{\"hidden_size\": 64}"}, NONE, PARE_ERR_FORMAT, "'num_hidden_layers' is missing"},
    {"phi", {"partial_rotary_factor", "1.5"}, NONE, PARE_ERR_FORMAT, "'partial_rotary_factor' is 1.5"},
    {"phi", {"partial_rotary_factor", "0.01"}, NONE, PARE_ERR_FORMAT, "of the 16 columns"},
    {"olmo", {"clip_qkv", "-1"}, NONE, PARE_ERR_FORMAT, "'clip_qkv' is -1"},
    {"mixtral", {"num_experts_per_tok", "5"}, NONE, PARE_ERR_FORMAT, "5 of 4 experts"},
    {"mixtral", {"num_local_experts", "8"}, NONE, PARE_ERR_FORMAT, "'num_local_experts' is 8 and 'num_experts' is 4"},
    {"olmoe", {"num_experts", "65536"}, NONE, PARE_ERR_FORMAT, "'num_experts' is 65536"},
    {"olmoe", {"num_hidden_layers", "4096"}, {"num_experts", "4096"}, PARE_ERR_FORMAT, "4096 layers with 4096 experts each are too many"},
    {"olmoe", {"num_experts_per_tok", "65"}, {"num_experts", "128"}, PARE_ERR_FORMAT, "'num_experts_per_tok' is 65"},
    {"qwen3_moe", {"mlp_only_layers", "[2]"}, NONE, PARE_ERR_FORMAT, "names layer 2 of 2"},
    {"qwen3_moe", {"decoder_sparse_step", "0"}, NONE, PARE_ERR_FORMAT, "'decoder_sparse_step' is 0"},
    {"wonder", NONE, NONE, PARE_ERR_UNSUPPORTED, "model_type 'wonder'"},
    {"detr", NONE, NONE, PARE_ERR_UNSUPPORTED, "model_type 'detr'"},
};

static void test_bad_values(void **state)
{
    pare_err err;
    pare_graph *g;
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        const bad *b = &bads[i];
        memset(&err, 0, sizeof err);
        const pare_status st = build(config_text(b->type, b->a, b->b), NULL, &g, &err);
        if (st != b->status || err.code != st || !strstr(err.text, b->part)) fail_msg("%s, %s: %d '%s', not '%s'", b->type, b->a.key, st, err.text, b->part);
        assert_null(g);
    }
    assert_error(build("{}", NULL, &g, &err), PARE_ERR_FORMAT, "no 'model_type'");
    assert_error(build("{\"model_type\": 3}", NULL, &g, &err), PARE_ERR_FORMAT, "no 'model_type'");
}

/* ---------------------------------------------------------------------------------------------------------------- names */

static bool listed(void *user, const char *name)
{
    for (const char *const *n = user; *n; n++)
        if (strcmp(*n, name) == 0) return true;
    return false;
}

static const pare_gweight *weight(const pare_graph *g, const char *name, int64_t index, int64_t row0)
{
    for (size_t i = 0; i < g->weights.n; i++) {
        const pare_gweight *w = &g->weights.at[i];
        if (strcmp(w->name, name) == 0 && w->of_index == index && w->row0 == row0) return w;
    }
    fail_msg("no weight '%s' (slice %d, row %d)", name, (int)index, (int)row0);
    return NULL;
}

static pare_graph *graph_of(const char *text, const char *const *names)
{
    pare_err err = {0};
    pare_graph *g = NULL;
    const pare_gnames n = {.has = listed, .user = (void *)names};
    if (build(text, names ? &n : NULL, &g, &err) != PARE_OK) fail_msg("%s", err.text);
    return g;
}

static void test_prefixes(void **state)
{
    static const char *const prefixes[] = {"model.", "model.language_model.", "language_model.model.", ""};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char table[80], norm[80];
        pare_print(table, sizeof table, "%sembed_tokens.weight", prefixes[i]);
        pare_print(norm, sizeof norm, "%slayers.1.input_layernorm.weight", prefixes[i]);
        const char *const names[] = {table, NULL};
        pare_graph *g = graph_of(config_text("gemma3_text", (pair)NONE, (pair)NONE), names);
        assert_string_equal(g->prefix, prefixes[i]);
        assert_int_equal(weight(g, norm, 0, 0)->layer, 1);
        assert_int_equal(g->layers, 2);
        pare_graph_free(g);
    }
}

static void test_heads(void **state)
{
    static const char *const own[] = {"model.embed_tokens.weight", "lm_head.weight", NULL}, *const vision[] = {"model.embed_tokens.weight", "language_model.lm_head.weight", NULL};
    const pair tied = {"tie_word_embeddings", "true"};
    (void)state;
    pare_graph *g = graph_of(config_text("llama", tied, (pair)NONE), NULL); /* nothing known: as the config says */
    const pare_gweight *last = &g->weights.at[g->weights.n - 1];
    assert_int_equal(last->role, PARE_GW_HEAD);
    assert_string_equal(last->name, "model.embed_tokens.weight");
    assert_int_equal(last->tied, 0);
    pare_graph_free(g);
    g = graph_of(config_text("llama", tied, (pair)NONE), own); /* the checkpoint has a head of its own */
    assert_int_equal(weight(g, "lm_head.weight", 0, 0)->tied, PARE_G_NONE);
    pare_graph_free(g);
    g = graph_of(config_text("llama", (pair)NONE, (pair)NONE), NULL);
    assert_int_equal(weight(g, "lm_head.weight", 0, 0)->tied, PARE_G_NONE);
    pare_graph_free(g);
    g = graph_of(config_text("gemma3_text", (pair)NONE, (pair)NONE), vision);
    assert_int_equal(weight(g, "language_model.lm_head.weight", 0, 0)->role, PARE_GW_HEAD);
    pare_graph_free(g);
}

/* Experts: one tensor each under the names of the hub, or stacked as transformers 5 holds them. */
static void test_experts(void **state)
{
    static const char *const stacked[] = {"model.embed_tokens.weight", "model.layers.0.mlp.experts.gate_up_proj", "model.layers.1.mlp.experts.gate_up_proj", NULL};
    (void)state;
    pare_graph *g = graph_of(config_text("mixtral", (pair)NONE, (pair)NONE), NULL);
    assert_int_equal(weight(g, "model.layers.1.block_sparse_moe.experts.3.w2.weight", 0, 0)->shape[0], 64);
    assert_int_equal(weight(g, "model.layers.1.block_sparse_moe.experts.3.w3.weight", 0, 0)->shape[0], 96);
    assert_int_equal(weight(g, "model.layers.1.block_sparse_moe.gate.weight", 0, 0)->shape[0], 4);
    pare_graph_free(g);
    g = graph_of(config_text("qwen3_moe", (pair)NONE, (pair)NONE), NULL);
    assert_int_equal(weight(g, "model.layers.0.mlp.experts.2.gate_proj.weight", 0, 0)->shape[0], 40);
    pare_graph_free(g);
    g = graph_of(config_text("mixtral", (pair)NONE, (pair)NONE), stacked);
    const pare_gweight *up = weight(g, "model.layers.1.mlp.experts.gate_up_proj", 3, 96);
    assert_int_equal(up->of_count, 4);
    assert_int_equal(up->of_rows, 192);
    assert_int_equal(up->shape[1], 64);
    assert_int_equal(weight(g, "model.layers.1.mlp.experts.down_proj", 2, 0)->of_rows, 0);
    pare_graph_free(g);
}

/* ---------------------------------------------------------------------------------------------------------------- sizes */

static void test_sizes(void **state)
{
    static const struct { const char *type; uint64_t parameters, dense; pare_cache_shape cache; } wanted[] = {
        /* table 6400; a layer: q 64x64, k v 2x 32x64, o 64x64, three of 96x64, norms */
        {"llama", 2 * 6400 + 2 * (64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64 + 128) + 64, 2 * (64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64), {2, 2, 16}},
        {"mixtral", 2 * 6400 + 2 * (64 * 64 * 2 + 32 * 64 * 2 + 4 * 3 * 96 * 64 + 4 * 64 + 128) + 64, 2 * (64 * 64 * 2 + 32 * 64 * 2 + 4 * 3 * 96 * 64), {2, 2, 16}},
        {"gemma2", 6400 + 2 * (64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64 + 256) + 64, 2 * (64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64), {2, 2, 16}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        pare_err err = {0};
        pare_jdoc *doc = NULL;
        pare_skeleton s;
        uint64_t all = 0, dense = 0;
        const char *text = config_text(wanted[i].type, (pair)NONE, (pair)NONE);
        assert_ok(pare_jdoc_parse(text, strlen(text), "config.json", &doc, &err));
        assert_ok(pare_skeleton_of(pare_jdoc_root(doc), "config.json", &s, &err));
        for (size_t r = 0; r < s.rows.n; r++) {
            if (!s.rows.at[r].tied) all += s.rows.at[r].numel;
            if (s.rows.at[r].kind == PARE_SKEL_LINEAR) dense += s.rows.at[r].numel;
        }
        assert_int_equal(all, wanted[i].parameters);
        assert_int_equal(dense, wanted[i].dense);
        assert_memory_equal(&s.cache, &wanted[i].cache, sizeof s.cache);
        pare_skeleton_clear(&s);
        pare_jdoc_free(doc);
    }
}

/* ----------------------------------------------------------------------------------------------------- rotary embeddings */

static void rope_of(const char *text, const char *layer_type, pare_graph *g, pare_rope *out)
{
    pare_err err;
    pare_jdoc *doc = NULL;
    assert_ok(pare_jdoc_parse(text, strlen(text), "config.json", &doc, &err));
    pare_g_rope_of(g, pare_jdoc_root(doc), layer_type, 64, 0, 1e4, out);
    pare_jdoc_free(doc);
}

static void assert_near(double a, double b) { if (fabs(a - b) > 1e-6 * fabs(b)) fail_msg("%.9g is not %.9g", a, b); }

static void test_rope(void **state)
{
    pare_err err;
    pare_rope r;
    pare_graph *g = pare_graph_new(PARE_G_DECODER, &err);
    (void)state;
    assert_non_null(g);
    rope_of("{}", NULL, g, &r);
    assert_int_equal(r.dim, 64);
    for (int i = 0; i < 32; i++) assert_near(r.inv_freq[i], pow(1e4, -i / 32.0));
    assert_true(r.scale == 1 && !r.dynamic && !r.long_inv_freq && r.first == 0);
    rope_of("{\"rope_theta\": 500, \"partial_rotary_factor\": 0.25}", NULL, g, &r);
    assert_int_equal(r.dim, 16);
    assert_near(r.inv_freq[3], pow(500, -3 / 8.0));
    rope_of("{\"rope_theta\": 500, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}, \"rope_parameters\": {\"rope_theta\": 900, \"rope_type\": \"default\"}}", NULL, g, &r);
    assert_near(r.inv_freq[5], pow(500, -5 / 32.0) / 4); /* the old block takes the place of the new one */
    rope_of("{\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 700}, \"sliding_attention\": {\"rope_type\": \"linear\", \"factor\": 2}}}", "sliding_attention", g, &r);
    assert_near(r.inv_freq[1], pow(1e4, -1 / 32.0) / 2);
    rope_of("{\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 700}, \"sliding_attention\": null}}", "full_attention", g, &r);
    assert_near(r.inv_freq[1], pow(700, -1 / 32.0));
    rope_of("{\"max_position_embeddings\": 512, \"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 3}}", NULL, g, &r);
    assert_true(r.dynamic && r.original == 512 && r.factor == 3);
    rope_of("{\"max_position_embeddings\": 512, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, \"attention_factor\": 1.25}}", NULL, g, &r);
    assert_near(r.scale, 1.25);
    assert_near(r.inv_freq[0], 1);                        /* turns often: as it was */
    assert_near(r.inv_freq[31], pow(1e4, -31 / 32.0) / 4); /* turns less than once: squeezed */
    rope_of("{\"max_position_embeddings\": 512, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4}}", NULL, g, &r);
    assert_near(r.scale, 0.1 * log(4) + 1);
    /* Phi-3's context of before counts whatever the block says, and the ratio is the factor */
    rope_of("{\"max_position_embeddings\": 4096, \"original_max_position_embeddings\": 1024, \"partial_rotary_factor\": 0.0625, \"rope_scaling\": {\"type\": \"su\", "
            "\"original_max_position_embeddings\": 7, \"short_factor\": [2, 3], \"long_factor\": [5, 7]}}", NULL, g, &r);
    assert_int_equal(r.original, 1024);
    assert_near(r.inv_freq[1], 1e-2 / 3);
    assert_near(r.long_inv_freq[1], 1e-2 / 7);
    assert_near(r.scale, sqrt(1 + log(4) / log(1024)));
    assert_near(r.long_scale, r.scale);
    assert_false(g->failed);
    pare_graph_free(g);
}

static void test_alibi(void **state)
{
    pare_err err;
    pare_graph *g = pare_graph_new(PARE_G_DECODER, &err);
    (void)state;
    assert_non_null(g);
    const float *eight = pare_g_alibi(g, 8, 8), *six = pare_g_alibi(g, 6, 8);
    for (int i = 0; i < 8; i++) assert_near(eight[i], pow(2, -(i + 1)));
    for (int i = 0; i < 4; i++) assert_near(six[i], pow(2, -2 * (i + 1)));
    for (int i = 4; i < 6; i++) assert_near(six[i], pow(2, -(2 * (i - 4) + 1)));
    pare_graph_free(g);
}

/* --------------------------------------------------------------------------------------------------------------- memory */

static pare_status build_one(void *arg)
{
    pare_err err;
    pare_graph *g;
    const pare_status st = build(arg, NULL, &g, &err);
    if (st == PARE_OK) pare_graph_free(g);
    return st;
}

static pare_status size_one(void *arg)
{
    pare_err err;
    pare_jdoc *doc = NULL;
    pare_skeleton s;
    pare_status st = pare_jdoc_parse(arg, strlen(arg), "config.json", &doc, &err);
    if (st == PARE_OK) st = pare_skeleton_of(pare_jdoc_root(doc), "config.json", &s, &err);
    if (st == PARE_OK) pare_skeleton_clear(&s);
    pare_jdoc_free(doc);
    return st;
}

static void test_memory(void **state)
{
    static const char *const types[] = {"llama", "smollm3", "gemma3_text", "phi3", "phi", "stablelm", "olmo2", "qwen3_moe"};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_true(test_every_allocation(build_one, (void *)config_text(types[i], (pair){"qk_layernorm", "true"}, (pair)NONE)) > 1);
    assert_true(test_every_allocation(size_one, (void *)config_text("mixtral", (pair)NONE, (pair)NONE)) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_values), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_heads),  cmocka_unit_test(test_experts),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_rope),     cmocka_unit_test(test_alibi), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
