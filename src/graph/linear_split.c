/* SPDX-License-Identifier: Apache-2.0 */
/* Many tokens times float weights by bf16 pieces: linalg's product with `split`. See linear.h. */
#include "graph/linear.h"
#include "linalg/linalg.h"

bool pare_linear_can_split(const pare_ctx *ctx, const pare_linear *l, int64_t n)
{
    return n > PARE_MATVEC_MAX && (l->w.kind == PARE_W_F32 || l->w.kind == PARE_W_BF16) && !l->perm && l->act == PARE_ACT_NONE && l->sim.act == PARE_ACT_NONE &&
           ctx->kernels->gemm_form(32) == PARE_GEMM_SPLIT;
}

pare_status pare_linear_split(pare_ctx *ctx, const pare_linear *l, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride, pare_err *err)
{
    const bool half = l->w.kind == PARE_W_BF16;
    pare_product p = { .m = n, .n = l->w.rows, .k = l->w.cols, .a = x, .a_row = x_stride, .a_col = 1, .b_row = 1, .b_col = l->w.row_bytes / (half ? 2 : 4), .alpha = 1,
                       .split = true, .c = y, .c_stride = y_stride };
    if (half) p.b_bf16 = (const uint16_t *)(const void *)l->w.data;
    else p.b = (const float *)(const void *)l->w.data;
    return pare_multiply(ctx, &p, err);
}
