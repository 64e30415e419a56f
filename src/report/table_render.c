/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pare_table as text, CSV, Markdown and JSON. Text is for people: aligned columns, the unit in the heading, bytes as KiB/MiB/GiB,
 * reals with as many digits as the column deserves. CSV and JSON are for programs: keys, plain bytes, digits that read
 * back to the same double.
 *
 *   name                   shape  sqnr (dB)      size
 *   ─────────────────────  ─────  ─────────  ────────
 *   model.…0.mlp.up.weight 64x32      31.24  4.00 KiB
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/table.h"
#include "report/textwidth.h"

/* How the reals of one column are printed: `decimals` digits after the point, or %.4g each when decimals < 0. */
typedef struct real_style {
    int decimals;
} real_style;

enum { CELL_TEXT = 64, MIN_TEXT_WIDTH = 10, GAP = 2 };

/* Trailing zeros that all values of a column share with `decimals` digits are dropped. */
static int needed_decimals(const pare_table *t, int column, int decimals) {
    int need = 0;
    for (int64_t row = 0; row < t->rows && need < decimals; row++) {
        double v;
        char text[CELL_TEXT];
        if (pare_table_cell(t, row, column, NULL, NULL, &v) != PARE_CELL_REAL || !isfinite(v)) continue;
        int n = snprintf(text, sizeof text, "%.*f", decimals, v), zeros = 0;
        while (zeros < decimals && text[n - 1 - zeros] == '0') zeros++;
        if (decimals - zeros > need) need = decimals - zeros;
    }
    return need;
}

/* Five significant digits for the largest value, three for the smallest, two where six decimals allow no more; beyond six decimals exponents read better. */
static real_style choose_style(const pare_table *t, int column) {
    double least = INFINITY, most = 0;
    for (int64_t row = 0; row < t->rows; row++) {
        double v;
        if (pare_table_cell(t, row, column, NULL, NULL, &v) != PARE_CELL_REAL || !isfinite(v) || v == 0) continue;
        least = fmin(least, fabs(v));
        most = fmax(most, fabs(v));
    }
    if (most == 0) return (real_style){0};
    if (most >= 1e9) return (real_style){-1};
    const int high = (int)floor(log10(most)), low = (int)floor(log10(least));
    int decimals = high < 0 ? 5 : high < 4 ? 4 - high : 0;
    if (decimals < 2 - low) decimals = 2 - low > 6 ? 1 - low : 2 - low;
    if (decimals > 6) return (real_style){-1};
    return (real_style){needed_decimals(t, column, decimals)};
}

static void real_text(double v, real_style style, char out[CELL_TEXT]) {
    if (isnan(v))
        snprintf(out, CELL_TEXT, "nan");
    else if (isinf(v))
        snprintf(out, CELL_TEXT, v < 0 ? "-inf" : "inf");
    else if (style.decimals < 0)
        snprintf(out, CELL_TEXT, "%.4g", v);
    else
        snprintf(out, CELL_TEXT, "%.*f", style.decimals, v);
}

/* A cell for people. Text cells give the borrowed text, others are written to buf. */
static const char *human(const pare_table *t, int64_t row, int column, real_style style, char buf[CELL_TEXT]) {
    const char *text = "";
    int64_t i = 0;
    double v = 0;
    buf[0] = 0;
    switch (pare_table_cell(t, row, column, &text, &i, &v)) {
    case PARE_CELL_TEXT: return text;
    case PARE_CELL_INT: snprintf(buf, CELL_TEXT, "%lld", (long long)i); break;
    case PARE_CELL_REAL: real_text(v, style, buf); break;
    case PARE_CELL_BYTES:
        if (i < 0)
            snprintf(buf, CELL_TEXT, "%lld B", (long long)i);
        else
            pare_format_bytes((uint64_t)i, buf);
        break;
    case PARE_CELL_BOOL: return i ? "yes" : "no";
    case PARE_CELL_EMPTY: break;
    }
    return buf;
}

static pare_status heading(const table_column *c, char **out, pare_err *err) {
    pare_str s = {0};
    pare_str_add(&s, c->title);
    if (c->unit) pare_str_printf(&s, " (%s)", c->unit);
    *out = pare_str_take(&s);
    return *out ? PARE_OK : pare_no_memory(err, "table heading", strlen(c->title));
}

/* ------------------------------------------------------------------------------------------------ text and Markdown */

typedef struct layout {
    char **heads;       /* [columns] */
    int *widths;        /* [columns] */
    real_style *styles; /* [columns] */
    int columns;
} layout;

