/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker pool and the background task. Indices are handed out in order from one counter, and an index runs unless a
 * lower one has failed; so the lowest failing index always runs, and its error is the one reported, whatever the timing.
 *
 * A model that runs starts a loop every few dozen microseconds, which is what waking a thread costs. So workers without a loop, and the
 * caller while the last tasks run, look at an atomic for SPIN_SECONDS before they sleep, where every thread has a core of its own. A
 * worker that comes too late joins no loop, and nobody waits for it.
 *
 * A loop of stretches has a range [begin, end) for each thread, in one word: its owner cuts from the front, thieves from the back. A range's value never
 * comes back once it was cut (units run once), so compare-and-swap is enough.
 */
#include "base/threads.h"
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include "base/alloc.h"

enum { PIECES = 8 }; /* of a thread's share, at least */

/* What a thread has left of a loop of stretches: begin << 32 | end, in a cache line of its own. */
typedef struct range { _Alignas(64) atomic_ullong at; } range;

/* One parallel loop. */
typedef struct loop {
    pare_ctx *ctx;
    pare_task_fn fn;
    pare_stretch_fn stretch; /* instead of fn */
    void *arg;
    int64_t n;
    range *ranges;        /* [threads] of stretches */
    int threads;
    atomic_llong next;    /* index to hand out */
    atomic_llong lowest;  /* lowest index that failed so far, n = none */
    pthread_mutex_t lock; /* of st and err */
    pare_status st;
    pare_err err;
} loop;

struct pare_pool {
    range *ranges;        /* [n + 1] for loops of stretches; NULL without memory */
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    loop *job;            /* NULL = nothing to do, or no longer to be joined */
    atomic_ullong generation; /* counts jobs, so that a worker takes each once; changes under the lock */
    atomic_int running;   /* workers in the job; changes under the lock */
    atomic_bool stop;
    int sleepers;         /* workers that wait for `work` */
    bool caller_sleeps;
    bool spin;            /* is there a core for every thread? */
    int n;                /* workers, the caller apart */
    struct worker { pthread_t id; struct pare_pool *pool; int index; } workers[];
};

/* Loops started inside a task run serially, under the task's own worker number. */
static _Thread_local bool inside;
static _Thread_local int my_worker;

/* ---------------------------------------------------------------------------------------------------------- one loop */

static void loop_failed(loop *l, int64_t i, pare_status st, const pare_err *err)
{
    pthread_mutex_lock(&l->lock);
    if (i < atomic_load(&l->lowest)) {
        atomic_store(&l->lowest, i);
        l->st = st;
        l->err = *err;
    }
    pthread_mutex_unlock(&l->lock);
}

/* Index begin, or stretch [begin, end), unless a lower one has failed. */
static bool run_piece(loop *l, int64_t begin, int64_t end, int worker)
{
    pare_err err;
    if (begin >= atomic_load(&l->lowest)) return false;
    err.code = PARE_OK;
    err.text[0] = err.hint[0] = '\0';
    pare_status st = pare_check_cancel(l->ctx, &err);
    if (st == PARE_OK) st = l->stretch ? l->stretch(l->arg, begin, end, worker, &err) : l->fn(l->arg, begin, worker, &err);
    if (st != PARE_OK) loop_failed(l, begin, st, &err);
    return true;
}

static uint64_t pack(int64_t begin, int64_t end) { return (uint64_t)begin << 32 | (uint64_t)end; }
static int64_t begin_of(uint64_t r) { return (int64_t)(r >> 32); }
static int64_t end_of(uint64_t r) { return (int64_t)(r & UINT32_MAX); }
static int64_t left_of(uint64_t r) { return end_of(r) - begin_of(r); }

/* The next stretch of the worker's own range: half of it, at most a PIECES-th of its share. */
static bool own_stretch(loop *l, int worker, int64_t *begin, int64_t *end)
{
    atomic_ullong *own = &l->ranges[worker].at;
    unsigned long long r = atomic_load(own);
    const int64_t most = l->n / ((int64_t)l->threads * PIECES) + 1;
    while (left_of(r) > 0) {
        int64_t some = (left_of(r) + 1) / 2;
        if (some > most) some = most;
        *begin = begin_of(r);
        *end = *begin + some;
        if (atomic_compare_exchange_weak(own, &r, pack(*end, end_of(r)))) return true;
    }
    return false;
}

/* Half of what the thread with the most has left becomes the worker's own. */
static bool steal(loop *l, int worker)
{
    for (;;) {
        int who = -1;
        unsigned long long most = 0;
        for (int i = 0; i < l->threads; i++) {
            const unsigned long long r = atomic_load(&l->ranges[i].at);
            if (left_of(r) > left_of(most)) most = r, who = i;
        }
        if (who < 0) return false;
        const int64_t cut = end_of(most) - (left_of(most) + 1) / 2;
        if (!atomic_compare_exchange_strong(&l->ranges[who].at, &most, pack(begin_of(most), cut))) continue;
        atomic_store(&l->ranges[worker].at, pack(cut, end_of(most)));
        return true;
    }
}

