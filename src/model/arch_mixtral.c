/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Llama's layers with a mixture of experts for the feed-forward.
 *   mixtral      in every layer; the weights of the chosen experts sum to 1
 *   qwen3_moe    norms of each head's query and key; dense layers by mlp_only_layers and decoder_sparse_step; weights as norm_topk_prob says
 */
#include <string.h>

#include "model/decoder.h"

typedef struct mixtral { pare_decoder d; pare_rope rope; pare_moe moe; bool qwen, bias; int64_t window; bool *dense; } mixtral;

/* Layers whose feed-forward is an ordinary one. */
static void read_dense(pare_graph *g, const pare_jval *c, mixtral *m)
{
    const pare_jval *list = pare_j_get(c, "mlp_only_layers");
    int64_t step = 1;
    const pare_set_int wanted[] = {{"decoder_sparse_step", &step, 1, 1, 1 << 20}, {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    for (int64_t i = 0; i < m->d.layers && !g->failed; i++) m->dense[i] = (i + 1) % step != 0;
    for (size_t i = 0; i < pare_j_count(list) && !g->failed; i++) {
        const int64_t at = pare_j_int(pare_j_at(list, i), -1);
        if (at < 0 || at >= m->d.layers)
            pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'mlp_only_layers' names layer %lld of %lld", (long long)at, (long long)m->d.layers);
        else
            m->dense[at] = true;
    }
}

static bool read_config(pare_graph *g, const pare_jval *c, const pare_gnames *names, mixtral *m)
{
    static const pare_decoder_defaults mixtral_defaults = {0, 0, 8, 0, 131072, 1e-5, "rms_norm_eps", "hidden_act", "silu", false};
    static const pare_decoder_defaults qwen_defaults = {0, 0, 4, 0, 32768, 1e-6, "rms_norm_eps", "hidden_act", "silu", false};
    m->qwen = strcmp(pare_j_text(pare_j_get(c, "model_type"), ""), "qwen3_moe") == 0;
    if (!pare_decoder_read(g, c, names, m->qwen ? &qwen_defaults : &mixtral_defaults, &m->d)) return false;
    m->dense = pare_decoder_flags(g, &m->d);
    pare_g_rope_of(g, c, NULL, m->d.dim, m->d.dim, m->qwen ? 1e4 : 1e6, &m->rope);
    if (g->failed) return false;
    if (!m->qwen) {
        pare_decoder_read_moe(g, c, &m->d, "num_local_experts|num_experts", 8, 2, &m->moe);
        m->moe.ffn = m->d.ffn;
        m->moe.renormalize = true;
        m->window = pare_decoder_window(g, c, 0);
        return !g->failed;
    }
    const pare_set_int ffn[] = {{"moe_intermediate_size", &m->moe.ffn, 768, 1, 1 << 22}, {NULL, NULL, 0, 0, 0}};
    pare_decoder_read_moe(g, c, &m->d, "num_experts|num_local_experts", 128, 8, &m->moe);
    pare_g_ints(g, c, ffn);
    m->moe.renormalize = pare_g_bool(g, c, "norm_topk_prob", false);
    m->bias = pare_g_bool(g, c, "attention_bias", false);
    if (pare_g_bool(g, c, "use_sliding_window", false)) m->window = pare_decoder_window(g, c, 4096);
    read_dense(g, c, m);
    return !g->failed;
}

static pare_gv layer(pare_graph *g, const mixtral *m, int64_t i, pare_gv x)
{
    const pare_decoder *d = &m->d;
    const char *p = pare_decoder_layer(g, d, i);
    const pare_decoder_attention a = {.rope = &m->rope, .window = m->window, .out = pare_g_text(g, "%s.self_attn.o_proj", p), .out_bias = m->bias};
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    pare_gv h = pare_g_rms_norm(g, x, pare_g_text(g, "%s.input_layernorm.weight", p), d->eps, 0);
    pare_decoder_qkv(g, d, h, pare_g_text(g, "%s.self_attn", p), m->bias, qkv);
    if (m->qwen) {
        qkv[0] = pare_g_rms_norm_heads(g, qkv[0], pare_g_text(g, "%s.self_attn.q_norm.weight", p), d->dim, d->eps, 0);
        qkv[1] = pare_g_rms_norm_heads(g, qkv[1], pare_g_text(g, "%s.self_attn.k_norm.weight", p), d->dim, d->eps, 0);
    }
    x = pare_g_add(g, x, pare_decoder_attend(g, d, qkv, &a));
    h = pare_g_rms_norm(g, x, pare_g_text(g, "%s.post_attention_layernorm.weight", p), d->eps, 0);
    h = m->dense[i] ? pare_decoder_mlp(g, d, h, pare_g_text(g, "%s.mlp", p), d->ffn, false) : pare_decoder_moe(g, d, h, p, &m->moe, !m->qwen);
    return pare_g_add(g, x, h);
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g)
{
    mixtral m = {0};
    if (!read_config(g, c, names, &m)) return;
    pare_gv x = pare_decoder_embed(g, &m.d, 1);
    for (int64_t i = 0; i < m.d.layers && !g->failed; i++) x = layer(g, &m, i, x);
    pare_g_layer(g, -1);
    pare_decoder_head(g, &m.d, pare_g_rms_norm(g, x, pare_g_text(g, "%snorm.weight", m.d.prefix), m.d.eps, 0), false, 0);
}

static const char *const types[] = {"mixtral", "qwen3_moe", NULL};
const pare_arch pare_arch_mixtral = {
    .name = "mixtral", .help = "Mixtral, Qwen 3 mixture of experts", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
