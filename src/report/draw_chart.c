/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charts in a terminal. Bars lie on their side in eighths of a cell; lines and points are braille dots (2 x 4 a cell) when one
 * series or colour tells series apart, else one letter a series:
 *
 *    1.0 ┤ ⢀⠔⠑⢄
 *    0.5 ┤⡠⠊   ⠑⡄
 *    0.0 ┼────────
 *        0      6
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/axis.h"
#include "report/colormap.h"
#include "report/textwidth.h"

enum { LINES = 14, MOST_BARS = 200 };

static void ink(pare_str *s, bool color, int64_t series) {
    const pare_rgb c = pare_series_color(series);
    if (color) pare_str_printf(s, "\x1b[38;2;%d;%d;%dm", (int)lround(c.r * 255), (int)lround(c.g * 255), (int)lround(c.b * 255));
}
static void reset(pare_str *s, bool color) {
    if (color) pare_str_add(s, "\x1b[0m");
}

static char letter(int series) { return "ox+*#@%&"[series % 8]; }

static void title(pare_str *s, const pare_chart *chart, bool color) {
    if (!chart->title) return;
    if (color) pare_str_add(s, "\x1b[1m");
    pare_text_add(s, chart->title, -1, false);
    reset(s, color);
    pare_str_add(s, "\n");
}

static void legend(pare_str *s, const pare_chart *chart, bool color, bool letters) {
    if (chart->n_series < 2) return;
    for (int i = 0; i < chart->n_series; i++) {
        if (i) pare_str_add(s, "   ");
        ink(s, color, i);
        if (letters)
            pare_str_printf(s, "%c", letter(i));
        else
            pare_str_add(s, "\xE2\x96\xA0");
        reset(s, color);
        pare_str_add(s, " ");
        pare_text_add(s, chart->series[i].name ? chart->series[i].name : "", -1, false);
    }
    pare_str_add(s, "\n");
}

/* --------------------------------------------------------------------------------------------------------------- bars */

/* A bar of `eighths` eighths of a cell. */
static void bar(pare_str *s, int eighths) {
    static const char *const part[8] = {"", "\xE2\x96\x8F", "\xE2\x96\x8E", "\xE2\x96\x8D", "\xE2\x96\x8C", "\xE2\x96\x8B", "\xE2\x96\x8A", "\xE2\x96\x89"};
    pare_text_repeat(s, "\xE2\x96\x88", eighths / 8);
    pare_str_add(s, part[eighths % 8]);
}

typedef struct bar_layout {
    int label, room;      /* columns of labels and of the longest bar */
    double lo, hi;        /* values (logarithms when log_y) of no bar and the longest bar */
} bar_layout;

static bar_layout lay_out_bars(const pare_chart *chart, int width) {
    double x[2], y[2];
    bar_layout l = {0};
    const int64_t n = pare_chart_longest(chart);
    pare_chart_extent(chart, x, y);
    for (int64_t i = 0; i < n && i < MOST_BARS; i++) {
        const char *const label = pare_chart_label(chart, i);
        const int w = label ? pare_text_width(label) : i < 10 ? 1 : i < 100 ? 2 : 3;
        if (w > l.label) l.label = w;
    }
    if (l.label > width / 3) l.label = width / 3;
    l.room = width - l.label - 14;
    if (l.room < 8) l.room = 8;
    l.lo = chart->log_y ? (y[0] <= y[1] ? floor(log10(y[0])) : 0) : 0;
    l.hi = y[0] > y[1] ? l.lo + 1 : chart->log_y ? log10(y[1]) : fmax(fabs(y[0]), fabs(y[1]));
    if (!(l.hi > l.lo)) l.hi = l.lo + 1;
    return l;
}

