/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm_check.h"

static const pare_kernels *kernels;

/* The tile, one of the same tokens and one of equal tokens elsewhere, each with a result of its own: all are the same in the end. */
static void three(const pare_gemm_tile *t)
{
    static uint32_t x[PARE_GEMM_WORDS * PARE_GEMM_STEP * PARE_GEMM_WIDE]; /* a segment has at least one word, and takes whole steps */
    const size_t bytes = (size_t)t->tokens * PARE_GEMM_ROWS * sizeof(float);
    float copy[2][PARE_GEMM_WIDE * PARE_GEMM_ROWS];
    pare_gemm_tile all[3] = { *t, *t, *t };
    size_t words = 0;
    for (int s = 0; s < t->segments; s++) words += (size_t)(t->seg_words[s] + PARE_GEMM_STEP - 1) / PARE_GEMM_STEP * PARE_GEMM_STEP * PARE_GEMM_WIDE;
    memcpy(x, t->x, words * 4);
    memset(copy, 0, sizeof copy); /* what is behind the tokens means nothing, but is there */
    for (int i = 0; i < 2; i++) memcpy(copy[i], t->c, bytes), all[i + 1].c = copy[i];
    all[2].x = x;
    kernels->gemm_wide_i8(all, 3);
    for (int i = 0; i < 2; i++) assert_memory_equal(copy[i], t->c, bytes);
}

void check_gemm_wide_i8(const pare_kernels *ref, const pare_kernels *k)
{
    static const int bits[] = { 2, 3, 4, 8 };
    (void)ref;
    kernels = k;
    k->gemm_wide_i8(NULL, 0);
    for (int i = 0; i < 4; i++) check_gemm_integers(k, three, PARE_GEMM_WIDE_I8, bits[i]);
}
