/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration windows: the bundle, texts, JSON lines, ids; too little of each; the same for the same seed, and no overlap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/file.h"
#include "flow/calibration_data.h"

static pare_ctx *ctx;
static pare_tokenizer *tok; /* of the demo model: byte-level BPE */
static int warnings, notes;
static char last[600], last_note[600];

static void note(void *user, pare_log_level level, const char *text)
{
    (void)user;
    if (level != PARE_LOG_WARNING && level != PARE_LOG_INFO) return;
    *(level == PARE_LOG_WARNING ? &warnings : &notes) += 1;
    snprintf(level == PARE_LOG_WARNING ? last : last_note, sizeof last, "%s", text);
}

static int setup(void **state)
{
    const char *source = getenv("SRC");
    char folder[1024];
    pare_err err = { 0 };
    const pare_ctx_options o = { .threads = 2, .log = note };
    (void)state;
    snprintf(folder, sizeof folder, "%s/models/demo", source ? source : ".");
    if (pare_ctx_new(&o, &ctx, &err) != PARE_OK || pare_tokenizer_open(folder, &tok, &err) != PARE_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pare_tokenizer_free(tok);
    pare_ctx_free(ctx);
    return 0;
}

static void put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static void put_npy(const char *path, const char *shape, const int32_t *ids, size_t count)
{
    char header[128];
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    const int n = snprintf(header + 10, sizeof header - 10, "{'descr': '<i4', 'fortran_order': False, 'shape': (%s), }", shape);
    header[10 + n] = ' ';
    header[127] = '\n';
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(header, 1, sizeof header, f);
    if (count) fwrite(ids, sizeof *ids, count, f);
    fclose(f);
}

static pare_status load(const char *file, int64_t samples, int64_t len, uint64_t seed, pare_calibration_data *d, pare_err *err)
{
    const pare_calibration_options o = { .file = file, .samples = samples, .seq_len = len, .seed = seed, .vocab = 100000, .max_positions = 512 };
    warnings = notes = 0;
    last[0] = last_note[0] = 0;
    return pare_calibration_load(ctx, tok, &o, d, err);
}

static void test_bundled(void **state)
{
    pare_err err = { 0 };
    pare_calibration_data a, b, c;
    (void)state;
    assert_int_equal(load(NULL, 24, 128, 0, &a, &err), PARE_OK);
    assert_int_equal(a.windows, 24);
    assert_int_equal(a.len, 128);
    assert_true(a.bundled);
    assert_int_equal(warnings, 0);
    assert_true(a.source_tokens > 300000);
    assert_true(a.distinct > 500);
    assert_int_equal(load(NULL, 24, 128, 0, &b, &err), PARE_OK);
    assert_string_equal(a.hash, b.hash);
    assert_int_equal(load(NULL, 24, 128, 1, &c, &err), PARE_OK);
    assert_string_not_equal(a.hash, c.hash);
    pare_calibration_clear(&a);
    pare_calibration_clear(&b);
    pare_calibration_clear(&c);
    /* the model's own limit */
    assert_int_equal(load(NULL, 2, 0, 0, &a, &err), PARE_OK);
    assert_int_equal(a.len, 512);
    assert_int_equal(warnings, 0);
    assert_int_equal(notes, 1);
    assert_non_null(strstr(last_note, "windows of 512 tokens, not 2048"));
    pare_calibration_clear(&a);
    /* asked for: said louder */
    assert_int_equal(load(NULL, 2, 600, 0, &a, &err), PARE_OK);
    assert_int_equal(a.len, 512);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last, "windows of 512 tokens, not 600"));
    pare_calibration_clear(&a);
}

/* Whether a window is a piece of a part. */
static bool holds(const pare_ids *part, const int32_t *window, int64_t n)
{
    for (size_t at = 0; at + (size_t)n <= part->n; at++)
        if (part->at[at] == window[0] && !memcmp(part->at + at, window, (size_t)n * sizeof *window)) return true;
    return false;
}

