/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizer files: what is refused and how, other sources than tokenizer.json, lost memory, expressions. */
#include "support/support.h"
#include "text/tok.h"

static pare_err err;

static pare_status parse(const char *json)
{
    pare_tokenizer *t = NULL;
    memset(&err, 0, sizeof err);
    pare_status st = pare_tokenizer_parse(json, strlen(json), "x.json", &t, &err);
    assert_true((st == PARE_OK) == (t != NULL));
    pare_tokenizer_free(t);
    return st;
}

#define MODEL "\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":1}}"
#define BPE(vocab, merges) "{\"model\":{\"type\":\"BPE\",\"vocab\":" vocab ",\"merges\":" merges "}}"

static void test_refused(void **state)
{
    (void)state;
    assert_ok(parse("{" MODEL "}"));
    assert_error(parse("{\"normalizer\":{\"type\":\"Shout\"}," MODEL "}"), PARE_ERR_UNSUPPORTED, "normalizer 'Shout'");
    assert_error(parse("{\"pre_tokenizer\":{\"type\":\"Guess\"}," MODEL "}"), PARE_ERR_UNSUPPORTED, "pre_tokenizer 'Guess'");
    assert_error(parse("{\"post_processor\":{\"type\":\"More\"}," MODEL "}"), PARE_ERR_UNSUPPORTED, "post_processor 'More'");
    assert_error(parse("{\"decoder\":{\"type\":\"Less\"}," MODEL "}"), PARE_ERR_UNSUPPORTED, "decoder 'Less'");
    assert_error(parse("{\"model\":{\"type\":\"Oracle\",\"vocab\":{}}}"), PARE_ERR_UNSUPPORTED, "model 'Oracle'");
    assert_error(parse("{\"version\":\"2.0\"," MODEL "}"), PARE_ERR_UNSUPPORTED, "2.0");
    assert_error(parse("[]"), PARE_ERR_FORMAT, "no JSON object");
    assert_error(parse(""), PARE_ERR_FORMAT, "");
    assert_error(parse("{"), PARE_ERR_FORMAT, "line 1");
    assert_error(parse("{\"model\":{\"type\":\"BPE\",\"vocab\":{"), PARE_ERR_FORMAT, "");
    assert_error(parse(BPE("{\"a\":0,\"b\":1}", "[\"a b\"]")), PARE_ERR_FORMAT, "merge 1: 'ab' is not in the vocabulary");
    assert_error(parse(BPE("{\"a\":0,\"b\":1}", "[\"a\"]")), PARE_ERR_FORMAT, "two parts");
    assert_error(parse(BPE("{\"a\":0,\"b\":1}", "[[\"a\",\"c\"]]")), PARE_ERR_FORMAT, "'c' is not in the vocabulary");
    assert_error(parse(BPE("{\"a\":4294967295}", "[]")), PARE_ERR_FORMAT, "4294967295");
    assert_error(parse(BPE("{\"a\":-1}", "[]")), PARE_ERR_FORMAT, "token id");
    assert_error(parse(BPE("{\"a\":1.5}", "[]")), PARE_ERR_FORMAT, "token id");
    assert_error(parse(BPE("{\"\\ud800\":1}", "[]")), PARE_ERR_FORMAT, "escape");
    assert_error(parse(BPE("{\"\xff\":1}", "[]")), PARE_ERR_FORMAT, "UTF-8");
    assert_error(parse("{\"model\":{\"type\":\"Unigram\",\"unk_id\":2,\"vocab\":[[\"a\",-1.0]]}}"), PARE_ERR_FORMAT, "unk_id 2");
    assert_error(parse("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",x]]}}"), PARE_ERR_FORMAT, "number");
    assert_error(parse("{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}," MODEL "}"), PARE_ERR_FORMAT, "Precompiled");
    assert_error(parse("{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!!!!\"}," MODEL "}"), PARE_ERR_FORMAT, "base64");
    assert_error(parse("{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\",\"invert\":false}," MODEL "}"), PARE_ERR_UNSUPPORTED, "parenthesis");
    assert_error(parse("{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Twice\",\"invert\":false}," MODEL "}"), PARE_ERR_UNSUPPORTED, "Twice");
    assert_error(parse("{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"q\"}}],\"pair\":[],\"special_tokens\":{}}," MODEL "}"), PARE_ERR_FORMAT, "'q'");
}

