/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiles of 32 rows x 32 tokens in four tile registers of 16 x 16 sums. An instruction multiplies 16 tokens by 16 rows by 16 words of
 * columns (bytes: 32768 operations, bf16: 16384) in 16 clocks; a step is four of them and four tiles that are loaded:
 *
 *                   rows 0-15 (6)  rows 16-31 (7)
 *   tokens 0-15 (4)       0              1
 *   tokens 16-31 (5)      2              3
 *
 * Integer sums of a segment go to memory, and while the next segment is summed the vector units scale and add them to c.
 */
#include <immintrin.h>
#include "kernel/variants.h"

#define INLINE static inline __attribute__((always_inline))
enum { WIDE = PARE_GEMM_WIDE, STEP = PARE_GEMM_STEP, PANEL = PARE_GEMM_PANEL, ROWS = PARE_GEMM_ROWS, LINE = 64 /* bytes of a tile's row */, TILE = 256 /* its words */ };

typedef struct config { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } config;

/* Up to 16 tokens are in tiles 4, 0 and 1, of only as many rows. */
INLINE void configure(int tokens)
{
    config c = { .palette = 1 };
    const int first = tokens < 16 ? tokens : 16;
    for (int i = 0; i < 8; i++) c.bytes[i] = LINE, c.rows[i] = 16;
    c.rows[0] = c.rows[1] = c.rows[4] = (uint8_t)first;
    _tile_loadconfig(&c);
}

/* -------------------------------------------------------------------------------------------------------------------- bf16 */

INLINE void bf16_tile(const pare_gemm_tile *t)
{
    const uint32_t *w = t->w, *x = t->x;
    const bool both = t->tokens > 16;
    float *c = t->c;
    _tile_loadd(0, c, ROWS * 4);
    _tile_loadd(1, c + 16, ROWS * 4);
    if (both) {
        _tile_loadd(2, c + 16 * ROWS, ROWS * 4);
        _tile_loadd(3, c + 16 * ROWS + 16, ROWS * 4);
    }
    for (int64_t i = 0; i < t->words; i += STEP, w += STEP * PANEL, x += STEP * WIDE) {
        _tile_loadd(6, w, LINE);
        _tile_loadd(4, x, LINE);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, w + PARE_GEMM_PANEL_WORDS, LINE);
        _tile_dpbf16ps(1, 4, 7);
        if (!both) continue;
        _tile_loadd(5, x + TILE, LINE);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, ROWS * 4);
    _tile_stored(1, c + 16, ROWS * 4);
    if (both) {
        _tile_stored(2, c + 16 * ROWS, ROWS * 4);
        _tile_stored(3, c + 16 * ROWS + 16, ROWS * 4);
    }
}

void pare_gemm_wide_bf16_amx(const pare_gemm_tile *t, int count)
{
    if (count == 0) return;
    configure(t->tokens);
    for (int i = 0; i < count; i++) bf16_tile(&t[i]);
    _tile_release();
}

/* ------------------------------------------------------------------------------------------------------------------- bytes */

