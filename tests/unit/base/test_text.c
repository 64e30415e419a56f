/* SPDX-License-Identifier: Apache-2.0 */
/* Text, numbers, sizes, patterns, options, errors, little-endian bytes. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include "support/support.h"

static pare_err err;

static const char *real(double value)
{
    static char text[32];
    pare_format_real(value, text);
    return text;
}

static void format_real(void **state)
{
    (void)state;
    assert_string_equal(real(0.1), "0.1");
    assert_string_equal(real(1), "1");
    assert_string_equal(real(1e-5), "1e-05");
    assert_string_equal(real(-0.0), "-0");
    assert_string_equal(real(0.1 + 0.2), "0.30000000000000004");
    assert_string_equal(real(1.0 / 3), "0.3333333333333333");
    assert_string_equal(real(DBL_MAX), "1.7976931348623157e+308");
    assert_string_equal(real(INFINITY), "inf");
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t bits = pare_rng_u64(1, i);
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        assert_true(pare_parse_f64(real(value), &back));
        assert_memory_equal(&value, &back, sizeof value);
    }
}

/* A program that has set a locale with a decimal comma sees the same text. */
static void locale(void **state)
{
    (void)state;
    double value;
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8")) skip();
    assert_string_equal(real(0.5), "0.5");
    assert_true(pare_parse_f64("2.5", &value));
    assert_true(value == 2.5);
    setlocale(LC_ALL, "C");
}

