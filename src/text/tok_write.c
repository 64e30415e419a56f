/* SPDX-License-Identifier: Apache-2.0 */
/* Other files in the words of tokenizer.json: what the sources share. */
#include <stdlib.h>
#include "text/tok.h"

void pare_tok_write_text(pare_str *json, pare_tspan text)
{
    pare_str_add(json, "\"");
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        if (c == '"' || c == '\\') pare_str_add(json, "\\");
        if ((uint8_t)c < 0x20) pare_str_printf(json, "\\u%04x", (unsigned)(uint8_t)c);
        else pare_str_addn(json, &c, 1);
    }
    pare_str_add(json, "\"");
}

pare_status pare_tok_write_vocab(pare_str *json, const pare_tok_pieces *pieces, const char *where, pare_err *err)
{
    pare_str_add(json, "{");
    for (size_t i = 0; i < pieces->n; i++) {
        if (!pare_utf8_valid(pieces->at[i].text.at, pieces->at[i].text.n)) return pare_fail(err, PARE_ERR_FORMAT, "%s: token %zu is not UTF-8", where, i);
        if (i) pare_str_add(json, ",");
        pare_tok_write_text(json, pieces->at[i].text);
        pare_str_printf(json, ":%zu", i);
    }
    pare_str_add(json, "}");
    return pare_tok_text_failed(json, where, err);
}

typedef struct split { uint32_t whole, chars_left, chars_right, left, right, cut; } split;

static int by_rank(const void *x, const void *y)
{
    const split *a = x, *b = y;
    const uint32_t p[] = {a->whole, a->chars_left, a->chars_right, a->left, a->right}, q[] = {b->whole, b->chars_left, b->chars_right, b->left, b->right};
    for (int i = 0; i < 5; i++)
        if (p[i] != q[i]) return p[i] < q[i] ? -1 : 1;
    return 0;
}

/* As transformers makes merges of a SentencePiece BPE: by the id of the whole, then by the characters on the left. */
pare_status pare_tok_write_merges(pare_str *json, const pare_tok_pieces *pieces, const char *where, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_tok_vocab v = {0};
    PARE_VEC(split) splits = {0};
    for (size_t i = 0; i < pieces->n; i++) PARE_TRY(pare_tok_vocab_add(&v, pieces->at[i].text, (int64_t)i, where, err));
    for (size_t i = 0; i < pieces->n; i++) {
        pare_tspan text = pieces->at[i].text;
        uint32_t chars = 0, total = 0;
        for (size_t k = 0; k < text.n; k++) total += ((uint8_t)text.at[k] & 0xC0) != 0x80;
        if (text.n > 4096) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: token %zu is %zu bytes long", where, i, text.n);
        for (size_t cut = 1; cut < text.n; cut++) {
            if (((uint8_t)text.at[cut] & 0xC0) == 0x80) continue;
            chars++;
            int32_t left = pare_tok_vocab_find(&v, text.at, cut), right = left < 0 ? -1 : pare_tok_vocab_find(&v, text.at + cut, text.n - cut);
            if (right < 0) continue;
            split one = {(uint32_t)pare_tok_vocab_find(&v, text.at, text.n), chars, total - chars, (uint32_t)left, (uint32_t)right, (uint32_t)cut};
            if (!PARE_VEC_PUSH(&splits, one)) PARE_TRY(pare_no_memory(err, where, splits.n * sizeof one));
        }
    }
    if (splits.n) qsort(splits.at, splits.n, sizeof *splits.at, by_rank);
    pare_str_add(json, "[");
    for (size_t i = 0; i < splits.n; i++) {
        pare_tspan whole = pieces->at[splits.at[i].whole].text;
        size_t cut = splits.at[i].cut;
        pare_str_add(json, i ? ",[" : "[");
        pare_tok_write_text(json, (pare_tspan){whole.at, cut});
        pare_str_add(json, ",");
        pare_tok_write_text(json, (pare_tspan){whole.at + cut, whole.n - cut});
        pare_str_add(json, "]");
    }
    pare_str_add(json, "]");
    st = pare_tok_text_failed(json, where, err);
out:
    pare_tok_vocab_clear(&v);
    PARE_VEC_CLEAR(&splits);
    return st;
}

pare_status pare_tok_config(const char *folder, pare_jdoc **out, pare_err *err)
{
    *out = NULL;
    char *path = folder ? pare_path_join(folder, "tokenizer_config.json") : NULL;
    if (!folder) return PARE_OK;
    if (!path) return pare_no_memory(err, folder, 64);
    pare_status st = pare_path_exists(path) ? pare_jdoc_load(path, 64 << 20, out, err) : PARE_OK;
    pare_dealloc(path);
    return st;
}

const char *pare_tok_config_token(const pare_jdoc *config, const char *key, const char *or_else)
{
    const pare_jval *v = config ? pare_j_get(pare_jdoc_root(config), key) : NULL;
    return pare_j_text(v, pare_j_text(pare_j_get(v, "content"), or_else));
}

pare_status pare_tok_read_written(pare_str *json, const char *where, const char *folder, pare_tokenizer **out, pare_err *err)
{
    pare_status st = pare_tok_text_failed(json, where, err);
    *out = NULL;
    if (st == PARE_OK) st = pare_tokenizer_parse(json->at, json->n, where, out, err);
    if (st == PARE_OK) st = pare_tok_read_special(*out, folder, err);
    if (st != PARE_OK) {
        pare_tokenizer_free(*out);
        *out = NULL;
    }
    return st;
}
