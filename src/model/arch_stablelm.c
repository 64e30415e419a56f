/* SPDX-License-Identifier: Apache-2.0 */
/* StableLM: layer norms, a quarter of each head rotated, gated feed-forward; by config biases on q, k, v, a norm for each head, both halves side by side. */
#include "model/decoder.h"

typedef struct stablelm { pare_decoder d; pare_rope rope; bool qkv_bias, qk_norm, parallel; } stablelm;

/* Head i is normed with module.norms.i.weight. */
static pare_gv norm_heads(pare_graph *g, const stablelm *m, pare_gv x, const char *module, int64_t heads)
{
    const char **modules = pare_arena_alloc(&g->arena, (size_t)heads * sizeof *modules);
    if (!modules) {
        pare_g_fail(g, PARE_ERR_MEMORY, "norms: no memory");
        return PARE_G_NONE;
    }
    for (int64_t i = 0; i < heads; i++) modules[i] = pare_g_text(g, "%s.norms.%lld", module, (long long)i);
    return pare_g_layer_norm_each(g, x, modules, heads, m->d.dim, m->d.eps, false);
}

static pare_gv layer(pare_graph *g, const stablelm *m, int64_t i, pare_gv x)
{
    const pare_decoder *d = &m->d;
    const char *p = pare_decoder_layer(g, d, i), *mlp = pare_g_text(g, "%s.mlp", p);
    const pare_decoder_attention a = {.rope = &m->rope, .out = pare_g_text(g, "%s.self_attn.o_proj", p)};
    pare_gv h = pare_g_layer_norm(g, x, pare_g_text(g, "%s.input_layernorm", p), d->eps, true, true);
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    pare_decoder_qkv(g, d, h, pare_g_text(g, "%s.self_attn", p), m->qkv_bias, qkv);
    if (m->qk_norm) {
        qkv[0] = norm_heads(g, m, qkv[0], pare_g_text(g, "%s.self_attn.q_layernorm", p), d->heads);
        qkv[1] = norm_heads(g, m, qkv[1], pare_g_text(g, "%s.self_attn.k_layernorm", p), d->kv_heads);
    }
    x = pare_g_add(g, x, pare_decoder_attend(g, d, qkv, &a));
    if (!m->parallel) h = pare_g_layer_norm(g, x, pare_g_text(g, "%s.post_attention_layernorm", p), d->eps, true, true);
    return pare_g_add(g, x, pare_decoder_mlp(g, d, h, mlp, d->ffn, false));
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g)
{
    static const pare_decoder_defaults defaults = {0, 0, 32, 0, 4096, 1e-5, "layer_norm_eps", "hidden_act", "silu", false};
    stablelm m = {0};
    if (!pare_decoder_read(g, c, names, &defaults, &m.d)) return;
    m.qkv_bias = pare_g_bool(g, c, "use_qkv_bias", false);
    m.qk_norm = pare_g_bool(g, c, "qk_layernorm", false);
    m.parallel = pare_g_bool(g, c, "use_parallel_residual", false);
    pare_g_rope_of(g, c, NULL, m.d.dim, pare_decoder_rotary(g, c, &m.d, 0.25), 1e4, &m.rope);
    pare_gv x = pare_decoder_embed(g, &m.d, 1);
    for (int64_t i = 0; i < m.d.layers && !g->failed; i++) x = layer(g, &m, i, x);
    pare_g_layer(g, -1);
    pare_decoder_head(g, &m.d, pare_g_layer_norm(g, x, pare_g_text(g, "%snorm", m.d.prefix), m.d.eps, true, true), false, 0);
}

static const char *const types[] = {"stablelm", NULL};
const pare_arch pare_arch_stablelm = {.name = "stablelm", .help = "StableLM", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
