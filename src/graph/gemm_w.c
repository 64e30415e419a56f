/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights for pare_linear_gemm(): 32 rows of one block of columns out of memory into two panels w[word][row 16], once for all tokens.
 * Whole blocks of 16 rows whose codes are what a form wants go there in one step (gemm_codes). Else codes are unpacked to bytes, then
 * widened or dequantized as the form wants, then words are transposed. The wide form of bytes is signed: zero points are taken off here.
 */
#include "graph/gemm_plan.h"
#include "kernel/ref/gemm_codes.h"
#include <string.h>

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static float scale_at(const pare_wmat *w, int64_t i)
{
    if (w->scale_dtype == PARE_F32) {
        float f;
        memcpy(&f, (const uint8_t *)w->scale + i * 4, 4);
        return f;
    }
    uint16_t h;
    memcpy(&h, (const uint8_t *)w->scale + i * 2, 2);
    return w->scale_dtype == PARE_F16 ? pare_f16_to_f32(h) : pare_bf16_to_f32(h);
}

static bool of_bytes(const pare_gemm_x *x)
{
    return x->form == PARE_GEMM_U8 || x->form == PARE_GEMM_WIDE_I8;
}

static bool of_bf16(const pare_gemm_x *x)
{
    return x->form == PARE_GEMM_BF16 || x->form == PARE_GEMM_WIDE_BF16;
}

static int bits_of(const pare_wmat *m)
{
    return m->kind == PARE_W_U4 ? 4 : m->kind == PARE_W_U3 ? 3 : m->kind == PARE_W_U2 ? 2 : 8;
}

/* What the wide form takes off u, so that it is a signed byte: all of the zero point if it can. */
static int32_t taken_off(const pare_wmat *m, int32_t zero)
{
    return bits_of(m) == 8 ? 128 : zero <= 128 ? zero : 0;
}

/* The middle of the codes: the zero point where there is none. */
static int32_t middle_of(const pare_wmat *w)
{
    return 1 << (bits_of(w) - 1);
}

/*
 * What is taken off every byte of codes for a form of bytes, so that it is u, or in the wide form u less `taken_off` where that is one number. Bytes of W_I8 are
 * u - 128 already, and to take 128 off makes them u.
 */
static uint8_t off_of(const pare_wmat *m, const pare_gemm_x *x)
{
    if (bits_of(m) == 8) return (m->kind == PARE_W_I8) == (x->form == PARE_GEMM_U8) ? 128 : 0;
    return x->wide && !m->shift && !m->zero ? (uint8_t)middle_of(m) : 0;
}

/* Does the wide form take another number off each row and group? */
static bool off_differs(const pare_wmat *m, const pare_gemm_x *x)
{
    return x->integer && x->wide && bits_of(m) < 8 && m->zero && !m->shift;
}

static int32_t zero_at(const pare_wmat *w, int64_t i)
{
    return w->shift ? 0 : w->zero ? w->zero[i] : middle_of(w);
}

/*
 * Codes of columns [c0, c0 + n) of a row, one byte each, in *flip what to xor them with to have u: straight from memory, or unpacked
 * from a boundary before c0 where a byte (3 bits: a unit of 256) begins.
 */
static const uint8_t *codes_of(const pare_kernels *k, const pare_wmat *m, int64_t r, int64_t c0, int64_t n, pare_gemm_w *w, uint8_t *flip)
{
    const uint8_t *row = m->data + r * m->row_bytes;
    *flip = m->kind == PARE_W_I8 ? 128 : 0;
    if (m->kind == PARE_W_I8 || m->kind == PARE_W_U8) return row + c0;
    if (m->kind != PARE_W_U3) {
        const int bits = m->kind == PARE_W_U4 ? 4 : 2;
        const int64_t skip = c0 % (8 / bits);
        k->unpack_lsb(bits, n + skip, row + (c0 - skip) * bits / 8, w->codes);
        return w->codes + skip;
    }
    const int64_t skip = c0 % 256;
    for (int64_t at = 0; at < (n + skip + 3) / 4; at++) {
        const uint32_t four = pare_gemm_code_word(3, row, (c0 - skip) / 4 + at);
        memcpy(w->codes + at * 4, &four, 4);
    }
    return w->codes + skip;
}

