/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm_check.h"

void check_gemm_tile_u8(const pare_kernels *ref, const pare_kernels *k)
{
    static const int bits[] = { 2, 3, 4, 8 };
    (void)ref;
    for (int i = 0; i < 4; i++)
        if (k->gemm_form(bits[i]) == PARE_GEMM_U8) check_gemm_integers(k, k->gemm_tile_u8, PARE_GEMM_U8, bits[i]);
}
