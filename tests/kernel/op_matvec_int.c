/* SPDX-License-Identifier: Apache-2.0 */
/* Same bits at every level; and against a sum in double of the values that wmat.h describes, within the rounding of the float steps. */
#include "matvec_case.h"
#include <math.h>

static double bound(const pare_wmat *w, const pare_mvact *x, int64_t r, int64_t t, const float *a, double *want)
{
    double sum = 0, size = 0;
    for (int64_t c = 0; c < w->cols; c++) {
        const double xs = (double)x->scale[t * x->scale_stride + c / PARE_ACT_BLOCK];
        const double v = matvec_value(w, r, c), q = x->limbs == 1 ? rint((double)(a[t * w->cols + c] / (float)xs)) : (double)a[t * w->cols + c] / xs;
        const double whole = rint(q);
        sum += v * whole * xs;
        size += fabs(v * whole * xs) + (w->shift ? fabs((double)w->shift[r / w->scale_rows * w->groups + c / w->group] * whole * xs) * 2 : 0);
    }
    *want = sum;
    return size * 0x1p-23 * 48 + 1e-30;
}

static void one(const pare_kernels *ref, const pare_kernels *k, pare_wkind kind, const matvec_shape *s, int limbs)
{
    static const pare_dtype dtypes[] = { PARE_F32, PARE_F16, PARE_BF16 };
    static float a[8 * 4096];
    const int64_t n = rnd32() % 3 ? 1 + rnd32() % 2 : 1 + rnd32() % 8;
    const pare_wmat w = matvec_weights(kind, s, dtypes[rnd32() % 3], (int)(rnd32() % 5) < 3 ? ZERO_MIDDLE : rnd32() & 1 ? ZERO_ANY : ZERO_SHIFTED);
    fill(a, n * s->cols, rnd32() & 1 ? 0 : 6, 0.5f);
    const pare_mvact x = matvec_activations(ref, kind, limbs, n, s->cols, a);
    const int64_t row0 = s->rows > 2 ? rnd32() % 2 : 0, rows = s->rows - row0, stride = rows + rnd32() % 3;
    const size_t bytes = (size_t)((n - 1) * stride + rows) * 4;
    float *y = guarded(7, bytes);
    static float want[8 * 96];
    memset(want, 0xa5, sizeof want);
    ref->matvec_int(&w, row0, rows, &x, want, stride);
    k->matvec_int(&w, row0, rows, &x, y, stride);
    assert_same(limbs == 1 ? "matvec_int" : "matvec_int exact", k, kind * 100000 + s->cols, want, y, bytes);
    assert_canaries(7);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t t = 0; t < n; t++) {
            double sum;
            const double most = bound(&w, &x, row0 + r, t, a, &sum);
            if (!(fabs((double)y[t * stride + r] - sum) <= most))
                fail_msg("matvec_int kind %d [%lld, %lld] group %lld: row %lld gives %g, not %g within %g", (int)kind, (long long)s->rows, (long long)s->cols,
                         (long long)w.group, (long long)r, (double)y[t * stride + r], sum, most);
        }
}

void check_matvec_int(const pare_kernels *ref, const pare_kernels *k)
{
    static const pare_wkind kinds[] = { PARE_W_I8, PARE_W_U8, PARE_W_U4, PARE_W_U3, PARE_W_U2 };
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < MATVEC_SHAPES; i++)
            for (int kind = 0; kind < 5; kind++)
                for (int exact = 0; exact < 2; exact++) one(ref, k, kinds[kind], &matvec_shapes[i], !exact ? 1 : kind < 2 ? 2 : 3);
}
