/* SPDX-License-Identifier: Apache-2.0 */
/* Root-mean-square norm. Squares of f32 are exact in f64; 16 strided partial sums, then a fixed tree. */
#include <math.h>
#include "kernel/level.h"
#include "kernel/ref/lanes.h"

void PARE_REF(rms_norm)(float *y, const float *x, const float *w, int64_t n, float eps, float add)
{
    if (n <= 0) return;
    const float inverse = (float)(1.0 / sqrt(pare_sum_squares(x, n, 0.0) / (double)n + (double)eps));
    if (w)
        for (int64_t i = 0; i < n; i++) y[i] = x[i] * inverse * (w[i] + add);
    else
        for (int64_t i = 0; i < n; i++) y[i] = x[i] * inverse * (1.0f + add);
}
