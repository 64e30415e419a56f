/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codes and values of one column, a scale and a zero point a row: the inner loop of methods that feed errors on. The codes of quant_row, with
 * zero points as floats: u = clamp(rne(x / scale) + zero), value = (u - zero) * scale.
 */
#include "kernel/level.h"
#include "kernel/ref/rows.h"

void PARE_REF(round_column)(int64_t n, const float *restrict x, const float *restrict scale, const float *restrict zero, int umin, int umax,
                            uint8_t *restrict code, float *restrict value)
{
    const float least = (float)umin, most = (float)umax;
    for (int64_t i = 0; i < n; i++) {
        const float z = zero[i], s = scale[i], lo = least - z, hi = most - z;
        const float usable = pare_scale_usable(s) ? 1.0f : 0.0f;
        float t = x[i] / s;
        t = t > lo ? t : lo;
        t = t < hi ? t : hi;
        float r = (t + PARE_RNE_MAGIC) - PARE_RNE_MAGIC;
        const float stay = 0.0f > lo ? 0.0f : lo, at_zero = stay < hi ? stay : hi; /* clamp(zero) - zero */
        r = usable != 0.0f ? r : at_zero;
        code[i] = (uint8_t)(int32_t)(r + z);
        value[i] = (r + 0.0f) * s; /* -0 counts as 0, as in dequant_row */
    }
}
