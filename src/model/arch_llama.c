/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Llama and what is built like it: RMS norm before each half, grouped-query attention with rotary positions, gated SiLU feed-forward.
 *   llama     Llama 1 to 3, TinyLlama, SmolLM, Yi: biases by attention_bias and mlp_bias
 *   mistral   every layer sees sliding_window tokens, where that is a number
 *   qwen2     biases on q, k, v; layers from max_window_layers on have a window when use_sliding_window
 *   qwen3     norms of each head's query and key, head_dim of its own; windows as qwen2
 *   smollm3   every fourth layer does not rotate (no_rope_layers)
 */
#include <string.h>

#include "model/decoder.h"

typedef struct family {
    const char *type;
    pare_decoder_defaults or_else;
    double theta;
    bool config_bias;  /* attention_bias is about q, k, v and o */
    bool mlp_bias;     /* mlp_bias counts */
    bool qkv_bias;     /* always */
    bool qk_norm;
    enum { NO_WINDOW, EVERY_LAYER, LATE_LAYERS, NO_ROPE_LAYERS } window;
} family;

#define SIZES(kv, dim, positions, tied) {0, 0, kv, dim, positions, 1e-6, "rms_norm_eps", "hidden_act", "silu", tied}
static const family families[] = {
    {"llama", SIZES(0, 0, 2048, false), 1e4, true, true, false, false, NO_WINDOW},
    {"smollm", SIZES(0, 0, 2048, false), 1e4, true, true, false, false, NO_WINDOW},
    {"mistral", SIZES(8, 0, 131072, false), 1e4, false, false, false, false, EVERY_LAYER},
    {"qwen2", SIZES(32, 0, 32768, false), 1e4, false, false, true, false, LATE_LAYERS},
    {"qwen3", SIZES(32, 128, 32768, false), 1e4, true, false, false, true, LATE_LAYERS},
    {"smollm3", SIZES(4, 0, 32768, true), 2e6, true, true, false, false, NO_ROPE_LAYERS},
};
#undef SIZES

typedef struct llama {
    pare_decoder d;
    const family *f;
    bool qkv_bias, o_bias, mlp_bias;
    pare_rope rope;
    int64_t window;
    bool *sliding, *unrotated; /* [layers] */
} llama;

static const family *find_family(const pare_jval *c)
{
    const char *type = pare_j_text(pare_j_get(c, "model_type"), "");
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].type, type) == 0) return &families[i];
    return families;
}

/* SmolLM3: a list of 1 (rotates) and 0, else each no_rope_layer_interval-th layer does not. */
static void read_unrotated(pare_graph *g, const pare_jval *c, llama *m)
{
    const pare_jval *list = pare_j_get(c, "no_rope_layers");
    int64_t every = 0;
    const pare_set_int wanted[] = {{"no_rope_layer_interval", &every, 4, 1, 1 << 20}, {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    const bool listed = pare_j_type(list) != PARE_J_NULL;
    if (listed && (pare_j_type(list) != PARE_J_ARRAY || pare_j_count(list) != (size_t)m->d.layers))
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'no_rope_layers' has %zu entries for %lld layers", pare_j_count(list), (long long)m->d.layers);
    for (int64_t i = 0; i < m->d.layers && !g->failed; i++)
        m->unrotated[i] = listed ? pare_j_int(pare_j_at(list, (size_t)i), 1) == 0 : (i + 1) % every == 0;
}

static void read_windows(pare_graph *g, const pare_jval *c, llama *m)
{
    const bool wanted = m->f->window == EVERY_LAYER || pare_g_bool(g, c, "use_sliding_window", false);
    int64_t late = 0;
    const pare_set_int ints[] = {{"max_window_layers", &late, 28, 0, 1 << 20}, {NULL, NULL, 0, 0, 0}};
    if (m->f->window == NO_WINDOW || !wanted) return;
    m->window = pare_decoder_window(g, c, m->f->window == NO_ROPE_LAYERS ? 0 : 4096);
    pare_g_ints(g, c, ints);
    for (int64_t i = 0; i < m->d.layers; i++)
        m->sliding[i] = m->f->window == EVERY_LAYER || (m->f->window == LATE_LAYERS && i >= late) || (m->f->window == NO_ROPE_LAYERS && m->unrotated[i]);
    if (m->f->window != EVERY_LAYER) pare_decoder_layer_types(g, c, &m->d, m->sliding);
}

static bool read_config(pare_graph *g, const pare_jval *c, const pare_gnames *names, llama *m)
{
    m->f = find_family(c);
    if (!pare_decoder_read(g, c, names, &m->f->or_else, &m->d)) return false;
    m->o_bias = m->f->config_bias && pare_g_bool(g, c, "attention_bias", false);
    m->qkv_bias = m->o_bias || m->f->qkv_bias;
    m->mlp_bias = m->f->mlp_bias && pare_g_bool(g, c, "mlp_bias", false);
    pare_g_rope_of(g, c, NULL, m->d.dim, m->d.dim, m->f->theta, &m->rope);
    m->sliding = pare_decoder_flags(g, &m->d);
    m->unrotated = pare_decoder_flags(g, &m->d);
    if (g->failed) return false;
    if (m->f->window == NO_ROPE_LAYERS) read_unrotated(g, c, m);
    read_windows(g, c, m);
    return !g->failed;
}

static pare_gv layer(pare_graph *g, const llama *m, int64_t i, pare_gv x)
{
    const pare_decoder *d = &m->d;
    const char *p = pare_decoder_layer(g, d, i);
    const pare_decoder_attention a = {.rope = m->unrotated[i] ? NULL : &m->rope, .window = m->sliding[i] ? m->window : 0,
                                      .out = pare_g_text(g, "%s.self_attn.o_proj", p), .out_bias = m->o_bias};
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    pare_gv h = pare_g_rms_norm(g, x, pare_g_text(g, "%s.input_layernorm.weight", p), d->eps, 0);
    pare_decoder_qkv(g, d, h, pare_g_text(g, "%s.self_attn", p), m->qkv_bias, qkv);
    if (m->f->qk_norm) {
        qkv[0] = pare_g_rms_norm_heads(g, qkv[0], pare_g_text(g, "%s.self_attn.q_norm.weight", p), d->dim, d->eps, 0);
        qkv[1] = pare_g_rms_norm_heads(g, qkv[1], pare_g_text(g, "%s.self_attn.k_norm.weight", p), d->dim, d->eps, 0);
    }
    x = pare_g_add(g, x, pare_decoder_attend(g, d, qkv, &a));
    h = pare_g_rms_norm(g, x, pare_g_text(g, "%s.post_attention_layernorm.weight", p), d->eps, 0);
    return pare_g_add(g, x, pare_decoder_mlp(g, d, h, pare_g_text(g, "%s.mlp", p), d->ffn, m->mlp_bias));
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g)
{
    llama m = {0};
    if (!read_config(g, c, names, &m)) return;
    pare_gv x = pare_decoder_embed(g, &m.d, 1);
    for (int64_t i = 0; i < m.d.layers && !g->failed; i++) x = layer(g, &m, i, x);
    pare_g_layer(g, -1);
    pare_decoder_head(g, &m.d, pare_g_rms_norm(g, x, pare_g_text(g, "%snorm.weight", m.d.prefix), m.d.eps, 0), false, 0);
}

static const char *const types[] = {"llama", "mistral", "qwen2", "qwen3", "smollm", "smollm3", NULL};
const pare_arch pare_arch_llama = {
    .name = "llama", .help = "Llama, Mistral, Qwen 2 and 3, SmolLM, TinyLlama, Yi", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
