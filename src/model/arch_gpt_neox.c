/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPT-NeoX and Pythia: fused query_key_value with the rows of a head together (q, k, v), a rotary embedding of the first quarter of each head,
 * attention and feed-forward beside each other, untied embed_out; one inverse-frequency buffer.
 */
#include "model/settings.h"

static pare_status skeleton(const pare_jval *c, pare_skeleton *s, pare_err *err) {
    int64_t hidden, layers, heads, ffn, vocab;
    const pare_config_int wanted[] = {{"hidden_size", &hidden, -1, 1 << 20},       {"num_hidden_layers", &layers, -1, 4096},
                                      {"num_attention_heads", &heads, -1, 1 << 14}, {"intermediate_size", &ffn, -1, 1 << 22},
                                      {"vocab_size", &vocab, -1, 1 << 26},          {NULL, NULL, 0, 0}};
    const pare_status st = pare_config_ints(c, wanted, err);
    if (st != PARE_OK) return st;
    const double rotary = pare_j_real(pare_j_get(c, "rotary_pct"), 0.25);
    const int64_t dim = hidden / heads, frequencies = (int64_t)((double)dim * (rotary >= 0 && rotary <= 1 ? rotary : 0.25)) / 2;
    pare_skel_embedding(s, "gpt_neox.embed_in", vocab, hidden);
    for (int64_t i = 0; i < layers; i++) {
        const char *p = pare_skel_name(s, "gpt_neox.layers.%lld", (long long)i);
        pare_skel_norm(s, pare_skel_name(s, "%s.input_layernorm", p), hidden, true);
        pare_skel_norm(s, pare_skel_name(s, "%s.post_attention_layernorm", p), hidden, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.attention.query_key_value", p), 3 * hidden, hidden, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.attention.dense", p), hidden, hidden, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.mlp.dense_h_to_4h", p), ffn, hidden, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.mlp.dense_4h_to_h", p), hidden, ffn, true);
    }
    pare_skel_norm(s, "gpt_neox.final_layer_norm", hidden, true);
    pare_skel_add(s, PARE_SKEL_BUFFER, PARE_F32, "gpt_neox.rotary_emb.inv_freq", 1, &frequencies);
    pare_skel_head(s, "embed_out", vocab, hidden, false, pare_j_bool(pare_j_get(c, "tie_word_embeddings"), false));
    s->cache = (pare_cache_shape){layers, heads, dim};
    return PARE_OK;
}

typedef struct neox_sizes { int64_t hidden, layers, heads, ffn, vocab, positions, dim; float eps; bool parallel, bias; pare_activation act; pare_rope rope; } neox_sizes;

static void read_sizes(const pare_jval *c, neox_sizes *z, pare_graph *g) {
    const pare_set_int wanted[] = {{"hidden_size", &z->hidden, 6144, 1, 1 << 20},
                                   {"num_hidden_layers", &z->layers, 44, 1, 4096},
                                   {"num_attention_heads", &z->heads, 64, 1, 1 << 14},
                                   {"intermediate_size", &z->ffn, 24576, 1, 1 << 22},
                                   {"vocab_size", &z->vocab, 50432, 1, 1 << 26},
                                   {"max_position_embeddings", &z->positions, 2048, 1, 1 << 24},
                                   {NULL, NULL, 0, 0, 0}};
    const pare_jval *rope = pare_j_get(c, "rope_parameters");
    pare_g_ints(g, c, wanted);
    z->dim = pare_g_head_dim(g, z->hidden, z->heads);
    z->eps = (float)pare_g_real(g, c, "layer_norm_eps", 1e-5, 0, 1);
    z->parallel = pare_g_bool(g, c, "use_parallel_residual", true);
    z->bias = pare_g_bool(g, c, "attention_bias", true);
    z->act = pare_g_activation(g, pare_g_string(g, c, "hidden_act", "gelu"));
    const double share = pare_g_real(g, rope, "partial_rotary_factor", pare_g_real(g, c, "rotary_pct", 0.25, 0, 1), 0, 1);
    const int64_t rotary = (int64_t)((double)z->dim * share);
    if (rotary % 2) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: %g of a head of %lld are %lld rotated columns, an odd number", share, (long long)z->dim, (long long)rotary);
    if (!g->failed && rotary > 0) pare_g_rope_of(g, c, NULL, z->dim, rotary, pare_g_real(g, c, "rotary_emb_base", 10000, 1e-3, 1e15), &z->rope);
    z->rope.heads = z->heads;
    z->rope.dim = rotary;
}

