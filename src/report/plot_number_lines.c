/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A linear quantizer as two number lines, as picture and as text. Both lines share one scale: code q lies at s (q - z), so a
 * value that only gets rounded falls straight down, and a value that gets clipped slants to the end of the code range.
 * The part of the code range that no value uses stays pale: symmetric mode wastes it when data lean to one side.
 *
 *   r  ──●────────●●────●──●────────────●─●──
 *        │        ││    │  │            │ │
 *   q    ●════════●●════●══●════════════●═●
 *      -128      -77                     127
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/canvas.h"
#include "report/textwidth.h"

enum { WIDTH = 860, MARGIN = 28, BAND = 148 };

typedef struct span {
    double lo, hi;         /* of the page */
    double used_lo, used_hi; /* of the codes that occur, as real values */
} span;

static int code_of(const pare_number_line *l, double r) {
    const double q = nearbyint(r / l->scale + l->zero);
    return (int)(q < l->qmin ? l->qmin : q > l->qmax ? l->qmax : q);
}
static double real_of(const pare_number_line *l, int code) { return l->scale * (code - l->zero); }

static span span_of(const pare_number_line *l) {
    span s = {real_of(l, l->qmin), real_of(l, l->qmax), INFINITY, -INFINITY};
    for (int64_t i = 0; i < l->n; i++) {
        if (!isfinite(l->values[i])) continue;
        const double back = real_of(l, code_of(l, l->values[i]));
        s.lo = fmin(s.lo, l->values[i]);
        s.hi = fmax(s.hi, l->values[i]);
        s.used_lo = fmin(s.used_lo, back);
        s.used_hi = fmax(s.used_hi, back);
    }
    if (!(s.hi > s.lo)) s.lo -= 1, s.hi += 1;
    return s;
}

enum { MOST_LABELS = 48 };

/* Indices of the finite values (at most MOST_LABELS), from the outside in, so that the ends get their labels first. */
static int outside_in(const pare_number_line *l, int64_t order[MOST_LABELS]) {
    int64_t sorted[MOST_LABELS];
    int n = 0;
    for (int64_t i = 0; i < l->n && n < MOST_LABELS; i++) {
        if (!isfinite(l->values[i])) continue;
        int k = n++;
        for (; k > 0 && l->values[i] < l->values[sorted[k - 1]]; k--) sorted[k] = sorted[k - 1];
        sorted[k] = i;
    }
    for (int k = 0; k < n; k++) order[k] = sorted[k % 2 ? n - 1 - k / 2 : k / 2];
    return n;
}

