/* SPDX-License-Identifier: Apache-2.0 */
/* The same codes as quant_row gives for the widened values; for one scale, every bf16 there is. */
#include "kernel_check.h"
#include <math.h>

static void every_value(const pare_kernels *ref, const pare_kernels *k, float scale, int32_t zero)
{
    static uint16_t all[65536];
    static uint8_t a[65536], b[65536];
    const pare_row_quant q = { .n = 65536, .group = 65536, .bits = 8, .umin = 0, .umax = 255 };
    for (int i = 0; i < 65536; i++) all[i] = (uint16_t)i;
    ref->quant_row_bf16(all, &q, &scale, &zero, a);
    k->quant_row_bf16(all, &q, &scale, &zero, b);
    assert_same("quant_row_bf16, every value", k, 65536, a, b, 65536);
}

void check_quant_row_bf16(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    static float wide[8192];
    for (int i = 0; row_case_make(i, &c); i++) {
        uint16_t *x = guarded(0, (size_t)c.q.n * 2);
        uint8_t *a = guarded(1, (size_t)c.q.n), *b = guarded(2, (size_t)c.q.n);
        fill(wide, c.q.n, c.pattern, isfinite(c.scale[0]) ? c.scale[0] : 1.0f);
        for (int64_t j = 0; j < c.q.n; j++) x[j] = pare_f32_to_bf16(wide[j]), wide[j] = pare_bf16_to_f32(x[j]);
        ref->quant_row(wide, &c.q, c.scale, c.zero, a);
        k->quant_row_bf16(x, &c.q, c.scale, c.zero, b);
        assert_same("quant_row_bf16", k, c.q.n, a, b, (size_t)c.q.n);
        assert_canaries(2);
    }
    every_value(ref, k, 0x1p-7f, 128);
    every_value(ref, k, 0.5f / 127.5f, 128);
    for (int i = 0; i < 200; i++) {
        const float absmax = pare_round_to(PARE_BF16, fabsf(rnd_normal()) + 1e-3f);
        every_value(ref, k, absmax / (i & 1 ? 127.0f : 7.5f), i & 2 ? 128 : 8);
        every_value(ref, k, pare_round_to(i & 4 ? PARE_F16 : PARE_BF16, absmax / 7.5f), 8);
    }
}
