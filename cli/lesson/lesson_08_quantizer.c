/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 8: the W8A16 layer: int8 weights, a scale for every output channel, 16-bit activations. */
#include <math.h>
#include <stdio.h>

#include "lesson.h"

enum { ROWS = 4, COLS = 8, N = ROWS * COLS };

/* Weights of four notebooks. They are bf16, so the four printed decimals name the numbers exactly. */
typedef struct printed_run {
    const char *who;
    float w[N];
} printed_run;

static const printed_run runs[] = {
    {"ksm", {-1.0859375f, 1.890625f, 0.74609375f, -0.4296875f, 0.4375f, -0.345703125f, -0.6015625f, -0.423828125f, -0.2236328125f, -1.0390625f, -3.25f, 1.203125f, 1.3203125f, -1.6015625f, -0.57421875f, 0.5078125f,
             -1.9140625f, 0.33203125f, 0.90234375f, -0.94140625f, 1.921875f, -1.9140625f, 0.07861328125f, 0.2294921875f, -0.23828125f, -0.6015625f, -0.0869140625f, 0.07470703125f, 0.236328125f, 0.091796875f, -0.78125f, 0.1875f}},
    {"raku", {1.2265625f, -1.3671875f, 1.1015625f, -1.890625f, 0.1748046875f, 1.53125f, 0.92578125f, 0.053955078125f, 0.65625f, 0.1962890625f, 0.77734375f, 0.578125f, -1.0625f, 1.859375f, 0.55078125f, 1.140625f,
              1.1171875f, -1.2890625f, -0.232421875f, 0.84375f, 0.87109375f, 0.4296875f, 0.1220703125f, -1.0625f, 0.25f, 0.462890625f, -0.6640625f, -0.2451171875f, -0.87109375f, 0.369140625f, 1.1875f, 0.08447265625f}},
    {"chen", {0.83984375f, 1.1875f, -1.8359375f, -0.58203125f, 0.8984375f, -0.0283203125f, 0.68359375f, -1.15625f, -0.4609375f, 0.328125f, 1.65625f, 0.08349609375f, -0.7421875f, 1.234375f, 0.53515625f, -0.1435546875f,
             1.4375f, 0.4765625f, 2.359375f, -0.58203125f, 1.0625f, 0.41796875f, 0.3984375f, 1.0703125f, 1.3046875f, -0.419921875f, -0.375f, -1.8359375f, 1.59375f, 0.4609375f, -0.1435546875f, -1.5546875f}},
    {"naga", {0.82421875f, -0.828125f, -1.9765625f, -1.9140625f, -1.3515625f, -1.3828125f, -0.1591796875f, 0.734375f, -1.7265625f, -1.0859375f, 0.283203125f, -0.087890625f, 1.3359375f, -0.703125f, -0.4140625f, 0.703125f,
             -1.40625f, -0.2265625f, 1.0859375f, 0.9921875f, -1.453125f, -1.203125f, 0.4765625f, -1.1171875f, -0.9765625f, 0.63671875f, -1.015625f, -1.1171875f, -1.265625f, -1.9375f, 0.45703125f, 2.34375f}},
};

static pare_scheme bf16_scheme(bool course) {
    pare_scheme s = course ? course_scheme(true, PARE_PER_CHANNEL, 0) : plain_scheme(true, PARE_PER_CHANNEL, 0);
    s.scale_dtype = PARE_BF16;
    return s;
}

/* Mean of |w - w^| with every step rounded to bf16, as the notebook computes it. */
static float mean_abs_bf16(const float *w, const float *back, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += fabsf(rounded_to(PARE_BF16, w[i] - back[i]));
    return rounded_to(PARE_BF16, sum / (float)n);
}

