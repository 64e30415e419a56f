/* SPDX-License-Identifier: Apache-2.0 */
/* The sums of zero_sums.c that no code changes: of weights, of values and of their squares. Canonical order, see rows.h. */
#include "kernel/level.h"
#include "kernel/ref/rows.h"

void PARE_REF(value_sums)(const float *x, const float *weight, int64_t n, pare_zero_sums *out)
{
    double w[PARE_LANES] = { 0 }, s[PARE_LANES] = { 0 }, ss[PARE_LANES] = { 0 };
    int64_t i = 0;
    if (!weight) {
        for (; i + PARE_LANES <= n; i += PARE_LANES)
            for (int l = 0; l < PARE_LANES; l++) {
                const double a = (double)x[i + l];
                s[l] += a;
                ss[l] += a * a;
            }
        for (int l = 0; i + l < n; l++) {
            const double a = (double)x[i + l];
            s[l] += a;
            ss[l] += a * a;
        }
        out->w = (double)n;
    } else {
        for (; i < n; i += PARE_LANES)
            for (int l = 0; l < PARE_LANES && i + l < n; l++) {
                const double a = (double)x[i + l], wa = (double)weight[i + l] * a;
                w[l] += (double)weight[i + l];
                s[l] += wa;
                ss[l] += wa * a;
            }
        out->w = pare_fold_lanes(w);
    }
    out->x = pare_fold_lanes(s);
    out->xx = pare_fold_lanes(ss);
}
