/* SPDX-License-Identifier: Apache-2.0 */
/* Values of chat templates as text: str() and repr() of Python, json.dumps(). */
#include <math.h>
#include "text/chat.h"

/* The shortest digits that read back to the same number, laid out as repr(): 1.0, 0.0001, 1e-05, 1e+16. */
void chat_real_text(double value, char out[40])
{
    char digits[32], *mantissa = digits;
    double back;
    int n = 0;
    if (isnan(value) || isinf(value)) {
        pare_print(out, 40, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    for (int p = 0; p <= 16; p++) {
        pare_print(digits, sizeof digits, "%.*e", p, value);
        if (pare_parse_f64(digits, &back) && back == value) break;
    }
    const char *sign = digits[0] == '-' ? "-" : "";
    mantissa += digits[0] == '-';
    char *e = strchr(mantissa, 'e');
    int64_t power = 0;
    if (e) pare_parse_i64(e[1] == '+' ? e + 2 : e + 1, &power);
    const size_t end = e ? (size_t)(e - mantissa) : strlen(mantissa);
    char plain[24];
    for (size_t i = 0; i < end && n < 20; i++)
        if (mantissa[i] != '.') plain[n++] = mantissa[i];
    const int point = (int)power + 1; /* digits before the point */
    if (power < -4 || power >= 16) {
        pare_print(out, 40, "%s%c%s%.*se%c%02d", sign, plain[0], n > 1 ? "." : "", n - 1, plain + 1, power < 0 ? '-' : '+', abs((int)power));
    } else if (point <= 0) {
        pare_print(out, 40, "%s0.%.*s%.*s", sign, -point, "0000", n, plain);
    } else if (point >= n) {
        pare_print(out, 40, "%s%.*s%.*s.0", sign, n, plain, point - n, "0000000000000000");
    } else {
        pare_print(out, 40, "%s%.*s.%.*s", sign, point, plain, n - point, plain + point);
    }
}

static pare_status add(chat_run *r, pare_str *out, const char *text) { return chat_add(r, out, (chat_text){ text, strlen(text) }); }

static pare_status print_number(chat_run *r, chat_value v, pare_str *out)
{
    char text[40];
    if (v.kind == CHAT_REAL) chat_real_text(v.r, text);
    else pare_print(text, sizeof text, "%lld", (long long)v.i);
    return add(r, out, text);
}

/* A text in quotes: ' unless there is one in it and no ". */
static pare_status print_quoted(chat_run *r, chat_text t, pare_str *out)
{
    pare_status st;
    const bool two = memchr(t.at ? t.at : "", '\'', t.n) && !memchr(t.at, '"', t.n);
    const char quote[] = { two ? '"' : '\'', 0 };
    PARE_TRY(chat_charge(r, t.n));
    PARE_TRY(add(r, out, quote));
    for (size_t at = 0, n; at < t.n; at += n) {
        uint32_t c;
        char code[16];
        n = chat_char(t, at, &c);
        if (c == (uint32_t)quote[0] || c == '\\') pare_print(code, sizeof code, "\\%c", (int)c);
        else if (c == '\n' || c == '\r' || c == '\t') pare_print(code, sizeof code, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (!chat_is_printable(c)) pare_print(code, sizeof code, c < 256 ? "\\x%02x" : c < 65536 ? "\\u%04x" : "\\U%08x", (unsigned)c);
        else {
            PARE_TRY(chat_add(r, out, (chat_text){ t.at + at, n }));
            continue;
        }
        PARE_TRY(add(r, out, code));
    }
    PARE_TRY(add(r, out, quote));
out:
    return st;
}

/* repr(v); top: str(v). */
static pare_status print_value(chat_run *r, chat_value v, bool top, pare_str *out)
{
    pare_status st;
    const bool list = v.kind == CHAT_LIST, dict = v.kind == CHAT_DICT;
    PARE_TRY(chat_charge(r, v.kind == CHAT_STR ? v.s.n : 0));
    switch (v.kind) {
    case CHAT_UNDEFINED: return top ? PARE_OK : add(r, out, "Undefined");
    case CHAT_NONE: return add(r, out, "None");
    case CHAT_BOOL: return add(r, out, v.b ? "True" : "False");
    case CHAT_INT:
    case CHAT_REAL: return print_number(r, v, out);
    case CHAT_STR: return top ? chat_add(r, out, v.s) : print_quoted(r, v.s, out);
    case CHAT_LIST:
    case CHAT_TUPLE:
    case CHAT_DICT: break;
    default: return chat_fail(r, PARE_ERR_UNSUPPORTED, "the text of %s", chat_kind_name(v));
    }
    if (r->depth++ >= CHAT_MAX_DEPTH) return chat_fail(r, PARE_ERR_UNSUPPORTED, "nested more than %d deep", CHAT_MAX_DEPTH);
    PARE_TRY(add(r, out, dict ? "{" : list ? "[" : "("));
    for (size_t i = 0; i < (dict ? v.dict->n : v.list->n); i++) {
        if (i) PARE_TRY(add(r, out, ", "));
        if (dict) {
            PARE_TRY(print_value(r, v.dict->at[i].key, false, out));
            PARE_TRY(add(r, out, ": "));
        }
        PARE_TRY(print_value(r, dict ? v.dict->at[i].value : v.list->at[i], false, out));
    }
    if (v.kind == CHAT_TUPLE && v.list->n == 1) PARE_TRY(add(r, out, ","));
    PARE_TRY(add(r, out, dict ? "}" : list ? "]" : ")"));
    r->depth--;
out:
    return st;
}

pare_status chat_print(chat_run *r, chat_value v, pare_str *out) { return print_value(r, v, true, out); }

pare_status chat_to_text(chat_run *r, chat_value v, chat_text *out)
{
    pare_str s = { 0 };
    chat_value kept;
    if (v.kind == CHAT_STR) return *out = v.s, PARE_OK;
    pare_status st = chat_print(r, v, &s);
    if (st == PARE_OK) st = chat_keep(r, &s, &kept);
    if (st == PARE_OK) *out = kept.s;
    pare_str_clear(&s);
    return st;
}

/* ----------------------------------------------------------------------------------------------------------------- JSON */

static pare_status json_text(chat_run *r, chat_text t, bool ascii, pare_str *out)
{
    pare_status st;
    static const char letters[] = "\"\\\n\r\t\b\f", codes[] = "\"\\nrtbf";
    PARE_TRY(chat_charge(r, t.n));
    PARE_TRY(add(r, out, "\""));
    for (size_t at = 0, n; at < t.n; at += n) {
        uint32_t c;
        char code[16];
        n = chat_char(t, at, &c);
        const char *letter = c && c < 128 ? strchr(letters, (int)c) : NULL;
        if (letter) pare_print(code, sizeof code, "\\%c", codes[letter - letters]);
        else if (c < 32 || (ascii && c > 126 && c < 65536 && !(c == 127))) pare_print(code, sizeof code, "\\u%04x", (unsigned)c);
        else if (ascii && c >= 65536) pare_print(code, sizeof code, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((c - 65536) >> 10)), (unsigned)(0xDC00 + (c & 1023)));
        else {
            PARE_TRY(chat_add(r, out, (chat_text){ t.at + at, n }));
            continue;
        }
        PARE_TRY(add(r, out, code));
    }
    PARE_TRY(add(r, out, "\""));
out:
    return st;
}

static pare_status json_scalar(chat_run *r, chat_value v, const chat_json *how, pare_str *out)
{
    switch (v.kind) {
    case CHAT_NONE: return add(r, out, "null");
    case CHAT_BOOL: return add(r, out, v.b ? "true" : "false");
    case CHAT_STR: return json_text(r, v.s, how->ascii, out);
    case CHAT_INT: return print_number(r, v, out);
    case CHAT_REAL:
        if (isnan(v.r)) return add(r, out, "NaN");
        return isinf(v.r) ? add(r, out, v.r > 0 ? "Infinity" : "-Infinity") : print_number(r, v, out);
    default: return chat_fail(r, PARE_ERR_DATA, "%s has no JSON", chat_kind_name(v));
    }
}

static pare_status json_key(chat_run *r, chat_value key, const chat_json *how, pare_str *out)
{
    if (key.kind == CHAT_STR) return json_text(r, key.s, how->ascii, out);
    pare_status st;
    if (key.kind == CHAT_TUPLE) return chat_fail(r, PARE_ERR_DATA, "a key of JSON is no tuple");
    PARE_TRY(add(r, out, "\""));
    PARE_TRY(json_scalar(r, key, how, out));
    PARE_TRY(add(r, out, "\""));
out:
    return st;
}

static pare_status json_break(chat_run *r, const chat_json *how, int level, pare_str *out)
{
    pare_status st = how->pretty ? add(r, out, "\n") : PARE_OK;
    for (int i = 0; st == PARE_OK && how->pretty && i < level; i++) st = chat_add(r, out, how->indent);
    return st;
}

/* Order of the members: as they are, or by key. */
static pare_status json_order(chat_run *r, const chat_dict *d, bool sort, const chat_pair **out)
{
    pare_status st;
    void *copy;
    *out = d->at;
    if (!sort || d->n < 2) return PARE_OK;
    PARE_TRY(chat_memory(r, d->n, sizeof *d->at, &copy));
    chat_pair *p = copy;
    for (size_t i = 0; i < d->n; i++) {
        size_t k = i;
        for (bool less; k > 0; k--) {
            PARE_TRY(chat_less(r, d->at[i].key, p[k - 1].key, &less));
            if (!less) break;
            p[k] = p[k - 1];
        }
        p[k] = d->at[i];
    }
    *out = p;
out:
    return st;
}

pare_status chat_print_json(chat_run *r, chat_value v, const chat_json *how, int level, pare_str *out)
{
    pare_status st;
    const bool dict = v.kind == CHAT_DICT;
    const chat_pair *members = NULL;
    PARE_TRY(chat_charge(r, 0));
    if (v.kind != CHAT_LIST && v.kind != CHAT_TUPLE && !dict) return json_scalar(r, v, how, out);
    if (r->depth++ >= CHAT_MAX_DEPTH) return chat_fail(r, PARE_ERR_UNSUPPORTED, "nested more than %d deep", CHAT_MAX_DEPTH);
    const size_t n = dict ? v.dict->n : v.list->n;
    if (dict) PARE_TRY(json_order(r, v.dict, how->sort, &members));
    PARE_TRY(add(r, out, dict ? "{" : "["));
    for (size_t i = 0; i < n; i++) {
        if (i) PARE_TRY(chat_add(r, out, how->item));
        PARE_TRY(json_break(r, how, level + 1, out));
        if (dict) {
            PARE_TRY(json_key(r, members[i].key, how, out));
            PARE_TRY(chat_add(r, out, how->key));
        }
        PARE_TRY(chat_print_json(r, dict ? members[i].value : v.list->at[i], how, level + 1, out));
    }
    if (n) PARE_TRY(json_break(r, how, level, out));
    PARE_TRY(add(r, out, dict ? "}" : "]"));
    r->depth--;
out:
    return st;
}
