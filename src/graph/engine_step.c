/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running: a step is cut into chunks, a chunk into runs (rows of one sequence) and blocks of queries; then the nodes run segment by segment. Lengths
 * of sequences change when the whole step is done, so a step that fails leaves them as they were (what it wrote into caches lies behind
 * their ends).
 */
#include <string.h>

#include "graph/engine.h"

enum {
    SERIAL_ELEMENTS = 32768, /* below, waking the other threads costs more than it gains */
    SETTLE_TOKENS = 16       /* a step's tokens for which one more cache may go over to big pages */
};

/* ------------------------------------------------------------------------------------------------------------- for ops */

static int64_t dim_of(const pare_exec *x, int64_t dim)
{
    switch (dim) {
    case PARE_DIM_TOKENS: return x->tokens;
    case PARE_DIM_MEMORY: return x->memory_rows;
    case PARE_DIM_SEQUENCES: return x->sequences;
    case PARE_DIM_WANTED: return x->wanted;
    default: return dim;
    }
}

int64_t pare_x_rows(const pare_exec *x, pare_gv v) { return dim_of(x, x->graph->values.at[v].shape[0]); }

int64_t pare_x_cols(const pare_exec *x, pare_gv v)
{
    const pare_gvalue *value = &x->graph->values.at[v];
    int64_t n = 1;
    for (int d = 1; d < value->ndim; d++) n *= dim_of(x, value->shape[d]);
    return n;
}

float *pare_x_value(const pare_exec *x, pare_gv v)
{
    const pare_engine *e = x->engine;
    if (v == x->graph->memory) return (float *)(uintptr_t)e->memory;
    return (float *)(void *)(e->arena + e->offsets[v]);
}

const float *pare_x_vector(const pare_exec *x, pare_gw w) { return w < 0 ? NULL : x->engine->weights[w].vector; }
const pare_linear *pare_x_linear(const pare_exec *x, pare_gw w) { return &x->engine->weights[w].linear; }

pare_status pare_x_table_row(const pare_exec *x, pare_gw w, int64_t row, float *out, pare_err *err)
{
    pare_engine *e = x->engine;
    e->weights[w].table_used = true;
    return e->source.table(e->source.user, &e->weights[w].from, row, out, err);
}

pare_status pare_x_observe(const pare_exec *x, const pare_gnode *node, int which, pare_gw w, int64_t n, const float *in, const float *out, pare_err *err)
{
    const pare_observer *o = &x->engine->observer;
    const pare_gweight *weight = &x->graph->weights.at[w];
    return o->linear ? o->linear(o->user, node, which, weight, in, n, weight->shape[1], out, weight->shape[0], err) : PARE_OK;
}

typedef struct each { pare_rows_fn fn; const void *arg; int64_t rows, block; } each;

static pare_status each_block(void *arg, int64_t i, int worker, pare_err *err)
{
    const each *j = arg;
    const int64_t first = i * j->block;
    (void)worker, (void)err;
    j->fn(j->arg, first, j->rows - first < j->block ? j->rows - first : j->block);
    return PARE_OK;
}

pare_status pare_x_each(const pare_exec *x, int64_t rows, int64_t cols, pare_rows_fn fn, const void *arg, pare_err *err)
{
    if (cols < 1) cols = 1;
    if (rows * cols <= SERIAL_ELEMENTS || x->ctx->threads == 1) {
        if (rows > 0) fn(arg, 0, rows);
        return PARE_OK;
    }
    each j = { fn, arg, rows, SERIAL_ELEMENTS / 2 / cols + 1 };
    return pare_parallel(x->ctx, (rows + j.block - 1) / j.block, each_block, &j, err);
}

/* -------------------------------------------------------------------------------------------------------------- segments */

