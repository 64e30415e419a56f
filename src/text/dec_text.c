/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders that work on the text of tokens: Fuse, Strip, Metaspace, WordPiece, BPEDecoder, CTC. */
#include "text/tok.h"

/* ----------------------------------------------------------------------------------------------------------------- Fuse */

static pare_status fuse_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    (void)part;
    return pare_tok_emit(pipe, stage, chunk, pipe->at[stage].count++ == 0 ? PARE_TOK_FIRST : 0, err);
}

static pare_status fuse_finish(pare_tok_pipe *pipe, int stage, pare_err *err)
{
    return pipe->at[stage].count ? PARE_OK : pare_tok_emit(pipe, stage, PARE_TSPAN(""), PARE_TOK_WHOLE, err);
}

const pare_tok_dec pare_dec_fuse = {.type = "Fuse", .push = fuse_push, .finish = fuse_finish};

/* ---------------------------------------------------------------------------------------------------------------- Strip */

typedef struct strip { pare_tspan content; int64_t start, stop; } strip;

static pare_status strip_parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    strip *p = NULL;
    pare_tspan c;
    pare_status st = pare_tok_get_char(t, v, "content", NULL, &c, err);
    if (st == PARE_OK) st = pare_tok_alloc(t, sizeof *p, &p, err);
    if (st == PARE_OK) st = pare_tok_get_text(t, v, "content", &p->content, err);
    if (st != PARE_OK) return st;
    *self = p;
    p->start = pare_j_int(pare_j_get(v, "start"), 0);
    p->stop = pare_j_int(pare_j_get(v, "stop"), 0);
    return PARE_OK;
}

/* count: characters taken off the start of this token so far; start or more: no further ones. */
static pare_tspan strip_start(const strip *p, pare_tok_stage *s, pare_tspan chunk)
{
    while (chunk.n && (int64_t)s->count < p->start) {
        if (chunk.n < p->content.n || memcmp(chunk.at, p->content.at, p->content.n)) {
            s->count = INT64_MAX;
            break;
        }
        s->count++;
        chunk.at += p->content.n;
        chunk.n -= p->content.n;
    }
    return chunk;
}

static pare_status strip_token(pare_tok_pipe *pipe, int stage, pare_tspan token, pare_err *err)
{
    const strip *p = pipe->at[stage].self;
    pare_tspan whole = token;
    pipe->at[stage].count = 0;
    token = strip_start(p, &pipe->at[stage], token);
    for (int64_t i = 0; i < p->stop && whole.n >= p->content.n; i++) {
        if (memcmp(whole.at + whole.n - p->content.n, p->content.at, p->content.n)) break;
        whole.n -= p->content.n;
    }
    const char *end = whole.at + whole.n;
    token.n = end > token.at ? (size_t)(end - token.at) : 0;
    return pare_tok_emit(pipe, stage, token, PARE_TOK_WHOLE, err);
}

static pare_status strip_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    const strip *p = pipe->at[stage].self;
    if (p->stop > 0) return pare_tok_whole_push(pipe, stage, chunk, part, strip_token, err);
    if (part & PARE_TOK_FIRST) pipe->at[stage].count = 0;
    return pare_tok_emit(pipe, stage, strip_start(p, &pipe->at[stage], chunk), part, err);
}

static pare_status strip_finish(pare_tok_pipe *pipe, int stage, pare_err *err) { return pare_tok_whole_finish(pipe, stage, strip_token, err); }

const pare_tok_dec pare_dec_strip = {.type = "Strip", .parse = strip_parse, .push = strip_push, .finish = strip_finish};

/* ------------------------------------------------------------------------------------------------------------ Metaspace */

typedef struct metaspace { pare_tspan mark; bool keep_first; } metaspace;

static pare_status meta_parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    metaspace *m = NULL;
    pare_tspan c;
    pare_status st = pare_tok_get_char(t, v, "replacement", NULL, &c, err);
    if (st == PARE_OK) st = pare_tok_alloc(t, sizeof *m, &m, err);
    if (st == PARE_OK) st = pare_tok_get_text(t, v, "replacement", &m->mark, err);
    if (st != PARE_OK) return st;
    *self = m;
    m->keep_first = !strcmp(pare_j_text(pare_j_get(v, "prepend_scheme"), "always"), "never") || !pare_j_bool(pare_j_get(v, "add_prefix_space"), true);
    return PARE_OK;
}

