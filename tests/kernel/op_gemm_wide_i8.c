/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm_check.h"

static const pare_kernels *kernels;

/* The tile and a copy of it with a result of its own: both are the same in the end. */
static void two(const pare_gemm_tile *t)
{
    const size_t bytes = (size_t)t->tokens * PARE_GEMM_ROWS * sizeof(float);
    float copy[PARE_GEMM_WIDE * PARE_GEMM_ROWS];
    pare_gemm_tile both[2] = { *t, *t };
    memcpy(copy, t->c, bytes);
    both[1].c = copy;
    kernels->gemm_wide_i8(both, 2);
    assert_memory_equal(copy, t->c, bytes);
}

void check_gemm_wide_i8(const pare_kernels *ref, const pare_kernels *k)
{
    static const int bits[] = { 2, 3, 4, 8 };
    (void)ref;
    kernels = k;
    k->gemm_wide_i8(NULL, 0);
    for (int i = 0; i < 4; i++) check_gemm_integers(k, two, PARE_GEMM_WIDE_I8, bits[i]);
}
