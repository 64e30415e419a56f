/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in which order, and where values lie. Order: memory part, main part, tail part (engine.h), each in graph order, cut into segments of one
 * layer. A value lives from the step that makes it to the last one that reads it; first fit over offsets gives dead values' memory to new ones,
 * and an op that may write over its first input does so where that dies.
 */
#include <string.h>

#include "graph/engine.h"

enum { ALIGN = 64, TAIL_BYTES = 64 << 20, TAIL_MIN = 8, TAIL_MAX = 128 };

/* ----------------------------------------------------------------------------------------------------------------- steps */

static pare_part part_of(const pare_graph *g, const pare_gnode *node)
{
    for (int i = 0; i < node->n_out; i++) {
        const pare_gvalue *v = pare_g_value(g, node->out[i]);
        for (int d = 0; d < v->ndim; d++) {
            if (v->shape[d] == PARE_DIM_WANTED) return PARE_PART_TAIL;
            if (v->shape[d] == PARE_DIM_MEMORY) return PARE_PART_MEMORY;
        }
    }
    return PARE_PART_MAIN;
}

bool pare_node_is_cross(const pare_gnode *node) { return node->op == &pare_gop_attention && ((const pare_attention *)node->attr)->cross; }

/* Weights of the segment's nodes, each once. */
static pare_status note_weights(pare_engine *e, pare_segment *s, const pare_gnode *node, uint8_t *seen, pare_err *err)
{
    for (int i = 0; i < node->n_w; i++) {
        const pare_gw w = node->w[i];
        if (w < 0) continue;
        if (e->graph->weights.at[w].role == PARE_GW_TABLE) s->asks = true;
        if (!e->weights[w].matrix || seen[w]) continue;
        seen[w] = 1;
        if (!PARE_VEC_PUSH(&e->segment_weights, w)) return pare_no_memory(err, "engine", sizeof w);
        s->w_n++;
    }
    return PARE_OK;
}

static pare_status add_step(pare_engine *e, pare_part part, int32_t index, bool store, uint8_t *seen, pare_err *err)
{
    const pare_gnode *node = &e->graph->nodes.at[index];
    pare_segment *s = e->segments.n ? &e->segments.at[e->segments.n - 1] : NULL;
    if (!s || s->part != part || (part != PARE_PART_TAIL && s->layer != node->layer)) {
        const pare_segment fresh = { .part = part, .layer = node->layer, .first = (int64_t)e->steps.n, .w_first = (int64_t)e->segment_weights.n };
        if (!PARE_VEC_PUSH(&e->segments, fresh)) return pare_no_memory(err, "engine", sizeof fresh);
        s = &e->segments.at[e->segments.n - 1];
        memset(seen, 0, e->graph->weights.n);
    }
    if (!PARE_VEC_PUSH(&e->steps, ((pare_estep){ index, store }))) return pare_no_memory(err, "engine", sizeof(pare_estep));
    s->n++;
    return store ? PARE_OK : note_weights(e, s, node, seen, err);
}

