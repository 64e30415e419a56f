/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine holds, streams, frees and refuses: limits of memory, failing allocations, weights that are missing or cannot be read, caches. */
#include <math.h>

#include "graph/engine.h"
#include "toy.h"

enum { N = 70, V = 61 };

static void text(int32_t *ids, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)(pare_rng_u64(seed, (uint64_t)i) % V);
}

/* A prompt, then a few tokens one by one. */
static void run(pare_engine *e, float *out)
{
    int32_t ids[N];
    pare_err err = { 0 };
    text(ids, N, 1);
    pare_engine_truncate(e, 0, 0);
    pare_batch b = { .n = N - 5, .ids = ids };
    if (pare_engine_step(e, &b, out, &err) != PARE_OK) fail_msg("%s", err.text);
    for (int64_t t = N - 5; t < N; t++) {
        b = (pare_batch){ .n = 1, .ids = ids + t };
        if (pare_engine_step(e, &b, out + t * V, &err) != PARE_OK) fail_msg("%s", err.text);
    }
}

static uint64_t need_of(pare_engine *e, pare_engine_need *n)
{
    assert_ok(pare_engine_needs(e, e->cap_tokens, n, NULL));
    return n->vectors + n->cache + n->activations;
}

/* Every limit from "one layer at a time" to "everything" gives the same bits, and what is loaded is dropped. */
static void streaming_changes_no_bit(void **state)
{
    (void)state;
    static float want[N * V], got[N * V];
    for (int threads = 1; threads <= 3; threads++)
        for (int copies = 0; copies < 2; copies++) {
            toy_source s = { .copies = copies };
            toy_llama m = toy_small;
            m.layers = 6;
            pare_ctx *ctx = toy_ctx(threads);
            pare_engine_options o = { .ctx = N, .chunk = 64 };
            pare_engine_need need;
            pare_engine_memory memory;
            pare_engine *e = toy_engine(ctx, &m, &s, &o);
            run(e, want);
            const int all = s.loads;
            const uint64_t fixed = need_of(e, &need);
            assert_int_equal(all, 6 * 7 + 1);
            pare_engine_get_memory(e, &memory);
            assert_int_equal(memory.streamed_per_step, 0);
            assert_int_equal(memory.weights, need.matrices + need.vectors);
            assert_int_equal(memory.weights_owned, copies ? need.matrices + need.vectors : need.vectors);
            assert_int_equal(memory.per_token, memory.weights);
            assert_int_equal(memory.cache, 6 * ((N + 15) / 16 * 16) * 2 * 16 * 4);
            pare_engine_free(e);
            const uint64_t layer = need.matrices / 7;
            for (uint64_t limit = fixed + need.two; limit < fixed + need.matrices + 2 * layer; limit += layer) {
                s.loads = s.drops = s.held = 0;
                o.memory = limit;
                e = toy_engine(ctx, &m, &s, &o);
                const int held = s.held;
                run(e, got);
                assert_memory_equal(got, want, sizeof got);
                assert_int_equal(s.held, held);
                pare_engine_get_memory(e, &memory);
                if (limit >= fixed + need.matrices) {
                    assert_int_equal(memory.streamed_per_step, 0);
                    assert_int_equal(held, all);
                } else {
                    assert_true(memory.streamed_per_step > 0);
                    assert_int_equal(s.loads, held + (all - held) * 7); /* the prompt in two chunks, five tokens */
                    assert_int_equal(memory.streamed_per_step + memory.weights, need.matrices + need.vectors);
                }
                pare_engine_free(e);
            }
            toy_clear(&s);
            pare_ctx_free(ctx);
        }
}

