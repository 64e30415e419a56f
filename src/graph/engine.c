/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: making it, asking it, freeing it. Running is in engine_step.c, weights in engine_weights.c, memory in plan.c. */
#include "graph/engine.h"

#include <string.h>

enum { CTX_DEFAULT = 4096, CHUNK_DEFAULT = 512, CHUNK_LEAST = 32, MEMORY_ROWS = 512 };
#define CTX_MOST ((int64_t)1 << 24)
#define COUNT_MOST ((int64_t)1 << 20)

/* --------------------------------------------------------------------------------------------------------------- options */

/* Positions that tables of positions have room for; INT64_MAX without one. */
static int64_t table_positions(const pare_graph *g)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < g->nodes.n; i++) {
        const pare_gnode *n = &g->nodes.at[i];
        if (n->op != &pare_gop_embed_positions) continue;
        const int64_t rows = g->weights.at[n->w[0]].shape[0] - ((const pare_op_offset *)n->attr)->offset;
        if (rows < least) least = rows;
    }
    return least;
}

static pare_status set_ctx(pare_engine *e, pare_err *err)
{
    const pare_graph *g = e->graph;
    const int64_t table = table_positions(g), most = g->kind == PARE_G_ENCODER ? CTX_MOST : CTX_DEFAULT;
    int64_t own = g->max_positions > 0 ? g->max_positions : g->kind == PARE_G_ENCODER ? CTX_MOST : CTX_DEFAULT;
    if (own > table) own = table;
    e->ctx_len = e->options.ctx && !e->inner ? e->options.ctx : own < most ? own : most; /* of a pair, the option speaks of the decoder */
    if (e->ctx_len > table)
        return pare_fail(err, PARE_ERR_USAGE, "a context of %lld tokens: the model has %lld positions", (long long)e->ctx_len, (long long)table);
    if (g->max_positions > 0 && e->ctx_len > g->max_positions)
        pare_log(e->ctx, PARE_LOG_WARNING, "a context of %lld tokens: the model was made for %lld", (long long)e->ctx_len, (long long)g->max_positions);
    return PARE_OK;
}

static pare_status check_options(pare_engine *e, pare_err *err)
{
    pare_engine_options *o = &e->options;
    if (o->ctx < 0 || o->ctx > CTX_MOST) return pare_fail(err, PARE_ERR_USAGE, "a context of %lld tokens: 1 to %lld are possible", (long long)o->ctx, (long long)CTX_MOST);
    if (o->sequences < 0 || o->sequences > COUNT_MOST) return pare_fail(err, PARE_ERR_USAGE, "%lld sequences: 1 to %lld are possible", (long long)o->sequences, (long long)COUNT_MOST);
    if (o->chunk < 0 || o->chunk > COUNT_MOST) return pare_fail(err, PARE_ERR_USAGE, "chunks of %lld tokens: 1 to %lld are possible", (long long)o->chunk, (long long)COUNT_MOST);
    if (o->kv_dtype != PARE_DTYPE_NONE && !pare_kv_dtype_ok(o->kv_dtype))
        return pare_fail(err, PARE_ERR_USAGE, "a key/value cache cannot be %s: f32, f16, bf16, i8 or f8_e4m3", pare_dtype_get_info(o->kv_dtype)->name);
    if (!o->sequences) o->sequences = 1;
    return set_ctx(e, err);
}

/* ------------------------------------------------------------------------------------------------------------------- new */

static void set_id_limit(pare_engine *e)
{
    const pare_graph *g = e->graph;
    e->id_limit = g->vocab > 0 ? g->vocab : INT32_MAX;
    for (size_t i = 0; i < g->nodes.n; i++) {
        const pare_gnode *n = &g->nodes.at[i];
        if (n->op == &pare_gop_embed && n->in[0] == g->ids && g->weights.at[n->w[0]].shape[0] < e->id_limit) e->id_limit = g->weights.at[n->w[0]].shape[0];
    }
}

static pare_status make_caches(pare_engine *e, pare_err *err)
{
    const pare_graph *g = e->graph;
    const pare_dtype otherwise = e->options.compute == PARE_COMPUTE_EXACT ? PARE_F32 : PARE_F16;
    e->caches = pare_alloc_zero(g->caches.n + 1, sizeof *e->caches);
    if (!e->caches) return pare_no_memory(err, "caches", g->caches.n * sizeof *e->caches);
    for (size_t i = 0; i < g->caches.n; i++) {
        pare_status st = pare_kv_init(&e->caches[i], &g->caches.at[i], e->options.kv_dtype, otherwise, e->options.sequences, err);
        if (st != PARE_OK) return st;
    }
    for (size_t i = 0; i < g->nodes.n; i++) {
        const pare_attention *a = g->nodes.at[i].op == &pare_gop_attention ? g->nodes.at[i].attr : NULL;
        if (a && a->cross) e->caches[a->cache].cross = true;
    }
    return PARE_OK;
}

