/* SPDX-License-Identifier: Apache-2.0 */
/* All 2^16 patterns against the scalar conversion, then all tails. */
#include "kernel_check.h"

void check_bf16_to_f32(const pare_kernels *ref, const pare_kernels *k)
{
    static uint16_t all[65536];
    static float got[65536];
    for (int i = 0; i < 65536; i++) all[i] = (uint16_t)i;
    k->bf16_to_f32(got, all, 65536);
    for (int i = 0; i < 65536; i++) {
        const float want = pare_bf16_to_f32(all[i]);
        assert_same("bf16_to_f32", k, i, &want, &got[i], 4);
    }
    for (int64_t n = 0; n < 130; n++) {
        uint16_t *src = guarded(0, (size_t)n * 2);
        float *a = guarded(1, (size_t)n * 4), *b = guarded(2, (size_t)n * 4);
        for (int64_t i = 0; i < n; i++) src[i] = (uint16_t)rnd32();
        ref->bf16_to_f32(a, src, n);
        k->bf16_to_f32(b, src, n);
        assert_same("bf16_to_f32", k, n, a, b, (size_t)n * 4);
        assert_canaries(2);
    }
}
