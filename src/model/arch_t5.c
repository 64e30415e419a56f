/* SPDX-License-Identifier: Apache-2.0 */
/* T5 and FLAN-T5: encoder and decoder stacks, no biases, relative position table in each stack's first block, gated or plain feed-forward. */
#include <string.h>

#include "model/model.h"

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

static const char *const types[] = {"t5", "mt5", NULL};
const pare_arch pare_arch_t5 = {.name = "t5", .help = "T5, FLAN-T5", .model_types = types, .skeleton = skeleton};
