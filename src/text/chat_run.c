/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements of chat templates run. Scopes are Jinja's: every turn of a loop, a macro, a block set, with and generation have their own, and
 * what is set there is gone behind them; if has none. namespace() is what carries values out.
 */
#include "text/chat.h"

static chat_variable *find(chat_variable *list, chat_text name)
{
    while (list && !chat_text_same(list->name, name)) list = list->next;
    return list;
}

bool chat_find_variable(const chat_run *r, chat_text name, chat_value *out)
{
    for (const chat_scope *s = r->scope; s; s = s->parent) {
        const chat_variable *v = find(s->variables, name);
        if (v) return *out = v->value, true;
    }
    return false;
}

static pare_status set_variable(chat_run *r, chat_scope *scope, chat_text name, chat_value value)
{
    void *more;
    chat_variable *v = find(scope->variables, name);
    if (v) return v->value = value, PARE_OK;
    const pare_status st = chat_memory(r, 1, sizeof *v, &more);
    if (st != PARE_OK) return st;
    v = more;
    *v = (chat_variable){ name, value, scope->variables };
    scope->variables = v;
    return PARE_OK;
}

static pare_status scope_new(chat_run *r, chat_scope *parent, chat_scope **out)
{
    void *more;
    const pare_status st = chat_memory(r, 1, sizeof **out, &more);
    if (st != PARE_OK) return st;
    *out = more;
    **out = (chat_scope){ parent, NULL };
    return PARE_OK;
}

pare_status chat_assign(chat_run *r, const chat_node *target, chat_value v)
{
    pare_status st;
    chat_list *list;
    chat_value space;
    size_t n = 0;
    PARE_TRY(chat_charge(r, 0));
    switch (target->kind) {
    case CHAT_N_NAME: return set_variable(r, r->scope, target->text, v);
    case CHAT_N_ATTR:
        PARE_TRY(chat_eval(r, target->a, &space));
        if (space.kind != CHAT_SPACE) return chat_fail(r, PARE_ERR_DATA, "'%.*s' is no namespace", (int)(target->a->text.n & 63), target->a->text.at);
        return chat_dict_put(r, space.dict, chat_str(target->text), v);
    default:
        for (const chat_node *t = target->a; t; t = t->next) n++;
        if (v.kind == CHAT_UNDEFINED) return chat_fail(r, PARE_ERR_DATA, "%zu names for an undefined value", n);
        PARE_TRY(chat_items(r, v, &list));
        if (list->n != n) return chat_fail(r, PARE_ERR_DATA, "%zu names for %zu values", n, list->n);
        n = 0;
        for (const chat_node *t = target->a; t; t = t->next) PARE_TRY(chat_assign(r, t->a, list->at[n++]));
    }
out:
    return st;
}

/* What the statements print, as a text; in a scope of its own. */
static pare_status capture(chat_run *r, const chat_node *body, chat_scope *parent, chat_value *out)
{
    pare_status st;
    pare_str text = { 0 }, *before = r->out;
    chat_scope *scope = r->scope;
    PARE_TRY(scope_new(r, parent, &r->scope));
    r->out = &text;
    PARE_TRY(chat_execute(r, body));
    PARE_TRY(chat_keep(r, &text, out));
out:
    pare_str_clear(&text);
    r->out = before;
    r->scope = scope;
    return st;
}

static pare_status capture_filtered(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st = capture(r, n->c, r->scope, out);
    if (st != PARE_OK || !n->b) return st;
    const chat_value piped = r->piped;
    r->piped = *out;
    st = chat_eval(r, n->b, out);
    r->piped = piped;
    return st;
}

static size_t count_params(const chat_node *n)
{
    size_t count = 0;
    for (const chat_node *p = n->a; p; p = p->next) count++;
    return count;
}