static void layout_clear(layout *l) {
    for (int c = 0; l->heads && c < l->columns; c++) pare_dealloc(l->heads[c]);
    pare_dealloc(l->heads);
    pare_dealloc(l->widths);
    pare_dealloc(l->styles);
}

static pare_status layout_init(layout *l, const pare_table *t, pare_err *err) {
    const size_t n = t->columns.n;
    *l = (layout){.columns = (int)n};
    l->heads = pare_alloc_zero(n + 1, sizeof *l->heads);
    l->widths = pare_alloc_zero(n + 1, sizeof *l->widths);
    l->styles = pare_alloc_zero(n + 1, sizeof *l->styles);
    if (!l->heads || !l->widths || !l->styles) return pare_no_memory(err, "table layout", n * sizeof *l->styles);
    for (int c = 0; c < l->columns; c++) {
        const pare_status st = heading(&t->columns.at[c], &l->heads[c], err);
        if (st != PARE_OK) return st;
        l->widths[c] = pare_text_width(l->heads[c]);
        l->styles[c] = choose_style(t, c);
        for (int64_t row = 0; row < t->rows; row++) {
            char buf[CELL_TEXT];
            const int w = pare_text_width(human(t, row, c, l->styles[c], buf));
            if (w > l->widths[c]) l->widths[c] = w;
        }
    }
    return PARE_OK;
}

/* Narrows the widest text columns, one cell at a time, until the table fits or nothing is left to take. */
static void fit_width(layout *l, const pare_table *t, int width) {
    int total = GAP * (l->columns - 1);
    for (int c = 0; c < l->columns; c++) total += l->widths[c];
    while (total > width) {
        int widest = -1;
        for (int c = 0; c < l->columns; c++)
            if (t->columns.at[c].type == PARE_CELL_TEXT && l->widths[c] > MIN_TEXT_WIDTH && (widest < 0 || l->widths[c] > l->widths[widest]))
                widest = c;
        if (widest < 0) return;
        l->widths[widest]--;
        total--;
    }
}

/* One line of cells; blanks at its end are cut. */
static void text_line(pare_str *s, const layout *l, const pare_table *t, int64_t row) {
    for (int c = 0; c < l->columns; c++) {
        char buf[CELL_TEXT];
        const char *const text = row < 0 ? l->heads[c] : human(t, row, c, l->styles[c], buf);
        if (c) pare_text_repeat(s, " ", GAP);
        pare_text_add(s, text, l->widths[c], t->columns.at[c].type != PARE_CELL_TEXT);
    }
    while (!s->failed && s->n > 0 && s->at[s->n - 1] == ' ') s->at[--s->n] = 0;
    pare_str_add(s, "\n");
}

static void render_text(pare_str *s, const layout *l, const pare_table *t) {
    if (l->columns == 0) return;
    text_line(s, l, t, -1);
    for (int c = 0; c < l->columns; c++) {
        if (c) pare_text_repeat(s, " ", GAP);
        pare_text_repeat(s, "\xE2\x94\x80", l->widths[c]); /* box drawing line */
    }
    pare_str_add(s, "\n");
    for (int64_t row = 0; row < t->rows; row++) text_line(s, l, t, row);
    if (t->rows == 0) pare_str_add(s, "(no rows)\n");
}

static void markdown_cell(pare_str *s, const char *text) {
    pare_str clean = {0};
    pare_text_add(&clean, text, -1, false);
    pare_str_add(s, " ");
    for (const char *p = clean.at ? clean.at : ""; *p; p++) {
        if (*p == '|' || *p == '\\' || *p == '<' || *p == '`') pare_str_add(s, "\\");
        pare_str_addn(s, p, 1);
    }
    s->failed |= clean.failed;
    pare_str_clear(&clean);
    pare_str_add(s, " |");
}

static void render_markdown(pare_str *s, const layout *l, const pare_table *t) {
    if (l->columns == 0) return;
    pare_str_add(s, "|");
    for (int c = 0; c < l->columns; c++) markdown_cell(s, l->heads[c]);
    pare_str_add(s, "\n|");
    for (int c = 0; c < l->columns; c++) pare_str_add(s, t->columns.at[c].type == PARE_CELL_TEXT ? " --- |" : " ---: |");
    pare_str_add(s, "\n");
    for (int64_t row = 0; row < t->rows; row++) {
        pare_str_add(s, "|");
        for (int c = 0; c < l->columns; c++) {
            char buf[CELL_TEXT];
            markdown_cell(s, human(t, row, c, l->styles[c], buf));
        }
        pare_str_add(s, "\n");
    }
}