/* Every file of the bundle gives windows, about as many as its share of the tokens. */
static void test_every_part(void **state)
{
    enum { PARTS = 5, SAMPLES = 40, LEN = 64 };
    static const char *const names[PARTS] = { "novel", "speeches", "languages", "code", "technical" };
    pare_err err = { 0 };
    pare_calibration_data d;
    int found = 0;
    int64_t total = 0, windows[PARTS], tokens[PARTS];
    (void)state;
    assert_int_equal(load(NULL, SAMPLES, LEN, 5, &d, &err), PARE_OK);
    for (int p = 0; p < PARTS; p++) {
        char path[1024], *text = NULL;
        size_t n = 0;
        pare_ids ids = { 0 };
        snprintf(path, sizeof path, "%s/calibration/%s.txt", getenv("SRC") ? getenv("SRC") : ".", names[p]);
        assert_int_equal(pare_read_file(path, 1 << 22, &text, &n, &err), PARE_OK);
        assert_int_equal(pare_tokenizer_encode(tok, text, n, false, NULL, &ids, &err), PARE_OK);
        windows[p] = 0;
        for (int64_t w = 0; w < d.windows; w++) windows[p] += holds(&ids, d.ids + w * LEN, LEN);
        tokens[p] = (int64_t)ids.n;
        total += tokens[p];
        found += (int)windows[p];
        pare_dealloc(text);
        PARE_VEC_CLEAR(&ids);
    }
    assert_int_equal(found, SAMPLES);
    assert_int_equal(total, d.source_tokens);
    for (int p = 0; p < PARTS; p++) {
        const double share = (double)tokens[p] / (double)total * SAMPLES;
        assert_true(windows[p] >= 1);
        assert_true((double)windows[p] > share - 1 && (double)windows[p] < share + 1);
    }
    pare_calibration_clear(&d);
}

/* No part of the bundle holds a window, all together do. */
static void test_parts_joined(void **state)
{
    pare_err err = { 0 };
    pare_calibration_data d;
    pare_calibration_options o = { .samples = 1, .vocab = 100000 };
    (void)state;
    assert_int_equal(load(NULL, 1, 64, 0, &d, &err), PARE_OK);
    const int64_t total = d.source_tokens;
    pare_calibration_clear(&d);
    warnings = 0;
    o.seq_len = total - 10;
    assert_int_equal(pare_calibration_load(ctx, tok, &o, &d, &err), PARE_OK);
    assert_int_equal(d.windows, 1);
    assert_int_equal(d.len, total - 10);
    assert_int_equal(warnings, 0);
    pare_calibration_clear(&d);
    /* no part but the longest holds a quarter of it all; joined they hold four */
    o.seq_len = total / 4;
    o.samples = 4;
    assert_int_equal(pare_calibration_load(ctx, tok, &o, &d, &err), PARE_OK);
    assert_int_equal(d.windows, 4);
    assert_int_equal(warnings, 0);
    pare_calibration_clear(&d);
    o.seq_len = total + 10;
    assert_int_equal(pare_calibration_load(ctx, tok, &o, &d, &err), PARE_OK);
    assert_int_equal(d.windows, 1);
    assert_int_equal(d.len, total);
    assert_int_equal(warnings, 1);
    pare_calibration_clear(&d);
}

/* A tokenizer that begins a text with <s>, and knows single letters. */
static void test_bos(void **state)
{
    static const char json[] =
        "{\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true,\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false}],"
        "\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"post_processor\":{\"type\":\"TemplateProcessing\","
        "\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
        "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[0],\"tokens\":[\"<s>\"]}}},"
        "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"<s>\":0,\"u\":1,\"a\":2,\"b\":3,\"c\":4},\"unk_token\":\"u\"}}";
    static const char text[] = "a b c a b c a b c a b c a b c a b c";
    pare_tokenizer *t = NULL;
    pare_err err = { 0 };
    pare_calibration_data d;
    pare_calibration_options o = { .file = "letters.txt", .samples = 3, .seq_len = 5, .vocab = 5 };
    (void)state;
    assert_int_equal(pare_make_folder("bos", &err), PARE_OK);
    put("bos/tokenizer.json", json, strlen(json));
    put("bos/tokenizer_config.json", "{\"bos_token\":\"<s>\"}", 19);
    put("letters.txt", text, strlen(text));
    assert_int_equal(pare_tokenizer_open("bos", &t, &err), PARE_OK);
    assert_int_equal(pare_calibration_load(ctx, t, &o, &d, &err), PARE_OK);
    assert_int_equal(d.windows, 3);
    assert_int_equal(d.source_tokens, 18);
    for (int64_t w = 0; w < d.windows; w++)
        for (int64_t i = 0; i < 5; i++) assert_true(i ? d.ids[w * 5 + i] > 1 : d.ids[w * 5] == 0);
    pare_calibration_clear(&d);
    o.no_bos = true;
    assert_int_equal(pare_calibration_load(ctx, t, &o, &d, &err), PARE_OK);
    for (int64_t i = 0; i < d.windows * 5; i++) assert_true(d.ids[i] > 1);
    pare_calibration_clear(&d);
    /* one short window begins with it as well */
    o.no_bos = false;
    o.seq_len = 40;
    assert_int_equal(pare_calibration_load(ctx, t, &o, &d, &err), PARE_OK);
    assert_int_equal(d.len, 19);
    assert_int_equal(d.ids[0], 0);
    pare_calibration_clear(&d);
    /* and ids of a file are left alone */
    put("letters.json", "[1,2,3,4,1,2,3,4]", 17);
    o = (pare_calibration_options){ .file = "letters.json", .samples = 2, .seq_len = 4, .vocab = 5 };
    assert_int_equal(pare_calibration_load(ctx, t, &o, &d, &err), PARE_OK);
    assert_int_equal(d.windows, 2);
    for (int64_t i = 0; i < 8; i++) assert_int_equal(d.ids[i], i % 4 + 1);
    pare_calibration_clear(&d);
    pare_tokenizer_free(t);
}

