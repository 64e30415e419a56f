/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving the streams of a walk: a text's state is copied to where the engine's plan has these values (values alive at one cut never share
 * memory), the steps of the piece run, and what is alive behind it is copied back.
 */
#include <string.h>

#include "graph/walk_parts.h"

/* ---------------------------------------------------------------------------------------------------------------- states */

static size_t stream_bytes(const pare_walk *w) { return w->slot[w->n_texts] + w->memory_slot[w->n_texts] * sizeof(float); }

static uint8_t *state_of(const pare_walk *w, int stream, int64_t text) { return w->states.at + (size_t)stream * stream_bytes(w) + w->slot[text]; }

/* Rows of an encoder's result. */
static float *memory_of(const pare_walk *w, int stream, int64_t text)
{
    return (float *)(void *)(w->states.at + (size_t)stream * stream_bytes(w) + w->slot[w->n_texts]) + w->memory_slot[text];
}

static size_t value_bytes(const pare_exec *x, pare_gv v) { return (size_t)(pare_x_rows(x, v) * pare_x_cols(x, v)) * sizeof(float); }

static void copy_state(const pare_walk *w, const walk_piece *p, uint8_t *state, bool out)
{
    const pare_exec *x = &w->graphs[p->graph].e->x;
    for (int64_t i = 0; i < p->live_n; i++) {
        const pare_gv v = w->live.at[p->live + i];
        const size_t bytes = value_bytes(x, v);
        if (out) memcpy(state, pare_x_value(x, v), bytes);
        else memcpy(pare_x_value(x, v), state, bytes);
        state += (bytes + 63) / 64 * 64;
    }
}

/* --------------------------------------------------------------------------------------------------------------- weights */