/* A head of three layers' size is cut into slices of rows; with room for one layer nothing is loaded ahead. */
static void large_heads_come_in_slices(void **state)
{
    (void)state;
    enum { MANY = 700 };
    static float want[40 * MANY], got[40 * MANY];
    int32_t ids[40];
    text(ids, 40, 3);
    for (int tied = 0; tied < 2; tied++)
        for (int threads = 1; threads <= 2; threads++) {
            toy_source s = { .copies = true };
            toy_llama m = toy_small;
            m.vocab = MANY;
            m.tied = tied;
            pare_ctx *ctx = toy_ctx(threads);
            pare_engine_options o = { .ctx = 64, .chunk = 64 };
            pare_engine_need need;
            pare_engine_memory memory;
            const pare_batch b = { .n = 40, .ids = ids };
            pare_engine *e = toy_engine(ctx, &m, &s, &o);
            assert_ok(pare_engine_step(e, &b, want, NULL));
            const uint64_t fixed = need_of(e, &need), layer = (64 * 32 + 32 * 32 + 3 * 32 * 48) * 4;
            assert_int_equal(need.matrices, 3 * layer + MANY * 32 * 4);
            assert_int_equal(need.one, MANY * 32 * 4);
            pare_engine_free(e);
            s.held = s.loads = 0;
            o.memory = fixed + layer;
            e = toy_engine(ctx, &m, &s, &o);
            assert_int_equal(s.held, 0);
            assert_false(e->overlap);
            assert_ok(pare_engine_step(e, &b, got, NULL));
            assert_memory_equal(got, want, sizeof got);
            assert_int_equal(s.held, 0);
            assert_int_equal(s.loads, 3 * 7 + 6); /* slices of 128 rows */
            pare_engine_get_memory(e, &memory);
            assert_int_equal(memory.streamed_per_step, need.matrices);
            pare_engine_free(e);
            toy_clear(&s);
            pare_ctx_free(ctx);
        }
}

static void too_little_memory(void **state)
{
    (void)state;
    toy_source s = { 0 };
    pare_err err;
    pare_engine *e = NULL;
    pare_engine_need need;
    pare_ctx *ctx = toy_ctx(2);
    pare_engine_options o = { .ctx = 128 };
    const pare_gsource source = toy_gsource(&s);
    static float want[N * V], got[N * V];
    e = toy_engine(ctx, &toy_small, &s, &o);
    run(e, want);
    assert_int_equal(e->cap_tokens, 128);
    const uint64_t fixed = need_of(e, &need);
    pare_engine_free(e);
    s.loads = 0;
    /* the chunk is made smaller first, which changes nothing */
    o.memory = fixed + need.two - 1;
    e = toy_engine(ctx, &toy_small, &s, &o);
    assert_int_equal(e->cap_tokens, 64);
    run(e, got);
    assert_memory_equal(got, want, sizeof got);
    pare_engine_free(e);
    s.loads = s.closed = 0;
    o.memory = 20000;
    assert_error(pare_engine_new(ctx, toy_graph(&toy_small), &source, &o, &e, &err), PARE_ERR_MEMORY, "memory limit of 19.53 KiB (20000 bytes): at least ");
    assert_null(e);
    assert_int_equal(s.loads, 0);
    assert_int_equal(s.closed, 1);
    o.chunk = 64;
    o.memory = 1;
    assert_error(pare_engine_new(ctx, toy_graph(&toy_small), &source, &o, &e, &err), PARE_ERR_MEMORY, "(1 bytes)");
    toy_clear(&s);
    pare_ctx_free(ctx);
}

static void activations_do_not_grow_with_layers(void **state)
{
    (void)state;
    uint64_t bytes[2];
    pare_ctx *ctx = toy_ctx(1);
    for (int i = 0; i < 2; i++) {
        toy_source s = { 0 };
        toy_llama m = toy_small;
        m.layers = i ? 40 : 2;
        const pare_engine_options o = { .ctx = 256, .chunk = 256 };
        pare_engine *e = toy_engine(ctx, &m, &s, &o);
        bytes[i] = e->arena_bytes;
        /* residual, norm, and the widest moment: q k v with the result of attention, or gate and up; the head's rows beside the last norm */
        assert_true(bytes[i] <= 256 * 4 * (32 + 32 + 2 * 48 + 32));
        pare_engine_free(e);
        toy_clear(&s);
    }
    assert_int_equal(bytes[0], bytes[1]);
    pare_ctx_free(ctx);
}

