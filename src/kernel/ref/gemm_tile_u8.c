/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/ref/gemm_tile_ints.h"

static inline int32_t dot(uint32_t w, uint32_t x)
{
    return (uint8_t)w * (int8_t)x + (uint8_t)(w >> 8) * (int8_t)(x >> 8) + (uint8_t)(w >> 16) * (int8_t)(x >> 16) +
           (uint8_t)(w >> 24) * (int8_t)(x >> 24);
}

PARE_GEMM_INT_TILE(gemm_tile_u8, dot)