/* Matrices of the piece in place: the stream's own, else the source's. */
static pare_status begin_weights(pare_walk *w, const walk_piece *p, int stream, pare_err *err)
{
    walk_graph *x = &w->graphs[p->graph];
    for (int64_t i = 0; i < p->weight_n; i++) {
        const pare_gw k = w->piece_weights.at[p->weight + i];
        pare_eweight *at = &x->e->weights[k];
        if (x->own[stream][k].own) {
            at->linear = x->own[stream][k].linear;
            at->loaded = at->held = true;
            continue;
        }
        pare_status st = pare_engine_load_matrix(x->e, k, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static void end_weights(pare_walk *w, const walk_piece *p)
{
    walk_graph *x = &w->graphs[p->graph];
    for (int64_t i = 0; i < p->weight_n; i++) {
        const pare_gw k = w->piece_weights.at[p->weight + i];
        pare_eweight *at = &x->e->weights[k];
        if (at->held) { /* lent by the stream */
            memset(&at->linear, 0, sizeof at->linear);
            at->loaded = at->held = false;
        } else
            pare_engine_drop_matrix(x->e, k);
    }
}

/* What no later piece uses. */
static void forget_weights(pare_walk *w, const walk_piece *p, int stream, int piece)
{
    walk_graph *x = &w->graphs[p->graph];
    for (int64_t i = 0; i < p->weight_n; i++) {
        walk_weight *own = &x->own[stream][w->piece_weights.at[p->weight + i]];
        if (!own->own || x->last_piece[w->piece_weights.at[p->weight + i]] > piece) continue;
        pare_linear_clear(&own->linear);
        memset(own, 0, sizeof *own);
    }
}

static pare_status begin_caches(const pare_walk *w, const walk_piece *p, pare_err *err)
{
    const walk_graph *x = &w->graphs[p->graph];
    for (int64_t i = p->first; i < p->first + p->n && p->attends; i++) {
        const pare_gnode *node = &x->g->nodes.at[x->e->steps.at[i].node];
        const pare_attention *a = node->op == &pare_gop_attention ? node->attr : NULL;
        pare_status st = a && a->cache >= 0 ? pare_kv_reserve(&x->e->caches[a->cache], 0, w->longest, err) : PARE_OK;
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static void end_caches(const pare_walk *w, const walk_piece *p)
{
    const walk_graph *x = &w->graphs[p->graph];
    for (int64_t i = p->first; i < p->first + p->n && p->attends; i++) {
        const pare_gnode *node = &x->g->nodes.at[x->e->steps.at[i].node];
        const pare_attention *a = node->op == &pare_gop_attention ? node->attr : NULL;
        if (a && a->cache >= 0) pare_kv_forget(&x->e->caches[a->cache], 0);
    }
}

/* ----------------------------------------------------------------------------------------------------------------- texts */

/* The engine of a graph stands at a text. */
static pare_status set_text(pare_walk *w, int graph, int stream, int64_t text, pare_err *err)
{
    walk_graph *x = &w->graphs[graph];
    const pare_walk_text *t = &w->texts[text];
    const int32_t *ids = t->ids;
    if (x->g->memory >= 0) {
        x->e->memory = memory_of(w, stream, text);
        x->e->x.memory_rows = x->e->memory_rows[0] = t->n;
        if (x->g->decoder_start >= 0) {
            w->decoder_ids[0] = (int32_t)x->g->decoder_start;
            memcpy(w->decoder_ids + 1, t->ids, (size_t)(t->n - 1) * sizeof *ids);
            ids = w->decoder_ids;
        }
    }
    return pare_engine_set_text(x->e, ids, t->n, err);
}

static pare_status show_keys(pare_walk *w, const pare_engine *e, const pare_gnode *node, int stream, int64_t text, pare_err *err)
{
    const pare_attention *a = node->op == &pare_gop_attention ? node->attr : NULL;
    if (!w->options.keys || !a || a->cross || a->cache < 0) return PARE_OK;
    return w->options.keys(w->options.user, stream, node, text, pare_x_value(&e->x, node->in[1]), pare_x_value(&e->x, node->in[2]), pare_x_rows(&e->x, node->in[1]), err);
}

/* stream -1: nobody looks at keys. */
static pare_status run_steps(pare_walk *w, const walk_piece *p, int64_t n, int stream, int64_t text, pare_err *err)
{
    pare_engine *e = w->graphs[p->graph].e;
    pare_status st = PARE_OK;
    for (int64_t i = p->first; i < p->first + n && st == PARE_OK; i++) {
        const pare_estep *s = &e->steps.at[i];
        if (stream >= 0) st = show_keys(w, e, &e->graph->nodes.at[s->node], stream, text, err);
        if (st == PARE_OK) st = pare_engine_run_step(e, s, 0, err);
    }
    return st;
}

static pare_status run_text(pare_walk *w, int stream, int piece, int64_t text, pare_err *err)
{
    const walk_piece *p = &w->pieces.at[piece];
    const walk_piece *next = piece + 1 < (int)w->pieces.n ? &w->pieces.at[piece + 1] : &w->tail;
    walk_graph *x = &w->graphs[p->graph];
    pare_status st = set_text(w, p->graph, stream, text, err);
    if (st != PARE_OK) return st;
    copy_state(w, p, state_of(w, stream, text), false);
    if ((st = run_steps(w, p, p->n, stream, text, err)) != PARE_OK) return st;
    if (next->graph == p->graph) copy_state(w, next, state_of(w, stream, text), true);
    else memcpy(memory_of(w, stream, text), pare_x_value(&x->e->x, x->g->hidden_out), value_bytes(&x->e->x, x->g->hidden_out));
    return PARE_OK;
}

pare_status pare_walk_run(pare_walk *w, int stream, pare_err *err)
{
    const int piece = w->at[stream];
    const walk_piece *p = &w->pieces.at[piece];
    pare_status st;
    PARE_TRY(begin_caches(w, p, err));
    PARE_TRY(begin_weights(w, p, stream, err));
    for (int64_t t = 0; t < w->n_texts; t++) PARE_TRY(run_text(w, stream, piece, t, err));
    w->at[stream]++;
out:
    end_weights(w, p);
    end_caches(w, p);
    if (st == PARE_OK) forget_weights(w, p, stream, piece);
    return st;
}

void pare_walk_copy(pare_walk *w, int from, int to)
{
    if (from == to) return;
    memcpy(w->states.at + (size_t)to * stream_bytes(w), w->states.at + (size_t)from * stream_bytes(w), stream_bytes(w));
    w->at[to] = w->at[from];
}

void pare_walk_rows(const pare_walk *w, int stream, const pare_walk_site *site, int64_t text, const float **x, int64_t *n)
{
    const walk_piece *p = &w->pieces.at[w->at[stream]];
    const pare_graph *g = w->graphs[p->graph].g;
    const uint8_t *state = state_of(w, stream, text);
    const size_t tokens = (size_t)w->texts[text].n;
    *n = (int64_t)tokens * (pare_g_cols(g, site->value) / site->cols);
    *x = memory_of(w, stream, text);
    if (site->value == g->memory) return;
    for (int64_t i = 0; i < p->live_n && w->live.at[p->live + i] != site->value; i++) {
        const walk_piece one = { .graph = p->graph, .live = p->live + i, .live_n = 1 };
        state += pare_walk_state_bytes(w, &one, (int64_t)tokens);
    }
    *x = (const float *)(const void *)state;
}

/* --------------------------------------------------------------------------------------------------------------- experts */

typedef struct seen { const pare_engine *e; pare_walk_see see; void *user; int64_t text; int stage; int32_t *tokens; } seen;

static pare_status look(void *user, const pare_gnode *node, int which, const pare_gweight *w, const float *x, int64_t n, int64_t cols, const float *y, int64_t rows,
                        pare_err *err)
{
    const seen *s = user;
    (void)node, (void)w, (void)y, (void)rows;
    if (which < 1 || (which - 1) % 3 != (s->stage ? 2 : 0)) return PARE_OK; /* gate stands for up, too */
    for (int64_t i = 0; i < n; i++) s->tokens[i] = (int32_t)(s->e->observed[i] / s->e->observed_top);
    return s->see(s->user, s->text, which, x, n, cols, s->tokens, err);
}

pare_status pare_walk_observe(pare_walk *w, int stream, int32_t node, int stage, pare_walk_see see, void *user, pare_err *err)
{
    walk_piece p = w->pieces.at[w->at[stream]];
    pare_engine *e = w->graphs[p.graph].e;
    seen s = { .e = e, .see = see, .user = user, .stage = stage };
    pare_status st = PARE_OK;
    if (e->steps.at[p.first].node != node) return pare_fail(err, PARE_ERR_USAGE, "node %d is not the next one of the walk", (int)node);
    s.tokens = pare_alloc_zero((size_t)w->longest, sizeof *s.tokens);
    if (!s.tokens) return pare_no_memory(err, "rows of an expert", (size_t)w->longest * sizeof *s.tokens);
    const pare_observer o = { &s, look };
    e->observer = o;
    PARE_TRY(begin_weights(w, &p, stream, err));
    for (; s.text < w->n_texts; s.text++) {
        PARE_TRY(set_text(w, p.graph, stream, s.text, err));
        copy_state(w, &p, state_of(w, stream, s.text), false);
        PARE_TRY(run_steps(w, &p, 1, -1, 0, err));
    }
out:
    end_weights(w, &p);
    e->observer = (pare_observer){ 0 };
    pare_dealloc(s.tokens);
    return st;
}

/* --------------------------------------------------------------------------------------------------------- weights, end */

pare_status pare_walk_replace(pare_walk *w, int stream, const pare_graph *g, pare_gw weight, pare_linear *with, pare_err *err)
{
    walk_graph *x = &w->graphs[g == w->engine->graph ? w->n_graphs - 1 : 0];
    const pare_gweight *has = weight >= 0 && (size_t)weight < x->g->weights.n ? &x->g->weights.at[weight] : NULL;
    if (!has || !x->e->weights[weight].matrix || with->w.rows != has->shape[0] || with->w.cols != has->shape[1]) {
        pare_status st = pare_fail(err, PARE_ERR_USAGE, "%s: [%lld, %lld] cannot replace it", has ? has->name : "no weight", (long long)with->w.rows, (long long)with->w.cols);
        pare_linear_clear(with);
        return st;
    }
    walk_weight *own = &x->own[stream][weight];
    if (own->own) pare_linear_clear(&own->linear);
    *own = (walk_weight){ *with, true };
    memset(with, 0, sizeof *with);
    return PARE_OK;
}

pare_status pare_walk_linear(pare_walk *w, const pare_graph *g, pare_gw weight, pare_linear *out, pare_err *err)
{
    walk_graph *x = &w->graphs[g == w->engine->graph ? w->n_graphs - 1 : 0];
    if (weight < 0 || (size_t)weight >= x->g->weights.n || !x->e->weights[weight].matrix) return pare_fail(err, PARE_ERR_USAGE, "weight %d is no matrix", (int)weight);
    memset(out, 0, sizeof *out);
    return x->e->source.linear(x->e->source.user, w->ctx, &x->e->weights[weight].from, out, err);
}

pare_status pare_walk_result(pare_walk *w, int stream, int64_t text, pare_row_fn fn, void *user, pare_err *err)
{
    const walk_piece *p = &w->tail;
    pare_status st;
    if (w->at[stream] < (int)w->pieces.n) return pare_fail(err, PARE_ERR_USAGE, "the stream is at piece %d of %zu", w->at[stream], w->pieces.n);
    PARE_TRY(begin_weights(w, p, stream, err));
    PARE_TRY(set_text(w, p->graph, stream, text, err));
    copy_state(w, p, state_of(w, stream, text), false);
    st = pare_engine_give(w->graphs[p->graph].e, fn, user, err);
out:
    end_weights(w, p);
    return st;
}
