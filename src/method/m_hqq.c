/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HQQ, half-quadratic quantization: no data, and weights with a heavy tail in mind (Badri and Shaji 2023,
 * https://mobiusml.github.io/hqq_blog/; the authors' package is hqq).
 *
 *   minimize over scale s and zero z   sum |W - (u - z) s|^p,  u = clamp(rne(W / s + z), 0, 2^b - 1),  p <= 1      for each group
 *
 * by splitting the error into e = W - dq(W) and a part W_e that stands for outliers, in turns (beta grows by kappa = 1.01 a turn):
 *
 *   t = |e| / s;  W_e = sign(e) s max(0, t - t^(p-1) / beta)            the shrinkage of |.|^p
 *   s, z = least squares of W - W_e against u                           hqq itself keeps s and takes z = mean(u - (W - W_e) / s)
 *
 * hqq measures e in units of the weights, where W_e is 0 for all that occur, so that what it does is to move z; here e is in steps. Taken is the pair of least
 * squared error (quantizer `zero` with a search, then codes and line in turns) where its sum of |e|^p is not above that of hqq's own result, else the first pair
 * of half-quadratic turns for which that holds, else hqq's. Whole models are sensitive to squared errors: going further down in sum |e|^0.7 raised their KL divergence,
 * so p = 1 by default, which is what hqq itself stops by.
 *
 * Float zero points (layout hqq): groups along a row (axis 1, as rows stream by) or across the tensor (axis 0). Whole zero points: the quantizer's search of the
 * least squared error; there a sum of |e|^0.7 is bought with half as much squared error again.
 */
#include <math.h>
#include <string.h>
#include "method/method.h"

#define BETA 10.0f
#define KAPPA 1.01f

static const pare_option options[] = {
    {"lp", PARE_OPT_REAL, "0.3..2", "1", "float zero points: exponent of the error that must not be above the hqq package's; below 1 outliers count less"},
    {NULL, PARE_OPT_TEXT, NULL, NULL, NULL},
};

static pare_status prepare(const pare_params *params, pare_scheme *scheme, pare_err *err)
{
    if (scheme->kind != PARE_CODE_INT || scheme->course)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "method hqq: integer codes are served, not %s", scheme->name);
    scheme->clip = PARE_CLIP_MSE; /* whole zero points; float ones: solve() with clip_p */
    scheme->clip_p = params != NULL ? pare_params_real(params, "lp") : 1.0;
    const pare_status st = pare_scheme_check(scheme, 0, NULL, err);
    return st == PARE_OK ? st : pare_context(err, st, "method hqq");
}

/* ------------------------------------------------------------------------------------------------------------ one group */

enum { TURNS = 20 };

typedef struct solver {
    const pare_kernels *k;
    pare_scheme search;       /* least squared error */
    float p;
    int umax;
    pare_dtype dtype;         /* of scale and zero as stored */
} solver;

typedef struct pair { float scale, zero; double lp, sse; } pair;
/* n values that share a pair, and their sums; those over codes come with each pair. */
typedef struct values { const float *x; int64_t n; pare_zero_sums sums; } values;

static void solver_init(const pare_kernels *k, const pare_scheme *scheme, solver *s)
{
    *s = (solver){.k = k, .search = *scheme, .p = scheme->clip_p > 0.0 ? (float)scheme->clip_p : 1.0f, .umax = (1 << scheme->bits) - 1};
    s->search.clip = PARE_CLIP_MSE;
    s->dtype = scheme->scale_dtype == PARE_DTYPE_NONE ? PARE_F32 : scheme->scale_dtype;
}

/* As stored; false when it cannot be. */
static bool pair_store(const solver *s, double scale, double zero, pair *out)
{
    out->scale = pare_round_to(s->dtype, (float)scale);
    out->zero = pare_round_to(s->dtype, (float)zero);
    return out->scale > 0.0f && isfinite(out->scale) && isfinite(out->zero);
}

static double sse_of(const pare_zero_sums *a, const pair *q)
{
    const double t = q->scale, z = q->zero;
    return a->xx - 2.0 * t * (a->xu - z * a->x) + t * t * (a->uu - 2.0 * z * a->u + z * z * a->w);
}

static void measure(const solver *s, values *v, pair *q)
{
    s->k->zero_sums(v->x, NULL, v->n, q->scale, q->zero, s->umax, &v->sums);
    q->sse = sse_of(&v->sums, q);
}

