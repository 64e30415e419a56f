/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BERT and what has its shape: RoBERTa, XLM-RoBERTa, CamemBERT (positions begin behind the padding id), DistilBERT (other names, no token types). Norms
 * come after each half. Hidden rows and a pooled vector; logits where the architecture is ...ForMaskedLM: dense, activation, norm, and the
 * embedding as head with a bias of its own. A padding id inside a text counts as any other token.
 */
#include <string.h>

#include "model/settings.h"

/* Where a family keeps things, below the layer; and its masked-LM head. */
typedef struct bert_names {
    const char *layers, *q, *k, *v, *o, *norm1, *up, *down, *norm2;
    const char *transform, *norm, *decoder, *bias[3]; /* bias: tried in turn */
} bert_names;

static const bert_names of_bert = {
    "encoder.layer", "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm",
    "intermediate.dense", "output.dense", "output.LayerNorm",
    "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder", {"cls.predictions.decoder.bias", "cls.predictions.bias", NULL}};
static const bert_names of_roberta = {
    "encoder.layer", "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm",
    "intermediate.dense", "output.dense", "output.LayerNorm",
    "lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", {"lm_head.decoder.bias", "lm_head.bias", NULL}};
static const bert_names of_distil = {
    "transformer.layer", "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm",
    "vocab_transform", "vocab_layer_norm", "vocab_projector", {"vocab_projector.bias", NULL, NULL}};

typedef struct bert_sizes {
    int64_t hidden, layers, heads, ffn, vocab, positions, types, offset, dim;
    float eps;
    pare_activation act, head_act;
    const bert_names *names;
} bert_sizes;

