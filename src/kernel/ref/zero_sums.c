/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over codes under a float zero point: scale and zero of least squares follow from them. Canonical order, see rows.h. */
#include "kernel/level.h"
#include "kernel/ref/zeros.h"

typedef struct lanes { double u[PARE_LANES], uu[PARE_LANES], xu[PARE_LANES]; } lanes;

static inline void add(lanes *s, int l, float x, float u, float w)
{
    const double b = u, wb = (double)w * b;
    s->u[l] += wb;
    s->uu[l] += wb * b;
    s->xu[l] += (double)w * (double)x * b;
}

static void finish(const lanes *s, pare_zero_sums *out)
{
    out->u = pare_fold_lanes(s->u);
    out->uu = pare_fold_lanes(s->uu);
    out->xu = pare_fold_lanes(s->xu);
}

/* Every weight 1: sums of codes are whole numbers, exact in f32 for BLOCK values of 8 bits a lane, and so the same as in double. */
static void unweighted(const float *x, int64_t n, float scale, float zero, float most, pare_zero_sums *out)
{
    enum { BLOCK = 256 * PARE_LANES };
    lanes s = { .u = { 0 } };
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
            for (int l = 0; l < PARE_LANES; l++) s.xu[l] += (double)x[i + l] * (double)u[l];
        }
        for (int l = 0; i + l < end; l++) {
            u[l] = pare_code_with_zero(x[i + l], scale, zero, most);
            u1[l] += u[l];
            u2[l] += u[l] * u[l];
            s.xu[l] += (double)x[i + l] * (double)u[l];
        }
        for (int l = 0; l < PARE_LANES; l++) s.u[l] += (double)u1[l], s.uu[l] += (double)u2[l];
    }
    finish(&s, out);
}

void PARE_REF(zero_sums)(const float *x, const float *weight, int64_t n, float scale, float zero, int umax, pare_zero_sums *out)
{
    const float most = (float)umax;
    if (!weight) {
        unweighted(x, n, scale, zero, most, out);
        return;
    }
    lanes s = { .u = { 0 } };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int l = 0; l < PARE_LANES; l++)
            add(&s, l, x[i + l], pare_code_with_zero(x[i + l], scale, zero, most), weight[i + l]);
    for (int l = 0; i + l < n; l++) add(&s, l, x[i + l], pare_code_with_zero(x[i + l], scale, zero, most), weight[i + l]);
    finish(&s, out);
}
