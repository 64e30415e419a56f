/* SPDX-License-Identifier: Apache-2.0 */
/* How far the vectors of one encoder are from another's: directly where both have one dimension, and by the angles between texts. */
#include "eval/eval.h"
#include <math.h>
#include <string.h>

static double cosine(const float *a, const float *b, int64_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : aa == bb ? 1 : 0;
}

void pare_similarity(const float *a, const float *b, int64_t n, int64_t dim, int64_t dim_b, pare_similarity_result *out)
{
    double sum = 0, squares = 0;
    memset(out, 0, sizeof *out);
    out->texts = n;
    out->cosine_min = 1;
    for (int64_t i = 0; i < n; i++) {
        const double c = dim == dim_b ? cosine(a + i * dim, b + i * dim, dim) : NAN;
        sum += c;
        if (!(c >= out->cosine_min)) out->cosine_min = c;
        if (!i) continue;
        const double moved = cosine(a + (i - 1) * dim, a + i * dim, dim) - cosine(b + (i - 1) * dim_b, b + i * dim_b, dim_b);
        squares += moved * moved;
    }
    out->cosine_mean = n ? sum / (double)n : NAN;
    out->pair_rmse = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}
