/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of the kernels against this machine's memory:
 *   bench_kernels [--csv] [--isa LEVEL] [--threads N] [--mib N] [--repeat N] [--only TEXT] [--cpu-time]
 *
 * Every row works through buffers far larger than the caches, on all threads, and says how many input bytes a second went by,
 * as a number and as a fraction of the read bandwidth (a sum over the input buffer on the same threads, measured again beside
 * every row; the best of all is used). A row's time is the best of the repeats. "quantize" rows are the whole in-memory way of
 * quant/q_linear.c from floats to packed bytes in memory: largest value, scale, codes, packing; "+ error" rows also sum up the
 * error, as `pare quantize` does. --cpu-time divides by the processor time that the threads got instead of the time on the wall:
 * less disturbed on a machine that others use too, though memory is still shared.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/base.h"
#include "kernel/kernel.h"
#include "num/num.h"

enum { COLS = 4096, TASK_ROWS = 32, GROUP = 128, GROUPS = COLS / GROUP };

typedef struct bench bench;
typedef struct op_row op_row;
struct op_row {
    const char *name, *note;
    int in_bits, out_bits;      /* per element: memory read and written */
    void (*run)(const bench *b, const op_row *r, int64_t row);
    int bits;
    double target;              /* fraction of the read bandwidth that is asked for, or 0 */
};

struct bench {
    pare_ctx *ctx;
    const pare_kernels *k;
    size_t bytes;               /* of each buffer */
    uint8_t *in, *out;
    int repeat;
    bool csv, cpu_time;
    const char *only;
    double read;                /* best read bandwidth so far, bytes a second */
    const op_row *row;          /* at hand */
    int64_t rows;
    uint64_t sum[64];
};

static const void *input(const bench *b, const op_row *r, int64_t row) { return b->in + row * (COLS / 8) * r->in_bits; }
static void *output(const bench *b, const op_row *r, int64_t row) { return b->out + row * (COLS / 8) * r->out_bits; }

/* ---------------------------------------------------------------------------------------------------------- single ops */

static float scales[GROUPS];
static int32_t zeros[GROUPS];
static volatile double sink;

#define RUN(name) static void run_##name(const bench *b, const op_row *r, int64_t row)
#define IN input(b, r, row)
#define OUT output(b, r, row)

RUN(bf16_to_f32) { b->k->bf16_to_f32(OUT, IN, COLS); }
RUN(f16_to_f32) { b->k->f16_to_f32(OUT, IN, COLS); }
RUN(f32_to_bf16) { b->k->f32_to_bf16(OUT, IN, COLS); }
RUN(f32_to_f16) { b->k->f32_to_f16(OUT, IN, COLS); }
RUN(f32_to_f8) { b->k->f32_to_f8(OUT, IN, COLS, 0.01f, PARE_F8_E4M3FN); }
RUN(count_nonfinite) { sink = (double)b->k->count_nonfinite(IN, COLS); }

RUN(absmax_groups)
{
    float m[GROUPS];
    b->k->absmax_groups(IN, COLS, GROUP, m);
    sink = m[0];
}

RUN(minmax_groups)
{
    float m[GROUPS], n[GROUPS];
    b->k->minmax_groups(IN, COLS, GROUP, m, n);
    sink = m[0];
}

RUN(absmax_groups_bf16)
{
    float m[GROUPS];
    b->k->absmax_groups_bf16(IN, COLS, GROUP, m);
    sink = m[0];
}

static pare_row_quant shape_of(int bits, int64_t group)
{
    return (pare_row_quant){ .n = COLS, .group = group, .bits = bits, .umin = bits == 8, .umax = (1 << bits) - 1 };
}

RUN(quant_row)
{
    const pare_row_quant q = shape_of(r->bits, GROUP);
    b->k->quant_row(IN, &q, scales, zeros, OUT);
}

RUN(quant_row_bf16)
{
    const pare_row_quant q = shape_of(r->bits, GROUP);
    b->k->quant_row_bf16(IN, &q, scales, zeros, OUT);
}

RUN(quant_error_row)
{
    const pare_row_quant q = shape_of(r->bits, GROUP);
    pare_row_error e;
    b->k->quant_error_row(IN, &q, scales, zeros, OUT, &e);
    sink = e.noise;
}