/* ------------------------------------------------------------------------------------------------------------- sources */

static void expect(const pare_tokenizer *t, const char *text, const char *tokens)
{
    pare_ids ids = {0};
    pare_str got = {0};
    memset(&err, 0, sizeof err);
    if (pare_tokenizer_encode(t, text, strlen(text), true, NULL, &ids, &err) != PARE_OK) fail_msg("%s", err.text);
    for (size_t i = 0; i < ids.n; i++) {
        pare_str_add(&got, i ? " " : "");
        pare_str_add(&got, pare_tokenizer_token(t, ids.at[i], NULL));
    }
    assert_string_equal(got.at ? got.at : "", tokens);
    PARE_VEC_CLEAR(&ids);
    pare_str_clear(&got);
}

static void test_vocab_txt(void **state)
{
    (void)state;
    static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nwor\n##ld\n!\r\n";
    static const char config[] = "{\"do_lower_case\": true, \"tokenizer_class\": \"BertTokenizer\"}";
    pare_tokenizer *t;
    char path[512];
    test_write(test_path("vocab.txt"), vocab, sizeof vocab - 1);
    test_write(test_path("tokenizer_config.json"), config, sizeof config - 1);
    pare_print(path, sizeof path, "%s", test_path("vocab.txt"));
    assert_ok(pare_tokenizer_open(path, &t, &err));
    expect(t, "HELLO w\u00f6rld! x[MASK]", "[CLS] hello wor ##ld ! [UNK] [MASK] [SEP]");
    assert_int_equal(pare_tokenizer_mask(t), -1);
    pare_tokenizer_free(t);
    remove(path);
    remove(test_path("tokenizer_config.json"));
}

static void test_vocab_merges(void **state)
{
    (void)state;
    static const char vocab[] = "{\"<s>\":0,\"</s>\":1,\"a\":2,\"b\":3,\"\\u0120\":4,\"ab\":5,\"\\u0120ab\":6,\"<|endoftext|>\":7}", merges[] = "#version: 0.2\na b\n\xc4\xa0 ab\n";
    static const char roberta[] = "{\"tokenizer_class\":\"RobertaTokenizer\"}", strange[] = "{\"tokenizer_class\":\"OddTokenizer\"}";
    pare_tokenizer *t;
    test_write(test_path("vocab.json"), vocab, sizeof vocab - 1);
    test_write(test_path("merges.txt"), merges, sizeof merges - 1);
    assert_ok(pare_tokenizer_open(test_folder(), &t, &err));
    expect(t, "ab ab<|endoftext|>b", "ab \xc4\xa0" "ab <|endoftext|> b");
    pare_tokenizer_free(t);
    test_write(test_path("tokenizer_config.json"), roberta, sizeof roberta - 1);
    assert_ok(pare_tokenizer_open(test_folder(), &t, &err));
    expect(t, "ab", "<s> ab </s>");
    assert_int_equal(pare_tokenizer_bos(t), 0);
    pare_tokenizer_free(t);
    test_write(test_path("tokenizer_config.json"), strange, sizeof strange - 1);
    assert_error(pare_tokenizer_open(test_folder(), &t, &err), PARE_ERR_UNSUPPORTED, "OddTokenizer");
    remove(test_path("merges.txt"));
    assert_error(pare_tokenizer_open(test_folder(), &t, &err), PARE_ERR_IO, "merges.txt");
    remove(test_path("vocab.json"));
    remove(test_path("tokenizer_config.json"));
    assert_error(pare_tokenizer_open(test_folder(), &t, &err), PARE_ERR_IO, "tokenizer.json");
}

static void put_piece(pare_str *s, const char *text, float score)
{
    uint32_t bits, n = (uint32_t)strlen(text);
    memcpy(&bits, &score, 4);
    pare_str_addn(s, (const char *)&bits, 4);
    pare_str_addn(s, (const char *)&n, 4);
    pare_str_addn(s, text, n);
}

