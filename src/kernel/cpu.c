/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU detection. x86: CPUID leaf 1 (FMA, OSXSAVE, AVX, F16C), leaf 7.0 (AVX2, BMI2, AVX-512 and its parts, GFNI), leaf 7.1 (AVX512_BF16);
 * XCR0 bits 1, 2 (XMM, YMM), 5..7 (opmask, ZMM) and 17, 18 (tiles) say what the operating system saves. Intel SDM vol. 1 ch. 14, vol. 2A CPUID.
 * Linux gives a process room for tiles only when it has asked for it (arch_prctl, Documentation/arch/x86/xstate.rst).
 */
#include "kernel/cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

static int may_use_tiles(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#else
static int may_use_tiles(void)
{
    return 0;
}
#endif

static uint64_t xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0)); /* xgetbv */
    return (uint64_t)high << 32 | low;
}

uint32_t pare_cpu_bits(void)
{
    uint32_t a, b, c, d, bits = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    const int osxsave = c >> 27 & 1, avx = c >> 28 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;
    if (!osxsave || !avx) return 0;
    const uint64_t saved = xcr0();
    if ((saved & 0x6) != 0x6) return 0;
    if (fma) bits |= PARE_CPU_FMA;
    if (f16c) bits |= PARE_CPU_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return bits;
    const uint32_t subleaves = a;
    if (b >> 5 & 1) bits |= PARE_CPU_AVX2;
    if (b >> 8 & 1) bits |= PARE_CPU_BMI2;
    if ((saved & 0xe6) != 0xe6) return bits;
    const int f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1;
    if (!(f && dq && bw && vl)) return bits;
    bits |= PARE_CPU_AVX512;
    if (c >> 11 & 1) bits |= PARE_CPU_AVX512_VNNI;
    if (c >> 1 & 1) bits |= PARE_CPU_AVX512_VBMI;
    if (c >> 8 & 1) bits |= PARE_CPU_GFNI;
    const int tiles = d >> 24 & 1, tiles_bf16 = d >> 22 & 1, tiles_bytes = d >> 25 & 1;
    if (tiles && tiles_bf16 && tiles_bytes && (saved & 0x60000) == 0x60000 && may_use_tiles()) bits |= PARE_CPU_AMX;
    if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1)) bits |= PARE_CPU_AVX512_BF16;
    return bits;
}
#else
uint32_t pare_cpu_bits(void)
{
    return 0;
}
#endif
