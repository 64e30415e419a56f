/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mixture of experts: a router scores the experts for each token, the `top` best compute down(act(gate x) * (up x)), and their results are
 * added with the router's weights. Tokens are gathered by expert, so that each chosen expert's weights are read once a chunk; results are added
 * in the order of experts. Weights: router [experts, in], then for each expert gate [ffn, in], up [ffn, in], down [in, ffn]; biases last.
 * gpt-oss clamps gate and up and computes (up + 1) * gate * sigmoid(alpha gate), which is (up + 1) * silu(alpha gate) / alpha.
 */
#include <math.h>
#include <string.h>

#include "graph/engine.h"

enum { MOST_EXPERTS = 4096, MOST_CHOSEN = 64 };

static pare_status check_matrix(const pare_graph *g, const pare_gnode *node, int i, int64_t rows, int64_t cols, pare_err *err)
{
    char text[96];
    const pare_gweight *w = node->w[i] < 0 ? NULL : &g->weights.at[node->w[i]];
    if (!w || (w->role != PARE_GW_LINEAR && w->role != PARE_GW_HEAD)) return pare_fail(err, PARE_ERR_USAGE, "weight %d is no matrix", i);
    if (w->shape[0] != rows || w->shape[1] != cols)
        return pare_fail(err, PARE_ERR_FORMAT, "'%s' is %s, not [%lld, %lld]", w->name, pare_g_weight_shape_text(w, text), (long long)rows, (long long)cols);
    return PARE_OK;
}

static int first_bias(const pare_moe *m) { return (int)(1 + 3 * m->experts); }

static pare_status check_biases(const pare_graph *g, const pare_gnode *node, int64_t in, pare_err *err)
{
    const pare_moe *m = node->attr;
    const int64_t want[3][2] = { { m->experts, 1 }, { m->experts, 2 * m->ffn }, { m->experts, in } };
    char text[96];
    for (int i = 0; i < 3; i++) {
        const int32_t at = node->w[first_bias(m) + i];
        const pare_gweight *w = at < 0 ? NULL : &g->weights.at[at];
        if (!w || w->role != PARE_GW_VECTOR) return pare_fail(err, PARE_ERR_USAGE, "weight %d is no bias", first_bias(m) + i);
        if (w->shape[0] != want[i][0] || (w->ndim > 1 ? w->shape[1] : 1) != want[i][1])
            return pare_fail(err, PARE_ERR_FORMAT, "'%s' is %s, not [%lld, %lld]", w->name, pare_g_weight_shape_text(w, text), (long long)want[i][0], (long long)want[i][1]);
    }
    return PARE_OK;
}

static pare_status shape(pare_graph *g, pare_gnode *node, pare_err *err)
{
    const pare_moe *m = node->attr;
    pare_status st;
    if (m->experts < 1 || m->experts > MOST_EXPERTS || m->top < 1 || m->top > m->experts || m->top > MOST_CHOSEN || m->ffn < 1 || m->ffn > INT32_MAX)
        return pare_fail(err, PARE_ERR_FORMAT, "%lld of %lld experts of %lld", (long long)m->top, (long long)m->experts, (long long)m->ffn);
    PARE_TRY(pare_op_arity(g, node, 1, first_bias(m) + (m->bias ? 3 : 0), 1, err));
    const int64_t in = pare_g_cols(g, node->in[0]);
    PARE_TRY(check_matrix(g, node, 0, m->experts, in, err));
    for (int e = 0; e < (int)m->experts; e++) {
        PARE_TRY(check_matrix(g, node, 1 + 3 * e, m->ffn, in, err));
        PARE_TRY(check_matrix(g, node, 2 + 3 * e, m->ffn, in, err));
        PARE_TRY(check_matrix(g, node, 3 + 3 * e, in, m->ffn, err));
    }
    if (m->bias) PARE_TRY(check_biases(g, node, in, err));
    st = pare_op_same_shape(g, node, err);
out:
    return st;
}

/* Floats of scratch for one token: scores, gathered input, gate and up, result; and its choices. */
static bool row_floats(const pare_gnode *node, int64_t in, int64_t *floats)
{
    const pare_moe *m = node->attr;
    return !__builtin_add_overflow(m->experts + 2 * in + 3 * m->top, 2 * m->ffn, floats);
}

static bool scratch(const pare_graph *g, const pare_gnode *node, int64_t rows, size_t *bytes)
{
    int64_t floats;
    if (!row_floats(node, pare_g_cols(g, node->in[0]), &floats)) return false;
    return pare_mul_size((size_t)floats, (size_t)rows * sizeof(float), bytes);
}

