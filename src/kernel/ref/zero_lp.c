/* SPDX-License-Identifier: Apache-2.0 */
/* sum |x - dq(x)|^p under a float zero point: what HQQ minimizes. Canonical order, see rows.h. */
#include "kernel/level.h"
#include "kernel/ref/powers.h"
#include "kernel/ref/zeros.h"

PARE_INLINE float error_of(float x, float scale, float zero, float most, float p, bool absolute)
{
    const float d = (pare_code_with_zero(x, scale, zero, most) - zero) * scale - x;
    return absolute ? pare_abs(d) : pare_power(d, p);
}

PARE_INLINE double sum_of(const float *x, int64_t n, float scale, float zero, float most, float p, bool absolute)
{
    double lane[PARE_LANES] = { 0 };
    float e[PARE_LANES], rest[PARE_LANES] = { 0 };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES) { /* whole vectors: the compiler's loops have a fixed length */
        for (int j = 0; j < PARE_LANES; j++) e[j] = error_of(x[i + j], scale, zero, most, p, absolute);
        for (int j = 0; j < PARE_LANES; j++) lane[j] += (double)e[j];
    }
    if (i < n) memcpy(rest, x + i, (size_t)(n - i) * sizeof *x);
    for (int j = 0; j < PARE_LANES; j++) e[j] = error_of(rest[j], scale, zero, most, p, absolute);
    for (int j = 0; i + j < n; j++) lane[j] += (double)e[j];
    return pare_fold_lanes(lane);
}

double PARE_REF(zero_lp)(const float *x, int64_t n, float scale, float zero, int umax, float p)
{
    return p == 1.0f ? sum_of(x, n, scale, zero, (float)umax, p, true) : sum_of(x, n, scale, zero, (float)umax, p, false);
}
