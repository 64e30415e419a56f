/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json of the families around GPT-2, BERT, T5 and BART as builders read it: old and new names of a value, defaults, one clear error for what is
 * absurd or contradicts itself, no leak when memory ends; and the pooling files of sentence-transformers.
 */
#include "support/support.h"
#include "model/model.h"

static pare_status build(const char *config, const pare_gnames *names, pare_graph **g, pare_err *err)
{
    pare_jdoc *doc = NULL;
    *g = NULL;
    pare_status st = pare_jdoc_parse(config, strlen(config), "config.json", &doc, err);
    if (st == PARE_OK) st = pare_model_graph(pare_jdoc_root(doc), "model", names, g, err);
    pare_jdoc_free(doc);
    return st;
}

static pare_graph *built(const char *config, const pare_gnames *names)
{
    pare_err err = { 0 };
    pare_graph *g;
    if (build(config, names, &g, &err) != PARE_OK) fail_msg("%s: %s", config, err.text);
    return g;
}

/* Shape of the first weight whose name ends so. */
static const int64_t *shape_of(const pare_graph *g, const char *ending)
{
    for (size_t i = 0; i < g->weights.n; i++)
        if (pare_str_ends(g->weights.at[i].name, ending)) return g->weights.at[i].shape;
    fail_msg("no weight ends in %s", ending);
    return NULL;
}

static int count_of(const pare_graph *g, const char *op)
{
    int n = 0;
    for (size_t i = 0; i < g->nodes.n; i++) n += strcmp(g->nodes.at[i].op->name, op) == 0;
    return n;
}

static const pare_attention *attention_of(const pare_graph *g, int layer)
{
    for (size_t i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i].layer == layer && strcmp(g->nodes.at[i].op->name, "attention") == 0) return g->nodes.at[i].attr;
    fail_msg("no attention in layer %d", layer);
    return NULL;
}

/* -------------------------------------------------------------------------------------------------------------- defaults */

/* What a config that says only its type means: the sizes that the families' first models have. */
static void check_defaults(void **state)
{
    static const struct { const char *type; int layers; int64_t hidden, vocab, positions; } rows[] = {
        { "gpt2", 12, 768, 50257, 1024 },
        { "gpt_neo", 24, 2048, 50257, 2048 },
        { "gpt_neox", 44, 6144, 50432, 2048 },
        { "gptj", 28, 4096, 50400, 2048 },
        { "codegen", 28, 4096, 50400, 2048 },
        { "opt", 12, 768, 50272, 2048 },
        { "bloom", 2, 64, 250880, 0 },
        { "falcon", 32, 4544, 65024, 2048 },
        { "mpt", 24, 2048, 50368, 2048 },
        { "bert", 12, 768, 30522, 512 },
        { "roberta", 12, 768, 50265, 510 },
        { "distilbert", 6, 768, 30522, 512 },
        { "t5", 6, 512, 32128, 0 },
        { "mt5", 8, 512, 250112, 0 },
        { "bart", 12, 1024, 50265, 1024 },
        { "mbart", 12, 1024, 50265, 1024 },
        { "marian", 12, 1024, 58101, 1024 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char config[64];
        snprintf(config, sizeof config, "{\"model_type\": \"%s\"}", rows[i].type);
        pare_graph *g = built(config, NULL);
        assert_int_equal(g->layers, rows[i].layers);
        assert_int_equal(g->hidden, rows[i].hidden);
        assert_int_equal(g->vocab, rows[i].vocab);
        assert_int_equal(g->max_positions, rows[i].positions);
        pare_graph_free(g);
    }
}

static void check_names_of_values(void **state)
{
    (void)state;
    pare_graph *g = built("{\"model_type\": \"gpt2\", \"hidden_size\": 48, \"num_attention_heads\": 3, \"num_hidden_layers\": 2, \"max_position_embeddings\": 9}", NULL);
    assert_int_equal(g->hidden, 48);
    assert_int_equal(g->layers, 2);
    assert_int_equal(g->max_positions, 9);
    assert_int_equal(shape_of(g, "h.1.mlp.c_fc.weight")[0], 192);
    pare_graph_free(g);
    g = built("{\"model_type\": \"bloom\", \"n_embed\": 32, \"num_attention_heads\": 2, \"n_layer\": 1, \"vocab_size\": 7}", NULL);
    assert_int_equal(g->hidden, 32);
    assert_int_equal(attention_of(g, 0)->heads, 2);
    pare_graph_free(g);
    /* both names, the same value; and null is the same as absent */
    g = built("{\"model_type\": \"gptj\", \"n_embd\": 32, \"hidden_size\": 32, \"n_head\": 2, \"rotary_dim\": 8, \"n_layer\": 1, \"n_inner\": null}", NULL);
    assert_int_equal(shape_of(g, "mlp.fc_in.weight")[0], 128);
    pare_graph_free(g);
}

static void check_local_layers(void **state)
{
    static const char *const config = "{\"model_type\": \"gpt_neo\", \"hidden_size\": 16, \"num_heads\": 2, \"num_layers\": 5, \"window_size\": 6, "
                                      "\"attention_types\": [[[\"global\", \"local\"], 2], [[\"local\"], 1]]}";
    static const int64_t windows[] = { 0, 6, 0, 6, 6 };
    pare_graph *g = built(config, NULL);
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(attention_of(g, i)->window, windows[i]);
        assert_true(attention_of(g, i)->scale == 1.0f);
    }
    pare_graph_free(g);
}

