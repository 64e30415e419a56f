/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm_check.h"

void check_gemm_wide_bf16(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    check_gemm_floats(k, k->gemm_wide_bf16, PARE_GEMM_WIDE_BF16);
}
