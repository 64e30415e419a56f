/* SPDX-License-Identifier: Apache-2.0 */
/* Filters and tests of chat templates, as Jinja has them; tojson as transformers replaces it. Listed in chat_calls.def. */
#include <math.h>
#include "text/chat.h"

#define CALL(role, name, run, required, parameters) pare_status run(chat_run *r, chat_use *u, chat_value *out);
#define NOT_IN(role, name)
#include "text/chat_calls.def"
#undef CALL
#undef NOT_IN

/* The subject as a text. */
static pare_status subject(chat_run *r, const chat_use *u, chat_text *out)
{
    const pare_status st = chat_to_text(r, u->self, out);
    return st == PARE_OK ? chat_charge(r, out->n) : st;
}

/* ------------------------------------------------------------------------------------------------------------------ text */

pare_status chat_f_string(chat_run *r, chat_use *u, chat_value *out)
{
    chat_text t;
    const pare_status st = subject(r, u, &t);
    if (st == PARE_OK) *out = chat_str(t);
    return st;
}

pare_status chat_f_trim(chat_run *r, chat_use *u, chat_value *out)
{
    chat_text t;
    pare_status st = subject(r, u, &t);
    if (st != PARE_OK) return st;
    const chat_value *chars = u->slot[0];
    if (chars && chars->kind != CHAT_STR && chars->kind != CHAT_NONE) return chat_fail(r, PARE_ERR_DATA, "trim of %s", chat_kind_name(*chars));
    if (chars && chars->kind == CHAT_STR && chars->s.n > 1) st = chat_charge(r, t.n * (chars->s.n > 4096 ? 4096 : chars->s.n));
    *out = chat_str(chat_strip(t, chars && chars->kind == CHAT_STR ? &chars->s : NULL, true, true));
    return st;
}

/* word: 0 every character in `first`, 1 only the first one, 2 the first one of every word; the others in lower case. */
static pare_status recase(chat_run *r, const chat_use *u, chat_case first, int word, chat_value *out)
{
    chat_text t;
    pare_str s = { 0 };
    pare_status st = subject(r, u, &t);
    bool start = true;
    for (size_t at = 0; st == PARE_OK && at < t.n;) {
        uint32_t c;
        const size_t n = chat_char(t, at, &c);
        if (n == 1 && c >= 128) pare_str_addn(&s, t.at + at, 1);
        else chat_push_case(&s, c, !word || start ? first : CHAT_LOWER);
        if (s.n > CHAT_MAX_TEXT) st = chat_fail(r, PARE_ERR_DATA, "a text grows beyond %d MiB", CHAT_MAX_TEXT >> 20);
        start = word == 2 && (c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || chat_is_space(c));
        at += n;
    }
    if (st == PARE_OK) st = chat_keep(r, &s, out);
    pare_str_clear(&s);
    return st;
}

pare_status chat_f_upper(chat_run *r, chat_use *u, chat_value *out) { return recase(r, u, CHAT_UPPER, 0, out); }
pare_status chat_f_lower(chat_run *r, chat_use *u, chat_value *out) { return recase(r, u, CHAT_LOWER, 0, out); }
pare_status chat_f_capitalize(chat_run *r, chat_use *u, chat_value *out) { return recase(r, u, CHAT_TITLE, 1, out); }
pare_status chat_f_title(chat_run *r, chat_use *u, chat_value *out) { return recase(r, u, CHAT_UPPER, 2, out); }

pare_status chat_f_replace(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st = chat_f_string(r, u, &u->self);
    for (int i = 0; i < 2 && st == PARE_OK; i++) {
        chat_text t;
        st = chat_to_text(r, *u->slot[i], &t);
        if (st == PARE_OK) *u->slot[i] = chat_str(t);
    }
    if (u->slot[2] && u->slot[2]->kind == CHAT_NONE) u->slot[2] = NULL;
    return st == PARE_OK ? chat_m_replace(r, u, out) : st;
}

