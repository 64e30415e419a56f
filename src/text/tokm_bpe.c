/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte pair encoding (Sennrich et al. 2016, as tokenizers run it): a piece starts as its characters; again and again the pair of
 * neighbours with the lowest rank, the leftmost of equals, becomes one token. Short pieces are searched from end to end for each
 * merge; long ones keep their pairs in a heap.
 *
 * Where tokenizers have no pre-tokenizer (Llama, Gemma) a piece is a whole document. It is then cut before every U+2581 that no
 * merge ever joins to the character before it: no merge crosses such a place, so the parts are independent and can be cached.
 */
#include "text/tok.h"

typedef struct merge { uint64_t pair; uint32_t rank; int32_t id; } merge; /* pair = left << 32 | right; id -1 = free */

enum { SMALL = 0x3000, SHORT_WORD = 40, MAX_JOINED = 64 };

typedef struct bpe {
    merge *merges;
    uint64_t mask;
    pare_tspan unk, prefix, suffix;
    int32_t unk_id;              /* -1: none, or not in the vocabulary */
    bool has_unk, fuse_unk, byte_fallback, ignore_merges;
    int32_t byte_id[256];        /* token of the byte-level character of a byte, -1 */
    int32_t fallback_id[256];    /* token "<0x..>" */
    int32_t *small;              /* token of characters below U+3000; NULL with prefix or suffix */
    bool can_cut;
    uint32_t joined[MAX_JOINED]; /* characters that a merge joins to a following U+2581 */
    int n_joined;
} bpe;

static inline uint64_t slot_of(uint64_t pair, uint64_t mask) { return (pair * 0x9E3779B97F4A7C15u) >> 20 & mask; }

static inline const merge *find_merge(const bpe *m, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (uint64_t at = slot_of(pair, m->mask);; at = (at + 1) & m->mask) {
        if (m->merges[at].id < 0) return NULL;
        if (m->merges[at].pair == pair) return &m->merges[at];
    }
}

/* -------------------------------------------------------------------------------------------------------------- reading */

typedef struct merge_list { PARE_VEC(merge) at; } merge_list;

static void note_joined(bpe *m, pare_tspan token)
{
    uint32_t before = 0, c;
    size_t n;
    for (size_t i = 0; i < token.n; i += n, before = c) {
        c = pare_tok_char(token.at + i, &n);
        if (c != 0x2581 || i == 0) continue;
        int k = 0;
        while (k < m->n_joined && m->joined[k] != before) k++;
        if (k < m->n_joined) continue;
        if (k == MAX_JOINED) m->can_cut = false;
        else m->joined[m->n_joined++] = before;
    }
}

static pare_status add_merge(pare_tokenizer *t, bpe *m, merge_list *list, pare_tspan left, pare_tspan right, pare_str *whole, pare_err *err)
{
    int32_t a = pare_tok_vocab_find(&t->vocab, left.at, left.n), b = pare_tok_vocab_find(&t->vocab, right.at, right.n);
    pare_tspan missing = a < 0 ? left : right;
    if (a >= 0 && b >= 0) {
        size_t skip = m->prefix.n <= right.n ? m->prefix.n : right.n;
        whole->n = 0;
        pare_tok_push(whole, left.at, left.n);
        pare_tok_push(whole, right.at + skip, right.n - skip);
        if (whole->failed) return pare_no_memory(err, t->where, whole->n);
        int32_t id = pare_tok_vocab_find(&t->vocab, whole->at, whole->n);
        missing = (pare_tspan){whole->at, whole->n};
        if (id >= 0) {
            merge one = {(uint64_t)(uint32_t)a << 32 | (uint32_t)b, (uint32_t)list->at.n, id};
            note_joined(m, missing);
            return PARE_VEC_PUSH(&list->at, one) ? PARE_OK : pare_no_memory(err, t->where, list->at.n * sizeof one);
        }
    }
    return pare_fail(err, PARE_ERR_FORMAT, "%s: merge %zu: '%.*s' is not in the vocabulary", t->where, list->at.n + 1,
                     (int)(missing.n < 80 ? missing.n : 80), missing.at);
}

