/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unigram language model (Kudo 2018): of all ways to cut a piece into tokens the one with the largest sum of scores, by Viterbi
 * over bytes. Where no token of exactly the next character exists, the character is unknown with a penalty below the worst
 * score. Sums are f64 and the first of equals wins, as in the library; runs of unknown characters become one token.
 */
#include <math.h>
#include "text/tok.h"

#define UNKNOWN_PENALTY 10.0

typedef struct unigram {
    double *score;
    pare_tok_trie trie;
    int64_t unk;                 /* -1 = none */
    double unk_score;
    bool byte_fallback;
    int32_t fallback_id[256];
} unigram;

typedef struct best { double score; int32_t id; uint32_t from; } best; /* from UINT32_MAX: not reached */

static pare_status read_vocab(pare_tokenizer *t, unigram *m, pare_tspan text, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_tok_json j = {.at = text.at, .end = text.at + text.n, .begin = text.at, .where = t->where};
    pare_str token = {0};
    PARE_VEC(double) scores = {0};
    double lowest = INFINITY, score;
    if (!pare_tok_json_take(&j, '[')) PARE_TRY(pare_tok_json_fail(&j, "Unigram: model.vocab is no array", err));
    for (bool first = true; !pare_tok_json_take(&j, ']'); first = false) {
        if (!first && !pare_tok_json_take(&j, ',')) PARE_TRY(pare_tok_json_fail(&j, "',' or ']' is expected in model.vocab", err));
        if (!pare_tok_json_take(&j, '[')) PARE_TRY(pare_tok_json_fail(&j, "[token, score] is expected", err));
        PARE_TRY(pare_tok_json_text(&j, &token, err));
        if (!pare_tok_json_take(&j, ',')) PARE_TRY(pare_tok_json_fail(&j, "[token, score] is expected", err));
        PARE_TRY(pare_tok_json_real(&j, &score, err));
        if (!pare_tok_json_take(&j, ']')) PARE_TRY(pare_tok_json_fail(&j, "[token, score] is expected", err));
        char *copy = pare_arena_strndup(&t->arena, token.at, token.n);
        if (!copy || !PARE_VEC_PUSH(&scores, score)) PARE_TRY(pare_no_memory(err, t->where, token.n));
        PARE_TRY(pare_tok_vocab_add(&t->vocab, (pare_tspan){copy, token.n}, (int64_t)scores.n - 1, t->where, err));
        if (token.n) PARE_TRY(pare_tok_trie_add(&m->trie, copy, token.n, (int32_t)scores.n - 1, err));
        if (score < lowest) lowest = score;
    }
    m->score = scores.at;
    scores.at = NULL;
    m->unk_score = lowest - UNKNOWN_PENALTY;
out:
    PARE_VEC_CLEAR(&scores);
    pare_str_clear(&token);
    return st;
}

static pare_status parse(pare_tokenizer *t, const pare_jval *v, const pare_tok_member *big, void **self, pare_err *err)
{
    pare_status st = PARE_OK;
    unigram *m = NULL;
    PARE_TRY(pare_tok_alloc(t, sizeof *m, &m, err));
    *self = m;
    m->unk = -1;
    if (!big->vocab.at) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: Unigram: model.vocab is missing", t->where);
    PARE_TRY(read_vocab(t, m, big->vocab, err));
    m->byte_fallback = pare_j_bool(pare_j_get(v, "byte_fallback"), false);
    if (pare_j_type(pare_j_get(v, "unk_id")) != PARE_J_NULL) {
        m->unk = pare_j_int(pare_j_get(v, "unk_id"), -1);
        if (m->unk < 0 || m->unk >= (int64_t)t->vocab.size)
            PARE_FAIL(err, PARE_ERR_FORMAT, "%s: Unigram: unk_id %lld is not in the vocabulary of %zu", t->where, (long long)m->unk, t->vocab.size);
    }
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        pare_print(name, sizeof name, "<0x%02X>", b);
        m->fallback_id[b] = pare_tok_vocab_find(&t->vocab, name, 6);
    }
out:
    return st;
}

