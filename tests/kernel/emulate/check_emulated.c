/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The op checks over x86/<file>_avx512.c built against SIMDe (immintrin.h here), so that they run on any x86-64: a table of the reference
 * with these variants put over it. The linker takes the emulated functions for the library's own of the same name.
 */
#include "kernel_check.h"
#include "kernel/variants.h"

static pare_kernels table;

static void check_all(void **state)
{
    const char *only = getenv("PARE_CHECK_OP");
    int n = 0;
    (void)state;
    table = *pare_kernels_get("ref");
    table.isa = "avx512, emulated";
    enum { IS_avx2, IS_avx512, IS_amx };
#define PARE_VARIANT(op, level)                  \
    if (IS_##level == IS_avx512) {               \
        table.op = pare_##op##_avx512;           \
        table.op##_variant = "x86/" #op "_avx512"; \
    }
#include "kernel/variants.def"
#undef PARE_VARIANT
#define PARE_VARIANT(op, level)                                                         \
    if (IS_##level == IS_avx512 && !(only && strcmp(only, #op) != 0)) {                 \
        print_message("  %s\n", table.op##_variant);                                    \
        check_##op(pare_kernels_get("ref"), &table);                                    \
        n++;                                                                            \
    }
#include "kernel/variants.def"
#undef PARE_VARIANT
    if (!only) assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(check_all) };
    return cmocka_run_group_tests_name("emulated", tests, NULL, NULL);
}
