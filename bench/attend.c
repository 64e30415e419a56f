/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of attention and of the small ops of a model against this machine's limits, measured in the same run:
 *   bench_attend [--isa LEVEL] [--threads N] [--repeat N] [--kib N] [--only TEXT]
 *
 * --kib: keys and values of decode, each (default 65536; small: what the caches give).
 *
 * decode: one token, `heads` query heads on one key/value head, keys and values far larger than the caches (depth: of key/value heads of 4096
 * keys each, one after the other, as a model's layers come); bytes of keys and values a second, and as a fraction of a sum over the same memory; what bytes and arithmetic at their best would take one after the other, as a fraction
 * of the time. prefill: a causal chunk of 512 tokens at the end of `keys`; arithmetic of the
 * seen pairs only, 2 (dim + v_dim) a pair and head, as a fraction of the level's best multiply-adds on registers (the roof_ ops of
 * `pare bench`). Small ops: time an
 * element for rows in the cache. Every thread works on data of its own; times are processor time of the threads, the best of the repeats,
 * yardsticks are measured again beside every row.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/base.h"
#include "kernel/kernel.h"

enum { MOST_THREADS = 64, SMALL = 4096, PEAK_ROUNDS = 100000 };

typedef struct lane { /* a thread's data */
    uint8_t *k, *v;
    float *scale, *q, *out, *scratch, *x, *y, *w;
    double sum;
} lane;

typedef struct bench bench;
typedef struct shape {
    int64_t queries, heads, dim, keys;
    pare_dtype dtype;
    int64_t kv_heads; /* one after the other in k and v; 0 = 1 */
} shape;

struct bench {
    pare_ctx *ctx;
    const pare_kernels *k;
    int threads, repeat;
    size_t bytes;               /* of k and of v, each thread */
    const char *only;
    lane lanes[MOST_THREADS];
    double peak, read;          /* best so far: flop/s, bytes/s, all threads */
    shape s;
    void (*small)(const pare_kernels *k, lane *l);
};

static double now_cpu(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0 ? (double)t.tv_sec + 1e-9 * (double)t.tv_nsec : pare_now();
}

/* -------------------------------------------------------------------------------------------------------------- yardsticks */

static double seconds[MOST_THREADS];

static pare_status peak_task(void *arg, int64_t i, int worker, pare_err *err)
{
    bench *b = arg;
    (void)worker, (void)err;
    float sum = 1.0f;
    const double begin = now_cpu();
    const double done = (double)b->k->roof_f32(PEAK_ROUNDS, &sum);
    seconds[i] = (now_cpu() - begin) / done;
    b->lanes[i].sum += (double)sum;
    return PARE_OK;
}

static pare_status read_task(void *arg, int64_t i, int worker, pare_err *err)
{
    bench *b = arg;
    (void)worker, (void)err;
    const double begin = now_cpu();
    const uint64_t sum = b->k->roof_read((const uint64_t *)(const void *)b->lanes[i].k, (int64_t)(b->bytes / 8));
    seconds[i] = now_cpu() - begin;
    b->lanes[i].sum += (double)sum;
    return PARE_OK;
}

static void fail_if(pare_status st, const pare_err *err)
{
    if (st == PARE_OK) return;
    fprintf(stderr, "bench_attend: %s\n", err->text);
    exit(1);
}

/* Runs the task once on every thread; the sum of work / seconds. */
static double rate(bench *b, pare_task_fn task, double work)
{
    pare_err err;
    double sum = 0;
    fail_if(pare_parallel(b->ctx, b->threads, task, b, &err), &err);
    for (int i = 0; i < b->threads; i++) sum += work / seconds[i];
    return sum;
}

static void yardsticks(bench *b)
{
    const double peak = rate(b, peak_task, 1.0), read = rate(b, read_task, (double)b->bytes);
    b->peak = peak > b->peak ? peak : b->peak;
    b->read = read > b->read ? read : b->read;
}

/* --------------------------------------------------------------------------------------------------------------- attention */

static size_t size_of(pare_dtype t) { return t == PARE_F32 ? 4 : t == PARE_I8 ? 1 : 2; }
static const char *name_of(pare_dtype t) { return t == PARE_F32 ? "f32" : t == PARE_F16 ? "f16" : t == PARE_BF16 ? "bf16" : "int8"; }

