/* SPDX-License-Identifier: Apache-2.0 */
/* Axes of charts: which points can be drawn, round tick values, and where a value lies. */
#ifndef PARE_REPORT_AXIS_H
#define PARE_REPORT_AXIS_H
#include "report/report.h"

enum { PARE_MAX_TICKS = 12 };

typedef struct pare_axis {
    double lo, hi; /* logarithms when log */
    bool log;
    int n;
    double tick[PARE_MAX_TICKS]; /* values, not logarithms */
    char label[PARE_MAX_TICKS][16];
} pare_axis;

/* At most `ticks` (2 ... PARE_MAX_TICKS) round values around [lo, hi]; the axis is widened to them. lo > hi: no data, 0 ... 1. */
void pare_axis_init(pare_axis *axis, double lo, double hi, bool log, int ticks);
/* 0 at the axis's low end, 1 at its high end. */
double pare_axis_place(const pare_axis *axis, double value);

/* Point i of a series; false when it cannot be drawn (not finite, or not positive on a log axis). */
bool pare_chart_point(const pare_chart *chart, const pare_series *series, int64_t i, double *x, double *y);
/* Extremes of all points that can be drawn; lo > hi when there are none. Bars reach down to 0. */
void pare_chart_extent(const pare_chart *chart, double x[2], double y[2]);
int64_t pare_chart_longest(const pare_chart *chart); /* points of the longest series */
/* Label i of the first series that has one, or NULL. */
const char *pare_chart_label(const pare_chart *chart, int64_t i);
#endif
