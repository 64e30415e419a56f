/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what chat templates can call (chat_calls.def), arguments to parameters, and the global functions. */
#include <time.h>
#include "text/chat.h"

#define CALL(role, name, run, required, parameters) pare_status run(chat_run *r, chat_use *u, chat_value *out);
#define NOT_IN(role, name)
#include "text/chat_calls.def"
#undef CALL
#undef NOT_IN

static const chat_callee callees[] = {
#define CALL(role, name, run, required, parameters) { role, name, run, required, parameters },
#define NOT_IN(role, name) { role, name, NULL, 0, "" },
#include "text/chat_calls.def"
#undef CALL
#undef NOT_IN
};

const chat_callee *chat_callee_find(chat_role role, chat_text name)
{
    for (size_t i = 0; i < sizeof callees / sizeof *callees; i++)
        if (callees[i].role == role && chat_text_is(name, callees[i].name)) return &callees[i];
    return NULL;
}

bool chat_method_exists(chat_text name, bool *known)
{
    bool runs = chat_text_is(name, "cycle");
    *known = chat_text_is(name, "changed"); /* of loop */
    for (chat_role role = CHAT_STR_METHOD; role <= CHAT_DICT_METHOD; role++) {
        const chat_callee *c = chat_callee_find(role, name);
        *known = *known || c;
        runs = runs || (c && c->run);
    }
    return runs;
}

/* Index of a parameter; -1 when there is none of this name. */
static int parameter(const char *list, chat_text name)
{
    for (int i = 0; *list; i++) {
        const size_t n = strcspn(list, " ");
        if (chat_text_same((chat_text){ list, n }, name)) return i;
        list += n + (list[n] == ' ');
    }
    return -1;
}

static size_t count_parameters(const char *list)
{
    size_t n = *list != 0;
    for (; *list; list++) n += *list == ' ';
    return n;
}

pare_status chat_callee_use(chat_run *r, chat_use *u, chat_value *out)
{
    const chat_callee *c = u->callee;
    size_t given = u->positional;
    if (*c->parameters != '*') {
        if (u->positional > count_parameters(c->parameters))
            return chat_fail(r, PARE_ERR_UNSUPPORTED, "'%s' with %zu arguments", c->name, u->positional);
        for (size_t i = 0; i < u->n; i++) {
            const int slot = i < u->positional ? (int)i : parameter(c->parameters, u->key[i]);
            if (slot < 0) return chat_fail(r, PARE_ERR_UNSUPPORTED, "'%s' with argument '%.*s'", c->name, (int)(u->key[i].n & 63), u->key[i].at);
            if (u->slot[slot]) return chat_fail(r, PARE_ERR_DATA, "'%s' gets an argument twice", c->name);
            u->slot[slot] = &u->arg[i];
        }
        for (given = 0; given < CHAT_SLOTS && u->slot[given];) given++;
    }
    if (given < (size_t)c->required) return chat_fail(r, PARE_ERR_DATA, "'%s' needs %d arguments", c->name, c->required);
    return c->run(r, u, out);
}

/* ----------------------------------------------------------------------------------------------------- global functions */

pare_status chat_g_dict(chat_run *r, chat_use *u, chat_value *out)
{
    pare_status st;
    void *d;
    const bool space = !strcmp(u->callee->name, "namespace");
    PARE_TRY(chat_memory(r, 1, sizeof(chat_dict), &d));
    *out = (chat_value){ .kind = space ? CHAT_SPACE : CHAT_DICT, .dict = d };
    *out->dict = (chat_dict){ 0 };
    if (u->positional > 1 || (u->positional && u->arg[0].kind != CHAT_DICT)) return chat_fail(r, PARE_ERR_UNSUPPORTED, "%s() of anything but a mapping", u->callee->name);
    for (size_t i = 0; u->positional && i < u->arg[0].dict->n; i++) PARE_TRY(chat_dict_put(r, d, u->arg[0].dict->at[i].key, u->arg[0].dict->at[i].value));
    for (size_t i = u->positional; i < u->n; i++) PARE_TRY(chat_dict_put(r, d, chat_str(u->key[i]), u->arg[i]));
    for (size_t i = 0; space && i < out->dict->n; i++) {
        const chat_value key = out->dict->at[i].key;
        if (key.kind != CHAT_STR || (key.s.n && key.s.at[0] == '_')) return chat_fail(r, PARE_ERR_UNSUPPORTED, "a namespace with a name that begins with '_' or is no text");
    }
out:
    return st;
}

