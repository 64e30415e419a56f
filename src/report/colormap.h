/* SPDX-License-Identifier: Apache-2.0 */
/* Colours of pictures: maps from [0, 1] to sRGB, categorical palettes, and the ink that is readable on a colour. */
#ifndef PARE_REPORT_COLORMAP_H
#define PARE_REPORT_COLORMAP_H
#include "report/report.h"

typedef struct pare_rgb {
    double r, g, b; /* sRGB, 0 ... 1 */
} pare_rgb;

#define PARE_RGB(r8, g8, b8) ((pare_rgb){(r8) / 255.0, (g8) / 255.0, (b8) / 255.0})
#define PARE_INK PARE_RGB(38, 38, 38)
#define PARE_GREY PARE_RGB(110, 110, 110)
#define PARE_FAINT PARE_RGB(222, 222, 222)
#define PARE_PAPER PARE_RGB(255, 255, 255)

/* t is cut to [0, 1]; for PARE_CMAP_GROUPS it is a whole number, the group. NaN gives light grey. */
pare_rgb pare_colormap_at(pare_colormap map, double t);
/* Strong colours for lines and bars, told apart by colour-blind eyes (Okabe and Ito). */
pare_rgb pare_series_color(int64_t i);
/* WCAG relative luminance. */
double pare_luminance(pare_rgb c);
/* White or dark, whichever has the higher contrast on c. */
pare_rgb pare_ink_on(pare_rgb c);
#endif
