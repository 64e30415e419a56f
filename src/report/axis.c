/* SPDX-License-Identifier: Apache-2.0 */
/* Round ticks (steps of 1, 2 or 5 times a power of ten) and decades; shared by chart pictures and terminal charts. */
#include "report/axis.h"

#include <math.h>
#include <stdio.h>

static const double HUGE_VALUE = 1e300; /* beyond it, spans would overflow */

static double nice_step(double span, int ticks) {
    const double raw = span / (ticks - 1), base = pow(10, floor(log10(raw))), m = raw / base;
    return base * (m <= 1.0000001 ? 1 : m <= 2.0000001 ? 2 : m <= 5.0000001 ? 5 : 10);
}

/* Plain digits near 1, k/M/G above, an exponent elsewhere; `step` decides how many decimals tell ticks apart. */
static void tick_label(double v, double step, double most, char out[16]) {
    static const struct {
        double factor;
        const char *unit;
    } large[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    if (fabs(v) < step * 1e-6) v = 0;
    if (most >= 1e4 && most < 1e15) {
        for (int i = 0; i < 4; i++)
            if (most >= large[i].factor) {
                snprintf(out, 16, v == 0 ? "0" : "%.4g%s", v / large[i].factor, large[i].unit);
                return;
            }
    }
    if (most >= 1e15 || most < 1e-3) {
        snprintf(out, 16, v == 0 ? "0" : "%.3g", v);
        return;
    }
    const int decimals = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
    snprintf(out, 16, "%.*f", decimals < 9 ? decimals : 9, v);
}

static void linear_ticks(pare_axis *a, double lo, double hi, int ticks) {
    const double reach = fmax(fabs(lo), fabs(hi));
    if (hi - lo <= reach * 1e-12) { /* one value: room around it */
        const double pad = reach > 0 ? reach * 0.1 : 1;
        lo -= pad;
        hi += pad;
    }
    double step = nice_step(hi - lo, ticks), first = floor(lo / step + 1e-9), last = ceil(hi / step - 1e-9);
    while (last - first + 1 > ticks) { /* widening to round ends may cost a tick */
        step = nice_step((last - first) * step * 1.01, ticks);
        first = floor(lo / step + 1e-9);
        last = ceil(hi / step - 1e-9);
    }
    a->lo = first * step;
    a->hi = last * step;
    for (a->n = 0; a->n < ticks && first + a->n <= last; a->n++) {
        a->tick[a->n] = (first + a->n) * step;
        tick_label(a->tick[a->n], step, fmax(fabs(a->lo), fabs(a->hi)), a->label[a->n]);
    }
}

static void add_log_tick(pare_axis *a, double v) {
    if (a->n >= PARE_MAX_TICKS || log10(v) < a->lo - 1e-9 || log10(v) > a->hi + 1e-9) return;
    a->tick[a->n] = v;
    snprintf(a->label[a->n++], sizeof a->label[0], v >= 1e-3 && v < 1e5 ? "%.10g" : "%.0e", v);
}

static void log_ticks(pare_axis *a, double lo, double hi, int ticks) {
    a->lo = log10(lo);
    a->hi = log10(hi);
    if (a->hi - a->lo < 1) { /* less than a decade: 1, 2, 5 */
        static const double parts[] = {1, 2, 3, 5, 7};
        const double mid = (a->lo + a->hi) / 2;
        a->lo = fmin(a->lo, mid - 0.35);
        a->hi = fmax(a->hi, mid + 0.35);
        for (int e = (int)floor(a->lo); e <= (int)ceil(a->hi); e++)
            for (int i = 0; i < 5; i++) add_log_tick(a, parts[i] * pow(10, e));
        return;
    }
    const int first = (int)floor(a->lo + 1e-9), last = (int)ceil(a->hi - 1e-9);
    const int stride = (last - first + ticks - 1) / ticks > 0 ? (last - first + ticks - 1) / ticks : 1;
    a->lo = first;
    a->hi = last;
    for (int e = first; e <= last; e += stride) add_log_tick(a, pow(10, e));
}

void pare_axis_init(pare_axis *axis, double lo, double hi, bool log, int ticks) {
    *axis = (pare_axis){.log = log};
    if (ticks < 2) ticks = 2;
    if (ticks > PARE_MAX_TICKS) ticks = PARE_MAX_TICKS;
    if (!(lo <= hi)) lo = log ? 1 : 0, hi = log ? 10 : 1;
    lo = fmax(fmin(lo, HUGE_VALUE), -HUGE_VALUE);
    hi = fmax(fmin(hi, HUGE_VALUE), -HUGE_VALUE);
    if (log)
        log_ticks(axis, fmax(lo, 1e-300), fmax(hi, 1e-300), ticks);
    else
        linear_ticks(axis, lo, hi, ticks);
}

double pare_axis_place(const pare_axis *axis, double value) {
    const double v = axis->log ? log10(fmax(value, 1e-300)) : value;
    return axis->hi > axis->lo ? fmin(fmax((v - axis->lo) / (axis->hi - axis->lo), 0), 1) : 0.5;
}

bool pare_chart_point(const pare_chart *chart, const pare_series *series, int64_t i, double *x, double *y) {
    if (i >= series->n) return false;
    *x = series->x ? series->x[i] : (double)i;
    *y = series->y[i];
    return isfinite(*x) && isfinite(*y) && !(chart->log_x && *x <= 0) && !(chart->log_y && *y <= 0);
}

void pare_chart_extent(const pare_chart *chart, double x[2], double y[2]) {
    x[0] = y[0] = INFINITY;
    x[1] = y[1] = -INFINITY;
    for (int s = 0; s < chart->n_series; s++)
        for (int64_t i = 0; i < chart->series[s].n; i++) {
            double px, py;
            if (!pare_chart_point(chart, &chart->series[s], i, &px, &py)) continue;
            x[0] = fmin(x[0], px), x[1] = fmax(x[1], px);
            y[0] = fmin(y[0], py), y[1] = fmax(y[1], py);
        }
    if (chart->kind == PARE_CHART_BARS && !chart->log_y && y[0] <= y[1]) y[0] = fmin(y[0], 0), y[1] = fmax(y[1], 0);
}

int64_t pare_chart_longest(const pare_chart *chart) {
    int64_t n = 0;
    for (int s = 0; s < chart->n_series; s++)
        if (chart->series[s].n > n) n = chart->series[s].n;
    return n;
}

const char *pare_chart_label(const pare_chart *chart, int64_t i) {
    for (int s = 0; s < chart->n_series; s++)
        if (chart->series[s].labels && i < chart->series[s].n && chart->series[s].labels[i]) return chart->series[s].labels[i];
    return NULL;
}
