/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm_check.h"

void check_gemm_wide_i8(const pare_kernels *ref, const pare_kernels *k)
{
    static const int bits[] = { 2, 3, 4, 8 };
    (void)ref;
    for (int i = 0; i < 4; i++) check_gemm_integers(k, k->gemm_wide_i8, PARE_GEMM_WIDE_I8, bits[i]);
}
