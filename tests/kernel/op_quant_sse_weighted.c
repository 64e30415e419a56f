/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level; weights of 1 give quant_sse, weights of 4 four times that. */
#include "kernel_check.h"
#include <math.h>

void check_quant_sse_weighted(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    for (int i = 0; row_case_make(i, &c); i++) {
        float *x = guarded(0, (size_t)c.q.n * 4), *w = guarded(1, (size_t)c.q.n * 4);
        fill(x, c.q.n, c.pattern, isfinite(c.scale[0]) ? c.scale[0] : 1.0f);
        for (int64_t j = 0; j < c.q.n; j++) w[j] = 4.0f;
        const bool usable = isfinite(c.scale[0]) && c.scale[0] != 0.0f && c.zero[0] <= 1 << 20 && c.zero[0] >= -(1 << 20);
        const double plain = ref->quant_sse(x, c.q.n, c.scale[0], c.zero[0], c.q.umin, c.q.umax);
        double a = k->quant_sse_weighted(x, w, c.q.n, c.scale[0], c.zero[0], c.q.umin, c.q.umax);
        if (!usable) {
            assert_true(a == HUGE_VAL);
            continue;
        }
        const double four = 4.0 * plain;
        if (!isnan(plain)) assert_same("quant_sse_weighted by 4", k, c.q.n, &four, &a, 8);
        for (int64_t j = 0; j < c.q.n; j++) w[j] = 0.1f + fabsf(rnd_normal());
        a = k->quant_sse_weighted(x, w, c.q.n, c.scale[0], c.zero[0], c.q.umin, c.q.umax);
        const double b = ref->quant_sse_weighted(x, w, c.q.n, c.scale[0], c.zero[0], c.q.umin, c.q.umax);
        if (!isnan(b)) assert_same("quant_sse_weighted", k, c.q.n, &b, &a, 8);
    }
}
