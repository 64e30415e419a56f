/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a walk: the engine of one text, pieces and sites, what is alive at each cut, and memory for the states. Running is in walk_run.c.
 */
#include "graph/walk.h"

#include <string.h>

#include "graph/walk_parts.h"

/* ------------------------------------------------------------------------------------------------------------ lifetimes */

/* As plan.c sees them: what the tail reads and what leaves the graph lives to the end. */
static pare_status find_lifetimes(walk_graph *x, pare_err *err)
{
    const pare_graph *g = x->g;
    const int64_t end = (int64_t)x->e->steps.n;
    const pare_gv out[] = { g->hidden_out, g->logits, g->pooled };
    x->made = pare_alloc_zero(g->values.n + 1, sizeof *x->made);
    x->last = pare_alloc_zero(g->values.n + 1, sizeof *x->last);
    x->last_piece = pare_alloc_zero(g->weights.n + 1, sizeof *x->last_piece);
    if (!x->made || !x->last || !x->last_piece) return pare_no_memory(err, "walk", g->values.n * sizeof *x->made);
    for (size_t v = 0; v < g->values.n; v++) x->made[v] = x->last[v] = -1;
    for (size_t i = 0; i < g->weights.n; i++) x->last_piece[i] = -1;
    for (int64_t i = 0; i < end; i++) {
        const pare_estep *s = &x->e->steps.at[i];
        const pare_gnode *node = &g->nodes.at[s->node];
        const bool tail = pare_node_is_tail(g, node);
        for (int k = 0; k < node->n_in; k++) {
            if (!s->store && pare_node_is_cross(node) && k > 0) continue;
            const int32_t from = g->values.at[node->in[k]].node;
            if (from < 0 || tail != pare_node_is_tail(g, &g->nodes.at[from])) x->last[node->in[k]] = end;
            else if (x->last[node->in[k]] < i) x->last[node->in[k]] = i;
        }
        for (int k = 0; k < node->n_out && !s->store; k++) x->made[node->out[k]] = i;
    }
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        if (out[i] >= 0) x->last[out[i]] = end;
    return PARE_OK;
}

bool pare_walk_ends_before(const pare_graph *g, const pare_gnode *node) { return pare_node_is_tail(g, node); }

static int64_t first_tail_step(const walk_graph *x)
{
    int64_t i = 0;
    while (i < (int64_t)x->e->steps.n && !pare_node_is_tail(x->g, &x->g->nodes.at[x->e->steps.at[i].node])) i++;
    return i;
}

/* Values of the graph that are there before step `at` and used at it or later. Of an encoder that is through: its result is all that is wanted. */
static pare_status find_live(pare_walk *w, walk_piece *p, pare_err *err)
{
    const walk_graph *x = &w->graphs[p->graph];
    p->live = (int64_t)w->live.n;
    for (size_t v = 0; v < x->g->values.n; v++) {
        if (x->made[v] < 0 || x->made[v] >= p->first || x->last[v] < p->first) continue;
        if (!PARE_VEC_PUSH(&w->live, (pare_gv)v)) return pare_no_memory(err, "walk", sizeof(pare_gv));
        p->live_n++;
    }
    return PARE_OK;
}

size_t pare_walk_state_bytes(const pare_walk *w, const walk_piece *p, int64_t tokens)
{
    const pare_graph *g = w->graphs[p->graph].g;
    size_t n = 0;
    for (int64_t i = 0; i < p->live_n; i++) {
        const pare_gvalue *v = &g->values.at[w->live.at[p->live + i]];
        size_t bytes = sizeof(float) * (size_t)(v->shape[0] == PARE_DIM_TOKENS || v->shape[0] == PARE_DIM_MEMORY ? tokens : v->shape[0] > 0 ? v->shape[0] : 1);
        for (int d = 1; d < v->ndim; d++) bytes *= (size_t)(v->shape[d] > 0 ? v->shape[d] : tokens);
        n += (bytes + 63) / 64 * 64;
    }
    return n;
}

/* ----------------------------------------------------------------------------------------------------- pieces and sites */

