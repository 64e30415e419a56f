/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"

uint64_t PARE_REF(roof_read)(const uint64_t *x, int64_t n)
{
    uint64_t s[32] = { 0 }, sum = 0;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (int j = 0; j < 32; j++) s[j] += x[i + j];
    for (; i < n; i++) sum += x[i];
    for (int j = 0; j < 32; j++) sum += s[j];
    return sum;
}
