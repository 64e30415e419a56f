/* SPDX-License-Identifier: Apache-2.0 */
/* Name patterns: glob, regular expression or bare path segment. */
#include "base/pattern.h"
#include <regex.h>
#include <string.h>
#include "base/str.h"

enum kind { GLOB, REGEX, SEGMENT };

struct pare_pattern {
    enum kind kind;
    char *text;
    regex_t regex; /* REGEX only */
};

/* ---------------------------------------------------------------------------------------------------------------- glob */

/* One class "[a-z]" or "[!a-z]" at p against c. Returns the character after ']' or NULL when it does not close. */
static const char *match_class(const char *p, unsigned char c, bool *hit)
{
    bool not_in = p[1] == '!' || p[1] == '^', in = false;
    const char *first = p + 1 + not_in;
    for (p = first; *p && (*p != ']' || p == first); p++) {
        unsigned char low = (unsigned char)*p, high = low;
        if (p[1] == '-' && p[2] && p[2] != ']') {
            high = (unsigned char)p[2];
            p += 2;
        }
        in = in || (low <= c && c <= high);
    }
    *hit = in != not_in;
    return *p ? p + 1 : NULL;
}

/* Matches text[0, n). After a mismatch only the last star has to move: O(n * m), never exponential. */
static bool glob_match(const char *glob, const char *text, size_t n)
{
    const char *end = text + n, *star = NULL, *retry = NULL;
    while (text < end || *glob) {
        const char *next = glob + 1;
        bool hit = false;
        if (*glob == '*') {
            star = glob++;
            retry = text;
            continue;
        }
        if (text < end && *glob == '[') {
            const char *after = match_class(glob, (unsigned char)*text, &hit);
            if (after) next = after;
            else hit = *text == '[';
        } else if (text < end) {
            hit = *glob == '?' || *glob == *text;
        }
        if (hit && *glob) {
            glob = next;
            text++;
        } else {
            if (!star || retry >= end) return false;
            glob = star + 1;
            text = ++retry;
        }
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------------------- segment */

/* "a.b" as whole dot-separated parts somewhere in the name. */
static bool segment_match(const char *segment, const char *name)
{
    size_t n = strlen(segment);
    for (const char *p = name; (p = strstr(p, segment)); p++) {
        bool begins = p == name || p[-1] == '.';
        bool ends = p[n] == '\0' || p[n] == '.';
        if (begins && ends) return true;
    }
    return false;
}

/* --------------------------------------------------------------------------------------------------------------- regex */

/* POSIX knows \w and \s but not \d, which recipes made for Python use all the time. Anchored like Python's re.match. */
static char *posix_regex(const char *text)
{
    pare_str s = {0};
    bool in_class = false;
    pare_str_add(&s, "^(");
    for (const char *p = text; *p; p++) {
        if (*p == '\\' && p[1] && !in_class) {
            if (p[1] == 'd') pare_str_add(&s, "[0-9]");
            else pare_str_addn(&s, p, 2);
            p++;
            continue;
        }
        if (*p == '[' && !in_class) {
            in_class = true;
            pare_str_addn(&s, p, 1);
            if (p[1] == '^') pare_str_addn(&s, ++p, 1);
            if (p[1] == ']') pare_str_addn(&s, ++p, 1);
            continue;
        }
        if (*p == ']') in_class = false;
        pare_str_addn(&s, p, 1);
    }
    pare_str_add(&s, ")");
    return pare_str_take(&s);
}

static pare_status compile(pare_pattern *p, pare_err *err)
{
    char why[128], *regex = posix_regex(p->text + 3);
    if (!regex) return pare_no_memory(err, "a pattern", strlen(p->text));
    int rc = regcomp(&p->regex, regex, REG_EXTENDED | REG_NOSUB);
    pare_dealloc(regex);
    if (rc == 0) {
        p->kind = REGEX;
        return PARE_OK;
    }
    if (rc == REG_ESPACE) return pare_no_memory(err, "a pattern", strlen(p->text));
    regerror(rc, &p->regex, why, sizeof why);
    pare_fail(err, PARE_ERR_USAGE, "pattern '%s': %s", p->text, why);
    pare_hint(err, "a pattern after re: is a POSIX extended regular expression");
    return PARE_ERR_USAGE;
}

/* ----------------------------------------------------------------------------------------------------------- interface */

pare_status pare_pattern_new(const char *text, pare_pattern **out, pare_err *err)
{
    pare_status st = PARE_OK;
    *out = NULL;
    if (!*text || strcmp(text, "re:") == 0) return pare_fail(err, PARE_ERR_USAGE, "empty pattern");
    pare_pattern *p = pare_alloc_zero(1, sizeof *p);
    if (p) p->text = pare_strdup(text);
    if (!p || !p->text) {
        pare_pattern_free(p);
        return pare_no_memory(err, "a pattern", sizeof *p + strlen(text) + 1);
    }
    p->kind = strpbrk(text, "*?[") ? GLOB : SEGMENT;
    if (pare_str_starts(text, "re:")) {
        p->kind = GLOB; /* nothing to regfree yet */
        st = compile(p, err);
    }
    if (st == PARE_OK)
        *out = p;
    else
        pare_pattern_free(p);
    return st;
}

void pare_pattern_free(pare_pattern *p)
{
    if (!p) return;
    if (p->kind == REGEX) regfree(&p->regex);
    pare_dealloc(p->text);
    pare_dealloc(p);
}

bool pare_pattern_match(const pare_pattern *p, const char *tensor_name)
{
    if (p->kind == REGEX) return regexec(&p->regex, tensor_name, 0, NULL, 0) == 0;
    if (p->kind == SEGMENT) return segment_match(p->text, tensor_name);
    if (glob_match(p->text, tensor_name, strlen(tensor_name))) return true;
    const char *dot = strrchr(tensor_name, '.');
    return dot && glob_match(p->text, tensor_name, (size_t)(dot - tensor_name));
}

const char *pare_pattern_text(const pare_pattern *p) { return p->text; }