/* In the first token marks vanish, in others they are spaces. */
static pare_status meta_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    const metaspace *m = pipe->at[stage].self;
    pare_str out = {0};
    if (part & PARE_TOK_FIRST) pipe->at[stage].count++;
    bool vanish = pipe->at[stage].count == 1 && !m->keep_first;
    for (size_t i = 0; i < chunk.n;) {
        const char *mark = memmem(chunk.at + i, chunk.n - i, m->mark.at, m->mark.n);
        size_t end = mark ? (size_t)(mark - chunk.at) : chunk.n;
        pare_tok_push(&out, chunk.at + i, end - i);
        if (mark && !vanish) pare_tok_push(&out, " ", 1);
        i = end + (mark ? m->mark.n : 0);
    }
    pare_status st = pare_tok_text_failed(&out, "text", err);
    if (st == PARE_OK) st = pare_tok_emit(pipe, stage, (pare_tspan){out.at ? out.at : "", out.n}, part, err);
    pare_str_clear(&out);
    return st;
}

const pare_tok_dec pare_dec_metaspace = {.type = "Metaspace", .parse = meta_parse, .push = meta_push};

/* ------------------------------------------------------------------------------------------------- WordPiece, BPE, CTC */

static void replace_all(pare_str *text, pare_str *spare, pare_tspan from, pare_tspan to)
{
    size_t last = 0;
    const char *at;
    if (from.n == 0 || !text->at || !memmem(text->at, text->n, from.at, from.n)) return;
    spare->n = 0;
    while ((at = memmem(text->at + last, text->n - last, from.at, from.n)) != NULL) {
        pare_tok_push(spare, text->at + last, (size_t)(at - text->at) - last);
        pare_tok_push(spare, to.at, to.n);
        last = (size_t)(at - text->at) + from.n;
    }
    pare_tok_push(spare, text->at + last, text->n - last);
    pare_str swap = *text;
    *text = *spare;
    *spare = swap;
}

static void clean_up(pare_str *text, pare_str *spare)
{
    static const pare_tspan rules[][2] = {
        {{" .", 2}, {".", 1}}, {{" ?", 2}, {"?", 1}}, {{" !", 2}, {"!", 1}}, {{" ,", 2}, {",", 1}}, {{" ' ", 3}, {"'", 1}}, {{" n't", 4}, {"n't", 3}},
        {{" 'm", 3}, {"'m", 2}}, {{" do not", 7}, {" don't", 6}}, {{" 's", 3}, {"'s", 2}}, {{" 've", 4}, {"'ve", 3}}, {{" 're", 4}, {"'re", 3}},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) replace_all(text, spare, rules[i][0], rules[i][1]);
}

/* prefix: WordPiece's "##", BPE's "</w>", CTC's pad. */
typedef struct words { pare_tspan mark, delimiter; bool cleanup; } words;

static pare_status words_parse(pare_tokenizer *t, const pare_jval *v, const char *key, void **self, words **out, pare_err *err)
{
    pare_status st = pare_tok_alloc(t, sizeof **out, out, err);
    if (st == PARE_OK) st = pare_tok_get_text(t, v, key, &(*out)->mark, err);
    if (st != PARE_OK) return st;
    *self = *out;
    (*out)->cleanup = pare_j_bool(pare_j_get(v, "cleanup"), true);
    return PARE_OK;
}

static pare_status send(pare_tok_pipe *pipe, int stage, pare_str *text, pare_str *spare, bool keep_empty, pare_err *err)
{
    pare_status st = text->failed || spare->failed ? pare_no_memory(err, "text", text->n) : PARE_OK;
    if (st == PARE_OK && (text->n || keep_empty)) st = pare_tok_emit(pipe, stage, (pare_tspan){text->at ? text->at : "", text->n}, PARE_TOK_WHOLE, err);
    pare_str_clear(text);
    pare_str_clear(spare);
    return st;
}

static pare_status wordpiece_parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    words *w;
    return words_parse(t, v, "prefix", self, &w, err);
}

static pare_status wordpiece_token(pare_tok_pipe *pipe, int stage, pare_tspan token, pare_err *err)
{
    const words *w = pipe->at[stage].self;
    pare_str text = {0}, spare = {0};
    bool goes_on = token.n >= w->mark.n && !memcmp(token.at, w->mark.at, w->mark.n), first = pipe->at[stage].count++ == 0;
    if (!first && goes_on) token.at += w->mark.n, token.n -= w->mark.n;
    else if (!first) pare_tok_push(&text, " ", 1);
    pare_tok_push(&text, token.at, token.n);
    if (w->cleanup) clean_up(&text, &spare);
    return send(pipe, stage, &text, &spare, true, err);
}

