/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"

int64_t PARE_REF(roof_i8)(int64_t rounds, int32_t *sink)
{
    enum { LANES = 128 };
    uint8_t w[LANES];
    int8_t x[LANES];
    uint32_t sum = (uint32_t)*sink;
    for (int i = 0; i < LANES; i++) w[i] = (uint8_t)(i * 7 + *sink), x[i] = (int8_t)(i * 5 - *sink);
    for (int64_t r = 0; r < rounds; r++) {
        for (int i = 0; i < LANES; i++) sum += (uint32_t)(w[i] * x[i]);
        w[r % LANES]++;
    }
    *sink = (int32_t)sum;
    return rounds * LANES * 2;
}
