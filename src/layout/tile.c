/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing with a transpose, tile by tile, straight into columns of a matrix that other pieces fill at the same time. A tile
 * of 32 rows x 512 codes (16 KiB) stays in the first-level cache; every store line is 128 bytes (32 rows of 4 bytes).
 */
#include <string.h>
#include "layout/bind.h"

enum { TILE_ROWS = 32, TILE_CODES = 512, TILE_BYTES = TILE_CODES, AWQ_COLS = 256, AWQ_WORDS = 16 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void pare_tile_pack_t(const pare_kernels *k, int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst, int64_t stride)
{
    uint8_t tile[TILE_ROWS][TILE_BYTES];
    for (int64_t r0 = 0; r0 < rows; r0 += TILE_ROWS) {
        int64_t nr = least(TILE_ROWS, rows - r0);
        for (int64_t c0 = 0; c0 < cols; c0 += TILE_CODES) {
            int64_t nc = least(TILE_CODES, cols - c0), words = (nc * bits + 31) / 32;
            for (int64_t r = 0; r < nr; r++) {
                memset(tile[r] + (words - 1) * 4, 0, 4);       /* the last word may be filled in part */
                k->pack_lsb(bits, nc, codes + (r0 + r) * cols + c0, tile[r]);
            }
            uint8_t *out = dst + (c0 * bits / 32 * stride + r0) * 4;
            for (int64_t j = 0; j < words; j++, out += stride * 4)
                for (int64_t r = 0; r < nr; r++) memcpy(out + r * 4, tile[r] + j * 4, 4);
        }
    }
}

void pare_tile_unpack_t(const pare_kernels *k, int bits, int64_t rows, int64_t cols, const uint8_t *src, int64_t stride, uint8_t *codes)
{
    uint8_t tile[TILE_ROWS][TILE_BYTES];
    for (int64_t r0 = 0; r0 < rows; r0 += TILE_ROWS) {
        int64_t nr = least(TILE_ROWS, rows - r0);
        for (int64_t c0 = 0; c0 < cols; c0 += TILE_CODES) {
            int64_t nc = least(TILE_CODES, cols - c0), words = (nc * bits + 31) / 32;
            const uint8_t *in = src + (c0 * bits / 32 * stride + r0) * 4;
            for (int64_t j = 0; j < words; j++, in += stride * 4)
                for (int64_t r = 0; r < nr; r++) memcpy(tile[r] + j * 4, in + r * 4, 4);
            for (int64_t r = 0; r < nr; r++) k->unpack_lsb(bits, nc, tile[r], codes + (r0 + r) * cols + c0);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------------- AWQ */

static const int awq_row[8] = { 0, 2, 4, 6, 1, 3, 5, 7 }; /* row of the octet that nibble n holds */

/* n columns of eight rows (row stride cols) -> n words of four bytes; byte j holds rows awq_row[2j] (low) and awq_row[2j+1]. */
static void octet_words(const uint8_t *rows, int64_t cols, int64_t n, uint8_t *words)
{
    uint8_t byte[4][AWQ_COLS];
    for (int j = 0; j < 4; j++) {
        const uint8_t *low = rows + awq_row[2 * j] * cols, *high = rows + awq_row[2 * j + 1] * cols;
        for (int64_t c = 0; c < n; c++) byte[j][c] = (uint8_t)(low[c] | high[c] << 4);
    }
    for (int64_t c = 0; c < n; c++)
        pare_word_put(words + 4 * c, (uint32_t)byte[0][c] | (uint32_t)byte[1][c] << 8 | (uint32_t)byte[2][c] << 16 | (uint32_t)byte[3][c] << 24);
}

void pare_tile_pack_awq(int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst, int64_t stride)
{
    uint8_t tile[AWQ_WORDS][AWQ_COLS * 4];
    for (int64_t o0 = 0; o0 < rows / 8; o0 += AWQ_WORDS) {
        int64_t no = least(AWQ_WORDS, rows / 8 - o0);
        for (int64_t c0 = 0; c0 < cols; c0 += AWQ_COLS) {
            int64_t nc = least(AWQ_COLS, cols - c0);
            for (int64_t o = 0; o < no; o++) octet_words(codes + (o0 + o) * 8 * cols + c0, cols, nc, tile[o]);
            for (int64_t c = 0; c < nc; c++)
                for (int64_t o = 0; o < no; o++) memcpy(dst + ((c0 + c) * stride + o0 + o) * 4, tile[o] + c * 4, 4);
        }
    }
}

void pare_tile_unpack_awq(int64_t rows, int64_t cols, const uint8_t *src, int64_t stride, uint8_t *codes)
{
    uint32_t tile[AWQ_WORDS][AWQ_COLS];
    for (int64_t o0 = 0; o0 < rows / 8; o0 += AWQ_WORDS) {
        int64_t no = least(AWQ_WORDS, rows / 8 - o0);
        for (int64_t c0 = 0; c0 < cols; c0 += AWQ_COLS) {
            int64_t nc = least(AWQ_COLS, cols - c0);
            for (int64_t c = 0; c < nc; c++)
                for (int64_t o = 0; o < no; o++) tile[o][c] = pare_word_get(src + ((c0 + c) * stride + o0 + o) * 4);
            for (int64_t o = 0; o < no; o++)
                for (int n = 0; n < 8; n++) {
                    uint8_t *row = codes + ((o0 + o) * 8 + awq_row[n]) * cols + c0;
                    for (int64_t c = 0; c < nc; c++) row[c] = (uint8_t)(tile[o][c] >> (4 * n) & 15);
                }
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------- strips */

void pare_strip_pack(int bits, int64_t n, const int32_t *values, int64_t value_stride, int32_t minus, uint8_t *dst, int64_t word_stride)
{
    uint64_t acc = 0;
    int have = 0;
    uint32_t mask = (1u << bits) - 1;
    for (int64_t i = 0; i < n; i++) {
        acc |= (uint64_t)((uint32_t)(values[i * value_stride] - minus) & mask) << have;
        have += bits;
        if (have < 32) continue;
        pare_word_put(dst, (uint32_t)acc);
        dst += word_stride * 4;
        acc >>= 32;
        have -= 32;
    }
    if (have) pare_word_put(dst, (uint32_t)acc);
}

void pare_strip_unpack(int bits, int64_t first, int64_t n, const uint8_t *src, int64_t word_stride, int32_t *out, int64_t out_stride)
{
    uint32_t mask = (1u << bits) - 1;
    for (int64_t i = 0; i < n; i++) {
        int64_t bit = (first + i) * bits, j = bit / 32;
        int at = (int)(bit % 32);
        uint32_t v = pare_word_get(src + j * word_stride * 4) >> at;
        if (at + bits > 32) v |= pare_word_get(src + (j + 1) * word_stride * 4) << (32 - at);
        out[i * out_stride] = (int32_t)(v & mask);
    }
}