static void numbers(void **state)
{
    (void)state;
    int64_t i;
    double d;
    assert_true(pare_parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_false(pare_parse_i64("9223372036854775808", &i));
    assert_false(pare_parse_i64("", &i));
    assert_false(pare_parse_i64(" 1", &i));
    assert_false(pare_parse_i64("1x", &i));
    assert_false(pare_parse_i64("--1", &i));
    assert_true(pare_parse_f64("1e-3", &d) && d == 1e-3);
    assert_true(pare_parse_f64("1e-320", &d) && d > 0);
    assert_false(pare_parse_f64("1e999", &d));
    assert_false(pare_parse_f64("1,5", &d));
    assert_false(pare_parse_f64("", &d));
}

static uint64_t size_of(const char *text)
{
    uint64_t n = 77;
    return pare_parse_size(text, &n) ? n : 0;
}

static void sizes(void **state)
{
    (void)state;
    char text[32];
    uint64_t n;
    assert_true(size_of("123") == 123);
    assert_true(size_of("4GiB") == 4ull << 30);
    assert_true(size_of("4gb") == 4000000000u);
    assert_true(size_of("500M") == 500000000u);
    assert_true(size_of("1.5 MiB") == 3u << 19);
    assert_true(size_of("18446744073709551615") == UINT64_MAX);
    assert_false(pare_parse_size("18446744073709551616", &n));
    assert_false(pare_parse_size("20000000TiB", &n));
    assert_false(pare_parse_size("-1", &n));
    assert_false(pare_parse_size("GB", &n));
    assert_false(pare_parse_size("4 XB", &n));
    assert_false(pare_parse_size("1.GB", &n));
    pare_format_bytes(1023, text), assert_string_equal(text, "1023 B");
    pare_format_bytes(1024, text), assert_string_equal(text, "1.00 KiB");
    pare_format_bytes(1524713390, text), assert_string_equal(text, "1.42 GiB");
    pare_format_bytes((1u << 20) - 1, text), assert_string_equal(text, "1.00 MiB");
    pare_format_bytes(UINT64_MAX, text), assert_string_equal(text, "16.00 EiB");
}

static void strings(void **state)
{
    (void)state;
    pare_str s = {0};
    char small[8];
    pare_str_add(&s, "a");
    pare_str_printf(&s, "%d-%s", 7, "x");
    assert_string_equal(s.at, "a7-x");
    char *text = pare_str_take(&s);
    assert_string_equal(text, "a7-x");
    pare_dealloc(text);
    text = pare_str_take(&s);
    assert_string_equal(text, "");
    pare_dealloc(text);
    assert_int_equal(pare_str_distance("grop_size", "group_size", 9), 1);
    assert_int_equal(pare_str_distance("abc", "xyz", 2), 2);
    assert_int_equal(pare_str_distance("", "ab", 9), 2);
    assert_true(pare_str_same_nocase("GiB", "gib"));
    assert_false(pare_str_same_nocase("gib", "gi"));
    assert_true(pare_str_ends("a.npz", ".npz"));
    assert_false(pare_str_ends("z", ".npz"));
    pare_print(small, sizeof small, "abcdef\xC3\xA9"); /* does not fit: no half character */
    assert_string_equal(small, "abcdef");
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"", "abc", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"};
    static const char *const bad[] = {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xFF", "\xC3"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(pare_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(pare_utf8_valid(bad[i], strlen(bad[i])));
}

static bool matches(const char *pattern, const char *name)
{
    pare_pattern *p;
    assert_ok(pare_pattern_new(pattern, &p, &err));
    bool hit = pare_pattern_match(p, name);
    assert_string_equal(pare_pattern_text(p), pattern);
    pare_pattern_free(p);
    return hit;
}

static void patterns(void **state)
{
    (void)state;
    static const struct { const char *pattern, *name; bool hit; } rows[] = {
        {"lm_head", "lm_head.weight", true},
        {"lm_head", "model.lm_head", true},
        {"lm_head", "my_lm_head.weight", false},
        {"lm_head", "lm_head2.weight", false},
        {"mlp.up_proj", "model.layers.0.mlp.up_proj.weight", true},
        {"model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight", true},
        {"a.a", "a.a.a", true},
        {"model.layers.*.mlp.*", "model.layers.12.mlp.up_proj.weight", true},
        {"model.layers.*.mlp.*", "model.layers.12.attn.q.weight", false},
        {"*.up_proj", "model.layers.0.mlp.up_proj.weight", true}, /* the module's name */
        {"*.up_proj.weight", "model.layers.0.mlp.up_proj.weight", true},
        {"layers.[0-3].*", "layers.2.w", true},
        {"layers.[0-3].*", "layers.4.w", false},
        {"layers.[!0-3].*", "layers.4.w", true},
        {"a[]]b*", "a]b", true},
        {"a[b", "a[b", true},
        {"layers.?.w", "layers.4.w", true},
        {"layers.?.w", "layers.14.w", false},
        {"*", "", true},
        {"*a*b*c", "xaybzc", true},
        {"*a*b*c", "xaybz", false},
        {"re:.*mlp", "model.mlp.w", true},
        {"re:mlp", "model.mlp.w", false}, /* from the start, as re.match */
        {"re:model\\.layers\\.\\d+\\.mlp\\..*", "model.layers.10.mlp.up_proj.weight", true},
        {"re:model|lm_head", "lm_head.weight", true},
        {"re:x[]d]\\d", "x]5", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (matches(rows[i].pattern, rows[i].name) != rows[i].hit) fail_msg("%s against %s", rows[i].pattern, rows[i].name);
    pare_pattern *p;
    assert_error(pare_pattern_new("re:(", &p, &err), PARE_ERR_USAGE, "re:(");
    assert_error(pare_pattern_new("", &p, &err), PARE_ERR_USAGE, "empty");
}

/* A glob that takes naive matchers forever. */
static void glob_is_fast(void **state)
{
    (void)state;
    char name[2001], pattern[202];
    memset(name, 'a', 2000), name[2000] = '\0';
    for (int i = 0; i < 100; i++) memcpy(pattern + 2 * i, "*a", 2);
    memcpy(pattern + 200, "b", 2);
    double before = pare_now();
    assert_false(matches(pattern, name));
    assert_true(pare_now() - before < 1);
}

static const pare_option table[] = {
    {"bits", PARE_OPT_INT, "1..8", "4", "bits of a code"},
    {"group_size", PARE_OPT_INT, "0..", "128", "elements per scale"},
    {"damp", PARE_OPT_REAL, "0..1", "0.01", "damping"},
    {"clip", PARE_OPT_CHOICE, "none|mse", "none", "search of the range"},
    {"sort", PARE_OPT_BOOL, NULL, "no", "largest first"},
    {"note", PARE_OPT_TEXT, NULL, NULL, "free"},
    {NULL, 0, NULL, NULL, NULL},
};

static void options(void **state)
{
    (void)state;
    pare_params p;
    assert_ok(pare_params_init(&p, table, &err));
    assert_int_equal(pare_params_int(&p, "bits"), 4);
    assert_true(pare_params_real(&p, "damp") == 0.01);
    assert_false(pare_params_bool(&p, "sort"));
    assert_string_equal(pare_params_text(&p, "note"), "");
    assert_ok(pare_params_set(&p, "bits", "8", "gptq", &err));
    assert_ok(pare_params_set(&p, "clip", "mse", "gptq", &err));
    assert_ok(pare_params_set(&p, "sort", "ON", "gptq", &err));
    assert_int_equal(pare_params_int(&p, "bits"), 8);
    assert_string_equal(pare_params_text(&p, "clip"), "mse");
    assert_true(pare_params_bool(&p, "sort"));
    assert_error(pare_params_set(&p, "bits", "9", "gptq", &err), PARE_ERR_USAGE, "1..8");
    assert_error(pare_params_set(&p, "bits", "4.5", "gptq", &err), PARE_ERR_USAGE, "bits=4.5");
    assert_error(pare_params_set(&p, "group_size", "-1", "gptq", &err), PARE_ERR_USAGE, "group_size");
    assert_error(pare_params_set(&p, "damp", "nan", "gptq", &err), PARE_ERR_USAGE, "damp");
    assert_error(pare_params_set(&p, "clip", "ms", "gptq", &err), PARE_ERR_USAGE, "none|mse");
    assert_error(pare_params_set(&p, "group_sise", "3", "gptq", &err), PARE_ERR_USAGE, "group_sise");
    assert_string_equal(err.hint, "did you mean 'group_size'?");
    assert_int_equal(pare_params_int(&p, "bits"), 8);
    pare_params_clear(&p);
    assert_ok(pare_params_init(&p, NULL, &err));
    assert_error(pare_params_set(&p, "x", "3", "rtn", &err), PARE_ERR_USAGE, "no option");
    pare_params_clear(&p);
}

static void errors(void **state)
{
    (void)state;
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(pare_fail(NULL, PARE_ERR_IO, "x"), PARE_ERR_IO);
    assert_int_equal(pare_fail(&err, PARE_ERR_IO, "%s", long_text), PARE_ERR_IO);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    pare_fail(&err, PARE_ERR_DATA, "row %d", 3);
    pare_hint(&err, "try %d", 4);
    assert_int_equal(pare_context(&err, PARE_ERR_DATA, "tensor '%s'", "w"), PARE_ERR_DATA);
    assert_string_equal(err.text, "tensor 'w': row 3");
    assert_string_equal(err.hint, "try 4");
    assert_int_equal(pare_context(NULL, PARE_ERR_DATA, "x"), PARE_ERR_DATA);
    pare_fail_errno(&err, 28 /* ENOSPC */, "out");
    assert_non_null(strstr(err.text, "disk full"));
    assert_string_equal(pare_status_name(PARE_ERR_EXISTS), "exists");
    assert_string_equal(pare_status_name((pare_status)5), "unknown");
    assert_string_equal(pare_version(), "0.2.0");
}

static void bytes(void **state)
{
    (void)state;
    const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 'a', '\n', 'b'};
    pare_rd r = {.at = data, .n = sizeof data};
    uint16_t h;
    uint32_t w;
    uint64_t d;
    const char *line;
    size_t n;
    assert_true(pare_rd_u16(&r, &h) && h == 0x0201);
    assert_true(pare_rd_u32(&r, &w) && w == 0x06050403);
    assert_false(pare_rd_u64(&r, &d));
    assert_int_equal(r.pos, 6);
    assert_true(pare_rd_skip(&r, 2));
    assert_true(pare_rd_line(&r, &line, &n) && n == 1 && *line == 'a');
    assert_false(pare_rd_line(&r, &line, &n));
    assert_false(pare_rd_skip(&r, SIZE_MAX));
    uint8_t put[8];
    pare_put_le64(put, 0x1122334455667788u);
    assert_true(pare_le64(put) == 0x1122334455667788u && put[0] == 0x88);
}

/* Fixed values: files made with a seed today must come out the same in every later version. */
static void random_numbers(void **state)
{
    (void)state;
    double mean = 0, square = 0;
    uint64_t key = pare_rng_key(42, "model.layers.0.mlp.up_proj.weight");
    assert_true(key == pare_rng_key(42, "model.layers.0.mlp.up_proj.weight"));
    assert_true(key != pare_rng_key(43, "model.layers.0.mlp.up_proj.weight"));
    assert_true(pare_rng_u64(0, 0) == 0xE220A8397B1DCDAFu); /* splitmix64 seeded with 0, first two outputs */
    assert_true(pare_rng_u64(0, 1) == 0x6E789E6AA1B965F4u);
    for (uint64_t i = 0; i < 100000; i++) {
        double x = pare_rng_normal(key, i), u = pare_rng_uniform(key, i);
        assert_true(u >= 0 && u < 1);
        mean += x, square += x * x;
    }
    assert_float_equal(mean / 1e5, 0, 0.02);
    assert_float_equal(square / 1e5, 1, 0.02);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_real), cmocka_unit_test(locale),  cmocka_unit_test(numbers),      cmocka_unit_test(sizes),
        cmocka_unit_test(strings),     cmocka_unit_test(utf8),    cmocka_unit_test(patterns),     cmocka_unit_test(glob_is_fast),
        cmocka_unit_test(options),     cmocka_unit_test(errors),  cmocka_unit_test(bytes),        cmocka_unit_test(random_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
