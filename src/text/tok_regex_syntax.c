/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's expressions are in the Ruby syntax of Oniguruma, Unicode 16; this writes them anew for PCRE2. What differs:
 *
 *   \h              a hexadecimal digit                                  -> [0-9A-Fa-f]
 *   \s \w           White_Space; letters, marks, digits, connectors      -> classes that say so
 *   \p{Letter}      long names of categories, POSIX names                -> short ones; \p{L} is given what is newer than PCRE2
 *   x{1,3}+         a repeated repetition, not a possessive one          -> (?:x{1,3})+
 *   x{,3}           at most three                                        -> x{0,3}
 *   (?m:            '.' takes line feeds ('^' and '$' always do lines)   -> (?s:
 *   [a[bc]]         nested sets                                          -> [abc]
 *   [a&&b]          intersection of sets                                 -> (?:(?=[a])[b])
 *
 * What cannot be said in PCRE2 is refused by name.
 */
#include "text/tok.h"

typedef struct reader { const char *at, *end; const char *where; pare_tspan whole; pare_str *out; } reader;

#define SPACE_SET "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
/* Below U+0100 the engine takes a table of its own for \w, in which superscripts and fractions are. */
#define WORD_EXTRA "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"

static pare_status refuse(const reader *r, const char *what, pare_err *err)
{
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: regular expression '%.*s': %s", r->where, (int)(r->whole.n < 200 ? r->whole.n : 200), r->whole.at, what);
}

static void word_set(pare_str *out)
{
    static const char *const categories[] = {"L", "M", "Nd", "Nl", "Pc"};
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++) {
        pare_str_printf(out, "\\p{%s}", categories[i]);
        pare_tok_newer_ranges(categories[i], out);
    }
    pare_str_add(out, WORD_EXTRA);
}

/* Names that PCRE2 calls otherwise, as set text; categories are short names. */
static const struct name { const char *name, *category, *set; } names[] = {
    {"letter", "L", NULL}, {"casedletter", NULL, "\\p{Lu}\\p{Ll}\\p{Lt}"}, {"lc", NULL, "\\p{Lu}\\p{Ll}\\p{Lt}"},
    {"uppercaseletter", "Lu", NULL}, {"lowercaseletter", "Ll", NULL}, {"titlecaseletter", "Lt", NULL}, {"modifierletter", "Lm", NULL},
    {"otherletter", "Lo", NULL}, {"mark", "M", NULL}, {"combiningmark", "M", NULL}, {"nonspacingmark", "Mn", NULL}, {"spacingmark", "Mc", NULL},
    {"enclosingmark", "Me", NULL}, {"number", "N", NULL}, {"decimalnumber", "Nd", NULL}, {"digit", "Nd", NULL}, {"letternumber", "Nl", NULL},
    {"othernumber", "No", NULL}, {"punctuation", "P", NULL}, {"connectorpunctuation", "Pc", NULL}, {"dashpunctuation", "Pd", NULL},
    {"openpunctuation", "Ps", NULL}, {"closepunctuation", "Pe", NULL}, {"initialpunctuation", "Pi", NULL}, {"finalpunctuation", "Pf", NULL},
    {"otherpunctuation", "Po", NULL}, {"symbol", "S", NULL}, {"mathsymbol", "Sm", NULL}, {"currencysymbol", "Sc", NULL},
    {"modifiersymbol", "Sk", NULL}, {"othersymbol", "So", NULL}, {"separator", "Z", NULL}, {"spaceseparator", "Zs", NULL},
    {"lineseparator", "Zl", NULL}, {"paragraphseparator", "Zp", NULL}, {"other", "C", NULL}, {"control", "Cc", NULL}, {"format", "Cf", NULL},
    {"privateuse", "Co", NULL}, {"unassigned", "Cn", NULL}, {"space", NULL, SPACE_SET}, {"whitespace", NULL, SPACE_SET},
    {"blank", NULL, "\\t\\p{Zs}"}, {"cntrl", NULL, "\\p{Cc}"}, {"ascii", NULL, "\\x00-\\x7f"}, {"any", NULL, "\\x00-\\x{10ffff}"},
    {"xdigit", NULL, "0-9A-Fa-f"}, {"alpha", NULL, "\\p{Alphabetic}"}, {"alphabetic", NULL, "\\p{Alphabetic}"}, {"upper", NULL, "\\p{Uppercase}"},
    {"lower", NULL, "\\p{Lowercase}"}, {"alnum", NULL, "\\p{Alphabetic}\\p{Nd}"},
};

/* Set text of a property; false when it stays as it is. */
static void property_set(const char *name, pare_str *out)
{
    char plain[48];
    size_t n = 0;
    for (const char *p = name; *p && n < sizeof plain - 1; p++)
        if (*p != '_' && *p != ' ' && *p != '-') plain[n++] = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    plain[n] = 0;
    const char *category = strlen(name) <= 2 ? name : NULL;
    if (!strcmp(plain, "word")) return word_set(out);
    if (!strcmp(plain, "punct")) category = "P";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(plain, names[i].name)) continue;
        if (names[i].set) return pare_str_add(out, names[i].set);
        category = names[i].category;
    }
    pare_str_printf(out, category || !pare_tok_regex_knows_script(name, &out->failed) ? "\\p{%s}" : "\\p{sc:%s}", category ? category : name);
    if (!strcmp(plain, "punct")) pare_str_add(out, "$+<=>^`|~");
    if (category) pare_tok_newer_ranges(category, out);
    if (!strcmp(plain, "han")) pare_str_add(out, "\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}");
}