static pare_status attend_task(void *arg, int64_t i, int worker, pare_err *err)
{
    bench *b = arg;
    const shape *s = &b->s;
    lane *l = &b->lanes[i];
    int32_t first[512], last[512];
    (void)worker, (void)err;
    for (int64_t t = 0; t < s->queries; t++) {
        first[t] = 0;
        last[t] = (int32_t)(s->keys - s->queries + t + 1);
    }
    pare_attend a = { .queries = s->queries, .heads = s->heads, .dim = s->dim, .v_dim = s->dim, .q = l->q, .q_stride = s->dim * s->heads, .q_head = s->dim, .k = l->k,
                            .v = l->v, .dtype = s->dtype, .k_stride = s->dim, .v_stride = s->dim, .k_panels = true, .k_scale = s->dtype == PARE_I8 ? l->scale : NULL, .v_scale = s->dtype == PARE_I8 ? l->scale : NULL, .keys = s->keys, .first = first,
                            .last = last, .scale = 1.0f / sqrtf((float)s->dim), .out = l->out, .out_stride = s->dim * s->heads, .out_head = s->dim, .scratch = l->scratch };
    const double begin = now_cpu();
    for (int64_t h = 0; h < (s->kv_heads ? s->kv_heads : 1); h++) {
        a.k = l->k + (size_t)(h * s->keys * s->dim) * size_of(s->dtype);
        a.v = l->v + (size_t)(h * s->keys * s->dim) * size_of(s->dtype);
        b->k->attend(&a);
    }
    seconds[i] = now_cpu() - begin;
    l->sum += (double)l->out[0];
    return PARE_OK;
}

static void bench_attention(bench *b, shape s)
{
    char name[80];
    const bool decode = s.queries == 1;
    if (decode && s.keys) s.kv_heads = (int64_t)(b->bytes / (size_t)(s.keys * s.dim) / size_of(s.dtype));
    else if (decode) s.keys = (int64_t)(b->bytes / (size_t)s.dim / size_of(s.dtype));
    if (decode && s.keys > 1 << 20) s.keys = 1 << 20;
    snprintf(name, sizeof name, "%s %-4s %2lld heads of %lld", s.kv_heads ? "depth  " : decode ? "decode " : "prefill", name_of(s.dtype), (long long)s.heads, (long long)s.dim);
    if (b->only && !strstr(name, b->only)) return;
    b->s = s;
    const double kv_heads = s.kv_heads ? (double)s.kv_heads : 1;
    const double pairs = kv_heads * (double)s.queries * ((double)s.keys - (double)(s.queries - 1) / 2), flops = 4.0 * (double)s.dim * (double)s.heads * pairs;
    const double bytes = kv_heads * (2.0 * (double)s.keys * (double)s.dim * (double)size_of(s.dtype) + (s.dtype == PARE_I8 ? 8.0 * (double)s.keys : 0.0));
    double best = 0;
    for (int i = 0; i < b->repeat; i++) {
        const double r = rate(b, attend_task, 1.0);
        best = r > best ? r : best;
        yardsticks(b);
    }
    printf("%-34s %8lld keys %8.2f GB/s %4.0f%% of read %9.1f GFLOP/s %4.0f%% of peak %4.0f%% of both\n", name, (long long)s.keys, best * bytes / 1e9, 100 * best * bytes / b->read,
           best * flops / 1e9, 100 * best * flops / b->peak, 100 * best * (flops / b->peak + bytes / b->read));
}

/* --------------------------------------------------------------------------------------------------------------- small ops */

