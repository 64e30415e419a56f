/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed point for exact mode. With 2^e <= max |x| < 2^(e+1) the factor is 2^(bits-2-e), so that |q| <= 2^(bits-1); for 24 bits half of
 * it where q would pass 127 * 65536 + 127 * 256 + 127, the largest number of three balanced bytes. bits 28: |q| <= 2^27, whose limb
 * q >> 14 is at most 2^13.
 */
#include <math.h>
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(act_fixed)(const float *x, int64_t cols, int bits, int32_t *q, float *scale)
{
    for (int64_t c = 0; c < cols; c += PARE_ACT_BLOCK) {
        const int64_t n = cols - c < PARE_ACT_BLOCK ? cols - c : PARE_ACT_BLOCK;
        uint32_t most = 0;
        for (int64_t i = 0; i < n; i++) {
            const uint32_t a = pare_f32_bits(x[c + i]) & 0x7fffffffu;
            most = a > most ? a : most;
        }
        const bool finite = most < 0x7f800000u;
        if (!finite || most < 27u << 23) { /* below 2^-100 the factor would leave f32; nothing of that size matters beside 1 */
            *scale++ = finite ? 0.0f : NAN;
            memset(q + c, 0, (size_t)n * sizeof *q);
            continue;
        }
        uint32_t factor = (uint32_t)(127 + bits - 2 + 127) - (most >> 23); /* exponent field of 2^(bits-2-e) */
        if (bits == 24 && rintf(pare_bits_f32(most) * pare_bits_f32(factor << 23)) > 8355711.0f) factor--;
        const float f = pare_bits_f32(factor << 23);
        *scale++ = pare_bits_f32((254u - factor) << 23);
        for (int64_t i = 0; i < n; i++) q[c + i] = (int32_t)rintf(x[c + i] * f);
    }
}
