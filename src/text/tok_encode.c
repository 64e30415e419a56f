/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to ids. Pieces go depth first through the pre-tokenizers into the model, so no list of them is kept; ids of pieces that
 * were met before come from the scratch's cache.
 */
#include "text/tok.h"

/* --------------------------------------------------------------------------------------------------------------- scratch */

pare_status pare_tok_scratch_new(pare_tok_scratch **out, pare_err *err)
{
    *out = pare_alloc_zero(1, sizeof **out);
    return *out ? PARE_OK : pare_no_memory(err, "tokenizer", sizeof **out);
}

void pare_tok_scratch_free(pare_tok_scratch *s)
{
    if (!s) return;
    pare_str_clear(&s->fixed);
    pare_str_clear(&s->norm[0]);
    pare_str_clear(&s->norm[1]);
    for (int i = 0; i < PARE_TOK_MAX_STAGES; i++) pare_str_clear(&s->stage[i]);
    pare_str_clear(&s->mapped);
    pare_str_clear(&s->word);
    PARE_VEC_CLEAR(&s->code);
    PARE_VEC_CLEAR(&s->code2);
    pare_tok_matcher_free(s->matcher);
    pare_tok_cache_clear(&s->cache);
    pare_dealloc(s->work);
    pare_dealloc(s);
}

pare_status pare_tok_work(pare_tok_scratch *s, size_t bytes, void *out, pare_err *err)
{
    if (bytes > s->work_cap) {
        size_t cap = bytes + bytes / 2;
        pare_dealloc(s->work);
        s->work_cap = 0;
        s->work = pare_alloc(cap);
        if (!s->work) return pare_no_memory(err, "tokenizer", cap);
        s->work_cap = cap;
    }
    *(void **)out = s->work;
    return PARE_OK;
}

/* A buffer that has grown very large is given back: one long document must not keep its memory for ever. */
static void rewind_text(pare_str *s)
{
    if (s->cap > 4u << 20) pare_str_clear(s);
    s->n = 0;
    s->failed = false;
}

/* ---------------------------------------------------------------------------------------------------------------- model */

static pare_status run_model(pare_tok_scratch *s, pare_piece piece, pare_err *err)
{
    const pare_tokenizer *t = s->t;
    pare_tspan text = {piece.at, piece.n};
    if (piece.raw && t->model->encode_raw) return t->model->encode_raw(t->model_self, t, s, text, s->out, err);
    if (piece.raw) {
        s->mapped.n = 0;
        for (size_t i = 0; i < piece.n; i++) {
            const char *c = pare_tok_byte_text[(uint8_t)piece.at[i]];
            pare_tok_push(&s->mapped, c, c[1] ? 2 : 1);
        }
        pare_status st = pare_tok_text_failed(&s->mapped, "byte-level text", err);
        if (st != PARE_OK) return st;
        text = (pare_tspan){s->mapped.at, s->mapped.n};
    }
    return t->model->encode(t->model_self, t, s, text, s->out, err);
}

static pare_status cached_model(pare_tok_scratch *s, pare_piece piece, pare_err *err)
{
    uint32_t n;
    if (piece.n > 255) return run_model(s, piece, err);
    uint64_t hash = pare_tok_hash(piece.at, piece.n);
    const int32_t *known = pare_tok_cache_find(&s->cache, hash, piece.at, piece.n, &n);
    if (known && n == 0) return PARE_OK;
    if (known) {
        if (s->out->cap - s->out->n < n && !pare_vec_grow((void **)&s->out->at, &s->out->cap, s->out->n + n, sizeof *s->out->at))
            return pare_no_memory(err, "token ids", n);
        memcpy(s->out->at + s->out->n, known, n * sizeof *known);
        s->out->n += n;
        return PARE_OK;
    }
    size_t before = s->out->n;
    pare_status st = run_model(s, piece, err);
    size_t made = st == PARE_OK ? s->out->n - before : 0;
    if (st == PARE_OK) st = pare_tok_cache_put(&s->cache, hash, piece.at, piece.n, made ? s->out->at + before : NULL, made, err);
    return st;
}