static void bad_weights(void **state)
{
    (void)state;
    toy_source s = { 0 };
    pare_err err;
    pare_engine *e = NULL;
    pare_ctx *ctx = toy_ctx(2);
    const pare_gsource source = toy_gsource(&s);
    s.missing = "l2.down.weight";
    assert_error(pare_engine_new(ctx, toy_graph(&toy_small), &source, NULL, &e, &err), PARE_ERR_FORMAT, "l2.down.weight: is missing");
    assert_int_equal(s.loads, 0); /* found before anything is loaded */
    s.missing = NULL;
    s.broken = "l1.up.weight";
    assert_error(pare_engine_new(ctx, toy_graph(&toy_small), &source, NULL, &e, &err), PARE_ERR_IO, "l1.up.weight: cannot be read");
    assert_null(e);
    assert_int_equal(s.closed, 2);
    toy_clear(&s);
    toy_set(&s, "l2.norm2", 1, (int64_t[]){ 31 }, (float[31]){ 0 });
    assert_error(pare_engine_new(ctx, toy_graph(&toy_small), &source, NULL, &e, &err), PARE_ERR_FORMAT, "l2.norm2: has another shape");
    assert_int_equal(s.loads, 0);
    toy_clear(&s);
    /* a graph that failed, options that cannot be */
    pare_graph *g = toy_graph(&toy_small);
    pare_g_fail(g, PARE_ERR_UNSUPPORTED, "no such thing");
    assert_error(pare_engine_new(ctx, g, &source, NULL, &e, &err), PARE_ERR_UNSUPPORTED, "no such thing");
    static const pare_engine_options wrong[] = { { .ctx = -1 }, { .sequences = -1 }, { .chunk = -2 }, { .kv_dtype = PARE_F64 }, { .ctx = INT64_MAX } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_int_equal(pare_engine_new(ctx, toy_graph(&toy_small), &source, &wrong[i], &e, &err), PARE_ERR_USAGE);
    toy_clear(&s);
    pare_ctx_free(ctx);
}

/* A layer that cannot be read while a step runs: the step fails, the sequence is as before, and what was loaded is dropped. */
static void reading_fails_in_a_step(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        toy_source s = { .copies = true };
        pare_err err;
        pare_engine_need need;
        int32_t ids[4] = { 1, 2, 3, 4 };
        float want[4 * V], got[4 * V];
        pare_ctx *ctx = toy_ctx(threads);
        pare_engine_options o = { .ctx = N, .chunk = 64 };
        pare_engine *e = toy_engine(ctx, &toy_small, &s, &o);
        o.memory = need_of(e, &need) + need.two;
        pare_engine_free(e);
        s.held = 0;
        e = toy_engine(ctx, &toy_small, &s, &o);
        const pare_batch b = { .n = 4, .ids = ids };
        assert_ok(pare_engine_step(e, &b, want, NULL));
        const int held = s.held;
        pare_engine_truncate(e, 0, 0);
        s.broken = "l2.up.weight";
        assert_error(pare_engine_step(e, &b, got, &err), PARE_ERR_IO, "l2.up.weight: cannot be read");
        assert_int_equal(s.held, held);
        assert_int_equal(pare_engine_length(e, 0), 0);
        s.broken = NULL;
        assert_ok(pare_engine_step(e, &b, got, NULL));
        assert_memory_equal(got, want, sizeof got);
        /* a weight put in by hand stays */
        const pare_graph *g = pare_engine_graph(e);
        pare_linear l = { 0 };
        for (size_t i = 0; i < g->weights.n; i++)
            if (!strcmp(g->weights.at[i].name, "l1.o.weight")) {
                assert_ok(pare_linear_float(&l, PARE_F32, 32, 32, toy_get(&s, "l1.o.weight", 2, (int64_t[]){ 32, 32 }), NULL));
                assert_ok(pare_engine_replace(e, (pare_gw)i, &l, NULL));
            }
        pare_engine_truncate(e, 0, 0);
        assert_ok(pare_engine_step(e, &b, got, NULL));
        assert_memory_equal(got, want, sizeof got);
        pare_engine_free(e);
        toy_clear(&s);
        pare_ctx_free(ctx);
    }
}

/* ---------------------------------------------------------------------------------------------------- failing allocations */

typedef struct setting { toy_source s; uint64_t memory; pare_dtype kv; int threads; bool listens; } setting;

static pare_graph *listener(void)
{
    pare_graph *g = pare_graph_new(PARE_G_DECODER, NULL);
    if (!g) return NULL;
    g->encoder = pare_graph_new(PARE_G_ENCODER, NULL);
    if (!g->encoder) {
        pare_graph_free(g);
        return NULL;
    }
    pare_graph *n = g->encoder;
    const int64_t table[2] = { V, 8 };
    pare_gv x = pare_g_embed(n, pare_g_ids(n), pare_g_weight(n, PARE_GW_TABLE, "t", 2, table), 1);
    n->hidden_out = pare_g_linear(n, x, "e", 8, 8, true);
    x = pare_g_embed(g, pare_g_ids(g), pare_g_weight(g, PARE_GW_TABLE, "t", 2, table), 1);
    pare_attention a = { .heads = 2, .kv_heads = 1, .dim = 4, .v_dim = 4, .scale = 1, .cache = -1, .cross = true };
    const pare_gv m = pare_g_memory(g, 8), k = pare_g_linear(g, m, "k", 4, 8, false);
    x = pare_g_attention(g, x, k, k, &a, NULL, 0);
    a = (pare_attention){ .heads = 2, .kv_heads = 1, .dim = 4, .v_dim = 4, .scale = 1, .causal = true, .rel_buckets = 8, .rel_distance = 20 };
    a.cache = pare_g_cache(g, 1, 4, 4, 0);
    const pare_gv k2 = pare_g_linear(g, x, "k2", 4, 8, false);
    const pare_gw rel = pare_g_weight(g, PARE_GW_VECTOR, "rel", 2, (int64_t[]){ 8, 2 });
    x = pare_g_attention(g, x, k2, k2, &a, &rel, 1);
    g->logits = pare_g_linear(g, pare_g_rows_last(g, x), "out", V, 8, false);
    return g;
}

