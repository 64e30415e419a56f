/* SPDX-License-Identifier: Apache-2.0 */
/* quant_sse with a weight an element: what the clipping search minimizes when columns differ in importance. Canonical order, see rows.h. */
#include <math.h>
#include "kernel/level.h"
#include "kernel/ref/rows.h"

double PARE_REF(quant_sse_weighted)(const float *x, const float *weight, int64_t n, float scale, int32_t zero, int umin, int umax)
{
    if (!pare_scale_usable(scale) || zero > PARE_FAST_ZERO || zero < -PARE_FAST_ZERO) return HUGE_VAL;
    const float lo = (float)(umin - zero), hi = (float)(umax - zero);
    double lane[PARE_LANES] = { 0 };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) {
            const float r = (pare_quant_clamped(x[i + j], scale, lo, hi) + PARE_RNE_MAGIC) - PARE_RNE_MAGIC, d = r * scale - x[i + j];
            lane[j] += (double)d * (double)d * (double)weight[i + j];
        }
    for (int j = 0; i + j < n; j++) {
        const float r = (pare_quant_clamped(x[i + j], scale, lo, hi) + PARE_RNE_MAGIC) - PARE_RNE_MAGIC, d = r * scale - x[i + j];
        lane[j] += (double)d * (double)d * (double)weight[i + j];
    }
    return pare_fold_lanes(lane);
}
