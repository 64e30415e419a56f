/* SPDX-License-Identifier: Apache-2.0 */
/* Between linear.c and linear_rows.c. */
#ifndef PARE_GRAPH_LINEAR_PACK_H
#define PARE_GRAPH_LINEAR_PACK_H
#include "graph/linear.h"

/* What rows() needs beyond the wmat; rows_user points to it. */
typedef struct pare_linear_store {
    pare_wkind kind;         /* of the codes, also where w.kind is W_ANY */
    pare_dtype round;        /* each step of a shift is rounded to it */
    int offset;              /* added to every code and zero when packed: 5 bits live in the middle of 8 */
    const int32_t *zero;     /* W_ANY: any integer; [rows][groups] */
    const int32_t *g_idx;    /* W_ANY: group of a column */
} pare_linear_store;

/* rows() of a layer held whole, of codes with a rounded shift, and of codes whose columns name their group. */
pare_status pare_linear_rows_shift(const pare_linear *l, int64_t row0, int64_t rows, float *out, pare_err *err);
pare_status pare_linear_rows_whole(const pare_linear *l, int64_t row0, int64_t rows, float *out, pare_err *err);
pare_status pare_linear_rows_index(const pare_linear *l, int64_t row0, int64_t rows, float *out, pare_err *err);
#endif
