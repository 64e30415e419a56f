/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 1: the linear map r = s (q - z) with a scale and a zero point picked by hand. */
#include "lesson.h"

enum { N = 9 };
static const float scale = 3.5f;
static const int32_t zero = -70;

/* The course's demonstration of a missing cast: q - z computed in int8 wraps around. */
static void without_cast(const int8_t *q, float *out) {
    for (int i = 0; i < N; i++) out[i] = scale * (float)(int8_t)(uint8_t)(q[i] - zero);
}

static void show_errors(show *s, const float *back) {
    float difference[N], square[N];
    for (int i = 0; i < N; i++) {
        difference[i] = back[i] - course_tensor[i];
        square[i] = difference[i] * difference[i];
    }
    show_floats(s, "difference", "difference, dequantized - original", difference, 3, 3, "%.2f");
    show_floats(s, "squared_error", "squared error", square, 3, 3, "%.4e");
    show_real(s, "mse", "mean squared error", "%.4f", torch_mse(course_tensor, back, N));
}

/* The same tensor with the scale and the zero point that fit it. */
static void fitting(show *s) {
    const int64_t shape[2] = {3, 3};
    const pare_scheme scheme = plain_scheme(false, PARE_PER_TENSOR, 0);
    pare_qtensor *q = NULL;
    float back[N];
    int64_t n;
    if (s->code || !show_ok(s, pare_quantize(s->c->ctx, course_tensor, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
    show_begin(s, "default", "What pare does when you do not say s and z");
    if (show_ok(s, pare_dequantize(q, back, &s->c->err))) {
        show_real(s, "scale", "scale", "%.9g", pare_qtensor_scales(q, &n)[0]);
        show_int(s, "zero_point", "zero point", pare_qtensor_zeros(q, &n)[0] - 128);
        show_real(s, "mse", "mean squared error", "%.4f", torch_mse(course_tensor, back, N));
    }
    show_end(s);
    pare_qtensor_free(q);
}

static void run(show *s) {
    const int64_t shape[2] = {3, 3};
    const pare_scheme scheme = course_scheme(false, PARE_PER_TENSOR, 0);
    const int32_t stored_zero = zero + 128; /* the library counts codes from 0, int8 from -128 */
    pare_qtensor *q = NULL;
    int8_t codes[N];
    float back[N], wrapped[N];
    show_say(s, "A real number r becomes a small whole number q by q = round(r / s) + z, and comes back as r = s (q - z). Here s = 3.5 and "
                "z = -70 are simply chosen. The rule works for any s and z; whether it works well is another matter: 728.6 would need "
                "code 138, int8 ends at 127, so it is cut off and returns as 689.5.");
    if (!show_ok(s, pare_quantize_with(s->c->ctx, course_tensor, PARE_F32, 2, shape, &scheme, &scale, &stored_zero, &q, &s->c->err))) return;
    pare_qtensor_signed_codes(q, codes);
    without_cast(codes, wrapped);
    if (show_ok(s, pare_dequantize(q, back, &s->c->err))) {
        show_floats(s, "original", "original", course_tensor, 3, 3, NULL);
        show_real(s, "scale", "scale", NULL, scale);
        show_int(s, "zero_point", "zero point", zero);
        show_codes(s, "quantized", "quantized (int8)", codes, 3, 3);
        show_floats(s, "dequantized", "dequantized", back, 3, 3, "%.1f");
        show_quantized(s, "panels", "Scale 3.5, zero point -70", course_tensor, q);
        show_errors(s, back);
        show_say(s, "A trap on the way back: q - z does not fit into int8. Without a cast to float before the subtraction, 127 - (-70) = 197 "
                    "wraps to -59 and nobody complains. pare subtracts in wide integers or in float.");
        show_floats(s, "dequantized_without_cast", "dequantized without the cast (wrong)", wrapped, 3, 3, "%.1f");
        const pare_number_line line = {"s = 3.5, z = -70 (728.6 is clipped)", scale, zero, -128, 127, course_tensor, N};
        show_number_lines(s, "number-line", "Where the numbers go", &line, 1);
    }
    pare_qtensor_free(q);
    fitting(s);
}

const lesson lesson_linear = {.id = "1", .title = "Quantize and dequantize a tensor", .teaches = "r = s (q - z) with any s and z, and what a bad choice costs", .run = run};
