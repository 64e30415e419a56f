/* SPDX-License-Identifier: Apache-2.0 */
/* What several lessons share: the running example, torch's way of adding, and two spellings of a scheme. */
#include <stdio.h>
#include <stdlib.h>

#include "lesson.h"

const float course_tensor[9] = {191.6f, -13.5f, 728.6f, 92.14f, 295.5f, -184.0f, 0.0f, 684.6f, 245.5f};

float torch_mse(const float *a, const float *b, int n) {
    float lane[4] = {0};
    for (int i = 0; i < n; i++) {
        const float d = b[i] - a[i];
        lane[i < n / 4 * 4 ? i % 4 : 0] += d * d;
    }
    return (((lane[0] + lane[1]) + lane[2]) + lane[3]) / (float)n;
}

void shortest_float(float v, char out[32]) {
    const bool plain = v == 0 || (v > -1e7f && v < 1e7f && (v >= 1e-4f || v <= -1e-4f));
    for (int digits = plain ? 0 : 1; digits <= 12; digits++) {
        snprintf(out, 32, plain ? "%.*f" : "%.*g", digits, (double)v);
        if (strtof(out, NULL) == v) break;
    }
}

void shortest_double(double v, char out[32]) {
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, v);
        if (strtod(out, NULL) == v) break;
    }
    if (v > -1e15 && v < 1e15 && v == (double)(long long)v) snprintf(out, 32, "%.0f", v);
}

static pare_scheme scheme_of(bool symmetric, pare_granularity granularity, int axis, bool course) {
    pare_scheme s;
    pare_scheme_init(&s);
    s.name[0] = 0; /* derived from the fields */
    s.symmetric = symmetric;
    s.granularity = granularity;
    s.axis = axis;
    s.scale_dtype = PARE_F32;
    s.course = course;
    return s;
}

pare_scheme course_scheme(bool symmetric, pare_granularity granularity, int axis) { return scheme_of(symmetric, granularity, axis, true); }
pare_scheme plain_scheme(bool symmetric, pare_granularity granularity, int axis) { return scheme_of(symmetric, granularity, axis, false); }

float rounded_to(pare_dtype dtype, float v) {
    unsigned char stored[8];
    float back = v;
    if (pare_convert(stored, dtype, &v, PARE_F32, 1, false, NULL) == PARE_OK) pare_convert(&back, PARE_F32, stored, dtype, 1, false, NULL);
    return back;
}
