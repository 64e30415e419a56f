/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph of every golden model fits its checkpoint: each weight is there in its shape, each tensor of the file is used by the graph (or
 * known to be of no use), and a graph made from config.json alone has the same weights.
 */
#include "unit/model/model_golden.h"

static pare_ctx *ctx;

/* Tensors that no text model computes with. */
static const char *const idle[] = { "vision_tower.", "multi_modal_projector.", "pooler.", "cls.seq_relationship", "position_ids", ".attn.bias", ".masked_bias", "rotary_emb.inv_freq",
                                    "attn.attention.bias", ".attn.causal_mask" };

static bool has(void *user, const char *name) { return pare_weights_find(user, name) >= 0; }

static void check_graph(const golden *g, const pare_graph *graph, const pare_gsource *s, bool *used, const pare_weights *w)
{
    pare_err err = { 0 };
    bool present;
    for (size_t i = 0; i < graph->weights.n; i++) {
        const pare_gweight *x = &graph->weights.at[i];
        if (s->check(s->user, x, &present, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
        if (present) used[pare_weights_find(w, x->name)] = true;
        if (x->layer < -1 || x->layer >= graph->layers) fail_msg("%s: %s is of layer %d of %d", g->name, x->name, x->layer, graph->layers);
    }
    if (graph->encoder) check_graph(g, graph->encoder, s, used, w);
}

static int64_t weights_of(const pare_graph *g) { return g ? (int64_t)g->weights.n + weights_of(g->encoder) : 0; }

static void fits(void **state)
{
    golden *g = golden_open(*state);
    const char *folder = golden_write(g, NULL);
    pare_err err = { 0 };
    pare_store *store = NULL;
    pare_weights *w = NULL;
    pare_graph *graph = NULL, *blind = NULL;
    pare_gsource s;
    assert_ok(pare_store_open(folder, &store, &err));
    assert_ok(pare_weights_new(ctx, store, &w, &err));
    const pare_gnames names = { .has = has, .user = w };
    if (pare_model_graph(pare_jdoc_root(store->config), "config.json", &names, &graph, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    if (pare_model_graph(pare_jdoc_root(store->config), "config.json", NULL, &blind, &err) != PARE_OK) fail_msg("%s, without names: %s", g->name, err.text);
    assert_ok(pare_model_source(ctx, w, PARE_DTYPE_NONE, &s, &err));
    bool *used = calloc((size_t)w->n, sizeof *used);
    assert_non_null(used);
    check_graph(g, graph, &s, used, w);
    for (int64_t i = 0; i < w->n; i++) {
        bool known = used[i] || (w->at[i].alias_of >= 0 && used[w->at[i].alias_of]);
        for (size_t k = 0; k < sizeof idle / sizeof *idle && !known; k++) known = strstr(w->at[i].name, idle[k]) != NULL;
        if (!known && !strcmp(w->at[i].name, "cls.predictions.bias")) known = has(w, "cls.predictions.decoder.bias"); /* an older name of it */
        if (!known && g->n_source && pare_str_ends(w->at[i].name, "coder.embed_tokens.weight")) known = true; /* copies of shared.weight */
        if (!known) fail_msg("%s: the graph does not use %s", g->name, w->at[i].name);
    }
    if (!g->n_source && weights_of(blind) < weights_of(graph)) /* tables of their own are seen only in the file */
        fail_msg("%s: %lld weights without the checkpoint's names, %lld with", g->name, (long long)weights_of(blind), (long long)weights_of(graph));
    free(used);
    s.close(s.user);
    pare_graph_free(graph);
    pare_graph_free(blind);
    pare_weights_free(w);
    pare_store_close(store);
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
        if (wanted) tests[n++] = (struct CMUnitTest){ .name = names[i], .test_func = fits, .initial_state = (void *)names[i] };
    }
    if (n < (argc < 2 ? 100u : 1u) || pare_ctx_new(&(pare_ctx_options){ .threads = 1 }, &ctx, NULL) != PARE_OK) return 1;
    const int failed = _cmocka_run_group_tests("graphs", tests, n, NULL, NULL);
    pare_ctx_free(ctx);
    return failed;
}
