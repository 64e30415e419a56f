/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(act_int8)(const float *x, int64_t cols, int64_t block, float fixed, int8_t *q, float *scale)
{
    const float least = fixed > 0 ? -128.0f : -127.0f;
    for (int64_t c = 0; c < cols; c += block) {
        const int64_t n = cols - c < block ? cols - c : block;
        uint32_t most = 0;
        for (int64_t i = 0; i < n; i++) {
            const uint32_t a = pare_f32_bits(x[c + i]) & 0x7fffffffu;
            most = a > most ? a : most;
        }
        const bool finite = most < 0x7f800000u, zero = most < 27u << 23;
        const float s = !finite ? NAN : fixed > 0 ? fixed : zero ? 0.0f : pare_bits_f32(most) / 127.0f;
        *scale++ = s;
        if (!(s > 0.0f)) {
            memset(q + c, 0, (size_t)n);
            continue;
        }
        for (int64_t i = 0; i < n; i++) {
            float v = rintf(x[c + i] / s);
            v = v < least ? least : v;
            q[c + i] = (int8_t)(v > 127.0f ? 127.0f : v);
        }
    }
}