static inline void offer(best *at, double score, int32_t id, uint32_t from)
{
    if (at->from == UINT32_MAX || score > at->score) *at = (best){score, id, from};
}

static pare_status search(const unigram *m, pare_tspan in, best *at, pare_err *err)
{
    size_t chars;
    for (size_t i = 0; i <= in.n; i++) at[i] = (best){0, 0, UINT32_MAX};
    for (size_t i = 0; i < in.n; i += chars) {
        double here = at[i].score;
        bool single = false;
        uint32_t node = 0;
        chars = pare_tok_char_bytes(in.at[i]);
        for (size_t k = i; m->trie.nodes && k < in.n && (node = pare_tok_trie_step(&m->trie, node, (uint8_t)in.at[k])) != 0; k++) {
            int32_t id = m->trie.value[node];
            if (id < 0) continue;
            offer(&at[k + 1], m->score[id] + here, id, (uint32_t)i);
            single |= k + 1 - i == chars;
        }
        if (single) continue;
        if (m->unk < 0) return pare_fail(err, PARE_ERR_DATA, "a character is unknown, and the tokenizer has no unknown token");
        offer(&at[i + chars], m->unk_score + here, (int32_t)m->unk, (uint32_t)i);
    }
    return PARE_OK;
}

/* A run of unknown characters: a token after all, bytes, or the unknown token. Reversed, as the path is followed backwards. */
static pare_status push_unknown(const unigram *m, const pare_tokenizer *t, pare_tspan run, pare_ids *out, pare_err *err)
{
    int32_t id = pare_tok_vocab_find(&t->vocab, run.at, run.n);
    bool bytes = id < 0 && m->byte_fallback, ok = true;
    for (size_t i = 0; i < run.n && bytes; i++) bytes = m->fallback_id[(uint8_t)run.at[i]] >= 0;
    if (!bytes) ok = PARE_VEC_PUSH(out, id >= 0 ? id : (int32_t)m->unk);
    for (size_t i = run.n; bytes && ok && i-- > 0;) ok = PARE_VEC_PUSH(out, m->fallback_id[(uint8_t)run.at[i]]);
    return ok ? PARE_OK : pare_no_memory(err, "token ids", run.n);
}

static pare_status encode(const void *self, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err)
{
    const unigram *m = self;
    pare_status st = PARE_OK;
    best *at = NULL;
    size_t from = out->n, run_end = 0;
    if (in.n >= UINT32_MAX) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "a piece of %zu bytes is too long", in.n);
    PARE_TRY(pare_tok_work(s, (in.n + 1) * sizeof *at, &at, err));
    PARE_TRY(search(m, in, at, err));
    for (size_t end = in.n; end > 0;) {
        size_t begin = at[end].from;
        bool unknown = at[end].id == m->unk;
        if (unknown && run_end == 0) run_end = end;
        if (!unknown && run_end) {
            PARE_TRY(push_unknown(m, t, (pare_tspan){in.at + end, run_end - end}, out, err));
            run_end = 0;
        }
        if (!unknown && !PARE_VEC_PUSH(out, at[end].id)) PARE_TRY(pare_no_memory(err, "token ids", sizeof(int32_t)));
        end = begin;
    }
    if (run_end) PARE_TRY(push_unknown(m, t, (pare_tspan){in.at, run_end}, out, err));
    for (size_t a = from, b = out->n; a + 1 < b; a++) {
        int32_t swap = out->at[a];
        out->at[a] = out->at[--b];
        out->at[b] = swap;
    }
out:
    return st;
}

void pare_tok_unigram_set_score(pare_tokenizer *t, size_t id, double score)
{
    unigram *m = t->model_self;
    m->score[id] = score;
    if (score - UNKNOWN_PENALTY < m->unk_score) m->unk_score = score - UNKNOWN_PENALTY;
}

static void clear(void *self)
{
    unigram *m = self;
    if (!m) return;
    pare_dealloc(m->score);
    pare_tok_trie_clear(&m->trie);
}

const pare_tok_model pare_tokm_unigram = {.type = "Unigram", .kind = "unigram", .parse = parse, .encode = encode, .free = clear};