pare_status pare_engine_run_step(pare_engine *e, const pare_estep *s, int64_t slot, pare_err *err)
{
    const pare_gnode *node = &e->graph->nodes.at[s->node];
    const double start = e->times ? pare_now() : 0;
    pare_status st = pare_check_cancel(e->ctx, err);
    if (st != PARE_OK) return st;
    st = s->store ? pare_attention_store(&e->x, node, slot, err) : node->op->forward(&e->x, node, err);
    if (e->times && !s->store && st == PARE_OK) pare_profile_note(e, s->node, pare_now() - start);
    return st;
}

static pare_status run_segment(pare_engine *e, int64_t index, int64_t slot, pare_err *err)
{
    const pare_segment *s = &e->segments.at[index];
    pare_status st = PARE_OK;
    for (int64_t i = s->first; i < s->first + s->n && st == PARE_OK; i++) st = pare_engine_run_step(e, &e->steps.at[i], slot, err);
    return st;
}

static pare_status run_part(pare_engine *e, pare_part part, int64_t slot, pare_err *err)
{
    pare_status st = PARE_OK;
    e->x.scratch = e->scratch;
    for (int64_t i = 0; i < (int64_t)e->segments.n; i++) {
        if (e->segments.at[i].part != part) continue;
        PARE_TRY(pare_engine_segment_begin(e, i, err));
        PARE_TRY(run_segment(e, i, slot, err));
        PARE_TRY(pare_engine_segment_end(e, i, err));
    }
out:
    return st;
}

/* ---------------------------------------------------------------------------------------------------------------- chunks */

typedef struct to_array { float *at; int64_t cols; } to_array;

static pare_status copy_row(void *user, int64_t token, const float *row, pare_err *err)
{
    to_array *a = user;
    (void)token, (void)err;
    memcpy(a->at, row, (size_t)a->cols * sizeof *row);
    a->at += a->cols;
    return PARE_OK;
}

typedef struct sink {
    pare_row_fn row;       /* NULL: nobody looks */
    void *user;
    bool pooled;           /* rows are texts, not tokens */
    int64_t texts;         /* pooled: done so far */
} sink;

static int64_t slot_of(const pare_batch *b, int64_t t) { return b->seq ? b->seq[t] : 0; }

/* Blocks of queries of equal size (+-1): a remainder of a few would take the kernel's way for decoding, with other roundings. */
static void cut_run(pare_engine *e, const pare_run *r, int64_t index)
{
    const int64_t blocks = (r->n + PARE_QUERY_BLOCK - 1) / PARE_QUERY_BLOCK;
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t first = r->n * i / blocks;
        e->blocks[e->n_blocks++] = (pare_query_block){ (int32_t)index, (int32_t)(r->n * (i + 1) / blocks - first), r->row0 + first };
    }
}

/* Runs, positions, wanted rows and blocks of queries of tokens [first, first + n). */
static void cut_chunk(pare_engine *e, const pare_batch *b, int64_t first, int64_t n, const sink *out)
{
    pare_exec *x = &e->x;
    const bool decoder = e->graph->kind == PARE_G_DECODER;
    int64_t runs = 0, wanted = 0;
    e->n_blocks = 0;
    for (int64_t t = 0; t < n;) {
        pare_run *r = &e->runs[runs];
        *r = (pare_run){ .seq = slot_of(b, first + t), .row0 = t };
        while (t < n && slot_of(b, first + t) == r->seq) t++;
        r->n = t - r->row0;
        r->total = r->n;
        if (decoder) {
            r->pos0 = e->now[r->seq];
            r->total = e->next[r->seq];
            e->now[r->seq] += r->n;
        }
        for (int64_t i = 0; i < r->n; i++) e->pos[r->row0 + i] = (int32_t)(r->pos0 + i);
        cut_run(e, r, runs++);
    }
    for (int64_t t = 0; t < n && out->row && !out->pooled; t++)
        if (!b->want || b->want[first + t]) {
            e->want_rows[wanted] = (int32_t)t;
            e->want_tokens[wanted++] = first + t;
        }
    x->tokens = n;
    x->sequences = runs;
    x->runs = e->runs;
    x->ids = b->ids + first;
    x->types = b->types ? b->types + first : NULL;
    x->pos = e->pos;
    x->want_rows = e->want_rows;
    x->wanted = wanted;
}

