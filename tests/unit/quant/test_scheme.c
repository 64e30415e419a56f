/* SPDX-License-Identifier: Apache-2.0 */
/* Named schemes, suffixes, names made from fields, refusals. */
#include "quant_support.h"
#include <string.h>

static pare_scheme parsed(const char *text)
{
    pare_scheme s;
    pare_err err = {0};
    assert_ok(pare_scheme_parse(text, &s, &err), &err);
    return s;
}

static void refused(const char *text, pare_status status, const char *hint)
{
    pare_scheme s;
    pare_err err = {0};
    if (pare_scheme_parse(text, &s, &err) != status) fail_msg("'%s' gave '%s'", text, err.text);
    assert_int_equal(err.code, status);
    if (strstr(err.hint, hint) == NULL) fail_msg("'%s': hint '%s' lacks '%s'", text, err.hint, hint);
}

static void test_fields(void **state)
{
    (void)state;
    pare_scheme s = parsed("W8A16");
    assert_true(s.kind == PARE_CODE_INT && s.bits == 8 && s.symmetric && s.granularity == PARE_PER_CHANNEL && s.axis == 0);
    assert_true(s.act == PARE_ACT_NONE && s.act_bits == 16 && s.range == PARE_RANGE_AUTO && s.scale_dtype == PARE_DTYPE_NONE);
    s = parsed("w4a16_asym");
    assert_true(s.bits == 4 && !s.symmetric && s.granularity == PARE_PER_GROUP && s.group_size == 128 && s.axis == -1);
    assert_string_equal(s.name, "W4A16_ASYM");
    s = parsed("INT8");
    assert_true(s.bits == 8 && s.act == PARE_ACT_DYNAMIC_TOKEN && s.act_bits == 8 && s.granularity == PARE_PER_CHANNEL);
    s = parsed("W8A32");
    assert_true(s.act_bits == 32 && s.act == PARE_ACT_NONE);
    s = parsed("W4A8");
    assert_true(s.bits == 4 && s.act == PARE_ACT_DYNAMIC_TOKEN && s.group_size == 128);
    s = parsed("FP8_DYNAMIC");
    assert_true(s.kind == PARE_CODE_FLOAT && s.code_dtype == PARE_F8_E4M3FN && s.act == PARE_ACT_DYNAMIC_TOKEN && s.granularity == PARE_PER_CHANNEL);
    s = parsed("FP8_WEIGHT:128x128:f8_e5m2");
    assert_true(s.granularity == PARE_PER_BLOCK && s.block[0] == 128 && s.block[1] == 128 && s.code_dtype == PARE_F8_E5M2);
    s = parsed("W3A8_ASYM"); /* not listed, understood */
    assert_true(s.bits == 3 && !s.symmetric && s.act == PARE_ACT_DYNAMIC_TOKEN);
    s = parsed("W4A16:g32:axis0:asym:full");
    assert_true(s.group_size == 32 && s.axis == 0 && !s.symmetric && s.range == PARE_RANGE_FULL);
    assert_int_equal(parsed("W4A16:group64").group_size, 64);
    assert_int_equal(parsed("W4A16:channel").granularity, PARE_PER_CHANNEL);
    assert_int_equal(parsed("W4A16:tensor").granularity, PARE_PER_TENSOR);
    assert_int_equal(parsed("W4A16:block2x3").block[1], 3);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const same[] = {"W4A16:g64", "W8A16:tensor", "W4A16:channel", "W8A16:g128", "W4A16_ASYM:g32", "W8A8", "W8A32", "W4A16:64x32", "W8A16:axis1", "W2A16:full",
                                       "W4A16:g32:axis0:narrow", "FP8_DYNAMIC:tensor", "FP8_WEIGHT:f8_e5m2", "W1A16", "W5A8_ASYM", "FP8", "FP8:channel", "FP8_BLOCK", "FP8_BLOCK:64x64", "W4AFP8", "W3AFP8_ASYM:g32", "NF4", "NF4:nested", "NF4:g128:nested", "FP4",
                                       "NVFP4", "NVFP4A16", "MXFP4", "MXFP4A4", "MXFP8", "MXFP8A16", "LLM_INT8", "LLM_INT8:t3.5", "LLM_INT8:tinf",
                                       "W4A16_ASYM:g64:fzero", "W2A16_ASYM:g64:axis0:fzero", "W8A8:static"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        pare_scheme s = parsed(same[i]), again = s;
        pare_scheme_make_name(&again);
        assert_string_equal(again.name, same[i]);
    }
    assert_string_equal(parsed("INT8:g64").name, "W8A8:g64");
    assert_string_equal(parsed("w4a16:g128").name, "W4A16");
    int n = 0;
    const pare_scheme_row *rows = pare_schemes(&n);
    for (int i = 0; i < n; i++) {
        const pare_scheme s = parsed(rows[i].name);
        assert_memory_equal(&s, &rows[i].scheme, sizeof s);
        assert_string_equal(s.name, rows[i].name);
        assert_true(strlen(rows[i].help) > 10);
    }
    assert_null(rows[n].name);
    pare_scheme s = parsed("W8A16"), plain;
    pare_scheme_init(&plain);
    assert_memory_equal(&s, &plain, sizeof s);
}

