/* SPDX-License-Identifier: Apache-2.0 */
/* Help for tests of calibrated methods: one layer with random correlated inputs and all statistics of them. */
#ifndef METHOD_INPUTS_H
#define METHOD_INPUTS_H
#include "support/support.h"
#include "method/method.h"

typedef struct method_inputs {
    pare_ctx *ctx;
    int64_t rows, cols, tokens;
    float *w, *x, *h;               /* W [rows, cols], x [tokens, cols], sum of x x^T */
    float *absmax, *mean_abs, *mean_sq;
    pare_input_range range;
    pare_stats stats;
} method_inputs;

/*
 * x: a few common directions and noise; input channels 3 and cols / 2 are `outlier` times as large. Channel 5 is always 0 (with cols > 5).
 * threads of the ctx.
 */
method_inputs *method_inputs_new(int64_t rows, int64_t cols, int64_t tokens, float outlier, int threads);
void method_inputs_free(method_inputs *m);
/* Statistics again, after x was changed. */
void method_inputs_measure(method_inputs *m);
/* sum over tokens |(got - W) x|^2 / sum |W x|^2, in double; got [rows, cols] */
double method_inputs_error(const method_inputs *m, const float *got);
/* The same for a layer's result; scale: W diag(scale) was quantized, or NULL. */
double method_inputs_error_of(const method_inputs *m, const pare_qtensor *q, const float *scale);
/* A method's options, by "name=value" (NULL-terminated). Free with pare_params_clear. */
void method_params(const pare_method *m, pare_params *p, const char *const *settings);
/* Scheme by name, scales in f32. */
pare_scheme method_scheme(const char *name);
#endif
