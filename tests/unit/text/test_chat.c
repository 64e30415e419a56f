/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: renders equal to Jinja's (tests/golden/chat.json), what is refused and how, limits, folders, lost memory. */
#include <time.h>
#include "support/support.h"
#include "text/text.h"

static pare_err err;
enum { MOST = 16 };
static const pare_chat_message hello[] = { { "user", "Hello" } };

static pare_status render(const char *template, const pare_chat_message *messages, size_t n, bool prompt, pare_str *out)
{
    pare_chat *chat = NULL;
    memset(&err, 0, sizeof err);
    pare_status st = pare_chat_parse(template, strlen(template), "chat_template.jinja", &chat, &err);
    assert_true((st == PARE_OK) == (chat != NULL));
    if (st == PARE_OK) st = pare_chat_render(chat, messages, n, prompt, out, &err);
    pare_chat_free(chat);
    return st;
}

static void expect(const char *template, const char *text)
{
    pare_str out = { 0 };
    if (render(template, hello, 1, true, &out) != PARE_OK) fail_msg("%s", err.text);
    assert_string_equal(out.at ? out.at : "", text);
    pare_str_clear(&out);
}

/* The call fails, says where, and leaves the output alone. */
static void refuse(const char *template, pare_status status, const char *part)
{
    pare_str out = { 0 };
    pare_str_add(&out, "before");
    const pare_status st = render(template, hello, 1, true, &out);
    if (st != status || err.code != status || !strstr(err.text, part) || !strstr(err.text, "chat_template.jinja: line ")) fail_msg("%s: %d '%s'", template, (int)st, err.text);
    assert_string_equal(out.at, "before");
    pare_str_clear(&out);
}

/* ------------------------------------------------------------------------------------------------------------------ golden */

static size_t read_messages(const pare_jval *list, pare_chat_message out[MOST])
{
    const size_t n = pare_j_count(list);
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++)
        out[i] = (pare_chat_message){ pare_j_text(pare_j_get(pare_j_at(list, i), "role"), NULL), pare_j_text(pare_j_get(pare_j_at(list, i), "content"), NULL) };
    return n;
}

static void set_tokens(pare_chat *chat, const pare_jval *tokens)
{
    for (size_t i = 0; i < pare_j_count(tokens); i++) {
        const char *key;
        const pare_jval *v = pare_j_member(tokens, i, &key);
        assert_ok(pare_chat_set(chat, key, pare_j_text(v, NULL), &err));
    }
}

static int check_render(const pare_chat *chat, const char *name, const pare_jval *root, const pare_jval *render_case, bool prompt)
{
    pare_chat_message messages[MOST];
    pare_str out = { 0 };
    const char *which = pare_j_text(pare_j_get(render_case, "messages"), ""), *text = pare_j_text(pare_j_get(render_case, "text"), NULL);
    const size_t n = read_messages(pare_j_get(pare_j_get(root, "conversations"), which), messages);
    memset(&err, 0, sizeof err);
    const pare_status st = pare_chat_render(chat, messages, n, prompt, &out, &err);
    int bad = 0;
    if (text && (st != PARE_OK || strcmp(out.at ? out.at : "", text))) bad = 1;
    if (!text && (st != PARE_ERR_DATA || !strstr(err.text, pare_j_text(pare_j_get(render_case, "error"), "?")))) bad = 1;
    if (bad) {
        const char *got = st == PARE_OK ? out.at ? out.at : "" : err.text, *want = text ? text : pare_j_text(pare_j_get(render_case, "error"), "?");
        size_t at = 0;
        while (got[at] && got[at] == want[at]) at++;
        at = at > 20 ? at - 20 : 0;
        print_error("%s, %s, prompt %d:\n  got  '%.120s'\n  want '%.120s'\n", name, which, (int)prompt, got + at, want + at);
    }
    pare_str_clear(&out);
    return bad;
}

