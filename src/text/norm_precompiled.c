/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SentencePiece's compiled normalization: a double array (Darts) from text to offsets, and the replacements, each ended by NUL.
 *
 *   u32 bytes of the array | u32 units[] | text \0 text \0 ...
 *   unit: bits 0-7 label, 8 has a leaf, 9 offset is << 8, 10-30 offset; bit 31: a leaf's value in bits 0-30
 *
 * The library looks at grapheme clusters: a short one is replaced as a whole by what its first matching prefix stands for,
 * others character by character.
 */
#include <utf8proc.h>
#include "text/tok.h"

typedef struct charsmap {
    uint32_t *units;
    size_t n_units;
    pare_tspan text;
} charsmap;

static pare_status decode_base64(const char *in, uint8_t *out, size_t *n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t value[256];
    memset(value, 0xFF, sizeof value);
    for (int i = 0; i < 64; i++) value[(uint8_t)digits[i]] = (uint8_t)i;
    size_t len = strlen(in), count = 0;
    if (len % 4) return PARE_ERR_FORMAT;
    while (len > 0 && in[len - 1] == '=' && count < 2) len--, count++;
    *n = 0;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t bits = 0;
        size_t k = len - i < 4 ? len - i : 4;
        for (size_t j = 0; j < 4; j++) {
            uint8_t d = j < k ? value[(uint8_t)in[i + j]] : 0;
            if (d == 0xFF) return PARE_ERR_FORMAT;
            bits = bits << 6 | d;
        }
        for (size_t j = 0; j + 1 < k; j++) out[(*n)++] = (uint8_t)(bits >> (16 - 8 * j));
    }
    return PARE_OK;
}

static pare_status read_map(pare_tokenizer *t, const uint8_t *blob, size_t n, void **self, pare_err *err)
{
    charsmap *m = NULL;
    pare_status st = pare_tok_alloc(t, sizeof *m, &m, err);
    if (st != PARE_OK) return st;
    size_t bytes = n >= 4 ? pare_le32(blob) : 0;
    if (n < 8 || bytes > n - 4 || bytes % 4 || bytes == 0)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: Precompiled: an array of %zu bytes in a map of %zu", t->where, bytes, n);
    m->n_units = bytes / 4;
    st = pare_tok_alloc(t, bytes, &m->units, err);
    if (st != PARE_OK) return st;
    for (size_t i = 0; i < m->n_units; i++) m->units[i] = pare_le32(blob + 4 + 4 * i);
    m->text.n = n - 4 - bytes;
    m->text.at = pare_arena_strndup(&t->arena, (const char *)blob + 4 + bytes, m->text.n);
    if (!m->text.at) return pare_no_memory(err, t->where, m->text.n);
    if (!pare_utf8_valid(m->text.at, m->text.n)) return pare_fail(err, PARE_ERR_FORMAT, "%s: Precompiled: the replacements are not UTF-8", t->where);
    *self = m;
    return PARE_OK;
}

static pare_status parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    const char *text = pare_j_text(pare_j_get(v, "precompiled_charsmap"), NULL);
    if (!text) return pare_fail(err, PARE_ERR_FORMAT, "%s: Precompiled: 'precompiled_charsmap' is missing or no text", t->where);
    size_t n = strlen(text);
    uint8_t *blob = pare_alloc(n + 1);
    if (!blob) return pare_no_memory(err, t->where, n);
    pare_status st = decode_base64(text, blob, &n);
    if (st != PARE_OK) pare_fail(err, st, "%s: Precompiled: 'precompiled_charsmap' is no base64", t->where);
    else st = read_map(t, blob, n, self, err);
    pare_dealloc(blob);
    return st;
}

static inline uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

/* What the shortest prefix of text that has an entry becomes. */
static bool find_prefix(const charsmap *m, pare_tspan text, pare_tspan *out)
{
    uint32_t node = offset_of(m->units[0]);
    for (size_t i = 0; i < text.n && text.at[i]; i++) {
        node ^= (uint8_t)text.at[i];
        if (node >= m->n_units) return false;
        uint32_t unit = m->units[node];
        if ((unit & 0x800000FFu) != (uint8_t)text.at[i]) return false;
        node ^= offset_of(unit);
        if (node >= m->n_units) return false;
        if (!(unit >> 8 & 1)) continue;
        uint32_t at = m->units[node] & 0x7FFFFFFFu;
        if (at >= m->text.n) return false;
        *out = (pare_tspan){m->text.at + at, strlen(m->text.at + at)};
        /* A hostile map may point into the middle of a character. */
        return ((uint8_t)*out->at & 0xC0) != 0x80;
    }
    return false;
}

static size_t cluster_bytes(pare_tspan text, size_t at)
{
    size_t n, end = at;
    utf8proc_int32_t state = 0;
    uint32_t c = pare_tok_char(text.at + at, &n);
    end += n;
    while (end < text.n) {
        uint32_t next = pare_tok_char(text.at + end, &n);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)c, (utf8proc_int32_t)next, &state)) break;
        end += n;
        c = next;
    }
    return end - at;
}

static pare_status run(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    const charsmap *m = self;
    size_t n, k;
    (void)s, (void)flags, (void)err;
    for (size_t i = 0; i < in.n; i += n) {
        pare_tspan to;
        /* ASCII before ASCII is a cluster of its own, CR LF apart. */
        bool alone = (uint8_t)in.at[i] < 0x80 && in.at[i] != '\r' && (i + 1 == in.n || (uint8_t)in.at[i + 1] < 0x80);
        n = alone ? 1 : cluster_bytes(in, i);
        if (n < 6 && find_prefix(m, (pare_tspan){in.at + i, n}, &to)) {
            pare_tok_push(out, to.at, to.n);
            continue;
        }
        for (size_t c = 0; c < n; c += k) {
            k = pare_tok_char_bytes(in.at[i + c]);
            bool found = find_prefix(m, (pare_tspan){in.at + i + c, k}, &to);
            pare_tok_push(out, found ? to.at : in.at + i + c, found ? to.n : k);
        }
    }
    return PARE_OK;
}

const pare_tok_norm pare_norm_precompiled = {.type = "Precompiled", .parse = parse, .run = run};
