/* SPDX-License-Identifier: Apache-2.0 */
/* Values of expressions. */
#include <math.h>
#include "text/chat.h"

/* ---------------------------------------------------------------------------------------------------------- arithmetic */

static pare_status too_big(chat_run *r) { return chat_fail(r, PARE_ERR_UNSUPPORTED, "an integer of more than 64 bits"); }

static pare_status int_math(chat_run *r, chat_op op, int64_t a, int64_t b, chat_value *out)
{
    int64_t x = 0;
    bool over = false;
    if ((op == CHAT_DIV || op == CHAT_FLOORDIV || op == CHAT_MOD) && !b) return chat_fail(r, PARE_ERR_DATA, "division by zero");
    switch (op) {
    case CHAT_ADD: over = __builtin_add_overflow(a, b, &x); break;
    case CHAT_SUB: over = __builtin_sub_overflow(a, b, &x); break;
    case CHAT_MUL: over = __builtin_mul_overflow(a, b, &x); break;
    case CHAT_DIV: return *out = (chat_value){ .kind = CHAT_REAL, .r = (double)a / (double)b }, PARE_OK;
    case CHAT_FLOORDIV:
        over = a == INT64_MIN && b == -1;
        if (!over) x = a / b - (a % b != 0 && (a % b < 0) != (b < 0));
        break;
    case CHAT_MOD:
        x = b == -1 ? 0 : a % b;
        if (x && (x < 0) != (b < 0)) x += b;
        break;
    default: /* power */
        if (b < 0) {
            if (!a) return chat_fail(r, PARE_ERR_DATA, "division by zero");
            return *out = (chat_value){ .kind = CHAT_REAL, .r = pow((double)a, (double)b) }, PARE_OK;
        }
        for (x = 1; b && !over; b >>= 1) {
            if (b & 1) over = __builtin_mul_overflow(x, a, &x);
            if (b > 1 && !over) over = __builtin_mul_overflow(a, a, &a);
        }
    }
    *out = chat_int(x);
    return over ? too_big(r) : PARE_OK;
}

static pare_status real_math(chat_run *r, chat_op op, double a, double b, chat_value *out)
{
    double x;
    if ((op == CHAT_DIV || op == CHAT_FLOORDIV || op == CHAT_MOD) && b == 0) return chat_fail(r, PARE_ERR_DATA, "division by zero");
    switch (op) {
    case CHAT_ADD: x = a + b; break;
    case CHAT_SUB: x = a - b; break;
    case CHAT_MUL: x = a * b; break;
    case CHAT_DIV: x = a / b; break;
    case CHAT_MOD:
    case CHAT_FLOORDIV: {
        double rest = fmod(a, b);
        if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
        if (rest == 0) rest = copysign(0, b);
        x = op == CHAT_MOD ? rest : nearbyint((a - rest) / b);
        break;
    }
    default:
        if ((a == 0 && b < 0) || (a < 0 && b != floor(b))) return chat_fail(r, PARE_ERR_DATA, "a power that is no real number");
        x = pow(a, b);
    }
    if (isinf(x) && !isinf(a) && !isinf(b) && op == CHAT_POW) return chat_fail(r, PARE_ERR_DATA, "a power beyond the range of real numbers");
    *out = (chat_value){ .kind = CHAT_REAL, .r = x };
    return PARE_OK;
}

static pare_status join_lists(chat_run *r, chat_value a, chat_value b, chat_value *out)
{
    const pare_status st = chat_list_new(r, a.kind, a.list->n + b.list->n, out);
    if (st != PARE_OK) return st;
    if (a.list->n) memcpy(out->list->at, a.list->at, a.list->n * sizeof(chat_value));
    if (b.list->n) memcpy(out->list->at + a.list->n, b.list->at, b.list->n * sizeof(chat_value));
    return PARE_OK;
}

static pare_status join_texts(chat_run *r, chat_text a, chat_text b, chat_value *out)
{
    pare_str s = { 0 };
    pare_status st = chat_add(r, &s, a);
    if (st == PARE_OK) st = chat_add(r, &s, b);
    if (st == PARE_OK) st = chat_keep(r, &s, out);
    pare_str_clear(&s);
    return st;
}

