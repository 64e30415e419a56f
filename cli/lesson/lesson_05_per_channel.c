/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 5: one scale per row or per column. */
#include "lesson.h"

/* The notebook's warm-up: dividing a matrix by a column and by a row. */
static void broadcasting(show *s) {
    static const double by[3] = {1, 5, 10};
    double column[9], row[9], m[9];
    for (int i = 0; i < 9; i++) {
        m[i] = i + 1;
        column[i] = m[i] / by[i / 3];
        row[i] = m[i] / by[i % 3];
    }
    show_begin(s, "broadcasting", "Dividing by a column and by a row");
    show_matrix(s, "m", "m", m, 3, 3, "%.0f");
    show_matrix(s, "by_column", "m / [[1], [5], [10]]: every row has its own divisor (shape [3, 1])", column, 3, 3, "%.1f");
    show_matrix(s, "by_row", "m / [[1, 5, 10]]: every column has its own divisor (shape [1, 3])", row, 3, 3, "%.1f");
    show_end(s);
}

static void along(show *s, int axis) {
    const int64_t shape[2] = {3, 3};
    const pare_scheme scheme = course_scheme(true, PARE_PER_CHANNEL, axis);
    pare_qtensor *q = NULL;
    int8_t codes[9];
    float back[9];
    int64_t n;
    if (s->code || !show_ok(s, pare_quantize(s->c->ctx, course_tensor, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
    show_begin(s, axis ? "dim1" : "dim0", axis ? "dim = 1: a scale for every column" : "dim = 0: a scale for every row (output channel)");
    pare_qtensor_signed_codes(q, codes);
    if (show_ok(s, pare_dequantize(q, back, &s->c->err))) {
        const float *const scales = pare_qtensor_scales(q, &n);
        show_floats(s, "scales", axis ? "scales, shape [1, 3]" : "scales, shape [3, 1]", scales, axis ? 1 : 3, axis ? 3 : 1, "%.4f");
        show_codes(s, "quantized", "quantized (int8)", codes, 3, 3);
        show_floats(s, "dequantized", "dequantized", back, 3, 3, "%.2f");
        show_quantized(s, axis ? "columns" : "rows", axis ? "A scale for every column" : "A scale for every row", course_tensor, q);
        show_real(s, "mse", "mean squared error", NULL, torch_mse(course_tensor, back, 9));
    }
    show_end(s);
    pare_qtensor_free(q);
}

/* Which cells share a scale, in the three granularities. */
static void granularity(show *s) {
    enum { ROWS = 4, COLS = 8 };
    double tensor[ROWS * COLS], channel[ROWS * COLS], group[ROWS * COLS];
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++) {
            tensor[r * COLS + c] = 0;
            channel[r * COLS + c] = r;
            group[r * COLS + c] = r * 2 + c / 4;
        }
    const pare_panel panels[3] = {{"Per tensor: 1 scale", tensor, ROWS, COLS, 0, 1, PARE_CMAP_GROUPS, "%.0f"},
                                  {"Per channel: a scale a row", channel, ROWS, COLS, 0, 1, PARE_CMAP_GROUPS, "%.0f"},
                                  {"Per group of 4: two scales a row", group, ROWS, COLS, 0, 1, PARE_CMAP_GROUPS, "%.0f"}};
    show_panels(s, "granularity", "Which numbers share a scale", panels, 3);
}

static void run(show *s) {
    show_say(s, "Instead of one scale for the matrix, every row (or column) gets its own. A large value then spoils the resolution of its own row only. For weights "
                "in 8 bits this is the usual choice: a handful of extra floats buys a good part of the accuracy. pare's default is one scale per output channel.");
    granularity(s);
    broadcasting(s);
    show_floats(s, "original", "original", course_tensor, 3, 3, NULL);
    along(s, 0);
    along(s, 1);
    show_say(s, "One scale for all: 2.51 (lesson 4). One a row: 1.81. One a column: 1.08. The division needs no loop over channels: the scales keep the "
                "tensor's rank, with length 1 along every other axis, and are broadcast.");
}

const lesson lesson_per_channel = {.id = "5", .title = "Per-channel quantization", .teaches = "a scale for every row or column", .run = run};
