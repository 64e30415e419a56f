/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CodeGen: GPT-J with q, v and k fused in one layer. Its rows come in 4 parts, one for each TPU core that it was trained on; a part holds the q, then the
 * v, then the k of a quarter of the heads. One norm a layer, untied head with bias, and a bool mask buffer a layer.
 */
#include "model/gptj.h"

static pare_status skeleton(const pare_jval *c, pare_skeleton *s, pare_err *err) {
    int64_t hidden, layers, heads, ffn, vocab, positions;
    const pare_config_int wanted[] = {{"n_embd", &hidden, -1, 1 << 20},       {"n_layer", &layers, -1, 4096},
                                      {"n_head", &heads, -1, 1 << 14},        {"n_inner", &ffn, 0, 1 << 22},
                                      {"vocab_size", &vocab, -1, 1 << 26},    {"n_positions", &positions, -1, 1 << 20},
                                      {NULL, NULL, 0, 0}};
    const pare_status st = pare_config_ints(c, wanted, err);
    if (st != PARE_OK) return st;
    if (ffn == 0) ffn = 4 * hidden;
    pare_skel_embedding(s, "transformer.wte", vocab, hidden);
    for (int64_t i = 0; i < layers; i++) {
        const char *p = pare_skel_name(s, "transformer.h.%lld", (long long)i);
        pare_skel_norm(s, pare_skel_name(s, "%s.ln_1", p), hidden, true);
        pare_skel_add(s, PARE_SKEL_BUFFER, PARE_BOOL, pare_skel_name(s, "%s.attn.causal_mask", p), 4, (const int64_t[]){1, 1, positions, positions});
        pare_skel_linear(s, pare_skel_name(s, "%s.attn.qkv_proj", p), 3 * hidden, hidden, false);
        pare_skel_linear(s, pare_skel_name(s, "%s.attn.out_proj", p), hidden, hidden, false);
        pare_skel_linear(s, pare_skel_name(s, "%s.mlp.fc_in", p), ffn, hidden, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.mlp.fc_out", p), hidden, ffn, true);
    }
    pare_skel_norm(s, "transformer.ln_f", hidden, true);
    pare_skel_head(s, "lm_head", vocab, hidden, true, pare_j_bool(pare_j_get(c, "tie_word_embeddings"), false));
    s->cache = (pare_cache_shape){layers, heads, hidden / heads};
    return PARE_OK;
}

enum { PARTS = 4 };

static void heads(pare_graph *g, const pare_gptj_sizes *z, const char *p, pare_gv x, pare_gv qkv[3]) {
    static const int order[] = {0, 2, 1}; /* where q, k and v lie in a part */
    const int64_t part = z->hidden / PARTS;
    const pare_gv fused = pare_g_linear(g, x, pare_g_text(g, "%s.attn.qkv_proj", p), 3 * z->hidden, z->hidden, false);
    for (int k = 0; k < 3; k++) qkv[k] = pare_g_columns(g, fused, order[k] * part, part, 3 * part, PARTS);
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    int64_t n;
    const pare_set_int wanted[] = {{"n_head|num_attention_heads", &n, 16, 1, 1 << 14}, {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    if (n % PARTS) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'n_head' is %lld, not a multiple of the %d parts of CodeGen's qkv_proj", (long long)n, PARTS);
    pare_gptj_graph(c, names, g, "codegen", heads);
}

static const char *const types[] = {"codegen", NULL};
const pare_arch pare_arch_codegen = {.name = "codegen", .help = "CodeGen", .model_types = types, .skeleton = skeleton, .graph = graph, .kind = PARE_G_DECODER};
