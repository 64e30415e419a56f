/* SPDX-License-Identifier: Apache-2.0 */
/* OPT: learned positions shifted by 2, biases everywhere, tied head; word_embed_proj_dim may differ from hidden_size. */
#include "model/model.h"

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

static const char *const types[] = {"opt", NULL};
const pare_arch pare_arch_opt = {.name = "opt", .help = "OPT", .model_types = types, .skeleton = skeleton};
