/* SPDX-License-Identifier: Apache-2.0 */
/* Building graphs: what is refused, with which sentence; and each op on numbers that can be worked out by hand or in a few lines. */
#include <math.h>

#include "toy.h"

enum { ROWS = 6, COLS = 8 };

static const float rows8[ROWS * COLS] = {
    1, 2, 3, 4, 5, 6, 7, 8,   -1, 1, -1, 1, -1, 1, -1, 1,  0, 0, 0, 0, 1, 0, 0, 0,
    .5f, .25f, -.5f, 2, 0, 3, -4, 1,  2, 2, 2, 2, 2, 2, 2, 2,  -3, 1, 4, -1, 5, -9, 2, -6,
};

/* --------------------------------------------------------------------------------------------------------------- errors */

static pare_graph *start(pare_gkind kind, pare_gv *x)
{
    pare_graph *g = pare_graph_new(kind, NULL);
    assert_non_null(g);
    g->vocab = ROWS;
    const pare_gw table = pare_g_weight(g, PARE_GW_TABLE, "table", 2, (int64_t[]){ ROWS, COLS });
    *x = pare_g_embed(g, pare_g_ids(g), table, 1);
    return g;
}

static void refused(pare_graph *g, pare_status code, const char *part)
{
    pare_err err;
    assert_error(pare_graph_finish(g, &err), code, part);
    pare_graph_free(g);
}

static void mistakes_are_found(void **state)
{
    (void)state;
    pare_gv x, y;
    pare_graph *g = start(PARE_G_ENCODER, &x);
    pare_g_layer(g, 4);
    y = pare_g_linear(g, x, "up", 3, 9, false);
    assert_int_equal(y, PARE_G_NONE);
    /* everything after the first failure is quiet, and changes nothing of the sentence */
    y = pare_g_rms_norm(g, y, "n", 1e-5f, 0);
    y = pare_g_layer_norm(g, y, "n", 1e-5f, true, true);
    y = pare_g_add(g, y, x);
    y = pare_g_columns(g, y, 0, 1, 1, 1);
    y = pare_g_softcap(g, y, 0);
    pare_g_w(g, pare_g_vector(g, "v", -4))->optional = true;
    assert_int_equal(y, PARE_G_NONE);
    g->hidden_out = y;
    refused(g, PARE_ERR_FORMAT, "graph: node 1, linear 'up.weight' of [tokens, 8] in layer 4: 'up.weight' [3, 9] cannot multiply [tokens, 8]");

    g = start(PARE_G_ENCODER, &x);
    pare_g_add(g, x, pare_g_columns(g, x, 0, 4, 4, 1));
    refused(g, PARE_ERR_FORMAT, "[tokens, 8] and [tokens, 4]: shapes differ");
    g = start(PARE_G_ENCODER, &x);
    pare_g_columns(g, x, 2, 3, 4, 2);
    refused(g, PARE_ERR_FORMAT, "2 blocks of 3 columns, 4 apart from 2 on, are not in [tokens, 8]");
    g = start(PARE_G_ENCODER, &x);
    pare_g_columns(g, x, INT64_MAX, INT64_MAX, INT64_MAX, 2);
    refused(g, PARE_ERR_FORMAT, "are not in");
    g = start(PARE_G_ENCODER, &x);
    pare_g_rms_norm_heads(g, x, "n", 3, 1e-5f, 0);
    refused(g, PARE_ERR_FORMAT, "does not fall into blocks of 3");
    g = start(PARE_G_ENCODER, &x);
    pare_g_add(g, x, 77);
    refused(g, PARE_ERR_USAGE, "input 1 is no value made before");
    g = start(PARE_G_ENCODER, &x);
    pare_g_add(g, x, pare_g_ids(g));
    refused(g, PARE_ERR_USAGE, "input 1 is i32");
    g = start(PARE_G_ENCODER, &x);
    pare_g_node(g, "conv9", &x, 1, NULL, 0, NULL, 0, NULL, 1);
    refused(g, PARE_ERR_USAGE, "there is no op 'conv9'");
    g = start(PARE_G_ENCODER, &x);
    pare_g_vector(g, "v", INT64_MAX);
    refused(g, PARE_ERR_FORMAT, "'v': shape [9223372036854775807] is not possible");
    g = start(PARE_G_ENCODER, &x);
    pare_g_weight(g, PARE_GW_LINEAR, "w", 2, (int64_t[]){ 1 << 30, 1 << 30 });
    refused(g, PARE_ERR_FORMAT, "is not possible");
    g = start(PARE_G_DECODER, &x);
    pare_g_pool(g, x, PARE_POOL_MEAN, true);
    refused(g, PARE_ERR_USAGE, "cannot be pooled");
    g = start(PARE_G_ENCODER, &x);
    pare_g_fail(g, PARE_ERR_UNSUPPORTED, "first %d", 1);
    pare_g_fail(g, PARE_ERR_FORMAT, "second");
    refused(g, PARE_ERR_UNSUPPORTED, "first 1");
}

