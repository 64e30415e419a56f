/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounding by column gives the quantizer's own codes, scales, zero points and values, block by block; importance weighs the search.
 */
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "quant_support.h"

enum { ROWS = 37, COLS = 200 };
static float x[ROWS * COLS], y[ROWS * COLS];

/* Quantizes x by columns under the scheme and compares with pare_quantize(). */
static void compare(const pare_scheme *scheme, const char *isa)
{
    pare_err err = {0};
    pare_qtensor *q = NULL;
    const int64_t shape[2] = {ROWS, COLS};
    pare_ctx *ctx = new_ctx(1, isa);
    assert_ok(pare_quantize(ctx, x, PARE_F32, 2, shape, scheme, &q, &err), &err);
    assert_ok(pare_dequantize(q, y, &err), &err);
    const int64_t group = q->grid.block[1], groups = q->grid.blocks[1];
    void *scratch = pare_alloc_aligned(64, pare_rounder_scratch(&q->scheme, group) + 64);
    const pare_rounder r = {.k = ctx->kernels, .scheme = &q->scheme, .global = q->global_scale, .scratch = scratch};
    for (int64_t g = 0; g < groups; g++) {
        float scale[ROWS], zero[ROWS], column[ROWS], value[ROWS];
        uint8_t code[ROWS];
        const int64_t n = COLS - g * group < group ? COLS - g * group : group;
        assert_ok(pare_rounder_find(&r, x + g * group, ROWS, COLS, n, NULL, scale, zero, &err), &err);
        for (int64_t i = 0; i < ROWS; i++) {
            assert_memory_equal(&scale[i], &q->scales[i * groups + g], 4);
            if (q->zeros != NULL && !scheme->symmetric && !scheme->float_zero) assert_int_equal((int)zero[i], q->zeros[i * groups + g]);
            if (q->fzeros != NULL) assert_memory_equal(&zero[i], &q->fzeros[i * groups + g], 4);
        }
        for (int64_t c = g * group; c < g * group + n; c++) {
            for (int64_t i = 0; i < ROWS; i++) column[i] = x[i * COLS + c];
            pare_rounder_round(&r, ROWS, column, scale, zero, code, value);
            for (int64_t i = 0; i < ROWS; i++) {
                assert_int_equal(code[i], q->codes[i * COLS + c]);
                assert_memory_equal(&value[i], &y[i * COLS + c], 4);
            }
        }
    }
    pare_dealloc_aligned(scratch);
    pare_qtensor_free(q);
    pare_ctx_free(ctx);
}

static void same_as_the_quantizer(void **state)
{
    static const char *const names[] = {"W8A16", "W4A16", "W4A16:g64", "W3A16:g32", "W2A16_ASYM:g64", "W4A16_ASYM", "W1A16_ASYM:g16", "W4A16:channel",
                                        "W8A16_ASYM", "W6A16:g48", "FP8_DYNAMIC", "FP8_WEIGHT:g32", "FP8_WEIGHT:f8_e5m2", "NF4:g40", "FP4:g100", "MXFP4:g20",
                                        "NVFP4:g10", "MXFP8:g25", "NF4:channel", "W4A16_ASYM:g50:fzero", "W2A16_ASYM:fzero:g40", "W8A16_ASYM:fzero"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int clip = 0; clip < 2; clip++)
            for (int kind = 0; kind < FILL_COUNT; kind++) {
                pare_scheme s;
                pare_err err = {0};
                assert_ok(pare_scheme_parse(names[i], &s, &err), &err);
                if (clip && s.bits == 8 && s.kind == PARE_CODE_FLOAT) continue;
                s.clip = clip ? PARE_CLIP_MSE : PARE_CLIP_NONE;
                if (s.scale_dtype == PARE_DTYPE_NONE) s.scale_dtype = i & 1 ? PARE_F16 : PARE_F32;
                fill_values(x, ROWS * COLS, (fill)kind, 7 + i);
                compare(&s, i & 2 ? NULL : "ref");
            }
}

/* A search that weighs columns by importance has less weighted error than one that does not. */
static void importance_pays(void **state)
{
    pare_scheme s = int_scheme(3, true, PARE_PER_GROUP, -1, COLS);
    pare_err err = {0};
    float weight[COLS], scale[2][ROWS], zero[2][ROWS];
    double error[2] = {0};
    (void)state;
    s.clip = PARE_CLIP_MSE;
    fill_values(x, ROWS * COLS, FILL_NORMAL, 3);
    for (int c = 0; c < COLS; c++) weight[c] = c % 11 == 0 ? 100.0f : 0.01f;
    pare_ctx *ctx = new_ctx(1, NULL);
    void *scratch = pare_alloc_aligned(64, pare_rounder_scratch(&s, COLS) + 64);
    const pare_rounder r = {.k = ctx->kernels, .scheme = &s, .global = 1.0f, .scratch = scratch};
    for (int w = 0; w < 2; w++) {
        assert_ok(pare_rounder_find(&r, x, ROWS, COLS, COLS, w ? weight : NULL, scale[w], zero[w], &err), &err);
        for (int c = 0; c < COLS; c++) {
            float column[ROWS], value[ROWS];
            uint8_t code[ROWS];
            for (int i = 0; i < ROWS; i++) column[i] = x[i * COLS + c];
            pare_rounder_round(&r, ROWS, column, scale[w], zero[w], code, value);
            for (int i = 0; i < ROWS; i++) error[w] += (double)weight[c] * (value[i] - column[i]) * (value[i] - column[i]);
        }
    }
    assert_true(error[1] < 0.9 * error[0]);
    pare_dealloc_aligned(scratch);
    pare_ctx_free(ctx);
}

static void course_is_refused(void **state)
{
    pare_scheme s = int_scheme(8, true, PARE_PER_CHANNEL, 0, 0);
    pare_err err = {0};
    float scale, zero;
    (void)state;
    s.course = true;
    const pare_rounder r = {.k = pare_kernels_get(NULL), .scheme = &s, .global = 1.0f};
    assert_int_equal(pare_rounder_find(&r, x, 1, COLS, COLS, NULL, &scale, &zero, &err), PARE_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_the_quantizer), cmocka_unit_test(importance_pays), cmocka_unit_test(course_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
