/* SPDX-License-Identifier: Apache-2.0 */
/* pare_bench: how fast a session reads a prompt and writes on. */
#include "flow/session.h"
#include <stdlib.h>
#include <string.h>

#include "graph/roof.h"

enum { MAX_REPEAT = 99, SHALLOW = 16 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}

/* Tokens [first, first + n) of the same random text for everyone. */
static void random_ids(int32_t *ids, int64_t first, int64_t n, int64_t vocab)
{
    const uint64_t key = pare_rng_key(0, "bench");
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)(pare_rng_u64(key, (uint64_t)(first + i)) % (uint64_t)vocab);
}

/* The logits of the last of n tokens of the first sequence; of at most SHALLOW of the second one. */
static pare_status feed(pare_session *s, bool second, int32_t *ids, uint8_t *want, int64_t n, float *logits, pare_err *err)
{
    static const int32_t ones[SHALLOW] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    memset(want, 0, (size_t)n);
    want[n - 1] = 1;
    const pare_batch batch = { .n = n, .ids = ids, .seq = second ? ones : NULL, .want = want };
    return pare_engine_step(s->engine, &batch, logits, err);
}

static pare_status check_sizes(const pare_session *s, const pare_bench_result *r, int repeat, pare_err *err)
{
    const int64_t most = r->prompt > r->depth + r->tokens ? r->prompt : r->depth + r->tokens;
    if (r->depth >= s->info.ctx) {
        pare_fail(err, PARE_ERR_USAGE, "%s: depth %lld leaves no position to decode, the context has %lld", s->model->path, (long long)r->depth, (long long)s->info.ctx);
        return pare_hint(err, "a larger --ctx, or a smaller --depth");
    }
    if (r->prompt < 1 || r->tokens < 1 || r->depth < 1 || repeat < 1 || repeat > MAX_REPEAT)
        return pare_fail(err, PARE_ERR_USAGE, "a prompt of %lld, %lld tokens, depth %lld, %d runs: all from 1", (long long)r->prompt, (long long)r->tokens, (long long)r->depth, repeat);
    if (most <= s->info.ctx) return PARE_OK;
    pare_fail(err, PARE_ERR_USAGE, "%s: %lld positions, and the context has %lld", s->model->path, (long long)most, (long long)s->info.ctx);
    return pare_hint(err, "a larger --ctx, or fewer tokens");
}

/* What attention reads for a token at this depth. */
static double cache_bytes(const pare_session *s, double depth)
{
    const int64_t positions = s->info.ctx * (s->options.sequences ? s->options.sequences : 1);
    return positions > 0 ? (double)s->info.cache_bytes / (double)positions * depth : 0;
}

/*
 * What depth costs a token: one at `depth` and one behind 16, by turns, for a machine that others use changes its speed from one second to the next. The
 * first sequence holds `depth` positions at least.
 */
static pare_status depth_cost(pare_session *s, int64_t depth, int64_t pairs, int32_t *ids, uint8_t *want, float *logits, double *out, pare_err *err)
{
    pare_status st;
    double *more = pare_alloc((size_t)pairs * sizeof *more);
    if (!more) return pare_no_memory(err, "benchmark", (size_t)pairs * sizeof *more);
    PARE_TRY(feed(s, true, ids, want, SHALLOW, logits, err));
    for (int64_t i = -1; i < pairs; i++) { /* the first pair warms up */
        double at[3];
        pare_engine_truncate(s->engine, 0, depth);
        pare_engine_truncate(s->engine, 1, SHALLOW);
        at[0] = pare_now();
        PARE_TRY(feed(s, false, ids, want, 1, logits, err));
        at[1] = pare_now();
        PARE_TRY(feed(s, true, ids, want, 1, logits, err));
        at[2] = pare_now();
        if (i >= 0) more[i] = at[1] - at[0] - (at[2] - at[1]);
    }
    *out = median(more, (int)pairs);
out:
    pare_dealloc(more);
    return st;
}

