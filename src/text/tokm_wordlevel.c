/* SPDX-License-Identifier: Apache-2.0 */
/* A piece is a token or unknown. */
#include "text/tok.h"

typedef struct wordlevel { pare_tspan unk; int32_t unk_id; } wordlevel;

static pare_status parse(pare_tokenizer *t, const pare_jval *v, const pare_tok_member *big, void **self, pare_err *err)
{
    pare_status st = PARE_OK;
    wordlevel *m = NULL;
    PARE_TRY(pare_tok_alloc(t, sizeof *m, &m, err));
    *self = m;
    if (!big->vocab.at) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: WordLevel: model.vocab is missing", t->where);
    PARE_TRY(pare_tok_get_text(t, v, "unk_token", &m->unk, err));
    PARE_TRY(pare_tok_json_vocab(t, big->vocab, err));
    m->unk_id = pare_tok_vocab_find(&t->vocab, m->unk.at, m->unk.n);
out:
    return st;
}

static pare_status encode(const void *self, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err)
{
    const wordlevel *m = self;
    int32_t id = pare_tok_vocab_find(&t->vocab, in.at, in.n);
    (void)s;
    if (id < 0) id = m->unk_id;
    if (id < 0) return pare_fail(err, PARE_ERR_DATA, "a word is unknown, and the unknown token '%s' is not in the vocabulary", m->unk.at);
    return PARE_VEC_PUSH(out, id) ? PARE_OK : pare_no_memory(err, "token ids", sizeof id);
}

const pare_tok_model pare_tokm_wordlevel = {.type = "WordLevel", .kind = "wordlevel", .parse = parse, .encode = encode};