static pare_gv attention_of(pare_graph *g, pare_gv x, pare_attention a, const pare_gw *w, int n_w)
{
    return pare_g_attention(g, x, x, x, &a, w, n_w);
}

static void attention_is_checked(void **state)
{
    (void)state;
    pare_gv x;
    const pare_attention good = { .heads = 2, .kv_heads = 2, .dim = 4, .v_dim = 4, .scale = 1, .causal = true, .cache = -1 };
    pare_attention a = good;
    pare_graph *g = start(PARE_G_DECODER, &x);
    attention_of(g, x, a, NULL, 0);
    refused(g, PARE_ERR_USAGE, "needs a cache");
    g = start(PARE_G_DECODER, &x);
    a.cache = pare_g_cache(g, 2, 4, 8, 0);
    attention_of(g, x, a, NULL, 0);
    refused(g, PARE_ERR_USAGE, "cache 0 is for 2 heads of 4 and 8");
    g = start(PARE_G_DECODER, &x);
    a.cache = pare_g_cache(g, 2, 4, 4, 0);
    attention_of(g, attention_of(g, x, a, NULL, 0), a, NULL, 0);
    refused(g, PARE_ERR_USAGE, "cache 0 is written by node 1 already");
    g = start(PARE_G_DECODER, &x);
    a.cache = pare_g_cache(g, 2, 4, 4, 0);
    a.causal = false;
    attention_of(g, x, a, NULL, 0);
    refused(g, PARE_ERR_USAGE, "needs causal attention");
    g = start(PARE_G_ENCODER, &x);
    a = good, a.kv_heads = 3;
    attention_of(g, x, a, NULL, 0);
    refused(g, PARE_ERR_FORMAT, "2 heads of 4 and 4 on 3 key/value heads");
    g = start(PARE_G_ENCODER, &x);
    a = good, a.cross = true;
    attention_of(g, x, a, NULL, 0);
    refused(g, PARE_ERR_FORMAT, "of the encoder");
    g = start(PARE_G_ENCODER, &x);
    a = good, a.rel_buckets = 32, a.rel_distance = 16;
    const pare_gw table = pare_g_weight(g, PARE_GW_VECTOR, "rel", 2, (int64_t[]){ 32, 2 });
    attention_of(g, x, a, &table, 1);
    refused(g, PARE_ERR_FORMAT, "32 buckets up to distance 16");
    g = start(PARE_G_ENCODER, &x);
    const pare_rope rope = { .heads = 2, .head_dim = 4, .dim = 6 };
    pare_g_rope(g, x, &rope);
    refused(g, PARE_ERR_FORMAT, "6 rotated columns from 0 on of heads of 4");
}

static void finished_graphs(void **state)
{
    (void)state;
    pare_gv x;
    pare_err err;
    pare_graph *g = pare_graph_new(PARE_G_DECODER, NULL);
    refused(g, PARE_ERR_USAGE, "it has no nodes");
    g = start(PARE_G_DECODER, &x);
    refused(g, PARE_ERR_USAGE, "it has no output");
    g = start(PARE_G_DECODER, &x);
    g->logits = pare_g_rows_last(g, x);
    g->vocab = 100;
    refused(g, PARE_ERR_FORMAT, "logits have 8 columns, the vocabulary 100");
    g = start(PARE_G_ENCODER, &x);
    g->hidden_out = pare_g_pool(g, x, PARE_POOL_CLS, false);
    refused(g, PARE_ERR_USAGE, "the hidden output has shape [sequences, 8]");
    g = start(PARE_G_DECODER, &x);
    pare_g_memory(g, 16);
    g->hidden_out = x;
    refused(g, PARE_ERR_USAGE, "without an encoder");
    g = start(PARE_G_DECODER, &x);
    g->hidden_out = x;
    g->encoder = start(PARE_G_ENCODER, &x);
    g->encoder->hidden_out = x;
    pare_g_memory(g, 16);
    refused(g, PARE_ERR_USAGE, "16 columns");
    g = start(PARE_G_ENCODER, &x);
    g->hidden_out = x;
    assert_ok(pare_graph_finish(g, &err));
    assert_ok(pare_graph_finish(g, &err));
    assert_int_equal(pare_g_scale(g, x, 2), PARE_G_NONE);
    pare_graph_free(g);
}

