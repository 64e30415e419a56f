/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's inside, for src/graph only.
 *
 * A graph's nodes fall into three parts: `memory` (rows of an encoder's result: keys and values of cross-attention; run once a text by
 * pare_engine_encode), `main` (rows of tokens) and `tail` (rows whose logits are wanted; run in blocks of at most tail_rows, so that no
 * [tokens, vocabulary] array exists). A step of n tokens is cut into ceil(n / chunk) chunks of equal size (+-1); an encoder's texts stay whole, so its
 * chunk grows to the longest one. A text of more than 8 tokens gives the same bits in chunks of any size from 32 on: cuts are even, so that no piece is
 * so short that the kernels for a few tokens take it (batches of several texts: within rounding).
 *
 * Memory, in bytes:
 *   weights      float matrices lie in the mapped file (read, not owned); quantized ones are repacked (owned); vectors as f32 (owned)
 *   cache        sequences * ctx * sum over layers of kv_heads * (k_dim + v_dim) * size of kv_dtype (+ 8 a head and position for int8 without scales of the checkpoint)
 *   activations  A + S + R + threads * B
 *                A = 4 * chunk * (largest sum of columns of the values alive at once)          (plan.c; values that die give their memory on)
 *                    with tail_rows for the rows of logits, tail_rows * vocabulary * 4 <= 64 MiB where 8 rows allow it
 *                S = scratch of the greediest op (mixtures of experts: chunk * (experts + 2 in + 2 ffn) * 4)
 *                R = 8 * chunk * half of the rotated columns, for each distinct rotary embedding
 *                B = 4 * PARE_ATTEND_SCRATCH(ctx)                                              attention's, a thread
 *   and the workspace of the matrix products (linear.h), which grows to what the largest needs.
 * With options.memory = M: if all weights fit, they are held. Else layers are streamed, a pass over what is not held for every chunk: M must hold
 * vectors + cache + activations + the two largest neighbouring layers (one is computed while the next is read), or where it cannot, the one
 * largest, without that overlap; what is left holds as many layers as fit. An output head that is larger than a layer is cut into slices of
 * rows of a layer's size. Without options.chunk the chunk is halved, down to 32, until it fits.
 */
#ifndef PARE_GRAPH_ENGINE_H
#define PARE_GRAPH_ENGINE_H
#include "graph/graph.h"
#include "graph/kvcache.h"
#include "graph/op.h"

enum {
    PARE_QUERY_BLOCK = 64, /* queries that one task of attention takes */
    PARE_KEY_BLOCK = 256,  /* the first key that a task shows to the kernel is a multiple of it */
    PARE_ROPE_MAX = 2048   /* rotated columns of a head */
};

typedef struct pare_eweight {
    pare_gweight from;         /* what the source is asked for: tied ones point at the other's tensor */
    pare_linear linear;
    float *vector;
    int64_t numel;
    uint64_t bytes;            /* stored */
    bool present;              /* in the checkpoint */
    bool matrix;               /* LINEAR or HEAD */
    bool loaded, held;         /* held: loaded once and for all */
    bool replaced;             /* by pare_engine_replace(): the source's is not wanted any more */
    bool table_used;
    int64_t slice_rows;        /* > 0: too large to be held at once; computed and loaded by so many rows at a time */
} pare_eweight;

/* One thing to do: run a node, or keep the keys and values of a cross-attention. */
typedef struct pare_estep { int32_t node; bool store; } pare_estep;

typedef enum pare_part { PARE_PART_MEMORY = 0, PARE_PART_MAIN, PARE_PART_TAIL, PARE_PARTS } pare_part;

/* Steps of one layer after each other: the unit of loading. */
typedef struct pare_segment {
    pare_part part;
    int layer;
    int64_t first, n;          /* steps */
    int64_t w_first, w_n;      /* in engine.segment_weights */
    bool asks;                 /* calls the source while it runs: rows of tables, slices */
} pare_segment;

typedef struct pare_rope_table { pare_rope rope; float *cos, *sin; } pare_rope_table;                 /* [chunk][dim / 2] */
/* [heads][2 * reach + 1] by key - query; with slopes [heads][reach + 1] by key */
typedef struct pare_bias_table { pare_gw w; int64_t buckets, distance, heads, reach; bool both; const float *slopes; float factor; float *at; } pare_bias_table;
typedef struct pare_query_block { int32_t run; int32_t n; int64_t row0; } pare_query_block;
typedef struct pare_node_time { double seconds; uint64_t calls, bytes, macs; } pare_node_time;

struct pare_engine {
    pare_ctx *ctx;
    pare_graph *graph;         /* owned, unless this is an encoder's engine inside another */
    pare_gsource source;
    bool inner;
    bool walked;               /* run by a pare_walk: steps in graph order, weights loaded by it */
    pare_engine *encoder;
    pare_engine_options options;
    pare_observer observer;
    pare_exec x;

    pare_eweight *weights;
    PARE_VEC(pare_estep) steps;
    PARE_VEC(pare_segment) segments;
    PARE_VEC(int32_t) segment_weights;
    bool streaming, overlap;   /* overlap: the next segment is loaded while one is computed */
    bool tail_follows;         /* this chunk's main part: somebody wants logits */
    pare_background *background;
    int64_t loading;           /* segment in the background, or -1 */

