/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables: parsing and checking values, "did you mean". */
#include "base/options.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/str.h"

/* ------------------------------------------------------------------------------------------------------------- checks */

/* True when value is one of "a|b|c". */
static bool is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *p = choices;;) {
        size_t len = strcspn(p, "|");
        if (len == n && memcmp(p, value, n) == 0) return true;
        if (!p[len]) return false;
        p += len + 1;
    }
}

/* "low..high"; either side may be empty. */
static bool in_range(const char *range, double value)
{
    const char *dots = strstr(range, "..");
    char low[32];
    double bound;
    if (!dots || (size_t)(dots - range) >= sizeof low) return true;
    memcpy(low, range, (size_t)(dots - range));
    low[dots - range] = '\0';
    if (pare_parse_f64(low, &bound) && value < bound) return false;
    if (pare_parse_f64(dots + 2, &bound) && value > bound) return false;
    return true;
}

static const char *parse_bool(const char *value)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off"};
    for (int i = 0; i < 4; i++) {
        if (pare_str_same_nocase(value, yes[i])) return "true";
        if (pare_str_same_nocase(value, no[i])) return "false";
    }
    return NULL;
}

static bool number_fits(const pare_option *o, const char *value)
{
    int64_t whole;
    double real;
    if (o->type == PARE_OPT_INT ? !pare_parse_i64(value, &whole) : !pare_parse_f64(value, &real)) return false;
    if (o->type == PARE_OPT_INT) real = (double)whole;
    if (isnan(real)) return false;
    if (o->range && strchr(o->range, '|')) return is_choice(o->range, value);
    return !o->range || in_range(o->range, real);
}

/* The text to keep for value, or NULL when it is not allowed. */
static const char *accept(const pare_option *o, const char *value)
{
    switch (o->type) {
    case PARE_OPT_BOOL: return parse_bool(value);
    case PARE_OPT_INT:
    case PARE_OPT_REAL: return number_fits(o, value) ? value : NULL;
    case PARE_OPT_CHOICE: return is_choice(o->range, value) ? value : NULL;
    case PARE_OPT_TEXT: return value;
    }
    return NULL;
}

static const char *type_name(pare_option_type type)
{
    static const char *const names[] = {"a value", "true or false", "a whole number", "a number", "text", "one of"};
    return names[type <= PARE_OPT_CHOICE ? type : 0];
}

/* ------------------------------------------------------------------------------------------------------------- values */

pare_status pare_params_init(pare_params *p, const pare_option *table, pare_err *err)
{
    *p = (pare_params){.table = table};
    while (table && table[p->n].name) p->n++;
    p->text = pare_alloc_zero((size_t)p->n, sizeof *p->text);
    bool ok = p->text != NULL;
    for (int i = 0; ok && i < p->n; i++) {
        const char *def = accept(&table[i], table[i].def ? table[i].def : "");
        assert(def); /* a default outside its own range */
        p->text[i] = pare_strdup(def ? def : "");
        ok = p->text[i] != NULL;
    }
    if (ok) return PARE_OK;
    pare_params_clear(p);
    return pare_no_memory(err, "options", 64);
}

void pare_params_clear(pare_params *p)
{
    for (int i = 0; p->text && i < p->n; i++) pare_dealloc(p->text[i]);
    pare_dealloc(p->text);
    *p = (pare_params){0};
}

static int find(const pare_params *p, const char *key)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->table[i].name, key) == 0) return i;
    return -1;
}

static pare_status unknown_key(const pare_params *p, const char *key, const char *owner, pare_err *err)
{
    int best = -1, distance = 4;
    for (int i = 0; i < p->n; i++) {
        int d = pare_str_distance(key, p->table[i].name, distance);
        if (d < distance) best = i, distance = d;
    }
    pare_fail(err, PARE_ERR_USAGE, "%s: no option '%s'", owner, key);
    if (best >= 0) {
        pare_hint(err, "did you mean '%s'?", p->table[best].name);
    } else if (p->n == 0) {
        pare_hint(err, "%s takes no options", owner);
    } else {
        pare_str names = {0};
        for (int i = 0; i < p->n; i++) pare_str_printf(&names, "%s%s", i ? ", " : "", p->table[i].name);
        if (!names.failed) pare_hint(err, "options: %s", names.at);
        pare_str_clear(&names);
    }
    return PARE_ERR_USAGE;
}

pare_status pare_params_set(pare_params *p, const char *key, const char *value, const char *owner, pare_err *err)
{
    int i = find(p, key);
    if (i < 0) return unknown_key(p, key, owner, err);
    const pare_option *o = &p->table[i];
    const char *text = accept(o, value);
    if (!text) {
        const char *range = o->type != PARE_OPT_BOOL && o->range ? o->range : "";
        pare_fail(err, PARE_ERR_USAGE, "%s: %s=%s is not %s%s%s", owner, key, value, type_name(o->type), *range ? " " : "", range);
        pare_hint(err, "%s", o->help ? o->help : "");
        return PARE_ERR_USAGE;
    }
    char *copy = pare_strdup(text);
    if (!copy) return pare_no_memory(err, "options", strlen(text) + 1);
    pare_dealloc(p->text[i]);
    p->text[i] = copy;
    return PARE_OK;
}

/* A key that is not in the table is the programmer's mistake. */
const char *pare_params_text(const pare_params *p, const char *key)
{
    int i = find(p, key);
    assert(i >= 0);
    return i < 0 ? "" : p->text[i];
}

int64_t pare_params_int(const pare_params *p, const char *key)
{
    int64_t value = 0;
    pare_parse_i64(pare_params_text(p, key), &value);
    return value;
}

double pare_params_real(const pare_params *p, const char *key)
{
    double value = 0;
    pare_parse_f64(pare_params_text(p, key), &value);
    return value;
}

bool pare_params_bool(const pare_params *p, const char *key) { return strcmp(pare_params_text(p, key), "true") == 0; }
