/* SPDX-License-Identifier: Apache-2.0 */
/* x = e^(x - max) / sum, the sum in f64 by 16 lanes. */
#include "kernel/level.h"
#include "kernel/ref/lanes.h"
#include "kernel/ref/vmath.h"

void PARE_REF(softmax)(float *x, int64_t n)
{
    const float most = pare_max(x, n);
    for (int64_t i = 0; i < n; i++) x[i] = pare_exp(x[i] - most);
    const float inverse = (float)(1.0 / pare_sum(x, n));
    for (int64_t i = 0; i < n; i++) x[i] *= inverse;
}
