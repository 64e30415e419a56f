/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks of arithmetic and of memory: ops roof_* run on one thread or on all of the context's, in turns; the best turn counts. */
#include "graph/roof.h"
#include <string.h>

enum { TURNS = 5, PIECE = (1 << 20) + 8 * 4160 }; /* eight streams, which must not lie a power of two apart: memory has those in one bank */

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

struct pare_roof_meter {
    pare_ctx *ctx;
    uint64_t *data, *sum;
    double *rate;
    int64_t n;                 /* words of data */
    pare_roof_kind kind;       /* of the turn at hand */
    double seconds;
};

static pare_status turn_task(void *arg, int64_t i, int worker, pare_err *err)
{
    pare_roof_meter *m = arg;
    (void)worker, (void)err;
    m->rate[i] = pare_roof_turn(m->ctx->kernels, m->kind, m->seconds, pare_now);
    return PARE_OK;
}

static pare_status read_task(void *arg, int64_t i, int worker, pare_err *err)
{
    pare_roof_meter *m = arg;
    const int64_t words = PIECE / 8, at = i * words;
    (void)worker, (void)err;
    m->sum[i] = m->ctx->kernels->roof_read(m->data + at, at + words < m->n ? words : m->n - at);
    return PARE_OK;
}

pare_status pare_roof_meter_new(pare_ctx *ctx, size_t bytes, pare_roof_meter **out, pare_err *err)
{
    pare_status st;
    void *data = NULL, *sum = NULL, *rate = NULL, *m = NULL;
    if (bytes == 0) bytes = (size_t)256 << 20;
    PARE_TRY(pare_alloc_try(sizeof **out, "a meter", &m, err));
    PARE_TRY(pare_alloc_try(bytes, "a buffer to read", &data, err));
    PARE_TRY(pare_alloc_try((bytes / PIECE + 1) * sizeof(uint64_t), "sums of the buffer", &sum, err));
    PARE_TRY(pare_alloc_try((size_t)pare_ctx_threads(ctx) * sizeof(double), "rates of the threads", &rate, err));
    memset(data, 1, bytes);
    *out = m;
    **out = (pare_roof_meter){ .ctx = ctx, .data = data, .sum = sum, .rate = rate, .n = (int64_t)(bytes / 8) };
    return PARE_OK;
out:
    pare_dealloc(m);
    pare_dealloc(data);
    pare_dealloc(sum);
    pare_dealloc(rate);
    *out = NULL;
    return st;
}

void pare_roof_meter_free(pare_roof_meter *m)
{
    if (!m) return;
    pare_dealloc(m->data);
    pare_dealloc(m->sum);
    pare_dealloc(m->rate);
    pare_dealloc(m);
}

pare_status pare_roof_meter_read(pare_roof_meter *m, bool all, double *rate, pare_err *err)
{
    pare_status st = PARE_OK;
    const int64_t pieces = (m->n + PIECE / 8 - 1) / (PIECE / 8);
    const double began = pare_now();
    if (all) PARE_TRY(pare_parallel(m->ctx, pieces, read_task, m, err));
    else for (int64_t i = 0; i < pieces; i++) PARE_TRY(read_task(m, i, 0, err));
    *rate = (double)m->n * 8 / (pare_now() - began);
out:
    return st;
}

pare_status pare_roof_meter_ops(pare_roof_meter *m, pare_roof_kind kind, bool all, double seconds, double *rate, pare_err *err)
{
    pare_status st = PARE_OK;
    const int n = all ? pare_ctx_threads(m->ctx) : 1;
    m->kind = kind;
    m->seconds = seconds;
    if (all) PARE_TRY(pare_parallel(m->ctx, n, turn_task, m, err));
    else PARE_TRY(turn_task(m, 0, 0, err));
    *rate = 0;
    for (int i = 0; i < n; i++) *rate += m->rate[i];
out:
    return st;
}

pare_status pare_roof_measure(pare_ctx *ctx, double seconds, size_t bytes, pare_roof *out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_roof_meter *m = NULL;
    *out = (pare_roof){ .threads = pare_ctx_threads(ctx) };
    PARE_TRY(pare_roof_meter_new(ctx, bytes, &m, err));
    for (int turn = 0; turn < TURNS; turn++)
        for (int all = 0; all < 2; all++) {
            double r;
            PARE_TRY(pare_roof_meter_read(m, all != 0, &r, err));
            if (r > out->read[all]) out->read[all] = r;
            for (int kind = 0; kind < PARE_ROOF_KINDS; kind++) {
                PARE_TRY(pare_roof_meter_ops(m, (pare_roof_kind)kind, all != 0, seconds / (TURNS * 2 * (PARE_ROOF_KINDS + 1)), &r, err));
                if (r > out->ops[kind][all]) out->ops[kind][all] = r;
            }
        }
out:
    pare_roof_meter_free(m);
    return st;
}
