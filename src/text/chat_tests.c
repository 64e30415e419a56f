/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of chat templates ("x is NAME"), as Jinja has them. Listed in chat_calls.def. */
#include "text/chat.h"

#define CALL(role, name, run, required, parameters) pare_status run(chat_run *r, chat_use *u, chat_value *out);
#define NOT_IN(role, name)
#include "text/chat_calls.def"
#undef CALL
#undef NOT_IN

/* One bit a kind. */
#define K(kind) (1u << (kind))
enum { NUMBERS = K(CHAT_BOOL) | K(CHAT_INT) | K(CHAT_REAL), SERIES = K(CHAT_STR) | K(CHAT_LIST) | K(CHAT_TUPLE) | K(CHAT_DICT) | K(CHAT_UNDEFINED) };
static const struct { const char *name; unsigned kinds; } kinds[] = {
    { "defined", ~K(CHAT_UNDEFINED) },
    { "undefined", K(CHAT_UNDEFINED) },
    { "none", K(CHAT_NONE) },
    { "string", K(CHAT_STR) },
    { "mapping", K(CHAT_DICT) },
    { "number", NUMBERS },
    { "integer", K(CHAT_INT) },
    { "float", K(CHAT_REAL) },
    { "boolean", K(CHAT_BOOL) },
    { "iterable", SERIES | K(CHAT_VIEW) | K(CHAT_ITER) | K(CHAT_LOOP) },
    { "sequence", SERIES },
    { "callable", K(CHAT_MACRO) | K(CHAT_FUNCTION) | K(CHAT_UNDEFINED) },
};

pare_status chat_t_kind(chat_run *r, chat_use *u, chat_value *out)
{
    const char *name = u->callee->name;
    (void)r;
    *out = chat_bool(u->self.kind == CHAT_BOOL && u->self.b == !strcmp(name, "true")); /* true and false */
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(name, kinds[i].name)) *out = chat_bool(kinds[i].kinds >> u->self.kind & 1);
    return PARE_OK;
}

pare_status chat_t_compare(chat_run *r, chat_use *u, chat_value *out)
{
    static const struct { const char *name; chat_op op; } names[] = {
        { "==", CHAT_EQ }, { "eq", CHAT_EQ }, { "equalto", CHAT_EQ }, { "!=", CHAT_NE }, { "ne", CHAT_NE }, { "<", CHAT_LT }, { "lt", CHAT_LT },
        { "lessthan", CHAT_LT }, { "<=", CHAT_LE }, { "le", CHAT_LE }, { ">", CHAT_GT }, { "gt", CHAT_GT }, { "greaterthan", CHAT_GT },
        { ">=", CHAT_GE }, { "ge", CHAT_GE }, { "in", CHAT_IN },
    };
    bool is = false;
    pare_status st = PARE_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(u->callee->name, names[i].name)) st = chat_compare(r, names[i].op, u->self, *u->slot[0], &is);
    *out = chat_bool(is);
    return st;
}

pare_status chat_t_divisible(chat_run *r, chat_use *u, chat_value *out)
{
    chat_value rest;
    bool same;
    const bool odd = !strcmp(u->callee->name, "odd");
    if (u->self.kind == CHAT_STR) return chat_fail(r, PARE_ERR_DATA, "'%s' of a text", u->callee->name);
    pare_status st = chat_math(r, CHAT_MOD, u->self, u->slot[0] ? *u->slot[0] : chat_int(2), &rest);
    if (st == PARE_OK) st = chat_equal(r, rest, chat_int(odd), &same);
    if (st == PARE_OK) *out = chat_bool(same);
    return st;
}

/* All that has a case has this one, and there is some. */
pare_status chat_t_case(chat_run *r, chat_use *u, chat_value *out)
{
    const bool want_upper = strstr(u->callee->name, "upper") != NULL;
    bool some = false, all = true;
    chat_text t;
    pare_status st = chat_to_text(r, u->self, &t);
    if (st == PARE_OK) st = chat_charge(r, t.n);
    for (size_t at = 0; st == PARE_OK && at < t.n;) {
        uint32_t c;
        bool upper;
        at += chat_char(t, at, &c);
        if (!chat_is_cased(c, &upper)) continue;
        some = true;
        all = all && upper == want_upper;
    }
    *out = chat_bool(some && all);
    return st;
}
