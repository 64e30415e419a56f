/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folds: a value x that only linear layers read is followed backwards, column by column, through ops that let a division through (pare_gop.divide), until a
 * weight is met that can carry it: y = W x = (W diag(s)) (x / s). On the way nothing else may see what is divided.
 *
 * A mixture of experts is one node: its up and down are a fold of each expert (up's rows, down's columns). The value that it reads is none: the
 * router reads it, too, and is not quantized.
 */
#include "graph/fold.h"
#include <string.h>
#include "graph/op.h"

enum { MOST_STEPS = 16 }; /* of a path backwards */

typedef struct finder {
    const pare_graph *g;
    pare_folds *out;
    int32_t *weight_uses;     /* [weights]: nodes that name it */
} finder;

/* Is the value something that the caller of the graph sees? */
static bool is_result(const pare_graph *g, pare_gv v) { return v == g->hidden_out || v == g->logits || v == g->pooled; }

/* All readers of v are linear layers (never a head): they are appended. */
static bool linear_readers(const finder *f, pare_gv v, pare_fold_reader *readers, int most, int *n)
{
    *n = 0;
    for (size_t i = 0; i < f->g->nodes.n; i++) {
        const pare_gnode *node = &f->g->nodes.at[i];
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] != v) continue;
            if (node->op != &pare_gop_linear) return false;
            const int count = ((const pare_op_linear *)node->attr)->count;
            for (int w = 0; w < count; w++) {
                if (f->g->weights.at[node->w[w]].role != PARE_GW_LINEAR || *n == most) return false;
                readers[(*n)++] = (pare_fold_reader){ node->w[w], (int32_t)i, w };
            }
        }
    }
    return *n > 0;
}

/* May the columns map[0 ... n) of v change although others read v? Only where those take other columns out of it. */
static bool others_spared(const finder *f, pare_gv v, int32_t reader, const int64_t *map, int64_t n)
{
    const int64_t cols = pare_g_cols(f->g, v);
    uint8_t *taken = pare_alloc_zero((size_t)cols, 1);
    bool spared = taken != NULL;
    for (int64_t c = 0; spared && c < n; c++) taken[map[c]] = 1;
    for (size_t i = 0; i < f->g->nodes.n && spared; i++) {
        const pare_gnode *node = &f->g->nodes.at[i];
        for (int k = 0; k < node->n_in && spared; k++) {
            pare_gdivide how;
            if (node->in[k] != v) continue;
            if ((int32_t)i == reader) {
                spared = k == 0 || node->in[0] != v; /* the same value as another input of the reader */
                continue;
            }
            spared = node->op->divide && node->op->divide(f->g, node, 0, &how) && !how.here && how.in == k && how.column;
            for (int64_t c = 0; spared && c < pare_g_cols(f->g, node->out[0]); c++) spared = !taken[how.column(node, c)];
        }
    }
    pare_dealloc(taken);
    return spared && !is_result(f->g, v);
}

/* Which inputs of the reader are v besides the one that the path goes through? None may be. */
static bool read_once(const pare_gnode *node, int in)
{
    for (int k = 0; k < node->n_in; k++)
        if (k != in && node->in[k] == node->in[in]) return false;
    return true;
}

/* A weight whose stored form can be divided: its own tensor, as it is, used once. */
static bool can_carry(const finder *f, pare_gw w)
{
    const pare_gweight *x = &f->g->weights.at[w];
    if (f->weight_uses[w] != 1 || x->tied >= 0 || x->transposed || x->of_rows > 0 || x->of_count > 0 || x->optional) return false;
    for (size_t i = 0; i < f->g->weights.n; i++)
        if (f->g->weights.at[i].tied == w) return false;
    return true;
}

/* Follows the value back; map[c]: column of the value at hand that column c of the first one comes from. false: it ends nowhere. */
static bool follow(const finder *f, pare_gv v, int64_t *map, int64_t n, pare_gdivide *end)
{
    int32_t reader = -1;
    for (int step = 0; step < MOST_STEPS; step++) {
        const pare_gvalue *value = &f->g->values.at[v];
        if (value->node < 0) return false;
        const pare_gnode *node = &f->g->nodes.at[value->node];
        if (step > 0 && !others_spared(f, v, reader, map, n)) return false;
        if (!node->op->divide || !node->op->divide(f->g, node, value->out, end)) return false;
        if (end->here) return can_carry(f, end->weight) && (end->bias < 0 || f->weight_uses[end->bias] == 1);
        if (!read_once(node, end->in)) return false;
        for (int64_t c = 0; c < n && end->column; c++) map[c] = end->column(node, map[c]);
        reader = value->node;
        v = node->in[end->in];
    }
    return false;
}

