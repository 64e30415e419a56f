/* SPDX-License-Identifier: Apache-2.0 */
/* Forms are a property of the level: AMX has tiles; VNNI multiplies unsigned by signed bytes exactly; maddubs of AVX2 does so up to 4 bits. */
#include "kernel/level.h"

pare_gemm_form PARE_REF(gemm_form)(int bits)
{
#ifdef __AMX_INT8__
    if (bits == 32) return PARE_GEMM_SPLIT;
    return bits > 8 ? PARE_GEMM_WIDE_BF16 : PARE_GEMM_WIDE_I8;
#else
    if (bits == 32) return PARE_GEMM_F32;
#endif
#ifdef __AVX512BF16__
    if (bits > 8) return PARE_GEMM_BF16;
#else
    if (bits > 8) return PARE_GEMM_F32;
#endif
#if defined(__AVX2__) && !defined(__AVX512VNNI__)
    if (bits > 4) return PARE_GEMM_I16;
#endif
    return PARE_GEMM_U8;
}
