/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charts as pictures: bars, lines, points. Title and unit sit at the top left where reading starts; grid lines are faint; the
 * ink goes to the data. Bars that have labels lie on their side, so that every label can be read. Points that cannot be
 * drawn (NaN, infinite, not positive on a log axis) are left out; a chart without any says "no data".
 */
#include <math.h>
#include <stdio.h>

#include "report/axis.h"
#include "report/canvas.h"

enum { WIDTH = 760, HEIGHT = 440, MARGIN = 24, MOST_LABELS = 100 };
static const double SMALL = 11, TITLE_SIZE = 16;

typedef struct frame {
    pare_canvas *c;
    const pare_chart *chart;
    double width, height;
    double left, top, right, bottom; /* the plotting area */
    pare_axis x, y;
    bool empty, sideways;
} frame;

static double x_at(const frame *f, double v) { return f->left + pare_axis_place(&f->x, v) * (f->right - f->left); }
static double y_at(const frame *f, double v) { return f->bottom - pare_axis_place(&f->y, v) * (f->bottom - f->top); }

static void words(const frame *f, double x, double y, double size, pare_anchor anchor, bool bold, pare_rgb color, const char *text) {
    const pare_font font = {.size = size, .anchor = anchor, .bold = bold, .color = color};
    pare_canvas_text(f->c, x, y, &font, text);
}

static bool has_names(const pare_chart *chart) {
    if (chart->n_series < 2) return false;
    for (int s = 0; s < chart->n_series; s++)
        if (chart->series[s].name) return true;
    return false;
}

static double widest_label(const pare_axis *a) {
    double w = 0;
    for (int i = 0; i < a->n; i++) w = fmax(w, pare_measure_text(SMALL, false, a->label[i]));
    return w;
}

static double name_width(const pare_series *series) { return 17 + pare_measure_text(12, false, series->name ? series->name : "") + 20; }

/* Lines that the names of all series take: one goes on in the next when it does not fit. */
static int legend_lines(const pare_chart *chart) {
    double x = MARGIN;
    int lines = has_names(chart);
    for (int s = 0; s < chart->n_series && lines; s++) {
        const double w = name_width(&chart->series[s]);
        if (x > MARGIN && x + w > WIDTH) x = MARGIN, lines++;
        x += w;
    }
    return lines;
}

/* Title, legend and the name of the vertical axis; returns where the plotting area may begin. */
static double header_height(const pare_chart *chart) {
    return MARGIN + (chart->title ? 26 : 0) + 22 * legend_lines(chart) + (chart->y_label || chart->x_label ? 20 : 6);
}

static void draw_header(const frame *f) {
    double y = MARGIN, x = MARGIN;
    if (f->chart->title) {
        words(f, MARGIN, y + 12, TITLE_SIZE, PARE_LEFT, true, PARE_INK, f->chart->title);
        y += 26;
    }
    if (has_names(f->chart)) {
        for (int s = 0; s < f->chart->n_series; s++) {
            const char *const name = f->chart->series[s].name ? f->chart->series[s].name : "";
            if (x > MARGIN && x + name_width(&f->chart->series[s]) > WIDTH) x = MARGIN, y += 22;
            pare_canvas_rect(f->c, x, y + 2, 12, 12, pare_series_color(s));
            words(f, x + 17, y + 12, 12, PARE_LEFT, false, PARE_INK, name);
            x += name_width(&f->chart->series[s]);
        }
        y += 22;
    }
    const char *const at_top = f->sideways ? f->chart->x_label : f->chart->y_label, *const below = f->sideways ? f->chart->y_label : f->chart->x_label;
    if (at_top) words(f, MARGIN, y + 9, SMALL, PARE_LEFT, false, PARE_GREY, at_top);
    if (below) words(f, (f->left + f->right) / 2, f->bottom + 36, SMALL, PARE_CENTER, false, PARE_GREY, below);
}

static void draw_x_ticks(const frame *f, const pare_axis *axis) {
    for (int i = 0; i < axis->n; i++) {
        const double x = f->left + pare_axis_place(axis, axis->tick[i]) * (f->right - f->left);
        pare_canvas_line(f->c, x, f->top, x, f->bottom, 1, PARE_FAINT);
        words(f, x, f->bottom + 17, SMALL, PARE_CENTER, false, PARE_GREY, axis->label[i]);
    }
}