/* Rows of a file count whole and all, unless a number says otherwise. */
static void test_all_rows(void **state)
{
    enum { ROWS = 150, COLS = 2100 };
    int32_t *ids = pare_alloc(ROWS * COLS * sizeof *ids);
    pare_err err = { 0 };
    pare_calibration_data d;
    pare_calibration_options o = { .file = "rows.npy", .vocab = 100000 };
    (void)state;
    for (int i = 0; i < ROWS * COLS; i++) ids[i] = i % 99991;
    put_npy("rows.npy", "150, 2100", ids, ROWS * COLS);
    warnings = 0;
    assert_int_equal(pare_calibration_load(ctx, NULL, &o, &d, &err), PARE_OK);
    assert_int_equal(d.windows, ROWS);
    assert_int_equal(d.len, COLS);
    assert_int_equal(d.source_tokens, ROWS * COLS);
    assert_int_equal(warnings, 0);
    assert_memory_equal(d.ids, ids, ROWS * COLS * sizeof *ids);
    pare_calibration_clear(&d);
    /* a part of it: the first rows, the first ids; the whole file is what it came from */
    o.samples = 3;
    o.seq_len = 7;
    assert_int_equal(pare_calibration_load(ctx, NULL, &o, &d, &err), PARE_OK);
    assert_int_equal(d.windows, 3);
    assert_int_equal(d.len, 7);
    assert_int_equal(d.source_tokens, ROWS * COLS);
    assert_int_equal(warnings, 0);
    for (int r = 0; r < 3; r++) assert_memory_equal(d.ids + r * 7, ids + r * COLS, 7 * sizeof *ids);
    pare_calibration_clear(&d);
    /* the model's positions */
    o.seq_len = 0;
    o.max_positions = 512;
    assert_int_equal(pare_calibration_load(ctx, NULL, &o, &d, &err), PARE_OK);
    assert_int_equal(d.len, 512);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last, "of the 2100 ids of each row only the first 512"));
    pare_calibration_clear(&d);
    /* more than there is */
    o = (pare_calibration_options){ .file = "rows.npy", .samples = 151, .vocab = 100000 };
    warnings = 0;
    assert_int_equal(pare_calibration_load(ctx, NULL, &o, &d, &err), PARE_OK);
    assert_int_equal(d.windows, ROWS);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last, "has 150 rows of 2100 ids; 151 of 2100"));
    pare_calibration_clear(&d);
    pare_dealloc(ids);
    /* rows of nothing, as many as a header can claim */
    put_npy("void.npy", "4611686018427387904, 0", NULL, 0);
    o.file = "void.npy";
    o.samples = 0;
    assert_int_not_equal(pare_calibration_load(ctx, NULL, &o, &d, &err), PARE_OK);
    put_npy("single.npy", "3, 1", (const int32_t[]){ 1, 2, 3 }, 3);
    o.file = "single.npy";
    assert_int_equal(pare_calibration_load(ctx, NULL, &o, &d, &err), PARE_ERR_DATA);
    assert_non_null(strstr(err.text, "3 rows of 1 ids"));
}

