/* SPDX-License-Identifier: Apache-2.0 */
/* bf16 to f32: the 16 bits become the upper half. */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(bf16_to_f32)(float *dst, const uint16_t *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++) dst[i] = pare_bf16_to_f32_inl(src[i]);
}
