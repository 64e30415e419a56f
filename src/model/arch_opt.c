/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OPT: learned positions shifted by 2, biases everywhere, tied head; word_embed_proj_dim may differ from hidden_size, and norms may come
 * after each half (do_layer_norm_before false: OPT-350M).
 */
#include "model/settings.h"

static pare_status skeleton(const pare_jval *c, pare_skeleton *s, pare_err *err) {
    static const char *const proj[] = {"k_proj", "v_proj", "q_proj", "out_proj"};
    int64_t hidden, layers, heads, ffn, vocab, positions, embed;
    const pare_config_int wanted[] = {{"hidden_size", &hidden, -1, 1 << 20},        {"num_hidden_layers", &layers, -1, 4096},
                                      {"num_attention_heads", &heads, -1, 1 << 14}, {"ffn_dim", &ffn, -1, 1 << 22},
                                      {"vocab_size", &vocab, -1, 1 << 26},          {"max_position_embeddings", &positions, -1, 1 << 24},
                                      {"word_embed_proj_dim", &embed, 0, 1 << 20},  {NULL, NULL, 0, 0}};
    const pare_status st = pare_config_ints(c, wanted, err);
    if (st != PARE_OK) return st;
    if (embed == 0) embed = hidden;
    pare_skel_embedding(s, "model.decoder.embed_tokens", vocab, embed);
    pare_skel_embedding(s, "model.decoder.embed_positions", positions + 2, hidden);
    if (embed != hidden) {
        pare_skel_linear(s, "model.decoder.project_out", embed, hidden, false);
        pare_skel_linear(s, "model.decoder.project_in", hidden, embed, false);
    }
    for (int64_t i = 0; i < layers; i++) {
        const char *p = pare_skel_name(s, "model.decoder.layers.%lld", (long long)i);
        for (int k = 0; k < 4; k++) pare_skel_linear(s, pare_skel_name(s, "%s.self_attn.%s", p, proj[k]), hidden, hidden, true);
        pare_skel_norm(s, pare_skel_name(s, "%s.self_attn_layer_norm", p), hidden, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.fc1", p), ffn, hidden, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.fc2", p), hidden, ffn, true);
        pare_skel_norm(s, pare_skel_name(s, "%s.final_layer_norm", p), hidden, true);
    }
    if (pare_j_bool(pare_j_get(c, "do_layer_norm_before"), true) && !pare_j_bool(pare_j_get(c, "_remove_final_layer_norm"), false))
        pare_skel_norm(s, "model.decoder.final_layer_norm", hidden, true);
    pare_skel_head(s, "lm_head", vocab, embed, false, pare_j_bool(pare_j_get(c, "tie_word_embeddings"), true));
    s->cache = (pare_cache_shape){layers, heads, hidden / heads};
    return PARE_OK;
}

typedef struct opt_sizes { int64_t hidden, layers, heads, ffn, vocab, positions, embed, dim; bool before, bias, affine, last_norm; pare_activation act; } opt_sizes;

