/* SPDX-License-Identifier: Apache-2.0 */
/* Extremes of a span, not widened to 0. */
#include "kernel/level.h"
#include "kernel/ref/rows.h"

void PARE_REF(minmax)(const float *x, int64_t n, float *min, float *max)
{
    float lo[PARE_LANES], hi[PARE_LANES];
    int64_t i = 0;
    for (int j = 0; j < PARE_LANES; j++) lo[j] = hi[j] = x[0];
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) {
            lo[j] = x[i + j] < lo[j] ? x[i + j] : lo[j];
            hi[j] = x[i + j] > hi[j] ? x[i + j] : hi[j];
        }
    float least = x[0], most = x[0];
    for (; i < n; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    for (int step = PARE_LANES / 2; step > 0; step /= 2)
        for (int j = 0; j < step; j++) {
            lo[j] = lo[j + step] < lo[j] ? lo[j + step] : lo[j];
            hi[j] = hi[j + step] > hi[j] ? hi[j + step] : hi[j];
        }
    least = lo[0] < least ? lo[0] : least;
    most = hi[0] > most ? hi[0] : most;
    *min = least + 0.0f; /* one sign of 0 */
    *max = most + 0.0f;
}
