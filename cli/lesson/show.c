/* SPDX-License-Identifier: Apache-2.0 */
/* How lessons show what they compute: text, JSON and pictures from the same calls. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lesson.h"

bool show_ok(show *s, pare_status st) {
    if (st != PARE_OK && !s->code) s->code = cli_fail(s->c, &s->c->err);
    return st == PARE_OK;
}

static bool text_mode(const show *s) { return !s->code && !s->j; }

/* Lines of values stand together; anything else keeps a blank line's distance from them. */
static void gap(show *s) {
    if (s->tight) cli_puts("\n");
    s->tight = false;
}

/* ---------------------------------------------------------------------------------------------------------- paragraphs */

/* Prints words of at most `width` columns a line. Bytes that continue a UTF-8 character take no column. */
static void print_wrapped(const char *text, int width) {
    int column = 0;
    for (const char *p = text; *p;) {
        int cells = 0;
        const char *end = p;
        for (; *end && *end != ' ' && *end != '\n'; end++) cells += (*end & 0xC0) != 0x80;
        if (column && column + 1 + cells > width) {
            cli_puts("\n");
            column = 0;
        }
        cli_print("%s%.*s", column ? " " : "", (int)(end - p), p);
        column += cells + (column > 0);
        if (*end == '\n') {
            cli_puts("\n");
            column = 0;
        }
        p = *end ? end + 1 : end;
    }
    cli_puts("\n");
}

void show_say(show *s, const char *format, ...) {
    char text[2048];
    va_list ap;
    if (!text_mode(s)) return;
    gap(s);
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    print_wrapped(text, s->c->width < 100 ? s->c->width : 100);
    cli_puts("\n");
}

void show_line(show *s, const char *format, ...) {
    char text[512];
    va_list ap;
    if (!text_mode(s)) return;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    cli_print("%s\n", text);
    s->tight = true;
}

static void print_heading(show *s, const char *heading) {
    if (!text_mode(s)) return;
    gap(s);
    if (heading) cli_print(s->c->color ? "\x1b[1m%s\x1b[0m\n\n" : "-- %s --\n\n", heading);
}

void show_begin(show *s, const char *key, const char *heading) {
    if (s->j) pare_json_object(s->j, key);
    print_heading(s, heading);
}

void show_begin_array(show *s, const char *key, const char *heading) {
    if (s->j) pare_json_array(s->j, key);
    print_heading(s, heading);
}

void show_begin_item(show *s, const char *heading) { show_begin(s, NULL, heading); }

void show_end(show *s) {
    if (s->j) pare_json_end(s->j);
}

/* ------------------------------------------------------------------------------------------------------------- numbers */

void show_real(show *s, const char *key, const char *label, const char *format, double value) {
    if (s->j) pare_json_real(s->j, key, value);
    if (!label || !text_mode(s)) return;
    char text[32];
    cli_print("%s: ", label);
    shortest_double(value, text);
    if (format)
        cli_print(format, value);
    else
        cli_puts(text);
    cli_puts("\n");
    s->tight = true;
}

void show_int(show *s, const char *key, const char *label, int64_t value) {
    if (s->j) pare_json_int(s->j, key, value);
    if (!label || !text_mode(s)) return;
    cli_print("%s: %lld\n", label, (long long)value);
    s->tight = true;
}

void show_text(show *s, const char *key, const char *label, const char *value) {
    if (s->j) pare_json_text(s->j, key, value);
    if (!label || !text_mode(s)) return;
    cli_print("%s: %s\n", label, value);
    s->tight = true;
}

static void cell_text(double v, const char *format, char out[48]) {
    if (format)
        snprintf(out, 48, format, v);
    else
        shortest_float((float)v, out);
}

static void print_matrix(const char *label, const double *v, int rows, int cols, const char *format) {
    const int lines = rows > 0 ? rows : 1;
    int width = 0;
    char text[48];
    for (int i = 0; i < lines * cols; i++) {
        cell_text(v[i], format, text);
        if ((int)strlen(text) > width) width = (int)strlen(text);
    }
    if (label) cli_print("%s\n", label);
    for (int r = 0; r < lines; r++) {
        cli_puts(rows == 0 ? "  [" : r == 0 ? "  [[" : "   [");
        for (int k = 0; k < cols; k++) {
            cell_text(v[r * cols + k], format, text);
            cli_print("%s%*s", k ? ", " : "", width, text);
        }
        cli_puts(rows == 0 ? "]\n" : r + 1 == lines ? "]]\n" : "],\n");
    }
    cli_puts("\n");
}

static void json_row(pare_json *j, const char *key, const double *v, int cols, bool whole) {
    pare_json_array(j, key);
    for (int k = 0; k < cols; k++) {
        if (whole)
            pare_json_int(j, NULL, (int64_t)v[k]);
        else
            pare_json_real(j, NULL, v[k]);
    }
    pare_json_end(j);
}

void show_matrix(show *s, const char *key, const char *label, const double *v, int rows, int cols, const char *format) {
    const bool whole = format && strcmp(format, "%.0f") == 0;
    if (s->code) return;
    if (!s->j) {
        gap(s);
        print_matrix(label, v, rows, cols, format);
        return;
    }
    if (rows > 0) pare_json_array(s->j, key);
    for (int r = 0; r < (rows > 0 ? rows : 1); r++) json_row(s->j, rows > 0 ? NULL : key, v + r * cols, cols, whole);
    if (rows > 0) pare_json_end(s->j);
}

