/* SPDX-License-Identifier: Apache-2.0 */
/* pare_canvas: picks the medium by the file's ending and writes the finished bytes in one atomic step. */
#include "report/canvas.h"

#include <string.h>

#include "report/canvas_media.h"

static const pare_media *media_of(const char *path) {
    static const struct {
        const char *ending;
        const pare_media *media;
    } known[] = {{".svg", &pare_media_svg}, {".png", &pare_media_png}, {".pdf", &pare_media_pdf}};
    const size_t n = strlen(path);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t m = strlen(known[i].ending);
        if (n > m && pare_str_same_nocase(path + n - m, known[i].ending)) return known[i].media;
    }
    return NULL;
}

pare_status pare_canvas_open(const char *path, double width, double height, const char *about, pare_canvas **out, pare_err *err) {
    *out = NULL;
    const pare_media *const media = media_of(path);
    if (!media) {
        pare_fail(err, PARE_ERR_USAGE, "%s: a picture's name ends in .png, .svg or .pdf", path);
        return PARE_ERR_USAGE;
    }
    pare_canvas *const c = pare_alloc_zero(1, sizeof *c);
    if (!c) return pare_no_memory(err, "picture", sizeof *c);
    c->media = media;
    c->width = width;
    c->height = height;
    c->path = pare_strdup(path);
    const pare_status st = c->path ? media->open(c, about, err) : pare_no_memory(err, "picture", strlen(path));
    if (st != PARE_OK) {
        pare_canvas_abort(c);
        return st;
    }
    *out = c;
    return PARE_OK;
}

void pare_canvas_abort(pare_canvas *c) {
    if (!c) return;
    c->media->clear(c);
    pare_str_clear(&c->bytes);
    pare_dealloc(c->path);
    pare_dealloc(c);
}

pare_status pare_canvas_close(pare_canvas *c, pare_err *err) {
    pare_status st = c->media->finish(c, err);
    if (st == PARE_OK && c->bytes.failed) st = pare_no_memory(err, "picture", c->bytes.cap);
    if (st == PARE_OK) st = pare_write_file_atomic(c->path, c->bytes.at, c->bytes.n, err);
    pare_canvas_abort(c);
    return st;
}

void pare_canvas_rect(pare_canvas *c, double x, double y, double w, double h, pare_rgb fill) {
    if (w > 0 && h > 0) c->media->rect(c, x, y, w, h, fill, 0, fill);
}

void pare_canvas_frame(pare_canvas *c, double x, double y, double w, double h, double line, pare_rgb color) {
    if (w > 0 && h > 0) c->media->rect(c, x, y, w, h, color, line, color);
}

void pare_canvas_line(pare_canvas *c, double x1, double y1, double x2, double y2, double line, pare_rgb color) {
    const pare_point ends[2] = {{x1, y1}, {x2, y2}};
    c->media->path(c, ends, 2, line, color);
}

void pare_canvas_path(pare_canvas *c, const pare_point *points, int64_t n, double line, pare_rgb color) {
    if (n > 0) c->media->path(c, points, n, line, color);
}

void pare_canvas_dot(pare_canvas *c, double x, double y, double radius, pare_rgb color) { c->media->dot(c, x, y, radius, color); }

void pare_canvas_text(pare_canvas *c, double x, double y, const pare_font *font, const char *text) {
    if (text && text[0]) c->media->text(c, x, y, font, text);
}
