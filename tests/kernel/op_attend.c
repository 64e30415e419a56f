/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Against attention written out in f64 on the same stored keys and values: dtypes, shapes, windows, every option alone and together,
 * guard pages behind all arrays. Bound: |error| <= 4e-6 (1 + |largest score| / 8) times the largest |value|; kernels differ in the order of sums.
 */
#include "kernel_check.h"
#include <math.h>

enum { ALIBI = 1, BIAS = 2, CAP = 4, SINK = 8, WINDOW = 16, POS = 32, HOLES = 64 };

typedef struct attend_case {
    int64_t queries, heads, dim, v_dim, keys;
    int options;
} attend_case;

static const attend_case cases[] = {
    { 1, 1, 64, 64, 1, 0 },      { 1, 1, 64, 64, 300, 0 },     { 1, 4, 64, 64, 257, 0 },        { 1, 8, 128, 128, 130, 0 },
    { 1, 16, 80, 80, 99, 0 },    { 1, 3, 96, 96, 64, 0 },      { 1, 7, 256, 256, 65, 0 },       { 1, 2, 4, 4, 50, 0 },
    { 1, 5, 13, 7, 77, 0 },      { 2, 1, 1, 1, 20, 0 },        { 1, 1, 576, 512, 70, 0 },       { 1, 4, 72, 40, 200, 0 },
    { 3, 2, 64, 64, 90, 0 },     { 17, 1, 64, 64, 100, 0 },    { 33, 4, 64, 64, 150, 0 },       { 70, 3, 128, 128, 70, 0 },
    { 20, 8, 80, 80, 333, 0 },   { 29, 1, 20, 36, 64, 0 },     { 40, 1, 13, 9, 129, 0 },        { 9, 5, 256, 256, 100, 0 },
    { 6, 7, 576, 512, 40, 0 },   { 64, 8, 32, 32, 64, 0 },     { 50, 5, 96, 64, 333, WINDOW },  { 1, 6, 64, 64, 333, WINDOW },
    { 1, 4, 64, 64, 200, ALIBI }, { 40, 2, 64, 64, 90, ALIBI }, { 40, 2, 64, 64, 90, ALIBI | POS }, { 1, 2, 64, 64, 90, ALIBI | POS },
    { 1, 3, 64, 64, 70, BIAS },  { 31, 3, 64, 64, 99, BIAS },  { 1, 4, 64, 64, 99, CAP },       { 31, 4, 64, 64, 99, CAP | WINDOW },
    { 1, 4, 64, 64, 99, SINK },  { 31, 4, 64, 64, 99, SINK },  { 31, 2, 24, 24, 99, HOLES },    { 1, 2, 24, 24, 99, HOLES },
    { 37, 3, 40, 48, 201, ALIBI | BIAS | CAP | SINK | WINDOW | POS | HOLES },
    { 1, 9, 40, 48, 201, ALIBI | BIAS | CAP | SINK | WINDOW | POS | HOLES },
    { 140, 2, 64, 64, 140, SINK | WINDOW }, { 4, 4, 64, 64, 100, 0 }, { 4, 6, 64, 64, 100, 0 },
};
enum { CASES = sizeof cases / sizeof cases[0], MOST_KEYS = 400, MOST_QUERIES = 160 };

typedef struct storage {
    float k_scale[MOST_KEYS], v_scale[MOST_KEYS], alibi[16], sink[16];
    int32_t first[MOST_QUERIES], last[MOST_QUERIES], q_pos[MOST_QUERIES], key_pos[MOST_KEYS];
} storage;

static double stored(const void *p, pare_dtype dtype, int64_t i, const float *scale, int64_t key)
{
    if (dtype == PARE_F32) return (double)((const float *)p)[i];
    if (dtype == PARE_F16) return (double)pare_f16_to_f32(((const uint16_t *)p)[i]);
    if (dtype == PARE_BF16) return (double)pare_bf16_to_f32(((const uint16_t *)p)[i]);
    if (dtype == PARE_F8_E4M3FN) return (double)pare_f8_to_f32(dtype, ((const uint8_t *)p)[i]) * (scale ? (double)scale[key] : 1);
    return (double)((const int8_t *)p)[i] * (scale ? (double)scale[key] : 1);
}

static void fill_stored(void *p, pare_dtype dtype, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float x = rnd_normal();
        if (dtype == PARE_F32) ((float *)p)[i] = x;
        else if (dtype == PARE_F16) ((uint16_t *)p)[i] = pare_f32_to_f16(x);
        else if (dtype == PARE_BF16) ((uint16_t *)p)[i] = pare_f32_to_bf16(x);
        else if (dtype == PARE_F8_E4M3FN) ((uint8_t *)p)[i] = i % 5 ? pare_f32_to_f8(dtype, x, true) : (uint8_t)(rnd32() % 0x60); /* subnormals, too */
        else ((int8_t *)p)[i] = (int8_t)(rnd32() % 255) - 127;
    }
}

