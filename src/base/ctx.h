/* SPDX-License-Identifier: Apache-2.0 */
/* The context: options, worker threads, log, progress, cancel flag, kernel table. */
#ifndef PARE_BASE_CTX_H
#define PARE_BASE_CTX_H
#include <stdatomic.h>
#include "base/status.h"

struct pare_kernels; /* src/kernel/kernel.h */
struct pare_pool;

struct pare_ctx {
    int threads;
    struct pare_pool *pool;
    atomic_int cancelled;
    pare_ctx_options options;
    const struct pare_kernels *kernels; /* set by pare_ctx_new (src/kernel/dispatch.c owns pare_ctx_new's isa choice) */
};

/* base's half of pare_ctx_new/free: everything but the kernel table. */
pare_status pare_ctx_init_base(pare_ctx *ctx, const pare_ctx_options *options, pare_err *err);
void pare_ctx_clear_base(pare_ctx *ctx);

void pare_log(const pare_ctx *ctx, pare_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
void pare_report_progress(const pare_ctx *ctx, const char *what, const char *item, uint64_t done, uint64_t total, const char *unit);
/* PARE_ERR_CANCELLED when pare_ctx_cancel() was called, else PARE_OK. */
pare_status pare_check_cancel(const pare_ctx *ctx, pare_err *err);

/*
 * Runs fn(arg, i, worker) for i in [0, n) on the context's threads (the caller works too); returns when all are done.
 * worker in [0, threads). Work must be cut by shape, never by thread count. If a call returns an error the rest is
 * skipped and the error of the lowest i that failed is returned: the same one for every number of threads. A cancelled
 * context counts as an error of the next i. Called from inside a task or a background task it runs serially in that thread.
 */
typedef pare_status (*pare_task_fn)(void *arg, int64_t i, int worker, pare_err *err);
pare_status pare_parallel(pare_ctx *ctx, int64_t n, pare_task_fn fn, void *arg, pare_err *err);

/*
 * Runs fn over all of [0, n), n < 2^31, in stretches [begin, end): for loops that read memory once, at the speed of memory. Every thread begins with a
 * part of its own and goes through it from front to back, so that its stretches follow each other in memory; stretches get shorter toward the end, and
 * who is done takes half of what another has left, so that all end together. Errors as in pare_parallel, if fn works through its stretch in order.
 */
typedef pare_status (*pare_stretch_fn)(void *arg, int64_t begin, int64_t end, int worker, pare_err *err);
pare_status pare_parallel_stretches(pare_ctx *ctx, int64_t n, pare_stretch_fn fn, void *arg, pare_err *err);

/*
 * One background task beside the pool (writing and hashing while the next rows are computed): at most one at a time.
 * pare_background_start() runs fn(arg) on a helper thread (inline when the context has 1 thread); pare_background_wait()
 * joins it and returns its status. wait without start is PARE_OK.
 */
typedef pare_status (*pare_background_fn)(void *arg, pare_err *err);
typedef struct pare_background pare_background;
pare_status pare_background_new(pare_ctx *ctx, pare_background **out, pare_err *err);
void pare_background_free(pare_background *bg); /* waits first */
pare_status pare_background_start(pare_background *bg, pare_background_fn fn, void *arg, pare_err *err);
pare_status pare_background_wait(pare_background *bg, pare_err *err);

double pare_now(void);                /* monotonic seconds */
/*
 * Peak resident anonymous memory (mapped input pages apart). The system keeps no such maximum, so it is the largest of the
 * samples taken when a parallel loop ends, when progress is reported and now (at most one in 5 ms).
 */
uint64_t pare_peak_rss_bytes(void);
void pare_sample_memory(void);        /* takes such a sample; cheap when the last one is recent */
int pare_usable_cores(void);          /* sched_getaffinity and cgroup-aware */
#endif
