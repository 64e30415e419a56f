/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"

void PARE_REF(gemm_center)(uint32_t *panel, int64_t words, const int8_t *zero)
{
    uint8_t *bytes = (uint8_t *)panel, off[PARE_GEMM_PANEL * 4];
    for (int i = 0; i < PARE_GEMM_PANEL * 4; i++) off[i] = (uint8_t)zero[i / 4];
    for (int64_t w = 0; w < words; w++, bytes += PARE_GEMM_PANEL * 4)
        for (int i = 0; i < PARE_GEMM_PANEL * 4; i++) bytes[i] = (uint8_t)(bytes[i] - off[i]);
}
