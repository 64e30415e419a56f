/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "kernel/level.h"

void PARE_REF(gemm_interleave)(const uint8_t *rows, int64_t stride, int64_t words, uint32_t *out)
{
    for (int64_t i = 0; i < words; i++)
        for (int t = 0; t < PARE_GEMM_TOKENS; t++) memcpy(&out[i * PARE_GEMM_TOKENS + t], rows + t * stride + i * 4, 4);
}
