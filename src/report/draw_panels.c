/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heat maps in a terminal. Small matrices show their numbers, on a 24-bit colour ground when colour is allowed; larger ones
 * become half blocks (two rows a line) or, without colour, the means of at most 16 x 16 blocks. Panels stand side by
 * side as far as the width goes, then below each other.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/cells.h"
#include "report/textwidth.h"

enum { MOST_NUMBERS = 32, MOST_MEANS = 16, MOST_BLOCKS = 64, GAP = 3 };

typedef struct block {
    const pare_panel *panel;
    pare_cells cells;
    bool numbers;
    int cell;   /* columns of a cell */
    int width;  /* columns of the panel, title included */
    int lines;  /* lines of cells */
    char title[160], note[160];
} block;

static void set_color(pare_str *s, int what, pare_rgb c) {
    pare_str_printf(s, "\x1b[%d;2;%d;%d;%dm", what, (int)lround(c.r * 255), (int)lround(c.g * 255), (int)lround(c.b * 255));
}
static void set_ground(pare_str *s, pare_rgb c) { set_color(s, 48, c); }
static void set_ink(pare_str *s, pare_rgb c) { set_color(s, 38, c); }
static void reset(pare_str *s) { pare_str_add(s, "\x1b[0m"); }

/* Chooses numbers, half blocks or means for one panel. */
static pare_status block_init(block *b, const pare_panel *panel, int width, bool color, pare_err *err) {
    pare_status st;
    *b = (block){.panel = panel};
    const bool small = panel->rows <= MOST_NUMBERS && panel->cols <= MOST_NUMBERS;
    const bool wants_numbers = !(panel->format && panel->format[0] == 0);
    if (small) {
        if ((st = pare_cells_init(panel, MOST_NUMBERS, MOST_NUMBERS, &b->cells, err)) != PARE_OK) return st;
        b->cell = pare_cells_text_width(panel, &b->cells, NULL) + 2;
        b->numbers = wants_numbers && b->cell * (int)b->cells.cols <= width;
    }
    if (!b->numbers && color) {
        pare_cells_clear(&b->cells);
        const int most = width < MOST_BLOCKS ? width : MOST_BLOCKS;
        if ((st = pare_cells_init(panel, MOST_BLOCKS, most, &b->cells, err)) != PARE_OK) return st;
        b->cell = b->cells.cols <= 16 ? 2 : 1;
    } else if (!b->numbers) {
        pare_cells_clear(&b->cells);
        int most = MOST_MEANS;
        do { /* fewer and fewer columns until their numbers fit */
            pare_cells_clear(&b->cells);
            if ((st = pare_cells_init(panel, MOST_MEANS, most, &b->cells, err)) != PARE_OK) return st;
            b->cell = pare_cells_text_width(panel, &b->cells, NULL) + 2;
            most -= most / 4 > 0 ? most / 4 : 1;
        } while (b->cell * (int)b->cells.cols > width && most > 0);
        b->numbers = true;
    }
    pare_panel_title(panel, &b->cells, b->title, b->note);
    b->lines = (int)(b->numbers ? b->cells.rows : (b->cells.rows + 1) / 2);
    if (b->cells.cols == 0) b->lines = 0;
    const int text = pare_text_width(b->title), note = pare_text_width(b->note), cells = b->cell * (int)b->cells.cols;
    b->width = cells > text ? cells : text;
    if (note > b->width) b->width = note < width ? note : width;
    return PARE_OK;
}

static void number_line(pare_str *s, const block *b, int64_t row, bool color) {
    for (int64_t k = 0; k < b->cells.cols; k++) {
        const double v = b->cells.values[row * b->cells.cols + k];
        const pare_rgb ground = pare_cells_color(&b->cells, v);
        char text[48];
        pare_cell_text(b->panel, v, text);
        if (color) {
            set_ground(s, ground);
            set_ink(s, pare_ink_on(ground));
        }
        pare_text_add(s, text, b->cell - 1, true);
        pare_str_add(s, " ");
    }
    if (color && b->cells.cols) reset(s);
}

