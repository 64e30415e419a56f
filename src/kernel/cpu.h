/* SPDX-License-Identifier: Apache-2.0 */
/* What this CPU can run, asked from CPUID and XGETBV directly (the operating system must save the registers too). */
#ifndef PARE_KERNEL_CPU_H
#define PARE_KERNEL_CPU_H
#include <stdint.h>

enum {
    PARE_CPU_AVX2 = 1 << 0,
    PARE_CPU_FMA = 1 << 1,
    PARE_CPU_F16C = 1 << 2,
    PARE_CPU_BMI2 = 1 << 3,
    PARE_CPU_AVX512 = 1 << 4,      /* F, BW, VL, DQ */
    PARE_CPU_AVX512_VNNI = 1 << 5,
    PARE_CPU_AVX512_BF16 = 1 << 6,
    PARE_CPU_AVX512_VBMI = 1 << 7,
    PARE_CPU_GFNI = 1 << 8,
    PARE_CPU_AMX = 1 << 9           /* tiles, their products of bytes and bf16, and the system's leave to use them */
};

uint32_t pare_cpu_bits(void);
#endif
