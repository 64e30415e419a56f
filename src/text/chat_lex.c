/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Template text to tokens, with trim_blocks and lstrip_blocks on: the newline behind a block or comment goes, and so does
 * white space between the start of a line and a block or comment. {%- and -%} take all white space on their side, {%+ and +%} none.
 */
#include "text/chat.h"

typedef struct lexer {
    pare_arena *arena;
    chat_text s;
    size_t at;
    int line;
    const char *where;
    chat_tokens *out;
    pare_err *err;
    char open[CHAT_MAX_NESTING];   /* brackets that are open, as their closing sides */
    int opened;
} lexer;

static pare_status wrong(const lexer *x, const char *what) { return pare_fail(x->err, PARE_ERR_FORMAT, "%s: line %d: %s", x->where, x->line, what); }

static pare_status push(lexer *x, chat_token t)
{
    t.line = x->line;
    return PARE_VEC_PUSH(x->out, t) ? PARE_OK : pare_no_memory(x->err, "tokens of a chat template", x->out->n * sizeof t);
}

static bool here(const lexer *x, size_t at, const char *word)
{
    const size_t n = strlen(word);
    return at <= x->s.n && x->s.n - at >= n && !memcmp(x->s.at + at, word, n);
}

static size_t skip_space(const lexer *x, size_t at)
{
    uint32_t c;
    for (size_t n; at < x->s.n && (n = chat_char(x->s, at, &c), chat_is_space(c));) at += n;
    return at;
}

static void advance(lexer *x, size_t to)
{
    for (; x->at < to; x->at++) x->line += x->s.at[x->at] == '\n';
}

/* Data up to a tag at `end` whose sign is `sign`; strips: tags that print keep the white space in front of them. */
static pare_status push_data(lexer *x, size_t end, char sign, bool strips)
{
    chat_text t = { x->s.at + x->at, end - x->at };
    if (sign == '-') t = chat_strip(t, NULL, false, true);
    else if (sign != '+' && strips) {
        size_t line = t.n;
        while (line && t.at[line - 1] != '\n') line--;
        const bool starts = line || !x->at || x->s.at[x->at - 1] == '\n';
        if (starts && chat_strip((chat_text){ t.at + line, t.n - line }, NULL, true, false).n == 0) t.n = line;
    }
    const pare_status st = t.n ? push(x, (chat_token){ .kind = CHAT_T_DATA, .text = t }) : PARE_OK;
    advance(x, end);
    return st;
}

/* The end of a tag at `at` ("%}", "-%}", "+%}"): where the text behind it begins, 0 when there is none. */
static size_t tag_end(const lexer *x, size_t at, const char *close)
{
    const bool minus = here(x, at, "-"), plus = here(x, at, "+"), prints = close[0] == '}';
    if ((minus || (plus && !prints)) && here(x, at + 1, close)) return minus ? skip_space(x, at + 3) : at + 3;
    if (!here(x, at, close)) return 0;
    return at + 2 + (!prints && here(x, at + 2, "\n"));
}

static char sign_at(const lexer *x, size_t at) { return here(x, at, "-") || here(x, at, "+") ? x->s.at[at] : 0; }

static pare_status comment(lexer *x)
{
    for (size_t at = x->at; at + 2 <= x->s.n; at++) {
        const size_t end = tag_end(x, at, "#}");
        if (end) return advance(x, end), PARE_OK;
    }
    return wrong(x, "a comment has no end '#}'");
}

/* "{% raw %}": where its text begins; 0 when this tag is another one. */
static size_t raw_begin(const lexer *x, size_t at)
{
    at = skip_space(x, at + 2 + (sign_at(x, at + 2) != 0));
    if (!here(x, at, "raw")) return 0;
    at = skip_space(x, at + 3);
    if (here(x, at, "-%}")) return skip_space(x, at + 3);
    return here(x, at, "%}") ? at + 2 : 0;
}

static pare_status raw(lexer *x, size_t begin)
{
    advance(x, begin);
    for (size_t at = x->at; at + 2 <= x->s.n; at++) {
        if (!here(x, at, "{%")) continue;
        const char sign = sign_at(x, at + 2);
        size_t end = skip_space(x, at + 2 + (sign != 0));
        if (!here(x, end, "endraw")) continue;
        end = tag_end(x, skip_space(x, end + 6), "%}");
        if (!end) continue;
        const pare_status st = push_data(x, at, sign, true);
        advance(x, end);
        return st;
    }
    return wrong(x, "a raw block has no end");
}

/* --------------------------------------------------------------------------------------------------------- inside tags */

static int digit(char c, int base)
{
    const int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
    return v < base ? v : -1;
}

static char byte_at(const lexer *x, size_t at) { return at < x->s.n ? x->s.at[at] : 0; }

