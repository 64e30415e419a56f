/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops that several references share, and the arithmetic that every variant must reproduce bit by bit.
 *
 * Quantize x with scale s and zero point z to u in [umin, umax]:
 *     t = x / s                                    one IEEE division, round to nearest even
 *     t = max(t, umin - z), min(t, umax - z)       NaN goes to the lower bound; bounds are integers, so clamping first is the same
 *     r = (t + 1.5 * 2^23) - 1.5 * 2^23            = rne(t): at that size a float's last bit is worth 1
 *     u = r + z,   dequantized y = r * s
 * A scale that is 0, inf or NaN: u = clamp(z).
 *
 * Sums: 16 strided partial sums in f64 over the index in the row, lane i % 16, folded by halves: 16 -> 8 -> 4 -> 2 -> 1. The
 * difference is taken in f32 (exact whenever y is within a factor of 2 of x); products of two f32 are exact in f64, so that it
 * makes no difference whether a compiler or a variant fuses them into the addition.
 */
#ifndef PARE_KERNEL_REF_ROWS_H
#define PARE_KERNEL_REF_ROWS_H
#include "kernel/kernel.h"
#include "num/num_inl.h"

#define PARE_RNE_MAGIC 12582912.0f      /* 1.5 * 2^23 */
#define PARE_RNE_MAGIC_BITS 0x4b400000u
enum { PARE_LANES = 16, PARE_ROW_BLOCK = 512, PARE_FAST_ZERO = 1 << 20 };

static inline bool pare_scale_usable(float s)
{
    const uint32_t a = pare_f32_bits(s) & 0x7fffffffu;
    return a != 0 && a < 0x7f800000u;
}

static inline int32_t pare_clamp_i32(int32_t v, int32_t lo, int32_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* Any zero point: through f64 and 64-bit integers. */
static inline uint8_t pare_quant_one_slow(float x, float s, int32_t zero, int umin, int umax)
{
    const double lo = (double)umin - zero, hi = (double)umax - zero;
    double t = (double)(x / s);
    t = t > lo ? t : lo;
    t = t < hi ? t : hi;
    const double r = (t + 6755399441055744.0) - 6755399441055744.0; /* 1.5 * 2^52: rne */
    return (uint8_t)((int64_t)r + zero);
}

static inline float pare_quant_clamped(float x, float s, float lo, float hi)
{
    float t = x / s;
    t = t > lo ? t : lo;
    return t < hi ? t : hi;
}

#define PARE_QUANT_SPAN(NAME, T, LOAD)                                                                                          \
    static inline void NAME(const T *x, int64_t n, float s, int32_t zero, int umin, int umax, uint8_t *codes)                  \
    {                                                                                                                          \
        if (!pare_scale_usable(s)) {                                                                                           \
            memset(codes, pare_clamp_i32(zero, umin, umax), (size_t)n);                                                        \
        } else if (zero > PARE_FAST_ZERO || zero < -PARE_FAST_ZERO) {                                                          \
            for (int64_t i = 0; i < n; i++) codes[i] = pare_quant_one_slow(LOAD(x[i]), s, zero, umin, umax);                   \
        } else {                                                                                                               \
            const float lo = (float)(umin - zero), hi = (float)(umax - zero);                                                  \
            const uint32_t off = (uint32_t)zero - PARE_RNE_MAGIC_BITS;                                                         \
            for (int64_t i = 0; i < n; i++)                                                                                    \
                codes[i] = (uint8_t)(pare_f32_bits(pare_quant_clamped(LOAD(x[i]), s, lo, hi) + PARE_RNE_MAGIC) + off);         \
        }                                                                                                                      \
    }
#define PARE_LOAD_F32(v) (v)
#define PARE_LOAD_BF16(v) pare_bf16_to_f32_inl(v)
PARE_QUANT_SPAN(pare_quant_span, float, PARE_LOAD_F32)
PARE_QUANT_SPAN(pare_quant_span_bf16, uint16_t, PARE_LOAD_BF16)

static inline void pare_dequant_span(const uint8_t *codes, int64_t n, float s, int32_t zero, float *out)
{
    if (zero > PARE_FAST_ZERO || zero < -PARE_FAST_ZERO)
        for (int64_t i = 0; i < n; i++) out[i] = (float)((int64_t)codes[i] - zero) * s;
    else
        for (int64_t i = 0; i < n; i++) out[i] = (float)((int32_t)codes[i] - zero) * s;
}

/* Partial sums of a row. */
typedef struct pare_error_lanes {
    double signal[PARE_LANES], noise[PARE_LANES], cross[PARE_LANES], abs_sum[PARE_LANES], dq2[PARE_LANES];
    float max_abs[PARE_LANES];
} pare_error_lanes;

/* n elements that begin at an index of the row that is a multiple of 16. */
static inline void pare_error_lanes_add(pare_error_lanes *e, const float *x, const float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) {
            const float a = x[i + j], b = y[i + j], d = b - a, m = d < 0.0f ? -d : d;
            e->signal[j] += (double)a * (double)a;
            e->noise[j] += (double)m * (double)m;
            e->cross[j] += (double)a * (double)b;
            e->dq2[j] += (double)b * (double)b;
            e->abs_sum[j] += (double)m;
            e->max_abs[j] = m > e->max_abs[j] ? m : e->max_abs[j];
        }
    for (int j = 0; i + j < n; j++) {
        const float a = x[i + j], b = y[i + j], d = b - a, m = d < 0.0f ? -d : d;
        e->signal[j] += (double)a * (double)a;
        e->noise[j] += (double)m * (double)m;
        e->cross[j] += (double)a * (double)b;
        e->dq2[j] += (double)b * (double)b;
        e->abs_sum[j] += (double)m;
        e->max_abs[j] = m > e->max_abs[j] ? m : e->max_abs[j];
    }
}

static inline double pare_fold_lanes(const double *lane)
{
    double s[PARE_LANES];
    for (int j = 0; j < PARE_LANES; j++) s[j] = lane[j];
    for (int width = PARE_LANES / 2; width; width /= 2)
        for (int j = 0; j < width; j++) s[j] += s[j + width];
    return s[0];
}

static inline void pare_error_lanes_finish(const pare_error_lanes *e, pare_row_error *out)
{
    float m = 0.0f;
    for (int j = 0; j < PARE_LANES; j++) m = e->max_abs[j] > m ? e->max_abs[j] : m;
    *out = (pare_row_error){ .signal = pare_fold_lanes(e->signal), .noise = pare_fold_lanes(e->noise), .cross = pare_fold_lanes(e->cross),
                             .abs_sum = pare_fold_lanes(e->abs_sum), .max_abs = (double)m, .dq2 = pare_fold_lanes(e->dq2) };
}
#endif