static void test_refused(void **state)
{
    (void)state;
    refused("NF5", PARE_ERR_USAGE, "NF4");
    refused("MXFP5", PARE_ERR_USAGE, "MXFP4");
    refused("W4A16:nested", PARE_ERR_USAGE, "");
    refused("NF4:asym", PARE_ERR_USAGE, "");
    refused("LLM_INT8:t0", PARE_ERR_USAGE, "");
    refused("LLM_INT8:tx", PARE_ERR_USAGE, "suffixes");
    refused("Q4_K_M", PARE_ERR_UNSUPPORTED, "W4A16:g32");
    refused("iq2_xs", PARE_ERR_UNSUPPORTED, "W8A16");
    refused("W4A61", PARE_ERR_USAGE, "W4A16");
    refused("W8A15", PARE_ERR_USAGE, "W8A16");
    refused("banana", PARE_ERR_USAGE, "pare list schemes");
    refused("W9A16", PARE_ERR_USAGE, "");
    refused("W0A16", PARE_ERR_USAGE, "");
    refused("", PARE_ERR_USAGE, "");
    refused(":g64", PARE_ERR_USAGE, "");
    refused("W4A16:", PARE_ERR_USAGE, "");
    refused("W4A16:g0", PARE_ERR_USAGE, ":gN");
    refused("W4A16:g-4", PARE_ERR_USAGE, ":gN");
    refused("W4A16:g", PARE_ERR_USAGE, ":gN");
    refused("W4A16:0x4", PARE_ERR_USAGE, ":RxC");
    refused("W4A16:4", PARE_ERR_USAGE, ":RxC");
    refused("W4A16:x4", PARE_ERR_USAGE, ":gN");
    refused("W4A16:axis9", PARE_ERR_USAGE, ":axisN");
    refused("W4A16:f8_e5m2", PARE_ERR_USAGE, "");
    refused("FP8_WEIGHT:asym", PARE_ERR_USAGE, "");
    refused("FP8_WEIGHT:f8_e9", PARE_ERR_USAGE, "");
    refused("W1A16:narrow", PARE_ERR_USAGE, "");
    refused("W4A16:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", PARE_ERR_USAGE, "");
}

static void test_check(void **state)
{
    (void)state;
    const int64_t shape[3] = {4, 5, 6}, bad[2] = {3, -1};
    pare_err err = {0};
    pare_scheme s = int_scheme(4, true, PARE_PER_CHANNEL, 2, 0);
    assert_int_equal(pare_scheme_check(&s, 3, shape, &err), PARE_OK);
    assert_int_equal(pare_scheme_check(&s, 2, shape, &err), PARE_ERR_USAGE);
    s.axis = -3;
    assert_int_equal(pare_scheme_check(&s, 3, shape, &err), PARE_OK);
    assert_int_equal(pare_scheme_check(&s, 2, shape, &err), PARE_ERR_USAGE);
    assert_int_equal(pare_scheme_check(&s, 0, NULL, &err), PARE_OK);
    s = int_scheme(4, true, PARE_PER_TENSOR, 0, 0);
    assert_int_equal(pare_scheme_check(&s, 2, bad, &err), PARE_ERR_USAGE);
    assert_int_equal(pare_scheme_check(&s, 9, shape, &err), PARE_ERR_UNSUPPORTED);
    s.scale_dtype = PARE_I8;
    assert_int_equal(pare_scheme_check(&s, 0, NULL, &err), PARE_ERR_USAGE);
    s = int_scheme(9, true, PARE_PER_TENSOR, 0, 0);
    assert_int_equal(pare_scheme_check(&s, 0, NULL, &err), PARE_ERR_USAGE);
    s = int_scheme(4, true, PARE_PER_GROUP, -1, 0);
    assert_int_equal(pare_scheme_check(&s, 0, NULL, &err), PARE_ERR_USAGE);
    s = int_scheme(4, true, PARE_PER_BLOCK, 2, 2);
    assert_int_equal(pare_scheme_check(&s, 1, shape, &err), PARE_ERR_USAGE);
    s = int_scheme(4, false, PARE_PER_TENSOR, 0, 0);
    s.zero_min = 16;
    assert_int_equal(pare_scheme_check(&s, 0, NULL, &err), PARE_ERR_USAGE);
    s = int_scheme(4, true, (pare_granularity)7, 0, 0);
    assert_int_equal(pare_scheme_check(&s, 0, NULL, NULL), PARE_ERR_USAGE);
}

static void test_row_local(void **state)
{
    (void)state;
    pare_scheme s = parsed("W8A16");
    assert_true(pare_scheme_row_local(&s, 128));
    assert_int_equal(pare_scheme_groups_per_row(&s, 1000), 1);
    s = parsed("W4A16");
    assert_true(pare_scheme_row_local(&s, 128));
    assert_int_equal(pare_scheme_groups_per_row(&s, 1000), 8);
    assert_int_equal(pare_scheme_groups_per_row(&s, 128), 1);
    static const char *const crossing[] = {"W8A16:tensor", "W8A16:axis1", "W4A16:g32:axis0", "W4A16:2x2"};
    for (size_t i = 0; i < 4; i++) {
        s = parsed(crossing[i]);
        assert_false(pare_scheme_row_local(&s, 128));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields), cmocka_unit_test(test_names), cmocka_unit_test(test_refused), cmocka_unit_test(test_check), cmocka_unit_test(test_row_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
