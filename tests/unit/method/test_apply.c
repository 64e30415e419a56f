/* SPDX-License-Identifier: Apache-2.0 */
/* pare_method_apply: the same codes as the quantizer, whichever way it goes; NaN is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "method/method.h"

static void same_as_quantizer(const char *scheme_name, int threads)
{
    enum { ROWS = 700, COLS = 384 };
    const int64_t shape[2] = { ROWS, COLS };
    const pare_ctx_options co = { .threads = threads };
    pare_err err = { 0 };
    pare_ctx *ctx;
    pare_scheme s;
    pare_qtensor *want;
    pare_layer_result r;
    float *w = pare_alloc((size_t)ROWS * COLS * sizeof *w);
    for (int64_t i = 0; i < ROWS * COLS; i++) w[i] = (float)pare_rng_normal(pare_rng_key(7, "apply"), (uint64_t)i);
    assert_int_equal(pare_ctx_new(&co, &ctx, &err), PARE_OK);
    assert_int_equal(pare_scheme_parse(scheme_name, &s, &err), PARE_OK);
    if (s.scale_dtype == PARE_DTYPE_NONE) s.scale_dtype = PARE_F16;
    assert_int_equal(pare_quantize(ctx, w, PARE_F32, 2, shape, &s, &want, &err), PARE_OK);
    const pare_layer_job job = { .name = "layer", .scheme = &s, .rows = ROWS, .cols = COLS, .w = w };
    assert_int_equal(pare_method_apply(ctx, pare_method_find("rtn"), &job, &r, &err), PARE_OK);
    assert_true(isnan(r.loss));
    assert_int_equal(r.q->grid.n_scales, want->grid.n_scales);
    assert_memory_equal(r.q->codes, want->codes, ROWS * COLS);
    assert_memory_equal(r.q->scales, want->scales, (size_t)want->grid.n_scales * sizeof(float));
    if (want->zeros) assert_memory_equal(r.q->zeros, want->zeros, (size_t)want->grid.n_scales * sizeof(int32_t));
    pare_qtensor_free(r.q);
    pare_qtensor_free(want);
    pare_ctx_free(ctx);
    pare_dealloc(w);
}

static void test_same(void **state)
{
    (void)state;
    same_as_quantizer("W4A16:g64", 1);
    same_as_quantizer("W4A16_ASYM:g96", 3);
    same_as_quantizer("W8A16", 2);
    same_as_quantizer("W8A16:tensor", 2);
    same_as_quantizer("FP8_WEIGHT", 2);
}

static void test_nonfinite(void **state)
{
    (void)state;
    float w[64] = { 1, 2, 3 };
    pare_err err = { 0 };
    pare_ctx *ctx;
    pare_scheme s;
    pare_layer_result r;
    w[17] = NAN;
    assert_int_equal(pare_ctx_new(NULL, &ctx, &err), PARE_OK);
    assert_int_equal(pare_scheme_parse("W4A16:g16", &s, &err), PARE_OK);
    s.scale_dtype = PARE_F16;
    const pare_layer_job job = { .name = "h.3.w", .scheme = &s, .rows = 2, .cols = 32, .w = w };
    assert_int_equal(pare_method_apply(ctx, pare_method_find("rtn"), &job, &r, &err), PARE_ERR_DATA);
    assert_non_null(strstr(err.text, "h.3.w"));
    assert_non_null(strstr(err.text, "1 value"));
    assert_null(r.q);
    pare_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_same), cmocka_unit_test(test_nonfinite) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
