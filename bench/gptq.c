/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPTQ of single layers at 4 bits, groups of 128, against its multiply-adds at this machine's f32 peak: bench_gptq [sweeps] [correct].
 * Sums over 2048 tokens apart: n^3 / 6 for the factor, rows n^2 times 1/2 for the feedback, 1 for a sweep, 1 for the loss, 2 for correct=qronos.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "graph/roof.h"
#include "linalg/linalg.h"
#include "method/method.h"

typedef struct bench { pare_ctx *ctx; pare_params params; pare_scheme scheme; double peak; bool drift; double sweeps; } bench;

static int one(const bench *b, int64_t rows, int64_t cols)
{
    enum { TOKENS = 2048 };
    pare_err err = { 0 };
    float *w = malloc(sizeof *w * (size_t)(rows * cols)), *x = malloc(sizeof *x * (size_t)(TOKENS * cols)), *h = calloc((size_t)(cols * cols), sizeof *h);
    for (int64_t i = 0; i < rows * cols; i++) w[i] = (float)pare_rng_normal(1, (uint64_t)i);
    for (int64_t t = 0; t < TOKENS; t++) { /* neighbours resemble each other, sizes differ */
        float last = 0;
        for (int64_t c = 0; c < cols; c++) {
            last = 0.8f * last + (float)pare_rng_normal(2, (uint64_t)(t * cols + c));
            x[t * cols + c] = last * (float)(1 + c % 7);
        }
    }
    const double start = pare_now();
    if (pare_add_xtx(b->ctx, TOKENS, cols, x, cols, h, &err) != PARE_OK || pare_mirror(b->ctx, cols, h, &err) != PARE_OK) return 1;
    const double summed = pare_now();
    const pare_stats stats = { .cols = cols, .tokens = TOKENS, .hessian = h, .drift = b->drift ? h : NULL };
    const pare_layer_job job = { .name = "layer", .scheme = &b->scheme, .params = &b->params, .rows = rows, .cols = cols, .w = w, .stats = &stats };
    pare_layer_result out;
    if (pare_method_find("gptq")->layer(b->ctx, &job, &out, &err) != PARE_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const double took = pare_now() - summed, n = (double)cols, macs = n * n * n / 6 + (double)rows * n * n * (1.5 + b->sweeps + (b->drift ? 2 : 0));
    printf("[%5d, %5d]  sums %6.3f s   gptq %7.3f s for %6.1f G multiply-adds: %5.1f G/s, %.2f times the peak's time (loss %.5f)\n", (int)rows, (int)cols,
           summed - start, took, macs * 1e-9, macs / took * 1e-9, took * b->peak / macs, out.loss);
    pare_qtensor_free(out.q);
    free(w), free(x), free(h);
    return 0;
}

int main(int argc, char **argv)
{
    static const int64_t shapes[][2] = { { 2048, 2048 }, { 256, 2048 }, { 5632, 2048 }, { 2048, 5632 } }; /* of the 1.1-billion-parameter Llama shape */
    bench b = { 0 };
    pare_err err = { 0 };
    pare_roof roof;
    const pare_method *m = pare_method_find("gptq");
    int rc = 1;
    if (pare_ctx_new(NULL, &b.ctx, &err) != PARE_OK || pare_params_init(&b.params, m->options, &err) != PARE_OK) return 1;
    if (pare_roof_measure(b.ctx, 0.5, 0, &roof, &err) != PARE_OK) goto out;
    if (argc > 1 && pare_params_set(&b.params, "sweeps", argv[1], "gptq", &err) != PARE_OK) goto out;
    if (argc > 2 && pare_params_set(&b.params, "correct", argv[2], "gptq", &err) != PARE_OK) goto out;
    if (pare_scheme_parse("W4A16:g128", &b.scheme, &err) != PARE_OK || m->prepare(&b.params, &b.scheme, &err) != PARE_OK) goto out;
    b.peak = roof.ops[PARE_ROOF_F32][1] / 2;
    b.sweeps = (double)pare_params_int(&b.params, "sweeps");
    b.drift = strcmp(pare_params_text(&b.params, "correct"), "none") != 0;
    printf("%d threads, f32 peak %.1f G multiply-adds a second, %g sweeps, correct %s\n", pare_ctx_threads(b.ctx), b.peak * 1e-9, b.sweeps,
           pare_params_text(&b.params, "correct"));
    rc = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && rc == 0; i++) rc = one(&b, shapes[i][0], shapes[i][1]);
out:
    if (err.text[0]) fprintf(stderr, "%s\n", err.text);
    pare_params_clear(&b.params);
    pare_ctx_free(b.ctx);
    return rc;
}
