/* SPDX-License-Identifier: Apache-2.0 */
/* quant_sse with another exponent: sum of weight * |x - dq(x)|^p. Canonical order, see rows.h. */
#include <math.h>
#include "kernel/level.h"
#include "kernel/ref/powers.h"
#include "kernel/ref/rows.h"

double PARE_REF(quant_lp)(const float *x, const float *weight, int64_t n, float scale, int32_t zero, int umin, int umax, float p)
{
    if (!pare_scale_usable(scale) || zero > PARE_FAST_ZERO || zero < -PARE_FAST_ZERO) return HUGE_VAL;
    const float lo = (float)(umin - zero), hi = (float)(umax - zero);
    double lane[PARE_LANES] = { 0 };
    float e[PARE_LANES];
    for (int64_t i = 0; i < n; i += PARE_LANES) {
        const int m = (int)(n - i < PARE_LANES ? n - i : PARE_LANES);
        float v[PARE_LANES] = { 0 }, w[PARE_LANES];
        for (int j = 0; j < PARE_LANES; j++) w[j] = 1.0f;
        memcpy(v, x + i, (size_t)m * sizeof *v);
        if (weight) memcpy(w, weight + i, (size_t)m * sizeof *w);
        for (int j = 0; j < PARE_LANES; j++) {
            const float r = (pare_quant_clamped(v[j], scale, lo, hi) + PARE_RNE_MAGIC) - PARE_RNE_MAGIC;
            e[j] = w[j] * pare_power(r * scale - v[j], p);
        }
        for (int j = 0; j < m; j++) lane[j] += (double)e[j];
    }
    return pare_fold_lanes(lane);
}
