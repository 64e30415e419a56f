/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm_check.h"
#include <math.h>

enum { C = PARE_GEMM_WIDE * PARE_GEMM_ROWS, STEP = PARE_GEMM_STEP };

static bool is_wide(pare_gemm_form form)
{
    return form == PARE_GEMM_WIDE_BF16 || form == PARE_GEMM_WIDE_I8;
}

static int tokens_of(pare_gemm_form form)
{
    return is_wide(form) ? PARE_GEMM_WIDE : PARE_GEMM_TOKENS;
}

/* Numbers of tokens that are tried: all of 12, those around the tiles' edges of 32. */
enum { TRIED = 12 };
static int tokens_tried(pare_gemm_form form, int i)
{
    static const int wide[TRIED] = { 1, 2, 3, 8, 13, 15, 16, 17, 18, 25, 31, 32 };
    return is_wide(form) ? wide[i] : i + 1;
}

/* Words of x that a segment of this many words of W takes for each token. */
static int padded(pare_gemm_form form, int words)
{
    return is_wide(form) ? (words + STEP - 1) / STEP * STEP : words;
}

/* Where word i of token a is, from where a segment begins. */
static int64_t x_at(pare_gemm_form form, int64_t i, int a)
{
    return is_wide(form) ? (i / STEP * PARE_GEMM_WIDE + a) * STEP + i % STEP : i * PARE_GEMM_TOKENS + a;
}

static float *tile_c(float *before, int n)
{
    float *c = guarded(2, (size_t)n * 4);
    for (int i = 0; i < n; i++) c[i] = before[i] = rnd_normal();
    return c;
}

static const uint32_t *panel_row(const pare_gemm_tile *t, int r)
{
    return t->w + r / 16 * PARE_GEMM_PANEL_WORDS + r % 16;
}

/* The values in a word: 1 (f32) or 2 (bf16). */
static void values(pare_gemm_form form, uint32_t word, double v[2])
{
    const uint32_t low = form == PARE_GEMM_F32 ? word : word << 16, high = form == PARE_GEMM_F32 ? 0 : word & 0xffff0000u;
    float f;
    memcpy(&f, &low, 4), v[0] = f;
    memcpy(&f, &high, 4), v[1] = f;
}

static uint32_t float_word(pare_gemm_form form, int pattern)
{
    float a[2];
    uint32_t u[2];
    for (int i = 0; i < 2; i++) {
        a[i] = pattern == 0 ? rnd_normal() : rnd_normal() * (rnd32() % 16 == 0 ? 1e4f : 1e-4f);
        if (rnd32() % 8 == 0) a[i] = 0;
        memcpy(&u[i], &a[i], 4);
    }
    return form == PARE_GEMM_F32 ? u[0] : (u[0] & 0xffff0000u) | u[1] >> 16;
}

void check_gemm_floats(const pare_kernels *k, void (*tile)(const pare_gemm_tile *), pare_gemm_form form)
{
    static const int lengths[] = { 0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 64, 100, 127, 128 };
    const int slots = tokens_of(form);
    float before[C];
    for (int i = 0; i < 16 * TRIED; i++) {
        const int words = lengths[i / TRIED], tokens = tokens_tried(form, i % TRIED), room = padded(form, words);
        uint32_t *w = guarded(0, (size_t)(PARE_GEMM_PANEL_WORDS + room * PARE_GEMM_PANEL) * 4);
        uint32_t *x = guarded(1, (size_t)(room * slots) * 4);
        for (int j = 0; j < PARE_GEMM_PANEL_WORDS + room * PARE_GEMM_PANEL; j++) w[j] = float_word(form, i % 2);
        for (int j = 0; j < room * slots; j++) x[j] = float_word(form, i / 2 % 2);
        for (int j = words; j < room; j++)
            for (int a = 0; a < slots; a++) x[x_at(form, j, a)] = 0;
        const pare_gemm_tile t = { .w = w, .x = x, .c = tile_c(before, slots * PARE_GEMM_ROWS), .words = words, .tokens = tokens };
        tile(&t);
        assert_canaries(2);
        for (int a = 0; a < tokens; a++)
            for (int r = 0; r < PARE_GEMM_ROWS; r++) {
                double sum = 0, size = 0;
                for (int j = 0; j < words; j++) {
                    double p[2], q[2];
                    values(form, panel_row(&t, r)[j * 16], p);
                    values(form, x[x_at(form, j, a)], q);
                    sum += p[0] * q[0] + p[1] * q[1];
                    size += fabs(p[0] * q[0]) + fabs(p[1] * q[1]);
                }
                const double start = before[a * PARE_GEMM_ROWS + r], got = t.c[a * PARE_GEMM_ROWS + r];
                const double bound = 0x1p-24 * ((2.0 * words + 2) * (size + (is_wide(form) ? fabs(start) : 0)) + 2 * fabs(start + sum)) + 0x1p-126 * words;
                if (!(fabs(got - start - sum) <= bound))
                    fail_msg("tile of form %d at %s: %d words, token %d of %d, row %d: %.9g, not %.9g", (int)form, k->isa, words, a, tokens, r, got, start + sum);
            }
    }
}