static void draw_y_ticks(const frame *f) {
    for (int i = 0; i < f->y.n; i++) {
        const double y = y_at(f, f->y.tick[i]);
        pare_canvas_line(f->c, f->left, y, f->right, y, 1, PARE_FAINT);
        words(f, f->left - 8, y + 4, SMALL, PARE_RIGHT, false, PARE_GREY, f->y.label[i]);
    }
}

/* ---------------------------------------------------------------------------------------------------- kinds of charts */

static void draw_points(const frame *f) {
    for (int s = 0; s < f->chart->n_series; s++) {
        const pare_series *const series = &f->chart->series[s];
        for (int64_t i = 0; i < series->n; i++) {
            double x, y;
            if (!pare_chart_point(f->chart, series, i, &x, &y)) continue;
            pare_canvas_dot(f->c, x_at(f, x), y_at(f, y), 4, pare_series_color(s));
            if (!series->labels || !series->labels[i]) continue;
            const bool fits = x_at(f, x) + 7 + pare_measure_text(SMALL, false, series->labels[i]) < f->width;
            words(f, x_at(f, x) + (fits ? 7 : -7), y_at(f, y) + 4, SMALL, fits ? PARE_LEFT : PARE_RIGHT, false, PARE_INK, series->labels[i]);
        }
    }
}

/* A gap in the data is a gap in the line; a lone point is a dot. */
static pare_status draw_lines(const frame *f, pare_err *err) {
    const int64_t most = pare_chart_longest(f->chart);
    pare_point *const run = pare_alloc((size_t)(most + 1) * sizeof *run);
    if (!run) return pare_no_memory(err, "chart", (size_t)most * sizeof *run);
    for (int s = 0; s < f->chart->n_series; s++) {
        const pare_series *const series = &f->chart->series[s];
        int64_t n = 0;
        for (int64_t i = 0; i <= series->n; i++) {
            double x, y;
            const bool ok = pare_chart_point(f->chart, series, i, &x, &y);
            if (ok) run[n++] = (pare_point){x_at(f, x), y_at(f, y)};
            if (ok && i < series->n) continue;
            if (n > 1) pare_canvas_path(f->c, run, n, 2, pare_series_color(s));
            if (n == 1 || (n > 1 && series->n <= 24))
                for (int64_t k = 0; k < n; k++) pare_canvas_dot(f->c, run[k].x, run[k].y, 3.5, pare_series_color(s));
            n = 0;
        }
    }
    pare_dealloc(run);
    return PARE_OK;
}

static void draw_upright_bars(const frame *f) {
    const int64_t n = pare_chart_longest(f->chart);
    const double slot = (f->right - f->left) / (double)(n > 0 ? n : 1), gap = slot > 6 ? slot * 0.2 : 0;
    const double w = (slot - gap) / f->chart->n_series, base = y_at(f, f->y.log ? pow(10, f->y.lo) : 0);
    for (int s = 0; s < f->chart->n_series; s++)
        for (int64_t i = 0; i < f->chart->series[s].n; i++) {
            double x, y;
            if (!pare_chart_point(f->chart, &f->chart->series[s], i, &x, &y)) continue;
            const double at = y_at(f, y);
            pare_canvas_rect(f->c, f->left + (double)i * slot + gap / 2 + s * w, fmin(at, base), fmax(w, 0.5), fabs(at - base), pare_series_color(s));
        }
}

