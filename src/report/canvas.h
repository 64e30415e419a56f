/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page to draw on, in units of 1/96 inch, y downwards. Three media behind it, chosen by the file's name: .png (Cairo, two
 * pixels a unit), .pdf (Cairo) and .svg. SVG is written here and not by Cairo, which turns text into outlines: ours
 * stays text that can be searched, copied and read aloud, in a tenth of the bytes.
 */
#ifndef PARE_REPORT_CANVAS_H
#define PARE_REPORT_CANVAS_H
#include "report/colormap.h"

typedef struct pare_canvas pare_canvas;
typedef struct pare_point {
    double x, y;
} pare_point;
typedef enum pare_anchor { PARE_LEFT, PARE_CENTER, PARE_RIGHT } pare_anchor;
typedef struct pare_font {
    double size;
    pare_anchor anchor;
    bool bold, mono;
    pare_rgb color;
} pare_font;

/* about: what a reader who cannot see the picture should know (SVG title). PARE_ERR_USAGE when the name has another ending. */
pare_status pare_canvas_open(const char *path, double width, double height, const char *about, pare_canvas **out, pare_err *err);
/* Writes the file whole (atomically) and frees the canvas. */
pare_status pare_canvas_close(pare_canvas *c, pare_err *err);
void pare_canvas_abort(pare_canvas *c);

void pare_canvas_rect(pare_canvas *c, double x, double y, double w, double h, pare_rgb fill);
void pare_canvas_frame(pare_canvas *c, double x, double y, double w, double h, double line, pare_rgb color);
void pare_canvas_line(pare_canvas *c, double x1, double y1, double x2, double y2, double line, pare_rgb color);
void pare_canvas_path(pare_canvas *c, const pare_point *points, int64_t n, double line, pare_rgb color);
void pare_canvas_dot(pare_canvas *c, double x, double y, double radius, pare_rgb color);
/* y is the baseline. */
void pare_canvas_text(pare_canvas *c, double x, double y, const pare_font *font, const char *text);

/* Width of a text in units, without a canvas; an estimate for text that Cairo cannot measure. */
double pare_measure_text(double size, bool bold, const char *text);
#endif