pare_status chat_macro_call(chat_run *r, const chat_macro *m, const chat_use *u, chat_value *out)
{
    pare_status st;
    pare_str text = { 0 }, *before = r->out;
    chat_scope *scope = r->scope, *inner;
    const int line = r->line, name_n = m->node->text.n > 60 ? 60 : (int)m->node->text.n;
    size_t i = 0, used = 0;
    if (u->positional > count_params(m->node))
        return chat_fail(r, PARE_ERR_DATA, "macro '%.*s' takes %zu arguments, not %zu", name_n, m->node->text.at, count_params(m->node), u->positional);
    PARE_TRY(scope_new(r, m->scope, &inner));
    for (const chat_node *p = m->node->a; p; p = p->next, i++) { /* given ones first: a default may look at them */
        const chat_value *given = i < u->positional ? &u->arg[i] : NULL;
        for (size_t k = u->positional; k < u->n; k++) {
            if (!chat_text_same(u->key[k], p->text)) continue;
            if (given) return chat_fail(r, PARE_ERR_DATA, "macro '%.*s' gets '%.*s' twice", name_n, m->node->text.at, (int)(p->text.n & 63), p->text.at);
            given = &u->arg[k];
            used++;
        }
        if (given || !p->a) PARE_TRY(set_variable(r, inner, p->text, given ? *given : chat_undefined()));
    }
    if (used < u->n - u->positional) return chat_fail(r, PARE_ERR_DATA, "macro '%.*s' has no such argument", name_n, m->node->text.at);
    r->scope = inner;
    for (const chat_node *p = m->node->a; p; p = p->next) {
        chat_value value;
        if (find(inner->variables, p->text)) continue;
        PARE_TRY(chat_eval(r, p->a, &value));
        PARE_TRY(set_variable(r, inner, p->text, value));
    }
    r->out = &text;
    PARE_TRY(chat_execute(r, m->node->c));
    PARE_TRY(chat_keep(r, &text, out));
    r->line = line;
out:
    pare_str_clear(&text);
    r->out = before;
    r->scope = scope;
    return st;
}

/* ---------------------------------------------------------------------------------------------------------- statements */

/* Items that the loop's condition lets through. */
static pare_status select_items(chat_run *r, const chat_node *n, chat_list *all, chat_list **out)
{
    pare_status st;
    chat_value kept, test;
    chat_scope *scope = r->scope;
    PARE_TRY(chat_list_new(r, CHAT_LIST, all->n, &kept));
    kept.list->n = 0;
    for (size_t i = 0; i < all->n; i++) {
        PARE_TRY(scope_new(r, scope, &r->scope));
        PARE_TRY(chat_assign(r, n->a, all->at[i]));
        PARE_TRY(chat_eval(r, n->d, &test));
        if (chat_truth(test)) kept.list->at[kept.list->n++] = all->at[i];
    }
    *out = kept.list;
out:
    r->scope = scope;
    return st;
}

static pare_status run_for(chat_run *r, const chat_node *n)
{
    static const chat_text loop_name = { "loop", 4 };
    pare_status st;
    const chat_node *iterable = n->b->kind == CHAT_N_BRANCH ? n->b->a : n->b;
    chat_scope *scope = r->scope;
    chat_value v;
    chat_list *list;
    void *loop;
    PARE_TRY(chat_eval(r, iterable, &v));
    PARE_TRY(chat_items(r, v, &list));
    if (n->d) PARE_TRY(select_items(r, n, list, &list));
    PARE_TRY(chat_memory(r, 1, sizeof(chat_loop), &loop));
    for (size_t i = 0; i < list->n && r->jump != CHAT_BREAK; i++) {
        r->jump = CHAT_GO_ON;
        *(chat_loop *)loop = (chat_loop){ .list = list, .i = i };
        PARE_TRY(scope_new(r, scope, &r->scope));
        PARE_TRY(set_variable(r, r->scope, loop_name, (chat_value){ .kind = CHAT_LOOP, .loop = loop }));
        PARE_TRY(chat_assign(r, n->a, list->at[i]));
        PARE_TRY(chat_execute(r, n->c));
    }
    r->jump = CHAT_GO_ON;
    if (!list->n && iterable != n->b) {
        PARE_TRY(scope_new(r, scope, &r->scope));
        PARE_TRY(chat_execute(r, n->b->b));
    }
out:
    r->scope = scope;
    return st;
}

