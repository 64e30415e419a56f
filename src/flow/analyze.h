/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of pare_analyze() share:
 *   analyze.c           candidates, the walk, one layer after the other
 *   analyze_measure.c   what the whole model loses when one layer is quantized
 *   analyze_tables.c    the table of layers, and what is worth a warning
 */
#ifndef PARE_FLOW_ANALYZE_H
#define PARE_FLOW_ANALYZE_H
#include <pare/report.h>
#include "flow/calibrate.h"
#include "flow/session.h"
#include "linalg/linalg.h"

#define PARE_OUTLIER_RATIO 20.0 /* a channel stands out when its largest value is so many times the middle channel's */

typedef struct candidate {
    const pare_method *method;
    pare_scheme scheme;
    pare_params params;
    char key[40], title[48];     /* "error_rtn_w4", "rtn 4 bit" */
} candidate;

typedef struct layer_row {
    const char *name;
    int layer;
    int64_t rows, cols;
    double w_absmax, w_std, w_kurtosis;
    int64_t tokens;
    double x_absmax, x_median;   /* largest |x|; that of the middle channel */
    int64_t worst_channel, outliers, dead;
    double *error;               /* [candidates] of the layer's output, in parts of its energy */
    double kl;                   /* measured with candidate 0; NAN = not */
} layer_row;

typedef struct analysis {
    pare_ctx *ctx;
    const pare_analyze_options *options;
    pare_session *session;       /* the model as it is: tokenizer, measuring */
    pare_walk *walk;
    pare_gsource floats, stored; /* weights in f32, and as they are stored */
    pare_calibration_texts *texts;
    double text_perplexity;      /* of the calibration text; NAN = not a decoder */
    pare_needs needs;
    PARE_VEC(candidate) candidates;
    PARE_VEC(layer_row) rows;
    float *difference;           /* of the layer at hand: W - Wq */
    int64_t expected, starved;   /* layers of the graph; of experts that no token reached */
    char *reference;             /* file with the model's own predictions, while measuring */
    double base_nll;
    pare_arena arena;
} analysis;

/* analyze_measure.c: candidate 0 in the place of one weight. */
pare_status pare_analyze_measure_begin(analysis *a, pare_err *err);
pare_status pare_analyze_measure(analysis *a, const pare_walk_reader *reader, const float *wq, int64_t rows, int64_t cols, double *kl, pare_err *err);
void pare_analyze_measure_end(analysis *a);
/* analyze_tables.c */
pare_status pare_analyze_layers_table(const analysis *a, pare_table **out, pare_err *err);
pare_status pare_analyze_findings_table(const analysis *a, pare_table **out, pare_err *err);
#endif
