/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions of chat templates, by recursive descent in Jinja's order of binding: a if b else c, or, and, not, comparisons, + -, ~,
 * * / // %, **, unary signs, then what follows a value: .name [index] (call) | filter, is test.
 */
#include "text/chat.h"

static pare_status parse_unary(chat_parser *p, bool filters, chat_node **out);

static pare_status pair(chat_parser *p, chat_kind_of_node kind, chat_node *a, chat_node *b, chat_node **out)
{
    const pare_status st = chat_node_new(p, kind, out);
    if (st == PARE_OK) (*out)->a = a, (*out)->b = b;
    return st;
}

/* (a, name=b, ...): the opening parenthesis is next. */
static pare_status parse_arguments(chat_parser *p, chat_node **out)
{
    pare_status st;
    bool named = false;
    *out = NULL;
    PARE_TRY(chat_want_op(p, "("));
    for (chat_node **tail = out; !chat_is_op(p, ")"); tail = &(*tail)->next) {
        if (tail != out) PARE_TRY(chat_want_op(p, ","));
        if (tail != out && chat_is_op(p, ")")) break;
        if (chat_is_op(p, "*") || chat_is_op(p, "**")) return chat_outside(p, p->at->line, "arguments by", p->at->text);
        chat_node *n;
        PARE_TRY(chat_node_new(p, CHAT_N_ARG, &n));
        if (p->at->kind == CHAT_T_NAME && p->at[1].kind == CHAT_T_OP && chat_text_is(p->at[1].text, "=")) {
            n->text = p->at->text;
            p->at += 2;
            named = true;
        } else if (named) {
            return chat_unexpected(p, "a named argument");
        }
        PARE_TRY(chat_parse_expr(p, true, &n->a));
        *tail = n;
    }
    PARE_TRY(chat_want_op(p, ")"));
out:
    return st;
}

static pare_status parse_bound(chat_parser *p, chat_node **out)
{
    if (chat_is_op(p, ":") || chat_is_op(p, "]")) return chat_node_new(p, CHAT_N_NONE, out);
    return chat_parse_expr(p, true, out);
}

/* x[index] and x[from:to:step]; the bracket is taken. */
static pare_status parse_index(chat_parser *p, chat_node *x, chat_node **out)
{
    pare_status st;
    chat_node *n;
    PARE_TRY(chat_node_new(p, CHAT_N_ITEM, &n));
    n->a = x;
    PARE_TRY(parse_bound(p, &n->b));
    if (chat_take_op(p, ":")) {
        n->kind = CHAT_N_SLICE;
        PARE_TRY(parse_bound(p, &n->c));
        chat_take_op(p, ":");
        PARE_TRY(parse_bound(p, &n->d));
    } else if (n->b->kind == CHAT_N_NONE && chat_is_op(p, "]") && p->at[-1].kind == CHAT_T_OP) {
        return chat_unexpected(p, "an index");
    }
    if (chat_is_op(p, ",")) return chat_outside(p, p->at->line, "index of several parts", CHAT_TEXT(","));
    PARE_TRY(chat_want_op(p, "]"));
    *out = n;
out:
    return st;
}

static pare_status parse_attribute(chat_parser *p, chat_node *x, chat_node **out)
{
    pare_status st;
    chat_node *n;
    PARE_TRY(chat_node_new(p, CHAT_N_ATTR, &n));
    n->a = x;
    if (p->at->kind == CHAT_T_INT) {
        n->kind = CHAT_N_ITEM;
        PARE_TRY(chat_node_new(p, CHAT_N_INT, &n->b));
        n->b->i = p->at->i;
        p->at++;
    } else {
        PARE_TRY(chat_want_name(p, &n->text));
        if (n->text.n > 1 && !memcmp(n->text.at, "__", 2)) return chat_outside(p, n->line, "attribute", n->text);
    }
    *out = n;
out:
    return st;
}

static pare_status parse_call(chat_parser *p, chat_node *x, chat_node **out)
{
    pare_status st;
    chat_node *n;
    PARE_TRY(chat_node_new(p, CHAT_N_CALL, &n));
    n->a = x;
    if (x->kind == CHAT_N_ATTR) {
        bool known;
        if (!chat_method_exists(x->text, &known) && known) return chat_outside(p, n->line, "method", x->text);
        n->kind = CHAT_N_METHOD;
        n->text = x->text;
        n->a = x->a;
    } else if (x->kind == CHAT_N_NAME) {
        const chat_callee *f = chat_callee_find(CHAT_GLOBAL, x->text);
        if (f && !f->run) return chat_outside(p, n->line, "function", x->text);
    }
    PARE_TRY(parse_arguments(p, &n->b));
    *out = n;
out:
    return st;
}

