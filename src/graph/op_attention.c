/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention: softmax(scale * q k^T + ...) v for grouped query heads, against the cache of each token's own sequence, against the rows of the same text
 * (encoders), or against an encoder's rows (cross). One parallel region over (block of 64 queries of a sequence, key/value head); when that
 * gives fewer tasks than threads the query heads of a key/value head are split, too. A head's result depends on none of these cuts.
 *
 * Weights: with rel_buckets the table [buckets, heads] first; with sink [heads] last.
 */
#include "graph/engine.h"

enum { SERIAL_MACS = 1 << 16 }; /* of a step with less the other threads are not woken */

/* ----------------------------------------------------------------------------------------------------------------- shape */

static pare_status check_weights(pare_graph *g, const pare_gnode *node, const pare_attention *a, pare_err *err)
{
    const int wanted = (a->rel_buckets > 0) + a->sink;
    pare_status st = PARE_OK;
    if (node->n_w != wanted) return pare_fail(err, PARE_ERR_USAGE, "%d weights, its attributes ask for %d", node->n_w, wanted);
    if (a->rel_buckets > 0) {
        /* every range of buckets must be there: half for each direction, half of that exact */
        if (a->rel_buckets < (a->rel_bidirectional ? 4 : 2) || a->rel_buckets > 65536 || a->rel_distance <= a->rel_buckets / (a->rel_bidirectional ? 4 : 2))
            return pare_fail(err, PARE_ERR_FORMAT, "%lld buckets up to distance %lld", (long long)a->rel_buckets, (long long)a->rel_distance);
        if ((st = pare_op_vector(g, node, 0, a->rel_buckets * a->heads, err)) != PARE_OK) return st;
    }
    return a->sink ? pare_op_vector(g, node, node->n_w - 1, a->heads, err) : PARE_OK;
}

static pare_status check_inputs(pare_graph *g, const pare_gnode *node, const pare_attention *a, pare_err *err)
{
    char q[96], k[96], v[96];
    const pare_gvalue *in[3] = { pare_g_value(g, node->in[0]), pare_g_value(g, node->in[1]), pare_g_value(g, node->in[2]) };
    const int64_t rows = a->cross ? PARE_DIM_MEMORY : PARE_DIM_TOKENS;
    if (a->heads < 1 || a->kv_heads < 1 || a->dim < 1 || a->v_dim < 1 || a->heads % a->kv_heads || a->heads > 65536 || a->dim + a->v_dim > 32768)
        return pare_fail(err, PARE_ERR_FORMAT, "%lld heads of %lld and %lld on %lld key/value heads", (long long)a->heads, (long long)a->dim, (long long)a->v_dim,
                         (long long)a->kv_heads);
    if (in[0]->ndim != 2 || in[1]->ndim != 2 || in[2]->ndim != 2 || in[0]->shape[0] != PARE_DIM_TOKENS || in[1]->shape[0] != rows || in[2]->shape[0] != rows ||
        in[0]->shape[1] != a->heads * a->dim || in[1]->shape[1] != a->kv_heads * a->dim || in[2]->shape[1] != a->kv_heads * a->v_dim)
        return pare_fail(err, PARE_ERR_FORMAT, "q %s, k %s, v %s do not fit %lld heads of %lld and %lld on %lld key/value heads%s",
                         pare_g_shape_text(g, node->in[0], q), pare_g_shape_text(g, node->in[1], k), pare_g_shape_text(g, node->in[2], v), (long long)a->heads,
                         (long long)a->dim, (long long)a->v_dim, (long long)a->kv_heads, a->cross ? " of the encoder" : "");
    if (a->window < 0 || a->chunk < 0 || !(a->softcap >= 0.0f)) return pare_fail(err, PARE_ERR_FORMAT, "window %lld, chunk %lld, cap %g", (long long)a->window, (long long)a->chunk, (double)a->softcap);
    if (a->alibi_bf16 > 0 && (!a->alibi || a->rel_buckets > 0)) return pare_fail(err, PARE_ERR_USAGE, "rounded slopes without slopes, or beside buckets");
    if (a->cross && (a->causal || a->window || a->chunk || a->alibi || a->rel_buckets))
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "cross-attention that looks at positions");
    return PARE_OK;
}

