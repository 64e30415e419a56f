/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One half-quadratic step: errors e = x - dq(x) in steps t = |e| / scale are shrunk to t - t^(p-1) / beta, not below 0 (the part of an error that counts as an
 * outlier's), and the sums of zero_sums are over y = x - shrunk in the place of x. Badri and Shaji 2023, equation 6. Canonical order, see rows.h.
 */
#include "kernel/level.h"
#include "kernel/ref/powers.h"
#include "kernel/ref/zeros.h"

void PARE_REF(hqq_sums)(const float *x, int64_t n, float scale, float zero, int umax, float beta, float p, pare_zero_sums *out)
{
    const float most = (float)umax, part = 1.0f / beta, inverse = 1.0f / scale;
    double u_lane[PARE_LANES] = { 0 }, uu[PARE_LANES] = { 0 }, y_lane[PARE_LANES] = { 0 }, yu[PARE_LANES] = { 0 }, yy[PARE_LANES] = { 0 };
    float u[PARE_LANES], y[PARE_LANES];
    for (int64_t i = 0; i < n; i += PARE_LANES) {
        const int m = (int)(n - i < PARE_LANES ? n - i : PARE_LANES);
        float v[PARE_LANES] = { 0 };
        memcpy(v, x + i, (size_t)m * sizeof *v);
        for (int j = 0; j < PARE_LANES; j++) {
            u[j] = pare_code_with_zero(v[j], scale, zero, most);
            const float e = v[j] - (u[j] - zero) * scale, t = pare_abs(e) * inverse;
            const float s = t - part * pare_power(t, p - 1.0f), shrunk = s > 0.0f ? s * scale : 0.0f;
            y[j] = v[j] - (e < 0.0f ? -shrunk : shrunk);
        }
        for (int j = 0; j < m; j++) {
            const double a = (double)y[j], b = (double)u[j];
            u_lane[j] += b;
            uu[j] += b * b;
            y_lane[j] += a;
            yu[j] += a * b;
            yy[j] += a * a;
        }
    }
    *out = (pare_zero_sums){ .w = (double)n, .u = pare_fold_lanes(u_lane), .uu = pare_fold_lanes(uu), .x = pare_fold_lanes(y_lane), .xu = pare_fold_lanes(yu),
                             .xx = pare_fold_lanes(yy) };
}