static int64_t dot(pare_gemm_form form, uint32_t w, uint32_t x)
{
    int64_t sum = 0;
    if (form == PARE_GEMM_I16) return (int16_t)w * (int16_t)x + (int16_t)(w >> 16) * (int16_t)(x >> 16);
    for (int i = 0; i < 32; i += 8) sum += (form == PARE_GEMM_WIDE_I8 ? (int8_t)(w >> i) : (uint8_t)(w >> i)) * (int8_t)(x >> i);
    return sum;
}

/* Codes: 0 random, 1 all at the ends (where saturation would show), 2 the largest everywhere. */
static uint32_t weight_word(pare_gemm_form form, int bits, int pattern)
{
    const uint32_t top = (1u << bits) - 1;
    uint32_t word = 0;
    for (int i = 0; i < (form == PARE_GEMM_I16 ? 2 : 4); i++) {
        uint32_t u = pattern == 0 ? rnd32() & top : pattern == 1 ? (rnd32() & 1 ? top : 0) : top;
        if (form == PARE_GEMM_I16) u = (uint16_t)(pattern == 0 ? (int)(u - (rnd32() & 255)) : pattern == 1 && u == 0 ? -255 : 255);
        if (form == PARE_GEMM_WIDE_I8) u = pattern == 2 ? 128 : (u + (bits < 8 ? rnd32() % 2 * 128 : 0)) & 255; /* -128 is the largest */
        word |= u << (form == PARE_GEMM_I16 ? 16 * i : 8 * i);
    }
    return word;
}

static uint32_t act_word(pare_gemm_form form, int pattern)
{
    uint32_t word = 0;
    for (int i = 0; i < (form == PARE_GEMM_I16 ? 2 : 4); i++) {
        const int q = pattern == 0 ? (int)(rnd32() % 255) - 127 : pattern == 1 ? (rnd32() & 1 ? 127 : -127) : 127;
        if (form == PARE_GEMM_I16) word |= (uint32_t)(uint16_t)q << 16 * i;
        else word |= (uint32_t)(uint8_t)q << 8 * i;
    }
    return word;
}

typedef struct side { float w_scale[PARE_GEMM_WORDS * 32], w_shift[PARE_GEMM_WORDS * 32], x_scale[PARE_GEMM_WORDS * PARE_GEMM_WIDE]; int32_t w_zero[PARE_GEMM_WORDS * 32], x_sum[PARE_GEMM_WORDS * PARE_GEMM_WIDE], words[PARE_GEMM_WORDS]; } side;

/* Cuts `words` into segments: 0 one, 1 of 32 words, 2 random lengths, 3 one word each; returns how many. */
static int cut(int words, int how, int32_t *at)
{
    int n = 0;
    while (words > 0) {
        int some = how == 0 ? words : how == 1 ? 32 : how == 2 ? 1 + (int)(rnd32() % 20) : 1;
        if (some > words) some = words;
        at[n++] = some;
        words -= some;
    }
    return n;
}

