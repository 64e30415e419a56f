/* SPDX-License-Identifier: Apache-2.0 */
/* f32 to f16, nearest even, overflow to inf, NaN kept quiet: the bits that VCVTPS2PH gives. */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(f32_to_f16)(uint16_t *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++) dst[i] = pare_f32_to_f16_inl(src[i]);
}
