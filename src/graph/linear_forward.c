/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forward pass for a few tokens: activations are brought into the form that the layers want (once for layers that want the same),
 * then rows of all layers are computed in one parallel loop of stretches. Many tokens go to pare_linear_gemm().
 *
 *   weights                      mode                       activations
 *   f32 f16 f8, W_ANY            any                        f32
 *   bf16                         fast, bf16 / exact         f32 rounded to bf16 / f32
 *   codes                        fast, or act != NONE       int8 in blocks, or as the checkpoint says
 *   codes                        exact, bf16                fixed point (kernel/wmat.h)
 *   codes with a rounded shift   fast / exact, bf16         int8 in blocks / f32 times decoded rows
 *   f32, bf16                    split (walks), many tokens bf16 pieces of f32: linear_split.c; else as exact
 *   any, with pare_act_sim       any                        what the scheme makes of them, then as exact mode
 */
#include <string.h>
#include "graph/linear.h"

enum { LAYERS = 16, ROWS_AT_ONCE = 8, UNIT_BYTES = 16 << 10 /* of weights, about: the least that a thread takes */ };

/* One form of the activations; layers that agree in all but the arrays share it. */
typedef struct form {
    enum { AS_FLOAT, AS_INT } as;
    const int32_t *perm;
    bool round;                  /* AS_FLOAT: to bf16 */
    pare_wkind kind;             /* AS_INT: whose order (I8 for both byte kinds) */
    int limbs;
    pare_act act;
    float act_scale;
    pare_mvact q;
    const float *x;              /* AS_FLOAT */
    int64_t x_stride;
    size_t at, bytes;            /* place in the workspace; 0 bytes: the caller's x serves */
} form;

typedef struct job {
    pare_ctx *ctx;
    pare_linear any[LAYERS];     /* layers with exact_rows as exact mode sees them */
    const pare_linear *layer[LAYERS];
    int form_of[LAYERS];
    int64_t unit_rows[LAYERS], first_unit[LAYERS + 1];
    int count, forms;
    form form[LAYERS];
    pare_compute mode;
    int64_t n, cols;
    const float *x;
    int64_t x_stride;
    float *const *y;
    const int64_t *y_stride;
    uint8_t *scratch;            /* one piece of scratch_bytes a thread */
    size_t scratch_bytes;
} job;

static size_t up64(size_t n) { return (n + 63) & ~(size_t)63; }

static bool is_codes(pare_wkind kind)
{
    return kind == PARE_W_I8 || kind == PARE_W_U8 || kind == PARE_W_U4 || kind == PARE_W_U3 || kind == PARE_W_U2;
}

static form form_for(const pare_linear *l, pare_compute mode)
{
    const pare_wkind kind = l->w.kind;
    const bool bytes = kind == PARE_W_I8 || kind == PARE_W_U8;
    form f = { .as = AS_FLOAT, .perm = l->perm };
    if (!is_codes(kind)) {
        f.round = kind == PARE_W_BF16 && mode != PARE_COMPUTE_EXACT;
        return f;
    }
    f.as = AS_INT;
    f.kind = bytes ? PARE_W_I8 : kind == PARE_W_U3 ? PARE_W_U2 : kind;
    f.act = l->act;
    f.act_scale = l->act == PARE_ACT_STATIC_TENSOR ? l->act_scale : 0.0f;
    f.limbs = mode == PARE_COMPUTE_FAST || l->act != PARE_ACT_NONE ? 1 : bytes ? 2 : 3;
    return f;
}

static bool same_form(const form *a, const form *b)
{
    return a->as == b->as && a->perm == b->perm && a->round == b->round && a->kind == b->kind && a->limbs == b->limbs && a->act == b->act &&
           memcmp(&a->act_scale, &b->act_scale, sizeof a->act_scale) == 0;
}

