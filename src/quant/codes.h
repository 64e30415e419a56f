/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/quant: what the integer quantizers share. */
#ifndef PARE_QUANT_CODES_H
#define PARE_QUANT_CODES_H
#include "quant/blocks.h"
#include "quant/range.h"

/* Scratch of a worker in the streaming form, cut out of one piece of memory (pare_row_scratch_bytes). */
typedef struct pare_row_scratch { float *x, *y, *lo, *hi; int32_t *zero; } pare_row_scratch;
size_t pare_row_scratch_bytes(const pare_scheme *scheme, int64_t cols);
void pare_row_scratch_cut(const pare_scheme *scheme, int64_t cols, void *memory, pare_row_scratch *out);

/* Row `row` (0 = first handed over) of `in` as f32: the input itself or converted into s->x. */
pare_status pare_row_values(const pare_kernels *k, const pare_rows_in *in, int64_t row, const pare_row_scratch *s, const float **x, pare_err *err);
/* NaN becomes 0, +-Inf the largest finite magnitude of the row with its sign; the result lies in s->x. */
const float *pare_row_sanitize(const float *x, int64_t n, const pare_row_scratch *s);

/*
 * The streaming form of a quantizer whose rows are independent: each row's values, sanitized, go to fn, which writes codes and scales of row `row` into out and
 * dequantized values into s->y; errors are added here. group: columns that share a scale.
 */
typedef struct pare_row_coder {
    const pare_kernels *k;
    const pare_scheme *scheme;
    int64_t cols, group, groups;
    pare_row_scratch s;
    pare_rows_out *out;
} pare_row_coder;
typedef void (*pare_code_row)(const pare_row_coder *c, void *own, int64_t row, const float *x);
pare_status pare_code_rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_code_row fn, void *own,
                           pare_err *err);

/* codes = clamp(rne(x / scale) + zero, umin, umax) of the whole tensor, over threads. */
pare_status pare_encode_linear(pare_ctx *ctx, const float *x, const pare_ranger *r, pare_qtensor *q, pare_err *err);
/* Copies given scales, rounded to the scheme's dtype, and zero points; refuses what cannot be used. */
pare_status pare_take_given(const float *scales, const int32_t *zeros, pare_qtensor *q, pare_err *err);
/* Calls fn for every block with its values; `arg`'s own state is per block only. */
typedef pare_status (*pare_block_fn)(void *arg, int64_t block, const pare_values *v, pare_err *err);
pare_status pare_for_blocks(pare_ctx *ctx, const float *x, const pare_grid *grid, pare_block_fn fn, void *arg, pare_err *err);
#endif
