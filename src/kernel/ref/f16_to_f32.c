/* SPDX-License-Identifier: Apache-2.0 */
/* f16 to f32, exact; NaN becomes quiet. */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(f16_to_f32)(float *dst, const uint16_t *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++) dst[i] = pare_f16_to_f32_inl(src[i]);
}
