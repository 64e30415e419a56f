/* SPDX-License-Identifier: Apache-2.0 */
/* pare bench [MODEL]: what the machine can do, and how near to it kernels and a model come. */
#include <stdio.h>
#include <string.h>

#include "session.h"

static void put_machine(pare_json *j, const pare_machine *m) {
    pare_json_object(j, "machine");
    const struct { const char *key; const double *v; } rows[] = {{"read_bandwidth_bytes_per_s", m->read_bytes_per_s}, {"f32_flops", m->f32_flops},
                                                                 {"int8_ops", m->int8_ops}, {"bf16_flops", m->bf16_flops},
                                                                 {"int8_tile_ops", m->int8_tile_ops}, {"bf16_tile_flops", m->bf16_tile_flops}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pare_json_array(j, rows[i].key);
        pare_json_real(j, NULL, rows[i].v[0]);
        pare_json_real(j, NULL, rows[i].v[1]);
        pare_json_end(j);
    }
    pare_json_end(j);
}

static void print_machine(const cli *c, const pare_machine *m) {
    cli_print("machine (%s)        1 thread   %d thread%s\n", pare_ctx_isa(c->ctx), pare_ctx_threads(c->ctx), pare_ctx_threads(c->ctx) == 1 ? "" : "s");
    cli_print("  read bandwidth    %8.1f   %8.1f  GB/s\n", m->read_bytes_per_s[0] * 1e-9, m->read_bytes_per_s[1] * 1e-9);
    cli_print("  f32 multiply-add  %8.1f   %8.1f  GFLOP/s\n", m->f32_flops[0] * 1e-9, m->f32_flops[1] * 1e-9);
    cli_print("  int8 dot product  %8.1f   %8.1f  GOP/s\n", m->int8_ops[0] * 1e-9, m->int8_ops[1] * 1e-9);
    if (m->bf16_flops[0] > 0) cli_print("  bf16 dot product  %8.1f   %8.1f  GFLOP/s\n", m->bf16_flops[0] * 1e-9, m->bf16_flops[1] * 1e-9);
    if (m->int8_tile_ops[0] > 0) cli_print("  int8 tiles        %8.1f   %8.1f  GOP/s\n", m->int8_tile_ops[0] * 1e-9, m->int8_tile_ops[1] * 1e-9);
    if (m->bf16_tile_flops[0] > 0) cli_print("  bf16 tiles        %8.1f   %8.1f  GFLOP/s\n", m->bf16_tile_flops[0] * 1e-9, m->bf16_tile_flops[1] * 1e-9);
}

/* ---------------------------------------------------------------------------------------------------------------- kernels */

