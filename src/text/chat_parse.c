/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of chat templates: tokens to a tree. What Jinja has and pare has not is PARE_ERR_UNSUPPORTED with its line. */
#include "text/chat.h"

bool chat_text_is(chat_text t, const char *word) { return strlen(word) == t.n && !memcmp(t.at, word, t.n); }
bool chat_text_same(chat_text a, chat_text b) { return a.n == b.n && (!a.n || !memcmp(a.at, b.at, a.n)); }

pare_status chat_node_new(chat_parser *p, chat_kind_of_node kind, chat_node **out)
{
    chat_node *n = pare_arena_alloc(p->arena, sizeof *n);
    if (!n) return pare_no_memory(p->err, "tree of a chat template", sizeof *n);
    *n = (chat_node){ .kind = kind, .line = p->at->line };
    *out = n;
    return PARE_OK;
}

pare_status chat_enter(chat_parser *p)
{
    if (p->depth++ < CHAT_MAX_NESTING) return PARE_OK;
    return pare_fail(p->err, PARE_ERR_UNSUPPORTED, "%s: line %d: nested more than %d deep", p->where, p->at->line, CHAT_MAX_NESTING);
}

pare_status chat_outside(chat_parser *p, int line, const char *what, chat_text name)
{
    return pare_fail(p->err, PARE_ERR_UNSUPPORTED, "%s: line %d: %s '%.*s' is not in the subset of Jinja that pare runs", p->where, line, what,
                     name.n > 60 ? 60 : (int)name.n, name.at);
}

pare_status chat_unexpected(chat_parser *p, const char *wanted)
{
    const chat_token *t = p->at;
    const char *names[] = { [CHAT_T_END] = "the end of the template", [CHAT_T_DATA] = "text", [CHAT_T_PRINT] = "{{", [CHAT_T_PRINT_END] = "}}",
                            [CHAT_T_BLOCK] = "{%", [CHAT_T_BLOCK_END] = "%}", [CHAT_T_TEXT] = "a quoted text" };
    if (t->kind == CHAT_T_NAME || t->kind == CHAT_T_INT || t->kind == CHAT_T_REAL || t->kind == CHAT_T_OP)
        return pare_fail(p->err, PARE_ERR_FORMAT, "%s: line %d: '%.*s' where %s is expected", p->where, t->line, t->text.n > 40 ? 40 : (int)t->text.n, t->text.at, wanted);
    return pare_fail(p->err, PARE_ERR_FORMAT, "%s: line %d: %s where %s is expected", p->where, t->line, names[t->kind], wanted);
}

bool chat_is_op(const chat_parser *p, const char *op) { return p->at->kind == CHAT_T_OP && chat_text_is(p->at->text, op); }
bool chat_is_name(const chat_parser *p, const char *name) { return p->at->kind == CHAT_T_NAME && chat_text_is(p->at->text, name); }

bool chat_take_op(chat_parser *p, const char *op)
{
    const bool is = chat_is_op(p, op);
    p->at += is;
    return is;
}

bool chat_take_name(chat_parser *p, const char *name)
{
    const bool is = chat_is_name(p, name);
    p->at += is;
    return is;
}

pare_status chat_want_op(chat_parser *p, const char *op)
{
    char text[8];
    pare_print(text, sizeof text, "'%s'", op);
    return chat_take_op(p, op) ? PARE_OK : chat_unexpected(p, text);
}

pare_status chat_want_name(chat_parser *p, chat_text *out)
{
    if (p->at->kind != CHAT_T_NAME) return chat_unexpected(p, "a name");
    *out = p->at++->text;
    return PARE_OK;
}

static pare_status want_block_end(chat_parser *p) { return p->at->kind == CHAT_T_BLOCK_END ? (p->at++, PARE_OK) : chat_unexpected(p, "'%}'"); }

/* Constants cannot be assigned to. */
static pare_status target_name(chat_parser *p, chat_text *out)
{
    static const char *const taken[] = { "true", "True", "false", "False", "none", "None" };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (chat_is_name(p, taken[i])) return chat_unexpected(p, "a name to assign to");
    return chat_want_name(p, out);
}

static pare_status parse_one_target(chat_parser *p, bool space, chat_node **out)
{
    pare_status st;
    if (chat_take_op(p, "(")) {
        PARE_TRY(chat_enter(p));
        PARE_TRY(chat_parse_target(p, space, out));
        PARE_TRY(chat_want_op(p, ")"));
        p->depth--;
        return PARE_OK;
    }
    PARE_TRY(chat_node_new(p, CHAT_N_NAME, out));
    PARE_TRY(target_name(p, &(*out)->text));
    if (space && chat_take_op(p, ".")) {
        chat_node *name = *out;
        PARE_TRY(chat_node_new(p, CHAT_N_ATTR, out));
        (*out)->a = name;
        PARE_TRY(chat_want_name(p, &(*out)->text));
        if ((*out)->text.at[0] == '_') return chat_outside(p, (*out)->line, "attribute", (*out)->text);
    }
out:
    return st;
}