/* Chunk: as asked, or the default halved until the model is held, else until everything that streaming needs fits. */
static pare_status choose_chunk(pare_engine *e, uint64_t limit, pare_err *err)
{
    const bool decoder = e->graph->kind == PARE_G_DECODER;
    const int64_t most = decoder ? e->ctx_len * e->options.sequences : CTX_MOST;
    int64_t chunk = e->options.chunk ? e->options.chunk : CHUNK_DEFAULT;
    pare_engine_need n;
    pare_status st;
    if (chunk > most) chunk = most;
    e->cap_memory = e->graph->memory != PARE_G_NONE ? MEMORY_ROWS : 0;
    if (limit) {
        /* A chunk at which everything is held beats a larger one for which layers would be streamed. */
        for (int64_t c = chunk; !e->options.chunk && c >= CHUNK_LEAST; c /= 2) {
            if ((st = pare_engine_needs(e, c, &n, err)) != PARE_OK) return st;
            if (n.vectors + n.cache + n.activations + n.matrices > limit) continue;
            chunk = c;
            break;
        }
        if ((st = pare_engine_needs(e, chunk, &n, err)) != PARE_OK) return st;
        if (n.vectors + n.cache + n.activations + n.matrices > limit) pare_engine_slice_heads(e);
    }
    while (limit && !e->options.chunk && chunk / 2 >= CHUNK_LEAST) {
        if ((st = pare_engine_needs(e, chunk, &n, err)) != PARE_OK) return st;
        const uint64_t fixed = n.vectors + n.cache + n.activations;
        if (fixed + n.matrices <= limit || fixed + (e->ctx->threads > 1 ? n.two : n.one) <= limit) break;
        chunk /= 2;
    }
    return pare_plan_buffers(e, chunk, decoder && e->options.sequences < chunk ? e->options.sequences : chunk, e->cap_memory, err);
}

/* All but loading. */
static pare_status prepare(pare_engine *e, pare_err *err)
{
    pare_status st;
    const pare_graph *g = e->graph;
    const size_t slots = (size_t)(e->options.sequences ? e->options.sequences : 1);
    PARE_TRY(pare_graph_finish(e->graph, err));
    PARE_TRY(check_options(e, err));
    set_id_limit(e);
    e->weights = pare_alloc_zero(g->weights.n + 1, sizeof *e->weights);
    e->lengths = pare_alloc_zero(slots, sizeof *e->lengths);
    e->next = pare_alloc_zero(slots, sizeof *e->next);
    e->now = pare_alloc_zero(slots, sizeof *e->now);
    e->memory_rows = pare_alloc_zero(slots, sizeof *e->memory_rows);
    if (!e->weights || !e->lengths || !e->next || !e->now || !e->memory_rows) PARE_FAIL(err, PARE_ERR_MEMORY, "out of memory: the engine's tables of %zu sequences", slots);
    if (e->options.profile) {
        e->times = pare_alloc_zero(g->nodes.n, sizeof *e->times);
        if (!e->times) PARE_FAIL(err, PARE_ERR_MEMORY, "out of memory: a profile of %zu nodes", g->nodes.n);
    }
    PARE_TRY(pare_engine_check_weights(e, err));
    PARE_TRY(pare_tables_plan(e, err));
    PARE_TRY(pare_plan_steps(e, err));
    PARE_TRY(make_caches(e, err));
out:
    return st;
}

static pare_engine *blank(pare_ctx *ctx, pare_graph *graph, const pare_gsource *source, const pare_engine_options *options)
{
    pare_engine *e = pare_alloc_zero(1, sizeof *e);
    if (!e) return NULL;
    e->ctx = ctx;
    e->graph = graph;
    e->source = *source;
    if (options) e->options = *options;
    e->loading = -1;
    e->x = (pare_exec){ .ctx = ctx, .k = ctx->kernels, .engine = e, .graph = graph, .compute = e->options.compute, .ws = &e->ws };
    return e;
}

