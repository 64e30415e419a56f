/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a tokenizer from any source, and questions to it. */
#include <stdatomic.h>
#include "text/tok.h"

#define PARE_TOK_SOURCE(x) extern const pare_tok_source pare_tok_source_##x;
#include "text/tokenizers.def"
#undef PARE_TOK_SOURCE

static const pare_tok_source *const sources[] = {
#define PARE_TOK_SOURCE(x) &pare_tok_source_##x,
#include "text/tokenizers.def"
#undef PARE_TOK_SOURCE
    NULL
};

const pare_tok_source *const *pare_tok_sources(void) { return sources; }

pare_status pare_tok_new(const char *where, pare_tokenizer **out, pare_err *err)
{
    static atomic_uint_fast64_t serial;
    pare_tokenizer *t = pare_alloc_zero(1, sizeof *t);
    *out = NULL;
    if (!t) return pare_no_memory(err, where, sizeof *t);
    t->serial = atomic_fetch_add(&serial, 1) + 1;
    t->bos = t->eos = t->pad = t->mask = -1;
    t->where = pare_arena_strdup(&t->arena, where);
    if (!t->where) {
        pare_tokenizer_free(t);
        return pare_no_memory(err, where, strlen(where));
    }
    *out = t;
    return PARE_OK;
}

void pare_tokenizer_free(pare_tokenizer *t)
{
    if (!t) return;
    for (int i = 0; i < t->norm.n; i++) {
        const pare_tok_norm *ops = t->norm.at[i].ops;
        if (ops->free) ops->free(t->norm.at[i].self);
    }
    for (int i = 0; i < t->pre.n; i++) {
        const pare_tok_pre *ops = t->pre.at[i].ops;
        if (ops->free) ops->free(t->pre.at[i].self);
    }
    for (int i = 0; i < t->dec.n; i++) {
        const pare_tok_dec *ops = t->dec.at[i].ops;
        if (ops->free) ops->free(t->dec.at[i].self);
    }
    if (t->model && t->model->free) t->model->free(t->model_self);
    PARE_VEC_CLEAR(&t->post.single);
    PARE_VEC_CLEAR(&t->post.pair);
    PARE_VEC_CLEAR(&t->added);
    pare_tok_trie_clear(&t->plain);
    pare_tok_trie_clear(&t->normal);
    pare_tok_trie_clear(&t->specials);
    pare_tok_vocab_clear(&t->vocab);
    pare_arena_clear(&t->arena);
    pare_dealloc(t);
}

/* -------------------------------------------------------------------------------------------------------------- opening */

static pare_status open_file(const char *path, pare_tokenizer **out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_map map = {0};
    uint8_t head[64];
    char *folder = pare_path_folder(path);
    const char *name = pare_path_name(path);
    const pare_tok_source *source = NULL;
    if (!folder) return pare_no_memory(err, path, strlen(path));
    PARE_TRY(pare_map_open(path, &map, err));
    size_t n = map.n < sizeof head ? map.n : sizeof head;
    if (n) memcpy(head, map.at, n);
    pare_map_close(&map);
    for (size_t i = 0; sources[i] && !source; i++)
        if (sources[i]->probe(name, head, n)) source = sources[i];
    if (!source) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: this is no kind of tokenizer file that pare reads", path);
    st = source->load(path, folder, out, err);
out:
    pare_dealloc(folder);
    return st;
}

/* A file of the folder that the pattern names ("tok*.bin" takes the first such), or NULL. */
static pare_status find_file(const char *folder, const char *pattern, char **out, pare_err *err)
{
    const char *star = strchr(pattern, '*');
    pare_names names = {0};
    *out = NULL;
    if (!star) {
        char *path = pare_path_join(folder, pattern);
        if (!path) return pare_no_memory(err, folder, strlen(pattern));
        if (pare_path_exists(path)) *out = path;
        else pare_dealloc(path);
        return PARE_OK;
    }
    pare_status st = pare_list_folder(folder, &names, err);
    for (size_t i = 0; st == PARE_OK && i < names.n && !*out; i++) {
        const char *name = names.at[i];
        bool fits = !strncmp(name, pattern, (size_t)(star - pattern)) && pare_str_ends(name, star + 1) && strlen(name) >= strlen(pattern) - 1;
        if (fits && !(*out = pare_path_join(folder, name))) st = pare_no_memory(err, folder, strlen(name));
    }
    pare_names_clear(&names);
    return st;
}

