/* SPDX-License-Identifier: Apache-2.0 */
/* The engine on toy models: against plain double arithmetic, and against itself however a text is cut, cached, batched, threaded. */
#include <math.h>

#include "toy.h"

enum { N = 40, V = 61 };

static void text(int32_t *ids, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)(pare_rng_u64(seed, (uint64_t)i) % V);
}

/* Logits of all n tokens in steps of `step` tokens. */
static void run_in_steps(pare_engine *e, const int32_t *ids, int64_t n, int64_t step, float *out)
{
    pare_err err = { 0 };
    pare_engine_truncate(e, 0, 0);
    for (int64_t t = 0; t < n; t += step) {
        const pare_batch b = { .n = n - t < step ? n - t : step, .ids = ids + t };
        if (pare_engine_step(e, &b, out + t * V, &err) != PARE_OK) fail_msg("%s", err.text);
    }
    assert_int_equal(pare_engine_length(e, 0), n);
}

static void check_model(const toy_llama *m, double tolerance)
{
    int32_t ids[N];
    float want[N * V], got[N * V];
    toy_source s = { 0 };
    text(ids, N, 1);
    pare_ctx *ctx = toy_ctx(2);
    pare_engine *e = toy_engine(ctx, m, &s, NULL);
    toy_logits(m, &s, ids, N, want);
    run_in_steps(e, ids, N, N, got);
    if (!(toy_distance(got, want, N * V) < tolerance)) fail_msg("one step: %g", toy_distance(got, want, N * V));
    if (!m->dynamic) { /* keys of an earlier step keep the frequencies of its length, as in the published models */
        run_in_steps(e, ids, N, 1, got);
        if (!(toy_distance(got, want, N * V) < tolerance)) fail_msg("token by token: %g", toy_distance(got, want, N * V));
    }
    pare_engine_free(e);
    assert_int_equal(s.closed, 1);
    toy_clear(&s);
    pare_ctx_free(ctx);
}

static void agrees_with_double(void **state)
{
    (void)state;
    toy_llama m = toy_small;
    check_model(&m, 2e-5);
    m.tied = true;
    check_model(&m, 2e-5);
    m.softcap = 2, m.logit_cap = 3;
    check_model(&m, 2e-5);
}

static void windows_chunks_slopes_sinks(void **state)
{
    (void)state;
    toy_llama m = toy_small;
    m.window = 5;
    check_model(&m, 2e-5);
    m.window = 0, m.chunk = 7;
    check_model(&m, 2e-5);
    m.chunk = 0, m.alibi = true;
    check_model(&m, 2e-5);
    m.window = 9, m.sink = true;
    check_model(&m, 2e-5);
    m = toy_small, m.qk_norm = true, m.kv_heads = 1;
    check_model(&m, 2e-5);
    m = toy_small, m.dynamic = true;
    check_model(&m, 2e-5);
}

static void kv_dtypes_and_chunks(void **state)
{
    (void)state;
    static const struct { pare_dtype dtype; double tolerance; } kinds[] = { { PARE_F32, 1e-5 }, { PARE_F16, 2e-3 }, { PARE_BF16, 2e-2 }, { PARE_I8, 8e-2 }, { PARE_F8_E4M3FN, 3e-1 } };
    static const int64_t chunks[] = { 1, 3, 512 };
    int32_t ids[N];
    float want[N * V], got[N * V], again[N * V];
    toy_source s = { 0 };
    text(ids, N, 2);
    pare_ctx *ctx = toy_ctx(2);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t c = 0; c < 3; c++) {
            const pare_engine_options o = { .kv_dtype = kinds[k].dtype, .chunk = chunks[c], .ctx = N };
            pare_engine *e = toy_engine(ctx, &toy_small, &s, &o);
            toy_logits(&toy_small, &s, ids, N, want);
            run_in_steps(e, ids, N, N, got);
            if (!(toy_distance(got, want, N * V) < kinds[k].tolerance)) fail_msg("kv %zu, chunk %zu: %g", k, c, toy_distance(got, want, N * V));
            /* prompt, then token by token */
            pare_engine_truncate(e, 0, 0);
            const pare_batch head = { .n = N / 2, .ids = ids };
            assert_ok(pare_engine_step(e, &head, again, NULL));
            for (int64_t t = N / 2; t < N; t++) {
                const pare_batch one = { .n = 1, .ids = ids + t };
                assert_ok(pare_engine_step(e, &one, again + t * V, NULL));
            }
            if (!(toy_distance(again, got, N * V) < kinds[k].tolerance)) fail_msg("kv %zu, chunk %zu, decoded: %g", k, c, toy_distance(again, got, N * V));
            pare_engine_free(e);
        }
    toy_clear(&s);
    pare_ctx_free(ctx);
}