pare_status chat_f_indent(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    pare_str s = { 0 };
    chat_text t, by = { NULL, 0 };
    chat_value width = chat_int(4), spaces;
    if (u->slot[0]) width = *u->slot[0];
    const bool first = u->slot[1] && chat_truth(*u->slot[1]), blank = u->slot[2] && chat_truth(*u->slot[2]);
    if (u->self.kind != CHAT_STR) return chat_fail(r, PARE_ERR_DATA, "indent of %s", chat_kind_name(u->self));
    if (width.kind == CHAT_STR) by = width.s;
    else {
        PARE_TRY(chat_math(r, CHAT_MUL, chat_str(CHAT_TEXT(" ")), width, &spaces));
        by = spaces.s;
    }
    PARE_TRY(subject(r, u, &t));
    if (first) PARE_TRY(chat_add(r, &s, by));
    size_t end, next;
    for (size_t at = 0;; at = next) {
        next = chat_line(t, at, &end); /* a line break at the end begins one more, empty line */
        if (at && (blank || end > at)) PARE_TRY(chat_add(r, &s, by));
        PARE_TRY(chat_add(r, &s, (chat_text){ t.at + at, end - at }));
        if (next == end) break;
        PARE_TRY(chat_add(r, &s, CHAT_TEXT("\n")));
    }
    PARE_TRY(chat_keep(r, &s, out));
out:
    pare_str_clear(&s);
    return st;
}

pare_status chat_f_tojson(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    pare_str s = { 0 };
    int64_t width = 0;
    chat_value spaces;
    const chat_value *indent = u->slot[1], *parts = u->slot[2];
    chat_json how = { .ascii = u->slot[0] && chat_truth(*u->slot[0]), .sort = u->slot[3] && chat_truth(*u->slot[3]), .key = CHAT_TEXT(": ") };
    how.pretty = indent && indent->kind != CHAT_NONE;
    how.item = how.pretty ? CHAT_TEXT(",") : CHAT_TEXT(", ");
    if (how.pretty && indent->kind == CHAT_STR) {
        how.indent = indent->s;
    } else if (how.pretty) {
        if (!chat_integer(*indent, &width)) return chat_fail(r, PARE_ERR_DATA, "tojson with indent %s", chat_kind_name(*indent));
        PARE_TRY(chat_math(r, CHAT_MUL, chat_str(CHAT_TEXT(" ")), *indent, &spaces));
        how.indent = spaces.s;
    }
    if (parts && parts->kind != CHAT_NONE) {
        if ((parts->kind != CHAT_TUPLE && parts->kind != CHAT_LIST) || parts->list->n != 2 || parts->list->at[0].kind != CHAT_STR || parts->list->at[1].kind != CHAT_STR)
            return chat_fail(r, PARE_ERR_DATA, "tojson with separators that are not two texts");
        how.item = parts->list->at[0].s;
        how.key = parts->list->at[1].s;
    }
    PARE_TRY(chat_print_json(r, u->self, &how, 0, &s));
    PARE_TRY(chat_keep(r, &s, out));
out:
    pare_str_clear(&s);
    return st;
}

/* --------------------------------------------------------------------------------------------------------------- numbers */

/* A text as Python's int() reads it (digits, single underscores, a sign), else as a real number; false when it is neither. */
static bool read_number(chat_text t, chat_value *out)
{
    char text[80];
    size_t n = 0;
    int64_t i;
    double x;
    t = chat_strip(t, NULL, true, true);
    for (size_t k = 0; k < t.n; k++) {
        const bool inner = k && k + 1 < t.n && t.at[k - 1] >= '0' && t.at[k - 1] <= '9' && t.at[k + 1] >= '0' && t.at[k + 1] <= '9';
        if (t.at[k] == '_' && inner) continue;
        if (!strchr("0123456789+-.eE", t.at[k]) || !t.at[k] || n + 1 >= sizeof text) return false;
        text[n++] = t.at[k];
    }
    text[n] = 0;
    const char *plain = text[0] == '+' && text[1] >= '0' && text[1] <= '9' ? text + 1 : text;
    if (pare_parse_i64(plain, &i)) return *out = chat_int(i), true;
    if (!pare_parse_f64(plain, &x)) return false;
    *out = (chat_value){ .kind = CHAT_REAL, .r = x };
    return true;
}

