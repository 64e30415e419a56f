/* SPDX-License-Identifier: Apache-2.0 */
/* The lessons' numbers through the public API. */
#include "quant_support.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lessons_golden.h"

static pare_scheme course_scheme(const golden_case *c)
{
    pare_scheme s = int_scheme(c->bits, c->symmetric, c->granularity, c->axis, c->group);
    s.course = true;
    return s;
}

static void close_to(const char *what, double value, double expected, double tolerance)
{
    if (fabs(value - expected) > tolerance * fmax(fabs(expected), 1e-300)) fail_msg("%s: %.17g, expected %.17g", what, value, expected);
}

static void check_codes(const char *what, const pare_qtensor *q, const int *expected, int n, int may_differ)
{
    int8_t codes[64];
    pare_qtensor_signed_codes(q, codes);
    for (int i = 0; i < n; i++)
        if (abs(codes[i] - expected[i]) > (i == may_differ)) fail_msg("%s: code %d is %d, expected %d", what, i, codes[i], expected[i]);
}

static void check_case(const golden_case *c)
{
    const int64_t shape[2] = {c->rows, c->cols}, n = (int64_t)c->rows * c->cols;
    const pare_scheme s = course_scheme(c);
    pare_qtensor *q = NULL;
    pare_err err = {0};
    float back[16];
    pare_error e;
    assert_ok(pare_quantize(NULL, c->input, PARE_F32, 2, shape, &s, &q, &err), &err);
    if (c->given) {
        const float printed = (float)c->scales[0];
        close_to(c->what, q->scales[0], printed, 1e-4);
        pare_qtensor_free(q);
        assert_ok(pare_quantize_with(NULL, c->input, PARE_F32, 2, shape, &s, &printed, NULL, &q, &err), &err);
    }
    int64_t scales, zeros;
    const float *scale = pare_qtensor_scales(q, &scales);
    const int32_t *zero = pare_qtensor_zeros(q, &zeros);
    assert_int_equal(scales, c->n_scales);
    assert_int_equal(zeros, c->n_scales);
    for (int i = 0; i < c->n_scales; i++) {
        close_to(c->what, scale[i], (float)c->scales[i], 1.2e-7);
        assert_int_equal(zero[i] - (1 << (c->bits - 1)), c->zeros[i]);
    }
    check_codes(c->what, q, c->q, (int)n, c->may_differ);
    assert_ok(pare_dequantize(q, back, &err), &err);
    pare_measure(c->input, back, n, &e);
    if (c->mse >= 0) close_to(c->what, e.mse, c->mse, c->mse_tolerance);
    pare_qtensor_free(q);
}

static void test_all_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden_cases / sizeof *golden_cases; i++) check_case(&golden_cases[i]);
}

static const float T[9] = {191.6f, -13.5f, 728.6f, 92.14f, 295.5f, -184.0f, 0.0f, 684.6f, 245.5f};
static const int64_t T_shape[2] = {3, 3};

static void test_given_scale_and_zero(void **state) /* L2A */
{
    (void)state;
    static const int expected[9] = {-15, -74, 127, -44, 14, -123, -70, 126, 0};
    static const float back_expected[9] = {192.5f, -14.0f, 689.5f, 91.0f, 294.0f, -185.5f, 0.0f, 686.0f, 245.0f};
    pare_scheme s = int_scheme(8, false, PARE_PER_TENSOR, 0, 0);
    s.course = true;
    const float scale = 3.5f;
    const int32_t zero = -70 + 128;
    pare_qtensor *q;
    pare_err err = {0};
    pare_error e;
    float back[9];
    assert_ok(pare_quantize_with(NULL, T, PARE_F32, 2, T_shape, &s, &scale, &zero, &q, &err), &err);
    check_codes("L2A", q, expected, 9, -1);
    assert_ok(pare_dequantize(q, back, &err), &err);
    for (int i = 0; i < 9; i++) assert_true(back[i] == back_expected[i]);
    pare_measure(T, back, 9, &e);
    close_to("L2A mse", e.mse, 170.87530520033195, 1e-6);
    pare_qtensor_free(q);
}

