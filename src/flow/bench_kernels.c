/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of the kernels that run a model: each kind of weight times one token (bytes against read bandwidth) and times many (arithmetic against
 * the peak of the dot product that the mode uses). Matrices are copied until they are far larger than the last cache.
 */
#include <string.h>
#include <pare/report.h>
#include "flow/flow.h"
#include "graph/linear.h"

enum { ROWS = 4096, COLS = 4096, TOKENS = 256, MIN_BYTES = 160 << 20, MAX_COPIES = 48 };

typedef struct kernel_case { const char *name, *scheme; pare_dtype dtype; } kernel_case;
static const kernel_case cases[] = {{"f32", NULL, PARE_F32},        {"f16", NULL, PARE_F16},  {"bf16", NULL, PARE_BF16}, {"W8", "W8A16", 0},
                                    {"W4:g128", "W4A16:g128", 0}, {"W3:g128", "W3A16:g128", 0}, {"W2:g128", "W2A16:g128", 0}, {"W4_ASYM:g64", "W4A16_ASYM:g64", 0}};

typedef struct bench {
    pare_ctx *ctx;
    pare_linear copies[MAX_COPIES];
    int n;
    uint8_t *dense; /* of float cases */
    float *x, *y;
    pare_workspace ws;
} bench;

static void clear(bench *b) {
    for (int i = 0; i < b->n; i++) pare_linear_clear(&b->copies[i]);
    b->n = 0;
    pare_dealloc_aligned(b->dense);
    b->dense = NULL;
}

static pare_status float_copies(bench *b, pare_dtype dtype, pare_err *err) {
    const size_t one = pare_dtype_bytes(dtype, (uint64_t)ROWS * COLS);
    const int n = (int)(MIN_BYTES / one) + 1;
    if (!(b->dense = pare_alloc_aligned(64, one * (size_t)n))) return pare_no_memory(err, "benchmark", one * (size_t)n);
    for (int i = 0; i < n; i++) {
        for (int64_t r = 0; r < ROWS; r++) {
            const pare_status st = pare_convert(b->dense + one * (size_t)i + one / ROWS * (size_t)r, dtype, b->x + (r * 61) % 4096, PARE_F32, COLS, true, err);
            if (st != PARE_OK) return st;
        }
        const pare_status st = pare_linear_float(&b->copies[b->n], dtype, ROWS, COLS, b->dense + one * (size_t)i, err);
        if (st != PARE_OK) return st;
        b->n++;
    }
    return PARE_OK;
}

static pare_status code_copies(bench *b, const char *name, pare_err *err) {
    const int64_t shape[2] = {512, COLS};
    pare_scheme scheme;
    pare_qtensor *q = NULL;
    pare_status st;
    PARE_TRY(pare_scheme_parse(name, &scheme, err));
    scheme.scale_dtype = PARE_BF16;
    PARE_TRY(pare_quantize(b->ctx, b->x, PARE_F32, 2, shape, &scheme, &q, err));
    for (uint64_t bytes = 0; bytes < MIN_BYTES && b->n < MAX_COPIES; bytes += b->copies[b->n - 1].bytes) {
        PARE_TRY(pare_linear_begin(&b->copies[b->n], ROWS, COLS, q, err));
        b->n++;
        for (int64_t r = 0; r < ROWS; r += shape[0]) PARE_TRY(pare_linear_pack(&b->copies[b->n - 1], b->ctx->kernels, r, q, err));
    }
out:
    pare_qtensor_free(q);
    return st;
}

/* Seconds of one product with n tokens: the best of three passes over the copies. */
static pare_status time_one(bench *b, pare_compute mode, int64_t n, int copies, double *seconds, pare_err *err) {
    float *const y[1] = {b->y};
    const int64_t stride[1] = {ROWS};
    *seconds = 1e30;
    for (int pass = 0; pass < 3; pass++) {
        const double start = pare_now();
        for (int i = 0; i < copies; i++) {
            const pare_linear *w = &b->copies[i];
            const pare_status st = pare_linear_forward(b->ctx, &w, 1, mode, n, b->x, COLS, y, stride, &b->ws, err);
            if (st != PARE_OK) return st;
        }
        const double t = (pare_now() - start) / copies;
        if (t < *seconds) *seconds = t;
    }
    return PARE_OK;
}