static bool is_wanted(const pare_walk *w, const walk_graph *x, pare_gw weight)
{
    if (weight < 0 || !x->e->weights[weight].matrix) return false;
    if (w->options.wanted) return w->options.wanted(w->options.user, x->g, weight);
    return x->g->weights.at[weight].role == PARE_GW_LINEAR;
}

static pare_status new_piece(pare_walk *w, int graph, int64_t first, pare_err *err)
{
    const walk_piece p = { .graph = graph, .first = first };
    return PARE_VEC_PUSH(&w->pieces, p) ? PARE_OK : pare_no_memory(err, "walk", sizeof p);
}

/* A piece begins at this step, unless one does already. */
static pare_status cut_at(pare_walk *w, int graph, int64_t step, pare_err *err)
{
    const walk_piece *p = &w->pieces.at[w->pieces.n - 1];
    return p->graph == graph && p->first == step ? PARE_OK : new_piece(w, graph, step, err);
}

static pare_status new_site(pare_walk *w, const pare_walk_site *site, pare_err *err)
{
    const walk_readers none = { 0 };
    if (!PARE_VEC_PUSH(&w->sites, *site) || !PARE_VEC_PUSH(&w->readers, none)) return pare_no_memory(err, "walk", sizeof *site);
    return PARE_OK;
}

static pare_status add_reader(pare_walk *w, size_t site, const walk_graph *x, int32_t node, int which, pare_err *err)
{
    const pare_walk_reader r = { x->g, x->g->nodes.at[node].w[which], node, which };
    return PARE_VEC_PUSH(&w->readers.at[site], r) ? PARE_OK : pare_no_memory(err, "walk", sizeof r);
}

/* A reader of a whole value: joins the site of this value in this layer, or begins one, and a piece. */
static pare_status read_value(pare_walk *w, int graph, int64_t step, int which, pare_err *err)
{
    const walk_graph *x = &w->graphs[graph];
    const int32_t index = x->e->steps.at[step].node;
    const pare_gnode *node = &x->g->nodes.at[index];
    size_t i = 0;
    pare_status st;
    for (; i < w->sites.n; i++) {
        const pare_walk_site *s = &w->sites.at[i];
        if (s->graph == x->g && s->value == node->in[0] && s->layer == node->layer && s->expert < 0) break;
    }
    if (i == w->sites.n) {
        if ((st = cut_at(w, graph, step, err)) != PARE_OK) return st;
        const pare_walk_site site = { .graph = x->g, .piece = (int)w->pieces.n - 1, .layer = node->layer, .cols = x->g->weights.at[node->w[which]].shape[1],
                                      .value = node->in[0], .node = -1, .expert = -1 };
        if ((st = new_site(w, &site, err)) != PARE_OK) return st;
    }
    return add_reader(w, i, x, index, which, err);
}

static pare_status read_experts(pare_walk *w, int graph, int64_t step, pare_err *err)
{
    const walk_graph *x = &w->graphs[graph];
    const int32_t index = x->e->steps.at[step].node;
    const pare_gnode *node = &x->g->nodes.at[index];
    const pare_moe *moe = node->attr;
    pare_status st = PARE_OK;
    bool any = false;
    for (int i = 1; i < node->n_w; i++) any = any || is_wanted(w, x, node->w[i]);
    if (!any) return PARE_OK;
    PARE_TRY(cut_at(w, graph, step, err));
    for (int stage = 0; stage < 2; stage++)
        for (int e = 0; e < (int)moe->experts; e++) {
            const int from = stage ? 3 + 3 * e : 1 + 3 * e, to = stage ? from : from + 1;
            const pare_walk_site site = { .graph = x->g, .piece = (int)w->pieces.n - 1, .layer = node->layer, .cols = x->g->weights.at[node->w[from]].shape[1],
                                          .value = node->in[0], .node = index, .expert = e, .stage = stage };
            if (!is_wanted(w, x, node->w[from]) && !is_wanted(w, x, node->w[to])) continue;
            PARE_TRY(new_site(w, &site, err));
            for (int i = from; i <= to; i++)
                if (is_wanted(w, x, node->w[i])) PARE_TRY(add_reader(w, w->sites.n - 1, x, index, i, err));
        }
out:
    return st;
}

