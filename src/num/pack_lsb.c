/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P1: code i occupies bits [i*b, (i+1)*b) of a little-endian bit stream, so fields may cross bytes and words. 3 bits:
 *
 *   byte      0                 1                 2
 *   bit    7 6|5 4 3|2 1 0   7|6 5 4|3 2 1|0   7 6 5|4 3 2|1 0
 *   code    c2  c1    c0     c5  c4    c3  c2   c7    c6   c5
 *
 * Used by GPTQ (down the columns), compressed-tensors, AWQ gemv, ONNX, MX/NV FP4. Here: rows padded to whole bytes (the public
 * rule), rows padded to 32-bit words, columns in 32-bit words, and rows in words stored transposed (GPTQ's qweight from the
 * [out, in] codes of a linear layer).
 */
#include "num/num_inl.h"
#include "num/pack.h"

/* A row loop per width, with the width known to the compiler. 4 and 2 bits as plain strided loops, which vectorize. */
#define ROWS(B)                                                                                              \
    static void pack_row_##B(int64_t n, const uint8_t *codes, uint8_t *dst) { pare_pack_row_inl(B, n, codes, dst); } \
    static void unpack_row_##B(int64_t n, const uint8_t *src, uint8_t *codes) { pare_unpack_row_inl(B, n, src, codes); }
ROWS(1)
ROWS(3)
ROWS(5)
ROWS(6)
ROWS(7)

static void pack_row_2(int64_t n, const uint8_t *codes, uint8_t *dst)
{
    const int64_t whole = n / 4;
    for (int64_t i = 0; i < whole; i++)
        dst[i] = (uint8_t)(codes[4 * i] | codes[4 * i + 1] << 2 | codes[4 * i + 2] << 4 | codes[4 * i + 3] << 6);
    pare_pack_row_inl(2, n - 4 * whole, codes + 4 * whole, dst + whole);
}

static void unpack_row_2(int64_t n, const uint8_t *src, uint8_t *codes)
{
    pare_unpack_row_inl(2, n, src, codes);
}

static void pack_row_4(int64_t n, const uint8_t *codes, uint8_t *dst)
{
    const int64_t whole = n / 2;
    for (int64_t i = 0; i < whole; i++) dst[i] = (uint8_t)(codes[2 * i] | codes[2 * i + 1] << 4);
    if (n & 1) dst[whole] = codes[n - 1];
}

static void unpack_row_4(int64_t n, const uint8_t *src, uint8_t *codes)
{
    const int64_t whole = n / 2;
    for (int64_t i = 0; i < whole; i++) {
        codes[2 * i] = src[i] & 15;
        codes[2 * i + 1] = src[i] >> 4;
    }
    if (n & 1) codes[n - 1] = src[whole] & 15;
}

static void pack_row_8(int64_t n, const uint8_t *codes, uint8_t *dst)
{
    memcpy(dst, codes, (size_t)n);
}

typedef void (*row_fn)(int64_t n, const uint8_t *src, uint8_t *dst);
static const row_fn pack_row[9] = { NULL, pack_row_1, pack_row_2, pack_row_3, pack_row_4, pack_row_5, pack_row_6, pack_row_7, pack_row_8 };
static const row_fn unpack_row[9] = { NULL,         unpack_row_1, unpack_row_2, unpack_row_3, unpack_row_4,
                                      unpack_row_5, unpack_row_6, unpack_row_7, pack_row_8 };

void pare_pack_lsb_row(int bits, int64_t n, const uint8_t *codes, uint8_t *dst)
{
    if (n > 0) pack_row[bits](n, codes, dst);
}

void pare_unpack_lsb_row(int bits, int64_t n, const uint8_t *src, uint8_t *codes)
{
    if (n > 0) unpack_row[bits](n, src, codes);
}

/* ceil(n * bits / unit) without overflow. */
static int64_t units(int bits, int64_t n, int unit)
{
    return n / unit * bits + pare_div_up(n % unit * bits, unit);
}

/* ---------------------------------------------------------------------------------------------- rows in whole bytes */

static bool lsb_bytes(int bits, int64_t rows, int64_t cols, size_t *bytes)
{
    return pare_mul_size((size_t)rows, (size_t)units(bits, cols, 8), bytes);
}