static void draw_bar(pare_str *s, const pare_chart *chart, const bar_layout *l, int series, int64_t i, bool color) {
    double x, y;
    const double raw = i < chart->series[series].n ? chart->series[series].y[i] : NAN;
    if (pare_chart_point(chart, &chart->series[series], i, &x, &y)) {
        const double v = chart->log_y ? log10(y) : fabs(y);
        ink(s, color, series);
        bar(s, (int)lround(8 * l->room * ((v - l->lo) / (l->hi - l->lo))));
        reset(s, color);
        pare_str_printf(s, " %.4g", y);
    } else if (i < chart->series[series].n)
        pare_str_printf(s, " %g", raw);
    if (chart->n_series > 1 && !color && chart->series[series].name) {
        pare_str_add(s, "  ");
        pare_text_add(s, chart->series[series].name, -1, false);
    }
    pare_str_add(s, "\n");
}

static void draw_bars(pare_str *s, const pare_chart *chart, int width, bool color) {
    const bar_layout l = lay_out_bars(chart, width);
    const int64_t n = pare_chart_longest(chart), shown = n < MOST_BARS ? n : MOST_BARS;
    if (color) legend(s, chart, color, false);
    for (int64_t i = 0; i < shown; i++)
        for (int k = 0; k < chart->n_series; k++) {
            char number[24];
            const char *label = pare_chart_label(chart, i);
            snprintf(number, sizeof number, "%lld", (long long)i);
            pare_text_add(s, k ? "" : label ? label : number, l.label, true);
            pare_str_add(s, " ");
            draw_bar(s, chart, &l, k, i, color);
        }
    if (shown < n) pare_str_printf(s, "... and %lld more\n", (long long)(n - shown));
    if (n == 0) pare_str_add(s, "(no data)\n");
    if (chart->y_label) {
        pare_text_repeat(s, " ", l.label + 1);
        pare_text_add(s, chart->y_label, -1, false);
        pare_str_add(s, "\n");
    }
}

/* --------------------------------------------------------------------------------------------------- lines and points */

typedef struct grid {
    int w, h;              /* cells */
    unsigned char *dots;   /* [h, w] braille bits */
    unsigned char *series; /* [h, w] 1 + last series that touched the cell */
    pare_axis x, y;
} grid;

static void set_dot(grid *g, int dx, int dy, int series) {
    static const unsigned char bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (dx < 0 || dy < 0 || dx >= 2 * g->w || dy >= 4 * g->h) return;
    const size_t at = (size_t)(dy / 4) * (size_t)g->w + (size_t)(dx / 2);
    g->dots[at] |= bit[dy % 4][dx % 2];
    g->series[at] = (unsigned char)(1 + series % 250);
}

static void plot_series(grid *g, const pare_chart *chart, int series) {
    const pare_series *const p = &chart->series[series];
    int last_x = -1, last_y = -1;
    for (int64_t i = 0; i < p->n; i++) {
        double x, y;
        if (!pare_chart_point(chart, p, i, &x, &y)) {
            last_x = -1;
            continue;
        }
        const int dx = (int)lround(pare_axis_place(&g->x, x) * (2 * g->w - 1)), dy = (int)lround((1 - pare_axis_place(&g->y, y)) * (4 * g->h - 1));
        const bool joined = chart->kind == PARE_CHART_LINES && last_x >= 0;
        const int sx = joined ? dx - last_x : 0, sy = joined ? dy - last_y : 0, steps = abs(sx) > abs(sy) ? abs(sx) : abs(sy);
        for (int k = 0; k <= steps; k++) set_dot(g, dx - (steps ? sx * k / steps : 0), dy - (steps ? sy * k / steps : 0), series);
        last_x = dx;
        last_y = dy;
    }
}

static void cell(pare_str *s, unsigned char dots, unsigned char series, bool color, bool letters) {
    if (!dots) {
        pare_str_add(s, " ");
        return;
    }
    ink(s, color, series - 1);
    if (letters)
        pare_str_printf(s, "%c", letter(series - 1));
    else {
        const char braille[4] = {(char)0xE2, (char)(0xA0 | dots >> 6), (char)(0x80 | (dots & 0x3F)), 0};
        pare_str_add(s, braille);
    }
    reset(s, color);
}

