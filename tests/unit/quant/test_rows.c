/* SPDX-License-Identifier: Apache-2.0 */
/* The streaming form equals the whole-tensor form bit for bit, at every ISA level and for every number of threads. */
#include "quant_support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 5, COLS = 203, MAX_GROUPS = COLS };

typedef struct input { pare_dtype dtype; uint8_t bytes[ROWS * COLS * 8]; float values[ROWS * COLS]; } input;

static void make_input(input *in, pare_dtype dtype, fill kind)
{
    float raw[ROWS * COLS];
    pare_err err = {0};
    fill_values(raw, ROWS * COLS, kind, 11);
    in->dtype = dtype;
    assert_ok(pare_convert(in->bytes, dtype, raw, PARE_F32, ROWS * COLS, true, &err), &err);
    assert_ok(pare_convert(in->values, PARE_F32, in->bytes, dtype, ROWS * COLS, true, &err), &err);
}

typedef struct result { uint8_t codes[ROWS * COLS]; float scales[ROWS * MAX_GROUPS]; int32_t zeros[ROWS * MAX_GROUPS]; pare_rows_out out; } result;

static void run_rows(const char *isa, const pare_scheme *s, const void *data, pare_dtype dtype, result *r)
{
    const pare_quantizer *how = pare_quantizer_for(s);
    const pare_rows_in in = {.data = data, .dtype = dtype, .rows = ROWS, .cols = COLS};
    void *scratch = pare_alloc_aligned(64, how->scratch(s, COLS));
    pare_err err = {0};
    memset(r, 0, sizeof *r);
    r->out = (pare_rows_out){.codes = r->codes, .scales = r->scales, .zeros = r->zeros};
    assert_non_null(scratch);
    assert_ok(how->rows(pare_kernels_get(isa), s, &in, scratch, &r->out, &err), &err);
    pare_dealloc_aligned(scratch);
}

static void same_as_whole(const result *r, const pare_qtensor *q)
{
    assert_memory_equal(r->codes, q->codes, ROWS * COLS);
    assert_memory_equal(r->scales, q->scales, (size_t)q->grid.n_scales * sizeof(float));
    if (q->zeros != NULL) assert_memory_equal(r->zeros, q->zeros, (size_t)q->grid.n_scales * sizeof(int32_t));
}

static void same_error(const result *r, const float *x, const pare_qtensor *q)
{
    float y[ROWS * COLS];
    pare_err err = {0};
    pare_error e, mine;
    assert_ok(pare_dequantize(q, y, &err), &err);
    pare_measure(x, y, ROWS * COLS, &e);
    pare_error_finish(&r->out.error, ROWS * COLS, &mine);
    assert_true(fabs(mine.mse - e.mse) <= 1e-9 * e.mse);
    assert_true(mine.max_abs == e.max_abs);
    assert_true(fabs(mine.cosine - e.cosine) <= 1e-9);
    assert_true(fabs(mine.mean_abs - e.mean_abs) <= 1e-9 * e.mean_abs);
    assert_int_equal(r->out.nonfinite, 0);
}

static void check_scheme(const pare_scheme *s, const input *in)
{
    const int64_t shape[2] = {ROWS, COLS};
    const char *isa[8];
    bool available[8];
    result first, r;
    pare_qtensor *q = NULL;
    pare_err err = {0};
    const int levels = pare_kernels_levels(isa, available, 8);
    assert_true(pare_scheme_row_local(s, COLS));
    assert_ok(pare_quantize(NULL, in->bytes, in->dtype, 2, shape, s, &q, &err), &err);
    assert_int_equal(q->grid.n_scales, ROWS * pare_scheme_groups_per_row(s, COLS));
    run_rows(NULL, s, in->bytes, in->dtype, &first);
    same_as_whole(&first, q);
    same_error(&first, in->values, q);
    for (int i = 0; i < levels; i++) {
        if (!available[i]) continue;
        run_rows(isa[i], s, in->bytes, in->dtype, &r);
        same_as_whole(&r, q);
        assert_memory_equal(&r.out.error, &first.out.error, sizeof r.out.error);
    }
    pare_qtensor_free(q);
}

static void each_row_local(pare_scheme s, const input *in)
{
    static const int64_t groups[] = {1, 7, 32, 64, 128, 203, 500};
    s.granularity = PARE_PER_CHANNEL;
    s.axis = 0;
    check_scheme(&s, in);
    s.granularity = PARE_PER_GROUP;
    s.axis = -1;
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        s.group_size = groups[g];
        check_scheme(&s, in);
    }
}

static void test_rows_equal_whole(void **state)
{
    static const pare_dtype dtypes[] = {PARE_BF16, PARE_F16, PARE_F32, PARE_F64, PARE_F8_E4M3FN};
    static input in;
    (void)state;
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
        for (int kind = 0; kind < FILL_COUNT; kind += 2) {
            make_input(&in, dtypes[d], (fill)kind);
            for (int bits = 1; bits <= 8; bits++)
                for (int mode = 0; mode < 4; mode++) {
                    pare_scheme s = int_scheme(bits, mode & 1, PARE_PER_CHANNEL, 0, 0);
                    s.clip = mode & 2 ? PARE_CLIP_MSE : PARE_CLIP_NONE;
                    s.scale_dtype = (mode & 1) ? PARE_BF16 : PARE_F16;
                    each_row_local(s, &in);
                }
        }
}

