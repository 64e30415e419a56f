/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of a span under a float zero point. */
#include "kernel/level.h"
#include "kernel/ref/zeros.h"

void PARE_REF(quant_zero)(const float *restrict x, int64_t n, float scale, float zero, int umax, uint8_t *restrict codes)
{
    const float most = (float)umax;
    for (int64_t i = 0; i < n; i++) codes[i] = (uint8_t)(int32_t)pare_code_with_zero(x[i], scale, zero, most);
}
