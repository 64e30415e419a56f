/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions for loops that a compiler turns into SIMD: no branch, no table, no fused operation, so that the bits are the same at every
 * level. NaN gives NaN. Relative error against the exact value, where the result is a normal number (tests/kernel/op_activate.c goes
 * over the range; the coefficients are least-maximum fits of relative error, made for this file):
 *
 *   pare_exp       1e-7     e^x = 2^n e^r, |r| <= ln2 / 2, e^r - 1 - r = r^2 q(r)
 *   pare_sigmoid   2.5e-7   with e^-|x|, so that small values are exact too
 *   pare_tanh      4e-7     (e^2|x| - 1) / (e^2|x| + 1), numerator without cancellation
 *   pare_phi       6e-7     the normal distribution function, (1 + erf(x / sqrt 2)) / 2, also far out on the left
 *   pare_exp_f64   4e-16
 */
#ifndef PARE_KERNEL_REF_VMATH_H
#define PARE_KERNEL_REF_VMATH_H
#include "num/num_inl.h"

/* A call that is left in a loop keeps it from becoming SIMD. */
#define PARE_INLINE static inline __attribute__((always_inline))
#define PARE_ROUND_F32 12582912.0f         /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
#define PARE_ROUND_F64 6755399441055744.0  /* 1.5 * 2^52 */
#define PARE_LN2_HI 0x1.63p-1f             /* 9 bits: n * LN2_HI is exact */
#define PARE_LN2_LO (-0x1.bd0106p-13f)
#define PARE_LOG2E 0x1.715476p+0f

PARE_INLINE float pare_abs(float x)
{
    return pare_bits_f32(pare_f32_bits(x) & 0x7fffffffu);
}

PARE_INLINE double pare_f64_of_bits(uint64_t u)
{
    double f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* (e^r - 1 - r) / r^2, |r| <= 0.3468 */
PARE_INLINE float pare_exp_q(float r)
{
    return (((0x1.6a23cep-10f * r + 0x1.123a2p-7f) * r + 0x1.5558f2p-5f) * r + 0x1.555492p-3f) * r + 0x1.fffffcp-2f;
}

/* n as the low bits of a rounded float -> 2^n, n in -126 ... 127 */
PARE_INLINE float pare_pow2_of(uint32_t n)
{
    return pare_bits_f32((n + 127u) << 23);
}

/* e^(x + y), -106 <= x <= 89; y small (|y| < 0.1) and may be what was rounded away from x. */
PARE_INLINE float pare_exp_sum(float x, float y)
{
    const float t = x * PARE_LOG2E + PARE_ROUND_F32, n = t - PARE_ROUND_F32;
    const float r = ((x - n * PARE_LN2_HI) - n * PARE_LN2_LO) + y;
    const float p = 1.0f + (r + r * r * pare_exp_q(r));
    const int32_t whole = (int32_t)(pare_f32_bits(t) - pare_f32_bits(PARE_ROUND_F32)), half = whole >> 1;
    return p * pare_pow2_of((uint32_t)half) * pare_pow2_of((uint32_t)(whole - half)); /* in two steps: 2^-150 and 2^128 are no floats */
}

/* x is cut to where the result is 0 or inf. */
PARE_INLINE float pare_exp(float x)
{
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    return pare_exp_sum(x, 0.0f);
}

PARE_INLINE float pare_sigmoid(float x)
{
    const float e = pare_exp(-pare_abs(x)), d = 1.0f / (1.0f + e);
    return x < 0.0f ? e * d : d;
}

PARE_INLINE float pare_tanh(float x)
{
    const float a = pare_abs(x), b = a > 10.0f ? 10.0f : a, c = b + b;
    const float t = c * PARE_LOG2E + PARE_ROUND_F32, n = t - PARE_ROUND_F32;
    const float r = (c - n * PARE_LN2_HI) - n * PARE_LN2_LO;
    const float two = pare_pow2_of(pare_f32_bits(t) - pare_f32_bits(PARE_ROUND_F32));
    const float m = two * (r + r * r * pare_exp_q(r)) + (two - 1.0f);
    return pare_bits_f32(pare_f32_bits(m / (m + 2.0f)) | (pare_f32_bits(x) & 0x80000000u));
}

/*
 * phi(-a) = e^(-a^2/2) t P(t), t = 1 / (1 + 0.35 a). a = h + l with h of 12 bits, so that h^2/2 is exact and the exponent keeps its last
 * bits: -a^2/2 = -h^2/2 - (a + h) l / 2.
 */
PARE_INLINE float pare_phi(float x)
{
    const float a0 = pare_abs(x), a = a0 > 14.5f ? 14.5f : a0;
    const float h = pare_bits_f32(pare_f32_bits(a) & 0xfffff000u), l = a - h;
    const float e = pare_exp_sum(-0.5f * h * h, -0.5f * (a + h) * l);
    const float t = 1.0f / (1.0f + 0.35f * a);
    float p = 0x1.874a92p-9f;
    p = p * t - 0x1.6f5080p-5f;
    p = p * t + 0x1.6f9dc0p-3f;
    p = p * t - 0x1.344622p-2f;
    p = p * t + 0x1.8f53ccp-3f;
    p = p * t - 0x1.518daep-5f;
    p = p * t + 0x1.c80910p-4f;
    p = p * t + 0x1.e61fdep-4f;
    p = p * t + 0x1.1eb1d8p-3f;
    p = p * t + 0x1.1deecap-3f;
    const float left = e * (t * p);
    return x < 0.0f ? left : 1.0f - left;
}

/* Terms of the series to r^13 / 13!, |r| <= ln2 / 2: the next is below 2^-57. */
PARE_INLINE double pare_exp_f64(double x)
{
    x = x < -746.0 ? -746.0 : x;
    x = x > 710.0 ? 710.0 : x;
    const double t = x * 0x1.71547652b82fep+0 + PARE_ROUND_F64, n = t - PARE_ROUND_F64;
    const double r = (x - n * 0x1.62e42fefap-1) - n * 0x1.cf79abc9e3b3ap-40;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = 1.0 + (r + r * r * p);
    const uint64_t whole = pare_f64_bits(t) - pare_f64_bits(PARE_ROUND_F64);
    const uint64_t half = ((whole + 2048u) >> 1) - 1024u; /* floor(whole / 2); AVX2 has no arithmetic shift of 64 bits */
    return p * pare_f64_of_bits((half + 1023u) << 52) * pare_f64_of_bits((whole - half + 1023u) << 52);
}
#endif
