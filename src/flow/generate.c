/* SPDX-License-Identifier: Apache-2.0 */
/* pare_generate: prefill, then one token after the other; text leaves as soon as it is certain. */
#include "flow/session.h"
#include <string.h>

#include "graph/sample.h"

typedef struct run {
    pare_session *s;
    const pare_generate_options *o;
    pare_sampler *sampler;
    pare_tok_stream *stream;   /* NULL without a tokenizer */
    pare_str text;             /* all text so far */
    size_t given;              /* bytes of it that the callback has seen */
    size_t longest_stop;
    PARE_VEC(int32_t) tokens;
    float *logits;             /* [vocab], of the newest position */
    int64_t position;          /* positions computed so far */
    const char *reason;        /* NULL = go on */
} run;

/* ----------------------------------------------------------------------------------------------------------------- text */

/* Bytes at the end of text that may be the beginning of a stop string. */
static size_t held_back(const run *r)
{
    size_t most = r->longest_stop ? r->longest_stop - 1 : 0;
    for (size_t n = most < r->text.n ? most : r->text.n; n > 0; n--)
        for (size_t i = 0; i < r->o->n_stop; i++)
            if (strlen(r->o->stop[i]) > n && memcmp(r->text.at + r->text.n - n, r->o->stop[i], n) == 0) return n;
    return 0;
}

/* Cuts the text before the first stop string in what has come since `from`. */
static void find_stop(run *r, size_t from)
{
    char *first = NULL;
    for (size_t i = 0; i < r->o->n_stop; i++) {
        const size_t n = strlen(r->o->stop[i]);
        char *hit = n && r->text.n >= n ? memmem(r->text.at + from, r->text.n - from, r->o->stop[i], n) : NULL;
        if (hit && (!first || hit < first)) first = hit;
    }
    if (!first) return;
    r->text.n = (size_t)(first - r->text.at);
    *first = '\0';
    r->reason = "stop";
}

static void give(run *r, size_t up_to)
{
    if (!r->o->piece || up_to <= r->given) return;
    const bool on = r->o->piece(r->o->user, r->text.at + r->given, up_to - r->given);
    r->given = up_to;
    if (!on && !r->reason) r->reason = "callback";
}

static pare_status take_text(run *r, int32_t id, bool end, pare_err *err)
{
    pare_status st = PARE_OK;
    const size_t before = r->text.n;
    if (!r->stream) return PARE_OK;
    if (id >= 0) st = pare_tok_stream_add(r->stream, id, &r->text, err);
    if (st == PARE_OK && end) st = pare_tok_stream_end(r->stream, &r->text, err);
    if (st != PARE_OK) return st;
    if (r->text.failed) return pare_no_memory(err, "text", r->text.n);
    if (r->text.n > before) find_stop(r, before > r->longest_stop ? before - r->longest_stop : 0);
    give(r, end || r->reason ? r->text.n : r->text.n - held_back(r));
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- compute */

static pare_status row(void *user, int64_t token, const float *values, pare_err *err)
{
    run *r = user;
    const int64_t vocab = r->s->graph->vocab;
    memcpy(r->logits, values, (size_t)vocab * sizeof *values); /* rows come in order: the last one stays */
    return r->o->logits ? r->o->logits(r->o->user, r->position + token, values, vocab, err) : PARE_OK;
}

/* Computes n more positions. */
static pare_status advance(run *r, const int32_t *ids, int64_t n, pare_err *err)
{
    uint8_t *want = NULL;
    if (!r->o->logits && n > 1) {
        if (!(want = pare_alloc_zero((size_t)n, 1))) return pare_no_memory(err, "tokens", (size_t)n);
        want[n - 1] = 1;
    }
    const pare_batch batch = { .n = n, .ids = ids, .want = want };
    pare_status st = pare_engine_step_rows(r->s->engine, &batch, row, r, err);
    pare_dealloc(want);
    if (st == PARE_OK) r->position += n;
    return st;
}

static pare_status loop(run *r, pare_err *err)
{
    pare_status st = PARE_OK;
    while (!r->reason) {
        int32_t id;
        const int64_t made = (int64_t)r->tokens.n;
        if (r->o->max_tokens < 0 || (r->o->max_tokens > 0 && made >= r->o->max_tokens)) {
            r->reason = "length";
            break;
        }
        if ((st = pare_sampler_next(r->sampler, r->position, r->logits, &id, err)) != PARE_OK) return st;
        pare_sampler_saw(r->sampler, id);
        if (!PARE_VEC_PUSH(&r->tokens, id)) return pare_no_memory(err, "tokens", r->tokens.n * sizeof id);
        if (!r->o->ignore_eos && pare_session_is_eos(r->s, id)) r->reason = "eos";
        else if ((st = take_text(r, id, false, err)) != PARE_OK) return st;
        if (r->reason && !r->o->logits) break;
        if (r->position >= r->s->info.ctx) {
            if (!r->reason) r->reason = "context";
            break;
        }
        /* The last token's own logits are computed only for a caller who collects logits. */
        if (r->o->max_tokens > 0 && made + 1 >= r->o->max_tokens && !r->o->logits) {
            r->reason = "length";
            break;
        }
        if ((st = advance(r, &id, 1, err)) != PARE_OK) return st;
        pare_report_progress(r->s->ctx, "generate", NULL, (uint64_t)made + 1, r->o->max_tokens > 0 ? (uint64_t)r->o->max_tokens : 0, "tokens");
    }
    return take_text(r, -1, true, err);
}

/* ----------------------------------------------------------------------------------------------------------------- entry */

static pare_status check_prompt(const pare_session *s, const int32_t *ids, int64_t n, pare_err *err)
{
    if (n < 1) return pare_fail(err, PARE_ERR_USAGE, "%s: an empty prompt: there is nothing to continue", s->model->path);
    if (n > s->info.ctx) {
        pare_fail(err, PARE_ERR_USAGE, "%s: a prompt of %lld tokens, and the context has %lld", s->model->path, (long long)n, (long long)s->info.ctx);
        return pare_hint(err, "a larger --ctx, as far as the model was trained");
    }
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->graph->vocab)
            return pare_fail(err, PARE_ERR_USAGE, "%s: token id %d at %lld is outside the vocabulary of %lld", s->model->path, (int)ids[i], (long long)i, (long long)s->graph->vocab);
    return PARE_OK;
}

