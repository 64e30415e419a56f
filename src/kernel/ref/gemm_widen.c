/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"

void PARE_REF(gemm_widen)(const uint8_t *u, int64_t n, uint8_t flip, int32_t zero, int16_t *out)
{
    const int16_t z = (int16_t)zero;
    for (int64_t i = 0; i < n; i++) out[i] = (int16_t)((uint8_t)(u[i] ^ flip) - z);
}
