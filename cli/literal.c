/* SPDX-License-Identifier: Apache-2.0 */
/* Parser of tensor literals: nested lists of numbers. */
#include "literal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const char *start, *at;
    literal *l;
} parser;

static void skip_blanks(parser *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
}

static bool fail(parser *p, const char *what) {
    if (!p->l->wrong[0]) snprintf(p->l->wrong, sizeof p->l->wrong, "%s at character %lld", what, (long long)(p->at - p->start) + 1);
    return false;
}

static bool add(parser *p, float v) {
    literal *const l = p->l;
    if (l->n == l->cap) {
        const int64_t cap = l->cap ? 2 * l->cap : 64;
        float *const grown = realloc(l->values, (size_t)cap * sizeof *grown);
        if (!grown) return fail(p, "out of memory");
        l->values = grown;
        l->cap = cap;
    }
    l->values[l->n++] = v;
    return true;
}

static bool parse_number(parser *p, int depth) {
    char *end;
    const float v = strtof(p->at, &end);
    if (end == p->at) return fail(p, "expected a number or '['");
    if (p->l->ndim == 0) p->l->ndim = depth;
    if (p->l->ndim != depth) return fail(p, "numbers at different depths");
    p->at = end;
    return add(p, v);
}

static bool parse_value(parser *p, int depth);

/* "[ value, value, ... ]" at depth; every list of one depth has the length of the first. */
static bool parse_list(parser *p, int depth) {
    int64_t n = 0;
    if (depth >= 8) return fail(p, "more than 8 dimensions");
    p->at++;
    for (;;) {
        skip_blanks(p);
        if (*p->at == ']' && n == 0) return fail(p, "an empty list");
        if (!parse_value(p, depth + 1)) return false;
        n++;
        skip_blanks(p);
        if (*p->at == ']') break;
        if (*p->at != ',') return fail(p, "expected ',' or ']'");
        p->at++;
    }
    if (p->l->shape[depth] == 0) p->l->shape[depth] = n;
    if (p->l->shape[depth] != n) return fail(p, "lists of different lengths");
    p->at++;
    return true;
}

static bool parse_value(parser *p, int depth) {
    skip_blanks(p);
    return *p->at == '[' ? parse_list(p, depth) : parse_number(p, depth);
}

bool literal_parse(const char *text, literal *out) {
    parser p = {text, text, out};
    memset(out, 0, sizeof *out);
    if (!parse_value(&p, 0)) return false;
    skip_blanks(&p);
    return *p.at ? fail(&p, "text after the tensor") : true;
}

void literal_clear(literal *l) {
    free(l->values);
    l->values = NULL;
}
