/* SPDX-License-Identifier: Apache-2.0 */
/* The context's plain parts: options, log, progress, cancelling. Threads are in threads.c. */
#include "base/ctx.h"
#include <stdarg.h>
#include "base/alloc.h"
#include "base/str.h"
#include "base/threads.h"

enum { MAX_THREADS = 1024 };

pare_status pare_ctx_init_base(pare_ctx *ctx, const pare_ctx_options *options, pare_err *err)
{
    *ctx = (pare_ctx){0};
    if (options) ctx->options = *options;
    if (ctx->options.threads < 0 || ctx->options.threads > MAX_THREADS)
        return pare_fail(err, PARE_ERR_USAGE, "%d threads: between 1 and %d are possible, 0 = as many as there are cores", ctx->options.threads,
                         MAX_THREADS);
    ctx->threads = ctx->options.threads ? ctx->options.threads : pare_usable_cores();
    if (ctx->threads > MAX_THREADS) ctx->threads = MAX_THREADS;
    return PARE_OK;
}

void pare_ctx_clear_base(pare_ctx *ctx)
{
    pare_pool_free(ctx->pool);
    ctx->pool = NULL;
}

void pare_ctx_cancel(pare_ctx *ctx) { atomic_store_explicit(&ctx->cancelled, 1, memory_order_relaxed); }

int pare_ctx_threads(const pare_ctx *ctx) { return ctx->threads; }

pare_status pare_check_cancel(const pare_ctx *ctx, pare_err *err)
{
    if (!atomic_load_explicit(&ctx->cancelled, memory_order_relaxed)) return PARE_OK;
    return pare_fail(err, PARE_ERR_CANCELLED, "cancelled");
}

void pare_log(const pare_ctx *ctx, pare_log_level level, const char *format, ...)
{
    char text[1024];
    if (!ctx || !ctx->options.log) return;
    va_list args;
    va_start(args, format);
    pare_vformat(text, sizeof text, format, args);
    va_end(args);
    ctx->options.log(ctx->options.user, level, text);
}

void pare_report_progress(const pare_ctx *ctx, const char *what, const char *item, uint64_t done, uint64_t total, const char *unit)
{
    pare_sample_memory();
    if (!ctx || !ctx->options.progress) return;
    pare_progress progress = {.what = what, .item = item, .done = done, .total = total, .unit = unit};
    ctx->options.progress(ctx->options.user, &progress);
}
