/* SPDX-License-Identifier: Apache-2.0 */
/* GPT-NeoX and Pythia: fused query_key_value, parallel residual, untied embed_out; one inverse-frequency buffer. */
#include "model/model.h"

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

static const char *const types[] = {"gpt_neox", NULL};
const pare_arch pare_arch_gpt_neox = {.name = "gpt_neox", .help = "GPT-NeoX, Pythia", .model_types = types, .skeleton = skeleton};