/* Scales of a checkpoint, one a head: what plain arithmetic gives that rounds keys and values with them. */
static void kv_static_scales(void **state)
{
    (void)state;
    static const pare_dtype dtypes[] = { PARE_I8, PARE_F8_E4M3FN };
    int32_t ids[N];
    float want[N * V], plain[N * V], got[N * V];
    text(ids, N, 12);
    for (int d = 0; d < 2; d++)
        for (int cut = 0; cut < 2; cut++) {
            toy_source s = { 0 };
            pare_ctx *ctx = toy_ctx(2);
            toy_llama m = toy_small;
            const float code = d ? 448.0f : 127.5f, most = cut ? 1.2f : 6.0f; /* cut: many values are beyond the largest code */
            toy_logits(&m, &s, ids, N, plain);
            m.kv = dtypes[d];
            for (int h = 0; h < 8; h++) m.k_scale[h] = most * (float)(1 + h) / 2 / code, m.v_scale[h] = most / (float)(1 + h) / code;
            toy_logits(&m, &s, ids, N, want);
            for (int way = 0; way < 3; way++) { /* by itself; asked for; token by token */
                const pare_engine_options o = { .kv_dtype = way == 1 ? dtypes[d] : PARE_DTYPE_NONE, .ctx = N, .compute = PARE_COMPUTE_EXACT };
                pare_engine_memory memory;
                pare_engine *e = toy_engine(ctx, &m, &s, &o);
                run_in_steps(e, ids, N, way == 2 ? 1 : N, got);
                if (!(toy_distance(got, want, N * V) < 2e-5)) fail_msg("%s, cut %d, way %d: %g", d ? "f8" : "i8", cut, way, toy_distance(got, want, N * V));
                pare_engine_get_memory(e, &memory);
                assert_int_equal(memory.cache, (int)(m.layers * ((N + 15) / 16 * 16) * m.kv_heads * m.dim * 2));
                pare_engine_free(e);
            }
            if (!(toy_distance(plain, want, N * V) > (cut ? 2e-2 : 1e-3))) fail_msg("%s, cut %d: rounding changed only %g", d ? "f8" : "i8", cut, toy_distance(plain, want, N * V));
            const pare_engine_options floats = { .kv_dtype = PARE_F32, .ctx = N }; /* the checkpoint's word is overruled */
            pare_engine *e = toy_engine(ctx, &m, &s, &floats);
            run_in_steps(e, ids, N, N, got);
            assert_true(toy_distance(got, plain, N * V) < 1e-5);
            pare_engine_free(e);
            toy_clear(&s);
            pare_ctx_free(ctx);
        }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    int32_t ids[N];
    float first[2][N * V], got[N * V];
    toy_llama m = toy_small;
    m.kv_heads = 1; /* fewer key/value heads than threads: query heads are split */
    for (int threads = 1; threads <= 3; threads++) {
        toy_source s = { 0 };
        pare_ctx *ctx = toy_ctx(threads);
        pare_engine *e = toy_engine(ctx, &m, &s, NULL);
        text(ids, N, 3);
        for (int way = 0; way < 2; way++) {
            run_in_steps(e, ids, N, way ? 1 : N, got);
            if (threads == 1) memcpy(first[way], got, sizeof got);
            assert_memory_equal(first[way], got, sizeof got);
        }
        pare_engine_free(e);
        toy_clear(&s);
        pare_ctx_free(ctx);
    }
}

