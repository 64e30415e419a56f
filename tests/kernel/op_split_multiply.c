/* SPDX-License-Identifier: Apache-2.0 */
/* Against a double sum over the numbers as they were before they were packed; what lies beside C stays. */
#include <math.h>
#include "kernel_check.h"

static uint32_t *packed(const pare_kernels *k, const float *x, int64_t items, int64_t depth, bool pairs_first, int slot)
{
    const int64_t tiles = (items + 31) / 32 * 2, each = (depth + 31) / 32 * 2 * PARE_SPLIT_TILE;
    uint32_t *out = guarded(slot, (size_t)(tiles * each) * sizeof *out);
    memset(out, 0, (size_t)(tiles * each) * sizeof *out);
    for (int64_t i = 0; i < items; i += PARE_SPLIT_ITEMS)
        k->split_pack(x + i * depth, depth, 1, items - i < PARE_SPLIT_ITEMS ? items - i : PARE_SPLIT_ITEMS, depth, pairs_first, out + i / PARE_SPLIT_ITEMS * each);
    return out;
}

void check_split_multiply(const pare_kernels *ref, const pare_kernels *k)
{
    static const int64_t size[][3] = { { 1, 1, 1 }, { 16, 16, 32 }, { 17, 33, 31 }, { 32, 32, 64 }, { 33, 47, 100 }, { 50, 7, 256 } };
    float a[50 * 256], b[50 * 256], before[60 * 60];
    (void)ref;
    for (int c = 0; c < 24; c++) {
        const int64_t rows = size[c / 4][0], cols = size[c / 4][1], depth = size[c / 4][2], stride = cols + 3;
        pare_split_block s = { .rows = rows, .cols = cols, .depth = depth, .alpha = c & 1 ? 1.0f : -0.5f, .add = c & 2, .c_stride = stride };
        for (int64_t i = 0; i < rows * depth; i++) a[i] = rnd_normal();
        for (int64_t i = 0; i < cols * depth; i++) b[i] = rnd_normal();
        s.a = packed(k, a, rows, depth, false, 0);
        s.b = packed(k, b, cols, depth, true, 1);
        const size_t bytes = (size_t)((rows - 1) * stride + cols) * sizeof(float);
        s.c = guarded(2, bytes);
        for (size_t i = 0; i < bytes / sizeof(float); i++) s.c[i] = before[i] = rnd_normal();
        k->split_multiply(&s);
        assert_canaries(2);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < stride && (i + 1 < rows || j < cols); j++) {
                double sum = 0, size_of = 0;
                if (j >= cols) {
                    assert_true(s.c[i * stride + j] == before[i * stride + j]);
                    continue;
                }
                for (int64_t l = 0; l < depth; l++) {
                    const double t = (double)a[i * depth + l] * b[j * depth + l];
                    sum += t;
                    size_of += fabs(t);
                }
                const double want = (s.add ? before[i * stride + j] : 0.0) + s.alpha * sum, got = s.c[i * stride + j];
                const double bound = size_of * (0x1p-15 + 0x1p-24 * 3 * (double)depth) + 0x1p-22 * fabs(want);
                if (!(fabs(got - want) <= bound)) fail_msg("C[%d, %d] of depth %d at %s: %.9g, not %.9g", (int)i, (int)j, (int)depth, k->isa, got, want);
            }
    }
}