pare_status pare_generate(pare_session *s, const int32_t *ids, int64_t n, const pare_generate_options *options, pare_generated *out, pare_err *err)
{
    static const pare_generate_options none = { 0 };
    run r = { .s = s, .o = options ? options : &none };
    pare_status st;
    memset(out, 0, sizeof *out);
    const pare_sampler_options sampler = { r.o->temperature, r.o->top_k, r.o->top_p, r.o->min_p, r.o->repetition_penalty, r.o->seed };
    PARE_TRY(pare_session_need_decoder(s, "text to generate", err));
    PARE_TRY(check_prompt(s, ids, n, err));
    for (size_t i = 0; i < r.o->n_stop; i++)
        if (strlen(r.o->stop[i]) > r.longest_stop) r.longest_stop = strlen(r.o->stop[i]);
    if (r.longest_stop && !s->tokenizer) PARE_FAIL(err, PARE_ERR_USAGE, "%s: stop strings need a tokenizer beside the weights", s->model->path);
    PARE_TRY(pare_sampler_new(&sampler, s->graph->vocab, &r.sampler, err));
    if (!(r.logits = pare_alloc((size_t)s->graph->vocab * sizeof *r.logits))) {
        st = pare_no_memory(err, "logits", (size_t)s->graph->vocab * sizeof *r.logits);
        goto out;
    }
    if (s->tokenizer) PARE_TRY(pare_tok_stream_new(s->tokenizer, true, &r.stream, err));
    pare_session_reset(s);
    const double start = pare_now();
    if (s->graph->encoder) {
        const int32_t first = (int32_t)s->graph->decoder_start;
        if (s->graph->decoder_start < 0) PARE_FAIL(err, PARE_ERR_FORMAT, "config.json: no decoder_start_token_id, and the decoder needs a first token");
        PARE_TRY(pare_engine_encode(s->engine, 0, ids, n, err));
        pare_sampler_saw(r.sampler, first);
        PARE_TRY(advance(&r, &first, 1, err));
    } else {
        for (int64_t i = 0; i < n; i++) pare_sampler_saw(r.sampler, ids[i]);
        PARE_TRY(advance(&r, ids, n, err));
    }
    out->prefill_seconds = pare_now() - start;
    PARE_TRY(loop(&r, err));
    out->decode_seconds = pare_now() - start - out->prefill_seconds;
    out->prompt_tokens = n;
    out->generated_tokens = (int64_t)r.tokens.n;
    out->stop_reason = r.reason;
    if (!(out->text = r.text.at ? pare_str_take(&r.text) : pare_strdup(""))) {
        st = pare_no_memory(err, "text", r.text.n);
        goto out;
    }
    out->tokens = r.tokens.at;
    r.tokens.at = NULL;
out:
    PARE_VEC_CLEAR(&r.tokens);
    pare_str_clear(&r.text);
    pare_tok_stream_free(r.stream);
    pare_sampler_free(r.sampler);
    pare_dealloc(r.logits);
    return st;
}

void pare_generated_clear(pare_generated *g)
{
    if (!g) return;
    pare_dealloc(g->tokens);
    pare_dealloc(g->text);
    g->tokens = NULL;
    g->text = NULL;
}