/* Digits with single underscores between them; where they end. */
static size_t digits(const lexer *x, size_t at, int base)
{
    if (digit(byte_at(x, at), base) < 0) return at;
    while (digit(byte_at(x, at), base) >= 0 || (byte_at(x, at) == '_' && digit(byte_at(x, at + 1), base) >= 0)) at++;
    return at;
}

static size_t real_end(const lexer *x, size_t at)
{
    if (at && x->s.at[at - 1] == '.') return at;
    size_t end = digits(x, at, 10), whole = end;
    if (end == at) return at;
    if (byte_at(x, end) == '.' && digits(x, end + 1, 10) > end + 1) end = digits(x, end + 1, 10);
    if (byte_at(x, end) == 'e' || byte_at(x, end) == 'E') {
        const size_t e = end + 1 + (byte_at(x, end + 1) == '+' || byte_at(x, end + 1) == '-');
        if (digits(x, e, 10) > e) end = digits(x, e, 10);
    }
    return end == whole ? at : end;
}

static pare_status number(lexer *x)
{
    chat_token t = { .kind = CHAT_T_INT };
    size_t end = real_end(x, x->at), at = x->at;
    int base = 10;
    if (end > at) {
        char text[64];
        size_t n = 0;
        for (; at < end; at++) {
            if (x->s.at[at] == '_') continue;
            if (n + 1 >= sizeof text) return wrong(x, "a number has too many digits");
            text[n++] = x->s.at[at];
        }
        text[n] = 0;
        t.kind = CHAT_T_REAL;
        if (!pare_parse_f64(text, &t.r)) return wrong(x, "a number cannot be read");
    } else {
        const char kind = byte_at(x, at) == '0' ? byte_at(x, at + 1) : 0;
        if (kind == 'x' || kind == 'X') base = 16;
        if (kind == 'o' || kind == 'O') base = 8;
        if (kind == 'b' || kind == 'B') base = 2;
        if (base != 10 && digits(x, at + 2, base) > at + 2) at += 2;
        else base = 10;
        end = digits(x, at, base);
        if (base == 10 && end > at + 1 && x->s.at[at] == '0') return wrong(x, "a number begins with 0");
        for (; at < end; at++)
            if (x->s.at[at] != '_' && (__builtin_mul_overflow(t.i, base, &t.i) || __builtin_add_overflow(t.i, digit(x->s.at[at], base), &t.i)))
                return pare_fail(x->err, PARE_ERR_UNSUPPORTED, "%s: line %d: a number of more than 64 bits", x->where, x->line);
    }
    t.text = (chat_text){ x->s.at + x->at, end - x->at };
    const pare_status st = push(x, t);
    advance(x, end);
    return st;
}

/* One escape at *at (behind the backslash) to *c; how = 0 a character, 1 nothing, 2 the backslash stays; -1 is refused. */
static int escape(chat_text s, size_t *at, uint32_t *c)
{
    static const char letters[] = "abfnrtv\\'\"", codes[] = "\a\b\f\n\r\t\v\\'\"";
    const char e = s.at[(*at)++], *found = memchr(letters, e, sizeof letters - 1);
    int width = e == 'x' ? 2 : e == 'u' ? 4 : e == 'U' ? 8 : 0;
    *c = 0;
    if (e == '\n') return 1;
    if (found) return *c = (uint32_t)codes[found - letters], 0;
    if (digit(e, 8) >= 0) {
        *c = (uint32_t)digit(e, 8);
        for (int i = 0; i < 2 && *at < s.n && digit(s.at[*at], 8) >= 0; i++) *c = *c * 8 + (uint32_t)digit(s.at[(*at)++], 8);
        return 0;
    }
    if (e == 'N' || (unsigned char)e >= 0x80) return -1;
    if (!width) return *at -= 1, 2;
    for (; width; width--, (*at)++) {
        if (*at >= s.n || digit(s.at[*at], 16) < 0 || *c > 0x10FFFF) return -1;
        *c = *c * 16 + (uint32_t)digit(s.at[*at], 16);
    }
    return *c > 0x10FFFF || (*c >= 0xD800 && *c <= 0xDFFF) ? -1 : 0;
}

static pare_status string(lexer *x)
{
    const char quote = x->s.at[x->at];
    size_t end = x->at + 1;
    bool plain = true;
    for (; end < x->s.n && x->s.at[end] != quote; end++)
        if (x->s.at[end] == '\\') plain = false, end++;
    if (end >= x->s.n) return wrong(x, "a text has no closing quote");
    chat_text raw_text = { x->s.at + x->at + 1, end - x->at - 1 }, text = raw_text;
    if (!plain) {
        pare_str s = { 0 };
        for (size_t i = 0; i < raw_text.n;) {
            uint32_t c;
            if (raw_text.at[i] != '\\') {
                pare_str_addn(&s, raw_text.at + i++, 1);
                continue;
            }
            i++;
            const int how = escape(raw_text, &i, &c);
            if (how < 0) {
                pare_str_clear(&s);
                return pare_fail(x->err, PARE_ERR_UNSUPPORTED, "%s: line %d: an escape in a text that is not one character", x->where, x->line);
            }
            if (how == 0) chat_push_char(&s, c);
            if (how == 2) pare_str_add(&s, "\\");
        }
        text = (chat_text){ s.failed ? NULL : pare_arena_strndup(x->arena, s.at ? s.at : "", s.n), s.n };
        pare_str_clear(&s);
        if (!text.at) return pare_no_memory(x->err, "text of a chat template", raw_text.n);
    }
    const pare_status st = push(x, (chat_token){ .kind = CHAT_T_TEXT, .text = text });
    advance(x, end + 1);
    return st;
}