static void test_golden(void **state)
{
    (void)state;
    pare_jdoc *doc;
    int bad = 0, done = 0;
    assert_ok(pare_jdoc_load(PARE_SOURCE_DIR "/tests/golden/chat.json", 16 << 20, &doc, &err));
    const pare_jval *root = pare_jdoc_root(doc), *templates = pare_j_get(root, "templates");
    for (size_t i = 0; i < pare_j_count(templates); i++) {
        const pare_jval *t = pare_j_at(templates, i), *renders = pare_j_get(t, "renders");
        const char *name = pare_j_text(pare_j_get(t, "name"), ""), *text = pare_j_text(pare_j_get(t, "template"), "");
        pare_chat *chat;
        if (pare_chat_parse(text, strlen(text), name, &chat, &err) != PARE_OK) fail_msg("%s", err.text);
        set_tokens(chat, pare_j_get(root, "tokens"));
        for (size_t k = 0; k < pare_j_count(renders); k++) {
            const pare_jval *c = pare_j_at(renders, k), *prompt = pare_j_get(c, "prompt");
            for (int p = 0; p < 2; p++)
                if (!prompt || pare_j_bool(prompt, false) == p) bad += check_render(chat, name, root, c, p), done++;
        }
        pare_chat_free(chat);
    }
    print_message("%d renders of %zu templates, %d differ\n", done, pare_j_count(templates), bad);
    assert_int_equal(bad, 0);
    assert_true(done > 200);
    pare_jdoc_free(doc);
}

/* What fails in Jinja fails here. */
static void test_failing(void **state)
{
    (void)state;
    pare_jdoc *doc;
    pare_chat_message messages[MOST];
    assert_ok(pare_jdoc_load(PARE_SOURCE_DIR "/tests/golden/chat.json", 16 << 20, &doc, &err));
    const pare_jval *root = pare_jdoc_root(doc), *list = pare_j_get(root, "failing");
    const size_t n = read_messages(pare_j_get(pare_j_get(root, "conversations"), "turns"), messages);
    for (size_t i = 0; i < pare_j_count(list); i++) {
        pare_str out = { 0 };
        const pare_jval *t = pare_j_at(list, i);
        const pare_status st = render(pare_j_text(pare_j_get(t, "template"), ""), messages, n, false, &out);
        if (st != PARE_ERR_DATA && st != PARE_ERR_FORMAT && st != PARE_ERR_UNSUPPORTED) fail_msg("%s: %d '%s'", pare_j_text(pare_j_get(t, "name"), ""), (int)st, out.at);
        assert_true(err.text[0]);
        pare_str_clear(&out);
    }
    assert_true(pare_j_count(list) > 30);
    pare_jdoc_free(doc);
}

/* ----------------------------------------------------------------------------------------------------------------- refused */

