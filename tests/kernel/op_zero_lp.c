/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level; near pow() of the values of quant_zero. */
#include "kernel_check.h"
#include <math.h>

void check_zero_lp(const pare_kernels *ref, const pare_kernels *k)
{
    static const float powers[] = { 0.7f, 1.0f, 2.0f, 2.4f };
    static uint8_t codes[700];
    for (int64_t n = 0; n < 700; n += n < 140 ? 1 : 61)
        for (int i = 0; i < 4; i++) {
            float *x = guarded(0, (size_t)n * 4);
            const float scale = 0.013f, zero = 6.3f, p = powers[i];
            double want = 0;
            fill(x, n, 0, 0.002f);
            ref->quant_zero(x, n, scale, zero, 15, codes);
            for (int64_t j = 0; j < n; j++) want += pow(fabs((double)(((float)codes[j] - zero) * scale) - (double)x[j]), (double)p);
            const double a = ref->zero_lp(x, n, scale, zero, 15, p), b = k->zero_lp(x, n, scale, zero, 15, p);
            assert_same("zero_lp", k, n, &a, &b, 8);
            if (!(fabs(b - want) <= 2e-5 * want + 1e-30)) fail_msg("zero_lp at %s: %g, not %g (p %g, n %d)", k->isa, b, want, (double)p, (int)n);
        }
}