static void lsb_pack(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst)
{
    const int64_t row = units(bits, cols, 8);
    for (int64_t r = 0; r < rows; r++) pare_pack_lsb_row(bits, cols, codes + r * cols, dst + r * row);
}

static void lsb_unpack(int bits, int64_t rows, int64_t cols, const uint8_t *src, uint8_t *codes)
{
    const int64_t row = units(bits, cols, 8);
    for (int64_t r = 0; r < rows; r++) pare_unpack_lsb_row(bits, cols, src + r * row, codes + r * cols);
}

const pare_pack_case pare_pack_lsb = { .rule = PARE_PACK_LSB, .name = "P1 (LSB bit stream)", .bits = 0x1fe, .row_multiple = 1, .col_multiple = 1,
                                       .bytes = lsb_bytes, .pack = lsb_pack, .unpack = lsb_unpack };

/* ---------------------------------------------------------------------------------------------- rows in 32-bit words */

int64_t pare_lsb_words(int bits, int64_t n)
{
    return units(bits, n, 32);
}

static void pack_words_row(int bits, int64_t n, const uint8_t *codes, uint8_t *dst)
{
    const int64_t bytes = units(bits, n, 8), whole = 4 * units(bits, n, 32);
    pare_pack_lsb_row(bits, n, codes, dst);
    for (int64_t i = bytes; i < whole; i++) dst[i] = 0;
}

void pare_pack_lsb_words(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint32_t *dst)
{
    const int64_t words = pare_lsb_words(bits, cols);
    for (int64_t r = 0; r < rows; r++) pack_words_row(bits, cols, codes + r * cols, (uint8_t *)(dst + r * words));
}

void pare_unpack_lsb_words(int bits, int64_t rows, int64_t cols, const uint32_t *src, uint8_t *codes)
{
    const int64_t words = pare_lsb_words(bits, cols);
    for (int64_t r = 0; r < rows; r++) pare_unpack_lsb_row(bits, cols, (const uint8_t *)(src + r * words), codes + r * cols);
}

/* ------------------------------------------------------------------------------------- rows in words, stored transposed */

enum { T_ROWS = 16, T_CODES = 512 }; /* a tile: 16 rows make whole cache lines of the transposed words; 512 codes = 16*b words */

void pare_pack_lsb_words_t(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint32_t *dst)
{
    uint32_t tile[T_ROWS][T_CODES / 4];
    for (int64_t r = 0; r < rows; r += T_ROWS) {
        const int64_t nr = rows - r < T_ROWS ? rows - r : T_ROWS;
        for (int64_t c = 0; c < cols; c += T_CODES) {
            const int64_t nc = cols - c < T_CODES ? cols - c : T_CODES, nw = pare_lsb_words(bits, nc), w = c / 32 * bits;
            for (int64_t i = 0; i < nr; i++) pack_words_row(bits, nc, codes + (r + i) * cols + c, (uint8_t *)tile[i]);
            for (int64_t k = 0; k < nw; k++)
                for (int64_t i = 0; i < nr; i++) dst[(w + k) * rows + r + i] = tile[i][k];
        }
    }
}

void pare_unpack_lsb_words_t(int bits, int64_t rows, int64_t cols, const uint32_t *src, uint8_t *codes)
{
    uint32_t tile[T_ROWS][T_CODES / 4];
    for (int64_t r = 0; r < rows; r += T_ROWS) {
        const int64_t nr = rows - r < T_ROWS ? rows - r : T_ROWS;
        for (int64_t c = 0; c < cols; c += T_CODES) {
            const int64_t nc = cols - c < T_CODES ? cols - c : T_CODES, nw = pare_lsb_words(bits, nc), w = c / 32 * bits;
            for (int64_t k = 0; k < nw; k++)
                for (int64_t i = 0; i < nr; i++) tile[i][k] = src[(w + k) * rows + r + i];
            for (int64_t i = 0; i < nr; i++) pare_unpack_lsb_row(bits, nc, (const uint8_t *)tile[i], codes + (r + i) * cols + c);
        }
    }
}

/* ------------------------------------------------------------------------------------------- columns in 32-bit words */

enum { C_COLS = 512 }; /* columns at a time: a word's accumulators stay in L1 */