static double lp_of(const solver *s, const values *v, const pair *q)
{
    return s->k->zero_lp(v->x, v->n, q->scale, q->zero, s->umax, s->p);
}

/* What hqq does: the scale of the whole range, zero points by means, as long as the error falls. */
static bool original(const solver *s, values *v, pair *out)
{
    float lo, hi;
    pair q;
    s->k->minmax(v->x, v->n, &lo, &hi);
    if (!(hi > lo)) return false;
    const double step = ((double)hi - lo) / s->umax;
    if (!pair_store(s, step, -lo / step, &q)) return false;
    out->sse = HUGE_VAL;
    for (int turn = 0; turn < TURNS; turn++) {
        measure(s, v, &q);
        if (!(q.sse < out->sse)) break;
        *out = q;
        if (!pair_store(s, q.scale, (v->sums.u - v->sums.x / q.scale) / v->sums.w, &q)) break;
    }
    out->lp = lp_of(s, v, out);
    return true;
}

/* The least squares line through the points (u, a x): false where there is none, or it cannot be stored. */
static bool line(const solver *s, const pare_zero_sums *a, pair *out)
{
    const double spread = a->w * a->uu - a->u * a->u, slope = spread > 0.0 ? (a->w * a->xu - a->x * a->u) / spread : 0.0;
    return slope > 0.0 && pair_store(s, slope, (a->u - a->x / slope) / a->w, out);
}

/* Codes and line in turns while the squared error falls. */
static void polish(const solver *s, values *v, pair *q)
{
    pair next;
    measure(s, v, q);
    for (int turn = 0; turn < TURNS && line(s, &v->sums, &next); turn++) {
        measure(s, v, &next);
        if (!(next.sse < q->sse)) break;
        *q = next;
    }
    q->lp = lp_of(s, v, q);
}

/* Half-quadratic turns from `from` on, until a pair whose measure is at most `most`: *q becomes it if its squared error is less. */
static void refine(const solver *s, values *v, pair from, double most, pair *q)
{
    float beta = BETA;
    for (int turn = 0; turn < TURNS; turn++, beta *= KAPPA) {
        pare_zero_sums a;
        pair next;
        s->k->hqq_sums(v->x, v->n, from.scale, from.zero, s->umax, beta, s->p, &a);
        if (!line(s, &a, &next)) return;
        if (next.scale == from.scale && next.zero == from.zero) return;
        from = next;
        next.lp = lp_of(s, v, &next);
        if (next.lp > most) continue;
        measure(s, v, &next);
        if (next.sse < q->sse) *q = next;
        return; /* later turns lower the measure and raise the squared error */
    }
}

