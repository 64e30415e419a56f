/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activations for the wide tiles of pare_linear_gemm(), x[step of 16 words][token: 32][word]: a token's words of a step lie side by side, so
 * tokens are packed one after the other. Each segment is padded with zeros to whole steps; tokens that are not there are zeros.
 */
#include "graph/gemm_plan.h"
#include <string.h>

enum { STEP_BYTES = PARE_GEMM_STEP * 4, NEXT = PARE_GEMM_WIDE * STEP_BYTES /* from a token's step to its next */ };

/* n bytes of a token into its steps; returns where the next segment begins. */
static uint8_t *put(const void *from, int64_t n, uint8_t *to)
{
    const uint8_t *at = from;
    for (; n >= STEP_BYTES; n -= STEP_BYTES, at += STEP_BYTES, to += NEXT) memcpy(to, at, STEP_BYTES);
    if (n == 0) return to;
    memcpy(to, at, (size_t)n);
    memset(to + n, 0, (size_t)(STEP_BYTES - n));
    return to + NEXT;
}

/* Token t of the group, or zeros where q is NULL. */
static void put_codes(const pare_kernels *k, const pare_gemm_x *x, const pare_gemm_block *b, int t, const int8_t *q, const float *act_scale, uint8_t *to, float *scale,
                      int32_t *sum)
{
    for (int32_t s = b->seg0; s < b->seg0 + b->segments; s++, scale += PARE_GEMM_WIDE, sum += PARE_GEMM_WIDE) {
        const int64_t c = x->seg_col[s], n = x->seg_col[s + 1] - c;
        scale[t] = q ? act_scale[c / x->act_block] : 0;
        sum[t] = q ? k->gemm_sum(q + c, n) : 0;
        if (q) to = put(q + c, n, to);
    }
}

static void put_zeros(const pare_gemm_block *b, uint8_t *to)
{
    for (int32_t i = 0; i < b->x_words; i += PARE_GEMM_STEP, to += NEXT) memset(to, 0, STEP_BYTES);
}

void pare_gemm_x_pack_wide(const pare_kernels *k, pare_gemm_x *x, int64_t n, const float *data, int64_t stride, int64_t g, uint8_t *scratch)
{
    float *row = (float *)(void *)scratch, *act_scale = row + x->cols;
    int8_t *q = (int8_t *)(act_scale + x->act_blocks);
    for (int t = 0; t < PARE_GEMM_WIDE; t++) {
        const int64_t token = g * PARE_GEMM_WIDE + t;
        const bool there = token < n;
        const float *in = data + token * stride;
        if (there && x->integer) {
            if (x->perm) {
                for (int64_t c = 0; c < x->cols; c++) row[c] = in[x->perm[c]];
                in = row;
            }
            k->act_int8(in, x->cols, x->act_block, x->act == PARE_ACT_STATIC_TENSOR ? x->act_scale : 0.0f, q, act_scale);
        }
        for (const pare_gemm_block *b = x->block; b < x->block + x->blocks; b++) {
            uint8_t *to = (uint8_t *)(x->packed + (b->x_word0 * x->groups + g * b->x_words) * PARE_GEMM_WIDE) + t * STEP_BYTES;
            const int64_t side = (b->seg0 * x->groups + g * b->segments) * PARE_GEMM_WIDE;
            if (!there) put_zeros(b, to);
            if (x->integer) {
                put_codes(k, x, b, t, there ? q : NULL, act_scale, to, x->scale + side, x->sum + side);
            } else if (there) {
                uint32_t words[PARE_GEMM_WORDS];
                pare_gemm_x_bf16(k, x, in, b->col0, b->cols, words);
                put(words, b->words * 4, to);
            }
        }
    }
}