/* Every number of 0 ... n - 1 once: windows that overlap would repeat one. */
static void test_no_overlap(void **state)
{
    enum { N = 1000, LEN = 48, WINDOWS = 20 };
    int32_t ids[N];
    pare_err err = { 0 };
    pare_calibration_data d;
    uint8_t seen[N] = { 0 };
    (void)state;
    for (int i = 0; i < N; i++) ids[i] = i;
    put_npy("ids.npy", "1000,", ids, N);
    assert_int_equal(load("ids.npy", WINDOWS, LEN, 3, &d, &err), PARE_OK);
    assert_int_equal(d.windows, WINDOWS);
    for (int64_t w = 0; w < WINDOWS; w++)
        for (int64_t i = 0; i < LEN; i++) {
            const int32_t id = d.ids[w * LEN + i];
            if (i) assert_int_equal(id, d.ids[w * LEN + i - 1] + 1);
            assert_int_equal(seen[id], 0);
            seen[id] = 1;
        }
    pare_calibration_clear(&d);
    /* 21 windows do not fit: as many as there are, and a line about it */
    assert_int_equal(load("ids.npy", 50, LEN, 3, &d, &err), PARE_OK);
    assert_int_equal(d.windows, N / LEN);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last, "20 windows"));
    pare_calibration_clear(&d);
    const pare_calibration_options o = { .file = "ids.npy", .seq_len = 8, .vocab = 900 };
    assert_int_equal(pare_calibration_load(ctx, NULL, &o, &d, &err), PARE_ERR_DATA);
    assert_non_null(strstr(err.text, "900"));
    assert_non_null(strstr(err.text, "899"));
}

static void test_rows(void **state)
{
    static const char rows[] = "[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]", ragged[] = "[[1, 2], [3]]", words[] = "[[1, \"a\"]]";
    pare_err err = { 0 };
    pare_calibration_data d;
    (void)state;
    put("rows.json", rows, strlen(rows));
    assert_int_equal(load("rows.json", 2, 0, 0, &d, &err), PARE_OK);
    assert_int_equal(d.windows, 2);
    assert_int_equal(d.len, 4);
    for (int i = 0; i < 8; i++) assert_int_equal(d.ids[i], i + 1);
    pare_calibration_clear(&d);
    put("ragged.json", ragged, strlen(ragged));
    assert_int_equal(load("ragged.json", 2, 0, 0, &d, &err), PARE_ERR_DATA);
    assert_non_null(strstr(err.text, "row 1 has 1"));
    put("words.json", words, strlen(words));
    assert_int_equal(load("words.json", 2, 0, 0, &d, &err), PARE_ERR_DATA);
    put("none.json", "{}", 2);
    assert_int_equal(load("none.json", 2, 0, 0, &d, &err), PARE_ERR_DATA);
}

static void test_text(void **state)
{
    static const char lines[] = "{\"text\": \"And it came to pass in those days\"}\n\n{\"text\": \"that there went out a decree\", \"id\": 3}\n", bad[] = "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n";
    pare_err err = { 0 };
    pare_calibration_data d;
    (void)state;
    put("a.jsonl", lines, strlen(lines));
    assert_int_equal(load("a.jsonl", 1, 6, 0, &d, &err), PARE_OK);
    assert_int_equal(d.len, 6);
    pare_calibration_clear(&d);
    put("b.jsonl", bad, strlen(bad));
    assert_int_equal(load("b.jsonl", 1, 6, 0, &d, &err), PARE_ERR_DATA);
    assert_non_null(strstr(err.text, "b.jsonl:2"));
    put("short.txt", "In the beginning God created the heaven", 39);
    assert_int_equal(load("short.txt", 4, 256, 0, &d, &err), PARE_OK);
    assert_int_equal(d.windows, 1);
    assert_true(d.len > 2 && d.len < 40);
    assert_int_equal(warnings, 1);
    pare_calibration_clear(&d);
    put("same.json", "[7,7,7,7,7,7,7,7]", 17);
    assert_int_equal(load("same.json", 2, 4, 0, &d, &err), PARE_OK);
    assert_int_equal(d.distinct, 1);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last, "only 1 different tokens in 8"));
    pare_calibration_clear(&d);
    put("empty.txt", "", 0);
    assert_int_equal(load("empty.txt", 4, 256, 0, &d, &err), PARE_ERR_DATA);
    assert_non_null(strstr(err.text, "empty.txt: 0 tokens"));
    assert_int_equal(load("nowhere.txt", 4, 256, 0, &d, &err), PARE_ERR_IO);
    const pare_calibration_options o = { .vocab = 1000 };
    assert_int_equal(pare_calibration_load(ctx, NULL, &o, &d, &err), PARE_ERR_USAGE);
    assert_non_null(strstr(err.text, "no tokenizer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_bundled), cmocka_unit_test(test_no_overlap), cmocka_unit_test(test_rows), cmocka_unit_test(test_text),
                                        cmocka_unit_test(test_every_part), cmocka_unit_test(test_parts_joined), cmocka_unit_test(test_bos), cmocka_unit_test(test_all_rows) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