static pare_status add_fold(finder *f, const pare_gdivide *end, const int64_t *map, int64_t cols, const pare_fold_reader *readers, int n, int layer, pare_err *err)
{
    pare_fold fold = { .layer = layer, .cols = cols, .by = end->weight, .by_bias = end->bias, .by_rows = end->rows, .add = end->add, .n_readers = n };
    pare_fold_reader *copy = pare_arena_alloc(&f->out->arena, (size_t)n * sizeof *copy);
    int32_t *rows = end->rows ? pare_arena_alloc(&f->out->arena, (size_t)cols * sizeof *rows) : NULL;
    if (!copy || (end->rows && !rows)) return pare_no_memory(err, "folds", (size_t)cols * sizeof *rows);
    memcpy(copy, readers, (size_t)n * sizeof *copy);
    for (int64_t c = 0; c < cols && rows; c++) rows[c] = (int32_t)map[c];
    fold.readers = copy;
    fold.row_of = rows;
    return PARE_VEC_PUSH(&f->out->at, fold) ? PARE_OK : pare_no_memory(err, "folds", sizeof fold);
}

static pare_status fold_of_value(finder *f, pare_gv v, pare_err *err)
{
    enum { MOST_READERS = 64 };
    pare_fold_reader readers[MOST_READERS];
    pare_gdivide end;
    int n;
    pare_status st = PARE_OK;
    if (is_result(f->g, v) || !linear_readers(f, v, readers, MOST_READERS, &n)) return PARE_OK;
    const int64_t cols = pare_g_cols(f->g, v);
    if (f->g->weights.at[readers[0].weight].shape[1] != cols) return PARE_OK; /* rows cut into several */
    int64_t *map = pare_alloc((size_t)cols * sizeof *map);
    if (!map) return pare_no_memory(err, "folds", (size_t)cols * sizeof *map);
    for (int64_t c = 0; c < cols; c++) map[c] = c;
    if (follow(f, v, map, cols, &end)) st = add_fold(f, &end, map, cols, readers, n, f->g->nodes.at[readers[0].node].layer, err);
    pare_dealloc(map);
    return st;
}

/* down(act(gate x) * (up x)) of each expert. */
static pare_status folds_of_mixture(finder *f, int32_t index, pare_err *err)
{
    const pare_gnode *node = &f->g->nodes.at[index];
    const int64_t ffn = ((const pare_moe *)node->attr)->ffn, experts = ((const pare_moe *)node->attr)->experts;
    if (((const pare_moe *)node->attr)->limit > 0) return PARE_OK; /* up is clamped and 1 is added: it cannot be divided */
    int64_t *map = pare_alloc((size_t)ffn * sizeof *map);
    pare_status st = map ? PARE_OK : pare_no_memory(err, "folds", (size_t)ffn * sizeof *map);
    for (int64_t c = 0; c < ffn && map; c++) map[c] = c;
    for (int e = 0; e < (int)experts && st == PARE_OK; e++) {
        const pare_gdivide end = { .here = true, .weight = node->w[2 + 3 * e], .bias = PARE_G_NONE, .rows = true };
        const pare_fold_reader down = { node->w[3 + 3 * e], index, 3 + 3 * e };
        if (can_carry(f, end.weight)) st = add_fold(f, &end, map, ffn, &down, 1, node->layer, err);
    }
    pare_dealloc(map);
    return st;
}

pare_status pare_graph_folds(const pare_graph *g, pare_folds *out, pare_err *err)
{
    finder f = { .g = g, .out = out };
    pare_status st = PARE_OK;
    memset(out, 0, sizeof *out);
    if (!(f.weight_uses = pare_alloc_zero(g->weights.n + 1, sizeof *f.weight_uses))) return pare_no_memory(err, "folds", g->weights.n * sizeof *f.weight_uses);
    for (size_t i = 0; i < g->nodes.n; i++)
        for (int k = 0; k < g->nodes.at[i].n_w; k++)
            if (g->nodes.at[i].w[k] >= 0) f.weight_uses[g->nodes.at[i].w[k]]++;
    for (size_t i = 0; i < g->nodes.n && st == PARE_OK; i++) {
        const pare_gnode *node = &g->nodes.at[i];
        if (node->op == &pare_gop_moe) st = folds_of_mixture(&f, (int32_t)i, err);
        else if (node->op == &pare_gop_linear) {
            bool seen = false; /* a value that an earlier node reads, too, was asked about there */
            for (size_t k = 0; k < i && !seen; k++) seen = g->nodes.at[k].op == &pare_gop_linear && g->nodes.at[k].in[0] == node->in[0];
            if (!seen) st = fold_of_value(&f, node->in[0], err);
        }
    }
    pare_dealloc(f.weight_uses);
    if (st != PARE_OK) pare_folds_clear(out);
    return st;
}

void pare_folds_clear(pare_folds *f)
{
    PARE_VEC_CLEAR(&f->at);
    pare_arena_clear(&f->arena);
}
