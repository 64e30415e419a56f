/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MPT: ALiBi, no biases, norms with a weight only, q k v fused side by side in Wqkv, their values clipped when the config says so. Details of
 * attention are in the config's attn_config; what no published checkpoint that transformers runs has there is refused.
 */
#include <string.h>

#include "model/settings.h"

typedef struct mpt_sizes { int64_t hidden, layers, heads, vocab, positions, dim; float eps, clip, scale; bool bias; const float *alibi; } mpt_sizes;

static void refuse(pare_graph *g, const char *key) { pare_g_fail(g, PARE_ERR_UNSUPPORTED, "config.json: '%s': this kind of MPT cannot be run", key); }

static void read_attention(const pare_jval *c, mpt_sizes *z, pare_graph *g) {
    const pare_jval *a = pare_j_get(c, "attn_config");
    z->clip = (float)pare_g_real(g, a, "clip_qkv", 0, 0, 1e30);
    z->scale = (float)pare_g_real(g, a, "softmax_scale", 0, 0, 1e30);
    z->alibi = pare_g_alibi(g, z->heads, pare_g_real(g, a, "alibi_bias_max", 8, 1e-3, 1024));
    if (strcmp(pare_g_string(g, a, "attn_type", "multihead_attention"), "multihead_attention")) refuse(g, "attn_type");
    if (!pare_g_bool(g, a, "alibi", true)) refuse(g, "alibi");
    if (pare_g_bool(g, a, "qk_ln", false)) refuse(g, "qk_ln");
    if (pare_g_bool(g, a, "prefix_lm", false)) refuse(g, "prefix_lm");
    if (pare_j_type(pare_j_get(c, "logit_scale")) != PARE_J_NULL) refuse(g, "logit_scale");
}

static void read_sizes(const pare_jval *c, mpt_sizes *z, pare_graph *g) {
    const pare_set_int wanted[] = {{"d_model|hidden_size", &z->hidden, 2048, 1, 1 << 20},
                                   {"n_layers|num_hidden_layers", &z->layers, 24, 1, 4096},
                                   {"n_heads|num_attention_heads", &z->heads, 16, 1, 1 << 14},
                                   {"vocab_size", &z->vocab, 50368, 1, 1 << 26},
                                   {"max_seq_len", &z->positions, 2048, 1, 1 << 24},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    z->dim = pare_g_head_dim(g, z->hidden, z->heads);
    z->eps = (float)pare_g_real(g, c, "layer_norm_epsilon", 1e-5, 0, 1);
    read_attention(c, z, g);
}

static pare_gv norm(pare_graph *g, const mpt_sizes *z, pare_gv x, const char *module) { return pare_g_layer_norm(g, x, module, z->eps, true, z->bias); }

static pare_gv layer(pare_graph *g, const mpt_sizes *z, const char *p, pare_gv x) {
    const int64_t h = z->hidden;
    pare_attention a = pare_attention_of(z->heads, z->heads, z->dim, pare_g_cache(g, z->heads, z->dim, z->dim, 0));
    a.alibi = z->alibi;
    if (z->scale > 0) a.scale = z->scale;
    pare_gv fused = pare_g_linear(g, norm(g, z, x, pare_g_text(g, "%s.norm_1", p)), pare_g_text(g, "%s.attn.Wqkv", p), 3 * h, h, z->bias);
    if (z->clip > 0) fused = pare_g_clamp(g, fused, -z->clip, z->clip);
    pare_gv qkv[3];
    for (int k = 0; k < 3; k++) qkv[k] = pare_g_columns(g, fused, k * h, h, h, 1);
    x = pare_g_add(g, x, pare_g_attend(g, qkv, &a, pare_g_text(g, "%s.attn.out_proj", p), h, z->bias));
    const pare_gv m = norm(g, z, x, pare_g_text(g, "%s.norm_2", p));
    /* Four times the width whatever expansion_ratio says, as transformers builds it. */
    return pare_g_add(g, x, pare_g_mlp(g, m, pare_g_text(g, "%s.ffn.up_proj", p), pare_g_text(g, "%s.ffn.down_proj", p), h, 4 * h, z->bias, PARE_ACT_FN_GELU));
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    static const char *const prefixes[] = {"transformer.", "", NULL};
    mpt_sizes z = {0};
    read_sizes(c, &z, g);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", true), none = pare_g_bool(g, c, "no_bias", true);
    if (g->failed) return;
    const char *p = g->prefix = pare_g_prefix(names, prefixes, "wte.weight");
    z.bias = !none && pare_names_has(names, pare_g_text(g, "%sblocks.0.attn.Wqkv.bias", p));
    g->layers = (int)z.layers, g->vocab = z.vocab, g->hidden = z.hidden, g->max_positions = z.positions;
    const pare_gw table = pare_g_table(g, pare_g_text(g, "%swte.weight", p), z.vocab, z.hidden);
    pare_gv x = pare_g_embed(g, pare_g_ids(g), table, 1);
    for (int64_t i = 0; i < z.layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, &z, pare_g_text(g, "%sblocks.%lld", p, (long long)i), x);
    }
    pare_g_layer(g, -1);
    g->hidden_out = norm(g, &z, x, pare_g_text(g, "%snorm_f", p));
    g->logits = pare_g_head(g, names, g->hidden_out, "lm_head", z.vocab, z.hidden, false, tied, table);
    g->summary = pare_g_text(g, "mpt: %lld layers, %lld heads of %lld, ALiBi", (long long)z.layers, (long long)z.heads, (long long)z.dim);
}

static const char *const types[] = {"mpt", NULL};
const pare_arch pare_arch_mpt = {.name = "mpt", .help = "MPT", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
