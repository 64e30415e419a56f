/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vocab.json and merges.txt: byte-level BPE of GPT-2 and its kin. What else belongs to the tokenizer is a matter of the class
 * that tokenizer_config.json names: RoBERTa's and BART's <s> ... </s>, OPT's </s> in front, Qwen's expression and NFC.
 */
#include "text/tok.h"

#define QWEN "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

enum { PLAIN, ROBERTA, QWEN2 };
static const struct class { const char *name; int is; } classes[] = {
    {"GPT2Tokenizer", PLAIN}, {"CodeGenTokenizer", PLAIN}, {"GPTNeoXTokenizer", PLAIN}, {"GPTNeoTokenizer", PLAIN}, {"OPTTokenizer", PLAIN},
    {"RobertaTokenizer", ROBERTA}, {"BartTokenizer", ROBERTA}, {"LEDTokenizer", ROBERTA}, {"LongformerTokenizer", ROBERTA},
    {"Qwen2Tokenizer", QWEN2},
};

static pare_status class_of(const pare_jdoc *config, const char *path, int *out, pare_err *err)
{
    const char *name = config ? pare_j_text(pare_j_get(pare_jdoc_root(config), "tokenizer_class"), "GPT2Tokenizer") : "GPT2Tokenizer";
    size_t n = strlen(name);
    if (pare_str_ends(name, "Fast")) n -= 4;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) != n || memcmp(classes[i].name, name, n)) continue;
        *out = classes[i].is;
        return PARE_OK;
    }
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: what %s makes of vocab.json and merges.txt is not known; a tokenizer.json is needed", path, name);
}

/* "a b" lines as JSON; the library skips lines that begin with "#version". */
static pare_status write_merges(pare_str *json, const char *text, size_t n, const char *where, pare_err *err)
{
    bool first = true;
    if (!pare_utf8_valid(text, n)) return pare_fail(err, PARE_ERR_FORMAT, "%s: is not UTF-8", where);
    pare_str_add(json, "[");
    for (size_t i = 0; i < n;) {
        const char *end = memchr(text + i, '\n', n - i);
        size_t stop = end ? (size_t)(end - text) : n, len = stop - i;
        if (len > 0 && text[i + len - 1] == '\r') len--;
        bool skip = len == 0 || (len >= 8 && !memcmp(text + i, "#version", 8));
        if (!skip) {
            if (!first) pare_str_add(json, ",");
            pare_tok_write_text(json, (pare_tspan){text + i, len});
            first = false;
        }
        i = stop + 1;
    }
    pare_str_add(json, "]");
    return PARE_OK;
}

static void write_added(pare_str *json, const pare_jdoc *config, const pare_jval *vocab, bool roberta)
{
    static const struct { const char *key, *plain, *roberta; } tokens[] = {
        {"bos_token", "<|endoftext|>", "<s>"}, {"eos_token", "<|endoftext|>", "</s>"}, {"unk_token", "<|endoftext|>", "<unk>"},
        {"sep_token", NULL, "</s>"}, {"cls_token", NULL, "<s>"}, {"pad_token", NULL, "<pad>"}, {"mask_token", NULL, "<mask>"},
    };
    bool first = true;
    pare_str_add(json, "\"added_tokens\":[");
    /* Added tokens that the configuration lists, in the order of their ids, come first. */
    const pare_jval *listed = config ? pare_j_get(pare_jdoc_root(config), "added_tokens_decoder") : NULL;
    for (size_t i = 0; i < pare_j_count(listed); i++) {
        const pare_jval *v = pare_j_member(listed, i, NULL);
        const char *text = pare_j_text(pare_j_get(v, "content"), NULL);
        if (!text) continue;
        pare_str_printf(json, "%s{\"content\":", first ? "" : ",");
        pare_tok_write_text(json, (pare_tspan){text, strlen(text)});
        const char *flags[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
        for (int k = 0; k < 5; k++) pare_str_printf(json, ",\"%s\":%s", flags[k], pare_j_bool(pare_j_get(v, flags[k]), false) ? "true" : "false");
        pare_str_add(json, "}");
        first = false;
    }
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens && !listed; i++) {
        const char *text = pare_tok_config_token(config, tokens[i].key, roberta ? tokens[i].roberta : tokens[i].plain);
        if (!text || !pare_j_get(vocab, text)) continue;
        pare_str_printf(json, "%s{\"content\":", first ? "" : ",");
        pare_tok_write_text(json, (pare_tspan){text, strlen(text)});
        const pare_jval *v = config ? pare_j_get(pare_jdoc_root(config), tokens[i].key) : NULL;
        bool strips = pare_j_bool(pare_j_get(v, "lstrip"), roberta && !strcmp(tokens[i].key, "mask_token"));
        pare_str_printf(json, ",\"lstrip\":%s,\"special\":true}", strips ? "true" : "false");
        first = false;
    }
    pare_str_add(json, "]");
}