static pare_status cut_graph(pare_walk *w, int graph, pare_err *err)
{
    const walk_graph *x = &w->graphs[graph];
    const int64_t end = first_tail_step(x);
    pare_status st;
    PARE_TRY(new_piece(w, graph, 0, err));
    for (int64_t i = 0; i < end; i++) {
        const pare_estep *s = &x->e->steps.at[i];
        const pare_gnode *node = &x->g->nodes.at[s->node];
        if (s->store) continue;
        const int count = node->op == &pare_gop_linear ? ((const pare_op_linear *)node->attr)->count : node->op == &pare_gop_moe ? 1 : 0;
        for (int k = 0; k < count; k++)
            if (is_wanted(w, x, node->w[k])) PARE_TRY(read_value(w, graph, i, k, err));
        if (node->op == &pare_gop_moe) PARE_TRY(read_experts(w, graph, i, err));
    }
out:
    return st;
}

static pare_status note_weights(pare_walk *w, walk_piece *p, int piece, pare_err *err)
{
    walk_graph *x = &w->graphs[p->graph];
    p->weight = (int64_t)w->piece_weights.n;
    for (int64_t i = p->first; i < p->first + p->n; i++) {
        const pare_gnode *node = &x->g->nodes.at[x->e->steps.at[i].node];
        if (x->e->steps.at[i].store) continue;
        p->attends = p->attends || (node->op == &pare_gop_attention && ((const pare_attention *)node->attr)->cache >= 0);
        for (int k = 0; k < node->n_w; k++) {
            bool seen = node->w[k] < 0 || !x->e->weights[node->w[k]].matrix;
            for (int64_t j = 0; j < p->weight_n && !seen; j++) seen = w->piece_weights.at[p->weight + j] == node->w[k];
            if (seen) continue;
            if (!PARE_VEC_PUSH(&w->piece_weights, node->w[k])) return pare_no_memory(err, "walk", sizeof(pare_gw));
            p->weight_n++;
            x->last_piece[node->w[k]] = piece;
        }
    }
    return PARE_OK;
}

static pare_status make_pieces(pare_walk *w, pare_err *err)
{
    pare_status st = PARE_OK;
    for (int i = 0; i < w->n_graphs; i++) {
        PARE_TRY(find_lifetimes(&w->graphs[i], err));
        PARE_TRY(cut_graph(w, i, err));
    }
    for (size_t i = 0; i < w->pieces.n; i++) {
        walk_piece *p = &w->pieces.at[i];
        const bool last = i + 1 == w->pieces.n || w->pieces.at[i + 1].graph != p->graph;
        p->n = (last ? first_tail_step(&w->graphs[p->graph]) : w->pieces.at[i + 1].first) - p->first;
        PARE_TRY(find_live(w, p, err));
        PARE_TRY(note_weights(w, p, (int)i, err));
    }
    const walk_graph *main = &w->graphs[w->n_graphs - 1];
    w->tail = (walk_piece){ .graph = w->n_graphs - 1, .first = first_tail_step(main) };
    w->tail.n = (int64_t)main->e->steps.n - w->tail.first;
    PARE_TRY(find_live(w, &w->tail, err));
    PARE_TRY(note_weights(w, &w->tail, (int)w->pieces.n, err));
    for (size_t i = 0; i < w->sites.n; i++) {
        w->sites.at[i].readers = w->readers.at[i].at;
        w->sites.at[i].n_readers = (int)w->readers.at[i].n;
    }
out:
    return st;
}

/* ---------------------------------------------------------------------------------------------------------------- memory */

static size_t most_state(const pare_walk *w, int64_t tokens)
{
    size_t most = pare_walk_state_bytes(w, &w->tail, tokens);
    for (size_t i = 0; i < w->pieces.n; i++) {
        const size_t n = pare_walk_state_bytes(w, &w->pieces.at[i], tokens);
        if (n > most) most = n;
    }
    return most;
}