static void test_karpathy(void **state)
{
    (void)state;
    pare_str file = {0}, text = {0};
    uint32_t longest = 7;
    pare_tokenizer *t;
    pare_ids ids = {0};
    char name[16], path[512];
    pare_str_addn(&file, (const char *)&longest, 4);
    put_piece(&file, "<unk>", 0), put_piece(&file, "\n<s>\n", 0), put_piece(&file, "\n</s>\n", 0);
    for (unsigned b = 0; b < 256; b++) pare_print(name, sizeof name, "<0x%02X>", b), put_piece(&file, name, 0);
    put_piece(&file, "bc", -1), put_piece(&file, "ab", -2), put_piece(&file, " a", -3), put_piece(&file, " ", -4);
    put_piece(&file, "a", -5), put_piece(&file, "b", -6), put_piece(&file, "c", -7);
    pare_print(path, sizeof path, "%s", test_path("tok9.bin"));
    test_write(path, file.at, file.n);
    assert_ok(pare_tokenizer_open(path, &t, &err));
    expect(t, "abc", "\n<s>\n  a bc"); /* "bc" has the better score, then " a" */
    expect(t, "ab\xc3\xa9", "\n<s>\n   ab <0xC3> <0xA9>");
    assert_ok(pare_tokenizer_encode(t, "ab\xc3\xa9", 4, false, NULL, &ids, &err));
    assert_ok(pare_tokenizer_decode(t, ids.at, (int64_t)ids.n, false, &text, &err));
    assert_string_equal(text.at, "ab\xc3\xa9");
    pare_tokenizer_free(t);
    test_write(path, file.at, file.n - 3);
    assert_error(pare_tokenizer_open(path, &t, &err), PARE_ERR_FORMAT, "token 265");
    remove(path);
    PARE_VEC_CLEAR(&ids);
    pare_str_clear(&file);
    pare_str_clear(&text);
}

static void put_spm(pare_str *s, const char *text, float score, char type)
{
    char head[] = {10, (char)(strlen(text) + 9), 10, (char)strlen(text)}, tail[7] = {0x15, 0, 0, 0, 0, 0x18, type};
    memcpy(tail + 1, &score, 4);
    pare_str_addn(s, head, 4);
    pare_str_add(s, text);
    pare_str_addn(s, tail, 7);
}

static void test_sentencepiece(void **state)
{
    (void)state;
    pare_str file = {0}, uni = {0};
    pare_tokenizer *t;
    char name[16], path[512];
    put_spm(&file, "<unk>", 0, 2), put_spm(&file, "<s>", 0, 3), put_spm(&file, "</s>", 0, 3);
    for (unsigned b = 0; b < 256; b++) pare_print(name, sizeof name, "<0x%02X>", b), put_spm(&file, name, 0, 6);
    const char *pieces[] = {"ab", "\u2581ab", "\u2581", "a", "b"};
    for (int i = 0; i < 5; i++) put_spm(&file, pieces[i], (float)-i, 1);
    pare_str_addn(&uni, file.at, file.n);
    pare_str_addn(&file, "\x12\x05\x18\x02\x98\x02\x01", 7); /* trainer: bpe, byte_fallback */
    pare_print(path, sizeof path, "%s", test_path("tokenizer.model"));
    test_write(path, file.at, file.n);
    assert_ok(pare_tokenizer_open(path, &t, &err));
    expect(t, "ab abé", "<s> \u2581ab \u2581ab <0xC3> <0xA9>");
    assert_int_equal(pare_tokenizer_eos(t), 2);
    pare_tokenizer_free(t);
    test_write(path, uni.at, uni.n); /* unigram is the default */
    assert_ok(pare_tokenizer_open(path, &t, &err));
    expect(t, "ab  aé<extra_id_3>", "\u2581ab \u2581 a <unk> <extra_id_3> </s>");
    pare_tokenizer_free(t);
    test_write(path, file.at, file.n - 1);
    assert_error(pare_tokenizer_open(path, &t, &err), PARE_ERR_FORMAT, "no part of a SentencePiece model");
    remove(path);
    pare_str_clear(&file);
    pare_str_clear(&uni);
}

/* -------------------------------------------------------------------------------------------------------------- memory */

static const char *const golden[] = {"llama3", "gemma", "unigram_bytes", "bert_cased", "clip", "digits", "split_kinds"};

