/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of delimiters when a pre-tokenizer cuts text at them, as spans pass by: at most one is held back. */
#include "text/tok.h"

pare_status pare_tok_get_behavior(const pare_tokenizer *t, const pare_jval *v, const char *or_else, pare_tok_behavior *out, pare_err *err)
{
    static const struct { const char *name; pare_tok_behavior is; } names[] = {
        {"Removed", PARE_TOK_REMOVED}, {"Isolated", PARE_TOK_ISOLATED}, {"MergedWithPrevious", PARE_TOK_MERGED_PREVIOUS},
        {"MergedWithNext", PARE_TOK_MERGED_NEXT}, {"Contiguous", PARE_TOK_CONTIGUOUS},
    };
    const char *name = pare_j_text(pare_j_get(v, "behavior"), or_else);
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i].name)) continue;
        *out = names[i].is;
        return PARE_OK;
    }
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: %s: behavior '%s'", t->where, pare_j_text(pare_j_get(v, "type"), "?"), name ? name : "");
}

static pare_status give(pare_tok_cutter *c, size_t begin, size_t end, pare_err *err)
{
    if (begin == end) return PARE_OK;
    pare_piece part = {.at = c->piece.at + begin, .n = end - begin, .start = c->piece.start && begin == 0, .raw = c->piece.raw};
    return pare_tok_next(c->s, c->stage + 1, part, err);
}

/* Holds a span instead of the one held so far, which goes on. */
static pare_status hold(pare_tok_cutter *c, size_t begin, size_t end, bool match, pare_err *err)
{
    pare_status st = c->held ? give(c, c->begin, c->end, err) : PARE_OK;
    c->held = true;
    c->held_match = match;
    c->begin = begin;
    c->end = end;
    return st;
}

pare_status pare_tok_cut(pare_tok_cutter *c, size_t begin, size_t end, bool match, pare_err *err)
{
    bool joins = false, previous = c->previous;
    c->previous = match;
    switch (c->behavior) {
    case PARE_TOK_REMOVED: return match ? PARE_OK : give(c, begin, end, err);
    case PARE_TOK_ISOLATED: return give(c, begin, end, err);
    case PARE_TOK_CONTIGUOUS: joins = match == previous; break;
    case PARE_TOK_MERGED_PREVIOUS: joins = match && !previous; break;
    case PARE_TOK_MERGED_NEXT: joins = !match && c->held_match; break;
    }
    if (!joins || !c->held) return hold(c, begin, end, match, err);
    c->end = end;
    c->held_match = match;
    return PARE_OK;
}

pare_status pare_tok_cut_end(pare_tok_cutter *c, pare_err *err) { return c->held ? give(c, c->begin, c->end, err) : PARE_OK; }

pare_status pare_tok_cut_class(pare_tok_scratch *s, int stage, pare_piece in, bool (*is)(uint32_t), pare_tok_behavior behavior, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_tok_cutter c = {.s = s, .stage = stage, .piece = in, .behavior = behavior};
    size_t last = 0, n;
    for (size_t i = 0; i < in.n; i += n) {
        if (!is(pare_tok_char(in.at + i, &n))) continue;
        if (last < i) PARE_TRY(pare_tok_cut(&c, last, i, false, err));
        PARE_TRY(pare_tok_cut(&c, i, i + n, true, err));
        last = i + n;
    }
    if (last < in.n) PARE_TRY(pare_tok_cut(&c, last, in.n, false, err));
    PARE_TRY(pare_tok_cut_end(&c, err));
out:
    return st;
}
