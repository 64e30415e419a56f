/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"
#include "kernel/ref/gemm_codes.h"

void PARE_REF(gemm_codes)(int bits, const uint8_t *rows, int64_t stride, int64_t words, uint8_t off, uint32_t *panel)
{
    switch (bits) {
    case 2: pare_gemm_code_words(2, rows, stride, 0, words, off, panel); return;
    case 3: pare_gemm_code_words(3, rows, stride, 0, words, off, panel); return;
    case 4: pare_gemm_code_words(4, rows, stride, 0, words, off, panel); return;
    default: pare_gemm_code_words(8, rows, stride, 0, words, off, panel); return;
    }
}