/* Tick label of the line that holds the tick, or NULL. */
static const char *tick_of_line(const grid *g, int line) {
    for (int i = 0; i < g->y.n; i++)
        if ((int)lround((1 - pare_axis_place(&g->y, g->y.tick[i])) * (4 * g->h - 1)) / 4 == line) return g->y.label[i];
    return NULL;
}

static void x_axis(pare_str *s, const grid *g, int indent) {
    int at = 0;
    pare_text_repeat(s, " ", indent);
    pare_str_add(s, "\xE2\x94\x94");
    pare_text_repeat(s, "\xE2\x94\x80", g->w);
    pare_str_add(s, "\n");
    pare_text_repeat(s, " ", indent + 1);
    for (int i = 0; i < g->x.n; i++) {
        const int len = (int)strlen(g->x.label[i]);
        int want = (int)lround(pare_axis_place(&g->x, g->x.tick[i]) * (g->w - 1)) - len / 2;
        if (want + len > g->w) want = g->w - len;
        if (want < 0) want = 0;
        if (i > 0 && want <= at) continue; /* no room */
        pare_text_repeat(s, " ", want - at);
        pare_str_add(s, g->x.label[i]);
        at = want + len;
    }
    pare_str_add(s, "\n");
}

static int widest_tick(const pare_axis *a) {
    int w = 0;
    for (int i = 0; i < a->n; i++)
        if ((int)strlen(a->label[i]) > w) w = (int)strlen(a->label[i]);
    return w;
}

static pare_status draw_grid(pare_str *s, const pare_chart *chart, int width, bool color, pare_err *err) {
    double xr[2], yr[2];
    grid g = {.h = LINES};
    const bool letters = !color && chart->n_series > 1;
    pare_chart_extent(chart, xr, yr);
    pare_axis_init(&g.x, xr[0], xr[1], chart->log_x, 7);
    pare_axis_init(&g.y, yr[0], yr[1], chart->log_y, 6);
    const int label = widest_tick(&g.y);
    g.w = width - label - 2 < 100 ? width - label - 2 : 100;
    if (g.w < 10) g.w = 10;
    g.dots = pare_alloc_zero(2, (size_t)g.w * LINES);
    if (!g.dots) return pare_no_memory(err, "drawing", 2 * (size_t)g.w * LINES);
    g.series = g.dots + (size_t)g.w * LINES;
    legend(s, chart, color, letters);
    if (chart->y_label) {
        pare_text_add(s, chart->y_label, -1, false);
        pare_str_add(s, "\n");
    }
    for (int i = 0; i < chart->n_series; i++) plot_series(&g, chart, i);
    for (int line = 0; line < g.h; line++) {
        const char *const tick = tick_of_line(&g, line);
        pare_text_add(s, tick ? tick : "", label, true);
        pare_str_add(s, tick ? " \xE2\x94\xA4" : " \xE2\x94\x82");
        for (int k = 0; k < g.w; k++) cell(s, g.dots[line * g.w + k], g.series[line * g.w + k], color, letters);
        while (!s->failed && s->at[s->n - 1] == ' ') s->at[--s->n] = 0;
        pare_str_add(s, "\n");
    }
    x_axis(s, &g, label + 1);
    if (chart->x_label) {
        pare_text_repeat(s, " ", label + 2);
        pare_text_add(s, chart->x_label, -1, false);
        pare_str_add(s, "\n");
    }
    if (xr[0] > xr[1]) pare_str_add(s, "(no data)\n");
    pare_dealloc(g.dots);
    return PARE_OK;
}

pare_status pare_draw_chart(const pare_chart *chart, int width, bool color, char **out, pare_err *err) {
    pare_str s = {0};
    pare_status st = PARE_OK;
    *out = NULL;
    title(&s, chart, color);
    if (chart->kind == PARE_CHART_BARS)
        draw_bars(&s, chart, width > 0 ? width : 100, color);
    else
        st = draw_grid(&s, chart, width > 0 ? width : 100, color, err);
    if (st == PARE_OK && !(*out = pare_str_take(&s))) st = pare_no_memory(err, "drawing", s.n);
    pare_str_clear(&s);
    return st;
}
