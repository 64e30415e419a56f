/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes equal at every level; within the errors that kernel/ref/vmath.h states, against libm in f64, over all exponents. */
#include "kernel_check.h"
#include <math.h>

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

static double exact(double x, pare_activation kind)
{
    switch (kind) {
    case PARE_ACT_FN_IDENTITY: return x;
    case PARE_ACT_FN_RELU: return x > 0 ? x : 0;
    case PARE_ACT_FN_RELU2: return x > 0 ? x * x : 0;
    case PARE_ACT_FN_SILU: return x * sigmoid(x);
    case PARE_ACT_FN_GELU: return x * 0.5 * erfc(-x / sqrt(2.0));
    case PARE_ACT_FN_GELU_TANH: return x * sigmoid(2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    case PARE_ACT_FN_GELU_QUICK: return x * sigmoid(1.702 * x);
    case PARE_ACT_FN_TANH: return tanh(x);
    case PARE_ACT_FN_SIGMOID: return sigmoid(x);
    }
    return NAN;
}

/* An exponent that is a rounded product loses as many last places as it has size: the two functions that take one. */
static double bound(double x, pare_activation kind)
{
    const double u = kind == PARE_ACT_FN_GELU_TANH ? fabs(1.6 * x + 0.0714 * x * x * x) : kind == PARE_ACT_FN_GELU_QUICK ? fabs(1.702 * x) : 0;
    return 7e-7 + (x < 0 ? u * 2.5e-7 : 0);
}

static void near(double x, double got, pare_activation kind)
{
    const double want = exact(x, kind);
    if (fabs(want) > 3.4e38) {
        assert_true(fabs(got - want) <= 1e-6 * fabs(want) || isinf(got));
        return;
    }
    if (!(fabs(got - want) <= bound(x, kind) * fabs(want) + 3e-45 * (1 + fabs(x)))) fail_msg("activation %d of %.9g is %.9g, not %.9g", (int)kind, x, got, want);
}

static void specials(const pare_kernels *k, pare_activation kind)
{
    const float in[5] = { NAN, 0.0f, -0.0f, INFINITY, -1e30f };
    float out[5];
    k->activate(out, in, 5, kind);
    assert_true(isnan(out[0]));
    for (int i = 1; i < 5; i++)
        if (i != 4 || (kind != PARE_ACT_FN_IDENTITY && kind != PARE_ACT_FN_GELU_TANH)) assert_true(out[i] == (float)exact((double)in[i], kind));
}

void check_activate(const pare_kernels *ref, const pare_kernels *k)
{
    for (int kind = PARE_ACT_FN_IDENTITY; kind <= PARE_ACT_FN_SIGMOID; kind++) {
        specials(k, (pare_activation)kind);
        for (int64_t n = 0; n < 4000; n += n < 70 ? 1 : 531) {
            float *x = guarded(0, (size_t)n * 4), *a = guarded(1, (size_t)n * 4), *b = guarded(2, (size_t)n * 4);
            for (int64_t i = 0; i < n; i++) {
                const int how = (int)(rnd32() % 8);
                x[i] = how < 5 ? rnd_normal() * 4 : how == 5 ? rnd_normal() * 20 : how == 6 ? rnd_scaled() : rnd_normal() * 1e-4f;
            }
            ref->activate(a, x, n, (pare_activation)kind);
            k->activate(b, x, n, (pare_activation)kind);
            assert_same("activate", k, n, a, b, (size_t)n * 4);
            assert_canaries(2);
            for (int64_t i = 0; i < n; i++) near((double)x[i], (double)b[i], (pare_activation)kind);
            k->activate(x, x, n, (pare_activation)kind); /* in place */
            assert_same("activate in place", k, n, a, x, (size_t)n * 4);
        }
    }
}