/* A text or a list several times. */
static pare_status repeat(chat_run *r, chat_value v, int64_t times, chat_value *out)
{
    pare_status st = PARE_OK;
    pare_str s = { 0 };
    const size_t n = v.kind == CHAT_STR ? v.s.n : v.list->n;
    if (times < 0 || !n) times = 0;
    if ((uint64_t)times > CHAT_MAX_TEXT / (n ? n : 1)) return chat_fail(r, PARE_ERR_DATA, "a text grows beyond %d MiB", CHAT_MAX_TEXT >> 20);
    if (v.kind == CHAT_STR) {
        PARE_TRY(chat_charge(r, n * (size_t)times * 16));
        while (times--) PARE_TRY(chat_add(r, &s, v.s));
        return chat_keep(r, &s, out);
    }
    PARE_TRY(chat_list_new(r, v.kind, n * (size_t)times, out));
    for (size_t i = 0; i < out->list->n; i++) out->list->at[i] = v.list->at[i % n];
out:
    pare_str_clear(&s);
    return st;
}

pare_status chat_math(chat_run *r, chat_op op, chat_value a, chat_value b, chat_value *out)
{
    int64_t i, k;
    double x, y;
    const bool lists = a.kind == b.kind && (a.kind == CHAT_LIST || a.kind == CHAT_TUPLE);
    const bool series_a = a.kind == CHAT_STR || a.kind == CHAT_LIST || a.kind == CHAT_TUPLE, series_b = b.kind == CHAT_STR || b.kind == CHAT_LIST || b.kind == CHAT_TUPLE;
    if (chat_integer(a, &i) && chat_integer(b, &k)) return int_math(r, op, i, k, out);
    if (chat_number(a, &x) && chat_number(b, &y)) return real_math(r, op, x, y, out);
    if (op == CHAT_ADD && a.kind == CHAT_STR && b.kind == CHAT_STR) return join_texts(r, a.s, b.s, out);
    if (op == CHAT_ADD && lists) return join_lists(r, a, b, out);
    if (op == CHAT_MUL && series_a && chat_integer(b, &k)) return repeat(r, a, k, out);
    if (op == CHAT_MUL && series_b && chat_integer(a, &k)) return repeat(r, b, k, out);
    if (op == CHAT_MOD && a.kind == CHAT_STR) return chat_fail(r, PARE_ERR_UNSUPPORTED, "formatting with '%%' is not in the subset of Jinja that pare runs");
    return chat_fail(r, PARE_ERR_DATA, "no arithmetic with %s and %s", chat_kind_name(a), chat_kind_name(b));
}

pare_status chat_compare(chat_run *r, chat_op op, chat_value a, chat_value b, bool *out)
{
    pare_status st;
    bool same = false;
    switch (op) {
    case CHAT_EQ:
    case CHAT_NE:
        PARE_TRY(chat_equal(r, a, b, out));
        *out = *out == (op == CHAT_EQ);
        break;
    case CHAT_IN:
    case CHAT_NOT_IN:
        PARE_TRY(chat_contains(r, b, a, out));
        *out = *out == (op == CHAT_IN);
        break;
    case CHAT_GT: return chat_less(r, b, a, out);
    case CHAT_LT: return chat_less(r, a, b, out);
    default: /* <= and >= */
        PARE_TRY(op == CHAT_LE ? chat_less(r, a, b, out) : chat_less(r, b, a, out));
        if (!*out) PARE_TRY(chat_equal(r, a, b, &same));
        *out = *out || same;
    }
out:
    return st;
}

/* --------------------------------------------------------------------------------------------------------------- calls */

static pare_status eval_arguments(chat_run *r, const chat_node *list, chat_use *u)
{
    pare_status st;
    void *arg = NULL, *key = NULL;
    size_t n = 0;
    for (const chat_node *a = list; a; a = a->next) n++;
    PARE_TRY(chat_memory(r, n, sizeof *u->arg, &arg));
    PARE_TRY(chat_memory(r, n, sizeof *u->key, &key));
    u->arg = arg;
    u->key = key;
    for (const chat_node *a = list; a; a = a->next, u->n++) {
        u->key[u->n] = a->text;
        u->positional += a->text.n == 0;
        PARE_TRY(chat_eval(r, a->a, &u->arg[u->n]));
    }
out:
    return st;
}

static pare_status call_value(chat_run *r, chat_value f, chat_text name, chat_use *u, chat_value *out)
{
    if (f.kind == CHAT_MACRO) return chat_macro_call(r, f.macro, u, out);
    if (f.kind == CHAT_FUNCTION) {
        u->callee = f.function;
        return chat_callee_use(r, u, out);
    }
    return chat_fail(r, PARE_ERR_DATA, "'%.*s' is %s and cannot be called", name.n > 60 ? 60 : (int)name.n, name.at, chat_kind_name(f));
}