static pare_status open_folder(const char *folder, pare_tokenizer **out, pare_err *err)
{
    pare_str asked = {0};
    pare_status st = PARE_OK;
    for (size_t i = 0; sources[i]; i++) {
        for (const char *const *file = sources[i]->files; *file; file++) {
            char *path;
            PARE_TRY(find_file(folder, *file, &path, err));
            if (path) {
                st = sources[i]->load(path, folder, out, err);
                pare_dealloc(path);
                goto out;
            }
            pare_str_printf(&asked, "%s%s", asked.n ? ", " : "", *file);
        }
    }
    st = pare_fail(err, PARE_ERR_IO, "%s: no tokenizer there (looked for %s)", folder, asked.failed ? "its files" : asked.at);
out:
    pare_str_clear(&asked);
    return st;
}

pare_status pare_tokenizer_open(const char *folder_or_file, pare_tokenizer **out, pare_err *err)
{
    *out = NULL;
    if (pare_path_is_folder(folder_or_file)) return open_folder(folder_or_file, out, err);
    if (!pare_path_exists(folder_or_file)) return pare_fail(err, PARE_ERR_IO, "%s: no such file or folder", folder_or_file);
    return open_file(folder_or_file, out, err);
}

/* ------------------------------------------------------------------------------------------------------ special tokens */

static void note_special(pare_tokenizer *t, const pare_jval *root)
{
    struct { const char *key; int32_t *id; } wanted[] = {{"bos_token", &t->bos}, {"eos_token", &t->eos}, {"pad_token", &t->pad}, {"mask_token", &t->mask}};
    for (size_t i = 0; i < 4; i++) {
        const pare_jval *v = pare_j_get(root, wanted[i].key);
        const char *text = pare_j_text(v, pare_j_text(pare_j_get(v, "content"), NULL));
        int32_t id = text ? pare_tokenizer_find(t, text, strlen(text)) : -1;
        if (id >= 0) *wanted[i].id = id;
    }
}

pare_status pare_tok_read_special(pare_tokenizer *t, const char *folder, pare_err *err)
{
    static const char *const files[] = {"special_tokens_map.json", "tokenizer_config.json"}; /* the latter has the last word */
    for (size_t i = 0; folder && i < 2; i++) {
        pare_jdoc *doc = NULL;
        char *path = pare_path_join(folder, files[i]);
        if (!path) return pare_no_memory(err, folder, strlen(files[i]));
        pare_status st = pare_path_exists(path) ? pare_jdoc_load(path, 64 << 20, &doc, err) : PARE_OK;
        pare_dealloc(path);
        if (st != PARE_OK) return st;
        if (doc) note_special(t, pare_jdoc_root(doc));
        pare_jdoc_free(doc);
    }
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ questions */

int64_t pare_tokenizer_size(const pare_tokenizer *t) { return t->size; }
const char *pare_tokenizer_kind(const pare_tokenizer *t) { return t->model->kind; }
int32_t pare_tokenizer_bos(const pare_tokenizer *t) { return t->bos; }
int32_t pare_tokenizer_eos(const pare_tokenizer *t) { return t->eos; }
int32_t pare_tokenizer_pad(const pare_tokenizer *t) { return t->pad; }
int32_t pare_tokenizer_mask(const pare_tokenizer *t) { return t->mask; }

int32_t pare_tokenizer_find(const pare_tokenizer *t, const char *token, size_t n)
{
    for (size_t i = 0; i < t->added.n; i++)
        if (pare_tspan_same(t->added.at[i].content, (pare_tspan){token, n})) return t->added.at[i].id;
    return pare_tok_vocab_find(&t->vocab, token, n);
}

const char *pare_tokenizer_token(const pare_tokenizer *t, int32_t id, size_t *n)
{
    const pare_tok_added *added = pare_tok_added_of(t, id);
    pare_tspan token = added ? added->content : id >= 0 && (size_t)id < t->vocab.size ? t->vocab.by_id[id] : (pare_tspan){NULL, 0};
    if (n) *n = token.n;
    return token.at;
}

bool pare_tokenizer_is_special(const pare_tokenizer *t, int32_t id)
{
    size_t n;
    const char *token = pare_tokenizer_token(t, id, &n);
    return token && pare_tok_is_special_text(t, (pare_tspan){token, n});
}
