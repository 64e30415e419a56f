/* SPDX-License-Identifier: Apache-2.0 */
/* Parallel loops, the background task, cancelling, arenas and allocation. */
#include <stdatomic.h>
#include <unistd.h>
#include "support/support.h"

static pare_err err;

static void init(pare_ctx *ctx, int threads)
{
    pare_ctx_options options = {.threads = threads};
    assert_ok(pare_ctx_init_base(ctx, &options, &err));
}

/* ------------------------------------------------------------------------------------------------------------- loops */

typedef struct job {
    pare_ctx *ctx;
    int64_t n, done[1000];
    int64_t fail_from; /* this index and every third after it fail; -1 = none */
    atomic_int busy[64];
} job;

static pare_status square(void *arg, int64_t i, int worker, pare_err *e)
{
    job *j = arg;
    if (worker < 0 || worker >= j->ctx->threads) return pare_fail(e, PARE_ERR_USAGE, "worker %d", worker);
    int others = atomic_fetch_add(&j->busy[worker], 1); /* a worker's scratch is its own */
    if (i % 50 == 0) usleep((useconds_t)(pare_rng_u64(1, (uint64_t)i) % 500));
    j->done[i] = i * i;
    atomic_fetch_sub(&j->busy[worker], 1);
    if (others) return pare_fail(e, PARE_ERR_USAGE, "worker %d twice", worker);
    if (j->fail_from >= 0 && i >= j->fail_from && (i - j->fail_from) % 3 == 0) return pare_fail(e, PARE_ERR_DATA, "index %d", (int)i);
    return PARE_OK;
}

static void loops(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 9; threads += 2) {
        pare_ctx ctx;
        init(&ctx, threads);
        assert_int_equal(pare_ctx_threads(&ctx), threads);
        for (int round = 0; round < 20; round++) {
            job j = {.ctx = &ctx, .n = 1000, .fail_from = -1};
            assert_ok(pare_parallel(&ctx, j.n, square, &j, &err));
            for (int64_t i = 0; i < j.n; i++) assert_int_equal(j.done[i], i * i);
        }
        assert_ok(pare_parallel(&ctx, 0, square, NULL, &err));
        pare_ctx_clear_base(&ctx);
    }
}

/* ---------------------------------------------------------------------------------------------------------- stretches */

/* Like square(), each unit once, in order; a stretch ends at its first unit that fails. */
static pare_status squares(void *arg, int64_t begin, int64_t end, int worker, pare_err *e)
{
    job *j = arg;
    if (begin < 0 || begin >= end || end > j->n) return pare_fail(e, PARE_ERR_USAGE, "units %d to %d", (int)begin, (int)end);
    for (int64_t i = begin; i < end; i++) {
        if (j->done[i]) return pare_fail(e, PARE_ERR_USAGE, "unit %d again", (int)i);
        const pare_status st = square(arg, i, worker, e);
        j->done[i] += 1; /* 0 is a square */
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

/* Every unit once, for every count and number of threads. */
static void stretches(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 9; threads += 2) {
        pare_ctx ctx;
        init(&ctx, threads);
        for (int round = 0; round < 60; round++) {
            job j = {.ctx = &ctx, .n = round < 20 ? round + 1 : 17 * round - 50, .fail_from = -1};
            assert_ok(pare_parallel_stretches(&ctx, j.n, squares, &j, &err));
            for (int64_t i = 0; i < j.n; i++) assert_int_equal(j.done[i], i * i + 1);
        }
        assert_ok(pare_parallel_stretches(&ctx, 0, squares, NULL, &err));
        pare_ctx_clear_base(&ctx);
    }
}

/* Either loop: whatever the timing, the lowest failing index is reported and everything below it was done. */
static void lowest_error(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 8; threads++) {
        pare_ctx ctx;
        init(&ctx, threads);
        for (int64_t fail_from = 0; fail_from < 300; fail_from += 7)
            for (int by_stretches = 0; by_stretches < 2; by_stretches++) {
                char text[32];
                job j = {.ctx = &ctx, .n = 1000, .fail_from = fail_from};
                snprintf(text, sizeof text, "index %d", (int)fail_from);
                assert_error(by_stretches ? pare_parallel_stretches(&ctx, j.n, squares, &j, &err) : pare_parallel(&ctx, j.n, square, &j, &err), PARE_ERR_DATA, text);
                assert_string_equal(err.text, text);
                for (int64_t i = 0; i < fail_from; i++) assert_int_equal(j.done[i], i * i + by_stretches);
            }
        pare_ctx_clear_base(&ctx);
    }
}

