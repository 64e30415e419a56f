/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson F2: whole numbers, floats, their ranges and their bits; what downcasting does to a number. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lesson.h"

static void bits_of(uint64_t value, int n, char *out) {
    for (int i = 0; i < n; i++) out[i] = (char)('0' + (int)(value >> (n - 1 - i) & 1));
    out[n] = 0;
}

/* ------------------------------------------------------------------------------------------------------ whole numbers */

static void integers(show *s) {
    static const pare_dtype types[] = {PARE_U8, PARE_I8, PARE_I16, PARE_I32, PARE_I64};
    show_begin(s, "iinfo", "Whole numbers");
    show_say(s, "n bits without a sign reach from 0 to 2^n - 1; in two's complement from -2^(n-1) to 2^(n-1) - 1.");
    for (size_t i = 0; i < sizeof types / sizeof *types && !s->code; i++) {
        const pare_dtype_info *const d = pare_dtype_get_info(types[i]);
        if (s->j) {
            pare_json_object(s->j, d->torch);
            pare_json_int(s->j, "min", d->imin);
            pare_json_int(s->j, "max", (int64_t)d->imax);
            pare_json_end(s->j);
        }
        show_line(s, "iinfo(min=%g, max=%g, dtype=%s)", (double)d->imin, (double)d->imax, d->torch);
    }
    show_end(s);
}

static void twos_complement(show *s) {
    const pare_bit_field two = {NULL, "0010", 1}, minus = {NULL, "1110", 2}, sum[2] = {{"carry", "1", 7}, {NULL, "0000", 0}};
    const pare_bit_row rows[3] = {{"   2", (const pare_bit_field[]){{NULL, " ", 7}, two}, 2, NULL},
                                  {"+ -2", (const pare_bit_field[]){{NULL, " ", 7}, minus}, 2, NULL},
                                  {"=  0", sum, 2, "the carry is dropped"}};
    show_bits(s, "complement", "2 + (-2) in four bits", rows, 3);
}

/* -------------------------------------------------------------------------------------------------------------- floats */

static void floats(show *s) {
    static const pare_dtype types[] = {PARE_BF16, PARE_F32, PARE_F16, PARE_F64};
    show_begin(s, "finfo", "Floats");
    show_say(s, "A float is sign, exponent and mantissa: the exponent decides how far it reaches, the mantissa how finely. bfloat16 keeps the exponent of float32 and gives up "
                "mantissa; float16 keeps more mantissa and ends at 65504.");
    for (size_t i = 0; i < sizeof types / sizeof *types && !s->code; i++) {
        const pare_dtype_info *const d = pare_dtype_get_info(types[i]);
        const double resolution = pow(10, -floor(d->mantissa_bits * log10(2)));
        if (s->j) {
            pare_json_object(s->j, d->torch);
            pare_json_real(s->j, "resolution", resolution);
            pare_json_real(s->j, "max", d->max);
            pare_json_real(s->j, "eps", d->eps);
            pare_json_real(s->j, "tiny", d->tiny);
            pare_json_end(s->j);
        }
        show_line(s, "finfo(resolution=%g, min=%g, max=%g, eps=%g, tiny=%g, dtype=%s)", resolution, -d->max, d->max, d->eps, d->tiny, d->torch);
    }
    show_end(s);
}

