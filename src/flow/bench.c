/* SPDX-License-Identifier: Apache-2.0 */
/* pare_bench: how fast a session reads a prompt and writes on. */
#include "flow/session.h"
#include <stdlib.h>
#include <string.h>

#include "graph/roof.h"

enum { MAX_REPEAT = 99, MAX_STRETCHES = 1 << 16, SHALLOW = 16 };
static const double STRETCH_SECONDS = 0.1, PEAK_SECONDS = 0.01; /* long beside a read of 256 MiB; five kinds of peaks beside a prompt */

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

/* ----------------------------------------------------------------------------------------------------------- one by one */

/* What a benchmark works with; medians are taken of what lies here. */
typedef struct bench {
    pare_session *s;
    pare_bench_result *r;
    int32_t *ids;
    uint8_t *want;
    float *logits;
    pare_roof_meter *meter;          /* NULL: without limits */
    double read, peak[PARE_ROOF_KINDS]; /* of the last turn */
    double prefill[MAX_REPEAT], decode[MAX_REPEAT], of[PARE_ROOF_KINDS][MAX_REPEAT];
    double *reads, *fractions;       /* [stretches] */
    int stretches, most;
} bench;

/* The peaks of now; of[kind][i], if i >= 0: what `rate` is of the mean of these and those before. */
static pare_status peaks_turn(bench *b, double rate, int i, pare_err *err)
{
    pare_status st = PARE_OK;
    for (int kind = 0; kind < PARE_ROOF_KINDS && b->meter; kind++) {
        const double before = b->peak[kind];
        PARE_TRY(pare_roof_meter_ops(b->meter, (pare_roof_kind)kind, true, PEAK_SECONDS, &b->peak[kind], err));
        if (i >= 0) b->of[kind][i] = b->peak[kind] > 0 ? rate / (0.5 * (before + b->peak[kind])) : 0;
    }
out:
    return st;
}

/* Prompt i. */
static pare_status time_prompt(bench *b, int i, pare_err *err)
{
    pare_status st;
    PARE_TRY(peaks_turn(b, 0, -1, err));
    const double start = pare_now();
    pare_session_reset(b->s);
    PARE_TRY(feed(b->s, false, b->ids, b->want, b->r->prompt, b->logits, err));
    b->prefill[i] = pare_now() - start;
    PARE_TRY(peaks_turn(b, b->r->ops_per_token * (double)b->r->prompt / b->prefill[i], i, err));
out:
    return st;
}

/* `tokens` tokens took `seconds`; with a meter the memory is read again. */
static pare_status end_stretch(bench *b, int64_t tokens, double seconds, pare_err *err)
{
    const double before = b->read;
    pare_status st = PARE_OK;
    if (!b->meter) return PARE_OK;
    PARE_TRY(pare_roof_meter_read(b->meter, true, &b->read, err));
    if (b->stretches == b->most) return PARE_OK;
    b->reads[b->stretches] = b->read;
    b->fractions[b->stretches++] = b->r->bytes_per_token * (double)tokens / seconds / (0.5 * (before + b->read));
out:
    return st;
}

/* Decoding i, in stretches of STRETCH_SECONDS. */
static pare_status time_tokens(bench *b, int i, pare_err *err)
{
    int64_t done = 0;
    pare_status st;
    pare_session_reset(b->s);
    PARE_TRY(feed(b->s, false, b->ids, b->want, b->r->depth, b->logits, err));
    if (b->meter) PARE_TRY(pare_roof_meter_read(b->meter, true, &b->read, err));
    b->decode[i] = 0;
    double start = pare_now();
    for (int64_t t = 1; t <= b->r->tokens; t++) {
        int32_t id;
        random_ids(&id, b->r->depth + t - 1, 1, b->s->graph->vocab);
        PARE_TRY(feed(b->s, false, &id, b->want, 1, b->logits, err));
        const double took = pare_now() - start;
        if (t < b->r->tokens && took < STRETCH_SECONDS) continue;
        b->decode[i] += took;
        PARE_TRY(end_stretch(b, t - done, took, err));
        done = t;
        start = pare_now();
    }
out:
    return st;
}