/* "a b" in one string, or ["a", "b"]. */
static pare_status read_merge(pare_tokenizer *t, bpe *m, pare_tok_json *j, merge_list *list, pare_str text[3], pare_err *err)
{
    pare_status st = PARE_OK;
    if (pare_tok_json_take(j, '[')) {
        PARE_TRY(pare_tok_json_text(j, &text[0], err));
        if (!pare_tok_json_take(j, ',')) PARE_TRY(pare_tok_json_fail(j, "a merge has two parts", err));
        PARE_TRY(pare_tok_json_text(j, &text[1], err));
        if (!pare_tok_json_take(j, ']')) PARE_TRY(pare_tok_json_fail(j, "a merge has two parts", err));
        return add_merge(t, m, list, (pare_tspan){text[0].at, text[0].n}, (pare_tspan){text[1].at, text[1].n}, &text[2], err);
    }
    PARE_TRY(pare_tok_json_text(j, &text[0], err));
    if (text[0].n >= 8 && !memcmp(text[0].at, "#version", 8)) return PARE_OK;
    char *space = memchr(text[0].at, ' ', text[0].n);
    size_t n = space ? (size_t)(space - text[0].at) : 0;
    if (!space || memchr(space + 1, ' ', text[0].n - n - 1)) PARE_TRY(pare_tok_json_fail(j, "a merge is two parts with one space between", err));
    st = add_merge(t, m, list, (pare_tspan){text[0].at, n}, (pare_tspan){space + 1, text[0].n - n - 1}, &text[2], err);
out:
    return st;
}

static pare_status index_merges(pare_tokenizer *t, bpe *m, const merge_list *list, pare_err *err)
{
    size_t slots = 16;
    while (slots < list->at.n * 2) slots *= 2;
    m->merges = pare_alloc(slots * sizeof *m->merges);
    if (!m->merges) return pare_no_memory(err, t->where, slots * sizeof *m->merges);
    for (size_t i = 0; i < slots; i++) m->merges[i].id = -1;
    m->mask = slots - 1;
    for (size_t i = 0; i < list->at.n; i++) {
        uint64_t at = slot_of(list->at.at[i].pair, m->mask);
        while (m->merges[at].id >= 0 && m->merges[at].pair != list->at.at[i].pair) at = (at + 1) & m->mask;
        m->merges[at] = list->at.at[i]; /* a pair that is said twice has the later rank, as in the library */
    }
    return PARE_OK;
}

static pare_status read_merges(pare_tokenizer *t, bpe *m, pare_tspan text, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_tok_json j = {.at = text.at, .end = text.at + text.n, .begin = text.at, .where = t->where};
    pare_str parts[3] = {{0}, {0}, {0}};
    merge_list list = {0};
    if (!pare_tok_json_take(&j, '[')) PARE_TRY(pare_tok_json_fail(&j, "model.merges is no array", err));
    for (bool first = true; !pare_tok_json_take(&j, ']'); first = false) {
        if (!first && !pare_tok_json_take(&j, ',')) PARE_TRY(pare_tok_json_fail(&j, "',' or ']' is expected in model.merges", err));
        PARE_TRY(read_merge(t, m, &j, &list, parts, err));
    }
    PARE_TRY(index_merges(t, m, &list, err));
out:
    for (int i = 0; i < 3; i++) pare_str_clear(&parts[i]);
    PARE_VEC_CLEAR(&list.at);
    return st;
}