/* Cross-attentions whose keys and values are both there once value `made` is. */
static pare_status add_stores(pare_engine *e, pare_gv made, uint8_t *seen, pare_err *err)
{
    const pare_graph *g = e->graph;
    for (size_t i = 0; i < g->nodes.n; i++) {
        const pare_gnode *a = &g->nodes.at[i];
        if (!pare_node_is_cross(a)) continue;
        const pare_gv later = a->in[1] > a->in[2] ? a->in[1] : a->in[2];
        pare_status st = later == made ? add_step(e, PARE_PART_MEMORY, (int32_t)i, true, seen, err) : PARE_OK;
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

bool pare_node_is_tail(const pare_graph *g, const pare_gnode *node) { return part_of(g, node) == PARE_PART_TAIL; }

/* For a walk: in graph order, keys and values of an encoder's rows stored just before they are used. */
static pare_status plan_walk(pare_engine *e, uint8_t *seen, pare_err *err)
{
    const pare_graph *g = e->graph;
    pare_status st = PARE_OK;
    for (int tail = 0; tail < 2; tail++)
        for (size_t i = 0; i < g->nodes.n && st == PARE_OK; i++) {
            const pare_gnode *node = &g->nodes.at[i];
            const pare_part part = tail ? PARE_PART_TAIL : PARE_PART_MAIN;
            if (pare_node_is_tail(g, node) != (tail == 1)) continue;
            if (pare_node_is_cross(node)) st = add_step(e, part, (int32_t)i, true, seen, err);
            if (st == PARE_OK) st = add_step(e, part, (int32_t)i, false, seen, err);
        }
    return st;
}

pare_status pare_plan_steps(pare_engine *e, pare_err *err)
{
    const pare_graph *g = e->graph;
    pare_status st = PARE_OK;
    uint8_t *seen = pare_alloc_zero(g->weights.n + 1, 1);
    if (!seen) return pare_no_memory(err, "engine", g->weights.n);
    if (e->walked) {
        st = plan_walk(e, seen, err);
        goto out;
    }
    if (g->memory != PARE_G_NONE) PARE_TRY(add_stores(e, g->memory, seen, err));
    for (pare_part part = 0; part < PARE_PARTS; part++)
        for (size_t i = 0; i < g->nodes.n; i++) {
            const pare_gnode *node = &g->nodes.at[i];
            if (part_of(g, node) != part) continue;
            PARE_TRY(add_step(e, part, (int32_t)i, false, seen, err));
            for (int o = 0; o < node->n_out && part == PARE_PART_MEMORY; o++) PARE_TRY(add_stores(e, node->out[o], seen, err));
        }
out:
    pare_dealloc(seen);
    return st;
}

/* --------------------------------------------------------------------------------------------------------------- offsets */

typedef struct caps { int64_t tokens, sequences, memory, tail; } caps;
typedef struct live { size_t at, bytes; pare_gv v; } live;
typedef struct layout {
    const pare_engine *e;
    caps c;
    size_t *offsets, *sizes;
    int64_t *last;         /* [values] last step that reads it */
    live *alive;           /* sorted by offset */
    size_t n_alive, peak;
} layout;

int64_t pare_plan_tail_rows(const pare_engine *e, int64_t tokens)
{
    const pare_graph *g = e->graph;
    int64_t cols = 1, rows;
    for (size_t i = 0; i < g->values.n; i++)
        if (g->values.at[i].ndim > 0 && g->values.at[i].shape[0] == PARE_DIM_WANTED && pare_g_cols(g, (pare_gv)i) > cols) cols = pare_g_cols(g, (pare_gv)i);
    rows = TAIL_BYTES / 4 / cols;
    rows = rows < TAIL_MIN ? TAIL_MIN : rows > TAIL_MAX ? TAIL_MAX : rows;
    return rows < tokens ? rows : tokens;
}

static bool value_bytes(const layout *l, const pare_gvalue *v, size_t *bytes)
{
    size_t n = sizeof(float);
    for (int d = 0; d < v->ndim; d++) {
        const int64_t dim = v->shape[d];
        const int64_t size = dim == PARE_DIM_TOKENS ? l->c.tokens : dim == PARE_DIM_MEMORY ? l->c.memory : dim == PARE_DIM_SEQUENCES ? l->c.sequences
                           : dim == PARE_DIM_WANTED ? l->c.tail : dim;
        if (size < 0 || !pare_mul_size(n, (size_t)size, &n)) return false;
    }
    if (n > SIZE_MAX / 4) return false;
    *bytes = (n + ALIGN - 1) / ALIGN * ALIGN;
    return true;
}

/* When each value is read for the last time. What leaves the graph, and what the tail reads, lives to the end: the tail may run several times. */
static void find_last(layout *l)
{
    const pare_graph *g = l->e->graph;
    const int64_t end = (int64_t)l->e->steps.n;
    for (size_t v = 0; v < g->values.n; v++) l->last[v] = -1;
    for (int64_t i = 0; i < end; i++) {
        const pare_estep *s = &l->e->steps.at[i];
        const pare_gnode *node = &g->nodes.at[s->node];
        const bool tail = part_of(g, node) == PARE_PART_TAIL;
        for (int k = 0; k < node->n_in; k++) {
            if (!s->store && pare_node_is_cross(node) && k > 0) continue; /* kept by the store step */
            const pare_gvalue *v = pare_g_value(g, node->in[k]);
            l->last[node->in[k]] = tail && (v->node < 0 || part_of(g, &g->nodes.at[v->node]) != PARE_PART_TAIL) ? end : i;
        }
    }
    if (g->hidden_out >= 0) l->last[g->hidden_out] = end;
    if (g->logits >= 0) l->last[g->logits] = end;
    if (g->pooled >= 0) l->last[g->pooled] = end;
}

/* First gap that is large enough. `alive` has room for all values. */
static void place(layout *l, pare_gv v, size_t bytes)
{
    size_t at = 0, i = 0;
    while (i < l->n_alive && l->alive[i].at - at < bytes) {
        at = l->alive[i].at + l->alive[i].bytes;
        i++;
    }
    memmove(l->alive + i + 1, l->alive + i, (l->n_alive - i) * sizeof *l->alive);
    l->alive[i] = (live){ at, bytes, v };
    l->n_alive++;
    l->offsets[v] = at;
    if (at + bytes > l->peak) l->peak = at + bytes;
}

static void bury(layout *l, int64_t step)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n_alive; i++)
        if (l->last[l->alive[i].v] > step) l->alive[n++] = l->alive[i];
    l->n_alive = n;
}