static void half_block_line(pare_str *s, const block *b, int64_t line) {
    for (int64_t k = 0; k < b->cells.cols; k++) {
        const double *const top = &b->cells.values[2 * line * b->cells.cols + k];
        set_ink(s, pare_cells_color(&b->cells, top[0]));
        if (2 * line + 1 < b->cells.rows)
            set_ground(s, pare_cells_color(&b->cells, top[b->cells.cols]));
        pare_text_repeat(s, "\xE2\x96\x80", b->cell); /* upper half block */
        reset(s);
    }
}

/* What the colours mean, below half blocks: "-0.99 [ramp] 0.99". */
static int range_line(pare_str *s, const block *b) {
    char lo[24], hi[24];
    snprintf(lo, sizeof lo, "%.3g ", b->cells.vmin);
    snprintf(hi, sizeof hi, " %.3g", b->cells.vmax);
    pare_str_add(s, lo);
    for (int i = 0; i < 12; i++) {
        set_ground(s, pare_colormap_at(b->cells.map, (i + 0.5) / 12));
        pare_str_add(s, " ");
    }
    reset(s);
    pare_str_add(s, hi);
    return (int)(strlen(lo) + strlen(hi)) + 12;
}

/* Line `line` of a block's cells, padded to its width; lines past its end are blank. */
static void body_line(pare_str *s, const block *b, int line, bool color) {
    int used = 0;
    if (line < b->lines) {
        if (b->numbers)
            number_line(s, b, line, color);
        else
            half_block_line(s, b, line);
        used = b->cell * (int)b->cells.cols;
    } else if (line == b->lines && !b->numbers && b->lines && b->cells.map != PARE_CMAP_WHITE && b->cells.map != PARE_CMAP_GROUPS)
        used = range_line(s, b);
    else if (line == 0) {
        pare_str_add(s, "(empty)");
        used = 7;
    }
    pare_text_repeat(s, " ", b->width - used);
}

static void end_line(pare_str *s) {
    while (!s->failed && s->n > 0 && s->at[s->n - 1] == ' ') s->at[--s->n] = 0;
    pare_str_add(s, "\n");
}

/* Panels first ... last-1 side by side. */
static void draw_row(pare_str *s, const block *blocks, int first, int last, bool color) {
    int lines = 1;
    bool notes = false;
    for (int i = first; i < last; i++) {
        const int own = blocks[i].lines + !blocks[i].numbers;
        lines = own > lines ? own : lines;
        notes |= blocks[i].note[0] != 0;
    }
    for (int part = 0; part < (notes ? 2 : 1); part++) {
        for (int i = first; i < last; i++) {
            if (i > first) pare_text_repeat(s, " ", GAP);
            if (color) pare_str_add(s, part ? "\x1b[2m" : "\x1b[1m");
            pare_text_add(s, part ? blocks[i].note : blocks[i].title, blocks[i].width, false);
            if (color) reset(s);
        }
        end_line(s);
    }
    for (int line = 0; line < lines; line++) {
        for (int i = first; i < last; i++) {
            if (i > first) pare_text_repeat(s, " ", GAP);
            body_line(s, &blocks[i], line, color);
        }
        end_line(s);
    }
}

pare_status pare_draw_panels(const pare_panel *panels, int n, int width, bool color, char **out, pare_err *err) {
    pare_str s = {0};
    pare_status st = PARE_OK;
    const int columns = width > 0 ? width : 1 << 20;
    *out = NULL;
    block *const blocks = pare_alloc_zero((size_t)(n > 0 ? n : 1), sizeof *blocks);
    if (!blocks) return pare_no_memory(err, "drawing", (size_t)n * sizeof *blocks);
    pare_str_add(&s, "");
    for (int i = 0; i < n; i++) PARE_TRY(block_init(&blocks[i], &panels[i], columns, color, err));
    for (int first = 0, last; first < n; first = last) {
        int used = blocks[first].width;
        for (last = first + 1; last < n && used + GAP + blocks[last].width <= columns; last++) used += GAP + blocks[last].width;
        if (first) pare_str_add(&s, "\n");
        draw_row(&s, blocks, first, last, color);
    }
    *out = pare_str_take(&s);
    if (!*out) st = pare_no_memory(err, "drawing", s.n);
out:
    for (int i = 0; i < n; i++) pare_cells_clear(&blocks[i].cells);
    pare_dealloc(blocks);
    pare_str_clear(&s);
    return st;
}
