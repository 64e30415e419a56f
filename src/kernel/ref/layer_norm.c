/* SPDX-License-Identifier: Apache-2.0 */
/* Layer norm: two passes for mean and variance, so that a large mean costs no digits; the quotient in f64 for the same reason. */
#include <math.h>
#include "kernel/level.h"
#include "kernel/ref/lanes.h"

void PARE_REF(layer_norm)(float *y, const float *x, const float *w, const float *b, int64_t n, float eps)
{
    if (n <= 0) return;
    const double mean = pare_sum(x, n) / (double)n;
    const double inverse = 1.0 / sqrt(pare_sum_squares(x, n, mean) / (double)n + (double)eps);
    for (int64_t i = 0; i < n; i++) y[i] = (float)(((double)x[i] - mean) * inverse);
    if (w)
        for (int64_t i = 0; i < n; i++) y[i] *= w[i];
    if (b)
        for (int64_t i = 0; i < n; i++) y[i] += b[i];
}
