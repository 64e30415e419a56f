/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SVG medium of pare_canvas. Coordinates are rounded to hundredths and printed as integers with a point, so that no locale
 * can turn the point into a comma.
 */
#include <math.h>
#include <string.h>

#include "report/canvas_media.h"
#include "report/textwidth.h"

static void add_number(pare_str *s, const char *before, double v) {
    const long long n = llround(v * 100), a = n < 0 ? -n : n;
    pare_str_printf(s, "%s%s%lld", before, n < 0 ? "-" : "", a / 100);
    if (a % 100 == 0) return;
    if (a % 10 == 0)
        pare_str_printf(s, ".%lld", a % 100 / 10);
    else
        pare_str_printf(s, ".%02lld", a % 100);
}

static void add_color(pare_str *s, const char *before, pare_rgb c) {
    pare_str_printf(s, "%s#%02x%02x%02x", before, (unsigned)lround(c.r * 255), (unsigned)lround(c.g * 255), (unsigned)lround(c.b * 255));
}

static void add_escaped(pare_str *s, const char *text) {
    pare_str clean = {0};
    pare_text_add(&clean, text, -1, false); /* XML forbids control characters and bad UTF-8 */
    for (const char *p = clean.at ? clean.at : ""; *p; p++) {
        if (*p == '&')
            pare_str_add(s, "&amp;");
        else if (*p == '<')
            pare_str_add(s, "&lt;");
        else if (*p == '>')
            pare_str_add(s, "&gt;");
        else
            pare_str_addn(s, p, 1);
    }
    s->failed |= clean.failed;
    pare_str_clear(&clean);
}

static pare_status svg_open(pare_canvas *c, const char *about, pare_err *err) {
    pare_str *const s = &c->bytes;
    (void)err; /* a failed append stays in the text until pare_canvas_close() */
    add_number(s, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", c->width);
    add_number(s, "\" height=\"", c->height);
    add_number(s, "\" viewBox=\"0 0 ", c->width);
    add_number(s, " ", c->height);
    pare_str_add(s, "\" role=\"img\" font-family=\"'DejaVu Sans', Verdana, 'Liberation Sans', Helvetica, Arial, sans-serif\">\n<title>");
    add_escaped(s, about ? about : "pare");
    pare_str_add(s, "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    return PARE_OK;
}

static void svg_rect(pare_canvas *c, double x, double y, double w, double h, pare_rgb fill, double line, pare_rgb stroke) {
    pare_str *const s = &c->bytes;
    add_number(s, "<rect x=\"", x);
    add_number(s, "\" y=\"", y);
    add_number(s, "\" width=\"", w);
    add_number(s, "\" height=\"", h);
    if (line > 0) {
        add_color(s, "\" fill=\"none\" stroke=\"", stroke);
        add_number(s, "\" stroke-width=\"", line);
    } else
        add_color(s, "\" fill=\"", fill);
    pare_str_add(s, "\"/>\n");
}

static void svg_path(pare_canvas *c, const pare_point *points, int64_t n, double line, pare_rgb color) {
    pare_str *const s = &c->bytes;
    pare_str_add(s, "<path d=\"");
    for (int64_t i = 0; i < n; i++) {
        add_number(s, i == 0 ? "M" : "L", points[i].x);
        add_number(s, " ", points[i].y);
    }
    add_color(s, "\" fill=\"none\" stroke=\"", color);
    add_number(s, "\" stroke-width=\"", line);
    pare_str_add(s, "\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>\n");
}

static void svg_dot(pare_canvas *c, double x, double y, double radius, pare_rgb color) {
    pare_str *const s = &c->bytes;
    add_number(s, "<circle cx=\"", x);
    add_number(s, "\" cy=\"", y);
    add_number(s, "\" r=\"", radius);
    add_color(s, "\" fill=\"", color);
    pare_str_add(s, "\"/>\n");
}

static void svg_text(pare_canvas *c, double x, double y, const pare_font *font, const char *text) {
    static const char *const anchors[] = {"", "\" text-anchor=\"middle", "\" text-anchor=\"end"};
    pare_str *const s = &c->bytes;
    add_number(s, "<text x=\"", x);
    add_number(s, "\" y=\"", y);
    add_number(s, "\" font-size=\"", font->size);
    add_color(s, "\" fill=\"", font->color);
    pare_str_add(s, anchors[font->anchor]);
    if (font->bold) pare_str_add(s, "\" font-weight=\"bold");
    if (font->mono) pare_str_add(s, "\" font-family=\"'DejaVu Sans Mono', Menlo, Consolas, monospace");
    pare_str_add(s, "\">");
    add_escaped(s, text);
    pare_str_add(s, "</text>\n");
}

static pare_status svg_finish(pare_canvas *c, pare_err *err) {
    (void)err;
    pare_str_add(&c->bytes, "</svg>\n");
    return PARE_OK;
}

static void svg_clear(pare_canvas *c) { (void)c; }

const pare_media pare_media_svg = {
    .open = svg_open, .rect = svg_rect, .path = svg_path, .dot = svg_dot, .text = svg_text, .finish = svg_finish, .clear = svg_clear};
