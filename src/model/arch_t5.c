/* SPDX-License-Identifier: Apache-2.0 */
/*
 * T5, FLAN-T5, mT5: encoder and decoder stacks, no biases, scores that are not scaled, gated or plain feed-forward. The first block of a stack has
 * a table of relative positions that all its blocks add to their scores (UMT5: every block its own). The embedding is the head; what it gets is
 * scaled by d_model^-1/2 unless tie_word_embeddings or scale_decoder_outputs is false (T5 1.1, FLAN-T5; mT5 never).
 */
#include <math.h>
#include <string.h>

#include "model/settings.h"

typedef struct t5_sizes { int64_t model, kv, heads, ff, layers, decoder_layers, vocab, buckets; bool gated; } t5_sizes;

static void add_attention(pare_skeleton *s, const char *p, const char *name, const t5_sizes *z, bool first) {
    static const char *const proj[] = {"q", "k", "v"};
    const int64_t inner = z->heads * z->kv;
    for (int k = 0; k < 3; k++) pare_skel_linear(s, pare_skel_name(s, "%s.%s.%s", p, name, proj[k]), inner, z->model, false);
    pare_skel_linear(s, pare_skel_name(s, "%s.%s.o", p, name), z->model, inner, false);
    if (first) pare_skel_embedding(s, pare_skel_name(s, "%s.%s.relative_attention_bias", p, name), z->buckets, z->heads);
    pare_skel_norm(s, pare_skel_name(s, "%s.layer_norm", p), z->model, false);
}

static void add_feed_forward(pare_skeleton *s, const char *p, const t5_sizes *z) {
    if (z->gated) {
        pare_skel_linear(s, pare_skel_name(s, "%s.DenseReluDense.wi_0", p), z->ff, z->model, false);
        pare_skel_linear(s, pare_skel_name(s, "%s.DenseReluDense.wi_1", p), z->ff, z->model, false);
    } else
        pare_skel_linear(s, pare_skel_name(s, "%s.DenseReluDense.wi", p), z->ff, z->model, false);
    pare_skel_linear(s, pare_skel_name(s, "%s.DenseReluDense.wo", p), z->model, z->ff, false);
    pare_skel_norm(s, pare_skel_name(s, "%s.layer_norm", p), z->model, false);
}

static void add_stack(pare_skeleton *s, const char *stack, const t5_sizes *z, int64_t layers, bool decoder) {
    for (int64_t i = 0; i < layers; i++) {
        const char *block = pare_skel_name(s, "%s.block.%lld", stack, (long long)i);
        add_attention(s, pare_skel_name(s, "%s.layer.0", block), "SelfAttention", z, i == 0);
        if (decoder) add_attention(s, pare_skel_name(s, "%s.layer.1", block), "EncDecAttention", z, false);
        add_feed_forward(s, pare_skel_name(s, "%s.layer.%d", block, decoder ? 2 : 1), z);
    }
    pare_skel_norm(s, pare_skel_name(s, "%s.final_layer_norm", stack), z->model, false);
}

static pare_status skeleton(const pare_jval *c, pare_skeleton *s, pare_err *err) {
    t5_sizes z;
    const pare_config_int wanted[] = {{"d_model", &z.model, -1, 1 << 20},   {"d_kv", &z.kv, -1, 1 << 16},           {"num_heads", &z.heads, -1, 1 << 14},
                                      {"d_ff", &z.ff, -1, 1 << 22},         {"num_layers", &z.layers, -1, 4096},    {"num_decoder_layers", &z.decoder_layers, 0, 4096},
                                      {"vocab_size", &z.vocab, -1, 1 << 26}, {"relative_attention_num_buckets", &z.buckets, 32, 1 << 16}, {NULL, NULL, 0, 0}};
    const pare_status st = pare_config_ints(c, wanted, err);
    if (st != PARE_OK) return st;
    if (z.decoder_layers == 0) z.decoder_layers = z.layers;
    z.gated = pare_str_starts(pare_j_text(pare_j_get(c, "feed_forward_proj"), "relu"), "gated");
    pare_skel_embedding(s, "shared", z.vocab, z.model);
    add_stack(s, "encoder", &z, z.layers, false);
    add_stack(s, "decoder", &z, z.decoder_layers, true);
    pare_skel_head(s, "lm_head", z.vocab, z.model, false, pare_j_bool(pare_j_get(c, "tie_word_embeddings"), true));
    s->cache = (pare_cache_shape){z.decoder_layers, z.heads, z.kv};
    return PARE_OK;
}

typedef struct t5_graph {
    t5_sizes z;
    int64_t distance;
    float eps;
    pare_activation act;
    bool own_tables; /* UMT5 */
    pare_gw table;   /* of the stack's first block */
} t5_graph;