/* 1/3 as the nearest number of a format, with all the decimals that it has: a double prints any of them exactly. */
static void third(show *s) {
    static const pare_dtype types[] = {PARE_F64, PARE_F32, PARE_F16, PARE_BF16};
    static const char *const names[] = {"fp64", "fp32", "fp16", "bf16"};
    static char parts[4][3][64], notes[4][32];
    pare_bit_field fields[4][3];
    pare_bit_row rows[4];
    const double value = 1.0 / 3;
    show_begin(s, "third", "One third, with 60 decimals");
    for (int i = 0; i < 4 && !s->code; i++) {
        const pare_dtype_info *const d = pare_dtype_get_info(types[i]);
        uint64_t bits = 0;
        double back = 0;
        char text[80];
        if (!show_ok(s, pare_convert(&bits, types[i], &value, PARE_F64, 1, false, &s->c->err))) break; /* little-endian */
        if (!show_ok(s, pare_convert(&back, PARE_F64, &bits, types[i], 1, false, &s->c->err))) break;
        snprintf(text, sizeof text, "%.60f", back);
        if (s->j) pare_json_text(s->j, names[i], text);
        show_line(s, "%s  %s", names[i], text);
        bits_of(bits >> (d->bits - 1), 1, parts[i][0]);
        bits_of(bits >> d->mantissa_bits, d->exponent_bits, parts[i][1]);
        bits_of(bits, d->mantissa_bits, parts[i][2]);
        snprintf(notes[i], sizeof notes[i], "%.12g", back);
        fields[i][0] = (pare_bit_field){"s", parts[i][0], 0};
        fields[i][1] = (pare_bit_field){"exponent", parts[i][1], 1};
        fields[i][2] = (pare_bit_field){"mantissa", parts[i][2], 2};
        rows[i] = (pare_bit_row){names[i], fields[i], 3, notes[i]};
    }
    if (!s->code) show_bits(s, "layout", "One third in three formats", rows + 1, 3);
    show_end(s);
}

/* --------------------------------------------------------------------------------------------------------- downcasting */

/* Numbers that notebooks printed to four decimals. Where two bfloat16 numbers are equally near, a fifth digit says which one was printed. */
static const float before[30] = {0.89646f, 0.0866f, 0.8151f, 0.40333f, 0.4577f, 0.6766f, 0.5800f, 0.4885f, 0.5088f, 0.5963f, 0.4089f, 0.2749f, 0.6169f, 0.5108f, 0.7864f,
                                 0.1353f, 0.0471f, 0.7375f, 0.3774f, 0.9380f, 0.9795f, 0.1629f, 0.6323f, 0.2459f, 0.9283f, 0.4261f, 0.2806f, 0.9343f, 0.9788f, 0.15772f};

static void downcast(show *s) {
    float after[30];
    for (int i = 0; i < 30; i++) after[i] = rounded_to(PARE_BF16, before[i]);
    show_begin(s, "downcast", "float32 to bfloat16");
    show_floats(s, "fp32", "fp32", before, 6, 5, "%.4f");
    show_floats(s, "bf16", "bf16", after, 6, 5, "%.4f");
    show_end(s);
}

static void dot(show *s) {
    static const double printed[8][2] = {{329.0424, 330}, {316.9656, 318}, {337.4743, 338}, {320.7962, 320}, {339.6297, 340}, {336.4422, 336}, {329.4669, 330}, {337.2563, 338}};
    uint32_t state = 1;
    float wide = 0, narrow = 0;
    for (int i = 0; i < 1000; i++) {
        state = state * 1664525u + 1013904223u;
        const float x = (float)(state >> 8) / 16777216.0f, half = rounded_to(PARE_BF16, x);
        wide += x * x;
        narrow += half * half;
    }
    show_begin(s, "dot", "The dot product of 1000 random numbers with themselves");
    show_real(s, "fp32", "fp32", "%.4f", wide);
    show_real(s, "bf16", "bf16", "%.0f", rounded_to(PARE_BF16, narrow));
    show_matrix(s, "printed", "what eight notebooks printed (fp32, bf16)", &printed[0][0], 8, 2, "%.4f");
    show_say(s, "Near 330 two neighbours in bfloat16 are 2 apart, so every result there is an even number.");
    show_end(s);
}

static void run(show *s) {
    integers(s);
    twos_complement(s);
    floats(s);
    third(s);
    show_say(s, "Downcasting halves memory and traffic, and costs digits. Weights stand it well; sums of many products had better be kept in float32, as pare does.");
    downcast(s);
    dot(s);
}

const lesson lesson_dtypes = {.id = "F2", .title = "Data types and sizes", .teaches = "ranges and bits of integers and floats; downcasting", .run = run};
