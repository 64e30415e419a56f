/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_int for any group and any number of columns, as wmat.h says, a column at a time: the truth, and what hand-written variants
 * leave to it.
 */
#ifndef PARE_KERNEL_REF_MATVEC_ROWS_H
#define PARE_KERNEL_REF_MATVEC_ROWS_H
#include <math.h>
#include "kernel/ref/matvec.h"

/* Limbs of column c joined to what enters one exact sum: all of them, or (byte kinds) one each. */
static inline void pare_mvact_limbs(const pare_wmat *w, const pare_mvact *x, const void *q, int64_t c, int64_t part[2])
{
    int64_t step;
    const int64_t at = pare_mvact_at(w->kind, x->limbs, c, &step);
    part[1] = 0;
    if (pare_wkind_bytes(w->kind)) {
        part[0] = ((const int16_t *)q)[at];
        if (x->limbs > 1) part[1] = ((const int16_t *)q)[at + step];
        return;
    }
    part[0] = ((const int8_t *)q)[at];
    for (int limb = 1; limb < x->limbs; limb++) part[0] = part[0] * 256 + ((const int8_t *)q)[at + limb * step];
}

static inline float pare_mvact_joined(const pare_wmat *w, const pare_mvact *x, const int64_t v[2])
{
    return pare_wkind_bytes(w->kind) && x->limbs > 1 ? (float)v[0] * 16384.0f + (float)v[1] : (float)v[0];
}

static inline float pare_matvec_int_row(const pare_wmat *w, int64_t r, const pare_mvact *x, int64_t t)
{
    const uint8_t *row = w->data + r * w->row_bytes;
    const void *q = (const uint8_t *)x->q + t * x->q_stride;
    const int64_t first = r / w->scale_rows * w->groups;
    const bool each = w->groups > 1 || w->shift; /* does the scale of W belong to a segment? */
    float lanes[16] = { 0 };
    for (int64_t c = 0; c < w->cols;) {
        const int64_t g = w->groups > 1 ? c / w->group : 0, block = c / PARE_ACT_BLOCK;
        int64_t end = (block + 1) * PARE_ACT_BLOCK < w->cols ? (block + 1) * PARE_ACT_BLOCK : w->cols;
        if (w->groups > 1 && (g + 1) * w->group < end) end = (g + 1) * w->group;
        const int32_t zero = pare_wmat_zero(w, first + g);
        const float xs = x->scale[t * x->scale_stride + block], s = each ? xs * pare_wmat_scale(w, first + g) : xs;
        int64_t v[16][2] = { { 0 } }, sum[16][2] = { { 0 } };
        bool used[16] = { false };
        for (; c < end; c++) {
            const int lane = pare_mvact_lane(w->kind, c);
            const int32_t u = pare_wmat_code(w, row, c) - zero;
            int64_t part[2];
            pare_mvact_limbs(w, x, q, c, part);
            used[lane] = true;
            for (int i = 0; i < 2; i++) v[lane][i] += u * part[i], sum[lane][i] += part[i];
        }
        for (int j = 0; j < 16; j++) {
            if (!used[j]) continue;
            lanes[j] = fmaf(pare_mvact_joined(w, x, v[j]), s, lanes[j]);
            if (w->shift) lanes[j] = fmaf(-pare_mvact_joined(w, x, sum[j]), w->shift[first + g] * xs, lanes[j]);
        }
    }
    const float total = pare_lanes_sum(lanes);
    return each ? total : total * pare_wmat_scale(w, first);
}

static inline void pare_matvec_int_rows(const pare_wmat *w, int64_t row0, int64_t rows, const pare_mvact *x, float *y, int64_t y_stride)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t t = 0; t < x->n; t++) y[t * y_stride + r] = pare_matvec_int_row(w, row0 + r, x, t);
}
#endif
