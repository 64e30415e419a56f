/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers of every kind against what the library made of awkward texts (tests/golden/tokenizers/, make_tokenizers.py). */
#include <dirent.h>
#include "support/support.h"
#include "text/text.h"

#define FOLDER PARE_SOURCE_DIR "/tests/golden/tokenizers/"

static char *names[64];
static int n_names;

static size_t from_hex(const char *hex, char *out)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        for (int k = 0; k < 2; k++) {
            char c = hex[2 * i + (size_t)k];
            byte = byte << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        out[i] = (char)byte;
    }
    return n;
}

static bool same_ids(const pare_ids *ids, const pare_jval *want)
{
    if (ids->n != pare_j_count(want)) return false;
    for (size_t i = 0; i < ids->n; i++)
        if (pare_j_int(pare_j_at(want, i), -1) != ids->at[i]) return false;
    return true;
}

static void check_text(const pare_tokenizer *t, const pare_ids *ids, bool skip, const char *want, const char *name, const char *hex)
{
    pare_err err = {0};
    pare_str whole = {0}, parts = {0};
    pare_tok_stream *s;
    assert_ok(pare_tokenizer_decode(t, ids->at, (int64_t)ids->n, skip, &whole, &err));
    if (want && strcmp(whole.at, want)) fail_msg("%s: %s: decodes to '%s', not '%s'", name, hex, whole.at, want);
    assert_ok(pare_tok_stream_new(t, skip, &s, &err));
    for (size_t i = 0; i < ids->n; i++) {
        size_t before = parts.n;
        assert_ok(pare_tok_stream_add(s, ids->at[i], &parts, &err));
        if (parts.n) assert_true(pare_utf8_valid(parts.at + before, parts.n - before));
    }
    assert_ok(pare_tok_stream_end(s, &parts, &err));
    assert_int_equal(parts.n, whole.n);
    if (whole.n) assert_memory_equal(parts.at, whole.at, whole.n);
    pare_tok_stream_free(s);
    pare_str_clear(&whole);
    pare_str_clear(&parts);
}

static void check_case(const pare_tokenizer *t, const pare_jval *c, pare_tok_scratch *scratch, const char *name)
{
    pare_err err = {0};
    pare_ids ids = {0};
    const char *hex = pare_j_text(pare_j_get(c, "hex"), NULL);
    const pare_jval *plain = pare_j_get(c, "ids"), *special = pare_j_get(c, "special");
    const char *text = pare_j_text(pare_j_get(c, "text"), NULL), *skipped = pare_j_text(pare_j_get(c, "skipped"), text);
    char *bytes = malloc(strlen(hex) + 1);
    size_t n = from_hex(hex, bytes);
    for (int again = 0; again < 2; again++) { /* the second time from the cache */
        ids.n = 0;
        assert_ok(pare_tokenizer_encode(t, bytes, n, false, scratch, &ids, &err));
        if (!same_ids(&ids, plain)) fail_msg("%s: %s: %zu ids differ from the library's %zu", name, hex, ids.n, pare_j_count(plain));
    }
    ids.n = 0;
    assert_ok(pare_tokenizer_encode(t, bytes, n, true, NULL, &ids, &err));
    if (!same_ids(&ids, special ? special : plain)) fail_msg("%s: %s: ids with special tokens differ", name, hex);
    check_text(t, &ids, false, ids.n ? text : NULL, name, hex);
    check_text(t, &ids, true, ids.n ? skipped : NULL, name, hex);
    PARE_VEC_CLEAR(&ids);
    free(bytes);
}

static void test_kind(void **state)
{
    const char *name = *state;
    char path[512];
    pare_err err = {0};
    pare_jdoc *doc;
    pare_tokenizer *t;
    pare_tok_scratch *scratch;
    pare_ids ids = {0}, types = {0};
    pare_print(path, sizeof path, FOLDER "%s.json", name);
    if (pare_tokenizer_open(path, &t, &err) != PARE_OK) fail_msg("%s", err.text);
    pare_print(path, sizeof path, FOLDER "%s.cases.json", name);
    assert_ok(pare_jdoc_load(path, 1 << 24, &doc, &err));
    const pare_jval *root = pare_jdoc_root(doc), *cases = pare_j_get(root, "cases"), *pair = pare_j_get(root, "pair");
    assert_ok(pare_tok_scratch_new(&scratch, &err));
    assert_true(pare_j_count(cases) > 50);
    assert_true(pare_tokenizer_size(t) >= pare_j_int(pare_j_get(root, "size"), -1));
    for (size_t i = 0; i < pare_j_count(cases); i++) check_case(t, pare_j_at(cases, i), scratch, name);
    assert_ok(pare_tokenizer_encode_pair(t, "Hello world", 11, "how are you?", 12, true, scratch, &ids, &types, &err));
    assert_true(same_ids(&ids, pare_j_get(pair, "ids")));
    assert_true(same_ids(&types, pare_j_get(pair, "types")));
    for (int32_t id = 0; id < pare_tokenizer_size(t); id++) { /* spelling and id are each other's inverse */
        size_t n;
        const char *token = pare_tokenizer_token(t, id, &n);
        if (token) assert_int_equal(pare_tokenizer_find(t, token, n), id);
    }
    PARE_VEC_CLEAR(&ids);
    PARE_VEC_CLEAR(&types);
    pare_tok_scratch_free(scratch);
    pare_jdoc_free(doc);
    pare_tokenizer_free(t);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(void)
{
    static struct CMUnitTest tests[64];
    DIR *folder = opendir(FOLDER);
    struct dirent *entry;
    while (folder && (entry = readdir(folder)) != NULL && n_names < 64) {
        size_t n = strlen(entry->d_name);
        if (n > 11 && !strcmp(entry->d_name + n - 11, ".cases.json")) names[n_names++] = strndup(entry->d_name, n - 11);
    }
    if (folder) closedir(folder);
    if (n_names < 20) return fprintf(stderr, "only %d golden tokenizers in %s\n", n_names, FOLDER), 1;
    qsort(names, (size_t)n_names, sizeof *names, by_name);
    for (int i = 0; i < n_names; i++) tests[i] = (struct CMUnitTest){names[i], test_kind, NULL, NULL, names[i]};
    int failed = _cmocka_run_group_tests("tokenizers", tests, (size_t)n_names, NULL, NULL);
    for (int i = 0; i < n_names; i++) free(names[i]);
    return failed;
}
