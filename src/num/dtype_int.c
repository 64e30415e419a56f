/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integers: two's complement and unsigned, 8 to 64 bits, and bool (one byte, 0 or 1; any other byte reads as true).
 * Float to integer: nearest even, out of range saturates, NaN becomes 0. Float to bool: x != 0, so NaN is true.
 */
#include <math.h>
#include "num/dtype.h"
#include "num/num_inl.h"
#include "num/wide_int.h"

/* A 64-bit magnitude with the bits below a double's 53 folded into the last one. */
static double u64_to_f64_odd(uint64_t m)
{
    int shift = 0;
    uint64_t lost = 0;
    for (; m >> 53; shift++) lost |= m & 1, m >>= 1;
    return ldexp((double)(m | (lost != 0)), shift);
}

static void int_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)
{
    for (int64_t i = 0; i < n; i++) {
        const pare_wide_int w = pare_wide_read(&d->info, src, i);
        if (odd && w.magnitude >> 24) {
            const float f = pare_f64_to_f32_odd(u64_to_f64_odd(w.magnitude));
            dst[i] = w.negative ? -f : f;
        } else {
            dst[i] = w.negative ? -(float)w.magnitude : (float)w.magnitude;
        }
    }
}

static void int_to_f64(const pare_dtype_case *d, double *dst, const void *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const pare_wide_int w = pare_wide_read(&d->info, src, i);
        dst[i] = w.negative ? -(double)w.magnitude : (double)w.magnitude;
    }
}

static void int_from_f64(const pare_dtype_case *d, void *dst, const double *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double r = nearbyint(src[i]), a = fabs(r);
        pare_wide_int w = { .negative = r < 0, .magnitude = UINT64_MAX };
        if (a < 0x1p64) w.magnitude = (uint64_t)a;
        if (r != r) w.magnitude = 0;
        pare_wide_write(&d->info, dst, i, w);
    }
}

static void bool_from_f64(const pare_dtype_case *d, void *dst, const double *src, int64_t n)
{
    (void)d;
    uint8_t *out = dst;
    for (int64_t i = 0; i < n; i++) out[i] = src[i] != 0.0;
}

#define INT_CASE(symbol, NAME, SAFE, TORCH, ABOUT, KIND, BITS, IMIN, IMAX, ALSO)                                                        \
    const pare_dtype_case symbol = {                                                                                                    \
        .info = { .name = NAME, .safetensors = SAFE, .torch = TORCH, .about = ABOUT, .kind = KIND, .bits = BITS, .imin = IMIN, .imax = IMAX }, \
        .also = ALSO, .to_f32 = int_to_f32, .to_f64 = int_to_f64, .from_f64 = int_from_f64,                                             \
    }

INT_CASE(pare_dtype_i8, "i8", "I8", "int8", "signed 8 bit", PARE_KIND_INT, 8, INT8_MIN, INT8_MAX, "char s8");
INT_CASE(pare_dtype_i16, "i16", "I16", "int16", "signed 16 bit", PARE_KIND_INT, 16, INT16_MIN, INT16_MAX, "short s16");
INT_CASE(pare_dtype_i32, "i32", "I32", "int32", "signed 32 bit", PARE_KIND_INT, 32, INT32_MIN, INT32_MAX, "int s32");
INT_CASE(pare_dtype_i64, "i64", "I64", "int64", "signed 64 bit", PARE_KIND_INT, 64, INT64_MIN, INT64_MAX, "long s64");
INT_CASE(pare_dtype_u8, "u8", "U8", "uint8", "unsigned 8 bit", PARE_KIND_UINT, 8, 0, UINT8_MAX, "byte");
INT_CASE(pare_dtype_u16, "u16", "U16", "uint16", "unsigned 16 bit", PARE_KIND_UINT, 16, 0, UINT16_MAX, "");
INT_CASE(pare_dtype_u32, "u32", "U32", "uint32", "unsigned 32 bit", PARE_KIND_UINT, 32, 0, UINT32_MAX, "");
INT_CASE(pare_dtype_u64, "u64", "U64", "uint64", "unsigned 64 bit", PARE_KIND_UINT, 64, 0, UINT64_MAX, "");

const pare_dtype_case pare_dtype_bool = {
    .info = { .name = "bool", .safetensors = "BOOL", .torch = "bool", .about = "truth value, one byte", .kind = PARE_KIND_BOOL, .bits = 8, .imin = 0, .imax = 1 },
    .also = "boolean", .to_f32 = int_to_f32, .to_f64 = int_to_f64, .from_f64 = bool_from_f64,
};
