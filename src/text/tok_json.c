/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer.json, the file of the `tokenizers` library:
 *
 *   {"version": "1.0", "truncation", "padding", "added_tokens": [{"id", "content", "single_word", "lstrip", "rstrip",
 *    "normalized", "special"}], "normalizer", "pre_tokenizer", "post_processor", "decoder",
 *    "model": {"type", "vocab", "merges", ...}}
 *
 * Truncation and padding are matters of batches and are not applied.
 */
#include "text/tok.h"

static pare_status read_added(pare_tokenizer *t, const pare_jval *list, pare_err *err)
{
    for (size_t i = 0; i < pare_j_count(list); i++) {
        const pare_jval *v = pare_j_at(list, i);
        pare_tok_added a = {
            .single_word = pare_j_bool(pare_j_get(v, "single_word"), false),
            .lstrip = pare_j_bool(pare_j_get(v, "lstrip"), false),
            .rstrip = pare_j_bool(pare_j_get(v, "rstrip"), false),
            .special = pare_j_bool(pare_j_get(v, "special"), false),
        };
        a.normalized = pare_j_bool(pare_j_get(v, "normalized"), !a.special);
        const char *content = pare_j_text(pare_j_get(v, "content"), NULL);
        if (!content) return pare_fail(err, PARE_ERR_FORMAT, "%s: added_tokens[%zu] has no content", t->where, i);
        a.content = (pare_tspan){pare_arena_strdup(&t->arena, content), strlen(content)};
        if (!a.content.at) return pare_no_memory(err, t->where, a.content.n);
        pare_status st = pare_tok_add_token(t, &a, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static pare_status read_root(pare_tokenizer *t, const pare_jval *root, const pare_tok_member *big, pare_err *err)
{
    pare_status st = PARE_OK;
    if (pare_j_type(root) != PARE_J_OBJECT) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: is no JSON object", t->where);
    const char *version = pare_j_text(pare_j_get(root, "version"), "1.0");
    if (strcmp(version, "1.0")) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: version '%s'", t->where, version);
    PARE_TRY(pare_tok_set_model(t, pare_j_get(root, "model"), big, err));
    PARE_TRY(pare_tok_set_normalizer(t, pare_j_get(root, "normalizer"), err));
    PARE_TRY(pare_tok_set_pre_tokenizer(t, pare_j_get(root, "pre_tokenizer"), err));
    PARE_TRY(pare_tok_set_post_processor(t, pare_j_get(root, "post_processor"), err));
    PARE_TRY(pare_tok_set_decoder(t, pare_j_get(root, "decoder"), err));
    PARE_TRY(read_added(t, pare_j_get(root, "added_tokens"), err));
    PARE_TRY(pare_tok_finish(t, err));
out:
    return st;
}

pare_status pare_tokenizer_parse(const char *json, size_t n, const char *where, pare_tokenizer **out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_tokenizer *t = NULL;
    pare_jdoc *doc = NULL;
    pare_str rest = {0};
    pare_tok_member big;
    *out = NULL;
    PARE_TRY(pare_tok_new(where, &t, err));
    PARE_TRY(pare_tok_json_split(json, n, t->where, &rest, &big, err));
    PARE_TRY(pare_jdoc_parse(rest.at, rest.n, t->where, &doc, err));
    PARE_TRY(read_root(t, pare_jdoc_root(doc), &big, err));
    *out = t;
    t = NULL;
out:
    pare_jdoc_free(doc);
    pare_str_clear(&rest);
    pare_tokenizer_free(t);
    return st;
}

static bool probe(const char *name, const uint8_t *head, size_t n)
{
    size_t i = 0;
    while (i < n && (head[i] == ' ' || head[i] == '\n' || head[i] == '\r' || head[i] == '\t')) i++;
    return i < n && head[i] == '{' && pare_str_ends(name, ".json") && !pare_str_ends(name, "vocab.json");
}

static pare_status load(const char *path, const char *folder, pare_tokenizer **out, pare_err *err)
{
    pare_map map = {0};
    *out = NULL;
    pare_status st = pare_map_open(path, &map, err);
    if (st != PARE_OK) return st;
    if (map.n > PARE_TOK_MAX_FILE) st = pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: a tokenizer of %zu bytes", path, map.n);
    else st = pare_tokenizer_parse((const char *)map.at, map.n, path, out, err);
    pare_map_close(&map);
    if (st == PARE_OK) st = pare_tok_read_special(*out, folder, err);
    if (st != PARE_OK) {
        pare_tokenizer_free(*out);
        *out = NULL;
    }
    return st;
}

static const char *const files[] = {"tokenizer.json", NULL};
const pare_tok_source pare_tok_source_json = {.name = "tokenizer.json", .help = "file of the tokenizers library", .files = files, .probe = probe, .load = load};