/* Limits of encoder and decoder: none where both fit; else shares after what each needs. */
static pare_status split_limit(pare_engine *e, uint64_t *mine, uint64_t *inner, pare_err *err)
{
    pare_engine_need a, b;
    pare_status st;
    *mine = *inner = e->options.memory;
    if (!e->encoder || !e->options.memory) return PARE_OK;
    e->cap_memory = MEMORY_ROWS;
    const int64_t chunk = e->options.chunk ? e->options.chunk : CHUNK_LEAST;
    if ((st = pare_engine_needs(e, chunk, &a, err)) != PARE_OK || (st = pare_engine_needs(e->encoder, chunk, &b, err)) != PARE_OK) return st;
    const double x = (double)(a.vectors + a.cache + a.activations + a.one), y = (double)(b.vectors + b.cache + b.activations + b.one);
    const double rest = (double)e->options.memory - x - y;
    if (rest > 0) *mine = (uint64_t)(x + rest * (double)a.matrices / ((double)a.matrices + (double)b.matrices + 1.0));
    else *mine = (uint64_t)((double)e->options.memory * x / (x + y + 1.0));
    *inner = e->options.memory - *mine;
    return PARE_OK;
}

pare_status pare_engine_new(pare_ctx *ctx, pare_graph *graph, const pare_gsource *source, const pare_engine_options *options, pare_engine **out,
                            pare_err *err)
{
    pare_status st;
    uint64_t limit, inner;
    pare_engine *e = blank(ctx, graph, source, options);
    *out = NULL;
    if (!e) {
        pare_graph_free(graph);
        if (source->close) source->close(source->user);
        return pare_no_memory(err, "engine", sizeof *e);
    }
    PARE_TRY(prepare(e, err));
    if (graph->encoder) {
        e->encoder = blank(ctx, graph->encoder, source, options);
        if (!e->encoder) PARE_FAIL(err, PARE_ERR_MEMORY, "out of memory: the encoder's engine");
        e->encoder->inner = true;
        e->encoder->options.sequences = 1;
        PARE_TRY(prepare(e->encoder, err));
    }
    PARE_TRY(split_limit(e, &limit, &inner, err));
    PARE_TRY(choose_chunk(e, limit, err));
    if (e->encoder) {
        PARE_TRY(choose_chunk(e->encoder, inner, err));
        PARE_TRY(pare_engine_load(e->encoder, inner, err));
    }
    PARE_TRY(pare_engine_load(e, limit, err));
    *out = e;
    return PARE_OK;
out:
    pare_engine_free(e);
    return st;
}

pare_status pare_engine_new_walked(pare_ctx *ctx, pare_graph *graph, const pare_gsource *source, const pare_engine_options *options, int64_t tokens,
                                   bool sizes, pare_engine **out, pare_err *err)
{
    pare_status st;
    pare_engine *e = blank(ctx, graph, source, options);
    *out = NULL;
    if (!e) {
        pare_graph_free(graph);
        if (source->close) source->close(source->user);
        return pare_no_memory(err, "engine", sizeof *e);
    }
    e->walked = true;
    PARE_TRY(prepare(e, err));
    if (graph->encoder) {
        e->encoder = blank(ctx, graph->encoder, source, options);
        if (!e->encoder) PARE_FAIL(err, PARE_ERR_MEMORY, "out of memory: the encoder's engine");
        e->encoder->inner = e->encoder->walked = true;
        PARE_TRY(prepare(e->encoder, err));
    }
    for (pare_engine *x = e; x; x = x->encoder) {
        if (tokens > x->ctx_len)
            PARE_FAIL(err, PARE_ERR_USAGE, "texts of %lld tokens: the model reads at most %lld at once", (long long)tokens, (long long)x->ctx_len);
        if (sizes) continue;
        PARE_TRY(pare_plan_buffers(x, tokens, 1, x->graph->memory != PARE_G_NONE ? tokens : 0, err));
        PARE_TRY(pare_engine_load_vectors(x, err));
    }
    *out = e;
    return PARE_OK;
out:
    pare_engine_free(e);
    return st;
}

void pare_engine_free(pare_engine *e)
{
    if (!e) return;
    pare_engine_free(e->encoder);
    pare_engine_clear_weights(e);
    pare_plan_clear(e);
    pare_tables_clear(e);
    for (size_t i = 0; e->caches && i < e->graph->caches.n; i++) pare_kv_clear(&e->caches[i]);
    pare_dealloc(e->caches);
    PARE_VEC_CLEAR(&e->steps);
    PARE_VEC_CLEAR(&e->segments);
    PARE_VEC_CLEAR(&e->segment_weights);
    pare_workspace_clear(&e->ws);
    pare_dealloc(e->lengths);
    pare_dealloc(e->next);
    pare_dealloc(e->now);
    pare_dealloc(e->memory_rows);
    pare_dealloc(e->times);
    pare_arena_clear(&e->names);
    if (!e->inner) {
        if (e->source.close) e->source.close(e->source.user);
        pare_graph_free(e->graph);
    }
    pare_dealloc(e);
}

