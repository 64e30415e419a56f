/* SPDX-License-Identifier: Apache-2.0 */
/* Ids to text: a pipe of decoders, fed token by token. Decoding at once is feeding everything and finishing. */
#include "text/tok.h"

pare_status pare_tok_emit(pare_tok_pipe *pipe, int from, pare_tspan chunk, int part, pare_err *err)
{
    int to = from + 1;
    if (to == pipe->n) {
        pare_tok_push(pipe->out, chunk.at, chunk.n);
        return pare_tok_text_failed(pipe->out, "text", err);
    }
    return pipe->at[to].ops->push(pipe, to, chunk, part, err);
}

pare_status pare_tok_whole_finish(pare_tok_pipe *pipe, int stage, pare_tok_token_fn *token, pare_err *err)
{
    pare_tok_stage *s = &pipe->at[stage];
    if (!s->holds) return PARE_OK;
    s->holds = false;
    return token(pipe, stage, (pare_tspan){s->held.at ? s->held.at : "", s->held.n}, err);
}

pare_status pare_tok_whole_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_tok_token_fn *token, pare_err *err)
{
    pare_tok_stage *s = &pipe->at[stage];
    pare_status st = PARE_OK;
    if (part & PARE_TOK_FIRST) {
        st = pare_tok_whole_finish(pipe, stage, token, err);
        if (st != PARE_OK) return st;
        if (part & PARE_TOK_LAST) return token(pipe, stage, chunk, err);
        s->held.n = 0;
        s->holds = true;
    }
    pare_tok_push(&s->held, chunk.at, chunk.n);
    st = pare_tok_text_failed(&s->held, "token", err);
    return st == PARE_OK && (part & PARE_TOK_LAST) ? pare_tok_whole_finish(pipe, stage, token, err) : st;
}

/* Without a decoder tokens are joined by spaces. */
static pare_status join_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    pare_status st = pipe->at[stage].count++ > 0 ? pare_tok_emit(pipe, stage, PARE_TSPAN(" "), 0, err) : PARE_OK;
    return st == PARE_OK ? pare_tok_emit(pipe, stage, chunk, part, err) : st;
}
static const pare_tok_dec join = {.type = "", .push = join_push};

struct pare_tok_stream {
    const pare_tokenizer *t;
    pare_tok_pipe pipe;
    bool skip_special, ended;
};

static void pipe_init(pare_tok_stream *s, const pare_tokenizer *t, bool skip_special)
{
    *s = (pare_tok_stream){.t = t, .pipe.n = t->dec.n, .skip_special = skip_special};
    for (int i = 0; i < t->dec.n; i++) s->pipe.at[i] = (pare_tok_stage){.ops = t->dec.at[i].ops, .self = t->dec.at[i].self};
    if (t->dec.n == 0) s->pipe.at[s->pipe.n++] = (pare_tok_stage){.ops = &join};
}

static void pipe_clear(pare_tok_stream *s)
{
    for (int i = 0; i < s->pipe.n; i++) {
        pare_str_clear(&s->pipe.at[i].held);
        pare_str_clear(&s->pipe.at[i].run);
    }
    pare_tok_scratch_free(s->pipe.scratch);
}

static pare_status feed(pare_tok_stream *s, int32_t id, pare_str *out, pare_err *err)
{
    const pare_tokenizer *t = s->t;
    const pare_tok_added *added = pare_tok_added_of(t, id);
    pare_tspan token = added ? added->form : id >= 0 && (size_t)id < t->vocab.size ? t->vocab.by_id[id] : (pare_tspan){NULL, 0};
    if (!token.at || (s->skip_special && pare_tok_is_special_text(t, token))) return PARE_OK;
    s->pipe.out = out;
    return s->pipe.at[0].ops->push(&s->pipe, 0, token, PARE_TOK_WHOLE, err);
}

static pare_status finish(pare_tok_stream *s, pare_str *out, pare_err *err)
{
    pare_status st = PARE_OK;
    s->pipe.out = out;
    for (int i = 0; i < s->pipe.n && st == PARE_OK && !s->ended; i++)
        if (s->pipe.at[i].ops->finish) st = s->pipe.at[i].ops->finish(&s->pipe, i, err);
    s->ended = true;
    return st;
}

pare_status pare_tokenizer_decode(const pare_tokenizer *t, const int32_t *ids, int64_t n, bool skip_special, pare_str *out, pare_err *err)
{
    pare_tok_stream s;
    pare_status st = PARE_OK;
    size_t before = out->n;
    pipe_init(&s, t, skip_special);
    for (int64_t i = 0; i < n && st == PARE_OK; i++) st = feed(&s, ids[i], out, err);
    if (st == PARE_OK) st = finish(&s, out, err);
    if (st == PARE_OK) pare_tok_push(out, "", 0);
    if (st == PARE_OK) st = pare_tok_text_failed(out, "text", err);
    if (st != PARE_OK && out->at) out->at[out->n = before] = 0;
    pipe_clear(&s);
    return st;
}

pare_status pare_tok_stream_new(const pare_tokenizer *t, bool skip_special, pare_tok_stream **out, pare_err *err)
{
    *out = pare_alloc(sizeof **out);
    if (!*out) return pare_no_memory(err, "stream of text", sizeof **out);
    pipe_init(*out, t, skip_special);
    return PARE_OK;
}

void pare_tok_stream_free(pare_tok_stream *s)
{
    if (!s) return;
    pipe_clear(s);
    pare_dealloc(s);
}

pare_status pare_tok_stream_add(pare_tok_stream *s, int32_t id, pare_str *out, pare_err *err) { return feed(s, id, out, err); }
pare_status pare_tok_stream_end(pare_tok_stream *s, pare_str *out, pare_err *err) { return finish(s, out, err); }