pare_status pare_tok_next(pare_tok_scratch *s, int stage, pare_piece piece, pare_err *err)
{
    if (piece.n == 0) return PARE_OK;
    if (stage == s->t->pre.n) return cached_model(s, piece, err);
    const pare_tok_step *step = &s->t->pre.at[stage];
    return ((const pare_tok_pre *)step->ops)->split(step->self, s, stage, piece, err);
}

/* -------------------------------------------------------------------------------------------------------- normalization */

pare_status pare_tok_normalize(const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_tspan *out, int *flags, pare_err *err)
{
    int at = 0;
    *flags = 0;
    for (int i = 0; i < t->norm.n; i++) {
        const pare_tok_step *step = &t->norm.at[i];
        pare_str *to = &s->norm[at];
        int f = 0;
        to->n = 0;
        pare_status st = ((const pare_tok_norm *)step->ops)->run(step->self, s, in, to, &f, err);
        if (st == PARE_OK) st = pare_tok_text_failed(to, "normalized text", err);
        if (st != PARE_OK) return st;
        *flags |= f & PARE_TOK_HEAD_LOST;
        if (f & PARE_TOK_SAME) continue;
        in = (pare_tspan){to->at ? to->at : "", to->n};
        at = !at;
    }
    *out = in;
    return PARE_OK;
}

static pare_status push_id(pare_ids *out, int32_t id, pare_err *err)
{
    return PARE_VEC_PUSH(out, id) ? PARE_OK : pare_no_memory(err, "token ids", out->n * sizeof id);
}

/* A piece of text without plain added tokens. */
static pare_status encode_segment(const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, bool start, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_tspan text;
    int flags;
    if (in.n == 0) return PARE_OK;
    PARE_TRY(pare_tok_normalize(t, s, in, &text, &flags, err));
    if (flags & PARE_TOK_HEAD_LOST) start = false;
    size_t pos = 0, from = 0, begin, end;
    int32_t id;
    while (pare_tok_next_added(t, true, text, &pos, from, &begin, &end, &id)) {
        if (from < begin) PARE_TRY(pare_tok_next(s, 0, (pare_piece){text.at + from, begin - from, start && from == 0, false}, err));
        PARE_TRY(push_id(s->out, id, err));
        from = end;
    }
    if (from < text.n) PARE_TRY(pare_tok_next(s, 0, (pare_piece){text.at + from, text.n - from, start && from == 0, false}, err));
out:
    return st;
}

static pare_status encode_text(const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan text, pare_err *err)
{
    pare_status st = PARE_OK;
    size_t pos = 0, from = 0, begin, end;
    int32_t id;
    while (pare_tok_next_added(t, false, text, &pos, from, &begin, &end, &id)) {
        if (from < begin) PARE_TRY(encode_segment(t, s, (pare_tspan){text.at + from, begin - from}, from == 0, err));
        PARE_TRY(push_id(s->out, id, err));
        from = end;
    }
    if (from < text.n) PARE_TRY(encode_segment(t, s, (pare_tspan){text.at + from, text.n - from}, from == 0, err));
out:
    return st;
}

/* Malformed UTF-8 becomes U+FFFD, one for each maximal part of a character, as in Python. */
static size_t malformed_bytes(const uint8_t *p, size_t n)
{
    size_t want = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : p[0] >= 0xE0 && p[0] <= 0xEF ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 1, k = 1;
    uint8_t low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80, high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    for (; k < want && k < n && p[k] >= low && p[k] <= high; k++) low = 0x80, high = 0xBF;
    return k;
}

static pare_status valid_text(pare_tok_scratch *s, pare_tspan in, pare_tspan *out, pare_err *err)
{
    size_t from = 0, n;
    *out = in;
    s->fixed.n = 0;
    for (size_t i = 0; i < in.n; i += n) {
        for (; in.n - i >= 8; i += 8) { /* eight of ASCII at a time */
            uint64_t eight;
            memcpy(&eight, in.at + i, 8);
            if (eight & 0x8080808080808080u) break;
        }
        if (i == in.n) break;
        n = pare_utf8_length(in.at + i, in.n - i);
        if (n) continue;
        n = malformed_bytes((const uint8_t *)in.at + i, in.n - i);
        pare_tok_push(&s->fixed, in.at + from, i - from);
        pare_tok_push(&s->fixed, "\xEF\xBF\xBD", 3);
        from = i + n;
    }
    if (from == 0 && s->fixed.n == 0) return PARE_OK;
    pare_tok_push(&s->fixed, in.at + from, in.n - from);
    *out = (pare_tspan){s->fixed.at, s->fixed.n};
    return pare_tok_text_failed(&s->fixed, "text", err);
}

