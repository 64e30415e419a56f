/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"

int64_t PARE_REF(roof_f32)(int64_t rounds, float *sink)
{
    enum { LANES = 64 };
    float sum[LANES], a[LANES];
    for (int i = 0; i < LANES; i++) sum[i] = *sink, a[i] = 1.0f + 1e-7f * (float)i;
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < LANES; i++) sum[i] = sum[i] * a[i] + 1e-9f;
    for (int i = 0; i < LANES; i++) *sink += sum[i];
    return rounds * LANES * 2;
}
