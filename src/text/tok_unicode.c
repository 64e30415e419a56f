/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Characters. The parts of the tokenizers library follow Unicode versions of their own, from 8 to 17, and "identical ids" means
 * theirs, whatever utf8proc knows: the classes below come from a table that was measured (tok_classes.def). The rest
 * (categories for \w, lower case) is utf8proc's, with what is newer than its version 15 added.
 */
#include <utf8proc.h>
#include "text/tok.h"

typedef struct range { uint32_t first, last; } range;

#define PUNCTUATION(a, b)
#define NUMERIC(a, b)
#define OTHER(a, b)
#define MARK(a, b)
#define NONSPACING(a, b)
#define NEWER(category, a, b)

#undef PUNCTUATION
#define PUNCTUATION(a, b) {a, b},
static const range punctuation[] = {
#include "text/tok_classes.def"
};
#undef PUNCTUATION
#define PUNCTUATION(a, b)

#undef NUMERIC
#define NUMERIC(a, b) {a, b},
static const range numeric[] = {
#include "text/tok_classes.def"
};
#undef NUMERIC
#define NUMERIC(a, b)

#undef OTHER
#define OTHER(a, b) {a, b},
static const range other[] = {
#include "text/tok_classes.def"
};
#undef OTHER
#define OTHER(a, b)

#undef MARK
#define MARK(a, b) {a, b},
static const range mark[] = {
#include "text/tok_classes.def"
};
#undef MARK
#define MARK(a, b)

#undef NONSPACING
#define NONSPACING(a, b) {a, b},
static const range nonspacing[] = {
#include "text/tok_classes.def"
};
#undef NONSPACING
#define NONSPACING(a, b)

#undef NEWER
#define NEWER(category, a, b) {a, b, #category},
static const struct newer { uint32_t first, last; char category[3]; } newer[] = {
#include "text/tok_classes.def"
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static bool is_in(const range *table, size_t n, uint32_t c)
{
    size_t low = 0;
    while (n > 1) { /* the last range that begins at or before c */
        size_t half = n / 2;
        if (table[low + half].first <= c) low += half;
        n -= half;
    }
    return c >= table[low].first && c <= table[low].last;
}

bool pare_tok_is_punctuation(uint32_t c) { return is_in(punctuation, COUNT(punctuation), c); }
bool pare_tok_is_other(uint32_t c) { return is_in(other, COUNT(other), c); }
bool pare_tok_is_mark(uint32_t c) { return c >= 0x300 && is_in(mark, COUNT(mark), c); }
bool pare_tok_is_nonspacing(uint32_t c) { return c >= 0x300 && is_in(nonspacing, COUNT(nonspacing), c); }

bool pare_tok_is_numeric(uint32_t c)
{
    if (c < 0x80) return c >= '0' && c <= '9';
    return is_in(numeric, COUNT(numeric), c);
}

bool pare_tok_is_space(uint32_t c)
{
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

static const char *newer_category(uint32_t c)
{
    for (size_t i = 0; i < COUNT(newer) && newer[i].first <= c; i++)
        if (c <= newer[i].last) return newer[i].category;
    return NULL;
}

/* Alphabetic, marks, decimal digits, connectors, joiners; alphabetic symbols are circled and squared letters. */
bool pare_tok_is_word(uint32_t c)
{
    if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9)) return true;
    if ((c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189)) return true;
    const char *category = utf8proc_category_string((utf8proc_int32_t)c);
    if (category[0] == 'C' && c >= 0x800) {
        const char *added = newer_category(c);
        if (added) category = added;
    }
    return category[0] == 'L' || category[0] == 'M' || !memcmp(category, "Nd", 2) || !memcmp(category, "Nl", 2) || !memcmp(category, "Pc", 2);
}

/* Lower case beyond Unicode 15, and the one letter whose lower case is two characters. */
static const struct lower { uint32_t first, last, to; } lower[] = {
    {0x1C89, 0x1C89, 0x1C8A}, {0xA7CB, 0xA7CB, 0x264}, {0xA7CC, 0xA7CC, 0xA7CD}, {0xA7CE, 0xA7CE, 0xA7CF}, {0xA7D2, 0xA7D2, 0xA7D3},
    {0xA7D4, 0xA7D4, 0xA7D5}, {0xA7DA, 0xA7DA, 0xA7DB}, {0xA7DC, 0xA7DC, 0x19B}, {0x10D50, 0x10D65, 0x10D70}, {0x16EA0, 0x16EB8, 0x16EBB},
};

