/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decode speed of linear layers against this machine's memory:
 *   bench_matvec [--csv] [--isa LEVEL] [--threads N] [--mib N] [--repeat N] [--tokens N] [--only TEXT] [--cpu-time]
 *
 * Layers shaped as in a Llama of 1.1 B parameters (hidden 2048, 256 rows of keys and values, ffn 5632, vocabulary 32000), as many of them
 * as give --mib of weights, far more than the caches hold; every one is read once a round through pare_linear_forward, q k v and
 * gate up together, as a decode step does. GB/s counts codes, scales and zero points.
 *
 * The yardstick is the sum over these very bytes on the same threads (op roof_read: eight streams, each asked for before it is due). It and the
 * layers take turns, one before and one after every round, so that what other programs do to memory meets both alike; "fraction" is the
 * median, over --repeat rounds, of a round's rate divided by the mean of its two neighbours. "in L2" is the same kernel over one layer that
 * stays in the second cache, the best of many rounds: what instructions alone allow, whatever memory does. Memory can be reached only
 * where that is well above it. "empty" is the cost of a parallel loop of 16 tasks that do nothing. --cpu-time divides by the processor time
 * that the threads got: for a machine that others use too, though memory is still shared. --mib 0: only the second cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "graph/linear.h"

enum { HIDDEN = 2048, KV = 256, FFN = 5632, VOCAB = 32000, MATRICES = 7, MOST_LAYERS = 512, MOST_REPEATS = 1000 };
static const int64_t shapes[MATRICES][2] = { { HIDDEN, HIDDEN }, { KV, HIDDEN }, { KV, HIDDEN }, { HIDDEN, HIDDEN }, { FFN, HIDDEN }, { FFN, HIDDEN }, { HIDDEN, FFN } };

typedef struct row { const char *name; pare_wkind kind; int64_t group; bool zero; pare_compute mode; pare_act act; double target; } row;
static const row rows[] = {
    { "bf16", PARE_W_BF16, 0, false, PARE_COMPUTE_BF16, 0, 0.90 },
    { "bf16 exact", PARE_W_BF16, 0, false, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "f16", PARE_W_F16, 0, false, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "f32", PARE_W_F32, 0, false, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "f8 channel", PARE_W_F8, 0, false, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "w8 channel fast", PARE_W_I8, 0, false, PARE_COMPUTE_FAST, 0, 0.90 },
    { "w8 channel exact", PARE_W_I8, 0, false, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "w8 channel w8a8", PARE_W_I8, 0, false, PARE_COMPUTE_EXACT, PARE_ACT_DYNAMIC_TOKEN, 0.90 },
    { "w8 g128 asym fast", PARE_W_U8, 128, true, PARE_COMPUTE_FAST, 0, 0.90 },
    { "w8 g128 asym exact", PARE_W_U8, 128, true, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "w4 g128 fast", PARE_W_U4, 128, false, PARE_COMPUTE_FAST, 0, 0.90 },
    { "w4 g128 exact", PARE_W_U4, 128, false, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "w4 g128 asym fast", PARE_W_U4, 128, true, PARE_COMPUTE_FAST, 0, 0.90 },
    { "w4 g128 asym exact", PARE_W_U4, 128, true, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "w4 g32 fast", PARE_W_U4, 32, false, PARE_COMPUTE_FAST, 0, 0.75 },
    { "w4 g32 exact", PARE_W_U4, 32, false, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "w3 g128 fast", PARE_W_U3, 128, false, PARE_COMPUTE_FAST, 0, 0.75 },
    { "w3 g128 exact", PARE_W_U3, 128, false, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "w2 g128 fast", PARE_W_U2, 128, false, PARE_COMPUTE_FAST, 0, 0.75 },
    { "w2 g128 exact", PARE_W_U2, 128, false, PARE_COMPUTE_EXACT, 0, 0.60 },
    { "w2 g64 asym fast", PARE_W_U2, 64, true, PARE_COMPUTE_FAST, 0, 0.75 },
};

typedef struct bench {
    pare_ctx *ctx;
    size_t bytes;
    uint8_t *pool;               /* weights, then scales, then zero points */
    pare_linear layer[MOST_LAYERS * MATRICES + 1];
    int layers;
    uint64_t total;
    float *x, *y;
    int64_t tokens;
    pare_workspace ws;
    int repeat;
    bool cpu_time;
    size_t used;                 /* bytes of the pool that the layers take */
    uint64_t sum[2048];
} bench;

