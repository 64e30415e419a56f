/* SPDX-License-Identifier: Apache-2.0 */
/* Linear quantization: properties over widths, modes, granularities, dtypes and shapes; degenerate values. */
#include "quant_support.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_N 4096

static const pare_dtype scale_dtypes[] = {PARE_DTYPE_NONE, PARE_F32, PARE_F16, PARE_BF16};

static float stored(pare_dtype dtype, double scale)
{
    const float f = pare_round_to(dtype, (float)scale), smallest = dtype == PARE_F16 ? ldexpf(1, -24) : dtype == PARE_BF16 ? ldexpf(1, -133) : ldexpf(1, -149);
    return f > 0.0f ? f : smallest;
}

/* What the formulas of pare.h give for a block with these extremes, worked out here once more. */
static void expected_params(const pare_scheme *s, double lo, double hi, float *scale, int *zero)
{
    const pare_dtype dtype = s->scale_dtype == PARE_DTYPE_NONE ? PARE_F32 : s->scale_dtype;
    const int top = (1 << s->bits) - 1, middle = 1 << (s->bits - 1);
    const double most = fmax(-lo, hi);
    const bool narrow = s->range == PARE_RANGE_NARROW || (s->range == PARE_RANGE_AUTO && s->bits == 8);
    *zero = middle;
    if (lo == hi) {
        *scale = 1.0f;
        if (!s->symmetric) *zero = s->zero_min;
        return;
    }
    if (s->symmetric) {
        *scale = stored(dtype, most / (narrow ? middle - 1 : s->bits == 1 ? 1 : top / 2.0));
        return;
    }
    *scale = stored(dtype, (hi - lo) / top);
    *zero = (int)nearbyint(-lo / *scale);
    if (*zero > top) *zero = top;
    if (*zero >= s->zero_min) return;
    *zero = s->zero_min;
    *scale = fmaxf(*scale, stored(dtype, hi / (top - s->zero_min)));
}

static void check_values(const float *x, const float *y, const pare_qtensor *q, const int64_t *block)
{
    const int top = (1 << q->scheme.bits) - 1;
    const bool narrow = q->scheme.symmetric && (q->scheme.range == PARE_RANGE_NARROW || (q->scheme.range == PARE_RANGE_AUTO && q->scheme.bits == 8));
    for (int64_t i = 0; i < q->grid.numel; i++) {
        const double s = q->scales[block[i]], z = q->zeros[block[i]];
        const double low = ((narrow ? 1 : 0) - z) * s, high = (top - z) * s, e = fabs((double)y[i] - x[i]);
        const double outside = fmax(0.0, fmax(low - x[i], x[i] - high));
        assert_in_range(q->codes[i], narrow ? 1 : 0, top);
        if (x[i] == 0.0f) assert_true(y[i] == 0.0f);
        if (e > fmax(outside, s / 2) * (1 + 1e-5)) fail_msg("element %d: %g became %g with scale %g", (int)i, x[i], y[i], s);
    }
}

static void check_scales(const float *x, const pare_qtensor *q, const int64_t *block)
{
    for (int64_t b = 0; b < q->grid.n_scales; b++) {
        double lo = 0, hi = 0;
        for (int64_t i = 0; i < q->grid.numel; i++)
            if (block[i] == b) lo = fmin(lo, x[i]), hi = fmax(hi, x[i]);
        float scale;
        int zero;
        expected_params(&q->scheme, lo, hi, &scale, &zero);
        if (q->scales[b] != scale || q->zeros[b] != zero)
            fail_msg("%s dtype %d, block %d, %g ... %g: scale %.9g zero %d, expected %.9g %d", q->scheme.name, (int)q->scheme.scale_dtype, (int)b, lo, hi,
                     (double)q->scales[b], (int)q->zeros[b], (double)scale, zero);
    }
}

static void check_one(const pare_scheme *s, int ndim, const int64_t *shape, fill kind)
{
    static float x[MAX_N], y[MAX_N];
    static int64_t block[MAX_N];
    const int64_t n = numel_of(ndim, shape);
    pare_qtensor *q = NULL, *again = NULL;
    pare_err err = {0};
    assert_true(n <= MAX_N);
    fill_values(x, n, kind, (uint64_t)n + 17 * (uint64_t)s->bits);
    assert_ok(pare_quantize(NULL, x, PARE_F32, ndim, shape, s, &q, &err), &err);
    assert_ok(pare_dequantize(q, y, &err), &err);
    scale_of_elements(q, block);
    if (s->clip == PARE_CLIP_NONE) check_scales(x, q, block);
    check_values(x, y, q, block);
    assert_ok(pare_quantize_with(NULL, y, PARE_F32, ndim, shape, s, q->scales, s->symmetric ? NULL : q->zeros, &again, &err), &err);
    assert_same_qtensor(q, again);
    pare_qtensor_free(q);
    pare_qtensor_free(again);
}