static void loop_run(loop *l, int worker)
{
    bool was_inside = inside;
    int was_worker = my_worker;
    int64_t begin, end;
    inside = true;
    my_worker = worker;
    if (l->stretch)
        do {
            while (own_stretch(l, worker, &begin, &end)) run_piece(l, begin, end, worker);
        } while (steal(l, worker));
    else
        while (begin = atomic_fetch_add(&l->next, 1), run_piece(l, begin, begin + 1, worker)) continue;
    inside = was_inside;
    my_worker = was_worker;
}

/* ---------------------------------------------------------------------------------------------------------------- pool */

static const double SPIN_SECONDS = 100e-6;

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Until a job of another generation is there, or the pool stops, or the time is over. */
static void spin_for_work(struct pare_pool *pool, uint64_t seen)
{
    const double end = pare_now() + SPIN_SECONDS;
    do {
        for (int i = 0; i < 64; i++) {
            if (atomic_load(&pool->generation) != seen || atomic_load(&pool->stop)) return;
            relax();
        }
    } while (pare_now() < end);
}

static void spin_for_end(struct pare_pool *pool)
{
    const double end = pare_now() + SPIN_SECONDS;
    do {
        for (int i = 0; i < 64; i++) {
            if (atomic_load(&pool->running) == 0) return;
            relax();
        }
    } while (pare_now() < end);
}

