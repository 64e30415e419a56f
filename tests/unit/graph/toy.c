/* SPDX-License-Identifier: Apache-2.0 */
/* Toy models; see toy.h. */
#include "toy.h"

#include <math.h>

/* ---------------------------------------------------------------------------------------------------------------- source */

void toy_clear(toy_source *s)
{
    for (int i = 0; i < s->n; i++) free(s->at[i].at);
    memset(s, 0, sizeof *s);
}

static toy_tensor *find(toy_source *s, const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->at[i].name, name)) return &s->at[i];
    return NULL;
}

static toy_tensor *add(toy_source *s, const char *name, int ndim, const int64_t *shape)
{
    toy_tensor *t = &s->at[s->n++];
    assert_true(s->n <= 512);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->ndim = ndim;
    t->n = 1;
    for (int d = 0; d < ndim; d++) t->n *= t->shape[d] = shape[d];
    t->at = malloc((size_t)t->n * sizeof *t->at);
    assert_non_null(t->at);
    return t;
}

void toy_set(toy_source *s, const char *name, int ndim, const int64_t *shape, const float *values)
{
    toy_tensor *t = add(s, name, ndim, shape);
    memcpy(t->at, values, (size_t)t->n * sizeof *values);
    t->fixed = true;
}

const float *toy_get(toy_source *s, const char *name, int ndim, const int64_t *shape)
{
    toy_tensor *t = find(s, name);
    if (t) return t->at;
    t = add(s, name, ndim, shape);
    const uint64_t key = pare_rng_key(7, name);
    const bool norm = ndim == 1 && strstr(name, "norm") && !strstr(name, "bias");
    for (int64_t i = 0; i < t->n; i++) t->at[i] = (float)((norm ? 1.0 : 0.0) + (s->scale > 0 ? s->scale : 0.3) * pare_rng_normal(key, (uint64_t)i));
    return t->at;
}

static pare_status check(void *user, const pare_gweight *w, bool *present, pare_err *err)
{
    toy_source *s = user;
    *present = !(s->missing && !strcmp(s->missing, w->name));
    if (!*present) return w->optional ? PARE_OK : pare_fail(err, PARE_ERR_FORMAT, "%s: is missing in the toy", w->name);
    toy_get(s, w->name, w->ndim, w->shape);
    const toy_tensor *t = find(s, w->name);
    if (t->ndim != w->ndim || memcmp(t->shape, w->shape, (size_t)w->ndim * sizeof *w->shape)) return pare_fail(err, PARE_ERR_FORMAT, "%s: has another shape in the toy", w->name);
    return PARE_OK;
}

static pare_status linear(void *user, pare_ctx *ctx, const pare_gweight *w, pare_linear *out, pare_err *err)
{
    toy_source *s = user;
    const float *data = find(s, w->name)->at + w->row0 * w->shape[1];
    const size_t bytes = (size_t)(w->shape[0] * w->shape[1]) * sizeof *data;
    void *copy = NULL;
    pare_status st;
    (void)ctx;
    memset(out, 0, sizeof *out);
    if (s->broken && !strcmp(s->broken, w->name)) return pare_fail(err, PARE_ERR_IO, "%s: cannot be read", w->name);
    if (s->copies) {
        copy = pare_alloc_aligned(64, bytes);
        if (!copy) return pare_no_memory(err, w->name, bytes);
        memcpy(copy, data, bytes);
        data = copy;
    }
    st = pare_linear_float(out, PARE_F32, w->shape[0], w->shape[1], data, err);
    if (st != PARE_OK) {
        pare_dealloc_aligned(copy);
        return st;
    }
    if (copy) out->owned[0] = copy;
    s->loads++;
    s->held++;
    return PARE_OK;
}

static pare_status vector(void *user, const pare_gweight *w, float *out, pare_err *err)
{
    const toy_tensor *t = find(user, w->name);
    (void)err;
    memcpy(out, t->at, (size_t)t->n * sizeof *out);
    return PARE_OK;
}

static pare_status table(void *user, const pare_gweight *w, int64_t row, float *out, pare_err *err)
{
    (void)err;
    memcpy(out, find(user, w->name)->at + row * w->shape[1], (size_t)w->shape[1] * sizeof *out);
    return PARE_OK;
}

static void drop(void *user, const pare_gweight *w)
{
    toy_source *s = user;
    if (w->role == PARE_GW_TABLE) return;
    s->drops++;
    s->held--;
}

static uint64_t bytes_of(void *user, const pare_gweight *w)
{
    (void)user;
    return (uint64_t)(w->shape[0] * w->shape[1]) * sizeof(float);
}

static void close_source(void *user) { ((toy_source *)user)->closed++; }

