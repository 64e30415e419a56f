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

/*
 * Every half-integer of eight bits and the floats around it, for scales of all sizes, among them those whose low mantissa bits
 * are next to where the AVX2 variant's proof ends (x86/rows_avx2.h).
 */
static void near_ties(const pare_kernels *ref, const pare_kernels *k)
{
    enum { N = 512 * 8 };
    static float x[N];
    static uint8_t a[N], b[N], c[N];
    static const uint16_t lows[] = { 0, 1, 2, 6, 7, 8, 9, 11, 13, 4096, 8192, 16384, 32767, 32768, 65525, 65527, 65528, 65529, 65530, 65535 };
    for (int round = 0; round < 1000; round++) {
        uint32_t mantissa = rnd32() & 0x7fffffu;
        if (round & 1) mantissa = (mantissa & 0x7f0000u) | lows[rnd32() % (sizeof lows / sizeof lows[0])];
        const uint32_t bits = (100 + rnd32() % 92) << 23 | mantissa;
        float scale;
        memcpy(&scale, &bits, 4);
        for (int i = 0; i < N; i++) {
            const float middle = (float)(((double)(i / 8) - 255.5) * (double)scale);
            uint32_t u;
            memcpy(&u, &middle, 4);
            u += (uint32_t)(i % 8) - 4u;
            memcpy(&x[i], &u, 4);
            if (!isfinite(x[i])) x[i] = 0.0f;
        }
        const pare_row_quant q = { .n = N, .group = N, .bits = 8, .umin = 0, .umax = 255 };
        const int32_t zero = (int32_t)(rnd32() % 256);
        pare_row_error e;
        ref->quant_row(x, &q, &scale, &zero, a);
        k->quant_row(x, &q, &scale, &zero, b);
        k->quant_error_row(x, &q, &scale, &zero, c, &e);
        assert_same("quant_row near ties", k, N, a, b, N);
        assert_same("quant_error_row near ties", k, N, a, c, N);
    }
}

void check_quant_row(const pare_kernels *ref, const pare_kernels *k)
{
    static row_case c;
    near_ties(ref, k);
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