static pare_status nested_stretches(void *arg, int64_t i, int worker, pare_err *e)
{
    job j = {.ctx = arg, .n = 20, .fail_from = i == 5 ? 3 : -1};
    (void)worker;
    return pare_parallel_stretches(arg, j.n, squares, &j, e);
}

static pare_status nested_loop(void *arg, int64_t i, int worker, pare_err *e)
{
    pare_ctx *ctx = arg;
    job j = {.ctx = ctx, .n = 20, .fail_from = i == 5 ? 3 : -1};
    (void)worker;
    return pare_parallel(ctx, j.n, square, &j, e);
}

static void nested(void **state)
{
    (void)state;
    pare_ctx ctx;
    init(&ctx, 4);
    assert_error(pare_parallel(&ctx, 40, nested_loop, &ctx, &err), PARE_ERR_DATA, "index 3");
    assert_error(pare_parallel(&ctx, 40, nested_stretches, &ctx, &err), PARE_ERR_DATA, "index 3");
    pare_ctx_clear_base(&ctx);
}

static pare_status cancel_at_10(void *arg, int64_t i, int worker, pare_err *e)
{
    (void)worker, (void)e;
    if (i == 10) pare_ctx_cancel(arg);
    return PARE_OK;
}

static void cancelling(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads += 3) {
        pare_ctx ctx;
        init(&ctx, threads);
        assert_ok(pare_check_cancel(&ctx, &err));
        assert_error(pare_parallel(&ctx, 1000, cancel_at_10, &ctx, &err), PARE_ERR_CANCELLED, "cancelled");
        assert_error(pare_check_cancel(&ctx, &err), PARE_ERR_CANCELLED, "cancelled");
        job j = {.ctx = &ctx, .n = 1000, .fail_from = -1};
        assert_error(pare_parallel_stretches(&ctx, j.n, squares, &j, &err), PARE_ERR_CANCELLED, "cancelled");
        pare_ctx_clear_base(&ctx);
    }
}

static int thread_count(void)
{
    char *text;
    assert_ok(pare_read_file("/proc/self/status", 1 << 16, &text, NULL, &err));
    int n = (int)strtol(strstr(text, "Threads:") + 8, NULL, 10);
    pare_dealloc(text);
    return n;
}

static void one_thread_makes_none(void **state)
{
    (void)state;
    pare_ctx ctx;
    int before = thread_count();
    job j = {.ctx = &ctx, .n = 100, .fail_from = -1};
    init(&ctx, 1);
    assert_ok(pare_parallel(&ctx, j.n, square, &j, &err));
    assert_int_equal(thread_count(), before);
    pare_ctx_clear_base(&ctx);
    assert_error(pare_ctx_init_base(&ctx, &(pare_ctx_options){.threads = -1}, &err), PARE_ERR_USAGE, "-1 threads");
    init(&ctx, 0);
    assert_int_equal(pare_ctx_threads(&ctx), pare_usable_cores());
    pare_ctx_clear_base(&ctx);
}

/* -------------------------------------------------------------------------------------------------------- background */

static pare_status count_up(void *arg, pare_err *e)
{
    int *n = arg;
    usleep(500);
    return ++*n == 7 ? pare_fail(e, PARE_ERR_IO, "seven") : PARE_OK;
}

