/* SPDX-License-Identifier: Apache-2.0 */
/* vocab.txt: BERT's vocabulary, a token a line. What tokenizer_config.json says about case and accents counts. */
#include "text/tok.h"

static pare_status read_lines(const char *text, size_t n, pare_tok_pieces *pieces, const char *path, pare_err *err)
{
    for (size_t i = 0; i < n;) {
        const char *end = memchr(text + i, '\n', n - i);
        size_t stop = end ? (size_t)(end - text) : n, len = stop - i;
        while (len > 0 && memchr(" \t\r\f\v", text[i + len - 1], 5)) len--;
        pare_tok_piece piece = {.text = {text + i, len}};
        if (!PARE_VEC_PUSH(pieces, piece)) return pare_no_memory(err, path, pieces->n * sizeof piece);
        i = stop + 1;
    }
    return PARE_OK;
}

static int64_t find(const pare_tok_pieces *pieces, const char *text)
{
    for (size_t i = pieces->n; i-- > 0;)
        if (pare_tspan_same(pieces->at[i].text, (pare_tspan){text, strlen(text)})) return (int64_t)i;
    return -1;
}

static const char *yes(const pare_jval *root, const char *key, bool or_else) { return pare_j_bool(pare_j_get(root, key), or_else) ? "true" : "false"; }

static pare_status write_parts(const pare_jdoc *config, const pare_tok_pieces *pieces, const char *path, pare_str *json, pare_err *err)
{
    const char *keys[] = {"unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}, *names[] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};
    const pare_jval *root = config ? pare_jdoc_root(config) : NULL, *accents = pare_j_get(root, "strip_accents");
    pare_str_add(json, "],\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,");
    pare_str_printf(json, "\"handle_chinese_chars\":%s,\"strip_accents\":%s,\"lowercase\":%s},", yes(root, "tokenize_chinese_chars", true),
                    pare_j_type(accents) == PARE_J_BOOL ? (pare_j_bool(accents, false) ? "true" : "false") : "null", yes(root, "do_lower_case", true));
    int64_t cls = find(pieces, pare_tok_config_token(config, keys[3], names[3])), sep = find(pieces, pare_tok_config_token(config, keys[1], names[1]));
    if (cls < 0 || sep < 0) return pare_fail(err, PARE_ERR_FORMAT, "%s: the tokens %s and %s are not in the vocabulary", path, pare_tok_config_token(config, keys[3], names[3]), pare_tok_config_token(config, keys[1], names[1]));
    pare_str_printf(json, "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},"
                    "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"sep\",%lld],\"cls\":[\"cls\",%lld]}}", (long long)sep, (long long)cls);
    return PARE_OK;
}

static void write_added(const pare_jdoc *config, const pare_tok_pieces *pieces, pare_str *json)
{
    const char *keys[] = {"unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}, *names[] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};
    int count = 0;
    for (int i = 0; i < 5; i++) {
        const char *text = pare_tok_config_token(config, keys[i], names[i]);
        if (find(pieces, text) < 0) continue;
        pare_str_printf(json, "%s{\"content\":", count++ ? "," : "");
        pare_tok_write_text(json, (pare_tspan){text, strlen(text)});
        pare_str_add(json, ",\"special\":true}");
    }
}

static pare_status load(const char *path, const char *folder, pare_tokenizer **out, pare_err *err)
{
    pare_status st = PARE_OK;
    char *text = NULL;
    size_t n;
    pare_jdoc *config = NULL;
    pare_tok_pieces pieces = {0};
    pare_str json = {0};
    *out = NULL;
    PARE_TRY(pare_read_file(path, 256 << 20, &text, &n, err));
    PARE_TRY(read_lines(text, n, &pieces, path, err));
    PARE_TRY(pare_tok_config(folder, &config, err));
    const char *unk = pare_tok_config_token(config, "unk_token", "[UNK]");
    pare_str_add(&json, "{\"model\":{\"type\":\"WordPiece\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"unk_token\":");
    pare_tok_write_text(&json, (pare_tspan){unk, strlen(unk)});
    pare_str_add(&json, ",\"vocab\":");
    PARE_TRY(pare_tok_write_vocab(&json, &pieces, path, err));
    pare_str_add(&json, "},\"added_tokens\":[");
    write_added(config, &pieces, &json);
    PARE_TRY(write_parts(config, &pieces, path, &json, err));
    PARE_TRY(pare_tok_read_written(&json, path, folder, out, err));
out:
    pare_dealloc(text);
    pare_jdoc_free(config);
    PARE_VEC_CLEAR(&pieces);
    pare_str_clear(&json);
    return st;
}

static bool probe(const char *name, const uint8_t *head, size_t n)
{
    (void)head, (void)n;
    return pare_str_ends(name, "vocab.txt");
}

static const char *const files[] = {"vocab.txt", NULL};
const pare_tok_source pare_tok_source_vocab_txt = {.name = "vocab.txt", .help = "WordPiece vocabulary of BERT", .files = files, .probe = probe, .load = load};