typedef struct shape_case { int ndim; int64_t shape[4]; } shape_case;
static const shape_case shapes[] = {{1, {7}}, {1, {130}}, {2, {3, 5}}, {2, {4, 130}}, {2, {17, 33}}, {3, {5, 3, 3}}, {4, {3, 2, 4, 5}}, {2, {1, 1}}, {2, {0, 3}}, {0, {0}}};

/* Every granularity that fits the shape: tensor, each channel axis, groups of 1, 3, 4, 32 and too many along each axis, tiles. */
static void each_granularity(const shape_case *c, pare_scheme s, fill kind)
{
    static const int64_t groups[] = {1, 3, 4, 32, 1000};
    s.granularity = PARE_PER_TENSOR;
    check_one(&s, c->ndim, c->shape, kind);
    for (s.axis = -c->ndim; s.axis < c->ndim; s.axis++) {
        s.granularity = PARE_PER_CHANNEL;
        check_one(&s, c->ndim, c->shape, kind);
        s.granularity = PARE_PER_GROUP;
        for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
            s.group_size = groups[g];
            check_one(&s, c->ndim, c->shape, kind);
        }
    }
    if (c->ndim < 2) return;
    s.granularity = PARE_PER_BLOCK;
    s.block[0] = 2;
    s.block[1] = 3;
    check_one(&s, c->ndim, c->shape, kind);
}

static void test_properties(void **state)
{
    (void)state;
    for (int bits = 1; bits <= 8; bits++)
        for (int mode = 0; mode < 5; mode++) { /* asymmetric (zero from 0 or 1), symmetric auto, full, narrow */
            pare_scheme s = int_scheme(bits, mode >= 2, PARE_PER_TENSOR, 0, 0);
            s.zero_min = mode == 1;
            s.range = mode < 2 ? PARE_RANGE_AUTO : (pare_range)(mode - 2);
            if (bits == 1 && (s.range == PARE_RANGE_NARROW || s.zero_min == 1)) continue;
            s.scale_dtype = scale_dtypes[(bits + mode) % 4];
            for (size_t c = 0; c < sizeof shapes / sizeof *shapes; c++) each_granularity(&shapes[c], s, (fill)((c + (size_t)mode) % FILL_COUNT));
        }
}

static void test_properties_clip(void **state)
{
    (void)state;
    for (int bits = 1; bits <= 8; bits++)
        for (int sym = 0; sym <= 1; sym++) {
            pare_scheme s = int_scheme(bits, sym, PARE_PER_TENSOR, 0, 0);
            s.clip = PARE_CLIP_MSE;
            s.scale_dtype = scale_dtypes[bits % 4];
            each_granularity(&shapes[3], s, FILL_OUTLIERS);
            each_granularity(&shapes[6], s, FILL_POSITIVE);
        }
}

/* ------------------------------------------------------------------------------------------------------- clipping search */

static double noise_of(const float *x, int64_t rows, int64_t cols, const pare_scheme *s, float *scale)
{
    static float y[MAX_N];
    const int64_t shape[2] = {rows, cols};
    pare_qtensor *q = NULL;
    pare_err err = {0};
    pare_error e;
    assert_ok(pare_quantize(NULL, x, PARE_F32, 2, shape, s, &q, &err), &err);
    assert_ok(pare_dequantize(q, y, &err), &err);
    pare_measure(x, y, rows * cols, &e);
    if (scale != NULL) *scale = q->scales[0];
    pare_qtensor_free(q);
    return e.noise;
}

static void test_clip_never_worse(void **state)
{
    static float x[MAX_N];
    (void)state;
    for (int bits = 1; bits <= 8; bits++)
        for (int sym = 0; sym <= 1; sym++)
            for (int kind = 0; kind < FILL_COUNT; kind++)
                for (int64_t n = 1; n <= 257; n += 64) {
                    pare_scheme s = int_scheme(bits, sym, PARE_PER_TENSOR, 0, 0);
                    fill_values(x, n, (fill)kind, 5 + (uint64_t)n);
                    const double plain = noise_of(x, 1, n, &s, NULL);
                    s.clip = PARE_CLIP_MSE;
                    assert_true(noise_of(x, 1, n, &s, NULL) <= plain * (1 + 1e-12));
                }
}

