/* SPDX-License-Identifier: Apache-2.0 */
/* Every size against the definition. */
#include "table_case.h"

void check_quant_table(const pare_kernels *ref, const pare_kernels *k)
{
    pare_table16 t;
    static const float scales[] = { 1.0f, 0.013f, 1e-30f, 0.0f, 7e4f };
    (void)ref;
    for (int64_t n = 0; n < 600; n += n < 140 ? 1 : 37) {
        table_make((int)n, &t);
        const float scale = scales[rnd32() % 5];
        float *x = guarded(0, (size_t)n * 4);
        uint8_t *a = guarded(1, (size_t)n);
        table_fill(x, n, scale == 0.0f ? 1.0f : scale, &t);
        if (scale == 0.0f)
            for (int64_t i = 0; i < n; i++) x[i] = 0.0f; /* how such a block looks */
        if (scale == 0.0f && !t.reciprocal) continue;
        k->quant_table(x, n, scale, &t, a);
        for (int64_t i = 0; i < n; i++)
            if (a[i] != table_plain(x[i], scale, &t)) fail_msg("quant_table at %s: %a / %a gives %d, not %d", k->isa, x[i], scale, a[i], table_plain(x[i], scale, &t));
        assert_canaries(1);
    }
}
