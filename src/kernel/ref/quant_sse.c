/* SPDX-License-Identifier: Apache-2.0 */
/* Squared error of quantizing a group with a trial scale: what the clipping search minimizes. Canonical order, see rows.h. */
#include "kernel/level.h"
#include "kernel/ref/rows.h"

static double slow(const float *x, int64_t n, float scale, int32_t zero, int umin, int umax)
{
    double lane[PARE_LANES] = { 0 };
    for (int64_t i = 0; i < n; i++) {
        const int32_t u = pare_scale_usable(scale) ? pare_quant_one_slow(x[i], scale, zero, umin, umax) : pare_clamp_i32(zero, umin, umax);
        const float d = (float)((int64_t)u - zero) * scale - x[i];
        lane[i % PARE_LANES] += (double)d * (double)d;
    }
    return pare_fold_lanes(lane);
}

double PARE_REF(quant_sse)(const float *x, int64_t n, float scale, int32_t zero, int umin, int umax)
{
    if (!pare_scale_usable(scale) || zero > PARE_FAST_ZERO || zero < -PARE_FAST_ZERO) return slow(x, n, scale, zero, umin, umax);
    const float lo = (float)(umin - zero), hi = (float)(umax - zero);
    double lane[PARE_LANES] = { 0 };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) {
            const float r = (pare_quant_clamped(x[i + j], scale, lo, hi) + PARE_RNE_MAGIC) - PARE_RNE_MAGIC, d = r * scale - x[i + j];
            lane[j] += (double)d * (double)d;
        }
    for (int j = 0; i + j < n; j++) {
        const float r = (pare_quant_clamped(x[i + j], scale, lo, hi) + PARE_RNE_MAGIC) - PARE_RNE_MAGIC, d = r * scale - x[i + j];
        lane[j] += (double)d * (double)d;
    }
    return pare_fold_lanes(lane);
}
