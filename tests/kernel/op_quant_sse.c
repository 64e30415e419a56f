/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level, and equal to the noise of quant_row, dequant_row and row_error. */
#include "kernel_check.h"
#include <math.h>

void check_quant_sse(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    static float y[8192];
    static uint8_t codes[8192];
    for (int i = 0; row_case_make(i, &c); i++) {
        if (!isfinite(c.scale[0])) continue;
        float *x = guarded(0, (size_t)c.q.n * 4);
        fill(x, c.q.n, c.pattern, c.scale[0]);
        c.q.group = c.q.n;
        const double a = ref->quant_sse(x, c.q.n, c.scale[0], c.zero[0], c.q.umin, c.q.umax);
        const double b = k->quant_sse(x, c.q.n, c.scale[0], c.zero[0], c.q.umin, c.q.umax);
        if (isnan(a)) continue;
        assert_same("quant_sse", k, c.q.n, &a, &b, 8);
        pare_row_error e;
        ref->quant_row(x, &c.q, c.scale, c.zero, codes);
        ref->dequant_row(codes, &c.q, c.scale, c.zero, y);
        ref->row_error(x, y, c.q.n, &e);
        assert_same("quant_sse against row_error", k, c.q.n, &e.noise, &b, 8);
    }
}
