/* SPDX-License-Identifier: Apache-2.0 */
/* Values of chat templates: memory and limits of a run, truth, equality, order, membership, attributes, items, slices; as Python has them. */
#include "text/chat.h"

chat_value chat_undefined(void) { return (chat_value){ .kind = CHAT_UNDEFINED }; }
chat_value chat_none(void) { return (chat_value){ .kind = CHAT_NONE }; }
chat_value chat_bool(bool b) { return (chat_value){ .kind = CHAT_BOOL, .b = b }; }
chat_value chat_int(int64_t i) { return (chat_value){ .kind = CHAT_INT, .i = i }; }
chat_value chat_str(chat_text s) { return (chat_value){ .kind = CHAT_STR, .s = s }; }

pare_status chat_fail(chat_run *r, pare_status code, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    pare_vformat(text, sizeof text, format, args);
    va_end(args);
    return pare_fail(r->err, code, "%s: line %d: %s", r->chat->where, r->line, text);
}

pare_status chat_memory(chat_run *r, size_t count, size_t size, void **out)
{
    size_t bytes;
    *out = NULL;
    if (!pare_mul_size(count, size, &bytes) || bytes > CHAT_MAX_MEMORY || r->arena.total + bytes > CHAT_MAX_MEMORY)
        return chat_fail(r, PARE_ERR_DATA, "the template takes more than %d MiB", CHAT_MAX_MEMORY >> 20);
    if (!(*out = pare_arena_alloc(&r->arena, bytes ? bytes : 1))) return pare_no_memory(r->err, "values of a chat template", bytes);
    return PARE_OK;
}

pare_status chat_charge(chat_run *r, size_t bytes)
{
    r->steps += 1 + (int64_t)(bytes >> 8);
    return r->steps <= CHAT_MAX_STEPS ? PARE_OK : chat_fail(r, PARE_ERR_DATA, "the template takes more than %d steps", CHAT_MAX_STEPS);
}

pare_status chat_add(chat_run *r, pare_str *s, chat_text t)
{
    if (t.n > CHAT_MAX_TEXT || s->n > CHAT_MAX_TEXT - t.n) return chat_fail(r, PARE_ERR_DATA, "a text grows beyond %d MiB", CHAT_MAX_TEXT >> 20);
    if (t.n) pare_str_addn(s, t.at, t.n);
    return s->failed ? pare_no_memory(r->err, "text of a chat template", t.n) : PARE_OK;
}

pare_status chat_keep(chat_run *r, pare_str *s, chat_value *out)
{
    void *copy = NULL;
    pare_status st = s->failed ? pare_no_memory(r->err, "text of a chat template", s->n) : PARE_OK;
    if (st == PARE_OK) st = chat_charge(r, s->n);
    if (st == PARE_OK) st = chat_memory(r, s->n, 1, &copy);
    if (st == PARE_OK && s->n) memcpy(copy, s->at, s->n);
    *out = chat_str((chat_text){ copy, s->n });
    pare_str_clear(s);
    return st;
}

pare_status chat_list_new(chat_run *r, chat_kind kind, size_t n, chat_value *out)
{
    pare_status st;
    void *list, *at;
    PARE_TRY(chat_charge(r, n * sizeof(chat_value)));
    PARE_TRY(chat_memory(r, 1, sizeof(chat_list), &list));
    PARE_TRY(chat_memory(r, n, sizeof(chat_value), &at));
    *(chat_list *)list = (chat_list){ at, n };
    *out = (chat_value){ .kind = kind, .list = list };
out:
    return st;
}

const char *chat_kind_name(chat_value v)
{
    static const char *const names[] = { "undefined", "none", "a boolean", "an integer", "a real number", "a text", "a list", "a tuple", "a mapping",
                                         "a view", "an iterator", "a namespace", "a loop", "a macro", "a function" };
    return names[v.kind];
}

static bool is_listed(chat_value v) { return v.kind == CHAT_LIST || v.kind == CHAT_TUPLE || v.kind == CHAT_VIEW; }

