/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level; near pow() of the values of quant_row and dequant_row. */
#include "kernel_check.h"
#include <math.h>

void check_quant_lp(const pare_kernels *ref, const pare_kernels *k)
{
    static const float powers[] = { 0.7f, 1.0f, 2.0f, 2.4f, 4.0f };
    static float y[700];
    static uint8_t codes[700];
    assert_true(ref->quant_lp(y, NULL, 3, 0.0f, 8, 0, 15, 2.0f) == HUGE_VAL);
    for (int64_t n = 0; n < 700; n += n < 140 ? 1 : 61)
        for (int i = 0; i < 10; i++) {
            float *x = guarded(0, (size_t)n * 4), *w = guarded(1, (size_t)n * 4);
            const float scale = 0.013f, p = powers[i % 5];
            const int32_t zero = 7;
            double want = 0;
            fill(x, n, 0, 0.002f);
            for (int64_t j = 0; j < n; j++) w[j] = 0.1f + fabsf(rnd_normal());
            const pare_row_quant q = { .n = n, .group = n ? n : 1, .bits = 4, .umin = 0, .umax = 15 };
            ref->quant_row(x, &q, &scale, &zero, codes);
            ref->dequant_row(codes, &q, &scale, &zero, y);
            for (int64_t j = 0; j < n; j++) want += (i < 5 ? 1.0 : (double)w[j]) * pow(fabs((double)y[j] - (double)x[j]), (double)p);
            const double a = ref->quant_lp(x, i < 5 ? NULL : w, n, scale, zero, 0, 15, p), b = k->quant_lp(x, i < 5 ? NULL : w, n, scale, zero, 0, 15, p);
            assert_same("quant_lp", k, n, &a, &b, 8);
            if (!(fabs(b - want) <= 2e-5 * want + 1e-30)) fail_msg("quant_lp at %s: %g, not %g (p %g, n %d)", k->isa, b, want, (double)p, (int)n);
        }
}