/* Near the best of a fine grid over the scale; and worth it on normal values. */
static void test_clip_near_best(void **state)
{
    static float x[MAX_N];
    (void)state;
    fill_values(x, 128, FILL_NORMAL, 3);
    for (int bits = 2; bits <= 8; bits++) {
        pare_scheme s = int_scheme(bits, true, PARE_PER_TENSOR, 0, 0);
        const int64_t shape[2] = {1, 128};
        float full;
        const double plain = noise_of(x, 1, 128, &s, &full);
        s.clip = PARE_CLIP_MSE;
        const double found = noise_of(x, 1, 128, &s, NULL);
        double best = plain;
        for (int i = 0; i < 1500; i++) {
            const float scale = full * (float)(0.2 + 0.001 * i);
            pare_qtensor *q = NULL;
            pare_err err = {0};
            pare_error e;
            float y[128];
            assert_ok(pare_quantize_with(NULL, x, PARE_F32, 2, shape, &s, &scale, NULL, &q, &err), &err);
            assert_ok(pare_dequantize(q, y, &err), &err);
            pare_measure(x, y, 128, &e);
            best = fmin(best, e.noise);
            pare_qtensor_free(q);
        }
        if (found > best * 1.05) fail_msg("%d bits: %g, a fine grid finds %g", bits, found, best);
        if (bits <= 3 && found > plain * 0.9) fail_msg("%d bits: %g, without clipping %g", bits, found, plain);
    }
}

/* ------------------------------------------------------------------------------------------------------------ degenerate */

static void check_degenerate(const float *x, int64_t n, double tolerance)
{
    const int64_t shape[2] = {1, n};
    for (int bits = 1; bits <= 8; bits++)
        for (int mode = 0; mode < 4 * 2 * 2; mode++) {
            pare_scheme s = int_scheme(bits, mode & 1, PARE_PER_CHANNEL, 0, 0);
            s.clip = mode & 2 ? PARE_CLIP_MSE : PARE_CLIP_NONE;
            s.scale_dtype = scale_dtypes[mode / 4];
            pare_qtensor *q = NULL;
            pare_err err = {0};
            float y[16];
            assert_ok(pare_quantize(NULL, x, PARE_F32, 2, shape, &s, &q, &err), &err);
            assert_ok(pare_dequantize(q, y, &err), &err);
            assert_true(isfinite(q->scales[0]) && q->scales[0] > 0.0f);
            assert_true(q->scales[0] == pare_round_to(q->scheme.scale_dtype, q->scales[0]));
            double most = 0;
            for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)x[i]));
            for (int64_t i = 0; i < n; i++) {
                assert_true(isfinite(y[i]));
                if (x[i] == 0.0f) assert_true(y[i] == 0.0f);
                if (bits >= 4 && s.scale_dtype != PARE_F16) assert_true(fabs((double)y[i] - x[i]) <= most * tolerance);
            }
            pare_qtensor_free(q);
        }
}

static void test_degenerate(void **state)
{
    (void)state;
    static const float zeros[4] = {0, 0, -0.0f, 0}, constant[4] = {5, 5, 5, 5}, negative[4] = {-3, -3, -3, -3}, one[1] = {-7};
    static const float tiny[4] = {1e-45f, -1e-45f, 3e-44f, 0}, small[4] = {1e-38f, 2e-38f, -5e-39f, 0};
    static const float huge[4] = {FLT_MAX, -FLT_MAX, FLT_MAX / 2, 0}, big[4] = {FLT_MAX, 0, 1, 2}, low[4] = {-FLT_MAX, 0, 1, -2};
    static const float mixed[4] = {FLT_MAX, 1e-45f, -1, 0};
    check_degenerate(zeros, 4, 0);
    check_degenerate(constant, 4, 0.15);
    check_degenerate(negative, 4, 0.15);
    check_degenerate(one, 1, 0.15);
    check_degenerate(tiny, 4, 1.0);
    check_degenerate(small, 4, 0.15);
    check_degenerate(huge, 4, 0.15);
    check_degenerate(big, 4, 0.15);
    check_degenerate(low, 4, 0.15);
    check_degenerate(mixed, 4, 0.15);
}

static void test_zero_block(void **state)
{
    (void)state;
    static const float x[6] = {0, 0, 0, 1, -2, 3};
    const int64_t shape[2] = {2, 3};
    for (int sym = 0; sym <= 1; sym++) {
        const pare_scheme s = int_scheme(4, sym, PARE_PER_CHANNEL, 0, 0);
        pare_qtensor *q = NULL;
        pare_err err = {0};
        assert_ok(pare_quantize(NULL, x, PARE_F32, 2, shape, &s, &q, &err), &err);
        assert_true(q->scales[0] == 1.0f);
        for (int i = 0; i < 3; i++) assert_int_equal(q->codes[i], q->zeros[0]);
        pare_qtensor_free(q);
    }
}

