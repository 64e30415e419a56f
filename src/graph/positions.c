/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What depends on positions alone and is shared by nodes: cosines and sines of rotary embeddings, T5's relative biases, Falcon's ALiBi. Nodes whose
 * frequencies are equal share one table, so a model of 32 layers works out each angle once a chunk.
 *
 * Angles are float32 products, position * inv_freq, as PyTorch models compute them; then cos, sin, times `scale`.
 */
#include <math.h>
#include <string.h>

#include "graph/engine.h"

/* -------------------------------------------------------------------------------------------------------------- planning */

static bool same_freq(const float *a, const float *b, int64_t n) { return a == b || (a && b && !memcmp(a, b, (size_t)n * sizeof *a)); }

static bool same_rope(const pare_rope *a, const pare_rope *b)
{
    return a->dim == b->dim && a->original == b->original && a->theta == b->theta && a->dynamic == b->dynamic && a->factor == b->factor && a->scale == b->scale &&
           a->long_scale == b->long_scale && same_freq(a->inv_freq, b->inv_freq, a->dim / 2) && same_freq(a->long_inv_freq, b->long_inv_freq, a->dim / 2);
}

static pare_status plan_rope(pare_engine *e, const pare_rope *r, int32_t *index, pare_err *err)
{
    for (size_t i = 0; i < e->ropes.n; i++)
        if (same_rope(&e->ropes.at[i].rope, r)) {
            *index = (int32_t)i;
            return PARE_OK;
        }
    if (!PARE_VEC_PUSH(&e->ropes, ((pare_rope_table){ .rope = *r }))) return pare_no_memory(err, "rotary tables", sizeof(pare_rope_table));
    *index = (int32_t)e->ropes.n - 1;
    return PARE_OK;
}

static pare_status plan_bias(pare_engine *e, const pare_gnode *node, int32_t *index, pare_err *err)
{
    const pare_attention *a = node->attr;
    const pare_gw w = a->rel_buckets > 0 ? node->w[0] : PARE_G_NONE;
    const float *slopes = a->rel_buckets > 0 ? NULL : a->alibi;
    for (size_t i = 0; i < e->biases.n; i++) {
        const pare_bias_table *b = &e->biases.at[i];
        if (b->w == w && b->buckets == a->rel_buckets && b->distance == a->rel_distance && b->both == a->rel_bidirectional && b->slopes == slopes &&
            b->factor == a->alibi_bf16) {
            *index = (int32_t)i;
            return PARE_OK;
        }
    }
    const pare_bias_table b = { .w = w, .buckets = a->rel_buckets, .distance = a->rel_distance, .heads = a->heads, .both = a->rel_bidirectional,
                                .slopes = slopes, .factor = a->alibi_bf16 };
    if (!PARE_VEC_PUSH(&e->biases, b)) return pare_no_memory(err, "bias tables", sizeof b);
    *index = (int32_t)e->biases.n - 1;
    return PARE_OK;
}

pare_status pare_tables_plan(pare_engine *e, pare_err *err)
{
    pare_status st;
    const pare_graph *g = e->graph;
    e->node_table = pare_alloc_zero(g->nodes.n, sizeof *e->node_table);
    if (!e->node_table) return pare_no_memory(err, "engine", g->nodes.n * sizeof *e->node_table);
    for (size_t i = 0; i < g->nodes.n; i++) {
        const pare_gnode *node = &g->nodes.at[i];
        e->node_table[i] = -1;
        if (node->op == &pare_gop_rope && (st = plan_rope(e, node->attr, &e->node_table[i], err)) != PARE_OK) return st;
        if (node->op != &pare_gop_attention) continue;
        const pare_attention *a = node->attr;
        if ((a->rel_buckets > 0 || a->alibi_bf16 > 0) && (st = plan_bias(e, node, &e->node_table[i], err)) != PARE_OK) return st;
    }
    return PARE_OK;
}

uint64_t pare_tables_rope_floats(const pare_engine *e, int64_t tokens)
{
    uint64_t n = 0;
    for (size_t i = 0; i < e->ropes.n; i++) n += (uint64_t)tokens * (uint64_t)e->ropes.at[i].rope.dim;
    return n;
}

void pare_tables_clear(pare_engine *e)
{
    for (size_t i = 0; i < e->ropes.n; i++) pare_dealloc_aligned(e->ropes.at[i].cos);
    for (size_t i = 0; i < e->biases.n; i++) pare_dealloc(e->biases.at[i].at);
    PARE_VEC_CLEAR(&e->ropes);
    PARE_VEC_CLEAR(&e->biases);
    pare_dealloc(e->node_table);
    e->node_table = NULL;
}

/* ---------------------------------------------------------------------------------------------------------------- rotary */

/*
 * Frequencies of a sequence of `total` positions. Dynamic NTK: beyond the original length the base grows,
 *   base = theta * (factor * total / original - (factor - 1)) ^ (dim / (dim - 2)),  inv_freq[i] = base ^ (-2i / dim).
 */
