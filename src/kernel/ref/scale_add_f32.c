/* SPDX-License-Identifier: Apache-2.0 */
/* y = a * s + b, rounded twice */
#include "kernel/level.h"

void PARE_REF(scale_add_f32)(float *y, const float *a, float s, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = a[i] * s + b[i];
}
