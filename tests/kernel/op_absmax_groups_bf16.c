/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_absmax_groups_bf16(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    static float wide[8192], want[8192];
    for (int i = 0; row_case_make(i, &c); i += 3) {
        uint16_t *x = guarded(0, (size_t)c.q.n * 2);
        float *a = guarded(1, (size_t)c.groups * 4), *b = guarded(2, (size_t)c.groups * 4);
        for (int64_t j = 0; j < c.q.n; j++) x[j] = (uint16_t)rnd32();
        for (int64_t j = 0; j < c.q.n; j++)
            if ((x[j] & 0x7f80) == 0x7f80 && rnd32() % 16) x[j] &= 0xbfff; /* NaN and inf are rare, not absent */
        ref->absmax_groups_bf16(x, c.q.n, c.q.group, a);
        k->absmax_groups_bf16(x, c.q.n, c.q.group, b);
        assert_same("absmax_groups_bf16", k, c.q.n, a, b, (size_t)c.groups * 4);
        assert_canaries(2);
        for (int64_t j = 0; j < c.q.n; j++) wide[j] = pare_bf16_to_f32(x[j]);
        ref->absmax_groups(wide, c.q.n, c.q.group, want);
        assert_same("absmax_groups_bf16 against f32", k, c.q.n, want, b, (size_t)c.groups * 4);
    }
}
