/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 6: a scale for every few elements of a row, and what the scales cost in bits. */
#include <stdio.h>

#include "lesson.h"

static const float example[12] = {191.6f, -13.5f, 728.6f, 92.14f, 295.5f, -184, 0, 684.6f, 245.5f, 1.5f, -0.25f, 3};
/* The notebook's random 6 x 6 matrix, as far as its plot shows it (two decimals). */
static const float plotted[36] = {0.54f, 0.51f, 0.82f, 0.35f, 0.88f, 0.93f, 0.53f, 0.05f, 0.56f, 0.48f, 0.68f, 0.64f, 0.13f, 0.92f, 0.50f, 0.66f, 0.46f, 0.73f,
                                  0.84f, 0.18f, 0.19f, 0.66f, 0.27f, 0.83f, 0.77f, 0.54f, 0.54f, 0.40f, 0.66f, 0.47f, 0.38f, 0.17f, 0.69f, 0.00f, 0.67f, 0.32f};

static pare_scheme groups_of(int size, bool course) {
    pare_scheme s = course ? course_scheme(true, PARE_PER_GROUP, -1) : plain_scheme(true, PARE_PER_GROUP, -1);
    s.group_size = size;
    return s;
}

static void quantize(show *s, const float *x, int rows, int cols, const char *picture) {
    const int64_t shape[2] = {rows, cols};
    const pare_scheme scheme = groups_of(3, true);
    pare_qtensor *q = NULL;
    int8_t codes[36];
    float back[36];
    int64_t n;
    if (s->code || !show_ok(s, pare_quantize(s->c->ctx, x, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
    pare_qtensor_signed_codes(q, codes);
    if (show_ok(s, pare_dequantize(q, back, &s->c->err))) {
        const float *const scales = pare_qtensor_scales(q, &n);
        show_floats(s, "original", "original", x, rows, cols, NULL);
        show_floats(s, "scales", "scales, one for every three numbers of a row", scales, rows, cols / 3, NULL);
        show_codes(s, "quantized", "quantized (int8)", codes, rows, cols);
        show_floats(s, "dequantized", "dequantized", back, rows, cols, "%.4f");
        show_quantized(s, picture, "A scale for every three numbers", x, q);
        show_real(s, "mse", "mean squared error", "%.8g", torch_mse(x, back, rows * cols));
    }
    pare_qtensor_free(q);
}

/* Bits per weight by the library's own count. */
static double bits_of(show *s, int group, bool symmetric) {
    static float row[256];
    const int64_t shape[2] = {1, 256};
    pare_scheme scheme = groups_of(group, false);
    pare_qtensor *q = NULL;
    double bits = 0;
    scheme.bits = 4;
    scheme.symmetric = symmetric;
    scheme.scale_dtype = PARE_F16;
    for (int i = 0; i < 256; i++) row[i] = (float)(i - 100);
    if (!s->code && show_ok(s, pare_quantize(s->c->ctx, row, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) bits = pare_qtensor_bits_per_weight(q);
    pare_qtensor_free(q);
    return bits;
}

static void storage(show *s) {
    static const int sizes[] = {32, 64, 128};
    char label[96];
    show_begin(s, "bits_per_weight", "What the scales cost");
    show_say(s, "4-bit codes with an FP16 scale for every 32 of them take 4 + 16/32 = 4.5 bits a weight. A zero point of 4 bits adds another 4/32.");
    for (int i = 0; i < 3; i++) {
        char key[16];
        snprintf(key, sizeof key, "g%d", sizes[i]);
        snprintf(label, sizeof label, "4 bits, groups of %d, FP16 scales", sizes[i]);
        show_real(s, key, label, "%.4g", bits_of(s, sizes[i], true));
    }
    show_real(s, "g32_asymmetric", "4 bits, groups of 32, FP16 scales and 4-bit zero points", "%.4g", bits_of(s, 32, false));
    show_end(s);
}

static void run(show *s) {
    show_say(s, "The fine end of granularity: n consecutive numbers of a row share a scale. The course needs the row length to be a multiple of n; pare lets the "
                "last group be shorter.");
    show_begin(s, "example", "A 2 x 6 matrix in groups of three");
    quantize(s, example, 2, 6, "panels");
    show_end(s);
    show_say(s, "The last group holds small numbers (1.5, -0.25, 3). It gets a scale of 0.0236 and keeps them, where one scale for the row would have lost them.");
    show_begin(s, "plotted", "The course's random 6 x 6 matrix, as far as its plot shows it");
    quantize(s, plotted, 6, 6, "random");
    show_real(s, "mse_printed", "the notebook printed, on digits that the plot does not show", NULL, 1.7417546587239485e-06);
    show_end(s);
    storage(s);
}

const lesson lesson_per_group = {.id = "6", .title = "Per-group quantization", .teaches = "a scale for every few numbers; bits per weight", .run = run};