typedef struct freqs { float made[PARE_ROPE_MAX / 2]; } freqs;

static const float *frequencies(const pare_rope *r, int64_t total, freqs *room, float *scale)
{
    *scale = r->scale;
    if (r->long_inv_freq && total > r->original) {
        *scale = r->long_scale;
        return r->long_inv_freq;
    }
    if (!r->dynamic || total <= r->original || r->dim < 4) return r->inv_freq;
    const double dim = (double)r->dim, grown = (double)r->factor * (double)total / (double)r->original - ((double)r->factor - 1.0);
    const float base = (float)((double)r->theta * pow(grown, dim / (dim - 2.0)));
    for (int64_t i = 0; i < r->dim / 2; i++) room->made[i] = 1.0f / powf(base, (float)(2 * i) / (float)r->dim);
    return room->made;
}

static void fill_rope(const pare_exec *x, pare_rope_table *table)
{
    freqs room;
    const int64_t half = table->rope.dim / 2;
    for (int64_t s = 0; s < x->sequences; s++) {
        float scale;
        const pare_run *run = &x->runs[s];
        const float *f = frequencies(&table->rope, run->total, &room, &scale);
        for (int64_t t = run->row0; t < run->row0 + run->n; t++)
            for (int64_t i = 0; i < half; i++) {
                const float angle = (float)x->pos[t] * f[i];
                table->cos[t * half + i] = cosf(angle) * scale;
                table->sin[t * half + i] = sinf(angle) * scale;
            }
    }
}

/* --------------------------------------------------------------------------------------------------------- T5's buckets */

/* Raffel et al. 2020: near distances have a bucket each, far ones share buckets that grow with the logarithm. Float32 as the published models. */
static int64_t bucket_of(const pare_bias_table *b, int64_t distance)
{
    int64_t buckets = b->buckets, first = 0;
    if (b->both) {
        buckets /= 2;
        if (distance > 0) first = buckets;
        distance = distance < 0 ? -distance : distance;
    } else {
        distance = distance < 0 ? -distance : 0;
    }
    const int64_t exact = buckets / 2;
    if (distance < exact) return first + distance;
    const float far = logf((float)distance / (float)exact) / (float)log((double)b->distance / (double)exact) * (float)(buckets - exact);
    const int64_t at = exact + (int64_t)far;
    return first + (at < buckets - 1 ? at : buckets - 1);
}

static void fill_buckets(const pare_bias_table *b, const float *table /* [buckets, heads] */, int64_t reach, float *at)
{
    const int64_t width = 2 * reach + 1;
    for (int64_t d = -reach; d <= reach; d++) {
        const int64_t bucket = bucket_of(b, d);
        for (int64_t h = 0; h < b->heads; h++) at[h * width + d + reach] = table[bucket * b->heads + h];
    }
}

static float rounded(float x) { return pare_bf16_to_f32(pare_f32_to_bf16(x)); }

/* Falcon multiplies slopes and positions as bfloat16: far keys share a bias. */
static void fill_slopes(const pare_bias_table *b, int64_t reach, float *at)
{
    for (int64_t h = 0; h < b->heads; h++)
        for (int64_t j = 0; j <= reach; j++) at[h * (reach + 1) + j] = b->factor * rounded(rounded(b->slopes[h]) * rounded((float)j));
}

/* Biases for all distances up to `reach`; made again, twice as long, when a sequence outgrows them. */
static pare_status fill_bias(pare_engine *e, pare_bias_table *b, int64_t reach, pare_err *err)
{
    int64_t grown = b->reach ? b->reach : 64;
    if (b->reach >= reach) return PARE_OK;
    while (grown < reach) grown *= 2;
    const int64_t width = b->slopes ? grown + 1 : 2 * grown + 1;
    float *at;
    pare_status st = pare_alloc_try((size_t)(width * b->heads) * sizeof *at, "relative biases", (void **)&at, err);
    if (st != PARE_OK) return st;
    if (b->slopes) fill_slopes(b, grown, at);
    else fill_buckets(b, e->weights[b->w].vector, grown, at);
    pare_dealloc(b->at);
    b->at = at;
    b->reach = grown;
    return PARE_OK;
}

pare_status pare_tables_fill(pare_engine *e, pare_err *err)
{
    const pare_exec *x = &e->x;
    int64_t longest = 0;
    for (size_t i = 0; i < e->ropes.n; i++) fill_rope(x, &e->ropes.at[i]);
    for (int64_t s = 0; s < x->sequences; s++)
        if (x->runs[s].pos0 + x->runs[s].n > longest) longest = x->runs[s].pos0 + x->runs[s].n;
    for (size_t i = 0; i < e->biases.n; i++) {
        pare_status st = fill_bias(e, &e->biases.at[i], longest, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}