RUN(quant_error_row_bf16)
{
    const pare_row_quant q = shape_of(r->bits, GROUP);
    pare_row_error e;
    b->k->quant_error_row_bf16(IN, &q, scales, zeros, OUT, &e);
    sink = e.noise;
}

RUN(dequant_row)
{
    const pare_row_quant q = shape_of(r->bits, GROUP);
    b->k->dequant_row(IN, &q, scales, zeros, OUT);
}

RUN(row_error)
{
    pare_row_error e;
    const float *x = IN;
    b->k->row_error(x, x + COLS / 2, COLS / 2, &e);
    sink = e.noise;
}

RUN(quant_sse)
{
    const float *x = IN;
    for (int64_t g = 0; g < COLS; g += GROUP) sink = b->k->quant_sse(x + g, GROUP, 0.01f, 8, 0, 15);
}

RUN(pack_lsb) { b->k->pack_lsb(r->bits, COLS, IN, OUT); }
RUN(unpack_lsb) { b->k->unpack_lsb(r->bits, COLS, IN, OUT); }

/* ------------------------------------------------------------------------------------------------ the way of a whole row */

static void whole(const bench *b, const op_row *r, int64_t row, bool error)
{
    const bool bf16 = r->in_bits == 16, channel = r->bits == 8;
    const int64_t group = channel ? COLS : GROUP;
    const pare_row_quant q = shape_of(r->bits, group);
    float scale[GROUPS], absmax[GROUPS];
    int32_t zero[GROUPS];
    uint8_t packed[COLS];
    pare_row_error e;
    if (bf16) b->k->absmax_groups_bf16(IN, COLS, group, absmax);
    else b->k->absmax_groups(IN, COLS, group, absmax);
    for (int64_t g = 0; g < COLS / group; g++) zero[g] = 1 << (r->bits - 1);
    if (channel) b->k->scales_of_absmax(absmax, 1, 127.0f, PARE_F32, 0x1p-149f, 1e30f, scale);
    else b->k->scales_of_absmax(absmax, GROUPS, (float)q.umax / 2, PARE_F16, 0x1p-24f, 65504.0f, scale);
    uint8_t *codes = channel ? OUT : packed; /* 8 bits: the codes are the bytes */
    if (error && bf16) b->k->quant_error_row_bf16(IN, &q, scale, zero, codes, &e), sink = e.noise;
    else if (error) b->k->quant_error_row(IN, &q, scale, zero, codes, &e), sink = e.noise;
    else if (bf16) b->k->quant_row_bf16(IN, &q, scale, zero, codes);
    else b->k->quant_row(IN, &q, scale, zero, codes);
    if (!channel) b->k->pack_lsb(r->bits, COLS, codes, OUT);
}

RUN(whole) { whole(b, r, row, false); }
RUN(whole_error) { whole(b, r, row, true); }

static const op_row table[] = {
    { "quantize bf16", "8 bit, per channel, packed", 16, 8, run_whole, 8, 0.60 },
    { "quantize bf16", "4 bit, group 128, packed", 16, 4, run_whole, 4, 0.40 },
    { "quantize bf16", "3 bit, group 128, packed", 16, 3, run_whole, 3, 0 },
    { "quantize f32", "8 bit, per channel, packed", 32, 8, run_whole, 8, 0 },
    { "quantize f32", "4 bit, group 128, packed", 32, 4, run_whole, 4, 0 },
    { "quantize + error bf16", "8 bit, per channel, packed", 16, 8, run_whole_error, 8, 0 },
    { "quantize + error bf16", "4 bit, group 128, packed", 16, 4, run_whole_error, 4, 0 },
    { "quantize + error f32", "8 bit, per channel, packed", 32, 8, run_whole_error, 8, 0 },
    { "bf16_to_f32", "", 16, 32, run_bf16_to_f32, 0, 0 },
    { "f16_to_f32", "", 16, 32, run_f16_to_f32, 0, 0 },
    { "f32_to_bf16", "", 32, 16, run_f32_to_bf16, 0, 0 },
    { "f32_to_f16", "", 32, 16, run_f32_to_f16, 0, 0 },
    { "f32_to_f8", "e4m3fn", 32, 8, run_f32_to_f8, 0, 0 },
    { "count_nonfinite", "", 32, 0, run_count_nonfinite, 0, 0 },
    { "absmax_groups", "group 128", 32, 0, run_absmax_groups, 0, 0 },
    { "minmax_groups", "group 128", 32, 0, run_minmax_groups, 0, 0 },
    { "absmax_groups_bf16", "group 128", 16, 0, run_absmax_groups_bf16, 0, 0 },
    { "quant_row", "8 bit, group 128", 32, 8, run_quant_row, 8, 0 },
    { "quant_row_bf16", "8 bit, group 128", 16, 8, run_quant_row_bf16, 8, 0 },
    { "quant_error_row", "8 bit, group 128", 32, 8, run_quant_error_row, 8, 0 },
    { "quant_error_row_bf16", "8 bit, group 128", 16, 8, run_quant_error_row_bf16, 8, 0 },
    { "dequant_row", "8 bit, group 128", 8, 32, run_dequant_row, 8, 0 },
    { "row_error", "", 32, 0, run_row_error, 0, 0 },
    { "quant_sse", "4 bit, group 128", 32, 0, run_quant_sse, 4, 0 },
    { "pack_lsb", "4 bit", 8, 4, run_pack_lsb, 4, 0 },
    { "pack_lsb", "3 bit", 8, 3, run_pack_lsb, 3, 0 },
    { "pack_lsb", "2 bit", 8, 2, run_pack_lsb, 2, 0 },
    { "unpack_lsb", "4 bit", 4, 8, run_unpack_lsb, 4, 0 },
    { "unpack_lsb", "3 bit", 3, 8, run_unpack_lsb, 3, 0 },
};

