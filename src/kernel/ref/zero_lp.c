/* SPDX-License-Identifier: Apache-2.0 */
/* sum |x - dq(x)|^p under a float zero point: what HQQ minimizes. Canonical order, see rows.h. */
#include "kernel/level.h"
#include "kernel/ref/powers.h"
#include "kernel/ref/zeros.h"

double PARE_REF(zero_lp)(const float *x, int64_t n, float scale, float zero, int umax, float p)
{
    const float most = (float)umax;
    double lane[PARE_LANES] = { 0 };
    float e[PARE_LANES];
    for (int64_t i = 0; i < n; i += PARE_LANES) {
        const int m = (int)(n - i < PARE_LANES ? n - i : PARE_LANES);
        float v[PARE_LANES] = { 0 };
        memcpy(v, x + i, (size_t)m * sizeof *v);
        for (int j = 0; j < PARE_LANES; j++) e[j] = pare_power((pare_code_with_zero(v[j], scale, zero, most) - zero) * scale - v[j], p);
        for (int j = 0; j < m; j++) lane[j] += (double)e[j];
    }
    return pare_fold_lanes(lane);
}