static const uint8_t *nibbles_of(const pare_kernels *k, const uint8_t *row, int64_t c0, int64_t n, pare_gemm_w *w)
{
    const int64_t skip = c0 % 2;
    k->unpack_lsb(4, n + skip, row + c0 / 2, w->codes);
    return w->codes + skip;
}

/* f32 values of columns [c0, c0 + n) of a row. */
static void floats_of(const pare_kernels *k, const pare_wmat *m, int64_t r, int64_t c0, int64_t n, const float *any, pare_gemm_w *w, float *out)
{
    const uint8_t *row = m->data + r * m->row_bytes, *u;
    uint8_t flip;
    switch (m->kind) {
    case PARE_W_ANY: memcpy(out, any + c0, (size_t)n * 4); return;
    case PARE_W_F32: memcpy(out, row + c0 * 4, (size_t)n * 4); return;
    case PARE_W_F16: k->f16_to_f32(out, (const uint16_t *)(const void *)(row + c0 * 2), n); return;
    case PARE_W_BF16: k->bf16_to_f32(out, (const uint16_t *)(const void *)(row + c0 * 2), n); return;
    case PARE_W_F8: u = row + c0, flip = 0; break;
    case PARE_W_T4: u = nibbles_of(k, row, c0, n, w), flip = 0; break;
    default: u = codes_of(k, m, r, c0, n, w, &flip); break;
    }
    if (flip) {
        for (int64_t i = 0; i < n; i++) w->codes[i] = u[i] ^ flip;
        u = w->codes;
    }
    for (int64_t i = 0; i < n;) {
        const int64_t g = (c0 + i) / m->group, end = min_i64(n, (g + 1) * m->group - c0), at = r / m->scale_rows * m->groups + g;
        const float scale = scale_at(m, at);
        if (m->kind == PARE_W_F8) {
            for (; i < end; i++) out[i] = w->f8[u[i]] * scale;
        } else if (m->kind == PARE_W_T4) {
            for (; i < end; i++) out[i] = m->table[u[i]] * scale;
        } else if (m->shift) {
            for (; i < end; i++) out[i] = (float)u[i] * scale - m->shift[at];
        } else {
            const pare_row_quant q = { .n = end - i, .group = end - i, .bits = 8, .umin = 0, .umax = 255 };
            const int32_t zero = zero_at(m, at);
            k->dequant_row(u + i, &q, &scale, &zero, out + i);
            i = end;
        }
    }
}

/* Words of one row and block in an integer form; each segment padded to whole words. */
static void words_of(const pare_kernels *k, const pare_wmat *m, const pare_gemm_x *x, const pare_gemm_block *b, int64_t r, pare_gemm_w *w, uint32_t *out)
{
    uint8_t flip;
    const uint8_t *u = codes_of(k, m, r, b->col0, b->cols, w, &flip);
    const int64_t first = r / m->scale_rows * m->groups;
    const uint8_t off = off_of(m, x);
    if (of_bytes(x) && off) {
        for (int64_t i = 0; i < b->cols; i++) w->codes[i] = (uint8_t)(u[i] - off);
        u = w->codes;
    }
    for (int32_t s = 0; s < b->segments; s++) {
        const int64_t c0 = x->seg_col[b->seg0 + s], n = x->seg_col[b->seg0 + s + 1] - c0, words = x->seg_words[b->seg0 + s];
        if (n & 3) out[words - 1] = 0;
        if (of_bytes(x)) memcpy(out, u + (c0 - b->col0), (size_t)n);
        else k->gemm_widen(u + (c0 - b->col0), n, flip, zero_at(m, first + w->group[s]), (int16_t *)(void *)out);
        out += words;
    }
}

