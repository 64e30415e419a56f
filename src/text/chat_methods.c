/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of texts, lists and mappings in chat templates, as Python has them. Listed in chat_calls.def. */
#include "text/chat.h"

#define CALL(role, name, run, required, parameters) pare_status run(chat_run *r, chat_use *u, chat_value *out);
#define NOT_IN(role, name)
#include "text/chat_calls.def"
#undef CALL
#undef NOT_IN

enum { NOT_FOUND = -1 };

/* The first place of `what` at or behind `from`. */
static int64_t find(chat_text in, chat_text what, size_t from)
{
    if (!what.n) return from <= in.n ? (int64_t)from : NOT_FOUND;
    const char *at = from < in.n ? memmem(in.at + from, in.n - from, what.at, what.n) : NULL;
    return at ? at - in.at : NOT_FOUND;
}

/* The last place of `what` that ends at or before `end`; pays for what it compares. */
static pare_status find_last(chat_run *r, chat_text in, chat_text what, size_t end, int64_t *out)
{
    size_t work = 0;
    *out = NOT_FOUND;
    for (size_t at = end; at + 1 > what.n;) {
        const size_t place = at - what.n;
        if (!what.n || in.at[place] == what.at[0]) {
            work += what.n;
            if (!what.n || !memcmp(in.at + place, what.at, what.n)) {
                *out = (int64_t)place;
                break;
            }
        }
        if (work > 1 << 16) {
            const pare_status st = chat_charge(r, work);
            if (st != PARE_OK) return st;
            work = 0;
        }
        if (!at--) break;
    }
    return chat_charge(r, work);
}

static pare_status want_text(chat_run *r, const chat_use *u, const chat_value *v, chat_text *out)
{
    *out = v ? v->s : (chat_text){ 0 };
    if (v && v->kind != CHAT_STR) return chat_fail(r, PARE_ERR_DATA, "'%s' with %s where a text is expected", u->callee->name, chat_kind_name(*v));
    return chat_charge(r, u->self.kind == CHAT_STR ? u->self.s.n : 0);
}

static chat_text part(chat_text t, size_t from, size_t to) { return (chat_text){ t.at ? t.at + from : NULL, to - from }; }

pare_status chat_m_strip(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st = PARE_OK;
    const bool all = !u->slot[0] || u->slot[0]->kind == CHAT_NONE, right = u->callee->name[0] != 'l', left = u->callee->name[0] != 'r';
    chat_text chars = { 0 };
    PARE_TRY(want_text(r, u, all ? NULL : u->slot[0], &chars));
    PARE_TRY(chat_charge(r, u->self.s.n * (chars.n > 4096 ? 4096 : chars.n)));
    *out = chat_str(chat_strip(u->self.s, all ? NULL : &chars, left, right));
out:
    return st;
}

/* startswith and endswith, of one text or any of a tuple. */
pare_status chat_m_ends(chat_run *r, chat_use *u, chat_value *out)
{
    const chat_value *what = u->slot[0];
    const chat_list one = { u->slot[0], 1 }, *list = what->kind == CHAT_TUPLE ? what->list : &one;
    const bool starts = u->callee->name[0] == 's';
    bool is = false;
    for (size_t i = 0; i < list->n; i++) {
        chat_text t;
        const pare_status st = want_text(r, u, &list->at[i], &t);
        if (st != PARE_OK) return st;
        const chat_text self = u->self.s;
        is = is || (t.n <= self.n && chat_text_same(starts ? part(self, 0, t.n) : part(self, self.n - t.n, self.n), t));
    }
    *out = chat_bool(is);
    return PARE_OK;
}

pare_status chat_m_remove(chat_run *r, chat_use *u, chat_value *out)
{
    chat_text what;
    const pare_status st = want_text(r, u, u->slot[0], &what);
    const chat_text t = u->self.s;
    const bool front = !strcmp(u->callee->name, "removeprefix");
    *out = u->self;
    if (st != PARE_OK || what.n > t.n) return st;
    if (front && chat_text_same(part(t, 0, what.n), what)) *out = chat_str(part(t, what.n, t.n));
    if (!front && chat_text_same(part(t, t.n - what.n, t.n), what)) *out = chat_str(part(t, 0, t.n - what.n));
    return PARE_OK;
}

