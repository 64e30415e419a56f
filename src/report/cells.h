/* SPDX-License-Identifier: Apache-2.0 */
/* A panel made ready to draw: at most `side` cells each way (block means beyond that), and a colour for every cell. */
#ifndef PARE_REPORT_CELLS_H
#define PARE_REPORT_CELLS_H
#include "report/colormap.h"

typedef struct pare_cells {
    const double *values; /* [rows, cols] */
    double *owned;        /* values, when they are means */
    int64_t rows, cols;
    double vmin, vmax;    /* vmin < vmax */
    pare_colormap map;
    char note[96];        /* "2048 x 4096, each cell the mean of 32 x 64", or empty */
} pare_cells;

pare_status pare_cells_init(const pare_panel *panel, int64_t max_rows, int64_t max_cols, pare_cells *cells, pare_err *err);
void pare_cells_clear(pare_cells *cells);
pare_rgb pare_cells_color(const pare_cells *cells, double value);
/* The text of a cell; empty when the panel wants no numbers. */
void pare_cell_text(const pare_panel *panel, double value, char out[48]);
/* Largest width in characters over all cell texts. *longest (may be NULL) receives that text. */
int pare_cells_text_width(const pare_panel *panel, const pare_cells *cells, char longest[48]);

/* The panel's title, and the smaller line below it: what follows '\n' in the title, or what was averaged. */
void pare_panel_title(const pare_panel *panel, const pare_cells *cells, char title[160], char note[160]);

/* First index of block i when n elements are cut into `blocks` blocks of nearly equal size. */
int64_t pare_block_start(int64_t n, int64_t blocks, int64_t i);
/* "each cell the mean of 32 x 64", with "about" when blocks differ in size. */
void pare_block_note(int64_t rows, int64_t cols, int64_t cell_rows, int64_t cell_cols, char out[96]);
#endif