static int64_t key_at(const pare_attend *a, int64_t j, int64_t d)
{
    return a->k_panels ? (j / PARE_KEY_PANEL * a->dim + d) * PARE_KEY_PANEL + j % PARE_KEY_PANEL : j * a->k_stride + d;
}

static double score(const pare_attend *a, int64_t t, int64_t h, int64_t j)
{
    double s = 0;
    for (int64_t d = 0; d < a->dim; d++)
        s += (double)a->q[t * a->q_stride + h * a->q_head + d] * stored(a->k, a->dtype, key_at(a, j, d), a->k_scale, j);
    s *= (double)a->scale;
    if (a->softcap > 0) s = (double)a->softcap * tanh(s / (double)a->softcap);
    if (a->alibi) s += (double)a->alibi[h] * ((a->key_pos ? a->key_pos[j] : (int32_t)j) - a->q_pos[t]);
    if (a->bias) s += (double)a->bias[h * a->bias_head + t * a->bias_query + j];
    return s;
}

static void compare_row(const pare_attend *a, const pare_kernels *k, int64_t t, int64_t h)
{
    double s[MOST_KEYS], most = -INFINITY, sum = 0, highest = 0, largest = 0;
    for (int64_t j = a->first[t]; j < a->last[t]; j++) {
        s[j] = score(a, t, h, j);
        most = fmax(most, s[j]);
        if (isfinite(s[j])) highest = fmax(highest, fabs(s[j]));
    }
    if (a->sink && a->first[t] < a->last[t]) most = fmax(most, (double)a->sink[h]);
    for (int64_t j = a->first[t]; j < a->last[t]; j++) sum += s[j] = most > -INFINITY ? exp(s[j] - most) : 0;
    if (a->sink && most > -INFINITY) sum += exp((double)a->sink[h] - most);
    const float *out = a->out + t * a->out_stride + h * a->out_head;
    for (int64_t d = 0; d < a->v_dim; d++) {
        double want = 0;
        for (int64_t j = a->first[t]; j < a->last[t]; j++) {
            const double v = stored(a->v, a->dtype, j * a->v_stride + d, a->v_scale, j);
            if (s[j] > 0) want += s[j] / sum * v;
            largest = fmax(largest, fabs(v));
        }
        if (!(fabs((double)out[d] - want) <= 4e-6 * (1 + highest / 8) * largest))
            fail_msg("attend at %s (%s): query %lld, head %lld, element %lld is %.9g, not %.9g", k->isa, k->attend_variant, (long long)t, (long long)h, (long long)d,
                     (double)out[d], want);
    }
}

static void options(pare_attend *a, const attend_case *c, storage *s)
{
    for (int64_t t = 0; t < c->queries; t++) {
        s->last[t] = (int32_t)(c->keys - c->queries + t + 1 > 0 ? c->keys - c->queries + t + 1 : 0);
        s->first[t] = c->options & WINDOW && s->last[t] > 37 ? s->last[t] - 37 : 0;
        s->q_pos[t] = s->last[t] + 5;
    }
    for (int64_t j = 0; j < c->keys; j++) s->key_pos[j] = (int32_t)(j * 3 % c->keys);
    for (int h = 0; h < 16; h++) s->alibi[h] = exp2f(-(float)h / 2), s->sink[h] = rnd_normal() * 2;
    if (c->options & ALIBI) a->alibi = s->alibi, a->q_pos = s->q_pos;
    if (c->options & POS) a->key_pos = s->key_pos;
    if (c->options & SINK) a->sink = s->sink;
    if (c->options & CAP) a->softcap = 2.5f;
    if (c->options & (BIAS | HOLES)) {
        float *bias = pare_alloc((size_t)(c->heads * c->queries * c->keys) * sizeof(float));
        assert_non_null(bias);
        a->bias = bias;
        a->bias_query = c->keys;
        a->bias_head = c->queries * c->keys;
        for (int64_t i = 0; i < c->heads * c->queries * c->keys; i++) {
            const bool hole = c->options & HOLES && (rnd32() % 3 == 0 || (i / c->keys % c->queries) % 5 == 4);
            bias[i] = hole ? -INFINITY : rnd_normal();
        }
    }
}