static void draw_sideways_bars(const frame *f) {
    const int64_t n = pare_chart_longest(f->chart);
    const double slot = (f->bottom - f->top) / (double)n, thick = fmin(20, slot * 0.78 / f->chart->n_series);
    const double zero = f->left + pare_axis_place(&f->y, f->y.log ? pow(10, f->y.lo) : 0) * (f->right - f->left);
    for (int64_t i = 0; i < n; i++) {
        const char *const label = pare_chart_label(f->chart, i);
        const double mid = f->top + ((double)i + 0.5) * slot;
        if (label) words(f, f->left - 8, mid + 4, 12, PARE_RIGHT, false, PARE_INK, label);
        for (int s = 0; s < f->chart->n_series; s++) {
            double x, y;
            char text[32];
            if (!pare_chart_point(f->chart, &f->chart->series[s], i, &x, &y)) continue;
            const double end = f->left + pare_axis_place(&f->y, y) * (f->right - f->left);
            const double at = mid + (s - f->chart->n_series / 2.0) * thick;
            pare_canvas_rect(f->c, fmin(zero, end), at + 1, fmax(fabs(end - zero), 1), thick - 2, pare_series_color(s));
            snprintf(text, sizeof text, "%.4g", y);
            pare_canvas_rect(f->c, fmax(end, zero) + 4, at + 1, pare_measure_text(SMALL, false, text) + 4, thick - 2, PARE_PAPER);
            words(f, fmax(end, zero) + 6, at + thick / 2 + 4, SMALL, PARE_LEFT, false, PARE_INK, text);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------- layout */

static void lay_out(frame *f, double widest_name) {
    double xr[2], yr[2];
    const int64_t n = pare_chart_longest(f->chart);
    pare_chart_extent(f->chart, xr, yr);
    f->empty = xr[0] > xr[1];
    f->width = WIDTH;
    f->height = HEIGHT;
    f->top = header_height(f->chart);
    pare_axis_init(&f->y, yr[0], yr[1], f->chart->log_y, f->sideways ? 7 : 8);
    if (f->chart->kind == PARE_CHART_BARS && !f->sideways && !(n > 0 && f->chart->series[0].x)) xr[0] = 0, xr[1] = n > 0 ? (double)n : 1;
    pare_axis_init(&f->x, xr[0], xr[1], f->chart->log_x, 8);
    if (f->chart->kind == PARE_CHART_BARS && !f->sideways) { /* bars fill the width: no widening to round ends */
        f->x.lo = xr[0] <= xr[1] ? xr[0] : 0;
        f->x.hi = xr[0] < xr[1] ? xr[1] : f->x.lo + 1;
    }
    f->left = MARGIN + 8 + (f->sideways ? fmin(widest_name, 0.6 * WIDTH) : widest_label(&f->y));
    f->right = f->width - MARGIN - (f->sideways ? 44 : 12);
    if (f->sideways) f->height = f->top + (double)n * fmax(26, 20.0 * f->chart->n_series + 8) + 50;
    f->bottom = f->height - 24 - (f->sideways ? (f->chart->y_label ? 26 : 10) : (f->chart->x_label ? 28 : 12));
}

pare_status pare_plot_chart(const char *path, const pare_chart *chart, pare_err *err) {
    frame f = {.chart = chart};
    double widest_name = 0;
    pare_status st = PARE_OK;
    const int64_t n = pare_chart_longest(chart);
    for (int64_t i = 0; i < n && n <= MOST_LABELS; i++)
        if (pare_chart_label(chart, i)) widest_name = fmax(widest_name, pare_measure_text(12, false, pare_chart_label(chart, i)));
    f.sideways = chart->kind == PARE_CHART_BARS && widest_name > 0;
    lay_out(&f, widest_name);
    PARE_TRY(pare_canvas_open(path, f.width, f.height, chart->title, &f.c, err));
    draw_header(&f);
    if (f.sideways)
        draw_x_ticks(&f, &f.y);
    else {
        draw_y_ticks(&f);
        if (chart->kind != PARE_CHART_BARS || (chart->n_series > 0 && chart->series[0].x)) draw_x_ticks(&f, &f.x);
    }
    if (f.empty)
        words(&f, (f.left + f.right) / 2, (f.top + f.bottom) / 2, 14, PARE_CENTER, false, PARE_GREY, "no data");
    else if (chart->kind == PARE_CHART_POINTS)
        draw_points(&f);
    else if (chart->kind == PARE_CHART_LINES)
        st = draw_lines(&f, err);
    else if (f.sideways)
        draw_sideways_bars(&f);
    else
        draw_upright_bars(&f);
    if (st != PARE_OK) {
        pare_canvas_abort(f.c);
        return st;
    }
    st = pare_canvas_close(f.c, err);
out:
    return st;
}