static void read_bert(const pare_jval *c, bert_sizes *z, pare_graph *g, const char *type) {
    const bool roberta = strcmp(type, "bert") != 0;
    int64_t pad;
    const pare_set_int wanted[] = {{"hidden_size", &z->hidden, 768, 1, 1 << 20},
                                   {"num_hidden_layers", &z->layers, 12, 1, 4096},
                                   {"num_attention_heads", &z->heads, 12, 1, 1 << 14},
                                   {"intermediate_size", &z->ffn, 3072, 1, 1 << 22},
                                   {"vocab_size", &z->vocab, strcmp(type, "roberta") ? 30522 : 50265, 1, 1 << 26},
                                   {"max_position_embeddings", &z->positions, 512, 1, 1 << 24},
                                   {"type_vocab_size", &z->types, 2, 1, 1 << 16},
                                   {NULL, NULL, 0, 0, 0}};
    const pare_set_int padding[] = {{"pad_token_id", &pad, 1, 0, 1 << 24}, {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    z->eps = (float)pare_g_real(g, c, "layer_norm_eps", 1e-12, 0, 1);
    z->act = z->head_act = pare_g_activation(g, pare_g_string(g, c, "hidden_act", "gelu"));
    z->names = &of_bert;
    if (!roberta) return;
    pare_g_ints(g, c, padding);
    z->offset = pad + 1;
    z->head_act = PARE_ACT_FN_GELU;
    z->names = &of_roberta;
}

static void read_distil(const pare_jval *c, bert_sizes *z, pare_graph *g) {
    const pare_set_int wanted[] = {{"dim|hidden_size", &z->hidden, 768, 1, 1 << 20},
                                   {"n_layers|num_hidden_layers", &z->layers, 6, 1, 4096},
                                   {"n_heads|num_attention_heads", &z->heads, 12, 1, 1 << 14},
                                   {"hidden_dim", &z->ffn, 3072, 1, 1 << 22},
                                   {"vocab_size", &z->vocab, 30522, 1, 1 << 26},
                                   {"max_position_embeddings", &z->positions, 512, 1, 1 << 24},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    z->eps = 1e-12f;
    z->act = z->head_act = pare_g_activation(g, pare_g_string(g, c, "activation", "gelu"));
    z->names = &of_distil;
}

/* Sum of token, type and position rows, normed. */
static pare_gv embed(pare_graph *g, const bert_sizes *z, const char *p, pare_gw table) {
    pare_gv x = pare_g_embed(g, pare_g_ids(g), table, 1);
    const pare_gw places = pare_g_table(g, pare_g_text(g, "%sembeddings.position_embeddings.weight", p), z->positions, z->hidden);
    if (z->types) {
        const pare_gw types = pare_g_table(g, pare_g_text(g, "%sembeddings.token_type_embeddings.weight", p), z->types, z->hidden);
        x = pare_g_add(g, x, pare_g_embed(g, pare_g_types(g), types, 1));
    }
    x = pare_g_add(g, x, pare_g_embed_positions(g, places, z->offset));
    return pare_g_layer_norm(g, x, pare_g_text(g, "%sembeddings.LayerNorm", p), z->eps, true, true);
}

static pare_gv layer(pare_graph *g, const bert_sizes *z, const char *p, pare_gv x) {
    const bert_names *n = z->names;
    const char *const modules[] = {pare_g_text(g, "%s.%s", p, n->q), pare_g_text(g, "%s.%s", p, n->k), pare_g_text(g, "%s.%s", p, n->v)};
    const int64_t outs[] = {z->hidden, z->hidden, z->hidden};
    const bool bias[] = {true, true, true};
    pare_attention a = pare_attention_of(z->heads, z->heads, z->dim, -1);
    pare_gv qkv[3];
    a.causal = false;
    pare_g_linears(g, x, 3, modules, outs, z->hidden, bias, qkv);
    x = pare_g_add(g, pare_g_attend(g, qkv, &a, pare_g_text(g, "%s.%s", p, n->o), z->hidden, true), x);
    x = pare_g_layer_norm(g, x, pare_g_text(g, "%s.%s", p, n->norm1), z->eps, true, true);
    x = pare_g_add(g, pare_g_mlp(g, x, pare_g_text(g, "%s.%s", p, n->up), pare_g_text(g, "%s.%s", p, n->down), z->hidden, z->ffn, true, z->act), x);
    return pare_g_layer_norm(g, x, pare_g_text(g, "%s.%s", p, n->norm2), z->eps, true, true);
}

static pare_gv masked_head(pare_graph *g, const bert_sizes *z, const pare_gnames *names, pare_gv x, bool tied, pare_gw table) {
    const bert_names *n = z->names;
    const char *own = pare_g_text(g, "%s.weight", n->decoder), *bias = n->bias[0];
    for (int i = 0; i < 3 && n->bias[i]; i++)
        if (pare_names_has(names, n->bias[i])) {
            bias = n->bias[i];
            break;
        }
    x = pare_g_act(g, pare_g_linear(g, pare_g_rows_last(g, x), n->transform, z->hidden, z->hidden, true), z->head_act);
    x = pare_g_layer_norm(g, x, n->norm, z->eps, true, true);
    const bool separate = names && names->has ? pare_names_has(names, own) : !tied;
    const pare_gw w = pare_g_weight(g, PARE_GW_HEAD, separate ? own : pare_g_w(g, table)->name, 2, (const int64_t[]){z->vocab, z->hidden});
    const pare_gw b = pare_g_vector(g, bias, z->vocab);
    pare_gv y = PARE_G_NONE;
    if (!separate) pare_g_w(g, w)->tied = table;
    pare_g_linears_w(g, x, 1, &w, &b, &y);
    return y;
}

static void graph(const pare_jval *c, const pare_gnames *names, pare_graph *g) {
    static const char *const prefixes[] = {"", "bert.", "roberta.", "distilbert.", NULL};
    const char *type = pare_j_text(pare_j_get(c, "model_type"), "bert");
    const bool distil = strcmp(type, "distilbert") == 0;
    bert_sizes z = {0};
    if (distil) read_distil(c, &z, g);
    else read_bert(c, &z, g, type);
    z.dim = pare_g_head_dim(g, z.hidden, z.heads);
    if (pare_g_bool(g, c, "is_decoder", false)) pare_g_fail(g, PARE_ERR_UNSUPPORTED, "config.json: 'is_decoder': a %s that generates cannot be run", type);
    if (strcmp(pare_g_string(g, c, "position_embedding_type", "absolute"), "absolute"))
        pare_g_fail(g, PARE_ERR_UNSUPPORTED, "config.json: 'position_embedding_type' is '%s', only 'absolute' can be run", pare_g_string(g, c, "position_embedding_type", ""));
    if (z.positions <= z.offset)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'max_position_embeddings' is %lld, and positions begin at %lld", (long long)z.positions, (long long)z.offset);
    const bool tied = pare_g_bool(g, c, "tie_word_embeddings", true);
    if (g->failed) return;
    const char *p = g->prefix = pare_g_prefix(names, prefixes, "embeddings.word_embeddings.weight");
    g->layers = (int)z.layers, g->vocab = z.vocab, g->hidden = z.hidden, g->max_positions = z.positions - z.offset;
    const pare_gw table = pare_g_table(g, pare_g_text(g, "%sembeddings.word_embeddings.weight", p), z.vocab, z.hidden);
    pare_gv x = embed(g, &z, p, table);
    for (int64_t i = 0; i < z.layers && !g->failed; i++) {
        pare_g_layer(g, (int)i);
        x = layer(g, &z, pare_g_text(g, "%s%s.%lld", p, z.names->layers, (long long)i), x);
    }
    pare_g_layer(g, -1);
    g->hidden_out = x;
    if (pare_config_is(c, "ForMaskedLM")) g->logits = masked_head(g, &z, names, x, tied, table);
    pare_g_pooling(g, names);
    pare_g_old_norms(g, names);
    g->summary = pare_g_text(g, "%s: %lld layers, %lld heads of %lld, ffn %lld", type, (long long)z.layers, (long long)z.heads, (long long)z.dim, (long long)z.ffn);
}

static const char *const types[] = {"bert", "roberta", "xlm-roberta", "camembert", "distilbert", NULL};
const pare_arch pare_arch_bert = {
    .name = "bert", .help = "BERT, RoBERTa, XLM-RoBERTa, DistilBERT, MiniLM, sentence-transformers", .model_types = types, .graph = graph, .kind = PARE_G_ENCODER};
