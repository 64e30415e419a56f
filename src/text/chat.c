/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: where the template and the special tokens of a checkpoint stand, and what a template sees. */
#include "text/chat.h"

static const char *const special_tokens[] = { "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token" };

/* One kind of line end, and without the last one, as Jinja reads a template. */
static char *normalise(pare_arena *arena, const char *text, size_t n, size_t *out_n)
{
    size_t k = 0;
    char *out = pare_arena_alloc(arena, n + 1);
    if (!out) return NULL;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n') continue;
        out[k++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (k && out[k - 1] == '\n') k--;
    out[k] = 0;
    *out_n = k;
    return out;
}

pare_status pare_chat_parse(const char *text, size_t n, const char *where, pare_chat **out, pare_err *err)
{
    pare_status st = PARE_OK;
    chat_tokens tokens = { 0 };
    chat_text source = { 0 };
    *out = NULL;
    pare_chat *c = pare_alloc_zero(1, sizeof *c);
    if (!c) return pare_no_memory(err, "chat template", sizeof *c);
    if (n > CHAT_MAX_TEMPLATE) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: a chat template of more than %d bytes", where, CHAT_MAX_TEMPLATE);
    if (!pare_utf8_valid(text, n)) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: the chat template is not UTF-8", where);
    c->where = pare_arena_strdup(&c->arena, where);
    source.at = normalise(&c->arena, text, n, &source.n);
    if (!c->where || !source.at) PARE_TRY(pare_no_memory(err, "chat template", n));
    PARE_TRY(chat_lex(&c->arena, source, c->where, &tokens, err));
    PARE_TRY(chat_parse_template(&(chat_parser){ .arena = &c->arena, .at = tokens.at, .where = c->where, .err = err }, &c->tree));
out:
    PARE_VEC_CLEAR(&tokens);
    if (st == PARE_OK) *out = c;
    else pare_chat_free(c);
    return st;
}

void pare_chat_free(pare_chat *chat)
{
    if (!chat) return;
    pare_arena_clear(&chat->arena);
    pare_dealloc(chat);
}

pare_status pare_chat_set(pare_chat *chat, const char *variable, const char *value, pare_err *err)
{
    chat_variable *v = pare_arena_alloc(&chat->arena, sizeof *v);
    const char *name = pare_arena_strdup(&chat->arena, variable), *text = pare_arena_strdup(&chat->arena, value);
    if (!v || !name || !text) return pare_no_memory(err, "variable of a chat template", strlen(value));
    *v = (chat_variable){ { name, strlen(name) }, chat_str((chat_text){ text, strlen(text) }), chat->extra };
    chat->extra = v;
    return PARE_OK;
}

/* -------------------------------------------------------------------------------------------------------------- opening */

/* chat_template of tokenizer_config.json: a text, or a list of named ones, of which "default" counts. */
static const char *configured(const pare_jval *config)
{
    const pare_jval *v = pare_j_get(config, "chat_template");
    if (pare_j_type(v) != PARE_J_ARRAY) return pare_j_text(v, NULL);
    for (size_t i = 0; i < pare_j_count(v); i++)
        if (!strcmp(pare_j_text(pare_j_get(pare_j_at(v, i), "name"), ""), "default")) return pare_j_text(pare_j_get(pare_j_at(v, i), "template"), NULL);
    return NULL;
}

/* A JSON file of the folder; *out stays NULL when it is not there. */
static pare_status load_beside(const char *folder, const char *name, pare_jdoc **out, pare_err *err)
{
    char *path = pare_path_join(folder, name);
    if (!path) return pare_no_memory(err, "path", strlen(folder));
    const pare_status st = pare_path_exists(path) ? pare_jdoc_load(path, 64 << 20, out, err) : PARE_OK;
    pare_dealloc(path);
    return st;
}

static pare_status set_specials(pare_chat *c, const pare_jval *config, const pare_jval *map, pare_err *err)
{
    for (size_t i = 0; i < sizeof special_tokens / sizeof *special_tokens; i++) {
        const pare_jval *v = pare_j_get(config, special_tokens[i]);
        if (pare_j_type(v) == PARE_J_NULL) v = pare_j_get(map, special_tokens[i]);
        const char *text = pare_j_text(pare_j_type(v) == PARE_J_OBJECT ? pare_j_get(v, "content") : v, NULL);
        const pare_status st = text ? pare_chat_set(c, special_tokens[i], text, err) : PARE_OK;
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

pare_status pare_chat_open(const char *folder, pare_chat **out, pare_err *err)
{
    pare_status st;
    pare_jdoc *config = NULL, *map = NULL;
    char *text = NULL, *path = NULL;
    size_t n = 0;
    *out = NULL;
    PARE_TRY(load_beside(folder, "tokenizer_config.json", &config, err));
    PARE_TRY(load_beside(folder, "special_tokens_map.json", &map, err));
    const pare_jval *root = config ? pare_jdoc_root(config) : NULL;
    if (!(path = pare_path_join(folder, "chat_template.jinja"))) PARE_TRY(pare_no_memory(err, "path", strlen(folder)));
    if (pare_path_exists(path)) {
        PARE_TRY(pare_read_file(path, CHAT_MAX_TEMPLATE, &text, &n, err));
    } else {
        pare_dealloc(path);
        if (!(path = pare_path_join(folder, "tokenizer_config.json"))) PARE_TRY(pare_no_memory(err, "path", strlen(folder)));
        if (!configured(root)) PARE_FAIL(err, PARE_ERR_IO, "%s: there is no chat template (chat_template.jinja, or chat_template in tokenizer_config.json)", folder);
    }
    PARE_TRY(pare_chat_parse(text ? text : configured(root), text ? n : strlen(configured(root)), path, out, err));
    PARE_TRY(set_specials(*out, root, map ? pare_jdoc_root(map) : NULL, err));
out:
    if (st != PARE_OK) {
        pare_chat_free(*out);
        *out = NULL;
    }
    pare_jdoc_free(config);
    pare_jdoc_free(map);
    pare_dealloc(text);
    pare_dealloc(path);
    return st;
}

/* ---------------------------------------------------------------------------------------------------------------- running */

static pare_status message_value(chat_run *r, const chat_text keys[2], const char *const texts[2], chat_value *out)
{
    pare_status st;
    void *d;
    PARE_TRY(chat_memory(r, 1, sizeof(chat_dict), &d));
    *out = (chat_value){ .kind = CHAT_DICT, .dict = d };
    *out->dict = (chat_dict){ 0 };
    for (int i = 0; i < 2; i++) {
        const char *text = texts[i];
        PARE_TRY(chat_dict_put(r, d, chat_str(keys[i]), text ? chat_str((chat_text){ text, strlen(text) }) : chat_none()));
    }
out:
    return st;
}

pare_status pare_chat_render(const pare_chat *chat, const pare_chat_message *messages, size_t n, bool add_generation_prompt, pare_str *out, pare_err *err)
{
    static const chat_text keys[] = { { "role", 4 }, { "content", 7 } };
    pare_status st;
    pare_str text = { 0 };
    chat_value list;
    chat_run r = { .chat = chat, .err = err, .out = &text };
    chat_variable *const extra = chat->extra;
    chat_variable given[4] = { { .name = { "messages", 8 }, .next = &given[1] },
                               { { "add_generation_prompt", 21 }, chat_bool(add_generation_prompt), &given[2] },
                               { { "tools", 5 }, chat_none(), &given[3] },
                               { { "documents", 9 }, chat_none(), NULL } };
    chat_scope globals = { NULL, given }, named = { &globals, extra }, scope = { &named, NULL };
    r.scope = &scope;
    PARE_TRY(chat_list_new(&r, CHAT_LIST, n, &list));
    for (size_t i = 0; i < n; i++) PARE_TRY(message_value(&r, keys, (const char *const[]){ messages[i].role, messages[i].content }, &list.list->at[i]));
    given[0].value = list;
    PARE_TRY(chat_execute(&r, chat->tree));
    if (text.n) pare_str_addn(out, text.at, text.n);
    if (out->failed) PARE_TRY(pare_no_memory(err, "text of a chat template", text.n));
out:
    pare_arena_clear(&r.arena);
    pare_str_clear(&text);
    return st;
}
