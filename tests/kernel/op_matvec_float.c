/* SPDX-License-Identifier: Apache-2.0 */
/* Same bits at every level; and against a sum in double, within the rounding of the summation. */
#include "matvec_case.h"
#include <math.h>

static void one(const pare_kernels *ref, const pare_kernels *k, pare_wkind kind, const matvec_shape *s)
{
    static float want[8 * 96];
    const int64_t n = rnd32() % 2 ? 1 : 1 + rnd32() % 8, x_stride = s->cols + rnd32() % 3;
    const pare_wmat w = matvec_weights(kind, s, rnd32() & 1 ? PARE_F32 : PARE_BF16, ZERO_MIDDLE);
    float *x = guarded(4, (size_t)((n - 1) * x_stride + s->cols) * 4);
    fill(x, (n - 1) * x_stride + s->cols, rnd32() & 1 ? 0 : 6, 0.5f);
    const int64_t row0 = s->rows > 2 ? rnd32() % 2 : 0, rows = s->rows - row0, stride = rows + rnd32() % 3;
    const size_t bytes = (size_t)((n - 1) * stride + rows) * 4;
    float *y = guarded(7, bytes);
    memset(want, 0xa5, sizeof want);
    ref->matvec_float(&w, row0, rows, n, x, x_stride, want, stride);
    k->matvec_float(&w, row0, rows, n, x, x_stride, y, stride);
    assert_same("matvec_float", k, kind * 100000 + s->cols, want, y, bytes);
    assert_canaries(7);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t t = 0; t < n; t++) {
            double sum = 0, size = 0;
            for (int64_t c = 0; c < s->cols; c++) {
                const double p = matvec_value(&w, row0 + r, c) * (double)x[t * x_stride + c];
                sum += p, size += fabs(p);
            }
            if (!(fabs((double)y[t * stride + r] - sum) <= size * 0x1p-24 * (double)(s->cols / 32 + 10) + 1e-35))
                fail_msg("matvec_float kind %d [%lld, %lld]: row %lld gives %g, not %g", (int)kind, (long long)s->rows, (long long)s->cols, (long long)r,
                         (double)y[t * stride + r], sum);
        }
}

/* Float8 codes that are NaN or inf are so in the result, at every level. */
static void special(const pare_kernels *k)
{
    static const pare_dtype f8[] = { PARE_F8_E4M3FN, PARE_F8_E5M2, PARE_F8_E4M3FNUZ, PARE_F8_E5M2FNUZ };
    uint8_t codes[64];
    float x[64], y;
    const float one_scale = 1.0f;
    for (int i = 0; i < 64; i++) x[i] = i == 37 ? 1.0f : 0.0f;
    for (int d = 0; d < 4; d++)
        for (int u = 0; u < 256; u++) {
            memset(codes, 0x30, sizeof codes);
            codes[37] = (uint8_t)u;
            const pare_wmat w = { .kind = PARE_W_F8, .rows = 1, .cols = 64, .row_bytes = 64, .data = codes, .code_dtype = f8[d], .group = 64, .groups = 1,
                                  .scale = &one_scale, .scale_dtype = PARE_F32, .scale_rows = 1 };
            k->matvec_float(&w, 0, 1, 1, x, 64, &y, 1);
            const float want = pare_f8_to_f32(f8[d], (uint8_t)u);
            if (isnan(want) ? !isnan(y) : y != want) fail_msg("matvec_float: float8 %d code %02x is %g, not %g", d, u, (double)y, (double)want);
        }
}

void check_matvec_float(const pare_kernels *ref, const pare_kernels *k)
{
    static const pare_wkind kinds[] = { PARE_W_F32, PARE_W_F16, PARE_W_BF16, PARE_W_F8, PARE_W_T4 };
    special(k);
    for (int round = 0; round < 6; round++)
        for (int i = 0; i < MATVEC_SHAPES; i++)
            for (int kind = 0; kind < 5; kind++) one(ref, k, kinds[kind], &matvec_shapes[i]);
}
