/* SPDX-License-Identifier: Apache-2.0 */
/* 16 x 16 words transposed in registers, 64 shuffles: what packing for tiles begins with (gemm_pack_avx512.c, split_amx.c). */
#ifndef PARE_KERNEL_X86_TRANSPOSE16_H
#define PARE_KERNEL_X86_TRANSPOSE16_H
#include <immintrin.h>

/* v[i] = word i of rows 0 ... 15; on entry v[r] = words 0 ... 15 of row r. */
static inline __attribute__((always_inline)) void transpose16(__m512i v[16])
{
    __m512i a[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) a[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]), a[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    /* rows 4j ... 4j + 3: v[4j + k] holds word 4q + k of them in its part q of 128 bits */
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        v[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]), v[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]), v[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        a[k] = _mm512_shuffle_i32x4(v[k], v[k + 4], 0x88), a[k + 4] = _mm512_shuffle_i32x4(v[k], v[k + 4], 0xdd);
        a[k + 8] = _mm512_shuffle_i32x4(v[k + 8], v[k + 12], 0x88), a[k + 12] = _mm512_shuffle_i32x4(v[k + 8], v[k + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        v[k] = _mm512_shuffle_i32x4(a[k], a[k + 8], 0x88), v[k + 8] = _mm512_shuffle_i32x4(a[k], a[k + 8], 0xdd);
        v[k + 4] = _mm512_shuffle_i32x4(a[k + 4], a[k + 12], 0x88), v[k + 12] = _mm512_shuffle_i32x4(a[k + 4], a[k + 12], 0xdd);
    }
}
#endif
