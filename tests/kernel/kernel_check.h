/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the op checks share. op_<name>.c holds check_<name>(ref, k): runs the op of table k on random and adversarial inputs and
 * compares, byte by byte, with table ref (level 0 with no hand-written variants) and where it is cheap with plain code written in
 * the check. Buffers end at a page that may not be touched and carry canaries before; sizes run over all tails, so that pointers
 * are aligned to nothing but their element.
 */
#ifndef PARE_KERNEL_CHECK_H
#define PARE_KERNEL_CHECK_H
#include "kernel/kernel.h"
#include "support/support.h"

#define PARE_OP(name, ret, args) void check_##name(const pare_kernels *ref, const pare_kernels *k);
#include "kernel/ops.def"
#undef PARE_OP

enum { GUARD_SLOTS = 8, GUARD_BYTES = 1 << 18 };

/* Buffer `slot` of `bytes` bytes that ends at a forbidden page; filled with 0xa5. */
void *guarded(int slot, size_t bytes);
/* The 256 bytes before a buffer are as guarded() left them. */
void assert_canaries(int slot);
void assert_same(const char *what, const pare_kernels *k, int64_t n, const void *want, const void *got, size_t bytes);

uint32_t rnd32(void);
float rnd_normal(void);                 /* mean 0, deviation about 1 */
float rnd_scaled(void);                 /* any exponent, denormals included; finite */
/* Fills x by pattern: 0 normal, 1 any exponent, 2 near and on rounding ties of `scale`, 3 zeros of both signs, 4 huge, 5 denormal, 6 outliers. */
enum { PATTERNS = 7 };
void fill(float *x, int64_t n, int pattern, float scale);

/* Rows for the quantizing ops. */
typedef struct row_case {
    pare_row_quant q;
    int64_t groups;
    int pattern;
    float scale[4096];
    int32_t zero[4096];
} row_case;
/* Case i of ROW_CASES; false when i is past the last. */
bool row_case_make(int i, row_case *c);
#endif
