/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two big members of a tokenizer.json, model.vocab and model.merges, hold hundreds of thousands of strings; a tree of
 * values would cost more than using them. They are found by a scan that only follows strings and brackets, the rest of the
 * document goes to the JSON parser with null in their place, and they themselves are read strictly, straight into tables.
 */
#include "text/tok.h"

pare_status pare_tok_json_fail(const pare_tok_json *j, const char *what, pare_err *err)
{
    size_t line = 1, column = 1;
    for (const char *p = j->begin; p < j->at && p < j->end; p++) {
        column++;
        if (*p == '\n') line++, column = 1;
    }
    return pare_fail(err, PARE_ERR_FORMAT, "%s: line %zu column %zu: %s", j->where, line, column, what);
}

void pare_tok_json_space(pare_tok_json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\n' || *j->at == '\t' || *j->at == '\r')) j->at++;
}

bool pare_tok_json_take(pare_tok_json *j, char c)
{
    pare_tok_json_space(j);
    if (j->at >= j->end || *j->at != c) return false;
    j->at++;
    return true;
}

/* -------------------------------------------------------------------------------------------------------------- finding */

static void skip_string(pare_tok_json *j) /* at the opening quote */
{
    for (j->at++; j->at < j->end && *j->at != '"'; j->at++)
        if (*j->at == '\\') j->at++;
    j->at = j->at < j->end ? j->at + 1 : j->end;
}

/* Over one value, however deep; what is malformed in it is found by its parser later. */
static void skip_value(pare_tok_json *j)
{
    size_t depth = 0;
    pare_tok_json_space(j);
    while (j->at < j->end) {
        char c = *j->at;
        if (c == '"') {
            skip_string(j);
            if (depth == 0) return;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) return;
        j->at++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) return;
    }
}

/* At the next key of an object: its text without escapes, at its value afterwards. */
static bool next_key(pare_tok_json *j, pare_tspan *key)
{
    pare_tok_json_space(j);
    if (j->at < j->end && (*j->at == ',' || *j->at == '{')) j->at++;
    pare_tok_json_space(j);
    if (j->at >= j->end || *j->at != '"') return false;
    const char *begin = j->at + 1;
    skip_string(j);
    *key = (pare_tspan){begin, (size_t)(j->at - begin) - (j->at > begin)};
    return pare_tok_json_take(j, ':');
}

static void cut_member(pare_tok_json *j, pare_tspan *out, pare_str *rest, const char **copied)
{
    pare_tok_json_space(j);
    const char *begin = j->at;
    if (begin >= j->end || (*begin != '{' && *begin != '[') || out->at) return skip_value(j);
    skip_value(j);
    *out = (pare_tspan){begin, (size_t)(j->at - begin)};
    pare_str_addn(rest, *copied, (size_t)(begin - *copied));
    pare_str_add(rest, "null");
    *copied = j->at;
}

pare_status pare_tok_json_split(const char *json, size_t n, const char *where, pare_str *rest, pare_tok_member *big, pare_err *err)
{
    pare_tok_json j = {.at = json, .end = json + n, .begin = json, .where = where};
    const char *copied = json;
    pare_tspan key;
    *big = (pare_tok_member){0};
    pare_tok_json_space(&j);
    bool is_object = j.at < j.end && *j.at == '{';
    while (is_object && next_key(&j, &key)) {
        pare_tok_json_space(&j);
        if (!pare_tspan_same(key, PARE_TSPAN("model")) || j.at >= j.end || *j.at != '{') {
            skip_value(&j);
            continue;
        }
        while (next_key(&j, &key)) {
            if (pare_tspan_same(key, PARE_TSPAN("vocab"))) cut_member(&j, &big->vocab, rest, &copied);
            else if (pare_tspan_same(key, PARE_TSPAN("merges"))) cut_member(&j, &big->merges, rest, &copied);
            else skip_value(&j);
        }
        if (!pare_tok_json_take(&j, '}')) break;
    }
    pare_str_addn(rest, copied, (size_t)(json + n - copied));
    return rest->failed ? pare_no_memory(err, where, n) : PARE_OK;
}

/* -------------------------------------------------------------------------------------------------------------- reading */

static bool hex4(const char *p, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                       : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10 : 16;
        if (digit > 15) return false;
        *out = *out << 4 | digit;
    }
    return true;
}

/* After a backslash. */
static bool take_escape(pare_tok_json *j, pare_str *buffer)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t c, low;
    if (j->at >= j->end) return false;
    const char *found = *j->at ? strchr(from, *j->at) : NULL;
    if (found) {
        j->at++;
        pare_tok_push(buffer, &to[found - from], 1);
        return true;
    }
    if (*j->at != 'u' || j->end - j->at < 5 || !hex4(j->at + 1, &c)) return false;
    j->at += 5;
    if (c >= 0xDC00 && c < 0xE000) return false;
    if (c >= 0xD800 && c < 0xDC00) {
        if (j->end - j->at < 6 || j->at[0] != '\\' || j->at[1] != 'u' || !hex4(j->at + 2, &low) || low < 0xDC00 || low > 0xDFFF) return false;
        j->at += 6;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    pare_tok_push_char(buffer, c);
    return true;
}

