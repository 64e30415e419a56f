/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Post-processors put special tokens around the ids of one text or two. All of them are templates: lists of A, B and ids, each
 * with a token type. ByteLevel only moves offsets, which pare does not have.
 */
#include "text/tok.h"

static pare_status begin(pare_tokenizer *t, pare_err *err)
{
    if (t->post.set) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: post_processor: two parts that add tokens", t->where);
    t->post.set = true;
    return PARE_OK;
}

#define ADD(list, ...) (PARE_VEC_PUSH(&(list), ((pare_tok_part){__VA_ARGS__})) ? PARE_OK : pare_no_memory(err, "post_processor", sizeof(pare_tok_part)))

/* ------------------------------------------------------------------------------------------------------------- template */

static pare_status special_part(pare_tokenizer *t, const pare_jval *piece, const pare_jval *specials, bool pair, pare_err *err)
{
    const char *name = pare_j_text(pare_j_get(piece, "id"), "");
    int64_t type = pare_j_int(pare_j_get(piece, "type_id"), 0);
    const pare_jval *ids = pare_j_get(pare_j_get(specials, name), "ids");
    if (pare_j_type(ids) != PARE_J_ARRAY) return pare_fail(err, PARE_ERR_FORMAT, "%s: TemplateProcessing: special token '%s' has no ids", t->where, name);
    for (size_t i = 0; i < pare_j_count(ids); i++) {
        int64_t id = pare_j_int(pare_j_at(ids, i), -1);
        if (id < 0 || id >= PARE_TOK_MAX_ID) return pare_fail(err, PARE_ERR_FORMAT, "%s: TemplateProcessing: id %lld of '%s'", t->where, (long long)id, name);
        pare_status st = pair ? ADD(t->post.pair, PARE_TOK_PART_ID, (int32_t)id, (int32_t)type) : ADD(t->post.single, PARE_TOK_PART_ID, (int32_t)id, (int32_t)type);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static pare_status read_template(pare_tokenizer *t, const pare_jval *list, const pare_jval *specials, bool pair, pare_err *err)
{
    if (pare_j_type(list) != PARE_J_ARRAY) return pare_fail(err, PARE_ERR_FORMAT, "%s: TemplateProcessing: '%s' is no list", t->where, pair ? "pair" : "single");
    for (size_t i = 0; i < pare_j_count(list); i++) {
        const pare_jval *special = pare_j_get(pare_j_at(list, i), "SpecialToken"), *sequence = pare_j_get(pare_j_at(list, i), "Sequence");
        pare_status st;
        if (special) {
            st = special_part(t, special, specials, pair, err);
        } else {
            const char *id = pare_j_text(pare_j_get(sequence, "id"), "");
            int32_t type = (int32_t)pare_j_int(pare_j_get(sequence, "type_id"), 0);
            int what = !strcmp(id, "A") ? PARE_TOK_PART_A : PARE_TOK_PART_B;
            if ((strcmp(id, "A") && strcmp(id, "B")) || (!pair && what == PARE_TOK_PART_B))
                return pare_fail(err, PARE_ERR_FORMAT, "%s: TemplateProcessing: piece %zu of '%s' is no sequence and no token", t->where, i, pair ? "pair" : "single");
            st = pair ? ADD(t->post.pair, what, 0, type) : ADD(t->post.single, what, 0, type);
        }
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static pare_status parse_template(pare_tokenizer *t, const pare_jval *v, pare_err *err)
{
    const pare_jval *specials = pare_j_get(v, "special_tokens");
    pare_status st = begin(t, err);
    if (st == PARE_OK) st = read_template(t, pare_j_get(v, "single"), specials, false, err);
    return st == PARE_OK ? read_template(t, pare_j_get(v, "pair"), specials, true, err) : st;
}

const pare_tok_post pare_post_template = {.type = "TemplateProcessing", .parse = parse_template};

/* -------------------------------------------------------------------------------------------------------- BERT, RoBERTa */

static pare_status read_token(const pare_tokenizer *t, const pare_jval *v, const char *key, int32_t *out, pare_err *err)
{
    int64_t id = pare_j_int(pare_j_at(pare_j_get(v, key), 1), -1);
    if (id < 0 || id >= PARE_TOK_MAX_ID) return pare_fail(err, PARE_ERR_FORMAT, "%s: post_processor: '%s' must be [token, id]", t->where, key);
    *out = (int32_t)id;
    return PARE_OK;
}

static pare_status around(pare_tokenizer *t, const pare_jval *v, bool roberta, pare_err *err)
{
    pare_status st = PARE_OK;
    int32_t cls, sep, second = roberta ? 0 : 1;
    PARE_TRY(begin(t, err));
    PARE_TRY(read_token(t, v, "cls", &cls, err));
    PARE_TRY(read_token(t, v, "sep", &sep, err));
    for (int pair = 0; pair < 2; pair++) {
        const pare_tok_part parts[] = {
            {PARE_TOK_PART_ID, cls, 0}, {PARE_TOK_PART_A, 0, 0}, {PARE_TOK_PART_ID, sep, 0}, {PARE_TOK_PART_ID, sep, 0},
            {PARE_TOK_PART_B, 0, second}, {PARE_TOK_PART_ID, sep, second},
        };
        for (int i = 0; i < (pair ? 6 : 3); i++) {
            if (i == 3 && !roberta) continue; /* RoBERTa has two separators between */
            if (pair) PARE_TRY(ADD(t->post.pair, parts[i].what, parts[i].id, parts[i].type));
            else PARE_TRY(ADD(t->post.single, parts[i].what, parts[i].id, parts[i].type));
        }
    }
out:
    return st;
}

static pare_status parse_bert(pare_tokenizer *t, const pare_jval *v, pare_err *err) { return around(t, v, false, err); }
static pare_status parse_roberta(pare_tokenizer *t, const pare_jval *v, pare_err *err) { return around(t, v, true, err); }

static pare_status parse_byte_level(pare_tokenizer *t, const pare_jval *v, pare_err *err)
{
    (void)t, (void)v, (void)err;
    return PARE_OK;
}

const pare_tok_post pare_post_bert = {.type = "BertProcessing", .parse = parse_bert};
const pare_tok_post pare_post_roberta = {.type = "RobertaProcessing", .parse = parse_roberta};
const pare_tok_post pare_post_byte_level = {.type = "ByteLevel", .parse = parse_byte_level};
