/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix transposition in tiles that fill whole cache lines on both sides. Bytes: 8x8 blocks in eight 64-bit registers, by three
 * rounds of exchanging halves, quarters and eighths (Hacker's Delight, section 7-3).
 */
#include "num/num.h"
#include "num/num_inl.h"

static inline void exchange(uint64_t *a, uint64_t *b, int shift, uint64_t mask)
{
    const uint64_t t = ((*a >> shift) ^ *b) & mask;
    *b ^= t;
    *a ^= t << shift;
}

static void transpose_8x8(const uint8_t *src, int64_t src_stride, uint8_t *dst, int64_t dst_stride)
{
    uint64_t x[8];
    for (int i = 0; i < 8; i++) memcpy(&x[i], src + i * src_stride, 8);
    for (int i = 0; i < 4; i++) exchange(&x[i], &x[i + 4], 32, 0x00000000ffffffffu);
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) exchange(&x[i + j], &x[i + j + 2], 16, 0x0000ffff0000ffffu);
    for (int i = 0; i < 8; i += 2) exchange(&x[i], &x[i + 1], 8, 0x00ff00ff00ff00ffu);
    for (int i = 0; i < 8; i++) memcpy(dst + i * dst_stride, &x[i], 8);
}

#define TILE 64

void pare_transpose_u8(int64_t rows, int64_t cols, const uint8_t *src, uint8_t *dst)
{
    for (int64_t r0 = 0; r0 < rows; r0 += TILE)
        for (int64_t c0 = 0; c0 < cols; c0 += TILE) {
            const int64_t r1 = rows - r0 < TILE ? rows : r0 + TILE, c1 = cols - c0 < TILE ? cols : c0 + TILE;
            const int64_t r8 = r0 + (r1 - r0) / 8 * 8, c8 = c0 + (c1 - c0) / 8 * 8;
            for (int64_t c = c0; c < c8; c += 8)
                for (int64_t r = r0; r < r8; r += 8) transpose_8x8(src + r * cols + c, cols, dst + c * rows + r, rows);
            for (int64_t c = c0; c < c1; c++)
                for (int64_t r = c < c8 ? r8 : r0; r < r1; r++) dst[c * rows + r] = src[r * cols + c];
        }
}

#define TRANSPOSE(NAME, T, SIDE)                                                                                       \
    void NAME(int64_t rows, int64_t cols, const T *src, T *dst)                                                        \
    {                                                                                                                  \
        for (int64_t r0 = 0; r0 < rows; r0 += SIDE)                                                                    \
            for (int64_t c0 = 0; c0 < cols; c0 += SIDE) {                                                              \
                const int64_t r1 = rows - r0 < SIDE ? rows : r0 + SIDE, c1 = cols - c0 < SIDE ? cols : c0 + SIDE;      \
                for (int64_t c = c0; c < c1; c++)                                                                      \
                    for (int64_t r = r0; r < r1; r++) dst[c * rows + r] = src[r * cols + c];                           \
            }                                                                                                          \
    }
TRANSPOSE(pare_transpose_u16, uint16_t, 32)
TRANSPOSE(pare_transpose_u32, uint32_t, 32)