static pare_status check_cache(pare_graph *g, const pare_attention *a, pare_err *err)
{
    if (a->cache < 0) return a->cross || g->kind == PARE_G_ENCODER ? PARE_OK : pare_fail(err, PARE_ERR_USAGE, "attention of a decoder needs a cache");
    if ((size_t)a->cache >= g->caches.n) return pare_fail(err, PARE_ERR_USAGE, "cache %d of %zu", a->cache, g->caches.n);
    const pare_gcache *c = &g->caches.at[a->cache];
    if (g->kind == PARE_G_ENCODER) return pare_fail(err, PARE_ERR_USAGE, "an encoder keeps no cache");
    if (c->kv_heads != a->kv_heads || c->k_dim != a->dim || c->v_dim != a->v_dim)
        return pare_fail(err, PARE_ERR_USAGE, "cache %d is for %lld heads of %lld and %lld", a->cache, (long long)c->kv_heads, (long long)c->k_dim, (long long)c->v_dim);
    if (!a->causal && !a->cross) return pare_fail(err, PARE_ERR_USAGE, "a cache needs causal attention: later keys are not there yet");
    for (size_t i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i].op == &pare_gop_attention && ((const pare_attention *)g->nodes.at[i].attr)->cache == a->cache)
            return pare_fail(err, PARE_ERR_USAGE, "cache %d is written by node %zu already", a->cache, i);
    return PARE_OK;
}

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    pare_attention *a = (pare_attention *)node->attr; /* the node's own copy */
    pare_status st;
    PARE_TRY(pare_op_arity(g, node, 3, -1, 1, err));
    PARE_TRY(check_inputs(g, node, a, err));
    PARE_TRY(check_weights(g, node, a, err));
    PARE_TRY(check_cache(g, a, err));
    if (a->cross && a->cache < 0) a->cache = pare_g_cache(g, a->kv_heads, a->dim, a->v_dim, 0);
    pare_g_set_shape(g, node->out[0], 2, (int64_t[]){ PARE_DIM_TOKENS, a->heads * a->v_dim });
out:
    return st;
}

/* --------------------------------------------------------------------------------------------------------------- writing */

typedef struct write_job { const pare_exec *x; const pare_attention *a; const pare_kvcache *cache; const float *k, *v; int64_t slot; } write_job;

/* What a worker has for the kernel. */
static float *room_of(const pare_exec *x, int worker) { return x->engine->attend + (int64_t)worker * x->engine->attend_floats; }

/* Task i: one head of one block of rows. */
static pare_status write_block(void *arg, int64_t i, int worker, pare_err *err)
{
    const write_job *j = arg;
    const pare_attention *a = j->a;
    const pare_query_block *b = &j->x->engine->blocks[i / a->kv_heads];
    const pare_run *run = &j->x->runs[b->run];
    const int64_t head = i % a->kv_heads;
    (void)err;
    pare_kv_write(j->cache, j->x->k, run->seq, head, run->pos0 + b->row0 - run->row0, b->n, j->k + (b->row0 * a->kv_heads + head) * a->dim, a->kv_heads * a->dim,
                  j->v + (b->row0 * a->kv_heads + head) * a->v_dim, a->kv_heads * a->v_dim, room_of(j->x, worker));
    return PARE_OK;
}

/* Few rows are written before a region of their own would have begun. */
static pare_status write_keys(pare_exec *x, write_job *j, pare_err *err)
{
    const int64_t n = x->engine->n_blocks * j->a->kv_heads;
    if (x->tokens * j->a->kv_heads * (j->a->dim + j->a->v_dim) > SERIAL_MACS / 2) return pare_parallel(x->ctx, n, write_block, j, err);
    for (int64_t i = 0; i < n; i++) write_block(j, i, 0, err);
    return PARE_OK;
}

static pare_status store_head(void *arg, int64_t head, int worker, pare_err *err)
{
    const write_job *j = arg;
    const pare_attention *a = j->a;
    (void)err;
    pare_kv_write(j->cache, j->x->k, j->slot, head, 0, j->x->memory_rows, j->k + head * a->dim, a->kv_heads * a->dim, j->v + head * a->v_dim, a->kv_heads * a->v_dim,
                  room_of(j->x, worker));
    return PARE_OK;
}

pare_status pare_attention_store(pare_exec *x, const pare_gnode *node, int64_t slot, pare_err *err)
{
    const pare_attention *a = node->attr;
    write_job j = { x, a, &x->engine->caches[a->cache], pare_x_value(x, node->in[1]), pare_x_value(x, node->in[2]), slot };
    return pare_parallel(x->ctx, a->kv_heads, store_head, &j, err);
}