static void test_double_params(void **state) /* L2B, L3B, L3E and the out-of-range zero points as Python prints them */
{
    (void)state;
    pare_course_params p;
    pare_err err = {0};
    assert_ok(pare_course_get_params(T, 9, 8, false, &p, &err), &err);
    assert_true(p.min == -184.0 && p.max == 728.5999755859375);
    assert_true(p.scale == 3.578823433670343);
    assert_true(p.zero_raw == -76.58645490333825);
    assert_int_equal(p.zero, -77);
    assert_ok(pare_course_get_params(T, 9, 8, true, &p, &err), &err);
    assert_true(p.scale == 5.737007681779035 && p.zero == 0);
    static const float weight[9] = {-2, -1.13f, 0.42f, -1.51f, 0.25f, 1.62f, 0.23f, 1.35f, 2.15f};
    assert_ok(pare_course_get_params(weight, 9, 8, true, &p, &err), &err);
    assert_true(p.scale == 0.016929134609192376);
    static const float high[3] = {100, 150, 200}, low[3] = {-200, -150, -100}, x[3] = {1, 2, 3};
    assert_ok(pare_course_get_params(high, 3, 8, false, &p, &err), &err);
    assert_true(p.scale == 0.39215686274509803 && p.zero_raw == -383.0 && p.zero == -128);
    assert_ok(pare_course_get_params(low, 3, 8, false, &p, &err), &err);
    assert_true(p.scale == 0.39215686274509803 && p.zero_raw == 382.0 && p.zero == 127);
    assert_ok(pare_course_get_params(x, 3, 8, true, &p, &err), &err);
    assert_true(p.scale == 0.023622047244094488);
    static const double implied[] = {2.2089319229125977, 1.7780581712722778, 1.8375349044799805, 2.258349657058716, 2.9638748168945312};
    static const double printed[] = {0.017393164747343287, 0.014000458041514, 0.014468778775432917, 0.01778228076424186, 0.023337596983421506};
    for (int i = 0; i < 5; i++) {
        const float most = (float)implied[i];
        assert_ok(pare_course_get_params(&most, 1, 8, true, &p, &err), &err);
        assert_true(p.scale == printed[i]);
    }
}

/* The fix of the clipped zero point: range with 0 in it. Its parameters are pare's own, the printed codes the course's rounding. */
static void test_zero_in_range(void **state)
{
    (void)state;
    static const struct { float x[3]; int zero, q[3]; float back[3]; } cases[] = {
        {{100, 150, 200}, -128, {0, 63, 127}, {100.39215850830078f, 149.80392456054688f, 200.0f}},
        {{-200, -150, -100}, 127, {-128, -64, 0}, {-200.0f, -149.80392456054688f, -99.60784149169922f}},
    };
    const int64_t shape[1] = {3};
    for (int i = 0; i < 2; i++) {
        pare_scheme s = int_scheme(8, false, PARE_PER_TENSOR, 0, 0);
        pare_qtensor *own, *q;
        pare_err err = {0};
        float back[3];
        assert_ok(pare_quantize(NULL, cases[i].x, PARE_F32, 1, shape, &s, &own, &err), &err);
        close_to("scale", pare_qtensor_scales(own, NULL)[0], 0.7843137254901961, 1e-7);
        assert_int_equal(pare_qtensor_zeros(own, NULL)[0] - 128, cases[i].zero);
        s.course = true;
        assert_ok(pare_quantize_with(NULL, cases[i].x, PARE_F32, 1, shape, &s, own->scales, own->zeros, &q, &err), &err);
        check_codes("zero in range", q, cases[i].q, 3, -1);
        assert_ok(pare_dequantize(q, back, &err), &err);
        for (int j = 0; j < 3; j++) assert_true(back[j] == cases[i].back[j]);
        pare_qtensor_free(own);
        pare_qtensor_free(q);
    }
}

static pare_qtensor *quantize_layer(const float *weights, int rows, int cols, pare_dtype dtype)
{
    uint16_t w[64];
    const int64_t shape[2] = {rows, cols};
    pare_scheme s = int_scheme(8, true, PARE_PER_CHANNEL, 0, 0);
    pare_qtensor *q = NULL;
    pare_err err = {0};
    s.course = true;
    s.scale_dtype = dtype;
    assert_ok(pare_convert(w, dtype, weights, PARE_F32, (int64_t)rows * cols, true, &err), &err);
    assert_ok(pare_quantize(NULL, w, dtype, 2, shape, &s, &q, &err), &err);
    return q;
}

