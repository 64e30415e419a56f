/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P2, P3, P4: rules on whole bytes.
 *
 *   P2 high first, flattened (bitsandbytes, 4 bit)       byte k:  b7..b4 = code 2k        b3..b0 = code 2k+1
 *   P3 strided, high first (HQQ)      rows in 8/b equal slabs of S rows; byte [r, c] at 4 bits: b7..b4 = [r, c]  b3..b0 = [S+r, c]
 *      3 bits: ten slabs in a 32-bit word, slab 0 at bits 29..27, slab 9 at 2..0; rows are padded with zeros to a multiple of 10
 *   P4 strided, low first (quanto, BitNet)               the same with slab 0 in the lowest bits; the last slabs may be short
 */
#include "num/num_inl.h"
#include "num/pack.h"

/* ----------------------------------------------------------------------------------------------------------------- P2 */

static bool high_first_bytes(int bits, int64_t rows, int64_t cols, size_t *bytes)
{
    *bytes = (size_t)pare_div_up(rows * cols, 8 / bits);
    return true;
}

static void high_first_pack(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst)
{
    const int64_t n = rows * cols, per = 8 / bits, whole = n / per;
    if (bits == 4)
        for (int64_t i = 0; i < whole; i++) dst[i] = (uint8_t)(codes[2 * i] << 4 | codes[2 * i + 1]);
    for (int64_t i = bits == 4 ? whole : 0; i * per < n; i++) {
        unsigned byte = 0;
        for (int64_t j = 0; j < per && i * per + j < n; j++) byte |= (unsigned)codes[i * per + j] << (8 - bits - j * bits);
        dst[i] = (uint8_t)byte;
    }
}

static void high_first_unpack(int bits, int64_t rows, int64_t cols, const uint8_t *src, uint8_t *codes)
{
    const int64_t n = rows * cols, per = 8 / bits, whole = n / per;
    if (bits == 4)
        for (int64_t i = 0; i < whole; i++) {
            codes[2 * i] = src[i] >> 4;
            codes[2 * i + 1] = src[i] & 15;
        }
    for (int64_t i = bits == 4 ? whole * per : 0; i < n; i++)
        codes[i] = (uint8_t)(src[i / per] >> (8 - bits - i % per * bits) & ((1 << bits) - 1));
}

const pare_pack_case pare_pack_high_first = { .rule = PARE_PACK_HIGH_FIRST, .name = "P2 (high first)", .bits = 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8,
                                              .row_multiple = 1, .col_multiple = 1, .bytes = high_first_bytes, .pack = high_first_pack,
                                              .unpack = high_first_unpack };

/* ------------------------------------------------------------------------------------------------------------ P3, P4 */

/* dst[i] |= codes[i] << shift, over one slab (a slab is contiguous). */
static void merge_slab(int64_t n, const uint8_t *codes, int shift, bool first, uint8_t *dst)
{
    if (first)
        for (int64_t i = 0; i < n; i++) dst[i] = (uint8_t)(codes[i] << shift);
    else
        for (int64_t i = 0; i < n; i++) dst[i] |= (uint8_t)(codes[i] << shift);
}

static void take_slab(int64_t n, const uint8_t *src, int shift, int bits, uint8_t *codes)
{
    const uint8_t mask = (uint8_t)((1 << bits) - 1);
    for (int64_t i = 0; i < n; i++) codes[i] = (uint8_t)(src[i] >> shift) & mask;
}

enum { SLAB = 1 << 13 }; /* bytes of the packed side kept in L1 while the slabs are merged */

/* Slab k covers codes [k*slab, (k+1)*slab) cut at n. High first: slab 0 at the top. */
static void strided_pack(int bits, int64_t n, int64_t slab, bool high, const uint8_t *codes, uint8_t *dst)
{
    const int per = 8 / bits;
    for (int64_t at = 0; at < slab; at += SLAB) {
        const int64_t m = slab - at < SLAB ? slab - at : SLAB;
        for (int k = 0; k < per; k++) {
            const int64_t from = k * slab + at, have = from >= n ? 0 : n - from < m ? n - from : m;
            merge_slab(have, codes + (have ? from : 0), high ? 8 - bits - k * bits : k * bits, k == 0, dst + at);
        }
    }
}

