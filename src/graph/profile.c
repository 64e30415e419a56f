/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where time goes: seconds, calls, bytes of weights (of attention: of keys and values) and multiply-adds of every node, added up by op and by what the
 * node's weights are called ("q_proj k_proj v_proj"), so that layers of one kind share a row.
 */
#include <string.h>

#include "graph/engine.h"

static uint64_t u(int64_t x) { return (uint64_t)x; }

static void note_attention(const pare_engine *e, const pare_attention *a, pare_node_time *t)
{
    const uint64_t unit = a->cache >= 0 ? pare_dtype_bytes(e->caches[a->cache].dtype, 1) : sizeof(float);
    for (int64_t s = 0; s < e->x.sequences; s++) {
        const pare_run *r = &e->x.runs[s];
        const int64_t end = a->cross ? e->memory_rows[r->seq] : r->pos0 + r->n;
        uint64_t pairs = 0;
        for (int64_t p = r->pos0; p < r->pos0 + r->n; p++) {
            int64_t n = a->causal ? p + 1 : end;
            if (!a->cross && a->window && n > a->window) n = a->causal || n < 2 * a->window ? a->window : 2 * a->window - 1;
            pairs += u(n);
        }
        t->macs += pairs * u(a->heads) * u(a->dim + a->v_dim);
        t->bytes += u(!a->cross && a->causal && a->window && end > a->window + r->n ? a->window + r->n : end) * u(a->kv_heads) * u(a->dim + a->v_dim) * unit;
    }
}

void pare_profile_note(pare_engine *e, int32_t index, double seconds)
{
    const pare_gnode *n = &e->graph->nodes.at[index];
    pare_node_time *t = &e->times[index];
    t->seconds += seconds;
    t->calls++;
    if (n->op == &pare_gop_attention) note_attention(e, n->attr, t);
    const pare_moe *moe = n->op == &pare_gop_moe ? n->attr : NULL;
    const int64_t rows = n->n_in ? pare_x_rows(&e->x, n->in[0]) : 0;
    for (int i = 0; i < n->n_w; i++) {
        const pare_eweight *w = n->w[i] < 0 ? NULL : &e->weights[n->w[i]];
        if (!w || !w->matrix) continue;
        if (!moe || i == 0) {
            t->bytes += w->linear.bytes;
            t->macs += u(rows) * u(w->numel);
        } else { /* the share of a token's experts; of many tokens, at most all */
            const uint64_t chosen = u(rows * moe->top) < u(moe->experts) ? u(rows * moe->top) : u(moe->experts);
            t->bytes += w->linear.bytes * chosen / u(moe->experts);
            t->macs += u(rows) * u(moe->top) * u(w->numel) / u(moe->experts);
        }
    }
}

double pare_engine_macs(const pare_engine *e)
{
    double macs = 0;
    for (size_t i = 0; i < e->graph->nodes.n; i++) {
        const pare_gnode *n = &e->graph->nodes.at[i];
        const pare_moe *moe = n->op == &pare_gop_moe ? n->attr : NULL;
        for (int w = 0; w < n->n_w; w++) {
            if (n->w[w] < 0 || !e->weights[n->w[w]].matrix || e->graph->weights.at[n->w[w]].role == PARE_GW_HEAD) continue;
            macs += (double)e->weights[n->w[w]].numel * (moe && w > 0 ? (double)moe->top / (double)moe->experts : 1.0);
        }
    }
    return macs;
}

/* "model.layers.3.mlp.up_proj.weight" -> "up_proj". */
static const char *short_name(const char *name, size_t *n)
{
    const char *end = name + strlen(name), *begin;
    if (pare_str_ends(name, ".weight")) end -= strlen(".weight");
    for (begin = end; begin > name && begin[-1] != '.'; begin--) {}
    *n = (size_t)(end - begin);
    return begin;
}

/* In the engine's arena; "" without matrices, or without memory. */
static const char *what_of(pare_engine *e, const pare_gnode *node)
{
    pare_str s = { 0 };
    const char *text = "";
    for (int i = 0; i < node->n_w && i < 4; i++) {
        size_t n;
        if (node->w[i] < 0 || !e->weights[node->w[i]].matrix) continue;
        const char *name = short_name(e->graph->weights.at[node->w[i]].name, &n);
        if (s.n) pare_str_add(&s, " ");
        pare_str_addn(&s, name, n);
    }
    if (s.n && !s.failed) text = pare_arena_strdup(&e->names, s.at);
    pare_str_clear(&s);
    return text ? text : "";
}

/* Rows of this engine after the n that are there. */
static int64_t add_rows(pare_engine *e, pare_profile_row *rows, int64_t n, int64_t max)
{
    for (size_t i = 0; e->times && i < e->graph->nodes.n; i++) {
        const pare_gnode *node = &e->graph->nodes.at[i];
        const pare_node_time *t = &e->times[i];
        int64_t at = 0;
        if (!t->calls) continue;
        const char *what = what_of(e, node);
        while (at < n && (strcmp(rows[at].op, node->op->name) || strcmp(rows[at].what, what))) at++;
        if (at == n) {
            if (n == max) continue;
            rows[n++] = (pare_profile_row){ .op = node->op->name, .what = what };
        }
        rows[at].seconds += t->seconds;
        rows[at].calls += t->calls;
        rows[at].bytes += t->bytes;
        rows[at].macs += t->macs;
    }
    return n;
}

int64_t pare_engine_profile(const pare_engine *engine, pare_profile_row *rows, int64_t max)
{
    pare_engine *e = (pare_engine *)(uintptr_t)engine; /* only its arena of names changes */
    int64_t n = 0;
    pare_arena_clear(&e->names);
    if (e->encoder) {
        pare_arena_clear(&e->encoder->names);
        n = add_rows(e->encoder, rows, n, max);
    }
    return add_rows(e, rows, n, max);
}

void pare_engine_profile_reset(pare_engine *e)
{
    if (e->times) memset(e->times, 0, e->graph->nodes.n * sizeof *e->times);
    if (e->encoder) pare_engine_profile_reset(e->encoder);
}
