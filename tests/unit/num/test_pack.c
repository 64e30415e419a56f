/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing: golden vectors from other people's tools (docs/formats.md), every rule at every width against a bit-by-bit index
 * formula written here a second time, the word, column and transposed forms against the public one, and refusals.
 */
#include "num/num.h"
#include "support/support.h"

static const uint8_t count8[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

static void assert_packs(pare_pack_rule rule, int bits, int64_t rows, int64_t cols, const uint8_t *codes, const void *want, size_t bytes)
{
    uint8_t dst[256], back[256];
    size_t n = 0;
    assert_ok(pare_packed_bytes(rule, bits, rows, cols, &n, NULL));
    assert_int_equal(n, bytes);
    memset(dst, 0xaa, sizeof dst);
    assert_ok(pare_pack(rule, bits, rows, cols, codes, dst, NULL));
    assert_memory_equal(dst, want, bytes);
    assert_int_equal(dst[bytes], 0xaa);
    assert_ok(pare_unpack(rule, bits, rows, cols, dst, back, NULL));
    assert_memory_equal(back, codes, (size_t)(rows * cols));
}

static void test_golden(void **state)
{
    (void)state;
    assert_packs(PARE_PACK_LSB, 4, 1, 8, count8, "\x10\x32\x54\x76", 4);
    assert_packs(PARE_PACK_HIGH_FIRST, 4, 1, 8, count8, "\x01\x23\x45\x67", 4);
    assert_packs(PARE_PACK_AWQ, 4, 1, 8, count8, &(const uint32_t){ 0x75316420 }, 4);
    assert_packs(PARE_PACK_STRIDED_HIGH, 4, 8, 1, count8, "\x04\x15\x26\x37", 4);
    assert_packs(PARE_PACK_STRIDED_LOW, 4, 8, 1, count8, "\x40\x51\x62\x73", 4);
    uint8_t q[32];
    for (int i = 0; i < 32; i++) q[i] = (uint8_t)(i % 8);
    assert_packs(PARE_PACK_LSB, 3, 1, 32, q, (const uint32_t[]){ 0x88FAC688, 0xC688FAC6, 0xFAC688FA }, 12);
    static const uint32_t p1[8][7] = {
        [2] = { 0x1B1B1B1B, 0x1B1B1B1B },
        [4] = { 0x4D6F81A3, 0xC5E7092B, 0x4D6F81A3, 0xC5E7092B },
        [5] = { 0x4DFC4543, 0x78245BA3, 0x0753617D, 0x4B276CF4, 0xE55C7066 },
        [6] = { 0x9F611283, 0x90BBD2D9, 0xB2579740, 0x8F201EB3, 0x9CAB91D5, 0x71538703 },
        [7] = { 0xF3044503, 0x3B68B531, 0xF57A1261, 0x7D73D996, 0x74B0F100, 0x0E592B48, 0xB9567478 },
    };
    for (int b = 2; b < 8; b++) {
        if (b == 3) continue;
        for (int i = 0; i < 32; i++) q[i] = (uint8_t)((7 * i + 3) % (1 << b));
        assert_packs(PARE_PACK_LSB, b, 1, 32, q, p1[b], (size_t)b * 4);
        uint32_t words[8];
        pare_pack_lsb_words(b, 1, 32, q, words);
        assert_memory_equal(words, p1[b], (size_t)b * 4);
        pare_pack_lsb_cols(b, 32, 1, q, words);
        assert_memory_equal(words, p1[b], (size_t)b * 4);
        pare_pack_lsb_words_t(b, 1, 32, q, words);
        assert_memory_equal(words, p1[b], (size_t)b * 4);
    }
    /* symmetric GPTQ zero points, stored as z - 1 */
    static const struct { int bits; uint32_t word; } zeros[] = { { 4, 0x77777777 }, { 8, 0x7F7F7F7F }, { 2, 0x55555555 } };
    for (int i = 0; i < 3; i++) {
        memset(q, (1 << (zeros[i].bits - 1)) - 1, sizeof q);
        uint32_t words[8];
        pare_pack_lsb_words(zeros[i].bits, 1, 32, q, words);
        for (int w = 0; w < zeros[i].bits; w++) assert_int_equal(words[w], zeros[i].word);
    }
}

/* Where a bit of code [r, c] goes, in bits from the start of the packed bytes; each rule written down as one formula. */

static const int awq_nibble_of_column[8] = { 0, 4, 1, 5, 2, 6, 3, 7 };

static int64_t bit_place(pare_pack_rule rule, int bits, int64_t rows, int64_t cols, int64_t r, int64_t c, int bit)
{
    const int64_t i = r * cols + c, per8 = 8 / bits;
    switch (rule) {
    case PARE_PACK_LSB: return r * ((cols * bits + 7) / 8) * 8 + c * bits + bit;
    case PARE_PACK_PADDED: {
        const int64_t per = 32 / bits;
        return (r * ((cols + per - 1) / per) + c / per) * 32 + c % per * bits + bit;
    }
    case PARE_PACK_HIGH_FIRST: return i / per8 * 8 + (per8 - 1 - i % per8) * bits + bit;
    case PARE_PACK_STRIDED_HIGH: {
        if (bits == 3) {
            const int64_t slab = (rows + 9) / 10;
            return (r % slab * cols + c) * 32 + 27 - 3 * (r / slab) + bit;
        }
        const int64_t slab = rows / per8;
        return (r % slab * cols + c) * 8 + (per8 - 1 - r / slab) * bits + bit;
    }
    case PARE_PACK_STRIDED_LOW: {
        const int64_t slab = (rows + per8 - 1) / per8;
        return (r % slab * cols + c) * 8 + r / slab * bits + bit;
    }
    case PARE_PACK_AWQ: return i / 8 * 32 + 4 * awq_nibble_of_column[c % 8] + bit;
    case PARE_PACK_AWQ_FAST: {
        const int64_t word = r / 4 * cols + 64 * (c / 64) + 16 * (r % 4) + 8 * (c % 64 / 32) + 2 * (c % 8 / 2) + c % 2;
        return word * 16 + c % 32 / 8 * 4 + bit;
    }
    case PARE_PACK_PLANES: {
        static const int cut[9][3] = { { 0 }, { 1, 8, 8 }, { 2, 8, 8 }, { 2, 3, 8 }, { 4, 8, 8 }, { 4, 5, 8 }, { 4, 6, 8 }, { 4, 6, 7 }, { 8, 8, 8 } };
        int low = 0, width = cut[bits][0];
        for (int p = 0; bit >= cut[bits][p]; p++) low = cut[bits][p], width = (cut[bits][p + 1] < bits ? cut[bits][p + 1] : bits) - low;
        return i / 32 * 32 * bits + 32 * low + i % 32 * width + (bit - low);
    }
    }
    return -1;
}

static uint64_t seed = 1;
static uint32_t rnd(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

static void test_every_rule(void **state)
{
    (void)state;
    static const int64_t sides[] = { 0, 1, 2, 3, 5, 7, 8, 10, 12, 16, 17, 31, 32, 33, 64, 65, 128, 200 };
    enum { SIDES = sizeof sides / sizeof sides[0] };
    static uint8_t codes[200 * 200], packed[200 * 200 + 4096], want[200 * 200 + 4096], back[200 * 200];
    int done = 0;
    for (int rule = PARE_PACK_LSB; rule <= PARE_PACK_PLANES; rule++)
        for (int bits = 1; bits <= 8; bits++)
            for (int a = 0; a < SIDES * SIDES; a++) {
                const int64_t rows = sides[a / SIDES], cols = sides[a % SIDES], n = rows * cols;
                size_t bytes = 0;
                const pare_status st = pare_packed_bytes((pare_pack_rule)rule, bits, rows, cols, &bytes, NULL);
                if (st != PARE_OK) {
                    assert_int_equal(st, PARE_ERR_UNSUPPORTED);
                    continue;
                }
                done++;
                memset(want, 0, bytes);
                for (int64_t i = 0; i < n; i++) {
                    codes[i] = (uint8_t)(rnd() & ((1u << bits) - 1));
                    for (int b = 0; b < bits; b++) {
                        const int64_t at = bit_place((pare_pack_rule)rule, bits, rows, cols, i / cols, i % cols, b);
                        assert_true(at >= 0 && at / 8 < (int64_t)bytes);
                        want[at / 8] |= (uint8_t)((codes[i] >> b & 1) << at % 8);
                    }
                }
                memset(packed, 0x55, bytes + 1);
                memset(back, 0x55, (size_t)n);
                assert_ok(pare_pack((pare_pack_rule)rule, bits, rows, cols, codes, packed, NULL));
                if (memcmp(packed, want, bytes)) fail_msg("rule %d, %d bits, [%lld, %lld]", rule, bits, (long long)rows, (long long)cols);
                assert_int_equal(packed[bytes], 0x55);
                assert_ok(pare_unpack((pare_pack_rule)rule, bits, rows, cols, packed, back, NULL));
                assert_memory_equal(back, codes, (size_t)n);
            }
    assert_true(done > 4000);
}

static uint32_t word_bit(const uint8_t *code, int bits, int64_t bit)
{
    return (uint32_t)(code[0] >> bit % bits & 1);
}

static void test_words(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = { { 1, 1 }, { 3, 32 }, { 17, 40 }, { 64, 96 }, { 33, 1100 }, { 700, 5 }, { 513, 31 }, { 16, 512 }, { 40, 520 } };
    enum { MOST = 700 * 1100 };
    static uint8_t codes[MOST], back[MOST];
    static uint32_t words[MOST], want[MOST];
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int bits = 1; bits <= 8; bits++) {
            const int64_t rows = shapes[s][0], cols = shapes[s][1], n = rows * cols;
            for (int64_t i = 0; i < n; i++) codes[i] = (uint8_t)(rnd() & ((1u << bits) - 1));
            const int64_t row_words = pare_lsb_words(bits, cols), col_words = pare_lsb_words(bits, rows);
            assert_int_equal(row_words, (cols * bits + 31) / 32);
            memset(want, 0, (size_t)(rows * row_words) * 4);
            for (int64_t i = 0; i < n; i++)
                for (int64_t b = 0; b < bits; b++) {
                    const int64_t at = i % cols * bits + b;
                    want[i / cols * row_words + at / 32] |= word_bit(codes + i, bits, b) << at % 32;
                }
            memset(words, 0xff, (size_t)(rows * row_words) * 4);
            pare_pack_lsb_words(bits, rows, cols, codes, words);
            assert_memory_equal(words, want, (size_t)(rows * row_words) * 4);
            memset(back, 0x55, (size_t)n);
            pare_unpack_lsb_words(bits, rows, cols, words, back);
            assert_memory_equal(back, codes, (size_t)n);

            memset(words, 0xff, (size_t)(rows * row_words) * 4);
            pare_pack_lsb_words_t(bits, rows, cols, codes, words);
            for (int64_t i = 0; i < rows * row_words; i++) assert_int_equal(words[i % row_words * rows + i / row_words], want[i]);
            memset(back, 0x55, (size_t)n);
            pare_unpack_lsb_words_t(bits, rows, cols, words, back);
            assert_memory_equal(back, codes, (size_t)n);

            memset(want, 0, (size_t)(col_words * cols) * 4);
            for (int64_t i = 0; i < n; i++)
                for (int64_t b = 0; b < bits; b++) {
                    const int64_t at = i / cols * bits + b;
                    want[at / 32 * cols + i % cols] |= word_bit(codes + i, bits, b) << at % 32;
                }
            memset(words, 0xff, (size_t)(col_words * cols) * 4);
            pare_pack_lsb_cols(bits, rows, cols, codes, words);
            assert_memory_equal(words, want, (size_t)(col_words * cols) * 4);
            memset(back, 0x55, (size_t)n);
            pare_unpack_lsb_cols(bits, rows, cols, words, back);
            assert_memory_equal(back, codes, (size_t)n);
        }
}

/* Transposing the codes and packing rows under P5 is the same as pare_pack_awq_t. */
static void test_awq_transposed(void **state)
{
    (void)state;
    static const int64_t shapes[][2] = { { 8, 1 }, { 8, 70 }, { 136, 64 }, { 256, 130 }, { 24, 33 } };
    static uint8_t codes[256 * 130], turned[256 * 130], back[256 * 130];
    static uint32_t words[256 * 130 / 8], want[256 * 130 / 8];
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const int64_t rows = shapes[s][0], cols = shapes[s][1], n = rows * cols;
        for (int64_t i = 0; i < n; i++) codes[i] = (uint8_t)(rnd() & 15);
        pare_transpose_u8(rows, cols, codes, turned);
        for (int64_t i = 0; i < n; i++) assert_int_equal(turned[i % cols * rows + i / cols], codes[i]);
        assert_ok(pare_pack(PARE_PACK_AWQ, 4, cols, rows, turned, want, NULL));
        pare_pack_awq_t(rows, cols, codes, words);
        assert_memory_equal(words, want, (size_t)n / 2);
        pare_unpack_awq_t(rows, cols, words, back);
        assert_memory_equal(back, codes, (size_t)n);
    }
    static uint16_t a16[67 * 45], b16[67 * 45];
    static uint32_t a32[67 * 45], b32[67 * 45];
    for (int i = 0; i < 67 * 45; i++) a16[i] = (uint16_t)i, a32[i] = (uint32_t)i * 77777u;
    pare_transpose_u16(67, 45, a16, b16);
    pare_transpose_u32(67, 45, a32, b32);
    for (int i = 0; i < 67 * 45; i++) {
        assert_int_equal(b16[i % 45 * 67 + i / 45], a16[i]);
        assert_int_equal(b32[i % 45 * 67 + i / 45], a32[i]);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    pare_err err;
    size_t bytes;
    uint8_t codes[64] = { 0 }, dst[256];
    assert_error(pare_packed_bytes((pare_pack_rule)0, 4, 1, 1, &bytes, &err), PARE_ERR_USAGE, "no rule 0");
    assert_error(pare_packed_bytes((pare_pack_rule)9, 4, 1, 1, &bytes, &err), PARE_ERR_USAGE, "no rule 9");
    assert_error(pare_packed_bytes(PARE_PACK_LSB, 0, 1, 1, &bytes, &err), PARE_ERR_USAGE, "0 bits");
    assert_error(pare_packed_bytes(PARE_PACK_LSB, 9, 1, 1, &bytes, &err), PARE_ERR_USAGE, "9 bits");
    assert_error(pare_packed_bytes(PARE_PACK_LSB, 4, -1, 1, &bytes, &err), PARE_ERR_USAGE, "[-1, 1]");
    assert_error(pare_packed_bytes(PARE_PACK_LSB, 4, INT64_MAX, 2, &bytes, &err), PARE_ERR_USAGE, "overflow");
    assert_error(pare_packed_bytes(PARE_PACK_PADDED, 5, INT64_MAX, 1, &bytes, &err), PARE_ERR_USAGE, "overflow");
    assert_error(pare_packed_bytes(PARE_PACK_AWQ, 3, 1, 8, &bytes, &err), PARE_ERR_UNSUPPORTED, "3 bits");
    assert_error(pare_packed_bytes(PARE_PACK_AWQ, 4, 1, 9, &bytes, &err), PARE_ERR_UNSUPPORTED, "9 columns");
    assert_error(pare_packed_bytes(PARE_PACK_AWQ_FAST, 4, 3, 64, &bytes, &err), PARE_ERR_UNSUPPORTED, "3 rows");
    assert_error(pare_packed_bytes(PARE_PACK_STRIDED_HIGH, 2, 6, 64, &bytes, &err), PARE_ERR_UNSUPPORTED, "multiple of 4");
    assert_error(pare_packed_bytes(PARE_PACK_PLANES, 5, 6, 33, &bytes, &err), PARE_ERR_UNSUPPORTED, "multiple of 32");
    codes[37] = 16;
    assert_error(pare_pack(PARE_PACK_LSB, 4, 8, 8, codes, dst, &err), PARE_ERR_DATA, "code 16 at [4, 5]");
    codes[37] = 15;
    assert_ok(pare_pack(PARE_PACK_LSB, 4, 8, 8, codes, dst, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_every_rule), cmocka_unit_test(test_words),
        cmocka_unit_test(test_awq_transposed), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("num/pack", tests, NULL, NULL);
}
