/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot loops on plain pointers, one table slot an op (ops.def). src/kernel/ref/<op>.c is the truth and is compiled once per ISA
 * level; src/kernel/x86/<op>_<isa>.c may override a slot at its level. Every result is bit-identical at every level:
 * reductions keep a canonical order (16 strided partial sums, then a fixed tree) and divisions are real divisions (or
 * proven equal to them).
 */
#ifndef PARE_KERNEL_H
#define PARE_KERNEL_H
#include "base/base.h"
#include "kernel/nn.h"
#include "kernel/wmat.h"
#include "num/num.h"

/* One row cut into groups: what quantizing needs to know. Unsigned codes u in [umin, umax]; W = (u - zero) * scale. */
typedef struct pare_row_quant {
    int64_t n;             /* elements in the row */
    int64_t group;         /* elements per scale; n for one scale a row; the last group may be shorter */
    int bits;
    int umin, umax;        /* clamp range of codes */
} pare_row_quant;

/*
 * Sixteen values a 4-bit code can stand for: W = value[code] * scale. The code of x is code[k], k = how many of the 15 cuts, ascending, are below
 * t = x / scale, or with `reciprocal` t = x * (1 / max(scale, 1e-38)), as bitsandbytes has it. A cut is the last t that goes down.
 */
typedef struct pare_table16 { float value[16], cut[15]; uint8_t code[16]; bool reciprocal; } pare_table16;
/* v = value of the code of x: weighted sums of x * v and v * v */
typedef struct pare_table_sums { double xv, vv; } pare_table_sums;

/* For codes u of W = (u - zero) * scale with a float zero: weighted sums of 1, u, u^2, x, x u, x^2 */
typedef struct pare_zero_sums { double w, u, uu, x, xu, xx; } pare_zero_sums;

/* Sums of one row or block, canonical order; signal and noise in f64. */
typedef struct pare_row_error { double signal, noise, cross, abs_sum, max_abs; double dq2; } pare_row_error;

#define PARE_OP(name, ret, args) typedef ret (*pare_##name##_fn) args;
#include "kernel/ops.def"
#undef PARE_OP

typedef struct pare_kernels {
    const char *isa;
#define PARE_OP(name, ret, args) pare_##name##_fn name;
#include "kernel/ops.def"
#undef PARE_OP
    /* Which variant fills each slot ("ref@avx2", "x86/quant_row_avx2"), for `pare list kernels`; in ops.def order. */
#define PARE_OP(name, ret, args) const char *name##_variant;
#include "kernel/ops.def"
#undef PARE_OP
} pare_kernels;

/* Table of a level; NULL name = best. NULL result: unknown or not available on this CPU. Tables are filled once, then const. */
const pare_kernels *pare_kernels_get(const char *isa);
/* Names of all levels compiled in, and whether each runs here; returns the count. */
int pare_kernels_levels(const char *names[], bool available[], int max);
#endif
