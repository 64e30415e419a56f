/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Added tokens: whole strings that are cut out of the text before anything else sees it. Those with normalized = false are
 * looked for in the text as it is, the others, in their normalized form, in the normalized text. The leftmost match counts, of
 * several there the longest; a match that a rule then rejects is passed over as a whole.
 */
#include "text/tok.h"

static int32_t find_exact(const pare_tok_trie *trie, pare_tspan key)
{
    uint32_t node = 0;
    if (trie->nodes == 0) return -1;
    for (size_t i = 0; i < key.n; i++)
        if ((node = pare_tok_trie_step(trie, node, (uint8_t)key.at[i])) == 0) return -1;
    return trie->value[node];
}

bool pare_tok_is_special_text(const pare_tokenizer *t, pare_tspan text) { return text.n && find_exact(&t->specials, text) >= 0; }

/*
 * The library's rule for ids: a content that the tokens added before or the model have keeps its id, whatever the file says.
 * The same content again replaces what was said before.
 */
pare_status pare_tok_add_token(pare_tokenizer *t, const pare_tok_added *token, pare_err *err)
{
    pare_tok_added a = *token;
    if (a.content.n == 0) return PARE_OK;
    if (t->next_id == 0) t->next_id = (int32_t)t->vocab.count;
    a.id = find_exact(&t->plain, a.content); /* contents by id, while tokens are being added */
    if (a.id < 0) a.id = pare_tok_vocab_find(&t->vocab, a.content.at, a.content.n);
    if (a.id < 0) a.id = t->next_id++;
    if (a.id >= PARE_TOK_MAX_ID) return pare_fail(err, PARE_ERR_FORMAT, "%s: too many tokens", t->where);
    pare_status st = pare_tok_trie_add(&t->plain, a.content.at, a.content.n, a.id, err);
    if (st != PARE_OK) return st;
    for (size_t i = t->added.n; i-- > 0 && t->added.at[i].id >= a.id;) {
        if (t->added.at[i].id != a.id) continue;
        t->added.at[i] = a;
        return PARE_OK;
    }
    if (!PARE_VEC_PUSH(&t->added, a)) return pare_no_memory(err, t->where, sizeof a);
    for (size_t i = t->added.n - 1; i > 0 && t->added.at[i - 1].id > a.id; i--) {
        t->added.at[i] = t->added.at[i - 1];
        t->added.at[i - 1] = a;
    }
    return PARE_OK;
}

/* The form that a token has after normalization. */
static pare_status form_of(pare_tokenizer *t, pare_tok_added *a, pare_tok_scratch *s, pare_err *err)
{
    pare_tspan form;
    int flags;
    a->form = a->content;
    if (!a->normalized || t->norm.n == 0) return PARE_OK;
    pare_status st = pare_tok_normalize(t, s, a->content, &form, &flags, err);
    if (st != PARE_OK || pare_tspan_same(form, a->content)) return st;
    a->form = (pare_tspan){pare_arena_strndup(&t->arena, form.at, form.n), form.n};
    return a->form.at ? PARE_OK : pare_no_memory(err, t->where, form.n);
}

pare_status pare_tok_finish(pare_tokenizer *t, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_tok_scratch *s = NULL;
    pare_tok_trie_clear(&t->plain);
    PARE_TRY(pare_tok_scratch_new(&s, err));
    for (size_t i = 0; i < t->added.n; i++) {
        pare_tok_added *a = &t->added.at[i];
        PARE_TRY(form_of(t, a, s, err));
        if (a->special) PARE_TRY(pare_tok_trie_add(&t->specials, a->content.at, a->content.n, (int32_t)i, err));
        if (a->form.n == 0) continue;
        PARE_TRY(pare_tok_trie_add(a->normalized ? &t->normal : &t->plain, a->form.at, a->form.n, (int32_t)i, err));
        t->begins[a->normalized][(uint8_t)a->form.at[0]] = true;
    }
    t->size = (int64_t)t->vocab.size;
    if (t->added.n && t->added.at[t->added.n - 1].id >= t->size) t->size = t->added.at[t->added.n - 1].id + 1;
    /* BOS and EOS as the template has them, unless a file says so. */
    const pare_tok_part *p = t->post.single.at;
    size_t n = t->post.single.n, a = 0;
    while (a < n && p[a].what != PARE_TOK_PART_A) a++;
    if (t->bos < 0 && a > 0 && a < n) t->bos = p[0].id;
    if (t->eos < 0 && a + 1 < n) t->eos = p[n - 1].id;
out:
    pare_tok_scratch_free(s);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------- matching */

static bool word_before(pare_tspan text, size_t at) /* does a word character end at `at`? */
{
    size_t i = at, n;
    while (i > 0 && ((uint8_t)text.at[i - 1] & 0xC0) == 0x80) i--;
    return i > 0 && pare_tok_is_word(pare_tok_char(text.at + i - 1, &n));
}

static size_t spaces_before(pare_tspan text, size_t at)
{
    while (at > 0) {
        size_t i = at - 1, n;
        while (i > 0 && ((uint8_t)text.at[i] & 0xC0) == 0x80) i--;
        if (!pare_tok_is_space(pare_tok_char(text.at + i, &n))) break;
        at = i;
    }
    return at;
}

static size_t spaces_after(pare_tspan text, size_t at)
{
    for (size_t n; at < text.n && pare_tok_is_space(pare_tok_char(text.at + at, &n)); at += n) continue;
    return at;
}

/* The longest token that begins at `at`: its index and end. */
static int32_t longest(const pare_tok_trie *trie, pare_tspan text, size_t at, size_t *end)
{
    int32_t best = -1;
    uint32_t node = 0;
    while (at < text.n && (node = pare_tok_trie_step(trie, node, (uint8_t)text.at[at])) != 0) {
        at++;
        if (trie->value[node] >= 0) best = trie->value[node], *end = at;
    }
    return best;
}

bool pare_tok_next_added(const pare_tokenizer *t, bool normalized, pare_tspan text, size_t *pos, size_t from, size_t *begin, size_t *end, int32_t *id)
{
    const pare_tok_trie *trie = normalized ? &t->normal : &t->plain;
    if (trie->nodes == 0) return false;
    while (*pos < text.n) {
        size_t at = *pos, stop = 0;
        if (!t->begins[normalized][(uint8_t)text.at[at]]) {
            ++*pos;
            continue;
        }
        int32_t found = longest(trie, text, at, &stop);
        if (found < 0) {
            ++*pos;
            continue;
        }
        *pos = stop;
        const pare_tok_added *a = &t->added.at[found];
        if (a->single_word) {
            size_t n;
            bool glued = word_before(text, at) || (stop < text.n && pare_tok_is_word(pare_tok_char(text.at + stop, &n)));
            if (glued) continue;
        }
        *begin = a->lstrip ? spaces_before(text, at) : at;
        if (*begin < from) *begin = from;
        *end = a->rstrip ? spaces_after(text, stop) : stop;
        *id = a->id;
        return true;
    }
    return false;
}

const pare_tok_added *pare_tok_added_of(const pare_tokenizer *t, int32_t id)
{
    size_t low = 0, n = t->added.n;
    while (n > 0) {
        size_t half = n / 2;
        int32_t there = t->added.at[low + half].id;
        if (there == id) return &t->added.at[low + half];
        if (there < id) low += half + 1, n -= half + 1;
        else n = half;
    }
    return NULL;
}
