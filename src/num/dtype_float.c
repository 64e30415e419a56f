/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f64, f32, f16 (IEEE 754 binary64/32/16) and bf16 (the upper half of binary32).
 *   f64  1 + 11 + 52 bits    f32  1 + 8 + 23    f16  1 + 5 + 10    bf16  1 + 8 + 7
 */
#include <float.h>
#include "num/dtype.h"
#include "num/num_inl.h"

float pare_f16_to_f32(uint16_t h)
{
    return pare_f16_to_f32_inl(h);
}

uint16_t pare_f32_to_f16(float f)
{
    return pare_f32_to_f16_inl(f);
}

float pare_bf16_to_f32(uint16_t b)
{
    return pare_bf16_to_f32_inl(b);
}

uint16_t pare_f32_to_bf16(float f)
{
    return pare_f32_to_bf16_inl(f);
}

/* x between two floats: the one whose last bit is 1. */
float pare_f64_to_f32_odd(double x)
{
    const float r = (float)x;
    const double back = (double)r;
    if (back == x || x != x) return r;
    const uint32_t u = pare_f32_bits(r);
    if (u & 1u) return r;
    const double ax = x < 0 ? -x : x, ar = back < 0 ? -back : back;
    return pare_bits_f32(ax > ar ? u + 1 : u - 1); /* r = 0 and r = inf go to the smallest and the largest float */
}

static void f64_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)
{
    (void)d;
    const uint8_t *s = src;
    for (int64_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, s + 8 * i, 8);
        dst[i] = odd ? pare_f64_to_f32_odd(x) : (float)x;
    }
}

static void f64_to_f64(const pare_dtype_case *d, double *dst, const void *src, int64_t n)
{
    (void)d;
    memcpy(dst, src, (size_t)n * 8);
}

static void f64_from_f64(const pare_dtype_case *d, void *dst, const double *src, int64_t n)
{
    (void)d;
    memcpy(dst, src, (size_t)n * 8);
}

const pare_dtype_case pare_dtype_f64 = {
    .info = { .name = "f64", .safetensors = "F64", .torch = "float64", .about = "IEEE double precision", .kind = PARE_KIND_FLOAT, .bits = 64,
              .exponent_bits = 11, .mantissa_bits = 52, .bias = 1023, .max = DBL_MAX, .tiny = DBL_MIN, .smallest = 0x1p-1074, .eps = 0x1p-52 },
    .also = "fp64 double", .to_f32 = f64_to_f32, .to_f64 = f64_to_f64, .from_f64 = f64_from_f64,
};

static void f32_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)
{
    (void)d, (void)odd;
    memcpy(dst, src, (size_t)n * 4);
}

static void f32_from_f32(const pare_dtype_case *d, void *dst, const float *src, int64_t n, bool saturate)
{
    (void)d, (void)saturate;
    memcpy(dst, src, (size_t)n * 4);
}

const pare_dtype_case pare_dtype_f32 = {
    .info = { .name = "f32", .safetensors = "F32", .torch = "float32", .about = "IEEE single precision", .kind = PARE_KIND_FLOAT, .bits = 32,
              .exponent_bits = 8, .mantissa_bits = 23, .bias = 127, .max = FLT_MAX, .tiny = FLT_MIN, .smallest = 0x1p-149, .eps = 0x1p-23 },
    .also = "fp32 float single", .to_f32 = f32_to_f32, .from_f32 = f32_from_f32,
};

static void f16_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)
{
    (void)d, (void)odd;
    const uint8_t *s = src;
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, s + 2 * i, 2);
        dst[i] = pare_f16_to_f32_inl(h);
    }
}

static void f16_from_f32(const pare_dtype_case *d, void *dst, const float *src, int64_t n, bool saturate)
{
    (void)d, (void)saturate;
    uint8_t *out = dst;
    for (int64_t i = 0; i < n; i++) {
        const uint16_t h = pare_f32_to_f16_inl(src[i]);
        memcpy(out + 2 * i, &h, 2);
    }
}

const pare_dtype_case pare_dtype_f16 = {
    .info = { .name = "f16", .safetensors = "F16", .torch = "float16", .about = "IEEE half precision", .kind = PARE_KIND_FLOAT, .bits = 16,
              .exponent_bits = 5, .mantissa_bits = 10, .bias = 15, .max = 65504.0, .tiny = 0x1p-14, .smallest = 0x1p-24, .eps = 0x1p-10 },
    .also = "fp16 half", .to_f32 = f16_to_f32, .from_f32 = f16_from_f32,
};

static void bf16_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)
{
    (void)d, (void)odd;
    const uint8_t *s = src;
    for (int64_t i = 0; i < n; i++) {
        uint16_t b;
        memcpy(&b, s + 2 * i, 2);
        dst[i] = pare_bf16_to_f32_inl(b);
    }
}

static void bf16_from_f32(const pare_dtype_case *d, void *dst, const float *src, int64_t n, bool saturate)
{
    (void)d, (void)saturate;
    uint8_t *out = dst;
    for (int64_t i = 0; i < n; i++) {
        const uint16_t b = pare_f32_to_bf16_inl(src[i]);
        memcpy(out + 2 * i, &b, 2);
    }
}

const pare_dtype_case pare_dtype_bf16 = {
    .info = { .name = "bf16", .safetensors = "BF16", .torch = "bfloat16", .about = "brain float: the upper half of an f32", .kind = PARE_KIND_FLOAT,
              .bits = 16, .exponent_bits = 8, .mantissa_bits = 7, .bias = 127, .max = 0x1.fep127, .tiny = 0x1p-126, .smallest = 0x1p-133, .eps = 0x1p-7 },
    .also = "bfloat", .to_f32 = bf16_to_f32, .from_f32 = bf16_from_f32,
};