static pare_status operator(lexer *x)
{
    static const char *const two[] = { "//", "**", "==", "!=", ">=", "<=" };
    const char c = x->s.at[x->at];
    size_t n = 0;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (here(x, x->at, two[i])) n = 2;
    if (!n && c && strchr("+-/*%~[](){}><=.:|,;", c)) n = 1;
    if (!n) return pare_fail(x->err, PARE_ERR_FORMAT, "%s: line %d: unexpected character '%.*s'", x->where, x->line, (int)chat_char(x->s, x->at, &(uint32_t){ 0 }), x->s.at + x->at);
    if (n == 1 && strchr("([{", c)) {
        if (x->opened == CHAT_MAX_NESTING) return pare_fail(x->err, PARE_ERR_UNSUPPORTED, "%s: line %d: more than %d brackets inside each other", x->where, x->line, CHAT_MAX_NESTING);
        x->open[x->opened++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (n == 1 && strchr(")]}", c) && (!x->opened || x->open[--x->opened] != c)) {
        return pare_fail(x->err, PARE_ERR_FORMAT, "%s: line %d: unexpected '%c'", x->where, x->line, c);
    }
    const pare_status st = push(x, (chat_token){ .kind = CHAT_T_OP, .text = { x->s.at + x->at, n } });
    x->at += n;
    return st;
}

static pare_status tag(lexer *x, const char *close)
{
    const int first = x->line;
    for (x->opened = 0;;) {
        const size_t end = x->opened ? 0 : tag_end(x, x->at, close);
        pare_status st;
        if (end) {
            st = push(x, (chat_token){ .kind = close[0] == '%' ? CHAT_T_BLOCK_END : CHAT_T_PRINT_END });
            advance(x, end);
            return st;
        }
        const size_t space = skip_space(x, x->at);
        if (space > x->at) {
            advance(x, space);
            continue;
        }
        if (x->at >= x->s.n) return pare_fail(x->err, PARE_ERR_FORMAT, "%s: line %d: a tag has no end '%s'", x->where, first, close);
        const char c = x->s.at[x->at];
        if (c >= '0' && c <= '9') st = number(x);
        else if (c == '\'' || c == '"') st = string(x);
        else if (c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            size_t n = 1;
            while (byte_at(x, x->at + n) == '_' || digit(byte_at(x, x->at + n), 10) >= 0 || ((byte_at(x, x->at + n) | 32) >= 'a' && (byte_at(x, x->at + n) | 32) <= 'z')) n++;
            st = push(x, (chat_token){ .kind = CHAT_T_NAME, .text = { x->s.at + x->at, n } });
            x->at += n;
        } else {
            st = operator(x);
        }
        if (st != PARE_OK) return st;
    }
}

pare_status chat_lex(pare_arena *arena, chat_text source, const char *where, chat_tokens *out, pare_err *err)
{
    lexer x = { .arena = arena, .s = source, .line = 1, .where = where, .out = out, .err = err };
    pare_status st = PARE_OK;
    while (x.at < x.s.n) {
        size_t at = x.at;
        while (at < x.s.n && !here(&x, at, "{{") && !here(&x, at, "{%") && !here(&x, at, "{#")) at++;
        if (at >= x.s.n) {
            PARE_TRY(push(&x, (chat_token){ .kind = CHAT_T_DATA, .text = { x.s.at + x.at, at - x.at } }));
            break;
        }
        const char sign = sign_at(&x, at + 2), kind = x.s.at[at + 1];
        PARE_TRY(push_data(&x, at, sign, kind != '{'));
        const size_t begin = kind == '%' ? raw_begin(&x, at) : 0;
        if (begin) {
            PARE_TRY(raw(&x, begin));
            continue;
        }
        x.at += 2 + (sign != 0);
        if (kind == '#') {
            PARE_TRY(comment(&x));
            continue;
        }
        PARE_TRY(push(&x, (chat_token){ .kind = kind == '%' ? CHAT_T_BLOCK : CHAT_T_PRINT }));
        PARE_TRY(tag(&x, kind == '%' ? "%}" : "}}"));
    }
    PARE_TRY(push(&x, (chat_token){ .kind = CHAT_T_END }));
out:
    return st;
}
