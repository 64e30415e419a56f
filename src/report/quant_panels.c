/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four panels of a quantized tensor: original, codes, dequantized, |error|. Tensors of any rank are shown as
 * [first axis, the rest]. Beyond 64 x 64 cells the four are reduced together to block means, and say so.
 *
 * The original and the dequantized panel share one colour range, [r_min, r_max] of the original, so that equal colours are
 * equal numbers and a difference between the two is an error that one can see. The course paints the dequantized panel in
 * [0, 1], where almost every cell gets one of two colours, and leaves the others white; like_course does the same.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/cells.h"

enum { SIDE = 64, TITLE = 160 };
enum { ORIGINAL, CODES, DEQUANTIZED, ERROR, PANELS };

typedef struct source {
    const float *original;
    const pare_scheme *scheme;
    const uint8_t *codes;
    float *dequantized, *float_codes; /* float_codes: numbers that float8 codes stand for, else NULL */
    int64_t rows, cols, cell_rows, cell_cols;
} source;

static double value_of(const source *s, int what, int64_t i) {
    switch (what) {
    case ORIGINAL: return s->original[i];
    case CODES: return s->float_codes ? s->float_codes[i] : (double)s->codes[i] - (double)(1 << (s->scheme->bits - 1));
    case DEQUANTIZED: return s->dequantized[i];
    default: return fabs((double)s->original[i] - (double)s->dequantized[i]);
    }
}

static double mean_of(const source *s, int what, int64_t r, int64_t c) {
    const int64_t r1 = pare_block_start(s->rows, s->cell_rows, r + 1), c1 = pare_block_start(s->cols, s->cell_cols, c + 1);
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = pare_block_start(s->rows, s->cell_rows, r); i < r1; i++)
        for (int64_t k = pare_block_start(s->cols, s->cell_cols, c); k < c1; k++, n++) sum += value_of(s, what, i * s->cols + k);
    return sum / (double)n;
}

/* As many decimals as the largest magnitude leaves room for. */
static const char *format_for(double most) {
    if (!(most > 0) || most >= 1) return "%.2f";
    if (most >= 0.1) return "%.3f";
    return most >= 0.01 ? "%.4f" : "%.1e";
}

static double most_of(const double *v, int64_t n) {
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(v[i]));
    return most;
}

/* Colours of the four panels as they should be. */
static void paint(pare_panel panels[4], const source *s, bool reduced) {
    const int64_t n = s->cell_rows * s->cell_cols;
    const double half = (double)(1 << (s->scheme->bits - 1));
    double lo = INFINITY, hi = -INFINITY;
    for (int64_t i = 0; i < n; i++) lo = fmin(lo, panels[ORIGINAL].values[i]), hi = fmax(hi, panels[ORIGINAL].values[i]);
    for (int i = 0; i < PANELS; i++) panels[i].map = i == ERROR ? PARE_CMAP_HEAT : PARE_CMAP_COOLWARM;
    if (n > 0) panels[ORIGINAL].vmin = panels[DEQUANTIZED].vmin = lo, panels[ORIGINAL].vmax = panels[DEQUANTIZED].vmax = hi;
    if (!reduced && !s->float_codes) panels[CODES].vmin = -half, panels[CODES].vmax = half - 1;
    panels[ORIGINAL].format = panels[DEQUANTIZED].format = format_for(most_of(panels[ORIGINAL].values, n));
    panels[CODES].format = s->float_codes ? "%.4g" : reduced ? "%.1f" : "%.0f";
    panels[ERROR].format = format_for(most_of(panels[ERROR].values, n));
}

static void paint_like_course(pare_panel panels[4], const source *s) {
    const double half = (double)(1 << (s->scheme->bits - 1));
    for (int i = 0; i < PANELS; i++) {
        panels[i].format = "%.2f";
        panels[i].map = i == ORIGINAL || i == ERROR ? PARE_CMAP_WHITE : PARE_CMAP_COOLWARM;
    }
    panels[CODES].vmin = -half, panels[CODES].vmax = half - 1;
    panels[DEQUANTIZED].vmin = 0, panels[DEQUANTIZED].vmax = 1;
}

/* storage: four matrices of cells, then four titles. */
static pare_status fill(const source *s, bool like_course, pare_panel panels[4], double **storage, pare_err *err) {
    const int64_t n = s->cell_rows * s->cell_cols;
    const bool reduced = s->cell_rows < s->rows || s->cell_cols < s->cols;
    const size_t bytes = (size_t)(PANELS * n) * sizeof(double) + PANELS * TITLE;
    char note[96] = "";
    if (!(*storage = pare_alloc(bytes))) return pare_no_memory(err, "panels", bytes);
    char *const titles = (char *)(*storage + PANELS * n);
    if (reduced) pare_block_note(s->rows, s->cols, s->cell_rows, s->cell_cols, note);
    for (int i = 0; i < PANELS; i++) {
        double *const values = *storage + i * n;
        for (int64_t r = 0; r < s->cell_rows; r++)
            for (int64_t c = 0; c < s->cell_cols; c++) values[r * s->cell_cols + c] = mean_of(s, i, r, c);
        panels[i] = (pare_panel){.title = titles + i * TITLE, .values = values, .rows = s->cell_rows, .cols = s->cell_cols};
        const char *const names[PANELS] = {"Original Tensor", "", "Dequantized Tensor", "Quantization Error Tensor"};
        char *const title = titles + i * TITLE;
        if (i == CODES && s->float_codes)
            snprintf(title, TITLE, "%d-bit Float Quantized Tensor%s%s", s->scheme->bits, note[0] ? "\n" : "", note);
        else if (i == CODES)
            snprintf(title, TITLE, "%d-bit Linear Quantized Tensor%s%s", s->scheme->bits, note[0] ? "\n" : "", note);
        else
            snprintf(title, TITLE, "%s%s%s", names[i], note[0] ? "\n" : "", note);
    }
    if (like_course)
        paint_like_course(panels, s);
    else
        paint(panels, s, reduced);
    return PARE_OK;
}

pare_status pare_quantization_panels(const float *original, const pare_qtensor *q, bool like_course, pare_panel panels[4], double **storage,
                                     pare_err *err) {
    const int64_t *shape = NULL;
    const int ndim = pare_qtensor_shape(q, &shape);
    source s = {.original = original, .scheme = pare_qtensor_scheme(q), .codes = pare_qtensor_codes(q), .rows = 1, .cols = 1};
    pare_status st = PARE_OK;
    *storage = NULL;
    for (int i = 0; i < ndim; i++) *(i == 0 && ndim > 1 ? &s.rows : &s.cols) *= shape[i];
    s.cell_rows = s.rows < SIDE ? s.rows : SIDE;
    s.cell_cols = s.cols < SIDE ? s.cols : SIDE;
    const size_t n = (size_t)(s.rows * s.cols);
    PARE_TRY(pare_alloc_try((n + 1) * sizeof(float), "dequantized tensor", (void **)&s.dequantized, err));
    PARE_TRY(pare_dequantize(q, s.dequantized, err));
    if (s.scheme->kind == PARE_CODE_FLOAT) {
        PARE_TRY(pare_alloc_try((n + 1) * sizeof(float), "codes as numbers", (void **)&s.float_codes, err));
        PARE_TRY(pare_convert(s.float_codes, PARE_F32, s.codes, s.scheme->code_dtype, (int64_t)n, false, err));
    }
    st = fill(&s, like_course, panels, storage, err);
out:
    pare_dealloc(s.dequantized);
    pare_dealloc(s.float_codes);
    return st;
}