static void test_float8_and_course_rows(void **state)
{
    static input in;
    pare_scheme s;
    pare_err err = {0};
    (void)state;
    make_input(&in, PARE_BF16, FILL_NORMAL);
    assert_ok(pare_scheme_parse("FP8_DYNAMIC", &s, &err), &err);
    each_row_local(s, &in);
    s.code_dtype = PARE_F8_E5M2;
    s.scale_dtype = PARE_BF16;
    each_row_local(s, &in);
    for (int mode = 0; mode < 4; mode++) {
        s = int_scheme(mode & 2 ? 4 : 8, mode & 1, PARE_PER_CHANNEL, 0, 0);
        s.course = true;
        check_scheme(&s, &in);
    }
    s.scale_dtype = PARE_BF16;
    check_scheme(&s, &in);
}

/* Schemes that cross rows, tall enough for several pieces: same bytes whatever the threads and the level. */
static void test_threads_and_levels(void **state)
{
    enum { R = 300, C = 501 };
    static const char *const names[] = {"W4A16:tensor", "W8A16:tensor:asym", "W4A16:channel:axis1", "W3A16_ASYM:64x48", "W4A16:g96", "W2A16_ASYM:g33:axis0", "FP8_WEIGHT:tensor",
                                        "FP8_WEIGHT:128x128"};
    const int64_t shape[2] = {R, C};
    float *x = pare_alloc(sizeof *x * R * C);
    const char *isa[8];
    bool available[8];
    const int levels = pare_kernels_levels(isa, available, 8);
    static const int threads[] = {1, 2, 7};
    (void)state;
    assert_non_null(x);
    fill_values(x, R * C, FILL_OUTLIERS, 77);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int clip = 0; clip <= 1; clip++) {
            pare_scheme s;
            pare_err err = {0};
            pare_qtensor *want = NULL, *q = NULL;
            assert_ok(pare_scheme_parse(names[i], &s, &err), &err);
            s.clip = clip && s.kind == PARE_CODE_INT ? PARE_CLIP_MSE : PARE_CLIP_NONE;
            assert_ok(pare_quantize(NULL, x, PARE_F32, 2, shape, &s, &want, &err), &err);
            for (int l = 0; l < levels; l++)
                for (size_t t = 0; t < 3 && available[l]; t++) {
                    pare_ctx *ctx = new_ctx(threads[t], isa[l]);
                    assert_ok(pare_quantize(ctx, x, PARE_F32, 2, shape, &s, &q, &err), &err);
                    assert_same_qtensor(want, q);
                    pare_qtensor_free(q);
                    pare_ctx_free(ctx);
                }
            pare_qtensor_free(want);
        }
    pare_dealloc(x);
}

/* NaN and Inf are counted, the rest of the row keeps sense, other rows are untouched. */
static void test_nonfinite_rows(void **state)
{
    static input in;
    static result clean, r;
    (void)state;
    static const pare_dtype dtypes[] = {PARE_BF16, PARE_F16, PARE_F32};
    for (size_t d = 0; d < 3; d++)
        for (int mode = 0; mode < 5; mode++) {
            pare_scheme s = int_scheme(4, mode & 1, PARE_PER_GROUP, -1, 64);
            s.clip = mode & 2 ? PARE_CLIP_MSE : PARE_CLIP_NONE;
            if (mode == 4) {
                pare_err err = {0};
                assert_ok(pare_scheme_parse("FP8_WEIGHT", &s, &err), &err);
            }
            make_input(&in, dtypes[d], FILL_NORMAL);
            run_rows(NULL, &s, in.bytes, in.dtype, &clean);
            static const float bad[3] = {NAN, INFINITY, -INFINITY};
            static const int at[3] = {2 * COLS + 5, 2 * COLS + 100, 2 * COLS + 202};
            const size_t size = pare_dtype_bytes(in.dtype, 1);
            pare_err err = {0};
            for (int i = 0; i < 3; i++) assert_ok(pare_convert(in.bytes + (size_t)at[i] * size, in.dtype, &bad[i], PARE_F32, 1, false, &err), &err);
            run_rows(NULL, &s, in.bytes, in.dtype, &r);
            assert_int_equal(r.out.nonfinite, 3);
            assert_true(isfinite(r.out.error.signal) && isfinite(r.out.error.noise));
            assert_memory_equal(r.codes, clean.codes, 2 * COLS);
            assert_memory_equal(r.codes + 3 * COLS, clean.codes + 3 * COLS, 2 * COLS);
            for (int g = 0; g < ROWS * pare_scheme_groups_per_row(&s, COLS); g++) assert_true(isfinite(r.scales[g]) && r.scales[g] > 0);
        }
}

static void test_no_zeros_wanted(void **state)
{
    static input in;
    static result r;
    const pare_scheme s = int_scheme(4, true, PARE_PER_GROUP, -1, 32);
    (void)state;
    make_input(&in, PARE_BF16, FILL_NORMAL);
    const pare_quantizer *how = pare_quantizer_for(&s);
    const pare_rows_in rows = {.data = in.bytes, .dtype = PARE_BF16, .rows = ROWS, .cols = COLS};
    void *scratch = pare_alloc_aligned(64, how->scratch(&s, COLS));
    pare_err err = {0};
    result want;
    run_rows(NULL, &s, in.bytes, PARE_BF16, &want);
    r.out = (pare_rows_out){.codes = r.codes, .scales = r.scales, .zeros = NULL};
    assert_ok(how->rows(pare_kernels_get(NULL), &s, &rows, scratch, &r.out, &err), &err);
    assert_memory_equal(r.codes, want.codes, sizeof r.codes);
    pare_dealloc_aligned(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_equal_whole), cmocka_unit_test(test_float8_and_course_rows), cmocka_unit_test(test_threads_and_levels),
        cmocka_unit_test(test_nonfinite_rows),   cmocka_unit_test(test_no_zeros_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
