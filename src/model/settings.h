/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What builders of graphs share: config.json read with the names that a value had over the years, bounds, and transformers' default for the
 * model type where it is missing; blocks that many families have. A bad value fails the graph with one sentence, the first wins: read
 * everything, then look at g->failed once, before any size is used.
 */
#ifndef PARE_MODEL_SETTINGS_H
#define PARE_MODEL_SETTINGS_H
#include "model/model.h"

/* keys: "n_embd|hidden_size", any of them; two that disagree are an error. A null counts as missing. or_else is not checked. */
typedef struct pare_set_int { const char *keys; int64_t *value; int64_t or_else, min, max; } pare_set_int;
void pare_g_ints(pare_graph *g, const pare_jval *config, const pare_set_int *wanted); /* ends with keys NULL */
double pare_g_real(pare_graph *g, const pare_jval *config, const char *keys, double or_else, double min, double max);
bool pare_g_bool(pare_graph *g, const pare_jval *config, const char *key, bool or_else);
const char *pare_g_string(pare_graph *g, const pare_jval *config, const char *keys, const char *or_else);
/* Does the first entry of 'architectures' end so ("ForMaskedLM")? */
bool pare_config_is(const pare_jval *config, const char *ending);
/* Is this tensor known to be there? false when nothing is known. */
bool pare_names_has(const pare_gnames *names, const char *name);

/* module.weight and module.bias under the names of old TensorFlow conversions, .gamma and .beta, where the checkpoint has those: for every weight so far. */
void pare_g_old_norms(pare_graph *g, const pare_gnames *names);
/*
 * g->pooled out of g->hidden_out, as the modules.json and 1_Pooling/config.json of sentence-transformers say; the plain mean where there are none, which
 * is what that library does then. A module with weights of its own (Dense) is refused.
 */
void pare_g_pooling(pare_graph *g, const pare_gnames *names);

/* hidden / heads; fails when that is no whole number. Never 0. */
int64_t pare_g_head_dim(pare_graph *g, int64_t hidden, int64_t heads);
/* Ordinary attention: causal, scaled by 1 / sqrt(dim), no window. */
pare_attention pare_attention_of(int64_t heads, int64_t kv_heads, int64_t dim, int cache);
/* down(act(up(x))) */
pare_gv pare_g_mlp(pare_graph *g, pare_gv x, const char *up, const char *down, int64_t hidden, int64_t ffn, bool bias, pare_activation act);
/* Embedding table `name` [n, dim]. */
pare_gw pare_g_table(pare_graph *g, const char *name, int64_t n, int64_t dim);
/*
 * Embedding of one stack of an encoder-decoder: a table of its own counts where the checkpoint has one, as transformers does not tie two tensors that differ;
 * else the shared one, else the other stack's. *head: the table that the head is tied to, the shared one before all.
 */
pare_gw pare_g_stack_table(pare_graph *g, const pare_gnames *names, const char *own, const char *shared, const char *other, int64_t n, int64_t dim, pare_gw *head);
/* q, k and v, rotated or not, into attention and the dense layer after it. */
pare_gv pare_g_attend(pare_graph *g, const pare_gv qkv[3], const pare_attention *a, const char *dense, int64_t hidden, bool bias);
#endif
