/* SPDX-License-Identifier: Apache-2.0 */
/* Float8 codes and values of one column, a scale a row. The codes of f32_to_f8; its file says how they are made. */
#include "kernel/level.h"
#include "num/num_inl.h"

void PARE_REF(round_column_f8)(int64_t n, const float *restrict x, const float *restrict scale, pare_dtype dtype, uint8_t *restrict code,
                               float *restrict value)
{
    const pare_dtype_info *info = pare_dtype_get_info(dtype);
    const bool fnuz = dtype == PARE_F8_E4M3FNUZ || dtype == PARE_F8_E5M2FNUZ;
    const int m = info->mantissa_bits, shift = 23 - m;
    const uint32_t largest = pare_f32_bits((float)info->max), smallest_normal = pare_f32_bits((float)info->tiny);
    const uint32_t half = (1u << (shift - 1)) - 1, rebias = (uint32_t)(127 - info->bias) << m;
    const uint32_t magic = (uint32_t)(127 + 23 + 1 - info->bias - m) << 23;
    const uint32_t nan_code = fnuz ? 0x80u : 0x7fu, keep_sign_of_zero = fnuz ? 0 : 0x80u;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = pare_f32_bits(x[i] / scale[i]), a = u & 0x7fffffffu, sign = u >> 24 & 0x80u;
        const uint32_t c = a < largest ? a : largest;
        const uint32_t normal = (c + half + (c >> shift & 1u)) >> shift;
        const float below = (pare_bits_f32(c) + pare_bits_f32(magic)); /* rounded at the smallest step */
        const uint32_t tiny = pare_f32_bits(below) - magic;
        const bool subnormal = c < smallest_normal, bad = a > 0x7f800000u;
        const uint32_t r = subnormal ? tiny : normal - rebias;
        const uint32_t negative = r ? sign : sign & keep_sign_of_zero;
        const float magnitude = subnormal ? below - pare_bits_f32(magic) : pare_bits_f32(normal << shift);
        const float v = bad ? pare_bits_f32(0x7fc00000u) : pare_bits_f32(pare_f32_bits(magnitude) | negative << 24);
        code[i] = (uint8_t)(bad ? sign | nan_code : r | negative);
        value[i] = v * scale[i];
    }
}
