/* SPDX-License-Identifier: Apache-2.0 */
/* The walk's inside: walk.c makes it, walk_run.c moves streams. */
#ifndef PARE_GRAPH_WALK_PARTS_H
#define PARE_GRAPH_WALK_PARTS_H
#include "base/workmap.h"
#include "graph/engine.h"
#include "graph/walk.h"

enum { PARE_WALK_STREAMS = 4 };

/* Steps [first, first + n) of one graph; the values that are alive before them: live [live_n]. */
typedef struct walk_piece {
    int graph;                       /* index into graphs */
    int64_t first, n;
    int64_t live, live_n;            /* in walk.live */
    int64_t weight, weight_n;        /* matrices of its nodes, each once: in walk.piece_weights */
    bool attends;                    /* has a cache to write */
} walk_piece;

/* A stream's own weight. */
typedef struct walk_weight { pare_linear linear; bool own; } walk_weight;

typedef struct walk_graph {
    pare_engine *e;                  /* the encoder's belongs to the other */
    const pare_graph *g;
    int64_t *made, *last;            /* [values] steps; last of what leaves the graph = number of steps */
    int *last_piece;                 /* [weights] that uses it; -1 = none */
    walk_weight *own[PARE_WALK_STREAMS]; /* [weights] */
} walk_graph;

typedef PARE_VEC(pare_walk_reader) walk_readers;

struct pare_walk {
    pare_ctx *ctx;
    pare_engine *engine;             /* owned */
    walk_graph graphs[2];            /* the encoder first */
    int n_graphs;
    pare_walk_options options;
    pare_walk_text *texts;           /* ids are owned */
    int64_t n_texts, longest;
    int32_t *ids, *decoder_ids;      /* all texts' ids; [longest] of the decoder's reading */
    PARE_VEC(walk_piece) pieces;     /* without the tail */
    walk_piece tail;
    PARE_VEC(pare_gv) live;
    PARE_VEC(pare_gw) piece_weights;
    PARE_VEC(pare_walk_site) sites;
    PARE_VEC(walk_readers) readers;  /* of each site */
    int at[PARE_WALK_STREAMS];
    size_t *slot;                    /* [n_texts + 1] bytes: where the state of a text lies in a stream's part */
    size_t *memory_slot;             /* [n_texts + 1] floats: the same of an encoder's rows */
    size_t state_bytes;
    pare_workmap states;             /* [streams][slot[n_texts] + 4 * memory_slot[n_texts]] */
};

/* walk.c: bytes of the state of n tokens before a piece (of `pieces` or the tail). */
size_t pare_walk_state_bytes(const pare_walk *w, const walk_piece *p, int64_t tokens);
#endif