/* ------------------------------------------------------------------------------------------------------------ measuring */

static pare_status rows_task(void *arg, int64_t task, int worker, pare_err *err)
{
    const bench *b = arg;
    const int64_t end = (task + 1) * TASK_ROWS < b->rows ? (task + 1) * TASK_ROWS : b->rows;
    (void)worker, (void)err;
    for (int64_t row = task * TASK_ROWS; row < end; row++) b->row->run(b, b->row, row);
    return PARE_OK;
}

enum { SUM_BYTES = 1 << 20 };

static pare_status sum_task(void *arg, int64_t task, int worker, pare_err *err)
{
    bench *b = arg;
    const uint64_t *x = (const uint64_t *)(const void *)(b->in + task * SUM_BYTES);
    uint64_t s[16] = { 0 };
    (void)err;
    for (size_t i = 0; i < SUM_BYTES / 8; i += 16)
        for (int j = 0; j < 16; j++) s[j] += x[i + (size_t)j];
    for (int j = 0; j < 16; j++) b->sum[worker % 64] += s[j];
    return PARE_OK;
}

static void fail_if(pare_status st, const pare_err *err)
{
    if (st == PARE_OK) return;
    fprintf(stderr, "bench_kernels: %s\n", err->text);
    exit(1);
}

/* Seconds: wall, or processor time of all threads divided among them. */
static double seconds(const bench *b)
{
    struct timespec t;
    if (!b->cpu_time || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return pare_now();
    return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / pare_ctx_threads(b->ctx);
}

static void measure_read(bench *b, int times)
{
    pare_err err;
    for (int i = 0; i < times; i++) {
        const double begin = seconds(b);
        fail_if(pare_parallel(b->ctx, (int64_t)(b->bytes / SUM_BYTES), sum_task, b, &err), &err);
        const double rate = (double)b->bytes / (seconds(b) - begin);
        if (rate > b->read) b->read = rate;
    }
}

/* Best input rate of a row, bytes a second. */
static double measure_row(bench *b, const op_row *r)
{
    const int most = r->in_bits > r->out_bits ? r->in_bits : r->out_bits;
    pare_err err;
    double best = 0;
    b->row = r;
    b->rows = (int64_t)(b->bytes / (size_t)(COLS / 8 * most));
    for (int i = 0; i < b->repeat; i++) {
        const double begin = seconds(b);
        fail_if(pare_parallel(b->ctx, (b->rows + TASK_ROWS - 1) / TASK_ROWS, rows_task, b, &err), &err);
        const double rate = (double)b->rows * (COLS / 8) * r->in_bits / (seconds(b) - begin);
        if (rate > best) best = rate;
    }
    return best;
}

/* Normal weights as bf16; read as f32 they are normal numbers too. */
static void fill_input(bench *b)
{
    enum { TABLE = 1 << 16 };
    static uint16_t normal[TABLE];
    uint16_t *x = (uint16_t *)(void *)b->in;
    const uint64_t key = pare_rng_key(1, "bench");
    for (int i = 0; i < TABLE; i++) normal[i] = pare_f32_to_bf16(0.02f * (float)pare_rng_normal(key, (uint64_t)i));
    uint64_t state = 1;
    for (size_t i = 0; i < b->bytes / 2; i += 4) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const uint64_t random = state ^ state >> 29;
        for (size_t j = 0; j < 4; j++) x[i + j] = normal[random >> 16 * j & (TABLE - 1)];
    }
    memset(b->out, 0, b->bytes);
    for (int g = 0; g < GROUPS; g++) scales[g] = 0.001f + 1e-5f * (float)g, zeros[g] = 128;
}