/* ------------------------------------------------------------------------------------------------------------------ escapes */

/* \p{..}, \P{..}, \p{^..} after the letter: the name into name[]. */
static pare_status property_name(reader *r, bool *negative, char name[48], pare_err *err)
{
    size_t n = 0;
    if (r->at >= r->end || *r->at != '{') return refuse(r, "\\p needs a name in braces", err);
    r->at++;
    if (r->at < r->end && *r->at == '^') r->at++, *negative = !*negative;
    while (r->at < r->end && *r->at != '}' && n < 47) name[n++] = *r->at++;
    name[n] = 0;
    if (r->at >= r->end || *r->at != '}' || n == 0) return refuse(r, "unfinished \\p{...}", err);
    r->at++;
    return PARE_OK;
}

/* Hexadecimal digits after \x or \u, as \x{...}. */
static pare_status hex_escape(reader *r, char kind, pare_err *err)
{
    bool braces = kind == 'x' && r->at < r->end && *r->at == '{';
    size_t limit = braces ? 8 : kind == 'x' ? 2 : 4, n = 0;
    const char *digits = "0123456789abcdefABCDEF";
    r->at += braces;
    pare_str_add(r->out, "\\x{");
    for (; n < limit && r->at < r->end && *r->at && strchr(digits, *r->at); n++) pare_str_addn(r->out, r->at++, 1);
    pare_str_add(r->out, "}");
    if (n == 0 || (braces && (r->at >= r->end || *r->at != '}'))) return refuse(r, "unfinished \\x or \\u", err);
    r->at += braces;
    return PARE_OK;
}

/* Escapes that stand for a set: their text without brackets; *negative: everything else is meant. */
static pare_status set_escape(reader *r, pare_str *set, bool *negative, bool *is_set, pare_err *err)
{
    char name[48], c = r->at[1];
    *is_set = true;
    *negative = c == 'S' || c == 'W' || c == 'D' || c == 'H' || c == 'P';
    switch (c) {
    case 's': case 'S': pare_str_add(set, SPACE_SET); break;
    case 'w': case 'W': word_set(set); break;
    case 'd': case 'D': property_set("Nd", set); break;
    case 'h': case 'H': pare_str_add(set, "0-9A-Fa-f"); break;
    case 'p': case 'P': {
        r->at += 2;
        pare_status st = property_name(r, negative, name, err);
        if (st == PARE_OK) property_set(name, set);
        return st;
    }
    default: *is_set = false; return PARE_OK;
    }
    r->at += 2;
    return PARE_OK;
}

