/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantizing with AVX2 and FMA: the codes of ref/rows.h without a division per element.
 *
 * Wanted is rne(rn(x / s)), rn = rounding to f32. With y = rn(1/s) and y' = rn(rn(1 - s*y) * y), the low part of 1/s,
 *
 *     q = fma(x, y, rn(x * y'))
 *
 * differs from x/s, before its one rounding, by at most eps = |x| * ulp(y)/2 * (2^-23 + 2^-24): 1 - s*y is exact (a multiple of
 * 2^-47 below 2^-24), so that y + y' misses 1/s by less than ulp(y)/2 * 2^-23, and rn(x*y') adds |x * y'| * 2^-24.
 *
 * A code depends on q only through the side of the half-integers h = k + 1/2, |h| <= 255.5, on which it lies, or whether it is
 * one; so q may differ from rn(x/s) anywhere else. It differs there only if x/s lies within eps of a midpoint M between h and
 * a neighbouring f32. Write x = X * 2^a, s = S * 2^b, M = N * 2^c with integers 2^23 <= X, S < 2^24 <= N < 2^25, N odd. Then
 * |x/s - M| = |D| * ulp(h) / (2*S), where D = X * 2^(a-b-c) - N*S is an integer, and a-b-c >= 24. N = 2*H +- 1, where H is h's
 * mantissa; h has at most 9 significant bits, so 2*H is a multiple of 2^16 and D = -+S modulo 2^16. (Below h = 1/2, where the
 * spacing halves, N = 2^25 - 1 and the same holds.) D is never 0, since X * 2^(a-b-c) has more trailing zeros than N*S unless S
 * has 24 or more. With eps / ulp(h) <= 3*2^-25 * m * S * 2^-24 (m < 2: mantissa of the quotient; when S = 2^23 then y' = 0 and
 * all is exact), eps can reach M only if |D| <= 6*m*S^2 * 2^-49 < 6. Hence:
 *
 *     if the low 16 bits of S are 0, |D| >= 2^16; if they are in 7 ... 2^16 - 7, |D| >= 7: the codes are exact.
 *
 * Other scales (one in 5000 random ones), scales outside [2^-23, 2^64), where x*y' could overflow, and zero points outside 0 ... 255
 * take the dividing code of ref/rows.h. NaN and inf are not promised a certain code, only one in [umin, umax].
 */
#ifndef PARE_KERNEL_X86_ROWS_AVX2_H
#define PARE_KERNEL_X86_ROWS_AVX2_H
#include <immintrin.h>
#include "kernel/ref/rows.h"

typedef struct pare_divisor_avx2 {
    __m256 inv, low; /* y, y' */
} pare_divisor_avx2;

static inline bool pare_divisor_fits(float s, int32_t zero)
{
    const uint32_t a = pare_f32_bits(s), low = a & 0xffffu; /* negative: a is too large */
    return a - (104u << 23) < 87u << 23 && (low == 0 || low - 7u <= 0x10000u - 14u) && (uint32_t)zero <= 255u;
}

static inline pare_divisor_avx2 pare_divisor_of(float s)
{
    const __m128 one = _mm_set_ss(1.0f), v = _mm_set_ss(s);
    const __m128 y = _mm_div_ss(one, v), low = _mm_mul_ss(_mm_fnmadd_ss(v, y, one), y);
    return (pare_divisor_avx2){ .inv = _mm256_broadcastss_ps(y), .low = _mm256_broadcastss_ps(low) };
}

/* About x/s: on the right side of every half-integer, see above. */
static inline __m256 pare_quotient_avx2(__m256 x, pare_divisor_avx2 d)
{
    return _mm256_fmadd_ps(x, d.inv, _mm256_mul_ps(x, d.low));
}

/* Prefetching the row that follows while this one is worked on: rows are mostly neighbours in memory, and a hint cannot fault. */
enum { PARE_AHEAD_MOST = 1 << 18 };
#define PARE_AHEAD(address, bytes)                                                           \
    do {                                                                                     \
        if ((bytes) <= PARE_AHEAD_MOST) _mm_prefetch((const char *)(address) + (bytes), _MM_HINT_T0); \
    } while (0)
#endif
