/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of the engine: all are checked first; then what memory allows is loaded for good, and the rest is loaded layer by layer while
 * a step runs: while one layer is computed a background task makes the next one ready (repacks it, or touches its mapped pages), and a layer that is
 * done is dropped. The source is never called by two threads at once: a segment that calls it while it runs (rows of tables, slices of a head)
 * starts no background task, and dropping waits for it.
 */
#include <string.h>

#include "graph/engine.h"

/* -------------------------------------------------------------------------------------------------------------- checking */

static pare_status resolve(pare_engine *e, pare_gw index, pare_err *err)
{
    const pare_graph *g = e->graph;
    const pare_gweight *w = &g->weights.at[index];
    pare_eweight *x = &e->weights[index];
    x->from = *w;
    x->matrix = w->role == PARE_GW_LINEAR || w->role == PARE_GW_HEAD;
    x->numel = 1;
    for (int d = 0; d < w->ndim; d++) x->numel *= w->shape[d];
    for (int steps = 0; x->from.tied != PARE_G_NONE; steps++) { /* at most once through all weights: a ring has no end */
        const pare_gw t = x->from.tied;
        if (t < 0 || (size_t)t >= g->weights.n || steps > (int)g->weights.n)
            return pare_fail(err, PARE_ERR_USAGE, "graph: weight '%s' is tied to no weight", w->name);
        const pare_gweight *other = &g->weights.at[t];
        if (other->ndim != w->ndim || memcmp(other->shape, w->shape, (size_t)w->ndim * sizeof *w->shape))
            return pare_fail(err, PARE_ERR_FORMAT, "graph: '%s' is tied to '%s', which has another shape", w->name, other->name);
        x->from = *other;
        x->from.role = w->role;
        x->from.layer = w->layer;
    }
    return PARE_OK;
}

pare_status pare_engine_check_weights(pare_engine *e, pare_err *err)
{
    const pare_graph *g = e->graph;
    for (size_t i = 0; i < g->weights.n; i++) {
        pare_eweight *x = &e->weights[i];
        pare_status st = resolve(e, (pare_gw)i, err);
        if (st != PARE_OK) return st;
        if ((st = e->source.check(e->source.user, &x->from, &x->present, err)) != PARE_OK) return st;
        if (!x->present && (!x->from.optional || g->weights.at[i].role != PARE_GW_VECTOR))
            return pare_fail(err, PARE_ERR_FORMAT, "%s: is missing in the checkpoint, and the architecture needs it", x->from.name);
        if (x->present) x->bytes = e->source.bytes(e->source.user, &x->from);
    }
    return PARE_OK;
}

/* ----------------------------------------------------------------------------------------------------------- single ones */

static pare_status load_vector(pare_engine *e, pare_eweight *x, pare_err *err)
{
    void *at;
    pare_status st = pare_alloc_try((size_t)x->numel * sizeof(float), x->from.name, &at, err);
    if (st != PARE_OK) return st;
    x->vector = at;
    if (x->present) return e->source.vector(e->source.user, &x->from, x->vector, err);
    for (int64_t i = 0; i < x->numel; i++) x->vector[i] = x->from.ones ? 1.0f : 0.0f;
    return PARE_OK;
}

static bool owns(const pare_linear *l)
{
    for (size_t i = 0; i < sizeof l->owned / sizeof *l->owned; i++)
        if (l->owned[i]) return true;
    return false;
}

static pare_status load_matrix(pare_engine *e, pare_eweight *x, pare_err *err)
{
    pare_status st = e->source.linear(e->source.user, e->ctx, &x->from, &x->linear, err);
    if (st != PARE_OK) return st;
    if (x->linear.w.rows != x->from.shape[0] || x->linear.w.cols != x->from.shape[1]) {
        st = pare_fail(err, PARE_ERR_FORMAT, "%s: was loaded as [%lld, %lld], not [%lld, %lld]", x->from.name, (long long)x->linear.w.rows, (long long)x->linear.w.cols,
                       (long long)x->from.shape[0], (long long)x->from.shape[1]);
        pare_linear_clear(&x->linear);
        return st;
    }
    x->loaded = true;
    return PARE_OK;
}

static void drop_matrix(pare_engine *e, pare_eweight *x)
{
    if (!x->loaded || x->held) return;
    pare_linear_clear(&x->linear);
    memset(&x->linear, 0, sizeof x->linear);
    x->loaded = false;
    if (e->source.drop) e->source.drop(e->source.user, &x->from);
}

pare_status pare_engine_load_matrix(pare_engine *e, pare_gw w, pare_err *err) { return load_matrix(e, &e->weights[w], err); }
void pare_engine_drop_matrix(pare_engine *e, pare_gw w) { drop_matrix(e, &e->weights[w]); }