static size_t memory_floats(const pare_walk *w, int64_t tokens)
{
    return w->n_graphs < 2 ? 0 : ((size_t)tokens * (size_t)pare_g_cols(w->graphs[0].g, w->graphs[0].g->hidden_out) + 15) / 16 * 16;
}

static pare_status make_states(pare_walk *w, pare_err *err)
{
    size_t each, all;
    w->slot = pare_alloc_zero((size_t)w->n_texts + 1, sizeof *w->slot);
    w->memory_slot = pare_alloc_zero((size_t)w->n_texts + 1, sizeof *w->memory_slot);
    if (!w->slot || !w->memory_slot) return pare_no_memory(err, "walk", (size_t)w->n_texts * sizeof *w->slot);
    for (int64_t t = 0; t < w->n_texts; t++)
        if (!pare_add_size(w->slot[t], most_state(w, w->texts[t].n), &w->slot[t + 1]) ||
            !pare_add_size(w->memory_slot[t], memory_floats(w, w->texts[t].n), &w->memory_slot[t + 1]) || w->memory_slot[t + 1] > SIZE_MAX / 8)
            return pare_fail(err, PARE_ERR_MEMORY, "states of %lld texts are too large to be addressed", (long long)w->n_texts);
    if (!pare_add_size(w->slot[w->n_texts], w->memory_slot[w->n_texts] * sizeof(float), &each) || !pare_mul_size(each, (size_t)w->options.streams, &all))
        return pare_fail(err, PARE_ERR_MEMORY, "states of %lld texts are too large to be addressed", (long long)w->n_texts);
    w->state_bytes = all;
    return w->options.plan_only ? PARE_OK : pare_workmap_open(w->options.file, all, "states of the calibration texts", &w->states, err);
}

/* ------------------------------------------------------------------------------------------------------------------- new */

static pare_status copy_texts(pare_walk *w, const pare_walk_text *texts, int64_t n, pare_err *err)
{
    size_t total = 0, at = 0;
    for (int64_t t = 0; t < n; t++) {
        if (texts[t].n < 1 || texts[t].n > INT32_MAX) return pare_fail(err, PARE_ERR_USAGE, "text %lld has %lld tokens", (long long)t, (long long)texts[t].n);
        if (!pare_add_size(total, (size_t)texts[t].n, &total)) return pare_fail(err, PARE_ERR_MEMORY, "%lld texts are too many", (long long)n);
        if (texts[t].n > w->longest) w->longest = texts[t].n;
    }
    w->texts = pare_alloc_zero((size_t)n + 1, sizeof *w->texts);
    w->ids = pare_alloc_zero(total + 1, sizeof *w->ids);
    w->decoder_ids = pare_alloc_zero((size_t)w->longest + 1, sizeof *w->decoder_ids);
    if (!w->texts || !w->ids || !w->decoder_ids) return pare_no_memory(err, "calibration texts", total * sizeof *w->ids);
    for (int64_t t = 0; t < n; t++) {
        memcpy(w->ids + at, texts[t].ids, (size_t)texts[t].n * sizeof *w->ids);
        w->texts[t] = (pare_walk_text){ w->ids + at, texts[t].n };
        at += (size_t)texts[t].n;
    }
    w->n_texts = n;
    return PARE_OK;
}

