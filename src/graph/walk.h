/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a model layer by layer over many short texts: every text passes through one piece of the graph before any text enters the next. That is how
 * calibration sees the inputs of a layer while the layers before it are already changed, with the weights of one piece in memory.
 *
 *   sites    where inputs are looked at: a value that linear layers read (q k v share one; so do attention and MLP of a parallel block), or the rows
 *            that a mixture of experts sends to one expert (stage 0: gate and up, stage 1: down)
 *   pieces   the nodes in graph order (those of an encoder first), cut before the first reader of each site. Between two cuts every node runs
 *            once a text and stream. Rows of an encoder's result are kept beside.
 *   streams  the same texts through other weights: the float model, the model that is quantized so far. Each stands at a piece of its own.
 *   state    of a stream at a cut: the values made before it and used after it, f32, text after text. They take
 *            streams * texts * (most of them at one cut, of the longest text) bytes, in memory or in a mapped work file.
 *
 * A walk computes the very nodes that the engine computes, with the engine's own buffers, so its values are those of pare_engine_step() over
 * the same text in one chunk, bit for bit; with `split` within the rounding of 16 bits.
 */
#ifndef PARE_GRAPH_WALK_H
#define PARE_GRAPH_WALK_H
#include "graph/graph.h"

typedef struct pare_walk pare_walk;

/* One text from position 0. An encoder-decoder reads it twice: the encoder as it is, the decoder behind its start id and without the last one. */
typedef struct pare_walk_text { const int32_t *ids; int64_t n; } pare_walk_text;

typedef struct pare_walk_options {
    int streams;                  /* 1 ... 4 */
    const char *file;             /* states lie here, mapped; the file goes when the walk does. NULL: in memory */
    pare_compute compute;
    bool split;                   /* exact: products by bf16 pieces where the level multiplies these (linear.h) */
    bool plan_only;               /* no memory for texts or states: for questions alone */
    /* Is it a layer whose inputs are wanted? NULL: every PARE_GW_LINEAR. */
    bool (*wanted)(void *user, const pare_graph *g, pare_gw w);
    /*
     * Keys and values [n, columns] of one text, as attention is about to cache them, in every stream; text after text inside a piece. Not those of
     * cross-attention. NULL: nobody looks.
     */
    pare_status (*keys)(void *user, int stream, const pare_gnode *node, int64_t text, const float *k, const float *v, int64_t n, pare_err *err);
    void *user;
} pare_walk_options;

/* A weight that reads a site: output `which` of the node (of a mixture: place in its list of weights). */
typedef struct pare_walk_reader { const pare_graph *graph; pare_gw weight; int32_t node; int which; } pare_walk_reader;

typedef struct pare_walk_site {
    const pare_graph *graph;      /* the encoder's, or the whole */
    int piece;                    /* it is looked at when this piece is next */
    int layer;
    int64_t cols;
    pare_gv value;                /* what is read; of a mixture: the input of its node */
    int32_t node;                 /* mixture of experts: its node; else -1 */
    int expert, stage;            /* of a mixture; else -1, 0 */
    const pare_walk_reader *readers;
    int n_readers;
} pare_walk_site;

/* A walk ends before this node (it works on the rows that are wanted alone: a head): inputs of its weights are never shown. */
bool pare_walk_ends_before(const pare_graph *g, const pare_gnode *node);

/* Takes graph and source over, also when it fails. Checks weights and ids; loads vectors only. */
pare_status pare_walk_new(pare_ctx *ctx, pare_graph *graph, const pare_gsource *source, const pare_walk_text *texts, int64_t n_texts,
                          const pare_walk_options *options, pare_walk **out, pare_err *err);
void pare_walk_free(pare_walk *w);

const pare_graph *pare_walk_graph(const pare_walk *w);           /* encoder in graph->encoder */
int pare_walk_pieces(const pare_walk *w);
/* Sites in order of pieces; inside one: values, then experts by stage and number. */
const pare_walk_site *pare_walk_sites(const pare_walk *w, int64_t *n);
/* Layer of the first node of a piece (-1: outside), and whether that is the encoder's. */
int pare_walk_layer(const pare_walk *w, int piece, bool *encoder);

typedef struct pare_walk_memory {
    uint64_t states;              /* all streams: what is kept of all texts */
    uint64_t activations;         /* of one text */
    uint64_t cache;               /* keys and values of one text in one layer */
    uint64_t piece;               /* stored weights of the largest piece */
    uint64_t vectors;             /* norms and biases */
    double macs;                  /* multiply-adds of linear layers and attention in one stream */
} pare_walk_memory;
pare_status pare_walk_get_memory(const pare_walk *w, pare_walk_memory *out, pare_err *err);
/* Piece that a stream runs next; pare_walk_pieces() when it is through. */
int pare_walk_at(const pare_walk *w, int stream);
/* All texts of the stream through its next piece. */
pare_status pare_walk_run(pare_walk *w, int stream, pare_err *err);
/* A copy of the state: `to` stands where `from` stands. Weights put in place stay each stream's own. */
void pare_walk_copy(pare_walk *w, int from, int to);
/* Input rows [n, cols] of a site whose piece the stream stands before: not of mixtures. Valid until the stream moves. */
void pare_walk_rows(const pare_walk *w, int stream, const pare_walk_site *site, int64_t text, const float **x, int64_t *n);
/* A matrix as the checkpoint has it, whatever the streams compute with; the caller's to clear. */
pare_status pare_walk_linear(pare_walk *w, const pare_graph *g, pare_gw weight, pare_linear *out, pare_err *err);
/*
 * Rows that the mixture `node` of the next piece sends to its experts, text by text: calls see(user, text, place in the node's weights, rows, n, cols)
 * for gate and up (stage 0), or down (stage 1; computed with the gate and up that the stream has now). The stream stays where it is.
 * tokens [n]: rows of the text that were chosen.
 */
typedef pare_status (*pare_walk_see)(void *user, int64_t text, int which, const float *x, int64_t n, int64_t cols, const int32_t *tokens, pare_err *err);
pare_status pare_walk_observe(pare_walk *w, int stream, int32_t node, int stage, pare_walk_see see, void *user, pare_err *err);
/* From now on the stream computes with this weight (taken over, also when it fails); dropped behind the last piece that uses it. */
pare_status pare_walk_replace(pare_walk *w, int stream, const pare_graph *g, pare_gw weight, pare_linear *with, pare_err *err);
/* For a stream that is through: rows of logits (of an encoder: its last hidden rows) of one text. */
pare_status pare_walk_result(pare_walk *w, int stream, int64_t text, pare_row_fn fn, void *user, pare_err *err);
#endif