/* T5: only the first block's table, and every block adds it; UMT5: each its own. */
static void check_relative_tables(void **state)
{
    static const char *const text = "{\"model_type\": \"%s\", \"d_model\": 16, \"d_kv\": 4, \"num_heads\": 2, \"d_ff\": 8, \"num_layers\": 3, \"vocab_size\": 11}";
    static const struct { const char *type; int tables; } rows[] = { { "t5", 1 }, { "umt5", 3 } };
    (void)state;
    for (int i = 0; i < 2; i++) {
        char config[256];
        int tables = 0;
        snprintf(config, sizeof config, text, rows[i].type);
        pare_graph *g = built(config, NULL);
        for (size_t w = 0; w < g->weights.n; w++) tables += pare_str_ends(g->weights.at[w].name, "relative_attention_bias.weight");
        assert_int_equal(tables, rows[i].tables);
        assert_int_equal(attention_of(g, 2)->rel_buckets, 32);
        assert_false(attention_of(g, 2)->rel_bidirectional);
        assert_true(attention_of(g->encoder, 2)->rel_bidirectional);
        pare_graph_free(g);
    }
}

/* ---------------------------------------------------------------------------------------------------------------- errors */

static bool none(void *user, const char *name)
{
    (void)user, (void)name;
    return false;
}

