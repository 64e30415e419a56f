/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x / scale to an 8-bit float, nearest even, saturating; NaN stays NaN. Formats as in num/small_float.c. Without branches: the
 * normal case rounds the f32's bits at the new mantissa's end; below the smallest normal an addition of 2^(23 + emin - M) makes
 * the FPU round at the smallest step.
 */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(f32_to_f8)(uint8_t *dst, const float *src, int64_t n, float scale, pare_dtype dtype)
{
    const pare_dtype_info *info = pare_dtype_get_info(dtype);
    const bool fnuz = dtype == PARE_F8_E4M3FNUZ || dtype == PARE_F8_E5M2FNUZ;
    if (!fnuz && dtype != PARE_F8_E4M3FN && dtype != PARE_F8_E5M2) {
        for (int64_t i = 0; i < n; i++) dst[i] = pare_f32_to_f8(dtype, src[i] / scale, true);
        return;
    }
    const int m = info->mantissa_bits, shift = 23 - m;
    const uint32_t largest = pare_f32_bits((float)info->max), smallest_normal = pare_f32_bits((float)info->tiny);
    const uint32_t half = (1u << (shift - 1)) - 1, rebias = (uint32_t)(127 - info->bias) << m;
    const uint32_t magic = (uint32_t)(127 + 23 + 1 - info->bias - m) << 23;
    const uint32_t nan_code = fnuz ? 0x80u : 0x7fu, keep_sign_of_zero = fnuz ? 0 : 0x80u;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = pare_f32_bits(src[i] / scale), a = u & 0x7fffffffu, sign = u >> 24 & 0x80u;
        const uint32_t c = a < largest ? a : largest;
        const uint32_t normal = ((c + half + (c >> shift & 1u)) >> shift) - rebias;
        const uint32_t tiny = pare_f32_bits(pare_bits_f32(c) + pare_bits_f32(magic)) - magic;
        const uint32_t r = c < smallest_normal ? tiny : normal;
        const uint32_t with_sign = r | (r ? sign : sign & keep_sign_of_zero);
        dst[i] = (uint8_t)(a > 0x7f800000u ? sign | nan_code : with_sign);
    }
}