static void *worker_main(void *arg)
{
    struct worker *me = arg;
    struct pare_pool *pool = me->pool;
    uint64_t seen = 0;
    for (;;) {
        if (pool->spin) spin_for_work(pool, seen);
        pthread_mutex_lock(&pool->lock);
        while (!atomic_load(&pool->stop) && atomic_load(&pool->generation) == seen) {
            pool->sleepers++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->sleepers--;
        }
        if (atomic_load(&pool->stop)) break;
        seen = atomic_load(&pool->generation);
        loop *job = pool->job;
        if (job) atomic_fetch_add(&pool->running, 1);
        pthread_mutex_unlock(&pool->lock);
        if (!job) continue;
        loop_run(job, me->index);
        pthread_mutex_lock(&pool->lock);
        if (atomic_fetch_sub(&pool->running, 1) == 1 && pool->caller_sleeps) pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Threads of a library take no signals: those belong to the program's own. */
static int start_thread(pthread_t *id, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(id, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* A pool of up to n workers: as many as the system grants. NULL when memory is gone. The work gets done either way. */
static struct pare_pool *pool_new(int n)
{
    struct pare_pool *pool = pare_alloc_zero(1, sizeof *pool + (size_t)n * sizeof pool->workers[0]);
    if (!pool) return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    atomic_init(&pool->generation, 0);
    atomic_init(&pool->running, 0);
    atomic_init(&pool->stop, false);
    pool->spin = pare_usable_cores() > n;
    for (int i = 0; i < n; i++) {
        pool->workers[i].pool = pool;
        pool->workers[i].index = i + 1; /* the caller is worker 0 */
        if (start_thread(&pool->workers[i].id, worker_main, &pool->workers[i]) != 0) break;
        pool->n++;
    }
    pool->ranges = pare_alloc_aligned(64, (size_t)(pool->n + 1) * sizeof *pool->ranges);
    return pool;
}

void pare_pool_free(struct pare_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n; i++) pthread_join(pool->workers[i].id, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    pare_dealloc_aligned(pool->ranges);
    pare_dealloc(pool);
}

static void pool_run(struct pare_pool *pool, loop *job)
{
    pthread_mutex_lock(&pool->lock);
    pool->job = job;
    atomic_fetch_add(&pool->generation, 1);
    if (pool->sleepers > 0) pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    loop_run(job, 0);
    pthread_mutex_lock(&pool->lock);
    pool->job = NULL; /* every index is handed out: who comes now has nothing to do */
    pthread_mutex_unlock(&pool->lock);
    if (pool->spin) spin_for_end(pool);
    pthread_mutex_lock(&pool->lock);
    pool->caller_sleeps = true;
    while (atomic_load(&pool->running) > 0) pthread_cond_wait(&pool->done, &pool->lock);
    pool->caller_sleeps = false;
    pthread_mutex_unlock(&pool->lock);
}

/* Without a pool in this thread, under the task's own number. */
static void run_alone(loop *job)
{
    const int worker = inside ? my_worker : 0;
    if (!job->stretch) {
        loop_run(job, worker);
        return;
    }
    const int64_t some = job->n / PIECES + 1; /* so that a cancelled context is seen */
    for (int64_t i = 0; i < job->n && run_piece(job, i, job->n - i < some ? job->n : i + some, worker); i += some) continue;
}

static void cut_ranges(loop *job, struct pare_pool *pool)
{
    job->ranges = pool->ranges;
    job->threads = pool->n + 1;
    for (int i = 0; i < job->threads; i++)
        atomic_init(&job->ranges[i].at, pack(job->n * i / job->threads, job->n * (i + 1) / job->threads));
}

static pare_status run_loop(loop *job, pare_err *err)
{
    pare_ctx *ctx = job->ctx;
    atomic_init(&job->next, 0);
    atomic_init(&job->lowest, job->n);
    pthread_mutex_init(&job->lock, NULL);
    bool alone = ctx->threads == 1 || job->n == 1 || inside;
    if (!alone && !ctx->pool) ctx->pool = pool_new(ctx->threads - 1);
    if (alone || !ctx->pool || (job->stretch && !ctx->pool->ranges)) {
        run_alone(job);
    } else {
        if (job->stretch) cut_ranges(job, ctx->pool);
        pool_run(ctx->pool, job);
    }
    pthread_mutex_destroy(&job->lock);
    if (job->st != PARE_OK && err) *err = job->err;
    pare_sample_memory();
    return job->st;
}

pare_status pare_parallel(pare_ctx *ctx, int64_t n, pare_task_fn fn, void *arg, pare_err *err)
{
    if (n <= 0) return PARE_OK;
    loop job = {.ctx = ctx, .fn = fn, .arg = arg, .n = n, .st = PARE_OK};
    return run_loop(&job, err);
}

pare_status pare_parallel_stretches(pare_ctx *ctx, int64_t n, pare_stretch_fn fn, void *arg, pare_err *err)
{
    if (n <= 0) return PARE_OK;
    loop job = {.ctx = ctx, .stretch = fn, .arg = arg, .n = n, .st = PARE_OK};
    return run_loop(&job, err);
}

/* ---------------------------------------------------------------------------------------------------- background task */

struct pare_background {
    pare_ctx *ctx;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t id;
    bool has_thread, stop;
    enum { IDLE, READY, BUSY, FINISHED } state;
    pare_background_fn fn;
    void *arg;
    pare_status st;
    pare_err err;
};

static void background_run(pare_background *bg)
{
    bool was_inside = inside;
    inside = true; /* a loop inside must not meet the pool, which the caller is using */
    bg->err.text[0] = bg->err.hint[0] = '\0';
    bg->st = bg->fn(bg->arg, &bg->err);
    inside = was_inside;
}

static void *background_main(void *arg)
{
    pare_background *bg = arg;
    pthread_mutex_lock(&bg->lock);
    for (;;) {
        while (!bg->stop && bg->state != READY) pthread_cond_wait(&bg->changed, &bg->lock);
        if (bg->state != READY) break;
        bg->state = BUSY;
        pthread_mutex_unlock(&bg->lock);
        background_run(bg);
        pthread_mutex_lock(&bg->lock);
        bg->state = FINISHED;
        pthread_cond_broadcast(&bg->changed);
    }
    pthread_mutex_unlock(&bg->lock);
    return NULL;
}

pare_status pare_background_new(pare_ctx *ctx, pare_background **out, pare_err *err)
{
    *out = NULL;
    pare_background *bg = pare_alloc_zero(1, sizeof *bg);
    if (!bg) return pare_no_memory(err, "a background task", sizeof *bg);
    bg->ctx = ctx;
    pthread_mutex_init(&bg->lock, NULL);
    pthread_cond_init(&bg->changed, NULL);
    *out = bg;
    return PARE_OK;
}

pare_status pare_background_wait(pare_background *bg, pare_err *err)
{
    pthread_mutex_lock(&bg->lock);
    while (bg->state == READY || bg->state == BUSY) pthread_cond_wait(&bg->changed, &bg->lock);
    pare_status st = bg->state == FINISHED ? bg->st : PARE_OK;
    bg->state = IDLE;
    pthread_mutex_unlock(&bg->lock);
    if (st != PARE_OK && err) *err = bg->err;
    return st;
}

pare_status pare_background_start(pare_background *bg, pare_background_fn fn, void *arg, pare_err *err)
{
    pare_status st = pare_background_wait(bg, err); /* at most one at a time; an error of the last one stops the next */
    if (st != PARE_OK) return st;
    bg->fn = fn;
    bg->arg = arg;
    if (bg->ctx->threads > 1 && !bg->has_thread) bg->has_thread = start_thread(&bg->id, background_main, bg) == 0;
    if (!bg->has_thread) {
        background_run(bg);
        bg->state = FINISHED;
        return PARE_OK;
    }
    pthread_mutex_lock(&bg->lock);
    bg->state = READY;
    pthread_cond_broadcast(&bg->changed);
    pthread_mutex_unlock(&bg->lock);
    return PARE_OK;
}

void pare_background_free(pare_background *bg)
{
    if (!bg) return;
    pare_background_wait(bg, NULL);
    if (bg->has_thread) {
        pthread_mutex_lock(&bg->lock);
        bg->stop = true;
        pthread_cond_broadcast(&bg->changed);
        pthread_mutex_unlock(&bg->lock);
        pthread_join(bg->id, NULL);
    }
    pthread_cond_destroy(&bg->changed);
    pthread_mutex_destroy(&bg->lock);
    pare_dealloc(bg);
}
