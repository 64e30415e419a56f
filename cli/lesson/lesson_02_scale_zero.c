/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 2: scale and zero point from the extremes of the data; what happens when 0 is outside the range, or nothing varies. */
#include <stdio.h>

#include "lesson.h"

enum { N = 9 };

/*
 * Random tensors as five people's notebooks printed them, to four decimals. The digits behind the decimals of the two extremes are
 * one choice that gives the printed scale exactly; one more value of the second run had to lie at the low side of its rounding.
 */
typedef struct printed_run {
    const char *who;
    float r[16];
    double scale, mse; /* as printed */
    int zero;
} printed_run;

static const printed_run runs[] = {
    {"ksm", {1.1534f, -1.5744f, -1.1662f, 1.2170f, -0.8502f, 0.8037f, -1.650300145f, -0.0371f, 0.0786f, 1.556602955f, 0.7863f, -0.1321f, -1.0853f, -0.9800f, 1.0373f, 0.0496f}, 0.012576090588289148, 1.3632e-05, 3},
    {"chen", {-0.8946f, 0.1915f, 0.5387f, -0.3371f, -0.3606f, 0.3962f, 0.0599f, -1.2218f, -1.797103763f, -1.396152f, -0.3872f, -1.1598f, -0.2415f, 1.1623f, 0.0352f, 2.518305063f}, 0.016923171866173838, 2.5159e-05, -22},
    {"naga", {-0.7461f, -0.4376f, 0.5369f, -0.1841f, -1.217996001f, 0.4924f, 0.9066f, -0.9964f, 1.4035f, 3.838880062f, 0.1926f, 1.1184f, 0.4293f, -1.1270f, 0.1567f, 0.3292f}, 0.019830886522928873, 3.3727e-05, -67},
    {"dkl", {-0.9495f, -0.6622f, -0.9086f, -1.3420f, -0.4653f, 0.2062f, 0.5540f, -0.1636f, 0.1782f, -1.1219f, 0.8386955857f, 0.7457f, -3.078893185f, -0.7086f, -0.1416f, 0.3148f}, 0.015363093217213948, 2.3301e-05, 72},
    {"kau", {0.4811f, -1.607904196f, 0.2770f, 0.9683f, 0.8814f, -0.6131f, 0.5471f, 0.6594f, -0.2004f, 0.0175f, 0.2608f, -0.9504f, 1.023327947f, -0.3806f, 0.5754f, -0.0121f}, 0.010318557421366373, 7.0433e-06, 28},
};