pare_status chat_m_replace(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    pare_str s = { 0 };
    chat_text old, new;
    int64_t count = -1;
    const chat_text t = u->self.s;
    size_t at = 0, next;
    PARE_TRY(want_text(r, u, u->slot[0], &old));
    PARE_TRY(want_text(r, u, u->slot[1], &new));
    if (u->slot[2] && !chat_integer(*u->slot[2], &count)) return chat_fail(r, PARE_ERR_DATA, "replace with a count that is %s", chat_kind_name(*u->slot[2]));
    for (; count; count--) { /* an empty text is found in front of every character and at the end */
        uint32_t c;
        const int64_t found = find(t, old, at);
        if (found < 0) break;
        PARE_TRY(chat_add(r, &s, part(t, at, (size_t)found)));
        PARE_TRY(chat_add(r, &s, new));
        at = (size_t)found + old.n;
        if (old.n) continue;
        if (at >= t.n) break;
        next = at + chat_char(t, at, &c);
        PARE_TRY(chat_add(r, &s, part(t, at, next)));
        at = next;
    }
    PARE_TRY(chat_add(r, &s, part(t, at, t.n)));
    PARE_TRY(chat_keep(r, &s, out));
out:
    pare_str_clear(&s);
    return st;
}

/* find, rfind, index, rindex: in characters; count. */
pare_status chat_m_find(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    chat_text what;
    int64_t at = NOT_FOUND, count = 0;
    const chat_text t = u->self.s;
    const char *name = u->callee->name;
    PARE_TRY(want_text(r, u, u->slot[0], &what));
    if (name[0] == 'c') {
        if (!what.n) count = (int64_t)chat_length(t) + 1;
        else
            for (size_t from = 0; (at = find(t, what, from)) >= 0; from = (size_t)at + what.n) count++;
        *out = chat_int(count);
        return PARE_OK;
    }
    if (name[0] == 'r') PARE_TRY(find_last(r, t, what, t.n, &at));
    else at = find(t, what, 0);
    if (at < 0 && strstr(name, "index")) return chat_fail(r, PARE_ERR_DATA, "'%s': the text is not there", name);
    *out = chat_int(at < 0 ? -1 : (int64_t)chat_length(part(t, 0, (size_t)at)));
out:
    return st;
}

/* ------------------------------------------------------------------------------------------------------------------ lists */

typedef PARE_VEC(chat_text) texts;

static pare_status push(chat_run *r, texts *list, chat_text t)
{
    if (list->n > CHAT_MAX_MEMORY / sizeof(chat_value)) return chat_fail(r, PARE_ERR_DATA, "the template takes more than %d MiB", CHAT_MAX_MEMORY >> 20);
    return PARE_VEC_PUSH(list, t) ? PARE_OK : pare_no_memory(r->err, "texts of a chat template", list->n * sizeof t);
}

static pare_status keep_texts(chat_run *r, const texts *list, chat_kind kind, bool backwards, chat_value *out)
{
    const pare_status st = chat_list_new(r, kind, list->n, out);
    for (size_t i = 0; st == PARE_OK && i < list->n; i++) out->list->at[i] = chat_str(list->at[backwards ? list->n - 1 - i : i]);
    return st;
}

static bool space_at(chat_text t, size_t at)
{
    uint32_t c;
    chat_char(t, at, &c);
    return chat_is_space(c);
}

/* Words; at most `max` cuts, the rest is one piece with the white space at its far end. */
static pare_status split_space(chat_run *r, chat_text t, int64_t max, texts *list)
{
    uint32_t c;
    for (t = chat_strip(t, NULL, true, false); t.n; t = chat_strip(t, NULL, true, false)) {
        size_t n = 0;
        if (max-- == 0) return push(r, list, t);
        while (n < t.n && !space_at(t, n)) n += chat_char(t, n, &c);
        const pare_status st = push(r, list, part(t, 0, n));
        if (st != PARE_OK) return st;
        t = part(t, n, t.n);
    }
    return PARE_OK;
}

