/* SPDX-License-Identifier: Apache-2.0 */
/* matvec_float in plain C: the truth, and what hand-written variants leave to it. */
#ifndef PARE_KERNEL_REF_MATVEC_FLOATS_H
#define PARE_KERNEL_REF_MATVEC_FLOATS_H
#include "kernel/ref/matvec.h"

enum { PARE_MATVEC_PIECE = 256 };

/* Columns [c0, c0 + n) of a row as f32, scales apart. */
static inline void pare_matvec_widen(const pare_wmat *w, const float *f8, const uint8_t *row, int64_t c0, int64_t n, float *out)
{
    const uint8_t *at;
    uint16_t h;
    switch (w->kind) {
    case PARE_W_F32: memcpy(out, row + c0 * 4, (size_t)n * 4); return;
    case PARE_W_F8:
        for (int64_t i = 0; i < n; i++) out[i] = f8[row[c0 + i]];
        return;
    case PARE_W_T4:
        for (int64_t i = 0; i < n; i++) out[i] = w->table[row[(c0 + i) / 2] >> ((c0 + i) % 2 * 4) & 15];
        return;
    case PARE_W_F16:
        at = row + c0 * 2;
        for (int64_t i = 0; i < n; i++) memcpy(&h, at + i * 2, 2), out[i] = pare_f16_to_f32_inl(h);
        return;
    default:
        at = row + c0 * 2;
        for (int64_t i = 0; i < n; i++) memcpy(&h, at + i * 2, 2), out[i] = pare_bf16_to_f32_inl(h);
        return;
    }
}

static inline void pare_matvec_add(float *sums, const float *w, const float *x, int64_t c0, int64_t n)
{
    int64_t i = 0;
    if (c0 % 32 == 0)
        for (; i + 32 <= n; i += 32)
            for (int j = 0; j < 32; j++) sums[j] = sums[j] + w[i + j] * x[i + j];
    for (; i < n; i++) sums[(c0 + i) % 32] = sums[(c0 + i) % 32] + w[i] * x[i];
}

static inline float pare_matvec_float_row(const pare_wmat *w, const float *f8, int64_t r, const float *x)
{
    const uint8_t *row = w->data + r * w->row_bytes;
    float sums[32] = { 0 }, group_sums[32], values[PARE_MATVEC_PIECE];
    const bool scaled = w->kind == PARE_W_F8 || w->kind == PARE_W_T4;
    if (!scaled || w->groups <= 1) {
        for (int64_t c = 0; c < w->cols; c += PARE_MATVEC_PIECE) {
            const int64_t n = w->cols - c < PARE_MATVEC_PIECE ? w->cols - c : PARE_MATVEC_PIECE;
            pare_matvec_widen(w, f8, row, c, n, values);
            pare_matvec_add(sums, values, x + c, c, n);
        }
        const float total = pare_sums_tree(sums);
        return scaled ? total * pare_wmat_scale(w, r / w->scale_rows * w->groups) : total;
    }
    for (int64_t c = 0; c < w->cols;) {
        const int64_t g = c / w->group, end = (g + 1) * w->group < w->cols ? (g + 1) * w->group : w->cols;
        const float scale = pare_wmat_scale(w, r / w->scale_rows * w->groups + g);
        memset(group_sums, 0, sizeof group_sums);
        while (c < end) {
            const int64_t n = end - c < PARE_MATVEC_PIECE ? end - c : PARE_MATVEC_PIECE;
            pare_matvec_widen(w, f8, row, c, n, values);
            pare_matvec_add(group_sums, values, x + c, c, n);
            c += n;
        }
        for (int j = 0; j < 32; j++) sums[j] = sums[j] + group_sums[j] * scale;
    }
    return pare_sums_tree(sums);
}

static inline void pare_matvec_floats(const pare_wmat *w, int64_t row0, int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    float f8[256];
    if (w->kind == PARE_W_F8)
        for (int u = 0; u < 256; u++) f8[u] = pare_f8_to_f32(w->code_dtype, (uint8_t)u);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t t = 0; t < n; t++) y[t * y_stride + r] = pare_matvec_float_row(w, f8, row0 + r, x + t * x_stride);
}
#endif