/* -------------------------------------------------------------------------------------------------- CSV (RFC 4180) */

static void csv_text(pare_str *s, const char *text) {
    if (!strpbrk(text, ",\"\r\n") && text[0] != ' ') {
        pare_str_add(s, text);
        return;
    }
    pare_str_add(s, "\"");
    for (const char *p = text; *p; p++) pare_str_addn(s, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
    pare_str_add(s, "\"");
}

static void csv_cell(pare_str *s, const pare_table *t, int64_t row, int column) {
    const char *text = "";
    char buf[32];
    int64_t i = 0;
    double v = 0;
    switch (pare_table_cell(t, row, column, &text, &i, &v)) {
    case PARE_CELL_TEXT: csv_text(s, text); break;
    case PARE_CELL_INT:
    case PARE_CELL_BYTES: pare_str_printf(s, "%lld", (long long)i); break;
    case PARE_CELL_BOOL: pare_str_add(s, i ? "true" : "false"); break;
    case PARE_CELL_REAL:
        if (isfinite(v))
            pare_format_real(v, buf);
        else
            snprintf(buf, sizeof buf, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
        pare_str_add(s, buf);
        break;
    case PARE_CELL_EMPTY: break;
    }
}

static void render_csv(pare_str *s, const pare_table *t) {
    const int columns = pare_table_columns(t);
    for (int c = 0; c < columns; c++) {
        if (c) pare_str_add(s, ",");
        csv_text(s, t->columns.at[c].key);
    }
    if (columns) pare_str_add(s, "\n");
    for (int64_t row = 0; row < t->rows; row++) {
        for (int c = 0; c < columns; c++) {
            if (c) pare_str_add(s, ",");
            csv_cell(s, t, row, c);
        }
        pare_str_add(s, "\n");
    }
}

/* ------------------------------------------------------------------------------------------------------------- JSON */

static void json_cell(pare_json *j, const pare_table *t, int64_t row, int column) {
    const char *const key = pare_table_key(t, column), *text = "";
    int64_t i = 0;
    double v = 0;
    switch (pare_table_cell(t, row, column, &text, &i, &v)) {
    case PARE_CELL_TEXT: pare_json_text(j, key, text); break;
    case PARE_CELL_INT:
    case PARE_CELL_BYTES: pare_json_int(j, key, i); break;
    case PARE_CELL_REAL: pare_json_real(j, key, v); break;
    case PARE_CELL_BOOL: pare_json_bool(j, key, i != 0); break;
    case PARE_CELL_EMPTY: pare_json_null(j, key); break;
    }
}

void pare_json_table(pare_json *j, const char *key, const pare_table *table) {
    pare_json_array(j, key);
    for (int64_t row = 0; row < table->rows; row++) {
        pare_json_object(j, NULL);
        for (int c = 0; c < pare_table_columns(table); c++) json_cell(j, table, row, c);
        pare_json_end(j);
    }
    pare_json_end(j);
}

static pare_status render_json(const pare_table *t, char **out, pare_err *err) {
    pare_json *j = NULL;
    pare_status st = pare_json_new(2, &j, err);
    if (st != PARE_OK) return st;
    pare_json_table(j, NULL, t);
    st = pare_json_take(j, out, err);
    pare_json_free(j);
    return st;
}

pare_status pare_table_render(const pare_table *table, pare_table_style style, int width, char **out, pare_err *err) {
    pare_str s = {0};
    layout l = {0};
    pare_status st = PARE_OK;
    *out = NULL;
    if (style == PARE_TABLE_JSON) return render_json(table, out, err);
    if (style != PARE_TABLE_CSV) PARE_TRY(layout_init(&l, table, err));
    if (style == PARE_TABLE_TEXT && width > 0) fit_width(&l, table, width);
    pare_str_add(&s, "");
    if (style == PARE_TABLE_TEXT)
        render_text(&s, &l, table);
    else if (style == PARE_TABLE_MARKDOWN)
        render_markdown(&s, &l, table);
    else if (style == PARE_TABLE_CSV)
        render_csv(&s, table);
    else
        PARE_FAIL(err, PARE_ERR_USAGE, "table style %d does not exist", (int)style);
    *out = pare_str_take(&s);
    if (!*out) st = pare_no_memory(err, "table text", s.n);
out:
    layout_clear(&l);
    pare_str_clear(&s);
    return st;
}
