/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level, over scales and values of every size; near sums in long double; w, x and xx stay as they are. */
#include "kernel_check.h"
#include <math.h>

static void near_truth(const pare_kernels *ref, const pare_kernels *k, int64_t n, bool weighted)
{
    float *x = guarded(0, (size_t)n * 4), *w = guarded(1, (size_t)n * 4);
    pare_zero_sums a = { .w = 1, .x = 2, .xx = 3 }, b = a;
    long double xu = 0, uu = 0;
    for (int64_t i = 0; i < n; i++) {
        uint8_t u;
        x[i] = rnd_normal() * 0.02f;
        w[i] = weighted ? 0.1f + fabsf(rnd_normal()) : 1.0f;
        ref->quant_zero(&x[i], 1, 0.01f, 6.3f, 15, &u);
        xu += (long double)w[i] * x[i] * u;
        uu += (long double)w[i] * u * u;
    }
    ref->zero_sums(x, weighted ? w : NULL, n, 0.01f, 6.3f, 15, &a);
    k->zero_sums(x, weighted ? w : NULL, n, 0.01f, 6.3f, 15, &b);
    assert_same("zero_sums", k, n, &a, &b, sizeof a);
    assert_true(b.w == 1 && b.x == 2 && b.xx == 3);
    assert_true(fabsl(xu - (long double)b.xu) <= 1e-9L * (1 + fabsl(uu)) && fabsl(uu - (long double)b.uu) <= 1e-9L * uu);
}

/* Quotients are made in more than one way: halfway between codes (zero 0.5 or whole, multiples of the scale), mantissas of all ones, sizes out of reach. */
static void sizes(const pare_kernels *ref, const pare_kernels *k)
{
    enum { N = 4096 + 37 };
    static const float zeros[] = { 0.0f, 0.5f, 7.0f, 127.5f, -3.25f, 1e-30f, 1e9f };
    float *x = guarded(0, N * 4);
    for (int e = -140; e <= 120; e += e > -12 && e < 2 ? 1 : 13)
        for (size_t z = 0; z < sizeof zeros / sizeof *zeros; z++) {
            pare_zero_sums a = { 0 }, b = a;
            const float scale = ldexpf(z % 2 ? 0x1.fffffep0f : 1.0f + 0.9f * fabsf(sinf((float)e)), e);
            for (int64_t i = 0; i < N; i++) {
                const float v = i % 3 == 0 ? (float)((int)(i % 512) - 256) / 2.0f : rnd_normal() * 64.0f;
                x[i] = i % 61 == 7 ? rnd_normal() * 0x1p100f : i % 61 == 8 ? rnd_normal() * 0x1p-130f : v * scale;
            }
            ref->zero_sums(x, NULL, N, scale, zeros[z], 255, &a);
            k->zero_sums(x, NULL, N, scale, zeros[z], 255, &b);
            if (isnan(a.xu) && isnan(b.xu)) a.xu = b.xu = 0; /* values beyond the largest float */
            assert_same("zero_sums", k, N, &a, &b, sizeof a);
        }
}

void check_zero_sums(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 1; n < 400; n += n < 70 ? 1 : 23)
        for (int weighted = 0; weighted < 2; weighted++) near_truth(ref, k, n, weighted);
    sizes(ref, k);
}
