/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"

void PARE_REF(gemm_transpose)(const uint32_t *rows, int64_t stride, int64_t words, uint32_t *panel)
{
    for (int64_t i = 0; i < words; i++)
        for (int r = 0; r < PARE_GEMM_PANEL; r++) panel[i * PARE_GEMM_PANEL + r] = rows[r * stride + i];
}