/* Rows of a value of the main part. */
static pare_status give_rows(pare_engine *e, pare_gv v, const sink *out, pare_err *err)
{
    const int64_t cols = pare_x_cols(&e->x, v), n = e->x.wanted;
    const float *at = pare_x_value(&e->x, v);
    pare_status st = PARE_OK;
    for (int64_t i = 0; i < n && st == PARE_OK; i++) st = out->row(out->user, e->want_tokens[i], at + e->want_rows[i] * cols, err);
    return st;
}

/* Logits in blocks of equal size: how many rows a matrix product takes may decide which of its two paths runs. */
static pare_status give_logits(pare_engine *e, const sink *out, pare_err *err)
{
    pare_exec *x = &e->x;
    pare_status st = PARE_OK;
    const int64_t n = x->wanted, blocks = (n + e->cap_tail - 1) / e->cap_tail, cols = pare_x_cols(x, e->graph->logits);
    int64_t tail = 0;
    while (e->segments.at[tail].part != PARE_PART_TAIL) tail++;
    if (n) PARE_TRY(pare_engine_segment_begin(e, tail, err));
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t first = n * i / blocks;
        x->wanted = n * (i + 1) / blocks - first;
        x->want_rows = e->want_rows + first;
        PARE_TRY(run_segment(e, tail, 0, err));
        const float *at = pare_x_value(x, e->graph->logits);
        for (int64_t k = 0; k < x->wanted; k++) PARE_TRY(out->row(out->user, e->want_tokens[first + k], at + k * cols, err));
    }
    if (n) st = pare_engine_segment_end(e, tail, err);
out:
    return st;
}

static pare_status run_chunk(pare_engine *e, const pare_batch *b, int64_t first, int64_t n, sink *out, pare_err *err)
{
    const pare_graph *g = e->graph;
    pare_status st;
    cut_chunk(e, b, first, n, out);
    e->tail_follows = g->logits >= 0 && g->values.at[g->logits].shape[0] == PARE_DIM_WANTED && e->x.wanted > 0;
    PARE_TRY(pare_tables_fill(e, err));
    PARE_TRY(run_part(e, PARE_PART_MAIN, 0, err));
    if (!out->row) return PARE_OK;
    if (out->pooled) {
        const int64_t cols = pare_x_cols(&e->x, g->pooled);
        for (int64_t s = 0; s < e->x.sequences; s++) PARE_TRY(out->row(out->user, out->texts++, pare_x_value(&e->x, g->pooled) + s * cols, err));
        return PARE_OK;
    }
    if (e->tail_follows) return give_logits(e, out, err);
    return give_rows(e, g->logits >= 0 ? g->logits : g->hidden_out, out, err);
out:
    return st;
}

pare_status pare_engine_set_text(pare_engine *e, const int32_t *ids, int64_t n, pare_err *err)
{
    const pare_batch b = { .n = n, .ids = ids };
    const sink all = { .row = copy_row };
    e->now[0] = 0;
    e->next[0] = n;
    cut_chunk(e, &b, 0, n, &all);
    e->x.scratch = e->scratch;
    return pare_tables_fill(e, err);
}

pare_status pare_engine_give(pare_engine *e, pare_row_fn fn, void *user, pare_err *err)
{
    const pare_graph *g = e->graph;
    const sink out = { .row = fn, .user = user };
    if (g->logits >= 0 && g->values.at[g->logits].shape[0] == PARE_DIM_WANTED) return give_logits(e, &out, err);
    return give_rows(e, g->logits >= 0 ? g->logits : g->hidden_out, &out, err);
}

/* -------------------------------------------------------------------------------------------------------------- checking */