pare_status chat_parse_target(chat_parser *p, bool space, chat_node **out)
{
    pare_status st;
    chat_node *first, *n;
    PARE_TRY(parse_one_target(p, space, &first));
    *out = first;
    if (!chat_is_op(p, ",")) return PARE_OK;
    PARE_TRY(chat_node_new(p, CHAT_N_TUPLE, &n));
    PARE_TRY(chat_node_new(p, CHAT_N_ARG, &n->a));
    n->a->a = first;
    for (chat_node *tail = n->a; chat_take_op(p, ",") && !chat_is_name(p, "in") && (p->at->kind == CHAT_T_NAME || chat_is_op(p, "(")); tail = tail->next) {
        PARE_TRY(chat_node_new(p, CHAT_N_ARG, &tail->next));
        PARE_TRY(parse_one_target(p, space, &tail->next->a));
    }
    *out = n;
out:
    return st;
}

/* ----------------------------------------------------------------------------------------------------------- statements */

static pare_status parse_list(chat_parser *p, const char *const *ends, chat_node **out);

/* The body behind a tag: its end, the statements, up to the name of one of `ends` (which is taken; *end: which one). */
static pare_status parse_body(chat_parser *p, const char *const *ends, int *end, chat_node **out)
{
    pare_status st;
    const int line = p->at->line;
    chat_take_op(p, ":");
    PARE_TRY(want_block_end(p));
    PARE_TRY(parse_list(p, ends, out));
    if (p->at->kind == CHAT_T_END) return pare_fail(p->err, PARE_ERR_FORMAT, "%s: line %d: a block has no '%s'", p->where, line, ends[0]);
    for (int i = 0; ends[i]; i++)
        if (chat_take_name(p, ends[i])) {
            if (end) *end = i;
            break;
        }
out:
    return st;
}

/* A body that loops around it cannot be left from. */
static pare_status parse_closed_body(chat_parser *p, const char *end, chat_node **out)
{
    const char *const ends[] = { end, NULL };
    const int loops = p->loops;
    p->loops = 0;
    const pare_status st = parse_body(p, ends, NULL, out);
    p->loops = loops;
    return st;
}

static pare_status parse_if(chat_parser *p, chat_node *n)
{
    static const char *const ends[] = { "endif", "elif", "else", NULL };
    pare_status st;
    int end = 1;
    for (chat_node **tail = &n->a; end; tail = &(*tail)->next) {
        PARE_TRY(chat_node_new(p, CHAT_N_BRANCH, tail));
        if (end == 1) PARE_TRY(chat_parse_tuple(p, false, &(*tail)->a));
        const bool last = end == 2;
        PARE_TRY(parse_body(p, last ? (const char *const[]){ "endif", NULL } : ends, &end, &(*tail)->b));
    }
out:
    return st;
}

static pare_status parse_for(chat_parser *p, chat_node *n)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    pare_status st;
    int end;
    PARE_TRY(chat_parse_target(p, false, &n->a));
    if (!chat_take_name(p, "in")) return chat_unexpected(p, "'in'");
    PARE_TRY(chat_parse_tuple(p, false, &n->b));
    if (chat_take_name(p, "if")) PARE_TRY(chat_parse_expr(p, true, &n->next));
    n->d = n->next; /* the condition */
    n->next = NULL;
    if (chat_is_name(p, "recursive")) return chat_outside(p, n->line, "loop", p->at->text);
    p->loops++;
    PARE_TRY(parse_body(p, ends, &end, &n->c));
    p->loops--;
    if (end) {
        chat_node *other;
        PARE_TRY(chat_node_new(p, CHAT_N_BRANCH, &other));
        PARE_TRY(parse_body(p, (const char *const[]){ "endfor", NULL }, NULL, &other->b));
        other->a = n->b;
        n->b = other; /* BRANCH(a: what is walked, b: else) */
    }
out:
    return st;
}

static pare_status parse_set(chat_parser *p, chat_node *n)
{
    pare_status st;
    PARE_TRY(chat_parse_target(p, true, &n->a));
    if (chat_take_op(p, "=")) return chat_parse_tuple(p, true, &n->b);
    n->kind = CHAT_N_SET_BLOCK;
    PARE_TRY(chat_parse_filters(p, NULL, false, &n->b));
    PARE_TRY(parse_closed_body(p, "endset", &n->c));
out:
    return st;
}