static pare_gv layer(pare_graph *g, const neox_sizes *z, const char *p, pare_gv x) {
    const pare_attention a = pare_attention_of(z->heads, z->heads, z->dim, pare_g_cache(g, z->heads, z->dim, z->dim, 0));
    const pare_gv n = pare_g_layer_norm(g, x, pare_g_text(g, "%s.input_layernorm", p), z->eps, true, true);
    const pare_gv fused = pare_g_linear(g, n, pare_g_text(g, "%s.attention.query_key_value", p), 3 * z->hidden, z->hidden, z->bias);
    pare_gv qkv[3];
    for (int k = 0; k < 3; k++) qkv[k] = pare_g_columns(g, fused, k * z->dim, z->dim, 3 * z->dim, z->heads);
    for (int k = 0; k < 2 && z->rope.dim > 0; k++) qkv[k] = pare_g_rope(g, qkv[k], &z->rope);
    const pare_gv y = pare_g_add(g, x, pare_g_attend(g, qkv, &a, pare_g_text(g, "%s.attention.dense", p), z->hidden, z->bias));
    const pare_gv m = pare_g_layer_norm(g, z->parallel ? x : y, pare_g_text(g, "%s.post_attention_layernorm", p), z->eps, true, true);
    return pare_g_add(g, y, pare_g_mlp(g, m, pare_g_text(g, "%s.mlp.dense_h_to_4h", p), pare_g_text(g, "%s.mlp.dense_4h_to_h", p), z->hidden, z->ffn, true, z->act));
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    static const char *const prefixes[] = {"gpt_neox.", "", NULL};
    neox_sizes z = {0};
    read_sizes(c, &z, g);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", false);
    if (g->failed) return;
    g->prefix = pare_g_prefix(names, prefixes, "embed_in.weight");
    g->layers = (int)z.layers, g->vocab = z.vocab, g->hidden = z.hidden, g->max_positions = z.positions;
    const pare_gw table = pare_g_table(g, pare_g_text(g, "%sembed_in.weight", g->prefix), z.vocab, z.hidden);
    pare_gv x = pare_g_embed(g, pare_g_ids(g), table, 1);
    for (int64_t i = 0; i < z.layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, &z, pare_g_text(g, "%slayers.%lld", g->prefix, (long long)i), x);
    }
    pare_g_layer(g, -1);
    g->hidden_out = pare_g_layer_norm(g, x, pare_g_text(g, "%sfinal_layer_norm", g->prefix), z.eps, true, true);
    g->logits = pare_g_head(g, names, g->hidden_out, pare_names_has(names, "lm_head.weight") ? "lm_head" : "embed_out", z.vocab, z.hidden, false, tied, table);
    g->summary = pare_g_text(g, "gpt_neox: %lld layers, %lld heads of %lld (%lld rotated), ffn %lld", (long long)z.layers, (long long)z.heads, (long long)z.dim,
                             (long long)z.rope.dim, (long long)z.ffn);
}

static const char *const types[] = {"gpt_neox", NULL};
const pare_arch pare_arch_gpt_neox = {
    .name = "gpt_neox", .help = "GPT-NeoX, Pythia", .model_types = types, .skeleton = skeleton, .graph = graph, .kind = PARE_G_DECODER};
