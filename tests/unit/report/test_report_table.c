/* SPDX-License-Identifier: Apache-2.0 */
/* pare_table in all styles: alignment with wide and hostile characters, number formats, empty tables, failing memory. */
#include <math.h>
#include "report/report.h"
#include "report/textwidth.h"
#include "support/support.h"

static pare_table *sample(void) {
    pare_table *t = NULL;
    pare_err err;
    assert_ok(pare_table_new(&t, &err));
    assert_ok(pare_table_column(t, "name", NULL, PARE_CELL_TEXT, NULL, &err));
    assert_ok(pare_table_column(t, "sqnr_db", "sqnr", PARE_CELL_REAL, "dB", &err));
    assert_ok(pare_table_column(t, "bytes", "size", PARE_CELL_BYTES, NULL, &err));
    assert_ok(pare_table_column(t, "n", NULL, PARE_CELL_INT, NULL, &err));
    assert_ok(pare_table_column(t, "linear", NULL, PARE_CELL_BOOL, NULL, &err));
    assert_ok(pare_table_row(t, &err));
    assert_ok(pare_table_text(t, "name", "a.weight", &err));
    pare_table_real(t, "sqnr_db", 31.25);
    pare_table_int(t, "bytes", 4096);
    pare_table_int(t, "n", -7);
    pare_table_int(t, "linear", 1);
    assert_ok(pare_table_row(t, &err));
    assert_ok(pare_table_text(t, "name", "b \"quoted\", |x|", &err));
    pare_table_real(t, "sqnr_db", INFINITY);
    pare_table_int(t, "bytes", 1536 * 1024);
    assert_ok(pare_table_row(t, &err)); /* all cells empty */
    return t;
}

static void rendered(const pare_table *t, pare_table_style style, int width, const char *expected) {
    char *text = NULL;
    pare_err err;
    assert_ok(pare_table_render(t, style, width, &text, &err));
    assert_string_equal(text, expected);
    pare_free(text);
}

static void styles(void **state) {
    (void)state;
    pare_table *t = sample();
    rendered(t, PARE_TABLE_TEXT, 0,
             "name             sqnr (dB)      size   n  linear\n"
             "───────────────  ─────────  ────────  ──  ──────\n"
             "a.weight             31.25  4.00 KiB  -7     yes\n"
             "b \"quoted\", |x|        inf  1.50 MiB\n"
             "\n");
    rendered(t, PARE_TABLE_CSV, 0,
             "name,sqnr_db,bytes,n,linear\n"
             "a.weight,31.25,4096,-7,true\n"
             "\"b \"\"quoted\"\", |x|\",inf,1572864,,\n"
             ",,,,\n");
    rendered(t, PARE_TABLE_MARKDOWN, 0,
             "| name | sqnr (dB) | size | n | linear |\n"
             "| --- | ---: | ---: | ---: | ---: |\n"
             "| a.weight | 31.25 | 4.00 KiB | -7 | yes |\n"
             "| b \"quoted\", \\|x\\| | inf | 1.50 MiB |  |  |\n"
             "|  |  |  |  |  |\n");
    pare_table_free(t);
}

static void json_style(void **state) {
    (void)state;
    pare_table *t = sample();
    char *text = NULL;
    pare_err err;
    pare_jdoc *doc = NULL;
    assert_ok(pare_table_render(t, PARE_TABLE_JSON, 0, &text, &err));
    assert_ok(pare_jdoc_parse(text, strlen(text), "table", &doc, &err));
    const pare_jval *const rows = pare_jdoc_root(doc);
    assert_int_equal(pare_j_count(rows), 3);
    assert_string_equal(pare_j_text(pare_j_get(pare_j_at(rows, 1), "name"), ""), "b \"quoted\", |x|");
    assert_true(pare_j_real(pare_j_get(pare_j_at(rows, 0), "sqnr_db"), 0) == 31.25);
    assert_int_equal(pare_j_type(pare_j_get(pare_j_at(rows, 1), "sqnr_db")), PARE_J_NULL); /* infinity */
    assert_true(pare_j_bool(pare_j_get(pare_j_at(rows, 0), "linear"), false));
    assert_int_equal(pare_j_type(pare_j_get(pare_j_at(rows, 2), "bytes")), PARE_J_NULL);
    pare_jdoc_free(doc);
    pare_free(text);
    pare_table_free(t);
}

