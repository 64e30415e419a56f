/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e8m0: a power of two, the scale format of OCP MX v1.0. value = 2^(code - 127); 0xFF = NaN; no sign, no zero.
 * From f32 as torch does: the sign is dropped, the exponent is rounded to nearest with ties (1.5 * 2^k) upwards, subnormals
 * above 1.5 * 2^-127 go up to 2^-126; inf and NaN become NaN. Saturating: the largest is 2^127.
 */
#include "num/dtype.h"
#include "num/num_inl.h"

static float e8m0_decode(uint8_t code)
{
    if (code == 0xff) return pare_bits_f32(0x7fc00000u);
    return pare_bits_f32(code ? (uint32_t)code << 23 : 0x00400000u);
}

static uint8_t e8m0_encode(float x, bool saturate)
{
    const uint32_t a = pare_f32_bits(x) & 0x7fffffffu;
    if (a > 0x7f800000u) return 0xff;
    if (a == 0x7f800000u) return saturate ? 0xfe : 0xff;
    const uint32_t e = a >> 23, m = a & 0x7fffffu;
    const uint32_t up = m > 0x400000u || (m == 0x400000u && e > 0);
    return (uint8_t)(saturate && e + up > 0xfe ? 0xfe : e + up);
}

static void e8m0_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)
{
    (void)d, (void)odd;
    const uint8_t *s = src;
    for (int64_t i = 0; i < n; i++) dst[i] = e8m0_decode(s[i]);
}

static void e8m0_from_f32(const pare_dtype_case *d, void *dst, const float *src, int64_t n, bool saturate)
{
    (void)d;
    uint8_t *out = dst;
    for (int64_t i = 0; i < n; i++) out[i] = e8m0_encode(src[i], saturate);
}

const pare_dtype_case pare_dtype_f8_e8m0 = {
    .info = { .name = "f8_e8m0", .safetensors = "F8_E8M0", .torch = "float8_e8m0fnu", .about = "power of two: scales of the MX formats",
              .kind = PARE_KIND_FLOAT, .bits = 8, .exponent_bits = 8, .mantissa_bits = 0, .bias = 127, .max = 0x1p127, .tiny = 0x1p-127,
              .smallest = 0x1p-127, .eps = 1.0 },
    .also = "e8m0 fp8_e8m0 ue8m0", .to_f32 = e8m0_to_f32, .from_f32 = e8m0_from_f32, .decode = e8m0_decode, .encode = e8m0_encode,
};
