/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2m1, the element of MXFP4 and NVFP4 (OCP MX v1.0): 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives; no inf, no NaN, so that
 * overflow saturates and NaN becomes 6 (as CUDA's conversion does). Two a byte, the even element in the low nibble:
 *
 *   byte k     b7 .. b4        b3 .. b0
 *              element 2k+1    element 2k
 */
#include "num/dtype.h"

static const pare_small_float e2m1 = { .ebits = 2, .mbits = 1, .bias = 1, .kind = PARE_SMALL_FULL };

static void f4_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)
{
    (void)d, (void)odd;
    float value[16];
    for (uint32_t c = 0; c < 16; c++) value[c] = pare_small_decode(&e2m1, c);
    const uint8_t *s = src;
    for (int64_t i = 0; i < n; i++) dst[i] = value[i & 1 ? s[i / 2] >> 4 : s[i / 2] & 15];
}

static void f4_from_f32(const pare_dtype_case *d, void *dst, const float *src, int64_t n, bool saturate)
{
    (void)d;
    uint8_t *out = dst;
    for (int64_t i = 0; i < n; i += 2) {
        const uint32_t low = pare_small_encode(&e2m1, src[i], saturate);
        const uint32_t high = i + 1 < n ? pare_small_encode(&e2m1, src[i + 1], saturate) : 0;
        out[i / 2] = (uint8_t)(low | high << 4);
    }
}

const pare_dtype_case pare_dtype_f4_e2m1 = {
    .info = { .name = "f4_e2m1", .safetensors = "F4", .torch = "float4_e2m1fn_x2", .about = "4-bit float, two a byte", .kind = PARE_KIND_FLOAT,
              .bits = 4, .exponent_bits = 2, .mantissa_bits = 1, .bias = 1, .max = 6.0, .tiny = 1.0, .smallest = 0.5, .eps = 0.5 },
    .also = "fp4 f4 e2m1 fp4_e2m1 float4", .small = &e2m1, .to_f32 = f4_to_f32, .from_f32 = f4_from_f32,
};