static void check_refused(void **state)
{
    static const struct { const char *config; pare_status status; const char *part; } rows[] = {
        { "{\"model_type\": \"gpt2\", \"n_embd\": 770}", PARE_ERR_FORMAT, "770 is not a multiple of 12 heads" },
        { "{\"model_type\": \"gpt2\", \"n_embd\": 48, \"hidden_size\": 64}", PARE_ERR_FORMAT, "'n_embd' is 48 and 'hidden_size' is 64" },
        { "{\"model_type\": \"gpt2\", \"vocab_size\": 99999999999}", PARE_ERR_FORMAT, "'vocab_size' is 99999999999, not between 1 and" },
        { "{\"model_type\": \"gpt2\", \"n_layer\": 0}", PARE_ERR_FORMAT, "'n_layer' is 0" },
        { "{\"model_type\": \"gpt2\", \"n_head\": -3}", PARE_ERR_FORMAT, "'n_head' is -3" },
        { "{\"model_type\": \"gpt2\", \"n_positions\": \"many\"}", PARE_ERR_FORMAT, "'n_positions' is not a whole number" },
        { "{\"model_type\": \"gpt2\", \"n_inner\": 3.5}", PARE_ERR_FORMAT, "'n_inner' is not a whole number" },
        { "{\"model_type\": \"gpt2\", \"layer_norm_epsilon\": -1}", PARE_ERR_FORMAT, "'layer_norm_epsilon' is -1" },
        { "{\"model_type\": \"gpt2\", \"layer_norm_epsilon\": \"x\"}", PARE_ERR_FORMAT, "'layer_norm_epsilon' is not a number" },
        { "{\"model_type\": \"gpt2\", \"scale_attn_weights\": 1}", PARE_ERR_FORMAT, "'scale_attn_weights' is neither true nor false" },
        { "{\"model_type\": \"gpt2\", \"activation_function\": \"wobble\"}", PARE_ERR_UNSUPPORTED, "'wobble'" },
        { "{\"model_type\": \"gpt2\", \"activation_function\": 7}", PARE_ERR_FORMAT, "'activation_function' is not a text" },
        { "{\"model_type\": \"gpt_neo\", \"num_layers\": 3}", PARE_ERR_FORMAT, "describes 24 layers, 'num_layers' is 3" },
        { "{\"model_type\": \"gpt_neo\", \"num_layers\": 2, \"attention_types\": [[[\"global\", \"odd\"], 1]]}", PARE_ERR_FORMAT, "'odd' is neither" },
        { "{\"model_type\": \"gpt_neo\", \"num_layers\": 2, \"attention_types\": [[[\"global\"], 99999999]]}", PARE_ERR_FORMAT, "not a list of" },
        { "{\"model_type\": \"gpt_neo\", \"num_layers\": 2, \"attention_types\": \"local\"}", PARE_ERR_FORMAT, "describes 0 layers" },
        { "{\"model_type\": \"gpt_neox\", \"rotary_pct\": 2}", PARE_ERR_FORMAT, "'rotary_pct' is 2" },
        { "{\"model_type\": \"gpt_neox\", \"hidden_size\": 88, \"num_attention_heads\": 8, \"rotary_pct\": 0.3}", PARE_ERR_FORMAT, "odd number" },
        { "{\"model_type\": \"gptj\", \"n_embd\": 64, \"n_head\": 4, \"rotary_dim\": 64}", PARE_ERR_FORMAT, "'rotary_dim' is 64" },
        { "{\"model_type\": \"gptj\", \"rotary_dim\": 7}", PARE_ERR_FORMAT, "'rotary_dim' is 7" },
        { "{\"model_type\": \"codegen\", \"n_embd\": 60, \"n_head\": 6, \"rotary_dim\": 4}", PARE_ERR_FORMAT, "not a multiple of the 4 parts" },
        { "{\"model_type\": \"falcon\", \"new_decoder_architecture\": true, \"parallel_attn\": false}", PARE_ERR_FORMAT, "without 'parallel_attn'" },
        { "{\"model_type\": \"falcon\", \"num_ln_in_parallel_attn\": 2}", PARE_ERR_FORMAT, "without 'new_decoder_architecture'" },
        { "{\"model_type\": \"falcon\", \"num_ln_in_parallel_attn\": 3}", PARE_ERR_FORMAT, "'num_ln_in_parallel_attn' is 3" },
        { "{\"model_type\": \"falcon\", \"multi_query\": false, \"num_kv_heads\": 3}", PARE_ERR_FORMAT, "'num_kv_heads' is 3" },
        { "{\"model_type\": \"falcon\", \"new_decoder_architecture\": true, \"num_kv_heads\": 3}", PARE_ERR_FORMAT, "cannot share 3" },
        { "{\"model_type\": \"mpt\", \"attn_config\": {\"alibi\": false}}", PARE_ERR_UNSUPPORTED, "'alibi'" },
        { "{\"model_type\": \"mpt\", \"attn_config\": {\"attn_type\": \"multiquery_attention\"}}", PARE_ERR_UNSUPPORTED, "'attn_type'" },
        { "{\"model_type\": \"mpt\", \"attn_config\": {\"clip_qkv\": -2}}", PARE_ERR_FORMAT, "'clip_qkv' is -2" },
        { "{\"model_type\": \"mpt\", \"logit_scale\": \"inv_sqrt_d_model\"}", PARE_ERR_UNSUPPORTED, "'logit_scale'" },
        { "{\"model_type\": \"bert\", \"is_decoder\": true}", PARE_ERR_UNSUPPORTED, "'is_decoder'" },
        { "{\"model_type\": \"bert\", \"position_embedding_type\": \"relative_key\"}", PARE_ERR_UNSUPPORTED, "'relative_key'" },
        { "{\"model_type\": \"roberta\", \"max_position_embeddings\": 2}", PARE_ERR_FORMAT, "positions begin at 2" },
        { "{\"model_type\": \"t5\", \"relative_attention_num_buckets\": 2}", PARE_ERR_FORMAT, "2 buckets" },
        { "{\"model_type\": \"t5\", \"relative_attention_max_distance\": 8}", PARE_ERR_FORMAT, "distances up to 8" },
        { "{\"model_type\": \"t5\", \"decoder_start_token_id\": 40000}", PARE_ERR_FORMAT, "'decoder_start_token_id' is 40000" },
        { "{\"model_type\": \"t5\", \"feed_forward_proj\": \"gated-\"}", PARE_ERR_UNSUPPORTED, "activation ''" },
        { "{\"model_type\": \"bart\", \"decoder_attention_heads\": 7}", PARE_ERR_FORMAT, "1024 is not a multiple of 7 heads" },
        { "{\"model_type\": \"bart\", \"encoder_layers\": 0}", PARE_ERR_FORMAT, "'encoder_layers' is 0" },
        { "{\"model_type\": \"marian\", \"decoder_vocab_size\": 9}", PARE_ERR_UNSUPPORTED, "'decoder_vocab_size' is 9" },
    };
    pare_err err;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pare_graph *g;
        memset(&err, 0, sizeof err);
        const pare_status st = build(rows[i].config, NULL, &g, &err);
        if (st != rows[i].status || !strstr(err.text, rows[i].part)) fail_msg("%s: status %d, '%s'; expected %d with '%s'", rows[i].config, (int)st, err.text, (int)rows[i].status, rows[i].part);
        assert_null(g);
    }
}

