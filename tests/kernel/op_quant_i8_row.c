/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes equal at every level; plain code in f64; the largest element becomes 127 or -127; zeros, NaN and inf. */
#include "kernel_check.h"
#include <math.h>

static void near(const float *x, const int8_t *codes, int64_t n, float scale)
{
    float most = 0.0f;
    for (int64_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
    assert_true(scale == most / 127.0f);
    for (int64_t i = 0; i < n; i++) {
        const double want = most < 0x1p-119f ? 0.0 : (double)x[i] * 127.0 / (double)most;
        if (!(fabs(codes[i] - want) <= 0.5 + 4e-5) || codes[i] == -128) fail_msg("code of %.9g is %d, not about %.9g", (double)x[i], codes[i], want);
        if (fabsf(x[i]) == most && most >= 0x1p-119f) assert_int_equal(codes[i], x[i] < 0 ? -127 : 127);
    }
}

void check_quant_i8_row(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 3000; n += n < 140 ? 1 : 411)
        for (int pattern = 0; pattern < PATTERNS; pattern++) {
            float *x = guarded(0, (size_t)n * 4);
            int8_t *a = guarded(1, (size_t)n), *b = guarded(2, (size_t)n);
            fill(x, n, pattern, 0.01f);
            const float sa = ref->quant_i8_row(a, x, n), sb = k->quant_i8_row(b, x, n);
            assert_same("quant_i8_row", k, n, a, b, (size_t)n);
            assert_memory_equal(&sa, &sb, 4);
            assert_canaries(2);
            near(x, b, n, sb);
        }
    float x[40] = { 1.0f };
    int8_t codes[40];
    x[30] = NAN;
    assert_true(isnan(k->quant_i8_row(codes, x, 40)));
    x[30] = -INFINITY;
    assert_true(isinf(k->quant_i8_row(codes, x, 40)));
}