static pare_status solve(const solver *s, const float *x, int64_t n, float *scale, float *zero, pare_err *err)
{
    const pare_rounder r = {.k = s->k, .scheme = &s->search, .global = 1.0f};
    values v = {.x = x, .n = n};
    pair best, start;
    const pare_status st = pare_rounder_find(&r, x, 1, n, n, NULL, scale, zero, err);
    if (st != PARE_OK || n < 2) return st; /* one value: it is exact */
    s->k->value_sums(x, NULL, n, &v.sums);
    if (!original(s, &v, &best)) return PARE_OK;
    start = (pair){.scale = *scale, .zero = *zero};
    polish(s, &v, &start);
    if (start.lp <= best.lp && start.sse <= best.sse) best = start;
    else refine(s, &v, start, best.lp, &best);
    *scale = best.scale;
    *zero = best.zero;
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

static size_t up64(size_t n) { return (n + 63) & ~(size_t)63; }

static size_t scratch_bytes(const pare_scheme *scheme, int64_t cols)
{
    return pare_quantizer_for(scheme)->scratch(scheme, cols) + 2 * up64((size_t)cols * sizeof(float));
}

static pare_status rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err)
{
    const pare_quantizer *how = pare_quantizer_for(scheme);
    if (!scheme->float_zero) return how->rows(k, scheme, in, scratch, out, err);
    pare_scheme plain = *scheme;
    plain.clip = PARE_CLIP_NONE; /* brings rows to f32, counts NaN and Inf; its scales are replaced */
    pare_status st = how->rows(k, &plain, in, scratch, out, err);
    if (st != PARE_OK || out->nonfinite > 0 || in->cols == 0) return st;
    const size_t element = pare_dtype_bytes(in->dtype, 1);
    float *x = (float *)(void *)((uint8_t *)scratch + how->scratch(scheme, in->cols)), *y = x + up64((size_t)in->cols * sizeof *x) / sizeof *x;
    const int64_t groups = pare_scheme_groups_per_row(scheme, in->cols);
    const int64_t group = scheme->granularity == PARE_PER_GROUP && scheme->group_size < in->cols ? scheme->group_size : in->cols;
    solver s;
    solver_init(k, scheme, &s);
    out->error = (pare_row_error){0};
    for (int64_t r = 0; r < in->rows; r++) {
        float *scale = out->scales + r * groups, *zero = out->fzeros + r * groups;
        uint8_t *codes = out->codes + r * in->cols;
        pare_row_error e;
        if ((st = pare_to_f32(x, in->dtype, (const uint8_t *)in->data + (size_t)(r * in->cols) * element, in->cols, err)) != PARE_OK) return st;
        for (int64_t g = 0, at = 0; g < groups; g++, at += group) {
            const int64_t n = in->cols - at < group ? in->cols - at : group;
            if ((st = solve(&s, x + at, n, &scale[g], &zero[g], err)) != PARE_OK) return st;
            k->quant_zero(x + at, n, scale[g], zero[g], s.umax, codes + at);
            for (int64_t i = at; i < at + n; i++) y[i] = ((float)codes[i] - zero[g]) * scale[g];
        }
        k->row_error(x, y, in->cols, &e);
        pare_row_error_add(&out->error, &e);
    }
    return PARE_OK;
}

/* ----------------------------------------------------------------------------------------------------------- whole layers */

typedef struct layer_work { const solver *s; const pare_layer_job *job; pare_qtensor *q; float *line; int64_t group; } layer_work;

enum { GROUPS_AT_ONCE = 64 };

/* Values of scale number g: one after the other, or g, g + n_scales, ... */
static int64_t gather(const layer_work *w, int64_t g, float *line, const float **x)
{
    const pare_grid *grid = &w->q->grid;
    if (grid->flat == PARE_FLAT_ACROSS) {
        for (int64_t i = 0; i < w->group; i++) line[i] = w->job->w[i * grid->n_scales + g];
        *x = line;
        return w->group;
    }
    const int64_t from = g * w->group, left = grid->numel - from;
    *x = w->job->w + from;
    return left < w->group ? left : w->group;
}

