/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four 8-bit floats with a sign. OCP OFP8 v1.0: e4m3fn (no inf, NaN = x1111111, largest 448) and e5m2 (like IEEE, largest
 * 57344); arXiv 2206.02915: e4m3fnuz (bias 8, largest 240) and e5m2fnuz (bias 16, largest 57344), whose only NaN is 0x80.
 */
#include "num/dtype.h"

static void f8_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)
{
    (void)odd;
    const uint8_t *s = src;
    if (n < 256) {
        for (int64_t i = 0; i < n; i++) dst[i] = pare_small_decode(d->small, s[i]);
        return;
    }
    float value[256];
    for (uint32_t c = 0; c < 256; c++) value[c] = pare_small_decode(d->small, c);
    for (int64_t i = 0; i < n; i++) dst[i] = value[s[i]];
}

static void f8_from_f32(const pare_dtype_case *d, void *dst, const float *src, int64_t n, bool saturate)
{
    uint8_t *out = dst;
    for (int64_t i = 0; i < n; i++) out[i] = (uint8_t)pare_small_encode(d->small, src[i], saturate);
}

static const pare_small_float e4m3fn = { .ebits = 4, .mbits = 3, .bias = 7, .kind = PARE_SMALL_FN };
const pare_dtype_case pare_dtype_f8_e4m3fn = {
    .info = { .name = "f8_e4m3fn", .safetensors = "F8_E4M3", .torch = "float8_e4m3fn", .about = "8-bit float for weights and activations, no inf",
              .kind = PARE_KIND_FLOAT, .bits = 8, .exponent_bits = 4, .mantissa_bits = 3, .bias = 7, .max = 448.0, .tiny = 0x1p-6,
              .smallest = 0x1p-9, .eps = 0x1p-3 },
    .also = "fp8 float8 f8 fp8_e4m3 f8_e4m3 e4m3 e4m3fn fp8_e4m3fn", .small = &e4m3fn, .to_f32 = f8_to_f32, .from_f32 = f8_from_f32,
};

static const pare_small_float e5m2 = { .ebits = 5, .mbits = 2, .bias = 15, .kind = PARE_SMALL_IEEE };
const pare_dtype_case pare_dtype_f8_e5m2 = {
    .info = { .name = "f8_e5m2", .safetensors = "F8_E5M2", .torch = "float8_e5m2", .about = "8-bit float of f16's range, for gradients",
              .kind = PARE_KIND_FLOAT, .bits = 8, .exponent_bits = 5, .mantissa_bits = 2, .bias = 15, .max = 57344.0, .tiny = 0x1p-14,
              .smallest = 0x1p-16, .eps = 0x1p-2 },
    .also = "fp8_e5m2 e5m2", .small = &e5m2, .to_f32 = f8_to_f32, .from_f32 = f8_from_f32,
};

static const pare_small_float e4m3fnuz = { .ebits = 4, .mbits = 3, .bias = 8, .kind = PARE_SMALL_FNUZ };
const pare_dtype_case pare_dtype_f8_e4m3fnuz = {
    .info = { .name = "f8_e4m3fnuz", .safetensors = "F8_E4M3FNUZ", .torch = "float8_e4m3fnuz", .about = "e4m3 with bias 8, no inf, no -0",
              .kind = PARE_KIND_FLOAT, .bits = 8, .exponent_bits = 4, .mantissa_bits = 3, .bias = 8, .max = 240.0, .tiny = 0x1p-7,
              .smallest = 0x1p-10, .eps = 0x1p-3 },
    .also = "fp8_e4m3fnuz e4m3fnuz", .small = &e4m3fnuz, .to_f32 = f8_to_f32, .from_f32 = f8_from_f32,
};

static const pare_small_float e5m2fnuz = { .ebits = 5, .mbits = 2, .bias = 16, .kind = PARE_SMALL_FNUZ };
const pare_dtype_case pare_dtype_f8_e5m2fnuz = {
    .info = { .name = "f8_e5m2fnuz", .safetensors = "F8_E5M2FNUZ", .torch = "float8_e5m2fnuz", .about = "e5m2 with bias 16, no inf, no -0",
              .kind = PARE_KIND_FLOAT, .bits = 8, .exponent_bits = 5, .mantissa_bits = 2, .bias = 16, .max = 57344.0, .tiny = 0x1p-15,
              .smallest = 0x1p-17, .eps = 0x1p-2 },
    .also = "fp8_e5m2fnuz e5m2fnuz", .small = &e5m2fnuz, .to_f32 = f8_to_f32, .from_f32 = f8_from_f32,
};
