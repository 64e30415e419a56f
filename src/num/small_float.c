/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One codec for every small float, parametrised by exponent bits, mantissa bits, bias and what the top codes mean.
 * Formats: OCP OFP8 (e4m3fn, e5m2), OCP MX v1.0 (e2m1), the FNUZ pair of Noune et al. 2022 (arXiv 2206.02915).
 *
 *   code      s e..e m..m        value = (-1)^s * m * 2^(1 - bias - M)            when e = 0
 *                                value = (-1)^s * (2^M + m) * 2^(e - bias - M)    otherwise
 *
 * Codes of one sign are consecutive integers in order of magnitude, so that rounding may carry from mantissa to exponent.
 */
#include <math.h>
#include "num/dtype.h"
#include "num/num_inl.h"

static uint32_t sign_bit(const pare_small_float *f)
{
    return 1u << (f->ebits + f->mbits);
}

/* Largest finite code without its sign. */
static uint32_t max_code(const pare_small_float *f)
{
    const uint32_t ones = sign_bit(f) - 1;
    switch (f->kind) {
    case PARE_SMALL_IEEE: return ones - (1u << f->mbits);
    case PARE_SMALL_FN: return ones - 1;
    default: return ones;
    }
}

static uint32_t nan_code(const pare_small_float *f, uint32_t sign)
{
    switch (f->kind) {
    case PARE_SMALL_FNUZ: return sign_bit(f);
    case PARE_SMALL_FULL: return sign_bit(f) - 1;
    default: return sign | (sign_bit(f) - 1);
    }
}

static uint32_t overflow_code(const pare_small_float *f, uint32_t sign, bool saturate)
{
    if (saturate || f->kind == PARE_SMALL_FULL) return sign | max_code(f);
    if (f->kind == PARE_SMALL_IEEE) return sign | (max_code(f) + 1); /* inf */
    return nan_code(f, sign);
}

float pare_small_decode(const pare_small_float *f, uint32_t code)
{
    const uint32_t sign = code & sign_bit(f), a = code & (sign_bit(f) - 1);
    const uint32_t sign32 = sign ? 0x80000000u : 0;
    if (f->kind == PARE_SMALL_FNUZ && sign && a == 0) return pare_bits_f32(0x7fc00000u);
    if (f->kind != PARE_SMALL_FNUZ && a > max_code(f))
        return pare_bits_f32(sign32 | (f->kind == PARE_SMALL_IEEE && a == max_code(f) + 1 ? 0x7f800000u : 0x7fc00000u));
    const int e = (int)(a >> f->mbits);
    const int m = (int)(a & ((1u << f->mbits) - 1));
    const float magnitude = e ? ldexpf((float)(m + (1 << f->mbits)), e - f->bias - f->mbits) : ldexpf((float)m, 1 - f->bias - f->mbits);
    return pare_bits_f32(sign32 | pare_f32_bits(magnitude));
}

uint32_t pare_small_encode(const pare_small_float *f, float x, bool saturate)
{
    const uint32_t u = pare_f32_bits(x), a = u & 0x7fffffffu, sign = u >> 31 ? sign_bit(f) : 0;
    if (a > 0x7f800000u) return nan_code(f, sign);
    if (a == 0x7f800000u) return overflow_code(f, sign, saturate);
    const int stored = (int)(a >> 23);
    const int e = (stored ? stored : 1) - 127;                       /* |x| = sig * 2^(e - 23) */
    const uint32_t sig = (a & 0x7fffffu) | (stored ? 0x800000u : 0);
    const int emin = 1 - f->bias, etop = e > emin ? e : emin;
    const int shift = (etop - f->mbits) - (e - 23);                  /* >= 23 - mbits; sig loses this many bits */
    uint32_t r = 0;
    if (shift <= 25) {                                               /* beyond, |x| is below half of the smallest step */
        const uint32_t rest = sig & ((1u << shift) - 1), half = 1u << (shift - 1);
        r = sig >> shift;
        r += rest > half || (rest == half && (r & 1u));
    }
    const uint32_t code = ((uint32_t)(etop - emin) << f->mbits) + r;
    if (code > max_code(f)) return overflow_code(f, sign, saturate);
    return code == 0 && f->kind == PARE_SMALL_FNUZ ? 0 : sign | code;
}
