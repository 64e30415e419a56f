/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_float with vectors of VL lanes: ROWS rows at a time, 32 columns (32 / VL vectors of partial sums a row) after the other. The
 * including file defines VL, ROWS, the type `vec` and the functions below; products are rounded before they are added, as the reference does.
 *
 *   load_f32(at)  load_bf16(at)  load_f16(at)  load_f8(at, format)   VL elements of memory as f32
 *   sixteen  table_of(const float *)  load_t4(at, sixteen)           a table of 16 values, and VL of them by nibbles
 *   mul(a, b)  add(a, b)  all(float)  store(float *, vec)
 */
#ifndef PARE_KERNEL_X86_MATVEC_FLOAT_H
#define PARE_KERNEL_X86_MATVEC_FLOAT_H
#include "kernel/ref/matvec.h"
#include "kernel/variants.h"

enum { PER = 32 / VL };

static inline int64_t bits_of(pare_wkind kind) { return kind == PARE_W_F32 ? 32 : kind == PARE_W_F8 ? 8 : kind == PARE_W_T4 ? 4 : 16; }

/* A scale in a file may lie anywhere. */
INLINE float number_at(const float *at, int64_t i)
{
    float f;
    memcpy(&f, (const uint8_t *)at + i * 4, sizeof f);
    return f;
}

INLINE vec load(const uint8_t *from, const pare_wkind kind, const pare_dtype f8, sixteen table)
{
    if (kind == PARE_W_F32) return load_f32(from);
    if (kind == PARE_W_BF16) return load_bf16(from);
    if (kind == PARE_W_F16) return load_f16(from);
    return kind == PARE_W_T4 ? load_t4(from, table) : load_f8(from, f8);
}

/*
 * Partial sums of ROWS rows from w[i], n columns, a multiple of 32; sums [ROWS][PER]. group 0: plain; 16 or 32: each product times the scale of its
 * group, scale[r] the first of them (the sums of such a group are one product each, so that nothing else comes of making them first).
 */
INLINE void add_columns(const uint8_t *const *w, const float *x, int64_t n, int64_t ahead, const pare_wkind kind, const pare_dtype f8, const float *values,
                        const int group, const float *const *scale, vec (*sums)[PER])
{
    const int64_t bits = bits_of(kind);
    const sixteen table = table_of(values);
    vec s[ROWS][PER];
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < PER; i++) s[r][i] = sums[r][i];
    for (int64_t c = 0; c < n; c += 32) {
        vec xs[PER];
        for (int i = 0; i < PER; i++) xs[i] = load_f32(x + c + i * VL);
        for (int r = 0; r < ROWS; r++) {
            const uint8_t *at = w[r] + c * bits / 8;
            if (bits > 8 || c % (512 / bits) == 0) _mm_prefetch((const char *)at + ahead, _MM_HINT_T0);
            if (bits > 16) _mm_prefetch((const char *)at + ahead + 64, _MM_HINT_T0);
            for (int i = 0; i < PER; i++) {
                vec p = mul(load(at + i * VL * bits / 8, kind, f8, table), xs[i]);
                if (group) p = mul(p, all(number_at(scale[r], (c + i * VL) / group)));
                s[r][i] = add(s[r][i], p);
            }
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < PER; i++) sums[r][i] = s[r][i];
}

typedef void (*columns_fn)(const uint8_t *const *w, const float *x, int64_t n, int64_t ahead, const float *table, const float *const *scale, vec (*sums)[PER]);
#define COLUMNS_BY(name, kind, f8, group)                                                                                                                   \
    static void name(const uint8_t *const *w, const float *x, int64_t n, int64_t ahead, const float *table, const float *const *scale, vec (*sums)[PER])    \
    {                                                                                                                                                       \
        add_columns(w, x, n, ahead, kind, f8, table, group, scale, sums);                                                                                   \
    }
#define COLUMNS(name, kind, f8) COLUMNS_BY(name, kind, f8, 0)
COLUMNS(columns_f32, PARE_W_F32, 0)
COLUMNS(columns_f16, PARE_W_F16, 0)
COLUMNS(columns_bf16, PARE_W_BF16, 0)
COLUMNS(columns_e4m3fn, PARE_W_F8, PARE_F8_E4M3FN)
COLUMNS(columns_e5m2, PARE_W_F8, PARE_F8_E5M2)
COLUMNS(columns_e4m3fnuz, PARE_W_F8, PARE_F8_E4M3FNUZ)
COLUMNS(columns_e5m2fnuz, PARE_W_F8, PARE_F8_E5M2FNUZ)
COLUMNS(columns_t4, PARE_W_T4, 0)
COLUMNS_BY(columns_t4_16, PARE_W_T4, 0, 16)
COLUMNS_BY(columns_t4_32, PARE_W_T4, 0, 32)
COLUMNS_BY(columns_e4m3fn_32, PARE_W_F8, PARE_F8_E4M3FN, 32)

