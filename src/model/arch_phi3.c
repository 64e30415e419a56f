/* SPDX-License-Identifier: Apache-2.0 */
/* Phi-3, 3.5, 4-mini: Llama with q, k, v in one matrix and gate, up in another; LongRoPE; a part of each head may stay unrotated. */
#include "model/decoder.h"

typedef struct phi3 { pare_decoder d; pare_rope rope; int64_t window; } phi3;

static pare_gv layer(pare_graph *g, const phi3 *m, int64_t i, pare_gv x)
{
    const pare_decoder *d = &m->d;
    const char *p = pare_decoder_layer(g, d, i);
    const pare_decoder_attention a = {.rope = &m->rope, .window = m->window, .out = pare_g_text(g, "%s.self_attn.o_proj", p)};
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    pare_gv h = pare_g_rms_norm(g, x, pare_g_text(g, "%s.input_layernorm.weight", p), d->eps, 0);
    pare_decoder_fused_qkv(g, d, h, pare_g_text(g, "%s.self_attn.qkv_proj", p), qkv);
    x = pare_g_add(g, x, pare_decoder_attend(g, d, qkv, &a));
    h = pare_g_rms_norm(g, x, pare_g_text(g, "%s.post_attention_layernorm.weight", p), d->eps, 0);
    const pare_gv both = pare_g_linear(g, h, pare_g_text(g, "%s.mlp.gate_up_proj", p), 2 * d->ffn, d->hidden, false);
    const pare_gv gate = pare_g_columns(g, both, 0, d->ffn, d->ffn, 1), up = pare_g_columns(g, both, d->ffn, d->ffn, d->ffn, 1);
    h = pare_g_linear(g, pare_g_act_mul(g, gate, up, d->act), pare_g_text(g, "%s.mlp.down_proj", p), d->hidden, d->ffn, false);
    return pare_g_add(g, x, h);
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g)
{
    static const pare_decoder_defaults defaults = {0, 0, 0, 0, 4096, 1e-5, "rms_norm_eps", "hidden_act", "silu", false};
    phi3 m = {0};
    if (!pare_decoder_read(g, c, names, &defaults, &m.d)) return;
    m.window = pare_decoder_window(g, c, 0);
    pare_g_rope_of(g, c, NULL, m.d.dim, pare_decoder_rotary(g, c, &m.d, 1), 1e4, &m.rope);
    pare_gv x = pare_decoder_embed(g, &m.d, 1);
    for (int64_t i = 0; i < m.d.layers && !g->failed; i++) x = layer(g, &m, i, x);
    pare_g_layer(g, -1);
    pare_decoder_head(g, &m.d, pare_g_rms_norm(g, x, pare_g_text(g, "%snorm.weight", m.d.prefix), m.d.eps, 0), false, 0);
}

static const char *const types[] = {"phi3", NULL};
const pare_arch pare_arch_phi3 = {.name = "phi3", .help = "Phi-3, Phi-3.5, Phi-4-mini", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
