/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once per ISA level: the table of that level's recompiled references. dispatch.c puts hand-written variants over it. */
#include "kernel/level.h"

const pare_kernels PARE_LEVEL_TABLE = {
    .isa = PARE_TEXT(PARE_LEVEL),
#define PARE_OP(name, ret, args) .name = PARE_REF(name), .name##_variant = "ref@" PARE_TEXT(PARE_LEVEL),
#include "kernel/ops.def"
#undef PARE_OP
};