static void background(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2) {
        pare_ctx ctx;
        pare_background *bg;
        int n = 0;
        init(&ctx, threads);
        assert_ok(pare_background_new(&ctx, &bg, &err));
        assert_ok(pare_background_wait(bg, &err));
        for (int i = 0; i < 6; i++) assert_ok(pare_background_start(bg, count_up, &n, &err));
        assert_ok(pare_background_wait(bg, &err));
        assert_int_equal(n, 6);
        assert_ok(pare_background_start(bg, count_up, &n, &err));
        assert_error(pare_background_wait(bg, &err), PARE_ERR_IO, "seven");
        assert_ok(pare_background_wait(bg, &err));
        assert_ok(pare_background_start(bg, count_up, &n, &err)); /* freeing waits for it */
        pare_background_free(bg);
        assert_int_equal(n, 8);
        pare_ctx_clear_base(&ctx);
    }
}

/* ------------------------------------------------------------------------------------------------------------ memory */

static pare_status use_everything(void *arg)
{
    pare_ctx ctx;
    pare_background *bg = NULL;
    pare_arena arena = {0};
    PARE_VEC(int) v = {0};
    int n = 0;
    (void)arg;
    pare_status st = pare_ctx_init_base(&ctx, &(pare_ctx_options){.threads = 2}, NULL);
    job j = {.ctx = &ctx, .n = 100, .fail_from = -1};
    if (st == PARE_OK) st = pare_parallel(&ctx, j.n, square, &j, NULL); /* without memory for a pool: serially */
    job k = {.ctx = &ctx, .n = 100, .fail_from = -1};
    if (st == PARE_OK) st = pare_parallel_stretches(&ctx, k.n, squares, &k, NULL);
    if (st == PARE_OK) st = pare_background_new(&ctx, &bg, NULL);
    if (st == PARE_OK) st = pare_background_start(bg, count_up, &n, NULL);
    for (int i = 0; i < 100 && st == PARE_OK; i++)
        if (!PARE_VEC_PUSH(&v, i) || !pare_arena_printf(&arena, "%d %*s", i, 500, "")) st = PARE_ERR_MEMORY;
    pare_background_free(bg);
    PARE_VEC_CLEAR(&v);
    pare_arena_clear(&arena);
    pare_ctx_clear_base(&ctx);
    return st;
}

static void no_memory(void **state)
{
    (void)state;
    assert_true(test_every_allocation(use_everything, NULL) > 5);
}

static void allocation(void **state)
{
    (void)state;
    size_t n;
    void *p;
    pare_arena arena = {0};
    assert_false(pare_mul_size(SIZE_MAX / 2, 3, &n));
    assert_false(pare_add_size(SIZE_MAX, 1, &n));
    assert_null(pare_alloc_zero(SIZE_MAX / 2, 3));
    assert_null(pare_alloc_aligned(64, SIZE_MAX));
    for (size_t align = 1; align <= 4096; align *= 2) {
        p = pare_alloc_aligned(align, 100);
        assert_int_equal((uintptr_t)p % align, 0);
        memset(p, 1, 100);
        pare_dealloc_aligned(p);
    }
    assert_error(pare_alloc_try(SIZE_MAX / 2, "weights of layer 3", &p, &err), PARE_ERR_MEMORY, "weights of layer 3");
    for (size_t i = 0; i < 1000; i++) {
        char *at = pare_arena_alloc(&arena, i * 13);
        assert_int_equal((uintptr_t)at % 16, 0);
        memset(at, (int)i, i * 13);
    }
    assert_string_equal(pare_arena_printf(&arena, "%d %s", 3, "x"), "3 x");
    assert_null(pare_arena_alloc(&arena, SIZE_MAX));
    pare_arena_clear(&arena);
    p = pare_alloc(0);
    assert_non_null(p);
    pare_dealloc(p);
}

static void memory_peak(void **state)
{
    (void)state;
    size_t n = 64 << 20;
    char *p = pare_alloc(n);
    memset(p, 1, n);
    uint64_t with = pare_peak_rss_bytes();
    pare_dealloc(p);
    assert_true(with >= n);
    assert_true(pare_peak_rss_bytes() >= with);
    assert_true(pare_usable_cores() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops),      cmocka_unit_test(lowest_error), cmocka_unit_test(nested),    cmocka_unit_test(cancelling),
        cmocka_unit_test(stretches),
        cmocka_unit_test(one_thread_makes_none), cmocka_unit_test(background), cmocka_unit_test(no_memory), cmocka_unit_test(allocation),
        cmocka_unit_test(memory_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