static pare_status escape(reader *r, pare_err *err)
{
    bool negative, is_set;
    pare_str set = {0};
    if (r->end - r->at < 2) return refuse(r, "it ends in a backslash", err);
    pare_status st = set_escape(r, &set, &negative, &is_set, err);
    if (st == PARE_OK && is_set) pare_str_printf(r->out, "[%s%s]", negative ? "^" : "", set.at ? set.at : "");
    if (set.failed) r->out->failed = true;
    pare_str_clear(&set);
    if (st != PARE_OK || is_set) return st;
    char c = r->at[1];
    r->at += 2;
    if (c == 'x' || c == 'u') return hex_escape(r, c, err);
    if (c == 'b' || c == 'B') {
        pare_str word = {0};
        word_set(&word);
        if (word.failed) r->out->failed = true;
        else if (c == 'b') pare_str_printf(r->out, "(?:(?<=[%s])(?![%s])|(?<![%s])(?=[%s]))", word.at, word.at, word.at, word.at);
        else pare_str_printf(r->out, "(?:(?<=[%s])(?=[%s])|(?<![%s])(?![%s]))", word.at, word.at, word.at, word.at);
        pare_str_clear(&word);
        return PARE_OK;
    }
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        if (!strchr("tnrfvaeRXAzZGK123456789k", c)) {
            char what[] = "\\? is not supported";
            what[1] = c;
            return refuse(r, what, err);
        }
        if (c == 'v') return pare_str_add(r->out, "\\x0b"), PARE_OK; /* a vertical tab here, a class there */
    }
    pare_str_addn(r->out, r->at - 2, 2);
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------------- sets */

typedef struct set { pare_str items; bool negative; int operands; } set;

static pare_status read_set(reader *r, pare_str *out, int depth, pare_err *err);

static pare_status posix_class(reader *r, pare_str *items, pare_err *err)
{
    const char *close = memmem(r->at, (size_t)(r->end - r->at), ":]", 2);
    char name[48];
    size_t n = close ? (size_t)(close - r->at) - 2 : 48;
    if (n >= 48 || r->at[2] == '^') return refuse(r, "this [:class:] is not supported", err);
    memcpy(name, r->at + 2, n);
    name[n] = 0;
    if (!strcmp(name, "graph") || !strcmp(name, "print")) return refuse(r, "[:graph:] and [:print:] are not supported", err);
    property_set(name, items);
    r->at = close + 2;
    return PARE_OK;
}

/* A nested set in a union: only its items, so it must be a plain one. */
static pare_status nested_set(reader *r, pare_str *items, int depth, pare_err *err)
{
    pare_str inner = {0};
    pare_status st = read_set(r, &inner, depth + 1, err);
    if (st == PARE_OK && !inner.failed && (inner.at[0] != '[' || inner.at[1] == '^')) st = refuse(r, "a negative set inside a set is not supported", err);
    if (st == PARE_OK && !inner.failed) pare_str_addn(items, inner.at + 1, inner.n - 2);
    if (inner.failed) items->failed = true;
    pare_str_clear(&inner);
    return st;
}