/* Three texts in one engine, their tokens mixed into common steps: each gets what it gets alone. */
static void sequences_do_not_meet(void **state)
{
    (void)state;
    int32_t ids[3][N], mixed[3 * N], seq[3 * N];
    static float alone[3][N * V], got[3 * N * V];
    toy_source s = { 0 };
    pare_ctx *ctx = toy_ctx(2);
    const pare_engine_options o = { .sequences = 3, .chunk = 17 };
    pare_engine *e = toy_engine(ctx, &toy_small, &s, &o);
    for (int i = 0; i < 3; i++) {
        text(ids[i], N, 10 + (uint64_t)i);
        run_in_steps(e, ids[i], N, N, alone[i]);
    }
    pare_engine_truncate(e, 0, 0);
    /* sequence 2 has 11 tokens, sequence 0 has 5, sequence 1 has 30: one step; then one token each until all are done */
    const int64_t begin[3] = { 5, 30, 11 };
    static const int order[3] = { 2, 0, 1 };
    int64_t n = 0;
    for (int i = 0; i < 3; i++)
        for (int64_t t = 0; t < begin[order[i]]; t++) mixed[n] = ids[order[i]][t], seq[n++] = order[i];
    pare_batch b = { .n = n, .ids = mixed, .seq = seq };
    assert_ok(pare_engine_step(e, &b, got, NULL));
    n = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(toy_distance(got + n * V, alone[order[i]], begin[order[i]] * V) < 1e-5);
        n += begin[order[i]];
        assert_int_equal(pare_engine_length(e, order[i]), begin[order[i]]);
    }
    for (int64_t k = 0; k < 10; k++) {
        for (int i = 0; i < 3; i++) mixed[i] = ids[i][begin[i] + k], seq[i] = i;
        b = (pare_batch){ .n = 3, .ids = mixed, .seq = seq };
        assert_ok(pare_engine_step(e, &b, got, NULL));
        for (int i = 0; i < 3; i++) assert_true(toy_distance(got + i * V, alone[i] + (begin[i] + k) * V, V) < 1e-5);
    }
    pare_engine_free(e);
    toy_clear(&s);
    pare_ctx_free(ctx);
}

typedef struct seen { int64_t tokens[N]; int n; float last[V]; } seen;

static pare_status see_row(void *user, int64_t token, const float *row, pare_err *err)
{
    seen *s = user;
    (void)err;
    s->tokens[s->n++] = token;
    memcpy(s->last, row, sizeof s->last);
    return PARE_OK;
}

static void wanted_rows_only(void **state)
{
    (void)state;
    int32_t ids[N];
    uint8_t want[N] = { 0 };
    float all[N * V], got[3 * V];
    toy_source s = { 0 };
    pare_ctx *ctx = toy_ctx(2);
    const pare_engine_options o = { .chunk = 16 };
    pare_engine *e = toy_engine(ctx, &toy_small, &s, &o);
    text(ids, N, 4);
    run_in_steps(e, ids, N, N, all);
    want[3] = want[17] = want[N - 1] = 1;
    pare_engine_truncate(e, 0, 0);
    const pare_batch b = { .n = N, .ids = ids, .want = want };
    assert_ok(pare_engine_step(e, &b, got, NULL));
    assert_true(toy_distance(got, all + 3 * V, V) < 1e-5);
    assert_true(toy_distance(got + V, all + 17 * V, V) < 1e-5);
    assert_true(toy_distance(got + 2 * V, all + (N - 1) * V, V) < 1e-5);
    seen rows = { .n = 0 };
    pare_engine_truncate(e, 0, 0);
    assert_ok(pare_engine_step_rows(e, &b, see_row, &rows, NULL));
    assert_int_equal(rows.n, 3);
    assert_int_equal(rows.tokens[1], 17);
    assert_memory_equal(rows.last, got + 2 * V, sizeof rows.last);
    /* nobody looks: the cache is filled all the same */
    pare_engine_truncate(e, 0, 0);
    const pare_batch head = { .n = N - 1, .ids = ids }, tail = { .n = 1, .ids = ids + N - 1 };
    assert_ok(pare_engine_step(e, &head, NULL, NULL));
    assert_ok(pare_engine_step(e, &tail, got, NULL));
    assert_true(toy_distance(got, all + (N - 1) * V, V) < 1e-5);
    pare_engine_free(e);
    toy_clear(&s);
    pare_ctx_free(ctx);
}

