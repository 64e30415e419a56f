/* SPDX-License-Identifier: Apache-2.0 */
/* See act_range.h. */
#include "method/act_range.h"

#include <math.h>
#include <string.h>

enum { STEPS = 128 }; /* ranges tried: multiples of max |x| / STEPS */

static const char *option(const pare_params *p, const char *name, const char *or_else)
{
    for (int i = 0; p && i < p->n; i++)
        if (strcmp(p->table[i].name, name) == 0) return p->text[i];
    return or_else;
}

/* What a scale is a part of: the largest float; half of all steps of integers. */
static double steps_of(const pare_scheme *s)
{
    if (s->act_float) return s->act_bits == 4 ? 6 : 448;
    return ((1 << (s->act_bits > 1 && s->act_bits < 9 ? s->act_bits : 8)) - 1) / 2.0;
}

static double rounded(const pare_scheme *s, double x, double scale)
{
    const double most = floor(steps_of(s)), v = x / scale > most ? most : x / scale;
    return scale * (s->act_float ? (double)pare_round_to(s->act_bits == 4 ? PARE_F4_E2M1 : PARE_F8_E4M3FN, (float)v) : nearbyint(v));
}

static double percentile(const pare_input_range *r, double part)
{
    uint64_t all = 0, seen = 0;
    for (int i = 0; i < PARE_RANGE_BINS; i++) all += r->bins[i];
    for (int i = 0; i < PARE_RANGE_BINS; i++) {
        seen += r->bins[i];
        if (seen > 0 && (double)seen >= part * (double)all) return (double)r->top * (i + 1) / PARE_RANGE_BINS;
    }
    return r->top;
}

/* Each bin stands for its middle. */
static double least_error(const pare_scheme *s, const pare_input_range *r, double most)
{
    const double steps = steps_of(s);
    double best = INFINITY, at = most;
    for (int i = STEPS; i > 0; i--) {
        const double t = most * i / STEPS, scale = t / steps;
        double error = 0;
        for (int b = 0; b < PARE_RANGE_BINS; b++) {
            if (!r->bins[b]) continue;
            const double x = (double)r->top * (b + 0.5) / PARE_RANGE_BINS, e = x - rounded(s, x, scale);
            error += (double)r->bins[b] * e * e;
        }
        if (error < best) best = error, at = t;
    }
    return at;
}

float pare_act_scale(const pare_scheme *scheme, const pare_input_range *range, const pare_params *params)
{
    const char *how = option(params, "range", "mse");
    const double most = range->max > -range->min ? range->max : -range->min;
    double t = most, part = 99.99;
    if (!(most > 0)) return 1; /* inputs were always 0: any scale serves */
    if (scheme->two_level) return pare_rounder_global(scheme, (float)most); /* groups have scales of their own under it */
    if (strcmp(how, "mse") == 0) t = least_error(scheme, range, most);
    else if (strcmp(how, "average") == 0) t = range->average_max;
    else if (strcmp(how, "percentile") == 0) {
        pare_parse_f64(option(params, "percentile", "99.99"), &part);
        t = percentile(range, part / 100);
    }
    if (!(t > 0) || t > most) t = most;
    const float scale = (float)(t / steps_of(scheme));
    return scale > 0 ? scale : 1e-30f;
}
