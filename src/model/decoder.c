/* SPDX-License-Identifier: Apache-2.0 */
/* See decoder.h. */
#include "model/decoder.h"

#include <math.h>
#include <string.h>

enum { MAX_EXPERTS = 1 << 18 }; /* of all layers together: what their names and nodes take must stay small */

static bool is_null(const pare_jval *config, const char *key)
{
    const pare_jval *v = pare_j_get(config, key);
    return v && pare_j_type(v) == PARE_J_NULL;
}

static void require(pare_graph *g, const char *key, int64_t value)
{
    if (value == 0) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' is missing", key);
}

static void read_sizes(pare_graph *g, const pare_jval *c, const pare_decoder_defaults *o, pare_decoder *d)
{
    const pare_set_int wanted[] = {{"hidden_size", &d->hidden, 0, 1, 1 << 20},
                                   {"num_hidden_layers", &d->layers, 0, 1, 4096},
                                   {"num_attention_heads", &d->heads, o->heads, 1, 1 << 14},
                                   {"num_key_value_heads", &d->kv_heads, o->kv_heads, 1, 1 << 14},
                                   {"head_dim", &d->dim, o->head_dim, 1, 1 << 16},
                                   {"intermediate_size", &d->ffn, 0, 1, 1 << 22},
                                   {"vocab_size", &d->vocab, o->vocab, 1, 1 << 26},
                                   {"max_position_embeddings", &d->positions, o->positions, 1, (int64_t)1 << 40},
                                   {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, c, wanted);
    require(g, "hidden_size", d->hidden);
    require(g, "num_hidden_layers", d->layers);
    require(g, "num_attention_heads", d->heads);
    require(g, "intermediate_size", d->ffn);
    require(g, "vocab_size", d->vocab);
    if (g->failed) return;
    if (d->kv_heads == 0 || is_null(c, "num_key_value_heads")) d->kv_heads = d->heads;
    if (d->dim == 0 || is_null(c, "head_dim")) d->dim = pare_g_head_dim(g, d->hidden, d->heads);
    if (d->heads % d->kv_heads)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: %lld attention heads cannot share %lld key/value heads evenly", (long long)d->heads, (long long)d->kv_heads);
}

bool pare_decoder_read(pare_graph *g, const pare_jval *c, const pare_gnames *names, const pare_decoder_defaults *o, pare_decoder *d)
{
    static const char *const prefixes[] = {"model.", "model.language_model.", "language_model.model.", "", NULL};
    const char *type = pare_j_text(pare_j_get(c, "model_type"), "");
    memset(d, 0, sizeof *d);
    read_sizes(g, c, o, d);
    d->eps = (float)pare_g_real(g, c, o->eps_key, o->eps, 0, 1);
    d->act = pare_g_activation(g, pare_g_string(g, c, o->act_key, o->act));
    d->tied = pare_g_bool(g, c, "tie_word_embeddings", o->tied);
    if (g->failed) return false;
    d->names = names;
    d->prefix = pare_g_prefix(names, prefixes, "embed_tokens.weight");
    d->head = pare_names_has(names, "language_model.lm_head.weight") ? "language_model.lm_head" : "lm_head";
    g->prefix = d->prefix;
    g->layers = (int)d->layers;
    g->vocab = d->vocab;
    g->hidden = d->hidden;
    g->max_positions = d->positions;
    g->summary = pare_g_text(g, "%s: %lld layers, %lld/%lld heads of %lld, ffn %lld", type, (long long)d->layers, (long long)d->heads, (long long)d->kv_heads,
                             (long long)d->dim, (long long)d->ffn);
    return !g->failed;
}

const char *pare_decoder_layer(pare_graph *g, const pare_decoder *d, int64_t i)
{
    pare_g_layer(g, (int)i);
    return pare_g_text(g, "%slayers.%lld", d->prefix, (long long)i);
}

int64_t pare_decoder_window(pare_graph *g, const pare_jval *config, int64_t or_else)
{
    int64_t window = or_else;
    const pare_set_int wanted[] = {{"sliding_window", &window, or_else, 1, INT64_MAX}, {NULL, NULL, 0, 0, 0}};
    if (is_null(config, "sliding_window")) return 0;
    pare_g_ints(g, config, wanted);
    return window;
}

bool *pare_decoder_flags(pare_graph *g, const pare_decoder *d)
{
    bool *flags = pare_arena_alloc(&g->arena, (size_t)d->layers * sizeof *flags);
    if (flags)
        memset(flags, 0, (size_t)d->layers * sizeof *flags);
    else
        pare_g_fail(g, PARE_ERR_MEMORY, "layers: no memory");
    return flags;
}

void pare_decoder_layer_types(pare_graph *g, const pare_jval *config, const pare_decoder *d, bool *sliding)
{
    const pare_jval *types = pare_j_get(config, "layer_types");
    if (pare_j_type(types) == PARE_J_NULL || !sliding) return;
    if (pare_j_type(types) != PARE_J_ARRAY || pare_j_count(types) != (size_t)d->layers) {
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: 'layer_types' has %zu entries for %lld layers", pare_j_count(types), (long long)d->layers);
        return;
    }
    for (int64_t i = 0; i < d->layers; i++) {
        const char *type = pare_j_text(pare_j_at(types, (size_t)i), "");
        sliding[i] = strcmp(type, "sliding_attention") == 0;
        if (!sliding[i] && strcmp(type, "full_attention") != 0)
            pare_g_fail(g, PARE_ERR_UNSUPPORTED, "config.json: a layer of type '%s' is not known (full_attention, sliding_attention)", type);
    }
}

int64_t pare_decoder_rotary(pare_graph *g, const pare_jval *config, const pare_decoder *d, double or_else)
{
    static const char key[] = "partial_rotary_factor";
    static const char *const blocks[] = {"rope_scaling", "rope_parameters"};
    double part = pare_g_real(g, config, key, or_else, 0, 1);
    for (int i = 0; i < 2; i++) part = pare_g_real(g, pare_j_get(config, blocks[i]), key, part, 0, 1);
    /* At least one column, so that no value means "as the config says"; it fails there. */
    const int64_t dim = (int64_t)((double)d->dim * part);
    return dim > 0 ? dim : 1;
}

pare_gv pare_decoder_embed(pare_graph *g, pare_decoder *d, float scale)
{
    d->table = pare_g_table(g, pare_g_text(g, "%sembed_tokens.weight", d->prefix), d->vocab, d->hidden);
    return pare_g_embed(g, pare_g_ids(g), d->table, scale);
}

void pare_decoder_head(pare_graph *g, const pare_decoder *d, pare_gv x, bool bias, float softcap)
{
    g->hidden_out = x;
    g->logits = pare_g_head(g, d->names, x, d->head, d->vocab, d->hidden, bias, d->tied, d->table);
    if (softcap > 0) g->logits = pare_g_softcap(g, g->logits, softcap);
}

/* ---------------------------------------------------------------------------------------------------------------- blocks */

void pare_decoder_qkv(pare_graph *g, const pare_decoder *d, pare_gv x, const char *module, bool bias, pare_gv qkv[3])
{
    const char *const modules[] = {pare_g_text(g, "%s.q_proj", module), pare_g_text(g, "%s.k_proj", module), pare_g_text(g, "%s.v_proj", module)};
    const int64_t outs[] = {d->heads * d->dim, d->kv_heads * d->dim, d->kv_heads * d->dim};
    const bool biases[] = {bias, bias, bias};
    pare_g_linears(g, x, 3, modules, outs, d->hidden, biases, qkv);
}

void pare_decoder_fused_qkv(pare_graph *g, const pare_decoder *d, pare_gv x, const char *module, pare_gv qkv[3])
{
    const int64_t q = d->heads * d->dim, k = d->kv_heads * d->dim;
    const pare_gv all = pare_g_linear(g, x, module, q + 2 * k, d->hidden, false);
    qkv[0] = pare_g_columns(g, all, 0, q, q, 1);
    qkv[1] = pare_g_columns(g, all, q, k, k, 1);
    qkv[2] = pare_g_columns(g, all, q + k, k, k, 1);
}

pare_gv pare_decoder_attend(pare_graph *g, const pare_decoder *d, const pare_gv qkv[3], const pare_decoder_attention *s)
{
    pare_gv rotated[3] = {qkv[0], qkv[1], qkv[2]};
    pare_attention a = pare_attention_of(d->heads, d->kv_heads, d->dim, pare_g_cache(g, d->kv_heads, d->dim, d->dim, s->window));
    a.window = s->window;
    a.softcap = s->softcap;
    if (s->scale > 0) a.scale = s->scale;
    for (int i = 0; i < 2 && s->rope; i++) {
        pare_rope rope = *s->rope;
        rope.heads = i == 0 ? d->heads : d->kv_heads;
        rotated[i] = pare_g_rope(g, qkv[i], &rope);
    }
    if (!s->sink) return pare_g_attend(g, rotated, &a, s->out, d->hidden, s->out_bias);
    const pare_gw sink = pare_g_vector(g, s->sink, d->heads);
    a.sink = true;
    return pare_g_linear(g, pare_g_attention(g, rotated[0], rotated[1], rotated[2], &a, &sink, 1), s->out, d->hidden, d->heads * d->dim, s->out_bias);
}

pare_gv pare_decoder_mlp(pare_graph *g, const pare_decoder *d, pare_gv x, const char *module, int64_t ffn, bool bias)
{
    const char *const modules[] = {pare_g_text(g, "%s.gate_proj", module), pare_g_text(g, "%s.up_proj", module)};
    const int64_t outs[] = {ffn, ffn};
    const bool biases[] = {bias, bias};
    pare_gv y[2] = {PARE_G_NONE, PARE_G_NONE};
    pare_g_linears(g, x, 2, modules, outs, d->hidden, biases, y);
    return pare_g_linear(g, pare_g_act_mul(g, y[0], y[1], d->act), pare_g_text(g, "%s.down_proj", module), d->hidden, ffn, bias);
}

/* --------------------------------------------------------------------------------------------------------------- experts */

void pare_decoder_read_moe(pare_graph *g, const pare_jval *config, const pare_decoder *d, const char *experts_keys, int64_t experts, int64_t top, pare_moe *out)
{
    memset(out, 0, sizeof *out);
    const pare_set_int wanted[] = {{experts_keys, &out->experts, experts, 1, 4096}, {"num_experts_per_tok", &out->top, top, 1, 64}, {NULL, NULL, 0, 0, 0}};
    pare_g_ints(g, config, wanted);
    out->act = d->act;
    out->softmax_first = true;
    out->scale = 1;
    if (out->top > out->experts)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: %lld of %lld experts for a token", (long long)out->top, (long long)out->experts);
    if (out->experts * d->layers > MAX_EXPERTS)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: %lld layers with %lld experts each are too many", (long long)d->layers, (long long)out->experts);
}

typedef struct expert_names { const char *router, *experts; const char *part[3]; bool stacked; } expert_names;

/* Where the checkpoint keeps the experts of a layer. */
static expert_names find_experts(pare_graph *g, const pare_decoder *d, const char *layer, bool mixtral)
{
    const char *mlp = pare_g_text(g, "%s.mlp", layer), *sparse = pare_g_text(g, "%s.block_sparse_moe", layer);
    const bool known = d->names && d->names->has;
    const char *const at = mixtral && (!known || pare_names_has(d->names, pare_g_text(g, "%s.gate.weight", sparse))) ? sparse : mlp;
    expert_names n = {.router = pare_g_text(g, "%s.gate.weight", at), .experts = pare_g_text(g, "%s.experts", at), .part = {"gate_proj", "up_proj", "down_proj"}};
    n.stacked = pare_names_has(d->names, pare_g_text(g, "%s.gate_up_proj", n.experts));
    if (mixtral && (!known || pare_names_has(d->names, pare_g_text(g, "%s.0.w1.weight", n.experts)))) n.part[0] = "w1", n.part[1] = "w3", n.part[2] = "w2";
    return n;
}

/* Part 0 gate, 1 up, 2 down of an expert. */
static pare_gw expert_weight(pare_graph *g, const pare_decoder *d, const pare_moe *moe, const expert_names *n, int64_t expert, int part)
{
    const int64_t up[] = {moe->ffn, d->hidden}, down[] = {d->hidden, moe->ffn};
    const int64_t *shape = part == 2 ? down : up;
    if (!n->stacked) return pare_g_weight(g, PARE_GW_LINEAR, pare_g_text(g, "%s.%lld.%s.weight", n->experts, (long long)expert, n->part[part]), 2, shape);
    const pare_gw w = pare_g_weight(g, PARE_GW_LINEAR, pare_g_text(g, "%s.%s", n->experts, part == 2 ? "down_proj" : "gate_up_proj"), 2, shape);
    pare_gweight *slice = pare_g_w(g, w);
    slice->of_count = moe->experts;
    slice->of_index = expert;
    if (part != 2) slice->of_rows = 2 * moe->ffn, slice->row0 = part * moe->ffn;
    return w;
}

pare_gv pare_decoder_moe(pare_graph *g, const pare_decoder *d, pare_gv x, const char *layer, const pare_moe *moe, bool mixtral)
{
    const expert_names n = find_experts(g, d, layer, mixtral);
    const size_t count = 1 + 3 * (size_t)moe->experts;
    pare_gw *w = pare_arena_alloc(&g->arena, count * sizeof *w);
    if (!w) {
        pare_g_fail(g, PARE_ERR_MEMORY, "experts: no memory");
        return PARE_G_NONE;
    }
    w[0] = pare_g_weight(g, PARE_GW_LINEAR, n.router, 2, (const int64_t[]){moe->experts, d->hidden});
    for (int64_t e = 0; e < moe->experts && !g->failed; e++)
        for (int part = 0; part < 3; part++) w[1 + 3 * e + part] = expert_weight(g, d, moe, &n, e, part);
    return g->failed ? PARE_G_NONE : pare_g_moe(g, x, moe, w, (int)count);
}