pare_status pare_engine_load_vectors(pare_engine *e, pare_err *err)
{
    for (size_t i = 0; i < e->graph->weights.n; i++) {
        pare_status st = e->graph->weights.at[i].role == PARE_GW_VECTOR ? load_vector(e, &e->weights[i], err) : PARE_OK;
        if (st == PARE_OK) st = pare_check_cancel(e->ctx, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- budget */

/* May b run right after a? */
static bool same_pass(const pare_segment *a, const pare_segment *b)
{
    return a->part == b->part || (a->part == PARE_PART_MAIN && b->part == PARE_PART_TAIL);
}

/* Does the segment after this one run next? */
static bool has_next(const pare_engine *e, int64_t index)
{
    const pare_segment *s = &e->segments.at[index];
    return index + 1 < (int64_t)e->segments.n && same_pass(s, s + 1) && (s[1].part != PARE_PART_TAIL || s->part == PARE_PART_TAIL || e->tail_follows);
}

/* What a segment's matrices take while it is computed. */
static uint64_t segment_bytes(const pare_engine *e, const pare_segment *s)
{
    uint64_t sum = 0;
    for (int64_t k = 0; k < s->w_n; k++) {
        const pare_eweight *x = &e->weights[e->segment_weights.at[s->w_first + k]];
        sum += x->slice_rows ? x->bytes / (uint64_t)x->from.shape[0] * (uint64_t)x->slice_rows : x->bytes;
    }
    return sum;
}

pare_status pare_engine_needs(const pare_engine *e, int64_t chunk, pare_engine_need *out, pare_err *err)
{
    const pare_graph *g = e->graph;
    uint64_t bytes;
    *out = (pare_engine_need){ 0 };
    for (size_t i = 0; i < g->weights.n; i++)
        if (g->weights.at[i].role == PARE_GW_VECTOR) out->vectors += (uint64_t)e->weights[i].numel * sizeof(float);
        else if (e->weights[i].matrix) out->matrices += e->weights[i].bytes;
    for (size_t i = 0; i < e->segments.n; i++) {
        const pare_segment *s = &e->segments.at[i];
        bytes = segment_bytes(e, s);
        if (bytes > out->one) out->one = bytes;
        if (i + 1 < e->segments.n && same_pass(s, s + 1)) bytes += segment_bytes(e, s + 1);
        if (bytes > out->two) out->two = bytes;
    }
    for (size_t i = 0; i < g->caches.n; i++) {
        const int64_t positions = e->caches[i].cross ? e->cap_memory : e->ctx_len;
        uint64_t all;
        if (!pare_kv_bytes(&e->caches[i], positions, &bytes) || !pare_mul_u64(bytes, (uint64_t)e->options.sequences, &bytes) ||
            !pare_add_u64(out->cache, bytes, &all))
            return pare_fail(err, PARE_ERR_MEMORY, "a cache of %lld positions for %lld sequences is too large to be addressed", (long long)positions,
                             (long long)e->options.sequences);
        out->cache = all;
    }
    return pare_plan_size(e, chunk, g->kind == PARE_G_ENCODER ? chunk : e->options.sequences, e->cap_memory, &out->activations, err);
}

static uint64_t fixed_of(const pare_engine_need *n) { return n->vectors + n->cache + n->activations; }

static pare_status too_small(const pare_engine *e, const pare_engine_need *n, uint64_t limit, pare_err *err)
{
    char has[32], least[32], vectors[32], cache[32], act[32], layer[32], all[32];
    const uint64_t least_bytes = fixed_of(n) + n->one;
    pare_format_bytes(limit, has);
    pare_format_bytes(least_bytes, least);
    pare_format_bytes(n->vectors, vectors);
    pare_format_bytes(n->cache, cache);
    pare_format_bytes(n->activations, act);
    pare_format_bytes(n->one, layer);
    pare_format_bytes(fixed_of(n) + n->matrices, all);
    pare_fail(err, PARE_ERR_MEMORY, "memory limit of %s (%llu bytes): at least %s (%llu bytes) are needed: %s cache, %s activations, %s a layer, %s norms and biases", has,
              (unsigned long long)limit, least, (unsigned long long)least_bytes, cache, act, layer, vectors);
    return pare_hint(err, "all of it takes %s; a shorter context (now %lld) or chunk makes cache and activations smaller", all, (long long)e->ctx_len);
}

/* Is the weight alone in every node of the segment that reads it? */
static bool stands_alone(const pare_engine *e, const pare_segment *s, pare_gw w)
{
    for (int64_t i = s->first; i < s->first + s->n; i++) {
        const pare_gnode *node = &e->graph->nodes.at[e->steps.at[i].node];
        for (int k = 0; k < node->n_w; k++)
            if (node->w[k] == w && (node->op != &pare_gop_linear || ((const pare_op_linear *)node->attr)->count != 1)) return false;
    }
    return true;
}

/*
 * Output heads that are larger than every layer are cut into slices of about the largest layer's size: what one at hand takes less holds
 * layers that need not be read again.
 */
void pare_engine_slice_heads(pare_engine *e)
{
    enum { UNIT = 128 }; /* rows: whole tiles and packed words of every layout */
    uint64_t layer = 0;
    for (size_t i = 0; i < e->segments.n; i++)
        if (e->segments.at[i].part != PARE_PART_TAIL && segment_bytes(e, &e->segments.at[i]) > layer) layer = segment_bytes(e, &e->segments.at[i]);
    for (size_t i = 0; i < e->segments.n; i++) {
        pare_segment *s = &e->segments.at[i];
        for (int64_t k = 0; s->part == PARE_PART_TAIL && k < s->w_n; k++) {
            const pare_gw w = e->segment_weights.at[s->w_first + k];
            pare_eweight *x = &e->weights[w];
            const int64_t rows = x->from.shape[0];
            const int64_t fit = (int64_t)((double)rows * (double)layer / ((double)x->bytes + 1)) / UNIT * UNIT;
            if (x->bytes <= layer || x->from.transposed || x->from.role != PARE_GW_HEAD || rows <= UNIT || !stands_alone(e, s, w)) continue;
            x->slice_rows = fit > UNIT ? fit : UNIT;
            s->asks = true;
        }
    }
}

/* Is everything held? Else how it is streamed; *budget: what is left for holding some layers. */
static pare_status choose_way(pare_engine *e, uint64_t limit, uint64_t *budget, pare_err *err)
{
    pare_engine_need n;
    pare_status st = pare_engine_needs(e, e->cap_tokens, &n, err);
    *budget = UINT64_MAX;
    if (st != PARE_OK || !limit || fixed_of(&n) + n.matrices <= limit) return st;
    e->streaming = true;
    if (limit < fixed_of(&n) + n.one) return too_small(e, &n, limit, err);
    e->overlap = e->ctx->threads > 1 && limit >= fixed_of(&n) + n.two;
    *budget = limit - fixed_of(&n) - (e->overlap ? n.two : n.one);
    return PARE_OK;
}

/* Marks what stays loaded: everything, or as many whole segments as the budget has room for. */
static pare_status choose_held(pare_engine *e, uint64_t limit, pare_err *err)
{
    uint64_t budget;
    pare_status st = choose_way(e, limit, &budget, err);
    if (st != PARE_OK) return st;
    for (size_t i = 0; i < e->segments.n; i++) {
        const pare_segment *s = &e->segments.at[i];
        uint64_t bytes = 0;
        for (int64_t k = 0; k < s->w_n; k++) {
            const pare_eweight *x = &e->weights[e->segment_weights.at[s->w_first + k]];
            if (!x->held) bytes += x->bytes;
        }
        if (bytes > budget) continue;
        budget -= bytes;
        for (int64_t k = 0; k < s->w_n; k++) e->weights[e->segment_weights.at[s->w_first + k]].held = true;
        for (int64_t k = 0; k < s->w_n; k++) e->weights[e->segment_weights.at[s->w_first + k]].slice_rows = 0;
    }
    return PARE_OK;
}

pare_status pare_engine_load(pare_engine *e, uint64_t limit, pare_err *err)
{
    const pare_graph *g = e->graph;
    pare_status st = choose_held(e, limit, err);
    uint64_t done = 0, total = 0;
    if (st != PARE_OK) return st;
    for (size_t i = 0; i < g->weights.n; i++)
        if (e->weights[i].held) total += e->weights[i].bytes;
    for (size_t i = 0; i < g->weights.n; i++) {
        pare_eweight *x = &e->weights[i];
        PARE_TRY(pare_check_cancel(e->ctx, err));
        if (g->weights.at[i].role == PARE_GW_VECTOR) PARE_TRY(load_vector(e, x, err));
        if (!x->held || x->loaded) continue;
        PARE_TRY(load_matrix(e, x, err));
        done += x->bytes;
        pare_report_progress(e->ctx, "load", x->from.name, done, total, "bytes");
    }
    if (e->overlap) st = pare_background_new(e->ctx, &e->background, err);
out:
    return st;
}

/* -------------------------------------------------------------------------------------------------------------- segments */

static pare_status load_segment(pare_engine *e, int64_t index, pare_err *err)
{
    const pare_segment *s = &e->segments.at[index];
    for (int64_t k = 0; k < s->w_n; k++) {
        pare_eweight *x = &e->weights[e->segment_weights.at[s->w_first + k]];
        pare_status st = x->loaded || x->slice_rows ? PARE_OK : load_matrix(e, x, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

/* Reads one byte a page of what was not copied, so that the pages are there when the layer is computed. */
static void touch_segment(const pare_engine *e, int64_t index)
{
    const pare_segment *s = &e->segments.at[index];
    for (int64_t k = 0; k < s->w_n; k++) {
        const pare_eweight *x = &e->weights[e->segment_weights.at[s->w_first + k]];
        const volatile uint8_t *data = x->linear.w.data;
        const int64_t bytes = x->linear.w.rows * x->linear.w.row_bytes;
        if (x->held || !data || owns(&x->linear)) continue;
        for (int64_t at = 0; at < bytes; at += 4096) (void)data[at];
    }
}

static pare_status load_in_background(void *arg, pare_err *err)
{
    pare_engine *e = arg;
    pare_status st = load_segment(e, e->loading, err);
    if (st == PARE_OK) touch_segment(e, e->loading);
    return st;
}

static pare_status wait_background(pare_engine *e, pare_err *err)
{
    if (e->loading < 0) return PARE_OK;
    pare_status st = pare_background_wait(e->background, err);
    e->loading = -1; /* not before: the task reads it */
    return st;
}

pare_status pare_engine_segment_begin(pare_engine *e, int64_t segment, pare_err *err)
{
    pare_status st;
    if (!e->streaming) return PARE_OK;
    PARE_TRY(wait_background(e, err));
    PARE_TRY(load_segment(e, segment, err));
    const pare_segment *s = &e->segments.at[segment];
    if (!e->overlap || s->asks || !has_next(e, segment)) goto out;
    e->loading = segment + 1;
    if ((st = pare_background_start(e->background, load_in_background, e, err)) != PARE_OK) e->loading = -1;
out:
    return st;
}

pare_status pare_engine_sliced(const pare_exec *x, pare_gw w, int64_t n, const float *in, float *y, pare_err *err)
{
    pare_engine *e = x->engine;
    const pare_eweight *whole = &e->weights[w];
    const int64_t rows = whole->from.shape[0];
    pare_status st = PARE_OK;
    for (int64_t first = 0; first < rows && st == PARE_OK; first += whole->slice_rows) {
        pare_linear slice = { 0 };
        const pare_linear *at = &slice;
        pare_gweight part = whole->from;
        part.shape[0] = rows - first < whole->slice_rows ? rows - first : whole->slice_rows;
        part.of_rows = part.of_rows > 0 ? part.of_rows : rows;
        part.row0 += first * (part.row_step > 1 ? part.row_step : 1);
        if ((st = e->source.linear(e->source.user, e->ctx, &part, &slice, err)) != PARE_OK) break;
        st = pare_linear_forward(e->ctx, &at, 1, e->options.compute, n, in, part.shape[1], (float *[]){ y + first }, &rows, x->ws, err);
        pare_linear_clear(&slice);
        if (e->source.drop) e->source.drop(e->source.user, &part);
    }
    return st;
}

static bool in_segment(const pare_engine *e, int64_t index, pare_gw w)
{
    const pare_segment *s = &e->segments.at[index];
    for (int64_t k = 0; k < s->w_n; k++)
        if (e->segment_weights.at[s->w_first + k] == w) return true;
    return false;
}

pare_status pare_engine_segment_end(pare_engine *e, int64_t segment, pare_err *err)
{
    if (!e->streaming) return PARE_OK;
    pare_status st = wait_background(e, err);
    const pare_segment *s = &e->segments.at[segment];
    const bool next = has_next(e, segment);
    for (int64_t k = 0; k < s->w_n; k++) {
        const pare_gw w = e->segment_weights.at[s->w_first + k];
        if (!next || !in_segment(e, segment + 1, w)) drop_matrix(e, &e->weights[w]);
    }
    return st;
}

void pare_engine_unload(pare_engine *e)
{
    if (!e->streaming) return;
    wait_background(e, NULL);
    for (size_t i = 0; i < e->graph->weights.n; i++) {
        pare_eweight *x = &e->weights[i];
        drop_matrix(e, x);
        if (x->from.role == PARE_GW_TABLE && x->table_used && e->source.drop) e->source.drop(e->source.user, &x->from);
        x->table_used = false;
    }
}

void pare_engine_clear_weights(pare_engine *e)
{
    if (e->background) {
        pare_background_free(e->background); /* waits */
        e->background = NULL;
        e->loading = -1;
    }
    for (size_t i = 0; e->weights && i < e->graph->weights.n; i++) {
        if (e->weights[i].loaded) pare_linear_clear(&e->weights[i].linear);
        pare_dealloc(e->weights[i].vector);
    }
    pare_dealloc(e->weights);
    e->weights = NULL;
}
