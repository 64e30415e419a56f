/* SPDX-License-Identifier: Apache-2.0 */
/* f32 in two bf16, as the processor rounds: to nearest even, denormals to 0 of their sign. */
#include <string.h>
#include "kernel/level.h"
#include "num/num_inl.h"

static uint32_t piece(float f)
{
    const uint32_t u = pare_f32_bits(f);
    return (u & 0x7f800000u) == 0 ? u >> 16 & 0x8000u : pare_f32_to_bf16_inl(f);
}

void PARE_REF(split_pack)(const float *x, int64_t item_stride, int64_t depth_stride, int64_t items, int64_t depth, bool pairs_first, uint32_t *out)
{
    memset(out, 0, (size_t)((depth + PARE_SPLIT_DEPTH - 1) / PARE_SPLIT_DEPTH) * 2 * PARE_SPLIT_TILE * sizeof *out);
    for (int64_t l = 0; l < depth; l++)
        for (int64_t i = 0; i < items; i++) {
            const float v = x[i * item_stride + l * depth_stride];
            const uint32_t high = piece(v), low = piece(v - pare_bits_f32(high << 16));
            const int64_t pair = l % PARE_SPLIT_DEPTH / 2, at = pairs_first ? pair * PARE_SPLIT_ITEMS + i : i * PARE_SPLIT_ITEMS + pair;
            uint32_t *to = out + l / PARE_SPLIT_DEPTH * 2 * PARE_SPLIT_TILE + at;
            to[0] |= high << 16 * (l & 1);
            to[PARE_SPLIT_TILE] |= low << 16 * (l & 1);
        }
}
