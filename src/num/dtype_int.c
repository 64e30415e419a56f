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

/* Up to 32 bits: plain loops, which vectorize; a double holds every value. 1.5 * 2^52 rounds to the nearest integer. */
#define SMALL_INT(T)                                                                                                    \
    static void T##_to_f32(const pare_dtype_case *d, float *dst, const void *src, int64_t n, bool odd)                  \
    {                                                                                                                   \
        if (odd && d->info.bits > 24) {                                                                                 \
            int_to_f32(d, dst, src, n, odd);                                                                            \
            return;                                                                                                     \
        }                                                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            T v;                                                                                                        \
            memcpy(&v, (const uint8_t *)src + (size_t)i * sizeof v, sizeof v);                                          \
            dst[i] = (float)v;                                                                                          \
        }                                                                                                               \
    }                                                                                                                   \
    static void T##_to_f64(const pare_dtype_case *d, double *dst, const void *src, int64_t n)                           \
    {                                                                                                                   \
        (void)d;                                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            T v;                                                                                                        \
            memcpy(&v, (const uint8_t *)src + (size_t)i * sizeof v, sizeof v);                                          \
            dst[i] = (double)v;                                                                                         \
        }                                                                                                               \
    }                                                                                                                   \
    static void T##_from_f64(const pare_dtype_case *d, void *dst, const double *src, int64_t n)                         \
    {                                                                                                                   \
        const double lo = (double)d->info.imin, hi = (double)d->info.imax, magic = 6755399441055744.0;                  \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            double x = src[i] == src[i] ? src[i] : 0.0;                                                                 \
            x = x > lo ? x : lo;                                                                                        \
            x = x < hi ? x : hi;                                                                                        \
            const T v = (T)((x + magic) - magic);                                                                       \
            memcpy((uint8_t *)dst + (size_t)i * sizeof v, &v, sizeof v);                                                \
        }                                                                                                               \
    }
SMALL_INT(int8_t)
SMALL_INT(int16_t)
SMALL_INT(int32_t)
SMALL_INT(uint8_t)
SMALL_INT(uint16_t)
SMALL_INT(uint32_t)

#define INT_CASE(symbol, NAME, SAFE, TORCH, ABOUT, KIND, BITS, IMIN, IMAX, ALSO, WAY)                                                   \
    const pare_dtype_case symbol = {                                                                                                    \
        .info = { .name = NAME, .safetensors = SAFE, .torch = TORCH, .about = ABOUT, .kind = KIND, .bits = BITS, .imin = IMIN, .imax = IMAX }, \
        .also = ALSO, .to_f32 = WAY##_to_f32, .to_f64 = WAY##_to_f64, .from_f64 = WAY##_from_f64,                                       \
    }

INT_CASE(pare_dtype_i8, "i8", "I8", "int8", "signed 8 bit", PARE_KIND_INT, 8, INT8_MIN, INT8_MAX, "char s8", int8_t);
INT_CASE(pare_dtype_i16, "i16", "I16", "int16", "signed 16 bit", PARE_KIND_INT, 16, INT16_MIN, INT16_MAX, "short s16", int16_t);
INT_CASE(pare_dtype_i32, "i32", "I32", "int32", "signed 32 bit", PARE_KIND_INT, 32, INT32_MIN, INT32_MAX, "int s32", int32_t);
INT_CASE(pare_dtype_i64, "i64", "I64", "int64", "signed 64 bit", PARE_KIND_INT, 64, INT64_MIN, INT64_MAX, "long s64", int);
INT_CASE(pare_dtype_u8, "u8", "U8", "uint8", "unsigned 8 bit", PARE_KIND_UINT, 8, 0, UINT8_MAX, "byte", uint8_t);
INT_CASE(pare_dtype_u16, "u16", "U16", "uint16", "unsigned 16 bit", PARE_KIND_UINT, 16, 0, UINT16_MAX, "", uint16_t);
INT_CASE(pare_dtype_u32, "u32", "U32", "uint32", "unsigned 32 bit", PARE_KIND_UINT, 32, 0, UINT32_MAX, "", uint32_t);
INT_CASE(pare_dtype_u64, "u64", "U64", "uint64", "unsigned 64 bit", PARE_KIND_UINT, 64, 0, UINT64_MAX, "", int);

const pare_dtype_case pare_dtype_bool = {
    .info = { .name = "bool", .safetensors = "BOOL", .torch = "bool", .about = "truth value, one byte", .kind = PARE_KIND_BOOL, .bits = 8, .imin = 0, .imax = 1 },
    .also = "boolean", .to_f32 = int_to_f32, .to_f64 = int_to_f64, .from_f64 = bool_from_f64,
};
