/* SPDX-License-Identifier: Apache-2.0 */
/* Smallest and largest x of every group, both widened to include 0. NaN is skipped. */
#include "kernel/level.h"

void PARE_REF(minmax_groups)(const float *x, int64_t n, int64_t group, float *min, float *max)
{
    enum { LANES = 16 }; /* independent partial results; the order does not matter to a minimum */
    for (int64_t i = 0; i < n; i += group) {
        const int64_t end = n - i < group ? n : i + group;
        float lo[LANES] = { 0 }, hi[LANES] = { 0 };
        int64_t j = i;
        for (; j + LANES <= end; j += LANES)
            for (int k = 0; k < LANES; k++) {
                lo[k] = x[j + k] < lo[k] ? x[j + k] : lo[k];
                hi[k] = x[j + k] > hi[k] ? x[j + k] : hi[k];
            }
        for (int k = 0; j < end; j++, k++) {
            lo[k] = x[j] < lo[k] ? x[j] : lo[k];
            hi[k] = x[j] > hi[k] ? x[j] : hi[k];
        }
        for (int k = 1; k < LANES; k++) {
            lo[0] = lo[k] < lo[0] ? lo[k] : lo[0];
            hi[0] = hi[k] > hi[0] ? hi[k] : hi[0];
        }
        *min++ = lo[0];
        *max++ = hi[0];
    }
}
