/* SPDX-License-Identifier: Apache-2.0 */
/* Phi-1, 1.5, 2: attention and feed-forward side by side after one layer norm, half of each head rotated, biases everywhere, also on the head. */
#include "model/decoder.h"

typedef struct phi { pare_decoder d; pare_rope rope; bool qk_norm; } phi;

static pare_gv layer(pare_graph *g, const phi *m, int64_t i, pare_gv x)
{
    const pare_decoder *d = &m->d;
    const char *p = pare_decoder_layer(g, d, i);
    const pare_decoder_attention a = {.rope = &m->rope, .out = pare_g_text(g, "%s.self_attn.dense", p), .out_bias = true};
    const pare_gv h = pare_g_layer_norm(g, x, pare_g_text(g, "%s.input_layernorm", p), d->eps, true, true);
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    pare_decoder_qkv(g, d, h, pare_g_text(g, "%s.self_attn", p), true, qkv);
    if (m->qk_norm) { /* one norm for all heads */
        qkv[0] = pare_g_layer_norm_heads(g, qkv[0], pare_g_text(g, "%s.self_attn.q_layernorm", p), 1, d->dim, d->eps, true);
        qkv[1] = pare_g_layer_norm_heads(g, qkv[1], pare_g_text(g, "%s.self_attn.k_layernorm", p), 1, d->dim, d->eps, true);
    }
    const pare_gv attended = pare_decoder_attend(g, d, qkv, &a);
    const pare_gv fed = pare_g_mlp(g, h, pare_g_text(g, "%s.mlp.fc1", p), pare_g_text(g, "%s.mlp.fc2", p), d->hidden, d->ffn, true, d->act);
    return pare_g_add(g, pare_g_add(g, attended, fed), x);
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g)
{
    static const pare_decoder_defaults defaults = {0, 0, 0, 0, 2048, 1e-5, "layer_norm_eps", "hidden_act", "gelu_new", false};
    phi m = {0};
    if (!pare_decoder_read(g, c, names, &defaults, &m.d)) return;
    m.qk_norm = pare_g_bool(g, c, "qk_layernorm", false);
    pare_g_rope_of(g, c, NULL, m.d.dim, pare_decoder_rotary(g, c, &m.d, 0.5), 1e4, &m.rope);
    pare_gv x = pare_decoder_embed(g, &m.d, 1);
    for (int64_t i = 0; i < m.d.layers && !g->failed; i++) x = layer(g, &m, i, x);
    pare_g_layer(g, -1);
    pare_decoder_head(g, &m.d, pare_g_layer_norm(g, x, pare_g_text(g, "%sfinal_layernorm", m.d.prefix), m.d.eps, true, true), true, 0);
}

static const char *const types[] = {"phi", NULL};
const pare_arch pare_arch_phi = {.name = "phi", .help = "Phi-1, Phi-1.5, Phi-2", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
