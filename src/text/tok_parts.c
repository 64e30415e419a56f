/* SPDX-License-Identifier: Apache-2.0 */
/* The registries of components, and the reading of their descriptions into a tokenizer. */
#include "text/tok.h"

#define PARE_TOK_NORM(x) extern const pare_tok_norm pare_norm_##x;
#include "text/normalizers.def"
#undef PARE_TOK_NORM
#define PARE_TOK_PRE(x) extern const pare_tok_pre pare_pre_##x;
#include "text/pre_tokenizers.def"
#undef PARE_TOK_PRE
#define PARE_TOK_MODEL(x) extern const pare_tok_model pare_tokm_##x;
#include "text/tok_models.def"
#undef PARE_TOK_MODEL
#define PARE_TOK_POST(x) extern const pare_tok_post pare_post_##x;
#include "text/post_processors.def"
#undef PARE_TOK_POST
#define PARE_TOK_DEC(x) extern const pare_tok_dec pare_dec_##x;
#include "text/decoders.def"
#undef PARE_TOK_DEC

static const pare_tok_norm *const norms[] = {
#define PARE_TOK_NORM(x) &pare_norm_##x,
#include "text/normalizers.def"
#undef PARE_TOK_NORM
    NULL
};
static const pare_tok_pre *const pres[] = {
#define PARE_TOK_PRE(x) &pare_pre_##x,
#include "text/pre_tokenizers.def"
#undef PARE_TOK_PRE
    NULL
};
static const pare_tok_model *const models[] = {
#define PARE_TOK_MODEL(x) &pare_tokm_##x,
#include "text/tok_models.def"
#undef PARE_TOK_MODEL
    NULL
};
static const pare_tok_post *const posts[] = {
#define PARE_TOK_POST(x) &pare_post_##x,
#include "text/post_processors.def"
#undef PARE_TOK_POST
    NULL
};
static const pare_tok_dec *const decs[] = {
#define PARE_TOK_DEC(x) &pare_dec_##x,
#include "text/decoders.def"
#undef PARE_TOK_DEC
    NULL
};

/* Every descriptor begins with its type's name, so one search serves all families. */
static const void *find(const void *const *table, const char *type)
{
    for (size_t i = 0; table[i]; i++)
        if (!strcmp(*(const char *const *)table[i], type)) return table[i];
    return NULL;
}

typedef pare_status parse_fn(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err);
typedef struct family { const char *what, *members; const void *const *table; } family;

static pare_status parse_one(pare_tokenizer *t, const family *f, const pare_jval *v, int depth, pare_tok_chain *chain, pare_err *err);