bool chat_truth(chat_value v)
{
    switch (v.kind) {
    case CHAT_UNDEFINED:
    case CHAT_NONE: return false;
    case CHAT_BOOL: return v.b;
    case CHAT_INT: return v.i != 0;
    case CHAT_REAL: return v.r != 0;
    case CHAT_STR: return v.s.n > 0;
    case CHAT_LIST:
    case CHAT_TUPLE:
    case CHAT_VIEW: return v.list->n > 0;
    case CHAT_DICT: return v.dict->n > 0;
    default: return true;
    }
}

bool chat_integer(chat_value v, int64_t *out)
{
    *out = v.kind == CHAT_BOOL ? v.b : v.kind == CHAT_INT ? v.i : 0;
    return v.kind == CHAT_BOOL || v.kind == CHAT_INT;
}

bool chat_number(chat_value v, double *out)
{
    int64_t i;
    const bool is = chat_integer(v, &i);
    *out = is ? (double)i : v.kind == CHAT_REAL ? v.r : 0;
    return is || v.kind == CHAT_REAL;
}

/* -------------------------------------------------------------------------------------------------- equality and order */

static pare_status deeper(chat_run *r)
{
    return r->depth++ < CHAT_MAX_DEPTH ? PARE_OK : chat_fail(r, PARE_ERR_UNSUPPORTED, "nested more than %d deep", CHAT_MAX_DEPTH);
}

pare_status chat_equal(chat_run *r, chat_value a, chat_value b, bool *out)
{
    pare_status st;
    int64_t i, k;
    double x, y;
    *out = false;
    PARE_TRY(chat_charge(r, a.kind == CHAT_STR ? a.s.n : 0));
    if (chat_integer(a, &i) && chat_integer(b, &k)) return *out = i == k, PARE_OK;
    if (chat_number(a, &x) && chat_number(b, &y)) return *out = x == y, PARE_OK;
    if (a.kind != b.kind) return PARE_OK;
    PARE_TRY(deeper(r));
    switch (a.kind) {
    case CHAT_UNDEFINED:
    case CHAT_NONE: *out = true; break;
    case CHAT_STR: *out = chat_text_same(a.s, b.s); break;
    case CHAT_LIST:
    case CHAT_TUPLE:
        *out = a.list->n == b.list->n;
        for (size_t n = 0; *out && n < a.list->n; n++) PARE_TRY(chat_equal(r, a.list->at[n], b.list->at[n], out));
        break;
    case CHAT_DICT:
        *out = a.dict->n == b.dict->n;
        for (size_t n = 0; *out && n < a.dict->n; n++) {
            chat_value *other;
            PARE_TRY(chat_lookup(r, b.dict, a.dict->at[n].key, &other));
            *out = other != NULL;
            if (other) PARE_TRY(chat_equal(r, a.dict->at[n].value, *other, out));
        }
        break;
    default: *out = a.list == b.list; /* the same object */
    }
    r->depth--;
out:
    return st;
}

pare_status chat_less(chat_run *r, chat_value a, chat_value b, bool *out)
{
    pare_status st;
    int64_t i, k;
    double x, y;
    *out = false;
    PARE_TRY(chat_charge(r, a.kind == CHAT_STR ? a.s.n : 0));
    if (chat_integer(a, &i) && chat_integer(b, &k)) return *out = i < k, PARE_OK;
    if (chat_number(a, &x) && chat_number(b, &y)) return *out = x < y, PARE_OK;
    if (a.kind == CHAT_STR && b.kind == CHAT_STR) {
        const size_t n = a.s.n < b.s.n ? a.s.n : b.s.n;
        const int order = n ? memcmp(a.s.at, b.s.at, n) : 0; /* the order of UTF-8 is that of its characters */
        return *out = order < 0 || (order == 0 && a.s.n < b.s.n), PARE_OK;
    }
    if (a.kind != b.kind || (a.kind != CHAT_LIST && a.kind != CHAT_TUPLE))
        return chat_fail(r, PARE_ERR_DATA, "%s and %s have no order", chat_kind_name(a), chat_kind_name(b));
    PARE_TRY(deeper(r));
    for (size_t n = 0;; n++) {
        bool same;
        if (n >= a.list->n || n >= b.list->n) {
            *out = a.list->n < b.list->n;
            break;
        }
        PARE_TRY(chat_equal(r, a.list->at[n], b.list->at[n], &same));
        if (same) continue;
        PARE_TRY(chat_less(r, a.list->at[n], b.list->at[n], out));
        break;
    }
    r->depth--;
out:
    return st;
}

