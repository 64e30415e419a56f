/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four 8-bit floats with a sign. OCP OFP8 v1.0: e4m3fn (no inf, NaN = x1111111, largest 448) and e5m2 (like IEEE, largest
 * 57344); arXiv 2206.02915: e4m3fnuz (bias 8, largest 240) and e5m2fnuz (bias 16, largest 57344), whose only NaN is 0x80.
 */
#include "num/dtype.h"
#include "num/num_inl.h"

/* The numbers of a format that its loops need; M mantissa bits. */
typedef struct f8_numbers {
    int shift;                  /* 23 - M */
    uint32_t rebias;            /* (127 - bias) in f32's exponent field */
    uint32_t largest;           /* code of the largest finite value */
    uint32_t infinity;          /* its code, or a value that no code has */
    uint32_t nan, overflow;     /* codes without sign */
    bool fnuz;
} f8_numbers;

static f8_numbers numbers_of(const pare_dtype_case *d)
{
    const pare_small_float *f = d->small;
    const bool ieee = f->kind == PARE_SMALL_IEEE, fnuz = f->kind == PARE_SMALL_FNUZ;
    const uint32_t largest = ieee ? 0x7fu - (1u << f->mbits) : fnuz ? 0x7f : 0x7e;
    return (f8_numbers){ .shift = 23 - f->mbits, .rebias = (uint32_t)(127 - f->bias) << 23, .largest = largest, .infinity = ieee ? largest + 1 : 0x100,
                         .nan = fnuz ? 0x80 : 0x7f, .overflow = ieee ? largest + 1 : fnuz ? 0x80 : 0x7f, .fnuz = fnuz };
}

/* As small_float.c decodes, without branches (see pare_f16_to_f32_inl). */
static void f8_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)
{
    (void)odd;
    const f8_numbers f = numbers_of(d);
    const uint8_t *s = src;
    const uint32_t lone_nan = f.fnuz ? 0x80 : 0x100, least = f.rebias + (1u << 23);
    for (int64_t i = 0; i < n; i++) {
        const uint32_t code = s[i], a = code & 0x7fu, sign = (code & 0x80u) << 24, m = a << f.shift;
        const uint32_t tiny = pare_f32_bits(pare_bits_f32(m + least) - pare_bits_f32(least));
        uint32_t r = m < (1u << 23) ? tiny : m + f.rebias;
        r = a > f.largest ? (a == f.infinity ? 0x7f800000u : 0x7fc00000u) : r;
        dst[i] = pare_bits_f32(code == lone_nan ? 0x7fc00000u : r | sign);
    }
}

/* As small_float.c encodes, without branches: the exponent carry of rounding brings overflow above `largest` by itself. */
static void f8_from_f32(const pare_dtype_case *d, void *dst, const float *src, int64_t n, bool saturate)
{
    const f8_numbers f = numbers_of(d);
    uint8_t *out = dst;
    const uint32_t half = (1u << (f.shift - 1)) - 1, least = f.rebias + (1u << 23), step = least + ((uint32_t)f.shift << 23);
    const uint32_t beyond = saturate ? f.largest : f.overflow;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = pare_f32_bits(src[i]), a = u & 0x7fffffffu, sign = u >> 24 & 0x80u;
        const uint32_t c = a < 0x7f800000u ? a : 0x7f800000u;
        const uint32_t normal = (c - f.rebias + half + (c >> f.shift & 1u)) >> f.shift;
        const uint32_t t = c < least ? c : least; /* step + larger values would round away what `normal` keeps */
        const uint32_t tiny = pare_f32_bits(pare_bits_f32(t) + pare_bits_f32(step)) - step;
        uint32_t r = c < least ? tiny : normal;
        r = r > f.largest ? beyond : r;
        r = f.fnuz && r == 0 ? 0 : r | sign; /* 0x80 | sign = 0x80 */
        out[i] = (uint8_t)(a > 0x7f800000u ? f.nan | sign : r);
    }
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