static pare_status measure(bench *b, const kernel_case *k, pare_compute mode, const pare_machine *m, pare_table *t, pare_err *err) {
    double one = 0, many = 0;
    pare_status st;
    PARE_TRY(time_one(b, mode, 1, b->n, &one, err));
    PARE_TRY(time_one(b, mode, TOKENS, b->n < 2 ? b->n : 2, &many, err));
    const bool floats = k->scheme == NULL;
    const double peak = mode == PARE_COMPUTE_FAST && !floats ? m->int8_ops[1]
                      : mode == PARE_COMPUTE_BF16 && m->bf16_flops[1] > 0 ? m->bf16_flops[1] : m->f32_flops[1];
    const double rate = (double)b->copies[0].bytes / one, ops = 2.0 * ROWS * COLS * TOKENS / many;
    PARE_TRY(pare_table_row(t, err));
    PARE_TRY(pare_table_text(t, "weights", k->name, err));
    PARE_TRY(pare_table_text(t, "mode", mode == PARE_COMPUTE_FAST ? "fast" : mode == PARE_COMPUTE_BF16 ? "bf16" : "exact", err));
    pare_table_real(t, "decode_gb_per_s", rate * 1e-9);
    pare_table_real(t, "of_bandwidth", 100 * rate / m->read_bytes_per_s[1]);
    pare_table_real(t, "prefill_gop_per_s", ops * 1e-9);
    pare_table_real(t, "of_peak", 100 * ops / peak);
out:
    return st;
}

pare_status pare_bench_kernels(pare_ctx *ctx, const pare_machine *machine, pare_table **out, pare_err *err) {
    const size_t n = (size_t)512 * COLS > (size_t)TOKENS * COLS ? (size_t)512 * COLS : (size_t)TOKENS * COLS;
    const uint64_t key = pare_rng_key(0, "bench");
    pare_status st;
    *out = NULL;
    bench *b = pare_alloc_zero(1, sizeof *b);
    if (!b) return pare_no_memory(err, "benchmark", sizeof *b);
    b->ctx = ctx;
    b->x = pare_alloc_aligned(64, (n + 4096) * sizeof *b->x);
    b->y = pare_alloc_aligned(64, (size_t)TOKENS * ROWS * sizeof *b->y);
    if (!b->x || !b->y) {
        st = pare_no_memory(err, "benchmark", n * sizeof *b->x);
        goto out;
    }
    for (size_t i = 0; i < n + 4096; i++) b->x[i] = (float)pare_rng_uniform(key, i) - 0.5f;
    PARE_TRY(pare_table_new(out, err));
    PARE_TRY(pare_table_column(*out, "weights", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(*out, "mode", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(*out, "decode_gb_per_s", "decode", PARE_CELL_REAL, "GB/s", err));
    PARE_TRY(pare_table_column(*out, "of_bandwidth", "of bandwidth", PARE_CELL_REAL, "%", err));
    PARE_TRY(pare_table_column(*out, "prefill_gop_per_s", "prefill", PARE_CELL_REAL, "GOP/s", err));
    PARE_TRY(pare_table_column(*out, "of_peak", "of peak", PARE_CELL_REAL, "%", err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        PARE_TRY(cases[i].scheme ? code_copies(b, cases[i].scheme, err) : float_copies(b, cases[i].dtype, err));
        PARE_TRY(measure(b, &cases[i], PARE_COMPUTE_EXACT, machine, *out, err));
        if (cases[i].scheme) PARE_TRY(measure(b, &cases[i], PARE_COMPUTE_FAST, machine, *out, err));
        if (cases[i].dtype == PARE_BF16 && machine->bf16_flops[1] > 0) PARE_TRY(measure(b, &cases[i], PARE_COMPUTE_BF16, machine, *out, err));
        clear(b);
        pare_report_progress(ctx, "bench", cases[i].name, i + 1, sizeof cases / sizeof *cases, "kernels");
    }
out:
    clear(b);
    pare_dealloc_aligned(b->x);
    pare_dealloc_aligned(b->y);
    pare_workspace_clear(&b->ws);
    pare_dealloc(b);
    if (st != PARE_OK) {
        pare_table_free(*out);
        *out = NULL;
    }
    return st;
}