static void truncation_forgets(void **state)
{
    (void)state;
    int32_t ids[N], other[N];
    float want[N * V], got[N * V];
    toy_source s = { 0 };
    pare_ctx *ctx = toy_ctx(1);
    toy_llama m = toy_small;
    m.window = 6; /* what fell out of the window must be there again */
    pare_engine *e = toy_engine(ctx, &m, &s, NULL);
    text(ids, N, 5);
    text(other, N, 6);
    run_in_steps(e, ids, N, 1, want);
    pare_engine_truncate(e, 0, 20);
    assert_int_equal(pare_engine_length(e, 0), 20);
    const pare_batch wrong = { .n = 12, .ids = other };
    assert_ok(pare_engine_step(e, &wrong, NULL, NULL));
    pare_engine_truncate(e, 0, 20);
    pare_engine_truncate(e, 0, 25); /* nothing is behind the end */
    assert_int_equal(pare_engine_length(e, 0), 20);
    for (int64_t t = 20; t < N; t++) {
        const pare_batch b = { .n = 1, .ids = ids + t };
        assert_ok(pare_engine_step(e, &b, got + t * V, NULL));
    }
    assert_memory_equal(got + 20 * V, want + 20 * V, 20 * V * sizeof *got);
    pare_engine_free(e);
    toy_clear(&s);
    pare_ctx_free(ctx);
}

static void errors_change_nothing(void **state)
{
    (void)state;
    pare_err err;
    int32_t ids[N], seq[4] = { 0, 0, 1, 0 };
    float want[V], got[N * V];
    toy_source s = { 0 };
    pare_ctx *ctx = toy_ctx(1);
    const pare_engine_options o = { .ctx = 24, .chunk = 4 };
    pare_engine *e = toy_engine(ctx, &toy_small, &s, &o);
    text(ids, N, 7);
    run_in_steps(e, ids, 20, 20, got);
    pare_batch b = { .n = 1, .ids = ids + 20 };
    assert_ok(pare_engine_step(e, &b, want, NULL));
    pare_engine_truncate(e, 0, 20);
    b = (pare_batch){ .n = 5, .ids = ids + 20 };
    assert_error(pare_engine_step(e, &b, got, &err), PARE_ERR_USAGE, "20 positions of 24");
    assert_int_equal(pare_engine_length(e, 0), 20);
    ids[30] = V;
    b = (pare_batch){ .n = 2, .ids = ids + 29 };
    assert_error(pare_engine_step(e, &b, got, &err), PARE_ERR_USAGE, "token 1: id 61 is outside of the vocabulary of 61");
    ids[30] = -1;
    assert_error(pare_engine_step(e, &b, got, &err), PARE_ERR_USAGE, "id -1");
    b = (pare_batch){ .n = 4, .ids = ids, .seq = seq };
    assert_error(pare_engine_step(e, &b, got, &err), PARE_ERR_USAGE, "token 2 is of sequence 1; the engine was made for 1");
    assert_int_equal(pare_engine_length(e, 0), 20);
    assert_error(pare_engine_pool(e, &b, got, &err), PARE_ERR_UNSUPPORTED, "no vector");
    assert_error(pare_engine_encode(e, 0, ids, 3, &err), PARE_ERR_UNSUPPORTED, "no encoder");
    pare_ctx_cancel(ctx);
    b = (pare_batch){ .n = 3, .ids = ids + 20 };
    assert_error(pare_engine_step(e, &b, got, &err), PARE_ERR_CANCELLED, "cancelled");
    assert_int_equal(pare_engine_length(e, 0), 20);
    ctx->cancelled = 0;
    b.n = 1;
    assert_ok(pare_engine_step(e, &b, got, NULL));
    assert_memory_equal(got, want, sizeof want);
    pare_engine_free(e);
    toy_clear(&s);
    pare_ctx_free(ctx);
}