static int bench_kernels(cli *c) {
    pare_machine m;
    pare_table *t = NULL;
    int code;
    if (pare_measure_machine(c->ctx, &m, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    if (pare_bench_kernels(c->ctx, &m, &t, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    cli_progress_end();
    if (c->json) {
        pare_json *j = NULL;
        if (pare_json_new(2, &j, &c->err) != PARE_OK)
            code = cli_fail(c, &c->err);
        else {
            pare_json_object(j, NULL);
            put_machine(j, &m);
            pare_json_table(j, "kernels", t);
            pare_json_end(j);
            code = cli_print_json(c, j);
        }
    } else {
        print_machine(c, &m);
        cli_puts("\n");
        code = cli_print_table(c, t);
    }
    pare_table_free(t);
    return code;
}

/* ------------------------------------------------------------------------------------------------------------------ model */

typedef struct mode { const char *name; pare_compute compute; pare_bench_result r; } mode;

static int measure(cli *c, const pare_session_options *so, const pare_bench_options *o, mode *m) {
    pare_session_options own = *so;
    pare_session *s = NULL;
    int code = 0;
    own.compute = m->compute;
    if (o->depth > 16 && !own.memory) own.sequences = 2; /* what depth costs is measured by turns with a short one */
    if (!cli_session_open(c, c->argv[0], &own, &s, &code)) return code;
    if (pare_bench(s, o, &m->r, &c->err) != PARE_OK) code = cli_fail(c, &c->err);
    cli_progress_end();
    cli_session_profile(c, s);
    pare_session_close(s);
    return code;
}

static void put_result(pare_json *j, const pare_bench_result *r) {
    const struct { const char *key; double v; } of[] = {{"prefill_of_f32", r->prefill_of.f32}, {"prefill_of_int8", r->prefill_of.int8}, {"prefill_of_bf16", r->prefill_of.bf16},
                                                        {"prefill_of_int8_tiles", r->prefill_of.int8_tiles}, {"prefill_of_bf16_tiles", r->prefill_of.bf16_tiles}};
    pare_json_real(j, "prefill_tokens_per_s", r->prefill_tokens_per_s);
    pare_json_real(j, "decode_tokens_per_s", r->decode_tokens_per_s);
    pare_json_real(j, "bytes_per_token", r->bytes_per_token);
    pare_json_real(j, "read_bandwidth_bytes_per_s", r->read_bytes_per_s);
    pare_json_real(j, "roofline_fraction", r->read_fraction);
    if (r->depth_seconds != 0) pare_json_real(j, "depth_seconds", r->depth_seconds);
    pare_json_real(j, "ops_per_token", r->ops_per_token);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (of[i].v > 0) pare_json_real(j, of[i].key, of[i].v);
}

/* "..., 63 % of the peak of int8 dot products, 8 % of tiles": what the mode computes with. */
static void print_prefill(const mode *m) {
    const pare_bench_result *r = &m->r;
    const pare_bench_peaks *of = &r->prefill_of;
    cli_print("%s\n  prefill of %-6lld %9.1f tokens/s, %.1f GOP/s: %.0f %% of the peak of f32", m->name, (long long)r->prompt, r->prefill_tokens_per_s,
              r->prefill_tokens_per_s * r->ops_per_token * 1e-9, 100 * of->f32);
    if (m->compute == PARE_COMPUTE_FAST) cli_print(", %.0f %% of int8 dot products", 100 * of->int8);
    if (m->compute != PARE_COMPUTE_EXACT && of->bf16 > 0) cli_print(", %.0f %% of bf16 dot products", 100 * of->bf16);
    if (m->compute == PARE_COMPUTE_FAST && of->int8_tiles > 0) cli_print(", %.0f %% of int8 tiles", 100 * of->int8_tiles);
    cli_puts("\n");
}

static int report(const cli *c, const pare_machine *machine, const mode *modes, int n) {
    if (c->json) {
        pare_json *j = NULL;
        pare_err err = {0};
        if (pare_json_new(2, &j, &err) != PARE_OK) return cli_fail(c, &err);
        pare_json_object(j, NULL);
        put_result(j, &modes[0].r);
        pare_json_text(j, "mode", modes[0].name);
        pare_json_int(j, "threads", pare_ctx_threads(c->ctx));
        pare_json_array(j, "modes");
        for (int i = 0; i < n; i++) {
            pare_json_object(j, NULL);
            pare_json_text(j, "mode", modes[i].name);
            put_result(j, &modes[i].r);
            pare_json_end(j);
        }
        pare_json_end(j);
        put_machine(j, machine);
        pare_json_end(j);
        return cli_print_json(c, j);
    }
    print_machine(c, machine);
    for (int i = 0; i < n; i++) {
        const pare_bench_result *r = &modes[i].r;
        char bytes[32];
        cli_format_bytes((uint64_t)r->bytes_per_token, bytes);
        print_prefill(&modes[i]);
        cli_print("  decode of %-6lld  %9.1f tokens/s at depth %lld, %s read for each: %.1f GB/s, %.0f %% of what memory gave by turns (%.1f GB/s)\n", (long long)r->tokens,
                  r->decode_tokens_per_s, (long long)r->depth, bytes, r->decode_tokens_per_s * r->bytes_per_token * 1e-9, 100 * r->read_fraction, r->read_bytes_per_s * 1e-9);
        if (r->depth_seconds != 0)
            cli_print("  a token at depth %lld %6.2f ms more than one at depth 16, by turns\n", (long long)r->depth, 1e3 * r->depth_seconds);
    }
    return 0;
}

static int bench_model(cli *c) {
    mode modes[] = {{.name = "fast", .compute = PARE_COMPUTE_FAST}, {.name = "exact", .compute = PARE_COMPUTE_EXACT}};
    int n = 2, code;
    int64_t repeat = 0;
    pare_session_options so;
    pare_bench_options o = {.limits = true};
    pare_machine machine;
    if (!cli_session_options(c, &so, &code) || !cli_int(c, "prompt", 1, INT32_MAX, &o.prompt) || !cli_int(c, "n", 1, INT32_MAX, &o.tokens) ||
        !cli_int(c, "depth", 1, INT32_MAX, &o.depth) || !cli_int(c, "repeat", 1, 99, &repeat) || !cli_int(c, "ctx", 1, INT32_MAX, &so.ctx))
        return 2;
    o.repeat = (int)repeat;
    if (cli_has(c, "exact") || cli_has(c, "fast") || cli_has(c, "bf16")) {
        n = 1;
        modes[0] = (mode){.name = cli_has(c, "exact") ? "exact" : cli_has(c, "fast") ? "fast" : "bf16", .compute = so.compute};
    }
    if (pare_measure_machine(c->ctx, &machine, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    for (int i = 0; i < n; i++)
        if ((code = measure(c, &so, &o, &modes[i])) != 0) return code;
    return report(c, &machine, modes, n);
}

static int run(cli *c) { return c->argc ? bench_model(c) : bench_kernels(c); }

static const cli_flag flags[] = {{"prompt", 'p', "N", "tokens of the prefill (default 512)", false},
                                 {"n", 'n', "N", "tokens to decode (default 64)", false},
                                 {"depth", 0, "N", "positions in the cache when decoding begins (default 16); beyond 16 also what they cost a token", false},
                                 {"repeat", 0, "N", "median of N runs (default 3)", false},
                                 {"ctx", 0, "N", "positions to keep", false},
                                 CLI_SESSION_FLAGS,
                                 {0}};

const cli_command cli_cmd_bench = {
    .name = "bench", .args = "[MODEL]", .summary = "Speed, against what this machine can do",
    .details = "Without MODEL: this machine's read bandwidth and peak arithmetic, and what the kernels reach of them.\n"
               "With MODEL: prefill and decode in tokens per second, in both modes unless one is named. Memory is read and peaks of\n"
               "arithmetic are measured by turns with tokens: decode is the bytes that tokens must read over what memory gave just before\n"
               "and after; prefill is the linear layers' operations over the peaks just before and after. Medians over the turns.",
    .flags = flags, .min_args = 0, .max_args = 1, .run = run};