static void read_sizes(const pare_jval *c, t5_graph *t, pare_graph *g) {
    t5_sizes *z = &t->z;
    const bool old = strcmp(pare_j_text(pare_j_get(c, "model_type"), "t5"), "t5") == 0;
    const pare_set_int wanted[] = {{"d_model|hidden_size", &z->model, 512, 1, 1 << 20},
                                   {"d_kv|head_dim", &z->kv, 64, 1, 1 << 16},
                                   {"num_heads|num_attention_heads", &z->heads, old ? 8 : 6, 1, 1 << 14},
                                   {"d_ff", &z->ff, old ? 2048 : 1024, 1, 1 << 22},
                                   {"num_layers|num_hidden_layers", &z->layers, old ? 6 : 8, 1, 4096},
                                   {"num_decoder_layers", &z->decoder_layers, 0, 1, 4096},
                                   {"vocab_size", &z->vocab, old ? 32128 : 250112, 1, 1 << 26},
                                   {"relative_attention_num_buckets", &z->buckets, 32, 2, 1 << 16},
                                   {"relative_attention_max_distance", &t->distance, 128, 1, 1 << 24},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    if (z->decoder_layers == 0) z->decoder_layers = z->layers;
    t->eps = (float)pare_g_real(g, c, "layer_norm_epsilon", 1e-6, 0, 1);
    t->own_tables = strcmp(pare_j_text(pare_j_get(c, "model_type"), "t5"), "umt5") == 0;
    const char *act = pare_g_string(g, c, "feed_forward_proj", old ? "relu" : "gated-gelu");
    z->gated = pare_str_starts(act, "gated-");
    if (z->gated) act += strlen("gated-");
    t->act = z->gated && strcmp(act, "gelu") == 0 ? PARE_ACT_FN_GELU_TANH : pare_g_activation(g, act); /* "gated-gelu" has always meant the tanh form */
    /* Half of the buckets are for exact distances (of half of them, where both directions have their own). */
    if (t->distance <= z->buckets / 2 || z->buckets < 4)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: %lld buckets for relative distances up to %lld", (long long)z->buckets, (long long)t->distance);
}

/* One attention of a block; memory: cross-attention to it, else PARE_G_NONE. */
static pare_gv attend(pare_graph *g, t5_graph *t, pare_gv x, const char *p, const char *name, bool decoder, bool first, pare_gv memory) {
    const t5_sizes *z = &t->z;
    const int64_t inner = z->heads * z->kv, outs[] = {inner, inner, inner};
    const bool bias[] = {false, false, false}, cross = memory != PARE_G_NONE, table = !cross && (first || t->own_tables);
    const char *const modules[] = {pare_g_text(g, "%s.%s.q", p, name), pare_g_text(g, "%s.%s.k", p, name), pare_g_text(g, "%s.%s.v", p, name)};
    pare_attention a = pare_attention_of(z->heads, z->heads, z->kv, decoder && !cross ? pare_g_cache(g, z->heads, z->kv, z->kv, 0) : -1);
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    const pare_gv n = pare_g_rms_norm(g, x, pare_g_text(g, "%s.layer_norm.weight", p), t->eps, 0);
    if (table) t->table = pare_g_weight(g, PARE_GW_VECTOR, pare_g_text(g, "%s.%s.relative_attention_bias.weight", p, name), 2, (const int64_t[]){z->buckets, z->heads});
    if (table && !t->own_tables) pare_g_w(g, t->table)->layer = -1; /* other layers need it, too */
    if (cross) {
        qkv[0] = pare_g_linear(g, n, modules[0], inner, z->model, false);
        pare_g_linears(g, memory, 2, modules + 1, outs, z->model, bias, qkv + 1);
    } else
        pare_g_linears(g, n, 3, modules, outs, z->model, bias, qkv);
    a.scale = 1;
    a.causal = decoder && !cross;
    a.cross = cross;
    a.rel_buckets = cross ? 0 : z->buckets;
    a.rel_distance = cross ? 0 : t->distance;
    a.rel_bidirectional = !decoder;
    const pare_gv y = pare_g_attention(g, qkv[0], qkv[1], qkv[2], &a, &t->table, cross ? 0 : 1);
    return pare_g_add(g, x, pare_g_linear(g, y, pare_g_text(g, "%s.%s.o", p, name), z->model, inner, false));
}

static pare_gv feed_forward(pare_graph *g, const t5_graph *t, pare_gv x, const char *p) {
    const t5_sizes *z = &t->z;
    const pare_gv n = pare_g_rms_norm(g, x, pare_g_text(g, "%s.layer_norm.weight", p), t->eps, 0);
    const char *const modules[] = {pare_g_text(g, "%s.DenseReluDense.wi_0", p), pare_g_text(g, "%s.DenseReluDense.wi_1", p)};
    const int64_t outs[] = {z->ff, z->ff};
    const bool bias[] = {false, false};
    pare_gv h[2];
    if (z->gated) {
        pare_g_linears(g, n, 2, modules, outs, z->model, bias, h);
        h[0] = pare_g_act_mul(g, h[0], h[1], t->act);
    } else
        h[0] = pare_g_act(g, pare_g_linear(g, n, pare_g_text(g, "%s.DenseReluDense.wi", p), z->ff, z->model, false), t->act);
    return pare_g_add(g, x, pare_g_linear(g, h[0], pare_g_text(g, "%s.DenseReluDense.wo", p), z->model, z->ff, false));
}

/* Embedding, blocks, last norm. Returns the rows behind it; *head: the table that the head is tied to. */
static pare_gv stack(pare_graph *g, t5_graph *t, const pare_gnames *names, bool decoder, pare_gw *head) {
    static const char *const own[] = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"};
    const char *name = decoder ? "decoder" : "encoder";
    const pare_gv memory = decoder ? pare_g_memory(g, t->z.model) : PARE_G_NONE;
    const int64_t layers = decoder ? t->z.decoder_layers : t->z.layers;
    const pare_gw table = pare_g_stack_table(g, names, own[decoder], "shared.weight", own[!decoder], t->z.vocab, t->z.model, head);
    pare_gv x = pare_g_embed(g, pare_g_ids(g), table, 1);
    for (int64_t i = 0; i < layers && !g->failed; i++) {
        const char *p = pare_g_text(g, "%s.block.%lld.layer", name, (long long)i);
        pare_g_layer(g, (int)i);
        x = attend(g, t, x, pare_g_text(g, "%s.0", p), "SelfAttention", decoder, i == 0, PARE_G_NONE);
        if (decoder) x = attend(g, t, x, pare_g_text(g, "%s.1", p), "EncDecAttention", true, false, memory);
        x = feed_forward(g, t, x, pare_g_text(g, "%s.%d", p, decoder ? 2 : 1));
    }
    pare_g_layer(g, -1);
    g->layers = (int)layers, g->vocab = t->z.vocab, g->hidden = t->z.model, g->prefix = "";
    return g->hidden_out = pare_g_rms_norm(g, x, pare_g_text(g, "%s.final_layer_norm.weight", name), t->eps, 0);
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    t5_graph t = {0};
    int64_t start, pad;
    pare_gw table;
    const pare_set_int ids[] = {{"pad_token_id", &pad, 0, 0, 1 << 26}, {NULL, NULL, 0, 0, 0}};
    read_sizes(c, &t, g);
    pare_g_ints(g, c, ids);
    const pare_set_int first[] = {{"decoder_start_token_id", &start, pad, 0, t.z.vocab - 1}, {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, first);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", true), alone = pare_config_is(c, "EncoderModel");
    /* mT5 ties always and never scales; T5 says both with one key, in newer files scaling with its own; UMT5 scales always. */
    const char *type = pare_j_text(pare_j_get(c, "model_type"), "t5");
    const bool scaled = t.own_tables || (strcmp(type, "t5") == 0 && pare_g_bool(g, c, "scale_decoder_outputs", tied));
    if (g->failed) return;
    const char *summary = pare_g_text(g, "%s: %lld + %lld layers, %lld heads of %lld, ffn %lld%s", type, (long long)t.z.layers, (long long)t.z.decoder_layers,
                                      (long long)t.z.heads, (long long)t.z.kv, (long long)t.z.ff, t.z.gated ? " gated" : "");
    g->summary = summary;
    if (alone) {
        g->kind = PARE_G_ENCODER;
        stack(g, &t, names, false, &table);
        pare_g_pooling(g, names);
        return;
    }
    pare_err err = {0};
    if (!(g->encoder = pare_graph_new(PARE_G_ENCODER, &err))) {
        pare_g_fail(g, PARE_ERR_MEMORY, "%s", err.text);
        return;
    }
    stack(g->encoder, &t, names, false, &table);
    pare_gv x = stack(g, &t, names, true, &table);
    if (scaled) x = pare_g_scale(g, x, (float)(1 / sqrt((double)t.z.model)));
    g->logits = pare_g_head(g, names, x, "lm_head", t.z.vocab, t.z.model, false, tied, table);
    g->decoder_start = start;
}

static const char *const types[] = {"t5", "mt5", "umt5", NULL};
const pare_arch pare_arch_t5 = {.name = "t5", .help = "T5, FLAN-T5, mT5, UMT5", .model_types = types, .skeleton = skeleton, .graph = graph, .kind = PARE_G_DECODER};