static pare_status eval_call(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st;
    chat_use u = { 0 };
    chat_value f;
    PARE_TRY(chat_eval(r, n->a, &f));
    PARE_TRY(eval_arguments(r, n->b, &u));
    PARE_TRY(call_value(r, f, n->a->text, &u, out));
out:
    return st;
}

static pare_status eval_method(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st;
    chat_use u = { 0 };
    chat_value f;
    PARE_TRY(chat_eval(r, n->a, &u.self));
    PARE_TRY(eval_arguments(r, n->b, &u));
    r->line = n->line;
    const chat_kind k = u.self.kind;
    if (k == CHAT_LOOP && chat_text_is(n->text, "cycle") && u.n) {
        *out = u.arg[u.self.loop->i % u.n];
        return PARE_OK;
    }
    if (k == CHAT_STR || k == CHAT_DICT || k == CHAT_LIST || k == CHAT_TUPLE) {
        u.callee = chat_callee_find(k == CHAT_STR ? CHAT_STR_METHOD : k == CHAT_DICT ? CHAT_DICT_METHOD : CHAT_LIST_METHOD, n->text);
        if (u.callee && !u.callee->run)
            return chat_fail(r, PARE_ERR_UNSUPPORTED, "method '%s' of %s is not in the subset of Jinja that pare runs", u.callee->name, chat_kind_name(u.self));
        if (u.callee) return chat_callee_use(r, &u, out);
    }
    PARE_TRY(chat_attribute(r, u.self, n->text, &f));
    PARE_TRY(call_value(r, f, n->text, &u, out));
out:
    return st;
}

static pare_status eval_filter(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st = PARE_OK;
    chat_use u = { .callee = n->callee };
    u.self = r->piped;
    if (n->a) PARE_TRY(chat_eval(r, n->a, &u.self));
    PARE_TRY(eval_arguments(r, n->b, &u));
    r->line = n->line;
    PARE_TRY(chat_callee_use(r, &u, out));
out:
    return st;
}

/* --------------------------------------------------------------------------------------------------------- expressions */

static pare_status eval_list(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st;
    size_t count = 0;
    for (const chat_node *a = n->a; a; a = a->next) count++;
    PARE_TRY(chat_list_new(r, n->kind == CHAT_N_LIST ? CHAT_LIST : CHAT_TUPLE, count, out));
    count = 0;
    for (const chat_node *a = n->a; a; a = a->next) PARE_TRY(chat_eval(r, a->a, &out->list->at[count++]));
out:
    return st;
}

static pare_status eval_dict(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st;
    void *d;
    chat_value key, value;
    PARE_TRY(chat_memory(r, 1, sizeof(chat_dict), &d));
    *out = (chat_value){ .kind = CHAT_DICT, .dict = d };
    *out->dict = (chat_dict){ 0 };
    for (const chat_node *a = n->a; a; a = a->next) {
        PARE_TRY(chat_eval(r, a->a, &key));
        PARE_TRY(chat_eval(r, a->b, &value));
        PARE_TRY(chat_dict_put(r, out->dict, key, value));
    }
out:
    return st;
}

static pare_status eval_compare(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st;
    chat_value left, right;
    bool is = true;
    PARE_TRY(chat_eval(r, n->a, &left));
    for (const chat_node *o = n->b; o && is; o = o->next, left = right) {
        PARE_TRY(chat_eval(r, o->a, &right));
        r->line = n->line;
        PARE_TRY(chat_compare(r, o->op, left, right, &is));
    }
    *out = chat_bool(is);
out:
    return st;
}

static pare_status eval_concat(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st = PARE_OK;
    pare_str s = { 0 };
    for (const chat_node *a = n->a; a; a = a->next) {
        chat_value v;
        PARE_TRY(chat_eval(r, a->a, &v));
        PARE_TRY(chat_print(r, v, &s));
    }
    PARE_TRY(chat_keep(r, &s, out));
out:
    pare_str_clear(&s);
    return st;
}

static pare_status eval_slice(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st;
    chat_value v, bounds[3];
    PARE_TRY(chat_eval(r, n->a, &v));
    PARE_TRY(chat_eval(r, n->b, &bounds[0]));
    PARE_TRY(chat_eval(r, n->c, &bounds[1]));
    PARE_TRY(chat_eval(r, n->d, &bounds[2]));
    PARE_TRY(chat_slice(r, v, bounds, out));
out:
    return st;
}

