/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Branch-free scalar pieces that src/num and src/kernel/ref share, written so that compilers turn loops over them into SIMD:
 * f16 and bf16 conversions (integer arithmetic and one exact float addition) and the 8-codes-in-a-register bit packer.
 *
 *   f32   s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm     bias 127
 *   bf16  s eeeeeeee mmmmmmm                     the upper half of an f32
 *   f16   s eeeee mmmmmmmmmm                     bias 15
 *
 * NaN handling is that of the F16C instructions: sign and upper payload bits kept, quiet bit set.
 */
#ifndef PARE_NUM_INL_H
#define PARE_NUM_INL_H
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pare stores codes and floats little-endian and reads them in place: a big-endian host needs byte swaps here"
#endif

static inline uint32_t pare_f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float pare_bits_f32(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint64_t pare_f64_bits(double f)
{
    uint64_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float pare_bf16_to_f32_inl(uint16_t b)
{
    return pare_bits_f32((uint32_t)b << 16);
}

static inline uint16_t pare_f32_to_bf16_inl(float f)
{
    const uint32_t u = pare_f32_bits(f);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16; /* nearest even; carries into the exponent, up to inf */
    const uint32_t nan = (u >> 16) | 0x40u;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

static inline float pare_f16_to_f32_inl(uint16_t h)
{
    const uint32_t m = ((uint32_t)h & 0x7fffu) << 13;          /* exponent and mantissa in f32's places */
    const uint32_t normal = m + (112u << 23);                  /* 127 - 15 */
    const uint32_t special = m + (224u << 23);                 /* exponent 31 -> 255 */
    const uint32_t quiet = special | (m > (31u << 23) ? 0x400000u : 0u);
    /* subnormal: 1.m * 2^-14 - 2^-14 is exact */
    const uint32_t tiny = pare_f32_bits(pare_bits_f32(m + (113u << 23)) - pare_bits_f32(113u << 23));
    uint32_t r = m < (1u << 23) ? tiny : normal;
    r = m >= (31u << 23) ? quiet : r;
    return pare_bits_f32(r | ((uint32_t)h & 0x8000u) << 16);
}

static inline uint16_t pare_f32_to_f16_inl(float f)
{
    const uint32_t u = pare_f32_bits(f), a = u & 0x7fffffffu, sign = (u >> 16) & 0x8000u;
    const uint32_t normal = (a - (112u << 23) + 0xfffu + ((a >> 13) & 1u)) >> 13;
    /* below 2^-14: adding 0.5 makes the FPU round at 2^-24, f16's smallest step */
    const uint32_t tiny = pare_f32_bits(pare_bits_f32(a) + 0.5f) - 0x3f000000u;
    uint32_t r = a < (113u << 23) ? tiny : normal;
    r = a >= (143u << 23) ? 0x7c00u : r;                       /* 65536 and up; [65520, 65536) rounds there by itself */
    r = a > 0x7f800000u ? (0x7e00u | ((a >> 13) & 0x3ffu)) : r;
    return (uint16_t)(r | sign);
}

/*
 * Eight codes of b bits, one a byte, squeezed to 8*b contiguous bits (P1), and back. b in 1 ... 8.
 *
 *   bytes    0000hgfe...  ->  pairs of 2b bits in 16  ->  quads of 4b bits in 32  ->  8b bits
 */
static inline uint64_t pare_squeeze8(uint64_t x, int b)
{
    x = (x & 0x00ff00ff00ff00ffu) | ((x & 0xff00ff00ff00ff00u) >> (8 - b));
    x = (x & 0x0000ffff0000ffffu) | ((x & 0xffff0000ffff0000u) >> (16 - 2 * b));
    return (x & 0xffffffffu) | ((x >> 32) << (4 * b));
}

static inline uint64_t pare_spread8(uint64_t x, int b)
{
    const uint64_t m4 = 4 * b == 32 ? 0xffffffffu : (((uint64_t)1 << (4 * b)) - 1);
    const uint64_t m2 = (((uint64_t)1 << (2 * b)) - 1) * 0x0000000100000001u;
    const uint64_t m1 = (((uint64_t)1 << b) - 1) * 0x0001000100010001u;
    x = (x & m4) | ((x >> (4 * b) & m4) << 32);
    x = (x & m2) | ((x >> (2 * b) & m2) << 16);
    return (x & m1) | ((x >> b & m1) << 8);
}

/* One row of n codes under P1; b is a constant where this is inlined. Touches exactly ceil(n*b/8) bytes of the packed side. */
static inline void pare_pack_row_inl(const int b, int64_t n, const uint8_t *codes, uint8_t *dst)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t x;
        memcpy(&x, codes + i, 8);
        x = pare_squeeze8(x, b);
        memcpy(dst, &x, (size_t)b);
        dst += b;
    }
    if (i < n) {
        uint64_t x = 0;
        memcpy(&x, codes + i, (size_t)(n - i));
        x = pare_squeeze8(x, b);
        memcpy(dst, &x, (size_t)(((n - i) * b + 7) / 8));
    }
}

static inline void pare_unpack_row_inl(const int b, int64_t n, const uint8_t *src, uint8_t *codes)
{
    int64_t i = 0;
    for (; (n - i) * b >= 64; i += 8) { /* eight bytes can be read, though only b are needed */
        uint64_t x;
        memcpy(&x, src, 8);
        x = pare_spread8(x, b);
        memcpy(codes + i, &x, 8);
        src += b;
    }
    for (; i + 8 <= n; i += 8) {
        uint64_t x = 0;
        memcpy(&x, src, (size_t)b);
        x = pare_spread8(x, b);
        memcpy(codes + i, &x, 8);
        src += b;
    }
    if (i < n) {
        uint64_t x = 0;
        memcpy(&x, src, (size_t)(((n - i) * b + 7) / 8));
        x = pare_spread8(x, b);
        memcpy(codes + i, &x, (size_t)(n - i));
    }
}
#endif