static void one_run(show *s, const printed_run *r, bool picture) {
    const int64_t shape[2] = {ROWS, COLS};
    const pare_scheme scheme = bf16_scheme(true);
    pare_qtensor *q = NULL;
    int8_t codes[N];
    float back[N];
    int64_t n;
    if (!show_ok(s, pare_quantize(s->c->ctx, r->w, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
    const float *const scales = pare_qtensor_scales(q, &n);
    pare_qtensor_signed_codes(q, codes);
    for (int i = 0; i < N; i++) back[i] = rounded_to(PARE_BF16, (float)codes[i] * scales[i / COLS]);
    show_text(s, "run", NULL, r->who);
    show_floats(s, "weight", "weight (bf16)", r->w, ROWS, COLS, "%.4f");
    show_codes(s, "int8_weights", "int8 weights", codes, ROWS, COLS);
    show_floats(s, "scales", "scales (bf16)", scales, 0, ROWS, "%.4f");
    show_floats(s, "dequantized", "dequantized (bf16)", back, ROWS, COLS, "%.4f");
    if (picture) show_quantized(s, "panels", "A W8A16 layer in bf16", r->w, q);
    const float error = mean_abs_bf16(r->w, back, N);
    show_real(s, "mean_abs_error", "mean absolute error (bf16)", "%.4f", error);
    pare_qtensor_free(q);
}

/* A row whose largest weight changes its sign: 1.453125 / 0.01141357421875 rounds to 127.5 in bf16, then to 128. */
static void overflow(show *s) {
    static const float row[4] = {1.453125f, -0.5f, 0.25f, 1.0f};
    const int64_t shape[2] = {1, 4};
    show_begin(s, "overflow", "A defect: no clamp after rounding");
    show_say(s, "The scale is rounded to bf16 before it divides, so the largest weight of a row may reach 127.5 and round to 128, which int8 cannot hold. A negative "
                "128 fits (the -128 of run 'naga'), a positive one wraps around: the largest weight changes its sign. It happens for 21 of the 128 bf16 mantissas. "
                "pare clamps to [-127, 127] and computes codes from the scale as stored.");
    show_floats(s, "weight", "weight (bf16)", row, 0, 4, NULL);
    for (int course = 1; course >= 0 && !s->code; course--) {
        const pare_scheme scheme = bf16_scheme(course);
        pare_qtensor *q = NULL;
        int8_t codes[4];
        float back[4];
        int64_t n;
        show_begin(s, course ? "course" : "default", course ? "as in the course" : "pare's default");
        if (show_ok(s, pare_quantize(s->c->ctx, row, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) {
            pare_qtensor_signed_codes(q, codes);
            show_real(s, "scale", "scale (bf16)", NULL, pare_qtensor_scales(q, &n)[0]);
            for (int i = 0; i < 4; i++) back[i] = rounded_to(PARE_BF16, (float)codes[i] * pare_qtensor_scales(q, &n)[0]);
            show_codes(s, "int8_weights", "int8 weights", codes, 0, 4);
            show_floats(s, "dequantized", "dequantized (bf16)", back, 0, 4, NULL);
        }
        show_end(s);
        pare_qtensor_free(q);
    }
    show_end(s);
}

/* y = (x W_int8^T) * scales + bias: the sum runs over whole codes, the scale comes after it. */
static void layer(show *s) {
    static const float w[9] = {-2, -1.13f, 0.42f, -1.51f, 0.25f, 1.62f, 0.23f, 1.35f, 2.15f}, x[3] = {1, 2, 3}, bias[3] = {0.1f, -0.2f, 0.3f};
    const int64_t shape[2] = {3, 3};
    const pare_scheme scheme = plain_scheme(true, PARE_PER_CHANNEL, 0);
    pare_qtensor *q = NULL;
    int8_t codes[9];
    float y[3], with_bias[3];
    double acc[3];
    int64_t n;
    if (s->code || !show_ok(s, pare_quantize(s->c->ctx, w, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
    show_begin(s, "forward", "The forward pass");
    show_say(s, "The layer multiplies the input with the bare codes and applies the scale of each output afterwards. In fp16 that sum can pass 65504 before the scale "
                "makes it small again, and become infinite; pare adds in float32, scales, then rounds.");
    const float *const scales = pare_qtensor_scales(q, &n);
    pare_qtensor_signed_codes(q, codes);
    for (int o = 0; o < 3; o++) {
        acc[o] = 0;
        for (int i = 0; i < 3; i++) acc[o] += (double)x[i] * codes[o * 3 + i];
        y[o] = (float)acc[o] * scales[o];
        with_bias[o] = y[o] + bias[o];
    }
    show_floats(s, "scales", "scales", scales, 0, 3, NULL);
    show_codes(s, "int8_weights", "int8 weights", codes, 3, 3);
    show_matrix(s, "sums", "input times codes", acc, 0, 3, "%.0f");
    show_floats(s, "output", "output", y, 0, 3, "%.8f");
    show_floats(s, "output_with_bias", "output with bias [0.1, -0.2, 0.3]", with_bias, 0, 3, "%.8f");
    show_end(s);
    pare_qtensor_free(q);
}

static void run(show *s) {
    show_say(s, "A quantized linear layer keeps three buffers: int8 weights [out, in], a scale for every output, and the bias. They are buffers and not parameters, "
                "because whole numbers have no gradients (torch: \"Only Tensors of floating point and complex dtype can require gradients\").");
    show_begin_array(s, "runs", "Quantizing bf16 weights, as four notebooks printed it");
    for (size_t i = 0; i < sizeof runs / sizeof *runs && !s->code; i++) {
        char heading[64];
        snprintf(heading, sizeof heading, "run '%s'", runs[i].who);
        show_begin_item(s, heading);
        one_run(s, &runs[i], i == 0);
        show_end(s);
    }
    show_end(s);
    overflow(s);
    layer(s);
}

const lesson lesson_quantizer = {.id = "8", .title = "A custom 8-bit quantizer: the W8A16 layer", .teaches = "int8 weights, scales per output, 16-bit activations", .run = run};