/* ---------------------------------------------------------------------------------------------------------------- asking */

const pare_graph *pare_engine_graph(const pare_engine *e) { return e->graph; }
pare_engine *pare_engine_encoder(pare_engine *e) { return e->encoder; }
int64_t pare_engine_ctx(const pare_engine *e) { return e->ctx_len; }

int64_t pare_engine_length(const pare_engine *e, int64_t seq) { return seq >= 0 && seq < e->options.sequences ? e->lengths[seq] : 0; }

void pare_engine_truncate(pare_engine *e, int64_t seq, int64_t n)
{
    if (seq >= 0 && seq < e->options.sequences && n >= 0 && n < e->lengths[seq]) e->lengths[seq] = n;
}

void pare_engine_observe(pare_engine *e, const pare_observer *observer)
{
    e->observer = observer ? *observer : (pare_observer){ 0 };
    if (e->encoder) e->encoder->observer = e->observer;
}

pare_status pare_engine_replace(pare_engine *e, pare_gw w, pare_linear *weight, pare_err *err)
{
    pare_eweight *x = w >= 0 && (size_t)w < e->graph->weights.n ? &e->weights[w] : NULL;
    if (!x || !x->matrix) return pare_fail(err, PARE_ERR_USAGE, "weight %d is no matrix of the graph", (int)w);
    if (weight->w.rows != x->from.shape[0] || weight->w.cols != x->from.shape[1])
        return pare_fail(err, PARE_ERR_USAGE, "%s: [%lld, %lld] cannot replace [%lld, %lld]", x->from.name, (long long)weight->w.rows, (long long)weight->w.cols,
                         (long long)x->from.shape[0], (long long)x->from.shape[1]);
    if (x->loaded) pare_linear_clear(&x->linear);
    x->linear = *weight;
    x->loaded = x->held = x->replaced = true;
    x->slice_rows = 0;
    memset(weight, 0, sizeof *weight);
    return PARE_OK;
}

/* Bytes of matrices that one token reads: all of them, but of experts only those that are chosen. */
static uint64_t per_token(const pare_engine *e)
{
    uint64_t sum = 0;
    for (size_t s = 0; s < e->steps.n; s++) {
        const pare_gnode *n = &e->graph->nodes.at[e->steps.at[s].node];
        const pare_moe *moe = n->op == &pare_gop_moe ? n->attr : NULL;
        uint64_t experts = 0;
        if (e->steps.at[s].store) continue;
        for (int i = 0; i < n->n_w; i++) {
            const pare_eweight *x = n->w[i] < 0 ? NULL : &e->weights[n->w[i]];
            if (!x || e->graph->weights.at[n->w[i]].role == PARE_GW_TABLE) continue;
            const uint64_t bytes = !x->matrix ? (uint64_t)x->numel * sizeof(float) : x->loaded ? x->linear.bytes : x->bytes;
            if (moe && i > 0) experts += bytes;
            else sum += bytes;
        }
        if (moe) sum += experts / (uint64_t)moe->experts * (uint64_t)moe->top;
    }
    return sum;
}

void pare_engine_get_memory(const pare_engine *e, pare_engine_memory *out)
{
    pare_engine_need n;
    *out = (pare_engine_memory){ 0 };
    if (e->encoder) pare_engine_get_memory(e->encoder, out);
    if (pare_engine_needs(e, e->cap_tokens, &n, NULL) == PARE_OK) out->cache += n.cache;
    out->activations += e->arena_bytes + e->scratch_bytes + e->ws.bytes + pare_tables_rope_floats(e, e->cap_tokens) * sizeof(float) +
                        (uint64_t)e->ctx->threads * (uint64_t)e->attend_floats * sizeof(float);
    for (size_t i = 0; i < e->graph->weights.n; i++) {
        const pare_eweight *x = &e->weights[i];
        if (x->vector) {
            out->weights += (uint64_t)x->numel * sizeof(float);
            out->weights_owned += (uint64_t)x->numel * sizeof(float);
        }
        if (!x->matrix) continue;
        if (!x->held) {
            out->streamed_per_step += x->bytes;
            continue;
        }
        out->weights += x->linear.bytes;
        for (size_t k = 0; k < sizeof x->linear.owned / sizeof *x->linear.owned; k++)
            if (x->linear.owned[k]) {
                out->weights_owned += x->linear.bytes;
                break;
            }
    }
    out->per_token = per_token(e); /* the decoder's; the encoder runs once a text */
}
