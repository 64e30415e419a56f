/* SPDX-License-Identifier: Apache-2.0 */
/* Heat maps, charts, bit rows and number lines as text. */
#include <math.h>
#include "report/colormap.h"
#include "report/report.h"
#include "report/textwidth.h"
#include "support/support.h"

static char *panels_text(const pare_panel *p, int n, int width, bool color) {
    char *text = NULL;
    pare_err err;
    assert_ok(pare_draw_panels(p, n, width, color, &text, &err));
    return text;
}

static void plain_numbers(void **state) {
    (void)state;
    const double a[4] = {1.5, -2, 0, -0.001}, b[4] = {127, -128, 0, 3};
    const pare_panel p[2] = {{.title = "A", .values = a, .rows = 2, .cols = 2, .map = PARE_CMAP_COOLWARM},
                             {.title = "Codes", .values = b, .rows = 2, .cols = 2, .map = PARE_CMAP_COOLWARM, .format = "%.0f"}};
    char *text = panels_text(p, 2, 80, false);
    assert_string_equal(text, "A                Codes\n"
                              "  1.50  -2.00      127  -128\n"
                              "  0.00   0.00        0     3\n");
    pare_free(text);
    text = panels_text(p, 2, 20, false); /* too narrow for both */
    assert_string_equal(text, "A\n  1.50  -2.00\n  0.00   0.00\n\nCodes\n  127  -128\n    0     3\n");
    pare_free(text);
}

static void coloured(void **state) {
    (void)state;
    const double v[2] = {-128, 127};
    const pare_panel p = {.title = "q", .values = v, .rows = 1, .cols = 2, .vmin = -128, .vmax = 127, .map = PARE_CMAP_COOLWARM, .format = "%.0f"};
    char *const text = panels_text(&p, 1, 80, true);
    assert_non_null(strstr(text, "\x1b[48;2;59;76;192m"));
    assert_non_null(strstr(text, "\x1b[48;2;180;4;38m"));
    assert_non_null(strstr(text, " -128 "));
    pare_free(text);
}

static void large_panels(void **state) {
    (void)state;
    static double v[200 * 300];
    for (int i = 0; i < 200 * 300; i++) v[i] = i / 300;
    const pare_panel p = {.title = "Big", .values = v, .rows = 200, .cols = 300, .map = PARE_CMAP_COOLWARM};
    char *text = panels_text(&p, 1, 100, true);
    assert_non_null(strstr(text, "200 x 300, each cell the mean of about"));
    assert_non_null(strstr(text, "\xE2\x96\x80")); /* half blocks */
    pare_free(text);
    text = panels_text(&p, 1, 60, false);
    assert_non_null(strstr(text, "each cell the mean of about 13 x"));
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        assert_true(pare_text_width(line) <= 60);
    }
    pare_free(text);
}

static void odd_panels(void **state) {
    (void)state;
    const double bad[4] = {NAN, INFINITY, -INFINITY, 1}, same[2] = {5, 5}, huge[2] = {-1e308, 1e308};
    const pare_panel p[4] = {{.title = "bad", .values = bad, .rows = 2, .cols = 2, .map = PARE_CMAP_COOLWARM},
                             {.title = "same", .values = same, .rows = 1, .cols = 2, .map = PARE_CMAP_HEAT},
                             {.title = "none", .values = same, .rows = 0, .cols = 0, .map = PARE_CMAP_COOLWARM},
                             {.title = "huge", .values = huge, .rows = 1, .cols = 2, .map = PARE_CMAP_COOLWARM, .format = "%.3g"}};
    for (int color = 0; color < 2; color++) {
        char *const text = panels_text(p, 4, 0, color);
        assert_non_null(strstr(text, "nan"));
        assert_non_null(strstr(text, "-inf"));
        assert_non_null(strstr(text, "5.00"));
        assert_non_null(strstr(text, "(empty)"));
        pare_free(text);
    }
    char *const nothing = panels_text(p, 0, 80, false);
    assert_string_equal(nothing, "");
    pare_free(nothing);
}

static char *chart_text(const pare_chart *c, int width, bool color) {
    char *text = NULL;
    pare_err err;
    assert_ok(pare_draw_chart(c, width, color, &text, &err));
    return text;
}