pare_status pare_tok_json_text(pare_tok_json *j, pare_str *buffer, pare_err *err)
{
    if (!pare_tok_json_take(j, '"')) return pare_tok_json_fail(j, "a string is expected", err);
    buffer->n = 0;
    pare_tok_push(buffer, "", 0);
    while (j->at < j->end && *j->at != '"') {
        const char *run = j->at;
        while (j->at < j->end && *j->at != '"' && *j->at != '\\' && (uint8_t)*j->at >= 0x20) {
            size_t n = (uint8_t)*j->at < 0x80 ? 1 : pare_utf8_length(j->at, (size_t)(j->end - j->at));
            if (n == 0) return pare_tok_json_fail(j, "malformed UTF-8", err);
            j->at += n;
        }
        pare_tok_push(buffer, run, (size_t)(j->at - run));
        if (j->at >= j->end || *j->at == '"') break;
        if (*j->at++ != '\\') return pare_tok_json_fail(j, "control character in a string", err);
        if (!take_escape(j, buffer)) return pare_tok_json_fail(j, "invalid escape", err);
    }
    if (j->at >= j->end) return pare_tok_json_fail(j, "unfinished string", err);
    j->at++;
    return pare_tok_text_failed(buffer, j->where, err);
}

pare_status pare_tok_json_id(pare_tok_json *j, int64_t *out, pare_err *err)
{
    pare_tok_json_space(j);
    const char *begin = j->at;
    int64_t value = 0;
    while (j->at < j->end && *j->at >= '0' && *j->at <= '9' && value < (int64_t)1 << 40) value = value * 10 + (*j->at++ - '0');
    if (j->at == begin || (j->at < j->end && (*j->at == '.' || *j->at == 'e' || *j->at == 'E')))
        return pare_tok_json_fail(j, "a token id, a whole number of at least 0, is expected", err);
    *out = value;
    return PARE_OK;
}

static double power_of_ten(int n)
{
    char text[16];
    double value = 0;
    pare_print(text, sizeof text, "1e%d", n);
    return pare_parse_f64(text, &value) ? value : 0;
}

/* Up to 19 or 20 digits into *digits, all of them counted in *exponent. */
static const char *take_digits(const char *p, const char *end, bool fraction, uint64_t *digits, int64_t *exponent, bool *full)
{
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        *full = *full || *digits > (UINT64_MAX - digit) / 10;
        if (!*full) *digits = *digits * 10 + digit;
        *exponent += fraction ? -(int64_t)!*full : (int64_t)*full;
    }
    return p;
}

/*
 * A number as the library's JSON parser reads it: the digits as a 64-bit integer, divided by a power of ten. That is two roundings,
 * so the last bit may be another than that of the nearest double; scores must have the same last bit for ties to fall alike.
 */
pare_status pare_tok_json_real(pare_tok_json *j, double *out, pare_err *err)
{
    uint64_t digits = 0;
    int64_t exponent = 0, said = 0;
    bool full = false;
    pare_tok_json_space(j);
    bool minus = j->at < j->end && *j->at == '-';
    const char *begin = j->at + minus, *p = take_digits(begin, j->end, false, &digits, &exponent, &full), *mark;
    bool ok = p > begin;
    if (ok && p < j->end && *p == '.') {
        mark = ++p;
        p = take_digits(p, j->end, true, &digits, &exponent, &full);
        ok = p > mark;
    }
    if (ok && p < j->end && (*p == 'e' || *p == 'E')) {
        p++;
        bool negative = p < j->end && *p == '-';
        if (p < j->end && (*p == '-' || *p == '+')) p++;
        mark = p;
        for (; p < j->end && *p >= '0' && *p <= '9'; p++)
            if (said < 100000) said = said * 10 + (*p - '0');
        ok = p > mark;
        exponent += negative ? -said : said;
    }
    if (!ok) return pare_tok_json_fail(j, "a number is expected", err);
    double value = (double)digits;
    for (; exponent < -308 && value != 0; exponent += 308) value /= power_of_ten(308);
    if (exponent > 308 && digits) return pare_tok_json_fail(j, "the number is too large", err);
    if (value != 0) value = exponent < 0 ? value / power_of_ten((int)-exponent) : value * power_of_ten((int)exponent);
    if (value > 1.7976931348623157e308) return pare_tok_json_fail(j, "the number is too large", err);
    j->at = p;
    *out = minus ? -value : value;
    return PARE_OK;
}

pare_status pare_tok_json_vocab(pare_tokenizer *t, pare_tspan text, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_tok_json j = {.at = text.at, .end = text.at + text.n, .begin = text.at, .where = t->where};
    pare_str buffer = {0};
    PARE_TRY(pare_tok_vocab_reserve(&t->vocab, text.n / 16, err));
    if (!pare_tok_json_take(&j, '{')) PARE_TRY(pare_tok_json_fail(&j, "model.vocab is no object", err));
    for (bool first = true; !pare_tok_json_take(&j, '}'); first = false) {
        int64_t id;
        if (!first && !pare_tok_json_take(&j, ',')) PARE_TRY(pare_tok_json_fail(&j, "',' or '}' is expected in model.vocab", err));
        PARE_TRY(pare_tok_json_text(&j, &buffer, err));
        if (!pare_tok_json_take(&j, ':')) PARE_TRY(pare_tok_json_fail(&j, "':' is expected in model.vocab", err));
        PARE_TRY(pare_tok_json_id(&j, &id, err));
        char *copy = pare_arena_strndup(&t->arena, buffer.at, buffer.n);
        if (!copy) PARE_TRY(pare_no_memory(err, t->where, buffer.n));
        PARE_TRY(pare_tok_vocab_add(&t->vocab, (pare_tspan){copy, buffer.n}, id, t->where, err));
    }
out:
    pare_str_clear(&buffer);
    return st;
}