/* ------------------------------------------------------------------------------------------------------------- attending */

typedef struct attend_job {
    const pare_exec *x;
    const pare_attention *a;
    const pare_kvcache *cache;     /* NULL: keys and values of this chunk */
    const pare_bias_table *bias;
    const float *q, *k, *v, *sink;
    float *out;
    int64_t pieces;                /* of the query heads of one key/value head */
} attend_job;

/* Keys that query at position p of a text with n keys sees: [*first, *last). */
static void key_range(const pare_attention *a, int64_t p, int64_t n, int64_t *first, int64_t *last)
{
    *first = 0;
    *last = a->causal ? p + 1 : n;
    if (a->cross) return;
    if (a->window && p + 1 > a->window) *first = p + 1 - a->window;
    if (a->window && !a->causal && *last - p > a->window) *last = p + a->window;
    if (a->chunk) {
        const int64_t begin = p / a->chunk * a->chunk;
        if (begin > *first) *first = begin;
        if (!a->causal && *last - begin > a->chunk) *last = begin + a->chunk;
    }
}

/* Keys and values of one head, from key `from` on. */
static void point_at_keys(const attend_job *j, const pare_run *run, int64_t head, int64_t from, pare_attend *at)
{
    const pare_attention *a = j->a;
    if (!j->cache) {
        at->dtype = PARE_F32;
        at->k_stride = a->kv_heads * a->dim;
        at->v_stride = a->kv_heads * a->v_dim;
        at->k = j->k + ((run->row0 + from) * a->kv_heads + head) * a->dim;
        at->v = j->v + ((run->row0 + from) * a->kv_heads + head) * a->v_dim;
        return;
    }
    const pare_kvslot *s = &j->cache->slots[run->seq];
    const int64_t row = head * s->cap + from; /* a panel's first */
    const size_t unit = pare_dtype_bytes(j->cache->dtype, 1);
    at->dtype = j->cache->dtype;
    at->k_panels = true;
    at->v_stride = a->v_dim;
    at->k = s->k + (size_t)(row * a->dim) * unit;
    at->v = s->v + (size_t)(row * a->v_dim) * unit;
    at->k_scale = s->k_scale ? s->k_scale + row : NULL;
    at->v_scale = s->v_scale ? s->v_scale + row : NULL;
}

/* Task i = (block of queries, key/value head, piece of its query heads). */
static pare_status attend_block(void *arg, int64_t i, int worker, pare_err *err)
{
    const attend_job *j = arg;
    const pare_attention *a = j->a;
    const pare_engine *e = j->x->engine;
    const int64_t group = a->heads / a->kv_heads, piece = i % j->pieces, kv_head = i / j->pieces % a->kv_heads;
    const pare_query_block *b = &e->blocks[i / j->pieces / a->kv_heads];
    const pare_run *run = &j->x->runs[b->run];
    const int64_t h0 = kv_head * group + group * piece / j->pieces, h1 = kv_head * group + group * (piece + 1) / j->pieces;
    const int64_t pos = run->pos0 + b->row0 - run->row0; /* of the block's first query */
    const int64_t keys = a->cross ? e->memory_rows[run->seq] : run->pos0 + run->n;
    int64_t first, last, from, to = 0;
    int32_t firsts[PARE_QUERY_BLOCK], lasts[PARE_QUERY_BLOCK], at_pos[PARE_QUERY_BLOCK];
    (void)err;
    key_range(a, pos, keys, &from, &last);
    from = from / PARE_KEY_BLOCK * PARE_KEY_BLOCK; /* kernels go by blocks of keys: the same ones however the text is cut */
    for (int64_t t = 0; t < b->n; t++) {
        key_range(a, pos + t, keys, &first, &last);
        firsts[t] = (int32_t)(first - from);
        lasts[t] = (int32_t)(last - from);
        at_pos[t] = (int32_t)(pos + t - from);
        if (last > to) to = last;
    }
    pare_attend at = { .queries = b->n, .heads = h1 - h0, .dim = a->dim, .v_dim = a->v_dim, .q = j->q + (b->row0 * a->heads + h0) * a->dim,
                       .q_stride = a->heads * a->dim, .q_head = a->dim, .keys = to - from, .first = firsts, .last = lasts, .q_pos = at_pos, .scale = a->scale,
                       .softcap = a->softcap, .alibi = a->alibi && !j->bias ? a->alibi + h0 : NULL, .sink = j->sink ? j->sink + h0 : NULL,
                       .out = j->out + (b->row0 * a->heads + h0) * a->v_dim, .out_stride = a->heads * a->v_dim, .out_head = a->v_dim,
                       .scratch = room_of(j->x, worker) };
    if (j->bias && j->bias->slopes) { /* of key: table[head][key] */
        at.bias_head = j->bias->reach + 1;
        at.bias = j->bias->at + h0 * at.bias_head + from;
    } else if (j->bias) { /* bias of (query, key) = table[head][key - query + reach]: one step along the keys, one back along the queries */
        at.bias_head = 2 * j->bias->reach + 1;
        at.bias_query = -1;
        at.bias = j->bias->at + h0 * at.bias_head + j->bias->reach + from - pos;
    }
    point_at_keys(j, run, kv_head, from, &at);
    if (j->cache && j->cache->k_static) at.scale *= j->cache->k_static[kv_head];
    j->x->k->attend(&at);
    if (j->cache && j->cache->v_static)
        for (int64_t t = 0; t < b->n; t++) {
            float *y = at.out + t * at.out_stride;
            for (int64_t c = 0; c < (h1 - h0) * a->v_dim; c++) y[c] *= j->cache->v_static[kv_head];
        }
    return PARE_OK;
}

