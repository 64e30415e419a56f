/* SPDX-License-Identifier: Apache-2.0 */
/* Products, sums of x x^T and Cholesky against this machine's f32 multiply-adds: bench_linalg [columns]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "graph/roof.h"
#include "linalg/linalg.h"

static double peak; /* multiply-adds a second */

static void line(const char *what, double macs, double seconds)
{
    printf("%-44s %8.3f s  %7.1f GMAC/s  %5.1f %% of peak\n", what, seconds, macs / seconds * 1e-9, 100 * macs / seconds / peak);
}

/* The best of three. */
#define TIMED(CALL)                                         \
    for (int turn = 0; turn < 3; turn++) {                  \
        const double start = pare_now();                    \
        if ((CALL) != PARE_OK) return 1;                    \
        const double took = pare_now() - start;             \
        if (turn == 0 || took < best) best = took;          \
    }

int main(int argc, char **argv)
{
    const int64_t n = argc > 1 ? atoll(argv[1]) : 2048, tokens = 2048;
    const double d = (double)n;
    pare_err err = { 0 };
    pare_ctx *ctx = NULL;
    pare_roof roof;
    double best = 0, pivot;
    int64_t failed;
    if (n < 1 || pare_ctx_new(NULL, &ctx, &err) != PARE_OK || pare_roof_measure(ctx, 0.5, 0, &roof, &err) != PARE_OK) return 1;
    peak = roof.ops[PARE_ROOF_F32][1] / 2;
    float *x = malloc(sizeof(float) * (size_t)(tokens * n)), *h = calloc((size_t)(n * n), sizeof(float)), *l = malloc(sizeof(float) * (size_t)(n * n));
    for (int64_t i = 0; i < tokens * n; i++) x[i] = (float)pare_rng_normal(1, (uint64_t)i);
    printf("%d columns, %d tokens, %d threads, peak %.1f G multiply-adds a second\n", (int)n, (int)tokens, pare_ctx_threads(ctx), peak * 1e-9);
    TIMED(pare_add_xtx(ctx, tokens, n, x, n, h, &err))
    line("sum of x x^T (half a square)", d * (d + 1) / 2 * (double)tokens, best);
    if (pare_mirror(ctx, n, h, &err) != PARE_OK) return 1;
    TIMED(pare_add_xty(ctx, tokens, n, n, x, n, x, n, l, &err))
    line("sum of x y^T", d * d * (double)tokens, best);
    for (int64_t i = 0; i < n; i++) h[i * n + i] += 1e4f;
    TIMED((memcpy(l, h, sizeof(float) * (size_t)(n * n)), pare_cholesky(ctx, n, l, n, &failed, &pivot, &err)))
    line("Cholesky (n^3 / 6)", d * d * d / 6, best);
    TIMED(pare_solve_lower(ctx, n, l, n, false, tokens, x, n, &err))
    line("solve for as many rows as tokens (n^2 / 2 each)", d * d / 2 * (double)tokens, best);
    free(x), free(h), free(l);
    pare_ctx_free(ctx);
    return failed < 0 ? 0 : 1;
}