static void test_refused(void **state)
{
    (void)state;
    refuse("a\n{% include 'x' %}", PARE_ERR_UNSUPPORTED, "line 2: tag 'include'");
    refuse("{% extends 'x' %}", PARE_ERR_UNSUPPORTED, "'extends'");
    refuse("{% import 'x' as y %}", PARE_ERR_UNSUPPORTED, "'import'");
    refuse("{% if false %}\n\n{{ 1 | xmlattr }}{% endif %}", PARE_ERR_UNSUPPORTED, "line 3: filter 'xmlattr'");
    refuse("{{ 1 is escaped }}", PARE_ERR_UNSUPPORTED, "test 'escaped'");
    refuse("{% if false %}{{ 'a'.format(1) }}{% endif %}", PARE_ERR_UNSUPPORTED, "method 'format'");
    refuse("{{ {}.pop(1) }}", PARE_ERR_UNSUPPORTED, "method 'pop'");
    refuse("{{ cycler(1) }}", PARE_ERR_UNSUPPORTED, "function 'cycler'");
    refuse("{{ ''.__class__ }}", PARE_ERR_UNSUPPORTED, "attribute '__class__'");
    refuse("{{ ''['__class__']['__mro__'] }}", PARE_ERR_DATA, "undefined");
    refuse("{{ messages[0].items }}", PARE_ERR_UNSUPPORTED, "method 'items' that is not called");
    refuse("{{ messages[0]['keys'] }}", PARE_ERR_UNSUPPORTED, "method 'keys' that is not called");
    refuse("{{ '%s' % 1 }}", PARE_ERR_UNSUPPORTED, "formatting");
    refuse("{{ range(*[1]) }}", PARE_ERR_UNSUPPORTED, "'*'");
    refuse("{% for a in [] recursive %}{% endfor %}", PARE_ERR_UNSUPPORTED, "'recursive'");
    refuse("{% macro f() %}{{ caller() }}{% endmacro %}", PARE_ERR_UNSUPPORTED, "'caller'");
    refuse("{% set n = namespace() %}{% set n._x = 1 %}", PARE_ERR_UNSUPPORTED, "'_x'");
    refuse("{{ namespace(__a=1) }}", PARE_ERR_UNSUPPORTED, "'_'");
    refuse("{{ [1] | map('upper') }}", PARE_ERR_UNSUPPORTED, "an iterator");
    refuse("{{ [1] | map('nothing') | list }}", PARE_ERR_UNSUPPORTED, "filter 'nothing'");
    refuse("{{ 99999999999999999999 }}", PARE_ERR_UNSUPPORTED, "64 bits");
    refuse("{{ 9223372036854775807 + 1 }}", PARE_ERR_UNSUPPORTED, "64 bits");
    refuse("{{ 3 ** 99 }}", PARE_ERR_UNSUPPORTED, "64 bits");
    refuse("{{ (-9223372036854775807 - 1) // -1 }}", PARE_ERR_UNSUPPORTED, "64 bits");
    refuse("{{ '\\ud83d' }}", PARE_ERR_UNSUPPORTED, "escape");
    refuse("{{ strftime_now('%Q') }}", PARE_ERR_UNSUPPORTED, "%Q");
    refuse("\n\n{{ raise_exception('only users: ' ~ messages[0].role) }}", PARE_ERR_DATA, "line 3: the template refuses these messages: only users: user");
    refuse("{% if a %}\n{% for b in c %}", PARE_ERR_FORMAT, "line 2: a block has no 'endfor'");
    refuse("{% break %}", PARE_ERR_FORMAT, "'break' outside of a loop");
    refuse("{% for a in [1] %}{% set x %}{% break %}{% endset %}{% endfor %}", PARE_ERR_FORMAT, "'break'");
    refuse("{{ a.\n }}", PARE_ERR_FORMAT, "line 2");
    assert_error(render("a \xff b", hello, 1, false, &(pare_str){ 0 }), PARE_ERR_FORMAT, "UTF-8");
}