static void cells(void **state) {
    (void)state;
    pare_table *t = sample();
    const char *text = NULL;
    int64_t i = 0;
    double real = 0;
    assert_int_equal(pare_table_rows(t), 3);
    assert_int_equal(pare_table_columns(t), 5);
    assert_string_equal(pare_table_key(t, 1), "sqnr_db");
    assert_null(pare_table_key(t, 5));
    assert_int_equal(pare_table_cell(t, 0, 0, &text, NULL, NULL), PARE_CELL_TEXT);
    assert_string_equal(text, "a.weight");
    assert_int_equal(pare_table_cell(t, 0, 1, NULL, NULL, &real), PARE_CELL_REAL);
    assert_int_equal(pare_table_cell(t, 0, 2, NULL, &i, NULL), PARE_CELL_BYTES);
    assert_int_equal(i, 4096);
    assert_int_equal(pare_table_cell(t, 2, 0, NULL, NULL, NULL), PARE_CELL_EMPTY);
    assert_int_equal(pare_table_cell(t, 3, 0, NULL, NULL, NULL), PARE_CELL_EMPTY);
    assert_int_equal(pare_table_cell(t, 0, -1, NULL, NULL, NULL), PARE_CELL_EMPTY);
    pare_table_free(t);
}

static void empty(void **state) {
    (void)state;
    pare_table *t = NULL;
    pare_err err;
    assert_ok(pare_table_new(&t, &err));
    rendered(t, PARE_TABLE_TEXT, 80, "");
    rendered(t, PARE_TABLE_CSV, 0, "");
    rendered(t, PARE_TABLE_MARKDOWN, 0, "");
    assert_ok(pare_table_column(t, "k", "K", PARE_CELL_REAL, "dB", &err));
    rendered(t, PARE_TABLE_TEXT, 80, "K (dB)\n──────\n(no rows)\n");
    rendered(t, PARE_TABLE_CSV, 0, "k\n");
    rendered(t, PARE_TABLE_JSON, 0, "[]\n");
    char *text = NULL;
    assert_error(pare_table_render(t, (pare_table_style)99, 0, &text, &err), PARE_ERR_USAGE, "style 99");
    pare_table_free(t);
    pare_table_free(NULL);
}

/* One real column, its lines joined by '/'. */
static void reals(const double *v, int n, const char *expected) {
    pare_table *t = NULL;
    pare_err err;
    char *text = NULL;
    assert_ok(pare_table_new(&t, &err));
    assert_ok(pare_table_column(t, "x", NULL, PARE_CELL_REAL, NULL, &err));
    for (int i = 0; i < n; i++) {
        assert_ok(pare_table_row(t, &err));
        pare_table_real(t, "x", v[i]);
    }
    assert_ok(pare_table_render(t, PARE_TABLE_TEXT, 0, &text, &err));
    const char *body = strchr(strchr(text, '\n') + 1, '\n') + 1;
    char joined[256] = "";
    for (size_t k = 0; *body && k < sizeof joined - 1; body++)
        if (*body != ' ') joined[k++] = *body == '\n' ? '/' : *body;
    assert_string_equal(joined, expected);
    pare_free(text);
    pare_table_free(t);
}

static void real_formats(void **state) {
    (void)state;
    reals((const double[]){1, 2, 3}, 3, "1/2/3/");
    reals((const double[]){4.5, 4.25, 4.125}, 3, "4.500/4.250/4.125/");
    reals((const double[]){0.99991, 1}, 2, "0.9999/1.0000/");
    reals((const double[]){170.8753, 1.5729731}, 2, "170.88/1.57/");
    reals((const double[]){2.5e-05, 12.5}, 2, "0.000025/12.500000/");
    reals((const double[]){2.5e-09, 12.5}, 2, "2.5e-09/12.5/");
    reals((const double[]){NAN, -INFINITY, 0}, 3, "nan/-inf/0/");
}

