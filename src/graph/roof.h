/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do at most, measured: the figures that benchmarks compare with. */
#ifndef PARE_GRAPH_ROOF_H
#define PARE_GRAPH_ROOF_H
#include "base/base.h"
#include "kernel/kernel.h"

typedef enum pare_roof_kind { PARE_ROOF_F32 = 0, PARE_ROOF_I8, PARE_ROOF_BF16, PARE_ROOF_I8_TILE, PARE_ROOF_BF16_TILE, PARE_ROOF_KINDS } pare_roof_kind;

typedef struct pare_roof {
    int threads;                     /* n of the second figures: the context's */
    double read[2];                  /* bytes a second that a sum over memory reads: 1 thread, n threads */
    double ops[PARE_ROOF_KINDS][2];  /* a multiply-add is two: f32; int8 into int32; bf16 into f32; the same two in tile registers (0: the level has no such instruction) */
} pare_roof;

/*
 * The best of several short turns, about `seconds` in all, at the context's kernel level. Allocates `bytes` (0: 256 MiB) to read from:
 * more than the caches hold.
 */
pare_status pare_roof_measure(pare_ctx *ctx, double seconds, size_t bytes, pare_roof *out, pare_err *err);
/* One turn of about `seconds` on the calling thread, in the seconds of `clock` (such as pare_now); operations a second. */
double pare_roof_turn(const pare_kernels *k, pare_roof_kind kind, double seconds, double (*clock)(void));
#endif
