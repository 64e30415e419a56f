/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P7, bit planes over 32 codes (GPTQModel's gptq_p): the code is cut into fields of 4, 2 and 1 bits, low field first, and the
 * 32 codes of a block store each field as a P1 stream of its own. 32 codes give b words, e.g. b = 7:
 *
 *   words 0..3: bits 3..0 of codes 0..31     words 4, 5: bits 5, 4     word 6: bit 6
 */
#include "num/num_inl.h"
#include "num/pack.h"

/* Field widths of a b-bit code, low first, 0 ends. */
static const uint8_t planes[9][4] = { { 0 },    { 1 },    { 2 },    { 2, 1 }, { 4 },
                                      { 4, 1 }, { 4, 2 }, { 4, 2, 1 }, { 8 } };

static void planes_limits(int bits, int *row_multiple, int *col_multiple)
{
    (void)bits;
    *row_multiple = 1;
    *col_multiple = 32;
}

static bool planes_bytes(int bits, int64_t rows, int64_t cols, size_t *bytes)
{
    return pare_mul_size((size_t)(rows * (cols / 32)), (size_t)bits * 4, bytes);
}

static void planes_pack(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst)
{
    for (int64_t block = 0; block < rows * (cols / 32); block++, codes += 32) {
        int low = 0;
        for (const uint8_t *width = planes[bits]; *width; dst += 4 * *width, low += *width, width++) {
            uint8_t field[32];
            for (int i = 0; i < 32; i++) field[i] = (uint8_t)(codes[i] >> low & ((1 << *width) - 1));
            pare_pack_lsb_row(*width, 32, field, dst);
        }
    }
}

static void planes_unpack(int bits, int64_t rows, int64_t cols, const uint8_t *src, uint8_t *codes)
{
    for (int64_t block = 0; block < rows * (cols / 32); block++, codes += 32) {
        int low = 0;
        memset(codes, 0, 32);
        for (const uint8_t *width = planes[bits]; *width; src += 4 * *width, low += *width, width++) {
            uint8_t field[32];
            pare_unpack_lsb_row(*width, 32, src, field);
            for (int i = 0; i < 32; i++) codes[i] |= (uint8_t)(field[i] << low);
        }
    }
}

const pare_pack_case pare_pack_planes = { .rule = PARE_PACK_PLANES, .name = "P7 (bit planes)", .bits = 0x1fe, .limits = planes_limits,
                                          .bytes = planes_bytes, .pack = planes_pack, .unpack = planes_unpack };