void pare_tok_push_lower(pare_str *s, uint32_t c)
{
    if (c < 0x80) {
        char lowered = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        pare_tok_push(s, &lowered, 1);
        return;
    }
    if (c == 0x130) {
        pare_tok_push(s, "i\xCC\x87", 3);
        return;
    }
    for (size_t i = 0; c >= lower[0].first && i < COUNT(lower); i++)
        if (c >= lower[i].first && c <= lower[i].last) return pare_tok_push_char(s, lower[i].to + (c - lower[i].first));
    pare_tok_push_char(s, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

void pare_tok_newer_ranges(const char *category, pare_str *out)
{
    size_t n = strlen(category);
    for (size_t i = 0; i < COUNT(newer); i++)
        if (n <= 2 && !strncmp(newer[i].category, category, n)) pare_str_printf(out, "\\x{%x}-\\x{%x}", newer[i].first, newer[i].last);
}

/* ------------------------------------------------------------------------------------------------------------- UTF-8 text */

bool pare_tok_reserve(pare_str *s, size_t more)
{
    size_t need;
    if (s->failed) return false;
    if (!pare_add_size(s->n, more, &need) || need > SIZE_MAX / 4) return s->failed = true, false;
    if (need < s->cap) return true;
    size_t cap = s->cap * 2 > need + 64 ? s->cap * 2 : need + 64;
    char *at = pare_realloc(s->at, cap);
    if (!at) return s->failed = true, false;
    s->at = at;
    s->cap = cap;
    return true;
}

void pare_tok_push_char(pare_str *s, uint32_t c)
{
    char b[4];
    size_t n = 1;
    if (c < 0x80) {
        b[0] = (char)c;
    } else if (c < 0x800) {
        b[0] = (char)(0xC0 | c >> 6), b[1] = (char)(0x80 | (c & 63)), n = 2;
    } else if (c < 0x10000) {
        b[0] = (char)(0xE0 | c >> 12), b[1] = (char)(0x80 | (c >> 6 & 63)), b[2] = (char)(0x80 | (c & 63)), n = 3;
    } else {
        b[0] = (char)(0xF0 | c >> 18), b[1] = (char)(0x80 | (c >> 12 & 63)), b[2] = (char)(0x80 | (c >> 6 & 63)), b[3] = (char)(0x80 | (c & 63));
        n = 4;
    }
    pare_tok_push(s, b, n);
}

pare_status pare_tok_text_failed(const pare_str *s, const char *what, pare_err *err) { return s->failed ? pare_no_memory(err, what, s->n) : PARE_OK; }

/* ------------------------------------------------------------------------------------------------- the byte-level alphabet */

/* Printable Latin-1 stands for itself; the 68 other bytes, in order, are U+0100 and up. */
#define SELF1(b) {(char)(b), 0, 0}
#define SELF2(b) {(char)(0xC0 | (b) >> 6), (char)(0x80 | ((b) & 63)), 0}
#define UP(k) {(char)(0xC0 | (0x100 + (k)) >> 6), (char)(0x80 | ((0x100 + (k)) & 63)), 0}
#define ROW8(M, b) M(b), M((b) + 1), M((b) + 2), M((b) + 3), M((b) + 4), M((b) + 5), M((b) + 6), M((b) + 7)
#define SEVEN(M, b) M((b) + 1), M((b) + 2), M((b) + 3), M((b) + 4), M((b) + 5), M((b) + 6), M((b) + 7)
const char pare_tok_byte_text[256][3] = {
    ROW8(UP, 0), ROW8(UP, 8), ROW8(UP, 16), ROW8(UP, 24),                                             /* 00-1F */
    UP(32), SEVEN(SELF1, 0x20), ROW8(SELF1, 0x28), ROW8(SELF1, 0x30), ROW8(SELF1, 0x38),              /* 20-3F */
    ROW8(SELF1, 0x40), ROW8(SELF1, 0x48), ROW8(SELF1, 0x50), ROW8(SELF1, 0x58),                       /* 40-5F */
    ROW8(SELF1, 0x60), ROW8(SELF1, 0x68), ROW8(SELF1, 0x70), SELF1(0x78), SELF1(0x79), SELF1(0x7A), SELF1(0x7B), SELF1(0x7C), SELF1(0x7D), SELF1(0x7E), UP(33),
    ROW8(UP, 34), ROW8(UP, 42), ROW8(UP, 50), ROW8(UP, 58), UP(66),                                   /* 80-A0 */
    SEVEN(SELF2, 0xA0), SELF2(0xA8), SELF2(0xA9), SELF2(0xAA), SELF2(0xAB), SELF2(0xAC), UP(67), SELF2(0xAE), SELF2(0xAF),
    ROW8(SELF2, 0xB0), ROW8(SELF2, 0xB8), ROW8(SELF2, 0xC0), ROW8(SELF2, 0xC8), ROW8(SELF2, 0xD0), ROW8(SELF2, 0xD8),
    ROW8(SELF2, 0xE0), ROW8(SELF2, 0xE8), ROW8(SELF2, 0xF0), ROW8(SELF2, 0xF8),
};

int pare_tok_byte_of(uint32_t c)
{
    if (c < 0x100) return (c > 0x20 && c < 0x7F) || (c > 0xA0 && c != 0xAD) ? (int)c : -1;
    c -= 0x100;
    return c <= 32 ? (int)c : c <= 66 ? (int)(0x7F + (c - 33)) : c == 67 ? 0xAD : -1;
}