/* Marian's sines are a function of the position that its newer files leave out. */
static void check_marian_without_positions(void **state)
{
    const pare_gnames names = { .has = none };
    pare_err err;
    pare_graph *g;
    (void)state;
    assert_error(build("{\"model_type\": \"marian\"}", &names, &g, &err), PARE_ERR_UNSUPPORTED, "encoder.embed_positions.weight: is not in the checkpoint");
}

/* --------------------------------------------------------------------------------------------------------------- pooling */

typedef struct folder { const char *modules, *pooling; } folder;

static pare_status companion(void *user, const char *file, pare_jdoc **out, pare_err *err)
{
    const folder *f = user;
    const char *text = strcmp(file, "modules.json") == 0 ? f->modules : strcmp(file, "1_Pooling/config.json") == 0 ? f->pooling : NULL;
    *out = NULL;
    return text ? pare_jdoc_parse(text, strlen(text), file, out, err) : PARE_OK;
}

#define TRANSFORMER "{\"path\": \"\", \"type\": \"sentence_transformers.models.Transformer\"}"
#define POOLING "{\"path\": \"1_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"}"
#define NORMALIZE "{\"path\": \"2_Normalize\", \"type\": \"sentence_transformers.models.Normalize\"}"
static const char *const small = "{\"model_type\": \"bert\", \"hidden_size\": 8, \"num_attention_heads\": 2, \"num_hidden_layers\": 1, \"intermediate_size\": 8, \"vocab_size\": 9}";

typedef struct pool { pare_pooling kind; bool normalize; } pool; /* the op's attribute */

