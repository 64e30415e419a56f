/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every op's check at every level that runs here. The table below does not link when an op of ops.def has no check_<op>. */
#include "kernel_check.h"

static const struct {
    const char *name;
    void (*check)(const pare_kernels *ref, const pare_kernels *k);
    size_t variant; /* offset of the variant's name in the table */
} ops[] = {
#define PARE_OP(name, ret, args) { #name, check_##name, offsetof(pare_kernels, name##_variant) },
#include "kernel/ops.def"
#undef PARE_OP
};
enum { OPS = sizeof ops / sizeof ops[0] };

static void check_level(void **state)
{
    const char *isa = *state;
    const pare_kernels *k = pare_kernels_get(isa), *ref = pare_kernels_get("ref");
    if (!k) {
        print_message("level %s does not run on this CPU: %d ops skipped\n", isa, (int)OPS);
        skip();
    }
    assert_string_equal(k->isa, isa);
    const char *only = getenv("PARE_CHECK_OP");
    for (int i = 0; i < OPS; i++) {
        if (only && strcmp(only, ops[i].name) != 0) continue;
        print_message("  %-22s %s\n", ops[i].name, *(const char *const *)((const char *)k + ops[i].variant));
        ops[i].check(ref, k);
    }
}

static void test_dispatch(void **state)
{
    (void)state;
    const char *names[8];
    bool here[8];
    const int n = pare_kernels_levels(names, here, 8);
    assert_true(n >= 1 && here[0]);
    assert_string_equal(names[0], "ref");
    assert_null(pare_kernels_get("no-such-level"));
    const pare_kernels *best = pare_kernels_get(NULL);
    for (int i = 0; i < n; i++)
        if (here[i]) assert_ptr_equal(pare_kernels_get(names[i]), i == n - 1 || !here[i + 1] ? best : pare_kernels_get(names[i]));
        else assert_null(pare_kernels_get(names[i]));

    pare_err err;
    pare_ctx *ctx = NULL;
    assert_error(pare_ctx_new(&(pare_ctx_options){ .isa = "mmx" }, &ctx, &err), PARE_ERR_USAGE, "'mmx': no such kernel level");
    assert_non_null(strstr(err.hint, "ref"));
    assert_null(ctx);
    assert_ok(pare_ctx_new(&(pare_ctx_options){ .isa = "ref", .threads = 1 }, &ctx, &err));
    assert_string_equal(pare_ctx_isa(ctx), "ref");
    pare_ctx_free(ctx);
    assert_ok(pare_ctx_new(NULL, &ctx, &err));
    assert_string_equal(pare_ctx_isa(ctx), best->isa);
    pare_ctx_free(ctx);
    pare_ctx_free(NULL);
}

int main(void)
{
    const char *names[8];
    bool here[8];
    const int n = pare_kernels_levels(names, here, 8);
    struct CMUnitTest tests[9] = { cmocka_unit_test(test_dispatch) };
    for (int i = 0; i < n; i++)
        tests[i + 1] = (struct CMUnitTest){ .name = names[i], .test_func = check_level, .initial_state = (void *)(uintptr_t)names[i] };
    return _cmocka_run_group_tests("kernel", tests, (size_t)n + 1, NULL, NULL);
}