static void compare(const pare_kernels *k, const pare_gemm_tile *t, pare_gemm_form form, const float *before, bool exact)
{
    const int slots = tokens_of(form);
    for (int a = 0; a < t->tokens; a++)
        for (int r = 0; r < PARE_GEMM_ROWS; r++) {
            double want = before[a * PARE_GEMM_ROWS + r], size = fabs(want);
            const uint32_t *w = panel_row(t, r), *x = t->x;
            for (int s = 0; s < t->segments; s++) {
                int64_t d = 0;
                for (int i = 0; i < t->seg_words[s]; i++, w += 16) d += dot(form, *w, x[x_at(form, i, a)]);
                x += padded(form, t->seg_words[s]) * slots;
                const double scale = t->x_scale[s * slots + a], x_sum = t->x_sum ? t->x_sum[s * slots + a] : 0;
                d -= (t->w_zero ? t->w_zero[s * 32 + r] : t->zero) * (int64_t)x_sum;
                const double one = t->w_scale[s * 32 + r] * scale * (double)d, two = t->w_shift ? t->w_shift[s * 32 + r] * scale * x_sum : 0;
                want += one - two;
                size += fabs(one) + fabs(two);
            }
            const double got = t->c[a * PARE_GEMM_ROWS + r];
            if (exact ? got != want : !(fabs(got - want) <= 0x1p-24 * (t->segments + 4) * 2 * size))
                fail_msg("tile of form %d, %d bits at %s: %d words, %d segments, token %d of %d, row %d: %.9g, not %.9g", (int)form, t->bits, k->isa,
                         (int)t->words, t->segments, a, t->tokens, r, got, want);
        }
}

void check_gemm_integers(const pare_kernels *k, void (*tile)(const pare_gemm_tile *), pare_gemm_form form, int bits)
{
    static const int lengths[] = { 0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128 };
    static side e;
    const int slots = tokens_of(form);
    float before[C];
    for (int i = 0; i < 19 * TRIED * 4; i++) {
        const int words = lengths[i / (4 * TRIED)], tokens = tokens_tried(form, i / 4 % TRIED), how = i % 4, pattern = (int)(rnd32() % 3);
        const bool exact = how == 0;
        const int segments = cut(words, how, e.words);
        int x_words = 0, w_words = words, at = 0;
        for (int s = 0; s < segments; at += e.words[s++]) {
            x_words += padded(form, e.words[s]);
            if (at + padded(form, e.words[s]) > w_words) w_words = at + padded(form, e.words[s]);
        }
        uint32_t *w = guarded(0, (size_t)(PARE_GEMM_PANEL_WORDS + w_words * PARE_GEMM_PANEL) * 4), *x = guarded(1, (size_t)(x_words * slots) * 4), *segment = x;
        for (int j = 0; j < PARE_GEMM_PANEL_WORDS + w_words * PARE_GEMM_PANEL; j++) w[j] = weight_word(form, bits, pattern);
        for (int s = 0; s < segments; segment += padded(form, e.words[s++]) * slots)
            for (int j = 0; j < padded(form, e.words[s]); j++)
                for (int a = 0; a < slots; a++) segment[x_at(form, j, a)] = j < e.words[s] ? act_word(form, pattern) : 0;
        for (int j = 0; j < segments * 32; j++) {
            e.w_scale[j] = exact ? 1.0f : fabsf(rnd_normal());
            e.w_shift[j] = rnd_normal();
            e.w_zero[j] = (int32_t)(rnd32() % (1u << bits));
        }
        for (int j = 0; j < segments * slots; j++) {
            e.x_scale[j] = exact ? 1.0f : fabsf(rnd_normal());
            e.x_sum[j] = (int32_t)(rnd32() % 32769) - 16384;
        }
        pare_gemm_tile t = { .w = w, .x = x, .c = tile_c(before, slots * PARE_GEMM_ROWS), .words = words, .tokens = tokens, .bits = bits, .segments = segments,
                             .seg_words = e.words, .w_scale = e.w_scale, .x_scale = e.x_scale, .x_sum = e.x_sum };
        if (exact) memset(t.c, 0, (size_t)(slots * PARE_GEMM_ROWS) * 4), memset(before, 0, sizeof before);
        if (exact ? bits < 8 : (rnd32() & 1) != 0) t.w_zero = e.w_zero;
        else if (form == PARE_GEMM_U8 && (exact || (rnd32() & 1) != 0)) t.zero = 1 << (bits - 1);
        if (!exact && rnd32() % 4 == 0) t.w_shift = e.w_shift;
        if (!t.w_zero && !t.zero && !t.w_shift) t.x_sum = NULL;
        tile(&t);
        assert_canaries(2);
        compare(k, &t, form, before, exact);
    }
}