pare_status pare_bench(pare_session *s, const pare_bench_options *options, pare_bench_result *out, pare_err *err)
{
    const pare_bench_options none = { 0 }, *o = options ? options : &none;
    const int repeat = o->repeat ? o->repeat : 3;
    double prefill[MAX_REPEAT], decode[MAX_REPEAT];
    int32_t *ids = NULL;
    uint8_t *want = NULL;
    float *logits = NULL;
    pare_status st;
    *out = (pare_bench_result){ .prompt = o->prompt ? o->prompt : 512, .tokens = o->tokens ? o->tokens : 64, .depth = o->depth ? o->depth : 16 };
    PARE_TRY(pare_session_need_decoder(s, "speed of decoding", err));
    if (s->graph->encoder) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: an encoder-decoder model is not timed yet by this command", s->model->path);
    if (!o->prompt && out->prompt > s->info.ctx) out->prompt = s->info.ctx;
    if (!o->tokens && out->depth + out->tokens > s->info.ctx) out->tokens = s->info.ctx - out->depth;
    PARE_TRY(check_sizes(s, out, repeat, err));
    const int64_t most = out->prompt > out->depth ? out->prompt : out->depth;
    ids = pare_alloc((size_t)most * sizeof *ids);
    want = pare_alloc((size_t)most);
    logits = pare_alloc((size_t)s->graph->vocab * sizeof *logits);
    if (!ids || !want || !logits) {
        st = pare_no_memory(err, "benchmark", (size_t)s->graph->vocab * sizeof *logits);
        goto out;
    }
    random_ids(ids, 0, most, s->graph->vocab);
    pare_session_reset(s);
    PARE_TRY(feed(s, false, ids, want, out->prompt, logits, err)); /* pages and buffers are there from now on */
    for (int i = 0; i < repeat; i++) {
        double start = pare_now();
        pare_session_reset(s);
        PARE_TRY(feed(s, false, ids, want, out->prompt, logits, err));
        prefill[i] = pare_now() - start;
        pare_session_reset(s);
        PARE_TRY(feed(s, false, ids, want, out->depth, logits, err));
        start = pare_now();
        for (int64_t t = 0; t < out->tokens; t++) {
            int32_t id;
            random_ids(&id, out->depth + t, 1, s->graph->vocab);
            PARE_TRY(feed(s, false, &id, want, 1, logits, err));
        }
        decode[i] = pare_now() - start;
        pare_report_progress(s->ctx, "bench", NULL, (uint64_t)i + 1, (uint64_t)repeat, "runs");
    }
    if (out->depth > SHALLOW && s->options.sequences > 1) PARE_TRY(depth_cost(s, out->depth, out->tokens, ids, want, logits, &out->depth_seconds, err));
    out->prefill_tokens_per_s = (double)out->prompt / median(prefill, repeat);
    out->decode_tokens_per_s = (double)out->tokens / median(decode, repeat);
    out->bytes_per_token = (double)s->info.bytes_per_token + cache_bytes(s, (double)out->depth + 0.5 * (double)out->tokens);
out:
    pare_dealloc(ids);
    pare_dealloc(want);
    pare_dealloc(logits);
    return st;
}

pare_status pare_measure_machine(pare_ctx *ctx, pare_machine *out, pare_err *err)
{
    pare_roof roof;
    const pare_status st = pare_roof_measure(ctx, 1.0, 0, &roof, err);
    memset(out, 0, sizeof *out);
    if (st != PARE_OK) return st;
    for (int i = 0; i < 2; i++) {
        out->read_bytes_per_s[i] = roof.read[i];
        out->f32_flops[i] = roof.ops[PARE_ROOF_F32][i];
        out->int8_ops[i] = roof.ops[PARE_ROOF_I8][i];
        out->bf16_flops[i] = roof.ops[PARE_ROOF_BF16][i];
        out->int8_tile_ops[i] = roof.ops[PARE_ROOF_I8_TILE][i];
        out->bf16_tile_flops[i] = roof.ops[PARE_ROOF_BF16_TILE][i];
    }
    return PARE_OK;
}
