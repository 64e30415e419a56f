/* SPDX-License-Identifier: Apache-2.0 */
/* What stream.c (the loop) and step.c (one layer) share. */
#ifndef PARE_FLOW_STEP_H
#define PARE_FLOW_STEP_H
#include "flow/flow.h"

#define PARE_CHUNK_BYTES (UINT64_C(16) << 20)   /* default size of one of the two chunk buffers */

typedef struct pare_emission {
    struct { const void *data; size_t n; } at[PARE_MAX_PARTS + 1];
    int n;
    void *owned; /* aligned memory that is freed once everything is written; emit takes it, also when it fails */
} pare_emission;
typedef struct pare_stream_slot { uint8_t *at; size_t cap; } pare_stream_slot;

typedef struct pare_stream {
    pare_ctx *ctx;
    pare_plan *plan;
    const pare_weights *weights;
    const char *folder, *what;
    pare_stream_options options;
    pare_journal *journal;
    pare_background *background;
    pare_writer *writer;
    pare_emission emission;      /* being written */
    pare_stream_slot slots[2];   /* one is being filled while the other is being written */
    int slot;
    int64_t journalled;
    uint64_t synced_at, done_bytes;
    double synced_time;
} pare_stream;

/* stream.c */
pare_status pare_stream_emit(pare_stream *s, const pare_emission *e, pare_err *err);
pare_status pare_stream_wait(pare_stream *s, pare_err *err);
pare_status pare_stream_buffer(pare_stream *s, size_t n, uint8_t **out, pare_err *err);
/* step.c: computes and emits the output tensors of one step. */
pare_status pare_stream_step(pare_stream *s, const pare_plan_step *step, pare_err *err);
#endif
