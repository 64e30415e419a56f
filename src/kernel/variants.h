/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations of hand-written variants, one for each op and level, used or not: a variant of the wrong type does not compile. */
#ifndef PARE_KERNEL_VARIANTS_H
#define PARE_KERNEL_VARIANTS_H
#include "kernel/kernel.h"

#define PARE_OP(name, ret, args)    \
    ret pare_##name##_avx2 args;    \
    ret pare_##name##_avx512 args;  \
    ret pare_##name##_amx args;
#include "kernel/ops.def"
#undef PARE_OP
#endif