pare_status pare_engine_check_ids(const pare_engine *e, const int32_t *ids, int64_t n, pare_err *err)
{
    for (int64_t t = 0; t < n; t++)
        if (ids[t] < 0 || ids[t] >= e->id_limit)
            return pare_fail(err, PARE_ERR_USAGE, "token %lld: id %d is outside of the vocabulary of %lld", (long long)t, (int)ids[t], (long long)e->id_limit);
    return PARE_OK;
}

/* Caches of sequences that are half full now get big pages; one a step, so that no token waits for all of them, or more with many tokens. */
static void settle_caches(pare_engine *e)
{
    for (int64_t s = 0; s < e->options.sequences; s++) {
        int64_t left = 1 + (e->next[s] - e->lengths[s]) / SETTLE_TOKENS;
        if (e->next[s] == e->lengths[s] || e->next[s] < e->ctx_len / 2) continue;
        for (size_t c = 0; c < e->graph->caches.n && left > 0; c++)
            if (!e->caches[c].cross && pare_kv_settle(&e->caches[c], s)) left--;
    }
}

/* Lengths after the step, room in the caches. */
static pare_status check_decoder(pare_engine *e, const pare_batch *b, pare_err *err)
{
    pare_status st = PARE_OK;
    const size_t bytes = (size_t)e->options.sequences * sizeof *e->next;
    memcpy(e->next, e->lengths, bytes);
    memcpy(e->now, e->lengths, bytes);
    for (int64_t t = 0; t < b->n; t++) {
        const int64_t s = slot_of(b, t);
        if (s < 0 || s >= e->options.sequences)
            return pare_fail(err, PARE_ERR_USAGE, "token %lld is of sequence %lld; the engine was made for %lld", (long long)t, (long long)s, (long long)e->options.sequences);
        if (e->graph->memory >= 0 && !e->memory_rows[s]) return pare_fail(err, PARE_ERR_USAGE, "sequence %lld has no source text yet", (long long)s);
        if (++e->next[s] > e->ctx_len) {
            pare_fail(err, PARE_ERR_USAGE, "sequence %lld is full: it has %lld positions of %lld, and the step brings more", (long long)s, (long long)e->lengths[s],
                      (long long)e->ctx_len);
            return pare_hint(err, "a longer context can be asked for");
        }
        for (size_t c = 0; e->next[s] == e->lengths[s] + 1 && c < e->graph->caches.n; c++)
            if (!e->caches[c].cross && (st = pare_kv_reserve(&e->caches[c], s, e->ctx_len, err)) != PARE_OK) return st;
    }
    return PARE_OK;
}

/* ----------------------------------------------------------------------------------------------------------------- steps */

static pare_status run_decoder(pare_engine *e, const pare_batch *b, sink *out, pare_err *err)
{
    pare_status st = check_decoder(e, b, err);
    const int64_t chunks = (b->n + e->cap_tokens - 1) / e->cap_tokens;
    if (st == PARE_OK) settle_caches(e);
    for (int64_t i = 0; i < chunks && st == PARE_OK; i++) {
        const int64_t first = b->n * i / chunks;
        st = run_chunk(e, b, first, b->n * (i + 1) / chunks - first, out, err);
    }
    if (st == PARE_OK) memcpy(e->lengths, e->next, (size_t)e->options.sequences * sizeof *e->next);
    return st;
}

/* Tokens of the text that begins at t. */
static int64_t text_length(const pare_batch *b, int64_t t)
{
    int64_t end = t;
    while (end < b->n && slot_of(b, end) == slot_of(b, t)) end++;
    return end - t;
}

