/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error sums and what they say.
 *
 *   a: original, b: what came back, both [n]
 *   mse = sum (b-a)^2 / n    SQNR = 10 log10(sum a^2 / sum (b-a)^2) dB    cosine = sum ab / sqrt(sum a^2 sum b^2)
 *
 * Sums are in double, in the canonical order of the row_error op and piece by piece.
 */
#include <math.h>
#include "quant/blocks.h"

void pare_row_error_add(pare_row_error *total, const pare_row_error *part)
{
    total->signal += part->signal;
    total->noise += part->noise;
    total->cross += part->cross;
    total->abs_sum += part->abs_sum;
    total->dq2 += part->dq2;
    if (part->max_abs > total->max_abs || isnan(part->max_abs)) total->max_abs = part->max_abs;
}

void pare_error_finish(const pare_row_error *sums, int64_t n, pare_error *out)
{
    const double count = n > 0 ? (double)n : 1.0;
    const double norms = sqrt(sums->signal) * sqrt(sums->dq2);
    *out = (pare_error){
        .n = n,
        .mse = sums->noise / count,
        .mean_abs = sums->abs_sum / count,
        .max_abs = sums->max_abs,
        .sqnr_db = sums->noise == 0.0 ? HUGE_VAL : 10.0 * log10(sums->signal / sums->noise),
        .cosine = norms > 0.0 ? sums->cross / norms : sums->signal == sums->dq2 ? 1.0 : 0.0,
        .signal = sums->signal,
        .noise = sums->noise,
    };
}

void pare_measure(const float *a, const float *b, int64_t n, pare_error *out)
{
    const pare_kernels *k = pare_kernels_get(NULL);
    pare_row_error total = {0}, part;
    for (int64_t at = 0; at < n; at += PARE_CUT) {
        k->row_error(a + at, b + at, n - at < PARE_CUT ? n - at : PARE_CUT, &part);
        pare_row_error_add(&total, &part);
    }
    pare_error_finish(&total, n, out);
}
