/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of tokenizers, matched by PCRE2 (JIT where the processor has it). Text is valid UTF-8 when it comes here,
 * so it is not checked again. A literal needs no PCRE2 at all. Matches are found one after the other as the library's engine
 * does it: an empty match right behind the last match is skipped by one character.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include "text/tok.h"

enum {
    MATCH_LIMIT = 10000000,        /* steps of one search: what needs more is hostile */
    HEAP_KIB = 65536,
    JIT_STACK = 1 << 20,
};

struct pare_tok_regex {
    pcre2_code *code;              /* NULL: literal */
    bool jit;
    size_t n;
    char literal[];
};

struct pare_tok_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static void *hook_alloc(size_t n, void *unused)
{
    (void)unused;
    return pare_alloc(n);
}

static void hook_free(void *p, void *unused)
{
    (void)unused;
    pare_dealloc(p);
}

/* ------------------------------------------------------------------------------------------------------------- compiling */

static pare_status compile(const char *where, pare_tspan pattern, const pare_str *translated, pare_tok_regex *r, pare_err *err)
{
    pare_status st = PARE_OK;
    int code = 0;
    size_t at = 0;
    PCRE2_UCHAR why[128];
    pcre2_general_context *general = pcre2_general_context_create(hook_alloc, hook_free, NULL);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    if (!context) {
        st = pare_no_memory(err, where, pattern.n);
        goto out;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 100);
    r->code = pcre2_compile((PCRE2_SPTR)translated->at, translated->n, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK, &code, &at, context);
    if (!r->code) {
        if (code == PCRE2_ERROR_HEAP_FAILED) PARE_TRY(pare_no_memory(err, where, pattern.n));
        if (pcre2_get_error_message(code, why, sizeof why) < 0) why[0] = 0;
        PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: regular expression '%.*s': %s", where, (int)(pattern.n < 200 ? pattern.n : 200), pattern.at, (const char *)why);
    }
    /* Without JIT (no memory for it, no support) matching is slower and otherwise the same. */
    r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
out:
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    return st;
}

/* \p{Greek} alone would be PCRE2's script extensions; the library means the script. */
bool pare_tok_regex_knows_script(const char *name, bool *failed)
{
    char text[80];
    int code = 0;
    size_t at;
    pare_print(text, sizeof text, "\\p{sc:%s}", name);
    pcre2_general_context *general = pcre2_general_context_create(hook_alloc, hook_free, NULL);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    pcre2_code *compiled = context ? pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &at, context) : NULL;
    if (!context || code == PCRE2_ERROR_HEAP_FAILED) *failed = true;
    pcre2_code_free(compiled);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    return compiled != NULL;
}

pare_status pare_tok_regex_new(const char *where, pare_tspan pattern, bool literal, pare_tok_regex **out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_str translated = {0};
    pare_tok_regex *r = pare_alloc_zero(1, sizeof *r + pattern.n + 1);
    *out = NULL;
    if (!r) return pare_no_memory(err, where, pattern.n);
    memcpy(r->literal, pattern.at, pattern.n);
    r->n = pattern.n;
    if (!literal) {
        PARE_TRY(pare_tok_regex_translate(where, pattern, &translated, err));
        PARE_TRY(compile(where, pattern, &translated, r, err));
    }
    *out = r;
    r = NULL;
out:
    pare_tok_regex_free(r);
    pare_str_clear(&translated);
    return st;
}

void pare_tok_regex_free(pare_tok_regex *r)
{
    if (!r) return;
    pcre2_code_free(r->code);
    pare_dealloc(r);
}

bool pare_tok_regex_is_char(const pare_tok_regex *r) { return !r->code && r->n > 0 && pare_utf8_length(r->literal, r->n) == r->n; }

/* -------------------------------------------------------------------------------------------------------------- matching */

void pare_tok_matcher_free(struct pare_tok_matcher *m)
{
    if (!m) return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    pare_dealloc(m);
}