static void registry(void **state)
{
    (void)state;
    const pare_gop *const *ops = pare_gops();
    int n = 0;
    for (; ops[n]; n++) {
        assert_ptr_equal(pare_gop_find(ops[n]->name), ops[n]); /* names differ */
        assert_true(strlen(ops[n]->help) > 4);
        assert_non_null(ops[n]->shape);
        assert_non_null(ops[n]->forward);
    }
    assert_true(n >= 19);
    assert_null(pare_gop_find("matmul"));
}

/* ------------------------------------------------------------------------------------------------------------- one op */

typedef struct bench { toy_source s; pare_graph *g; pare_gv x; pare_engine *e; pare_ctx *ctx; } bench;

static void begin(bench *b)
{
    memset(b, 0, sizeof *b);
    b->ctx = toy_ctx(2);
    toy_set(&b->s, "table", 2, (int64_t[]){ ROWS, COLS }, rows8);
    b->g = start(PARE_G_ENCODER, &b->x);
}

static void end(bench *b)
{
    pare_engine_free(b->e);
    toy_clear(&b->s);
    pare_ctx_free(b->ctx);
}

static void make(bench *b, pare_gv y, const pare_engine_options *o)
{
    pare_err err = { 0 };
    const pare_gsource source = toy_gsource(&b->s);
    b->g->hidden_out = y;
    if (pare_engine_new(b->ctx, b->g, &source, o, &b->e, &err) != PARE_OK) fail_msg("%s", err.text);
}

/* Rows of y for the tokens 0 ... ROWS - 1, then all is freed. */
static void run(bench *b, pare_gv y, float *out)
{
    static const int32_t ids[ROWS] = { 0, 1, 2, 3, 4, 5 };
    const pare_batch batch = { .n = ROWS, .ids = ids };
    pare_err err = { 0 };
    make(b, y, NULL);
    if (pare_engine_step(b->e, &batch, out, &err) != PARE_OK) fail_msg("%s", err.text);
    end(b);
}

static void same(const float *got, const double *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= 1e-5 * (1 + fabs(want[i])))) fail_msg("element %lld: %.9g, not %.9g", (long long)i, (double)got[i], want[i]);
}

static void elementwise(void **state)
{
    (void)state;
    bench b;
    float got[ROWS * COLS];
    double want[ROWS * COLS];
#define EACH(expression)                                                       \
    for (int i = 0; i < ROWS * COLS; i++) {                                    \
        const double v = (double)rows8[i], h = 2.0 * (double)rows8[i];         \
        (void)h, (void)v;                                                      \
        want[i] = (expression);                                                \
    }                                                                          \
    same(got, want, ROWS * COLS)
    begin(&b), run(&b, pare_g_scale(b.g, b.x, -3), got);
    EACH(-3 * v);
    begin(&b), run(&b, pare_g_add(b.g, b.x, pare_g_scale(b.g, b.x, 2)), got);
    EACH(v + h);
    begin(&b), run(&b, pare_g_add(b.g, b.x, b.x), got); /* one value twice: nothing may be written over it */
    EACH(v + v);
    begin(&b), run(&b, pare_g_mul(b.g, pare_g_scale(b.g, b.x, 2), b.x), got);
    EACH(h * v);
    begin(&b), run(&b, pare_g_scale_add(b.g, b.x, .5f, pare_g_scale(b.g, b.x, 2)), got);
    EACH(.5 * v + h);
    begin(&b), run(&b, pare_g_clamp(b.g, b.x, -2, 3.5f), got);
    EACH(v < -2 ? -2 : v > 3.5 ? 3.5 : v);
    begin(&b), run(&b, pare_g_softcap(b.g, b.x, 3), got);
    EACH(3 * tanh(v / 3));
    begin(&b), run(&b, pare_g_act(b.g, b.x, PARE_ACT_FN_GELU), got);
    EACH(.5 * v * (1 + erf(v / sqrt(2))));
    begin(&b), run(&b, pare_g_act_mul(b.g, b.x, pare_g_scale(b.g, b.x, 2), PARE_ACT_FN_RELU2), got);
    EACH(v > 0 ? v * v * h : 0);
    begin(&b), run(&b, pare_g_mul(b.g, b.x, pare_g_columns(b.g, b.x, 3, 1, 1, 1)), got);
    EACH(v * (double)rows8[i / COLS * COLS + 3]);
    begin(&b), run(&b, pare_g_embed(b.g, pare_g_ids(b.g), 0, 5), got);
    EACH(5 * v);
    begin(&b), run(&b, pare_g_embed(b.g, pare_g_types(b.g), 0, 1), got); /* no types in the batch: all 0 */
    EACH((double)rows8[i % COLS]);
    begin(&b);
    const pare_gw positions = pare_g_weight(b.g, PARE_GW_TABLE, "positions", 2, (int64_t[]){ 9, COLS });
    const float *p = toy_get(&b.s, "positions", 2, (int64_t[]){ 9, COLS });
    float copy[9 * COLS];
    memcpy(copy, p, sizeof copy);
    run(&b, pare_g_embed_positions(b.g, positions, 3), got);
    EACH((double)copy[i + 3 * COLS]);
}

