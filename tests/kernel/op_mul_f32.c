/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of plain code at every level; also in place. */
#include "kernel_check.h"

void check_mul_f32(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 3000; n += n < 70 ? 1 : 731) {
        float *x = guarded(0, (size_t)n * 4), *y = guarded(1, (size_t)n * 4), *a = guarded(2, (size_t)n * 4), *b = guarded(3, (size_t)n * 4);
        for (int64_t i = 0; i < n; i++) x[i] = rnd32() % 4 ? rnd_normal() : rnd_scaled(), y[i] = rnd32() % 4 ? rnd_normal() : rnd_scaled();
        ref->mul_f32(a, x, y, n);
        k->mul_f32(b, x, y, n);
        assert_same("mul_f32", k, n, a, b, (size_t)n * 4);
        for (int64_t i = 0; i < n; i++) {
            const float want = x[i] * y[i];
            assert_memory_equal(&want, &b[i], 4);
        }
        assert_canaries(3);
        k->mul_f32(x, x, y, n);
        assert_same("mul_f32 in place", k, n, a, x, (size_t)n * 4);
    }
}