pare_gsource toy_gsource(toy_source *s)
{
    return (pare_gsource){ .user = s, .check = check, .linear = linear, .vector = vector, .table = table, .drop = drop, .bytes = bytes_of, .close = close_source };
}

/* ----------------------------------------------------------------------------------------------------------------- llama */

const toy_llama toy_small = { .layers = 3, .hidden = 32, .heads = 4, .kv_heads = 2, .dim = 8, .ffn = 48, .vocab = 61, .embedding = "embed.weight" };

static float inv_freq(const toy_llama *m, int64_t i) { return (float)pow(10000.0, -2.0 * (double)i / (double)m->dim); }

pare_graph *toy_graph(const toy_llama *m)
{
    pare_graph *g = pare_graph_new(PARE_G_DECODER, NULL);
    if (!g) return NULL;
    g->vocab = m->vocab;
    g->hidden = m->hidden;
    const pare_gw table = pare_g_weight(g, PARE_GW_TABLE, m->embedding, 2, (int64_t[]){ m->vocab, m->hidden });
    float *freq = pare_arena_alloc(&g->arena, (size_t)m->dim * sizeof *freq), *slopes = pare_arena_alloc(&g->arena, (size_t)m->heads * sizeof *slopes);
    if (!freq || !slopes) {
        pare_g_fail(g, PARE_ERR_MEMORY, "out of memory: toy");
        return g;
    }
    for (int64_t i = 0; i < m->dim / 2; i++) freq[i] = inv_freq(m, i);
    for (int64_t h = 0; h < m->heads; h++) slopes[h] = -0.1f * (float)(h + 1);
    pare_rope rope = { .head_dim = m->dim, .dim = m->dim, .inv_freq = freq, .scale = 1, .theta = 10000, .dynamic = m->dynamic, .factor = 2, .original = 8 };
    pare_gv x = pare_g_embed(g, pare_g_ids(g), table, 1);
    for (int l = 0; l < (int)m->layers; l++) {
        pare_g_layer(g, l);
        pare_gv qkv[3], gu[2], h = pare_g_rms_norm(g, x, pare_g_text(g, "l%d.norm1", l), 1e-5f, 0);
        const char *const names[3] = { pare_g_text(g, "l%d.q", l), pare_g_text(g, "l%d.k", l), pare_g_text(g, "l%d.v", l) };
        pare_g_linears(g, h, 3, names, (int64_t[]){ m->heads * m->dim, m->kv_heads * m->dim, m->kv_heads * m->dim }, m->hidden, (bool[]){ true, false, true }, qkv);
        if (m->qk_norm) qkv[0] = pare_g_rms_norm_heads(g, qkv[0], pare_g_text(g, "l%d.norm_q", l), m->dim, 1e-5f, 0);
        if (!m->alibi) {
            rope.heads = m->heads;
            qkv[0] = pare_g_rope(g, qkv[0], &rope);
            rope.heads = m->kv_heads;
            qkv[1] = pare_g_rope(g, qkv[1], &rope);
        }
        const pare_attention a = { .heads = m->heads, .kv_heads = m->kv_heads, .dim = m->dim, .v_dim = m->dim, .scale = 1.0f / sqrtf((float)m->dim), .softcap = m->softcap,
                                   .causal = true, .window = m->window, .chunk = m->chunk, .cache = pare_g_cache(g, m->kv_heads, m->dim, m->dim, m->window),
                                   .alibi = m->alibi ? slopes : NULL, .sink = m->sink };
        float *scales = m->kv != PARE_DTYPE_NONE ? pare_arena_alloc(&g->arena, 16 * sizeof *scales) : NULL;
        if (scales && a.cache >= 0) {
            pare_gcache *kv = &g->caches.at[a.cache];
            memcpy(scales, m->k_scale, sizeof m->k_scale);
            memcpy(scales + 8, m->v_scale, sizeof m->v_scale);
            *kv = (pare_gcache){ kv->kv_heads, kv->k_dim, kv->v_dim, kv->window, m->kv, scales, scales + 8 };
        }
        const pare_gw sink = m->sink ? pare_g_vector(g, pare_g_text(g, "l%d.sink", l), m->heads) : PARE_G_NONE;
        pare_gv y = pare_g_attention(g, qkv[0], qkv[1], qkv[2], &a, &sink, m->sink);
        x = pare_g_add(g, x, pare_g_linear(g, y, pare_g_text(g, "l%d.o", l), m->hidden, m->heads * m->dim, false));
        h = pare_g_rms_norm(g, x, pare_g_text(g, "l%d.norm2", l), 1e-5f, 0);
        const char *const mlp[2] = { pare_g_text(g, "l%d.gate", l), pare_g_text(g, "l%d.up", l) };
        pare_g_linears(g, h, 2, mlp, (int64_t[]){ m->ffn, m->ffn }, m->hidden, NULL, gu);
        x = pare_g_add(g, x, pare_g_linear(g, pare_g_act_mul(g, gu[0], gu[1], PARE_ACT_FN_SILU), pare_g_text(g, "l%d.down", l), m->hidden, m->ffn, false));
    }
    pare_g_layer(g, -1);
    g->hidden_out = pare_g_rms_norm(g, x, "norm", 1e-5f, 0);
    const pare_gw head = pare_g_weight(g, PARE_GW_HEAD, m->tied ? m->embedding : "head.weight", 2, (int64_t[]){ m->vocab, m->hidden });
    if (m->tied) pare_g_w(g, head)->tied = table;
    pare_g_linears_w(g, pare_g_rows_last(g, g->hidden_out), 1, &head, NULL, &g->logits);
    if (m->logit_cap > 0) g->logits = pare_g_softcap(g, g->logits, m->logit_cap);
    return g;
}

