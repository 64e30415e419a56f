/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calibration: a model is walked layer by layer over calibration texts; at each layer exactly the statistics that its method declared are collected,
 * the method is called, and its result is kept in the work store, from which the job writes it. docs/architecture.md, "Calibration".
 *
 *   calibrate.c   the walk: folds ahead in the float stream, statistics, methods, streams moved on
 *   calibrate_folds.c  scales that are folded into what makes a layer's input
 *   calibrate_kv.c  scales of the key/value cache
 *   stats.c       statistics of a layer's inputs
 *   workstore.c   finished layers on disk, so that an interrupted run goes on behind them
 *   preflight.c   memory, disk and time before the start
 */
#ifndef PARE_FLOW_CALIBRATE_H
#define PARE_FLOW_CALIBRATE_H
#include "flow/flow.h"
#include "graph/walk.h"
#include "model/model.h"

/* ------------------------------------------------------------------------------------------------------------- stats.c */
/*
 * One site's inputs, text after text; the result does not depend on threads. Rows are added in the order of texts, sums are cut by shape. A NaN or
 * infinity is an error that names the place.
 */
typedef struct pare_collect pare_collect;
enum { PARE_SAMPLE_ROWS = 512 };   /* PARE_NEEDS_SAMPLE: at most */
/* total: rows that will come at most (samples are spread over them). scale [cols] or NULL: x is divided by it. */
pare_status pare_collect_new(pare_ctx *ctx, pare_needs needs, int64_t cols, int64_t total, const float *scale, const char *what, pare_collect **out, pare_err *err);
void pare_collect_free(pare_collect *c);
/* x [n, cols] of one text; f: the float model's rows in their place, or NULL (no drift). */
pare_status pare_collect_add(pare_collect *c, int64_t text, const float *x, const float *f, int64_t n, pare_err *err);
/* What was collected; borrowed. */
pare_status pare_collect_finish(pare_collect *c, pare_stats *out, pare_err *err);
uint64_t pare_collect_bytes(pare_needs needs, int64_t cols);

/* --------------------------------------------------------------------------------------------------------- workstore.c */
typedef struct pare_workstore pare_workstore;
/* folder/.work; resume: what an earlier run finished is found again. */
pare_status pare_workstore_open(const char *folder, bool resume, pare_workstore **out, pare_err *err);
const char *pare_workstore_folder(const pare_workstore *s);
void pare_workstore_close(pare_workstore *s);
/* One file an item, whole or absent. */
pare_status pare_workstore_put(pare_workstore *s, int64_t item, const pare_qtensor *q, const pare_work_record *record, pare_err *err);
bool pare_workstore_has(const pare_workstore *s, int64_t item);
/* scheme and shape: the plan's. record may be NULL. */
pare_status pare_workstore_get(const pare_workstore *s, int64_t item, const pare_scheme *scheme, int64_t rows, int64_t cols, pare_qtensor **q, pare_work_record *record,
                               pare_err *err);
/* Scales of fold number `fold`. */
pare_status pare_workstore_put_scale(pare_workstore *s, int64_t fold, const float *scale, int64_t n, const char *note, pare_err *err);
pare_status pare_workstore_get_scale(const pare_workstore *s, int64_t fold, float *scale, int64_t n, char note[200], bool *found, pare_err *err);
pare_status pare_workstore_remove(const char *folder, pare_err *err);
#define PARE_WORK_NAME ".work"

/* --------------------------------------------------------------------------------------------------------- calibrate.c */
typedef struct pare_calibration_texts {
    pare_walk_text *texts; int64_t n;
    int64_t seq_len, tokens;      /* of the longest; of all */
    int64_t distinct;             /* different ids */
    char source[200], hash[65];   /* "bundled text, 128 windows of 2048 tokens, seed 0"; SHA-256 of the ids */
    struct calibration_rows *rows; /* owns the ids; may be NULL */
} pare_calibration_texts;
void pare_calibration_texts_free(pare_calibration_texts *t);
/* As the options say, in the ids of this checkpoint's tokenizer; calibration_texts.c. */
pare_status pare_calibration_texts_load(pare_ctx *ctx, const pare_weights *weights, const pare_quantize_options *options, pare_calibration_texts **out, pare_err *err);

/* --kv-cache: what is asked for, and the tensors that the output gets; option NULL = nothing. calibrate_kv.c */
pare_status pare_kv_plan(pare_plan *plan, const pare_weights *weights, const char *option, pare_err *err);
/* Can the graph of this checkpoint run, and which layers does it know? Fills item->calibrated; keeps in float what a method cannot reach. */
pare_status pare_calibrate_plan(pare_ctx *ctx, pare_plan *plan, const pare_weights *weights, pare_err *err);
/* What calibration is going to take; preflight.c. */
typedef struct pare_preflight {
    uint64_t memory;              /* the sum of what follows, but for states that lie on disk */
    uint64_t block;               /* rounded weights of the largest piece, in f32; norms, biases */
    uint64_t text;                /* activations and cache of one text */
    uint64_t layer;               /* the greediest layer: statistics, weight, what its method works with */
    uint64_t states;
    bool spilled;                 /* states lie in the work folder */
    uint64_t disk;                /* finished layers, and states that are spilled */
    double macs, macs_per_s, seconds;
} pare_preflight;
pare_status pare_calibrate_preflight(pare_ctx *ctx, pare_plan *plan, const pare_weights *weights, const pare_calibration_texts *texts, const pare_quantize_options *options,
                                     pare_preflight *out, pare_err *err);
/* The line for people. */
void pare_preflight_say(const pare_ctx *ctx, const pare_calibration_texts *texts, const pare_preflight *p);
/* Everything that has to be calibrated, into the store. */
pare_status pare_calibrate_run(pare_ctx *ctx, pare_plan *plan, const pare_weights *weights, const pare_calibration_texts *texts, const pare_quantize_options *options,
                               pare_workstore *store, pare_err *err);
#endif