    /* Plan: where each value lies. */
    size_t *offsets;           /* [values] */
    int64_t cap_tokens, cap_memory, cap_sequences, cap_tail;
    uint8_t *arena;
    size_t arena_bytes;
    void *scratch;
    size_t scratch_bytes;
    float *attend;             /* [threads][attend_floats] */
    int64_t attend_floats, attend_keys;
    int32_t *pos, *want_rows;  /* [cap_tokens] */
    int64_t *want_tokens;      /* [cap_tokens] token of the batch */
    pare_run *runs;            /* [cap_tokens] */
    pare_query_block *blocks;  /* [cap_tokens] */
    int64_t n_blocks;
    pare_workspace ws;

    PARE_VEC(pare_rope_table) ropes;
    PARE_VEC(pare_bias_table) biases;
    int32_t *node_table;       /* [nodes] index into ropes or biases, or -1 */
    const int32_t *observed;   /* [n] while an observer looks at n rows of an expert: observed[i] / observed_top is the row of the text; else NULL */
    int64_t observed_top;

    pare_kvcache *caches;      /* [graph->caches.n] */
    int64_t ctx_len;           /* positions a sequence may have */
    int64_t *lengths, *next, *now; /* [sequences] positions: committed; after the step at hand; before the chunk at hand */
    int64_t *memory_rows;      /* [sequences] of the encoder's result; 0 = none yet */
    const float *memory;       /* value of graph->memory while its part runs */
    int64_t id_limit;          /* ids are below this */

    pare_node_time *times;     /* [nodes], with options.profile */
    pare_arena names;
};

/* engine.c */
/*
 * An engine for pare_walk: memory for one text of so many tokens (of an encoder-decoder: both halves), no matrices. sizes: not even that, for
 * estimates. Takes graph and source over.
 */
pare_status pare_engine_new_walked(pare_ctx *ctx, pare_graph *graph, const pare_gsource *source, const pare_engine_options *options, int64_t tokens,
                                   bool sizes, pare_engine **out, pare_err *err);

/* engine_step.c */
pare_status pare_engine_check_ids(const pare_engine *e, const int32_t *ids, int64_t n, pare_err *err);
/* The chunk at hand is one text from position 0, all its rows wanted; at most cap_tokens. */
pare_status pare_engine_set_text(pare_engine *e, const int32_t *ids, int64_t n, pare_err *err);
pare_status pare_engine_run_step(pare_engine *e, const pare_estep *s, int64_t slot, pare_err *err);
/* Logits (or hidden rows) of the chunk at hand, whose main part has run. The tail's weights are there. */
pare_status pare_engine_give(pare_engine *e, pare_row_fn fn, void *user, pare_err *err);

/* plan.c */
/* Runs last, in blocks of wanted rows? */
bool pare_node_is_tail(const pare_graph *g, const pare_gnode *node);
bool pare_node_is_cross(const pare_gnode *node);
pare_status pare_plan_steps(pare_engine *e, pare_err *err);                       /* steps and segments; once */
/* Offsets and buffers for so many rows. Nothing changes when it fails. */
pare_status pare_plan_buffers(pare_engine *e, int64_t tokens, int64_t sequences, int64_t memory, pare_err *err);
/* Bytes that pare_plan_buffers() would take (without the workspace). */
pare_status pare_plan_size(const pare_engine *e, int64_t tokens, int64_t sequences, int64_t memory, uint64_t *bytes, pare_err *err);
void pare_plan_clear(pare_engine *e);
int64_t pare_plan_tail_rows(const pare_engine *e, int64_t tokens);

/* engine_weights.c */
pare_status pare_engine_check_weights(pare_engine *e, pare_err *err);             /* all, before anything is loaded */
/* What memory has to hold whatever happens, what everything needs, and what streaming needs at least. */
typedef struct pare_engine_need {
    uint64_t vectors, matrices, cache, activations;
    uint64_t one, two;         /* the largest segment; the largest two that follow each other */
} pare_engine_need;
pare_status pare_engine_needs(const pare_engine *e, int64_t chunk, pare_engine_need *out, pare_err *err);
void pare_engine_slice_heads(pare_engine *e);                                     /* before streaming; loading everything undoes it */
pare_status pare_engine_load(pare_engine *e, uint64_t limit, pare_err *err);
pare_status pare_engine_segment_begin(pare_engine *e, int64_t segment, pare_err *err); /* its weights are there when this returns */
pare_status pare_engine_segment_end(pare_engine *e, int64_t segment, pare_err *err);
pare_status pare_engine_load_vectors(pare_engine *e, pare_err *err);
pare_status pare_engine_load_matrix(pare_engine *e, pare_gw w, pare_err *err);    /* of the source */
void pare_engine_drop_matrix(pare_engine *e, pare_gw w);
void pare_engine_unload(pare_engine *e);                                          /* what is streamed and loaded now */
void pare_engine_clear_weights(pare_engine *e);
/* y [n, rows of the weight] = x W^T, for a weight with slice_rows. */
pare_status pare_engine_sliced(const pare_exec *x, pare_gw w, int64_t n, const float *in, float *y, pare_err *err);

/* positions.c: tables of a chunk */
pare_status pare_tables_plan(pare_engine *e, pare_err *err);                      /* which nodes share one */
pare_status pare_tables_fill(pare_engine *e, pare_err *err);                      /* for e->x */
void pare_tables_clear(pare_engine *e);
uint64_t pare_tables_rope_floats(const pare_engine *e, int64_t tokens);

/* profile.c: node `index` ran on e->x */
void pare_profile_note(pare_engine *e, int32_t index, double seconds);

/* op_attention.c: the keys and values of a cross-attention, just computed, into its cache */
pare_status pare_attention_store(pare_exec *x, const pare_gnode *node, int64_t slot, pare_err *err);

static inline int64_t pare_node_index(const pare_exec *x, const pare_gnode *node) { return node - x->graph->nodes.at; }
#endif