static pare_status some_groups(void *arg, int64_t i, int worker, pare_err *err)
{
    const layer_work *w = arg;
    float *line = w->line + worker * w->group;
    for (int64_t g = i * GROUPS_AT_ONCE; g < (i + 1) * GROUPS_AT_ONCE && g < w->q->grid.n_scales; g++) {
        const float *x;
        const int64_t n = gather(w, g, line, &x);
        const pare_status st = solve(w->s, x, n, &w->q->scales[g], &w->q->fzeros[g], err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

typedef struct encode_work { const solver *s; const float *x; pare_qtensor *q; } encode_work;

/* Codes of some of the flattened elements; a scale each. */
static pare_status encode(void *arg, int64_t cut, int worker, pare_err *err)
{
    const encode_work *w = arg;
    const pare_grid *g = &w->q->grid;
    enum { CUT = 1 << 14 };
    const int64_t group = g->block[g->ndim - 1], end = (cut + 1) * CUT < g->numel ? (cut + 1) * CUT : g->numel;
    (void)worker, (void)err;
    for (int64_t i = cut * CUT; i < end; i++) {
        const int64_t at = g->flat == PARE_FLAT_ACROSS ? i % g->n_scales : i / group;
        w->s->k->quant_zero(w->x + i, 1, w->q->scales[at], w->q->fzeros[at], w->s->umax, w->q->codes + i);
    }
    return PARE_OK;
}

static pare_status flat_layer(pare_ctx *ctx, const pare_layer_job *job, pare_qtensor *q, pare_err *err)
{
    solver s;
    layer_work w = {.s = &s, .job = job, .q = q, .group = q->grid.block[1]};
    encode_work e = {&s, job->w, q};
    solver_init(ctx->kernels, job->scheme, &s);
    w.line = pare_alloc_aligned(64, (size_t)w.group * sizeof *w.line * (size_t)ctx->threads + 64);
    if (w.line == NULL) return pare_no_memory(err, "groups of weights", (size_t)w.group * sizeof *w.line);
    pare_status st = pare_parallel(ctx, (q->grid.n_scales + GROUPS_AT_ONCE - 1) / GROUPS_AT_ONCE, some_groups, &w, err);
    if (st == PARE_OK) st = pare_parallel(ctx, (q->grid.numel + (1 << 14) - 1) >> 14, encode, &e, err);
    pare_dealloc_aligned(w.line);
    return st;
}

/* Rows in pieces, or the groups of the flattened tensor. */
typedef struct rows_work { const pare_layer_job *job; const pare_kernels *k; pare_qtensor *q; uint8_t *scratch; size_t each; int64_t piece; } rows_work;

static pare_status rows_piece(void *arg, int64_t i, int worker, pare_err *err)
{
    const rows_work *w = arg;
    const int64_t row = i * w->piece, cols = w->job->cols, left = w->job->rows - row, groups = pare_scheme_groups_per_row(w->job->scheme, cols);
    const pare_rows_in in = {.data = w->job->w + row * cols, .dtype = PARE_F32, .row0 = row, .rows = left < w->piece ? left : w->piece, .cols = cols};
    pare_rows_out out = {.codes = w->q->codes + row * cols, .scales = w->q->scales + row * groups, .zeros = w->q->zeros ? w->q->zeros + row * groups : NULL,
                         .fzeros = w->q->fzeros ? w->q->fzeros + row * groups : NULL};
    const pare_status st = rows(w->k, w->job->scheme, &in, w->scratch + (size_t)worker * w->each, &out, err);
    if (st == PARE_OK && out.nonfinite > 0)
        return pare_fail(err, PARE_ERR_DATA, "rows from %lld on: %lld values are not finite", (long long)row, (long long)out.nonfinite);
    return st;
}

static pare_status row_layer(pare_ctx *ctx, const pare_layer_job *job, pare_qtensor *q, pare_err *err)
{
    rows_work w = {.job = job, .k = ctx->kernels, .q = q, .each = up64(scratch_bytes(job->scheme, job->cols)), .piece = job->cols < 1 << 16 ? (1 << 16) / job->cols : 1};
    w.scratch = pare_alloc_aligned(64, w.each * (size_t)ctx->threads + 64);
    if (w.scratch == NULL) return pare_no_memory(err, "rows of weights", w.each);
    const pare_status st = pare_parallel(ctx, (job->rows + w.piece - 1) / w.piece, rows_piece, &w, err);
    pare_dealloc_aligned(w.scratch);
    return st;
}

static pare_status layer(pare_ctx *ctx, const pare_layer_job *job, pare_layer_result *out, pare_err *err)
{
    const int64_t shape[2] = {job->rows, job->cols};
    pare_status st = pare_qtensor_new(job->scheme, 2, shape, &out->q, err);
    out->loss = NAN;
    if (st != PARE_OK || job->rows == 0 || job->cols == 0) return st;
    const int64_t bad = ctx->kernels->count_nonfinite(job->w, job->rows * job->cols);
    if (bad > 0) st = pare_fail(err, PARE_ERR_DATA, "%s: %lld values are not finite (NaN or Inf)", job->name, (long long)bad);
    else if (job->scheme->float_zero && out->q->grid.flat != PARE_FLAT_NONE) st = flat_layer(ctx, job, out->q, err);
    else if (pare_scheme_row_local(job->scheme, job->cols)) st = row_layer(ctx, job, out->q, err);
    else st = pare_quantizer_for(job->scheme)->quantize(ctx, job->w, NULL, NULL, out->q, err);
    if (st == PARE_OK) return st;
    pare_qtensor_free(out->q);
    out->q = NULL;
    return st;
}

const pare_method pare_m_hqq = {
    .name = "hqq",
    .help = "half-quadratic quantization: scales and zero points for a robust error, no calibration data",
    .paper = "Badri and Shaji 2023, https://mobiusml.github.io/hqq_blog/",
    .needs = PARE_NEEDS_NOTHING,
    .scope = PARE_SCOPE_LINEAR,
    .options = options,
    .prepare = prepare,
    .rows = rows,
    .scratch = scratch_bytes,
    .layer = layer,
};