static pare_status parse_postfix(chat_parser *p, chat_node **x)
{
    pare_status st = PARE_OK;
    while (st == PARE_OK) {
        if (chat_take_op(p, ".")) st = parse_attribute(p, *x, x);
        else if (chat_take_op(p, "[")) st = parse_index(p, *x, x);
        else if (chat_is_op(p, "(")) st = parse_call(p, *x, x);
        else break;
    }
    return st;
}

/* [a, b] and {k: v}; the bracket is taken. */
static pare_status parse_items(chat_parser *p, chat_kind_of_node kind, const char *close, chat_node **out)
{
    pare_status st;
    PARE_TRY(chat_node_new(p, kind, out));
    for (chat_node **tail = &(*out)->a; !chat_is_op(p, close); tail = &(*tail)->next) {
        if (tail != &(*out)->a) PARE_TRY(chat_want_op(p, ","));
        if (chat_is_op(p, close)) break;
        chat_node *item, *key;
        PARE_TRY(chat_node_new(p, kind == CHAT_N_DICT ? CHAT_N_PAIR : CHAT_N_ARG, &item));
        PARE_TRY(chat_parse_expr(p, true, &key));
        item->a = key;
        if (kind == CHAT_N_DICT) {
            PARE_TRY(chat_want_op(p, ":"));
            PARE_TRY(chat_parse_expr(p, true, &item->b));
        }
        *tail = item;
    }
    PARE_TRY(chat_want_op(p, close));
out:
    return st;
}

/* Texts side by side are one text. */
static pare_status parse_text(chat_parser *p, chat_node **out)
{
    size_t n = 0;
    const chat_token *first = p->at;
    const pare_status st = chat_node_new(p, CHAT_N_TEXT, out);
    if (st != PARE_OK) return st;
    for (; p->at->kind == CHAT_T_TEXT; p->at++) n += p->at->text.n;
    (*out)->text = first->text;
    if (p->at == first + 1) return PARE_OK;
    char *all = pare_arena_alloc(p->arena, n + 1);
    if (!all) return pare_no_memory(p->err, "text of a chat template", n);
    (*out)->text = (chat_text){ all, n };
    for (; first < p->at; first++) {
        memcpy(all, first->text.at, first->text.n);
        all += first->text.n;
    }
    return PARE_OK;
}

static pare_status parse_name(chat_parser *p, chat_node **out)
{
    static const struct { const char *name; chat_kind_of_node kind; bool value; } constants[] = {
        { "true", CHAT_N_BOOL, true }, { "True", CHAT_N_BOOL, true }, { "false", CHAT_N_BOOL, false },
        { "False", CHAT_N_BOOL, false }, { "none", CHAT_N_NONE, false }, { "None", CHAT_N_NONE, false },
    };
    const pare_status st = chat_node_new(p, CHAT_N_NAME, out);
    if (st != PARE_OK) return st;
    chat_node *n = *out;
    n->text = p->at->text;
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (chat_text_is(n->text, constants[i].name)) n->kind = constants[i].kind, n->i = constants[i].value;
    if (p->macros && (chat_text_is(n->text, "varargs") || chat_text_is(n->text, "kwargs") || chat_text_is(n->text, "caller")))
        return chat_outside(p, n->line, "name", n->text);
    p->at++;
    return PARE_OK;
}

static pare_status parse_primary(chat_parser *p, chat_node **out)
{
    pare_status st;
    switch (p->at->kind) {
    case CHAT_T_NAME: return parse_name(p, out);
    case CHAT_T_TEXT: return parse_text(p, out);
    case CHAT_T_INT:
    case CHAT_T_REAL:
        PARE_TRY(chat_node_new(p, p->at->kind == CHAT_T_INT ? CHAT_N_INT : CHAT_N_REAL, out));
        (*out)->i = p->at->i;
        (*out)->r = p->at->r;
        p->at++;
        return PARE_OK;
    default: break;
    }
    if (chat_take_op(p, "[")) return parse_items(p, CHAT_N_LIST, "]", out);
    if (chat_take_op(p, "{")) return parse_items(p, CHAT_N_DICT, "}", out);
    if (!chat_take_op(p, "(")) return chat_unexpected(p, "a value");
    if (chat_take_op(p, ")")) return chat_node_new(p, CHAT_N_TUPLE, out);
    PARE_TRY(chat_parse_tuple(p, true, out));
    PARE_TRY(chat_want_op(p, ")"));
out:
    return st;
}

