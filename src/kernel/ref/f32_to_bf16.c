/* SPDX-License-Identifier: Apache-2.0 */
/* f32 to bf16, nearest even. Not AVX512_BF16's instruction: that one flushes subnormals. */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(f32_to_bf16)(uint16_t *dst, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++) dst[i] = pare_f32_to_bf16_inl(src[i]);
}
