/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiles of 32 rows x 32 tokens in tile registers of 16 x 16 sums. An instruction multiplies 16 tokens by 16 rows by 16 words of columns
 * (bytes: 32768 operations, bf16: 16384) in 16 clocks. bf16: a step is four of them and four tiles that are loaded:
 *
 *                   rows 0-15 (6)  rows 16-31 (7)
 *   tokens 0-15 (4)       0              1
 *   tokens 16-31 (5)      2              3
 *
 * Bytes have to be scaled every 128 columns, two steps. The tokens of a segment stay in registers 4 ... 7 while the rows of all tiles go by,
 * 16 at a time, which is five loads for eight products instead of eight:
 *
 *                  steps 0, 1 in    rows p (3)   rows p + 1 (3)   rows p + 2 (3)
 *   tokens 0-15        4, 6             0              2                1
 *   tokens 16-31       5, 7             1              0                2            and so on
 *
 * Sums go to memory while the products of the next 16 rows are under way (a store that waits for its own sums fills the queue of stores,
 * and nothing behind it begins), and are scaled and added to c beside the products of the next but one.
 */
#include <immintrin.h>
#include "kernel/variants.h"

#define INLINE static inline __attribute__((always_inline))
enum { WIDE = PARE_GEMM_WIDE, STEP = PARE_GEMM_STEP, PANEL = PARE_GEMM_PANEL, ROWS = PARE_GEMM_ROWS, LINE = 64 /* bytes of a tile's row */, TILE = 256 /* its words */ };

typedef struct config { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } config;

/* Up to 16 tokens are in tiles 4, 0 and 1, of only as many rows. All are 0. */
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

/* 16 rows of a segment with their tokens: its words, and how its sums are added to c. Without c there is none. */
typedef struct part {
    const float *w_scale, *w_shift, *x_scale;
    const int32_t *w_zero, *x_sum;
    float *c;
    bool plain;                  /* neither zeros nor shifts */
} part;

INLINE part part_of(const pare_gemm_tile *t, int s, int p)
{
    const int at = s * ROWS + p * PANEL;
    return (part){ .w_scale = t->w_scale + at, .w_shift = t->w_shift ? t->w_shift + at : NULL, .x_scale = t->x_scale + s * WIDE,
                   .w_zero = t->w_zero ? t->w_zero + at : NULL, .x_sum = t->x_sum ? t->x_sum + s * WIDE : NULL, .c = t->c + p * PANEL,
                   .plain = !t->w_zero && !t->w_shift };
}

/* The differences of tokens [from, from + n), scaled and added to c. sum[token][row 16]. */
static __attribute__((noinline)) void add_any(const part *g, const int32_t *sum, int from, int n)
{
    const __m512 w_scale = _mm512_loadu_ps(g->w_scale);
    for (int j = from; j < from + n; j++) {
        __m512i d = _mm512_loadu_si512(sum + j * PANEL);
        if (g->w_zero) d = _mm512_sub_epi32(d, _mm512_mullo_epi32(_mm512_loadu_si512(g->w_zero), _mm512_set1_epi32(g->x_sum[j])));
        __m512 c = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(d), _mm512_set1_ps(g->x_scale[j])), w_scale, _mm512_loadu_ps(g->c + j * ROWS));
        if (g->w_shift) c = _mm512_fnmadd_ps(_mm512_loadu_ps(g->w_shift), _mm512_set1_ps(g->x_scale[j] * (float)g->x_sum[j]), c);
        _mm512_storeu_ps(g->c + j * ROWS, c);
    }
}

/* The same for eight tokens, short where there is only a scale. */
INLINE void add8(const part *g, const int32_t *sum, int from)
{
    if (!g->plain) {
        if (g->c) add_any(g, sum, from, 8);
        return;
    }
    const __m512 w_scale = _mm512_loadu_ps(g->w_scale);
    const float *x_scale = g->x_scale + from;
    float *c = g->c + from * ROWS;
    sum += from * PANEL;
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
        const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(sum + j * PANEL)), _mm512_set1_ps(x_scale[j]));
        _mm512_storeu_ps(c + j * ROWS, _mm512_fmadd_ps(y, w_scale, _mm512_loadu_ps(c + j * ROWS)));
    }
}

/*
 * Products of 16 rows with all tokens of a segment, whose first two steps are in registers, into A (tokens 0 ... 15) and B. B still has
 * the former rows' tokens 0 ... 15 and T their tokens 16 ... 31: they go `to` memory. Behind every product eight tokens of the rows before
 * those are added, from `sum`: a product leaves one of two ports to vectors.
 */