#define SMALL_OP(name, call) static void small_##name(const pare_kernels *k, lane *l) { call; }
SMALL_OP(rms_norm, k->rms_norm(l->y, l->x, l->w, SMALL, 1e-5f, 0.0f))
SMALL_OP(layer_norm, k->layer_norm(l->y, l->x, l->w, l->w, SMALL, 1e-5f))
SMALL_OP(silu, k->activate(l->y, l->x, SMALL, PARE_ACT_FN_SILU))
SMALL_OP(silu_mul, k->activate_mul(l->y, l->x, l->w, SMALL, PARE_ACT_FN_SILU))
SMALL_OP(gelu, k->activate(l->y, l->x, SMALL, PARE_ACT_FN_GELU))
SMALL_OP(gelu_tanh, k->activate(l->y, l->x, SMALL, PARE_ACT_FN_GELU_TANH))
SMALL_OP(tanh, k->activate(l->y, l->x, SMALL, PARE_ACT_FN_TANH))
SMALL_OP(softcap, memcpy(l->y, l->x, SMALL * 4); k->softcap(l->y, SMALL, 30.0f))
SMALL_OP(softmax, memcpy(l->y, l->x, SMALL * 4); k->softmax(l->y, SMALL))
SMALL_OP(add, k->add_f32(l->y, l->x, l->w, SMALL))
SMALL_OP(scale_add, k->scale_add_f32(l->y, l->x, 0.5f, l->w, SMALL))
SMALL_OP(rope, k->rope(l->y, l->x, l->w, SMALL / 2, false))
SMALL_OP(rope_pairs, k->rope(l->y, l->x, l->w, SMALL / 2, true))
SMALL_OP(log_sum_exp, l->sum += k->log_sum_exp(l->x, SMALL))
SMALL_OP(kl_divergence, l->sum += k->kl_divergence(l->x, l->w, SMALL, NULL))
SMALL_OP(argmax, l->sum += (double)k->argmax_f32(l->x, SMALL))
SMALL_OP(quant_i8_row, l->sum += (double)k->quant_i8_row((int8_t *)l->y, l->x, SMALL))

static const struct small { const char *name; void (*run)(const pare_kernels *k, lane *l); } small_ops[] = {
    { "rms_norm", small_rms_norm }, { "layer_norm", small_layer_norm }, { "silu", small_silu }, { "silu * b", small_silu_mul }, { "gelu", small_gelu },
    { "gelu tanh", small_gelu_tanh }, { "tanh", small_tanh }, { "softcap", small_softcap }, { "softmax", small_softmax }, { "add_f32", small_add },
    { "scale_add_f32", small_scale_add }, { "rope halves", small_rope }, { "rope pairs", small_rope_pairs }, { "log_sum_exp", small_log_sum_exp },
    { "kl_divergence", small_kl_divergence }, { "argmax_f32", small_argmax }, { "quant_i8_row", small_quant_i8_row },
};
enum { SMALL_OPS = sizeof small_ops / sizeof small_ops[0], SMALL_TIMES = 200 };

static pare_status small_task(void *arg, int64_t i, int worker, pare_err *err)
{
    bench *b = arg;
    (void)worker, (void)err;
    const double begin = now_cpu();
    for (int t = 0; t < SMALL_TIMES; t++) b->small(b->k, &b->lanes[i]);
    seconds[i] = now_cpu() - begin;
    return PARE_OK;
}

static void bench_small(bench *b, const struct small *op)
{
    double best = 0;
    if (b->only && !strstr(op->name, b->only)) return;
    b->small = op->run;
    for (int t = 0; t < b->repeat; t++) {
        for (int i = 0; i < b->threads; i++) memcpy(b->lanes[i].y, b->lanes[i].x, SMALL * 4);
        const double r = rate(b, small_task, (double)SMALL_TIMES * SMALL);
        best = r > best ? r : best;
    }
    printf("%-34s %8.3f ns an element and thread\n", op->name, 1e9 * b->threads / best);
}

/* -------------------------------------------------------------------------------------------------------------------- main */