static pare_status eval_sign(chat_run *r, const chat_node *n, chat_value v, chat_value *out)
{
    int64_t i;
    if (v.kind == CHAT_REAL) return *out = (chat_value){ .kind = CHAT_REAL, .r = n->kind == CHAT_N_NEG ? -v.r : v.r }, PARE_OK;
    if (!chat_integer(v, &i)) return chat_fail(r, PARE_ERR_DATA, "no sign of %s", chat_kind_name(v));
    if (n->kind == CHAT_N_NEG && i == INT64_MIN) return too_big(r);
    *out = chat_int(n->kind == CHAT_N_NEG ? -i : i);
    return PARE_OK;
}

static pare_status eval_name(chat_run *r, chat_text name, chat_value *out)
{
    if (chat_find_variable(r, name, out)) return PARE_OK;
    const chat_callee *f = chat_callee_find(CHAT_GLOBAL, name);
    if (f && !f->run) return chat_fail(r, PARE_ERR_UNSUPPORTED, "function '%s' is not in the subset of Jinja that pare runs", f->name);
    *out = f ? (chat_value){ .kind = CHAT_FUNCTION, .function = f } : chat_undefined();
    return PARE_OK;
}

static pare_status eval_node(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st = PARE_OK;
    chat_value a, b;
    switch (n->kind) {
    case CHAT_N_NONE: *out = chat_none(); break;
    case CHAT_N_BOOL: *out = chat_bool(n->i != 0); break;
    case CHAT_N_INT: *out = chat_int(n->i); break;
    case CHAT_N_REAL: *out = (chat_value){ .kind = CHAT_REAL, .r = n->r }; break;
    case CHAT_N_TEXT: *out = chat_str(n->text); break;
    case CHAT_N_NAME: return eval_name(r, n->text, out);
    case CHAT_N_LIST:
    case CHAT_N_TUPLE: return eval_list(r, n, out);
    case CHAT_N_DICT: return eval_dict(r, n, out);
    case CHAT_N_ATTR:
        PARE_TRY(chat_eval(r, n->a, &a));
        r->line = n->line;
        return chat_attribute(r, a, n->text, out);
    case CHAT_N_ITEM:
    case CHAT_N_MATH:
        PARE_TRY(chat_eval(r, n->a, &a));
        PARE_TRY(chat_eval(r, n->b, &b));
        r->line = n->line;
        return n->kind == CHAT_N_ITEM ? chat_item(r, a, b, out) : chat_math(r, n->op, a, b, out);
    case CHAT_N_SLICE: return eval_slice(r, n, out);
    case CHAT_N_CALL: return eval_call(r, n, out);
    case CHAT_N_METHOD: return eval_method(r, n, out);
    case CHAT_N_FILTER:
    case CHAT_N_TEST: return eval_filter(r, n, out);
    case CHAT_N_NOT:
        PARE_TRY(chat_eval(r, n->a, &a));
        *out = chat_bool(!chat_truth(a));
        break;
    case CHAT_N_NEG:
    case CHAT_N_POS:
        PARE_TRY(chat_eval(r, n->a, &a));
        return eval_sign(r, n, a, out);
    case CHAT_N_COMPARE: return eval_compare(r, n, out);
    case CHAT_N_AND:
    case CHAT_N_OR:
        PARE_TRY(chat_eval(r, n->a, out));
        if (chat_truth(*out) == (n->kind == CHAT_N_AND)) PARE_TRY(chat_eval(r, n->b, out));
        break;
    case CHAT_N_COND:
        PARE_TRY(chat_eval(r, n->a, &a));
        return chat_eval(r, chat_truth(a) ? n->b : n->c, out);
    case CHAT_N_CONCAT: return eval_concat(r, n, out);
    default: *out = chat_undefined();
    }
out:
    return st;
}

pare_status chat_eval(chat_run *r, const chat_node *n, chat_value *out)
{
    pare_status st;
    *out = chat_undefined();
    r->line = n->line;
    PARE_TRY(chat_charge(r, 0));
    if (r->depth++ >= CHAT_MAX_DEPTH) return chat_fail(r, PARE_ERR_UNSUPPORTED, "nested more than %d deep", CHAT_MAX_DEPTH);
    PARE_TRY(eval_node(r, n, out));
    r->depth--;
out:
    return st;
}
