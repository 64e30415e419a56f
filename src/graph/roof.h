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
/*
 * The same turn by turn, for what wants to be compared with the limits of the very moment: one read of the buffer (bytes a second), one turn of
 * about `seconds` of arithmetic (operations a second; 0: there is none of that kind). On the calling thread, or on all of the context's.
 */
typedef struct pare_roof_meter pare_roof_meter;
pare_status pare_roof_meter_new(pare_ctx *ctx, size_t bytes, pare_roof_meter **out, pare_err *err); /* 0 bytes: 256 MiB */
pare_status pare_roof_meter_read(pare_roof_meter *m, bool all, double *rate, pare_err *err);
pare_status pare_roof_meter_ops(pare_roof_meter *m, pare_roof_kind kind, bool all, double seconds, double *rate, pare_err *err);
void pare_roof_meter_free(pare_roof_meter *m);                                                      /* NULL is fine */
/* One turn of about `seconds` on the calling thread, in the seconds of `clock` (such as pare_now); operations a second. */
double pare_roof_turn(const pare_kernels *k, pare_roof_kind kind, double seconds, double (*clock)(void));
#endif
