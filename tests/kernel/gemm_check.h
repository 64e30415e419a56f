/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of the tile ops (op_gemm_tile_*.c). Float tiles are compared with sums in f64 within the bound of f32 sums of that length;
 * integer tiles exactly, as long as scales are 1 and sums stay below 2^24, and within a few roundings otherwise.
 */
#ifndef PARE_GEMM_CHECK_H
#define PARE_GEMM_CHECK_H
#include "kernel_check.h"

void check_gemm_floats(const pare_kernels *k, void (*tile)(const pare_gemm_tile *), pare_gemm_form form);
void check_gemm_integers(const pare_kernels *k, void (*tile)(const pare_gemm_tile *), pare_gemm_form form, int bits);
#endif
