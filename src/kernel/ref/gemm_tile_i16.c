/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/ref/gemm_tile_ints.h"

static inline int32_t dot(uint32_t w, uint32_t x)
{
    return (int16_t)w * (int16_t)x + (int16_t)(w >> 16) * (int16_t)(x >> 16);
}

PARE_GEMM_INT_TILE(gemm_tile_i16, dot)
