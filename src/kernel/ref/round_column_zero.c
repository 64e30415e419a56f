/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and values of one column, a scale and a float zero point a row. */
#include "kernel/level.h"
#include "kernel/ref/zeros.h"

void PARE_REF(round_column_zero)(int64_t n, const float *restrict x, const float *restrict scale, const float *restrict zero, int umax,
                                 uint8_t *restrict code, float *restrict value)
{
    const float most = (float)umax;
    for (int64_t i = 0; i < n; i++) {
        const float u = pare_code_with_zero(x[i], scale[i], zero[i], most);
        code[i] = (uint8_t)(int32_t)u;
        value[i] = (u - zero[i]) * scale[i];
    }
}
