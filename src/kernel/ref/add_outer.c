/* SPDX-License-Identifier: Apache-2.0 */
/* y[i][t] += s[i] * e[t], one fma each: what an error of one column does to the columns still to be rounded. */
#include <math.h>
#include "kernel/level.h"

void PARE_REF(add_outer)(float *restrict y, int64_t stride, int64_t m, const float *restrict s, const float *restrict e, int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
        float *restrict to = y + i * stride;
        const float by = s[i];
        for (int64_t t = 0; t < n; t++) to[t] = fmaf(by, e[t], to[t]);
    }
}
