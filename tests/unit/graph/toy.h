/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Toy models for the engine's tests: weights that are a function of their name, a source over them that counts what is loaded and dropped, a small
 * llama made by the builder, and the same llama computed in plain double arithmetic.
 */
#ifndef PARE_TEST_TOY_H
#define PARE_TEST_TOY_H
#include "graph/graph.h"
#include "support/support.h"

typedef struct toy_tensor { char name[96]; int ndim; int64_t shape[4], n; float *at; bool fixed; } toy_tensor;
typedef struct toy_source {
    toy_tensor at[512];
    int n;
    const char *missing;      /* a name that check() does not find */
    const char *broken;       /* a name whose loading fails */
    bool copies;              /* matrices are owned copies, as repacked ones are */
    int loads, drops, held;   /* matrices loaded, dropped, loaded at the moment (as far as drop() says) */
    int closed;
    double scale;             /* of random weights; 0 = 0.3 */
} toy_source;
void toy_clear(toy_source *s);
/* Values given by the test; else they are random by name. */
void toy_set(toy_source *s, const char *name, int ndim, const int64_t *shape, const float *values);
const float *toy_get(toy_source *s, const char *name, int ndim, const int64_t *shape);
pare_gsource toy_gsource(toy_source *s);

typedef struct toy_llama {
    int64_t layers, hidden, heads, kv_heads, dim, ffn, vocab, window, chunk;
    float softcap, logit_cap;
    bool tied, alibi, sink, qk_norm, dynamic;
    const char *embedding;
    pare_dtype kv;            /* static scales of the cache, as a checkpoint has them; NONE = none */
    float k_scale[8], v_scale[8]; /* of each key/value head */
} toy_llama;
extern const toy_llama toy_small; /* 3 layers, hidden 32, 4/2 heads of 8, ffn 48, vocabulary 61 */
pare_graph *toy_graph(const toy_llama *m);
/* Logits [n, vocab] of a text from position 0, in double arithmetic. */
void toy_logits(const toy_llama *m, toy_source *s, const int32_t *ids, int64_t n, float *out);

pare_engine *toy_engine(pare_ctx *ctx, const toy_llama *m, toy_source *s, const pare_engine_options *o);
/* Largest difference divided by the largest magnitude of b. */
double toy_distance(const float *a, const float *b, int64_t n);
pare_ctx *toy_ctx(int threads);
#endif