static pare_status check(const pare_number_line *lines, int n, pare_err *err) {
    for (int i = 0; i < n; i++)
        if (!(lines[i].scale > 0) || !isfinite(lines[i].scale) || lines[i].qmin >= lines[i].qmax)
            return pare_fail(err, PARE_ERR_USAGE, "number line %d: scale %g, codes %d ... %d", i, lines[i].scale, lines[i].qmin, lines[i].qmax);
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ picture */

typedef struct label {
    double x;
    char text[24];
} label;

/* Labels in their order of importance; one that would touch another is left out. */
static void plot_labels(pare_canvas *c, const label *labels, int n, double y, pare_rgb color) {
    double taken[MOST_LABELS + 3][2];
    int used = 0;
    const pare_font font = {.size = 11, .anchor = PARE_CENTER, .color = color};
    for (int i = 0; i < n; i++) {
        const double half = pare_measure_text(11, false, labels[i].text) / 2 + 3;
        bool free_place = true;
        for (int t = 0; t < used; t++) free_place &= labels[i].x + half < taken[t][0] || labels[i].x - half > taken[t][1];
        if (!free_place) continue;
        taken[used][0] = labels[i].x - half;
        taken[used++][1] = labels[i].x + half;
        pare_canvas_text(c, labels[i].x, y, &font, labels[i].text);
    }
}

/* Where a band's lines are, and where a real value lies on them. */
typedef struct band {
    const pare_number_line *l;
    span s;
    double left, scale, up, down;
} band;

static double x_of(const band *b, double r) { return b->left + (r - b->s.lo) * b->scale; }

static void plot_values(pare_canvas *c, const band *b) {
    const pare_number_line *const l = b->l;
    for (int64_t i = 0; i < l->n; i++) {
        const double r = l->values[i];
        if (!isfinite(r)) continue;
        const double back = real_of(l, code_of(l, r));
        const bool clipped = fabs(back - r) > 0.51 * l->scale;
        const pare_rgb color = pare_series_color(clipped ? 1 : 0);
        pare_canvas_line(c, x_of(b, r), b->up, x_of(b, back), b->down, 1, clipped ? color : PARE_GREY);
        pare_canvas_dot(c, x_of(b, r), b->up, 4, color);
        pare_canvas_dot(c, x_of(b, back), b->down, 4, color);
    }
}

static void plot_band_labels(pare_canvas *c, const band *b) {
    const pare_number_line *const l = b->l;
    label top[MOST_LABELS], bottom[MOST_LABELS + 3];
    int64_t order[MOST_LABELS];
    const int n = outside_in(l, order), ends[3] = {l->qmin, l->qmax, l->zero};
    for (int i = 0; i < 3; i++) {
        bottom[i].x = x_of(b, real_of(l, ends[i]));
        snprintf(bottom[i].text, sizeof bottom->text, "%d", ends[i]);
    }
    for (int i = 0; i < n; i++) {
        const int q = code_of(l, l->values[order[i]]);
        top[i].x = x_of(b, l->values[order[i]]);
        snprintf(top[i].text, sizeof top->text, "%.5g", (double)l->values[order[i]]);
        bottom[3 + i].x = x_of(b, real_of(l, q));
        snprintf(bottom[3 + i].text, sizeof bottom->text, "%d", q);
    }
    plot_labels(c, top, n, b->up - 12, PARE_INK);
    plot_labels(c, bottom, 3 + n, b->down + 20, PARE_INK);
}

static void plot_band(pare_canvas *c, const pare_number_line *l, double y) {
    band b = {.l = l, .s = span_of(l), .left = MARGIN + 30, .up = y + 48, .down = y + 98};
    b.scale = (WIDTH - MARGIN - 20 - b.left) / (b.s.hi - b.s.lo);
    const pare_font title = {.size = 13, .bold = true, .color = PARE_INK}, name = {.size = 13, .color = PARE_GREY};
    if (l->title) pare_canvas_text(c, MARGIN, y + 10, &title, l->title);
    pare_canvas_text(c, MARGIN, b.up + 4, &name, "r");
    pare_canvas_text(c, MARGIN, b.down + 4, &name, "q");
    pare_canvas_line(c, x_of(&b, b.s.lo), b.up, x_of(&b, b.s.hi), b.up, 1.5, PARE_GREY);
    if (b.s.lo <= 0 && b.s.hi >= 0) pare_canvas_line(c, x_of(&b, 0), b.up - 6, x_of(&b, 0), b.up + 6, 1.5, PARE_GREY);
    pare_canvas_line(c, x_of(&b, real_of(l, l->qmin)), b.down, x_of(&b, real_of(l, l->qmax)), b.down, 7, PARE_FAINT);
    if (b.s.used_lo <= b.s.used_hi) pare_canvas_line(c, x_of(&b, b.s.used_lo), b.down, x_of(&b, b.s.used_hi), b.down, 7, PARE_RGB(158, 202, 225));
    plot_values(c, &b);
    plot_band_labels(c, &b);
}

pare_status pare_plot_number_lines(const char *path, const char *title, const pare_number_line *lines, int n, pare_err *err) {
    pare_canvas *c = NULL;
    const double head = title ? 34 : 0;
    pare_status st = check(lines, n, err);
    if (st == PARE_OK) st = pare_canvas_open(path, WIDTH, 2 * MARGIN + head + (double)BAND * (n > 0 ? n : 1) - 24, title, &c, err);
    if (st != PARE_OK) return st;
    const pare_font big = {.size = 16, .bold = true, .color = PARE_INK};
    if (title) pare_canvas_text(c, MARGIN, MARGIN + 10, &big, title);
    for (int i = 0; i < n; i++) plot_band(c, &lines[i], MARGIN + head + BAND * (double)i);
    return pare_canvas_close(c, err);
}

/* --------------------------------------------------------------------------------------------------------------- text */

static void put_label(char *line, int width, int at, const char *text) {
    const int n = (int)strlen(text);
    int from = at - n / 2;
    if (from + n > width) from = width - n;
    if (from < 0) from = 0;
    for (int i = from - 1; i <= from + n; i++)
        if (i >= 0 && i < width && line[i] != ' ') return; /* no room */
    for (int i = 0; i < n && from + i < width; i++) line[from + i] = text[i];
}

static void add_line(pare_str *s, const char *head, const char *line, int width) {
    int n = width;
    while (n > 0 && line[n - 1] == ' ') n--;
    pare_str_add(s, head);
    for (int i = 0; i < n; i++) { /* single bytes stand for box drawing characters */
        static const char *const glyphs[][2] = {{"-", "\xE2\x94\x80"}, {"o", "\xE2\x97\x8F"}, {"=", "\xE2\x95\x90"}, {"~", "\xE2\x94\x84"}, {"|", "\xE2\x94\x82"}};
        const char *as = NULL;
        for (size_t g = 0; g < sizeof glyphs / sizeof *glyphs; g++)
            if (glyphs[g][0][0] == line[i] && head[0] != ' ') as = glyphs[g][1];
        if (as)
            pare_str_add(s, as);
        else
            pare_str_addn(s, &line[i], 1);
    }
    pare_str_add(s, "\n");
}

static void draw_band(pare_str *s, const pare_number_line *l, int width, bool color) {
    char rows[4][512]; /* labels of r, line of r, line of q, labels of q */
    const span p = span_of(l);
    const int w = width - 4 < 500 ? width - 4 > 20 ? width - 4 : 20 : 500;
#define AT(v) ((int)lround(((v)-p.lo) / (p.hi - p.lo) * (w - 1)))
    memset(rows, ' ', sizeof rows);
    for (int i = 0; i < w; i++) rows[1][i] = '-';
    for (int i = AT(real_of(l, l->qmin)); i <= AT(real_of(l, l->qmax)); i++) rows[2][i] = '~';
    for (int i = p.used_lo <= p.used_hi ? AT(p.used_lo) : 1; i <= (p.used_lo <= p.used_hi ? AT(p.used_hi) : 0); i++) rows[2][i] = '=';
    const int ends[3] = {l->qmin, l->qmax, l->zero};
    int64_t order[MOST_LABELS];
    const int n = outside_in(l, order);
    char text[24];
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%d", ends[i]);
        put_label(rows[3], w, AT(real_of(l, ends[i])), text);
    }
    for (int i = 0; i < n; i++) {
        const double r = l->values[order[i]];
        const int q = code_of(l, r);
        rows[1][AT(r)] = rows[2][AT(real_of(l, q))] = 'o';
        snprintf(text, sizeof text, "%.5g", r);
        put_label(rows[0], w, AT(r), text);
        snprintf(text, sizeof text, "%d", q);
        put_label(rows[3], w, AT(real_of(l, q)), text);
    }
#undef AT
    if (l->title) {
        if (color) pare_str_add(s, "\x1b[1m");
        pare_text_add(s, l->title, -1, false);
        pare_str_add(s, color ? "\x1b[0m\n" : "\n");
    }
    add_line(s, "   ", rows[0], w);
    add_line(s, "r  ", rows[1], w);
    add_line(s, "q  ", rows[2], w);
    add_line(s, "   ", rows[3], w);
}

pare_status pare_draw_number_lines(const pare_number_line *lines, int n, int width, bool color, char **out, pare_err *err) {
    pare_str s = {0};
    const pare_status st = check(lines, n, err);
    *out = NULL;
    if (st != PARE_OK) return st;
    pare_str_add(&s, "");
    for (int i = 0; i < n; i++) {
        if (i) pare_str_add(&s, "\n");
        draw_band(&s, &lines[i], width > 0 ? width : 100, color);
    }
    *out = pare_str_take(&s);
    return *out ? PARE_OK : pare_no_memory(err, "drawing", s.n);
}
