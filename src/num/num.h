/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/num: dtypes.def rows, element conversions and bit packing. Public entry points (pare_convert,
 * pare_pack, ...) are in <pare/pare.h>; here is what other folders need besides.
 */
#ifndef PARE_NUM_H
#define PARE_NUM_H
#include "base/base.h"

/* Scalar conversions, exact for every bit pattern; the truth that kernels are checked against. */
float pare_f16_to_f32(uint16_t h);
uint16_t pare_f32_to_f16(float f);               /* round to nearest even, overflow to inf, NaN kept quiet */
float pare_bf16_to_f32(uint16_t b);
uint16_t pare_f32_to_bf16(float f);
/* 8-bit floats and e2m1 (low nibble): code -> f32, f32 -> code (nearest even; saturate: to the largest finite instead of inf/NaN). */
float pare_f8_to_f32(pare_dtype dtype, uint8_t code);
uint8_t pare_f32_to_f8(pare_dtype dtype, float f, bool saturate);
/* f rounded to a float dtype (f64 = f32: unchanged; 8 bits and below saturating) and back: what a stored scale is worth. */
float pare_round_to(pare_dtype dtype, float f);

/* n elements of any dtype to f32 (through the ctx-free scalar path) and back. Used off the hot path; see kernel/kernel.h for rows. */
pare_status pare_to_f32(float *dst, pare_dtype src_dtype, const void *src, int64_t n, pare_err *err);
pare_status pare_from_f32(void *dst, pare_dtype dst_dtype, const float *src, int64_t n, bool saturate, pare_err *err);

bool pare_dtype_is_float(pare_dtype dtype);      /* f64 ... f4 */
pare_dtype pare_dtype_from_safetensors(const char *name, size_t n);
/* Product of a shape with overflow check; rank 0 gives 1. */
bool pare_shape_numel(int ndim, const int64_t *shape, int64_t *numel);

#define PARE_MAX_DIMS 8

/* Packing without validation of code range, for trusted codes: one row of n codes under PARE_PACK_LSB into ceil(n*bits/8) bytes. */
void pare_pack_lsb_row(int bits, int64_t n, const uint8_t *codes, uint8_t *dst);
void pare_unpack_lsb_row(int bits, int64_t n, const uint8_t *src, uint8_t *codes);

/*
 * P1 into 32-bit words, no validation (codes < 2^bits), bits 1 ... 8; unused high bits of the last word are 0. `codes` is
 * [rows, cols], one byte each; all of them are cache-blocked. dst words are in host order (little-endian hosts).
 *   words    packs along a row                             dst [rows, ceil(cols*bits/32)]      compressed-tensors, AWQ gemv, qzeros
 *   cols     packs down a column                           dst [ceil(rows*bits/32), cols]      zero points of compressed-tensors
 *   words_t  packs along a row, stores the words transposed: dst [ceil(cols*bits/32), rows]    GPTQ qweight from codes [out, in]
 */
int64_t pare_lsb_words(int bits, int64_t n); /* ceil(n*bits/32) */
void pare_pack_lsb_words(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint32_t *dst);
void pare_unpack_lsb_words(int bits, int64_t rows, int64_t cols, const uint32_t *src, uint8_t *codes);
void pare_pack_lsb_cols(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint32_t *dst);
void pare_unpack_lsb_cols(int bits, int64_t rows, int64_t cols, const uint32_t *src, uint8_t *codes);
void pare_pack_lsb_words_t(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint32_t *dst);
void pare_unpack_lsb_words_t(int bits, int64_t rows, int64_t cols, const uint32_t *src, uint8_t *codes);
/* P5 from codes [rows = out, cols = in] straight to AWQ's qweight [cols, rows/8] (rows a multiple of 8), and back. */
void pare_pack_awq_t(int64_t rows, int64_t cols, const uint8_t *codes, uint32_t *dst);
void pare_unpack_awq_t(int64_t rows, int64_t cols, const uint32_t *src, uint8_t *codes);
/* dst [cols, rows] = src [rows, cols] transposed, cache-blocked; src and dst may not overlap. */
void pare_transpose_u8(int64_t rows, int64_t cols, const uint8_t *src, uint8_t *dst);
void pare_transpose_u16(int64_t rows, int64_t cols, const uint16_t *src, uint16_t *dst);
void pare_transpose_u32(int64_t rows, int64_t cols, const uint32_t *src, uint32_t *dst);
#endif