/* sum[token][row] of a segment. */
INLINE void sum_segment(const uint32_t *w, const uint32_t *x, int steps, bool both, int32_t *sum)
{
    _tile_zero(0);
    _tile_zero(1);
    if (both) {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int i = 0; i < steps; i++, w += STEP * PANEL, x += STEP * WIDE) {
        _tile_loadd(6, w, LINE);
        _tile_loadd(4, x, LINE);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(7, w + PARE_GEMM_PANEL_WORDS, LINE);
        _tile_dpbssd(1, 4, 7);
        if (!both) continue;
        _tile_loadd(5, x + TILE, LINE);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_stored(0, sum, ROWS * 4);
    _tile_stored(1, sum + 16, ROWS * 4);
    if (both) {
        _tile_stored(2, sum + 16 * ROWS, ROWS * 4);
        _tile_stored(3, sum + 16 * ROWS + 16, ROWS * 4);
    }
}

/* The differences, scaled and added to c, as the other levels do it. zeros, shifts: constants where this is inlined. */
INLINE void add_segment(const pare_gemm_tile *t, int s, const int32_t *sum, const bool zeros, const bool shifts)
{
    const float *w_scale = t->w_scale + s * ROWS, *x_scale = t->x_scale + s * WIDE;
    const int32_t *x_sum = zeros || shifts ? t->x_sum + s * WIDE : NULL;
    const __m512 scale0 = _mm512_loadu_ps(w_scale), scale1 = _mm512_loadu_ps(w_scale + 16);
    __m512i z0 = _mm512_setzero_si512(), z1 = z0;
    __m512 shift0 = _mm512_setzero_ps(), shift1 = shift0;
    if (zeros) z0 = _mm512_loadu_si512(t->w_zero + s * ROWS), z1 = _mm512_loadu_si512(t->w_zero + s * ROWS + 16);
    if (shifts) shift0 = _mm512_loadu_ps(t->w_shift + s * ROWS), shift1 = _mm512_loadu_ps(t->w_shift + s * ROWS + 16);
    float *c = t->c;
    for (int j = 0; j < t->tokens; j++, c += ROWS, sum += ROWS) {
        __m512i d0 = _mm512_loadu_si512(sum), d1 = _mm512_loadu_si512(sum + 16);
        if (zeros) {
            const __m512i q = _mm512_set1_epi32(x_sum[j]);
            d0 = _mm512_sub_epi32(d0, _mm512_mullo_epi32(z0, q));
            d1 = _mm512_sub_epi32(d1, _mm512_mullo_epi32(z1, q));
        }
        const __m512 x = _mm512_set1_ps(x_scale[j]);
        __m512 c0 = _mm512_fmadd_ps(_mm512_mul_ps(scale0, _mm512_cvtepi32_ps(d0)), x, _mm512_loadu_ps(c));
        __m512 c1 = _mm512_fmadd_ps(_mm512_mul_ps(scale1, _mm512_cvtepi32_ps(d1)), x, _mm512_loadu_ps(c + 16));
        if (shifts) {
            const __m512 off = _mm512_set1_ps(x_scale[j] * (float)x_sum[j]);
            c0 = _mm512_fnmadd_ps(shift0, off, c0);
            c1 = _mm512_fnmadd_ps(shift1, off, c1);
        }
        _mm512_storeu_ps(c, c0);
        _mm512_storeu_ps(c + 16, c1);
    }
}

INLINE void add(const pare_gemm_tile *t, int s, const int32_t *sum)
{
    if (t->w_shift) {
        if (t->w_zero) add_segment(t, s, sum, true, true);
        else add_segment(t, s, sum, false, true);
    } else if (t->w_zero) {
        add_segment(t, s, sum, true, false);
    } else {
        add_segment(t, s, sum, false, false);
    }
}

/* All segments of all tiles are one row of work, in which adding is one behind summing. */
void pare_gemm_wide_i8_amx(const pare_gemm_tile *t, int count)
{
    _Alignas(64) int32_t sum[2][WIDE * ROWS];
    const pare_gemm_tile *behind = NULL;
    int behind_s = 0, turn = 0;
    if (count == 0) return;
    configure(t->tokens);
    for (int i = 0; i < count; i++) {
        const uint32_t *w = t[i].w, *x = t[i].x;
        for (int s = 0; s < t[i].segments; s++, turn ^= 1) {
            const int steps = (t[i].seg_words[s] + STEP - 1) / STEP;
            sum_segment(w, x, steps, t[i].tokens > 16, sum[turn]);
            if (behind) add(behind, behind_s, sum[turn ^ 1]);
            behind = &t[i], behind_s = s;
            w += t[i].seg_words[s] * PANEL;
            x += steps * STEP * WIDE;
        }
    }
    _tile_release();
    if (behind) add(behind, behind_s, sum[turn ^ 1]);
}