static pare_status fill_tables(pare_tokenizer *t, bpe *m, pare_err *err)
{
    for (int b = 0; b < 256; b++) {
        char name[8];
        const char *c = pare_tok_byte_text[b];
        m->byte_id[b] = pare_tok_vocab_find(&t->vocab, c, c[1] ? 2 : 1);
        pare_print(name, sizeof name, "<0x%02X>", (unsigned)b);
        m->fallback_id[b] = pare_tok_vocab_find(&t->vocab, name, 6);
    }
    if (m->prefix.n || m->suffix.n) {
        m->can_cut = false;
        return PARE_OK;
    }
    pare_str c = {0};
    pare_status st = pare_tok_alloc(t, SMALL * sizeof *m->small, &m->small, err);
    for (uint32_t i = 0; i < SMALL && st == PARE_OK; i++) {
        c.n = 0;
        pare_tok_push_char(&c, i);
        st = pare_tok_text_failed(&c, t->where, err);
        if (st == PARE_OK) m->small[i] = pare_tok_vocab_find(&t->vocab, c.at, c.n);
    }
    pare_str_clear(&c);
    if (st == PARE_OK && m->small[0x2581] < 0) m->can_cut = false; /* it could be part of a run of unknown characters */
    return st;
}

static pare_status optional_text(pare_tokenizer *t, const pare_jval *v, const char *key, pare_tspan *out, pare_err *err)
{
    *out = (pare_tspan){"", 0};
    return pare_j_type(pare_j_get(v, key)) == PARE_J_NULL ? PARE_OK : pare_tok_get_text(t, v, key, out, err);
}

static pare_status parse(pare_tokenizer *t, const pare_jval *v, const pare_tok_member *big, void **self, pare_err *err)
{
    pare_status st = PARE_OK;
    bpe *m = NULL;
    PARE_TRY(pare_tok_alloc(t, sizeof *m, &m, err));
    *self = m;
    m->can_cut = true;
    if (!big->vocab.at || !big->merges.at) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: BPE: model.vocab or model.merges is missing", t->where);
    PARE_TRY(optional_text(t, v, "unk_token", &m->unk, err));
    PARE_TRY(optional_text(t, v, "continuing_subword_prefix", &m->prefix, err));
    PARE_TRY(optional_text(t, v, "end_of_word_suffix", &m->suffix, err));
    m->fuse_unk = pare_j_bool(pare_j_get(v, "fuse_unk"), false);
    m->byte_fallback = pare_j_bool(pare_j_get(v, "byte_fallback"), false);
    m->ignore_merges = pare_j_bool(pare_j_get(v, "ignore_merges"), false);
    m->has_unk = pare_j_type(pare_j_get(v, "unk_token")) != PARE_J_NULL;
    PARE_TRY(pare_tok_json_vocab(t, big->vocab, err));
    PARE_TRY(read_merges(t, m, big->merges, err));
    m->unk_id = m->has_unk ? pare_tok_vocab_find(&t->vocab, m->unk.at, m->unk.n) : -1;
    PARE_TRY(fill_tables(t, m, err));
out:
    return st;
}

/* -------------------------------------------------------------------------------------------------------------- merging */

/* n symbols in sym; ranks of the pairs (i, i+1) beside them. Returns how many are left. */
static size_t merge_short(const bpe *m, int32_t *sym, size_t n)
{
    const merge *pair[SHORT_WORD];
    for (size_t i = 0; i + 1 < n; i++) pair[i] = find_merge(m, sym[i], sym[i + 1]);
    while (n > 1) {
        size_t best = n;
        uint32_t rank = UINT32_MAX;
        for (size_t i = 0; i + 1 < n; i++)
            if (pair[i] && pair[i]->rank < rank) rank = pair[i]->rank, best = i;
        if (best == n) break;
        sym[best] = pair[best]->id;
        n--;
        memmove(sym + best + 1, sym + best + 2, (n - best - 1) * sizeof *sym);
        if (best + 1 < n) memmove(pair + best + 1, pair + best + 2, (n - best - 2) * sizeof(*pair));
        if (best > 0) pair[best - 1] = find_merge(m, sym[best - 1], sym[best]);
        if (best + 1 < n) pair[best] = find_merge(m, sym[best], sym[best + 1]);
    }
    return n;
}