pare_status chat_f_int(chat_run *r, chat_use *u, chat_value *out)
{
    int64_t i, base = 10;
    chat_value v = u->self;
    if (u->slot[1] && (!chat_integer(*u->slot[1], &base) || base != 10)) return chat_fail(r, PARE_ERR_UNSUPPORTED, "int with another base than 10");
    *out = u->slot[0] ? *u->slot[0] : chat_int(0);
    if (v.kind == CHAT_UNDEFINED) return chat_fail(r, PARE_ERR_DATA, "int of something undefined");
    if (v.kind == CHAT_STR && !read_number(v.s, &v)) return PARE_OK;
    if (chat_integer(v, &i)) return *out = chat_int(i), PARE_OK;
    if (v.kind != CHAT_REAL || isnan(v.r) || isinf(v.r)) return PARE_OK;
    if (fabs(v.r) >= 0x1p63) return chat_fail(r, PARE_ERR_UNSUPPORTED, "an integer of more than 64 bits");
    *out = chat_int((int64_t)v.r);
    return PARE_OK;
}

pare_status chat_f_float(chat_run *r, chat_use *u, chat_value *out)
{
    double x;
    chat_value v = u->self;
    *out = u->slot[0] ? *u->slot[0] : (chat_value){ .kind = CHAT_REAL };
    if (v.kind == CHAT_UNDEFINED) return chat_fail(r, PARE_ERR_DATA, "float of something undefined");
    if (v.kind == CHAT_STR && !read_number(v.s, &v)) return PARE_OK;
    if (chat_number(v, &x)) *out = (chat_value){ .kind = CHAT_REAL, .r = x };
    return PARE_OK;
}

pare_status chat_f_abs(chat_run *r, chat_use *u, chat_value *out)
{
    int64_t i;
    if (u->self.kind == CHAT_REAL) return *out = (chat_value){ .kind = CHAT_REAL, .r = fabs(u->self.r) }, PARE_OK;
    if (!chat_integer(u->self, &i)) return chat_fail(r, PARE_ERR_DATA, "abs of %s", chat_kind_name(u->self));
    if (i == INT64_MIN) return chat_fail(r, PARE_ERR_UNSUPPORTED, "an integer of more than 64 bits");
    *out = chat_int(i < 0 ? -i : i);
    return PARE_OK;
}

/* ----------------------------------------------------------------------------------------------------------------- lists */

pare_status chat_f_default(chat_run *r, chat_use *u, chat_value *out)
{
    (void)r;
    const bool absent = u->self.kind == CHAT_UNDEFINED || (u->slot[1] && chat_truth(*u->slot[1]) && !chat_truth(u->self));
    *out = !absent ? u->self : u->slot[0] ? *u->slot[0] : chat_str(CHAT_TEXT(""));
    return PARE_OK;
}

pare_status chat_f_length(chat_run *r, chat_use *u, chat_value *out)
{
    switch (u->self.kind) {
    case CHAT_UNDEFINED: *out = chat_int(0); break;
    case CHAT_STR: *out = chat_int((int64_t)chat_length(u->self.s)); return chat_charge(r, u->self.s.n);
    case CHAT_LIST:
    case CHAT_TUPLE:
    case CHAT_VIEW: *out = chat_int((int64_t)u->self.list->n); break;
    case CHAT_DICT: *out = chat_int((int64_t)u->self.dict->n); break;
    case CHAT_LOOP: *out = chat_int((int64_t)u->self.loop->list->n); break;
    default: return chat_fail(r, PARE_ERR_DATA, "%s has no length", chat_kind_name(u->self));
    }
    return PARE_OK;
}

pare_status chat_f_list(chat_run *r, chat_use *u, chat_value *out)
{
    chat_list *list;
    pare_status st = chat_items(r, u->self, &list);
    if (st == PARE_OK) st = chat_list_new(r, CHAT_LIST, list->n, out);
    if (st == PARE_OK && list->n) memcpy(out->list->at, list->at, list->n * sizeof(chat_value));
    return st;
}

pare_status chat_f_first(chat_run *r, chat_use *u, chat_value *out)
{
    chat_list *list;
    const pare_status st = chat_items(r, u->self, &list);
    if (st == PARE_OK) *out = list->n ? list->at[0] : chat_undefined();
    return st;
}

