/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OLMo, three generations.
 *   olmo      layer norms without weights, q, k, v cut off at clip_qkv
 *   olmo2     RMS norms after each half instead of before it; q and k are normed over all their columns
 *   olmoe     norms before each half, q and k normed as in olmo2, then cut off; a mixture of experts in every layer
 */
#include <string.h>

#include "model/decoder.h"

typedef struct olmo { pare_decoder d; pare_rope rope; bool first, second, bias; float clip; pare_moe moe; } olmo;

static pare_gv rms(pare_graph *g, const olmo *m, pare_gv x, const char *p, const char *name)
{
    return pare_g_rms_norm(g, x, pare_g_text(g, "%s%s.weight", p, name), m->d.eps, 0);
}

/* Norm before a half; none in the second generation. */
static pare_gv before(pare_graph *g, const olmo *m, pare_gv x, const char *p, const char *name)
{
    if (m->second) return x;
    return m->first ? pare_g_layer_norm(g, x, "", m->d.eps, false, false) : rms(g, m, x, p, name);
}

static pare_gv layer(pare_graph *g, const olmo *m, int64_t i, pare_gv x)
{
    const pare_decoder *d = &m->d;
    const char *p = pare_decoder_layer(g, d, i);
    const pare_decoder_attention a = {.rope = &m->rope, .out = pare_g_text(g, "%s.self_attn.o_proj", p), .out_bias = m->bias};
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    pare_decoder_qkv(g, d, before(g, m, x, p, ".input_layernorm"), pare_g_text(g, "%s.self_attn", p), m->bias, qkv);
    if (!m->first) {
        qkv[0] = rms(g, m, qkv[0], p, ".self_attn.q_norm");
        qkv[1] = rms(g, m, qkv[1], p, ".self_attn.k_norm");
    }
    for (int k = 0; k < 3 && m->clip > 0; k++) qkv[k] = pare_g_clamp(g, qkv[k], -m->clip, m->clip);
    pare_gv h = pare_decoder_attend(g, d, qkv, &a);
    x = pare_g_add(g, x, m->second ? rms(g, m, h, p, ".post_attention_layernorm") : h);
    h = before(g, m, x, p, ".post_attention_layernorm");
    h = m->moe.experts ? pare_decoder_moe(g, d, h, p, &m->moe, false) : pare_decoder_mlp(g, d, h, pare_g_text(g, "%s.mlp", p), d->ffn, false);
    return pare_g_add(g, x, m->second ? rms(g, m, h, p, ".post_feedforward_layernorm") : h);
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g)
{
    static const pare_decoder_defaults defaults = {0, 0, 0, 0, 2048, 1e-5, "rms_norm_eps", "hidden_act", "silu", false};
    static const pare_decoder_defaults moe_defaults = {0, 0, 0, 0, 4096, 1e-5, "rms_norm_eps", "hidden_act", "silu", false};
    const char *type = pare_j_text(pare_j_get(c, "model_type"), "");
    const bool experts = strcmp(type, "olmoe") == 0;
    olmo m = {.first = strcmp(type, "olmo") == 0, .second = strcmp(type, "olmo2") == 0};
    if (!pare_decoder_read(g, c, names, experts ? &moe_defaults : &defaults, &m.d)) return;
    if (m.first) m.d.eps = 1e-5f; /* no key for it */
    m.bias = pare_g_bool(g, c, "attention_bias", false);
    if (!m.second) m.clip = (float)pare_g_real(g, c, "clip_qkv", 0, 1e-6, 1e30);
    if (experts) {
        pare_decoder_read_moe(g, c, &m.d, "num_experts|num_local_experts", 64, 8, &m.moe);
        m.moe.ffn = m.d.ffn;
        m.moe.renormalize = pare_g_bool(g, c, "norm_topk_prob", false);
    }
    pare_g_rope_of(g, c, NULL, m.d.dim, m.d.dim, 1e4, &m.rope);
    pare_gv x = pare_decoder_embed(g, &m.d, 1);
    for (int64_t i = 0; i < m.d.layers && !g->failed; i++) x = layer(g, &m, i, x);
    pare_g_layer(g, -1);
    pare_decoder_head(g, &m.d, m.first ? pare_g_layer_norm(g, x, "", m.d.eps, false, false) : rms(g, &m, x, m.d.prefix, "norm"), false, 0);
}

static const char *const types[] = {"olmo", "olmo2", "olmoe", NULL};
const pare_arch pare_arch_olmo = {.name = "olmo", .help = "OLMo 1 and 2, OLMoE", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
