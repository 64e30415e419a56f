/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_float with vectors of VL lanes: ROWS rows at a time, 32 columns (32 / VL vectors of partial sums a row) after the other. The rows
 * are not neighbours but lie rows / ROWS apart, so that each is a stream of its own through memory (kernel/x86/matvec_int.h). The
 * including file defines VL, ROWS, the type `vec` and the functions below; products are rounded before they are added, as the reference does.
 *
 *   type tables, tables_of(w)              what the loads of a kind want: 16 values of codes, or what bytes become
 *   load_w(at, kind, f8, tables, out)      step_of(kind) columns (32 or 64) of memory as f32, in any order inside 32 of them ...
 *   load_x(x, kind, out)                   ... in which x comes, too
 *   tree(kind, sums)                       and which is known when the partial sums are added, as pare_sums_tree()
 *   mul(a, b)  add(a, b)  all(float)
 */
#ifndef PARE_KERNEL_X86_MATVEC_FLOAT_H
#define PARE_KERNEL_X86_MATVEC_FLOAT_H
#include "kernel/ref/matvec.h"
#include "kernel/variants.h"

enum { PER = 32 / VL, AHEAD = 1024 /* bytes */ };

static inline int64_t bits_of(pare_wkind kind) { return kind == PARE_W_F32 ? 32 : kind == PARE_W_F8 ? 8 : kind == PARE_W_T4 ? 4 : 16; }

/* A scale in a file may lie anywhere. */
INLINE float number_at(const float *at, int64_t i)
{
    float f;
    memcpy(&f, (const uint8_t *)at + i * 4, sizeof f);
    return f;
}

#ifdef __AVX2__
#define EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)
#else
#define EACH(i, n) for (int i = 0; i < (n); i++) /* emulated: functions would grow too large */
#endif

/* Columns c ... of ROWS rows: step_of(kind) of them, or 32 when not whole. */
INLINE void add_step(const uint8_t *const *w, const float *x, int64_t c, const bool whole, const pare_wkind kind, const pare_dtype f8, const tables *t, const int group,
                     const float *const *scale, vec (*s)[PER])
{
    const int64_t bits = bits_of(kind);
    const int vectors = whole ? PER * (int)step_of(kind) / 32 : PER;
    vec xs[2 * PER];
    load_x(x + c, kind, xs);
    if (vectors > PER) load_x(x + c + 32, kind, xs + PER);
    EACH(r, ROWS) {
        const uint8_t *at = w[r] + c * bits / 8;
        vec ws[2 * PER];
        if (bits > 4 || c % 128 == 0) _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
        if (bits > 16) _mm_prefetch((const char *)at + AHEAD + 64, _MM_HINT_T0);
        load_w(at, kind, f8, t, whole, ws);
        EACH(i, vectors) {
            vec p = mul(ws[i], xs[i]);
            if (group) p = mul(p, all(number_at(scale[r], (c + i * VL) / group)));
            s[r][i % PER] = add(s[r][i % PER], p);
        }
    }
}

/*
 * Partial sums of ROWS rows from w[i], n columns, a multiple of 32; sums [ROWS][PER]. group 0: plain; 16 or 32: each product times the scale of its
 * group, scale[r] the first of them (the sums of such a group are one product each, so that nothing else comes of making them first).
 */
INLINE void add_columns(const uint8_t *const *w, const float *x, int64_t n, const pare_wkind kind, const pare_dtype f8, const tables *t, const int group,
                        const float *const *scale, vec (*sums)[PER])
{
    const int64_t step = step_of(kind);
    int64_t c = 0;
    vec s[ROWS][PER];
    const uint8_t *at[ROWS];
    EACH(r, ROWS) {
        at[r] = w[r];
        EACH(i, PER) s[r][i] = sums[r][i];
    }
    for (; c + step <= n; c += step) add_step(at, x, c, true, kind, f8, t, group, scale, s);
    if (c < n) add_step(at, x, c, false, kind, f8, t, group, scale, s);
    EACH(r, ROWS) {
        EACH(i, PER) sums[r][i] = s[r][i];
    }
}

