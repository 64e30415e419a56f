/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes equal at every level; within 1e-6 of libm in f64; never beyond the cap. */
#include "kernel_check.h"
#include <math.h>

void check_softcap(const pare_kernels *ref, const pare_kernels *k)
{
    static const float caps[] = { 30.0f, 50.0f, 1.0f };
    for (int64_t n = 0; n < 3000; n += n < 70 ? 1 : 731)
        for (int c = 0; c < 3; c++) {
            float *x = guarded(0, (size_t)n * 4), *a = guarded(1, (size_t)n * 4), *b = guarded(2, (size_t)n * 4);
            for (int64_t i = 0; i < n; i++) x[i] = rnd32() % 8 ? rnd_normal() * caps[c] : rnd_scaled();
            if (n) memcpy(a, x, (size_t)n * 4), memcpy(b, x, (size_t)n * 4);
            ref->softcap(a, n, caps[c]);
            k->softcap(b, n, caps[c]);
            assert_same("softcap", k, n, a, b, (size_t)n * 4);
            assert_canaries(2);
            for (int64_t i = 0; i < n; i++) {
                const double cap = (double)caps[c], want = cap * tanh((double)x[i] / cap);
                if (!(fabs((double)b[i] - want) <= fabs(want) * 7e-7 + 1e-43) || fabsf(b[i]) > caps[c]) fail_msg("softcap %g of %.9g: %.9g, not %.9g", cap, (double)x[i], (double)b[i], want);
            }
        }
    float bad[3] = { NAN, INFINITY, -INFINITY };
    k->softcap(bad, 3, 30.0f);
    assert_true(isnan(bad[0]) && bad[1] == 30.0f && bad[2] == -30.0f);
}