/* Engine, graphs, pieces. */
static pare_status start(pare_walk *w, pare_ctx *ctx, pare_graph *graph, const pare_gsource *source, int64_t tokens, bool sizes, pare_err *err)
{
    const pare_engine_options o = { .compute = w->options.compute, .ctx = tokens, .kv_dtype = PARE_F32 };
    pare_status st = pare_engine_new_walked(ctx, graph, source, &o, tokens, sizes, &w->engine, err);
    if (st != PARE_OK) return st;
    w->ctx = ctx;
    if (w->options.split && w->options.compute == PARE_COMPUTE_EXACT) {
        w->engine->ws.split = true;
        if (w->engine->encoder) w->engine->encoder->ws.split = true;
    }
    if (w->engine->encoder) w->graphs[w->n_graphs++] = (walk_graph){ .e = w->engine->encoder, .g = w->engine->encoder->graph };
    w->graphs[w->n_graphs++] = (walk_graph){ .e = w->engine, .g = w->engine->graph };
    for (int i = 0; i < w->n_graphs; i++)
        for (int s = 0; s < w->options.streams; s++) {
            w->graphs[i].own[s] = pare_alloc_zero(w->graphs[i].g->weights.n + 1, sizeof(walk_weight));
            if (!w->graphs[i].own[s]) return pare_no_memory(err, "walk", w->graphs[i].g->weights.n * sizeof(walk_weight));
        }
    return make_pieces(w, err);
}

static pare_walk *blank(pare_graph *graph, const pare_gsource *source, const pare_walk_options *options, pare_err *err)
{
    pare_walk *w = options->streams < 1 || options->streams > PARE_WALK_STREAMS ? NULL : pare_alloc_zero(1, sizeof *w);
    if (w) {
        w->options = *options;
        return w;
    }
    if (options->streams < 1 || options->streams > PARE_WALK_STREAMS) pare_fail(err, PARE_ERR_USAGE, "%d streams: 1 to %d are possible", options->streams, PARE_WALK_STREAMS);
    else pare_no_memory(err, "walk", sizeof *w);
    pare_graph_free(graph);
    if (source->close) source->close(source->user);
    return NULL;
}

pare_status pare_walk_new(pare_ctx *ctx, pare_graph *graph, const pare_gsource *source, const pare_walk_text *texts, int64_t n_texts,
                          const pare_walk_options *options, pare_walk **out, pare_err *err)
{
    pare_err why = { 0 };
    pare_status st;
    *out = NULL;
    pare_walk *w = blank(graph, source, options, &why);
    if (!w) {
        if (err) *err = why;
        return why.code;
    }
    if ((st = copy_texts(w, texts, n_texts, err)) != PARE_OK) {
        pare_graph_free(graph);
        if (source->close) source->close(source->user);
        goto out;
    }
    PARE_TRY(start(w, ctx, graph, source, w->longest > 0 ? w->longest : 1, options->plan_only, err));
    for (int64_t t = 0; t < n_texts; t++)
        for (int i = 0; i < w->n_graphs; i++)
            if ((st = pare_engine_check_ids(w->graphs[i].e, w->texts[t].ids, w->texts[t].n, err)) != PARE_OK) {
                pare_context(err, st, "calibration text %lld", (long long)t);
                goto out;
            }
    PARE_TRY(make_states(w, err));
    *out = w;
    return PARE_OK;
out:
    pare_walk_free(w);
    return st;
}

static void clear_graph(walk_graph *x)
{
    for (int s = 0; s < PARE_WALK_STREAMS; s++) {
        for (size_t i = 0; x->own[s] && i < x->g->weights.n; i++)
            if (x->own[s][i].own) pare_linear_clear(&x->own[s][i].linear);
        pare_dealloc(x->own[s]);
    }
    pare_dealloc(x->made);
    pare_dealloc(x->last);
    pare_dealloc(x->last_piece);
}

void pare_walk_free(pare_walk *w)
{
    if (!w) return;
    for (int i = 0; i < w->n_graphs; i++) clear_graph(&w->graphs[i]);
    pare_engine_free(w->engine);
    pare_dealloc(w->texts);
    pare_dealloc(w->ids);
    pare_dealloc(w->decoder_ids);
    pare_dealloc(w->slot);
    pare_dealloc(w->memory_slot);
    for (size_t i = 0; i < w->readers.n; i++) PARE_VEC_CLEAR(&w->readers.at[i]);
    PARE_VEC_CLEAR(&w->readers);
    PARE_VEC_CLEAR(&w->sites);
    PARE_VEC_CLEAR(&w->pieces);
    PARE_VEC_CLEAR(&w->live);
    PARE_VEC_CLEAR(&w->piece_weights);
    pare_workmap_close(&w->states);
    pare_dealloc(w);
}

