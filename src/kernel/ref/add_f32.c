/* SPDX-License-Identifier: Apache-2.0 */
/* y = a + b */
#include "kernel/level.h"

void PARE_REF(add_f32)(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}
