/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Llama and the families that share its tensors: embedding, per layer {norm, q k v o, norm, gate up down}, norm, head.
 * Differences are switches of the config: grouped key/value heads, biases on q k v (Qwen2), norms on q and k (Qwen3),
 * tied head.
 */
#include <string.h>

#include "model/model.h"

typedef struct llama_sizes { int64_t hidden, layers, heads, kv, ffn, vocab, dim; bool qkv_bias, o_bias, mlp_bias, qk_norm, tied; } llama_sizes;

static pare_status read_sizes(const pare_jval *c, llama_sizes *z, pare_err *err) {
    const char *type = pare_j_text(pare_j_get(c, "model_type"), "");
    const pare_config_int wanted[] = {{"hidden_size", &z->hidden, -1, 1 << 20},       {"num_hidden_layers", &z->layers, -1, 4096},
                                      {"num_attention_heads", &z->heads, -1, 1 << 14}, {"num_key_value_heads", &z->kv, 0, 1 << 14},
                                      {"intermediate_size", &z->ffn, -1, 1 << 22},     {"vocab_size", &z->vocab, -1, 1 << 26},
                                      {"head_dim", &z->dim, 0, 1 << 16},               {NULL, NULL, 0, 0}};
    const pare_status st = pare_config_ints(c, wanted, err);
    if (st != PARE_OK) return st;
    if (z->kv == 0) z->kv = z->heads;
    if (z->dim == 0) {
        if (z->hidden % z->heads) return pare_fail(err, PARE_ERR_FORMAT, "config.json: hidden_size %lld is not a multiple of %lld heads", (long long)z->hidden, (long long)z->heads);
        z->dim = z->hidden / z->heads;
    }
    z->o_bias = pare_j_bool(pare_j_get(c, "attention_bias"), false);
    z->qkv_bias = z->o_bias || strcmp(type, "qwen2") == 0;
    z->mlp_bias = pare_j_bool(pare_j_get(c, "mlp_bias"), false);
    z->qk_norm = strcmp(type, "qwen3") == 0;
    z->tied = pare_j_bool(pare_j_get(c, "tie_word_embeddings"), false);
    return PARE_OK;
}

static void add_layer(pare_skeleton *s, const llama_sizes *z, int64_t i) {
    const char *p = pare_skel_name(s, "model.layers.%lld", (long long)i);
    pare_skel_linear(s, pare_skel_name(s, "%s.self_attn.q_proj", p), z->heads * z->dim, z->hidden, z->qkv_bias);
    pare_skel_linear(s, pare_skel_name(s, "%s.self_attn.k_proj", p), z->kv * z->dim, z->hidden, z->qkv_bias);
    pare_skel_linear(s, pare_skel_name(s, "%s.self_attn.v_proj", p), z->kv * z->dim, z->hidden, z->qkv_bias);
    pare_skel_linear(s, pare_skel_name(s, "%s.self_attn.o_proj", p), z->hidden, z->heads * z->dim, z->o_bias);
    if (z->qk_norm) {
        pare_skel_norm(s, pare_skel_name(s, "%s.self_attn.q_norm", p), z->dim, false);
        pare_skel_norm(s, pare_skel_name(s, "%s.self_attn.k_norm", p), z->dim, false);
    }
    pare_skel_linear(s, pare_skel_name(s, "%s.mlp.gate_proj", p), z->ffn, z->hidden, z->mlp_bias);
    pare_skel_linear(s, pare_skel_name(s, "%s.mlp.up_proj", p), z->ffn, z->hidden, z->mlp_bias);
    pare_skel_linear(s, pare_skel_name(s, "%s.mlp.down_proj", p), z->hidden, z->ffn, z->mlp_bias);
    pare_skel_norm(s, pare_skel_name(s, "%s.input_layernorm", p), z->hidden, false);
    pare_skel_norm(s, pare_skel_name(s, "%s.post_attention_layernorm", p), z->hidden, false);
}

static pare_status skeleton(const pare_jval *c, pare_skeleton *s, pare_err *err) {
    llama_sizes z = {0};
    const pare_status st = read_sizes(c, &z, err);
    if (st != PARE_OK) return st;
    pare_skel_embedding(s, "model.embed_tokens", z.vocab, z.hidden);
    for (int64_t i = 0; i < z.layers; i++) add_layer(s, &z, i);
    pare_skel_norm(s, "model.norm", z.hidden, false);
    pare_skel_head(s, "lm_head", z.vocab, z.hidden, false, z.tied);
    s->cache = (pare_cache_shape){z.layers, z.kv, z.dim};
    return PARE_OK;
}

static const char *const types[] = {"llama", "mistral", "qwen2", "qwen3", "smollm", NULL};
const pare_arch pare_arch_llama = {.name = "llama", .help = "Llama, Mistral, Qwen 2 and 3, SmolLM, TinyLlama, Yi", .model_types = types, .skeleton = skeleton};