/* ------------------------------------------------------------------------------------------------------------ templates */

static pare_status encode_sequence(const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err)
{
    pare_tspan text;
    s->t = t;
    s->out = out;
    if (s->serial != t->serial) pare_tok_cache_empty(&s->cache);
    s->serial = t->serial;
    pare_status st = valid_text(s, in, &text, err);
    if (st == PARE_OK) st = encode_text(t, s, text, err);
    s->t = NULL;
    s->out = NULL;
    rewind_text(&s->fixed);
    rewind_text(&s->norm[0]);
    rewind_text(&s->norm[1]);
    rewind_text(&s->mapped);
    for (int i = 0; i < PARE_TOK_MAX_STAGES; i++) rewind_text(&s->stage[i]);
    return st;
}

static pare_status fill_types(pare_ids *types, size_t n, int32_t type, pare_err *err)
{
    pare_status st = PARE_OK;
    while (types && st == PARE_OK && types->n < n) st = push_id(types, type, err);
    return st;
}

static pare_status run_template(const pare_tokenizer *t, const pare_tok_part *part, size_t n_parts, const pare_tspan text[2], bool special,
                                pare_tok_scratch *s, pare_ids *out, pare_ids *types, pare_err *err)
{
    pare_status st = PARE_OK;
    size_t shift = types ? out->n - types->n : 0; /* the caller's lists may differ in length */
    for (size_t i = 0; i < n_parts; i++) {
        if (part[i].what != PARE_TOK_PART_ID) PARE_TRY(encode_sequence(t, s, text[part[i].what == PARE_TOK_PART_B], out, err));
        else if (special) PARE_TRY(push_id(out, part[i].id, err));
        PARE_TRY(fill_types(types, out->n - shift, part[i].type, err));
    }
out:
    return st;
}

static pare_status encode(const pare_tokenizer *t, const pare_tspan text[2], bool pair, bool special, pare_tok_scratch *scratch, pare_ids *out,
                          pare_ids *types, pare_err *err)
{
    static const pare_tok_part plain[] = {{PARE_TOK_PART_A, 0, 0}, {PARE_TOK_PART_B, 0, 1}};
    pare_status st = PARE_OK;
    pare_tok_scratch *own = NULL;
    size_t before = out->n, types_before = types ? types->n : 0;
    if (!scratch) PARE_TRY(pare_tok_scratch_new(&own, err));
    pare_tok_scratch *s = scratch ? scratch : own;
    if (!t->post.set) PARE_TRY(run_template(t, plain, pair ? 2 : 1, text, special, s, out, types, err));
    else if (pair) PARE_TRY(run_template(t, t->post.pair.at, t->post.pair.n, text, special, s, out, types, err));
    else PARE_TRY(run_template(t, t->post.single.at, t->post.single.n, text, special, s, out, types, err));
out:
    if (st != PARE_OK) {
        out->n = before;
        if (types) types->n = types_before;
    }
    pare_tok_scratch_free(own);
    return st;
}

pare_status pare_tokenizer_encode(const pare_tokenizer *t, const char *text, size_t n, bool special, pare_tok_scratch *scratch, pare_ids *out, pare_err *err)
{
    const pare_tspan texts[2] = {{n ? text : "", n}, {"", 0}};
    return encode(t, texts, false, special, scratch, out, NULL, err);
}

pare_status pare_tokenizer_encode_pair(const pare_tokenizer *t, const char *a, size_t na, const char *b, size_t nb, bool special, pare_tok_scratch *scratch,
                                       pare_ids *out, pare_ids *types, pare_err *err)
{
    const pare_tspan texts[2] = {{na ? a : "", na}, {nb ? b : "", nb}};
    return encode(t, texts, true, special, scratch, out, types, err);
}