static void bars(void **state) {
    (void)state;
    const double gb[3] = {28, 14, 7};
    const char *const names[3] = {"fp32", "fp16", "int8"};
    const pare_series s = {"7B", NULL, gb, names, 3};
    const pare_chart c = {PARE_CHART_BARS, "Weights", NULL, "GB", false, false, &s, 1};
    char *const text = chart_text(&c, 34, false);
    assert_string_equal(text, "Weights\n"
                              "fp32 ████████████████ 28\n"
                              "fp16 ████████ 14\n"
                              "int8 ████ 7\n"
                              "     GB\n");
    pare_free(text);
}

/* Every kind, colour or not, linear or logarithmic, over data that give nothing to draw. */
static void degenerate_charts(void **state) {
    (void)state;
    const double one[1] = {3}, bad[4] = {NAN, INFINITY, -INFINITY, -1}, zero[3] = {0, 0, 0}, wide[2] = {-1e308, 1e308}, tiny[2] = {1e-310, 2e-310};
    const pare_series series[] = {{"one", NULL, one, NULL, 1}, {"bad", NULL, bad, NULL, 4}, {"zero", NULL, zero, NULL, 3}, {"none", NULL, NULL, NULL, 0},
                                  {"wide", NULL, wide, NULL, 2}, {"wide x", wide, one, NULL, 1}, {"tiny", tiny, tiny, NULL, 2}};
    for (int kind = PARE_CHART_BARS; kind <= PARE_CHART_POINTS; kind++)
        for (int flags = 0; flags < 8; flags++)
            for (size_t i = 0; i < sizeof series / sizeof *series; i++) {
                const pare_chart c = {(pare_chart_kind)kind, "t", "x", "y", flags & 1, flags & 2, &series[i], 1};
                char *const text = chart_text(&c, 60, flags & 4);
                assert_true(strncmp(text, flags & 4 ? "\x1b[1mt" : "t\n", 2) == 0);
                pare_free(text);
            }
    const pare_chart none = {PARE_CHART_LINES, NULL, NULL, NULL, false, false, NULL, 0};
    char *const text = chart_text(&none, 60, false);
    assert_non_null(strstr(text, "(no data)"));
    pare_free(text);
}

static void lines_chart(void **state) {
    (void)state;
    double y[2][40];
    for (int i = 0; i < 40; i++) y[0][i] = sin(i * 0.2), y[1][i] = cos(i * 0.2);
    const pare_series s[2] = {{"sine", NULL, y[0], NULL, 40}, {"cosine", NULL, y[1], NULL, 40}};
    pare_chart c = {PARE_CHART_LINES, "Waves", "time", "value", false, false, s, 2};
    char *text = chart_text(&c, 70, false);
    assert_non_null(strstr(text, "o sine   x cosine"));
    assert_non_null(strstr(text, "0.5 \xE2\x94\xA4"));
    pare_free(text);
    c.n_series = 1;
    text = chart_text(&c, 70, false);
    assert_non_null(strstr(text, "\xE2\xA0")); /* braille */
    pare_free(text);
}

static void bit_rows(void **state) {
    (void)state;
    const pare_bit_field f32[3] = {{"s", "0", 0}, {"exponent", "01111101", 1}, {"mantissa", "0101", 2}}, f16[2] = {{NULL, "01", 0}, {NULL, "11", 1}};
    const pare_bit_row rows[2] = {{"A", f32, 3, "0.25"}, {"BB", f16, 2, NULL}};
    char *text = NULL;
    pare_err err;
    assert_ok(pare_draw_bits(rows, 2, false, &text, &err));
    assert_string_equal(text, "A  0 01111101 0101       0.25\n"
                              "   s exponent mantissa\n"
                              "BB 01 11\n");
    pare_free(text);
    assert_ok(pare_draw_bits(rows, 2, true, &text, &err));
    assert_non_null(strstr(text, "\x1b[48;2;"));
    pare_free(text);
    assert_ok(pare_draw_bits(NULL, 0, false, &text, &err));
    assert_string_equal(text, "");
    pare_free(text);
}