/* Quantizes, shows codes, values and error; n values as [rows, cols]. */
static void show_result(show *s, const char *picture, const float *x, int rows, int cols, bool course) {
    const int64_t shape[2] = {rows, cols};
    const pare_scheme scheme = course ? course_scheme(false, PARE_PER_TENSOR, 0) : plain_scheme(false, PARE_PER_TENSOR, 0);
    pare_qtensor *q = NULL;
    int8_t codes[16];
    float back[16];
    int64_t n;
    if (s->code || !show_ok(s, pare_quantize(s->c->ctx, x, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
    pare_qtensor_signed_codes(q, codes);
    if (show_ok(s, pare_dequantize(q, back, &s->c->err))) {
        if (!course) {
            show_real(s, "scale", "scale", "%.9g", pare_qtensor_scales(q, &n)[0]);
            show_int(s, "zero_point", "zero point", pare_qtensor_zeros(q, &n)[0] - 128);
        }
        show_codes(s, "quantized", "quantized (int8)", codes, rows, cols);
        show_floats(s, "dequantized", "dequantized", back, rows, cols, NULL);
        if (picture) show_quantized(s, picture, "Scale and zero point from the extremes", x, q);
        const float mse = torch_mse(x, back, rows * cols);
        show_real(s, "mse", "mean squared error", mse < 1e-3f ? "%.4e" : "%.4f", mse);
    }
    pare_qtensor_free(q);
}

static void show_params(show *s, const float *x, int n, pare_course_params *p) {
    if (s->code || !show_ok(s, pare_course_get_params(x, n, 8, false, p, &s->c->err))) return;
    show_real(s, "r_min", "r_min", NULL, p->min);
    show_real(s, "r_max", "r_max", NULL, p->max);
    show_real(s, "scale", "scale (r_max - r_min) / 255", NULL, p->scale);
    show_real(s, "zero_point_raw", "zero point before rounding, -128 - r_min / s", NULL, p->zero_raw);
    show_int(s, "zero_point", "zero point", p->zero);
}

static void out_of_range(show *s) {
    static const float high[3] = {100, 150, 200}, low[3] = {-200, -150, -100};
    pare_course_params p;
    show_begin(s, "zero_outside_the_range", "A defect: 0 outside [r_min, r_max]");
    show_say(s, "If all values lie on one side of 0, the zero point falls outside int8 and the course clips it. The scale stays, so every value saturates "
                "and the tensor is gone: 100, 150 and 200 all come back as 100. pare widens the range to hold 0 before it computes the scale.");
    for (int i = 0; i < 2; i++) {
        show_begin(s, i ? "negative" : "positive", NULL);
        show_floats(s, "original", "original", i ? low : high, 0, 3, NULL);
        show_begin(s, "course", "as in the course");
        show_params(s, i ? low : high, 3, &p);
        show_result(s, NULL, i ? low : high, 1, 3, true);
        show_end(s);
        show_begin(s, "default", "pare's default");
        show_result(s, NULL, i ? low : high, 1, 3, false);
        show_end(s);
        show_end(s);
    }
    show_end(s);
}

static void constant(show *s) {
    static const float same[4] = {5, 5, 5, 5};
    pare_course_params p;
    pare_err err = {0};
    show_begin(s, "constant_tensor", "A defect: nothing varies");
    show_say(s, "r_max = r_min gives s = 0 and a division by zero. pare's range holds 0 and the constant, so 5 comes back exactly.");
    if (!s->code && pare_course_get_params(same, 4, 8, false, &p, &err) != PARE_OK) show_text(s, "course_error", "as in the course", err.text);
    show_result(s, NULL, same, 1, 4, false);
    show_end(s);
}

static void random_runs(show *s) {
    show_begin_array(s, "random_4x4", "Random 4 x 4 tensors, as five notebooks printed them");
    show_say(s, "Their inputs are known to four decimals only, so the error printed there cannot be met to the last digit; scale, zero point and all codes can.");
    for (size_t i = 0; i < sizeof runs / sizeof *runs && !s->code; i++) {
        pare_course_params p;
        const int64_t shape[2] = {4, 4};
        const pare_scheme scheme = course_scheme(false, PARE_PER_TENSOR, 0);
        pare_qtensor *q = NULL;
        int8_t codes[16];
        char heading[64];
        snprintf(heading, sizeof heading, "run '%s'", runs[i].who);
        show_begin_item(s, heading);
        show_text(s, "run", NULL, runs[i].who);
        show_floats(s, "original", "original", runs[i].r, 4, 4, "%.4f");
        if (show_ok(s, pare_course_get_params(runs[i].r, 16, 8, false, &p, &s->c->err))) {
            show_real(s, "scale", "scale", NULL, p.scale);
            show_int(s, "zero_point", "zero point", p.zero);
        }
        if (!s->code && show_ok(s, pare_quantize(s->c->ctx, runs[i].r, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) {
            float back[16];
            pare_qtensor_signed_codes(q, codes);
            show_codes(s, "quantized", "quantized (int8)", codes, 4, 4);
            if (i == 0) show_quantized(s, "random", "A random tensor", runs[i].r, q);
            if (show_ok(s, pare_dequantize(q, back, &s->c->err))) show_real(s, "mse", "mean squared error", "%.4e", torch_mse(runs[i].r, back, 16));
            show_real(s, "mse_printed", "the notebook printed", "%.4e", runs[i].mse);
        }
        pare_qtensor_free(q);
        show_end(s);
    }
    show_end(s);
}

static void run(show *s) {
    pare_course_params p = {.scale = 1};
    show_say(s, "Let the smallest value become -128 and the largest 127: s = (r_max - r_min) / 255 and z = round(-128 - r_min / s). z is itself a code, so "
                "that the real number 0 is exact: zeros from padding and ReLU stay zeros.");
    show_floats(s, "original", "original", course_tensor, 3, 3, NULL);
    show_params(s, course_tensor, N, &p);
    show_result(s, "panels", course_tensor, 3, 3, true);
    show_say(s, "The mean squared error was 170.88 with the s and z of lesson 1; now it is 1.57. pare's default gives the same here, because 0 lies within the range.");
    const pare_number_line line = {"s = 3.5788, z = -77", p.scale, p.zero, -128, 127, course_tensor, N};
    if (!s->code) show_number_lines(s, "number-line", "The whole code range is used", &line, 1);
    out_of_range(s);
    constant(s);
    random_runs(s);
}

const lesson lesson_scale_zero = {.id = "2", .title = "Scale and zero point", .teaches = "s and z from the extremes; why 0 must lie in the range", .run = run};