pare_status chat_contains(chat_run *r, chat_value in, chat_value what, bool *out)
{
    pare_status st;
    chat_value *found;
    chat_list *list;
    *out = false;
    switch (in.kind) {
    case CHAT_STR:
        if (what.kind != CHAT_STR) return chat_fail(r, PARE_ERR_DATA, "%s cannot be in a text", chat_kind_name(what));
        PARE_TRY(chat_charge(r, in.s.n));
        *out = what.s.n == 0 || (in.s.n && memmem(in.s.at, in.s.n, what.s.at, what.s.n));
        break;
    case CHAT_DICT:
        PARE_TRY(chat_lookup(r, in.dict, what, &found));
        *out = found != NULL;
        break;
    case CHAT_NONE:
    case CHAT_BOOL:
    case CHAT_INT:
    case CHAT_REAL:
    case CHAT_SPACE:
    case CHAT_MACRO:
    case CHAT_FUNCTION: return chat_fail(r, PARE_ERR_DATA, "nothing is in %s", chat_kind_name(in));
    default:
        PARE_TRY(chat_items(r, in, &list));
        for (size_t i = 0; !*out && i < list->n; i++) PARE_TRY(chat_equal(r, list->at[i], what, out));
    }
out:
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ collections */

pare_status chat_items(chat_run *r, chat_value v, chat_list **out)
{
    pare_status st = PARE_OK;
    chat_value made = { .kind = CHAT_LIST };
    uint32_t c;
    if (is_listed(v)) return *out = v.list, PARE_OK;
    switch (v.kind) {
    case CHAT_UNDEFINED: PARE_TRY(chat_list_new(r, CHAT_LIST, 0, &made)); break;
    case CHAT_ITER: /* what is left in it, once */
        PARE_TRY(chat_list_new(r, CHAT_LIST, 0, &made));
        *made.list = *v.list;
        v.list->n = 0;
        break;
    case CHAT_DICT:
        PARE_TRY(chat_list_new(r, CHAT_LIST, v.dict->n, &made));
        for (size_t i = 0; i < v.dict->n; i++) made.list->at[i] = v.dict->at[i].key;
        break;
    case CHAT_STR:
        PARE_TRY(chat_list_new(r, CHAT_LIST, chat_length(v.s), &made));
        for (size_t i = 0, at = 0, n; at < v.s.n; at += n) {
            n = chat_char(v.s, at, &c);
            made.list->at[i++] = chat_str((chat_text){ v.s.at + at, n });
        }
        break;
    default: return chat_fail(r, PARE_ERR_DATA, "%s has no items", chat_kind_name(v));
    }
    *out = made.list;
out:
    return st;
}

pare_status chat_lookup(chat_run *r, const chat_dict *d, chat_value key, chat_value **out)
{
    *out = NULL;
    if (key.kind == CHAT_LIST || key.kind == CHAT_DICT) return chat_fail(r, PARE_ERR_DATA, "%s cannot be a key", chat_kind_name(key));
    for (size_t i = 0; i < d->n; i++) {
        bool same;
        const pare_status st = chat_equal(r, d->at[i].key, key, &same);
        if (st != PARE_OK) return st;
        if (same) return *out = &d->at[i].value, PARE_OK;
    }
    return PARE_OK;
}

pare_status chat_dict_put(chat_run *r, chat_dict *d, chat_value key, chat_value value)
{
    chat_value *found;
    pare_status st;
    PARE_TRY(chat_lookup(r, d, key, &found));
    if (found) return *found = value, PARE_OK;
    if (d->n == d->cap) {
        void *more;
        PARE_TRY(chat_memory(r, d->cap * 2 + 4, sizeof *d->at, &more));
        if (d->n) memcpy(more, d->at, d->n * sizeof *d->at);
        d->at = more;
        d->cap = d->cap * 2 + 4;
    }
    d->at[d->n++] = (chat_pair){ key, value };
out:
    return st;
}

static chat_value loop_attribute(const chat_loop *l, chat_text name)
{
    const int64_t i = (int64_t)l->i, n = (int64_t)l->list->n;
    if (chat_text_is(name, "index")) return chat_int(i + 1);
    if (chat_text_is(name, "index0")) return chat_int(i);
    if (chat_text_is(name, "revindex")) return chat_int(n - i);
    if (chat_text_is(name, "revindex0")) return chat_int(n - i - 1);
    if (chat_text_is(name, "first")) return chat_bool(i == 0);
    if (chat_text_is(name, "last")) return chat_bool(i == n - 1);
    if (chat_text_is(name, "length")) return chat_int(n);
    if (chat_text_is(name, "depth")) return chat_int(1);
    if (chat_text_is(name, "depth0")) return chat_int(0);
    if (chat_text_is(name, "previtem") && i > 0) return l->list->at[i - 1];
    if (chat_text_is(name, "nextitem") && i + 1 < n) return l->list->at[i + 1];
    return chat_undefined();
}

/* Methods are only called; a value that has one of this name cannot give it away. */
static pare_status no_method(chat_run *r, chat_value v, chat_text name)
{
    const chat_role role = v.kind == CHAT_DICT ? CHAT_DICT_METHOD : v.kind == CHAT_STR ? CHAT_STR_METHOD : CHAT_LIST_METHOD;
    if ((v.kind == CHAT_DICT || v.kind == CHAT_STR || is_listed(v)) && chat_callee_find(role, name))
        return chat_fail(r, PARE_ERR_UNSUPPORTED, "method '%.*s' that is not called", (int)name.n, name.at);
    if (v.kind == CHAT_MACRO || v.kind == CHAT_FUNCTION || v.kind == CHAT_ITER)
        return chat_fail(r, PARE_ERR_UNSUPPORTED, "attribute '%.*s' of %s", name.n > 60 ? 60 : (int)name.n, name.at, chat_kind_name(v));
    return PARE_OK;
}

pare_status chat_attribute(chat_run *r, chat_value v, chat_text name, chat_value *out)
{
    pare_status st;
    chat_value *found;
    *out = chat_undefined();
    if (v.kind == CHAT_UNDEFINED) return chat_fail(r, PARE_ERR_DATA, "'%.*s' of something undefined", name.n > 60 ? 60 : (int)name.n, name.at);
    PARE_TRY(no_method(r, v, name));
    if (v.kind == CHAT_LOOP) *out = loop_attribute(v.loop, name);
    if (v.kind != CHAT_DICT && v.kind != CHAT_SPACE) return PARE_OK;
    PARE_TRY(chat_lookup(r, v.dict, chat_str(name), &found));
    if (found) *out = *found;
out:
    return st;
}

/* Bytes where character i begins. */
static size_t offset_of(chat_text t, int64_t i)
{
    size_t at = 0;
    uint32_t c;
    while (i-- > 0 && at < t.n) at += chat_char(t, at, &c);
    return at;
}

pare_status chat_item(chat_run *r, chat_value v, chat_value key, chat_value *out)
{
    pare_status st = PARE_OK;
    chat_value *found;
    int64_t i;
    uint32_t c;
    *out = chat_undefined();
    if (v.kind == CHAT_UNDEFINED) return chat_fail(r, PARE_ERR_DATA, "an item of something undefined");
    if (v.kind == CHAT_DICT && key.kind != CHAT_LIST && key.kind != CHAT_DICT) {
        PARE_TRY(chat_lookup(r, v.dict, key, &found));
        if (found) return *out = *found, PARE_OK;
    }
    if (key.kind == CHAT_STR) {
        if (v.kind == CHAT_DICT) return no_method(r, v, key.s);
        return chat_attribute(r, v, key.s, out);
    }
    if (v.kind == CHAT_VIEW) return chat_fail(r, PARE_ERR_UNSUPPORTED, "an item of %s", chat_kind_name(v));
    if (!chat_integer(key, &i)) return PARE_OK;
    if (v.kind == CHAT_LIST || v.kind == CHAT_TUPLE) {
        const int64_t n = (int64_t)v.list->n;
        if (i < 0) i += n;
        if (i >= 0 && i < n) *out = v.list->at[i];
    } else if (v.kind == CHAT_STR) {
        PARE_TRY(chat_charge(r, v.s.n));
        const int64_t n = (int64_t)chat_length(v.s);
        if (i < 0) i += n;
        if (i < 0 || i >= n) return PARE_OK;
        const size_t at = offset_of(v.s, i);
        *out = chat_str((chat_text){ v.s.at + at, chat_char(v.s, at, &c) });
    }
out:
    return st;
}

/* from, to, step of n items, clipped as Python's slice.indices(); how many items that are. */
static pare_status slice_range(chat_run *r, const chat_value bounds[3], int64_t n, int64_t *from, int64_t *step, int64_t *count)
{
    int64_t b[3] = { 0, 0, 1 };
    for (int i = 0; i < 3; i++)
        if (bounds[i].kind != CHAT_NONE && !chat_integer(bounds[i], &b[i])) return chat_fail(r, PARE_ERR_DATA, "a slice at %s", chat_kind_name(bounds[i]));
    if (b[2] == 0) return chat_fail(r, PARE_ERR_DATA, "a slice with step 0");
    const int64_t low = b[2] < 0 ? -1 : 0, high = b[2] < 0 ? n - 1 : n;
    for (int i = 0; i < 2; i++) {
        if (bounds[i].kind == CHAT_NONE) {
            b[i] = (b[2] < 0) == (i == 0) ? high : low;
            continue;
        }
        if (b[i] < 0) b[i] += n;
        b[i] = b[i] < low ? low : b[i] > high ? high : b[i];
    }
    const uint64_t width = b[2] < 0 ? -(uint64_t)b[2] : (uint64_t)b[2];
    const int64_t span = b[2] < 0 ? b[0] - b[1] : b[1] - b[0];
    *from = b[0];
    *step = b[2];
    *count = span > 0 ? (int64_t)(((uint64_t)span - 1) / width) + 1 : 0;
    return PARE_OK;
}

pare_status chat_slice(chat_run *r, chat_value v, const chat_value bounds[3], chat_value *out)
{
    pare_status st;
    int64_t from, step, count;
    pare_str s = { 0 };
    chat_value chars = v;
    if (v.kind != CHAT_LIST && v.kind != CHAT_TUPLE && v.kind != CHAT_STR) return chat_fail(r, PARE_ERR_DATA, "a slice of %s", chat_kind_name(v));
    if (v.kind == CHAT_STR) {
        PARE_TRY(chat_charge(r, v.s.n));
        PARE_TRY(slice_range(r, bounds, (int64_t)chat_length(v.s), &from, &step, &count));
        if (step == 1 || !count) {
            const size_t begin = count ? offset_of(v.s, from) : 0;
            const chat_text rest = { v.s.at + begin, v.s.n - begin };
            *out = chat_str((chat_text){ rest.at, count ? offset_of(rest, count) : 0 });
            return PARE_OK;
        }
        PARE_TRY(chat_items(r, v, &chars.list));
        for (int64_t i = 0; i < count; i++) PARE_TRY(chat_add(r, &s, chars.list->at[from + i * step].s));
        PARE_TRY(chat_keep(r, &s, out));
        return PARE_OK;
    }
    PARE_TRY(slice_range(r, bounds, (int64_t)v.list->n, &from, &step, &count));
    PARE_TRY(chat_list_new(r, v.kind, (size_t)count, out));
    for (int64_t i = 0; i < count; i++) out->list->at[i] = v.list->at[from + i * step];
out:
    pare_str_clear(&s);
    return st;
}
