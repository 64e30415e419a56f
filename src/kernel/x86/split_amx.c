/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products by bf16 pieces in tile registers: 32 x 32 of C in four tiles, 12 tile products for 32 of depth and eight tiles that are loaded:
 *
 *   low A, high B     high A, high B     high A, low B
 */
#include <immintrin.h>
#include "kernel/x86/transpose16.h"
#include "kernel/variants.h"

#define INLINE static inline __attribute__((always_inline))
enum { ITEMS = PARE_SPLIT_ITEMS, DEPTH = PARE_SPLIT_DEPTH, TILE = PARE_SPLIT_TILE, LINE = 64 /* bytes of a tile's row */ };

/* ----------------------------------------------------------------------------------------------------------------- packing */

/* 16 floats to bf16 in the low halves of words. */
INLINE __m512i round16(__m512 x)
{
    return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
}

/* Both pieces of words whose low halves come of x0 and high halves of x1. */
INLINE void split(__m512 x0, __m512 x1, __m512i *high, __m512i *low)
{
    const __m512i h0 = _mm512_slli_epi32(round16(x0), 16), h1 = _mm512_slli_epi32(round16(x1), 16);
    const __m512i l0 = round16(_mm512_sub_ps(x0, (__m512)h0)), l1 = round16(_mm512_sub_ps(x1, (__m512)h1));
    *high = _mm512_or_si512(_mm512_srli_epi32(h0, 16), h1);
    *low = _mm512_or_si512(l0, _mm512_slli_epi32(l1, 16));
}

INLINE void put(__m512i v[16], bool turn, uint32_t *to)
{
    if (turn) transpose16(v);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) _mm512_storeu_si512(to + i * ITEMS, v[i]);
}

INLINE __mmask16 first(int64_t n)
{
    return n >= 16 ? (__mmask16)0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

void pare_split_pack_amx(const float *x, int64_t item_stride, int64_t depth_stride, int64_t items, int64_t depth, bool pairs_first, uint32_t *out)
{
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0), odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    for (int64_t l = 0; l < depth; l += DEPTH, out += 2 * TILE) {
        __m512i high[16], low[16];
        if (item_stride == 1) { /* a pair of the depth at a time */
            const __mmask16 there = first(items);
            const float *from = x + l * depth_stride;
            for (int p = 0; p < 16; p++, from += 2 * depth_stride) {
                const __m512 x0 = _mm512_maskz_loadu_ps(l + 2 * p < depth ? there : 0, from);
                const __m512 x1 = _mm512_maskz_loadu_ps(l + 2 * p + 1 < depth ? there : 0, from + depth_stride);
                split(x0, x1, &high[p], &low[p]);
            }
        } else {
            const __mmask16 m0 = first(depth - l), m1 = first(depth - l - 16);
            for (int i = 0; i < 16; i++) {
                const float *from = x + i * item_stride + l;
                const __m512 a = _mm512_maskz_loadu_ps(i < items ? m0 : 0, from), b = _mm512_maskz_loadu_ps(i < items ? m1 : 0, from + 16);
                split(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b), &high[i], &low[i]);
            }
        }
        const bool turn = (item_stride == 1) != pairs_first;
        put(high, turn, out);
        put(low, turn, out + TILE);
    }
}

/* --------------------------------------------------------------------------------------------------------------- multiplying */

typedef struct config { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } config;

#define DOT_ALL            \
    _tile_dpbf16ps(0, 4, 6); \
    _tile_dpbf16ps(1, 4, 7); \
    _tile_dpbf16ps(2, 5, 6); \
    _tile_dpbf16ps(3, 5, 7)

/* sum[2][2][16][16] = 32 rows times 32 columns */
INLINE void multiply_32(const uint32_t *a, const uint32_t *b, int64_t tiles, float *sum)
{
    const int64_t next = tiles * 2 * TILE;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t t = 0; t < tiles; t++, a += 2 * TILE, b += 2 * TILE) {
        _tile_loadd(6, b, LINE);
        _tile_loadd(7, b + next, LINE);
        _tile_loadd(4, a + TILE, LINE);
        _tile_loadd(5, a + next + TILE, LINE);
        DOT_ALL;
        _tile_loadd(4, a, LINE);
        _tile_loadd(5, a + next, LINE);
        DOT_ALL;
        _tile_loadd(6, b + TILE, LINE);
        _tile_loadd(7, b + next + TILE, LINE);
        DOT_ALL;
    }
    _tile_stored(0, sum, LINE);
    _tile_stored(1, sum + TILE, LINE);
    _tile_stored(2, sum + 2 * TILE, LINE);
    _tile_stored(3, sum + 3 * TILE, LINE);
}

void pare_split_multiply_amx(const pare_split_block *s)
{
    const int64_t tiles = (s->depth + DEPTH - 1) / DEPTH, item = tiles * 2 * TILE;
    const __m512 alpha = _mm512_set1_ps(s->alpha);
    _Alignas(64) float sum[4 * TILE];
    config c = { .palette = 1 };
    for (int i = 0; i < 8; i++) c.bytes[i] = LINE, c.rows[i] = ITEMS;
    _tile_loadconfig(&c);
    for (int64_t j = 0; j < s->cols; j += 2 * ITEMS)
        for (int64_t i = 0; i < s->rows; i += 2 * ITEMS) {
            for (int64_t r = 0; r < 2 * ITEMS && i + r < s->rows; r++) { /* rows of C often share their places in the caches */
                const float *to = s->c + (i + r) * s->c_stride + j;
                _mm_prefetch((const char *)to, _MM_HINT_T0);
                _mm_prefetch((const char *)(to + ITEMS), _MM_HINT_T0);
            }
            multiply_32(s->a + i / ITEMS * item, s->b + j / ITEMS * item, tiles, sum);
            const __mmask16 m[2] = { first(s->cols - j), first(s->cols - j - ITEMS) };
            for (int64_t r = 0; r < 2 * ITEMS && i + r < s->rows; r++)
                for (int h = 0; h < 2; h++) {
                    float *to = s->c + (i + r) * s->c_stride + j + h * ITEMS;
                    const __m512 v = _mm512_mul_ps(alpha, _mm512_load_ps(sum + (r / ITEMS * 2 + h) * TILE + r % ITEMS * ITEMS));
                    _mm512_mask_storeu_ps(to, m[h], s->add ? _mm512_add_ps(_mm512_maskz_loadu_ps(m[h], to), v) : v);
                }
        }
    _tile_release();
}