static void check_pooling(void **state)
{
    static const struct { folder f; pool want; } rows[] = {
        { { NULL, NULL }, { PARE_POOL_MEAN, false } },
        { { "[" TRANSFORMER "," POOLING "]", "{\"pooling_mode_mean_tokens\": true, \"pooling_mode_cls_token\": false}" }, { PARE_POOL_MEAN, false } },
        { { "[" TRANSFORMER "," POOLING "," NORMALIZE "]", "{\"pooling_mode_cls_token\": true}" }, { PARE_POOL_CLS, true } },
        { { "[" TRANSFORMER "," POOLING "," NORMALIZE "]", "{\"pooling_mode_max_tokens\": true}" }, { PARE_POOL_MAX, true } },
        { { "[" TRANSFORMER "," POOLING "]", "{\"pooling_mode\": \"lasttoken\"}" }, { PARE_POOL_LAST, false } },
        { { "[" TRANSFORMER "," POOLING "]", "{\"pooling_mode\": \"cls\"}" }, { PARE_POOL_CLS, false } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const pare_gnames names = { .has = none, .user = (void *)&rows[i].f, .json = companion };
        pare_graph *g = built(small, &names);
        assert_int_equal(count_of(g, "pool"), 1);
        assert_int_not_equal(g->pooled, PARE_G_NONE);
        const pare_gnode *n = &g->nodes.at[g->values.at[g->pooled].node];
        const pool *a = n->attr;
        assert_int_equal(a->kind, rows[i].want.kind);
        assert_int_equal(a->normalize, rows[i].want.normalize);
        pare_graph_free(g);
    }
}

static void check_pooling_refused(void **state)
{
    static const struct { folder f; pare_status status; const char *part; } rows[] = {
        { { "{}", NULL }, PARE_ERR_FORMAT, "is no list" },
        { { "[" TRANSFORMER "]", NULL }, PARE_ERR_UNSUPPORTED, "no Pooling" },
        { { "[" TRANSFORMER "," NORMALIZE "," POOLING "]", "{\"pooling_mode_cls_token\": true}" }, PARE_ERR_UNSUPPORTED, "in this order" },
        { { "[" TRANSFORMER "," POOLING ",{\"path\": \"2_Dense\", \"type\": \"sentence_transformers.models.Dense\"}]", "{\"pooling_mode_cls_token\": true}" },
          PARE_ERR_UNSUPPORTED, "models.Dense" },
        { { "[" TRANSFORMER "," POOLING "]", NULL }, PARE_ERR_FORMAT, "which is not there" },
        { { "[" TRANSFORMER "," POOLING "]", "{}" }, PARE_ERR_UNSUPPORTED, "0 ways to pool" },
        { { "[" TRANSFORMER "," POOLING "]", "{\"pooling_mode_cls_token\": true, \"pooling_mode_max_tokens\": true}" }, PARE_ERR_UNSUPPORTED, "2 ways to pool" },
        { { "[" TRANSFORMER "," POOLING "]", "{\"pooling_mode_mean_sqrt_len_tokens\": true}" }, PARE_ERR_UNSUPPORTED, "mean_sqrt_len_tokens" },
        { { "[" TRANSFORMER "," POOLING "]", "{\"pooling_mode\": \"median\"}" }, PARE_ERR_UNSUPPORTED, "'median'" },
        { { "[" TRANSFORMER "," POOLING "]", "{\"pooling" }, PARE_ERR_FORMAT, "1_Pooling/config.json" },
        { { "[" TRANSFORMER ",{\"path\": \"../../etc\", \"type\": \"x.Pooling\"}]", NULL }, PARE_ERR_FORMAT, "no path inside the folder" },
        { { "[7, 8]", NULL }, PARE_ERR_UNSUPPORTED, "module 0" },
    };
    pare_err err;
    pare_graph *g;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const pare_gnames names = { .has = none, .user = (void *)&rows[i].f, .json = companion };
        memset(&err, 0, sizeof err);
        const pare_status st = build(small, &names, &g, &err);
        if (st != rows[i].status || !strstr(err.text, rows[i].part)) fail_msg("row %zu: status %d, '%s'; expected '%s'", i, (int)st, err.text, rows[i].part);
    }
}

/* ---------------------------------------------------------------------------------------------------------------- memory */

static pare_status build_once(void *arg)
{
    static const folder f = { "[" TRANSFORMER "," POOLING "," NORMALIZE "]", "{\"pooling_mode_cls_token\": true}" };
    const pare_gnames names = { .has = none, .user = (void *)&f, .json = companion };
    pare_err err = { 0 };
    pare_graph *g;
    const pare_status st = build(arg, &names, &g, &err);
    pare_graph_free(g);
    return st;
}

static void check_memory_ends(void **state)
{
    static const char *const configs[] = {
        "{\"model_type\": \"gpt_neo\", \"hidden_size\": 8, \"num_heads\": 2, \"num_layers\": 2, \"attention_types\": [[[\"global\", \"local\"], 1]]}",
        "{\"model_type\": \"falcon\", \"hidden_size\": 24, \"num_attention_heads\": 3, \"num_hidden_layers\": 1, \"alibi\": true, \"parallel_attn\": false}",
        "{\"model_type\": \"codegen\", \"n_embd\": 16, \"n_head\": 4, \"n_layer\": 1, \"rotary_dim\": 4}",
        "{\"model_type\": \"bert\", \"hidden_size\": 8, \"num_attention_heads\": 2, \"num_hidden_layers\": 1, \"architectures\": [\"BertForMaskedLM\"]}",
        "{\"model_type\": \"t5\", \"d_model\": 8, \"d_kv\": 4, \"num_heads\": 2, \"num_layers\": 1}",
        "{\"model_type\": \"mbart\", \"d_model\": 8, \"encoder_layers\": 1, \"decoder_layers\": 1, \"encoder_attention_heads\": 2, \"decoder_attention_heads\": 2}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) assert_true(test_every_allocation(build_once, (void *)configs[i]) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_defaults),      cmocka_unit_test(check_names_of_values), cmocka_unit_test(check_local_layers),
        cmocka_unit_test(check_relative_tables), cmocka_unit_test(check_refused),       cmocka_unit_test(check_pooling),
        cmocka_unit_test(check_pooling_refused), cmocka_unit_test(check_memory_ends),    cmocka_unit_test(check_marian_without_positions),
    };
    return cmocka_run_group_tests_name("arch_settings", tests, NULL, NULL);
}
