/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heat maps in a row. Every panel is a column of the page:
 *
 *        title              all titles on one line; a second line after '\n' is smaller
 *     +--+--+--+            cells of whole units, so that edges are crisp in every medium
 *     |1 |2 |3 |            numbers up to 32 x 32 cells, in white or dark ink
 *     +--+--+--+
 *     ▒▒▒▒▒▒▒▒▒▒            colour bar with its two ends, for coloured panels
 *     -1       1
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/canvas.h"
#include "report/cells.h"

enum { MAX_SIDE = 64, MOST_NUMBERS = 32, PANEL = 300, GAP = 28, MARGIN = 24, BAR = 8, BAR_STEPS = 48 };
static const double TITLE_SIZE = 14, NOTE_SIZE = 10, LEAST_FONT = 8, MOST_FONT = 15;

typedef struct place {
    pare_cells cells;
    bool numbers;
    double cell_w, cell_h, font; /* font: size of cell numbers */
    double column;               /* width of the column, >= cols * cell_w */
    char title[160], note[160];
} place;

static double larger(double a, double b) { return a > b ? a : b; }
static double smaller(double a, double b) { return a < b ? a : b; }

/* Cell size: PANEL units shared by the columns, more when the numbers need it. */
static void place_cells(place *p, const pare_panel *panel) {
    const double rows = larger((double)p->cells.rows, 1), cols = larger((double)p->cells.cols, 1);
    char longest[48];
    p->numbers = p->cells.rows <= MOST_NUMBERS && p->cells.cols <= MOST_NUMBERS && pare_cells_text_width(panel, &p->cells, longest) > 0;
    p->cell_w = smaller(100, PANEL / cols);
    p->font = 0;
    if (p->numbers) {
        const double unit = pare_measure_text(10, false, longest) / 10; /* width at size 1 */
        p->font = smaller(smaller(MOST_FONT, 0.55 * PANEL / rows), (p->cell_w - 8) / unit);
        if (p->font < LEAST_FONT) p->font = LEAST_FONT;
        p->cell_w = larger(p->cell_w, p->font * unit + 8);
    }
    p->cell_w = larger(1, floor(p->cell_w + 0.5));
    p->cell_h = larger(smaller(p->cell_w, PANEL / rows), larger(p->font * 1.9, 24 / rows));
    p->cell_h = larger(1, floor(p->cell_h + 0.5));
}

/* Panels of one shape get cells and fonts of one size. */
static void place_evenly(place *places, int n) {
    for (int i = 1; i < n; i++)
        if (places[i].cells.rows != places[0].cells.rows || places[i].cells.cols != places[0].cells.cols) return;
    double w = 0, h = 0, font = MOST_FONT;
    for (int i = 0; i < n; i++) {
        w = larger(w, places[i].cell_w);
        h = larger(h, places[i].cell_h);
        if (places[i].numbers) font = smaller(font, places[i].font);
    }
    for (int i = 0; i < n; i++) places[i].cell_w = w, places[i].cell_h = h, places[i].font = font;
}

static void draw_cells(pare_canvas *c, const pare_panel *panel, const place *p, double x0, double y0) {
    const pare_font font = {.size = p->font, .anchor = PARE_CENTER};
    for (int64_t r = 0; r < p->cells.rows; r++)
        for (int64_t k = 0; k < p->cells.cols; k++) {
            const double v = p->cells.values[r * p->cells.cols + k];
            const pare_rgb color = pare_cells_color(&p->cells, v);
            const double x = x0 + (double)k * p->cell_w, y = y0 + (double)r * p->cell_h;
            char text[48];
            pare_canvas_rect(c, x, y, p->cell_w, p->cell_h, color);
            if (!p->numbers) continue;
            pare_font ink = font;
            ink.color = pare_ink_on(color);
            pare_cell_text(panel, v, text);
            pare_canvas_text(c, x + p->cell_w / 2, y + p->cell_h / 2 + p->font * 0.36, &ink, text);
        }
}

/* Lines between cells that are large enough, and a frame around cells that may be as white as the page. */
static void draw_lines(pare_canvas *c, const place *p, double x0, double y0) {
    const bool plain = p->cells.map == PARE_CMAP_WHITE;
    const double w = p->cell_w * (double)p->cells.cols, h = p->cell_h * (double)p->cells.rows;
    const pare_rgb color = plain ? PARE_RGB(200, 200, 200) : PARE_PAPER;
    if (p->cell_w >= 10 && p->cell_h >= 10) {
        for (int64_t k = 1; k < p->cells.cols; k++) pare_canvas_rect(c, x0 + (double)k * p->cell_w - 0.5, y0, 1, h, color);
        for (int64_t r = 1; r < p->cells.rows; r++) pare_canvas_rect(c, x0, y0 + (double)r * p->cell_h - 0.5, w, 1, color);
    }
    if (plain || p->cells.map == PARE_CMAP_HEAT) pare_canvas_frame(c, x0 + 0.5, y0 + 0.5, w - 1, h - 1, 1, plain ? color : PARE_FAINT);
}

static bool has_bar(const place *p) { return p->cells.map == PARE_CMAP_COOLWARM || p->cells.map == PARE_CMAP_HEAT; }

