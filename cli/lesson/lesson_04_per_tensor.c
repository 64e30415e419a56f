/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 4: one scale for the whole tensor. */
#include "lesson.h"

static float error_of(show *s, const pare_scheme *scheme) {
    const int64_t shape[2] = {3, 3};
    pare_qtensor *q = NULL;
    float back[9] = {0};
    if (s->code || !show_ok(s, pare_quantize(s->c->ctx, course_tensor, PARE_F32, 2, shape, scheme, &q, &s->c->err))) return 0;
    show_ok(s, pare_dequantize(q, back, &s->c->err));
    pare_qtensor_free(q);
    return torch_mse(course_tensor, back, 9);
}

static void run(show *s) {
    const int64_t shape[2] = {3, 3};
    const pare_scheme scheme = course_scheme(true, PARE_PER_TENSOR, 0), asymmetric = course_scheme(false, PARE_PER_TENSOR, 0);
    pare_course_params p;
    pare_qtensor *q = NULL;
    int8_t codes[9];
    float back[9];
    show_say(s, "Granularity is the question of how many numbers share a scale: the whole tensor, a channel, or a group. Finer is more accurate and stores more "
                "scales. This lesson is the coarse end: one scale, symmetric.");
    if (!show_ok(s, pare_course_get_params(course_tensor, 9, 8, true, &p, &s->c->err))) return;
    if (!show_ok(s, pare_quantize(s->c->ctx, course_tensor, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
    pare_qtensor_signed_codes(q, codes);
    if (show_ok(s, pare_dequantize(q, back, &s->c->err))) {
        show_floats(s, "original", "original", course_tensor, 3, 3, NULL);
        show_real(s, "scale", "scale", NULL, p.scale);
        show_codes(s, "quantized", "quantized (int8)", codes, 3, 3);
        show_floats(s, "dequantized", "dequantized", back, 3, 3, "%.4f");
        show_quantized(s, "panels", "Symmetric, one scale for the tensor", course_tensor, q);
        show_real(s, "mse", "mean squared error", NULL, torch_mse(course_tensor, back, 9));
    }
    pare_qtensor_free(q);
    show_real(s, "mse_asymmetric", "the same with a zero point (lesson 2)", "%.4f", error_of(s, &asymmetric));
    show_say(s, "Same tensor, same number of codes: the asymmetric error is smaller, because these values lean to the positive side and symmetric "
                "mode leaves the codes below -32 unused. pare's symmetric default gives exactly these numbers.");
}

const lesson lesson_per_tensor = {.id = "4", .title = "Per-tensor quantization", .teaches = "one scale for everything: the coarse end of granularity", .run = run};
