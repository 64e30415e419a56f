/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of calibration: calibrate.c walks, calibrate_layer.c makes one layer. */
#ifndef PARE_FLOW_CALIBRATE_PARTS_H
#define PARE_FLOW_CALIBRATE_PARTS_H
#include "flow/calibrate.h"
#include "graph/fold.h"

enum { QUANTIZED = 0 };         /* the stream of the model that is quantized so far */

/* A fold that counts; its number is that of plan->folds. */
typedef struct calibrate_fold {
    const pare_fold *fold;
    const pare_graph *graph;    /* calibrate.graph, or its encoder */
    bool encoder, done;
    const pare_method *method;
    float *scale, *by;          /* of the plan's, to be written */
    const pare_walk_site *site;
} calibrate_fold;

/* Keys and values of one cache, while texts go through it. */
typedef struct calibrate_cache {
    bool done;
    int64_t ranges;
    pare_collect **at;          /* [2 * ranges]: keys, values */
    float *divisor;             /* [columns of the values] or NULL */
    float *rows; int64_t room;  /* of one head */
} calibrate_cache;

typedef struct calibrate {
    pare_ctx *ctx;
    pare_plan *plan;
    const pare_weights *weights;
    const pare_quantize_options *options;
    pare_workstore *store;
    pare_walk *walk;
    const pare_calibration_texts *texts;
    int drift;                  /* stream of the float model beside it, or -1 */
    int ahead;                  /* stream of the float model one layer ahead, for folds; or -1 */
    pare_graph *graph;          /* of the folds; NULL without any */
    pare_folds found[2];        /* of encoder and whole */
    PARE_VEC(calibrate_fold) folds;
    uint8_t *done;              /* [items] */
    calibrate_cache *caches;    /* [plan->n_caches] */
    double forward, statistics, method; /* seconds */
    uint64_t done_weights, all_weights;
} calibrate;

/* The plan's item of a graph's weight, or NULL. */
pare_plan_item *calibrate_item(const pare_plan *plan, const pare_weights *weights, const pare_graph *g, pare_gw w);
/* Is it in the store already? Then the stream goes on with what is there. */
pare_status calibrate_restore(calibrate *c, pare_plan_item *item, bool *found, pare_err *err);
/* Rounds one layer with its method, keeps the result, and lets the stream go on with it. remark: what the report must say besides, or "". */
pare_status calibrate_layer(calibrate *c, pare_plan_item *item, const pare_stats *stats, const char *remark, pare_err *err);
/* Rows of an item as f32, as its folds leave them: W diag(s) / by. */
pare_status calibrate_read(pare_ctx *ctx, const pare_plan *plan, const pare_weights *weights, const pare_plan_item *item, bool allow_nonfinite, float *out, pare_err *err);
/* What an item's method needs, with the options and the scheme it has here. */
pare_needs calibrate_needs(const pare_plan *plan, const pare_plan_item *item);
/* Streams and sites of the plan; `wanted` of a walk. */
pare_walk_options calibrate_walk_options(calibrate *c);
/* preflight.c: bytes and multiply-adds, without the machine's speed. */
pare_status calibrate_measure(calibrate *c, pare_preflight *out, pare_err *err);
pare_status calibrate_move(calibrate *c, int stream, pare_err *err);
int64_t calibrate_wanted_rows(int64_t cols);                            /* an expert with fewer is starved */
uint64_t calibrate_expert_bytes(const pare_quantize_options *options);  /* of statistics side by side */

/* calibrate_kv.c: what is in the store already; a walk's `keys`; what the last piece showed; everything known?; end */
pare_status calibrate_kv_begin(calibrate *c, pare_err *err);
pare_status calibrate_see_keys(void *user, int stream, const pare_gnode *node, int64_t text, const float *k, const float *v, int64_t n, pare_err *err);
pare_status calibrate_kv_choose(calibrate *c, pare_err *err);
bool calibrate_kv_done(const calibrate *c);
void calibrate_kv_end(calibrate *c);

/* calibrate_folds.c: which folds count; where the walk shows them; all those of a site's layer; end. */
pare_status calibrate_folds_begin(calibrate *c, pare_err *err);
pare_status calibrate_folds_restore(calibrate *c, pare_err *err); /* those of an interrupted run */
pare_status calibrate_folds_place(calibrate *c, pare_err *err);
pare_status calibrate_folds_ahead(calibrate *c, const pare_walk_site *site, pare_err *err);
void calibrate_folds_end(calibrate *c);
#endif
