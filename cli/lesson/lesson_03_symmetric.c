/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 3: symmetric mode, one scale and no zero point. */
#include <math.h>
#include <stdio.h>

#include "lesson.h"

/*
 * Random tensors as printed to four decimals; the largest magnitude of each is known in full, because the printed scale times
 * 127 gives it back.
 */
typedef struct printed_run {
    const char *who;
    float r[16];
    double mse; /* as printed, over digits that the page does not show */
} printed_run;

static const printed_run runs[] = {
    {"ksm", {-0.5875f, -0.6458f, -1.4095f, 0.5353f, -0.6078f, 0.9140f, -1.1021f, -1.9141f, -0.8716f, -0.0645f, 2.0595f, 0.2622f, -0.9492f, 2.20893192f, -0.0957f, 0.3033f}, 2.558419328124728e-05},
    {"chen", {-0.1089f, 0.5403f, 0.2498f, -0.8807f, 1.0807f, -0.1819f, -0.5077f, -0.1079f, 0.1396f, -0.9975f, -1.77805817f, -0.5344f, 0.6956f, 1.1797f, -0.2041f, 0.7184f}, 1.2012254956061952e-05},
    {"naga", {-0.1940f, 0.7325f, 0.4508f, 0.9467f, -0.2935f, -1.0234f, -1.83753490f, 0.1805f, 0.5687f, 0.0580f, -0.4503f, -0.6363f, 0.3121f, -0.6771f, -0.7333f, -0.5836f}, 1.888113547465764e-05},
    {"kau", {1.5685f, 0.1953f, -0.2228f, 1.8786f, -0.0688f, 0.8737f, -0.7694f, -1.2972f, 2.25834966f, -0.1225f, 0.1297f, -0.9487f, -0.1908f, 0.4945f, -0.1941f, -0.9259f}, 1.6592144675087184e-05},
    {"dive", {-1.2100f, 0.4485f, -1.0359f, 0.2313f, 0.2559f, -0.1832f, -0.1145f, -0.5578f, -0.4906f, 2.96387482f, 0.9968f, 0.9481f, -2.6178f, 1.1907f, -0.4267f, 0.5551f}, 2.2017919036443345e-05},
};

static void one_run(show *s, const printed_run *r, bool picture) {
    const int64_t shape[2] = {4, 4};
    const pare_scheme scheme = course_scheme(true, PARE_PER_TENSOR, 0);
    pare_course_params p;
    pare_qtensor *q = NULL;
    int8_t codes[16];
    float back[16];
    if (!show_ok(s, pare_course_get_params(r->r, 16, 8, true, &p, &s->c->err))) return;
    show_text(s, "run", NULL, r->who);
    show_floats(s, "original", "original", r->r, 4, 4, "%.4f");
    show_real(s, "scale", "scale, max |r| / 127", NULL, p.scale);
    if (!show_ok(s, pare_quantize(s->c->ctx, r->r, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
    pare_qtensor_signed_codes(q, codes);
    show_codes(s, "quantized", "quantized (int8)", codes, 4, 4);
    if (picture) show_quantized(s, "panels", "Symmetric mode", r->r, q);
    if (show_ok(s, pare_dequantize(q, back, &s->c->err))) show_real(s, "mse", "mean squared error of the digits shown", "%.9g", torch_mse(r->r, back, 16));
    show_real(s, "mse_printed", "the notebook printed", NULL, r->mse);
    pare_qtensor_free(q);
}

/* Both modes over the course's 3 x 3 matrix as number lines. */
static void modes(show *s) {
    pare_course_params a, b;
    if (s->code || !show_ok(s, pare_course_get_params(course_tensor, 9, 8, false, &a, &s->c->err))) return;
    if (!show_ok(s, pare_course_get_params(course_tensor, 9, 8, true, &b, &s->c->err))) return;
    const pare_number_line lines[2] = {{"Asymmetric: all 256 codes serve", a.scale, a.zero, -128, 127, course_tensor, 9},
                                       {"Symmetric: no zero point to store and add, but codes below -32 are idle", b.scale, 0, -128, 127, course_tensor, 9}};
    show_number_lines(s, "modes", "Asymmetric and symmetric mode", lines, 2);
}

/* A wave and its 3-bit twin: what quantization noise looks like. */
static void noise(show *s) {
    enum { POINTS = 480 };
    float wave[POINTS], back[POINTS];
    double x[POINTS], y[POINTS], z[POINTS];
    const int64_t shape[1] = {POINTS};
    pare_scheme scheme = plain_scheme(false, PARE_PER_TENSOR, 0);
    pare_qtensor *q = NULL;
    scheme.bits = 3;
    for (int i = 0; i < POINTS; i++) wave[i] = sinf(6.2831853f * (float)i / (POINTS - 1));
    if (s->code || !show_ok(s, pare_quantize(s->c->ctx, wave, PARE_F32, 1, shape, &scheme, &q, &s->c->err))) return;
    if (show_ok(s, pare_dequantize(q, back, &s->c->err))) {
        for (int i = 0; i < POINTS; i++) x[i] = (double)i / (POINTS - 1), y[i] = wave[i], z[i] = back[i];
        const pare_series series[2] = {{"signal", x, y, NULL, POINTS}, {"3-bit codes", x, z, NULL, POINTS}};
        const pare_chart chart = {PARE_CHART_LINES, "A signal and what 3 bits leave of it", NULL, NULL, false, false, series, 2};
        show_chart(s, "noise", &chart);
    }
    pare_qtensor_free(q);
}

static void run(show *s) {
    show_say(s, "Symmetric mode maps [-max|r|, max|r|] to [-127, 127]: one scale, no zero point, simpler and faster arithmetic. The price is that codes "
                "are idle when the data lean to one side. A common rule: symmetric for 8 bits, asymmetric for 4, 3 and 2 bits, where every code counts.");
    modes(s);
    show_begin_array(s, "random_4x4", "Random 4 x 4 tensors, as five notebooks printed them");
    for (size_t i = 0; i < sizeof runs / sizeof *runs && !s->code; i++) {
        char heading[64];
        snprintf(heading, sizeof heading, "run '%s'", runs[i].who);
        show_begin_item(s, heading);
        one_run(s, &runs[i], i == 0);
        show_end(s);
    }
    show_end(s);
    show_say(s, "A defect of the course's function: it accepts a dtype but computes the scale for int8 whatever it is given. In pare the bit width decides: "
                "`pare tensor ... --bits 4 --symmetric`.");
    noise(s);
}

const lesson lesson_symmetric = {.id = "3", .title = "Symmetric against asymmetric mode", .teaches = "one scale, no zero point, and what that costs", .run = run};