static void read_sizes(const pare_jval *c, opt_sizes *z, pare_graph *g) {
    const pare_set_int wanted[] = {{"hidden_size", &z->hidden, 768, 1, 1 << 20},
                                   {"num_hidden_layers", &z->layers, 12, 1, 4096},
                                   {"num_attention_heads", &z->heads, 12, 1, 1 << 14},
                                   {"ffn_dim", &z->ffn, 3072, 1, 1 << 22},
                                   {"vocab_size", &z->vocab, 50272, 1, 1 << 26},
                                   {"max_position_embeddings", &z->positions, 2048, 1, 1 << 24},
                                   {"word_embed_proj_dim", &z->embed, 0, 1, 1 << 20},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    if (z->embed == 0) z->embed = z->hidden;
    z->dim = pare_g_head_dim(g, z->hidden, z->heads);
    z->before = pare_g_bool(g, c, "do_layer_norm_before", true);
    z->bias = pare_g_bool(g, c, "enable_bias", true);
    z->affine = pare_g_bool(g, c, "layer_norm_elementwise_affine", true);
    z->last_norm = z->before && !pare_g_bool(g, c, "_remove_final_layer_norm", false);
    z->act = pare_g_activation(g, pare_g_string(g, c, "activation_function", "relu"));
}

static pare_gv norm(pare_graph *g, const opt_sizes *z, pare_gv x, const char *module) { return pare_g_layer_norm(g, x, module, 1e-5f, z->affine, z->affine); }

static pare_gv layer(pare_graph *g, const opt_sizes *z, const char *p, pare_gv x) {
    const char *const modules[] = {pare_g_text(g, "%s.self_attn.q_proj", p), pare_g_text(g, "%s.self_attn.k_proj", p), pare_g_text(g, "%s.self_attn.v_proj", p)};
    const char *norm1 = pare_g_text(g, "%s.self_attn_layer_norm", p), *norm2 = pare_g_text(g, "%s.final_layer_norm", p);
    const int64_t outs[] = {z->hidden, z->hidden, z->hidden};
    const bool bias[] = {z->bias, z->bias, z->bias};
    const pare_attention a = pare_attention_of(z->heads, z->heads, z->dim, pare_g_cache(g, z->heads, z->dim, z->dim, 0));
    pare_gv qkv[3];
    pare_g_linears(g, z->before ? norm(g, z, x, norm1) : x, 3, modules, outs, z->hidden, bias, qkv);
    x = pare_g_add(g, x, pare_g_attend(g, qkv, &a, pare_g_text(g, "%s.self_attn.out_proj", p), z->hidden, z->bias));
    if (!z->before) x = norm(g, z, x, norm1);
    const pare_gv m = z->before ? norm(g, z, x, norm2) : x;
    x = pare_g_add(g, x, pare_g_mlp(g, m, pare_g_text(g, "%s.fc1", p), pare_g_text(g, "%s.fc2", p), z->hidden, z->ffn, z->bias, z->act));
    return z->before ? x : norm(g, z, x, norm2);
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    static const char *const prefixes[] = {"model.decoder.", "decoder.", NULL};
    opt_sizes z = {0};
    read_sizes(c, &z, g);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", true);
    if (g->failed) return;
    const char *p = g->prefix = pare_g_prefix(names, prefixes, "embed_tokens.weight");
    g->layers = (int)z.layers, g->vocab = z.vocab, g->hidden = z.hidden, g->max_positions = z.positions;
    const pare_gw table = pare_g_table(g, pare_g_text(g, "%sembed_tokens.weight", p), z.vocab, z.embed);
    const pare_gw places = pare_g_table(g, pare_g_text(g, "%sembed_positions.weight", p), z.positions + 2, z.hidden);
    pare_gv x = pare_g_embed(g, pare_g_ids(g), table, 1);
    if (z.embed != z.hidden) x = pare_g_linear(g, x, pare_g_text(g, "%sproject_in", p), z.hidden, z.embed, false);
    x = pare_g_add(g, x, pare_g_embed_positions(g, places, 2));
    for (int64_t i = 0; i < z.layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, &z, pare_g_text(g, "%slayers.%lld", p, (long long)i), x);
    }
    pare_g_layer(g, -1);
    if (z.last_norm) x = norm(g, &z, x, pare_g_text(g, "%sfinal_layer_norm", p));
    if (z.embed != z.hidden) x = pare_g_linear(g, x, pare_g_text(g, "%sproject_out", p), z.embed, z.hidden, false);
    g->hidden_out = x;
    g->logits = pare_g_head(g, names, x, "lm_head", z.vocab, z.embed, false, tied, table);
    g->summary = pare_g_text(g, "opt: %lld layers, %lld heads of %lld, ffn %lld", (long long)z.layers, (long long)z.heads, (long long)z.dim, (long long)z.ffn);
}

static const char *const types[] = {"opt", NULL};
const pare_arch pare_arch_opt = {.name = "opt", .help = "OPT", .model_types = types, .skeleton = skeleton, .graph = graph, .kind = PARE_G_DECODER};