pare_status chat_f_last(chat_run *r, chat_use *u, chat_value *out)
{
    chat_list *list;
    if (u->self.kind == CHAT_ITER) return chat_fail(r, PARE_ERR_DATA, "%s has no last item", chat_kind_name(u->self));
    const pare_status st = chat_items(r, u->self, &list);
    if (st == PARE_OK) *out = list->n ? list->at[list->n - 1] : chat_undefined();
    return st;
}

pare_status chat_f_reverse(chat_run *r, chat_use *u, chat_value *out)
{
    const chat_value back[3] = { chat_none(), chat_none(), chat_int(-1) };
    if (u->self.kind == CHAT_STR) return chat_slice(r, u->self, back, out);
    const pare_status st = chat_f_list(r, u, out);
    if (st != PARE_OK) return st;
    out->kind = CHAT_ITER;
    for (size_t i = 0, n = out->list->n; i < n / 2; i++) {
        const chat_value v = out->list->at[i];
        out->list->at[i] = out->list->at[n - 1 - i];
        out->list->at[n - 1 - i] = v;
    }
    return PARE_OK;
}

pare_status chat_f_items(chat_run *r, chat_use *u, chat_value *out)
{
    if (u->self.kind == CHAT_UNDEFINED) return chat_list_new(r, CHAT_ITER, 0, out);
    if (u->self.kind != CHAT_DICT) return chat_fail(r, PARE_ERR_DATA, "items of %s", chat_kind_name(u->self));
    const pare_status st = chat_m_items(r, u, out);
    if (st == PARE_OK) out->kind = CHAT_ITER;
    return st;
}

/* Pairs of a mapping by key or value; texts by their lower case unless case_sensitive. */
pare_status chat_f_dictsort(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    chat_value keys;
    int by = 0;
    int64_t down = 0;
    const bool cased = u->slot[0] && chat_truth(*u->slot[0]);
    if (u->slot[2] && !chat_integer(*u->slot[2], &down)) return chat_fail(r, PARE_ERR_DATA, "dictsort with reverse that is %s", chat_kind_name(*u->slot[2]));
    if (u->slot[1] && u->slot[1]->kind == CHAT_STR && chat_text_is(u->slot[1]->s, "value")) by = 1;
    else if (u->slot[1] && (u->slot[1]->kind != CHAT_STR || !chat_text_is(u->slot[1]->s, "key"))) return chat_fail(r, PARE_ERR_DATA, "dictsort by neither key nor value");
    PARE_TRY(chat_f_items(r, u, out));
    out->kind = CHAT_LIST;
    PARE_TRY(chat_list_new(r, CHAT_LIST, out->list->n, &keys));
    for (size_t i = 0; i < out->list->n; i++) {
        const chat_value item = out->list->at[i];
        chat_value key = item.list->at[by];
        size_t k = i;
        if (!cased && key.kind == CHAT_STR) PARE_TRY(recase(r, &(chat_use){ .self = key }, CHAT_LOWER, 0, &key));
        for (bool before; k > 0; k--) {
            PARE_TRY(down ? chat_less(r, keys.list->at[k - 1], key, &before) : chat_less(r, key, keys.list->at[k - 1], &before));
            if (!before) break;
            out->list->at[k] = out->list->at[k - 1];
            keys.list->at[k] = keys.list->at[k - 1];
        }
        out->list->at[k] = item;
        keys.list->at[k] = key;
    }
out:
    return st;
}

/* Attribute of an item by a path "a.b.0" or an index. */
static pare_status by_path(chat_run *r, chat_value v, chat_value path, chat_value *out)
{
    *out = v;
    if (path.kind != CHAT_STR) return chat_item(r, v, path, out);
    for (size_t at = 0; at <= path.s.n;) {
        size_t n = 0;
        bool digits = true;
        for (; at + n < path.s.n && path.s.at[at + n] != '.'; n++) digits = digits && path.s.at[at + n] >= '0' && path.s.at[at + n] <= '9';
        chat_value key = chat_str((chat_text){ path.s.at + at, n }), number;
        if (n && digits && read_number(key.s, &number)) key = number;
        const pare_status st = chat_item(r, *out, key, out);
        if (st != PARE_OK) return st;
        at += n + 1;
    }
    return PARE_OK;
}

