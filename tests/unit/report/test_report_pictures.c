/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: files exist and can be read, have the right colours in the right places, and SVG holds the numbers as text. */
#include <cairo.h>
#include <math.h>
#include "report/report.h"
#include "support/support.h"

static const float course_tensor[9] = {191.6f, -13.5f, 728.6f, 92.14f, 295.5f, -184, 0, 684.6f, 245.5f};

/* fontconfig keeps its caches for the life of the process. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libfontconfig"; }

static void quantized_panels(bool like_course, pare_panel panels[4], double **storage) {
    const int64_t shape[2] = {3, 3};
    pare_err err;
    pare_ctx *ctx = NULL;
    pare_scheme scheme;
    pare_qtensor *q = NULL;
    assert_ok(pare_ctx_new(NULL, &ctx, &err));
    pare_scheme_init(&scheme);
    scheme.symmetric = false;
    scheme.granularity = PARE_PER_TENSOR;
    assert_ok(pare_quantize(ctx, course_tensor, PARE_F32, 2, shape, &scheme, &q, &err));
    assert_ok(pare_quantization_panels(course_tensor, q, like_course, panels, storage, &err));
    pare_qtensor_free(q);
    pare_ctx_free(ctx);
}

static void four_panels(void **state) {
    (void)state;
    pare_panel p[4];
    double *storage = NULL;
    quantized_panels(false, p, &storage);
    assert_string_equal(p[0].title, "Original Tensor");
    assert_string_equal(p[1].title, "8-bit Linear Quantized Tensor");
    assert_string_equal(p[2].title, "Dequantized Tensor");
    assert_string_equal(p[3].title, "Quantization Error Tensor");
    static const double codes[9] = {-23, -81, 127, -51, 6, -128, -77, 114, -8};
    for (int i = 0; i < 9; i++) {
        assert_true(p[0].values[i] == course_tensor[i]);
        assert_true(p[1].values[i] == codes[i]);
        assert_true(fabs(p[3].values[i] - fabs(p[0].values[i] - p[2].values[i])) < 1e-4);
    }
    assert_true(p[1].vmin == -128 && p[1].vmax == 127);
    assert_true(p[2].vmin == -184 && fabs(p[2].vmax - 728.6) < 1e-4); /* one range for original and dequantized */
    assert_true(p[0].vmin == p[2].vmin && p[0].vmax == p[2].vmax);
    pare_free(storage);
    quantized_panels(true, p, &storage);
    assert_true(p[2].vmin == 0 && p[2].vmax == 1);
    assert_int_equal(p[0].map, PARE_CMAP_WHITE);
    assert_int_equal(p[3].map, PARE_CMAP_WHITE);
    pare_free(storage);
}

static void reduced_panels(void **state) {
    (void)state;
    enum { ROWS = 130, COLS = 257 };
    static float x[ROWS * COLS];
    const int64_t shape[3] = {ROWS, 1, COLS};
    pare_err err;
    pare_ctx *ctx = NULL;
    pare_scheme scheme;
    pare_qtensor *q = NULL;
    pare_panel p[4];
    double *storage = NULL, sum = 0, mean = 0;
    for (int i = 0; i < ROWS * COLS; i++) sum += x[i] = (float)(i % 101 - 50);
    assert_ok(pare_ctx_new(NULL, &ctx, &err));
    assert_ok(pare_scheme_parse("W4A16", &scheme, &err));
    assert_ok(pare_quantize(ctx, x, PARE_F32, 3, shape, &scheme, &q, &err));
    assert_ok(pare_quantization_panels(x, q, false, p, &storage, &err));
    assert_int_equal(p[0].rows, 64);
    assert_int_equal(p[0].cols, 64);
    assert_non_null(strstr(p[0].title, "130 x 257, each cell the mean of about 2 x 4"));
    for (int i = 0; i < 64 * 64; i++) mean += p[0].values[i] / (64 * 64);
    assert_true(fabs(mean - sum / (ROWS * COLS)) < 1);
    pare_free(storage);
    pare_qtensor_free(q);
    pare_ctx_free(ctx);
}

typedef struct image {
    cairo_surface_t *surface;
    int w, h;
} image;

static image read_png(const char *path) {
    image im = {.surface = cairo_image_surface_create_from_png(path)};
    assert_int_equal(cairo_surface_status(im.surface), CAIRO_STATUS_SUCCESS);
    im.w = cairo_image_surface_get_width(im.surface);
    im.h = cairo_image_surface_get_height(im.surface);
    return im;
}

/* Pixels of about this colour. */
static int count_pixels(const image *im, int r, int g, int b) {
    const unsigned char *const data = cairo_image_surface_get_data(im->surface);
    const int stride = cairo_image_surface_get_stride(im->surface);
    int n = 0;
    for (int y = 0; y < im->h; y++)
        for (int x = 0; x < im->w; x++) {
            uint32_t p;
            memcpy(&p, data + (size_t)y * (size_t)stride + 4 * (size_t)x, 4);
            n += abs((int)(p >> 16 & 255) - r) <= 2 && abs((int)(p >> 8 & 255) - g) <= 2 && abs((int)(p & 255) - b) <= 2;
        }
    return n;
}

