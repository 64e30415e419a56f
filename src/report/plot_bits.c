/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of bit boxes, as picture and as text: number formats (sign, exponent, mantissa) and packed bytes.
 *
 *   FP16  0 01101 0101010101   0.333251953125
 *         s exponent mantissa
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/canvas.h"
#include "report/textwidth.h"

enum { MARGIN = 24, BOX = 20, ROW = 52, FIELD_GAP = 6 };

static bool same_shape(const pare_bit_row *a, const pare_bit_row *b) {
    if (a->n_fields != b->n_fields) return false;
    for (int i = 0; i < a->n_fields; i++)
        if (strlen(a->fields[i].bits) != strlen(b->fields[i].bits)) return false;
    return true;
}

static bool has_names(const pare_bit_row *row) {
    for (int i = 0; i < row->n_fields; i++)
        if (row->fields[i].name && row->fields[i].name[0]) return true;
    return false;
}

static double boxes_width(const pare_bit_row *row) {
    double w = 0;
    for (int i = 0; i < row->n_fields; i++) w += BOX * (double)strlen(row->fields[i].bits) + (i ? FIELD_GAP : 0);
    return w;
}

static void plot_row(pare_canvas *c, const pare_bit_row *row, double x, double y) {
    for (int i = 0; i < row->n_fields; i++) {
        const pare_bit_field *const f = &row->fields[i];
        const double w = BOX * (double)strlen(f->bits);
        const pare_rgb ground = pare_colormap_at(PARE_CMAP_GROUPS, f->group);
        const pare_font bit = {.size = 12, .anchor = PARE_CENTER, .mono = true, .color = PARE_INK};
        for (size_t k = 0; f->bits[k]; k++) {
            const char text[2] = {f->bits[k], 0};
            pare_canvas_rect(c, x + BOX * (double)k + 0.5, y, BOX - 1, BOX, ground);
            pare_canvas_text(c, x + BOX * ((double)k + 0.5), y + 14.5, &bit, text);
        }
        if (f->name && f->name[0]) {
            const double natural = pare_measure_text(10, false, f->name), room = w + FIELD_GAP - 2;
            const pare_font name = {.size = natural > room && natural > 0 ? fmax(6, 10 * room / natural) : 10, .anchor = PARE_CENTER, .color = PARE_GREY};
            pare_canvas_text(c, x + w / 2, y + BOX + 12, &name, f->name);
        }
        x += w + FIELD_GAP;
    }
}

pare_status pare_plot_bits(const char *path, const char *title, const pare_bit_row *rows, int n, pare_err *err) {
    double label = 0, boxes = 0, note = 0;
    pare_canvas *c = NULL;
    for (int i = 0; i < n; i++) {
        label = fmax(label, rows[i].label && rows[i].label[0] ? pare_measure_text(13, true, rows[i].label) + 14 : 0);
        boxes = fmax(boxes, boxes_width(&rows[i]));
        note = fmax(note, rows[i].note && rows[i].note[0] ? pare_measure_text(12, false, rows[i].note) + 14 : 0);
    }
    const double head = title ? 34 : 0, title_w = title ? pare_measure_text(16, true, title) : 0;
    const double width = ceil(2 * MARGIN + fmax(label + boxes + note, title_w));
    const pare_status st = pare_canvas_open(path, width, 2 * MARGIN + head + (double)ROW * (n > 0 ? n : 1) - 14, title, &c, err);
    if (st != PARE_OK) return st;
    const pare_font big = {.size = 16, .bold = true, .color = PARE_INK}, bold = {.size = 13, .bold = true, .color = PARE_INK};
    const pare_font plain = {.size = 12, .color = PARE_INK};
    if (title) pare_canvas_text(c, MARGIN, MARGIN + 12, &big, title);
    for (int i = 0; i < n; i++) {
        const double y = MARGIN + head + ROW * (double)i;
        pare_canvas_text(c, MARGIN, y + 15, &bold, rows[i].label);
        plot_row(c, &rows[i], MARGIN + label, y);
        pare_canvas_text(c, MARGIN + label + boxes_width(&rows[i]) + 14, y + 15, &plain, rows[i].note);
    }
    return pare_canvas_close(c, err);
}

/* --------------------------------------------------------------------------------------------------------------- text */

/* Columns of a field: room for its bits and its name. */
static int field_width(const pare_bit_field *f) {
    const int bits = (int)strlen(f->bits), name = f->name ? pare_text_width(f->name) : 0;
    return bits > name ? bits : name;
}

static void trim(pare_str *s) {
    while (!s->failed && s->n > 0 && s->at[s->n - 1] == ' ') s->at[--s->n] = 0;
    pare_str_add(s, "\n");
}

/* Columns of all fields of a row with a blank between two. */
static int fields_width(const pare_bit_row *row) {
    int w = row->n_fields - 1;
    for (int i = 0; i < row->n_fields; i++) w += field_width(&row->fields[i]);
    return w;
}

static void draw_row(pare_str *s, const pare_bit_row *row, int label, int boxes, bool color) {
    pare_text_add(s, row->label ? row->label : "", label, false);
    for (int i = 0; i < row->n_fields; i++) {
        const pare_rgb g = pare_colormap_at(PARE_CMAP_GROUPS, row->fields[i].group);
        if (i || label) pare_str_add(s, " ");
        if (color)
            pare_str_printf(s, "\x1b[48;2;%d;%d;%dm\x1b[38;2;38;38;38m", (int)lround(g.r * 255), (int)lround(g.g * 255), (int)lround(g.b * 255));
        pare_str_add(s, row->fields[i].bits);
        if (color) pare_str_add(s, "\x1b[0m");
        pare_text_repeat(s, " ", field_width(&row->fields[i]) - (int)strlen(row->fields[i].bits));
    }
    if (row->note) {
        pare_text_repeat(s, " ", boxes - fields_width(row) + 3);
        pare_text_add(s, row->note, -1, false);
    }
    trim(s);
}

static void draw_names(pare_str *s, const pare_bit_row *row, int label) {
    pare_text_repeat(s, " ", label);
    for (int i = 0; i < row->n_fields; i++) {
        if (i || label) pare_str_add(s, " ");
        pare_text_add(s, row->fields[i].name ? row->fields[i].name : "", field_width(&row->fields[i]), false);
    }
    trim(s);
}

pare_status pare_draw_bits(const pare_bit_row *rows, int n, bool color, char **out, pare_err *err) {
    pare_str s = {0};
    int label = 0, boxes = 0;
    for (int i = 0; i < n; i++) {
        const int w = rows[i].label ? pare_text_width(rows[i].label) : 0;
        label = w > label ? w : label;
        boxes = fields_width(&rows[i]) > boxes ? fields_width(&rows[i]) : boxes;
    }
    pare_str_add(&s, "");
    for (int i = 0; i < n; i++) {
        draw_row(&s, &rows[i], label, boxes, color);
        /* rows of one shape and one set of names need the names only once, below the last of them */
        const bool again = i + 1 < n && rows[i].n_fields > 0 && same_shape(&rows[i], &rows[i + 1]) && rows[i].fields->name == rows[i + 1].fields->name;
        if (has_names(&rows[i]) && !again) draw_names(&s, &rows[i], label);
    }
    *out = pare_str_take(&s);
    return *out ? PARE_OK : pare_no_memory(err, "drawing", s.n);
}