static pare_status parse_list(pare_tokenizer *t, const family *f, const pare_jval *list, int depth, pare_tok_chain *chain, pare_err *err)
{
    if (pare_j_type(list) != PARE_J_ARRAY) return pare_fail(err, PARE_ERR_FORMAT, "%s: %s: Sequence without %s", t->where, f->what, f->members);
    for (size_t i = 0; i < pare_j_count(list); i++) {
        pare_status st = parse_one(t, f, pare_j_at(list, i), depth + 1, chain, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static parse_fn *parser_of(const family *f, const void *ops)
{
    if (f->table == (const void *const *)norms) return ((const pare_tok_norm *)ops)->parse;
    if (f->table == (const void *const *)pres) return ((const pare_tok_pre *)ops)->parse;
    return ((const pare_tok_dec *)ops)->parse;
}

static pare_status parse_one(pare_tokenizer *t, const family *f, const pare_jval *v, int depth, pare_tok_chain *chain, pare_err *err)
{
    const char *type = pare_j_text(pare_j_get(v, "type"), NULL);
    if (!type) return pare_fail(err, PARE_ERR_FORMAT, "%s: %s without a type", t->where, f->what);
    if (!strcmp(type, "Sequence")) {
        if (depth > 8) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: %s: Sequences nested more than 8 deep", t->where, f->what);
        return parse_list(t, f, pare_j_get(v, f->members), depth, chain, err);
    }
    const void *ops = find(f->table, type);
    if (!ops) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: %s '%s' is not supported", t->where, f->what, type);
    if (chain->n == PARE_TOK_MAX_STAGES)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: more than %d parts in the %s", t->where, PARE_TOK_MAX_STAGES, f->what);
    void *self = NULL;
    parse_fn *parse = parser_of(f, ops);
    pare_status st = parse ? parse(t, v, &self, err) : PARE_OK;
    if (st == PARE_OK) chain->at[chain->n++] = (pare_tok_step){ops, self};
    return st;
}

static pare_status parse_chain(pare_tokenizer *t, const family *f, const pare_jval *v, pare_tok_chain *chain, pare_err *err)
{
    return pare_j_type(v) == PARE_J_NULL ? PARE_OK : parse_one(t, f, v, 0, chain, err);
}

pare_status pare_tok_set_normalizer(pare_tokenizer *t, const pare_jval *v, pare_err *err)
{
    const family f = {"normalizer", "normalizers", (const void *const *)norms};
    return parse_chain(t, &f, v, &t->norm, err);
}

pare_status pare_tok_set_pre_tokenizer(pare_tokenizer *t, const pare_jval *v, pare_err *err)
{
    const family f = {"pre_tokenizer", "pretokenizers", (const void *const *)pres};
    return parse_chain(t, &f, v, &t->pre, err);
}

pare_status pare_tok_set_decoder(pare_tokenizer *t, const pare_jval *v, pare_err *err)
{
    const family f = {"decoder", "decoders", (const void *const *)decs};
    return parse_chain(t, &f, v, &t->dec, err);
}

static pare_status parse_post(pare_tokenizer *t, const pare_jval *v, int depth, pare_err *err)
{
    const char *type = pare_j_text(pare_j_get(v, "type"), NULL);
    if (pare_j_type(v) == PARE_J_NULL) return PARE_OK;
    if (!type) return pare_fail(err, PARE_ERR_FORMAT, "%s: post_processor without a type", t->where);
    if (!strcmp(type, "Sequence")) {
        const pare_jval *list = pare_j_get(v, "processors");
        if (depth > 8 || pare_j_type(list) != PARE_J_ARRAY) return pare_fail(err, PARE_ERR_FORMAT, "%s: post_processor: Sequence without processors", t->where);
        for (size_t i = 0; i < pare_j_count(list); i++) {
            pare_status st = parse_post(t, pare_j_at(list, i), depth + 1, err);
            if (st != PARE_OK) return st;
        }
        return PARE_OK;
    }
    const pare_tok_post *ops = find((const void *const *)posts, type);
    if (!ops) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: post_processor '%s' is not supported", t->where, type);
    return ops->parse(t, v, err);
}

pare_status pare_tok_set_post_processor(pare_tokenizer *t, const pare_jval *v, pare_err *err) { return parse_post(t, v, 0, err); }

/* Old files do not name the model's type; the members tell. */
static const char *guess_model(const pare_jval *v, const pare_tok_member *big)
{
    if (big->merges.at || pare_j_get(v, "merges")) return "BPE";
    if (big->vocab.at && big->vocab.at[0] == '[') return "Unigram";
    if (pare_j_get(v, "continuing_subword_prefix")) return "WordPiece";
    return "WordLevel";
}

pare_status pare_tok_set_model(pare_tokenizer *t, const pare_jval *v, const pare_tok_member *big, pare_err *err)
{
    if (pare_j_type(v) != PARE_J_OBJECT) return pare_fail(err, PARE_ERR_FORMAT, "%s: there is no \"model\" object", t->where);
    const char *type = pare_j_text(pare_j_get(v, "type"), guess_model(v, big));
    const pare_tok_model *model = find((const void *const *)models, type);
    if (!model) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: model '%s' is not supported", t->where, type);
    t->model = model;
    return model->parse(t, v, big, &t->model_self, err);
}

/* ------------------------------------------------------------------------------------------------ reading of the members */

pare_status pare_tok_alloc(pare_tokenizer *t, size_t bytes, void *out, pare_err *err)
{
    void *p = pare_arena_alloc(&t->arena, bytes);
    if (!p) return pare_no_memory(err, t->where, bytes);
    memset(p, 0, bytes);
    *(void **)out = p;
    return PARE_OK;
}

pare_status pare_tok_get_text(pare_tokenizer *t, const pare_jval *v, const char *key, pare_tspan *out, pare_err *err)
{
    const char *text = pare_j_text(pare_j_get(v, key), NULL);
    if (!text) return pare_fail(err, PARE_ERR_FORMAT, "%s: %s: '%s' is missing or no text", t->where, pare_j_text(pare_j_get(v, "type"), "?"), key);
    *out = (pare_tspan){pare_arena_strdup(&t->arena, text), strlen(text)};
    return out->at ? PARE_OK : pare_no_memory(err, t->where, out->n);
}

pare_status pare_tok_get_char(const pare_tokenizer *t, const pare_jval *v, const char *key, const char *or_else, pare_tspan *out, pare_err *err)
{
    const char *text = pare_j_text(pare_j_get(v, key), or_else);
    if (!text || !*text || pare_utf8_length(text, strlen(text)) != strlen(text))
        return pare_fail(err, PARE_ERR_FORMAT, "%s: %s: '%s' must be one character", t->where, pare_j_text(pare_j_get(v, "type"), "?"), key);
    *out = (pare_tspan){text, strlen(text)};
    return PARE_OK;
}