pare_status chat_g_raise(chat_run *r, chat_use *u, chat_value *out)
{
    chat_text message;
    const pare_status st = chat_to_text(r, *u->slot[0], &message);
    (void)out;
    if (st != PARE_OK) return st;
    return chat_fail(r, PARE_ERR_DATA, "the template refuses these messages: %.*s", message.n > 300 ? 300 : (int)message.n, message.at ? message.at : "");
}

pare_status chat_g_range(chat_run *r, chat_use *u, chat_value *out)
{
    int64_t b[3] = { 0, 0, 1 }, count = 0;
    for (int i = 0; i < 3; i++)
        if (u->slot[i] && !chat_integer(*u->slot[i], &b[i])) return chat_fail(r, PARE_ERR_DATA, "range() of %s", chat_kind_name(*u->slot[i]));
    if (!u->slot[1]) b[1] = b[0], b[0] = 0;
    if (!b[2]) return chat_fail(r, PARE_ERR_DATA, "range() with step 0");
    for (int64_t at = b[0]; (b[2] > 0 ? at < b[1] : at > b[1]) && count <= CHAT_MAX_RANGE; count++)
        if (__builtin_add_overflow(at, b[2], &at)) at = b[1];
    if (count > CHAT_MAX_RANGE) return chat_fail(r, PARE_ERR_DATA, "range() of more than %d items", CHAT_MAX_RANGE);
    const pare_status st = chat_list_new(r, CHAT_VIEW, (size_t)count, out);
    for (int64_t i = 0; st == PARE_OK && i < count; i++) out->list->at[i] = chat_int(b[0] + i * b[2]);
    return st;
}

/* The local time as strftime() writes it in the C locale. */
pare_status chat_g_now(chat_run *r, chat_use *u, chat_value *out)
{
    static const char *const days[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };
    static const char *const months[] = { "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December" };
    pare_status st = PARE_OK;
    pare_str s = { 0 };
    struct tm t;
    const time_t now = time(NULL);
    const chat_value format = *u->slot[0];
    if (format.kind != CHAT_STR || !localtime_r(&now, &t)) return chat_fail(r, PARE_ERR_DATA, "strftime_now() of %s", chat_kind_name(format));
    for (size_t i = 0; i < format.s.n; i++) {
        char text[24] = { format.s.at[i], 0 };
        size_t n = 1;
        if (format.s.at[i] == '%') {
            const char c = i + 1 < format.s.n ? format.s.at[++i] : 0;
            const int hour = t.tm_hour % 12 ? t.tm_hour % 12 : 12;
            switch (c) {
            case '%': break;
            case 'a': pare_print(text, sizeof text, "%.3s", days[t.tm_wday]); break;
            case 'A': pare_print(text, sizeof text, "%s", days[t.tm_wday]); break;
            case 'b': pare_print(text, sizeof text, "%.3s", months[t.tm_mon]); break;
            case 'B': pare_print(text, sizeof text, "%s", months[t.tm_mon]); break;
            case 'd': pare_print(text, sizeof text, "%02d", t.tm_mday); break;
            case 'm': pare_print(text, sizeof text, "%02d", t.tm_mon + 1); break;
            case 'Y': pare_print(text, sizeof text, "%d", t.tm_year + 1900); break;
            case 'y': pare_print(text, sizeof text, "%02d", t.tm_year % 100); break;
            case 'H': pare_print(text, sizeof text, "%02d", t.tm_hour); break;
            case 'I': pare_print(text, sizeof text, "%02d", hour); break;
            case 'M': pare_print(text, sizeof text, "%02d", t.tm_min); break;
            case 'S': pare_print(text, sizeof text, "%02d", t.tm_sec); break;
            case 'p': pare_print(text, sizeof text, "%s", t.tm_hour < 12 ? "AM" : "PM"); break;
            case 'j': pare_print(text, sizeof text, "%03d", t.tm_yday + 1); break;
            case 'F': pare_print(text, sizeof text, "%d-%02d-%02d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday); break;
            case 'T': pare_print(text, sizeof text, "%02d:%02d:%02d", t.tm_hour, t.tm_min, t.tm_sec); break;
            default: PARE_FAIL(r->err, PARE_ERR_UNSUPPORTED, "%s: line %d: strftime_now() with '%%%c'", r->chat->where, r->line, c > 31 && c < 127 ? c : '?');
            }
            n = strlen(text);
        }
        PARE_TRY(chat_add(r, &s, (chat_text){ text, n }));
    }
    PARE_TRY(chat_keep(r, &s, out));
out:
    pare_str_clear(&s);
    return st;
}