/* What is in the last panel beside keys: NaN, or -1 as int8. */
static void fill_rest(uint8_t *k, const pare_attend *a, size_t size)
{
    for (int64_t j = a->keys; j % PARE_KEY_PANEL; j++)
        for (int64_t d = 0; d < a->dim; d++) memset(k + (size_t)key_at(a, j, d) * size, 0xff, size);
}

static void one(const pare_kernels *k, const attend_case *c, pare_dtype dtype, bool panels, bool scaled, int64_t pad)
{
    static storage s;
    const size_t size = pare_dtype_bytes(dtype, 1);
    pare_attend a = { .queries = c->queries, .heads = c->heads, .dim = c->dim, .v_dim = c->v_dim, .dtype = dtype, .keys = c->keys, .k_panels = panels, .first = s.first, .last = s.last,
                      .q_head = c->dim + pad, .q_stride = (c->dim + pad) * c->heads, .k_stride = c->dim + pad, .v_stride = c->v_dim + pad,
                      .out_head = c->v_dim, .out_stride = c->v_dim * c->heads, .scale = 1.0f / sqrtf((float)c->dim) };
    const int64_t stored_k = panels ? (c->keys + PARE_KEY_PANEL - 1) / PARE_KEY_PANEL * PARE_KEY_PANEL * c->dim : c->keys * a.k_stride - pad;
    float *q = guarded(0, (size_t)(c->queries * a.q_stride - pad) * 4);
    void *key = guarded(1, (size_t)stored_k * size), *value = guarded(2, (size_t)(c->keys * a.v_stride - pad) * size);
    a.out = guarded(3, (size_t)(c->queries * a.out_stride) * 4);
    a.scratch = pare_alloc((size_t)PARE_ATTEND_SCRATCH(c->keys) * sizeof(float));
    assert_non_null(a.scratch);
    fill(q, c->queries * a.q_stride - pad, 0, 0.025f);
    fill_stored(key, dtype, stored_k);
    if (panels) fill_rest(key, &a, size);
    fill_stored(value, dtype, c->keys * a.v_stride - pad);
    for (int64_t j = 0; j < c->keys; j++) s.k_scale[j] = 0.01f + 0.02f * (float)(rnd32() % 100) / 100, s.v_scale[j] = 0.03f * (float)(rnd32() % 100) / 100;
    a.q = q, a.k = key, a.v = value;
    if (scaled) a.k_scale = s.k_scale, a.v_scale = s.v_scale;
    options(&a, c, &s);
    k->attend(&a);
    assert_canaries(3);
    for (int64_t t = 0; t < c->queries; t++)
        for (int64_t h = 0; h < c->heads; h++) compare_row(&a, k, t, h);
    pare_dealloc((void *)(uintptr_t)a.bias);
    pare_dealloc(a.scratch);
}

/* NaN in one query stays in its row; a NaN key is seen by all who see the key; padding after the last key is not read. */
static void nans(const pare_kernels *k, int64_t queries)
{
    enum { DIM = 64, KEYS = 100 };
    static float q[40 * DIM], key[KEYS * DIM], value[KEYS * DIM], out[40 * DIM], scratch[PARE_ATTEND_SCRATCH(KEYS)];
    int32_t first[40], last[40];
    fill(q, queries * DIM, 0, 0.025f);
    fill(key, KEYS * DIM, 0, 0.025f);
    fill(value, KEYS * DIM, 0, 0.025f);
    for (int t = 0; t < queries; t++) first[t] = 0, last[t] = queries == 1 ? 50 : 50 + t;
    pare_attend a = { .queries = queries, .heads = 1, .dim = DIM, .v_dim = DIM, .q = q, .q_stride = DIM, .k = key, .v = value, .dtype = PARE_F32, .k_stride = DIM, .v_stride = DIM,
                      .keys = KEYS, .first = first, .last = last, .scale = 0.125f, .out = out, .out_stride = DIM, .scratch = scratch };
    for (int64_t i = (int64_t)last[queries - 1] * DIM; i < KEYS * DIM; i++) key[i] = value[i] = NAN; /* nobody sees these */
    k->attend(&a);
    for (int64_t i = 0; i < queries * DIM; i++) assert_true(isfinite(out[i]));
    q[0] = NAN;
    k->attend(&a);
    for (int64_t i = 0; i < queries * DIM; i++) assert_true(i < DIM ? isnan(out[i]) : isfinite(out[i]));
    q[0] = 1.0f;
    key[(int64_t)(last[queries - 1] - 1) * DIM] = NAN; /* seen by the last query only */
    k->attend(&a);
    for (int64_t i = 0; i < queries * DIM; i++) assert_true(i < (queries - 1) * DIM ? isfinite(out[i]) : isnan(out[i]));
}