typedef struct moe_run {
    const pare_moe *m;
    const pare_kernels *k;
    const float *bias[3];                                 /* of router, gate and up in turns, down; or NULL */
    int32_t expert;                                       /* at hand */
    int64_t n, in;
    float *scores, *gathered, *gate, *up, *down, *weight; /* weight [n][top] */
    int32_t *chosen, *rows;                               /* chosen [n][top] ascending by expert; rows [n] of the expert at hand */
} moe_run;

/* Best experts of one token, the lower number first where scores are equal; then in ascending order of number. */
static void choose(const moe_run *s, int64_t t)
{
    const pare_moe *m = s->m;
    float *score = s->scores + t * m->experts, *weight = s->weight + t * m->top;
    int32_t *chosen = s->chosen + t * m->top;
    for (int64_t e = 0; e < m->experts && m->bias; e++) score[e] += s->bias[0][e];
    if (m->sigmoid)
        for (int64_t e = 0; e < m->experts; e++) score[e] = 1.0f / (1.0f + expf(-score[e]));
    else if (m->softmax_first)
        s->k->softmax(score, m->experts);
    for (int64_t i = 0; i < m->top; i++) {
        int64_t at = i;
        int32_t best = -1;
        for (int32_t e = 0; e < m->experts; e++) {
            bool taken = false;
            for (int64_t o = 0; o < i && !taken; o++) taken = chosen[o] == e;
            if (!taken && (best < 0 || score[e] > score[best])) best = e;
        }
        while (at > 0 && chosen[at - 1] > best) { /* kept sorted by number */
            chosen[at] = chosen[at - 1];
            at--;
        }
        chosen[at] = best;
    }
    for (int64_t i = 0; i < m->top; i++) weight[i] = score[chosen[i]];
    if (!m->sigmoid && !m->softmax_first) s->k->softmax(weight, m->top);
    if (m->renormalize) {
        float sum = 0;
        for (int64_t i = 0; i < m->top; i++) sum += weight[i];
        for (int64_t i = 0; i < m->top; i++) weight[i] /= sum;
    }
    for (int64_t i = 0; i < m->top; i++) weight[i] *= m->scale;
}

static void choose_rows(const void *arg, int64_t row0, int64_t rows)
{
    for (int64_t t = row0; t < row0 + rows; t++) choose(arg, t);
}

static void add_biases(const void *arg, int64_t row0, int64_t rows)
{
    const moe_run *s = arg;
    const int64_t ffn = s->m->ffn;
    const float *bias = s->bias[1] + s->expert * 2 * ffn;
    for (int64_t r = row0; r < row0 + rows; r++)
        for (int64_t i = 0; i < ffn; i++) {
            s->gate[r * ffn + i] += bias[2 * i];
            s->up[r * ffn + i] += bias[2 * i + 1];
        }
}

static void add_down_bias(const void *arg, int64_t row0, int64_t rows)
{
    const moe_run *s = arg;
    const float *bias = s->bias[2] + s->expert * s->in;
    for (int64_t r = row0; r < row0 + rows; r++) s->k->add_f32(s->down + r * s->in, s->down + r * s->in, bias, s->in);
}

static void gate_up_clamped(const void *arg, int64_t row0, int64_t rows)
{
    const moe_run *s = arg;
    const int64_t n = rows * s->m->ffn;
    const float limit = s->m->limit, alpha = s->m->alpha;
    float *gate = s->gate + row0 * s->m->ffn;
    const float *up = s->up + row0 * s->m->ffn;
    for (int64_t i = 0; i < n; i++) gate[i] = (gate[i] > limit ? limit : gate[i]) * alpha; /* NaN stays */
    s->k->activate(gate, gate, n, PARE_ACT_FN_SILU);
    for (int64_t i = 0; i < n; i++) {
        const float u = up[i] < -limit ? -limit : up[i] > limit ? limit : up[i];
        gate[i] = (u + 1.0f) * (gate[i] / alpha);
    }
}

static void gate_up(const void *arg, int64_t row0, int64_t rows)
{
    const moe_run *s = arg;
    if (s->m->limit > 0) {
        gate_up_clamped(arg, row0, rows);
        return;
    }
    s->k->activate_mul(s->gate + row0 * s->m->ffn, s->gate + row0 * s->m->ffn, s->up + row0 * s->m->ffn, rows * s->m->ffn, s->m->act);
}