static pare_status wordpiece_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    return pare_tok_whole_push(pipe, stage, chunk, part, wordpiece_token, err);
}
static pare_status wordpiece_finish(pare_tok_pipe *pipe, int stage, pare_err *err) { return pare_tok_whole_finish(pipe, stage, wordpiece_token, err); }

const pare_tok_dec pare_dec_wordpiece = {.type = "WordPiece", .parse = wordpiece_parse, .push = wordpiece_push, .finish = wordpiece_finish};

static pare_status bpe_parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    words *w;
    return words_parse(t, v, "suffix", self, &w, err);
}

/* A word's end is a space, at the end of the text nothing: so a token waits until the next one. */
static pare_status bpe_send(pare_tok_pipe *pipe, int stage, pare_tspan to, pare_err *err)
{
    pare_tok_stage *s = &pipe->at[stage];
    const words *w = s->self;
    pare_str text = {0}, spare = {0};
    if (s->count == 0) return PARE_OK;
    pare_tok_push(&text, s->run.at ? s->run.at : "", s->run.n);
    if (w->mark.n == 0) { /* an empty suffix is found everywhere */
        pare_str apart = {0};
        pare_tok_push(&apart, to.at, to.n);
        for (size_t i = 0, n; i < text.n; i += n) {
            n = pare_tok_char_bytes(text.at[i]);
            pare_tok_push(&apart, text.at + i, n);
            pare_tok_push(&apart, to.at, to.n);
        }
        pare_str_clear(&text);
        text = apart;
    }
    replace_all(&text, &spare, w->mark, to);
    return send(pipe, stage, &text, &spare, true, err);
}

static pare_status bpe_token(pare_tok_pipe *pipe, int stage, pare_tspan token, pare_err *err)
{
    pare_tok_stage *s = &pipe->at[stage];
    pare_status st = bpe_send(pipe, stage, PARE_TSPAN(" "), err);
    s->run.n = 0;
    s->count++;
    pare_tok_push(&s->run, token.at, token.n);
    return st == PARE_OK ? pare_tok_text_failed(&s->run, "token", err) : st;
}

static pare_status bpe_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    return pare_tok_whole_push(pipe, stage, chunk, part, bpe_token, err);
}

static pare_status bpe_finish(pare_tok_pipe *pipe, int stage, pare_err *err)
{
    pare_status st = pare_tok_whole_finish(pipe, stage, bpe_token, err);
    return st == PARE_OK ? bpe_send(pipe, stage, PARE_TSPAN(""), err) : st;
}

const pare_tok_dec pare_dec_bpe = {.type = "BPEDecoder", .parse = bpe_parse, .push = bpe_push, .finish = bpe_finish};

static pare_status ctc_parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    words *w = NULL;
    pare_status st = words_parse(t, v, "pad_token", self, &w, err);
    return st == PARE_OK ? pare_tok_get_text(t, v, "word_delimiter_token", &w->delimiter, err) : st;
}

static pare_status ctc_token(pare_tok_pipe *pipe, int stage, pare_tspan token, pare_err *err)
{
    pare_tok_stage *s = &pipe->at[stage];
    const words *w = s->self;
    pare_str text = {0}, spare = {0};
    if (s->count++ > 0 && s->run.n == token.n && !memcmp(s->run.at ? s->run.at : "", token.at, token.n)) return PARE_OK;
    s->run.n = 0;
    pare_tok_push(&s->run, token.at, token.n);
    pare_status st = pare_tok_text_failed(&s->run, "token", err);
    if (st != PARE_OK) return st;
    pare_tok_push(&text, token.at, token.n);
    replace_all(&text, &spare, w->mark, PARE_TSPAN(""));
    if (w->cleanup) {
        clean_up(&text, &spare);
        replace_all(&text, &spare, w->delimiter, PARE_TSPAN(" "));
    }
    return send(pipe, stage, &text, &spare, false, err);
}

static pare_status ctc_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    return pare_tok_whole_push(pipe, stage, chunk, part, ctc_token, err);
}
static pare_status ctc_finish(pare_tok_pipe *pipe, int stage, pare_err *err) { return pare_tok_whole_finish(pipe, stage, ctc_token, err); }

const pare_tok_dec pare_dec_ctc = {.type = "CTC", .parse = ctc_parse, .push = ctc_push, .finish = ctc_finish};