/* The library's own pare_ctx with its pool belongs to the run: everything is made and freed. */
static pare_status life(void *arg)
{
    setting *c = arg;
    int32_t ids[N];
    static float out[N * V];
    const pare_gsource source = toy_gsource(&c->s);
    const pare_engine_options o = { .ctx = 80, .chunk = 16, .memory = c->memory, .kv_dtype = c->kv, .profile = true };
    const pare_ctx_options co = { .threads = c->threads };
    pare_profile_row rows[4];
    pare_ctx *ctx = NULL;
    pare_engine *e = NULL;
    pare_status st;
    text(ids, N, 2);
    if ((st = pare_ctx_new(&co, &ctx, NULL)) != PARE_OK) return st;
    pare_graph *g = c->listens ? listener() : toy_graph(&toy_small);
    if (!g) {
        pare_ctx_free(ctx);
        return PARE_ERR_MEMORY;
    }
    st = pare_engine_new(ctx, g, &source, &o, &e, NULL);
    const pare_batch b = { .n = 40, .ids = ids }, one = { .n = 1, .ids = ids + 40 };
    if (st == PARE_OK && c->listens) st = pare_engine_encode(e, 0, ids, 30, NULL);
    if (st == PARE_OK) {
        st = pare_engine_step(e, &b, out, NULL);
        if (st != PARE_OK) assert_int_equal(pare_engine_length(e, 0), 0);
    }
    if (st == PARE_OK) st = pare_engine_step(e, &one, out, NULL);
    if (st == PARE_OK) pare_engine_profile(e, rows, 4);
    pare_engine_free(e);
    pare_ctx_free(ctx);
    return st;
}

/* The limit under which only one layer (two threads: two) is held at a time. */
static uint64_t least_memory(setting *c)
{
    pare_engine_need n;
    pare_ctx *ctx = toy_ctx(c->threads);
    pare_engine_options o = { .ctx = 80, .chunk = 16, .kv_dtype = c->kv };
    pare_engine *e = toy_engine(ctx, &toy_small, &c->s, &o);
    o.memory = need_of(e, &n) + n.two;
    pare_engine_free(e);
    e = toy_engine(ctx, &toy_small, &c->s, &o);
    assert_true(e->streaming);
    pare_engine_free(e);
    pare_ctx_free(ctx);
    return o.memory;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    setting c = { .kv = PARE_F32, .threads = 1 };
    assert_true(test_every_allocation(life, &c) > 50);
    c.kv = PARE_I8;
    c.s.copies = true;
    test_every_allocation(life, &c);
    c.memory = least_memory(&c);
    test_every_allocation(life, &c);
    c.threads = 2;
    c.memory = least_memory(&c) + 2000;
    test_every_allocation(life, &c);
    c.memory = 0;
    c.listens = true;
    test_every_allocation(life, &c);
    toy_clear(&c.s);
}

/* ------------------------------------------------------------------------------------------------------------------ cache */