typedef struct watch { char names[64][40]; int n, stop_at; int64_t rows; double worst; toy_source *s; } watch;

static pare_status look(void *user, const pare_gnode *node, int which, const pare_gweight *w, const float *x, int64_t n, int64_t cols, const float *y, int64_t rows,
                        pare_err *err)
{
    watch *o = user;
    char bias_name[64];
    if (o->n == o->stop_at) return pare_fail(err, PARE_ERR_DATA, "seen enough");
    snprintf(o->names[o->n++], 40, "%s", w->name);
    o->rows = n;
    assert_true(node->w[which] >= 0);
    assert_true(cols == w->shape[1] && rows == w->shape[0]);
    const float *data = toy_get(o->s, w->name, 2, w->shape);
    snprintf(bias_name, sizeof bias_name, "%.2s.%c.bias", w->name, w->name[3]);
    const bool bias = !strcmp(w->name + 3, "q.weight") || !strcmp(w->name + 3, "v.weight");
    for (int64_t r = 0; r < rows; r++) { /* of the last token */
        double sum = bias ? (double)toy_get(o->s, bias_name, 1, w->shape)[r] : 0;
        for (int64_t c = 0; c < cols; c++) sum += (double)data[r * cols + c] * (double)x[(n - 1) * cols + c];
        if (fabs(sum - (double)y[(n - 1) * rows + r]) > o->worst) o->worst = fabs(sum - (double)y[(n - 1) * rows + r]);
    }
    return PARE_OK;
}

static void observer_sees_layers_in_order(void **state)
{
    (void)state;
    static const char *const kinds[] = { "q", "k", "v", "o", "gate", "up", "down" };
    int32_t ids[N];
    float got[N * V];
    pare_err err;
    toy_source s = { 0 };
    pare_ctx *ctx = toy_ctx(2);
    pare_engine *e = toy_engine(ctx, &toy_small, &s, NULL);
    watch w = { .stop_at = -1, .s = &s };
    const pare_observer o = { .user = &w, .linear = look };
    text(ids, N, 8);
    pare_engine_observe(e, &o);
    const pare_batch b = { .n = N, .ids = ids };
    assert_ok(pare_engine_step(e, &b, got, NULL));
    assert_int_equal(w.n, 3 * 7 + 1);
    for (int i = 0; i < 21; i++) {
        char name[40];
        snprintf(name, sizeof name, "l%d.%s.weight", i / 7, kinds[i % 7]);
        assert_string_equal(w.names[i], name);
    }
    assert_string_equal(w.names[21], "head.weight");
    assert_int_equal(w.rows, N);
    assert_true(w.worst < 1e-4);
    pare_engine_truncate(e, 0, 0);
    w.n = 0, w.stop_at = 4;
    assert_error(pare_engine_step(e, &b, got, &err), PARE_ERR_DATA, "seen enough");
    assert_int_equal(pare_engine_length(e, 0), 0);
    pare_engine_observe(e, NULL);
    assert_ok(pare_engine_step(e, &b, got, NULL));
    pare_engine_free(e);
    toy_clear(&s);
    pare_ctx_free(ctx);
}