/* Any bytes are int8, and 0x3c.. are small f16, bf16 and f32. */
static bool lane_make(bench *b, lane *l, int number)
{
    const uint64_t key = pare_rng_key((uint64_t)number, "bench");
    const int64_t rows = 512 * 8 * 256;
    l->k = pare_alloc_aligned(4096, b->bytes);
    l->v = pare_alloc_aligned(4096, b->bytes);
    l->scale = pare_alloc_aligned(4096, (size_t)(1 << 20) * 4);
    l->q = pare_alloc_aligned(4096, (size_t)rows * 4);
    l->out = pare_alloc_aligned(4096, (size_t)rows * 4);
    l->scratch = pare_alloc_aligned(4096, (size_t)PARE_ATTEND_SCRATCH(1 << 20) * 4);
    l->x = pare_alloc_aligned(4096, SMALL * 4);
    l->y = pare_alloc_aligned(4096, SMALL * 4);
    l->w = pare_alloc_aligned(4096, SMALL * 4);
    if (!l->k || !l->v || !l->scale || !l->q || !l->out || !l->scratch || !l->x || !l->y || !l->w) return false;
    for (size_t i = 0; i < b->bytes; i++) l->k[i] = l->v[i] = i & 1 ? 0x3c : (uint8_t)(i * 37 >> 3);
    for (int i = 0; i < 1 << 20; i++) l->scale[i] = 0.01f;
    for (int64_t i = 0; i < rows; i++) l->q[i] = (float)(i % 61 - 30) * 0.03f;
    for (int i = 0; i < SMALL; i++) l->x[i] = (float)pare_rng_normal(key, (uint64_t)i), l->w[i] = (float)pare_rng_normal(key, (uint64_t)(i + SMALL));
    return true;
}

static void lane_free(lane *l)
{
    void *all[] = { l->k, l->v, l->scale, l->q, l->out, l->scratch, l->x, l->y, l->w };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) pare_dealloc_aligned(all[i]);
}

int main(int argc, char **argv)
{
    bench b = { .bytes = (size_t)64 << 20, .repeat = 7 };
    pare_ctx_options options = { .threads = 1 };
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--isa") == 0) options.isa = value, i++;
        else if (strcmp(argv[i], "--threads") == 0) options.threads = (int)strtol(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--repeat") == 0) b.repeat = (int)strtol(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--kib") == 0) b.bytes = (size_t)strtoul(value, NULL, 10) << 10, i++;
        else if (strcmp(argv[i], "--only") == 0) b.only = value, i++;
        else {
            fprintf(stderr, "usage: bench_attend [--isa LEVEL] [--threads N] [--repeat N] [--kib N] [--only TEXT]\n");
            return 2;
        }
    }
    pare_err err;
    fail_if(pare_ctx_new(&options, &b.ctx, &err), &err);
    b.k = b.ctx->kernels;
    b.threads = pare_ctx_threads(b.ctx) < MOST_THREADS ? pare_ctx_threads(b.ctx) : MOST_THREADS;
    for (int i = 0; i < b.threads; i++)
        if (!lane_make(&b, &b.lanes[i], i)) {
            fprintf(stderr, "bench_attend: no memory\n");
            return 1;
        }
    for (int i = 0; i < 3; i++) yardsticks(&b);
    printf("level %s, attend %s, %d threads; read %.1f GB/s, multiply-adds in registers %.1f GFLOP/s\n\n", b.k->isa, b.k->attend_variant, b.threads, b.read / 1e9, b.peak / 1e9);
    static const pare_dtype dtypes[] = { PARE_F32, PARE_F16, PARE_BF16, PARE_I8 };
    static const int64_t heads[] = { 1, 4, 8 }, dims[] = { 64, 128 };
    for (int d = 0; d < 4; d++)
        for (int h = 0; h < 3; h++) bench_attention(&b, (shape){ 1, heads[h], d % 2 ? 128 : 64, 0, dtypes[d], 0 });
    bench_attention(&b, (shape){ 1, 8, 64, 4096, PARE_F16, 0 });
    for (int d = 0; d < 4; d++)
        for (int j = 0; j < 2; j++) bench_attention(&b, (shape){ 512, j ? 1 : 8, dims[j], 4096, dtypes[d], 0 });
    bench_attention(&b, (shape){ 512, 4, 64, 512, PARE_F16, 0 });
    bench_attention(&b, (shape){ 64, 8, 64, 4096, PARE_F16, 0 });
    bench_attention(&b, (shape){ 128, 4, 80, 2048, PARE_F16, 0 });
    bench_attention(&b, (shape){ 128, 2, 256, 4096, PARE_F16, 0 });
    for (int i = 0; i < SMALL_OPS; i++) bench_small(&b, &small_ops[i]);
    for (int i = 0; i < b.threads; i++) lane_free(&b.lanes[i]);
    pare_ctx_free(b.ctx);
    return 0;
}
