/* SPDX-License-Identifier: Apache-2.0 */
/* Every number of bits has a form, and it is one that holds the codes. */
#include "kernel_check.h"

void check_gemm_form(const pare_kernels *ref, const pare_kernels *k)
{
    static const int bits[] = { 2, 3, 4, 8 };
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ref->gemm_form(bits[i]), PARE_GEMM_U8);
        const pare_gemm_form form = k->gemm_form(bits[i]);
        assert_true(form == PARE_GEMM_U8 || form == PARE_GEMM_I16 || form == PARE_GEMM_WIDE_I8);
    }
    assert_true(k->gemm_form(16) == PARE_GEMM_F32 || k->gemm_form(16) == PARE_GEMM_BF16 || k->gemm_form(16) == PARE_GEMM_WIDE_BF16);
    assert_true(k->gemm_form(32) == PARE_GEMM_F32 || k->gemm_form(32) == PARE_GEMM_SPLIT);
}
