/* SPDX-License-Identifier: Apache-2.0 */
/* Panels made ready to draw: block means, colour ranges, cell texts. Shared by pictures and the terminal. */
#include "report/cells.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int64_t pare_block_start(int64_t n, int64_t blocks, int64_t i) {
    const int64_t whole = n / blocks, rest = n % blocks; /* i * n / blocks without overflow */
    return i * whole + i * rest / blocks;
}

void pare_panel_title(const pare_panel *panel, const pare_cells *cells, char title[160], char note[160]) {
    const char *const text = panel->title ? panel->title : "", *const cut = strchr(text, '\n');
    snprintf(title, 160, "%.*s", (int)(cut ? cut - text : (long)strlen(text)), text);
    if (cut && cells->note[0]) /* means of means: the caller has said what its cells are */
        snprintf(note, 160, "%s, shown as %lld x %lld", cut + 1, (long long)cells->rows, (long long)cells->cols);
    else
        snprintf(note, 160, "%s", cut ? cut + 1 : cells->note);
}

void pare_block_note(int64_t rows, int64_t cols, int64_t cell_rows, int64_t cell_cols, char out[96]) {
    const bool even = rows % cell_rows == 0 && cols % cell_cols == 0;
    snprintf(out, 96, "%lld x %lld, each cell the mean of %s%lld x %lld", (long long)rows, (long long)cols, even ? "" : "about ",
             (long long)((rows + cell_rows / 2) / cell_rows), (long long)((cols + cell_cols / 2) / cell_cols));
}

/* Mean of the finite values of a block; NaN when there are none. */
static double block_mean(const pare_panel *p, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    double sum = 0;
    int64_t n = 0;
    for (int64_t r = r0; r < r1; r++)
        for (int64_t c = c0; c < c1; c++) {
            const double v = p->values[r * p->cols + c];
            if (isfinite(v)) sum += v, n++;
        }
    return n ? sum / (double)n : NAN;
}

static pare_status take_means(const pare_panel *p, pare_cells *k, pare_err *err) {
    k->owned = pare_alloc((size_t)(k->rows * k->cols) * sizeof *k->owned);
    if (!k->owned) return pare_no_memory(err, "picture cells", (size_t)(k->rows * k->cols) * sizeof *k->owned);
    for (int64_t r = 0; r < k->rows; r++)
        for (int64_t c = 0; c < k->cols; c++)
            k->owned[r * k->cols + c] = block_mean(p, pare_block_start(p->rows, k->rows, r), pare_block_start(p->rows, k->rows, r + 1),
                                                   pare_block_start(p->cols, k->cols, c), pare_block_start(p->cols, k->cols, c + 1));
    k->values = k->owned;
    pare_block_note(p->rows, p->cols, k->rows, k->cols, k->note);
    return PARE_OK;
}

static void range_from_data(pare_cells *k) {
    double lo = INFINITY, hi = -INFINITY;
    for (int64_t i = 0; i < k->rows * k->cols; i++)
        if (isfinite(k->values[i])) lo = fmin(lo, k->values[i]), hi = fmax(hi, k->values[i]);
    if (lo > hi) lo = 0, hi = 1;
    if (k->map == PARE_CMAP_COOLWARM) {
        hi = fmax(fabs(lo), fabs(hi));
        lo = -hi;
    } else if (k->map == PARE_CMAP_HEAT)
        lo = fmin(lo, 0);
    k->vmin = lo;
    k->vmax = hi;
}

pare_status pare_cells_init(const pare_panel *panel, int64_t max_rows, int64_t max_cols, pare_cells *cells, pare_err *err) {
    pare_status st = PARE_OK;
    *cells = (pare_cells){.values = panel->values, .rows = panel->rows, .cols = panel->cols, .map = panel->map};
    cells->vmin = panel->vmin;
    cells->vmax = panel->vmax;
    if (panel->rows < 0 || panel->cols < 0) return pare_fail(err, PARE_ERR_USAGE, "panel '%s': negative size", panel->title ? panel->title : "");
    if (panel->rows > max_rows || panel->cols > max_cols) {
        cells->rows = panel->rows < max_rows ? panel->rows : max_rows;
        cells->cols = panel->cols < max_cols ? panel->cols : max_cols;
        st = take_means(panel, cells, err);
        if (st != PARE_OK) return st;
    }
    if (panel->vmin == 0 && panel->vmax == 0) range_from_data(cells);
    if (!(cells->vmin < cells->vmax)) { /* constant data sits in the middle of its range */
        const double reach = cells->vmin == 0 || !isfinite(cells->vmin) ? 1 : fabs(cells->vmin);
        cells->vmin = (isfinite(cells->vmin) ? cells->vmin : 0) - reach;
        cells->vmax = cells->vmin + 2 * reach;
    }
    return st;
}

void pare_cells_clear(pare_cells *cells) {
    pare_dealloc(cells->owned);
    *cells = (pare_cells){0};
}

pare_rgb pare_cells_color(const pare_cells *cells, double value) {
    if (cells->map == PARE_CMAP_GROUPS) return pare_colormap_at(cells->map, value);
    /* halves, so that the span of the largest doubles does not overflow */
    return pare_colormap_at(cells->map, (value / 2 - cells->vmin / 2) / (cells->vmax / 2 - cells->vmin / 2));
}

void pare_cell_text(const pare_panel *panel, double value, char out[48]) {
    const char *const format = panel->format ? panel->format : "%.2f";
    out[0] = 0;
    if (format[0]) snprintf(out, 48, format, value);
    if (out[0] == '-' && out[1 + strspn(out + 1, "0.")] == 0) memmove(out, out + 1, strlen(out)); /* no "-0.00" */
}

int pare_cells_text_width(const pare_panel *panel, const pare_cells *cells, char longest[48]) {
    int width = 0;
    if (longest) longest[0] = 0;
    for (int64_t i = 0; i < cells->rows * cells->cols; i++) {
        char text[48];
        pare_cell_text(panel, cells->values[i], text);
        const int n = (int)strlen(text);
        if (n <= width) continue;
        width = n;
        if (longest) memcpy(longest, text, sizeof text);
    }
    return width;
}
