/* SPDX-License-Identifier: Apache-2.0 */
/* Metaspace (SentencePiece): spaces become U+2581, one is put in front, and words begin with it. */
#include "text/tok.h"

typedef struct metaspace { pare_tspan mark; bool always, first, cut; } metaspace;

static pare_status parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    metaspace *m = NULL;
    pare_tspan mark;
    pare_status st = pare_tok_alloc(t, sizeof *m, &m, err);
    if (st == PARE_OK) st = pare_tok_get_char(t, v, "replacement", NULL, &mark, err);
    if (st != PARE_OK) return st;
    *self = m;
    m->mark = (pare_tspan){pare_arena_strndup(&t->arena, mark.at, mark.n), mark.n};
    if (!m->mark.at) return pare_no_memory(err, t->where, mark.n);
    const char *scheme = pare_j_text(pare_j_get(v, "prepend_scheme"), "always");
    m->always = !strcmp(scheme, "always");
    m->first = !strcmp(scheme, "first");
    if (!m->always && !m->first && strcmp(scheme, "never"))
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: Metaspace: prepend_scheme '%s'", t->where, scheme);
    if (!pare_j_bool(pare_j_get(v, "add_prefix_space"), true)) {
        if (pare_j_get(v, "prepend_scheme") == NULL || m->always || m->first)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: Metaspace: add_prefix_space is false, prepend_scheme is '%s'", t->where, scheme);
        m->always = m->first = false;
    }
    m->cut = pare_j_bool(pare_j_get(v, "split"), true);
    return PARE_OK;
}

static bool begins_with(pare_tspan text, pare_tspan mark) { return text.n >= mark.n && !memcmp(text.at, mark.at, mark.n); }

static pare_status split(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    const metaspace *m = self;
    pare_status st = PARE_OK;
    pare_str *own = &s->stage[stage];
    own->n = 0;
    bool marked = in.at[0] == ' ' || begins_with((pare_tspan){in.at, in.n}, m->mark);
    if (!marked && (m->always || (m->first && in.start))) pare_tok_push(own, m->mark.at, m->mark.n);
    for (size_t i = 0; i < in.n;) {
        const char *space = memchr(in.at + i, ' ', in.n - i);
        size_t n = space ? (size_t)(space - in.at) - i : in.n - i;
        pare_tok_push(own, in.at + i, n);
        if (space) pare_tok_push(own, m->mark.at, m->mark.n);
        i += n + (space != NULL);
    }
    PARE_TRY(pare_tok_text_failed(own, "text", err));
    pare_piece all = {own->at, own->n, in.start, false};
    if (!m->cut) return pare_tok_next(s, stage + 1, all, err);
    size_t from = 0; /* a piece is a mark and what follows up to the next one */
    for (size_t at = 1; at < all.n;) {
        const char *mark = memmem(all.at + at, all.n - at, m->mark.at, m->mark.n);
        if (!mark) break;
        size_t here = (size_t)(mark - all.at);
        PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){all.at + from, here - from, in.start && from == 0, false}, err));
        from = here;
        at = here + m->mark.n;
    }
    PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){all.at + from, all.n - from, in.start && from == 0, false}, err));
out:
    return st;
}

const pare_tok_pre pare_pre_metaspace = {.type = "Metaspace", .parse = parse, .split = split};