static void columns_and_norms(void **state)
{
    (void)state;
    bench b;
    float got[ROWS * COLS], w[COLS], bias[COLS];
    double want[ROWS * COLS];
    begin(&b), run(&b, pare_g_columns(b.g, b.x, 1, 2, 4, 2), got);
    for (int i = 0; i < ROWS * 4; i++) want[i] = (double)rows8[i / 4 * COLS + 1 + i % 4 / 2 * 4 + i % 2];
    same(got, want, ROWS * 4);

    for (int way = 0; way < 4; way++) { /* rms over all, rms by heads of 4, layer norm by heads with [2, 4], one weight a head */
        begin(&b);
        pare_gv y;
        const char *const each[2] = { "n.0", "n.1" };
        if (way == 0) y = pare_g_rms_norm(b.g, b.x, "n.weight", .25f, 1);
        else if (way == 1) y = pare_g_rms_norm_heads(b.g, b.x, "n.weight", 4, .25f, 0);
        else if (way == 2) y = pare_g_layer_norm_heads(b.g, b.x, "n", 2, 4, .25f, true);
        else y = pare_g_layer_norm_each(b.g, b.x, each, 2, 4, .25f, false);
        const int64_t dim = way == 0 ? 8 : 4;
        for (int c = 0; c < COLS; c++) {
            if (way == 2) w[c] = toy_get(&b.s, "n.weight", 2, (int64_t[]){ 2, 4 })[c], bias[c] = toy_get(&b.s, "n.bias", 2, (int64_t[]){ 2, 4 })[c];
            else if (way == 3) w[c] = toy_get(&b.s, c < 4 ? "n.0.weight" : "n.1.weight", 1, &dim)[c % 4], bias[c] = 0;
            else w[c] = toy_get(&b.s, "n.weight", 1, &dim)[c % dim] + (way == 0 ? 1.0f : 0.0f), bias[c] = 0;
        }
        run(&b, y, got);
        for (int64_t first = 0; first < ROWS * COLS; first += dim) {
            double mean = 0, sq = 0;
            for (int64_t i = first; i < first + dim && way >= 2; i++) mean += (double)rows8[i] / (double)dim;
            for (int64_t i = first; i < first + dim; i++) sq += ((double)rows8[i] - mean) * ((double)rows8[i] - mean) / (double)dim;
            for (int64_t i = first; i < first + dim; i++) want[i] = ((double)rows8[i] - mean) / sqrt(sq + .25) * (double)w[i % COLS] + (double)bias[i % COLS];
        }
        same(got, want, ROWS * COLS);
    }
}

