/* SPDX-License-Identifier: Apache-2.0 */
/* What the matvec ops of all levels share: scales, zero points and the fixed trees at the end of a row. Types and order: kernel/wmat.h. */
#ifndef PARE_KERNEL_REF_MATVEC_H
#define PARE_KERNEL_REF_MATVEC_H
#include "kernel/kernel.h"
#include "kernel/ref/gemm_codes.h"
#include "num/num_inl.h"

static inline float pare_wmat_scale(const pare_wmat *w, int64_t i)
{
    if (w->scale_dtype == PARE_F32) {
        float f;
        memcpy(&f, (const uint8_t *)w->scale + i * 4, 4);
        return f;
    }
    uint16_t h;
    memcpy(&h, (const uint8_t *)w->scale + i * 2, 2);
    return w->scale_dtype == PARE_F16 ? pare_f16_to_f32_inl(h) : pare_bf16_to_f32_inl(h);
}

/* In the domain of stored bytes: those of I8 are signed. */
static inline int32_t pare_wmat_zero(const pare_wmat *w, int64_t i)
{
    const int32_t offset = w->kind == PARE_W_I8 ? 128 : 0;
    if (w->shift) return -offset;
    if (w->zero) return w->zero[i] - offset;
    return w->kind == PARE_W_U4 ? 8 : w->kind == PARE_W_U3 ? 4 : w->kind == PARE_W_U2 ? 2 : 128 - offset;
}

/* Code of column c as stored: 0 ... 2^bits-1, of I8 -128 ... 127. */
static inline int32_t pare_wmat_code(const pare_wmat *w, const uint8_t *row, int64_t c)
{
    switch (w->kind) {
    case PARE_W_I8: return (int8_t)row[c];
    case PARE_W_U8: return row[c];
    case PARE_W_U4: return row[c / 2] >> c % 2 * 4 & 15;
    case PARE_W_U2: return row[c / 4] >> c % 4 * 2 & 3;
    default: return (int32_t)(pare_gemm_code_word(3, row, c / 4) >> c % 4 * 8 & 7);
    }
}

static inline bool pare_wkind_bytes(pare_wkind kind) { return kind == PARE_W_I8 || kind == PARE_W_U8; }

/* Index, in elements (int8, or int16 of byte kinds), of limb 0 of column c in a token of pare_mvact; *step to the next limb. */
static inline int64_t pare_mvact_at(pare_wkind kind, int limbs, int64_t c, int64_t *step)
{
    if (pare_wkind_bytes(kind)) {
        *step = 32;
        return c / 32 * limbs * 32 + c % 32;
    }
    const int64_t planes = kind == PARE_W_U4 ? 2 : 4, unit = planes * 64, i = c % unit;
    *step = unit;
    return c / unit * limbs * unit + i % planes * 64 + i / planes;
}

static inline int pare_mvact_lane(pare_wkind kind, int64_t c)
{
    return (int)(pare_wkind_bytes(kind) ? c / 2 % 16 : kind == PARE_W_U4 ? c / 8 % 16 : c / 16 % 16);
}

static inline float pare_lanes_sum(float *l)
{
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++) l[j] = l[j] + l[j + half];
    return l[0];
}

static inline float pare_sums_tree(float *l)
{
    for (int j = 0; j < 16; j++) l[j] = l[j] + l[j + 16];
    return pare_lanes_sum(l);
}
#endif
