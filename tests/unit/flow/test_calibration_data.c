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
#include "flow/calibration_data.h"

static pare_ctx *ctx;
static pare_tokenizer *tok; /* of the demo model: byte-level BPE */
static int warnings;
static char last[600];

static void note(void *user, pare_log_level level, const char *text)
{
    (void)user;
    if (level != PARE_LOG_WARNING) return;
    warnings++;
    snprintf(last, sizeof last, "%s", text);
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

static pare_status load(const char *file, int64_t samples, int64_t len, uint64_t seed, pare_calibration_data *d, pare_err *err)
{
    const pare_calibration_options o = { .file = file, .samples = samples, .seq_len = len, .seed = seed, .vocab = 100000, .max_positions = 512 };
    warnings = 0;
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
    pare_calibration_clear(&a);
}

/* Every number of 0 ... n - 1 once: windows that overlap would repeat one. */
static void test_no_overlap(void **state)
{
    enum { N = 1000, LEN = 48, WINDOWS = 20 };
    int32_t ids[N];
    char header[128];
    pare_err err = { 0 };
    pare_calibration_data d;
    uint8_t seen[N] = { 0 };
    (void)state;
    for (int i = 0; i < N; i++) ids[i] = i;
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    const int n = snprintf(header + 10, sizeof header - 10, "{'descr': '<i4', 'fortran_order': False, 'shape': (%d,), }", N);
    header[10 + n] = ' ';
    header[127] = '\n';
    FILE *f = fopen("ids.npy", "wb");
    fwrite(header, 1, sizeof header, f);
    fwrite(ids, sizeof *ids, N, f);
    fclose(f);
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_bundled), cmocka_unit_test(test_no_overlap), cmocka_unit_test(test_rows), cmocka_unit_test(test_text) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
