/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLOOM: ALiBi, a norm right behind the embedding, fused query_key_value with the rows of a head together (q, k, v), tied head. The checkpoints of
 * the BigScience project have no "transformer." before their names.
 */
#include "model/settings.h"

typedef struct bloom_sizes { int64_t hidden, layers, heads, vocab, dim; float eps; bool post; const float *alibi; } bloom_sizes;

static void read_sizes(const pare_jval *c, bloom_sizes *z, pare_graph *g) {
    const pare_set_int wanted[] = {{"n_embed|hidden_size", &z->hidden, 64, 1, 1 << 20},
                                   {"n_layer|num_hidden_layers", &z->layers, 2, 1, 4096},
                                   {"n_head|num_attention_heads", &z->heads, 8, 1, 1 << 14},
                                   {"vocab_size", &z->vocab, 250880, 1, 1 << 26},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    z->dim = pare_g_head_dim(g, z->hidden, z->heads);
    z->eps = (float)pare_g_real(g, c, "layer_norm_epsilon", 1e-5, 0, 1);
    z->post = pare_g_bool(g, c, "apply_residual_connection_post_layernorm", false);
    z->alibi = pare_g_alibi(g, z->heads, 8);
}

static pare_gv layer(pare_graph *g, const bloom_sizes *z, const char *p, pare_gv x) {
    pare_attention a = pare_attention_of(z->heads, z->heads, z->dim, pare_g_cache(g, z->heads, z->dim, z->dim, 0));
    a.alibi = z->alibi;
    const pare_gv n = pare_g_layer_norm(g, x, pare_g_text(g, "%s.input_layernorm", p), z->eps, true, true);
    const pare_gv fused = pare_g_linear(g, n, pare_g_text(g, "%s.self_attention.query_key_value", p), 3 * z->hidden, z->hidden, true);
    pare_gv qkv[3];
    for (int k = 0; k < 3; k++) qkv[k] = pare_g_columns(g, fused, k * z->dim, z->dim, 3 * z->dim, z->heads);
    x = pare_g_add(g, z->post ? n : x, pare_g_attend(g, qkv, &a, pare_g_text(g, "%s.self_attention.dense", p), z->hidden, true));
    const pare_gv m = pare_g_layer_norm(g, x, pare_g_text(g, "%s.post_attention_layernorm", p), z->eps, true, true);
    return pare_g_add(g, z->post ? m : x,
                      pare_g_mlp(g, m, pare_g_text(g, "%s.mlp.dense_h_to_4h", p), pare_g_text(g, "%s.mlp.dense_4h_to_h", p), z->hidden, 4 * z->hidden, true,
                                 PARE_ACT_FN_GELU_TANH));
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    static const char *const prefixes[] = {"transformer.", "", NULL};
    bloom_sizes z = {0};
    read_sizes(c, &z, g);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", true);
    if (g->failed) return;
    const char *p = g->prefix = pare_g_prefix(names, prefixes, "word_embeddings.weight");
    g->layers = (int)z.layers, g->vocab = z.vocab, g->hidden = z.hidden;
    const pare_gw table = pare_g_table(g, pare_g_text(g, "%sword_embeddings.weight", p), z.vocab, z.hidden);
    pare_gv x = pare_g_layer_norm(g, pare_g_embed(g, pare_g_ids(g), table, 1), pare_g_text(g, "%sword_embeddings_layernorm", p), z.eps, true, true);
    for (int64_t i = 0; i < z.layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, &z, pare_g_text(g, "%sh.%lld", p, (long long)i), x);
    }
    pare_g_layer(g, -1);
    g->hidden_out = pare_g_layer_norm(g, x, pare_g_text(g, "%sln_f", p), z.eps, true, true);
    g->logits = pare_g_head(g, names, g->hidden_out, "lm_head", z.vocab, z.hidden, false, tied, table);
    g->summary = pare_g_text(g, "bloom: %lld layers, %lld heads of %lld, ALiBi", (long long)z.layers, (long long)z.heads, (long long)z.dim);
}

static const char *const types[] = {"bloom", NULL};
const pare_arch pare_arch_bloom = {.name = "bloom", .help = "BLOOM", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
