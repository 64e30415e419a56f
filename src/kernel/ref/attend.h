/* SPDX-License-Identifier: Apache-2.0 */
/* What all variants of attend share: rows (query t of head h is row t * heads + h), their key ranges, conversion, the last step. */
#ifndef PARE_KERNEL_REF_ATTEND_H
#define PARE_KERNEL_REF_ATTEND_H
#include <math.h>
#include "kernel/nn.h"
#include "kernel/ref/vmath.h"

typedef struct pare_attend_row {
    const float *q, *bias;      /* bias: of this row, key 0; or NULL */
    float *out, slope;
    int32_t pos;                /* alibi only */
    int64_t first, last;
} pare_attend_row;

static inline pare_attend_row pare_attend_row_of(const pare_attend *a, int64_t r)
{
    const int64_t t = r / a->heads, h = r % a->heads;
    pare_attend_row row = { .q = a->q + t * a->q_stride + h * a->q_head, .out = a->out + t * a->out_stride + h * a->out_head,
                            .first = a->first[t] > 0 ? a->first[t] : 0, .last = a->last[t] < a->keys ? a->last[t] : a->keys };
    if (a->bias) row.bias = a->bias + h * a->bias_head + t * a->bias_query;
    if (a->alibi) {
        row.slope = a->alibi[h];
        row.pos = a->q_pos[t];
    }
    return row;
}

/* Keys that any of rows r0 .. r1 sees. */
static inline void pare_attend_range(const pare_attend *a, int64_t r0, int64_t r1, int64_t *begin, int64_t *end)
{
    *begin = a->keys;
    *end = 0;
    for (int64_t t = r0 / a->heads; t * a->heads < r1; t++) {
        if (a->first[t] >= a->last[t]) continue;
        *begin = a->first[t] < *begin ? a->first[t] : *begin;
        *end = a->last[t] > *end ? a->last[t] : *end;
    }
    *begin = *begin > 0 ? *begin : 0;
    *end = *end < a->keys ? *end : a->keys;
}

/* n elements of `src` from element `at` to f32, without their scale. */
static inline void pare_attend_load(float *restrict dst, const void *src, int64_t at, int64_t n, pare_dtype dtype)
{
    if (dtype == PARE_F32) {
        memcpy(dst, (const float *)src + at, (size_t)n * sizeof(float));
    } else if (dtype == PARE_F16) {
        const uint16_t *x = (const uint16_t *)src + at;
        for (int64_t i = 0; i < n; i++) dst[i] = pare_f16_to_f32_inl(x[i]);
    } else if (dtype == PARE_BF16) {
        const uint16_t *x = (const uint16_t *)src + at;
        for (int64_t i = 0; i < n; i++) dst[i] = pare_bf16_to_f32_inl(x[i]);
    } else if (dtype == PARE_F8_E4M3FN) {
        const uint8_t *x = (const uint8_t *)src + at;
        for (int64_t i = 0; i < n; i++) /* the bits of a float16 that is 2^8 smaller */
            dst[i] = (x[i] & 0x7f) == 0x7f ? NAN : 256.0f * pare_f16_to_f32_inl((uint16_t)((x[i] & 0x80u) << 8 | (x[i] & 0x7fu) << 7));
    } else {
        const int8_t *x = (const int8_t *)src + at;
        for (int64_t i = 0; i < n; i++) dst[i] = (float)x[i];
    }
}

/* What out is multiplied with at the end: 1 / (l + e^(sink - m)), both taken from the larger of m and sink; 0 for no weight at all. */
static inline float pare_attend_factor(const pare_attend *a, int64_t head, float m, float l)
{
    float keep = 1.0f;
    if (a->sink) {
        const float sink = a->sink[head], top = sink > m ? sink : m, base = top > -INFINITY ? top : 0.0f;
        keep = pare_exp(m - base);
        l = l * keep + pare_exp(sink - base);
    }
    return l == 0.0f ? 0.0f : keep / l;
}
#endif