#define ROWS16(A, B, T)                                          \
    do {                                                         \
        _tile_loadd(3, w, LINE);                                 \
        _tile_zero(A);                                           \
        _tile_dpbssd(A, 4, 3);                                   \
        add8(before, sum, 0);                                    \
        _tile_stored(B, to, LINE);                               \
        _tile_zero(B);                                           \
        _tile_dpbssd(B, 5, 3);                                   \
        add8(before, sum, 8);                                    \
        if (steps > 1) {                                         \
            _tile_loadd(3, w + STEP * PANEL, LINE);              \
            _tile_dpbssd(A, 6, 3);                               \
            add8(before, sum, 16);                               \
            _tile_dpbssd(B, 7, 3);                               \
        } else {                                                 \
            add8(before, sum, 16);                               \
        }                                                        \
        add8(before, sum, 24);                                   \
        _tile_stored(T, to + 16 * PANEL, LINE);                  \
        for (int i = 2; i < steps; i++) {                        \
            _tile_loadd(3, w + i * STEP * PANEL, LINE);          \
            _tile_loadd(4, x + i * STEP * WIDE, LINE);           \
            _tile_dpbssd(A, 4, 3);                               \
            _tile_loadd(5, x + i * STEP * WIDE + TILE, LINE);    \
            _tile_dpbssd(B, 5, 3);                               \
        }                                                        \
        if (steps > 2) load_tokens(x, 1);                        \
    } while (0)

/* Tokens of the first steps, at most two. */
INLINE void load_tokens(const uint32_t *x, int steps)
{
    _tile_loadd(4, x, LINE);
    _tile_loadd(5, x + TILE, LINE);
    if (steps < 2) return;
    _tile_loadd(6, x + STEP * WIDE, LINE);
    _tile_loadd(7, x + STEP * WIDE + TILE, LINE);
}

/* What is under way: rows whose sums are in registers, rows whose sums are in memory. */
typedef struct flow {
    int32_t *sum[2];             /* [turn]: of past[turn], [turn ^ 1]: room for those in registers */
    part past[2];
    int turn, at;                /* which registers: 0, 1, 2 of the three ways to call ROWS16 */
} flow;

INLINE void rows16(flow *f, const uint32_t *w, const uint32_t *x, int steps, const part *next)
{
    const part *before = &f->past[f->turn];
    const int32_t *sum = f->sum[f->turn];
    int32_t *to = f->sum[f->turn ^ 1];
    if (f->at == 0) ROWS16(0, 1, 2);
    else if (f->at == 1) ROWS16(2, 0, 1);
    else ROWS16(1, 2, 0);
    f->at = f->at == 2 ? 0 : f->at + 1;
    f->past[f->turn] = *next;
    f->turn ^= 1;
}

static void drain(flow *f, int tokens)
{
    int32_t *to = f->sum[f->turn ^ 1];
    if (f->past[f->turn].c) add_any(&f->past[f->turn], f->sum[f->turn], 0, tokens);
    if (f->at == 0) {
        _tile_stored(1, to, LINE);
        _tile_stored(2, to + 16 * PANEL, LINE);
    } else if (f->at == 1) {
        _tile_stored(0, to, LINE);
        _tile_stored(1, to + 16 * PANEL, LINE);
    } else {
        _tile_stored(2, to, LINE);
        _tile_stored(0, to + 16 * PANEL, LINE);
    }
    if (f->past[f->turn ^ 1].c) add_any(&f->past[f->turn ^ 1], to, 0, tokens);
}

/* `count` tiles of the same tokens. */
INLINE void many_tokens(flow *f, const pare_gemm_tile *t, int count)
{
    const uint32_t *x = t->x;
    int64_t at = 0;
    for (int s = 0; s < t->segments; s++) {
        const int steps = (t->seg_words[s] + STEP - 1) / STEP;
        load_tokens(x, steps);
        for (int i = 0; i < count; i++)
            for (int p = 0; p < 2; p++) {
                const part next = part_of(&t[i], s, p);
                rows16(f, t[i].w + p * PARE_GEMM_PANEL_WORDS + at, x, steps, &next);
            }
        at += t->seg_words[s] * PANEL;
        x += steps * STEP * WIDE;
    }
}

/* Up to 16 tokens. */
static void few_tokens(const pare_gemm_tile *t, int32_t *sum)
{
    const uint32_t *x = t->x;
    int64_t at = 0;
    for (int s = 0; s < t->segments; s++) {
        const int steps = (t->seg_words[s] + STEP - 1) / STEP;
        const uint32_t *w = t->w + at;
        const part low = part_of(t, s, 0), high = part_of(t, s, 1);
        _tile_zero(0);
        _tile_zero(1);
        for (int i = 0; i < steps; i++, w += STEP * PANEL, x += STEP * WIDE) {
            _tile_loadd(4, x, LINE);
            _tile_loadd(6, w, LINE);
            _tile_dpbssd(0, 4, 6);
            _tile_loadd(7, w + PARE_GEMM_PANEL_WORDS, LINE);
            _tile_dpbssd(1, 4, 7);
        }
        _tile_stored(0, sum, LINE);
        _tile_stored(1, sum + 16 * PANEL, LINE);
        add_any(&low, sum, 0, t->tokens);
        add_any(&high, sum + 16 * PANEL, 0, t->tokens);
        at += t->seg_words[s] * PANEL;
    }
}

void pare_gemm_wide_i8_amx(const pare_gemm_tile *t, int count)
{
    _Alignas(64) int32_t sum[2][WIDE * PANEL];
    flow f = { .sum = { sum[0], sum[1] } };
    if (count == 0) return;
    const int tokens = t->tokens;
    configure(tokens);
    for (int i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && t[i + n].x == t[i].x;) n++;
        if (tokens > 16) many_tokens(&f, t + i, n);
        else
            for (int k = i; k < i + n; k++) few_tokens(&t[k], sum[0]);
    }
    if (tokens > 16) drain(&f, tokens);
    _tile_release();
}