static pare_status run_encoder(pare_engine *e, const pare_batch *b, sink *out, pare_err *err)
{
    pare_status st = PARE_OK;
    for (int64_t t = 0; t < b->n;) {
        const int64_t n = text_length(b, t);
        if (n > e->ctx_len)
            return pare_fail(err, PARE_ERR_USAGE, "a text of %lld tokens: the model reads at most %lld at once", (long long)n, (long long)e->ctx_len);
        if (n > e->cap_tokens) PARE_TRY(pare_plan_buffers(e, n, n, e->cap_memory, err));
        t += n;
    }
    for (int64_t t = 0; t < b->n;) {
        int64_t n = 0;
        while (t + n < b->n) {
            const int64_t more = text_length(b, t + n);
            if (n && n + more > e->cap_tokens) break;
            n += more;
        }
        PARE_TRY(run_chunk(e, b, t, n, out, err));
        t += n;
    }
out:
    return st;
}

static pare_status run_batch(pare_engine *e, const pare_batch *b, sink *out, pare_err *err)
{
    pare_status st;
    if (b->n < 0 || b->n > INT32_MAX) return pare_fail(err, PARE_ERR_USAGE, "a step of %lld tokens", (long long)b->n);
    if (b->n == 0) return PARE_OK;
    if ((st = pare_engine_check_ids(e, b->ids, b->n, err)) != PARE_OK) return st;
    st = e->graph->kind == PARE_G_DECODER ? run_decoder(e, b, out, err) : run_encoder(e, b, out, err);
    pare_engine_unload(e);
    return st;
}

pare_status pare_engine_step_rows(pare_engine *e, const pare_batch *batch, pare_row_fn fn, void *user, pare_err *err)
{
    sink s = { .row = fn, .user = user };
    return run_batch(e, batch, &s, err);
}

pare_status pare_engine_step(pare_engine *e, const pare_batch *batch, float *out, pare_err *err)
{
    const pare_graph *g = e->graph;
    to_array a = { out, pare_g_cols(g, g->logits >= 0 ? g->logits : g->hidden_out) };
    return pare_engine_step_rows(e, batch, out ? copy_row : NULL, &a, err);
}

pare_status pare_engine_pool(pare_engine *e, const pare_batch *batch, float *out, pare_err *err)
{
    if (e->graph->pooled < 0) return pare_fail(err, PARE_ERR_UNSUPPORTED, "this model gives no vector a text");
    to_array a = { out, pare_g_cols(e->graph, e->graph->pooled) };
    sink s = { .row = copy_row, .user = &a, .pooled = true };
    return run_batch(e, batch, &s, err);
}

/* --------------------------------------------------------------------------------------------------------------- encoder */

pare_status pare_engine_encode(pare_engine *e, int64_t seq, const int32_t *ids, int64_t n, pare_err *err)
{
    pare_engine *inner = e->encoder;
    const pare_batch b = { .n = n, .ids = ids };
    sink nobody = { 0 };
    pare_status st;
    if (!inner) return pare_fail(err, PARE_ERR_UNSUPPORTED, "this model has no encoder beside its decoder");
    if (seq < 0 || seq >= e->options.sequences) return pare_fail(err, PARE_ERR_USAGE, "sequence %lld; the engine was made for %lld", (long long)seq, (long long)e->options.sequences);
    if (n < 1) return pare_fail(err, PARE_ERR_USAGE, "a source text of %lld tokens", (long long)n);
    e->memory_rows[seq] = 0;
    e->lengths[seq] = 0;
    PARE_TRY(run_batch(inner, &b, &nobody, err));
    if (n > e->cap_memory) PARE_TRY(pare_plan_buffers(e, e->cap_tokens, e->cap_sequences, n, err));
    for (size_t c = 0; c < e->graph->caches.n; c++)
        if (e->caches[c].cross) PARE_TRY(pare_kv_reserve(&e->caches[c], seq, n, err));
    e->memory = pare_x_value(&inner->x, inner->graph->hidden_out);
    e->x.memory_rows = n;
    e->x.tokens = e->x.wanted = e->x.sequences = 0;
    st = run_part(e, PARE_PART_MEMORY, seq, err);
    e->memory = NULL;
    e->x.memory_rows = 0;
    if (st == PARE_OK) e->memory_rows[seq] = n;
out:
    pare_engine_unload(e);
    return st;
}