static pare_status matcher_of(pare_tok_scratch *s, struct pare_tok_matcher **out, pare_err *err)
{
    if (s->matcher) return *out = s->matcher, PARE_OK;
    pcre2_general_context *general = pcre2_general_context_create(hook_alloc, hook_free, NULL);
    struct pare_tok_matcher *m = general ? pare_alloc_zero(1, sizeof *m) : NULL;
    if (m) {
        m->data = pcre2_match_data_create(1, general);
        m->context = pcre2_match_context_create(general);
        m->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK, general);
    }
    pcre2_general_context_free(general);
    if (!m || !m->data || !m->context) {
        pare_tok_matcher_free(m);
        return pare_no_memory(err, "regular expression", sizeof *m);
    }
    pcre2_set_match_limit(m->context, MATCH_LIMIT);
    pcre2_set_heap_limit(m->context, HEAP_KIB);
    pcre2_jit_stack_assign(m->context, NULL, m->stack);
    *out = s->matcher = m;
    return PARE_OK;
}

static pare_status search(pare_tok_find *f, size_t *begin, size_t *end, bool *found, pare_err *err)
{
    const pare_tok_regex *r = f->regex;
    struct pare_tok_matcher *m;
    pare_status st = matcher_of(f->s, &m, err);
    if (st != PARE_OK) return st;
    PCRE2_SPTR text = (PCRE2_SPTR)f->text.at;
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;
    if (r->jit && m->stack) rc = pcre2_jit_match(r->code, text, f->text.n, f->pos, 0, m->data, m->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = pcre2_match(r->code, text, f->text.n, f->pos, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->context);
    *found = rc >= 0;
    if (rc == PCRE2_ERROR_NOMATCH) return PARE_OK;
    if (rc == PCRE2_ERROR_NOMEMORY) return pare_no_memory(err, "regular expression", HEAP_KIB * (size_t)1024);
    if (rc < 0) return pare_fail(err, PARE_ERR_DATA, "regular expression '%.*s': the search takes too many steps (error %d)", (int)(r->n < 200 ? r->n : 200), r->literal, rc);
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
    *begin = at[0];
    *end = at[1];
    if (*begin < f->pos || *end < *begin) return pare_fail(err, PARE_ERR_UNSUPPORTED, "regular expression '%s': the match begins before the search", r->literal);
    return PARE_OK;
}

static bool search_literal(const pare_tok_find *f, size_t *begin, size_t *end)
{
    const pare_tok_regex *r = f->regex;
    const char *rest = f->text.at + f->pos;
    const char *at = r->n == 0 ? rest : r->n == 1 ? memchr(rest, r->literal[0], f->text.n - f->pos) : memmem(rest, f->text.n - f->pos, r->literal, r->n);
    if (!at) return false;
    *begin = (size_t)(at - f->text.at);
    *end = *begin + r->n;
    return true;
}

pare_status pare_tok_find_next(pare_tok_find *f, size_t *begin, size_t *end, bool *found, pare_err *err)
{
    for (*found = false; f->pos <= f->text.n;) {
        if (f->regex->code) {
            pare_status st = search(f, begin, end, found, err);
            if (st != PARE_OK) return st;
        } else {
            *found = search_literal(f, begin, end);
        }
        if (!*found) break;
        if (*begin != *end || !f->any || f->last_end != *end) {
            f->any = true;
            f->pos = f->last_end = *end;
            return PARE_OK;
        }
        f->pos += f->pos < f->text.n ? pare_tok_char_bytes(f->text.at[f->pos]) : 1;
        *found = false;
    }
    return PARE_OK;
}

pare_status pare_tok_get_pattern(pare_tokenizer *t, const pare_jval *v, pare_tok_regex **out, pare_err *err)
{
    const pare_jval *pattern = pare_j_get(v, "pattern");
    const char *literal = pare_j_text(pare_j_get(pattern, "String"), NULL), *regex = pare_j_text(pare_j_get(pattern, "Regex"), NULL);
    if (!literal == !regex || pare_j_count(pattern) != 1)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: %s: pattern must be {\"String\": ...} or {\"Regex\": ...}", t->where, pare_j_text(pare_j_get(v, "type"), "?"));
    const char *text = literal ? literal : regex;
    return pare_tok_regex_new(t->where, (pare_tspan){text, strlen(text)}, literal != NULL, out, err);
}