/* Every code of e4m3 as the value of the only key: the result is what the code stands for. */
static void f8_codes(const pare_kernels *k)
{
    static uint8_t value[256], key[16];
    static float q[16], out[256], scratch[PARE_ATTEND_SCRATCH(1)];
    const int32_t first = 0, last = 1;
    for (int i = 0; i < 256; i++) value[i] = (uint8_t)i;
    const pare_attend a = { .queries = 1, .heads = 1, .dim = 16, .v_dim = 256, .q = q, .k = key, .v = value, .dtype = PARE_F8_E4M3FN, .k_stride = 16, .v_stride = 256,
                            .keys = 1, .first = &first, .last = &last, .scale = 1.0f, .out = out, .scratch = scratch };
    k->attend(&a);
    for (int i = 0; i < 256; i++) {
        const float want = pare_f8_to_f32(PARE_F8_E4M3FN, (uint8_t)i);
        if (isnan(want) ? !isnan(out[i]) : out[i] != want) fail_msg("attend at %s (%s): code %d is %g, not %g", k->isa, k->attend_variant, i, (double)out[i], (double)want);
    }
}

/* Heads one by one: the same bits. Several blocks of rows, first keys that differ. */
static void shared_out(const pare_kernels *k, int64_t queries, int64_t heads, pare_dtype dtype, bool panels)
{
    enum { DIM = 48, KEYS = 300, WHOLE = 304, MOST = 410 };
    static float q[MOST * DIM], a_out[MOST * DIM], b_out[MOST * DIM], scratch[PARE_ATTEND_SCRATCH(KEYS)], scale[KEYS];
    static uint8_t key[WHOLE * DIM * 4], value[KEYS * DIM * 4];
    int32_t first[64], last[64];
    assert_true(queries * heads <= MOST && queries <= 64);
    fill(q, queries * heads * DIM, 0, 0.025f);
    fill_stored(key, dtype, WHOLE * DIM);
    fill_stored(value, dtype, KEYS * DIM);
    for (int j = 0; j < KEYS; j++) scale[j] = 0.02f;
    for (int t = 0; t < queries; t++) first[t] = t % 3 * 70, last[t] = (int32_t)(KEYS - queries + t + 1);
    pare_attend a = { .queries = queries, .heads = heads, .dim = DIM, .v_dim = DIM, .q = q, .q_stride = DIM * heads, .q_head = DIM, .k = key, .v = value, .dtype = dtype,
                      .k_stride = DIM, .v_stride = DIM, .k_panels = panels, .keys = KEYS, .first = first, .last = last, .scale = 0.15f, .out = a_out,
                      .out_stride = DIM * heads, .out_head = DIM, .scratch = scratch };
    if (dtype == PARE_I8) a.k_scale = a.v_scale = scale;
    k->attend(&a);
    a.heads = 1;
    for (int64_t h = 0; h < heads; h++) {
        a.q = q + h * DIM;
        a.out = b_out + h * DIM;
        k->attend(&a);
    }
    assert_same("attend, head by head", k, queries * heads, a_out, b_out, (size_t)(queries * heads * DIM) * 4);
}

void check_attend(const pare_kernels *ref, const pare_kernels *k)
{
    static const pare_dtype dtypes[] = { PARE_F32, PARE_F16, PARE_BF16, PARE_I8, PARE_F8_E4M3FN };
    (void)ref;
    for (int c = 0; c < CASES; c++)
        for (int d = 0; d < 5; d++)
            for (int panels = 0; panels < 2; panels++) one(k, &cases[c], dtypes[d], panels, d == 3 || (d == 4 && c % 2), (c + d) % 3 * 5);
    for (int64_t rows = 1; rows <= 26; rows++) /* every tile; a thinner and a wider one beside each other */
        for (int d = 0; d < 5; d++) {
            const attend_case few = { 1, rows < 17 ? rows : 16, 64, 64, 251 + rows, 0 }, many = { rows + 4, 1, 40, 48, 70 + rows, rows % 3 ? 0 : WINDOW };
            one(k, &few, dtypes[d], true, false, 0);
            one(k, &many, dtypes[d], true, false, 0);
        }
    for (int d = 0; d < 10; d++) {
        shared_out(k, 1, 9, dtypes[d / 2], d % 2);
        shared_out(k, 3, 71, dtypes[d / 2], d % 2);
        shared_out(k, 45, 9, dtypes[d / 2], d % 2);
    }
    f8_codes(k);
    nans(k, 1);
    nans(k, 5);
    nans(k, 40);
}