/* Are 16 rows of a block, as they lie in memory, what gemm_codes takes? */
static bool in_one_step(const pare_wmat *m, const pare_gemm_x *x, const pare_gemm_block *b)
{
    if (of_bf16(x)) return b->cols == b->words * 2;
    if (x->form == PARE_GEMM_F32) return m->kind == PARE_W_F32;
    return of_bytes(x) && b->cols == b->words * 4 && b->col0 % (m->kind == PARE_W_U3 ? 256 : 4) == 0;
}

static void panel_of(const pare_kernels *k, const pare_wmat *m, const pare_gemm_x *x, const pare_gemm_block *b, int64_t r, uint32_t *panel)
{
    const int64_t c = b->col0;
    const bool floats = of_bf16(x) || x->form == PARE_GEMM_F32;
    const int bits = floats ? 8 : bits_of(m);
    const int64_t at = floats ? c * (x->form == PARE_GEMM_F32 ? 4 : 2) : bits == 3 ? c / 256 * 96 : c * bits / 8;
    k->gemm_codes(bits, m->data + r * m->row_bytes + at, m->row_bytes, b->words, floats ? 0 : off_of(m, x), panel);
}

/* Where scales of row r begin. */
static int64_t first_of(const pare_wmat *m, int64_t r)
{
    return (m->scale_rows == 1 ? r : r / m->scale_rows) * m->groups;
}

/* Scales of n rows in every segment of the block; 0 for the rest of 32. */
static void scales_of(const pare_kernels *k, const pare_wmat *m, int segments, int64_t r0, int n, pare_gemm_w *w)
{
    const bool single = m->scale_dtype == PARE_F32;
    uint16_t half[PARE_GEMM_WORDS * PARE_GEMM_ROWS];
    if (n < PARE_GEMM_ROWS) memset(single ? (void *)w->scale : half, 0, (size_t)segments * PARE_GEMM_ROWS * (single ? 4 : 2));
    for (int i = 0; i < n; i++) {
        const int64_t first = first_of(m, r0 + i);
        const uint8_t *from = (const uint8_t *)m->scale + first * (single ? 4 : 2);
        if (single)
            for (int s = 0; s < segments; s++) memcpy(&w->scale[s * PARE_GEMM_ROWS + i], from + (int64_t)w->group[s] * 4, 4);
        else
            for (int s = 0; s < segments; s++) memcpy(&half[s * PARE_GEMM_ROWS + i], from + (int64_t)w->group[s] * 2, 2);
    }
    if (single) return;
    (m->scale_dtype == PARE_F16 ? k->f16_to_f32 : k->bf16_to_f32)(w->scale, half, (int64_t)segments * PARE_GEMM_ROWS);
}

/* Shifts and what is left of zero points of n rows in every segment of the block. */
static void corrections_of(const pare_wmat *m, const pare_gemm_x *x, int segments, int64_t r0, int n, pare_gemm_w *w)
{
    const bool zeros = x->wide ? m->zero || (m->shift && bits_of(m) == 8) : !m->shift && m->zero;
    const size_t all = (size_t)segments * PARE_GEMM_ROWS;
    w->zeros_left = false;
    if (m->shift && n < PARE_GEMM_ROWS) memset(w->shift, 0, all * sizeof *w->shift);
    if (zeros && n < PARE_GEMM_ROWS) memset(w->zero, 0, all * sizeof *w->zero), memset(w->off, 0, all);
    for (int i = 0; i < n; i++) {
        const int64_t first = first_of(m, r0 + i);
        for (int s = 0; m->shift && s < segments; s++) w->shift[s * PARE_GEMM_ROWS + i] = m->shift[first + w->group[s]];
        for (int s = 0; zeros && s < segments; s++) {
            const int at = s * PARE_GEMM_ROWS + i;
            const int32_t zero = zero_at(m, first + w->group[s]), off = x->wide ? taken_off(m, zero) : 0;
            w->zero[at] = zero - off;
            w->off[at] = (int8_t)off;
            if (zero != off) w->zeros_left = true;
        }
    }
}