static pare_status run_if(chat_run *r, const chat_node *n)
{
    for (const chat_node *b = n->a; b; b = b->next) {
        chat_value test = chat_bool(true);
        const pare_status st = b->a ? chat_eval(r, b->a, &test) : PARE_OK;
        if (st != PARE_OK) return st;
        if (chat_truth(test)) return chat_execute(r, b->b);
    }
    return PARE_OK;
}

static pare_status run_with(chat_run *r, const chat_node *n)
{
    pare_status st;
    chat_scope *scope = r->scope, *inner;
    PARE_TRY(scope_new(r, scope, &inner));
    for (const chat_node *p = n->a; p; p = p->next) {
        chat_value v;
        r->scope = scope; /* values do not see the names beside them */
        PARE_TRY(chat_eval(r, p->b, &v));
        r->scope = inner;
        PARE_TRY(chat_assign(r, p->a, v));
    }
    r->scope = inner;
    PARE_TRY(chat_execute(r, n->c));
out:
    r->scope = scope;
    return st;
}

static pare_status run_macro(chat_run *r, const chat_node *n)
{
    void *m;
    const pare_status st = chat_memory(r, 1, sizeof(chat_macro), &m);
    if (st != PARE_OK) return st;
    *(chat_macro *)m = (chat_macro){ n, r->scope };
    return set_variable(r, r->scope, n->text, (chat_value){ .kind = CHAT_MACRO, .macro = m });
}

static pare_status run_one(chat_run *r, const chat_node *n)
{
    pare_status st = PARE_OK;
    chat_value v;
    switch (n->kind) {
    case CHAT_N_DATA: return chat_add(r, r->out, n->text);
    case CHAT_N_PRINT:
        PARE_TRY(chat_eval(r, n->a, &v));
        return chat_print(r, v, r->out);
    case CHAT_N_IF: return run_if(r, n);
    case CHAT_N_FOR: return run_for(r, n);
    case CHAT_N_SET:
        PARE_TRY(chat_eval(r, n->b, &v));
        return chat_assign(r, n->a, v);
    case CHAT_N_SET_BLOCK:
        PARE_TRY(capture_filtered(r, n, &v));
        return chat_assign(r, n->a, v);
    case CHAT_N_FILTER_BLOCK:
        PARE_TRY(capture_filtered(r, n, &v));
        return chat_print(r, v, r->out);
    case CHAT_N_GENERATION:
        PARE_TRY(capture(r, n->c, r->scope, &v));
        return chat_print(r, v, r->out);
    case CHAT_N_MACRO: return run_macro(r, n);
    case CHAT_N_WITH: return run_with(r, n);
    case CHAT_N_BREAK: r->jump = CHAT_BREAK; break;
    default: r->jump = CHAT_CONTINUE;
    }
out:
    return st;
}

pare_status chat_execute(chat_run *r, const chat_node *list)
{
    pare_status st = PARE_OK;
    if (r->depth++ >= CHAT_MAX_DEPTH) return chat_fail(r, PARE_ERR_UNSUPPORTED, "nested more than %d deep", CHAT_MAX_DEPTH);
    for (const chat_node *n = list; n && r->jump == CHAT_GO_ON; n = n->next) {
        r->line = n->line;
        PARE_TRY(chat_charge(r, n->kind == CHAT_N_DATA ? n->text.n : 0));
        PARE_TRY(run_one(r, n));
    }
    r->depth--;
out:
    return st;
}
