/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of layers whose values no kernel computes: decoded to f32 a few at a time. */
#include "graph/linear_pack.h"
#include "kernel/ref/matvec.h"

/* W = rnd(rnd(u * s) - t), as optimum-quanto computes in 16 bits; only 2^bits values a group. */
pare_status pare_linear_rows_shift(const pare_linear *l, int64_t row0, int64_t rows, float *out, pare_err *err)
{
    const pare_linear_store *store = l->rows_user;
    pare_wmat w = l->w;
    (void)err;
    w.kind = store->kind;
    const int codes = w.kind == PARE_W_U4 ? 16 : w.kind == PARE_W_U3 ? 8 : w.kind == PARE_W_U2 ? 4 : 256;
    float values[256];
    for (int64_t r = row0; r < row0 + rows; r++, out += w.cols) {
        const uint8_t *row = w.data + r * w.row_bytes;
        for (int64_t c = 0; c < w.cols;) {
            const int64_t g = c / w.group, at = r / w.scale_rows * w.groups + g, end = (g + 1) * w.group < w.cols ? (g + 1) * w.group : w.cols;
            const float scale = pare_wmat_scale(&w, at);
            for (int u = 0; u < codes && end - c >= codes; u++)
                values[u] = pare_round_to(store->round, pare_round_to(store->round, (float)u * scale) - w.shift[at]);
            const bool table = end - c >= codes;
            for (; c < end; c++) {
                const int32_t u = pare_wmat_code(&w, row, c);
                out[c] = table ? values[u] : pare_round_to(store->round, pare_round_to(store->round, (float)u * scale) - w.shift[at]);
            }
        }
    }
    return PARE_OK;
}

pare_status pare_linear_rows_whole(const pare_linear *l, int64_t row0, int64_t rows, float *out, pare_err *err)
{
    return pare_qtensor_dequant_rows(pare_kernels_get(NULL), l->whole, l->whole_row0 + row0, rows, out, err);
}

pare_status pare_linear_rows_index(const pare_linear *l, int64_t row0, int64_t rows, float *out, pare_err *err)
{
    const pare_linear_store *store = l->rows_user;
    const pare_wmat *w = &l->w;
    (void)err;
    for (int64_t r = row0; r < row0 + rows; r++, out += w->cols) {
        const uint8_t *u = w->data + r * w->row_bytes;
        const int32_t *zero = store->zero + r * w->groups;
        for (int64_t c = 0; c < w->cols; c++) {
            const int64_t g = store->g_idx[c];
            out[c] = (float)(u[c] - zero[g]) * pare_wmat_scale(w, r * w->groups + g);
        }
    }
    return PARE_OK;
}
