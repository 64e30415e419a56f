/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P5 and P6, the 4-bit orders of AWQ (AutoAWQ's gemm and gemv_fast kernels, llm-awq).
 *
 *   P5  32-bit word c of a row:      nibble    7      6      5      4      3      2      1      0
 *                                    column  8c+7   8c+5   8c+3   8c+1   8c+6   8c+4   8c+2   8c+0
 *
 *   P6  four rows and 64 columns make 64 int16 words: word 16*(row % 4) + 8*h + t, h = 0, 1, t = 0 ... 7, holds of its row
 *                                    nibble    3        2        1        0
 *                                    column  32h+24+t 32h+16+t 32h+8+t  32h+t
 */
#include "num/num_inl.h"
#include "num/pack.h"

static const int order[8] = { 0, 2, 4, 6, 1, 3, 5, 7 }; /* column of nibble i */

static void awq_limits(int bits, int *row_multiple, int *col_multiple)
{
    (void)bits;
    *row_multiple = 1;
    *col_multiple = 8;
}

static bool half_bytes(int bits, int64_t rows, int64_t cols, size_t *bytes)
{
    (void)bits;
    *bytes = (size_t)(cols % 2 ? rows / 2 * cols : cols / 2 * rows);
    return true;
}

/* Eight bytes to one word: even ones to the low half, odd ones to the high half. */
static uint32_t awq_word(const uint8_t *codes)
{
    uint64_t x;
    memcpy(&x, codes, 8);
    uint64_t even = x & 0x000f000f000f000fu, odd = x >> 8 & 0x000f000f000f000fu;
    even = (even | even >> 12) & 0x000000ff000000ffu;
    odd = (odd | odd >> 12) & 0x000000ff000000ffu;
    return (uint32_t)((even | even >> 24) & 0xffffu) | (uint32_t)((odd | odd >> 24) & 0xffffu) << 16;
}

static void awq_codes(uint32_t word, uint8_t *codes)
{
    uint64_t even = word & 0xffffu, odd = word >> 16;
    even = (even | even << 24) & 0x000000ff000000ffu;
    odd = (odd | odd << 24) & 0x000000ff000000ffu;
    even = (even | even << 12) & 0x000f000f000f000fu;
    odd = (odd | odd << 12) & 0x000f000f000f000fu;
    const uint64_t x = even | odd << 8;
    memcpy(codes, &x, 8);
}

static void awq_pack(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst)
{
    (void)bits;
    for (int64_t i = 0; i < rows * cols / 8; i++) { /* cols is a multiple of 8: rows follow each other */
        const uint32_t word = awq_word(codes + 8 * i);
        memcpy(dst + 4 * i, &word, 4);
    }
}

static void awq_unpack(int bits, int64_t rows, int64_t cols, const uint8_t *src, uint8_t *codes)
{
    (void)bits;
    for (int64_t i = 0; i < rows * cols / 8; i++) {
        uint32_t word;
        memcpy(&word, src + 4 * i, 4);
        awq_codes(word, codes + 8 * i);
    }
}

const pare_pack_case pare_pack_awq = { .rule = PARE_PACK_AWQ, .name = "P5 (AWQ)", .bits = 1u << 4, .limits = awq_limits,
                                       .bytes = half_bytes, .pack = awq_pack, .unpack = awq_unpack };

/* --------------------------------------------------------------------------- P5 straight from a layer's [out, in] codes */

enum { A_WORDS = 16, A_COLS = 64 }; /* a tile: 128 rows by 64 columns, whole cache lines on both sides */

void pare_pack_awq_t(int64_t rows, int64_t cols, const uint8_t *codes, uint32_t *dst)
{
    const int64_t words = rows / 8;
    uint32_t tile[A_WORDS][A_COLS];
    for (int64_t w = 0; w < words; w += A_WORDS) {
        const int64_t nw = words - w < A_WORDS ? words - w : A_WORDS;
        for (int64_t c = 0; c < cols; c += A_COLS) {
            const int64_t nc = cols - c < A_COLS ? cols - c : A_COLS;
            for (int64_t i = 0; i < nw; i++) {
                const uint8_t *s = codes + (w + i) * 8 * cols + c;
                for (int64_t k = 0; k < nc; k++)
                    tile[i][k] = (uint32_t)(s[k] | s[2 * cols + k] << 4) | (uint32_t)(s[4 * cols + k] | s[6 * cols + k] << 4) << 8 |
                                 (uint32_t)(s[cols + k] | s[3 * cols + k] << 4) << 16 | (uint32_t)(s[5 * cols + k] | s[7 * cols + k] << 4) << 24;
            }
            for (int64_t k = 0; k < nc; k++)
                for (int64_t i = 0; i < nw; i++) dst[(c + k) * words + w + i] = tile[i][k];
        }
    }
}

void pare_unpack_awq_t(int64_t rows, int64_t cols, const uint32_t *src, uint8_t *codes)
{
    const int64_t words = rows / 8;
    uint32_t tile[A_WORDS][A_COLS];
    for (int64_t w = 0; w < words; w += A_WORDS) {
        const int64_t nw = words - w < A_WORDS ? words - w : A_WORDS;
        for (int64_t c = 0; c < cols; c += A_COLS) {
            const int64_t nc = cols - c < A_COLS ? cols - c : A_COLS;
            for (int64_t k = 0; k < nc; k++)
                for (int64_t i = 0; i < nw; i++) tile[i][k] = src[(c + k) * words + w + i];
            for (int64_t i = 0; i < nw; i++)
                for (int j = 0; j < 8; j++) {
                    uint8_t *d = codes + ((w + i) * 8 + order[j]) * cols + c;
                    for (int64_t k = 0; k < nc; k++) d[k] = (uint8_t)(tile[i][k] >> 4 * j & 15);
                }
        }
    }
}

/* ----------------------------------------------------------------------------------------------------------------- P6 */

static void fast_limits(int bits, int *row_multiple, int *col_multiple)
{
    (void)bits;
    *row_multiple = 4;
    *col_multiple = 64;
}

static void fast_pack(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst)
{
    (void)bits;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c += 32) {
            const uint8_t *s = codes + r * cols + c;
            uint8_t *d = dst + 2 * (r / 4 * cols + c / 64 * 64 + 16 * (r % 4) + 8 * (c / 32 % 2));
            for (int t = 0; t < 8; t++) {
                d[2 * t] = (uint8_t)(s[t] | s[8 + t] << 4);
                d[2 * t + 1] = (uint8_t)(s[16 + t] | s[24 + t] << 4);
            }
        }
}

static void fast_unpack(int bits, int64_t rows, int64_t cols, const uint8_t *src, uint8_t *codes)
{
    (void)bits;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c += 32) {
            const uint8_t *s = src + 2 * (r / 4 * cols + c / 64 * 64 + 16 * (r % 4) + 8 * (c / 32 % 2));
            uint8_t *d = codes + r * cols + c;
            for (int t = 0; t < 8; t++) {
                d[t] = s[2 * t] & 15;
                d[8 + t] = s[2 * t] >> 4;
                d[16 + t] = s[2 * t + 1] & 15;
                d[24 + t] = s[2 * t + 1] >> 4;
            }
        }
}

const pare_pack_case pare_pack_awq_fast = { .rule = PARE_PACK_AWQ_FAST, .name = "P6 (AWQ fast)", .bits = 1u << 4, .limits = fast_limits,
                                            .bytes = half_bytes, .pack = fast_pack, .unpack = fast_unpack };