static void linears_with_biases(void **state)
{
    (void)state;
    bench b;
    float got[ROWS * 5];
    double want[ROWS * 5];
    const char *const modules[2] = { "a", "b" };
    pare_gv y[2];
    begin(&b);
    pare_g_linears(b.g, b.x, 2, modules, (int64_t[]){ 3, 5 }, COLS, (bool[]){ false, true }, y);
    const float *w = toy_get(&b.s, "b.weight", 2, (int64_t[]){ 5, COLS }), *bias = toy_get(&b.s, "b.bias", 1, (int64_t[]){ 5 });
    for (int t = 0; t < ROWS; t++)
        for (int r = 0; r < 5; r++) {
            want[t * 5 + r] = (double)bias[r];
            for (int c = 0; c < COLS; c++) want[t * 5 + r] += (double)w[r * COLS + c] * (double)rows8[t * COLS + c];
        }
    run(&b, y[1], got);
    same(got, want, ROWS * 5);
    /* an optional bias that is absent is zero; an optional norm weight is one */
    begin(&b);
    pare_g_linears(b.g, b.x, 1, modules, (int64_t[]){ 3 }, COLS, (bool[]){ true }, y);
    pare_g_w(b.g, 2)->optional = true;
    b.s.missing = "a.bias";
    assert_string_equal(pare_g_w(b.g, 2)->name, "a.bias");
    w = toy_get(&b.s, "a.weight", 2, (int64_t[]){ 3, COLS });
    for (int i = 0; i < ROWS * 3; i++) {
        want[i] = 0;
        for (int c = 0; c < COLS; c++) want[i] += (double)w[i % 3 * COLS + c] * (double)rows8[i / 3 * COLS + c];
    }
    run(&b, y[0], got);
    same(got, want, ROWS * 3);
}

/* ------------------------------------------------------------------------------------------------------------------ moe */

static void expert(bench *b, int e, const float *x, double *y, double weight)
{
    char name[32];
    double h[5];
    const float *w[3];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "e%d.%d", e, i);
        w[i] = toy_get(&b->s, name, 2, i < 2 ? (int64_t[]){ 5, COLS } : (int64_t[]){ COLS, 5 });
    }
    for (int r = 0; r < 5; r++) {
        double g = 0, u = 0;
        for (int c = 0; c < COLS; c++) g += (double)w[0][r * COLS + c] * (double)x[c], u += (double)w[1][r * COLS + c] * (double)x[c];
        h[r] = g / (1 + exp(-g)) * u;
    }
    for (int c = 0; c < COLS; c++)
        for (int r = 0; r < 5; r++) y[c] += weight * (double)w[2][c * 5 + r] * h[r];
}

static void mixture_of_experts(void **state)
{
    (void)state;
    static const pare_moe kinds[] = {
        { .experts = 4, .top = 2, .ffn = 5, .act = PARE_ACT_FN_SILU, .scale = 1 },                                              /* softmax over the chosen */
        { .experts = 4, .top = 2, .ffn = 5, .act = PARE_ACT_FN_SILU, .scale = 1, .softmax_first = true },
        { .experts = 4, .top = 3, .ffn = 5, .act = PARE_ACT_FN_SILU, .scale = 2.5f, .softmax_first = true, .renormalize = true },
        { .experts = 4, .top = 1, .ffn = 5, .act = PARE_ACT_FN_SILU, .scale = 1, .sigmoid = true },
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const pare_moe *m = &kinds[k];
        bench b;
        char name[32];
        pare_gw w[13];
        float got[ROWS * COLS];
        double want[ROWS * COLS] = { 0 };
        begin(&b);
        const float *router = toy_get(&b.s, "router", 2, (int64_t[]){ 4, COLS });
        w[0] = pare_g_weight(b.g, PARE_GW_LINEAR, "router", 2, (int64_t[]){ 4, COLS });
        for (int i = 0; i < 12; i++) {
            snprintf(name, sizeof name, "e%d.%d", i / 3, i % 3);
            w[1 + i] = pare_g_weight(b.g, PARE_GW_LINEAR, name, 2, i % 3 < 2 ? (int64_t[]){ 5, COLS } : (int64_t[]){ COLS, 5 });
        }
        for (int t = 0; t < ROWS; t++) {
            double s[4], all = 0, chosen = 0;
            bool in[4] = { false };
            for (int e = 0; e < 4; e++) {
                s[e] = 0;
                for (int c = 0; c < COLS; c++) s[e] += (double)router[e * COLS + c] * (double)rows8[t * COLS + c];
                all += exp(s[e]);
            }
            for (int i = 0; i < m->top; i++) {
                int best = -1;
                for (int e = 0; e < 4; e++)
                    if (!in[e] && (best < 0 || s[e] > s[best])) best = e;
                in[best] = true;
                chosen += exp(s[best]);
            }
            for (int e = 0; e < 4; e++)
                if (in[e]) expert(&b, e, rows8 + t * COLS, want + t * COLS,
                                  (m->sigmoid ? 1 / (1 + exp(-s[e])) : exp(s[e]) / (m->softmax_first && !m->renormalize ? all : chosen)) * (double)m->scale);
        }
        run(&b, pare_g_moe(b.g, b.x, m, w, 13), got);
        same(got, want, ROWS * COLS);
    }
}

