/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/quant: scale and float zero point of a block. */
#ifndef PARE_QUANT_ZERO_H
#define PARE_QUANT_ZERO_H
#include "quant/codes.h"

typedef struct pare_zeroer { int umax; pare_dtype dtype; bool clip; } pare_zeroer;
void pare_zeroer_init(const pare_scheme *scheme, pare_zeroer *z);
/* Scale and zero of n values, as stored; search included. weight: of each squared error, NULL = 1. */
void pare_zeroer_find(const pare_zeroer *z, const pare_kernels *k, const float *x, const float *weight, int64_t n, float *scale, float *zero);
#endif
