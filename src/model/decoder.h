/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders of the Llama kind: token table, layers of attention with rotary positions and a gated feed-forward, a norm, a head. What they share:
 * sizes under the usual keys of config.json with their checks, and the blocks. An arch_*.c says where its family differs.
 */
#ifndef PARE_MODEL_DECODER_H
#define PARE_MODEL_DECODER_H
#include "model/settings.h"

/* What transformers assumes for a key that is missing; 0 = the key must be there (kv_heads: as many as heads; head_dim: hidden / heads). */
typedef struct pare_decoder_defaults {
    int64_t vocab, heads, kv_heads, head_dim, positions;
    double eps;
    const char *eps_key; /* "rms_norm_eps" */
    const char *act_key; /* "hidden_act" */
    const char *act;
    bool tied;
} pare_decoder_defaults;

typedef struct pare_decoder {
    int64_t vocab, hidden, layers, heads, kv_heads, dim, ffn, positions;
    float eps;
    pare_activation act;
    bool tied;
    const pare_gnames *names;
    const char *prefix, *head; /* "model.", "lm_head" */
    pare_gw table;
} pare_decoder;

/* Reads, checks, and fills the graph's own sizes. false: the graph has failed. */
bool pare_decoder_read(pare_graph *g, const pare_jval *config, const pare_gnames *names, const pare_decoder_defaults *or_else, pare_decoder *out);
/* Begins layer i; "model.layers.3". */
const char *pare_decoder_layer(pare_graph *g, const pare_decoder *d, int64_t i);
/* Key is absent: or_else. Null: 0. Else a whole number from 1 on: windows of attention. */
int64_t pare_decoder_window(pare_graph *g, const pare_jval *config, int64_t or_else);
/* Which layers have a window: `layer_types` of config where it is there, else as *sliding comes in. */
void pare_decoder_layer_types(pare_graph *g, const pare_jval *config, const pare_decoder *d, bool *sliding);
/* Room for a flag a layer, all false; NULL: the graph has failed. */
bool *pare_decoder_flags(pare_graph *g, const pare_decoder *d);
/* Rotated columns of a head: partial_rotary_factor, or_else where the config has none. */
int64_t pare_decoder_rotary(pare_graph *g, const pare_jval *config, const pare_decoder *d, double or_else);

/* Ids to rows of the token table, times scale. */
pare_gv pare_decoder_embed(pare_graph *g, pare_decoder *d, float scale);
/* Rows after the last norm to logits. */
void pare_decoder_head(pare_graph *g, const pare_decoder *d, pare_gv x, bool bias, float softcap);

/* module.q_proj, k_proj, v_proj */
void pare_decoder_qkv(pare_graph *g, const pare_decoder *d, pare_gv x, const char *module, bool bias, pare_gv qkv[3]);
/* The same out of one matrix with the rows of q, k, v after each other. */
void pare_decoder_fused_qkv(pare_graph *g, const pare_decoder *d, pare_gv x, const char *module, pare_gv qkv[3]);
typedef struct pare_decoder_attention {
    const pare_rope *rope;  /* NULL = positions are not marked */
    int64_t window;         /* 0 = none */
    float scale, softcap;   /* scale 0 = 1 / sqrt(dim) */
    const char *out;        /* dense layer after it: "model.layers.0.self_attn.o_proj" */
    bool out_bias;
    const char *sink;       /* [heads], a score that takes part in the softmax and has no value; NULL = none */
} pare_decoder_attention;
pare_gv pare_decoder_attend(pare_graph *g, const pare_decoder *d, const pare_gv qkv[3], const pare_decoder_attention *a);
/* down(act(gate x) * up x) of module.gate_proj, up_proj, down_proj */
pare_gv pare_decoder_mlp(pare_graph *g, const pare_decoder *d, pare_gv x, const char *module, int64_t ffn, bool bias);

/* Experts of a layer in the layouts that checkpoints have: one tensor each (of Mixtral's or of the others' names), or stacked. */
pare_gv pare_decoder_moe(pare_graph *g, const pare_decoder *d, pare_gv x, const char *layer, const pare_moe *moe, bool mixtral);
/* Counts of experts, checked. */
void pare_decoder_read_moe(pare_graph *g, const pare_jval *config, const pare_decoder *d, const char *experts_keys, int64_t experts, int64_t top, pare_moe *out);
#endif
