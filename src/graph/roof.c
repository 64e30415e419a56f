/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks of arithmetic and of memory: ops roof_* run on one thread or on all of the context's, in turns; the best turn counts. */
#include "graph/roof.h"
#include <string.h>

enum { TURNS = 5, PIECE = 1 << 20 };

static int64_t some(const pare_kernels *k, pare_roof_kind kind, int64_t rounds)
{
    float f = 1.0f;
    int32_t i = 1;
    switch (kind) {
    case PARE_ROOF_F32: return k->roof_f32(rounds, &f);
    case PARE_ROOF_I8: return k->roof_i8(rounds, &i);
    case PARE_ROOF_I8_TILE: return k->roof_i8_tile(rounds, &i);
    case PARE_ROOF_BF16_TILE: return k->roof_bf16_tile(rounds, &f);
    default: return k->roof_bf16(rounds, &f);
    }
}

double pare_roof_turn(const pare_kernels *k, pare_roof_kind kind, double seconds, double (*clock)(void))
{
    double done = 0, began = clock(), now;
    do {
        const int64_t ops = some(k, kind, 20000);
        if (ops == 0) return 0;
        done += (double)ops;
        now = clock();
    } while (now - began < seconds);
    return done / (now - began);
}

typedef struct work { const pare_kernels *k; pare_roof_kind kind; double seconds, *rate; const uint64_t *data; int64_t n; uint64_t *sum; } work;

static pare_status turn_task(void *arg, int64_t i, int worker, pare_err *err)
{
    const work *w = arg;
    (void)worker, (void)err;
    w->rate[i] = pare_roof_turn(w->k, w->kind, w->seconds, pare_now);
    return PARE_OK;
}

static pare_status read_task(void *arg, int64_t i, int worker, pare_err *err)
{
    const work *w = arg;
    const int64_t words = PIECE / 8, at = i * words;
    (void)worker, (void)err;
    w->sum[i] = w->k->roof_read(w->data + at, at + words < w->n ? words : w->n - at);
    return PARE_OK;
}

/* Bytes a second, on one thread or all. */
static pare_status read_turn(pare_ctx *ctx, work *w, bool all, double *rate, pare_err *err)
{
    pare_status st = PARE_OK;
    const int64_t pieces = (w->n + PIECE / 8 - 1) / (PIECE / 8);
    const double began = pare_now();
    if (all) PARE_TRY(pare_parallel(ctx, pieces, read_task, w, err));
    else for (int64_t i = 0; i < pieces; i++) PARE_TRY(read_task(w, i, 0, err));
    *rate = (double)w->n * 8 / (pare_now() - began);
out:
    return st;
}

pare_status pare_roof_measure(pare_ctx *ctx, double seconds, size_t bytes, pare_roof *out, pare_err *err)
{
    pare_status st = PARE_OK;
    const int n = pare_ctx_threads(ctx);
    work w = { .k = ctx->kernels, .seconds = seconds / (TURNS * 2 * (PARE_ROOF_KINDS + 1)) };
    void *data = NULL, *sum = NULL, *rate = NULL;
    *out = (pare_roof){ .threads = n };
    if (bytes == 0) bytes = (size_t)256 << 20;
    w.n = (int64_t)(bytes / 8);
    PARE_TRY(pare_alloc_try(bytes, "a buffer to read", &data, err));
    PARE_TRY(pare_alloc_try((bytes / PIECE + 1) * sizeof *w.sum, "sums of the buffer", &sum, err));
    PARE_TRY(pare_alloc_try((size_t)n * sizeof *w.rate, "rates of the threads", &rate, err));
    memset(data, 1, bytes);
    w.data = data, w.sum = sum, w.rate = rate;
    for (int turn = 0; turn < TURNS; turn++)
        for (int all = 0; all < 2; all++) {
            double r;
            PARE_TRY(read_turn(ctx, &w, all != 0, &r, err));
            if (r > out->read[all]) out->read[all] = r;
            for (int kind = 0; kind < PARE_ROOF_KINDS; kind++) {
                w.kind = (pare_roof_kind)kind;
                if (all) PARE_TRY(pare_parallel(ctx, n, turn_task, &w, err));
                else PARE_TRY(turn_task(&w, 0, 0, err));
                r = 0;
                for (int i = 0; i < (all ? n : 1); i++) r += w.rate[i];
                if (r > out->ops[kind][all]) out->ops[kind][all] = r;
            }
        }
out:
    pare_dealloc(data);
    pare_dealloc(sum);
    pare_dealloc(rate);
    return st;
}
