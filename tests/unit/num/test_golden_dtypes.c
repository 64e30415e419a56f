/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding every code and encoding 2^20 f32 against the hashes that torch left in tests/golden/dtypes.json (README.md there says how
 * the inputs are made). One known difference, kept on purpose: without `saturate` pare gives NaN for an f8_e4m3fn overflow, as torch
 * did for years; torch 2.13 saturates, and that is what pare's `saturate` is compared with.
 */
#include <math.h>
#include "num/num.h"
#include "support/support.h"

static const pare_jval *golden(void)
{
    static pare_jdoc *doc;
    pare_err err;
    const char *path = PARE_SOURCE_DIR "/tests/golden/dtypes.json";
    FILE *file = doc ? NULL : fopen(path, "rb");
    if (!doc && !file) {
        print_message("%s is absent\n", path);
        skip();
    }
    if (file) fclose(file);
    if (!doc) assert_ok(pare_jdoc_load(path, 1 << 22, &doc, &err));
    return pare_jdoc_root(doc);
}

static void assert_digest(const char *what, const pare_jval *entry, const void *data, size_t n)
{
    char hex[65];
    pare_err err;
    assert_int_equal(pare_j_int(pare_j_get(entry, "bytes"), -1), n);
    assert_ok(pare_sha256_of(data, n, hex, &err));
    if (strcmp(hex, pare_j_text(pare_j_get(entry, "sha256"), "")) != 0) fail_msg("%s: the hash differs from torch's", what);
}

static uint32_t hex_of(const pare_jval *text)
{
    return (uint32_t)strtoul(pare_j_text(text, "0"), NULL, 16);
}

static void test_decode(void **state)
{
    (void)state;
    const pare_jval *all = pare_j_get(golden(), "decode_to_f32");
    static float values[65536];
    static uint16_t codes16[65536];
    static uint8_t codes8[256];
    for (int i = 0; i < 65536; i++) codes16[i] = (uint16_t)i;
    for (int i = 0; i < 256; i++) codes8[i] = (uint8_t)i;
    const char *name;
    assert_int_equal(pare_j_count(all), 7);
    for (size_t i = 0; i < pare_j_count(all); i++) {
        const pare_jval *entry = pare_j_member(all, i, &name);
        const pare_dtype dtype = pare_dtype_from_safetensors(name, strlen(name));
        const int64_t n = pare_j_int(pare_j_get(entry, "n"), 0);
        assert_ok(pare_to_f32(values, dtype, n == 256 ? (const void *)codes8 : (const void *)codes16, n, NULL));
        for (int64_t k = 0; k < n; k++)
            if (isnan(values[k])) memcpy(&values[k], &(uint32_t){ 0x7fc00000 }, 4);
        assert_digest(name, entry, values, (size_t)n * 4);
    }
}

enum { INPUTS = 1 << 20 };
static float inputs[INPUTS];

static void make_inputs(void)
{
    const pare_jval *low = pare_j_get(pare_j_get(golden(), "input"), "low_halves");
    assert_int_equal(pare_j_count(low), 16);
    for (uint32_t hi = 0; hi < 65536; hi++)
        for (uint32_t k = 0; k < 16; k++) {
            const uint32_t bits = hi << 16 | hex_of(pare_j_at(low, k));
            memcpy(&inputs[hi * 16 + k], &bits, 4);
        }
}

static void encode(const char *what, const char *name, const pare_jval *entry, bool saturate)
{
    static uint16_t codes[INPUTS];
    const pare_dtype dtype = pare_dtype_from_safetensors(name, strlen(name));
    const size_t size = pare_dtype_bytes(dtype, 1);
    const uint32_t nan = hex_of(pare_j_get(entry, "nan_as"));
    assert_ok(pare_from_f32(codes, dtype, inputs, INPUTS, saturate, NULL));
    for (int64_t i = 0; i < INPUTS; i++) {
        uint8_t *code = (uint8_t *)codes + (size_t)i * size;
        float back;
        assert_ok(pare_to_f32(&back, dtype, code, 1, NULL));
        if (isnan(back)) memcpy(code, &nan, size);
    }
    char text[80];
    snprintf(text, sizeof text, "%s %s", what, name);
    assert_digest(text, entry, codes, INPUTS * size);
}

static void test_encode(void **state)
{
    (void)state;
    const pare_jval *all = pare_j_get(golden(), "encode_from_f32");
    const char *name;
    make_inputs();
    assert_int_equal(pare_j_count(all), 7);
    for (size_t i = 0; i < pare_j_count(all); i++) {
        const pare_jval *entry = pare_j_member(all, i, &name);
        encode("f32 to", name, entry, strcmp(name, "F8_E4M3") == 0);
    }
}

static void test_encode_saturating(void **state)
{
    (void)state;
    const pare_jval *all = pare_j_get(golden(), "encode_from_f32_saturating");
    const char *name;
    make_inputs();
    for (size_t i = 0; i < pare_j_count(all); i++) {
        const pare_jval *entry = pare_j_member(all, i, &name);
        if (strcmp(name, "F16") == 0 || strcmp(name, "BF16") == 0) continue; /* 16 bits have no saturating form here */
        encode("f32 saturating to", name, entry, true);
    }
}

static void test_fp4(void **state)
{
    (void)state;
    const pare_jval *entry = pare_j_get(pare_j_get(golden(), "fp4"), "packed");
    float x[1024];
    uint8_t packed[512];
    for (int i = 0; i < 1024; i++) x[i] = (float)(i - 512) / 64.0f;
    assert_ok(pare_from_f32(packed, PARE_F4_E2M1, x, 1024, true, NULL));
    assert_digest("fp4", entry, packed, sizeof packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_decode), cmocka_unit_test(test_encode), cmocka_unit_test(test_encode_saturating),
                                        cmocka_unit_test(test_fp4) };
    return cmocka_run_group_tests_name("num/golden_dtypes", tests, NULL, NULL);
}