/* Output 0 in the place of input 0: the op allows it, sizes are equal, nobody reads the input later, and no other input is the same value. */
static bool in_place(layout *l, const pare_gnode *node, int64_t step)
{
    if (!node->op->inplace || !node->op->inplace(node) || node->n_in < 1 || node->n_out != 1) return false;
    const pare_gv x = node->in[0], y = node->out[0];
    if (pare_g_value(l->e->graph, x)->node < 0 || l->last[x] != step || l->sizes[x] != l->sizes[y]) return false;
    for (int i = 1; i < node->n_in; i++)
        if (node->in[i] == x) return false;
    for (size_t i = 0; i < l->n_alive; i++)
        if (l->alive[i].v == x) {
            l->alive[i].v = y;
            l->offsets[y] = l->offsets[x];
            return true;
        }
    return false;
}

static void place_all(layout *l)
{
    const pare_engine *e = l->e;
    const pare_graph *g = e->graph;
    for (int64_t i = 0; i < (int64_t)e->steps.n; i++) {
        const pare_gnode *node = &g->nodes.at[e->steps.at[i].node];
        if (!e->steps.at[i].store && !in_place(l, node, i))
            for (int o = 0; o < node->n_out; o++) place(l, node->out[o], l->sizes[node->out[o]]);
        bury(l, i); /* an output that nobody reads dies here as well */
    }
}

static void layout_clear(layout *l)
{
    pare_dealloc(l->offsets);
    pare_dealloc(l->sizes);
    pare_dealloc(l->last);
    pare_dealloc(l->alive);
    *l = (layout){ 0 };
}