static void replacing_a_weight(void **state)
{
    (void)state;
    int32_t ids[N];
    float want[N * V], got[N * V], other[48 * 32];
    pare_err err;
    toy_source s = { 0 };
    pare_ctx *ctx = toy_ctx(1);
    pare_engine *e = toy_engine(ctx, &toy_small, &s, NULL);
    const pare_graph *g = pare_engine_graph(e);
    pare_gw up = PARE_G_NONE;
    for (size_t i = 0; i < g->weights.n; i++)
        if (!strcmp(g->weights.at[i].name, "l1.up.weight")) up = (pare_gw)i;
    text(ids, N, 9);
    for (int i = 0; i < 48 * 32; i++) other[i] = (float)(0.2 * pare_rng_normal(99, (uint64_t)i));
    pare_linear l = { 0 };
    assert_ok(pare_linear_float(&l, PARE_F32, 48, 32, other, NULL));
    assert_ok(pare_engine_replace(e, up, &l, NULL));
    assert_null(l.w.data);
    run_in_steps(e, ids, N, N, got);
    memcpy((float *)(uintptr_t)toy_get(&s, "l1.up.weight", 2, (int64_t[]){ 48, 32 }), other, sizeof other);
    toy_logits(&toy_small, &s, ids, N, want);
    assert_true(toy_distance(got, want, N * V) < 2e-5);
    assert_ok(pare_linear_float(&l, PARE_F32, 32, 48, other, NULL));
    assert_error(pare_engine_replace(e, up, &l, &err), PARE_ERR_USAGE, "[32, 48] cannot replace [48, 32]");
    assert_error(pare_engine_replace(e, 0, &l, &err), PARE_ERR_USAGE, "no matrix");
    pare_engine_free(e);
    toy_clear(&s);
    pare_ctx_free(ctx);
}

static void profile_adds_up(void **state)
{
    (void)state;
    int32_t ids[N];
    float got[N * V];
    pare_profile_row rows[64];
    toy_source s = { 0 };
    pare_ctx *ctx = toy_ctx(1);
    const pare_engine_options o = { .profile = true };
    pare_engine *e = toy_engine(ctx, &toy_small, &s, &o);
    text(ids, N, 11);
    run_in_steps(e, ids, N, N, got);
    const int64_t n = pare_engine_profile(e, rows, 64);
    bool qkv = false, attention = false;
    for (int64_t i = 0; i < n; i++) {
        if (!strcmp(rows[i].what, "q k v")) {
            qkv = true;
            assert_string_equal(rows[i].op, "linear");
            assert_int_equal(rows[i].calls, 3);
            assert_int_equal(rows[i].macs, 3 * N * 32 * (32 + 16 + 16));
            assert_int_equal(rows[i].bytes, 3 * 4 * 32 * (32 + 16 + 16));
        }
        if (!strcmp(rows[i].op, "attention")) {
            attention = true;
            assert_int_equal(rows[i].macs, 3 * (N * (N + 1) / 2) * 4 * 16);
            assert_int_equal(rows[i].bytes, 3 * N * 2 * 16 * 4);
        }
    }
    assert_true(qkv && attention);
    pare_engine_profile_reset(e);
    assert_int_equal(pare_engine_profile(e, rows, 64), 0);
    pare_engine_free(e);
    toy_clear(&s);
    pare_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_double),    cmocka_unit_test(windows_chunks_slopes_sinks),   cmocka_unit_test(kv_dtypes_and_chunks), cmocka_unit_test(kv_static_scales),
        cmocka_unit_test(threads_change_nothing), cmocka_unit_test(sequences_do_not_meet),        cmocka_unit_test(wanted_rows_only),
        cmocka_unit_test(truncation_forgets),    cmocka_unit_test(errors_change_nothing),         cmocka_unit_test(observer_sees_layers_in_order),
        cmocka_unit_test(replacing_a_weight),    cmocka_unit_test(profile_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
