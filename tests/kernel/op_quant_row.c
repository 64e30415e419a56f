/* SPDX-License-Identifier: Apache-2.0 */
/* Against the reference at level 0, and against rintf and 64-bit integers. */
#include "kernel_check.h"
#include <math.h>

static int plain(float x, float s, int32_t zero, const pare_row_quant *q)
{
    double t = s == 0 || !isfinite(s) ? 0.0 : (double)rintf(x / s);
    t += zero;
    return (int)(t < q->umin ? q->umin : t > q->umax ? q->umax : t);
}

void check_quant_row(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    for (int i = 0; row_case_make(i, &c); i++) {
        float *x = guarded(0, (size_t)c.q.n * 4);
        uint8_t *a = guarded(1, (size_t)c.q.n), *b = guarded(2, (size_t)c.q.n);
        fill(x, c.q.n, c.pattern, isfinite(c.scale[0]) ? c.scale[0] : 1.0f);
        ref->quant_row(x, &c.q, c.scale, c.zero, a);
        k->quant_row(x, &c.q, c.scale, c.zero, b);
        assert_same("quant_row", k, c.q.n, a, b, (size_t)c.q.n);
        assert_canaries(2);
        for (int64_t j = 0; j < c.q.n; j++) {
            const int64_t g = j / c.q.group;
            if (b[j] != plain(x[j], c.scale[g], c.zero[g], &c.q))
                fail_msg("quant_row at %s: %a / %a + %d gives %d, not %d", k->isa, x[j], c.scale[g], c.zero[g], b[j], plain(x[j], c.scale[g], c.zero[g], &c.q));
        }
        /* never outside [umin, umax], whatever the input */
        x[rnd32() % (uint32_t)c.q.n] = NAN;
        x[rnd32() % (uint32_t)c.q.n] = INFINITY;
        x[rnd32() % (uint32_t)c.q.n] = -INFINITY;
        k->quant_row(x, &c.q, c.scale, c.zero, b);
        for (int64_t j = 0; j < c.q.n; j++) assert_in_range(b[j], c.q.umin, c.q.umax);
    }
}
