/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for files that are compiled once per ISA level. The build defines PARE_LEVEL (ref, avx2, avx512, ...); ref/<op>.c defines
 * `void PARE_REF(op)(...)`, which is pare_<op>_ref_at_avx2 at level avx2, and so on.
 */
#ifndef PARE_KERNEL_LEVEL_H
#define PARE_KERNEL_LEVEL_H
#include "kernel/kernel.h"

#ifndef PARE_LEVEL
#error "compile through kernel.cmake: -DPARE_LEVEL=<level>"
#endif

#define PARE_PASTE_(a, b, c) a##b##c
#define PARE_PASTE(a, b, c) PARE_PASTE_(a, b, c)
#define PARE_TEXT_(a) #a
#define PARE_TEXT(a) PARE_TEXT_(a)

#define PARE_REF(op) PARE_PASTE(pare_##op##_ref, _at_, PARE_LEVEL)
#define PARE_LEVEL_TABLE PARE_PASTE(pare_kernels, _at_, PARE_LEVEL)

#define PARE_OP(name, ret, args) ret PARE_REF(name) args;
#include "kernel/ops.def"
#undef PARE_OP
extern const pare_kernels PARE_LEVEL_TABLE;
#endif