static pare_status write_class(pare_str *json, const pare_jdoc *config, const pare_jval *vocab, int class, const char *path, pare_err *err)
{
    const pare_jval *root = config ? pare_jdoc_root(config) : NULL;
    const char *space = pare_j_bool(pare_j_get(root, "add_prefix_space"), false) ? "true" : "false";
    if (class == QWEN2)
        pare_str_printf(json, ",\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},"
                        "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"use_regex\":false}]}", QWEN, space);
    else pare_str_printf(json, ",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"use_regex\":true}", space);
    pare_str_add(json, ",\"decoder\":{\"type\":\"ByteLevel\"}");
    if (class == ROBERTA) {
        int64_t cls = pare_j_int(pare_j_get(vocab, pare_tok_config_token(config, "cls_token", "<s>")), -1);
        int64_t sep = pare_j_int(pare_j_get(vocab, pare_tok_config_token(config, "sep_token", "</s>")), -1);
        if (cls < 0 || sep < 0) return pare_fail(err, PARE_ERR_FORMAT, "%s: the tokens <s> and </s> are not in the vocabulary", path);
        pare_str_printf(json, ",\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",%lld],\"cls\":[\"<s>\",%lld]}", (long long)sep, (long long)cls);
    } else if (pare_j_bool(pare_j_get(root, "add_bos_token"), false)) {
        int64_t bos = pare_j_int(pare_j_get(vocab, pare_tok_config_token(config, "bos_token", "<|endoftext|>")), -1);
        if (bos < 0) return pare_fail(err, PARE_ERR_FORMAT, "%s: add_bos_token, but the BOS token is not in the vocabulary", path);
        pare_str_printf(json, ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"bos\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
                        "\"pair\":[{\"SpecialToken\":{\"id\":\"bos\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"bos\",\"type_id\":1}},"
                        "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],\"special_tokens\":{\"bos\":{\"id\":\"bos\",\"ids\":[%lld],\"tokens\":[\"bos\"]}}}", (long long)bos);
    }
    return PARE_OK;
}

static pare_status load(const char *path, const char *folder, pare_tokenizer **out, pare_err *err)
{
    pare_status st = PARE_OK;
    char *text = NULL, *merges = NULL, *other = folder ? pare_path_join(folder, "merges.txt") : NULL;
    size_t n, n_merges;
    int class;
    pare_jdoc *config = NULL, *vocab = NULL;
    pare_str json = {0};
    *out = NULL;
    if (!other) PARE_FAIL(err, folder ? PARE_ERR_MEMORY : PARE_ERR_IO, "%s: merges.txt is needed beside it", path);
    PARE_TRY(pare_read_file(path, 256 << 20, &text, &n, err));
    PARE_TRY(pare_read_file(other, 256 << 20, &merges, &n_merges, err));
    PARE_TRY(pare_tok_config(folder, &config, err));
    PARE_TRY(class_of(config, path, &class, err));
    PARE_TRY(pare_jdoc_parse(text, n, path, &vocab, err));
    pare_str_add(&json, "{");
    write_added(&json, config, pare_jdoc_root(vocab), class == ROBERTA);
    PARE_TRY(write_class(&json, config, pare_jdoc_root(vocab), class, path, err));
    pare_str_add(&json, ",\"model\":{\"type\":\"BPE\",\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\",\"vocab\":");
    pare_str_addn(&json, text, n);
    pare_str_add(&json, ",\"merges\":");
    PARE_TRY(write_merges(&json, merges, n_merges, other, err));
    pare_str_add(&json, "}}");
    PARE_TRY(pare_tok_read_written(&json, path, folder, out, err));
out:
    pare_dealloc(text);
    pare_dealloc(merges);
    pare_dealloc(other);
    pare_jdoc_free(config);
    pare_jdoc_free(vocab);
    pare_str_clear(&json);
    return st;
}

static bool probe(const char *name, const uint8_t *head, size_t n)
{
    (void)head, (void)n;
    return pare_str_ends(name, "vocab.json");
}

static const char *const files[] = {"vocab.json", NULL};
const pare_tok_source pare_tok_source_vocab_merges = {.name = "vocab.json + merges.txt", .help = "byte-level BPE of GPT-2, RoBERTa, OPT, CodeGen, Qwen2", .files = files, .probe = probe, .load = load};