static pare_status rsplit_space(chat_run *r, chat_text t, int64_t max, texts *list)
{
    for (t = chat_strip(t, NULL, false, true); t.n; t = chat_strip(t, NULL, false, true)) {
        size_t n = t.n;
        if (max-- == 0) return push(r, list, t);
        for (size_t k = t.n; k-- > 0;) { /* back over whole characters: one byte inside a character is never white space */
            if (((unsigned char)t.at[k] & 0xC0) == 0x80) continue;
            if (space_at(t, k)) break;
            n = k;
        }
        const pare_status st = push(r, list, part(t, n, t.n));
        if (st != PARE_OK) return st;
        t = part(t, 0, n);
    }
    return PARE_OK;
}

pare_status chat_m_split(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    texts list = { 0 };
    int64_t max = -1, found;
    chat_text sep, t = u->self.s;
    const bool right = u->callee->name[0] == 'r', spaces = !u->slot[0] || u->slot[0]->kind == CHAT_NONE;
    PARE_TRY(want_text(r, u, spaces ? NULL : u->slot[0], &sep));
    if (u->slot[1] && !chat_integer(*u->slot[1], &max)) return chat_fail(r, PARE_ERR_DATA, "'%s' at most %s times", u->callee->name, chat_kind_name(*u->slot[1]));
    if (!spaces && !sep.n) return chat_fail(r, PARE_ERR_DATA, "'%s' by an empty text", u->callee->name);
    if (spaces) {
        PARE_TRY(right ? rsplit_space(r, t, max, &list) : split_space(r, t, max, &list));
    } else {
        for (; max; max--) {
            found = NOT_FOUND;
            if (right) PARE_TRY(find_last(r, t, sep, t.n, &found));
            else found = find(t, sep, 0);
            if (found < 0) break;
            PARE_TRY(push(r, &list, right ? part(t, (size_t)found + sep.n, t.n) : part(t, 0, (size_t)found)));
            t = right ? part(t, 0, (size_t)found) : part(t, (size_t)found + sep.n, t.n);
        }
        PARE_TRY(push(r, &list, t));
    }
    PARE_TRY(keep_texts(r, &list, CHAT_LIST, right, out));
out:
    PARE_VEC_CLEAR(&list);
    return st;
}

pare_status chat_m_partition(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    chat_text sep, t = u->self.s, three[3] = { { 0 } };
    int64_t at;
    const bool right = u->callee->name[0] == 'r';
    PARE_TRY(want_text(r, u, u->slot[0], &sep));
    if (!sep.n) return chat_fail(r, PARE_ERR_DATA, "'%s' by an empty text", u->callee->name);
    at = find(t, sep, 0);
    if (right) PARE_TRY(find_last(r, t, sep, t.n, &at));
    if (at < 0) three[right ? 2 : 0] = t;
    else three[0] = part(t, 0, (size_t)at), three[1] = sep, three[2] = part(t, (size_t)at + sep.n, t.n);
    PARE_TRY(chat_list_new(r, CHAT_TUPLE, 3, out));
    for (int i = 0; i < 3; i++) out->list->at[i] = chat_str(three[i]);
out:
    return st;
}

pare_status chat_m_lines(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    texts list = { 0 };
    const chat_text t = u->self.s;
    int64_t keep = 0;
    size_t end, next;
    if (u->slot[0] && !chat_integer(*u->slot[0], &keep)) return chat_fail(r, PARE_ERR_DATA, "splitlines with keepends that is %s", chat_kind_name(*u->slot[0]));
    PARE_TRY(chat_charge(r, t.n));
    for (size_t at = 0; at < t.n; at = next) {
        next = chat_line(t, at, &end);
        PARE_TRY(push(r, &list, part(t, at, keep ? next : end)));
    }
    PARE_TRY(keep_texts(r, &list, CHAT_LIST, false, out));
out:
    PARE_VEC_CLEAR(&list);
    return st;
}

