/* SPDX-License-Identifier: Apache-2.0 */
/* Stored scales from largest magnitudes: one division, one rounding to the scale's dtype, limits. */
#include "kernel/level.h"
#include "num/num_inl.h"

static inline float as_f32(float s) { return s; }
static inline float as_f16(float s) { return pare_f16_to_f32_inl(pare_f32_to_f16_inl(s)); }
static inline float as_bf16(float s) { return pare_bf16_to_f32_inl(pare_f32_to_bf16_inl(s)); }

#define EACH(ROUND)                                              \
    for (int64_t i = 0; i < n; i++) {                            \
        float s = ROUND(absmax[i] / divisor);                    \
        s = s > smallest ? s : smallest;                         \
        s = s < largest ? s : largest;                           \
        scale[i] = absmax[i] == 0.0f ? 1.0f : s;                 \
    }

void PARE_REF(scales_of_absmax)(const float *absmax, int64_t n, float divisor, pare_dtype dtype, float smallest, float largest, float *scale)
{
    if (dtype == PARE_F16) {
        EACH(as_f16)
    } else if (dtype == PARE_BF16) {
        EACH(as_bf16)
    } else {
        EACH(as_f32)
    }
}