static void check(pare_status st, const pare_err *err)
{
    if (st == PARE_OK) return;
    fprintf(stderr, "bench_matvec: %s\n", err->text);
    exit(1);
}

/* Seconds; of processor time, divided by the threads, when that is wanted. */
static double now(const bench *b)
{
    struct timespec t;
    if (!b->cpu_time || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return pare_now();
    return ((double)t.tv_sec + (double)t.tv_nsec * 1e-9) / b->ctx->threads;
}

/* ------------------------------------------------------------------------------------------------------------ the memory */

enum { PIECE = (1 << 20) + 8 * 4160 }; /* its eight streams do not lie a power of two apart, where memory has them in one bank */

static pare_status read_piece(void *arg, int64_t i, int worker, pare_err *err)
{
    bench *b = arg;
    const uint64_t *at = (const uint64_t *)(const void *)(b->pool + i * PIECE);
    (void)err;
    b->sum[worker * 8] += b->ctx->kernels->roof_read(at, PIECE / 8);
    return PARE_OK;
}

/* Bytes a second of a sum over the layers' bytes. */
static double measure_read(bench *b)
{
    pare_err err;
    const double t0 = now(b);
    check(pare_parallel(b->ctx, (int64_t)(b->used / PIECE), read_piece, b, &err), &err);
    return (double)(b->used / PIECE * PIECE) / (now(b) - t0);
}

static pare_status nothing(void *arg, int64_t i, int worker, pare_err *err)
{
    (void)arg, (void)i, (void)worker, (void)err;
    return PARE_OK;
}

static double measure_empty(bench *b)
{
    pare_err err;
    double best = 1;
    for (int i = 0; i < 20; i++) {
        const double t0 = now(b);
        for (int j = 0; j < 100; j++) check(pare_parallel(b->ctx, 16, nothing, NULL, &err), &err);
        const double t = (now(b) - t0) / 100;
        if (t < best) best = t;
    }
    return best;
}

/* ------------------------------------------------------------------------------------------------------------ the layers */

static int64_t row_bytes(const row *r, int64_t cols)
{
    switch (r->kind) {
    case PARE_W_F32: return cols * 4;
    case PARE_W_F16:
    case PARE_W_BF16: return cols * 2;
    case PARE_W_U4: return cols / 2;
    case PARE_W_U3: return (cols + 255) / 256 * 96;
    case PARE_W_U2: return cols / 4;
    default: return cols;
    }
}

static uint64_t add_layer(bench *b, const row *r, int64_t n, int64_t cols, uint8_t **at)
{
    pare_err err;
    pare_linear *l = &b->layer[b->layers];
    if (r->kind <= PARE_W_BF16) {
        check(pare_linear_float(l, r->kind == PARE_W_F32 ? PARE_F32 : r->kind == PARE_W_F16 ? PARE_F16 : PARE_BF16, n, cols, *at, &err), &err);
        *at += n * row_bytes(r, cols);
    } else {
        pare_wmat w = { .kind = r->kind, .rows = n, .cols = cols, .row_bytes = row_bytes(r, cols), .data = *at, .code_dtype = PARE_F8_E4M3FN,
                        .group = r->group ? r->group : cols, .scale_dtype = PARE_BF16, .scale_rows = 1 };
        w.groups = cols / w.group;
        *at += n * w.row_bytes;
        w.scale = *at;
        *at += n * w.groups * 2;
        if (r->zero) {
            const int most = r->kind == PARE_W_U4 ? 15 : r->kind == PARE_W_U3 ? 7 : r->kind == PARE_W_U2 ? 3 : 255;
            for (int64_t i = 0; i < n * w.groups; i++) (*at)[i] &= (uint8_t)most;
            w.zero = *at;
            *at += n * w.groups;
        }
        check(pare_linear_view(l, &w, &err), &err);
        l->act = r->act;
    }
    *at = b->pool + (*at - b->pool + 63) / 64 * 64;
    b->layers++;
    return l->bytes;
}

static void fill_pool(bench *b, size_t bytes) /* normal numbers as bf16 and f16 */
{
    uint32_t s = 1;
    for (size_t i = 0; i < bytes / 2; i++) {
        s = s * 1664525u + 1013904223u;
        const uint16_t h = (uint16_t)((s >> 16 & 0x83ff) | 0x3c00);
        memcpy(b->pool + i * 2, &h, 2);
    }
}

static void make_layers(bench *b, const row *r)
{
    uint8_t *at = b->pool;
    const size_t most = (size_t)(HIDDEN * 2 + KV * 2 + FFN * 3) * HIDDEN * 4 + (1 << 20);
    b->layers = 0;
    fill_pool(b, b->bytes);
    b->total = add_layer(b, r, VOCAB, HIDDEN, &at);
    do
        for (int m = 0; m < MATRICES; m++) b->total += add_layer(b, r, shapes[m][0], shapes[m][1], &at);
    while ((size_t)(at - b->pool) + most / 8 * (r->kind <= PARE_W_BF16 ? 8 : 3) < b->bytes && b->layers + MATRICES < MOST_LAYERS * MATRICES);
    b->used = (size_t)(at - b->pool);
}

/* One layer that fits into the second caches of all threads. */
static void make_small(bench *b, const row *r)
{
    enum { L2 = 1 << 20 };
    uint8_t *at = b->pool;
    const int64_t many = L2 * (int64_t)b->ctx->threads * 3 / 4 / (row_bytes(r, HIDDEN) + 1) / 16 * 16;
    b->layers = 0;
    fill_pool(b, (size_t)L2 * (size_t)b->ctx->threads);
    b->total = add_layer(b, r, many, HIDDEN, &at);
}

static void step(bench *b, int first, int count, pare_compute mode)
{
    pare_err err;
    const pare_linear *w[3];
    float *y[3];
    int64_t strides[3];
    for (int i = 0; i < count; i++) {
        w[i] = &b->layer[first + i];
        y[i] = b->y + i * FFN * b->tokens;
        strides[i] = w[i]->w.rows;
    }
    check(pare_linear_forward(b->ctx, w, count, mode, b->tokens, b->x, b->layer[first].w.cols, y, strides, &b->ws, &err), &err);
}

static double round_of(bench *b, pare_compute mode)
{
    const double t0 = now(b);
    for (int l = 1; l < b->layers; l += MATRICES) {
        step(b, l, 3, mode);
        step(b, l + 3, 1, mode);
        step(b, l + 4, 2, mode);
        step(b, l + 6, 1, mode);
    }
    step(b, 0, 1, mode);
    return now(b) - t0;
}

static int by_size(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_size);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/*
 * One layer over and over: the best, bytes a second. *a_cycle: bytes in the time in which the level's int8 dot product, measured in turn,
 * does 128 operations (on AVX-512 half a cycle, on AVX2 two), the median: free of what clocks and other users of a core do. 0: no such op.
 */
static double rate_in_l2(bench *b, const row *r, double *a_cycle)
{
    enum { MOST = 512 };
    double best = 1e9, ratio[MOST];
    int n = 0, had = 0;
    make_small(b, r);
    const double begin = pare_now();
    while (pare_now() - begin < 0.4 && n < MOST) {
        int32_t sink = 1;
        const double t0 = now(b);
        for (int i = 0; i < 4; i++) step(b, 0, 1, r->mode);
        const double t1 = now(b);
        const int64_t ops = b->ctx->kernels->roof_i8(5000, &sink);
        const double t2 = now(b), t = (t1 - t0) / 4, dot = (t2 - t1) / ((double)ops / 128);
        if (had++) ratio[n++] = (double)b->total / t * dot / b->ctx->threads;
        if (t < best) best = t;
    }
    *a_cycle = n ? median(ratio, n) : 0;
    return (double)b->total / best;
}

static void measure(bench *b, const row *r, bool csv)
{
    double rate[MOST_REPEATS], read[MOST_REPEATS + 1], ratio[MOST_REPEATS];
    double a_cycle;
    const double l2 = rate_in_l2(b, r, &a_cycle);
    if (b->bytes == 0) {
        printf(csv ? "%s,%d,%lld,%.3f,%.3f\n" : "%-20s %d threads, %lld tokens: %8.2f GB/s in L2, %6.2f bytes a dot product\n", r->name, b->ctx->threads, (long long)b->tokens, l2 / 1e9, a_cycle);
        return;
    }
    make_layers(b, r);
    measure_read(b);
    round_of(b, r->mode);
    read[0] = measure_read(b);
    for (int j = 0; j < b->repeat; j++) {
        rate[j] = (double)b->total / round_of(b, r->mode);
        read[j + 1] = measure_read(b);
        ratio[j] = rate[j] / ((read[j] + read[j + 1]) / 2);
    }
    const double fraction = median(ratio, b->repeat), gb = median(rate, b->repeat) / 1e9, memory = median(read, b->repeat + 1) / 1e9;
    const double low = ratio[b->repeat / 4], high = ratio[b->repeat - 1 - b->repeat / 4];
    if (csv) printf("%s,%d,%lld,%.3f,%.3f,%.3f,%.3f,%.2f\n", r->name, b->ctx->threads, (long long)b->tokens, gb, memory, fraction, l2 / 1e9, r->target);
    else printf("%-20s %8.2f %8.2f %8.1f%% %4.0f - %3.0f %8.2f %6.0f%%%s\n", r->name, gb, memory, fraction * 100, low * 100, high * 100, l2 / 1e9, r->target * 100, fraction < r->target ? "  below" : "");
}

int main(int argc, char **argv)
{
    static bench b = { .bytes = (size_t)512 << 20, .repeat = 15, .tokens = 1 };
    pare_ctx_options options = { 0 };
    pare_err err;
    bool csv = false;
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--csv")) csv = true;
        else if (!strcmp(argv[i], "--cpu-time")) b.cpu_time = true;
        else if (i + 1 == argc) return fprintf(stderr, "bench_matvec: %s?\n", argv[i]), 2;
        else if (!strcmp(argv[i], "--isa")) options.isa = argv[++i];
        else if (!strcmp(argv[i], "--threads")) options.threads = (int)strtol(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--mib")) b.bytes = (size_t)strtol(argv[++i], NULL, 10) << 20;
        else if (!strcmp(argv[i], "--repeat")) b.repeat = (int)strtol(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--tokens")) b.tokens = strtol(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--only")) only = argv[++i];
        else return fprintf(stderr, "bench_matvec: %s?\n", argv[i]), 2;
    }
    check(pare_ctx_new(&options, &b.ctx, &err), &err);
    b.pool = pare_alloc_aligned(4096, b.bytes + ((size_t)320 << 20));
    b.x = pare_alloc_aligned(64, (size_t)(b.tokens * FFN) * 4);
    b.y = pare_alloc_aligned(64, (size_t)(b.tokens * (VOCAB + 3 * FFN)) * 4);
    if (!b.pool || !b.x || !b.y) return fprintf(stderr, "bench_matvec: no memory\n"), 1;
    for (int64_t i = 0; i < b.tokens * FFN; i++) b.x[i] = (float)((i * 7919) % 2001 - 1000) / 700.0f;
    if (b.repeat < 1 || b.repeat > MOST_REPEATS) return fprintf(stderr, "bench_matvec: --repeat 1 ... %d\n", MOST_REPEATS), 2;
    memset(b.pool, 1, b.bytes + ((size_t)320 << 20));
    if (!csv) printf("%s, %d threads, %lld tokens, empty loop %.2f us\n", pare_ctx_isa(b.ctx), b.ctx->threads, (long long)b.tokens, measure_empty(&b) * 1e6);
    if (!csv && b.bytes) printf("%-20s %8s %8s %9s %10s %8s %7s\n", "kernel", "GB/s", "memory", "fraction", "quartiles", "in L2", "wanted");
    if (csv) printf(b.bytes ? "kernel,threads,tokens,gb_per_s,read_gb_per_s,fraction,l2_gb_per_s,target\n" : "kernel,threads,tokens,l2_gb_per_s,l2_bytes_a_dot\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (only && !strstr(rows[i].name, only)) continue;
        measure(&b, &rows[i], csv);
        fflush(stdout);
    }
    pare_workspace_clear(&b.ws);
    pare_dealloc_aligned(b.pool);
    pare_dealloc_aligned(b.x);
    pare_dealloc_aligned(b.y);
    pare_ctx_free(b.ctx);
    return 0;
}
