/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm_check.h"

void check_gemm_tile_f32(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    check_gemm_floats(k, k->gemm_tile_f32, PARE_GEMM_F32);
}