static void test_one_bit(void **state)
{
    (void)state;
    static const float x[4] = {-2.0f, -1.5f, 0.5f, 1.0f};
    const int64_t shape[1] = {4};
    pare_scheme s = int_scheme(1, true, PARE_PER_TENSOR, 0, 0);
    pare_qtensor *q = NULL;
    pare_err err = {0};
    int8_t codes[4];
    assert_ok(pare_quantize(NULL, x, PARE_F32, 1, shape, &s, &q, &err), &err);
    pare_qtensor_signed_codes(q, codes);
    assert_true(q->scales[0] == 2.0f);
    assert_true(codes[0] == -1 && codes[1] == -1 && codes[2] == 0 && codes[3] == 0);
    pare_qtensor_free(q);
}

/* bf16 scales: 1.453125 / 127 rounds so that a quotient in bf16 would be 127.5; the code stays 127 (lessons, D1). */
static void test_defect_one_is_fixed(void **state)
{
    (void)state;
    pare_scheme s = int_scheme(8, true, PARE_PER_CHANNEL, 0, 0);
    s.scale_dtype = PARE_BF16;
    for (int m = 0; m < 128; m++) {
        const float x = 1.0f + (float)m / 128.0f;
        const int64_t shape[2] = {1, 1};
        pare_qtensor *q = NULL;
        pare_err err = {0};
        float y;
        assert_ok(pare_quantize(NULL, &x, PARE_F32, 2, shape, &s, &q, &err), &err);
        assert_ok(pare_dequantize(q, &y, &err), &err);
        assert_true(q->codes[0] >= 254 && fabsf(y - x) <= 0.005f * x);
        pare_qtensor_free(q);
    }
}

/* --------------------------------------------------------------------------------------------------------------- refusals */

static void test_refusals(void **state)
{
    (void)state;
    static const float bad[5] = {1, NAN, INFINITY, -INFINITY, 2};
    const int64_t shape[1] = {5};
    pare_scheme s = int_scheme(4, true, PARE_PER_TENSOR, 0, 0);
    pare_qtensor *q = (pare_qtensor *)&s;
    pare_err err = {0};
    assert_int_equal(pare_quantize(NULL, bad, PARE_F32, 1, shape, &s, &q, &err), PARE_ERR_DATA);
    assert_null(q);
    assert_non_null(strstr(err.text, "3 of 5"));
    static const float x[5] = {1, 2, 3, 4, 5};
    static const float wrong_scales[] = {0.0f, NAN, INFINITY};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pare_quantize_with(NULL, x, PARE_F32, 1, shape, &s, &wrong_scales[i], NULL, &q, &err), PARE_ERR_USAGE);
    const float scale = 1.0f;
    const int32_t zero = 3, far = 16;
    assert_int_equal(pare_quantize_with(NULL, x, PARE_F32, 1, shape, &s, &scale, &zero, &q, &err), PARE_ERR_USAGE);
    s.symmetric = false;
    assert_int_equal(pare_quantize_with(NULL, x, PARE_F32, 1, shape, &s, &scale, &far, &q, &err), PARE_ERR_USAGE);
    assert_ok(pare_quantize_with(NULL, x, PARE_F32, 1, shape, &s, &scale, &zero, &q, &err), &err);
    pare_qtensor_free(q);
    assert_int_equal(pare_quantize(NULL, x, PARE_I8, 1, shape, &s, &q, &err), PARE_ERR_USAGE);
    assert_int_equal(pare_quantize(NULL, x, PARE_DTYPE_NONE, 1, shape, &s, &q, &err), PARE_ERR_USAGE);
    s.kind = (pare_code_kind)9;
    assert_int_equal(pare_quantize(NULL, x, PARE_F32, 1, shape, &s, &q, &err), PARE_ERR_USAGE);
}

static void test_negative_scales(void **state) /* AutoRound writes them */
{
    (void)state;
    static const float x[3] = {1, -2, 3};
    const int64_t shape[1] = {3};
    const float scale = -0.5f;
    pare_scheme s = int_scheme(4, true, PARE_PER_TENSOR, 0, 0);
    pare_qtensor *q = NULL;
    pare_err err = {0};
    float y[3];
    assert_ok(pare_quantize_with(NULL, x, PARE_F32, 1, shape, &s, &scale, NULL, &q, &err), &err);
    assert_ok(pare_dequantize(q, y, &err), &err);
    for (int i = 0; i < 3; i++) assert_true(y[i] == x[i]);
    pare_qtensor_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_properties),      cmocka_unit_test(test_properties_clip), cmocka_unit_test(test_clip_never_worse),
        cmocka_unit_test(test_clip_near_best),  cmocka_unit_test(test_degenerate),      cmocka_unit_test(test_zero_block),
        cmocka_unit_test(test_one_bit),         cmocka_unit_test(test_defect_one_is_fixed), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_negative_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
