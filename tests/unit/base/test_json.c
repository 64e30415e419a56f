/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, re-emitting and writing JSON. */
#include <math.h>
#include <pare/report.h>
#include "support/support.h"

static pare_err err;

static pare_status parse(const char *text, pare_jdoc **out) { return pare_jdoc_parse(text, strlen(text), "t.json", out, &err); }

static void values(void **state)
{
    (void)state;
    pare_jdoc *doc;
    assert_ok(parse("{\"z\": 1, \"a\": [true, null, -2.5, \"\\u00e9\\ud83d\\ude00\"], \"m\": {\"k\": 9223372036854775807}}", &doc));
    const pare_jval *root = pare_jdoc_root(doc), *a = pare_j_get(root, "a");
    const char *key;
    assert_int_equal(pare_j_type(root), PARE_J_OBJECT);
    assert_int_equal(pare_j_count(root), 3);
    assert_int_equal(pare_j_int(pare_j_member(root, 0, &key), 0), 1);
    assert_string_equal(key, "z"); /* order of the file */
    pare_j_member(root, 2, &key);
    assert_string_equal(key, "m");
    assert_null(pare_j_member(root, 3, &key));
    assert_int_equal(pare_j_count(a), 4);
    assert_true(pare_j_bool(pare_j_at(a, 0), false));
    assert_int_equal(pare_j_type(pare_j_at(a, 1)), PARE_J_NULL);
    assert_float_equal(pare_j_real(pare_j_at(a, 2), 0), -2.5, 0);
    assert_string_equal(pare_j_text(pare_j_at(a, 3), ""), "\xC3\xA9\xF0\x9F\x98\x80");
    assert_null(pare_j_at(a, 4));
    assert_true(pare_j_int(pare_j_get(pare_j_get(root, "m"), "k"), 0) == INT64_MAX);
    pare_jdoc_free(doc);
}

static void defaults(void **state)
{
    (void)state;
    pare_jdoc *doc;
    assert_ok(parse("{\"i\": 4, \"r\": 4.0, \"n\": null, \"s\": \"4\"}", &doc));
    const pare_jval *root = pare_jdoc_root(doc);
    assert_int_equal(pare_j_int(pare_j_get(root, "absent"), 7), 7);
    assert_int_equal(pare_j_int(pare_j_get(root, "n"), 7), 7);
    assert_int_equal(pare_j_int(pare_j_get(root, "r"), 7), 7); /* a real is no integer ... */
    assert_float_equal(pare_j_real(pare_j_get(root, "i"), 0), 4, 0); /* ... but an integer is a number */
    assert_int_equal(pare_j_int(pare_j_get(root, "s"), 7), 7);
    assert_string_equal(pare_j_text(pare_j_get(root, "i"), "or"), "or");
    assert_true(pare_j_bool(pare_j_get(root, "i"), true));
    assert_null(pare_j_get(pare_j_get(root, "i"), "x"));
    assert_null(pare_j_get(NULL, "x"));
    assert_int_equal(pare_j_count(NULL), 0);
    pare_jdoc_free(doc);
}