static void print_head(const bench *b)
{
    if (b->csv) {
        printf("op,note,isa,threads,input_gb_s,output_gb_s,read_gb_s,fraction,target\n");
        return;
    }
    printf("level %s, %d threads, %zu MiB buffers; read bandwidth %.1f GB/s\n\n", b->k->isa, pare_ctx_threads(b->ctx), b->bytes >> 20, b->read / 1e9);
    printf("%-22s %-28s %10s %10s %9s\n", "op", "", "in GB/s", "out GB/s", "of read");
}

static int bench_all(bench *b)
{
    enum { ROWS = sizeof table / sizeof table[0] };
    double rate[ROWS];
    int missed = 0;
    measure_read(b, b->repeat);
    for (int i = 0; i < ROWS; i++) {
        rate[i] = 0;
        if (b->only && !strstr(table[i].name, b->only)) continue;
        rate[i] = measure_row(b, &table[i]);
        measure_read(b, 1);
    }
    print_head(b);
    for (int i = 0; i < ROWS; i++) {
        const op_row *r = &table[i];
        const double out = rate[i] / r->in_bits * r->out_bits, fraction = rate[i] / b->read;
        if (rate[i] == 0) continue;
        if (b->csv)
            printf("%s,\"%s\",%s,%d,%.2f,%.2f,%.2f,%.3f,%.2f\n", r->name, r->note, b->k->isa, pare_ctx_threads(b->ctx), rate[i] / 1e9, out / 1e9, b->read / 1e9, fraction, r->target);
        else if (r->target > 0)
            printf("%-22s %-28s %10.2f %10.2f %8.0f%%  target %.0f%%: %s\n", r->name, r->note, rate[i] / 1e9, out / 1e9, 100 * fraction, 100 * r->target, fraction >= r->target ? "met" : "MISSED");
        else
            printf("%-22s %-28s %10.2f %10.2f %8.0f%%\n", r->name, r->note, rate[i] / 1e9, out / 1e9, 100 * fraction);
        missed += fraction < r->target;
    }
    return missed;
}

int main(int argc, char **argv)
{
    bench b = { .bytes = (size_t)1 << 30, .repeat = 7 };
    pare_ctx_options options = { 0 };
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--csv") == 0) b.csv = true;
        else if (strcmp(argv[i], "--cpu-time") == 0) b.cpu_time = true;
        else if (strcmp(argv[i], "--isa") == 0) options.isa = value, i++;
        else if (strcmp(argv[i], "--threads") == 0) options.threads = (int)strtol(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--mib") == 0) b.bytes = (size_t)strtoul(value, NULL, 10) << 20, i++;
        else if (strcmp(argv[i], "--repeat") == 0) b.repeat = (int)strtol(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--only") == 0) b.only = value, i++;
        else {
            fprintf(stderr, "usage: bench_kernels [--csv] [--isa LEVEL] [--threads N] [--mib N] [--repeat N] [--only TEXT] [--cpu-time]\n");
            return 2;
        }
    }
    pare_err err;
    fail_if(pare_ctx_new(&options, &b.ctx, &err), &err);
    b.k = b.ctx->kernels;
    b.in = pare_alloc_aligned(4096, b.bytes);
    b.out = pare_alloc_aligned(4096, b.bytes);
    if (!b.in || !b.out || b.bytes < SUM_BYTES) {
        fprintf(stderr, "bench_kernels: two buffers of %zu MiB do not fit\n", b.bytes >> 20);
        return 1;
    }
    fill_input(&b);
    bench_all(&b);
    pare_dealloc_aligned(b.in);
    pare_dealloc_aligned(b.out);
    pare_ctx_free(b.ctx);
    return 0;
}