pare_status chat_parse_filters(chat_parser *p, chat_node *input, bool named, chat_node **out)
{
    pare_status st = PARE_OK;
    *out = input;
    while (named || chat_take_op(p, "|")) {
        chat_node *n;
        PARE_TRY(pair(p, CHAT_N_FILTER, *out, NULL, &n));
        PARE_TRY(chat_want_name(p, &n->text));
        n->callee = chat_callee_find(CHAT_FILTER_ROLE, n->text);
        if (!n->callee || !n->callee->run) return chat_outside(p, n->line, "filter", n->text);
        if (chat_is_op(p, "(")) PARE_TRY(parse_arguments(p, &n->b));
        *out = n;
        named = false;
    }
out:
    return st;
}

/* The argument of a test without parentheses: "x is divisibleby 3". */
static bool begins_value(const chat_parser *p)
{
    if (p->at->kind == CHAT_T_NAME) return !chat_is_name(p, "else") && !chat_is_name(p, "or") && !chat_is_name(p, "and") && !chat_is_name(p, "is");
    return p->at->kind == CHAT_T_TEXT || p->at->kind == CHAT_T_INT || p->at->kind == CHAT_T_REAL || chat_is_op(p, "[") || chat_is_op(p, "{");
}

/* x is [not] name [arguments]; "is" is taken. */
static pare_status parse_test(chat_parser *p, chat_node *x, chat_node **out)
{
    pare_status st;
    chat_node *n;
    const bool not = chat_take_name(p, "not");
    PARE_TRY(pair(p, CHAT_N_TEST, x, NULL, &n));
    PARE_TRY(chat_want_name(p, &n->text));
    n->callee = chat_callee_find(CHAT_TEST_ROLE, n->text);
    if (!n->callee || !n->callee->run) return chat_outside(p, n->line, "test", n->text);
    if (chat_is_op(p, "(")) {
        PARE_TRY(parse_arguments(p, &n->b));
    } else if (chat_is_name(p, "is")) {
        return chat_unexpected(p, "no second 'is'");
    } else if (begins_value(p)) {
        PARE_TRY(chat_node_new(p, CHAT_N_ARG, &n->b));
        PARE_TRY(parse_primary(p, &n->b->a));
        PARE_TRY(parse_postfix(p, &n->b->a));
    }
    *out = n;
    if (not) PARE_TRY(pair(p, CHAT_N_NOT, n, NULL, out));
out:
    return st;
}

static pare_status parse_unary(chat_parser *p, bool filters, chat_node **out)
{
    pare_status st;
    PARE_TRY(chat_enter(p));
    if (chat_is_op(p, "-") || chat_is_op(p, "+")) {
        const bool minus = chat_is_op(p, "-");
        chat_node *n;
        p->at++;
        PARE_TRY(parse_unary(p, false, &n));
        PARE_TRY(pair(p, minus ? CHAT_N_NEG : CHAT_N_POS, n, NULL, out));
    } else {
        PARE_TRY(parse_primary(p, out));
    }
    PARE_TRY(parse_postfix(p, out));
    while (filters) {
        if (chat_is_op(p, "|")) PARE_TRY(chat_parse_filters(p, *out, false, out));
        else if (chat_take_name(p, "is")) PARE_TRY(parse_test(p, *out, out));
        else if (chat_is_op(p, "(")) PARE_TRY(parse_call(p, *out, out));
        else break;
    }
    p->depth--;
out:
    return st;
}

/* ------------------------------------------------------------------------------------------------------------- operators */

static const struct { const char *text; chat_op op; int level; } operators[] = {
    { "**", CHAT_POW, 0 }, { "*", CHAT_MUL, 1 }, { "/", CHAT_DIV, 1 }, { "//", CHAT_FLOORDIV, 1 }, { "%", CHAT_MOD, 1 },
    { "+", CHAT_ADD, 3 },  { "-", CHAT_SUB, 3 }, { "==", CHAT_EQ, 4 }, { "!=", CHAT_NE, 4 },       { "<", CHAT_LT, 4 },
    { "<=", CHAT_LE, 4 },  { ">", CHAT_GT, 4 },  { ">=", CHAT_GE, 4 },
};

static bool take_operator(chat_parser *p, int level, chat_op *op)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (operators[i].level == level && chat_take_op(p, operators[i].text)) return *op = operators[i].op, true;
    if (level != 4) return false;
    if (chat_take_name(p, "in")) return *op = CHAT_IN, true;
    if (!chat_is_name(p, "not") || p->at[1].kind != CHAT_T_NAME || !chat_text_is(p->at[1].text, "in")) return false;
    p->at += 2;
    *op = CHAT_NOT_IN;
    return true;
}

