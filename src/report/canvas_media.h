/* SPDX-License-Identifier: Apache-2.0 */
/* What a medium of pare_canvas provides; canvas.c checks, clips and dispatches. */
#ifndef PARE_REPORT_CANVAS_MEDIA_H
#define PARE_REPORT_CANVAS_MEDIA_H
#include "report/canvas.h"

typedef struct pare_media {
    pare_status (*open)(pare_canvas *c, const char *about, pare_err *err);
    void (*rect)(pare_canvas *c, double x, double y, double w, double h, pare_rgb fill, double line, pare_rgb stroke); /* line 0 = filled */
    void (*path)(pare_canvas *c, const pare_point *points, int64_t n, double line, pare_rgb color);
    void (*dot)(pare_canvas *c, double x, double y, double radius, pare_rgb color);
    void (*text)(pare_canvas *c, double x, double y, const pare_font *font, const char *text);
    pare_status (*finish)(pare_canvas *c, pare_err *err); /* completes c->bytes */
    void (*clear)(pare_canvas *c);
} pare_media;

struct pare_canvas {
    const pare_media *media;
    char *path;
    double width, height;
    pare_str bytes;     /* the file so far */
    void *surface, *cr; /* Cairo's */
};

extern const pare_media pare_media_svg, pare_media_png, pare_media_pdf;
#endif