/* ------------------------------------------------------------------------------------------------------------- encoders */

static int64_t t5_bucket(int64_t d, bool both) /* 8 buckets up to distance 20 */
{
    int64_t n = 8, first = 0;
    if (both) {
        n = 4;
        first = d > 0 ? 4 : 0;
        d = d < 0 ? -d : d;
    } else {
        d = d < 0 ? -d : 0;
    }
    const int64_t exact = n / 2;
    if (d < exact) return first + d;
    const int64_t far = exact + (int64_t)(log((double)d / (double)exact) / log(20.0 / (double)exact) * (double)(n - exact));
    return first + (far < n - 1 ? far : n - 1);
}

/* Attention of a text with itself: q = k = v = rows of its ids, 2 heads of 4. */
static void self_attention(const pare_attention *a, const float *table, const int32_t *ids, int64_t n, double *out)
{
    double p[64];
    for (int64_t t = 0; t < n; t++)
        for (int h = 0; h < 2; h++) {
            double sum = 0;
            for (int64_t j = 0; j < n; j++) {
                double x = 0;
                for (int d = 0; d < 4; d++) x += (double)rows8[ids[t] * COLS + h * 4 + d] * (double)rows8[ids[j] * COLS + h * 4 + d];
                x *= (double)a->scale;
                if (a->rel_buckets) x += (double)table[t5_bucket(j - t, a->rel_bidirectional) * 2 + h];
                const int64_t away = t > j ? t - j : j - t;
                const bool hidden = (a->causal && j > t) || (a->window && away >= a->window) || (a->chunk && t / a->chunk != j / a->chunk);
                p[j] = hidden ? 0 : exp(x);
                sum += p[j];
            }
            for (int d = 0; d < 4; d++) {
                double y = 0;
                for (int64_t j = 0; j < n; j++) y += p[j] / sum * (double)rows8[ids[j] * COLS + h * 4 + d];
                out[t * COLS + h * 4 + d] = y;
            }
        }
}

static void texts_side_by_side(void **state)
{
    (void)state;
    static const pare_attention kinds[] = {
        { .heads = 2, .kv_heads = 2, .dim = 4, .v_dim = 4, .scale = .1f, .cache = -1 },
        { .heads = 2, .kv_heads = 2, .dim = 4, .v_dim = 4, .scale = .1f, .cache = -1, .window = 3 },
        { .heads = 2, .kv_heads = 2, .dim = 4, .v_dim = 4, .scale = .1f, .cache = -1, .chunk = 4 },
        { .heads = 2, .kv_heads = 2, .dim = 4, .v_dim = 4, .scale = .1f, .cache = -1, .causal = true },
        { .heads = 2, .kv_heads = 2, .dim = 4, .v_dim = 4, .scale = .1f, .cache = -1, .rel_buckets = 8, .rel_distance = 20, .rel_bidirectional = true },
        { .heads = 2, .kv_heads = 2, .dim = 4, .v_dim = 4, .scale = .1f, .cache = -1, .rel_buckets = 8, .rel_distance = 20, .causal = true },
    };
    enum { A = 45, B = 3, C = 16, ALL = A + B + C };
    int32_t ids[ALL], seq[ALL];
    for (int t = 0; t < ALL; t++) ids[t] = (int32_t)(pare_rng_u64(3, (uint64_t)t) % ROWS), seq[t] = t < A ? 5 : t < A + B ? 900000 : 5; /* 5 again: another text */
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int64_t chunk = 8; chunk <= 512; chunk *= 8) { /* 8: the longest text makes the chunk grow */
            bench b;
            float got[ALL * COLS], table[16];
            double want[ALL * COLS];
            begin(&b);
            const pare_gw rel = pare_g_weight(b.g, PARE_GW_VECTOR, "rel", 2, (int64_t[]){ 8, 2 });
            memcpy(table, toy_get(&b.s, "rel", 2, (int64_t[]){ 8, 2 }), sizeof table);
            const pare_gv y = pare_g_attention(b.g, b.x, b.x, b.x, &kinds[k], &rel, kinds[k].rel_buckets > 0);
            b.g->pooled = pare_g_pool(b.g, y, PARE_POOL_MEAN, false);
            const pare_engine_options o = { .chunk = chunk };
            make(&b, y, &o);
            const pare_batch batch = { .n = ALL, .ids = ids, .seq = seq };
            assert_ok(pare_engine_step(b.e, &batch, got, NULL));
            self_attention(&kinds[k], table, ids, A, want);
            self_attention(&kinds[k], table, ids + A, B, want + A * COLS);
            self_attention(&kinds[k], table, ids + A + B, C, want + (A + B) * COLS);
            same(got, want, ALL * COLS);
            assert_ok(pare_engine_pool(b.e, &batch, got, NULL));
            for (int s = 0; s < 3; s++)
                for (int c = 0; c < COLS; c++) {
                    double mean = 0;
                    const int first = s == 0 ? 0 : s == 1 ? A : A + B, n = s == 0 ? A : s == 1 ? B : C;
                    for (int t = first; t < first + n; t++) mean += want[t * COLS + c] / n;
                    assert_true(fabs((double)got[s * COLS + c] - mean) < 1e-5);
                }
            end(&b);
        }
}

