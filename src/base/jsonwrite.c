/* SPDX-License-Identifier: Apache-2.0 */
/* Writing one JSON document (<pare/report.h>): commas, indentation and escapes. */
#include <assert.h>
#include <math.h>
#include <pare/report.h>
#include <string.h>
#include "base/alloc.h"
#include "base/jsontext.h"
#include "base/str.h"

enum { MAX_DEPTH = 256 };

struct pare_json {
    pare_str text;
    int indent, depth;
    char close[MAX_DEPTH]; /* what ends each open level */
    bool any;              /* the open level has a value already */
    pare_err err;          /* first error; code PARE_OK = none */
};

/* ------------------------------------------------------------------------------------------------------- pieces of text */

void pare_json_quote(pare_str *s, const char *text)
{
    size_t n = strlen(text), plain = 0, i = 0;
    pare_str_add(s, "\"");
    while (i < n) {
        size_t len = pare_utf8_length(text + i, n - i);
        unsigned char c = (unsigned char)text[i];
        if (len && c >= 0x20 && c != '"' && c != '\\') {
            i += len;
            continue;
        }
        pare_str_addn(s, text + plain, i - plain);
        if (!len) pare_str_add(s, "\xEF\xBF\xBD"); /* malformed byte -> U+FFFD: the document stays valid */
        else if (c == '"') pare_str_add(s, "\\\"");
        else if (c == '\\') pare_str_add(s, "\\\\");
        else if (c == '\n') pare_str_add(s, "\\n");
        else if (c == '\t') pare_str_add(s, "\\t");
        else if (c == '\r') pare_str_add(s, "\\r");
        else pare_str_printf(s, "\\u%04x", c);
        plain = ++i;
    }
    pare_str_addn(s, text + plain, n - plain);
    pare_str_add(s, "\"");
}

static void new_line(pare_json *j)
{
    if (j->indent == 0) return;
    pare_str_add(&j->text, "\n");
    for (int i = 0; i < j->depth * j->indent; i++) pare_str_add(&j->text, " ");
}

/* Everything before a value: comma, line, key. */
static void before_value(pare_json *j, const char *key)
{
    bool in_object = j->depth > 0 && j->depth <= MAX_DEPTH && j->close[j->depth - 1] == '}';
    assert((key != NULL) == in_object || j->depth > MAX_DEPTH); /* keys inside objects, and only there */
    assert(j->depth > 0 || !j->any);                            /* one document */
    (void)in_object;
    if (j->any) pare_str_add(&j->text, j->indent ? "," : ", ");
    if (j->depth > 0) new_line(j);
    if (key) {
        pare_json_quote(&j->text, key);
        pare_str_add(&j->text, ": ");
    }
    j->any = true;
}

static void put(pare_json *j, const char *key, const char *value)
{
    before_value(j, key);
    pare_str_add(&j->text, value);
}

static void open_level(pare_json *j, const char *key, char begin, char end)
{
    before_value(j, key);
    pare_str_addn(&j->text, &begin, 1);
    if (j->depth < MAX_DEPTH)
        j->close[j->depth] = end;
    else if (j->err.code == PARE_OK)
        pare_fail(&j->err, PARE_ERR_UNSUPPORTED, "JSON deeper than %d levels", MAX_DEPTH);
    j->depth++; /* counted even then, so that the ends still pair up */
    j->any = false;
}

/* --------------------------------------------------------------------------------------------------------------- values */

pare_status pare_json_new(int indent, pare_json **out, pare_err *err)
{
    *out = pare_alloc_zero(1, sizeof **out);
    if (!*out) return pare_no_memory(err, "a JSON document", sizeof **out);
    (*out)->indent = indent < 0 ? 0 : indent > 8 ? 8 : indent;
    return PARE_OK;
}

void pare_json_free(pare_json *j)
{
    if (!j) return;
    pare_str_clear(&j->text);
    pare_dealloc(j);
}

void pare_json_object(pare_json *j, const char *key) { open_level(j, key, '{', '}'); }
void pare_json_array(pare_json *j, const char *key) { open_level(j, key, '[', ']'); }

void pare_json_end(pare_json *j)
{
    assert(j->depth > 0);
    if (j->depth == 0) return;
    char end = --j->depth < MAX_DEPTH ? j->close[j->depth] : ' ';
    if (j->any) new_line(j);
    pare_str_addn(&j->text, &end, 1);
    j->any = true;
}

void pare_json_text(pare_json *j, const char *key, const char *value)
{
    if (!value) {
        put(j, key, "null");
        return;
    }
    before_value(j, key);
    pare_json_quote(&j->text, value);
}

void pare_json_int(pare_json *j, const char *key, int64_t value)
{
    before_value(j, key);
    pare_str_printf(&j->text, "%lld", (long long)value);
}

void pare_json_real(pare_json *j, const char *key, double value)
{
    char text[32];
    pare_format_real(value, text);
    put(j, key, isfinite(value) ? text : "null");
}

void pare_json_bool(pare_json *j, const char *key, bool value) { put(j, key, value ? "true" : "false"); }
void pare_json_null(pare_json *j, const char *key) { put(j, key, "null"); }
void pare_json_raw(pare_json *j, const char *key, const char *json) { put(j, key, json); }

pare_status pare_json_take(pare_json *j, char **out, pare_err *err)
{
    assert(j->depth == 0 || j->err.code != PARE_OK);
    *out = NULL;
    if (j->err.code != PARE_OK) {
        if (err) *err = j->err;
        return j->err.code;
    }
    if (j->indent) pare_str_add(&j->text, "\n");
    size_t n = j->text.n;
    *out = pare_str_take(&j->text);
    j->any = false;
    return *out ? PARE_OK : pare_no_memory(err, "a JSON document", n);
}
