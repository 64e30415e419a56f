/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row to int8 with one scale, max |x| / 127: what an int8 cache of keys and values stores. x / scale is taken as x * (127 / max), which
 * at most moves a tie; rounding is to nearest even. Below 2^-119 that factor would be infinite: such a row has codes of 0.
 */
#include "kernel/level.h"
#include "kernel/ref/rows.h"

float PARE_REF(quant_i8_row)(int8_t *codes, const float *x, int64_t n)
{
    uint32_t most = 0; /* as bits: absolute floats sort like integers, and NaN and inf come last */
    for (int64_t i = 0; i < n; i++) {
        const uint32_t a = pare_f32_bits(x[i]) & 0x7fffffffu;
        most = a > most ? a : most;
    }
    const float scale = pare_bits_f32(most) / 127.0f;
    const float inverse = most < 0x04000000u || most >= 0x7f800000u ? 0.0f : 127.0f / pare_bits_f32(most);
    for (int64_t i = 0; i < n; i++) {
        const float r = x[i] * inverse + PARE_RNE_MAGIC;
        codes[i] = (int8_t)(uint8_t)(pare_f32_bits(r) - PARE_RNE_MAGIC_BITS);
    }
    return scale;
}