typedef void (*columns_fn)(const uint8_t *const *w, const float *x, int64_t n, const tables *t, const float *const *scale, vec (*sums)[PER]);
#define COLUMNS_BY(name, kind, f8, group)                                                                                                 \
    static void name(const uint8_t *const *w, const float *x, int64_t n, const tables *t, const float *const *scale, vec (*sums)[PER])    \
    {                                                                                                                                     \
        add_columns(w, x, n, kind, f8, t, group, scale, sums);                                                                            \
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
INLINE void some_columns(columns_fn run, const pare_wmat *w, const tables *t, const uint8_t *const *row, const float *x, int64_t c0, int64_t c1,
                         const float *const *scale, vec (*sums)[PER])
{
    const uint8_t *at[ROWS];
    const int64_t bits = bits_of(w->kind), whole = c0 + (c1 - c0) / 32 * 32, left = c1 - whole;
    for (int r = 0; r < ROWS; r++) at[r] = row[r] + c0 * bits / 8;
    run(at, x + c0, whole - c0, t, scale, sums);
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
    run(at, last_x, 32, t, scales, sums);
}

INLINE void matvec_float_rows(const pare_wmat *w, int64_t row0, int64_t rows, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride)
{
    const columns_fn run = columns_of(w);
    const columns_fn scaled_run = scaled_columns_of(w);
    const tables t = tables_of(w);
    const bool scaled = w->kind == PARE_W_F8 || w->kind == PARE_W_T4, groups = scaled && w->groups > 1 && scaled_run == NULL;
    /* Rows r, r + part, r + 2 part ...; then, where some are left, the last ROWS ones. Fewer rows than ROWS: the last of them again and again. */
    const int64_t part = rows / ROWS, turns = part + (rows % ROWS != 0);
    for (int64_t turn = 0; turn < turns; turn++) {
        const int64_t first = turn < part ? turn : part ? rows - ROWS : 0, step = turn < part ? part : 1;
        const uint8_t *row[ROWS];
        const float *scale[ROWS];
        int64_t number[ROWS];
        for (int i = 0; i < ROWS; i++) {
            number[i] = first + i * step < rows ? first + i * step : rows - 1;
            row[i] = w->data + (row0 + number[i]) * w->row_bytes;
            scale[i] = (const float *)(const void *)((const uint8_t *)w->scale + (scaled ? (row0 + number[i]) / w->scale_rows * w->groups * 4 : 0)); /* read where it is f32 */
        }
        for (int64_t token = 0; token < n; token++) {
            vec sums[ROWS][PER], some[ROWS][PER];
            const float *at = x + token * x_stride;
            for (int i = 0; i < ROWS * PER; i++) sums[i / PER][i % PER] = all(0.0f);
            if (scaled_run != NULL) some_columns(scaled_run, w, &t, row, at, 0, w->cols, scale, sums);
            else if (!groups) some_columns(run, w, &t, row, at, 0, w->cols, NULL, sums);
            for (int64_t g = 0; groups && g < w->groups; g++) {
                const int64_t c1 = (g + 1) * w->group < w->cols ? (g + 1) * w->group : w->cols;
                for (int i = 0; i < ROWS * PER; i++) some[i / PER][i % PER] = all(0.0f);
                some_columns(run, w, &t, row, at, g * w->group, c1, NULL, some);
                for (int i = 0; i < ROWS; i++) {
                    const vec s = all(pare_wmat_scale(w, (row0 + number[i]) / w->scale_rows * w->groups + g));
                    for (int j = 0; j < PER; j++) sums[i][j] = add(sums[i][j], mul(some[i][j], s));
                }
            }
            for (int i = 0; i < ROWS; i++) {
                const float sum = tree(w->kind, sums[i]);
                y[token * y_stride + number[i]] = scaled && w->groups <= 1 ? sum * pare_wmat_scale(w, (row0 + number[i]) / w->scale_rows * w->groups) : sum;
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
