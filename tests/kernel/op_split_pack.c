/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_check.h"

void check_split_pack(const pare_kernels *ref, const pare_kernels *k)
{
    static const int64_t depths[] = { 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 70 };
    for (int c = 0; c < 11 * PARE_SPLIT_ITEMS * 4; c++) {
        const int64_t depth = depths[c % 11], items = c / 11 % PARE_SPLIT_ITEMS + 1;
        const bool along = c / 11 / PARE_SPLIT_ITEMS & 1, pairs_first = c / 11 / PARE_SPLIT_ITEMS & 2;
        const int64_t item_stride = along ? depth + 3 : 1, depth_stride = along ? 1 : items + 5;
        const int64_t n = (items - 1) * item_stride + (depth - 1) * depth_stride + 1, words = (depth + 31) / 32 * 2 * PARE_SPLIT_TILE;
        float *x = guarded(0, (size_t)n * sizeof *x);
        uint32_t *want = guarded(1, (size_t)words * sizeof *want), *got = guarded(2, (size_t)words * sizeof *got);
        fill(x, n, c % PATTERNS == 4 ? 0 : c % PATTERNS, 1.0f);
        ref->split_pack(x, item_stride, depth_stride, items, depth, pairs_first, want);
        k->split_pack(x, item_stride, depth_stride, items, depth, pairs_first, got);
        assert_same("split_pack", k, words, want, got, (size_t)words * sizeof *got);
        assert_canaries(1);
        assert_canaries(2);
    }
    /* The pieces of 1 + 2^-9 + 2^-16: a tie goes to the even 1, the rest into the second piece. */
    const float one[2] = { 0x1.0081p0f, -3.0f };
    uint32_t out[2 * PARE_SPLIT_TILE];
    k->split_pack(one, 2, 1, 1, 2, false, out);
    assert_int_equal(out[0], 0xc0403f80u);
    assert_int_equal(out[PARE_SPLIT_TILE], 0x3b01u);
}
