/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A linear layer's weight ready to compute with: straight from the mapped file where kernels can read it there, else repacked once,
 * rows at a time, so that no float copy of a quantized layer is ever made.
 */
#ifndef PARE_GRAPH_LINEAR_H
#define PARE_GRAPH_LINEAR_H
#include "base/base.h"
#include "kernel/kernel.h"
#include "kernel/wmat.h"
#include "quant/quant.h"

/* Activations that are quantized and dequantized before the layer computes with them (linear_act.c); act NONE = they are not. */
typedef struct pare_act_sim {
    pare_act act;
    float threshold;        /* OUTLIERS */
    float scale;            /* STATIC_TENSOR; two-level groups: the second level, 0 = each token's own */
    pare_scheme scheme;     /* of float codes: tokens in the place of rows */
    bool int8;              /* codes are int8 per token or tensor, as kernels make them */
    const float *fold;      /* [cols] borrowed, or NULL: x / fold is quantized, and the result multiplied by it */
} pare_act_sim;

typedef struct pare_linear {
    pare_wmat w;
    int32_t *perm;          /* [cols] or NULL: column c of w multiplies x[perm[c]] (act-order of GPTQ) */
    /* W8A8 checkpoints: activations are quantized as the checkpoint says, in every mode. */
    pare_act act;           /* PARE_ACT_NONE, DYNAMIC_TOKEN, STATIC_TENSOR */
    float act_scale;        /* STATIC_TENSOR */
    pare_act_sim sim;       /* other activations than int8 per token or tensor: simulated, in every mode */
    /* f32 values of rows [row0, row0+rows): W_ANY; and kinds whose exact values are not those of the kernels (exact_rows). */
    pare_status (*rows)(const struct pare_linear *l, int64_t row0, int64_t rows, float *out, pare_err *err);
    void *rows_user;
    bool exact_rows;        /* quanto's shift in 16 bits: exact mode takes rows(), fast mode the codes. forward() makes gemm() see W_ANY then */
    pare_qtensor *whole;    /* W_ANY of pare_linear_whole(): the layer, of which rows from whole_row0 on are used */
    int64_t whole_row0;
    uint64_t bytes;         /* that one decoded token reads: codes, scales, zeros */
    void *owned[7];         /* freed with pare_dealloc_aligned */
} pare_linear;

/* Borrowed float rows [rows, cols] (f32, f16, bf16), contiguous. */
pare_status pare_linear_float(pare_linear *l, pare_dtype dtype, int64_t rows, int64_t cols, const void *data, pare_err *err);
/* A transposed one, [cols, rows] in the file (GPT-2's Conv1D): an owned copy in the same dtype. */
pare_status pare_linear_transposed(pare_ctx *ctx, pare_linear *l, pare_dtype dtype, int64_t rows, int64_t cols, const void *data, pare_err *err);
/*
 * Quantized: begin() allocates for the scheme of `like` (a qtensor of some rows of the layer: scheme, zero kind, g_idx), pack() takes the
 * logical rows [row0, row0 + rows of q) and may be called from several threads for different rows. cols, total rows: of the layer.
 * Schemes whose scales cross rows (tensor, tile) are served too; what no kernel kind can hold exactly becomes W_ANY with the
 * rows kept as qtensors.
 */
pare_status pare_linear_begin(pare_linear *l, int64_t rows, int64_t cols, const pare_qtensor *like, pare_err *err);
pare_status pare_linear_pack(pare_linear *l, const pare_kernels *k, int64_t row0, const pare_qtensor *q, pare_err *err);
/* Bytes that begin() takes for the codes of a row, 1 to 8 bits. */
int64_t pare_linear_row_bytes(int bits, int64_t cols);
/*
 * Rows [row0, row0 + rows) of a layer held as it is, for grids that no piece of rows can stand for (pare_grid.flat): W_ANY. Takes q.
 */
pare_status pare_linear_whole(pare_linear *l, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err);
/* Codes, scales and zeros that lie in a file as a wmat says (any alignment): borrowed as they are. Checks sizes and zeros. */
pare_status pare_linear_view(pare_linear *l, const pare_wmat *w, pare_err *err);
/* Takes what a scheme says of activations; input_scale: of the checkpoint, 0 = it has none. */
pare_status pare_linear_set_act(pare_linear *l, const pare_scheme *s, float input_scale, pare_err *err);
/*
 * The same for a weight of any kind, int8 simulated like the rest: a float weight that stands for a quantized layer. fold: scales that are folded into
 * what makes the layer's input, which the loaded model divides by; or NULL.
 */
pare_status pare_linear_simulate_act(pare_linear *l, const pare_scheme *s, float input_scale, const float *fold, pare_err *err);
/* out [n, cols]: what such activations are worth. */
pare_status pare_act_simulate(pare_ctx *ctx, const pare_act_sim *a, int64_t n, int64_t cols, const float *x, int64_t stride, float *out, pare_err *err);
void pare_linear_clear(pare_linear *l);

/* Memory that kernels work in; grows, is reused, belongs to the engine. */
typedef struct pare_workspace {
    void *at;
    size_t bytes;
    bool split; /* walks: in exact mode many tokens meet float weights by bf16 pieces, where the level does: numbers of 16 bits of mantissa, sums in f32 */
} pare_workspace;
pare_status pare_workspace_need(pare_workspace *ws, size_t bytes, void **out, pare_err *err); /* 64-aligned; earlier contents are lost */
void pare_workspace_clear(pare_workspace *ws);

/*
 * y[i][t * y_stride[i] + r] = sum_c W_i[r][c] x[t * x_stride + c] for `count` layers that share the input (q k v; gate up) and n tokens.
 * One parallel region, activations quantized once. Few tokens (n <= PARE_MATVEC_MAX): matvec kernels that read weights once at memory
 * speed; more: gemm blocked for the caches. The result of a token does not depend on the other tokens of the call beyond
 * which of the two paths it took (but for LLM.int8(), whose outlier columns are those of the call), and never on the number of threads.
 */
#define PARE_MATVEC_MAX 8
pare_status pare_linear_forward(pare_ctx *ctx, const pare_linear *const *w, int count, pare_compute mode, int64_t n, const float *x,
                                int64_t x_stride, float *const *y, const int64_t *y_stride, pare_workspace *ws, pare_err *err);
/* Can, and does so, what pare_workspace.split says. In linear_split.c; called by forward(). */
bool pare_linear_can_split(const pare_ctx *ctx, const pare_linear *l, int64_t n);
pare_status pare_linear_split(pare_ctx *ctx, const pare_linear *l, int64_t n, const float *x, int64_t x_stride, float *y, int64_t y_stride, pare_err *err);
/* The second path, in gemm.c; called by the first. Same arguments (perm and activations are its own business). */
pare_status pare_linear_gemm(pare_ctx *ctx, const pare_linear *const *w, int count, pare_compute mode, int64_t n, const float *x,
                             int64_t x_stride, float *const *y, const int64_t *y_stride, pare_workspace *ws, pare_err *err);
#endif