static void test_layer_in_bf16(void **state) /* L4A */
{
    (void)state;
    for (size_t i = 0; i < sizeof golden_layers / sizeof *golden_layers; i++) {
        const golden_layer *c = &golden_layers[i];
        pare_qtensor *q = quantize_layer(c->weights, 4, 8, PARE_BF16);
        pare_err err = {0};
        pare_error e;
        float back[32];
        for (int r = 0; r < 4; r++) assert_true(pare_qtensor_scales(q, NULL)[r] == c->scales[r]);
        check_codes(c->run, q, c->q, 32, -1);
        assert_ok(pare_dequantize(q, back, &err), &err);
        for (int j = 0; j < 32; j++) {
            back[j] = pare_round_to(PARE_BF16, back[j]);
            assert_true(back[j] == c->dequantized[j]);
        }
        pare_measure(c->weights, back, 32, &e);
        assert_true(pare_round_to(PARE_BF16, (float)e.mean_abs) == (float)c->mean_abs);
        pare_qtensor_free(q);
    }
}

static void test_layer_wraps(void **state) /* D1: 21 of the 128 bf16 mantissas; the positive extreme changes sign */
{
    (void)state;
    static const float bad[] = {1.328125f, 1.3359375f, 1.34375f,  1.3515625f, 1.359375f, 1.3671875f, 1.375f,    1.3828125f, 1.390625f, 1.3984375f, 1.40625f,
                                1.4140625f, 1.421875f, 1.4296875f, 1.4375f,   1.4453125f, 1.453125f, 1.4609375f, 1.46875f,   1.4765625f, 1.484375f};
    int found = 0;
    for (int m = 0; m < 128; m++) {
        const float most = 1.0f + (float)m / 128.0f;
        pare_qtensor *q = quantize_layer(&most, 1, 1, PARE_BF16);
        const bool wrapped = pare_qtensor_codes(q)[0] == 0;
        bool listed = false;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) listed |= bad[i] == most;
        assert_int_equal(wrapped, listed);
        assert_true(wrapped || pare_qtensor_codes(q)[0] >= 254); /* 126 or 127: the scale is rounded too */
        found += wrapped;
        pare_qtensor_free(q);
    }
    assert_int_equal(found, 21);
    const float most = 1.453125f;
    pare_qtensor *q = quantize_layer(&most, 1, 1, PARE_BF16);
    pare_err err = {0};
    float back;
    assert_true(pare_qtensor_scales(q, NULL)[0] == 0.01141357421875f);
    assert_ok(pare_dequantize(q, &back, &err), &err);
    assert_true(back == -1.4609375f);
    pare_qtensor_free(q);
}

static void test_division_by_zero(void **state) /* D3 */
{
    (void)state;
    static const float constant[4] = {5, 5, 5, 5}, zeros[4] = {0, 0, 0, 0};
    const int64_t shape[2] = {2, 2};
    pare_err err = {0};
    pare_qtensor *q = NULL;
    pare_scheme s = int_scheme(8, false, PARE_PER_TENSOR, 0, 0);
    s.course = true;
    assert_int_equal(pare_quantize(NULL, constant, PARE_F32, 2, shape, &s, &q, &err), PARE_ERR_DATA);
    assert_non_null(strstr(err.text, "divides by zero"));
    assert_null(q);
    s.symmetric = true;
    assert_int_equal(pare_quantize(NULL, zeros, PARE_F32, 2, shape, &s, &q, &err), PARE_ERR_DATA);
    assert_ok(pare_quantize(NULL, constant, PARE_F32, 2, shape, &s, &q, &err), &err);
    pare_qtensor_free(q);
    s.bits = 1;
    assert_int_equal(pare_quantize(NULL, constant, PARE_F32, 2, shape, &s, &q, &err), PARE_ERR_USAGE);
    pare_course_params p;
    static const float bad[2] = {1.0f, NAN};
    assert_int_equal(pare_course_get_params(bad, 2, 8, true, &p, &err), PARE_ERR_DATA);
    assert_int_equal(pare_course_get_params(bad, 0, 8, true, &p, &err), PARE_ERR_DATA);
    assert_int_equal(pare_course_get_params(bad, 1, 9, true, &p, &err), PARE_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_cases),     cmocka_unit_test(test_given_scale_and_zero), cmocka_unit_test(test_double_params),
        cmocka_unit_test(test_zero_in_range), cmocka_unit_test(test_layer_in_bf16),        cmocka_unit_test(test_layer_wraps),
        cmocka_unit_test(test_division_by_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
