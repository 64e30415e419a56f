/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Falcon in its three forms. 7B: one key/value head, attention and feed-forward beside each other behind one norm. 40B and 180B
 * (new_decoder_architecture): groups of query heads with a key and a value head each, fused group by group, two norms. RW-1B: a head each with
 * its q, k, v together, ALiBi, biases, one half after the other. Rotary embedding where there is no ALiBi. ALiBi is that of transformers' default
 * attention (its "eager" one adds it twice): made in bfloat16, scaled with the scores.
 */
#include "model/settings.h"

typedef struct falcon_sizes {
    int64_t hidden, layers, heads, kv, ffn, vocab, positions, norms, dim;
    float eps;
    bool alibi, grouped, single, parallel, bias;
    pare_activation act;
    pare_rope rope;
    const float *slopes;
} falcon_sizes;

/* Combinations for which transformers has no forward pass. */
static void check(const falcon_sizes *z, pare_graph *g) {
    if (z->grouped && !z->parallel) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'new_decoder_architecture' without 'parallel_attn'");
    if (!z->grouped && z->parallel && z->norms == 2) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'num_ln_in_parallel_attn' is 2 without 'new_decoder_architecture'");
    if (!z->grouped && !z->single && z->kv != z->heads)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'num_kv_heads' is %lld for %lld heads without 'new_decoder_architecture'", (long long)z->kv, (long long)z->heads);
    if (z->kv < 1 || z->heads % z->kv)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: %lld heads cannot share %lld key/value heads", (long long)z->heads, (long long)z->kv);
}

static void read_sizes(const pare_jval *c, falcon_sizes *z, pare_graph *g) {
    const pare_set_int wanted[] = {{"n_embed|hidden_size", &z->hidden, 4544, 1, 1 << 20},
                                   {"num_hidden_layers|n_layer", &z->layers, 32, 1, 4096},
                                   {"num_attention_heads|n_head", &z->heads, 71, 1, 1 << 14},
                                   {"num_kv_heads|n_head_kv", &z->kv, 0, 1, 1 << 14},
                                   {"ffn_hidden_size", &z->ffn, 0, 1, 1 << 22},
                                   {"vocab_size", &z->vocab, 65024, 1, 1 << 26},
                                   {"max_position_embeddings", &z->positions, 2048, 1, 1 << 24},
                                   {"num_ln_in_parallel_attn", &z->norms, 0, 1, 2},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    z->alibi = pare_g_bool(g, c, "alibi", false);
    z->grouped = pare_g_bool(g, c, "new_decoder_architecture", false);
    z->single = !z->grouped && pare_g_bool(g, c, "multi_query", true);
    z->parallel = pare_g_bool(g, c, "parallel_attn", true);
    z->bias = pare_g_bool(g, c, "bias", false);
    z->eps = (float)pare_g_real(g, c, "layer_norm_epsilon", 1e-5, 0, 1);
    z->act = pare_g_activation(g, pare_g_string(g, c, "activation", "gelu"));
    z->dim = pare_g_head_dim(g, z->hidden, z->heads);
    if (z->ffn == 0) z->ffn = 4 * z->hidden;
    if (z->kv == 0) z->kv = z->heads;
    if (z->single) z->kv = 1;
    if (z->norms == 0) z->norms = z->grouped ? 2 : 1;
    check(z, g);
    if (z->alibi) z->slopes = pare_g_alibi(g, z->heads, 8);
    else if (!g->failed) pare_g_rope_of(g, c, NULL, z->dim, z->dim, 10000, &z->rope);
}

/* q [tokens, heads * dim], k and v [tokens, kv * dim], the first two rotated. A group is heads / kv rows of q, one of k, one of v. */
static void heads(pare_graph *g, const falcon_sizes *z, const char *p, pare_gv x, pare_gv qkv[3]) {
    const int64_t d = z->dim, share = z->heads / z->kv, group = (share + 2) * d;
    const pare_gv fused = pare_g_linear(g, x, pare_g_text(g, "%s.self_attention.query_key_value", p), z->kv * group, z->hidden, z->bias);
    qkv[0] = pare_g_columns(g, fused, 0, share * d, group, z->kv);
    qkv[1] = pare_g_columns(g, fused, share * d, d, group, z->kv);
    qkv[2] = pare_g_columns(g, fused, (share + 1) * d, d, group, z->kv);
    for (int k = 0; k < 2 && !z->alibi; k++) {
        pare_rope rope = z->rope;
        rope.heads = k == 0 ? z->heads : z->kv;
        qkv[k] = pare_g_rope(g, qkv[k], &rope);
    }
}

static pare_gv norm(pare_graph *g, const falcon_sizes *z, pare_gv x, const char *p, const char *name) {
    return pare_g_layer_norm(g, x, pare_g_text(g, "%s.%s", p, name), z->eps, true, true);
}

static pare_gv layer(pare_graph *g, const falcon_sizes *z, const char *p, pare_gv x) {
    pare_attention a = pare_attention_of(z->heads, z->kv, z->dim, pare_g_cache(g, z->kv, z->dim, z->dim, 0));
    pare_gv qkv[3];
    a.alibi = z->slopes;
    if (z->slopes) a.alibi_bf16 = a.scale; /* added before the scores are scaled */
    const bool two = z->parallel && z->norms == 2;
    const pare_gv n = norm(g, z, x, p, two ? "ln_attn" : "input_layernorm");
    heads(g, z, p, n, qkv);
    const pare_gv y = pare_g_add(g, pare_g_attend(g, qkv, &a, pare_g_text(g, "%s.self_attention.dense", p), z->hidden, z->bias), x);
    const pare_gv m = two ? norm(g, z, x, p, "ln_mlp") : z->parallel ? n : norm(g, z, y, p, "post_attention_layernorm");
    return pare_g_add(g, pare_g_mlp(g, m, pare_g_text(g, "%s.mlp.dense_h_to_4h", p), pare_g_text(g, "%s.mlp.dense_4h_to_h", p), z->hidden, z->ffn, z->bias, z->act), y);
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    static const char *const prefixes[] = {"transformer.", "", NULL};
    falcon_sizes z = {0};
    read_sizes(c, &z, g);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", true);
    if (g->failed) return;
    const char *p = g->prefix = pare_g_prefix(names, prefixes, "word_embeddings.weight");
    g->layers = (int)z.layers, g->vocab = z.vocab, g->hidden = z.hidden, g->max_positions = z.alibi ? 0 : z.positions;
    const pare_gw table = pare_g_table(g, pare_g_text(g, "%sword_embeddings.weight", p), z.vocab, z.hidden);
    pare_gv x = pare_g_embed(g, pare_g_ids(g), table, 1);
    for (int64_t i = 0; i < z.layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, &z, pare_g_text(g, "%sh.%lld", p, (long long)i), x);
    }
    pare_g_layer(g, -1);
    g->hidden_out = pare_g_layer_norm(g, x, pare_g_text(g, "%sln_f", p), z.eps, true, true);
    g->logits = pare_g_head(g, names, g->hidden_out, "lm_head", z.vocab, z.hidden, false, tied, table);
    g->summary = pare_g_text(g, "falcon: %lld layers, %lld/%lld heads of %lld, ffn %lld%s", (long long)z.layers, (long long)z.heads, (long long)z.kv, (long long)z.dim,
                             (long long)z.ffn, z.alibi ? ", ALiBi" : "");
}

static const char *const types[] = {"falcon", NULL};
const pare_arch pare_arch_falcon = {.name = "falcon", .help = "Falcon", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