/* ------------------------------------------------------------------------------------------------------ in plain doubles */

static void norm(const float *w, const double *x, double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    for (int64_t i = 0; i < n; i++) y[i] = x[i] / sqrt(sum / (double)n + 1e-5) * w[i];
}

static void times(toy_source *s, const char *name, int64_t out, int64_t in, const double *x, double *y, bool bias)
{
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    const float *w = toy_get(s, full, 2, (int64_t[]){ out, in });
    snprintf(full, sizeof full, "%s.bias", name);
    const float *b = bias ? toy_get(s, full, 1, &out) : NULL;
    for (int64_t r = 0; r < out; r++) {
        y[r] = b ? b[r] : 0.0;
        for (int64_t c = 0; c < in; c++) y[r] += (double)w[r * in + c] * x[c];
    }
}

static void turn(const toy_llama *m, double *x, int64_t heads, int64_t pos, int64_t total)
{
    for (int64_t h = 0; h < heads; h++)
        for (int64_t i = 0; i < m->dim / 2; i++) {
            double f = (double)inv_freq(m, i);
            if (m->dynamic && total > 8) {
                const double d = (double)m->dim, base = 10000.0 * pow(2.0 * (double)total / 8.0 - 1.0, d / (d - 2));
                f = pow(base, -2.0 * (double)i / d);
            }
            double *p = x + h * m->dim, a = p[i], b = p[i + m->dim / 2], angle = (double)pos * f;
            p[i] = a * cos(angle) - b * sin(angle);
            p[i + m->dim / 2] = b * cos(angle) + a * sin(angle);
        }
}

static const float *named(toy_source *s, int l, const char *what, int64_t n)
{
    char name[96];
    snprintf(name, sizeof name, "l%d.%s", l, what);
    return toy_get(s, name, 1, &n);
}

static void attend_all(const toy_llama *m, toy_source *s, int l, const double *q, const double *k, const double *v, int64_t n, double *out)
{
    const int64_t D = m->dim, group = m->heads / m->kv_heads;
    double *p = malloc((size_t)n * sizeof *p);
    for (int64_t t = 0; t < n; t++)
        for (int64_t h = 0; h < m->heads; h++) {
            double sum = 0, *y = out + (t * m->heads + h) * D;
            const int64_t kv = h / group;
            for (int64_t j = 0; j <= t; j++) {
                double x = 0;
                for (int64_t d = 0; d < D; d++) x += q[(t * m->heads + h) * D + d] * k[(j * m->kv_heads + kv) * D + d];
                x /= sqrt((double)D);
                if (m->softcap > 0) x = m->softcap * tanh(x / m->softcap);
                if (m->alibi) x += -0.1 * (double)(h + 1) * (double)(j - t);
                p[j] = (m->window && t - j >= m->window) || (m->chunk && j / m->chunk != t / m->chunk) ? 0 : exp(x);
                sum += p[j];
            }
            if (m->sink) sum += exp((double)named(s, l, "sink", m->heads)[h]);
            for (int64_t d = 0; d < D; d++) y[d] = 0;
            for (int64_t j = 0; j <= t; j++)
                for (int64_t d = 0; d < D; d++) y[d] += p[j] / sum * v[(j * m->kv_heads + kv) * D + d];
        }
    free(p);
}

/* x [n, heads * dim] as a cache with static scales keeps it. */
static void round_rows(const toy_llama *m, double *x, int64_t n, const float *scales)
{
    for (int64_t i = 0; i < n * m->kv_heads * m->dim; i++) {
        const double s = (double)scales[i / m->dim % m->kv_heads], v = x[i] / s;
        if (m->kv == PARE_I8) x[i] = s * (rint(v) > 127 ? 127 : rint(v) < -128 ? -128 : rint(v));
        else x[i] = s * (double)pare_f8_to_f32(m->kv, pare_f32_to_f8(m->kv, (float)v, true));
    }
}