static void poolings(void **state)
{
    (void)state;
    static const int32_t ids[5] = { 3, 5, 1, 0, 5 }, seq[5] = { 0, 0, 0, 1, 1 };
    for (pare_pooling kind = PARE_POOL_CLS; kind <= PARE_POOL_LAST; kind++) {
        bench b;
        float got[2 * COLS];
        begin(&b);
        b.g->pooled = pare_g_pool(b.g, b.x, kind, true);
        make(&b, b.x, NULL);
        const pare_batch batch = { .n = 5, .ids = ids, .seq = seq };
        assert_ok(pare_engine_pool(b.e, &batch, got, NULL));
        for (int s = 0; s < 2; s++) {
            double v[COLS], length = 0;
            const int first = s ? 3 : 0, n = s ? 2 : 3;
            for (int c = 0; c < COLS; c++) {
                const double last = (double)rows8[ids[first + n - 1] * COLS + c];
                double sum = 0, most = -1e9;
                for (int t = first; t < first + n; t++) {
                    const double x = (double)rows8[ids[t] * COLS + c];
                    sum += x;
                    if (x > most) most = x;
                }
                v[c] = kind == PARE_POOL_CLS ? (double)rows8[ids[first] * COLS + c] : kind == PARE_POOL_MEAN ? sum / n : kind == PARE_POOL_MAX ? most : last;
                length += v[c] * v[c];
            }
            for (int c = 0; c < COLS; c++) assert_true(fabs((double)got[s * COLS + c] - v[c] / sqrt(length)) < 1e-6);
        }
        end(&b);
    }
}

/* ------------------------------------------------------------------------------------------------- encoder and decoder */

/* Decoder: x = row of the id; y = x + cross-attention(x, K memory, V memory); memory = encoder's rows times E. */
static void cross(toy_source *s, const int32_t *source, int64_t n, const int32_t *ids, int64_t tokens, double *out)
{
    const float *e = toy_get(s, "enc.weight", 2, (int64_t[]){ COLS, COLS }), *k = toy_get(s, "k.weight", 2, (int64_t[]){ COLS, COLS }),
                *v = toy_get(s, "v.weight", 2, (int64_t[]){ COLS, COLS });
    double m[64 * COLS], keys[64 * COLS], values[64 * COLS];
    for (int64_t t = 0; t < n; t++) {
        for (int r = 0; r < COLS; r++) {
            m[t * COLS + r] = 0;
            for (int c = 0; c < COLS; c++) m[t * COLS + r] += (double)e[r * COLS + c] * (double)rows8[source[t] * COLS + c];
        }
        for (int r = 0; r < COLS; r++) {
            keys[t * COLS + r] = values[t * COLS + r] = 0;
            for (int c = 0; c < COLS; c++) keys[t * COLS + r] += (double)k[r * COLS + c] * m[t * COLS + c], values[t * COLS + r] += (double)v[r * COLS + c] * m[t * COLS + c];
        }
    }
    for (int64_t t = 0; t < tokens; t++)
        for (int h = 0; h < 2; h++) {
            double p[64], sum = 0;
            for (int64_t j = 0; j < n; j++) {
                double x = 0;
                for (int d = 0; d < 4; d++) x += (double)rows8[ids[t] * COLS + h * 4 + d] * keys[j * COLS + h * 4 + d];
                sum += p[j] = exp(.05 * x);
            }
            for (int d = 0; d < 4; d++) {
                double y = (double)rows8[ids[t] * COLS + h * 4 + d];
                for (int64_t j = 0; j < n; j++) y += p[j] / sum * values[j * COLS + h * 4 + d];
                out[t * COLS + h * 4 + d] = y;
            }
        }
}

