/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPT-Neo: like GPT-2 with ordinary dense layers, no bias on q k v, scores that are not scaled, and layers that see everything ("global") or the
 * last window_size tokens ("local"), as attention_types says: [[["global", "local"], 12]] is that pair twelve times.
 */
#include <string.h>

#include "model/settings.h"

typedef struct neo_sizes { int64_t hidden, layers, heads, ffn, vocab, positions, window, dim; float eps; pare_activation act; const pare_jval *kinds; } neo_sizes;

static void read_sizes(const pare_jval *c, neo_sizes *z, pare_graph *g) {
    const pare_set_int wanted[] = {{"hidden_size", &z->hidden, 2048, 1, 1 << 20},
                                   {"num_layers|num_hidden_layers", &z->layers, 24, 1, 4096},
                                   {"num_heads|num_attention_heads", &z->heads, 16, 1, 1 << 14},
                                   {"intermediate_size", &z->ffn, 0, 1, 1 << 22},
                                   {"vocab_size", &z->vocab, 50257, 1, 1 << 26},
                                   {"max_position_embeddings", &z->positions, 2048, 1, 1 << 24},
                                   {"window_size", &z->window, 256, 1, 1 << 24},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    if (z->ffn == 0) z->ffn = 4 * z->hidden;
    z->dim = pare_g_head_dim(g, z->hidden, z->heads);
    z->eps = (float)pare_g_real(g, c, "layer_norm_epsilon", 1e-5, 0, 1);
    z->act = pare_g_activation(g, pare_g_string(g, c, "activation_function", "gelu_new"));
    z->kinds = pare_j_get(c, "attention_types");
}

/* Is layer i local? Walks [[kinds, times], ...]; *count: layers that the list describes. */
static bool is_local(pare_graph *g, const pare_jval *list, int64_t i, int64_t *count) {
    bool local = false;
    *count = 0;
    for (size_t j = 0; j < pare_j_count(list); j++) {
        const pare_jval *entry = pare_j_at(list, j), *kinds = pare_j_at(entry, 0);
        const int64_t times = pare_j_int(pare_j_at(entry, 1), -1), n = (int64_t)pare_j_count(kinds);
        if (times < 0 || times > 4096 || n < 1 || n > 4096) {
            pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'attention_types' is not a list of [kinds, times]");
            return false;
        }
        if (i >= *count && i < *count + times * n) {
            const char *kind = pare_j_text(pare_j_at(kinds, (size_t)((i - *count) % n)), "");
            local = strcmp(kind, "local") == 0;
            if (!local && strcmp(kind, "global")) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: attention type '%s' is neither 'global' nor 'local'", kind);
        }
        *count += times * n;
    }
    return local;
}

static pare_gv layer(pare_graph *g, const neo_sizes *z, const char *prefix, int64_t i, bool local, pare_gv x) {
    const char *p = pare_g_text(g, "%sh.%lld", prefix, (long long)i);
    const char *const modules[] = {pare_g_text(g, "%s.attn.attention.q_proj", p), pare_g_text(g, "%s.attn.attention.k_proj", p),
                                   pare_g_text(g, "%s.attn.attention.v_proj", p)};
    const int64_t outs[] = {z->hidden, z->hidden, z->hidden}, window = local ? z->window : 0;
    const bool bias[] = {false, false, false};
    pare_attention a = pare_attention_of(z->heads, z->heads, z->dim, pare_g_cache(g, z->heads, z->dim, z->dim, window));
    a.scale = 1;
    a.window = window;
    pare_gv qkv[3];
    const pare_gv n = pare_g_layer_norm(g, x, pare_g_text(g, "%s.ln_1", p), z->eps, true, true);
    pare_g_linears(g, n, 3, modules, outs, z->hidden, bias, qkv);
    x = pare_g_add(g, x, pare_g_attend(g, qkv, &a, pare_g_text(g, "%s.attn.attention.out_proj", p), z->hidden, true));
    const pare_gv m = pare_g_layer_norm(g, x, pare_g_text(g, "%s.ln_2", p), z->eps, true, true);
    return pare_g_add(g, x, pare_g_mlp(g, m, pare_g_text(g, "%s.mlp.c_fc", p), pare_g_text(g, "%s.mlp.c_proj", p), z->hidden, z->ffn, true, z->act));
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    static const char *const prefixes[] = {"transformer.", "", NULL};
    neo_sizes z = {0};
    int64_t described = 24;
    read_sizes(c, &z, g);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", true), listed = pare_j_type(z.kinds) != PARE_J_NULL;
    if (listed) is_local(g, z.kinds, 0, &described);
    if (described != z.layers)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'attention_types' describes %lld layers, 'num_layers' is %lld", (long long)described, (long long)z.layers);
    if (g->failed) return;
    g->prefix = pare_g_prefix(names, prefixes, "wte.weight");
    g->layers = (int)z.layers, g->vocab = z.vocab, g->hidden = z.hidden, g->max_positions = z.positions;
    const pare_gw wte = pare_g_table(g, pare_g_text(g, "%swte.weight", g->prefix), z.vocab, z.hidden);
    const pare_gw wpe = pare_g_table(g, pare_g_text(g, "%swpe.weight", g->prefix), z.positions, z.hidden);
    pare_gv x = pare_g_add(g, pare_g_embed(g, pare_g_ids(g), wte, 1), pare_g_embed_positions(g, wpe, 0));
    for (int64_t i = 0; i < z.layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, &z, g->prefix, i, listed ? is_local(g, z.kinds, i, &described) : i % 2 == 1, x);
    }
    pare_g_layer(g, -1);
    g->hidden_out = pare_g_layer_norm(g, x, pare_g_text(g, "%sln_f", g->prefix), z.eps, true, true);
    g->logits = pare_g_head(g, names, g->hidden_out, "lm_head", z.vocab, z.hidden, false, tied, wte);
    g->summary = pare_g_text(g, "gpt_neo: %lld layers, %lld heads of %lld, ffn %lld, window %lld", (long long)z.layers, (long long)z.heads, (long long)z.dim,
                             (long long)z.ffn, (long long)z.window);
}

static const char *const types[] = {"gpt_neo", NULL};
const pare_arch pare_arch_gpt_neo = {.name = "gpt_neo", .help = "GPT-Neo", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