/* Levels 0 (**) to 3 (+ -) from the left; level 2 is ~. */
static pare_status parse_math(chat_parser *p, int level, chat_node **out)
{
    pare_status st;
    chat_op op;
    chat_node *right, *n;
    PARE_TRY(level < 0 ? parse_unary(p, true, out) : parse_math(p, level - 1, out));
    if (level == 2 && chat_is_op(p, "~")) {
        PARE_TRY(pair(p, CHAT_N_CONCAT, NULL, NULL, &n));
        PARE_TRY(pair(p, CHAT_N_ARG, *out, NULL, &n->a));
        for (chat_node *tail = n->a; chat_take_op(p, "~"); tail = tail->next) {
            PARE_TRY(parse_math(p, 1, &right));
            PARE_TRY(pair(p, CHAT_N_ARG, right, NULL, &tail->next));
        }
        *out = n;
    }
    while (level >= 0 && level != 2 && take_operator(p, level, &op)) {
        PARE_TRY(parse_math(p, level - 1, &right));
        PARE_TRY(pair(p, CHAT_N_MATH, *out, right, &n));
        n->op = op;
        *out = n;
    }
out:
    return st;
}

static pare_status parse_compare(chat_parser *p, chat_node **out)
{
    pare_status st;
    chat_op op;
    chat_node *n = NULL, *right;
    PARE_TRY(parse_math(p, 3, out));
    for (chat_node **tail = NULL; take_operator(p, 4, &op); tail = &(*tail)->next) {
        if (!n) {
            PARE_TRY(pair(p, CHAT_N_COMPARE, *out, NULL, &n));
            tail = &n->b;
            *out = n;
        }
        PARE_TRY(parse_math(p, 3, &right));
        PARE_TRY(pair(p, CHAT_N_OPERAND, right, NULL, tail));
        (*tail)->op = op;
    }
out:
    return st;
}

static pare_status parse_not(chat_parser *p, chat_node **out)
{
    pare_status st;
    chat_node *n;
    if (!chat_take_name(p, "not")) return parse_compare(p, out);
    PARE_TRY(chat_enter(p));
    PARE_TRY(parse_not(p, &n));
    PARE_TRY(pair(p, CHAT_N_NOT, n, NULL, out));
    p->depth--;
out:
    return st;
}

static pare_status parse_and(chat_parser *p, chat_node **out)
{
    pare_status st;
    chat_node *right;
    PARE_TRY(parse_not(p, out));
    while (chat_take_name(p, "and")) {
        PARE_TRY(parse_not(p, &right));
        PARE_TRY(pair(p, CHAT_N_AND, *out, right, out));
    }
out:
    return st;
}

static pare_status parse_or(chat_parser *p, chat_node **out)
{
    pare_status st;
    chat_node *right;
    PARE_TRY(parse_and(p, out));
    while (chat_take_name(p, "or")) {
        PARE_TRY(parse_and(p, &right));
        PARE_TRY(pair(p, CHAT_N_OR, *out, right, out));
    }
out:
    return st;
}

pare_status chat_parse_expr(chat_parser *p, bool condition, chat_node **out)
{
    pare_status st;
    PARE_TRY(chat_enter(p));
    PARE_TRY(parse_or(p, out));
    while (condition && chat_take_name(p, "if")) {
        chat_node *n, *test;
        PARE_TRY(parse_or(p, &test));
        PARE_TRY(pair(p, CHAT_N_COND, test, *out, &n));
        if (chat_take_name(p, "else")) PARE_TRY(chat_parse_expr(p, true, &n->c));
        else PARE_TRY(chat_node_new(p, CHAT_N_UNDEFINED, &n->c));
        *out = n;
    }
    p->depth--;
out:
    return st;
}

/* Ends of a list without brackets. */
static bool tuple_ends(const chat_parser *p) { return p->at->kind == CHAT_T_PRINT_END || p->at->kind == CHAT_T_BLOCK_END || chat_is_op(p, ")"); }

pare_status chat_parse_tuple(chat_parser *p, bool condition, chat_node **out)
{
    pare_status st;
    chat_node *first, *n;
    PARE_TRY(chat_parse_expr(p, condition, &first));
    *out = first;
    if (!chat_is_op(p, ",")) return PARE_OK;
    PARE_TRY(chat_node_new(p, CHAT_N_TUPLE, &n));
    PARE_TRY(pair(p, CHAT_N_ARG, first, NULL, &n->a));
    for (chat_node *tail = n->a; chat_take_op(p, ",") && !tuple_ends(p); tail = tail->next) {
        PARE_TRY(chat_parse_expr(p, condition, &first));
        PARE_TRY(pair(p, CHAT_N_ARG, first, NULL, &tail->next));
    }
    *out = n;
out:
    return st;
}