static void caches_hold_what_they_were_given(void **state)
{
    (void)state;
    static const struct { pare_dtype dtype; double step; } kinds[] = { { PARE_F32, 0 }, { PARE_F16, 1.0 / 2048 }, { PARE_BF16, 1.0 / 256 }, { PARE_I8, 0.5 / 127 }, { PARE_F8_E4M3FN, 1.0 / 16 } };
    enum { HEADS = 3, K = 10, W = 6, ROWS = 5, AT = 13 }; /* of two panels */
    float room[K], x[ROWS * HEADS * K], y[ROWS * HEADS * W];
    pare_ctx *ctx = toy_ctx(1);
    const pare_gcache shape = { .kv_heads = HEADS, .k_dim = K, .v_dim = W };
    for (int i = 0; i < ROWS * HEADS * K; i++) x[i] = (float)pare_rng_normal(1, (uint64_t)i);
    for (int i = 0; i < ROWS * HEADS * W; i++) y[i] = (float)pare_rng_normal(2, (uint64_t)i);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        pare_kvcache c;
        uint64_t bytes;
        assert_ok(pare_kv_init(&c, &shape, kinds[k].dtype, PARE_F32, 2, NULL));
        assert_ok(pare_kv_reserve(&c, 1, 20, NULL));
        assert_true(pare_kv_bytes(&c, 20, &bytes));
        const size_t unit = pare_dtype_bytes(kinds[k].dtype, 1);
        assert_int_equal(bytes, 32 * HEADS * ((K + W) * unit + (kinds[k].dtype == PARE_I8 ? 8 : 0)));
        for (int h = 0; h < HEADS; h++) pare_kv_write(&c, ctx->kernels, 1, h, AT, ROWS, x + h * K, HEADS * K, y + h * W, HEADS * W, room);
        for (int h = 0; h < HEADS; h++)
            for (int r = 0; r < ROWS; r++) {
                float back[K];
                const pare_kvslot *s = &c.slots[1];
                double most = 0;
                for (int d = 0; d < K; d++) {
                    const int64_t at = h * s->cap * K + ((AT + r) / PARE_KEY_PANEL * K + d) * PARE_KEY_PANEL + (AT + r) % PARE_KEY_PANEL;
                    assert_ok(pare_to_f32(back + d, kinds[k].dtype, s->k + (size_t)at * unit, 1, NULL));
                }
                for (int d = 0; d < K; d++) most = fmax(most, fabs((double)x[(r * HEADS + h) * K + d]));
                for (int d = 0; d < K; d++) {
                    const double scale = kinds[k].dtype == PARE_I8 ? (double)s->k_scale[h * s->cap + AT + r] : 1;
                    assert_true(fabs((double)back[d] * scale - (double)x[(r * HEADS + h) * K + d]) <= kinds[k].step * most * 1.001);
                }
                assert_ok(pare_to_f32(back, kinds[k].dtype, s->v + (size_t)(h * s->cap + AT + r) * W * unit, W, NULL));
                const double scale = kinds[k].dtype == PARE_I8 ? (double)s->v_scale[h * s->cap + AT + r] : 1;
                for (int d = 0; d < W; d++) assert_true(fabs((double)back[d] * scale - (double)y[(r * HEADS + h) * W + d]) <= kinds[k].step * 4);
            }
        assert_false(pare_kv_bytes(&c, INT64_MAX / 4, &bytes));
        pare_kv_clear(&c);
    }
    pare_ctx_free(ctx);
}

/* Two and a half big pages of keys, half of them written: the same bytes afterwards, and room that can be written. */
static void caches_move_to_big_pages(void **state)
{
    (void)state;
    enum { K = 64, POSITIONS = 5 * (int)(PARE_BIG_PAGE / 2 / K / 2) };
    const pare_gcache shape = { .kv_heads = 1, .k_dim = K, .v_dim = K };
    pare_kvcache c;
    assert_ok(pare_kv_init(&c, &shape, PARE_F16, PARE_F16, 2, NULL));
    assert_false(pare_kv_settle(&c, 0)); /* nothing there */
    assert_ok(pare_kv_reserve(&c, 0, POSITIONS, NULL));
    uint32_t *k = (uint32_t *)(void *)c.slots[0].k;
    const size_t n = (size_t)POSITIONS * K / 2;
    for (size_t i = 0; i < n / 2; i++) k[i] = (uint32_t)i * 2654435761u;
    assert_true(pare_kv_settle(&c, 0));
    assert_false(pare_kv_settle(&c, 0)); /* it is done */
    for (size_t i = n / 2; i < n; i++) k[i] = (uint32_t)i * 2654435761u;
    for (size_t i = 0; i < n; i++) assert_true(k[i] == (uint32_t)i * 2654435761u);
    pare_kv_clear(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streaming_changes_no_bit), cmocka_unit_test(large_heads_come_in_slices), cmocka_unit_test(too_little_memory),       cmocka_unit_test(activations_do_not_grow_with_layers),
        cmocka_unit_test(bad_weights),              cmocka_unit_test(reading_fails_in_a_step), cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(caches_hold_what_they_were_given), cmocka_unit_test(caches_move_to_big_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
