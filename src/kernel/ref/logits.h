/* SPDX-License-Identifier: Apache-2.0 */
/* Passes over a row of logits in f64: what log_sum_exp and kl_divergence share. */
#ifndef PARE_KERNEL_REF_LOGITS_H
#define PARE_KERNEL_REF_LOGITS_H
#include "kernel/ref/lanes.h"
#include "kernel/ref/vmath.h"

/* sum e^(x - most) */
static inline double pare_sum_exp(const float *x, int64_t n, double most)
{
    double lane[PARE_LANES] = { 0 };
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) lane[j] += pare_exp_f64((double)x[i + j] - most);
    for (int j = 0; i + j < n; j++) lane[j] += pare_exp_f64((double)x[i + j] - most);
    return pare_fold_lanes(lane);
}

/* max + log sum e^(x - max). With an infinite maximum x - max is NaN, so 0 is taken off instead: all -inf gives log 0, +inf gives +inf. */
static inline double pare_log_sum_exp(const float *x, int64_t n)
{
    const float most = pare_max(x, n);
    const double off = most > -INFINITY && most < INFINITY ? (double)most : 0.0;
    return off + log(pare_sum_exp(x, n, off));
}

/* First place of the largest element; 0 when there is none. Blocks without a hit are passed by without a branch an element. */
static inline int64_t pare_argmax(const float *x, int64_t n)
{
    enum { BLOCK = 64 };
    const float most = pare_max(x, n);
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        int hits = 0;
        for (int j = 0; j < BLOCK; j++) hits += x[i + j] == most;
        if (hits) break;
    }
    for (; i < n; i++)
        if (x[i] == most) return i;
    return 0;
}
#endif
