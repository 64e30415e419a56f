/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizers that look at one character at a time: Lowercase, StripAccents, Strip, Nmt, ByteLevel, Prepend. */
#include "text/tok.h"

static pare_status lowercase(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    (void)self, (void)s, (void)flags, (void)err;
    size_t n;
    for (size_t i = 0; i < in.n; i += n) pare_tok_push_lower(out, pare_tok_char(in.at + i, &n));
    return PARE_OK;
}

static pare_status strip_accents(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    (void)self, (void)s, (void)err;
    size_t n;
    for (size_t i = 0; i < in.n; i += n) {
        if (!pare_tok_is_mark(pare_tok_char(in.at + i, &n))) pare_tok_push(out, in.at + i, n);
        else if (i == 0) *flags |= PARE_TOK_HEAD_LOST;
    }
    return PARE_OK;
}

const pare_tok_norm pare_norm_lowercase = {.type = "Lowercase", .run = lowercase};
const pare_tok_norm pare_norm_strip_accents = {.type = "StripAccents", .run = strip_accents};

/* ---------------------------------------------------------------------------------------------------------------- Strip */

typedef struct strip { bool left, right; } strip;

static pare_status parse_strip(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    strip *p = NULL;
    pare_status st = pare_tok_alloc(t, sizeof *p, &p, err);
    if (st != PARE_OK) return st;
    *self = p;
    p->left = pare_j_bool(pare_j_get(v, "strip_left"), false);
    p->right = pare_j_bool(pare_j_get(v, "strip_right"), false);
    return PARE_OK;
}

static pare_status run_strip(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    const strip *p = self;
    size_t begin = 0, end = in.n, n;
    (void)s, (void)err;
    while (p->left && begin < end && pare_tok_is_space(pare_tok_char(in.at + begin, &n))) begin += n;
    while (p->right && end > begin) {
        size_t last = end - 1;
        while (last > begin && ((uint8_t)in.at[last] & 0xC0) == 0x80) last--;
        if (!pare_tok_is_space(pare_tok_char(in.at + last, &n))) break;
        end = last;
    }
    if (begin > 0) *flags |= PARE_TOK_HEAD_LOST;
    pare_tok_push(out, in.at + begin, end - begin);
    return PARE_OK;
}

const pare_tok_norm pare_norm_strip = {.type = "Strip", .parse = parse_strip, .run = run_strip};

/* ------------------------------------------------------------------------------------------------------------------ Nmt */

static pare_status nmt(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    (void)self, (void)s, (void)err;
    size_t n;
    for (size_t i = 0; i < in.n; i += n) {
        uint32_t c = pare_tok_char(in.at + i, &n);
        bool gone = (c >= 1 && c <= 8) || c == 11 || (c >= 14 && c <= 31) || c == 0x7F || c == 0x8F || c == 0x9F;
        bool space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                     c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
        if (gone && i == 0) *flags |= PARE_TOK_HEAD_LOST;
        if (gone) continue;
        pare_tok_push(out, space ? " " : in.at + i, space ? 1 : n);
    }
    return PARE_OK;
}

const pare_tok_norm pare_norm_nmt = {.type = "Nmt", .run = nmt};

/* --------------------------------------------------------------------------------------------------- ByteLevel, Prepend */

static pare_status byte_level(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    (void)self, (void)s, (void)flags, (void)err;
    for (size_t i = 0; i < in.n; i++) {
        const char *c = pare_tok_byte_text[(uint8_t)in.at[i]];
        pare_tok_push(out, c, c[1] ? 2 : 1);
    }
    return PARE_OK;
}

const pare_tok_norm pare_norm_byte_level = {.type = "ByteLevel", .run = byte_level};

static pare_status parse_prepend(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    pare_tspan *text = NULL;
    pare_status st = pare_tok_alloc(t, sizeof *text, &text, err);
    *self = text;
    return st == PARE_OK ? pare_tok_get_text(t, v, "prepend", text, err) : st;
}

static pare_status prepend(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    const pare_tspan *text = self;
    (void)s, (void)flags, (void)err;
    if (in.n == 0) return PARE_OK;
    pare_tok_push(out, text->at, text->n);
    pare_tok_push(out, in.at, in.n);
    return PARE_OK;
}

const pare_tok_norm pare_norm_prepend = {.type = "Prepend", .parse = parse_prepend, .run = prepend};