static void test_limits(void **state)
{
    (void)state;
    pare_str s = { 0 };
    refuse("{% for a in range(1000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}", PARE_ERR_DATA, "steps");
    refuse("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", PARE_ERR_UNSUPPORTED, "deep");
    refuse("{% macro f() %}{{ f() ~ f() }}{% endmacro %}{{ f() }}", PARE_ERR_UNSUPPORTED, "deep");
    refuse("{{ 'a' * 99999999 }}", PARE_ERR_DATA, "16 MiB");
    refuse("{{ 'a' * 9223372036854775807 }}", PARE_ERR_DATA, "16 MiB");
    refuse("{% set ns = namespace(s='a' * 1000) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", PARE_ERR_DATA, "M");
    refuse("{% set ns = namespace(s=[0] * 1000) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", PARE_ERR_DATA, "the template takes more than");
    refuse("{% set ns = namespace(s=[]) %}{% for i in range(5000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}", PARE_ERR_UNSUPPORTED, "deep");
    refuse("{% set ns = namespace(s=[], t=[]) %}{% for i in range(5000) %}{% set ns.s = [ns.s] %}{% set ns.t = [ns.t] %}{% endfor %}{{ ns.s == ns.t }}", PARE_ERR_UNSUPPORTED, "deep");
    refuse("{% set ns = namespace(s={}) %}{% for i in range(5000) %}{% set ns.s = {'a': ns.s} %}{% endfor %}{{ ns.s | tojson }}", PARE_ERR_UNSUPPORTED, "deep");
    refuse("{% set a = 'a' * 1000000 %}{% for i in range(90000) %}{% if a + 'b' in a %}{% endif %}{{ a.rfind('ab') }}{% endfor %}", PARE_ERR_DATA, "more than");
    pare_str_add(&s, "{{ ");
    for (int i = 0; i < 300; i++) pare_str_add(&s, "(");
    refuse(s.at, PARE_ERR_UNSUPPORTED, "brackets");
    pare_str_clear(&s);
    for (int i = 0; i < 300; i++) pare_str_add(&s, "{% if 1 %}");
    refuse(s.at, PARE_ERR_UNSUPPORTED, "nested more than");
    pare_str_clear(&s);
    pare_str_add(&s, "{{ ");
    for (int i = 0; i < 300; i++) pare_str_add(&s, i < 50 ? "not " : "- ");
    pare_str_add(&s, "1 }}");
    refuse(s.at, PARE_ERR_UNSUPPORTED, "nested more than");
    pare_str_clear(&s);
    pare_str_add(&s, "{{ 1");
    for (int i = 0; i < 30000; i++) pare_str_add(&s, " + 1");
    pare_str_add(&s, " }}");
    refuse(s.at, PARE_ERR_UNSUPPORTED, "deep");
    pare_str_clear(&s);
    for (int i = 0; i < 200000; i++) pare_str_add(&s, "abcdef");
    assert_error(render(s.at, hello, 1, false, &(pare_str){ 0 }), PARE_ERR_UNSUPPORTED, "1048576 bytes");
    pare_str_clear(&s);
}

static void test_values(void **state)
{
    (void)state;
    char year[8];
    const time_t now = time(NULL);
    struct tm t;
    localtime_r(&now, &t);
    pare_print(year, sizeof year, "%d", t.tm_year + 1900);
    expect("{{ strftime_now('%Y') }}", year);
    expect("{{ strftime_now('%%') }}", "%");
    expect("{{ strftime_now('%d %b %Y') | length }}", "11");
    expect("{{ bos_token }}|{{ bos_token is defined }}", "|False"); /* not set */
    expect("{% set o = loop %}{% for a in [1] %}{% set o = loop %}{% for b in [1, 2] %}{{ o.index }}{{ loop.index }}{% endfor %}{% endfor %}", "1112");
    expect("{{ messages[0].content }}{{ messages[0]['role'] }}{{ messages[0].zz }}{{ messages[5] }}", "Hellouser");
}

/* A message without content, as for a call of a tool. */
static void test_null_content(void **state)
{
    (void)state;
    const pare_chat_message m[] = { { "assistant", NULL } };
    pare_str out = { 0 };
    assert_ok(render("{{ messages[0].content is none }}{{ messages[0].content or 'x' }}", m, 1, false, &out));
    assert_string_equal(out.at, "Truex");
    pare_str_clear(&out);
}

/* ----------------------------------------------------------------------------------------------------------------- folders */

static void write_text(const char *name, const char *text) { test_write(test_path(name), text, strlen(text)); }