static void number_lines(void **state) {
    (void)state;
    const float t[3] = {-184, 0, 728.6f}, bad[3] = {NAN, INFINITY, 1};
    pare_number_line line = {"clipped", 3.5, -70, -128, 127, t, 3};
    char *text = NULL;
    pare_err err;
    assert_ok(pare_draw_number_lines(&line, 1, 60, false, &text, &err));
    assert_non_null(strstr(text, "-184"));
    assert_non_null(strstr(text, "728.6"));
    assert_non_null(strstr(text, "-70"));
    assert_non_null(strstr(text, "127"));
    pare_free(text);
    line.values = bad;
    assert_ok(pare_draw_number_lines(&line, 1, 10, true, &text, &err));
    pare_free(text);
    line.n = 0;
    assert_ok(pare_draw_number_lines(&line, 1, 3000, false, &text, &err));
    pare_free(text);
    line.scale = 0;
    assert_error(pare_draw_number_lines(&line, 1, 80, false, &text, &err), PARE_ERR_USAGE, "scale 0");
}

/* Colours measured in the course's plots. */
static void course_colours(void **state) {
    (void)state;
    static const int measured[7][4] = {{-128, 59, 76, 192}, {0, 221, 220, 220}, {127, 180, 4, 38}, {-15, 205, 217, 236}, {-74, 128, 163, 250}, {-44, 169, 198, 253}, {14, 234, 212, 200}};
    for (int i = 0; i < 7; i++) {
        const pare_rgb c = pare_colormap_at(PARE_CMAP_COOLWARM, (measured[i][0] + 128) / 255.0);
        assert_true(fabs(c.r * 255 - measured[i][1]) <= 1.5);
        assert_true(fabs(c.g * 255 - measured[i][2]) <= 1.5);
        assert_true(fabs(c.b * 255 - measured[i][3]) <= 1.5);
    }
    for (int map = PARE_CMAP_COOLWARM; map <= PARE_CMAP_GROUPS; map++)
        for (int i = -10; i <= 110; i++) {
            const pare_rgb c = pare_colormap_at((pare_colormap)map, i / 100.0);
            assert_true(c.r >= 0 && c.r <= 1 && c.g >= 0 && c.g <= 1 && c.b >= 0 && c.b <= 1);
            const double ground = pare_luminance(c), ink = pare_luminance(pare_ink_on(c));
            const double contrast = (fmax(ground, ink) + 0.05) / (fmin(ground, ink) + 0.05);
            assert_true(contrast >= 3.6); /* numbers stay readable on every colour */
        }
    assert_true(pare_colormap_at(PARE_CMAP_HEAT, 0).g > 0.99);
}

static pare_status draw_everything(void *arg) {
    const double v[6] = {1, 2, 3, 4, 5, 6};
    const float r[2] = {-1, 2};
    const pare_panel p = {.title = "p", .values = v, .rows = 2, .cols = 3, .map = PARE_CMAP_COOLWARM};
    const pare_series s = {"s", NULL, v, NULL, 6};
    const pare_chart c = {PARE_CHART_LINES, "c", NULL, NULL, false, false, &s, 1};
    const pare_number_line line = {"l", 0.5, 0, -8, 7, r, 2};
    char *text = NULL;
    pare_err err;
    (void)arg;
    pare_status st = pare_draw_panels(&p, 1, 80, true, &text, &err);
    pare_free(text);
    if (st == PARE_OK) {
        st = pare_draw_chart(&c, 80, true, &text, &err);
        pare_free(text);
    }
    if (st == PARE_OK) {
        st = pare_draw_number_lines(&line, 1, 80, true, &text, &err);
        pare_free(text);
    }
    return st;
}

static void memory(void **state) {
    (void)state;
    assert_true(test_every_allocation(draw_everything, NULL) > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_numbers), cmocka_unit_test(coloured),          cmocka_unit_test(large_panels), cmocka_unit_test(odd_panels),
        cmocka_unit_test(bars),          cmocka_unit_test(degenerate_charts), cmocka_unit_test(lines_chart),  cmocka_unit_test(bit_rows),
        cmocka_unit_test(number_lines),  cmocka_unit_test(course_colours),    cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