static void draw_bar(pare_canvas *c, const place *p, double x0, double y0) {
    const pare_cells *const k = &p->cells;
    const double w = larger(p->cell_w * (double)k->cols, 60);
    pare_font font = {.size = NOTE_SIZE, .color = PARE_GREY};
    char text[48];
    if (!has_bar(p)) return;
    for (int i = 0; i < BAR_STEPS; i++) {
        const double left = floor(w * i / BAR_STEPS), right = floor(w * (i + 1) / BAR_STEPS);
        pare_canvas_rect(c, x0 + left, y0, right - left, BAR, pare_colormap_at(k->map, (i + 0.5) / BAR_STEPS));
    }
    snprintf(text, sizeof text, "%.4g", k->vmin);
    pare_canvas_text(c, x0, y0 + BAR + 13, &font, text);
    font.anchor = PARE_RIGHT;
    snprintf(text, sizeof text, "%.4g", k->vmax);
    pare_canvas_text(c, x0 + w, y0 + BAR + 13, &font, text);
}

/* A text centred at x, in a smaller size when it is wider than the column. */
static void draw_fitted(pare_canvas *c, double x, double y, double size, bool bold, pare_rgb color, double width, const char *text) {
    const double natural = text[0] ? pare_measure_text(size, bold, text) : 0;
    const pare_font font = {.size = natural > width ? larger(7, size * width / natural) : size, .anchor = PARE_CENTER, .bold = bold, .color = color};
    pare_canvas_text(c, x, y, &font, text);
}

static void draw_panel(pare_canvas *c, const pare_panel *panel, const place *p, double x, double y, double note_h) {
    const double w = p->cell_w * (double)p->cells.cols, x0 = floor(x + (p->column - w) / 2), top = y + 24 + note_h;
    draw_fitted(c, x + p->column / 2, y + 14, TITLE_SIZE, false, PARE_INK, p->column, p->title);
    draw_fitted(c, x + p->column / 2, y + 31, NOTE_SIZE, false, PARE_GREY, p->column, p->note);
    if (p->cells.rows == 0 || p->cells.cols == 0) {
        draw_fitted(c, x + p->column / 2, top + 20, NOTE_SIZE, false, PARE_GREY, p->column, "(empty)");
        return;
    }
    draw_cells(c, panel, p, x0, top);
    draw_lines(c, p, x0, top);
    draw_bar(c, p, x0, top + p->cell_h * (double)p->cells.rows + 10);
}

/* Fills places and the page's size. */
static pare_status lay_out(const pare_panel *panels, int n, const char *title, place *places, double *width, double *height, double *note_h, pare_err *err) {
    double tallest = 24;
    bool bars = false;
    *note_h = 0;
    *width = 2 * MARGIN + GAP * (n - 1);
    for (int i = 0; i < n; i++) {
        const pare_status st = pare_cells_init(&panels[i], MAX_SIDE, MAX_SIDE, &places[i].cells, err);
        if (st != PARE_OK) return st;
        pare_panel_title(&panels[i], &places[i].cells, places[i].title, places[i].note);
        place_cells(&places[i], &panels[i]);
        if (places[i].note[0]) *note_h = 14;
        bars |= has_bar(&places[i]);
    }
    place_evenly(places, n);
    for (int i = 0; i < n; i++) {
        place *const p = &places[i];
        const double text = larger(pare_measure_text(TITLE_SIZE, false, p->title), pare_measure_text(NOTE_SIZE, false, p->note));
        p->column = ceil(larger(p->cell_w * (double)p->cells.cols, smaller(text, 250)));
        *width += p->column;
        tallest = larger(tallest, p->cell_h * (double)p->cells.rows);
    }
    *height = ceil(2 * MARGIN + (title ? 34 : 0) + 16 + *note_h + tallest + (bars ? 10 + BAR + 14 : 0));
    return PARE_OK;
}

pare_status pare_plot_panels(const char *path, const char *title, const pare_panel *panels, int n, pare_err *err) {
    pare_status st = PARE_OK;
    pare_canvas *c = NULL;
    double width, height, note_h;
    place *places = NULL;
    if (n < 1) return pare_fail(err, PARE_ERR_USAGE, "%s: no panels to draw", path);
    places = pare_alloc_zero((size_t)n, sizeof *places);
    if (!places) return pare_no_memory(err, "picture", (size_t)n * sizeof *places);
    PARE_TRY(lay_out(panels, n, title, places, &width, &height, &note_h, err));
    if (title) width = larger(width, ceil(pare_measure_text(17, true, title)) + 2 * MARGIN);
    PARE_TRY(pare_canvas_open(path, width, height, title ? title : places[0].title, &c, err));
    if (title) draw_fitted(c, width / 2, MARGIN + 13, 17, true, PARE_INK, width - 2 * MARGIN, title);
    double x = MARGIN;
    for (int i = 0; i < n; i++) {
        draw_panel(c, &panels[i], &places[i], x, MARGIN + (title ? 34 : 0) - 4, note_h);
        x += places[i].column + GAP;
    }
    st = pare_canvas_close(c, err);
out:
    for (int i = 0; i < n; i++) pare_cells_clear(&places[i].cells);
    pare_dealloc(places);
    return st;
}
