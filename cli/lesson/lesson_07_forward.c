/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 7: a linear layer with quantized weights (W8A32), and with quantized activations, too (W8A8). */
#include "lesson.h"

enum { IN = 3, OUT = 3 };
static const float input[IN] = {1, 2, 3};
static const float weight[OUT * IN] = {-2, -1.13f, 0.42f, -1.51f, 0.25f, 1.62f, 0.23f, 1.35f, 2.15f};

/* y = x W^T in float32. */
static void forward(const float *w, float *y) {
    for (int o = 0; o < OUT; o++) {
        y[o] = 0;
        for (int i = 0; i < IN; i++) y[o] += input[i] * w[o * IN + i];
    }
}

/* Whole-number products and sums; floats appear once, at the end. */
static void forward_integer(const int8_t *w, double w_scale, const int8_t *x, double x_scale, int32_t *acc, float *y) {
    for (int o = 0; o < OUT; o++) {
        acc[o] = 0;
        for (int i = 0; i < IN; i++) acc[o] += (int32_t)x[i] * w[o * IN + i];
        y[o] = (float)(x_scale * w_scale * acc[o]);
    }
}

static void weights_only(show *s, const pare_qtensor *q) {
    float w[OUT * IN], y[OUT], exact[OUT];
    show_begin(s, "W8A32", "W8A32: 8-bit weights, float arithmetic");
    if (show_ok(s, pare_dequantize(q, w, &s->c->err))) {
        forward(w, y);
        forward(weight, exact);
        show_floats(s, "output", "output", y, 0, OUT, "%.4f");
        show_floats(s, "output_fp32", "output with the original weights", exact, 0, OUT, "%.4f");
    }
    show_end(s);
}

static void weights_and_activations(show *s, const int8_t *wq, double w_scale) {
    const int64_t shape[1] = {IN};
    const pare_scheme scheme = course_scheme(true, PARE_PER_TENSOR, 0);
    pare_course_params p;
    pare_qtensor *q = NULL;
    int8_t xq[IN];
    int32_t acc[OUT];
    double wide[OUT];
    float y[OUT];
    if (s->code || !show_ok(s, pare_course_get_params(input, IN, 8, true, &p, &s->c->err))) return;
    if (!show_ok(s, pare_quantize(s->c->ctx, input, PARE_F32, 1, shape, &scheme, &q, &s->c->err))) return;
    show_begin(s, "W8A8", "W8A8: 8-bit weights and activations, integer arithmetic");
    show_say(s, "The course announces this and stops before it. The input gets a scale of its own while the layer runs; products of int8 are summed in int32, and one "
                "multiplication by both scales ends the row.");
    pare_qtensor_signed_codes(q, xq);
    forward_integer(wq, w_scale, xq, p.scale, acc, y);
    for (int o = 0; o < OUT; o++) wide[o] = acc[o];
    show_real(s, "input_scale", "input scale", NULL, p.scale);
    show_codes(s, "input_quantized", "input (int8)", xq, 0, IN);
    show_matrix(s, "accumulators", "int32 sums", wide, 0, OUT, "%.0f");
    show_floats(s, "output", "output", y, 0, OUT, "%.8f");
    show_end(s);
    pare_qtensor_free(q);
}

/* The storage and computation of both kinds, side by side. */
static void kinds(show *s) {
    static const char *const rows[][4] = {{"W8A32", "int8", "dequantize, then float32", "anywhere; saves memory"},
                                          {"W8A16", "int8", "dequantize, then bf16/fp16", "anywhere; saves memory and traffic"},
                                          {"W8A8", "int8, activations too", "int8 x int8 -> int32", "where the hardware has int8 products"}};
    static const char *const keys[4] = {"scheme", "storage", "computation", "runs"};
    pare_table *t = NULL;
    if (s->code || !show_ok(s, pare_table_new(&t, &s->c->err))) return;
    pare_status st = PARE_OK;
    for (int k = 0; k < 4 && st == PARE_OK; k++) st = pare_table_column(t, keys[k], NULL, PARE_CELL_TEXT, NULL, &s->c->err);
    for (int r = 0; r < 3 && st == PARE_OK; r++) {
        st = pare_table_row(t, &s->c->err);
        for (int k = 0; k < 4 && st == PARE_OK; k++) st = pare_table_text(t, keys[k], rows[r][k], &s->c->err);
    }
    if (show_ok(s, st)) show_table(s, "kinds", t);
    pare_table_free(t);
}

static void run(show *s) {
    const int64_t shape[2] = {OUT, IN};
    const pare_scheme scheme = course_scheme(true, PARE_PER_TENSOR, 0);
    pare_course_params p;
    pare_qtensor *q = NULL;
    int8_t wq[OUT * IN];
    show_say(s, "Storing weights in 8 bits and computing in 8 bits are two things. With weights only, the layer turns them back into floats and computes as before.");
    kinds(s);
    if (!show_ok(s, pare_course_get_params(weight, OUT * IN, 8, true, &p, &s->c->err))) return;
    if (!show_ok(s, pare_quantize(s->c->ctx, weight, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
    pare_qtensor_signed_codes(q, wq);
    show_floats(s, "input", "input", input, 0, IN, NULL);
    show_floats(s, "weight", "weight", weight, OUT, IN, NULL);
    show_codes(s, "weight_quantized", "weight (int8)", wq, OUT, IN);
    show_real(s, "weight_scale", "weight scale", NULL, p.scale);
    show_quantized(s, "panels", "The weight", weight, q);
    weights_only(s, q);
    weights_and_activations(s, wq, p.scale);
    show_say(s, "A defect of the course's forward: it dequantizes with q * s + z, which is not the inverse of the quantizer. Symmetric weights have z = 0, so nothing "
                "shows; pare computes s * (q - z).");
    pare_qtensor_free(q);
}

const lesson lesson_forward = {.id = "7", .title = "Quantized weights and activations in a linear layer", .teaches = "W8A32, W8A16 and W8A8: what is stored and what is computed", .run = run};