static pare_graph *listener(void)
{
    pare_gv x, y;
    pare_graph *inner = start(PARE_G_ENCODER, &x), *g;
    inner->hidden_out = pare_g_linear(inner, x, "enc", COLS, COLS, false);
    g = start(PARE_G_DECODER, &x);
    g->encoder = inner;
    const pare_gv memory = pare_g_memory(g, COLS), k = pare_g_linear(g, memory, "k", COLS, COLS, false), v = pare_g_linear(g, memory, "v", COLS, COLS, false);
    const pare_attention a = { .heads = 2, .kv_heads = 2, .dim = 4, .v_dim = 4, .scale = .05f, .cache = -1, .cross = true };
    y = pare_g_attention(g, x, k, v, &a, NULL, 0);
    g->hidden_out = pare_g_add(g, x, y);
    g->logits = pare_g_rows_last(g, g->hidden_out);
    g->vocab = COLS;
    return g;
}

static void decoder_listens(void **state)
{
    (void)state;
    static const int32_t one[3] = { 5, 0, 2 }, two[40] = { 1, 1, 3, 4, 5, 0, 2, 3 }, ids[4] = { 0, 3, 5, 1 }, seq[4] = { 0, 0, 1, 1 };
    float got[4 * COLS];
    double want[4 * COLS];
    pare_err err = { 0 };
    bench b = { .ctx = toy_ctx(2) };
    toy_set(&b.s, "table", 2, (int64_t[]){ ROWS, COLS }, rows8);
    const pare_gsource source = toy_gsource(&b.s);
    const pare_engine_options o = { .sequences = 2, .ctx = 8, .chunk = 8 };
    if (pare_engine_new(b.ctx, listener(), &source, &o, &b.e, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_non_null(pare_engine_encoder(b.e));
    const pare_batch batch = { .n = 4, .ids = ids, .seq = seq };
    assert_ok(pare_engine_encode(b.e, 0, one, 3, NULL));
    assert_error(pare_engine_step(b.e, &batch, got, &err), PARE_ERR_USAGE, "sequence 1 has no source text");
    assert_ok(pare_engine_encode(b.e, 1, two, 40, NULL)); /* longer than context and chunk of the decoder */
    assert_ok(pare_engine_step(b.e, &batch, got, NULL));
    cross(&b.s, one, 3, ids, 2, want);
    cross(&b.s, two, 40, ids + 2, 2, want + 2 * COLS);
    same(got, want, 4 * COLS);
    assert_int_equal(pare_engine_length(b.e, 0), 2);
    assert_ok(pare_engine_encode(b.e, 0, two, 40, NULL)); /* another text: its sequence begins anew */
    assert_int_equal(pare_engine_length(b.e, 0), 0);
    assert_ok(pare_engine_step(b.e, &batch, got, NULL));
    cross(&b.s, two, 40, ids, 2, want);
    same(got, want, 4 * COLS);
    assert_error(pare_engine_encode(b.e, 0, (int32_t[]){ 0, 6 }, 2, &err), PARE_ERR_USAGE, "token 1: id 6");
    assert_error(pare_engine_encode(b.e, 2, one, 3, &err), PARE_ERR_USAGE, "sequence 2");
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_found), cmocka_unit_test(attention_is_checked), cmocka_unit_test(finished_graphs),    cmocka_unit_test(registry),
        cmocka_unit_test(elementwise),        cmocka_unit_test(columns_and_norms),    cmocka_unit_test(linears_with_biases), cmocka_unit_test(mixture_of_experts),
        cmocka_unit_test(texts_side_by_side), cmocka_unit_test(poolings),             cmocka_unit_test(decoder_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