static void strided_unpack(int bits, int64_t n, int64_t slab, bool high, const uint8_t *src, uint8_t *codes)
{
    const int per = 8 / bits;
    for (int64_t at = 0; at < slab; at += SLAB) {
        const int64_t m = slab - at < SLAB ? slab - at : SLAB;
        for (int k = 0; k < per; k++) {
            const int64_t from = k * slab + at, have = from >= n ? 0 : n - from < m ? n - from : m;
            if (have) take_slab(have, src + at, high ? 8 - bits - k * bits : k * bits, bits, codes + from);
        }
    }
}

/* HQQ's 3 bits: word [r, c] holds rows r, S+r, ..., 9S+r at bits 27, 24, ..., 0. */
static void ten_pack(int64_t n, int64_t slab, const uint8_t *codes, uint8_t *dst)
{
    for (int64_t i = 0; i < slab; i++) {
        uint32_t word = 0;
        for (int k = 0; k < 10; k++)
            if (k * slab + i < n) word |= (uint32_t)codes[k * slab + i] << (27 - 3 * k);
        memcpy(dst + 4 * i, &word, 4);
    }
}

static void ten_unpack(int64_t n, int64_t slab, const uint8_t *src, uint8_t *codes)
{
    for (int64_t i = 0; i < slab; i++) {
        uint32_t word;
        memcpy(&word, src + 4 * i, 4);
        for (int k = 0; k < 10; k++)
            if (k * slab + i < n) codes[k * slab + i] = (uint8_t)(word >> (27 - 3 * k) & 7);
    }
}

static void high_limits(int bits, int *row_multiple, int *col_multiple)
{
    *row_multiple = bits == 3 ? 1 : 8 / bits;
    *col_multiple = 1;
}

static bool high_bytes(int bits, int64_t rows, int64_t cols, size_t *bytes)
{
    if (bits == 3) return pare_mul_size((size_t)(pare_div_up(rows, 10) * cols), 4, bytes);
    *bytes = (size_t)(rows / (8 / bits) * cols);
    return true;
}

static void high_pack(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst)
{
    if (bits == 3) ten_pack(rows * cols, pare_div_up(rows, 10) * cols, codes, dst);
    else strided_pack(bits, rows * cols, rows / (8 / bits) * cols, true, codes, dst);
}

static void high_unpack(int bits, int64_t rows, int64_t cols, const uint8_t *src, uint8_t *codes)
{
    if (bits == 3) ten_unpack(rows * cols, pare_div_up(rows, 10) * cols, src, codes);
    else strided_unpack(bits, rows * cols, rows / (8 / bits) * cols, true, src, codes);
}

const pare_pack_case pare_pack_strided_high = { .rule = PARE_PACK_STRIDED_HIGH, .name = "P3 (strided, high first)",
                                                .bits = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 8, .limits = high_limits,
                                                .bytes = high_bytes, .pack = high_pack, .unpack = high_unpack };

static bool low_bytes(int bits, int64_t rows, int64_t cols, size_t *bytes)
{
    *bytes = (size_t)(pare_div_up(rows, 8 / bits) * cols);
    return true;
}

static void low_pack(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst)
{
    strided_pack(bits, rows * cols, pare_div_up(rows, 8 / bits) * cols, false, codes, dst);
}

static void low_unpack(int bits, int64_t rows, int64_t cols, const uint8_t *src, uint8_t *codes)
{
    strided_unpack(bits, rows * cols, pare_div_up(rows, 8 / bits) * cols, false, src, codes);
}

const pare_pack_case pare_pack_strided_low = { .rule = PARE_PACK_STRIDED_LOW, .name = "P4 (strided, low first)",
                                               .bits = 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8, .row_multiple = 1, .col_multiple = 1,
                                               .bytes = low_bytes, .pack = low_pack, .unpack = low_unpack };
