/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefill: the linear layers of one block of a 1.1-billion-parameter Llama (hidden 2048, 4 KV heads of 64, ffn 5632) for N tokens, by kind of
 * weight and mode, against this machine's peaks. Peaks and layers take turns, and processor time is what counts, so that other
 * programs on the machine disturb little; the median of the ratios is printed.
 *
 *   bench_gemm [-t THREADS] [-n TOKENS] [-r TURNS] [-i ISA] [KIND ...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "graph/linear.h"
#include "graph/roof.h"

enum { HIDDEN = 2048, KV = 256, FFN = 5632, CALLS = 4, MOST_TURNS = 64 };

/* Calls as an engine makes them: q k v, o, gate up, down. */
static const struct { int count; int64_t rows[3], cols; } calls[CALLS] = {
    { 3, { HIDDEN, KV, KV }, HIDDEN }, { 1, { HIDDEN }, HIDDEN }, { 2, { FFN, FFN }, HIDDEN }, { 1, { HIDDEN }, FFN } };

static const struct { const char *name; pare_wkind kind; int64_t group; pare_compute mode; pare_roof_kind roof; const char *about; } cases[] = {
    { "f32", PARE_W_F32, 0, PARE_COMPUTE_EXACT, PARE_ROOF_F32, "exact" },
    { "f16", PARE_W_F16, 0, PARE_COMPUTE_EXACT, PARE_ROOF_F32, "exact" },
    { "bf16", PARE_W_BF16, 0, PARE_COMPUTE_EXACT, PARE_ROOF_F32, "exact" },
    { "bf16-bf16", PARE_W_BF16, 0, PARE_COMPUTE_BF16, PARE_ROOF_BF16, "bf16" },
    { "f8", PARE_W_F8, 1 << 20, PARE_COMPUTE_EXACT, PARE_ROOF_F32, "exact, per channel" },
    { "w8-exact", PARE_W_U8, 1 << 20, PARE_COMPUTE_EXACT, PARE_ROOF_F32, "exact, per channel" },
    { "w4-exact", PARE_W_U4, 128, PARE_COMPUTE_EXACT, PARE_ROOF_F32, "exact, group 128" },
    { "w8", PARE_W_U8, 1 << 20, PARE_COMPUTE_FAST, PARE_ROOF_I8, "fast, per channel" },
    { "i8", PARE_W_I8, 1 << 20, PARE_COMPUTE_FAST, PARE_ROOF_I8, "fast, per channel" },
    { "w4", PARE_W_U4, 128, PARE_COMPUTE_FAST, PARE_ROOF_I8, "fast, group 128" },
    { "w4g32", PARE_W_U4, 32, PARE_COMPUTE_FAST, PARE_ROOF_I8, "fast, group 32" },
    { "w3", PARE_W_U3, 128, PARE_COMPUTE_FAST, PARE_ROOF_I8, "fast, group 128" },
    { "w2", PARE_W_U2, 128, PARE_COMPUTE_FAST, PARE_ROOF_I8, "fast, group 128" },
};
enum { CASES = sizeof cases / sizeof cases[0] };

typedef struct bench { pare_ctx *ctx; int64_t n; int turns; float *x, *y; uint8_t *data; float *scale; pare_workspace ws; } bench;

static int threads = 1;

static double processor(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return pare_now();
    return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / threads;
}

static double one_thread(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0) return pare_now();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct turn { const pare_kernels *k; pare_roof_kind kind; double rate[256]; } turn;

static pare_status peak_task(void *arg, int64_t i, int worker, pare_err *err)
{
    turn *t = arg;
    (void)worker, (void)err;
    t->rate[i] = pare_roof_turn(t->k, t->kind, 0.01, one_thread);
    return PARE_OK;
}

static void fail_if(pare_status st, const pare_err *err)
{
    if (st == PARE_OK) return;
    fprintf(stderr, "bench_gemm: %s\n", err->text);
    exit(1);
}

static double peak(bench *b, pare_roof_kind kind)
{
    pare_err err;
    turn t = { .k = b->ctx->kernels, .kind = kind };
    double sum = 0;
    fail_if(pare_parallel(b->ctx, threads, peak_task, &t, &err), &err);
    for (int i = 0; i < threads; i++) sum += t.rate[i];
    return sum;
}

static pare_linear layer(const bench *b, int at, int64_t rows, int64_t cols)
{
    const pare_wkind kind = cases[at].kind;
    const int bits = kind == PARE_W_F32 ? 32 : kind <= PARE_W_BF16 ? 16 : kind == PARE_W_U4 ? 4 : kind == PARE_W_U3 ? 3 : kind == PARE_W_U2 ? 2 : 8;
    pare_linear l = { .w = { .kind = kind, .rows = rows, .cols = cols, .data = b->data, .row_bytes = cols * bits / 8, .code_dtype = PARE_F8_E4M3FN, .scale_rows = 1,
                             .group = cases[at].group < cols ? cases[at].group : cols, .scale = b->scale, .scale_dtype = PARE_F32 } };
    if (l.w.group) l.w.groups = (cols + l.w.group - 1) / l.w.group;
    return l;
}

/* Operations of one run of all calls; the seconds in *time. */
static double run(bench *b, int at, double *time)
{
    pare_err err;
    double ops = 0;
    const double began = processor();
    for (int c = 0; c < CALLS; c++) {
        pare_linear l[3];
        const pare_linear *w[3];
        float *y[3];
        int64_t stride[3], rows = 0;
        for (int i = 0; i < calls[c].count; i++) {
            l[i] = layer(b, at, calls[c].rows[i], calls[c].cols);
            w[i] = &l[i], y[i] = b->y + rows * b->n, stride[i] = calls[c].rows[i];
            rows += calls[c].rows[i];
        }
        fail_if(pare_linear_gemm(b->ctx, w, calls[c].count, cases[at].mode, b->n, b->x, calls[c].cols, y, stride, &b->ws, &err), &err);
        ops += 2.0 * (double)(rows * calls[c].cols * b->n);
    }
    *time = processor() - began;
    return ops;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void one_case(bench *b, int at)
{
    double rate[MOST_TURNS], top[MOST_TURNS], ratio[MOST_TURNS], time;
    const char *roof = cases[at].roof == PARE_ROOF_I8 ? "int8" : cases[at].roof == PARE_ROOF_BF16 ? "bf16" : "f32";
    pare_roof_kind kind = cases[at].roof;
    if (kind == PARE_ROOF_BF16 && peak(b, kind) == 0) kind = PARE_ROOF_F32, roof = "f32";
    for (int i = 0; i < b->turns; i++) {
        const double before = peak(b, kind);
        const double ops = run(b, at, &time), after = peak(b, kind);
        rate[i] = ops / time;
        top[i] = before > after ? before : after;
        ratio[i] = rate[i] / top[i];
    }
    qsort(rate, (size_t)b->turns, sizeof *rate, compare);
    qsort(top, (size_t)b->turns, sizeof *top, compare);
    qsort(ratio, (size_t)b->turns, sizeof *ratio, compare);
    const int mid = b->turns / 2;
    printf("%-10s %-20s %8.1f %8.1f  %-4s %8.1f %7.1f %% %10.0f\n", cases[at].name, cases[at].about, rate[mid] / 1e9, rate[b->turns - 1] / 1e9, roof,
           top[b->turns - 1] / 1e9, 100 * ratio[mid], rate[mid] / (2 * 0.9689e9));
    fflush(stdout);
}

static bool wanted(const char *name, char **names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    bench b = { .n = 512, .turns = 7 };
    pare_err err;
    pare_ctx_options options = { 0 };
    int at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        const long v = strtol(argv[at + 1], NULL, 10);
        if (argv[at][1] == 't' && v >= 1 && v <= 256) threads = (int)v;
        else if (argv[at][1] == 'n' && v >= 1 && v <= 65536) b.n = v;
        else if (argv[at][1] == 'r' && v >= 1 && v <= MOST_TURNS) b.turns = (int)v;
        else if (argv[at][1] == 'i') options.isa = argv[at + 1];
        else return fprintf(stderr, "bench_gemm [-t THREADS] [-n TOKENS] [-r TURNS] [-i ISA] [KIND ...]\n"), 2;
    }
    options.threads = threads;
    fail_if(pare_ctx_new(&options, &b.ctx, &err), &err);
    const size_t weights = (size_t)FFN * 2 * HIDDEN;
    b.x = malloc(sizeof(float) * (size_t)(b.n * FFN));
    b.y = malloc(sizeof(float) * (size_t)(b.n * FFN * 2));
    b.data = malloc(weights * 4);
    b.scale = malloc(weights / 32 * sizeof(float));
    if (!b.x || !b.y || !b.data || !b.scale) return fprintf(stderr, "bench_gemm: out of memory\n"), 1;
    const uint64_t key = pare_rng_key(1, "bench");
    for (int64_t i = 0; i < b.n * FFN; i++) b.x[i] = (float)(pare_rng_u64(key, (uint64_t)i) >> 40) * 0x1p-23f - 1.0f;
    for (size_t i = 0; i < weights; i++) ((uint32_t *)(void *)b.data)[i] = ((uint32_t)pare_rng_u64(key, i) & 0xbfffbfffu) | 0x30003000u; /* fit for every kind */
    for (size_t i = 0; i < weights / 32; i++) b.scale[i] = 0.01f;
    printf("level %s, %d threads, %lld tokens; a multiply-add is two operations; tokens/s: of all layers of the 1.1 B model\n\n", pare_ctx_isa(b.ctx), threads, (long long)b.n);
    printf("%-10s %-20s %8s %8s  %-4s %8s %9s %10s\n", "weights", "mode", "GOP/s", "best", "peak", "GOP/s", "of peak", "tokens/s");
    for (int i = 0; i < CASES; i++)
        if (wanted(cases[i].name, argv + at, argc - at)) one_case(&b, i);
    pare_workspace_clear(&b.ws);
    pare_ctx_free(b.ctx);
    free(b.x), free(b.y), free(b.data), free(b.scale);
    return 0;
}
