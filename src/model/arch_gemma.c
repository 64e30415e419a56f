/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gemma: the weights of norms are offsets from 1, token rows are scaled by sqrt(hidden), the head is the token table.
 *   gemma     norms before each half, as Llama
 *   gemma2    norms before and after each half; every second layer has a window; scores and logits are capped
 *   gemma3    norms of queries and keys instead of caps; 5 of 6 layers have a window and a rotation of their own
 * Gemma 3 with vision keeps its text model's settings in text_config.
 */
#include <math.h>
#include <string.h>

#include "model/decoder.h"

typedef struct gemma {
    pare_decoder d;
    int generation;
    bool bias;
    float scale, score_cap, logit_cap;
    int64_t window;
    bool *sliding;            /* [layers] */
    pare_rope global, local;
} gemma;

static const pare_decoder_defaults defaults[] = {
    {0, 0, 16, 256, 8192, 1e-6, "rms_norm_eps", "hidden_act", "gelu_pytorch_tanh", true},
    {0, 0, 4, 256, 8192, 1e-6, "rms_norm_eps", "hidden_activation", "gelu_pytorch_tanh", true},
    {262208, 8, 4, 256, 131072, 1e-6, "rms_norm_eps", "hidden_activation", "gelu_pytorch_tanh", true}, /* configs of Gemma 3 leave these out */
};

/* Absent: or_else; null: no cap. */
static float read_cap(pare_graph *g, const pare_jval *c, const char *key, double or_else)
{
    const pare_jval *v = pare_j_get(c, key);
    if (v && pare_j_type(v) == PARE_J_NULL) return 0;
    return (float)pare_g_real(g, c, key, or_else, 1e-6, 1e30);
}

static void read_windows(pare_graph *g, const pare_jval *c, gemma *m)
{
    int64_t pattern = 2;
    const pare_set_int wanted[] = {{"sliding_window_pattern|_sliding_window_pattern", &pattern, 6, 1, 1 << 20}, {NULL, NULL, 0, 0, 0}};
    if (m->generation == 3) pare_g_ints(g, c, wanted);
    m->window = pare_decoder_window(g, c, 4096);
    for (int64_t i = 0; i < m->d.layers; i++) m->sliding[i] = (i + 1) % pattern != 0;
    pare_decoder_layer_types(g, c, &m->d, m->sliding);
}

static bool read_config(pare_graph *g, const pare_jval *c, const pare_gnames *names, gemma *m)
{
    const char *type = pare_j_text(pare_j_get(c, "model_type"), "");
    m->generation = strncmp(type, "gemma3", 6) == 0 ? 3 : strcmp(type, "gemma2") == 0 ? 2 : 1;
    if (!pare_decoder_read(g, c, names, &defaults[m->generation - 1], &m->d)) return false;
    /* The first releases said "gelu" and meant the tanh form. */
    if (m->generation == 1 && m->d.act == PARE_ACT_FN_GELU) m->d.act = PARE_ACT_FN_GELU_TANH;
    m->bias = pare_g_bool(g, c, "attention_bias", false);
    m->sliding = pare_decoder_flags(g, &m->d);
    if (pare_g_bool(g, c, "use_bidirectional_attention", false))
        pare_g_fail(g, PARE_ERR_UNSUPPORTED, "config.json: 'use_bidirectional_attention' of a %s model is not supported", type);
    if (g->failed) return false;
    if (m->generation == 1) {
        pare_g_rope_of(g, c, NULL, m->d.dim, m->d.dim, 1e4, &m->global);
        return !g->failed;
    }
    m->scale = (float)(1 / sqrt(pare_g_real(g, c, "query_pre_attn_scalar", 256, 1e-6, 1e9)));
    m->logit_cap = read_cap(g, c, "final_logit_softcapping", m->generation == 2 ? 30 : 0);
    read_windows(g, c, m);
    if (m->generation == 2) {
        m->score_cap = read_cap(g, c, "attn_logit_softcapping", 50);
        pare_g_rope_of(g, c, NULL, m->d.dim, m->d.dim, 1e4, &m->global);
        m->local = m->global;
    } else {
        pare_g_rope_of(g, c, "full_attention", m->d.dim, m->d.dim, pare_g_real(g, c, "rope_theta", 1e6, 1e-6, 1e30), &m->global);
        pare_g_rope_of(g, c, "sliding_attention", m->d.dim, m->d.dim, pare_g_real(g, c, "rope_local_base_freq", 1e4, 1e-6, 1e30), &m->local);
    }
    return !g->failed;
}

static pare_gv norm(pare_graph *g, const gemma *m, pare_gv x, const char *p, const char *name)
{
    return pare_g_rms_norm(g, x, pare_g_text(g, "%s%s.weight", p, name), m->d.eps, 1);
}

static pare_gv layer(pare_graph *g, const gemma *m, int64_t i, pare_gv x)
{
    const pare_decoder *d = &m->d;
    const char *p = pare_decoder_layer(g, d, i);
    const bool sliding = m->sliding[i], after = m->generation > 1;
    const pare_decoder_attention a = {.rope = sliding ? &m->local : &m->global, .window = sliding ? m->window : 0, .scale = m->scale, .softcap = m->score_cap,
                                      .out = pare_g_text(g, "%s.self_attn.o_proj", p), .out_bias = m->bias};
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    pare_decoder_qkv(g, d, norm(g, m, x, p, ".input_layernorm"), pare_g_text(g, "%s.self_attn", p), m->bias, qkv);
    if (m->generation == 3) {
        qkv[0] = pare_g_rms_norm_heads(g, qkv[0], pare_g_text(g, "%s.self_attn.q_norm.weight", p), d->dim, d->eps, 1);
        qkv[1] = pare_g_rms_norm_heads(g, qkv[1], pare_g_text(g, "%s.self_attn.k_norm.weight", p), d->dim, d->eps, 1);
    }
    pare_gv h = pare_decoder_attend(g, d, qkv, &a);
    if (after) h = norm(g, m, h, p, ".post_attention_layernorm");
    x = pare_g_add(g, x, h);
    h = pare_decoder_mlp(g, d, norm(g, m, x, p, after ? ".pre_feedforward_layernorm" : ".post_attention_layernorm"), pare_g_text(g, "%s.mlp", p), d->ffn, false);
    if (after) h = norm(g, m, h, p, ".post_feedforward_layernorm");
    return pare_g_add(g, x, h);
}

static void graph(const pare_jval *config, const pare_gnames *names, pare_graph *g)
{
    const pare_jval *text = pare_j_get(config, "text_config");
    gemma m = {0};
    if (!read_config(g, pare_j_type(text) == PARE_J_OBJECT ? text : config, names, &m)) return;
    pare_gv x = pare_decoder_embed(g, &m.d, (float)sqrt((double)m.d.hidden));
    for (int64_t i = 0; i < m.d.layers && !g->failed; i++) x = layer(g, &m, i, x);
    pare_g_layer(g, -1);
    pare_decoder_head(g, &m.d, norm(g, &m, x, m.d.prefix, "norm"), false, m.logit_cap);
}

static const char *const types[] = {"gemma", "gemma2", "gemma3_text", "gemma3", NULL};
const pare_arch pare_arch_gemma = {.name = "gemma", .help = "Gemma 1, 2, 3 (text)", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