/* Sizes and places inside the form's piece of the workspace. */
static void lay_out(form *f, int64_t n, int64_t cols, uint8_t *base)
{
    if (f->as == AS_FLOAT) {
        f->bytes = f->perm || f->round ? up64((size_t)cols * 4) * (size_t)n : 0;
        f->x = (const float *)(const void *)(base + f->at);
        f->x_stride = (int64_t)(up64((size_t)cols * 4) / 4);
        return;
    }
    const bool bytes = f->kind == PARE_W_I8;
    const int64_t unit = f->kind == PARE_W_U2 ? 256 : 128, padded = (cols + unit - 1) / unit * unit;
    const int64_t blocks = (cols + PARE_ACT_BLOCK - 1) / PARE_ACT_BLOCK;
    f->q = (pare_mvact){ .n = n, .cols = cols, .blocks = blocks, .limbs = f->limbs, .q_stride = (int64_t)up64((size_t)(padded * f->limbs * (bytes ? 2 : 1))),
                         .scale_stride = (blocks + 31) / 16 * 16, .sum_stride = bytes ? 0 : padded / (f->kind == PARE_W_U4 ? 8 : 16) };
    const size_t q_bytes = (size_t)(f->q.q_stride * n), scale_bytes = (size_t)(f->q.scale_stride * n * 4), sum_bytes = (size_t)(f->q.sum_stride * n * 4);
    f->bytes = q_bytes + scale_bytes + sum_bytes;
    f->q.q = base + f->at;
    f->q.scale = (const float *)(const void *)(base + f->at + q_bytes);
    f->q.sum = bytes ? NULL : (const int32_t *)(const void *)(base + f->at + q_bytes + scale_bytes);
}

/* ----------------------------------------------------------------------------------------------------------- activations */

