/* SPDX-License-Identifier: Apache-2.0 */
/* The table of dtypes: complete, names unique, numbers as torch.finfo/iinfo print them; conversions among integers and floats. */
#include <float.h>
#include <math.h>
#include "num/num.h"
#include "support/support.h"

static void test_table_is_complete(void **state)
{
    (void)state;
    assert_null(pare_dtype_get_info(PARE_DTYPE_NONE));
    assert_null(pare_dtype_get_info(PARE_DTYPE_COUNT));
    assert_null(pare_dtype_get_info((pare_dtype)-5));
    for (int d = 1; d < (int)PARE_DTYPE_COUNT; d++) {
        const pare_dtype_info *info = pare_dtype_get_info((pare_dtype)d);
        assert_non_null(info);
        assert_non_null(info->about);
        assert_true(info->bits > 0 && info->kind != PARE_KIND_NONE);
        assert_int_equal(pare_dtype_parse(info->name), d);
        assert_int_equal(pare_dtype_parse(info->safetensors), d);
        assert_int_equal(pare_dtype_parse(info->torch), d);
        assert_int_equal(pare_dtype_from_safetensors(info->safetensors, strlen(info->safetensors)), d);
        assert_int_equal(pare_dtype_is_float((pare_dtype)d), info->kind == PARE_KIND_FLOAT);
        for (int e = 1; e < d; e++) assert_string_not_equal(info->name, pare_dtype_get_info((pare_dtype)e)->name);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct { const char *name; pare_dtype dtype; } rows[] = {
        { "fp16", PARE_F16 }, { "half", PARE_F16 }, { "float", PARE_F32 }, { "FLOAT32", PARE_F32 }, { "torch.bfloat16", PARE_BF16 },
        { "double", PARE_F64 }, { "int8", PARE_I8 }, { "uint8", PARE_U8 }, { "fp8", PARE_F8_E4M3FN }, { "F8_E4M3", PARE_F8_E4M3FN },
        { "float8_e5m2", PARE_F8_E5M2 }, { "long", PARE_I64 }, { "bool", PARE_BOOL }, { "int4", PARE_DTYPE_NONE }, { "", PARE_DTYPE_NONE },
        { "fp", PARE_DTYPE_NONE }, { "f32 ", PARE_DTYPE_NONE }, { "fp32 float", PARE_DTYPE_NONE }, { "char", PARE_I8 }, { "e8m0", PARE_F8_E8M0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (pare_dtype_parse(rows[i].name) != rows[i].dtype) fail_msg("'%s' parses as %d", rows[i].name, (int)pare_dtype_parse(rows[i].name));
    assert_int_equal(pare_dtype_parse(NULL), PARE_DTYPE_NONE);
    assert_int_equal(pare_dtype_from_safetensors("f32", 3), PARE_DTYPE_NONE); /* that container's names are upper case */
    assert_int_equal(pare_dtype_from_safetensors("F32X", 3), PARE_F32);
}

static void test_finfo(void **state)
{
    (void)state;
    static const struct { pare_dtype dtype; const char *max, *eps, *tiny; } rows[] = { /* printed by torch.finfo */
        { PARE_BF16, "3.38953e+38", "0.0078125", "1.17549e-38" }, { PARE_F32, "3.40282e+38", "1.19209e-07", "1.17549e-38" },
        { PARE_F16, "65504", "0.000976562", "6.10352e-05" }, { PARE_F64, "1.79769e+308", "2.22045e-16", "2.22507e-308" },
        { PARE_F8_E4M3FN, "448", "0.125", "0.015625" }, { PARE_F8_E5M2, "57344", "0.25", "6.10352e-05" },
        { PARE_F8_E4M3FNUZ, "240", "0.125", "0.0078125" }, { PARE_F8_E5M2FNUZ, "57344", "0.25", "3.05176e-05" },
    };
    char text[64];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const pare_dtype_info *info = pare_dtype_get_info(rows[i].dtype);
        snprintf(text, sizeof text, "%g", info->max);
        assert_string_equal(text, rows[i].max);
        snprintf(text, sizeof text, "%g", info->eps);
        assert_string_equal(text, rows[i].eps);
        snprintf(text, sizeof text, "%g", info->tiny);
        assert_string_equal(text, rows[i].tiny);
        assert_int_equal(info->imax, 0);
    }
    /* what the fields say agrees with the format's own arithmetic */
    for (int d = 1; d < (int)PARE_DTYPE_COUNT; d++) {
        const pare_dtype_info *info = pare_dtype_get_info((pare_dtype)d);
        if (info->kind != PARE_KIND_FLOAT || d == (int)PARE_F8_E8M0) continue;
        assert_true(info->eps == ldexp(1.0, -info->mantissa_bits));
        assert_true(info->tiny == ldexp(1.0, 1 - info->bias));
        assert_true(info->smallest == ldexp(1.0, 1 - info->bias - info->mantissa_bits));
    }
    assert_true(pare_dtype_get_info(PARE_I64)->imin == INT64_MIN && pare_dtype_get_info(PARE_I64)->imax == INT64_MAX);
    assert_true(pare_dtype_get_info(PARE_I8)->imin == -128 && pare_dtype_get_info(PARE_I8)->imax == 127);
    assert_true(pare_dtype_get_info(PARE_U8)->imin == 0 && pare_dtype_get_info(PARE_U8)->imax == 255);
    assert_true(pare_dtype_get_info(PARE_U64)->imax == UINT64_MAX);
}

static void test_bytes(void **state)
{
    (void)state;
    assert_int_equal(pare_dtype_bytes(PARE_F32, 3), 12);
    assert_int_equal(pare_dtype_bytes(PARE_F4_E2M1, 0), 0);
    assert_int_equal(pare_dtype_bytes(PARE_F4_E2M1, 3), 2);
    assert_true(pare_dtype_bytes(PARE_F4_E2M1, UINT64_MAX) == (size_t)1 << 63);
    assert_true(pare_dtype_bytes(PARE_F32, UINT64_MAX / 4 + 1) == SIZE_MAX);
    assert_true(pare_dtype_bytes(PARE_F32, UINT64_MAX / 4) == SIZE_MAX - 3);
    assert_true(pare_dtype_bytes(PARE_U8, SIZE_MAX) == SIZE_MAX);
    assert_true(pare_dtype_bytes(PARE_DTYPE_NONE, 1) == SIZE_MAX);
    int64_t n;
    assert_true(pare_shape_numel(0, NULL, &n) && n == 1);
    assert_true(pare_shape_numel(3, (const int64_t[]){ 2, 3, 4 }, &n) && n == 24);
    assert_true(pare_shape_numel(3, (const int64_t[]){ INT64_MAX, 3, 0 }, &n) && n == 0);
    assert_false(pare_shape_numel(2, (const int64_t[]){ INT64_MAX, 2 }, &n));
    assert_false(pare_shape_numel(1, (const int64_t[]){ -1 }, &n));
}

/* 1/3 with 60 decimals in four formats, as printed in the course. */
static void test_third(void **state)
{
    (void)state;
    const double third = 1.0 / 3.0;
    static const struct { pare_dtype dtype; const char *text; } rows[] = {
        { PARE_F64, "0.333333333333333314829616256247390992939472198486328125000000" },
        { PARE_F32, "0.333333343267440795898437500000000000000000000000000000000000" },
        { PARE_F16, "0.333251953125000000000000000000000000000000000000000000000000" },
        { PARE_BF16, "0.333984375000000000000000000000000000000000000000000000000000" },
    };
    for (size_t i = 0; i < 4; i++) {
        uint8_t stored[8];
        double back;
        char text[80];
        assert_ok(pare_convert(stored, rows[i].dtype, &third, PARE_F64, 1, false, NULL));
        assert_ok(pare_convert(&back, PARE_F64, stored, rows[i].dtype, 1, false, NULL));
        snprintf(text, sizeof text, "%.60f", back);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_float_to_int(void **state)
{
    (void)state;
    static const float in[] = { 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 127.4f, 127.5f, 128.0f, -128.5f, -129.0f, 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 300.0f };
    static const int8_t i8[] = { 0, 2, 2, 0, -2, 127, 127, 127, -128, -128, 127, -128, 127, -128, 0, 127 };
    static const uint8_t u8[] = { 0, 2, 2, 0, 0, 127, 128, 128, 0, 0, 255, 0, 255, 0, 0, 255 };
    int8_t out8[16];
    uint8_t outu8[16], outb[16];
    int64_t out64[16];
    uint64_t outu64[16];
    assert_ok(pare_convert(out8, PARE_I8, in, PARE_F32, 16, false, NULL));
    assert_memory_equal(out8, i8, 16);
    assert_ok(pare_convert(outu8, PARE_U8, in, PARE_F32, 16, false, NULL));
    assert_memory_equal(outu8, u8, 16);
    assert_ok(pare_convert(out64, PARE_I64, in, PARE_F32, 16, false, NULL));
    assert_true(out64[10] == INT64_MAX && out64[11] == INT64_MIN && out64[14] == 0 && out64[8] == -128);
    assert_ok(pare_convert(outu64, PARE_U64, in, PARE_F32, 16, false, NULL));
    assert_true(outu64[10] == UINT64_MAX && outu64[11] == 0);
    assert_ok(pare_convert(outb, PARE_BOOL, in, PARE_F32, 16, false, NULL));
    for (int i = 0; i < 16; i++) assert_int_equal(outb[i], 1);
    const double edge[] = { 0x1p63, -0x1p63, 0x1p63 - 1024, 0x1p64, 2147483647.5, -2147483648.5 };
    assert_ok(pare_convert(out64, PARE_I64, edge, PARE_F64, 6, false, NULL));
    assert_true(out64[0] == INT64_MAX && out64[1] == INT64_MIN && out64[2] == INT64_MAX - 1023 && out64[3] == INT64_MAX);
    int32_t out32[6];
    assert_ok(pare_convert(out32, PARE_I32, edge, PARE_F64, 6, false, NULL));
    assert_true(out32[4] == INT32_MAX && out32[5] == INT32_MIN);
}

static void test_int_to_int(void **state)
{
    (void)state;
    const int64_t in[] = { 0, -1, 127, 128, -129, INT64_MIN, INT64_MAX, 70000 };
    uint8_t u8[8];
    int8_t i8[8];
    uint64_t u64[8];
    uint8_t b[8];
    assert_ok(pare_convert(u8, PARE_U8, in, PARE_I64, 8, false, NULL));
    assert_memory_equal(u8, ((const uint8_t[]){ 0, 0, 127, 128, 0, 0, 255, 255 }), 8);
    assert_ok(pare_convert(i8, PARE_I8, in, PARE_I64, 8, false, NULL));
    assert_memory_equal(i8, ((const int8_t[]){ 0, -1, 127, 127, -128, -128, 127, 127 }), 8);
    assert_ok(pare_convert(u64, PARE_U64, in, PARE_I64, 8, false, NULL));
    assert_true(u64[5] == 0 && u64[6] == INT64_MAX);
    assert_ok(pare_convert(b, PARE_BOOL, in, PARE_I64, 8, false, NULL));
    assert_memory_equal(b, ((const uint8_t[]){ 0, 1, 1, 1, 1, 1, 1, 1 }), 8);
    const uint64_t big[] = { UINT64_MAX, (uint64_t)1 << 63, 5 };
    int64_t i64[3];
    assert_ok(pare_convert(i64, PARE_I64, big, PARE_U64, 3, false, NULL));
    assert_true(i64[0] == INT64_MAX && i64[1] == INT64_MAX && i64[2] == 5);
    const uint8_t odd_bool[] = { 0, 1, 2, 255 };
    int32_t i32[4];
    assert_ok(pare_convert(i32, PARE_I32, odd_bool, PARE_BOOL, 4, false, NULL));
    assert_memory_equal(i32, ((const int32_t[]){ 0, 1, 1, 1 }), 16);
}

/* Integers to narrow floats with one rounding. */
static void test_int_to_float(void **state)
{
    (void)state;
    const int32_t in[] = { 2049, 2051, -2049, 65519, 65520, 0x1000001, -128 };
    uint16_t h[7];
    assert_ok(pare_convert(h, PARE_F16, in, PARE_I32, 7, false, NULL));
    assert_memory_equal(h, ((const uint16_t[]){ 0x6800, 0x6802, 0xe800, 0x7bff, 0x7c00, 0x7c00, 0xd800 }), 14);
    float f[7];
    assert_ok(pare_convert(f, PARE_F32, in, PARE_I32, 7, false, NULL));
    assert_true(f[5] == 16777216.0f && f[6] == -128.0f);
    /* 2^32 + 2^24 + 1 is above the bf16 midpoint 2^32 + 2^24, but f32 would put it on the midpoint and then to even */
    const int64_t wide[] = { ((int64_t)1 << 32) + (1 << 24) + 1, ((int64_t)1 << 62) + ((int64_t)1 << 54) + 1, INT64_MIN };
    uint16_t b[3];
    assert_ok(pare_convert(b, PARE_BF16, wide, PARE_I64, 3, false, NULL));
    assert_true(pare_bf16_to_f32(b[0]) == 0x1.02p32f && pare_bf16_to_f32(b[1]) == 0x1.02p62f && pare_bf16_to_f32(b[2]) == -0x1p63f);
    const uint64_t u[] = { UINT64_MAX, (uint64_t)1 << 63 };
    double d[2];
    assert_ok(pare_convert(d, PARE_F64, u, PARE_U64, 2, false, NULL));
    assert_true(d[0] == 0x1p64 && d[1] == 0x1p63);
}

static void test_convert_refuses(void **state)
{
    (void)state;
    pare_err err;
    float x[2] = { 0 }, y[2];
    assert_error(pare_convert(y, PARE_C64, x, PARE_F32, 1, false, &err), PARE_ERR_UNSUPPORTED, "complex");
    assert_error(pare_convert(y, PARE_F32, x, PARE_DTYPE_NONE, 1, false, &err), PARE_ERR_USAGE, "no such dtype");
    assert_error(pare_convert(y, PARE_F32, x, PARE_F32, -1, false, &err), PARE_ERR_USAGE, "-1");
    assert_ok(pare_convert(y, PARE_C64, x, PARE_C64, 1, false, &err));
    assert_ok(pare_convert(NULL, PARE_F16, NULL, PARE_F32, 0, false, &err));
}

/* Long and odd lengths: chunks must meet without a seam, sub-byte ones too. */
static void test_chunks(void **state)
{
    (void)state;
    enum { N = 5001 };
    static float x[N], back[N];
    static uint8_t packed[N];
    for (int i = 0; i < N; i++) x[i] = (float)(i % 13 - 6) * 0.5f;
    for (int i = 0; i < N; i++) x[i] = fabsf(x[i]) == 2.5f ? 0 : x[i];
    assert_ok(pare_from_f32(packed, PARE_F4_E2M1, x, N, false, NULL));
    assert_ok(pare_to_f32(back, PARE_F4_E2M1, packed, N, NULL));
    assert_memory_equal(x, back, sizeof x);
    assert_int_equal(packed[N / 2] >> 4, 0);
    assert_ok(pare_from_f32(packed, PARE_F8_E5M2, x, N, false, NULL));
    assert_ok(pare_to_f32(back, PARE_F8_E5M2, packed, N, NULL));
    assert_memory_equal(x, back, sizeof x);
}

static void test_round_to(void **state)
{
    (void)state;
    assert_true(pare_round_to(PARE_F32, 0.1f) == 0.1f);
    assert_true(pare_round_to(PARE_F16, 0.1f) == 0.0999755859375f);
    assert_true(pare_round_to(PARE_BF16, 0.1f) == 0.10009765625f);
    assert_true(pare_round_to(PARE_F16, 70000.0f) == INFINITY);
    assert_true(pare_round_to(PARE_F8_E8M0, 0.1f) == 0.125f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_complete), cmocka_unit_test(test_names),      cmocka_unit_test(test_finfo),
        cmocka_unit_test(test_bytes),             cmocka_unit_test(test_third),      cmocka_unit_test(test_float_to_int),
        cmocka_unit_test(test_int_to_int),        cmocka_unit_test(test_int_to_float), cmocka_unit_test(test_convert_refuses),
        cmocka_unit_test(test_chunks),            cmocka_unit_test(test_round_to),
    };
    return cmocka_run_group_tests_name("num/dtypes", tests, NULL, NULL);
}
