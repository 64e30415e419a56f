/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and maxima of rows in the canonical order: 16 strided partial results, folded 16 -> 8 -> 4 -> 2 -> 1. */
#ifndef PARE_KERNEL_REF_LANES_H
#define PARE_KERNEL_REF_LANES_H
#include <math.h>
#include "kernel/ref/rows.h"

static inline double pare_sum(const float *x, int64_t n)
{
    double lane[PARE_LANES] = { 0 };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) lane[j] += (double)x[i + j];
    for (int j = 0; i + j < n; j++) lane[j] += (double)x[i + j];
    return pare_fold_lanes(lane);
}

/* sum (x - mean)^2 */
static inline double pare_sum_squares(const float *x, int64_t n, double mean)
{
    double lane[PARE_LANES] = { 0 };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) {
            const double d = (double)x[i + j] - mean;
            lane[j] += d * d;
        }
    for (int j = 0; i + j < n; j++) {
        const double d = (double)x[i + j] - mean;
        lane[j] += d * d;
    }
    return pare_fold_lanes(lane);
}

/* Largest element, NaN left out; -inf when there is none. */
static inline float pare_max(const float *x, int64_t n)
{
    float lane[PARE_LANES], most = -INFINITY;
    int64_t i = 0;
    for (int j = 0; j < PARE_LANES; j++) lane[j] = -INFINITY;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    for (; i < n; i++) most = x[i] > most ? x[i] : most;
    for (int j = 0; j < PARE_LANES; j++) most = lane[j] > most ? lane[j] : most;
    return most;
}
#endif