static pare_status everything(void *arg)
{
    char path[512];
    pare_status st = PARE_OK;
    pare_err why = {0};
    pare_tokenizer *t = NULL;
    pare_tok_scratch *scratch = NULL;
    pare_ids ids = {0};
    pare_str text = {0};
    static const char sample[] = "H\u00e9llo  <extra>wor\xffld 123 \u6211\u80fd[MASK] e\u0301 ab";
    pare_print(path, sizeof path, PARE_SOURCE_DIR "/tests/golden/tokenizers/%s.json", (const char *)arg);
    PARE_TRY(pare_tokenizer_open(path, &t, &why));
    PARE_TRY(pare_tok_scratch_new(&scratch, &why));
    PARE_TRY(pare_tokenizer_encode(t, sample, sizeof sample - 1, true, scratch, &ids, &why));
    PARE_TRY(pare_tokenizer_decode(t, ids.at, (int64_t)ids.n, false, &text, &why));
out:
    if (st != PARE_OK && st != PARE_ERR_MEMORY) fprintf(stderr, "%s\n", why.text);
    pare_tokenizer_free(t);
    pare_tok_scratch_free(scratch);
    PARE_VEC_CLEAR(&ids);
    pare_str_clear(&text);
    return st;
}

static void test_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) assert_true(test_every_allocation(everything, (void *)(uintptr_t)golden[i]) > 10);
}

/* --------------------------------------------------------------------------------------------------------- expressions */

static void translates(const char *from, const char *to)
{
    pare_str out = {0};
    memset(&err, 0, sizeof err);
    pare_status st = pare_tok_regex_translate("x", (pare_tspan){from, strlen(from)}, &out, &err);
    if (st != PARE_OK) fail_msg("%s: %s", from, err.text);
    assert_string_equal(out.at, to);
    pare_str_clear(&out);
}

static void test_expressions(void **state)
{
    (void)state;
    pare_str out = {0};
    translates("a|b*c+?", "a|b*c+?");
    translates("x{1,3}+", "(?:x{1,3})+");
    translates("(ab){2}?", "(?:(ab){2})?");
    translates("x{,3}", "x{0,3}");
    translates("x{a}", "x\\{a}");
    translates("\\h\\x41\\u00e9", "[0-9A-Fa-f]\\x{41}\\x{00e9}");
    translates("(?m:.)(?i)k", "(?s:.)(?i)k");
    translates("[a[bc]d]", "[abcd]");
    translates("[a-z&&[^b]]", "(?:(?=[a-z])[^b])");
    translates("[^]a]", "[^\\]a]");
    assert_error(pare_tok_regex_translate("x", PARE_TSPAN("(?~a)"), &out, &err), PARE_ERR_UNSUPPORTED, "(?~");
    assert_error(pare_tok_regex_translate("x", PARE_TSPAN("[a[^b]]"), &out, &err), PARE_ERR_UNSUPPORTED, "negative set");
    assert_error(pare_tok_regex_translate("x", PARE_TSPAN("a)"), &out, &err), PARE_ERR_UNSUPPORTED, "too many");
    assert_error(pare_tok_regex_translate("x", PARE_TSPAN("[a"), &out, &err), PARE_ERR_UNSUPPORTED, "unfinished");
    pare_str_clear(&out);
}

/* A search that would take for ever ends in an error. */
static void test_hostile_expression(void **state)
{
    (void)state;
    static const char json[] = "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?:a|aa)+$\"},\"behavior\":\"Isolated\",\"invert\":false}," MODEL "}";
    pare_tokenizer *t;
    pare_ids ids = {0};
    char text[200];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '!';
    assert_ok(pare_tokenizer_parse(json, sizeof json - 1, "x", &t, &err));
    assert_error(pare_tokenizer_encode(t, text, sizeof text, false, NULL, &ids, &err), PARE_ERR_DATA, "too many steps");
    assert_int_equal(ids.n, 0);
    pare_tokenizer_free(t);
    PARE_VEC_CLEAR(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_vocab_txt), cmocka_unit_test(test_vocab_merges), cmocka_unit_test(test_karpathy),
        cmocka_unit_test(test_sentencepiece), cmocka_unit_test(test_memory), cmocka_unit_test(test_expressions), cmocka_unit_test(test_hostile_expression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
