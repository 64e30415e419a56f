/* SPDX-License-Identifier: Apache-2.0 */
/* Replace: every match of a string or a regular expression by a text. Also a decoder, which does it token by token. */
#include "text/tok.h"

typedef struct replace { pare_tok_regex *pattern; pare_tspan content; } replace;

static pare_status parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    replace *p = NULL;
    pare_status st = pare_tok_alloc(t, sizeof *p, &p, err);
    if (st != PARE_OK) return st;
    *self = p;
    st = pare_tok_get_text(t, v, "content", &p->content, err);
    return st == PARE_OK ? pare_tok_get_pattern(t, v, &p->pattern, err) : st;
}

static pare_status run(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    const replace *p = self;
    pare_tok_find f = pare_tok_find_all(p->pattern, s, in);
    size_t begin, end, last = 0;
    bool found, any = false;
    if (in.n == 0) return *flags = PARE_TOK_SAME, PARE_OK;
    for (;;) {
        pare_status st = pare_tok_find_next(&f, &begin, &end, &found, err);
        if (st != PARE_OK) return st;
        if (!found) break;
        pare_tok_push(out, in.at + last, begin - last);
        pare_tok_push(out, p->content.at, p->content.n);
        if (begin == 0 && end > 0 && p->content.n == 0) *flags |= PARE_TOK_HEAD_LOST;
        last = end;
        any = true;
    }
    if (any) pare_tok_push(out, in.at + last, in.n - last);
    else *flags = PARE_TOK_SAME;
    return PARE_OK;
}

static void clear(void *self)
{
    if (self) pare_tok_regex_free(((replace *)self)->pattern);
}

const pare_tok_norm pare_norm_replace = {.type = "Replace", .parse = parse, .run = run, .free = clear};

/* ------------------------------------------------------------------------------------------------------------- decoder */

static pare_status token(pare_tok_pipe *pipe, int stage, pare_tspan text, pare_err *err)
{
    int flags = 0;
    pare_str out = {0};
    pare_status st = pipe->scratch ? PARE_OK : pare_tok_scratch_new(&pipe->scratch, err);
    if (st == PARE_OK) st = run(pipe->at[stage].self, pipe->scratch, text, &out, &flags, err);
    if (st == PARE_OK) st = pare_tok_text_failed(&out, "text", err);
    if (st == PARE_OK) st = pare_tok_emit(pipe, stage, flags & PARE_TOK_SAME ? text : (pare_tspan){out.at ? out.at : "", out.n}, PARE_TOK_WHOLE, err);
    pare_str_clear(&out);
    return st;
}

static pare_status push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    const replace *p = pipe->at[stage].self;
    if (!pare_tok_regex_is_char(p->pattern) || part == PARE_TOK_WHOLE) return pare_tok_whole_push(pipe, stage, chunk, part, token, err);
    /* A pattern of one character matches nothing that lies across two chunks: they need not wait. */
    int flags = 0;
    pare_str out = {0};
    pare_status st = run(p, NULL, chunk, &out, &flags, err);
    if (st == PARE_OK) st = pare_tok_text_failed(&out, "text", err);
    if (st == PARE_OK) st = pare_tok_emit(pipe, stage, flags & PARE_TOK_SAME ? chunk : (pare_tspan){out.at ? out.at : "", out.n}, part, err);
    pare_str_clear(&out);
    return st;
}

static pare_status finish(pare_tok_pipe *pipe, int stage, pare_err *err) { return pare_tok_whole_finish(pipe, stage, token, err); }

const pare_tok_dec pare_dec_replace = {.type = "Replace", .parse = parse, .push = push, .finish = finish, .free = clear};
