/* SPDX-License-Identifier: Apache-2.0 */
/* Split: cuts at a string or at what a regular expression matches (Llama 3, Qwen, DeepSeek, ...). */
#include "text/tok.h"

typedef struct splitter { pare_tok_regex *regex; pare_tok_behavior behavior; bool invert; } splitter;

static pare_status parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    splitter *p = NULL;
    pare_status st = pare_tok_alloc(t, sizeof *p, &p, err);
    if (st != PARE_OK) return st;
    *self = p;
    p->invert = pare_j_bool(pare_j_get(v, "invert"), false);
    st = pare_tok_get_behavior(t, v, NULL, &p->behavior, err);
    return st == PARE_OK ? pare_tok_get_pattern(t, v, &p->regex, err) : st;
}

static pare_status split(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    const splitter *p = self;
    pare_status st = PARE_OK;
    pare_tok_cutter c = {.s = s, .stage = stage, .piece = in, .behavior = p->behavior};
    pare_tok_find f = pare_tok_find_all(p->regex, s, (pare_tspan){in.at, in.n});
    size_t begin, end, last = 0;
    bool found;
    for (;;) {
        PARE_TRY(pare_tok_find_next(&f, &begin, &end, &found, err));
        if (!found) break;
        if (last != begin) PARE_TRY(pare_tok_cut(&c, last, begin, p->invert, err));
        PARE_TRY(pare_tok_cut(&c, begin, end, !p->invert, err));
        last = end;
    }
    if (last < in.n) PARE_TRY(pare_tok_cut(&c, last, in.n, p->invert, err));
    PARE_TRY(pare_tok_cut_end(&c, err));
out:
    return st;
}

static void clear(void *self)
{
    if (self) pare_tok_regex_free(((splitter *)self)->regex);
}

const pare_tok_pre pare_pre_split = {.type = "Split", .parse = parse, .split = split, .free = clear};
