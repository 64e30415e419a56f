/* SPDX-License-Identifier: Apache-2.0 */
/* GPT-J: one norm a layer, attention and feed-forward beside each other behind it, rotary embedding of neighbouring pairs, head with bias. */
#include "model/gptj.h"

static void read_sizes(const pare_jval *c, pare_gptj_sizes *z, pare_graph *g) {
    const pare_set_int wanted[] = {{"n_embd|hidden_size", &z->hidden, 4096, 1, 1 << 20},
                                   {"n_layer|num_hidden_layers", &z->layers, 28, 1, 4096},
                                   {"n_head|num_attention_heads", &z->heads, 16, 1, 1 << 14},
                                   {"n_inner", &z->ffn, 0, 1, 1 << 22},
                                   {"vocab_size", &z->vocab, 50400, 1, 1 << 26},
                                   {"n_positions|max_position_embeddings", &z->positions, 2048, 1, 1 << 24},
                                   {"rotary_dim", &z->rotary, 64, 2, 1 << 16},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    if (z->ffn == 0) z->ffn = 4 * z->hidden;
    z->dim = pare_g_head_dim(g, z->hidden, z->heads);
    z->eps = (float)pare_g_real(g, c, "layer_norm_epsilon", 1e-5, 0, 1);
    z->act = pare_g_activation(g, pare_g_string(g, c, "activation_function", "gelu_new"));
    if (z->rotary % 2 || z->rotary > z->dim)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'rotary_dim' is %lld: it has to be even and at most the %lld columns of a head", (long long)z->rotary, (long long)z->dim);
    if (!g->failed) pare_g_rope_of(g, c, NULL, z->dim, z->rotary, 10000, &z->rope);
    z->rope.heads = z->heads;
    z->rope.pairs = true;
}

static pare_gv layer(pare_graph *g, const pare_gptj_sizes *z, pare_gptj_heads heads, const char *p, pare_gv x) {
    const pare_attention a = pare_attention_of(z->heads, z->heads, z->dim, pare_g_cache(g, z->heads, z->dim, z->dim, 0));
    const pare_gv n = pare_g_layer_norm(g, x, pare_g_text(g, "%s.ln_1", p), z->eps, true, true);
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    heads(g, z, p, n, qkv);
    for (int k = 0; k < 2; k++) qkv[k] = pare_g_rope(g, qkv[k], &z->rope);
    const pare_gv y = pare_g_attend(g, qkv, &a, pare_g_text(g, "%s.attn.out_proj", p), z->hidden, false);
    const pare_gv m = pare_g_mlp(g, n, pare_g_text(g, "%s.mlp.fc_in", p), pare_g_text(g, "%s.mlp.fc_out", p), z->hidden, z->ffn, true, z->act);
    return pare_g_add(g, pare_g_add(g, y, m), x);
}

void pare_gptj_graph(const pare_jval *c, const pare_gnames *names, pare_graph *g, const char *family, pare_gptj_heads heads) {
    static const char *const prefixes[] = {"transformer.", "", NULL};
    pare_gptj_sizes z = {0};
    read_sizes(c, &z, g);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", false);
    if (g->failed) return;
    g->prefix = pare_g_prefix(names, prefixes, "wte.weight");
    g->layers = (int)z.layers, g->vocab = z.vocab, g->hidden = z.hidden, g->max_positions = z.positions;
    const pare_gw wte = pare_g_table(g, pare_g_text(g, "%swte.weight", g->prefix), z.vocab, z.hidden);
    pare_gv x = pare_g_embed(g, pare_g_ids(g), wte, 1);
    for (int64_t i = 0; i < z.layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, &z, heads, pare_g_text(g, "%sh.%lld", g->prefix, (long long)i), x);
    }
    pare_g_layer(g, -1);
    g->hidden_out = pare_g_layer_norm(g, x, pare_g_text(g, "%sln_f", g->prefix), z.eps, true, true);
    g->logits = pare_g_head(g, names, g->hidden_out, "lm_head", z.vocab, z.hidden, true, tied, wte);
    g->summary = pare_g_text(g, "%s: %lld layers, %lld heads of %lld (%lld rotated), ffn %lld", family, (long long)z.layers, (long long)z.heads, (long long)z.dim,
                             (long long)z.rotary, (long long)z.ffn);
}

static void separate(pare_graph *g, const pare_gptj_sizes *z, const char *p, pare_gv x, pare_gv qkv[3]) {
    const char *const modules[] = {pare_g_text(g, "%s.attn.q_proj", p), pare_g_text(g, "%s.attn.k_proj", p), pare_g_text(g, "%s.attn.v_proj", p)};
    const int64_t outs[] = {z->hidden, z->hidden, z->hidden};
    const bool bias[] = {false, false, false};
    pare_g_linears(g, x, 3, modules, outs, z->hidden, bias, qkv);
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) { pare_gptj_graph(c, names, g, "gptj", separate); }

static const char *const types[] = {"gptj", NULL};
const pare_arch pare_arch_gptj = {.name = "gptj", .help = "GPT-J", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