static columns_fn columns_of(const pare_wmat *w)
{
    if (w->kind == PARE_W_F32) return columns_f32;
    if (w->kind == PARE_W_F16) return columns_f16;
    if (w->kind == PARE_W_BF16) return columns_bf16;
    if (w->kind == PARE_W_T4) return columns_t4;
    return w->code_dtype == PARE_F8_E4M3FN ? columns_e4m3fn : w->code_dtype == PARE_F8_E5M2 ? columns_e5m2 : w->code_dtype == PARE_F8_E4M3FNUZ ? columns_e4m3fnuz
                                                                                                                                             : columns_e5m2fnuz;
}

/* Small groups, whole vectors of which have one scale: one pass over the row. NULL: there is none for these. */
static columns_fn scaled_columns_of(const pare_wmat *w)
{
    if (w->groups <= 1 || w->scale_dtype != PARE_F32) return NULL;
    if (w->kind == PARE_W_T4) return w->group == 16 ? columns_t4_16 : w->group == 32 ? columns_t4_32 : NULL;
    return w->kind == PARE_W_F8 && w->code_dtype == PARE_F8_E4M3FN && w->group == 32 ? columns_e4m3fn_32 : NULL;
}

/* Columns [c0, c1) of rows at row[i]; the last ones, where no 32 are left, out of padded copies. */
INLINE void some_columns(columns_fn run, const pare_wmat *w, const uint8_t *const *row, const float *x, int64_t c0, int64_t c1, int64_t ahead,
                         const float *const *scale, vec (*sums)[PER])
{
    const uint8_t *at[ROWS];
    const int64_t bits = bits_of(w->kind), whole = c0 + (c1 - c0) / 32 * 32, left = c1 - whole;
    for (int r = 0; r < ROWS; r++) at[r] = row[r] + c0 * bits / 8;
    run(at, x + c0, whole - c0, ahead, w->table, scale, sums);
    if (left == 0) return;
    float last_x[32] = { 0 }, last_scale[ROWS][2];
    const float *scales[ROWS];
    uint8_t last[ROWS][32 * 4];
    memcpy(last_x, x + whole, (size_t)left * 4);
    for (int r = 0; r < ROWS; r++) {
        memset(last[r], 0, sizeof last[r]);
        memcpy(last[r], row[r] + whole * bits / 8, (size_t)((left * bits + 7) / 8));
        at[r] = last[r];
        scales[r] = last_scale[r];
        for (int64_t g = 0; scale != NULL && g < 2; g++) last_scale[r][g] = whole / w->group + g < w->groups ? number_at(scale[r], whole / w->group + g) : 0.0f;
    }
    run(at, last_x, 32, 0, w->table, scales, sums);
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
    const columns_fn scaled_run = scaled_columns_of(w);
    const int64_t ahead = (6144 / (ROWS * w->row_bytes) + 1) * ROWS * w->row_bytes;
    const bool scaled = w->kind == PARE_W_F8 || w->kind == PARE_W_T4, groups = scaled && w->groups > 1 && scaled_run == NULL;
    for (int64_t r = 0; r < rows; r += ROWS) {
        const uint8_t *row[ROWS];
        const float *scale[ROWS];
        int64_t number[ROWS];
        for (int i = 0; i < ROWS; i++) {
            number[i] = row0 + (r + i < rows ? r + i : rows - 1); /* rows that are not there: the last again */
            row[i] = w->data + number[i] * w->row_bytes;
            scale[i] = (const float *)(const void *)((const uint8_t *)w->scale + (scaled ? number[i] / w->scale_rows * w->groups * 4 : 0)); /* read where it is f32 */
        }
        for (int64_t t = 0; t < n; t++) {
            vec sums[ROWS][PER], part[ROWS][PER];
            const float *at = x + t * x_stride;
            for (int i = 0; i < ROWS * PER; i++) sums[i / PER][i % PER] = all(0.0f);
            if (scaled_run != NULL) some_columns(scaled_run, w, row, at, 0, w->cols, ahead, scale, sums);
            else if (!groups) some_columns(run, w, row, at, 0, w->cols, ahead, NULL, sums);
            for (int64_t g = 0; groups && g < w->groups; g++) {
                const int64_t c1 = (g + 1) * w->group < w->cols ? (g + 1) * w->group : w->cols;
                for (int i = 0; i < ROWS * PER; i++) part[i / PER][i % PER] = all(0.0f);
                some_columns(run, w, row, at, g * w->group, c1, ahead, NULL, part);
                for (int i = 0; i < ROWS; i++) {
                    const vec s = all(pare_wmat_scale(w, number[i] / w->scale_rows * w->groups + g));
                    for (int j = 0; j < PER; j++) sums[i][j] = add(sums[i][j], mul(part[i][j], s));
                }
            }
            for (int i = 0; i < ROWS && r + i < rows; i++) {
                const float sum = tree(sums[i]);
                y[t * y_stride + r + i] = scaled && w->groups <= 1 ? sum * pare_wmat_scale(w, number[i] / w->scale_rows * w->groups) : sum;
            }
        }
    }
}

/* Groups must begin where the 32 partial sums do. */
static inline bool groups_fit(const pare_wmat *w)
{
    return (w->kind != PARE_W_F8 && w->kind != PARE_W_T4) || w->groups <= 1 || w->group % 32 == 0 || scaled_columns_of(w) != NULL;
}
#endif
