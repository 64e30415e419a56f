/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks are plausible numbers: positive, of the right order to one another; a failing allocation is an error. */
#include "graph/roof.h"
#include "support/support.h"

static void test_figures(void **unused)
{
    (void)unused;
    const char *names[8];
    bool here[8];
    const int levels = pare_kernels_levels(names, here, 8);
    for (int i = 0; i < levels; i++) {
        if (!here[i]) continue;
        pare_err err;
        pare_ctx *ctx = NULL;
        pare_roof roof;
        assert_ok(pare_ctx_new(&(pare_ctx_options){ .isa = names[i], .threads = 2 }, &ctx, &err));
        assert_ok(pare_roof_measure(ctx, 0.05, (size_t)3 << 20, &roof, &err));
        assert_int_equal(roof.threads, 2);
        for (int all = 0; all < 2; all++) {
            assert_true(roof.read[all] > 1e7);
            assert_true(roof.ops[PARE_ROOF_F32][all] > 1e7 && roof.ops[PARE_ROOF_I8][all] > 1e7);
            float sink = 1;
            assert_true((roof.ops[PARE_ROOF_I8_TILE][all] > 0) == (strcmp(names[i], "amx") == 0));
            assert_true((roof.ops[PARE_ROOF_BF16_TILE][all] > 0) == (strcmp(names[i], "amx") == 0));
            assert_true((roof.ops[PARE_ROOF_BF16][all] > 0) == (pare_kernels_get(names[i])->roof_bf16(1, &sink) > 0));
        }
        pare_ctx_free(ctx);
    }
}

static pare_status measure(void *unused)
{
    (void)unused;
    pare_err err;
    pare_ctx *ctx = NULL;
    pare_roof roof;
    pare_status st = pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx, &err);
    if (st == PARE_OK) st = pare_roof_measure(ctx, 0.001, 1 << 20, &roof, &err);
    pare_ctx_free(ctx);
    return st;
}

static void test_memory(void **unused)
{
    (void)unused;
    assert_true(test_every_allocation(measure, NULL) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_figures), cmocka_unit_test(test_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
