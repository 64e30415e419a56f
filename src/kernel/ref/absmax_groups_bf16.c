/* SPDX-License-Identifier: Apache-2.0 */
/* Largest |x| of every group of a bf16 row, compared as 15-bit integers: a NaN anywhere gives NaN. */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(absmax_groups_bf16)(const uint16_t *x, int64_t n, int64_t group, float *out)
{
    for (int64_t i = 0; i < n; i += group) {
        const int64_t end = n - i < group ? n : i + group;
        int16_t m = 0;
        for (int64_t j = i; j < end; j++) {
            const int16_t a = (int16_t)(x[j] & 0x7fffu);
            m = a > m ? a : m;
        }
        *out++ = pare_bf16_to_f32_inl((uint16_t)m);
    }
}