static pare_status layout_make(const pare_engine *e, caps c, layout *l, pare_err *err)
{
    const pare_graph *g = e->graph;
    const size_t n = g->values.n;
    *l = (layout){ .e = e, .c = c };
    l->offsets = pare_alloc_zero(n, sizeof *l->offsets);
    l->sizes = pare_alloc_zero(n, sizeof *l->sizes);
    l->last = pare_alloc_zero(n, sizeof *l->last);
    l->alive = pare_alloc_zero(n + 1, sizeof *l->alive);
    if (!l->offsets || !l->sizes || !l->last || !l->alive) return pare_no_memory(err, "plan of activations", n * sizeof *l->alive);
    for (size_t v = 0; v < n; v++)
        if (!value_bytes(l, &g->values.at[v], &l->sizes[v]) || l->sizes[v] > SIZE_MAX / 2 / n)
            return pare_fail(err, PARE_ERR_MEMORY, "activations of %lld tokens are too large to be addressed", (long long)c.tokens);
    find_last(l);
    place_all(l);
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- buffers */

static pare_status scratch_bytes(const pare_engine *e, caps c, size_t *out, pare_err *err)
{
    const pare_graph *g = e->graph;
    const int64_t rows = c.tokens > c.memory ? c.tokens : c.memory;
    *out = 0;
    for (size_t i = 0; i < g->nodes.n; i++) {
        size_t bytes = 0;
        const pare_gnode *node = &g->nodes.at[i];
        if (!node->op->scratch) continue;
        if (!node->op->scratch(g, node, rows, &bytes) || bytes > SIZE_MAX / 4)
            return pare_fail(err, PARE_ERR_MEMORY, "%s of %lld rows is too large to be addressed", node->op->name, (long long)rows);
        if (bytes > *out) *out = bytes;
    }
    return PARE_OK;
}

/* Keys that a query may meet at most. */
static int64_t most_keys(const pare_engine *e, caps c)
{
    int64_t keys = e->graph->kind == PARE_G_DECODER ? e->ctx_len : c.tokens;
    return c.memory > keys ? c.memory : keys;
}

static caps caps_of(const pare_engine *e, int64_t tokens, int64_t sequences, int64_t memory)
{
    return (caps){ tokens, sequences, memory, pare_plan_tail_rows(e, tokens) };
}

pare_status pare_plan_size(const pare_engine *e, int64_t tokens, int64_t sequences, int64_t memory, uint64_t *bytes, pare_err *err)
{
    layout l;
    size_t scratch = 0;
    const caps c = caps_of(e, tokens, sequences, memory);
    pare_status st = layout_make(e, c, &l, err);
    if (st == PARE_OK) st = scratch_bytes(e, c, &scratch, err);
    *bytes = l.peak + scratch + pare_tables_rope_floats(e, tokens) * sizeof(float) +
             (uint64_t)e->ctx->threads * (uint64_t)PARE_ATTEND_SCRATCH(most_keys(e, c)) * sizeof(float);
    layout_clear(&l);
    return st;
}

typedef struct buffers {
    uint8_t *arena;
    void *scratch;
    float *attend;
    int32_t *pos, *want_rows;
    int64_t *want_tokens;
    pare_run *runs;
    pare_query_block *blocks;
    float *ropes[64];
} buffers;

static void buffers_free(buffers *b, size_t ropes)
{
    pare_dealloc_aligned(b->arena);
    pare_dealloc_aligned(b->scratch);
    pare_dealloc_aligned(b->attend);
    pare_dealloc(b->pos);
    pare_dealloc(b->want_rows);
    pare_dealloc(b->want_tokens);
    pare_dealloc(b->runs);
    pare_dealloc(b->blocks);
    for (size_t i = 0; i < ropes; i++) pare_dealloc_aligned(b->ropes[i]);
}

static pare_status buffers_make(const pare_engine *e, const layout *l, size_t scratch, int64_t keys, buffers *b, pare_err *err)
{
    const size_t n = (size_t)l->c.tokens;
    const size_t attend = (size_t)e->ctx->threads * (size_t)PARE_ATTEND_SCRATCH(keys) * sizeof(float);
    bool ok;
    memset(b, 0, sizeof *b);
    b->arena = pare_alloc_work(l->peak + ALIGN);
    b->scratch = pare_alloc_aligned(ALIGN, scratch + ALIGN);
    b->attend = pare_alloc_aligned(ALIGN, attend);
    b->pos = pare_alloc_zero(n, sizeof *b->pos);
    b->want_rows = pare_alloc_zero(n, sizeof *b->want_rows);
    b->want_tokens = pare_alloc_zero(n, sizeof *b->want_tokens);
    b->runs = pare_alloc_zero(n, sizeof *b->runs);
    b->blocks = pare_alloc_zero(n, sizeof *b->blocks);
    ok = b->arena && b->scratch && b->attend && b->pos && b->want_rows && b->want_tokens && b->runs && b->blocks;
    for (size_t i = 0; i < e->ropes.n; i++) {
        b->ropes[i] = pare_alloc_aligned(ALIGN, n * (size_t)e->ropes.at[i].rope.dim * sizeof(float) + ALIGN);
        ok = ok && b->ropes[i];
    }
    return ok ? PARE_OK : pare_no_memory(err, "activations", l->peak + scratch + attend);
}

pare_status pare_plan_buffers(pare_engine *e, int64_t tokens, int64_t sequences, int64_t memory, pare_err *err)
{
    layout l;
    buffers b = { 0 };
    size_t scratch = 0;
    const caps c = caps_of(e, tokens, sequences, memory);
    const int64_t keys = most_keys(e, c);
    pare_status st = e->ropes.n > sizeof b.ropes / sizeof *b.ropes
                         ? pare_fail(err, PARE_ERR_UNSUPPORTED, "%zu different rotary embeddings; %zu are possible", e->ropes.n, sizeof b.ropes / sizeof *b.ropes)
                         : PARE_OK;
    if (st != PARE_OK) return st;
    if ((st = layout_make(e, c, &l, err)) == PARE_OK && (st = scratch_bytes(e, c, &scratch, err)) == PARE_OK) st = buffers_make(e, &l, scratch, keys, &b, err);
    if (st != PARE_OK) {
        buffers_free(&b, e->ropes.n);
        layout_clear(&l);
        return st;
    }
    pare_plan_clear(e);
    e->offsets = l.offsets;
    l.offsets = NULL;
    e->arena = b.arena;
    e->arena_bytes = l.peak;
    e->scratch = b.scratch;
    e->scratch_bytes = scratch;
    e->attend = b.attend;
    e->attend_floats = PARE_ATTEND_SCRATCH(keys);
    e->attend_keys = keys;
    e->pos = b.pos;
    e->want_rows = b.want_rows;
    e->want_tokens = b.want_tokens;
    e->runs = b.runs;
    e->blocks = b.blocks;
    for (size_t i = 0; i < e->ropes.n; i++) {
        e->ropes.at[i].cos = b.ropes[i];
        e->ropes.at[i].sin = b.ropes[i] + tokens * (e->ropes.at[i].rope.dim / 2);
    }
    e->cap_tokens = tokens;
    e->cap_sequences = sequences;
    e->cap_memory = memory;
    e->cap_tail = c.tail;
    layout_clear(&l);
    return PARE_OK;
}

void pare_plan_clear(pare_engine *e)
{
    buffers b = { .arena = e->arena, .scratch = e->scratch, .attend = e->attend, .pos = e->pos, .want_rows = e->want_rows, .want_tokens = e->want_tokens,
                  .runs = e->runs, .blocks = e->blocks };
    for (size_t i = 0; i < e->ropes.n && i < sizeof b.ropes / sizeof *b.ropes; i++) {
        b.ropes[i] = e->ropes.at[i].cos;
        e->ropes.at[i].cos = e->ropes.at[i].sin = NULL;
    }
    buffers_free(&b, e->ropes.n < sizeof b.ropes / sizeof *b.ropes ? e->ropes.n : sizeof b.ropes / sizeof *b.ropes);
    pare_dealloc(e->offsets);
    e->offsets = NULL;
    e->arena = NULL;
    e->scratch = NULL;
    e->attend = NULL;
    e->pos = e->want_rows = NULL;
    e->want_tokens = NULL;
    e->runs = NULL;
    e->blocks = NULL;
    e->arena_bytes = e->scratch_bytes = 0;
    e->cap_tokens = e->cap_sequences = e->cap_memory = e->cap_tail = 0;
}
