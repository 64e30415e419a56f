/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-tokenizers that look at one character at a time: white space, BERT, punctuation, digits, a delimiter, fixed lengths. */
#include "text/tok.h"

/* ----------------------------------------------------------------------------------------------------------- white space */

/* Runs of \w, and runs of what is neither \w nor white space. */
static pare_status split_whitespace(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    enum { SPACE, WORD, REST } now = SPACE, was = SPACE;
    pare_status st = PARE_OK;
    size_t from = 0, n;
    (void)self;
    for (size_t i = 0; i <= in.n; i += n) {
        n = 1;
        uint32_t c = i < in.n ? pare_tok_char(in.at + i, &n) : ' ';
        now = pare_tok_is_word(c) ? WORD : pare_tok_is_space(c) ? SPACE : REST;
        if (now == was) continue;
        if (was != SPACE) PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){in.at + from, i - from, in.start && from == 0, in.raw}, err));
        from = i;
        was = now;
    }
out:
    return st;
}

static pare_status split_at_space(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    (void)self;
    return pare_tok_cut_class(s, stage, in, pare_tok_is_space, PARE_TOK_REMOVED, err);
}

const pare_tok_pre pare_pre_whitespace = {.type = "Whitespace", .split = split_whitespace};
const pare_tok_pre pare_pre_whitespace_split = {.type = "WhitespaceSplit", .split = split_at_space};

/* ----------------------------------------------------------------------------------------------------------------- BERT */

/* White space goes, punctuation stands alone. */
static pare_status split_bert(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    pare_status st = PARE_OK;
    size_t from = 0, n;
    (void)self;
    for (size_t i = 0; i < in.n; i += n) {
        uint32_t c = pare_tok_char(in.at + i, &n);
        bool space = pare_tok_is_space(c);
        if (!space && !pare_tok_is_punctuation(c)) continue;
        if (from < i) PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){in.at + from, i - from, in.start && from == 0, in.raw}, err));
        if (!space) PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){in.at + i, n, in.start && i == 0, in.raw}, err));
        from = i + n;
    }
    if (from < in.n) PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){in.at + from, in.n - from, in.start && from == 0, in.raw}, err));
out:
    return st;
}

const pare_tok_pre pare_pre_bert = {.type = "BertPreTokenizer", .split = split_bert};

/* -------------------------------------------------------------------------------------------------- punctuation, digits */

typedef struct class_split { bool (*is)(uint32_t); pare_tok_behavior behavior; } class_split;

static pare_status new_class(pare_tokenizer *t, bool (*is)(uint32_t), class_split **out, pare_err *err)
{
    pare_status st = pare_tok_alloc(t, sizeof **out, out, err);
    if (st == PARE_OK) (*out)->is = is;
    return st;
}

static pare_status parse_punctuation(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    class_split *c = NULL;
    pare_status st = new_class(t, pare_tok_is_punctuation, &c, err);
    *self = c;
    return st == PARE_OK ? pare_tok_get_behavior(t, v, "Isolated", &c->behavior, err) : st;
}

static pare_status parse_digits(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    class_split *c = NULL;
    pare_status st = new_class(t, pare_tok_is_numeric, &c, err);
    *self = c;
    if (st == PARE_OK) c->behavior = pare_j_bool(pare_j_get(v, "individual_digits"), false) ? PARE_TOK_ISOLATED : PARE_TOK_CONTIGUOUS;
    return st;
}

static pare_status split_class(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    const class_split *c = self;
    return pare_tok_cut_class(s, stage, in, c->is, c->behavior, err);
}

const pare_tok_pre pare_pre_punctuation = {.type = "Punctuation", .parse = parse_punctuation, .split = split_class};
const pare_tok_pre pare_pre_digits = {.type = "Digits", .parse = parse_digits, .split = split_class};

/* ------------------------------------------------------------------------------------------------- delimiter, fixed length */

static pare_status parse_delimiter(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    pare_tspan c, *own = NULL;
    pare_status st = pare_tok_get_char(t, v, "delimiter", NULL, &c, err);
    if (st == PARE_OK) st = pare_tok_alloc(t, sizeof *own, &own, err);
    if (st != PARE_OK) return st;
    *own = (pare_tspan){pare_arena_strndup(&t->arena, c.at, c.n), c.n};
    *self = own;
    return own->at ? PARE_OK : pare_no_memory(err, t->where, c.n);
}

static pare_status split_delimiter(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    const pare_tspan *mark = self;
    pare_status st = PARE_OK;
    for (size_t from = 0; from < in.n;) {
        const char *at = memmem(in.at + from, in.n - from, mark->at, mark->n);
        size_t end = at ? (size_t)(at - in.at) : in.n;
        PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){in.at + from, end - from, in.start && from == 0, in.raw}, err));
        from = at ? end + mark->n : in.n;
    }
out:
    return st;
}

static pare_status parse_fixed(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    int64_t *length = NULL;
    pare_status st = pare_tok_alloc(t, sizeof *length, &length, err);
    if (st != PARE_OK) return st;
    *self = length;
    *length = pare_j_int(pare_j_get(v, "length"), 5);
    return *length > 0 ? PARE_OK : pare_fail(err, PARE_ERR_FORMAT, "%s: FixedLength: length %lld", t->where, (long long)*length);
}

static pare_status split_fixed(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    const int64_t *length = self;
    pare_status st = PARE_OK;
    for (size_t from = 0; from < in.n;) {
        size_t end = from;
        for (int64_t k = 0; k < *length && end < in.n; k++) end += pare_tok_char_bytes(in.at[end]);
        PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){in.at + from, end - from, in.start && from == 0, in.raw}, err));
        from = end;
    }
out:
    return st;
}

const pare_tok_pre pare_pre_delimiter = {.type = "CharDelimiterSplit", .parse = parse_delimiter, .split = split_delimiter};
const pare_tok_pre pare_pre_fixed_length = {.type = "FixedLength", .parse = parse_fixed, .split = split_fixed};