/* line: one row of permuted x and one of integers. */
static void fill_form(const job *j, const form *f, float *line, void *codes)
{
    const pare_kernels *k = j->ctx->kernels;
    for (int64_t t = 0; t < j->n; t++) {
        const float *x = j->x + t * j->x_stride;
        if (f->perm) {
            for (int64_t c = 0; c < j->cols; c++) line[c] = x[f->perm[c]];
            x = line;
        }
        if (f->as == AS_FLOAT) {
            float *out = (float *)(uintptr_t)f->x + t * f->x_stride;
            if (!f->round) {
                memcpy(out, x, (size_t)j->cols * 4);
                continue;
            }
            k->f32_to_bf16(codes, x, j->cols);
            k->bf16_to_f32(out, codes, j->cols);
            continue;
        }
        float *scale = (float *)(uintptr_t)f->q.scale + t * f->q.scale_stride;
        if (f->limbs > 1) {
            k->act_fixed(x, j->cols, f->limbs == 2 ? 28 : 24, codes, scale);
        } else {
            const int64_t block = f->act == PARE_ACT_NONE ? PARE_ACT_BLOCK : j->cols;
            k->act_int8(x, j->cols, block, f->act_scale, codes, scale);
            for (int64_t b = 1; f->act != PARE_ACT_NONE && b < f->q.blocks; b++) scale[b] = scale[0];
        }
        for (int64_t b = f->q.blocks; b < f->q.scale_stride; b++) scale[b] = scale[f->q.blocks - 1];
        k->act_arrange(f->kind, f->limbs, j->cols, codes, (uint8_t *)(uintptr_t)f->q.q + t * f->q.q_stride,
                       f->q.sum ? (int32_t *)(uintptr_t)f->q.sum + t * f->q.sum_stride : NULL);
    }
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

static pare_status decoded_rows(const job *j, int i, int64_t row0, int64_t rows, int worker, pare_err *err)
{
    const pare_linear *l = j->layer[i];
    const form *f = &j->form[j->form_of[i]];
    float *values = (float *)(void *)(j->scratch + (size_t)worker * j->scratch_bytes);
    for (int64_t done = 0; done < rows; done += ROWS_AT_ONCE) {
        const int64_t some = rows - done < ROWS_AT_ONCE ? rows - done : ROWS_AT_ONCE;
        const pare_status st = l->rows(l, row0 + done, some, values, err);
        if (st != PARE_OK) return st;
        const pare_wmat w = { .kind = PARE_W_F32, .rows = some, .cols = j->cols, .row_bytes = j->cols * 4, .data = (const uint8_t *)values };
        j->ctx->kernels->matvec_float(&w, 0, some, j->n, f->x, f->x_stride, j->y[i] + row0 + done, j->y_stride[i]);
    }
    return PARE_OK;
}

static pare_status some_rows(const job *j, int i, int64_t row0, int64_t rows, int worker, pare_err *err)
{
    const pare_wmat *w = &j->layer[i]->w;
    const form *f = &j->form[j->form_of[i]];
    float *y = j->y[i] + row0;
    if (w->kind == PARE_W_ANY) return decoded_rows(j, i, row0, rows, worker, err);
    if (f->as == AS_INT) j->ctx->kernels->matvec_int(w, row0, rows, &f->q, y, j->y_stride[i]);
    else j->ctx->kernels->matvec_float(w, row0, rows, j->n, f->x, f->x_stride, y, j->y_stride[i]);
    return PARE_OK;
}

/* Units [begin, end) of all layers after each other. */
static pare_status stretch(void *arg, int64_t begin, int64_t end, int worker, pare_err *err)
{
    const job *j = arg;
    pare_status st = PARE_OK;
    for (int i = 0; i < j->count && st == PARE_OK; i++) {
        int64_t from = begin > j->first_unit[i] ? begin : j->first_unit[i], to = end < j->first_unit[i + 1] ? end : j->first_unit[i + 1];
        if (from >= to) continue;
        from = (from - j->first_unit[i]) * j->unit_rows[i];
        to = (to - j->first_unit[i]) * j->unit_rows[i];
        if (to > j->layer[i]->w.rows) to = j->layer[i]->w.rows;
        st = some_rows(j, i, from, to - from, worker, err);
    }
    return st;
}

/* Rows that are handed out together: what kernels take at once, times what it takes for UNIT_BYTES (of W_ANY, whose rows have no bytes of their own: about). */
static int64_t rows_of_unit(const pare_wmat *w)
{
    const int64_t eight = 8 * (w->row_bytes > 0 ? w->row_bytes : w->cols > 0 ? w->cols : 1);
    return (UNIT_BYTES + eight - 1) / eight * 8;
}

static void cut(job *j)
{
    for (int i = 0; i < j->count; i++) {
        const int64_t rows = rows_of_unit(&j->layer[i]->w);
        j->unit_rows[i] = rows;
        j->first_unit[i + 1] = j->first_unit[i] + (j->layer[i]->w.rows + rows - 1) / rows;
    }
}

static pare_status some_layers(job *j, pare_workspace *ws, pare_err *err)
{
    size_t bytes = 0, line = up64((size_t)j->cols * 4);
    void *base = NULL;
    for (int i = 0; i < j->count; i++) {
        const form f = form_for(j->layer[i], j->mode);
        int at = 0;
        while (at < j->forms && !same_form(&j->form[at], &f)) at++;
        if (at == j->forms) {
            j->form[at] = f;
            j->form[at].at = bytes;
            lay_out(&j->form[at], j->n, j->cols, NULL);
            bytes += up64(j->form[at].bytes);
            j->forms++;
        }
        j->form_of[i] = at;
        if (j->layer[i]->w.kind == PARE_W_ANY) j->scratch_bytes = up64((size_t)j->cols * 4 * ROWS_AT_ONCE);
    }
    const size_t lines = bytes;
    bytes += 2 * line;
    const size_t scratch = bytes;
    bytes += j->scratch_bytes * (size_t)j->ctx->threads;
    const pare_status st = pare_workspace_need(ws, bytes, &base, err);
    if (st != PARE_OK) return st;
    j->scratch = (uint8_t *)base + scratch;
    for (int f = 0; f < j->forms; f++) {
        lay_out(&j->form[f], j->n, j->cols, base);
        if (j->form[f].bytes) {
            fill_form(j, &j->form[f], (float *)(void *)((uint8_t *)base + lines), (uint8_t *)base + lines + line);
        } else {
            j->form[f].x = j->x;
            j->form[f].x_stride = j->x_stride;
        }
    }
    cut(j);
    return pare_parallel_stretches(j->ctx, j->first_unit[j->count], stretch, j, err);
}

static pare_status plain_forward(pare_ctx *ctx, const pare_linear *const *w, int count, pare_compute mode, int64_t n, const float *x,
                                int64_t x_stride, float *const *y, const int64_t *y_stride, pare_workspace *ws, pare_err *err)
{
    for (int done = 0; done < count; done += LAYERS) {
        job j = { .ctx = ctx, .count = count - done < LAYERS ? count - done : LAYERS, .mode = mode, .n = n, .cols = w[done]->w.cols, .x = x,
                  .x_stride = x_stride, .y = y + done, .y_stride = y_stride + done };
        for (int i = 0; i < j.count; i++) {
            j.layer[i] = w[done + i];
            if (!w[done + i]->exact_rows || mode == PARE_COMPUTE_FAST || w[done + i]->act != PARE_ACT_NONE) continue;
            j.any[i] = *w[done + i];
            j.any[i].w.kind = PARE_W_ANY;
            j.layer[i] = &j.any[i];
        }
        const pare_status st = n <= PARE_MATVEC_MAX
                                   ? some_layers(&j, ws, err)
                                   : pare_linear_gemm(ctx, j.layer, j.count, mode, n, x, x_stride, j.y, j.y_stride, ws, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static bool same_sim(const pare_act_sim *a, const pare_act_sim *b)
{
    const pare_scheme *s = &a->scheme, *t = &b->scheme;
    return a->act == b->act && a->int8 == b->int8 && a->fold == b->fold && a->threshold == b->threshold && a->scale == b->scale && s->bits == t->bits && s->code_dtype == t->code_dtype &&
           s->granularity == t->granularity && s->group_size == t->group_size && s->scale_dtype == t->scale_dtype && s->two_level == t->two_level;
}

/* Layers [0, count) whose activations are simulated in the same way. */
static pare_status simulated_forward(pare_ctx *ctx, const pare_linear *const *w, int count, int64_t n, const float *x, int64_t x_stride, float *const *y,
                                     const int64_t *y_stride, pare_workspace *ws, pare_err *err)
{
    const int64_t cols = w[0]->w.cols;
    size_t bytes;
    if (!pare_mul_size((size_t)n, (size_t)cols * sizeof(float), &bytes)) return pare_no_memory(err, "activations", SIZE_MAX);
    float *values = pare_alloc_aligned(64, bytes);
    if (!values) return pare_no_memory(err, "activations", bytes);
    pare_status st = pare_act_simulate(ctx, &w[0]->sim, n, cols, x, x_stride, values, err);
    if (st == PARE_OK) st = plain_forward(ctx, w, count, PARE_COMPUTE_EXACT, n, values, cols, y, y_stride, ws, err);
    pare_dealloc_aligned(values);
    return st;
}

pare_status pare_linear_forward(pare_ctx *ctx, const pare_linear *const *w, int count, pare_compute mode, int64_t n, const float *x, int64_t x_stride,
                                float *const *y, const int64_t *y_stride, pare_workspace *ws, pare_err *err)
{
    const bool split = ws->split && mode == PARE_COMPUTE_EXACT;
    if (n <= 0) return PARE_OK;
    for (int i = 1; i < count; i++)
        if (w[i]->w.cols != w[0]->w.cols)
            return pare_fail(err, PARE_ERR_USAGE, "layers of %lld and %lld columns share an input", (long long)w[0]->w.cols, (long long)w[i]->w.cols);
    for (int i = 0, end; i < count; i = end) {
        end = i + 1;
        if (split && pare_linear_can_split(ctx, w[i], n)) {
            const pare_status st = pare_linear_split(ctx, w[i], n, x, x_stride, y[i], y_stride[i], err);
            if (st != PARE_OK) return st;
            continue;
        }
        for (; end < count && same_sim(&w[end]->sim, &w[i]->sim) && !(split && pare_linear_can_split(ctx, w[end], n));) end++;
        const pare_status st = w[i]->sim.act != PARE_ACT_NONE
                                   ? simulated_forward(ctx, w + i, end - i, n, x, x_stride, y + i, y_stride + i, ws, err)
                                   : plain_forward(ctx, w + i, end - i, mode, n, x, x_stride, y + i, y_stride + i, ws, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}