static void png(void **state) {
    (void)state;
    pare_panel p[4];
    double *storage = NULL;
    pare_err err;
    quantized_panels(false, p, &storage);
    assert_ok(pare_plot_panels(test_path("four.png"), "A title", p, 4, &err));
    const image im = read_png(test_path("four.png"));
    assert_true(im.w > 1200 && im.h > 300 && im.w > 2 * im.h);
    /* a cell of 100 x 100 units, two pixels each, less its text: -128 and -184 in three panels, 127 and 728.6 in three, 1.66 in one */
    assert_true(count_pixels(&im, 59, 76, 192) > 3 * 30000);
    assert_true(count_pixels(&im, 180, 4, 38) > 4 * 30000);
    cairo_surface_destroy(im.surface);
    pare_free(storage);
}

static char *read_text(const char *path) {
    char *text = NULL;
    size_t n;
    pare_err err;
    assert_ok(pare_read_file(path, 1 << 24, &text, &n, &err));
    return text;
}

static void svg(void **state) {
    (void)state;
    static const char *const wanted[] = {"<svg ", "</svg>", "<title>s &lt; 4 &amp; z</title>", ">728.60<", ">-184.00<", ">-128<", ">193.26<", ">1.66<", "#3b4cc0", "#b40426", ">Dequantized Tensor<"};
    pare_panel p[4];
    double *storage = NULL;
    pare_err err;
    quantized_panels(false, p, &storage);
    assert_ok(pare_plot_panels(test_path("four.svg"), "s < 4 & z", p, 4, &err));
    char *const text = read_text(test_path("four.svg"));
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(text, wanted[i])) fail_msg("no %s in the SVG", wanted[i]);
    pare_dealloc(text);
    pare_free(storage);
}

static void pdf(void **state) {
    (void)state;
    const double v[1] = {1};
    const pare_panel p = {.title = "one", .values = v, .rows = 1, .cols = 1, .map = PARE_CMAP_HEAT};
    pare_err err;
    assert_ok(pare_plot_panels(test_path("one.pdf"), NULL, &p, 1, &err));
    char *const text = read_text(test_path("one.pdf"));
    assert_memory_equal(text, "%PDF-", 5);
    pare_dealloc(text);
}

static void sizes(void **state) {
    (void)state;
    static const int shapes[][2] = {{1, 1}, {1, 64}, {64, 1}, {32, 32}, {33, 5}, {64, 64}, {65, 2}, {500, 700}, {0, 0}};
    static double v[500 * 700];
    pare_err err;
    for (int i = 0; i < 500 * 700; i++) v[i] = sin(i);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const pare_panel p = {.title = "x", .values = v, .rows = shapes[i][0], .cols = shapes[i][1], .map = PARE_CMAP_COOLWARM};
        assert_ok(pare_plot_panels(test_path("size.svg"), NULL, &p, 1, &err));
        char *const text = read_text(test_path("size.svg"));
        int rects = 0;
        for (const char *r = text; (r = strstr(r, "<rect")); r++) rects++;
        assert_true(rects < 64 * 64 + 300);
        assert_int_equal(strstr(text, "each cell the mean of") != NULL, shapes[i][0] > 64 || shapes[i][1] > 64);
        pare_dealloc(text);
    }
}

static void odd_values(void **state) {
    (void)state;
    const double bad[4] = {NAN, INFINITY, -INFINITY, 1}, same[2] = {5, 5}, huge[2] = {-1e308, 1e308};
    const pare_panel p[3] = {{.title = "bad \x1b\xFF", .values = bad, .rows = 2, .cols = 2, .map = PARE_CMAP_COOLWARM},
                             {.title = NULL, .values = same, .rows = 1, .cols = 2, .map = PARE_CMAP_HEAT},
                             {.title = "huge", .values = huge, .rows = 1, .cols = 2, .map = PARE_CMAP_COOLWARM, .format = "%.0f"}};
    pare_err err;
    assert_ok(pare_plot_panels(test_path("odd.svg"), NULL, p, 3, &err));
    assert_ok(pare_plot_panels(test_path("odd.png"), NULL, p, 3, &err));
    assert_error(pare_plot_panels(test_path("odd.svg"), NULL, p, 0, &err), PARE_ERR_USAGE, "no panels");
    assert_error(pare_plot_panels(test_path("odd.gif"), NULL, p, 1, &err), PARE_ERR_USAGE, ".png, .svg or .pdf");
    assert_error(pare_plot_panels(".png", NULL, p, 1, &err), PARE_ERR_USAGE, "ends in");
    assert_error(pare_plot_panels(test_path("none/odd.svg"), NULL, p, 1, &err), PARE_ERR_IO, "none");
}

