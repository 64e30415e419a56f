/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Colour maps. COOLWARM is the "smooth cool to warm" map of K. Moreland, Diverging Color Maps for Scientific Visualization
 * (2009), computed by its formula: both ends are turned into Msh space (a polar form of CIELAB: M magnitude, s saturation
 * angle, h hue), and each half runs straight to an unsaturated middle of magnitude 88. HEAT is the warm half, started at
 * white. The formula stays within one unit of 255 of the colours measured in the course's plots.
 */
#include "report/colormap.h"

#include <math.h>

typedef struct msh {
    double m, s, h;
} msh;

static const double pi = 3.14159265358979323846;
static const double white[3] = {0.95047, 1.0, 1.08883}; /* D65 */

static double to_linear(double c) { return c > 0.04045 ? pow((c + 0.055) / 1.055, 2.4) : c / 12.92; }
static double from_linear(double c) {
    c = fmin(fmax(c, 0), 1);
    return c > 0.0031308 ? 1.055 * pow(c, 1 / 2.4) - 0.055 : 12.92 * c;
}

static msh rgb_to_msh(pare_rgb c) {
    const double r = to_linear(c.r), g = to_linear(c.g), b = to_linear(c.b);
    const double xyz[3] = {0.4124564 * r + 0.3575761 * g + 0.1804375 * b, 0.2126729 * r + 0.7151522 * g + 0.0721750 * b,
                           0.0193339 * r + 0.1191920 * g + 0.9503041 * b};
    double f[3];
    for (int i = 0; i < 3; i++) {
        const double t = xyz[i] / white[i];
        f[i] = t > 0.008856 ? cbrt(t) : 7.787 * t + 16.0 / 116;
    }
    const double l = 116 * f[1] - 16, a = 500 * (f[0] - f[1]), bb = 200 * (f[1] - f[2]);
    const double m = sqrt(l * l + a * a + bb * bb);
    return (msh){m, acos(l / m), atan2(bb, a)};
}

static pare_rgb msh_to_rgb(msh c) {
    const double l = c.m * cos(c.s), a = c.m * sin(c.s) * cos(c.h), b = c.m * sin(c.s) * sin(c.h);
    const double fy = (l + 16) / 116, f[3] = {fy + a / 500, fy, fy - b / 200};
    double xyz[3];
    for (int i = 0; i < 3; i++) {
        const double cube = f[i] * f[i] * f[i];
        xyz[i] = white[i] * (cube > 0.008856 ? cube : (f[i] - 16.0 / 116) / 7.787);
    }
    return (pare_rgb){from_linear(3.2404542 * xyz[0] - 1.5371385 * xyz[1] - 0.4985314 * xyz[2]),
                      from_linear(-0.9692660 * xyz[0] + 1.8760108 * xyz[1] + 0.0415560 * xyz[2]),
                      from_linear(0.0556434 * xyz[0] - 0.2040259 * xyz[1] + 1.0572252 * xyz[2])};
}

/* Hue that an end should drift to on its way to an unsaturated middle of magnitude m, so that the path stays even. */
static double adjust_hue(msh end, double m) {
    if (end.m >= m) return end.h;
    const double spin = end.s * sqrt(m * m - end.m * end.m) / (end.m * sin(end.s));
    return end.h > -pi / 3 ? end.h + spin : end.h - spin;
}

/* From the grey or white middle (t = 0) to the end colour (t = 1). */
static pare_rgb from_middle(pare_rgb end, double middle, double t) {
    const msh e = rgb_to_msh(end);
    const double h = adjust_hue(e, middle);
    return msh_to_rgb((msh){middle + (e.m - middle) * t, e.s * t, h + (e.h - h) * t});
}

static pare_rgb group_color(double t) {
    static const unsigned char pale[8][3] = {{158, 202, 225}, {253, 208, 162}, {199, 233, 192}, {218, 189, 224},
                                             {255, 237, 160}, {252, 187, 187}, {178, 226, 226}, {217, 217, 217}};
    const int i = (int)(fmod(fabs(floor(t)), 8));
    return PARE_RGB(pale[i][0], pale[i][1], pale[i][2]);
}

pare_rgb pare_colormap_at(pare_colormap map, double t) {
    const pare_rgb cool = PARE_RGB(59, 76, 192), warm = PARE_RGB(180, 4, 38);
    if (isnan(t)) return PARE_FAINT;
    if (map == PARE_CMAP_GROUPS) return group_color(t);
    t = fmin(fmax(t, 0), 1);
    if (map == PARE_CMAP_HEAT) return from_middle(warm, 100, t);
    if (map == PARE_CMAP_COOLWARM) return t < 0.5 ? from_middle(cool, 88, 1 - 2 * t) : from_middle(warm, 88, 2 * t - 1);
    return PARE_PAPER;
}

pare_rgb pare_series_color(int64_t i) {
    static const unsigned char strong[7][3] = {{0, 114, 178},  {213, 94, 0},   {0, 158, 115}, {204, 121, 167},
                                               {230, 159, 0}, {86, 180, 233}, {90, 90, 90}};
    const unsigned char *const c = strong[(i < 0 ? -i : i) % 7];
    return PARE_RGB(c[0], c[1], c[2]);
}

double pare_luminance(pare_rgb c) { return 0.2126 * to_linear(c.r) + 0.7152 * to_linear(c.g) + 0.0722 * to_linear(c.b); }

pare_rgb pare_ink_on(pare_rgb c) {
    /* WCAG contrast is (lighter + .05) / (darker + .05); both inks are equally far from luminance 0.22 */
    return pare_luminance(c) > 0.22 ? PARE_INK : PARE_PAPER;
}