void show_floats(show *s, const char *key, const char *label, const float *v, int rows, int cols, const char *format) {
    double wide[1024];
    const int n = (rows > 0 ? rows : 1) * cols;
    for (int i = 0; i < n && i < 1024; i++) wide[i] = v[i];
    if (n <= 1024) show_matrix(s, key, label, wide, rows, cols, format);
}

void show_codes(show *s, const char *key, const char *label, const int8_t *v, int rows, int cols) {
    double wide[1024];
    const int n = (rows > 0 ? rows : 1) * cols;
    for (int i = 0; i < n && i < 1024; i++) wide[i] = v[i];
    if (n <= 1024) show_matrix(s, key, label, wide, rows, cols, "%.0f");
}

void show_table(show *s, const char *key, const pare_table *table) {
    if (s->code) return;
    if (s->j) {
        pare_json_table(s->j, key, table);
        return;
    }
    gap(s);
    s->code = cli_print_table(s->c, table);
    cli_puts("\n");
}

/* ------------------------------------------------------------------------------------------------------------ pictures */

static bool is_picture_name(const char *path) {
    const char *const dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".png") == 0 || strcmp(dot, ".svg") == 0 || strcmp(dot, ".pdf") == 0);
}

/* Where a picture goes: FILE.svg for the first and FILE-NAME.svg for the others, or DIR/lesson-ID-NAME.svg. False: none wanted. */
static bool picture_path(show *s, const char *name, char path[4096]) {
    int n;
    if (!s->plot || s->code) return false;
    if (is_picture_name(s->plot)) {
        const char *const dot = strrchr(s->plot, '.');
        n = s->pictures == 0 ? snprintf(path, 4096, "%s", s->plot) : snprintf(path, 4096, "%.*s-%s%s", (int)(dot - s->plot), s->plot, name, dot);
    } else {
        if (mkdir(s->plot, 0777) != 0 && errno != EEXIST) {
            const int why = errno;
            pare_err *const e = &s->c->err;
            e->code = PARE_ERR_IO;
            snprintf(e->text, sizeof e->text, "%.400s: cannot make the folder: %.80s", s->plot, strerror(why));
            s->code = cli_fail(s->c, e);
            return false;
        }
        n = snprintf(path, 4096, "%s/lesson-%s-%s.svg", s->plot, s->lesson, name);
    }
    s->pictures++;
    return n > 0 && n < 4096;
}

static void wrote(show *s, const char *path) {
    if (s->code || s->j || s->c->quiet) return;
    gap(s);
    cli_print("(picture: %s)\n\n", path);
}

/* Prints text of the library and frees it. */
static void print_drawing(show *s, pare_status st, char *text) {
    if (!show_ok(s, st)) return;
    gap(s);
    cli_puts(text);
    cli_puts("\n");
    pare_free(text);
}

void show_panels(show *s, const char *name, const char *title, const pare_panel *panels, int n) {
    char path[4096], *text = NULL;
    if (text_mode(s) && s->c->tty_out) {
        const pare_status st = pare_draw_panels(panels, n, s->c->width, s->c->color, &text, &s->c->err);
        print_drawing(s, st, text);
    }
    if (picture_path(s, name, path) && show_ok(s, pare_plot_panels(path, title, panels, n, &s->c->err))) wrote(s, path);
}

void show_quantized(show *s, const char *name, const char *title, const float *original, const pare_qtensor *q) {
    pare_panel panels[4];
    double *storage = NULL;
    if (!s->code && show_ok(s, pare_quantization_panels(original, q, s->like_course, panels, &storage, &s->c->err)))
        show_panels(s, name, title, panels, 4);
    pare_free(storage);
}

void show_chart(show *s, const char *name, const pare_chart *chart) {
    char path[4096], *text = NULL;
    if (text_mode(s) && s->c->tty_out) {
        const pare_status st = pare_draw_chart(chart, s->c->width, s->c->color, &text, &s->c->err);
        print_drawing(s, st, text);
    }
    if (picture_path(s, name, path) && show_ok(s, pare_plot_chart(path, chart, &s->c->err))) wrote(s, path);
}

void show_bits(show *s, const char *name, const char *title, const pare_bit_row *rows, int n) {
    char path[4096], *text = NULL;
    if (text_mode(s)) {
        const pare_status st = pare_draw_bits(rows, n, s->c->color, &text, &s->c->err);
        print_drawing(s, st, text);
    }
    if (picture_path(s, name, path) && show_ok(s, pare_plot_bits(path, title, rows, n, &s->c->err))) wrote(s, path);
}

void show_number_lines(show *s, const char *name, const char *title, const pare_number_line *lines, int n) {
    char path[4096], *text = NULL;
    if (text_mode(s)) {
        const pare_status st = pare_draw_number_lines(lines, n, s->c->width, s->c->color, &text, &s->c->err);
        print_drawing(s, st, text);
    }
    if (picture_path(s, name, path) && show_ok(s, pare_plot_number_lines(path, title, lines, n, &s->c->err))) wrote(s, path);
}