/* One expert over the tokens that chose it; its results are added to y. */
static pare_status run_expert(pare_exec *x, const pare_gnode *node, moe_run *s, int32_t expert, const float *in, float *y, pare_err *err)
{
    const pare_moe *m = s->m;
    const int w0 = 1 + 3 * expert;
    const pare_linear *gate_up_w[2] = { pare_x_linear(x, node->w[w0]), pare_x_linear(x, node->w[w0 + 1]) }, *down = pare_x_linear(x, node->w[w0 + 2]);
    pare_status st = PARE_OK;
    int64_t n = 0;
    for (int64_t t = 0; t < s->n; t++)
        for (int64_t i = 0; i < m->top; i++)
            if (s->chosen[t * m->top + i] == expert) {
                memcpy(s->gathered + n * s->in, in + t * s->in, (size_t)s->in * sizeof *in);
                s->rows[n++] = (int32_t)(t * m->top + i);
            }
    if (!n) goto out;
    s->expert = expert;
    x->engine->observed = s->rows;
    x->engine->observed_top = m->top;
    PARE_TRY(pare_linear_forward(x->ctx, gate_up_w, 2, x->compute, n, s->gathered, s->in, (float *[]){ s->gate, s->up }, (int64_t[]){ m->ffn, m->ffn }, x->ws, err));
    if (m->bias) PARE_TRY(pare_x_each(x, n, m->ffn, add_biases, s, err));
    PARE_TRY(pare_x_observe(x, node, w0, node->w[w0], n, s->gathered, s->gate, err));
    PARE_TRY(pare_x_observe(x, node, w0 + 1, node->w[w0 + 1], n, s->gathered, s->up, err));
    PARE_TRY(pare_x_each(x, n, m->ffn, gate_up, s, err));
    PARE_TRY(pare_linear_forward(x->ctx, &down, 1, x->compute, n, s->gate, m->ffn, (float *[]){ s->down }, &s->in, x->ws, err));
    if (m->bias) PARE_TRY(pare_x_each(x, n, s->in, add_down_bias, s, err));
    PARE_TRY(pare_x_observe(x, node, w0 + 2, node->w[w0 + 2], n, s->gate, s->down, err));
    for (int64_t i = 0; i < n; i++) {
        float *to = y + s->rows[i] / m->top * s->in;
        s->k->scale_add_f32(to, s->down + i * s->in, s->weight[s->rows[i]], to, s->in);
    }
out:
    x->engine->observed = NULL;
    return st;
}

static pare_status forward(pare_exec *x, const pare_gnode *node, pare_err *err)
{
    const pare_moe *m = node->attr;
    moe_run s = { .m = m, .k = x->k, .n = pare_x_rows(x, node->in[0]), .in = pare_x_cols(x, node->in[0]) };
    const float *in = pare_x_value(x, node->in[0]);
    float *y = pare_x_value(x, node->out[0]), *at = x->scratch;
    const pare_linear *router = pare_x_linear(x, node->w[0]);
    pare_status st;
    for (int i = 0; i < 3 && m->bias; i++) s.bias[i] = pare_x_vector(x, node->w[first_bias(m) + i]);
    s.scores = at, at += s.n * m->experts;
    s.gathered = at, at += s.n * s.in;
    s.gate = at, at += s.n * m->ffn;
    s.up = at, at += s.n * m->ffn;
    s.down = at, at += s.n * s.in;
    s.weight = at, at += s.n * m->top;
    s.chosen = (int32_t *)(void *)at, at += s.n * m->top;
    s.rows = (int32_t *)(void *)at;
    PARE_TRY(pare_linear_forward(x->ctx, &router, 1, x->compute, s.n, in, s.in, (float *[]){ s.scores }, (int64_t[]){ m->experts }, x->ws, err));
    PARE_TRY(pare_x_observe(x, node, 0, node->w[0], s.n, in, s.scores, err));
    PARE_TRY(pare_x_each(x, s.n, m->experts * m->top, choose_rows, &s, err));
    memset(y, 0, (size_t)(s.n * s.in) * sizeof *y);
    for (int32_t e = 0; e < m->experts; e++) PARE_TRY(run_expert(x, node, &s, e, in, y, err));
out:
    return st;
}

pare_gv pare_g_moe(pare_graph *g, pare_gv x, const pare_moe *moe, const pare_gw *w, int n_w)
{
    return pare_g_node(g, "moe", &x, 1, w, n_w, moe, sizeof *moe, NULL, 1);
}

const pare_gop pare_gop_moe = { .name = "moe", .help = "mixture of experts: the best experts of each token, added", .shape = shape, .forward = forward, .scratch = scratch };
