/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpt-oss: Llama's layers with biases, a sink in the softmax of each head, a window in every second layer, and in every layer a mixture of experts whose
 * gate and up are clamped: (up + 1) * gate * sigmoid(1.702 gate). Router and experts have biases; the weights of the chosen experts sum to 1.
 *   float  mlp.experts.gate_up_proj [experts, hidden, 2 ffn], columns of gate and up in turns; down_proj [experts, ffn, hidden]
 *   MXFP4  the layout mxfp4 shows gate_up_proj.weight [experts * 2 ffn, hidden], gate before up in each expert, and down_proj.weight [experts * hidden, ffn]
 */
#include "model/decoder.h"

typedef struct gpt_oss { pare_decoder d; pare_rope rope; pare_moe moe; bool bias; int64_t window; bool *sliding; } gpt_oss;

static bool read_config(pare_graph *g, const pare_jval *c, const pare_gnames *names, gpt_oss *m)
{
    static const pare_decoder_defaults defaults = {201088, 64, 8, 64, 131072, 1e-5, "rms_norm_eps", "hidden_act", "silu", false};
    if (!pare_decoder_read(g, c, names, &defaults, &m->d)) return false;
    m->sliding = pare_decoder_flags(g, &m->d);
    if (g->failed) return false;
    for (int64_t i = 0; i < m->d.layers; i++) m->sliding[i] = i % 2 == 0;
    pare_decoder_layer_types(g, c, &m->d, m->sliding);
    pare_g_rope_of(g, c, NULL, m->d.dim, m->d.dim, 150000, &m->rope);
    pare_decoder_read_moe(g, c, &m->d, "num_local_experts|num_experts", 128, 4, &m->moe);
    m->window = pare_decoder_window(g, c, 128);
    m->bias = pare_g_bool(g, c, "attention_bias", true);
    m->moe.ffn = m->d.ffn;
    m->moe.softmax_first = false;
    m->moe.bias = true;
    m->moe.limit = (float)pare_g_real(g, c, "swiglu_limit", 7, 1e-6, 1e6);
    m->moe.alpha = (float)pare_g_real(g, c, "swiglu_alpha", 1.702, 1e-6, 1e6);
    return !g->failed;
}

/* Part 0 gate, 1 up, 2 down of an expert. */
static pare_gw expert_weight(pare_graph *g, const gpt_oss *m, const char *experts, bool rows, int64_t expert, int part)
{
    const int64_t n = m->moe.ffn, up[] = {n, m->d.hidden}, down[] = {m->d.hidden, n};
    const pare_gw w = pare_g_weight(g, PARE_GW_LINEAR, pare_g_text(g, "%s.%s%s", experts, part == 2 ? "down_proj" : "gate_up_proj", rows ? ".weight" : ""), 2, part == 2 ? down : up);
    pare_gweight *slice = pare_g_w(g, w);
    if (rows) {
        const int64_t each = part == 2 ? m->d.hidden : 2 * n;
        slice->of_rows = m->moe.experts * each;
        slice->row0 = expert * each + (part == 1 ? n : 0);
        return w;
    }
    slice->transposed = true;
    slice->of_count = m->moe.experts;
    slice->of_index = expert;
    if (part != 2) slice->of_rows = 2 * n, slice->row0 = part, slice->row_step = 2;
    return w;
}

static pare_gw bias_of(pare_graph *g, const char *name, int64_t experts, int64_t each)
{
    return pare_g_weight(g, PARE_GW_VECTOR, name, 2, (const int64_t[]){experts, each});
}

static pare_gv mixture(pare_graph *g, const gpt_oss *m, const char *p, pare_gv x)
{
    const pare_decoder *d = &m->d;
    const char *experts = pare_g_text(g, "%s.mlp.experts", p);
    const bool rows = pare_names_has(d->names, pare_g_text(g, "%s.gate_up_proj.weight", experts));
    const int64_t n = m->moe.experts, count = 4 + 3 * n;
    pare_gw *w = pare_arena_alloc(&g->arena, (size_t)count * sizeof *w);
    if (!w) {
        pare_g_fail(g, PARE_ERR_MEMORY, "experts: no memory");
        return PARE_G_NONE;
    }
    w[0] = pare_g_weight(g, PARE_GW_LINEAR, pare_g_text(g, "%s.mlp.router.weight", p), 2, (const int64_t[]){n, d->hidden});
    for (int64_t e = 0; e < n && !g->failed; e++)
        for (int part = 0; part < 3; part++) w[1 + 3 * e + part] = expert_weight(g, m, experts, rows, e, part);
    w[1 + 3 * n] = pare_g_vector(g, pare_g_text(g, "%s.mlp.router.bias", p), n);
    w[2 + 3 * n] = bias_of(g, pare_g_text(g, "%s.gate_up_proj_bias", experts), n, 2 * m->moe.ffn);
    w[3 + 3 * n] = bias_of(g, pare_g_text(g, "%s.down_proj_bias", experts), n, d->hidden);
    return g->failed ? PARE_G_NONE : pare_g_moe(g, x, &m->moe, w, (int)count);
}

static pare_gv layer(pare_graph *g, const gpt_oss *m, int64_t i, pare_gv x)
{
    const pare_decoder *d = &m->d;
    const char *p = pare_decoder_layer(g, d, i);
    const pare_decoder_attention a = {.rope = &m->rope, .window = m->sliding[i] ? m->window : 0, .out = pare_g_text(g, "%s.self_attn.o_proj", p), .out_bias = m->bias,
                                      .sink = pare_g_text(g, "%s.self_attn.sinks", p)};
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    const pare_gv h = pare_g_rms_norm(g, x, pare_g_text(g, "%s.input_layernorm.weight", p), d->eps, 0);
    pare_decoder_qkv(g, d, h, pare_g_text(g, "%s.self_attn", p), m->bias, qkv);
    x = pare_g_add(g, x, pare_decoder_attend(g, d, qkv, &a));
    return pare_g_add(g, x, mixture(g, m, p, pare_g_rms_norm(g, x, pare_g_text(g, "%s.post_attention_layernorm.weight", p), d->eps, 0)));
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g)
{
    gpt_oss m = {0};
    if (!read_config(g, c, names, &m)) return;
    pare_gv x = pare_decoder_embed(g, &m.d, 1);
    for (int64_t i = 0; i < m.d.layers && !g->failed; i++) x = layer(g, &m, i, x);
    pare_g_layer(g, -1);
    pare_decoder_head(g, &m.d, pare_g_rms_norm(g, x, pare_g_text(g, "%snorm.weight", m.d.prefix), m.d.eps, 0), false, 0);
}

static const char *const types[] = {"gpt_oss", NULL};
const pare_arch pare_arch_gpt_oss = {.name = "gpt_oss", .help = "gpt-oss", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
