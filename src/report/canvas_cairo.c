/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PNG and PDF media of pare_canvas, drawn by Cairo into memory. PNG has two pixels a unit (one for very wide pages), so that
 * pictures stay crisp on dense screens. A machine without any font is fine: Cairo has a stroke font of its own.
 */
#include <cairo-pdf.h>
#include <cairo.h>
#include <math.h>
#include <string.h>

#include "report/canvas_media.h"

static cairo_status_t append(void *closure, const unsigned char *data, unsigned int n) {
    pare_str *const s = closure;
    pare_str_addn(s, (const char *)data, n);
    return s->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

static pare_status cairo_failed(const pare_canvas *c, cairo_status_t status, pare_err *err) {
    if (status == CAIRO_STATUS_NO_MEMORY) return pare_fail(err, PARE_ERR_MEMORY, "%s: out of memory while drawing", c->path);
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: drawing failed: %s", c->path, cairo_status_to_string(status));
}

static pare_status start(pare_canvas *c, cairo_surface_t *surface, double scale, pare_err *err) {
    cairo_t *const cr = cairo_create(surface);
    c->surface = surface;
    c->cr = cr;
    if (cairo_status(cr) != CAIRO_STATUS_SUCCESS) return cairo_failed(c, cairo_status(cr), err);
    cairo_scale(cr, scale, scale);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    cairo_font_options_t *const options = cairo_font_options_create();
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    cairo_set_font_options(cr, options);
    cairo_font_options_destroy(options);
    return PARE_OK;
}

static pare_status png_open(pare_canvas *c, const char *about, pare_err *err) {
    const double scale = c->width > 2200 || c->height > 2200 ? 1 : 2;
    (void)about;
    return start(c, cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(c->width * scale), (int)ceil(c->height * scale)), scale, err);
}

static pare_status pdf_open(pare_canvas *c, const char *about, pare_err *err) {
    const double scale = 0.75; /* points a unit */
    cairo_surface_t *const surface = cairo_pdf_surface_create_for_stream(append, &c->bytes, c->width * scale, c->height * scale);
    if (about) cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, about);
    return start(c, surface, scale, err);
}

static void cairo_rect(pare_canvas *c, double x, double y, double w, double h, pare_rgb fill, double line, pare_rgb stroke) {
    const pare_rgb color = line > 0 ? stroke : fill;
    cairo_set_source_rgb(c->cr, color.r, color.g, color.b);
    cairo_rectangle(c->cr, x, y, w, h);
    if (line > 0) {
        cairo_set_line_width(c->cr, line);
        cairo_stroke(c->cr);
    } else
        cairo_fill(c->cr);
}

static void cairo_poly(pare_canvas *c, const pare_point *points, int64_t n, double line, pare_rgb color) {
    cairo_new_path(c->cr);
    for (int64_t i = 0; i < n; i++) cairo_line_to(c->cr, points[i].x, points[i].y);
    cairo_set_source_rgb(c->cr, color.r, color.g, color.b);
    cairo_set_line_width(c->cr, line);
    cairo_stroke(c->cr);
}

static void cairo_dot(pare_canvas *c, double x, double y, double radius, pare_rgb color) {
    cairo_new_path(c->cr);
    cairo_arc(c->cr, x, y, radius, 0, 6.28318530717958647692);
    cairo_set_source_rgb(c->cr, color.r, color.g, color.b);
    cairo_fill(c->cr);
}

static void select_font(cairo_t *cr, double size, bool bold, bool mono) {
    cairo_select_font_face(cr, mono ? "monospace" : "sans-serif", CAIRO_FONT_SLANT_NORMAL, bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, size);
}

static void cairo_words(pare_canvas *c, double x, double y, const pare_font *font, const char *text) {
    cairo_text_extents_t e;
    if (!pare_utf8_valid(text, strlen(text))) return; /* Cairo would stop drawing for good */
    select_font(c->cr, font->size, font->bold, font->mono);
    cairo_text_extents(c->cr, text, &e);
    const double shift = font->anchor == PARE_LEFT ? 0 : font->anchor == PARE_CENTER ? e.x_advance / 2 : e.x_advance;
    cairo_set_source_rgb(c->cr, font->color.r, font->color.g, font->color.b);
    cairo_move_to(c->cr, x - shift, y);
    cairo_show_text(c->cr, text);
}

/* The first error of all drawing since the start. */
static pare_status drawn(const pare_canvas *c, pare_err *err) {
    const cairo_status_t status = cairo_status(c->cr);
    return status == CAIRO_STATUS_SUCCESS ? PARE_OK : cairo_failed(c, status, err);
}

static pare_status png_finish(pare_canvas *c, pare_err *err) {
    const pare_status st = drawn(c, err);
    if (st != PARE_OK) return st;
    cairo_surface_flush(c->surface);
    const cairo_status_t status = cairo_surface_write_to_png_stream(c->surface, append, &c->bytes);
    return status == CAIRO_STATUS_SUCCESS ? PARE_OK : cairo_failed(c, status, err);
}

static pare_status pdf_finish(pare_canvas *c, pare_err *err) {
    const pare_status st = drawn(c, err);
    if (st != PARE_OK) return st;
    cairo_show_page(c->cr);
    cairo_surface_finish(c->surface);
    const cairo_status_t status = cairo_surface_status(c->surface);
    return status == CAIRO_STATUS_SUCCESS ? PARE_OK : cairo_failed(c, status, err);
}

static void cairo_clear(pare_canvas *c) {
    if (c->cr) cairo_destroy(c->cr);
    if (c->surface) cairo_surface_destroy(c->surface);
}

const pare_media pare_media_png = {
    .open = png_open, .rect = cairo_rect, .path = cairo_poly, .dot = cairo_dot, .text = cairo_words, .finish = png_finish, .clear = cairo_clear};
const pare_media pare_media_pdf = {
    .open = pdf_open, .rect = cairo_rect, .path = cairo_poly, .dot = cairo_dot, .text = cairo_words, .finish = pdf_finish, .clear = cairo_clear};

double pare_measure_text(double size, bool bold, const char *text) {
    cairo_text_extents_t e = {0};
    cairo_surface_t *const surface = cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1);
    cairo_t *const cr = cairo_create(surface);
    if (pare_utf8_valid(text, strlen(text))) {
        select_font(cr, size, bold, false);
        cairo_text_extents(cr, text, &e);
    }
    const bool ok = cairo_status(cr) == CAIRO_STATUS_SUCCESS && e.x_advance > 0;
    cairo_destroy(cr);
    cairo_surface_destroy(surface);
    return ok ? e.x_advance : 0.6 * size * (double)strlen(text);
}