/* One item of a set. Negative escapes are possible where PCRE2 has them. */
static pare_status set_item(reader *r, pare_str *items, int depth, pare_err *err)
{
    bool negative, is_set;
    pare_status st;
    if (r->at[0] == '[' && r->end - r->at > 1 && r->at[1] == ':') return posix_class(r, items, err);
    if (r->at[0] == '[') return nested_set(r, items, depth, err);
    if (r->at[0] != '\\') {
        if (*r->at == '^' || *r->at == ' ' || *r->at == '#') pare_str_add(items, "\\");
        pare_str_addn(items, r->at++, 1);
        return PARE_OK;
    }
    if (r->end - r->at < 2) return refuse(r, "it ends in a backslash", err);
    const char *begin = r->at;
    pare_str text = {0};
    st = set_escape(r, &text, &negative, &is_set, err);
    if (st == PARE_OK && is_set && !negative) pare_str_add(items, text.at ? text.at : "");
    if (text.failed) items->failed = true;
    pare_str_clear(&text);
    if (st != PARE_OK || (is_set && !negative)) return st;
    if (is_set) {
        if (begin[1] == 'H') return refuse(r, "\\H in a set is not supported", err);
        if (begin[1] == 'p') pare_str_add(items, "\\P{"), pare_str_addn(items, begin + 4, (size_t)(r->at - begin - 4)); /* \p{^x} */
        else pare_str_addn(items, begin, (size_t)(r->at - begin));
        return PARE_OK;
    }
    r->at += 2;
    pare_str *keep = r->out;
    if (begin[1] == 'x' || begin[1] == 'u') {
        r->out = items;
        st = hex_escape(r, begin[1], err);
        r->out = keep;
        return st;
    }
    if (begin[1] == 'v') return pare_str_add(items, "\\x0b"), PARE_OK;
    if (begin[1] == 'b') return pare_str_add(items, "\\x08"), PARE_OK;
    pare_str_addn(items, begin, 2);
    return PARE_OK;
}

/* At '['. Writes a set, or (with &&) a look-ahead and a set. */
static pare_status read_set(reader *r, pare_str *out, int depth, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_str items = {0}, before = {0};
    bool negative = false, first = true, and = false;
    if (depth > 8) return refuse(r, "sets are nested too deeply", err);
    r->at++;
    if (r->at < r->end && *r->at == '^') r->at++, negative = true;
    for (; r->at < r->end && (*r->at != ']' || first); first = false) {
        if (r->end - r->at > 2 && r->at[0] == '&' && r->at[1] == '&') {
            if (negative) PARE_TRY(refuse(r, "a negative intersection is not supported", err));
            pare_str_printf(&before, "(?=[%s])", items.at ? items.at : "");
            and = true;
            items.n = 0;
            r->at += 2;
            /* [..&&[^x]]: the operand as a whole is a set of its own */
            if (r->at < r->end && *r->at == '[' && r->end - r->at > 1 && r->at[1] == '^') {
                pare_str_clear(&items);
                PARE_TRY(read_set(r, &items, depth + 1, err));
                if (r->at >= r->end || *r->at != ']') PARE_TRY(refuse(r, "an operand of && is not supported", err));
                r->at++;
                pare_str_printf(out, "(?:%s%s)", before.at ? before.at : "", items.at ? items.at : "");
                goto out;
            }
            continue;
        }
        if (*r->at == ']') pare_str_add(&items, "\\");
        if (*r->at == ']') pare_str_addn(&items, r->at++, 1);
        else PARE_TRY(set_item(r, &items, depth, err));
    }
    if (r->at >= r->end) PARE_TRY(refuse(r, "unfinished set", err));
    r->at++;
    if (and) pare_str_printf(out, "(?:%s[%s])", before.at ? before.at : "", items.at ? items.at : "");
    else pare_str_printf(out, "[%s%s]", negative ? "^" : "", items.at ? items.at : "");
out:
    if (items.failed || before.failed) out->failed = true;
    pare_str_clear(&items);
    pare_str_clear(&before);
    return st;
}

/* ----------------------------------------------------------------------------------------------------------------- groups */

