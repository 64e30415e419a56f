/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BART and mBART: learned positions shifted by 2, a norm behind the embedding, biases everywhere, the embedding (times sqrt(d_model) where the config
 * says so) as head, final_logits_bias added to the logits. BART's norms come after each half; mBART's before it, with one more at the end. Marian: as
 * BART without the first norm, with sines as positions, not shifted; they have to be in the checkpoint, as those of the OPUS-MT project hold them.
 */
#include <math.h>
#include <string.h>

#include "model/settings.h"

typedef struct bart_stack { int64_t layers, heads, ffn, dim; } bart_stack;
typedef struct bart_sizes { int64_t model, vocab, positions, start; bart_stack stack[2]; int64_t offset; float scale; bool before, marian; pare_activation act; } bart_sizes;

static void read_sizes(const pare_jval *c, bart_sizes *z, pare_graph *g) {
    const char *type = pare_j_text(pare_j_get(c, "model_type"), "bart");
    const bool mbart = strcmp(type, "mbart") == 0, marian = strcmp(type, "marian") == 0;
    bart_stack *e = &z->stack[0], *d = &z->stack[1];
    int64_t end, target;
    const pare_set_int wanted[] = {{"d_model|hidden_size", &z->model, 1024, 1, 1 << 20},
                                   {"encoder_layers", &e->layers, 12, 1, 4096},
                                   {"decoder_layers", &d->layers, 12, 1, 4096},
                                   {"encoder_attention_heads", &e->heads, 16, 1, 1 << 14},
                                   {"decoder_attention_heads", &d->heads, 16, 1, 1 << 14},
                                   {"encoder_ffn_dim", &e->ffn, 4096, 1, 1 << 22},
                                   {"decoder_ffn_dim", &d->ffn, 4096, 1, 1 << 22},
                                   {"vocab_size", &z->vocab, marian ? 58101 : 50265, 1, 1 << 26},
                                   {"max_position_embeddings", &z->positions, 1024, 1, 1 << 24},
                                   {NULL, NULL, 0, 0, 0}};
    const pare_set_int ids[] = {{"eos_token_id", &end, 2, 0, 1 << 26}, {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    pare_g_ints(g, c, ids);
    const pare_set_int first[] = {{"decoder_start_token_id", &z->start, mbart ? end : marian ? 58100 : 2, 0, z->vocab - 1},
                                  {"decoder_vocab_size", &target, z->vocab, 1, 1 << 26},
                                  {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, first);
    if (marian && target != z->vocab)
        pare_g_fail(g, PARE_ERR_UNSUPPORTED, "config.json: 'decoder_vocab_size' is %lld and 'vocab_size' is %lld: they have to be the same", (long long)target, (long long)z->vocab);
    e->dim = pare_g_head_dim(g, z->model, e->heads);
    d->dim = pare_g_head_dim(g, z->model, d->heads);
    z->scale = pare_g_bool(g, c, "scale_embedding", false) ? (float)sqrt((double)z->model) : 1;
    z->before = mbart;
    z->marian = marian;
    z->offset = marian ? 0 : 2;
    z->act = pare_g_activation(g, pare_g_string(g, c, "activation_function", "gelu"));
}

static pare_gv norm(pare_graph *g, pare_gv x, const char *module) { return pare_g_layer_norm(g, x, module, 1e-5f, true, true); }

/* Attention with its residual and norm; memory: cross-attention to it, else PARE_G_NONE. */
static pare_gv attend(pare_graph *g, const bart_sizes *z, const bart_stack *s, pare_gv x, const char *p, const char *name, bool decoder, pare_gv memory) {
    const int64_t outs[] = {z->model, z->model, z->model};
    const bool bias[] = {true, true, true}, cross = memory != PARE_G_NONE;
    const char *const modules[] = {pare_g_text(g, "%s.%s.q_proj", p, name), pare_g_text(g, "%s.%s.k_proj", p, name), pare_g_text(g, "%s.%s.v_proj", p, name)};
    const char *layer_norm = pare_g_text(g, "%s.%s_layer_norm", p, name);
    pare_attention a = pare_attention_of(s->heads, s->heads, s->dim, decoder && !cross ? pare_g_cache(g, s->heads, s->dim, s->dim, 0) : -1);
    pare_gv qkv[3] = {PARE_G_NONE, PARE_G_NONE, PARE_G_NONE};
    const pare_gv n = z->before ? norm(g, x, layer_norm) : x;
    a.causal = decoder && !cross;
    a.cross = cross;
    if (cross) {
        qkv[0] = pare_g_linear(g, n, modules[0], z->model, z->model, true);
        pare_g_linears(g, memory, 2, modules + 1, outs, z->model, bias, qkv + 1);
    } else
        pare_g_linears(g, n, 3, modules, outs, z->model, bias, qkv);
    x = pare_g_add(g, x, pare_g_attend(g, qkv, &a, pare_g_text(g, "%s.%s.out_proj", p, name), z->model, true));
    return z->before ? x : norm(g, x, layer_norm);
}

static pare_gv layer(pare_graph *g, const bart_sizes *z, const bart_stack *s, pare_gv x, const char *p, bool decoder, pare_gv memory) {
    const char *last = pare_g_text(g, "%s.final_layer_norm", p);
    x = attend(g, z, s, x, p, "self_attn", decoder, PARE_G_NONE);
    if (decoder) x = attend(g, z, s, x, p, "encoder_attn", true, memory);
    const pare_gv n = z->before ? norm(g, x, last) : x;
    x = pare_g_add(g, x, pare_g_mlp(g, n, pare_g_text(g, "%s.fc1", p), pare_g_text(g, "%s.fc2", p), z->model, s->ffn, true, z->act));
    return z->before ? x : norm(g, x, last);
}

/* A whole stack of module `prefix`encoder or `prefix`decoder; *head: the table that the head is tied to. */
static void stack(pare_graph *g, const bart_sizes *z, const pare_gnames *names, const char *prefix, bool decoder, pare_gw *head) {
    const bart_stack *s = &z->stack[decoder];
    const char *p = pare_g_text(g, "%s%s", prefix, decoder ? "decoder" : "encoder");
    const char *own = pare_g_text(g, "%s.embed_tokens.weight", p), *other = pare_g_text(g, "%s%s.embed_tokens.weight", prefix, decoder ? "encoder" : "decoder");
    const pare_gv memory = decoder ? pare_g_memory(g, z->model) : PARE_G_NONE;
    const pare_gw table = pare_g_stack_table(g, names, own, pare_g_text(g, "%sshared.weight", prefix), other, z->vocab, z->model, head);
    const pare_gw places = pare_g_table(g, pare_g_text(g, "%s.embed_positions.weight", p), z->positions + z->offset, z->model);
    pare_gv x = pare_g_add(g, pare_g_embed(g, pare_g_ids(g), table, z->scale), pare_g_embed_positions(g, places, z->offset));
    if (!z->marian) x = norm(g, x, pare_g_text(g, "%s.layernorm_embedding", p));
    for (int64_t i = 0; i < s->layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, z, s, x, pare_g_text(g, "%s.layers.%lld", p, (long long)i), decoder, memory);
    }
    pare_g_layer(g, -1);
    if (z->before) x = norm(g, x, pare_g_text(g, "%s.layer_norm", p));
    g->layers = (int)s->layers, g->vocab = z->vocab, g->hidden = z->model, g->max_positions = z->positions, g->prefix = prefix;
    g->hidden_out = x;
}

/* Head with the bias that lies outside the model as [1, vocab]; checkpoints of the bare model have none. */
static pare_gv head(pare_graph *g, const bart_sizes *z, const pare_gnames *names, bool tied, pare_gw table) {
    const bool own = names && names->has ? pare_names_has(names, "lm_head.weight") : !tied;
    const pare_gw w = pare_g_weight(g, PARE_GW_HEAD, own ? "lm_head.weight" : pare_g_w(g, table)->name, 2, (const int64_t[]){z->vocab, z->model});
    const pare_gw b = pare_g_weight(g, PARE_GW_VECTOR, "final_logits_bias", 2, (const int64_t[]){1, z->vocab});
    pare_gv y = PARE_G_NONE;
    if (!own) pare_g_w(g, w)->tied = table;
    pare_g_w(g, b)->optional = true;
    pare_g_linears_w(g, pare_g_rows_last(g, g->hidden_out), 1, &w, &b, &y);
    return y;
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    static const char *const prefixes[] = {"model.", "", NULL};
    bart_sizes z = {0};
    pare_gw table;
    pare_err err = {0};
    read_sizes(c, &z, g);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", true);
    if (g->failed) return;
    const char *p = pare_g_prefix(names, prefixes, "encoder.layers.0.fc1.weight");
    if (z.marian && names && names->has && !pare_names_has(names, pare_g_text(g, "%sencoder.embed_positions.weight", p)))
        pare_g_fail(g, PARE_ERR_UNSUPPORTED, "%sencoder.embed_positions.weight: is not in the checkpoint; Marian can be run only where it is", p);
    if (g->failed) return;
    if (!(g->encoder = pare_graph_new(PARE_G_ENCODER, &err))) {
        pare_g_fail(g, PARE_ERR_MEMORY, "%s", err.text);
        return;
    }
    stack(g->encoder, &z, names, p, false, &table);
    stack(g, &z, names, p, true, &table);
    g->logits = head(g, &z, names, tied, table);
    g->decoder_start = z.start;
    g->summary = pare_g_text(g, "%s: %lld + %lld layers, %lld and %lld heads, width %lld", pare_j_text(pare_j_get(c, "model_type"), "bart"), (long long)z.stack[0].layers, (long long)z.stack[1].layers,
                             (long long)z.stack[0].heads, (long long)z.stack[1].heads, (long long)z.model);
}

static const char *const types[] = {"bart", "mbart", "marian", NULL};
const pare_arch pare_arch_bart = {.name = "bart", .help = "BART, mBART, Marian", .model_types = types, .graph = graph, .kind = PARE_G_DECODER};
