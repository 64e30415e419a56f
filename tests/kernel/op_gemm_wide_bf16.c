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
    kernels->gemm_wide_bf16(both, 2);
    assert_memory_equal(copy, t->c, bytes);
}

void check_gemm_wide_bf16(const pare_kernels *ref, const pare_kernels *k)
{
    (void)ref;
    kernels = k;
    k->gemm_wide_bf16(NULL, 0);
    check_gemm_floats(k, two, PARE_GEMM_WIDE_BF16);
}
