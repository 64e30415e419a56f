/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm_check.h"

void check_gemm_tile_i16(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    check_gemm_integers(k, k->gemm_tile_i16, PARE_GEMM_I16, 8);
}