static void refused(void **state)
{
    (void)state;
    static const struct { const char *text, *part; } bad[] = {
        {"{\"a\": 1,\n \"a\": 2}", "line 2"},
        {"{\"a\": 1} x", "line 1"},
        {"[1, 2", "line 1"},
        {"[1,]", "line 1"},
        {"", "line 1"},
        {"{'a': 1}", "line 1"},
        {"[01]", "line 1"},
        {"[1e999]", "real"},
        {"[\"\xC3\x28\"]", "decode byte"},
        {"[\"\xED\xA0\x80\"]", "decode byte"},
        {"[\"a\nb\"]", "line"},
        {"[Infinit]", "line 1"},
        {"[-]", "line 1"},
        {"\"open", "line 1"},
        {"\"open\\", "line 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pare_jdoc *doc;
        assert_error(parse(bad[i].text, &doc), PARE_ERR_FORMAT, bad[i].part);
        assert_null(doc);
    }
}

static char *nested(int depth)
{
    char *text = malloc((size_t)depth * 2 + 1);
    memset(text, '[', (size_t)depth);
    memset(text + depth, ']', (size_t)depth);
    text[2 * depth] = '\0';
    return text;
}

static void depth(void **state)
{
    (void)state;
    pare_jdoc *doc;
    char *fine = nested(512), *deep = nested(513), *very = nested(1000000);
    assert_ok(parse(fine, &doc));
    pare_jdoc_free(doc);
    assert_error(parse(deep, &doc), PARE_ERR_FORMAT, "column 513");
    assert_error(parse(very, &doc), PARE_ERR_FORMAT, "512 levels");
    assert_ok(parse("[\"[[[[\"]", &doc));
    pare_jdoc_free(doc);
    free(fine), free(deep), free(very);
}

/* What Python writes and strict JSON does not know. */
static void pythons_numbers(void **state)
{
    (void)state;
    pare_jdoc *doc;
    char *text;
    const char *in = "{\n  \"big\": 1000000000000000019884624838656,\n  \"inf\": [\n    Infinity,\n    -Infinity,\n    NaN\n  ],\n"
                     "  \"edge\": [\n    9223372036854775807,\n    -9223372036854775808,\n    9223372036854775808\n  ],\n"
                     "  \"text\": \"Infinity 99999999999999999999\",\n  \"r\": 10000.0,\n  \"i\": 10000,\n  \"e\": 1e-05,\n  \"none\": {}\n}";
    assert_ok(parse(in, &doc));
    const pare_jval *root = pare_jdoc_root(doc), *inf = pare_j_get(root, "inf");
    assert_true(pare_j_real(pare_j_get(root, "big"), 0) == 1e30);
    assert_true(isinf(pare_j_real(pare_j_at(inf, 0), 0)));
    assert_true(pare_j_real(pare_j_at(inf, 1), 0) < 0);
    assert_true(isnan(pare_j_real(pare_j_at(inf, 2), 0)));
    assert_int_equal(pare_j_type(pare_j_at(pare_j_get(root, "edge"), 1)), PARE_J_INT);
    assert_int_equal(pare_j_type(pare_j_at(pare_j_get(root, "edge"), 2)), PARE_J_REAL);
    assert_ok(pare_j_dump(root, 0, &text, &err));
    assert_string_equal(text, in);
    pare_dealloc(text);
    pare_jdoc_free(doc);
}

static void large_object(void **state)
{
    (void)state;
    enum { N = 5000 };
    pare_str s = {0};
    pare_jdoc *doc;
    pare_str_add(&s, "{");
    for (int i = 0; i < N; i++) pare_str_printf(&s, "%s\"key%d\": %d", i ? ", " : "", i, i * 3);
    pare_str_add(&s, "}");
    assert_ok(parse(s.at, &doc));
    for (int i = 0; i < N; i++) {
        char key[32];
        snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(pare_j_int(pare_j_get(pare_jdoc_root(doc), key), -1), i * 3);
    }
    assert_null(pare_j_get(pare_jdoc_root(doc), "key5000"));
    pare_jdoc_free(doc);
    pare_str_clear(&s);
}

static void from_file(void **state)
{
    (void)state;
    pare_jdoc *doc;
    const char *path = test_path("a.json");
    test_write(path, "[1]", 3);
    assert_ok(pare_jdoc_load(path, 100, &doc, &err));
    assert_int_equal(pare_j_count(pare_jdoc_root(doc)), 1);
    pare_jdoc_free(doc);
    assert_error(pare_jdoc_load(path, 2, &doc, &err), PARE_ERR_FORMAT, "3 bytes");
    assert_error(pare_jdoc_load(test_path("none.json"), 2, &doc, &err), PARE_ERR_IO, "none.json");
    assert_error(pare_jdoc_load(test_folder(), 2, &doc, &err), PARE_ERR_IO, "folder");
}

static pare_status parse_and_dump(void *arg)
{
    const char *text = arg;
    pare_jdoc *doc = NULL;
    char *again = NULL;
    pare_status st = pare_jdoc_parse(text, strlen(text), "t.json", &doc, NULL);
    if (st == PARE_OK) st = pare_j_dump(pare_jdoc_root(doc), 0, &again, NULL);
    pare_dealloc(again);
    pare_jdoc_free(doc);
    return st;
}

static void no_memory(void **state)
{
    (void)state;
    pare_str s = {0};
    pare_str_add(&s, "{\"big\": 99999999999999999999, \"list\": [");
    for (int i = 0; i < 2000; i++) pare_str_printf(&s, "%s{\"name\": \"tensor number %d\", \"v\": [%d, 1.5, null]}", i ? "," : "", i, i);
    pare_str_add(&s, "]}");
    assert_true(test_every_allocation(parse_and_dump, s.at) > 10);
    pare_str_clear(&s);
}

static char *written(int indent)
{
    pare_json *j;
    char *text;
    assert_ok(pare_json_new(indent, &j, &err));
    pare_json_object(j, NULL);
    pare_json_text(j, "t", "a\"b\\c\n\x01\xC3\xA9\xFF");
    pare_json_array(j, "n");
    pare_json_int(j, NULL, INT64_MIN);
    pare_json_real(j, NULL, 0.1);
    pare_json_real(j, NULL, INFINITY);
    pare_json_bool(j, NULL, true);
    pare_json_null(j, NULL);
    pare_json_text(j, NULL, NULL);
    pare_json_end(j);
    pare_json_object(j, "empty");
    pare_json_end(j);
    pare_json_raw(j, "raw", "[1]");
    pare_json_end(j);
    assert_ok(pare_json_take(j, &text, &err));
    pare_json_free(j);
    return text;
}

static void writing(void **state)
{
    (void)state;
    char *line = written(0), *pretty = written(2);
    pare_jdoc *doc;
    assert_string_equal(line, "{\"t\": \"a\\\"b\\\\c\\n\\u0001\xC3\xA9\xEF\xBF\xBD\", \"n\": [-9223372036854775808, 0.1, null, true, null, null], "
                              "\"empty\": {}, \"raw\": [1]}");
    assert_non_null(strstr(pretty, "{\n  \"t\": "));
    assert_non_null(strstr(pretty, "\n    0.1,\n"));
    assert_non_null(strstr(pretty, "\"empty\": {},\n"));
    assert_ok(parse(pretty, &doc));
    pare_jdoc_free(doc);
    pare_free(line);
    pare_free(pretty);
}

static void writing_too_deep(void **state)
{
    (void)state;
    pare_json *j;
    char *text;
    assert_ok(pare_json_new(0, &j, &err));
    for (int i = 0; i < 300; i++) pare_json_array(j, NULL);
    for (int i = 0; i < 300; i++) pare_json_end(j);
    assert_error(pare_json_take(j, &text, &err), PARE_ERR_UNSUPPORTED, "256");
    pare_json_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),       cmocka_unit_test(defaults),  cmocka_unit_test(refused),   cmocka_unit_test(depth),
        cmocka_unit_test(pythons_numbers), cmocka_unit_test(large_object), cmocka_unit_test(from_file), cmocka_unit_test(no_memory),
        cmocka_unit_test(writing),      cmocka_unit_test(writing_too_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