static void charts(void **state) {
    (void)state;
    const double y[3] = {28, 14, 7}, one[1] = {3}, bad[3] = {NAN, INFINITY, -1}, zero[2] = {0, 0}, wide[2] = {-1e308, 1e308};
    const char *const names[3] = {"fp32", "fp16", "a <long> name & more"};
    const pare_series series[] = {{"7B", NULL, y, names, 3}, {"one", NULL, one, NULL, 1}, {"bad", NULL, bad, NULL, 3}, {"zero", NULL, zero, NULL, 2},
                                  {"none", NULL, NULL, NULL, 0}, {"wide", NULL, wide, NULL, 2}, {"wide x", wide, y, NULL, 2}};
    pare_err err;
    for (int kind = PARE_CHART_BARS; kind <= PARE_CHART_POINTS; kind++)
        for (int log = 0; log < 4; log++)
            for (size_t i = 0; i < sizeof series / sizeof *series; i++) {
                const pare_chart c = {(pare_chart_kind)kind, "t", "x", "y", log & 1, log & 2, &series[i], 1};
                assert_ok(pare_plot_chart(test_path("chart.svg"), &c, &err));
                char *const text = read_text(test_path("chart.svg"));
                assert_null(strstr(text, "nan"));
                assert_null(strstr(text, "inf"));
                assert_non_null(strstr(text, "</svg>"));
                pare_dealloc(text);
            }
    const pare_chart bars = {PARE_CHART_BARS, "Weights", NULL, "GB", false, false, series, 1};
    assert_ok(pare_plot_chart(test_path("bars.svg"), &bars, &err));
    char *text = read_text(test_path("bars.svg"));
    assert_non_null(strstr(text, ">a &lt;long&gt; name &amp; more<"));
    assert_non_null(strstr(text, ">28<"));
    pare_dealloc(text);
    assert_ok(pare_plot_chart(test_path("bars.png"), &bars, &err));
    const image im = read_png(test_path("bars.png"));
    assert_int_equal(im.w, 1520);
    assert_true(count_pixels(&im, 0, 114, 178) > 10000);
    cairo_surface_destroy(im.surface);
    const pare_chart none = {PARE_CHART_POINTS, NULL, NULL, NULL, false, false, NULL, 0};
    assert_ok(pare_plot_chart(test_path("none.svg"), &none, &err));
    text = read_text(test_path("none.svg"));
    assert_non_null(strstr(text, "no data"));
    pare_dealloc(text);
}

static void diagrams(void **state) {
    (void)state;
    const pare_bit_field f[2] = {{"high", "10", 0}, {"low", "01", 1}};
    const pare_bit_row row = {"byte", f, 2, "= 9"};
    pare_number_line line = {"s = 3.5", 3.5, -70, -128, 127, course_tensor, 9};
    pare_err err;
    assert_ok(pare_plot_bits(test_path("bits.svg"), "Bits", &row, 1, &err));
    assert_ok(pare_plot_bits(test_path("bits.png"), NULL, &row, 0, &err));
    assert_ok(pare_plot_number_lines(test_path("lines.svg"), "Lines", &line, 1, &err));
    char *const text = read_text(test_path("lines.svg"));
    assert_non_null(strstr(text, ">728.6<"));
    assert_non_null(strstr(text, ">-70<"));
    assert_non_null(strstr(text, "#d55e00")); /* the clipped value */
    pare_dealloc(text);
    line.qmax = line.qmin;
    assert_error(pare_plot_number_lines(test_path("lines.svg"), NULL, &line, 1, &err), PARE_ERR_USAGE, "codes -128 ... -128");
}

static pare_status plot_everything(void *arg) {
    static double v[70];
    const float r[2] = {-1, 2};
    const pare_panel p = {.title = "p", .values = v, .rows = 1, .cols = 70, .map = PARE_CMAP_COOLWARM};
    const pare_series s = {"s", NULL, v, NULL, 20};
    const pare_chart c = {PARE_CHART_LINES, "c", NULL, NULL, false, false, &s, 1};
    const pare_number_line line = {"l", 0.5, 0, -8, 7, r, 2};
    pare_err err;
    (void)arg;
    pare_status st = pare_plot_panels(test_path("memory.svg"), "t", &p, 1, &err);
    if (st == PARE_OK) st = pare_plot_panels(test_path("memory.png"), "t", &p, 1, &err);
    if (st == PARE_OK) st = pare_plot_chart(test_path("memory.svg"), &c, &err);
    if (st == PARE_OK) st = pare_plot_number_lines(test_path("memory.svg"), NULL, &line, 1, &err);
    return st;
}

static void memory(void **state) {
    (void)state;
    assert_true(test_every_allocation(plot_everything, NULL) > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_panels), cmocka_unit_test(reduced_panels), cmocka_unit_test(png),      cmocka_unit_test(svg),
        cmocka_unit_test(pdf),         cmocka_unit_test(sizes),          cmocka_unit_test(odd_values), cmocka_unit_test(charts),
        cmocka_unit_test(diagrams),    cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
