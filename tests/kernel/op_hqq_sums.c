/* SPDX-License-Identifier: Apache-2.0 */
/* Equal bytes at every level; near the same sums in double; with a small beta nothing is shrunk and they are those of zero_sums. */
#include "kernel_check.h"
#include <math.h>

static void plain(const pare_kernels *ref, const float *x, int64_t n, float scale, float zero, double beta, double p, double *y_sum, double *yu)
{
    *y_sum = *yu = 0;
    for (int64_t i = 0; i < n; i++) {
        uint8_t u;
        ref->quant_zero(&x[i], 1, scale, zero, 15, &u);
        const double e = (double)x[i] - ((double)u - (double)zero) * (double)scale, t = fabs(e) / (double)scale;
        const double s = t > 1e-30 ? t - pow(t, p - 1.0) / beta : 0.0;
        const double y = (double)x[i] - (s > 0.0 ? copysign(s * (double)scale, e) : 0.0);
        *y_sum += y;
        *yu += y * u;
    }
}

void check_hqq_sums(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 1; n < 300; n += n < 70 ? 1 : 23) {
        float *x = guarded(0, (size_t)n * 4);
        pare_zero_sums a, b, z;
        double y, yu;
        for (int64_t i = 0; i < n; i++) x[i] = rnd_normal() * 0.05f;
        ref->hqq_sums(x, n, 0.01f, 6.3f, 15, 10.0f, 0.7f, &a);
        k->hqq_sums(x, n, 0.01f, 6.3f, 15, 10.0f, 0.7f, &b);
        assert_same("hqq_sums", k, n, &a, &b, sizeof a);
        plain(ref, x, n, 0.01f, 6.3f, 10.0, 0.7, &y, &yu);
        assert_true(fabs(b.x - y) <= 1e-5 * (double)n && fabs(b.xu - yu) <= 1e-4 * (double)n);
        k->hqq_sums(x, n, 0.01f, 6.3f, 15, 1e-6f, 0.7f, &b);
        k->value_sums(x, NULL, n, &z);
        k->zero_sums(x, NULL, n, 0.01f, 6.3f, 15, &z);
        assert_true(fabs(b.x - z.x) <= 1e-9 && fabs(b.xu - z.xu) <= 1e-7 && b.u == z.u && b.uu == z.uu && b.w == z.w);
    }
}