static pare_status parse_macro(chat_parser *p, chat_node *n)
{
    pare_status st;
    chat_node **tail = &n->a;
    PARE_TRY(target_name(p, &n->text));
    PARE_TRY(chat_want_op(p, "("));
    for (bool defaults = false; !chat_is_op(p, ")"); tail = &(*tail)->next) {
        if (tail != &n->a) PARE_TRY(chat_want_op(p, ","));
        PARE_TRY(chat_node_new(p, CHAT_N_PARAM, tail));
        PARE_TRY(target_name(p, &(*tail)->text));
        if (chat_take_op(p, "=")) {
            PARE_TRY(chat_parse_expr(p, true, &(*tail)->a));
            defaults = true;
        } else if (defaults) {
            return chat_unexpected(p, "a default value");
        }
    }
    PARE_TRY(chat_want_op(p, ")"));
    p->macros++;
    PARE_TRY(parse_closed_body(p, "endmacro", &n->c));
    p->macros--;
out:
    return st;
}

static pare_status parse_with(chat_parser *p, chat_node *n)
{
    pare_status st;
    for (chat_node **tail = &n->a; p->at->kind != CHAT_T_BLOCK_END; tail = &(*tail)->next) {
        if (tail != &n->a) PARE_TRY(chat_want_op(p, ","));
        PARE_TRY(chat_node_new(p, CHAT_N_PAIR, tail));
        PARE_TRY(parse_one_target(p, false, &(*tail)->a));
        PARE_TRY(chat_want_op(p, "="));
        PARE_TRY(chat_parse_expr(p, true, &(*tail)->b));
    }
    PARE_TRY(parse_body(p, (const char *const[]){ "endwith", NULL }, NULL, &n->c));
out:
    return st;
}

static pare_status parse_filter_block(chat_parser *p, chat_node *n)
{
    const pare_status st = chat_parse_filters(p, NULL, true, &n->b);
    return st == PARE_OK ? parse_closed_body(p, "endfilter", &n->c) : st;
}

static pare_status parse_generation(chat_parser *p, chat_node *n) { return parse_closed_body(p, "endgeneration", &n->c); }
static pare_status parse_jump(chat_parser *p, chat_node *n)
{
    if (p->loops) return PARE_OK;
    return pare_fail(p->err, PARE_ERR_FORMAT, "%s: line %d: '%s' outside of a loop", p->where, n->line, n->kind == CHAT_N_BREAK ? "break" : "continue");
}

static const struct { const char *name; chat_kind_of_node kind; pare_status (*parse)(chat_parser *p, chat_node *n); } tags[] = {
    { "if", CHAT_N_IF, parse_if }, { "for", CHAT_N_FOR, parse_for }, { "set", CHAT_N_SET, parse_set }, { "macro", CHAT_N_MACRO, parse_macro },
    { "with", CHAT_N_WITH, parse_with }, { "filter", CHAT_N_FILTER_BLOCK, parse_filter_block }, { "generation", CHAT_N_GENERATION, parse_generation },
    { "break", CHAT_N_BREAK, parse_jump }, { "continue", CHAT_N_CONTINUE, parse_jump },
};

/* "{%" is taken. */
static pare_status parse_tag(chat_parser *p, chat_node **out)
{
    pare_status st;
    chat_node *n;
    const chat_token *t = p->at;
    PARE_TRY(chat_enter(p));
    PARE_TRY(chat_node_new(p, CHAT_N_IF, &n));
    if (t->kind != CHAT_T_NAME) return chat_unexpected(p, "the name of a tag");
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!chat_take_name(p, tags[i].name)) continue;
        n->kind = tags[i].kind;
        PARE_TRY(tags[i].parse(p, n));
        PARE_TRY(want_block_end(p));
        p->depth--;
        *out = n;
        return PARE_OK;
    }
    if (chat_is_name(p, "else") || chat_is_name(p, "elif") || (t->text.n > 3 && !memcmp(t->text.at, "end", 3))) return chat_unexpected(p, "the end of another block");
    return chat_outside(p, t->line, "tag", t->text);
out:
    return st;
}

/* Statements up to the end of the template or a tag of `ends`, whose "{%" is taken. */
static pare_status parse_list(chat_parser *p, const char *const *ends, chat_node **out)
{
    pare_status st = PARE_OK;
    chat_node **tail = out;
    *out = NULL;
    while (p->at->kind != CHAT_T_END) {
        const chat_token *t = p->at++;
        switch (t->kind) {
        case CHAT_T_DATA:
            PARE_TRY(chat_node_new(p, CHAT_N_DATA, tail));
            (*tail)->text = t->text;
            break;
        case CHAT_T_PRINT:
            PARE_TRY(chat_node_new(p, CHAT_N_PRINT, tail));
            PARE_TRY(chat_parse_tuple(p, true, &(*tail)->a));
            if (p->at->kind != CHAT_T_PRINT_END) return chat_unexpected(p, "'}}'");
            p->at++;
            break;
        default:
            for (int i = 0; ends[i]; i++)
                if (chat_is_name(p, ends[i])) return PARE_OK;
            PARE_TRY(parse_tag(p, tail));
        }
        tail = &(*tail)->next;
    }
out:
    return st;
}

pare_status chat_parse_template(chat_parser *p, chat_node **out) { return parse_list(p, (const char *const[]){ NULL }, out); }
