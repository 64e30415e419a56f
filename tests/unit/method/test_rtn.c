/* SPDX-License-Identifier: Apache-2.0 */
/* The method registry and round-to-nearest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "method/method.h"

static void test_registry(void **state)
{
    (void)state;
    const pare_method *m = pare_method_find("rtn");
    assert_non_null(m);
    assert_ptr_equal(pare_methods()[0], m);
    assert_null(pare_method_find("no such method"));
    for (size_t i = 0; pare_methods()[i] != NULL; i++) {
        assert_ptr_equal(pare_method_find(pare_methods()[i]->name), pare_methods()[i]);
        assert_true(strlen(pare_methods()[i]->help) > 5);
    }
}

static void test_prepare(void **state)
{
    (void)state;
    const pare_method *m = pare_method_find("rtn");
    pare_params p;
    pare_err err = {0};
    pare_scheme s;
    assert_int_equal(pare_params_init(&p, m->options, &err), PARE_OK);
    pare_scheme_init(&s);
    assert_int_equal(m->prepare(&p, &s, &err), PARE_OK);
    assert_int_equal(s.clip, PARE_CLIP_NONE);
    assert_int_equal(pare_params_set(&p, "clip", "mse", "rtn", &err), PARE_OK);
    assert_int_equal(m->prepare(&p, &s, &err), PARE_OK);
    assert_int_equal(s.clip, PARE_CLIP_MSE);
    assert_int_equal(pare_params_set(&p, "clip", "huge", "rtn", &err), PARE_ERR_USAGE);
    assert_int_equal(pare_params_set(&p, "clpi", "mse", "rtn", &err), PARE_ERR_USAGE);
    assert_int_equal(pare_scheme_parse("FP8_DYNAMIC", &s, &err), PARE_OK);
    assert_int_equal(m->prepare(&p, &s, &err), PARE_ERR_UNSUPPORTED);
    pare_params_clear(&p);
    pare_scheme_init(&s);
    s.bits = 12;
    assert_int_equal(m->prepare(NULL, &s, &err), PARE_ERR_USAGE);
}

static void test_rows(void **state)
{
    (void)state;
    const pare_method *m = pare_method_find("rtn");
    const float x[6] = {1, -2, 7.5f, 0, 3.75f, -7.5f};
    const pare_rows_in in = {.data = x, .dtype = PARE_F32, .rows = 2, .cols = 3};
    uint8_t codes[6];
    float scales[2];
    int32_t zeros[2];
    pare_rows_out out = {.codes = codes, .scales = scales, .zeros = zeros};
    pare_scheme s;
    pare_err err = {0};
    assert_int_equal(pare_scheme_parse("W4A16:channel", &s, &err), PARE_OK);
    void *scratch = pare_alloc_aligned(64, m->scratch(&s, 3));
    assert_non_null(scratch);
    assert_int_equal(m->rows(pare_kernels_get(NULL), &s, &in, scratch, &out, &err), PARE_OK);
    static const uint8_t want[6] = {9, 6, 15, 8, 12, 0};
    assert_memory_equal(codes, want, 6);
    assert_true(scales[0] == 1.0f && scales[1] == 1.0f && zeros[0] == 8);
    assert_true(out.error.noise == 0.25 + 0.0625 + 0.25);
    pare_dealloc_aligned(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_registry), cmocka_unit_test(test_prepare), cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