typedef struct node { int32_t sym, prev, next; } node; /* sym -1: merged away */
typedef struct entry { uint32_t rank, pos; int32_t id; } entry;

static inline bool before(entry a, entry b) { return a.rank != b.rank ? a.rank < b.rank : a.pos < b.pos; }

static void heap_push(entry *heap, size_t *n, entry e)
{
    size_t i = (*n)++;
    for (; i > 0 && before(e, heap[(i - 1) / 4]); i = (i - 1) / 4) heap[i] = heap[(i - 1) / 4];
    heap[i] = e;
}

static entry heap_pop(entry *heap, size_t *n)
{
    entry top = heap[0], last = heap[--*n];
    size_t i = 0;
    for (;;) {
        size_t child = i * 4 + 1, best = child;
        if (child >= *n) break;
        for (size_t k = child + 1; k < child + 4 && k < *n; k++)
            if (before(heap[k], heap[best])) best = k;
        if (!before(heap[best], last)) break;
        heap[i] = heap[best];
        i = best;
    }
    heap[i] = last;
    return top;
}

static inline void push_pair(const bpe *m, const node *at, int32_t left, entry *heap, size_t *n)
{
    if (left < 0 || at[left].next < 0) return;
    const merge *found = find_merge(m, at[left].sym, at[at[left].next].sym);
    if (found) heap_push(heap, n, (entry){found->rank, (uint32_t)left, found->id});
}

