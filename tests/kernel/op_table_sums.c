/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level, and near sums in long double. */
#include "table_case.h"
#include <math.h>

void check_table_sums(const pare_kernels *ref, const pare_kernels *k)
{
    pare_table16 t;
    for (int64_t n = 0; n < 600; n += n < 140 ? 1 : 37)
        for (int weighted = 0; weighted < 2; weighted++) {
            table_make((int)n, &t);
            float *x = guarded(0, (size_t)n * 4), *w = guarded(1, (size_t)n * 4);
            pare_table_sums a, b;
            long double xv = 0, vv = 0, size = 0;
            for (int64_t i = 0; i < n; i++) {
                x[i] = rnd_normal() * 0.02f;
                w[i] = weighted ? 0.1f + fabsf(rnd_normal()) : 1.0f;
                const long double v = t.value[table_plain(x[i], 0.05f, &t)];
                xv += w[i] * v * x[i];
                vv += w[i] * v * v;
                size += fabsl(w[i] * v * x[i]);
            }
            ref->table_sums(x, weighted ? w : NULL, n, 0.05f, &t, &a);
            k->table_sums(x, weighted ? w : NULL, n, 0.05f, &t, &b);
            assert_same("table_sums", k, n, &a, &b, sizeof a);
            assert_true(fabsl(xv - (long double)b.xv) <= 1e-6L * size && fabsl(vv - (long double)b.vv) <= 1e-6L * vv);
        }
}
