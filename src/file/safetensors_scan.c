/* SPDX-License-Identifier: Apache-2.0 */
/* The fast header reader of safetensors_scan.h: recursive descent over the few productions that headers use. */
#include <string.h>
#include "file/safetensors_scan.h"

typedef struct scan { const char *at, *end; pare_st_header *out; bool no_memory; } scan;
typedef struct span { const char *at; size_t n; } span;

static void skip_space(scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) s->at++;
}

/* White space, then this character. */
static bool take(scan *s, char c)
{
    skip_space(s);
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

static bool take_string(scan *s, span *out)
{
    if (!take(s, '"')) return false;
    out->at = s->at;
    while (s->at < s->end && *s->at != '"' && *s->at != '\\' && (unsigned char)*s->at >= 0x20) s->at++;
    out->n = (size_t)(s->at - out->at);
    if (s->at == s->end || *s->at != '"') return false;
    s->at++;
    return true;
}

/* Digits without a leading zero, at most 18 of them: fits int64. */
static bool take_integer(scan *s, int64_t *out)
{
    skip_space(s);
    const char *from = s->at;
    int64_t value = 0;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9' && s->at - from < 18) value = value * 10 + (*s->at++ - '0');
    *out = value;
    return s->at > from && (*from != '0' || s->at == from + 1) && s->at < s->end && (*s->at < '0' || *s->at > '9');
}

static bool is(span s, const char *text) { return s.n == strlen(text) && !memcmp(s.at, text, s.n); }

static const char *keep(scan *s, span text)
{
    const char *copy = pare_arena_strndup(&s->out->arena, text.at, text.n);
    if (!copy) s->no_memory = true;
    return copy;
}

/* [a, b, ...] of at most max integers. */
static bool take_integers(scan *s, int64_t *out, int max, int *n)
{
    *n = 0;
    if (!take(s, '[')) return false;
    if (take(s, ']')) return true;
    do {
        if (*n == max || !take_integer(s, &out[(*n)++])) return false;
    } while (take(s, ','));
    return take(s, ']');
}

static bool take_entry(scan *s, span name)
{
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    pare_st_entry e = {0};
    int seen = 0, n = 0;
    if (!take(s, '{')) return false;
    do {
        span key, text;
        int64_t offsets[2];
        int which;
        if (!take_string(s, &key) || !take(s, ':')) return false;
        if (is(key, "dtype")) {
            which = DTYPE;
            if (!take_string(s, &text) || (e.dtype = pare_dtype_from_safetensors(text.at, text.n)) == PARE_DTYPE_NONE) return false;
        } else if (is(key, "shape")) {
            which = SHAPE;
            if (!take_integers(s, e.shape, PARE_MAX_DIMS, &e.ndim)) return false;
        } else if (is(key, "data_offsets")) {
            which = OFFSETS;
            if (!take_integers(s, offsets, 2, &n) || n != 2) return false;
            e.begin = (uint64_t)offsets[0];
            e.end = (uint64_t)offsets[1];
        } else return false;
        if (seen & which) return false;
        seen |= which;
    } while (take(s, ','));
    if (seen != (DTYPE | SHAPE | OFFSETS) || !take(s, '}') || !(e.name = keep(s, name))) return false;
    if (!PARE_VEC_PUSH(&s->out->entries, e)) s->no_memory = true;
    return !s->no_memory;
}

static bool take_metadata(scan *s)
{
    if (s->out->metadata.n || !take(s, '{')) return false;
    do {
        span key, value;
        if (!take_string(s, &key) || !take(s, ':') || !take_string(s, &value)) return false;
        struct pare_kv kv = {keep(s, key), keep(s, value)};
        if (!kv.key || !kv.value) return false;
        for (size_t i = 0; i < s->out->metadata.n; i++)
            if (!strcmp(s->out->metadata.at[i].key, kv.key)) return false;
        if (!PARE_VEC_PUSH(&s->out->metadata, kv)) s->no_memory = true;
        if (s->no_memory || s->out->metadata.n > 1000) return false; /* many keys: the general parser has a hash */
    } while (take(s, ','));
    return take(s, '}');
}

static bool take_header(scan *s)
{
    if (!take(s, '{')) return false;
    if (!take(s, '}')) {
        do {
            span name;
            if (!take_string(s, &name) || !take(s, ':')) return false;
            if (!(is(name, "__metadata__") ? take_metadata(s) : take_entry(s, name))) return false;
        } while (take(s, ','));
        if (!take(s, '}')) return false;
    }
    skip_space(s);
    return s->at == s->end;
}

pare_status pare_st_scan(const char *text, size_t n, pare_st_header *out, pare_err *err)
{
    scan s = {text, text + n, out, false};
    memset(out, 0, sizeof *out);
    if (pare_utf8_valid(text, n) && take_header(&s)) return PARE_OK;
    pare_st_header_clear(out);
    return s.no_memory ? pare_no_memory(err, "safetensors header", n) : PARE_ERR_UNSUPPORTED;
}

void pare_st_header_clear(pare_st_header *h)
{
    PARE_VEC_CLEAR(&h->entries);
    PARE_VEC_CLEAR(&h->metadata);
    pare_arena_clear(&h->arena);
}
