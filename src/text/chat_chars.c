/* SPDX-License-Identifier: Apache-2.0 */
/* Characters as Python's str has them: white space, case, what repr() prints, lines. */
#include <utf8proc.h>
#include "text/chat.h"

size_t chat_char(chat_text t, size_t at, uint32_t *c)
{
    const size_t n = at < t.n ? pare_utf8_length(t.at + at, t.n - at) : 0;
    const unsigned char *s = (const unsigned char *)t.at + at;
    *c = at < t.n ? s[0] : 0;
    if (n == 2) *c = (s[0] & 31u) << 6 | (s[1] & 63u);
    if (n == 3) *c = (s[0] & 15u) << 12 | (s[1] & 63u) << 6 | (s[2] & 63u);
    if (n == 4) *c = (s[0] & 7u) << 18 | (s[1] & 63u) << 12 | (s[2] & 63u) << 6 | (s[3] & 63u);
    return n ? n : at < t.n;
}

size_t chat_length(chat_text t)
{
    size_t count = 0;
    uint32_t c;
    for (size_t at = 0; at < t.n; at += chat_char(t, at, &c)) count++;
    return count;
}

void chat_push_char(pare_str *s, uint32_t c)
{
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)c, bytes);
    pare_str_addn(s, (const char *)bytes, (size_t)n);
}

bool chat_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool stripped(uint32_t c, const chat_text *chars)
{
    uint32_t d;
    if (!chars) return chat_is_space(c);
    for (size_t at = 0; at < chars->n;) {
        at += chat_char(*chars, at, &d);
        if (c == d) return true;
    }
    return false;
}

/* Where the last character begins. */
static size_t last_char(chat_text t)
{
    uint32_t c;
    for (size_t back = t.n < 4 ? t.n : 4; back > 1; back--)
        if (chat_char(t, t.n - back, &c) == back) return t.n - back;
    return t.n - 1;
}

chat_text chat_strip(chat_text t, const chat_text *chars, bool left, bool right)
{
    uint32_t c;
    size_t n;
    while (left && t.n && (n = chat_char(t, 0, &c), stripped(c, chars))) t.at += n, t.n -= n;
    while (right && t.n && (n = last_char(t), chat_char(t, n, &c), stripped(c, chars))) t.n = n;
    return t;
}

/* Characters whose upper or title case is several characters (SpecialCasing of Unicode, the unconditional rows). */
static const struct { uint32_t c; uint16_t upper[3], title[3]; } special[] = {
#define SPECIAL(c, u0, u1, u2, t0, t1, t2) { c, { u0, u1, u2 }, { t0, t1, t2 } },
#include "text/chat_case.def"
#undef SPECIAL
};

void chat_push_case(pare_str *s, uint32_t c, chat_case how)
{
    if (c < 128) {
        const bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';
        const char b = (char)(letter ? how == CHAT_LOWER ? c | 32 : c & ~32u : c);
        pare_str_addn(s, &b, 1);
        return;
    }
    if (how == CHAT_LOWER) {
        chat_push_char(s, c == 0x130 ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
        if (c == 0x130) chat_push_char(s, 0x307);
        return;
    }
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (special[i].c != c) continue;
        const uint16_t *to = how == CHAT_UPPER ? special[i].upper : special[i].title;
        for (int k = 0; k < 3 && to[k]; k++) chat_push_char(s, to[k]);
        return;
    }
    chat_push_char(s, (uint32_t)(how == CHAT_UPPER ? utf8proc_toupper((utf8proc_int32_t)c) : utf8proc_totitle((utf8proc_int32_t)c)));
}

bool chat_is_cased(uint32_t c, bool *upper)
{
    const utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    const bool up = k == UTF8PROC_CATEGORY_LU || utf8proc_isupper((utf8proc_int32_t)c);
    *upper = up;
    return up || k == UTF8PROC_CATEGORY_LT || k == UTF8PROC_CATEGORY_LL || utf8proc_islower((utf8proc_int32_t)c);
}

bool chat_is_letter(uint32_t c)
{
    const utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool chat_is_digit(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND; }

bool chat_is_printable(uint32_t c)
{
    const utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return c == ' ' || !(k == UTF8PROC_CATEGORY_CN || k >= UTF8PROC_CATEGORY_ZS);
}

static bool breaks_line(uint32_t c) { return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029; }

size_t chat_line(chat_text t, size_t at, size_t *end)
{
    uint32_t c = 0;
    size_t n = 0;
    while (at < t.n && (n = chat_char(t, at, &c), !breaks_line(c))) at += n;
    *end = at;
    if (at >= t.n) return at;
    at += n;
    return at + (c == '\r' && at < t.n && t.at[at] == '\n');
}