static void expect_folder(const char *text)
{
    pare_chat *chat;
    pare_str out = { 0 };
    if (pare_chat_open(test_folder(), &chat, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_ok(pare_chat_render(chat, hello, 1, false, &out, &err));
    assert_string_equal(out.at, text);
    pare_str_clear(&out);
    pare_chat_free(chat);
}

static void test_folder_files(void **state)
{
    (void)state;
    pare_chat *chat;
    assert_error(pare_chat_open(test_folder(), &chat, &err), PARE_ERR_IO, "no chat template");
    assert_null(chat);
    write_text("tokenizer_config.json", "{\"bos_token\": \"<b>\"}");
    assert_error(pare_chat_open(test_folder(), &chat, &err), PARE_ERR_IO, "no chat template");
    write_text("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"no\"}]}");
    assert_error(pare_chat_open(test_folder(), &chat, &err), PARE_ERR_IO, "no chat template");
    write_text("tokenizer_config.json", "{\"bos_token\": {\"content\": \"<b>\"}, \"eos_token\": \"<e>\", \"pad_token\": null,"
                                        "\"chat_template\": \"{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}\"}");
    expect_folder("<b>Hello<e>");
    write_text("special_tokens_map.json", "{\"pad_token\": \"<p>\", \"eos_token\": \"<other>\"}");
    expect_folder("<b>Hello<e><p>");
    write_text("tokenizer_config.json", "{\"bos_token\": \"<b>\", \"chat_template\": [{\"name\": \"tool_use\", \"template\": \"no\"},"
                                        "{\"name\": \"default\", \"template\": \"{{ bos_token }}list\"}]}");
    expect_folder("<b>list");
    write_text("chat_template.jinja", "file {{ bos_token }}\n");
    expect_folder("file <b>");
    write_text("chat_template.jinja", "\n{% nothing %}\n");
    assert_error(pare_chat_open(test_folder(), &chat, &err), PARE_ERR_UNSUPPORTED, "chat_template.jinja: line 2: tag 'nothing'");
    remove(test_path("chat_template.jinja"));
    write_text("tokenizer_config.json", "{\"chat_template\": ");
    assert_error(pare_chat_open(test_folder(), &chat, &err), PARE_ERR_FORMAT, "tokenizer_config.json");
    remove(test_path("tokenizer_config.json"));
    remove(test_path("special_tokens_map.json"));
}

/* ------------------------------------------------------------------------------------------------------------------ memory */

static pare_status everything(void *arg)
{
    static const char template[] =
        "{% macro f(a, b=[1]) %}{{ a | upper | replace('A', 'b') }}{{ b | tojson(indent=2, sort_keys=true) }}{% endmacro %}{% set ns = namespace(x='\\n' 'y') %}"
        "{% for m in messages if m.role != 'z' %}{% set ns.x = ns.x ~ m.content.split(' ') ~ loop.index %}{{ f(m.content, b={'k': m, 'a': (1, 2.5)}) }}{% endfor %}"
        "{% set t | trim %} {{ ns.x.rsplit('l', 1) | join('-') }} {{ messages | map(attribute='role') | list }}{% endset %}{{ t[::-1] }}{{ 'abc' * 3 }}{{ t.title() | indent }}"
        "{{ {'b': 1, 'A': 2} | dictsort }}{{ t.splitlines() }}{{ ','.join(['a', 'b']) }}{{ strftime_now('%Y') }}{{ [1, 2] + [3] }}{{ t.partition('l') }}";
    pare_chat *chat = NULL;
    pare_str out = { 0 };
    pare_err why = { 0 };
    pare_status st;
    (void)arg;
    PARE_TRY(pare_chat_parse(template, sizeof template - 1, "x", &chat, &why));
    PARE_TRY(pare_chat_set(chat, "bos_token", "<s>", &why));
    PARE_TRY(pare_chat_render(chat, (const pare_chat_message[]){ { "user", "Hello world" }, { "assistant", "l\nm" } }, 2, true, &out, &why));
out:
    if (st != PARE_OK && st != PARE_ERR_MEMORY) fprintf(stderr, "%s\n", why.text);
    pare_chat_free(chat);
    pare_str_clear(&out);
    return st;
}

static pare_status open_folder(void *arg)
{
    pare_chat *chat;
    pare_err why = { 0 };
    const pare_status st = pare_chat_open(arg, &chat, &why);
    pare_chat_free(chat);
    return st;
}

static void test_memory(void **state)
{
    (void)state;
    assert_true(test_every_allocation(everything, NULL) > 20);
    write_text("tokenizer_config.json", "{\"bos_token\": {\"content\": \"<b>\"}, \"chat_template\": \"{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}\"}");
    assert_true(test_every_allocation(open_folder, (void *)(uintptr_t)test_folder()) > 5);
    remove(test_path("tokenizer_config.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_failing),      cmocka_unit_test(test_refused),      cmocka_unit_test(test_limits),
        cmocka_unit_test(test_values), cmocka_unit_test(test_null_content), cmocka_unit_test(test_folder_files), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