static void widths(void **state) {
    (void)state;
    assert_int_equal(pare_text_width("abc"), 3);
    assert_int_equal(pare_text_width("\xC3\xA9t\xC3\xA9"), 3);         /* two-byte letters */
    assert_int_equal(pare_text_width("e\xCC\x81"), 1);                 /* combining accent */
    assert_int_equal(pare_text_width("\xE6\xA8\xA1\xE5\x9E\x8B"), 4);  /* wide characters */
    assert_int_equal(pare_text_width("\xF0\x9F\x98\x80"), 2);          /* emoji */
    assert_int_equal(pare_text_width("\xFF\xC0\x80"), 3);              /* bad bytes, one cell each */
    assert_int_equal(pare_text_width("\x1b[31m"), 5);
}

static void padded(const char *text, int width, bool right, const char *expected) {
    pare_str s = {0};
    pare_text_add(&s, text, width, right);
    assert_string_equal(s.at, expected);
    pare_str_clear(&s);
}

static void cutting(void **state) {
    (void)state;
    padded("ab", 4, false, "ab  ");
    padded("ab", 4, true, "  ab");
    padded("abcdefgh", 5, false, "ab\xE2\x80\xA6gh");
    padded("abcdefgh", 1, false, "\xE2\x80\xA6");
    padded("\xE6\xA8\xA1\xE5\x9E\x8B\xE6\xA8\xA1", 5, false, "\xE6\xA8\xA1\xE2\x80\xA6\xE6\xA8\xA1");
    padded("a\x1b[31mb", -1, false, "a\xEF\xBF\xBD[31mb"); /* escapes from a file never reach the terminal */
    padded("a\xFF", -1, false, "a\xEF\xBF\xBD");
}

static void narrow_terminal(void **state) {
    (void)state;
    pare_table *t = NULL;
    pare_err err;
    char *text = NULL;
    assert_ok(pare_table_new(&t, &err));
    assert_ok(pare_table_column(t, "name", NULL, PARE_CELL_TEXT, NULL, &err));
    assert_ok(pare_table_column(t, "n", NULL, PARE_CELL_INT, NULL, &err));
    assert_ok(pare_table_row(t, &err));
    assert_ok(pare_table_text(t, "name", "model.layers.0.self_attn.q_proj.weight", &err));
    pare_table_int(t, "n", 5);
    assert_ok(pare_table_render(t, PARE_TABLE_TEXT, 24, &text, &err));
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        assert_true(pare_text_width(line) <= 24);
    }
    pare_free(text);
    pare_table_free(t);
}

static pare_status build_and_render(void *arg) {
    pare_table *t = NULL;
    pare_err err;
    char *text = NULL;
    (void)arg;
    pare_status st = pare_table_new(&t, &err);
    if (st == PARE_OK) st = pare_table_column(t, "name", "title", PARE_CELL_TEXT, "u", &err);
    for (int i = 0; i < 40 && st == PARE_OK; i++) {
        st = pare_table_row(t, &err);
        if (st == PARE_OK) st = pare_table_text(t, "name", "some text that is not short", &err);
    }
    for (int style = PARE_TABLE_TEXT; style <= PARE_TABLE_JSON && st == PARE_OK; style++) {
        st = pare_table_render(t, (pare_table_style)style, 80, &text, &err);
        pare_free(text);
        text = NULL;
    }
    pare_table_free(t);
    return st;
}

static void memory(void **state) {
    (void)state;
    assert_true(test_every_allocation(build_and_render, NULL) > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(styles),       cmocka_unit_test(json_style), cmocka_unit_test(cells),   cmocka_unit_test(empty),
        cmocka_unit_test(real_formats), cmocka_unit_test(widths),     cmocka_unit_test(cutting), cmocka_unit_test(narrow_terminal),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