static pare_status make_room(bench *b, int repeat, bool limits, pare_err *err)
{
    const pare_bench_result *r = b->r;
    const int64_t most = r->prompt > r->depth ? r->prompt : r->depth, vocab = b->s->graph->vocab;
    b->most = r->tokens * repeat < MAX_STRETCHES ? (int)(r->tokens * repeat) : MAX_STRETCHES;
    b->ids = pare_alloc((size_t)most * sizeof *b->ids);
    b->want = pare_alloc((size_t)most);
    b->logits = pare_alloc((size_t)vocab * sizeof *b->logits);
    b->reads = pare_alloc((size_t)b->most * sizeof *b->reads);
    b->fractions = pare_alloc((size_t)b->most * sizeof *b->fractions);
    if (!b->ids || !b->want || !b->logits || !b->reads || !b->fractions) return pare_no_memory(err, "benchmark", (size_t)vocab * sizeof *b->logits);
    random_ids(b->ids, 0, most, vocab);
    return limits ? pare_roof_meter_new(b->s->ctx, 0, &b->meter, err) : PARE_OK;
}

static void clear(bench *b)
{
    pare_roof_meter_free(b->meter);
    pare_dealloc(b->ids);
    pare_dealloc(b->want);
    pare_dealloc(b->logits);
    pare_dealloc(b->reads);
    pare_dealloc(b->fractions);
    pare_dealloc(b);
}

static void take_medians(bench *b, int repeat)
{
    pare_bench_result *r = b->r;
    r->prefill_tokens_per_s = (double)r->prompt / median(b->prefill, repeat);
    r->decode_tokens_per_s = (double)r->tokens / median(b->decode, repeat);
    if (!b->meter) return;
    r->read_bytes_per_s = median(b->reads, b->stretches);
    r->read_fraction = median(b->fractions, b->stretches);
    r->prefill_of = (pare_bench_peaks){ .f32 = median(b->of[PARE_ROOF_F32], repeat), .int8 = median(b->of[PARE_ROOF_I8], repeat), .bf16 = median(b->of[PARE_ROOF_BF16], repeat),
                                        .int8_tiles = median(b->of[PARE_ROOF_I8_TILE], repeat), .bf16_tiles = median(b->of[PARE_ROOF_BF16_TILE], repeat) };
}

pare_status pare_bench(pare_session *s, const pare_bench_options *options, pare_bench_result *out, pare_err *err)
{
    const pare_bench_options none = { 0 }, *o = options ? options : &none;
    const int repeat = o->repeat ? o->repeat : 3;
    pare_status st;
    *out = (pare_bench_result){ .prompt = o->prompt ? o->prompt : 512, .tokens = o->tokens ? o->tokens : 64, .depth = o->depth ? o->depth : 16 };
    bench *b = pare_alloc_zero(1, sizeof *b);
    if (!b) return pare_no_memory(err, "benchmark", sizeof *b);
    b->s = s;
    b->r = out;
    PARE_TRY(pare_session_need_decoder(s, "speed of decoding", err));
    if (s->graph->encoder) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: an encoder-decoder model is not timed yet by this command", s->model->path);
    if (!o->prompt && out->prompt > s->info.ctx) out->prompt = s->info.ctx;
    if (!o->tokens && out->depth + out->tokens > s->info.ctx) out->tokens = s->info.ctx - out->depth;
    PARE_TRY(check_sizes(s, out, repeat, err));
    out->bytes_per_token = (double)s->info.bytes_per_token + cache_bytes(s, (double)out->depth + 0.5 * (double)out->tokens);
    out->ops_per_token = 2 * pare_engine_macs(s->engine);
    PARE_TRY(make_room(b, repeat, o->limits, err));
    pare_session_reset(s);
    PARE_TRY(feed(s, false, b->ids, b->want, out->prompt, b->logits, err)); /* pages and buffers are there from now on */
    for (int i = 0; i < repeat; i++) {
        PARE_TRY(time_prompt(b, i, err));
        PARE_TRY(time_tokens(b, i, err));
        pare_report_progress(s->ctx, "bench", NULL, (uint64_t)i + 1, (uint64_t)repeat, "runs");
    }
    if (out->depth > SHALLOW && s->options.sequences > 1) PARE_TRY(depth_cost(s, out->depth, out->tokens, b->ids, b->want, b->logits, &out->depth_seconds, err));
    take_medians(b, repeat);
out:
    clear(b);
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