pare_status chat_f_join(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    pare_str s = { 0 };
    chat_list *list;
    chat_text between = { NULL, 0 };
    if (u->slot[0]) PARE_TRY(chat_to_text(r, *u->slot[0], &between));
    PARE_TRY(chat_items(r, u->self, &list));
    for (size_t i = 0; i < list->n; i++) {
        chat_value v = list->at[i];
        if (u->slot[1] && u->slot[1]->kind != CHAT_NONE) PARE_TRY(by_path(r, v, *u->slot[1], &v));
        if (i) PARE_TRY(chat_add(r, &s, between));
        PARE_TRY(chat_print(r, v, &s));
    }
    PARE_TRY(chat_keep(r, &s, out));
out:
    pare_str_clear(&s);
    return st;
}

/* A filter or test by the name in a text, with the arguments behind the first `skip`. */
static pare_status apply(chat_run *r, chat_role role, const chat_use *u, size_t skip, chat_value v, chat_value *out)
{
    chat_use inner = { .self = v, .arg = u->arg + skip, .key = u->key + skip, .n = u->n - skip, .positional = u->positional - skip };
    const chat_value name = u->arg[skip - 1];
    if (name.kind != CHAT_STR) return chat_fail(r, PARE_ERR_DATA, "the name of a filter or test is %s", chat_kind_name(name));
    inner.callee = chat_callee_find(role, name.s);
    if (!inner.callee || !inner.callee->run)
        return chat_fail(r, PARE_ERR_UNSUPPORTED, "%s '%.*s' is not in the subset of Jinja that pare runs", role == CHAT_TEST_ROLE ? "test" : "filter",
                         name.s.n > 60 ? 60 : (int)name.s.n, name.s.at);
    return chat_callee_use(r, &inner, out);
}

pare_status chat_f_map(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    chat_list *list;
    const chat_value *path = NULL, *other = NULL;
    for (size_t i = u->positional; !u->positional && i < u->n; i++) {
        if (chat_text_is(u->key[i], "attribute")) path = &u->arg[i];
        else if (chat_text_is(u->key[i], "default")) other = &u->arg[i];
        else return chat_fail(r, PARE_ERR_DATA, "map with argument '%.*s'", (int)(u->key[i].n & 63), u->key[i].at);
    }
    if (!u->positional && !path) return chat_fail(r, PARE_ERR_DATA, "map needs a filter or attribute");
    PARE_TRY(chat_items(r, chat_truth(u->self) ? u->self : chat_undefined(), &list)); /* none, false and 0 have no items here */
    PARE_TRY(chat_list_new(r, CHAT_ITER, list->n, out));
    for (size_t i = 0; i < list->n; i++) {
        chat_value *to = &out->list->at[i];
        PARE_TRY(path ? by_path(r, list->at[i], *path, to) : apply(r, CHAT_FILTER_ROLE, u, 1, list->at[i], to));
        if (to->kind == CHAT_UNDEFINED && other) *to = *other;
    }
out:
    return st;
}

/* select, reject, selectattr, rejectattr. */
pare_status chat_f_select(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    chat_list *list;
    const bool keep = u->callee->name[0] == 's', attribute = strstr(u->callee->name, "attr") != NULL;
    const size_t skip = attribute ? 2 : 1;
    PARE_TRY(chat_items(r, chat_truth(u->self) ? u->self : chat_undefined(), &list)); /* none, false and 0 have no items here */
    PARE_TRY(chat_list_new(r, CHAT_ITER, list->n, out));
    out->list->n = 0;
    for (size_t i = 0; i < list->n; i++) {
        chat_value v = list->at[i], is;
        PARE_TRY(chat_charge(r, 0));
        if (attribute) PARE_TRY(by_path(r, v, u->arg[0], &v));
        is = v;
        if (u->positional >= skip) PARE_TRY(apply(r, CHAT_TEST_ROLE, u, skip, v, &is));
        if (chat_truth(is) == keep) out->list->at[out->list->n++] = list->at[i];
    }
out:
    return st;
}
