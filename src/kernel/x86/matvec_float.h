/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_float with vectors of VL lanes: ROWS rows at a time, 32 columns (32 / VL vectors of partial sums a row) after the other. The
 * including file defines VL, ROWS, the type `vec` and the functions below; products are rounded before they are added, as the reference does.
 *
 *   load_f32(at)  load_bf16(at)  load_f16(at)  load_f8(at, format)   VL elements of memory as f32
 *   mul(a, b)  add(a, b)  all(float)  store(float *, vec)
 */
#ifndef PARE_KERNEL_X86_MATVEC_FLOAT_H
#define PARE_KERNEL_X86_MATVEC_FLOAT_H
#include "kernel/ref/matvec.h"
#include "kernel/variants.h"

enum { PER = 32 / VL };

/* Partial sums of ROWS rows from w[i], n columns, a multiple of 32; sums [ROWS][PER]. */
INLINE void add_columns(const uint8_t *const *w, const float *x, int64_t n, int64_t ahead, const pare_wkind kind, const pare_dtype f8, vec (*sums)[PER])
{
    const int64_t size = kind == PARE_W_F32 ? 4 : kind == PARE_W_F8 ? 1 : 2;
    vec s[ROWS][PER];
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < PER; i++) s[r][i] = sums[r][i];
    for (int64_t c = 0; c < n; c += 32) {
        vec xs[PER];
        for (int i = 0; i < PER; i++) xs[i] = load_f32(x + c + i * VL);
        for (int r = 0; r < ROWS; r++) {
            const uint8_t *at = w[r] + c * size;
            if (size > 1 || c % 64 == 0) _mm_prefetch((const char *)at + ahead, _MM_HINT_T0);
            if (size > 2) _mm_prefetch((const char *)at + ahead + 64, _MM_HINT_T0);
            for (int i = 0; i < PER; i++) {
                const uint8_t *from = at + i * VL * size;
                const vec v = kind == PARE_W_F32 ? load_f32(from) : kind == PARE_W_BF16 ? load_bf16(from) : kind == PARE_W_F16 ? load_f16(from) : load_f8(from, f8);
                s[r][i] = add(s[r][i], mul(v, xs[i]));
            }
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < PER; i++) sums[r][i] = s[r][i];
}

typedef void (*columns_fn)(const uint8_t *const *w, const float *x, int64_t n, int64_t ahead, vec (*sums)[PER]);
#define COLUMNS(name, kind, f8) \
    static void name(const uint8_t *const *w, const float *x, int64_t n, int64_t ahead, vec (*sums)[PER]) { add_columns(w, x, n, ahead, kind, f8, sums); }
COLUMNS(columns_f32, PARE_W_F32, 0)
COLUMNS(columns_f16, PARE_W_F16, 0)
COLUMNS(columns_bf16, PARE_W_BF16, 0)
COLUMNS(columns_e4m3fn, PARE_W_F8, PARE_F8_E4M3FN)
COLUMNS(columns_e5m2, PARE_W_F8, PARE_F8_E5M2)
COLUMNS(columns_e4m3fnuz, PARE_W_F8, PARE_F8_E4M3FNUZ)
COLUMNS(columns_e5m2fnuz, PARE_W_F8, PARE_F8_E5M2FNUZ)

static columns_fn columns_of(const pare_wmat *w)
{
    if (w->kind == PARE_W_F32) return columns_f32;
    if (w->kind == PARE_W_F16) return columns_f16;
    if (w->kind == PARE_W_BF16) return columns_bf16;
    return w->code_dtype == PARE_F8_E4M3FN ? columns_e4m3fn : w->code_dtype == PARE_F8_E5M2 ? columns_e5m2 : w->code_dtype == PARE_F8_E4M3FNUZ ? columns_e4m3fnuz
                                                                                                                                             : columns_e5m2fnuz;
}

/* Columns [c0, c1) of rows at row[i]; the last ones, where no 32 are left, out of padded copies. */
INLINE void some_columns(columns_fn run, const uint8_t *const *row, const float *x, int64_t c0, int64_t c1, int64_t size, int64_t ahead, vec (*sums)[PER])
{
    const uint8_t *at[ROWS];
    const int64_t whole = c0 + (c1 - c0) / 32 * 32, left = c1 - whole;
    for (int r = 0; r < ROWS; r++) at[r] = row[r] + c0 * size;
    run(at, x + c0, whole - c0, ahead, sums);
    if (left == 0) return;
    float last_x[32] = { 0 };
    uint8_t last[ROWS][32 * 4];
    memcpy(last_x, x + whole, (size_t)left * 4);
    for (int r = 0; r < ROWS; r++) {
        memset(last[r], 0, sizeof last[r]);
        memcpy(last[r], row[r] + whole * size, (size_t)(left * size));
        at[r] = last[r];
    }
    run(at, last_x, 32, 0, sums);
}

INLINE float tree(const vec *sums)
{
    float l[32];
    for (int i = 0; i < PER; i++) store(l + i * VL, sums[i]);
    return pare_sums_tree(l);
}

INLINE void matvec_float_rows(const pare_wmat *w, int64_t row0, int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    const columns_fn run = columns_of(w);
    const int64_t size = w->kind == PARE_W_F32 ? 4 : w->kind == PARE_W_F8 ? 1 : 2, ahead = (6144 / (ROWS * w->row_bytes) + 1) * ROWS * w->row_bytes;
    const bool groups = w->kind == PARE_W_F8 && w->groups > 1;
    for (int64_t r = 0; r < rows; r += ROWS) {
        const uint8_t *row[ROWS];
        int64_t number[ROWS];
        for (int i = 0; i < ROWS; i++) {
            number[i] = row0 + (r + i < rows ? r + i : rows - 1); /* rows that are not there: the last again */
            row[i] = w->data + number[i] * w->row_bytes;
        }
        for (int64_t t = 0; t < n; t++) {
            vec sums[ROWS][PER], part[ROWS][PER];
            const float *at = x + t * x_stride;
            for (int i = 0; i < ROWS * PER; i++) sums[i / PER][i % PER] = all(0.0f);
            if (!groups) some_columns(run, row, at, 0, w->cols, size, ahead, sums);
            for (int64_t g = 0; groups && g < w->groups; g++) {
                const int64_t c1 = (g + 1) * w->group < w->cols ? (g + 1) * w->group : w->cols;
                for (int i = 0; i < ROWS * PER; i++) part[i / PER][i % PER] = all(0.0f);
                some_columns(run, row, at, g * w->group, c1, size, ahead, part);
                for (int i = 0; i < ROWS; i++) {
                    const vec s = all(pare_wmat_scale(w, number[i] / w->scale_rows * w->groups + g));
                    for (int j = 0; j < PER; j++) sums[i][j] = add(sums[i][j], mul(part[i][j], s));
                }
            }
            for (int i = 0; i < ROWS && r + i < rows; i++) {
                const float sum = tree(sums[i]);
                y[t * y_stride + r + i] = w->kind == PARE_W_F8 && !groups ? sum * pare_wmat_scale(w, number[i] / w->scale_rows * w->groups) : sum;
            }
        }
    }
}

/* Groups must begin where the 32 partial sums do. */
static inline bool groups_fit(const pare_wmat *w) { return w->kind != PARE_W_F8 || w->groups <= 1 || w->group % 32 == 0; }
#endif