/* Options of "(?imx" in Ruby's meaning; what is not a group of options is copied. */
static pare_status group(reader *r, pare_err *err)
{
    pare_str_add(r->out, "(");
    r->at++;
    if (r->at >= r->end || *r->at != '?') return PARE_OK;
    pare_str_add(r->out, "?");
    r->at++;
    if (r->at < r->end && (*r->at == '~' || *r->at == '(')) return refuse(r, "(?~ and (?( are not supported", err);
    if (r->at < r->end && *r->at == '#') return refuse(r, "comments are not supported", err);
    while (r->at < r->end && *r->at && strchr("imx-", *r->at)) {
        pare_str_add(r->out, *r->at == 'm' ? "s" : *r->at == 'i' ? "i" : *r->at == 'x' ? "x" : "-");
        r->at++;
    }
    return PARE_OK;
}

/* "{n,m}" at r->at: writes it; *fixed: it is "{n}". False when it is no interval. */
static bool interval(reader *r, bool *fixed)
{
    const char *p = r->at + 1;
    size_t low = 0, high = 0;
    while (p < r->end && *p >= '0' && *p <= '9') p++, low++;
    bool comma = p < r->end && *p == ',';
    if (comma)
        for (p++; p < r->end && *p >= '0' && *p <= '9'; p++) high++;
    if (p >= r->end || *p != '}' || (low == 0 && high == 0)) return false;
    pare_str_add(r->out, low == 0 ? "{0" : "{");
    pare_str_addn(r->out, r->at + 1, (size_t)(p - r->at));
    *fixed = !comma;
    r->at = p + 1;
    return true;
}

static void wrap(pare_str *out, size_t from)
{
    pare_str tail = {0};
    pare_str_addn(&tail, out->at + from, out->n - from);
    out->n = from;
    pare_str_add(out, "(?:");
    pare_str_add(out, tail.at ? tail.at : "");
    pare_str_add(out, ")");
    if (tail.failed) out->failed = true;
    pare_str_clear(&tail);
}

enum { MAX_GROUPS = 100 };

pare_status pare_tok_regex_translate(const char *where, pare_tspan pattern, pare_str *out, pare_err *err)
{
    pare_status st = PARE_OK;
    reader r = {.at = pattern.at, .end = pattern.at + pattern.n, .where = where, .whole = pattern, .out = out};
    size_t opened[MAX_GROUPS], atom = 0; /* where the atom that a quantifier would repeat begins in out */
    int depth = 0;
    pare_str_add(out, "");
    while (r.at < r.end && !out->failed) {
        size_t here = out->n;
        bool fixed;
        switch (*r.at) {
        case '\\': PARE_TRY(escape(&r, err)); atom = here; break;
        case '[': PARE_TRY(read_set(&r, out, 0, err)); atom = here; break;
        case '(':
            if (depth == MAX_GROUPS) PARE_TRY(refuse(&r, "groups are nested too deeply", err));
            opened[depth++] = here;
            PARE_TRY(group(&r, err));
            break;
        case ')':
            if (depth == 0) PARE_TRY(refuse(&r, "a parenthesis too many", err));
            atom = opened[--depth];
            pare_str_addn(out, r.at++, 1);
            break;
        case '{':
            if (!interval(&r, &fixed)) {
                pare_str_add(out, "\\{");
                r.at++;
                atom = here;
            } else if (r.at < r.end && (*r.at == '+' || (*r.at == '?' && fixed))) {
                wrap(out, atom);
            }
            break;
        case '*': case '+': case '?': case '|': pare_str_addn(out, r.at++, 1); break;
        default: {
            size_t n = pare_utf8_length(r.at, (size_t)(r.end - r.at));
            if (n == 0) PARE_TRY(refuse(&r, "malformed UTF-8", err));
            pare_str_addn(out, r.at, n);
            r.at += n;
            atom = here;
        }
        }
    }
    if (depth > 0 && !out->failed) PARE_TRY(refuse(&r, "a parenthesis too few", err));
    st = pare_tok_text_failed(out, where, err);
out:
    return st;
}