/* The wide form's panel of rows 16 p ... 16 p + 15: zero points taken off, whole steps of words. */
static void finish_wide(const pare_kernels *k, const pare_wmat *m, const pare_gemm_x *x, const pare_gemm_block *b, int p, pare_gemm_w *w)
{
    uint32_t *panel = w->panel + p * PARE_GEMM_PANEL_WORDS, *at = panel;
    for (int32_t s = 0; off_differs(m, x) && s < b->segments; s++) {
        k->gemm_center(at, x->seg_words[b->seg0 + s], w->off + s * PARE_GEMM_ROWS + p * PARE_GEMM_PANEL);
        at += x->seg_words[b->seg0 + s] * PARE_GEMM_PANEL;
    }
    memset(panel + b->words * PARE_GEMM_PANEL, 0, (size_t)(-b->words & (PARE_GEMM_STEP - 1)) * PARE_GEMM_PANEL * 4);
}

void pare_gemm_w_prefetch(const pare_linear *l, const pare_gemm_block *b, int64_t r0, int n, int64_t turn, int64_t turns)
{
    const pare_wmat *m = &l->w;
    if (m->kind == PARE_W_ANY) return;
    const int64_t first = b->col0 * m->row_bytes / m->cols, bytes = b->cols * m->row_bytes / m->cols;
    for (int64_t r = r0 + turn * n / turns; r < r0 + (turn + 1) * n / turns; r++)
        for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(m->data + r * m->row_bytes + first + at, 0, 2);
}

void pare_gemm_w_pack(const pare_kernels *k, const pare_linear *l, const pare_gemm_x *x, const pare_gemm_block *b, int64_t r0, int n,
                      const float *any, pare_gemm_w *w, pare_gemm_tile *t)
{
    const pare_wmat *m = &l->w;
    const bool whole = in_one_step(m, x, b);
    for (int32_t s = 0; x->integer && s < b->segments; s++) w->group[s] = (int32_t)(x->seg_col[b->seg0 + s] / m->group);
    if (x->integer) {
        scales_of(k, m, b->segments, r0, n, w);
        corrections_of(m, x, b->segments, r0, n, w);
    }
    for (int p = 0; p < 2; p++) {
        const bool step = whole && n >= (p + 1) * PARE_GEMM_PANEL;
        uint32_t *panel = w->panel + p * PARE_GEMM_PANEL_WORDS;
        for (int i = 0; !step && i < PARE_GEMM_PANEL; i++) {
            const int at = p * PARE_GEMM_PANEL + i;
            uint32_t *out = w->rows + i * PARE_GEMM_WORDS;
            if (at >= n) {
                memset(out, 0, PARE_GEMM_WORDS * 4);
                continue;
            }
            if (x->integer) {
                words_of(k, m, x, b, r0 + at, w, out);
            } else if (of_bf16(x)) {
                if (b->cols & 1) out[b->words - 1] = 0;
                memcpy(out, m->data + (r0 + at) * m->row_bytes + (int64_t)b->col0 * 2, (size_t)b->cols * 2);
            } else {
                floats_of(k, m, r0 + at, b->col0, b->cols, any + at * m->cols, w, (float *)(void *)out);
            }
        }
        if (step) panel_of(k, m, x, b, r0 + p * PARE_GEMM_PANEL, panel);
        else k->gemm_transpose(w->rows, PARE_GEMM_WORDS, b->words, panel);
        if (x->wide) finish_wide(k, m, x, b, p, w);
    }
    t->w = w->panel;
    t->words = b->words;
    t->segments = b->segments;
    t->seg_words = x->seg_words + b->seg0;
    t->bits = bits_of(m);
    t->w_scale = w->scale;
    t->w_zero = x->form == PARE_GEMM_U8 ? (m->shift || !m->zero ? NULL : w->zero) : x->integer && x->wide && w->zeros_left ? w->zero : NULL;
    t->zero = x->form == PARE_GEMM_U8 && !m->shift && !m->zero ? middle_of(m) : 0;
    t->w_shift = x->integer && m->shift ? w->shift : NULL;
}
