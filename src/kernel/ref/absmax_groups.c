/* SPDX-License-Identifier: Apache-2.0 */
/* Largest |x| of every group, compared as integers (floats without sign order like their bits): a NaN anywhere gives NaN. */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(absmax_groups)(const float *x, int64_t n, int64_t group, float *out)
{
    for (int64_t i = 0; i < n; i += group) {
        const int64_t end = n - i < group ? n : i + group;
        int32_t m = 0;
        for (int64_t j = i; j < end; j++) {
            const int32_t a = (int32_t)(pare_f32_bits(x[j]) & 0x7fffffffu);
            m = a > m ? a : m;
        }
        *out++ = pare_bits_f32((uint32_t)m);
    }
}