static void layer_of(const toy_llama *m, toy_source *s, int l, double *x, int64_t n)
{
    const int64_t H = m->hidden, Q = m->heads * m->dim, K = m->kv_heads * m->dim, F = m->ffn;
    double *h = malloc((size_t)(H + 2 * F) * sizeof *h), *q = malloc((size_t)(n * (2 * Q + 2 * K)) * sizeof *q), *k = q + n * Q, *v = k + n * K, *y = v + n * K;
    char name[96];
#define NAME(what) (snprintf(name, sizeof name, "l%d.%s", l, what), name)
    for (int64_t t = 0; t < n; t++) {
        norm(named(s, l, "norm1", H), x + t * H, h, H);
        times(s, NAME("q"), Q, H, h, q + t * Q, true);
        times(s, NAME("k"), K, H, h, k + t * K, false);
        times(s, NAME("v"), K, H, h, v + t * K, true);
        for (int64_t i = 0; m->qk_norm && i < m->heads; i++) norm(named(s, l, "norm_q", m->dim), q + t * Q + i * m->dim, q + t * Q + i * m->dim, m->dim);
        if (m->alibi) continue;
        turn(m, q + t * Q, m->heads, t, n);
        turn(m, k + t * K, m->kv_heads, t, n);
    }
    if (m->kv != PARE_DTYPE_NONE) {
        round_rows(m, k, n, m->k_scale);
        round_rows(m, v, n, m->v_scale);
    }
    attend_all(m, s, l, q, k, v, n, y);
    for (int64_t t = 0; t < n; t++) {
        double *g = h + H, *u = g + F;
        times(s, NAME("o"), H, Q, y + t * Q, h, false);
        for (int64_t i = 0; i < H; i++) x[t * H + i] += h[i];
        norm(named(s, l, "norm2", H), x + t * H, h, H);
        times(s, NAME("gate"), F, H, h, g, false);
        times(s, NAME("up"), F, H, h, u, false);
        for (int64_t i = 0; i < F; i++) g[i] = g[i] / (1 + exp(-g[i])) * u[i];
        times(s, NAME("down"), H, F, g, h, false);
        for (int64_t i = 0; i < H; i++) x[t * H + i] += h[i];
    }
    free(h);
    free(q);
}

void toy_logits(const toy_llama *m, toy_source *s, const int32_t *ids, int64_t n, float *out)
{
    const int64_t H = m->hidden, V = m->vocab, dims[2] = { V, H };
    const float *table = toy_get(s, m->embedding, 2, dims), *head = m->tied ? table : toy_get(s, "head.weight", 2, dims);
    double *x = malloc((size_t)(n * H + H) * sizeof *x), *h = x + n * H;
    for (int64_t i = 0; i < n * H; i++) x[i] = (double)table[ids[i / H] * H + i % H];
    for (int l = 0; l < (int)m->layers; l++) layer_of(m, s, l, x, n);
    for (int64_t t = 0; t < n; t++) {
        norm(toy_get(s, "norm", 1, &H), x + t * H, h, H);
        for (int64_t r = 0; r < V; r++) {
            double y = 0;
            for (int64_t c = 0; c < H; c++) y += (double)head[r * H + c] * h[c];
            out[t * V + r] = (float)(m->logit_cap > 0 ? m->logit_cap * tanh(y / m->logit_cap) : y);
        }
    }
    free(x);
}

/* ----------------------------------------------------------------------------------------------------------------- tools */

pare_ctx *toy_ctx(int threads)
{
    pare_ctx *ctx = NULL;
    const pare_ctx_options o = { .threads = threads };
    assert_ok(pare_ctx_new(&o, &ctx, NULL));
    return ctx;
}

pare_engine *toy_engine(pare_ctx *ctx, const toy_llama *m, toy_source *s, const pare_engine_options *o)
{
    pare_err err = { 0 };
    pare_engine *e = NULL;
    const pare_gsource source = toy_gsource(s);
    const pare_status st = pare_engine_new(ctx, toy_graph(m), &source, o, &e, &err);
    if (st != PARE_OK) fail_msg("%s", err.text);
    return e;
}

double toy_distance(const float *a, const float *b, int64_t n)
{
    double worst = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]), m = fabs((double)b[i]);
        if (!(d <= worst)) worst = d; /* NaN counts */
        if (m > most) most = m;
    }
    return worst / (most > 0 ? most : 1);
}
