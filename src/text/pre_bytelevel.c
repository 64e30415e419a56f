/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPT-2's pre-tokenizer: words with the space before them, and each byte then stands as a printable character. When it is the
 * last of the chain the mapping is left to the model, which needs it only for pieces that it has not met before.
 */
#include "text/tok.h"

typedef struct byte_level { bool add_prefix_space; pare_tok_regex *regex; } byte_level;

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static pare_status parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    byte_level *b = NULL;
    pare_status st = pare_tok_alloc(t, sizeof *b, &b, err);
    if (st != PARE_OK) return st;
    *self = b;
    b->add_prefix_space = pare_j_bool(pare_j_get(v, "add_prefix_space"), true);
    if (pare_j_bool(pare_j_get(v, "use_regex"), true)) st = pare_tok_regex_new(t->where, PARE_TSPAN(GPT2), false, &b->regex, err);
    return st;
}

/* Each stage has a buffer; pieces of the mapped text would overwrite the text they come from, so it is mapped as a whole first. */
static pare_status give(pare_tok_scratch *s, int stage, pare_piece part, pare_err *err)
{
    if (stage + 1 == s->t->pre.n) {
        part.raw = true;
        return pare_tok_next(s, stage + 1, part, err);
    }
    s->mapped.n = 0;
    for (size_t i = 0; i < part.n; i++) {
        const char *c = pare_tok_byte_text[(uint8_t)part.at[i]];
        pare_tok_push(&s->mapped, c, c[1] ? 2 : 1);
    }
    pare_status st = pare_tok_text_failed(&s->mapped, "byte-level text", err);
    if (st != PARE_OK) return st;
    /* What follows may be ByteLevel again: the text goes to this stage's own second buffer. */
    pare_str own = s->mapped;
    s->mapped = (pare_str){0};
    st = pare_tok_next(s, stage + 1, (pare_piece){own.at, own.n, part.start, false}, err);
    if (s->mapped.at) pare_str_clear(&own);
    else s->mapped = own;
    return st;
}

static pare_status split(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    const byte_level *b = self;
    pare_status st = PARE_OK;
    size_t begin, end, last = 0;
    bool found;
    if (b->add_prefix_space && in.at[0] != ' ') {
        pare_str *own = &s->stage[stage];
        own->n = 0;
        pare_tok_push(own, " ", 1);
        pare_tok_push(own, in.at, in.n);
        PARE_TRY(pare_tok_text_failed(own, "text", err));
        in.at = own->at;
        in.n = own->n;
    }
    if (!b->regex) return give(s, stage, in, err);
    pare_tok_find f = pare_tok_find_all(b->regex, s, (pare_tspan){in.at, in.n});
    for (;;) {
        PARE_TRY(pare_tok_find_next(&f, &begin, &end, &found, err));
        if (!found) break;
        if (last < begin) PARE_TRY(give(s, stage, (pare_piece){in.at + last, begin - last, in.start && last == 0, false}, err));
        if (begin < end) PARE_TRY(give(s, stage, (pare_piece){in.at + begin, end - begin, in.start && begin == 0, false}, err));
        last = end;
    }
    if (last < in.n) PARE_TRY(give(s, stage, (pare_piece){in.at + last, in.n - last, in.start && last == 0, false}, err));
out:
    return st;
}

static void clear(void *self)
{
    if (self) pare_tok_regex_free(((byte_level *)self)->regex);
}

const pare_tok_pre pare_pre_byte_level = {.type = "ByteLevel", .parse = parse, .split = split, .free = clear};
