/* SPDX-License-Identifier: Apache-2.0 */
/* WordPiece (Schuster & Nakajima 2012): the longest token that begins the rest of the word, again and again; none: the whole word is unknown. */
#include "text/tok.h"

typedef struct wordpiece {
    pare_tspan unk;
    int32_t unk_id;
    int64_t max_chars;
    pare_tok_trie first, rest;   /* rest: spellings with the prefix taken off */
    pare_tspan prefix;
} wordpiece;

static pare_status build(pare_tokenizer *t, wordpiece *m, pare_err *err)
{
    for (size_t i = 0; i < t->vocab.size; i++) {
        pare_tspan token = t->vocab.by_id[i];
        if (!token.at || pare_tok_vocab_find(&t->vocab, token.at, token.n) != (int32_t)i) continue;
        pare_status st = token.n ? pare_tok_trie_add(&m->first, token.at, token.n, (int32_t)i, err) : PARE_OK;
        if (st == PARE_OK && token.n > m->prefix.n && !memcmp(token.at, m->prefix.at, m->prefix.n))
            st = pare_tok_trie_add(&m->rest, token.at + m->prefix.n, token.n - m->prefix.n, (int32_t)i, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static pare_status parse(pare_tokenizer *t, const pare_jval *v, const pare_tok_member *big, void **self, pare_err *err)
{
    pare_status st = PARE_OK;
    wordpiece *m = NULL;
    PARE_TRY(pare_tok_alloc(t, sizeof *m, &m, err));
    *self = m;
    if (!big->vocab.at) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: WordPiece: model.vocab is missing", t->where);
    PARE_TRY(pare_tok_get_text(t, v, "unk_token", &m->unk, err));
    PARE_TRY(pare_tok_get_text(t, v, "continuing_subword_prefix", &m->prefix, err));
    m->max_chars = pare_j_int(pare_j_get(v, "max_input_chars_per_word"), 100);
    PARE_TRY(pare_tok_json_vocab(t, big->vocab, err));
    m->unk_id = pare_tok_vocab_find(&t->vocab, m->unk.at, m->unk.n);
    PARE_TRY(build(t, m, err));
out:
    return st;
}

static pare_status encode(const void *self, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err)
{
    const wordpiece *m = self;
    size_t from = out->n;
    int64_t chars = 0;
    (void)t, (void)s;
    for (size_t i = 0; i < in.n; i++) chars += ((uint8_t)in.at[i] & 0xC0) != 0x80;
    bool bad = chars > m->max_chars;
    for (size_t at = 0; at < in.n && !bad;) {
        const pare_tok_trie *trie = at == 0 ? &m->first : &m->rest;
        int32_t best = -1;
        uint32_t node = 0;
        size_t end = at;
        for (size_t i = at; trie->nodes && i < in.n && (node = pare_tok_trie_step(trie, node, (uint8_t)in.at[i])) != 0; i++)
            if (trie->value[node] >= 0) best = trie->value[node], end = i + 1;
        bad = best < 0;
        if (!bad && !PARE_VEC_PUSH(out, best)) return pare_no_memory(err, "token ids", sizeof best);
        at = end;
    }
    if (!bad) return PARE_OK;
    out->n = from;
    if (m->unk_id < 0) return pare_fail(err, PARE_ERR_DATA, "a word is unknown, and the unknown token '%s' is not in the vocabulary", m->unk.at);
    return PARE_VEC_PUSH(out, m->unk_id) ? PARE_OK : pare_no_memory(err, "token ids", sizeof m->unk_id);
}

static void clear(void *self)
{
    wordpiece *m = self;
    if (!m) return;
    pare_tok_trie_clear(&m->first);
    pare_tok_trie_clear(&m->rest);
}

const pare_tok_model pare_tokm_wordpiece = {.type = "WordPiece", .kind = "wordpiece", .parse = parse, .encode = encode, .free = clear};
