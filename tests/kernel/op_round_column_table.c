/* SPDX-License-Identifier: Apache-2.0 */
/* Every size against the definition, scales of all sizes side by side. */
#include "table_case.h"
#include <math.h>

void check_round_column_table(const pare_kernels *ref, const pare_kernels *k)
{
    pare_table16 t;
    static const float scales[] = { 1.0f, 0.013f, 1e-30f, 3.0f, 7e4f };
    (void)ref;
    for (int64_t n = 0; n < 600; n += n < 140 ? 1 : 37) {
        table_make((int)n, &t);
        float *x = guarded(0, (size_t)n * 4), *s = guarded(1, (size_t)n * 4), *v = guarded(2, (size_t)n * 4);
        uint8_t *a = guarded(3, (size_t)n);
        for (int64_t i = 0; i < n; i++) {
            s[i] = scales[rnd32() % 5];
            table_fill(&x[i], 1, s[i], &t);
        }
        k->round_column_table(n, x, s, &t, a, v);
        for (int64_t i = 0; i < n; i++) {
            const uint8_t want = table_plain(x[i], s[i], &t);
            const float value = t.value[want] * s[i];
            assert_int_equal(a[i], want);
            assert_same("round_column_table", k, i, &value, &v[i], 4);
        }
        assert_canaries(2);
        assert_canaries(3);
    }
}