/* acc[c] |= the field of one row's codes. left >= 0: code << left; else the upper part of a crossing field, code >> -left. */
static void merge_row(int64_t n, const uint8_t *codes, int left, uint32_t *acc)
{
    if (left < 0)
        for (int64_t c = 0; c < n; c++) acc[c] |= (uint32_t)codes[c] >> -left;
    else
        for (int64_t c = 0; c < n; c++) acc[c] |= (uint32_t)codes[c] << left;
}

/* Four whole fields of consecutive rows at once: one pass over the accumulators instead of four. */
static void merge_rows4(int64_t n, const uint8_t *codes, int64_t stride, int left, int bits, uint32_t *acc)
{
    const uint8_t *a = codes, *b = a + stride, *c = b + stride, *d = c + stride;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t low = a[i] | (uint32_t)b[i] << bits, high = c[i] | (uint32_t)d[i] << bits;
        acc[i] |= (low | high << 2 * bits) << left;
    }
}

void pare_pack_lsb_cols(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint32_t *dst)
{
    const int64_t words = pare_lsb_words(bits, rows);
    for (int64_t c = 0; c < cols; c += C_COLS) {
        const int64_t n = cols - c < C_COLS ? cols - c : C_COLS;
        for (int64_t w = 0; w < words; w++) {
            uint32_t *acc = dst + w * cols + c;
            memset(acc, 0, (size_t)n * 4);
            /* position of a row inside the 32-row block that holds word w: b words there */
            const int64_t block = w / bits * 32, first_bit = w % bits * 32;
            int64_t r = block + first_bit / bits;
            while (r < rows) {
                const int left = (int)((r - block) * bits - first_bit);
                if (left >= 32) break;
                if (left >= 0 && left + 4 * bits <= 32 && r + 4 <= rows) {
                    merge_rows4(n, codes + r * cols + c, cols, left, bits, acc);
                    r += 4;
                } else {
                    merge_row(n, codes + r * cols + c, left, acc);
                    r++;
                }
            }
        }
    }
}

void pare_unpack_lsb_cols(int bits, int64_t rows, int64_t cols, const uint32_t *src, uint8_t *codes)
{
    const uint32_t mask = (1u << bits) - 1;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t bit = r % 32 * bits, w = r / 32 * bits + bit / 32;
        const int at = (int)(bit % 32);
        const uint32_t *low = src + w * cols;
        uint8_t *out = codes + r * cols;
        if (at + bits <= 32)
            for (int64_t c = 0; c < cols; c++) out[c] = (uint8_t)(low[c] >> at & mask);
        else
            for (int64_t c = 0; c < cols; c++) out[c] = (uint8_t)((low[c] >> at | low[c + cols] << (32 - at)) & mask);
    }
}

/* ---------------------------------------------------------------------- P1': floor(32/b) codes a word, high bits zero */

static bool padded_bytes(int bits, int64_t rows, int64_t cols, size_t *bytes)
{
    size_t row;
    return pare_mul_size((size_t)pare_div_up(cols, 32 / bits), 4, &row) && pare_mul_size((size_t)rows, row, bytes);
}

static void padded_pack(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst)
{
    const int64_t per = 32 / bits;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c += per, dst += 4) {
            uint32_t word = 0;
            for (int64_t i = 0; i < per && c + i < cols; i++) word |= (uint32_t)codes[r * cols + c + i] << (i * bits);
            memcpy(dst, &word, 4);
        }
}

static void padded_unpack(int bits, int64_t rows, int64_t cols, const uint8_t *src, uint8_t *codes)
{
    const int64_t per = 32 / bits;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c += per, src += 4) {
            uint32_t word;
            memcpy(&word, src, 4);
            for (int64_t i = 0; i < per && c + i < cols; i++) codes[r * cols + c + i] = (uint8_t)(word >> (i * bits) & ((1u << bits) - 1));
        }
}

const pare_pack_case pare_pack_padded = { .rule = PARE_PACK_PADDED, .name = "P1' (padded words)", .bits = 0x1fe, .row_multiple = 1,
                                          .col_multiple = 1, .bytes = padded_bytes, .pack = padded_pack, .unpack = padded_unpack };
