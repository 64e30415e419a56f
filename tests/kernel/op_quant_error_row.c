/* SPDX-License-Identifier: Apache-2.0 */
/* The codes and the sums of quant_row, dequant_row and row_error one after the other, bit by bit. */
#include "kernel_check.h"
#include <math.h>

void check_quant_error_row(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    static float wide[8192], y[8192];
    for (int i = 0; row_case_make(i, &c); i++) {
        float *x = guarded(0, (size_t)c.q.n * 4);
        uint8_t *a = guarded(1, (size_t)c.q.n), *b = guarded(2, (size_t)c.q.n);
        bool usable = true;
        for (int64_t g = 0; g < c.groups; g++) usable = usable && isfinite(c.scale[g]);
        if (!usable) continue;
        fill(wide, c.q.n, c.pattern, c.scale[0]);
        memcpy(x, wide, (size_t)c.q.n * 4);
        pare_row_error want, got;
        memset(&want, 0, sizeof want);
        memset(&got, 0, sizeof got);
        ref->quant_row(wide, &c.q, c.scale, c.zero, a);
        ref->dequant_row(a, &c.q, c.scale, c.zero, y);
        ref->row_error(wide, y, c.q.n, &want);
        k->quant_error_row(x, &c.q, c.scale, c.zero, b, &got);
        assert_same("quant_error_row codes", k, c.q.n, a, b, (size_t)c.q.n);
        if (!isnan(want.noise) && !isnan(want.cross)) assert_same("quant_error_row sums", k, c.q.n, &want, &got, sizeof want);
        assert_canaries(2);
    }
}