/* Multiply-adds, windows aside. */
static double work_of(const pare_exec *x, const pare_attention *a)
{
    double pairs = 0;
    for (int64_t s = 0; s < x->sequences; s++) {
        const pare_run *r = &x->runs[s];
        pairs += (double)r->n * (double)(a->cross ? x->engine->memory_rows[r->seq] : r->pos0 + r->n);
    }
    return pairs * (double)a->heads * (double)(a->dim + a->v_dim);
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const pare_attention *a = node->attr;
    pare_engine *e = x->engine;
    attend_job j = { .x = x, .a = a, .q = pare_x_value(x, node->in[0]), .out = pare_x_value(x, node->out[0]),
                     .cache = a->cache >= 0 ? &e->caches[a->cache] : NULL, .sink = a->sink ? pare_x_vector(x, node->w[node->n_w - 1]) : NULL,
                     .bias = a->rel_buckets > 0 || a->alibi_bf16 > 0 ? &e->biases.at[e->node_table[pare_node_index(x, node)]] : NULL };
    if (!a->cross) {
        j.k = pare_x_value(x, node->in[1]);
        j.v = pare_x_value(x, node->in[2]);
        if (j.cache) {
            write_job w = { x, a, j.cache, j.k, j.v, 0 };
            pare_status st = write_keys(x, &w, err);
            if (st != PARE_OK) return st;
        }
    }
    const int64_t tasks = e->n_blocks * a->kv_heads, group = a->heads / a->kv_heads;
    j.pieces = tasks >= x->ctx->threads ? 1 : (x->ctx->threads + tasks - 1) / tasks;
    if (j.pieces > group) j.pieces = group;
    if (work_of(x, a) > SERIAL_MACS) return pare_parallel(x->ctx, tasks * j.pieces, attend_block, &j, err);
    for (int64_t i = 0; i < tasks * j.pieces; i++) attend_block(&j, i, 0, err);
    return PARE_OK;
}

pare_gv pare_g_attention(pare_graph *g, pare_gv q, pare_gv k, pare_gv v, const pare_attention *a, const pare_gw *w, int n_w)
{
    return pare_g_node(g, "attention", (pare_gv[]){ q, k, v }, 3, w, n_w, a, sizeof *a, NULL, 1);
}

/* Column of v that column c of the result is a mean of: heads of a group share it. */
static int64_t v_column(const pare_gnode *node, int64_t c)
{
    const pare_attention *a = node->attr;
    return c / a->v_dim / (a->heads / a->kv_heads) * a->v_dim + c % a->v_dim;
}

/* The result is linear in v. */
static bool divide(const pare_graph *g, const pare_gnode *node, int out, pare_gdivide *how)
{
    (void)g, (void)node, (void)out;
    *how = (pare_gdivide){ .in = 2, .column = v_column };
    return true;
}

const pare_gop pare_gop_attention = { .name = "attention", .help = "attention of grouped heads, with cache, windows, biases", .shape = shape, .forward = forward, .divide = divide };