static pare_status merge_long(const bpe *m, pare_tok_scratch *s, int32_t *sym, size_t *count, pare_err *err)
{
    size_t n = *count, queued = 0, left = 0;
    void *work;
    /* Each merge removes a symbol and adds at most two pairs: 3 n entries at most. */
    pare_status st = pare_tok_work(s, n * sizeof(node) + 3 * n * sizeof(entry), &work, err);
    if (st != PARE_OK) return st;
    node *at = work;
    entry *heap = (entry *)(void *)(at + n);
    for (size_t i = 0; i < n; i++) at[i] = (node){sym[i], (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1};
    for (size_t i = 0; i + 1 < n; i++) push_pair(m, at, (int32_t)i, heap, &queued);
    while (queued > 0) {
        entry top = heap_pop(heap, &queued);
        node *l = &at[top.pos];
        if (l->sym < 0 || l->next < 0) continue;
        node *r = &at[l->next];
        const merge *now = find_merge(m, l->sym, r->sym);
        if (!now || now->id != top.id) continue; /* the pair of this entry is gone */
        l->sym = top.id;
        r->sym = -1;
        l->next = r->next;
        if (r->next >= 0) at[r->next].prev = (int32_t)top.pos;
        push_pair(m, at, l->prev, heap, &queued);
        push_pair(m, at, (int32_t)top.pos, heap, &queued);
    }
    for (size_t i = 0; i < n; i++)
        if (at[i].sym >= 0) sym[left++] = at[i].sym;
    *count = left;
    return PARE_OK;
}

/* Merges out[from..] in place. */
static pare_status merge_all(const bpe *m, pare_tok_scratch *s, pare_ids *out, size_t from, pare_err *err)
{
    size_t n = out->n - from;
    pare_status st = PARE_OK;
    if (n < 2) return PARE_OK;
    if (n > INT32_MAX / 4) return pare_fail(err, PARE_ERR_UNSUPPORTED, "a word of %zu characters is too long", n);
    if (n <= SHORT_WORD) n = merge_short(m, out->at + from, n);
    else st = merge_long(m, s, out->at + from, &n, err);
    out->n = from + n;
    return st;
}

/* ------------------------------------------------------------------------------------------------------------- encoding */

static pare_status room(pare_ids *out, size_t more, pare_err *err)
{
    if (out->cap - out->n >= more || pare_vec_grow((void **)&out->at, &out->cap, out->n + more, sizeof *out->at)) return PARE_OK;
    return pare_no_memory(err, "token ids", more * sizeof *out->at);
}

/* Token of a character with the prefix of all but the first and the suffix of the last. */
static pare_status find_char(const bpe *m, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan c, bool first, bool last, pare_tspan *spelling,
                             int32_t *id, pare_err *err)
{
    *spelling = c;
    if ((!first && m->prefix.n) || (last && m->suffix.n)) {
        s->word.n = 0;
        if (!first) pare_tok_push(&s->word, m->prefix.at, m->prefix.n);
        pare_tok_push(&s->word, c.at, c.n);
        if (last) pare_tok_push(&s->word, m->suffix.at, m->suffix.n);
        if (s->word.failed) return pare_no_memory(err, "word", s->word.n);
        *spelling = (pare_tspan){s->word.at, s->word.n};
    }
    *id = pare_tok_vocab_find(&t->vocab, spelling->at, spelling->n);
    return PARE_OK;
}

/* A character that is no token: its bytes, or the unknown token, which *unk keeps back so that runs can be fused. */
static pare_status unknown_char(const bpe *m, pare_tspan spelling, pare_ids *out, bool *unk, pare_err *err)
{
    bool bytes = m->byte_fallback;
    for (size_t i = 0; i < spelling.n && bytes; i++) bytes = m->fallback_id[(uint8_t)spelling.at[i]] >= 0;
    pare_status st = room(out, spelling.n + 1, err);
    if (st != PARE_OK) return st;
    if (bytes) {
        for (size_t i = 0; i < spelling.n; i++) out->at[out->n++] = m->fallback_id[(uint8_t)spelling.at[i]];
        return PARE_OK;
    }
    if (!m->has_unk) return PARE_OK; /* it vanishes */
    if (m->unk_id < 0) return pare_fail(err, PARE_ERR_DATA, "a character is unknown, and the unknown token '%s' is not in the vocabulary", m->unk.at);
    if (*unk && !m->fuse_unk) out->at[out->n++] = m->unk_id;
    *unk = true;
    return PARE_OK;
}

static pare_status encode_word(const bpe *m, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err)
{
    pare_status st = PARE_OK;
    size_t from = out->n, n;
    bool unk = false;
    PARE_TRY(room(out, in.n + 2, err));
    for (size_t i = 0; i < in.n; i += n) {
        uint32_t c = pare_tok_char(in.at + i, &n);
        pare_tspan spelling = {in.at + i, n};
        int32_t id;
        if (m->small && c < SMALL) id = m->small[c];
        else PARE_TRY(find_char(m, t, s, spelling, i == 0, i + n == in.n, &spelling, &id, err));
        if (id >= 0) {
            PARE_TRY(room(out, 2, err));
            if (unk) out->at[out->n++] = m->unk_id;
            unk = false;
            out->at[out->n++] = id;
        } else {
            PARE_TRY(unknown_char(m, spelling, out, &unk, err));
        }
    }
    PARE_TRY(room(out, 1, err));
    if (unk) out->at[out->n++] = m->unk_id;
    PARE_TRY(merge_all(m, s, out, from, err));
out:
    return st;
}

/* Is a merge able to join the character that ends at `at` with a U+2581 there? */
static bool is_joined(const bpe *m, pare_tspan in, size_t at)
{
    size_t i = at - 1, n;
    while (i > 0 && ((uint8_t)in.at[i] & 0xC0) == 0x80) i--;
    uint32_t c = pare_tok_char(in.at + i, &n);
    for (int k = 0; k < m->n_joined; k++)
        if (m->joined[k] == c) return true;
    return false;
}

static pare_status encode_part(const bpe *m, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err)
{
    uint32_t n;
    if (in.n > 64) return encode_word(m, t, s, in, out, err);
    uint64_t hash = pare_tok_hash(in.at, in.n) ^ 0x5851F42D4C957F2Du; /* apart from whole pieces, which may be one token */
    const int32_t *known = pare_tok_cache_find(&s->cache, hash, in.at, in.n, &n);
    if (known && n == 0) return PARE_OK;
    if (known) {
        pare_status st = room(out, n, err);
        if (st != PARE_OK) return st;
        memcpy(out->at + out->n, known, n * sizeof *known);
        out->n += n;
        return PARE_OK;
    }
    size_t from = out->n;
    pare_status st = encode_word(m, t, s, in, out, err);
    if (st != PARE_OK) return st;
    return pare_tok_cache_put(&s->cache, hash, in.at, in.n, out->n > from ? out->at + from : NULL, out->n - from, err);
}

static pare_status encode(const void *self, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err)
{
    const bpe *m = self;
    pare_status st = PARE_OK;
    size_t from = 0;
    if (m->ignore_merges) {
        int32_t id = pare_tok_vocab_find(&t->vocab, in.at, in.n);
        if (id >= 0) {
            if (!PARE_VEC_PUSH(out, id)) return pare_no_memory(err, "token ids", sizeof id);
            return PARE_OK;
        }
    }
    if (in.n > 24 && m->can_cut) {
        for (const char *p = in.at + 1, *end = in.at + in.n; (p = memchr(p, 0xE2, (size_t)(end - p))) != NULL; p++) {
            size_t at = (size_t)(p - in.at);
            if (end - p < 3 || p[1] != '\x96' || p[2] != '\x81' || is_joined(m, in, at)) continue;
            PARE_TRY(encode_part(m, t, s, (pare_tspan){in.at + from, at - from}, out, err));
            from = at;
        }
        if (from > 0) return encode_part(m, t, s, (pare_tspan){in.at + from, in.n - from}, out, err);
    }
    st = encode_word(m, t, s, in, out, err);
out:
    return st;
}

/* Bytes of which each stands for a character of the byte-level alphabet. */
static pare_status encode_raw(const void *self, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err)
{
    const bpe *m = self;
    size_t from = out->n;
    bool plain = !m->ignore_merges && m->small;
    pare_status st = room(out, in.n, err);
    for (size_t i = 0; st == PARE_OK && plain && i < in.n; i++) {
        int32_t id = m->byte_id[(uint8_t)in.at[i]];
        plain = id >= 0;
        out->at[out->n++] = id;
    }
    if (st != PARE_OK) return st;
    if (plain) return merge_all(m, s, out, from, err);
    out->n = from;
    s->mapped.n = 0;
    for (size_t i = 0; i < in.n; i++) {
        const char *c = pare_tok_byte_text[(uint8_t)in.at[i]];
        pare_tok_push(&s->mapped, c, c[1] ? 2 : 1);
    }
    st = pare_tok_text_failed(&s->mapped, "byte-level text", err);
    return st == PARE_OK ? encode(self, t, s, (pare_tspan){s->mapped.at, s->mapped.n}, out, err) : st;
}

void pare_tok_bpe_rank_by_score(pare_tokenizer *t, const float *scores, size_t n)
{
    bpe *m = t->model_self;
    for (uint64_t i = 0; i <= m->mask; i++) {
        if (m->merges[i].id < 0 || (size_t)m->merges[i].id >= n) continue;
        float score = scores[m->merges[i].id];
        uint32_t bits;
        memcpy(&bits, &score, 4);
        if (score == 0) bits = 0;
        /* Order of floats as order of integers, the largest score first. */
        m->merges[i].rank = bits >> 31 ? bits : 0x7FFFFFFFu - bits;
    }
}

static void clear(void *self)
{
    if (self) pare_dealloc(((bpe *)self)->merges);
}

const pare_tok_model pare_tokm_bpe = {.type = "BPE", .kind = "bpe", .parse = parse, .encode = encode, .encode_raw = encode_raw, .free = clear};
