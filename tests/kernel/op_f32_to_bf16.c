/* SPDX-License-Identifier: Apache-2.0 */
/* Random bit patterns, exact halves between codes, specials; all tails. tests/unit/num/test_floats.c goes over every float. */
#include "kernel_check.h"

void check_f32_to_bf16(const pare_kernels *ref, const pare_kernels *k)
{
    for (int64_t n = 0; n < 2000; n += n < 130 ? 1 : 97) {
        uint32_t *bits = guarded(0, (size_t)n * 4);
        uint16_t *a = guarded(1, (size_t)n * 2), *b = guarded(2, (size_t)n * 2);
        for (int64_t i = 0; i < n; i++) {
            bits[i] = rnd32();
            if (rnd32() % 4 == 0) bits[i] = (bits[i] & 0xffff0000u) | 0x8000u;
            if (rnd32() % 4 == 0) bits[i] = (bits[i] & 0xffffe000u) | 0x1000u;
            if (rnd32() % 4 == 0) bits[i] = (bits[i] & 0x8fffffffu) | 0x30000000u; /* around f16's range */
            if (rnd32() % 16 == 0) bits[i] |= 0x7f800000u;
        }
        ref->f32_to_bf16(a, (const float *)(const void *)bits, n);
        k->f32_to_bf16(b, (const float *)(const void *)bits, n);
        assert_same("f32_to_bf16", k, n, a, b, (size_t)n * 2);
        for (int64_t i = 0; i < n; i++) {
            float x;
            memcpy(&x, &bits[i], 4);
            assert_int_equal(b[i], pare_f32_to_bf16(x));
        }
        assert_canaries(2);
    }
}
