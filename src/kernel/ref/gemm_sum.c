/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"

int32_t PARE_REF(gemm_sum)(const int8_t *q, int64_t n)
{
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += q[i];
    return sum;
}