/* ---------------------------------------------------------------------------------------------------------------- asking */

const pare_graph *pare_walk_graph(const pare_walk *w) { return w->engine->graph; }
int pare_walk_pieces(const pare_walk *w) { return (int)w->pieces.n; }
int pare_walk_at(const pare_walk *w, int stream) { return w->at[stream]; }

const pare_walk_site *pare_walk_sites(const pare_walk *w, int64_t *n)
{
    *n = (int64_t)w->sites.n;
    return w->sites.at;
}

int pare_walk_layer(const pare_walk *w, int piece, bool *encoder)
{
    const walk_piece *p = &w->pieces.at[piece];
    const walk_graph *x = &w->graphs[p->graph];
    if (encoder) *encoder = w->n_graphs > 1 && p->graph == 0;
    return x->g->nodes.at[x->e->steps.at[p->first].node].layer;
}

static double macs_of(const walk_graph *x, const pare_gnode *node, double tokens)
{
    double sum = 0;
    if (node->op == &pare_gop_attention) {
        const pare_attention *a = node->attr;
        return tokens * tokens * (double)a->heads * (double)(a->dim + a->v_dim) * (a->causal ? 0.5 : 1.0);
    }
    const pare_moe *moe = node->op == &pare_gop_moe ? node->attr : NULL;
    for (int i = 0; i < node->n_w; i++) {
        if (node->w[i] < 0 || !x->e->weights[node->w[i]].matrix) continue;
        const pare_gweight *w = &x->g->weights.at[node->w[i]];
        sum += tokens * (double)w->shape[0] * (double)w->shape[1] * (moe && i > 0 ? (double)moe->top / (double)moe->experts : 1.0);
    }
    return sum;
}

/* What depends on texts is added by the callers. */
static pare_status fixed_memory(const pare_walk *w, int64_t tokens, pare_walk_memory *out, pare_err *err)
{
    *out = (pare_walk_memory){ 0 };
    for (int i = 0; i < w->n_graphs; i++) {
        const walk_graph *x = &w->graphs[i];
        uint64_t bytes = 0;
        pare_status st = pare_plan_size(x->e, tokens, 1, x->g->memory != PARE_G_NONE ? tokens : 0, &bytes, err);
        if (st != PARE_OK) return st;
        out->activations += bytes;
        for (size_t k = 0; k < x->g->weights.n; k++)
            if (x->g->weights.at[k].role == PARE_GW_VECTOR) out->vectors += (uint64_t)x->e->weights[k].numel * sizeof(float);
        for (size_t k = 0; k < x->g->caches.n; k++)
            if (pare_kv_bytes(&x->e->caches[k], tokens, &bytes) && bytes > out->cache) out->cache = bytes;
    }
    for (size_t i = 0; i < w->pieces.n; i++) {
        const walk_piece *p = &w->pieces.at[i];
        uint64_t bytes = 0;
        for (int64_t k = 0; k < p->weight_n; k++) bytes += w->graphs[p->graph].e->weights[w->piece_weights.at[p->weight + k]].bytes;
        if (bytes > out->piece) out->piece = bytes;
    }
    return PARE_OK;
}

static double all_macs(const pare_walk *w, double tokens)
{
    double sum = 0;
    for (size_t i = 0; i < w->pieces.n; i++) {
        const walk_piece *p = &w->pieces.at[i];
        const walk_graph *x = &w->graphs[p->graph];
        for (int64_t k = p->first; k < p->first + p->n; k++)
            if (!x->e->steps.at[k].store) sum += macs_of(x, &x->g->nodes.at[x->e->steps.at[k].node], tokens);
    }
    return sum;
}

pare_status pare_walk_get_memory(const pare_walk *w, pare_walk_memory *out, pare_err *err)
{
    pare_status st = fixed_memory(w, w->longest, out, err);
    out->states = w->state_bytes;
    for (int64_t t = 0; t < w->n_texts; t++) out->macs += all_macs(w, (double)w->texts[t].n);
    return st;
}
