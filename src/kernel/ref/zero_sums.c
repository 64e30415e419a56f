/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over codes under a float zero point: scale and zero of least squares follow from them. Canonical order, see rows.h. */
#include "kernel/level.h"
#include "kernel/ref/zeros.h"

typedef struct lanes { double w[PARE_LANES], u[PARE_LANES], uu[PARE_LANES], x[PARE_LANES], xu[PARE_LANES], xx[PARE_LANES]; } lanes;

static inline void add(lanes *s, int l, float x, float u, float w)
{
    const double a = x, b = u, wa = (double)w * a, wb = (double)w * b;
    s->w[l] += (double)w;
    s->u[l] += wb;
    s->uu[l] += wb * b;
    s->x[l] += wa;
    s->xu[l] += wa * b;
    s->xx[l] += wa * a;
}

/* Every weight 1: sums of codes are whole numbers, exact in f32 for BLOCK values of 8 bits a lane, and so the same as in double. */
static void unweighted(const float *x, int64_t n, float scale, float zero, float most, pare_zero_sums *out)
{
    enum { BLOCK = 256 * PARE_LANES };
    double u_lane[PARE_LANES] = { 0 }, uu_lane[PARE_LANES] = { 0 }, x_lane[PARE_LANES] = { 0 }, xu[PARE_LANES] = { 0 }, xx[PARE_LANES] = { 0 };
    for (int64_t from = 0; from < n; from += BLOCK) {
        const int64_t end = n - from < BLOCK ? n : from + BLOCK;
        float u1[PARE_LANES] = { 0 }, u2[PARE_LANES] = { 0 }, u[PARE_LANES];
        int64_t i = from;
        for (; i + PARE_LANES <= end; i += PARE_LANES) {
            for (int l = 0; l < PARE_LANES; l++) {
                u[l] = pare_code_with_zero(x[i + l], scale, zero, most);
                u1[l] += u[l];
                u2[l] += u[l] * u[l];
            }
            for (int l = 0; l < PARE_LANES; l++) {
                const double a = (double)x[i + l];
                x_lane[l] += a;
                xu[l] += a * (double)u[l];
                xx[l] += a * a;
            }
        }
        for (int l = 0; i + l < end; l++) {
            const double a = (double)x[i + l];
            u[l] = pare_code_with_zero(x[i + l], scale, zero, most);
            u1[l] += u[l];
            u2[l] += u[l] * u[l];
            x_lane[l] += a;
            xu[l] += a * (double)u[l];
            xx[l] += a * a;
        }
        for (int l = 0; l < PARE_LANES; l++) u_lane[l] += (double)u1[l], uu_lane[l] += (double)u2[l];
    }
    *out = (pare_zero_sums){ .w = (double)n, .u = pare_fold_lanes(u_lane), .uu = pare_fold_lanes(uu_lane), .x = pare_fold_lanes(x_lane), .xu = pare_fold_lanes(xu),
                             .xx = pare_fold_lanes(xx) };
}

void PARE_REF(zero_sums)(const float *x, const float *weight, int64_t n, float scale, float zero, int umax, pare_zero_sums *out)
{
    const float most = (float)umax;
    if (!weight) {
        unweighted(x, n, scale, zero, most, out);
        return;
    }
    lanes s = { .w = { 0 } };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int l = 0; l < PARE_LANES; l++)
            add(&s, l, x[i + l], pare_code_with_zero(x[i + l], scale, zero, most), weight[i + l]);
    for (int l = 0; i + l < n; l++) add(&s, l, x[i + l], pare_code_with_zero(x[i + l], scale, zero, most), weight[i + l]);
    *out = (pare_zero_sums){ .w = pare_fold_lanes(s.w), .u = pare_fold_lanes(s.u), .uu = pare_fold_lanes(s.uu), .x = pare_fold_lanes(s.x),
                             .xu = pare_fold_lanes(s.xu), .xx = pare_fold_lanes(s.xx) };
}