pare_status chat_m_join(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    pare_str s = { 0 };
    chat_list *list;
    PARE_TRY(chat_items(r, *u->slot[0], &list));
    for (size_t i = 0; i < list->n; i++) {
        if (list->at[i].kind != CHAT_STR) PARE_FAIL(r->err, PARE_ERR_DATA, "%s: line %d: join of %s", r->chat->where, r->line, chat_kind_name(list->at[i]));
        PARE_TRY(chat_charge(r, 0));
        if (i) PARE_TRY(chat_add(r, &s, u->self.s));
        PARE_TRY(chat_add(r, &s, list->at[i].s));
    }
    PARE_TRY(chat_keep(r, &s, out));
out:
    pare_str_clear(&s);
    return st;
}

/* All characters are of a kind, and there are some. */
pare_status chat_m_is(chat_run *r, chat_use *u, chat_value *out)
{
    const char *name = u->callee->name + 2;
    const chat_text t = u->self.s;
    bool is = t.n || !strcmp(name, "ascii");
    for (size_t at = 0; is && at < t.n;) {
        uint32_t c;
        at += chat_char(t, at, &c);
        const bool letter = !strncmp(name, "al", 2) && chat_is_letter(c), digit = (!strcmp(name, "alnum") || !strcmp(name, "digit")) && chat_is_digit(c);
        is = letter || digit || (!strcmp(name, "space") && chat_is_space(c)) || (!strcmp(name, "ascii") && c < 128);
    }
    *out = chat_bool(is);
    return chat_charge(r, t.n);
}

/* Every word's first letter in title case, a word being a run of letters that have a case. */
pare_status chat_m_title(chat_run *r, chat_use *u, chat_value *out)
{
    pare_str s = { 0 };
    bool inside = false, upper;
    const chat_text t = u->self.s;
    pare_status st = chat_charge(r, t.n);
    for (size_t at = 0; st == PARE_OK && at < t.n;) {
        uint32_t c;
        const size_t n = chat_char(t, at, &c);
        if (n == 1 && c >= 128) pare_str_addn(&s, t.at + at, 1);
        else chat_push_case(&s, c, inside ? CHAT_LOWER : CHAT_TITLE);
        if (s.n > CHAT_MAX_TEXT) st = chat_fail(r, PARE_ERR_DATA, "a text grows beyond %d MiB", CHAT_MAX_TEXT >> 20);
        inside = chat_is_cased(c, &upper);
        at += n;
    }
    if (st == PARE_OK) st = chat_keep(r, &s, out);
    pare_str_clear(&s);
    return st;
}

/* ------------------------------------------------------------------------------------------------------- lists, mappings */

pare_status chat_m_count(chat_run *r, chat_use *u, chat_value *out)
{
    int64_t count = 0;
    const bool index = u->callee->name[0] == 'i';
    for (size_t i = 0; i < u->self.list->n; i++) {
        bool same;
        const pare_status st = chat_equal(r, u->self.list->at[i], *u->slot[0], &same);
        if (st != PARE_OK) return st;
        if (same && index) return *out = chat_int((int64_t)i), PARE_OK;
        count += same;
    }
    *out = chat_int(count);
    return index ? chat_fail(r, PARE_ERR_DATA, "'index': the value is not there") : PARE_OK;
}

pare_status chat_m_get(chat_run *r, chat_use *u, chat_value *out)
{
    chat_value *found;
    const pare_status st = chat_lookup(r, u->self.dict, *u->slot[0], &found);
    if (st == PARE_OK) *out = found ? *found : u->slot[1] ? *u->slot[1] : chat_none();
    return st;
}

pare_status chat_m_items(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    const chat_dict *d = u->self.dict;
    const char kind = u->callee->name[0] == 'k' || u->callee->name[0] == 'v' ? u->callee->name[0] : 'i';
    PARE_TRY(chat_list_new(r, CHAT_VIEW, d->n, out));
    for (size_t i = 0; i < d->n; i++) {
        chat_value *to = &out->list->at[i];
        if (kind == 'k') *to = d->at[i].key;
        else if (kind == 'v') *to = d->at[i].value;
        else {
            PARE_TRY(chat_list_new(r, CHAT_TUPLE, 2, to));
            to->list->at[0] = d->at[i].key;
            to->list->at[1] = d->at[i].value;
        }
    }
out:
    return st;
}
