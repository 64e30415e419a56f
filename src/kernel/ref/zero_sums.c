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

void PARE_REF(zero_sums)(const float *x, const float *weight, int64_t n, float scale, float zero, int umax, pare_zero_sums *out)
{
    const float most = (float)umax;
    lanes s = { .w = { 0 } };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int l = 0; l < PARE_LANES; l++)
            add(&s, l, x[i + l], pare_code_with_zero(x[i + l], scale, zero, most), weight ? weight[i + l] : 1.0f);
    for (int l = 0; i + l < n; l++) add(&s, l, x[i + l], pare_code_with_zero(x[i + l], scale, zero, most), weight ? weight[i + l] : 1.0f);
    *out = (pare_zero_sums){ .w = pare_fold_lanes(s.w), .u = pare_fold_lanes(s.u), .uu = pare_fold_lanes(s.uu), .x = pare_fold_lanes(s.x),
                             .xu = pare_fold_lanes(s.xu), .xx = pare_fold_lanes(s.xx) };
}
