/* SPDX-License-Identifier: Apache-2.0 */
/* How many of n floats are NaN or inf: all exponent bits set. Blocks keep the inner counter in 32 bits. */
#include "kernel/level.h"
#include "num/num_inl.h"

int64_t PARE_REF(count_nonfinite)(const float *x, int64_t n)
{
    int64_t total = 0;
    for (int64_t i = 0; i < n;) {
        const int64_t end = n - i < 1 << 20 ? n : i + (1 << 20);
        uint32_t count = 0;
        for (; i < end; i++) count += (pare_f32_bits(x[i]) & 0x7f800000u) == 0x7f800000u;
        total += count;
    }
    return total;
}
