/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which layers' inputs can be divided by a scale per column for free, because what makes the input can carry the division: a norm's weight, or the rows of
 * a linear layer whose output reaches the input column by column (v through attention to o; up through act(gate) * up to down). Found from the
 * graph alone, for any architecture: a value qualifies when every reader of it is a linear layer of the fold.
 */
#ifndef PARE_GRAPH_FOLD_H
#define PARE_GRAPH_FOLD_H
#include "graph/graph.h"

typedef struct pare_fold_reader { pare_gw weight; int32_t node; int which; } pare_fold_reader; /* which: output of the node */
typedef struct pare_fold {
    int layer;
    int64_t cols;
    pare_gw by;                  /* its elements (norm) or rows (linear) are divided by the scale; a norm's weight w stands for w + add */
    pare_gw by_bias;             /* divided, too; or PARE_G_NONE */
    bool by_rows;                /* `by` is a linear weight: row of column c is row_of[c] */
    float add;
    const int32_t *row_of;       /* [cols]; columns with the same row share a scale (GQA); NULL: the column itself */
    const pare_fold_reader *readers; int n_readers;
} pare_fold;
typedef struct pare_folds { pare_arena arena; PARE_VEC(pare_fold) at; } pare_folds;
/* In graph order. A graph without any: none, no error. */
pare_status pare_graph_folds(const pare_graph *g, pare_folds *out, pare_err *err);
void pare_folds_clear(pare_folds *f);
#endif
