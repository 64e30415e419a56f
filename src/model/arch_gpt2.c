/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPT-2: learned positions, norm before each half, fused q k v side by side, tied head. Its dense layers are stored as [in, out]. Checkpoints
 * of the bare model have no "transformer." before their names.
 */
#include "model/settings.h"

typedef struct gpt2_sizes { int64_t hidden, layers, heads, ffn, vocab, positions, dim; float eps; bool scale, by_layer; pare_activation act; } gpt2_sizes;

static void read_sizes(const pare_jval *c, gpt2_sizes *z, pare_graph *g) {
    const pare_set_int wanted[] = {{"n_embd|hidden_size", &z->hidden, 768, 1, 1 << 20},
                                   {"n_layer|num_hidden_layers", &z->layers, 12, 1, 4096},
                                   {"n_head|num_attention_heads", &z->heads, 12, 1, 1 << 14},
                                   {"n_inner", &z->ffn, 0, 1, 1 << 22},
                                   {"vocab_size", &z->vocab, 50257, 1, 1 << 26},
                                   {"n_positions|max_position_embeddings", &z->positions, 1024, 1, 1 << 24},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    if (z->ffn == 0) z->ffn = 4 * z->hidden;
    z->dim = pare_g_head_dim(g, z->hidden, z->heads);
    z->eps = (float)pare_g_real(g, c, "layer_norm_epsilon", 1e-5, 0, 1);
    z->scale = pare_g_bool(g, c, "scale_attn_weights", true);
    z->by_layer = pare_g_bool(g, c, "scale_attn_by_inverse_layer_idx", false);
    z->act = pare_g_activation(g, pare_g_string(g, c, "activation_function", "gelu_new"));
}

/* A dense layer stored as [in, out], with bias. */
static pare_gv conv1d(pare_graph *g, pare_gv x, const char *module, int64_t out, int64_t in) {
    const pare_gw w = pare_g_weight(g, PARE_GW_LINEAR, pare_g_text(g, "%s.weight", module), 2, (const int64_t[]){out, in});
    const pare_gw b = pare_g_vector(g, pare_g_text(g, "%s.bias", module), out);
    pare_gv y = PARE_G_NONE;
    pare_g_w(g, w)->transposed = true;
    pare_g_linears_w(g, x, 1, &w, &b, &y);
    return y;
}

static pare_gv layer(pare_graph *g, const gpt2_sizes *z, const char *prefix, int64_t i, pare_gv x) {
    const char *p = pare_g_text(g, "%sh.%lld", prefix, (long long)i);
    const int64_t h = z->hidden;
    pare_attention a = pare_attention_of(z->heads, z->heads, z->dim, pare_g_cache(g, z->heads, z->dim, z->dim, 0));
    if (!z->scale) a.scale = 1;
    if (z->by_layer) a.scale /= (float)(i + 1);
    const pare_gv n = pare_g_layer_norm(g, x, pare_g_text(g, "%s.ln_1", p), z->eps, true, true);
    const pare_gv qkv = conv1d(g, n, pare_g_text(g, "%s.attn.c_attn", p), 3 * h, h);
    const pare_gv q = pare_g_columns(g, qkv, 0, h, h, 1), k = pare_g_columns(g, qkv, h, h, h, 1), v = pare_g_columns(g, qkv, 2 * h, h, h, 1);
    x = pare_g_add(g, x, conv1d(g, pare_g_attention(g, q, k, v, &a, NULL, 0), pare_g_text(g, "%s.attn.c_proj", p), h, h));
    const pare_gv m = pare_g_layer_norm(g, x, pare_g_text(g, "%s.ln_2", p), z->eps, true, true);
    const pare_gv up = pare_g_act(g, conv1d(g, m, pare_g_text(g, "%s.mlp.c_fc", p), z->ffn, h), z->act);
    return pare_g_add(g, x, conv1d(g, up, pare_g_text(g, "%s.mlp.c_proj", p), h, z->ffn));
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    static const char *const prefixes[] = {"transformer.", "", NULL};
    gpt2_sizes z = {0};
    read_sizes(c, &z, g);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", true);
    if (g->failed) return;
    g->prefix = pare_g_prefix(names, prefixes, "wte.weight");
    g->layers = (int)z.layers, g->vocab = z.vocab, g->hidden = z.hidden, g->max_positions = z.positions;
    const pare_gw wte = pare_g_table(g, pare_g_text(g, "%swte.weight", g->prefix), z.vocab, z.hidden);
    const pare_gw wpe = pare_g_table(g, pare_g_text(g, "%swpe.weight", g->prefix), z.positions, z.hidden);
    pare_gv x = pare_g_add(g, pare_g_embed(g, pare_g_ids(g), wte, 1), pare_g_embed_positions(g, wpe, 0));
    for (int64_t i = 0; i < z.layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, &z, g->prefix, i, x);
    }
    pare_g_layer(g, -1);
    g->hidden_out = pare_g_layer_norm(g, x, pare_g_text(g, "%sln_f", g->prefix), z.eps, true, true);
    g->logits = pare_g_head(g, names, g->hidden_out, "lm_head", z.vocab, z.hidden, false, tied, wte);
    g->summary = pare_g_text(g, "gpt2: %lld layers, %lld heads of %lld, ffn %lld", (long long)z.layers, (long long)z.heads, (long long)z.dim, (long long)z.ffn);
}

static const char *const types[] = {"gpt2", NULL};
const pare_arch pare_arch_gpt2 = {.name = "gpt2", .help = "GPT-2", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
