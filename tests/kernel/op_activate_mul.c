/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of activate and then a product, at every level; also in place. */
#include "kernel_check.h"

void check_activate_mul(const pare_kernels *ref, const pare_kernels *k)
{
    for (int kind = PARE_ACT_FN_IDENTITY; kind <= PARE_ACT_FN_SIGMOID; kind++)
        for (int64_t n = 0; n < 3000; n += n < 70 ? 1 : 731) {
            float *x = guarded(0, (size_t)n * 4), *y = guarded(1, (size_t)n * 4), *a = guarded(2, (size_t)n * 4), *b = guarded(3, (size_t)n * 4);
            for (int64_t i = 0; i < n; i++) x[i] = rnd_normal() * 4, y[i] = rnd32() % 8 ? rnd_normal() : rnd_scaled();
            ref->activate(a, x, n, (pare_activation)kind);
            for (int64_t i = 0; i < n; i++) a[i] *= y[i];
            k->activate_mul(b, x, y, n, (pare_activation)kind);
            assert_same("activate_mul", k, n, a, b, (size_t)n * 4);
            assert_canaries(3);
            k->activate_mul(y, x, y, n, (pare_activation)kind);
            assert_same("activate_mul in place", k, n, a, y, (size_t)n * 4);
        }
}
