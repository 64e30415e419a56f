/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SmoothQuant. Xiao et al. 2022, arXiv 2211.10438. Activations of a few input channels are so large that one int8 scale for all channels leaves the others a
 * few codes; weights are tame. So part of the difficulty is moved to the weights, x' = x / s, W' = W diag(s), eq. 4:
 *
 *   s_j = max|x_j|^a / max|w_j|^(1-a)       j input channel; max over all tokens; over all rows of all layers that read x
 *
 * alpha=A uses one a everywhere; alpha=auto tries 0.05, 0.10 ... 0.95 and none at all, and takes what gives the least error of the outputs with both sides
 * rounded, on sample rows: sum_i |Q(W_i diag(s)) Q(x / s) - W_i x|^2 / |W_i x|^2; a gain of less than 2 % of it, or of 5 % where one layer alone reads x, is
 * chance, and left alone (the KL divergence of whole models is lower so). The paper scales what norms make; here everything that can be (graph/fold.h), with
 * the same formula.
 *
 * The layers themselves are rounded to nearest.
 */
#include <math.h>
#include <string.h>

#include "linalg/linalg.h"
#include "method/act_range.h"
#include "method/weigh.h"

static const double LEAST_GAIN_ALONE = 0.05, LEAST_GAIN_SHARED = 0.02;

static const pare_option options[] = {
    {"alpha", PARE_OPT_TEXT, NULL, "auto", "how much of the difficulty goes to the weights: 0 ... 1, or auto = searched for each input"},
    {"clip", PARE_OPT_CHOICE, "none|mse", "mse", "range of a block of weights: none = to its extremes, mse = searched for the least squared error"},
    PARE_RANGE_OPTIONS,
    {NULL, PARE_OPT_TEXT, NULL, NULL, NULL},
};

/* < 0: auto. */
static bool read_alpha(const pare_params *params, double *alpha)
{
    const char *text = params ? pare_params_text(params, "alpha") : "auto";
    *alpha = -1;
    return strcmp(text, "auto") == 0 || (pare_parse_f64(text, alpha) && *alpha >= 0 && *alpha <= 1);
}

static pare_status prepare(const pare_params *params, pare_scheme *scheme, pare_err *err)
{
    double alpha;
    if (!read_alpha(params, &alpha)) return pare_fail(err, PARE_ERR_USAGE, "method smoothquant: alpha=%s is neither 0 ... 1 nor auto", pare_params_text(params, "alpha"));
    if (scheme->act == PARE_ACT_NONE)
        return pare_fail(err, PARE_ERR_USAGE, "method smoothquant: scheme '%s' leaves activations alone, there is nothing to smooth; W8A8, W8A8:static, W4A8 or FP8 do not",
                         scheme->name);
    if ((!params || strcmp(pare_params_text(params, "clip"), "mse") == 0) && scheme->kind == PARE_CODE_INT && scheme->act != PARE_ACT_OUTLIERS) scheme->clip = PARE_CLIP_MSE;
    const pare_status st = pare_scheme_check(scheme, 0, NULL, err);
    if (st != PARE_OK) return pare_context(err, st, "method smoothquant");
    if (pare_quantizer_for(scheme) == NULL) return pare_fail(err, PARE_ERR_UNSUPPORTED, "method smoothquant: no quantizer serves scheme '%s'", scheme->name);
    return PARE_OK;
}

/* ----------------------------------------------------------------------------------------------------------------- scales */

typedef struct smooth {
    pare_ctx *ctx;
    const pare_fold_job *job;
    float *x, *w;               /* [cols] max |x|, max |w|, joined over tied columns */
    float *s;                   /* [cols] tried */
    float *a, *q, *y, *want;    /* weights [most, cols]; sample rows [n, cols]; outputs [n, most]; float outputs, layer after layer */
    int64_t n, most;
} smooth;

static void largest(smooth *z)
{
    const pare_fold_job *j = z->job;
    memcpy(z->x, j->stats->absmax, (size_t)j->cols * sizeof *z->x);
    for (int i = 0; i < j->n; i++)
        for (int64_t r = 0; r < j->rows[i]; r++)
            for (int64_t c = 0; c < j->cols; c++) {
                const float v = fabsf(j->w[i][r * j->cols + c]);
                if (v > z->w[c]) z->w[c] = v;
            }
}

/* Tied columns: the largest of all of them. */
static pare_status tie(const pare_fold_job *j, float *x, pare_err *err)
{
    int32_t last = 0;
    for (int64_t c = 0; c < j->cols && j->tied; c++) last = j->tied[c] > last ? j->tied[c] : last;
    float *most = j->tied ? pare_alloc_zero((size_t)last + 1, sizeof *most) : NULL;
    if (j->tied && !most) return pare_no_memory(err, j->name, ((size_t)last + 1) * sizeof *most);
    for (int64_t c = 0; c < j->cols && most; c++)
        if (x[c] > most[j->tied[c]]) most[j->tied[c]] = x[c];
    for (int64_t c = 0; c < j->cols && most; c++) x[c] = most[j->tied[c]];
    pare_dealloc(most);
    return PARE_OK;
}

/* A channel that is always 0 gets the middle of the others' scales: neither its weights nor what it may be one day stand out then. */
static void make_scales(const smooth *z, double alpha, float *s)
{
    double low = INFINITY, high = 0;
    for (int64_t c = 0; c < z->job->cols; c++) {
        const double x = z->x[c], w = z->w[c] > 1e-5f ? z->w[c] : 1e-5, v = pow(x, alpha) / pow(w, 1 - alpha);
        if (!(x > 0)) continue;
        s[c] = (float)(v < 1e-5 ? 1e-5 : v > 1e5 ? 1e5 : v);
        low = (double)s[c] < low ? (double)s[c] : low;
        high = (double)s[c] > high ? (double)s[c] : high;
    }
    for (int64_t c = 0; c < z->job->cols; c++)
        if (!(z->x[c] > 0)) s[c] = high > 0 ? (float)sqrt(low * high) : 1;
}

/* ------------------------------------------------------------------------------------------------------------------ trial */

static float round_activation(const pare_scheme *s, float x, float scale)
{
    const float v = x / scale;
    if (s->act_float) return scale * pare_round_to(PARE_F8_E4M3FN, v < -448 ? -448 : v > 448 ? 448 : v);
    return scale * rintf(v < -127 ? -127 : v > 127 ? 127 : v);
}

/* Sample rows as the layer will see them: x / s, rounded as the scheme says, in f32. */
static void round_inputs(const smooth *z, const pare_scheme *scheme, const float *s)
{
    const int64_t cols = z->job->cols;
    const float code = scheme->act_float ? 448 : 127;
    float all = 0;
    for (int64_t c = 0; c < cols; c++) all = z->job->stats->absmax[c] / s[c] > all ? z->job->stats->absmax[c] / s[c] : all;
    for (int64_t t = 0; t < z->n; t++) {
        const float *x = z->job->stats->sample + t * cols;
        float *q = z->q + t * cols, most = 0;
        for (int64_t c = 0; c < cols; c++) {
            q[c] = x[c] / s[c];
            most = fabsf(q[c]) > most ? fabsf(q[c]) : most;
        }
        const float scale = (scheme->act == PARE_ACT_STATIC_TENSOR ? all : most) / code;
        for (int64_t c = 0; c < cols && scale > 0; c++) q[c] = round_activation(scheme, q[c], scale);
    }
}

/* y [n, rows] = x W^T */
static pare_status outputs(const smooth *z, const float *x, const float *w, int64_t rows, float *y, pare_err *err)
{
    const int64_t cols = z->job->cols;
    const pare_product p = { .m = z->n, .n = rows, .k = cols, .a = x, .a_row = cols, .a_col = 1, .b = w, .b_row = 1, .b_col = cols, .alpha = 1, .c = y, .c_stride = rows };
    return pare_multiply(z->ctx, &p, err);
}

static pare_status loss_of(const smooth *z, const float *s, double *loss, pare_err *err)
{
    const pare_fold_job *j = z->job;
    const float *want = z->want;
    pare_status st = PARE_OK;
    *loss = 0;
    for (int i = 0; i < j->n; i++) {
        const int64_t rows = j->rows[i];
        double noise = 0, signal = 0;
        for (int64_t k = 0; k < rows * j->cols; k++) z->a[k] = j->w[i][k] * s[k % j->cols];
        PARE_TRY(pare_nearest(z->ctx, j->name, j->schemes[i], rows, j->cols, z->a, z->a, err));
        round_inputs(z, j->schemes[i], s);
        PARE_TRY(outputs(z, z->q, z->a, rows, z->y, err));
        for (int64_t k = 0; k < z->n * rows; k++) {
            const double e = (double)z->y[k] - (double)want[k];
            noise += e * e, signal += (double)want[k] * (double)want[k];
        }
        if (signal > 0) *loss += noise / signal;
        want += z->n * rows;
    }
    PARE_TRY(pare_check_cancel(z->ctx, err));
out:
    return st;
}

static pare_status search(const smooth *z, float *scale, char note[200], pare_err *err)
{
    const pare_fold_job *j = z->job;
    double plain, best, loss;
    int at = 0;
    pare_status st;
    float *want = z->want;
    for (int i = 0; i < j->n; i++) {
        PARE_TRY(outputs(z, j->stats->sample, j->w[i], j->rows[i], want, err));
        want += z->n * j->rows[i];
    }
    for (int64_t c = 0; c < j->cols; c++) scale[c] = 1;
    PARE_TRY(loss_of(z, scale, &plain, err));
    best = plain;
    for (int i = 1; i < 20; i++) {
        make_scales(z, i / 20.0, z->s);
        PARE_TRY(loss_of(z, z->s, &loss, err));
        if (!(loss < best)) continue;
        best = loss, at = i;
        memcpy(scale, z->s, (size_t)j->cols * sizeof *scale);
    }
    if (at && best > (1 - (j->n > 1 ? LEAST_GAIN_SHARED : LEAST_GAIN_ALONE)) * plain) {
        pare_print(note, 200, "not smoothed: the best alpha, %.2f, would leave %.3g of the error", at / 20.0, best / plain);
        for (int64_t c = 0; c < j->cols; c++) scale[c] = 1;
    } else if (!at) pare_print(note, 200, "smoothing does not make the error smaller");
    else pare_print(note, 200, "smoothed with alpha %.2f: error %.3g of that without", at / 20.0, plain > 0 ? best / plain : 1);
out:
    return st;
}

static pare_status make_room(smooth *z, bool trial, pare_err *err)
{
    const pare_fold_job *j = z->job;
    int64_t rows = 0;
    for (int i = 0; i < j->n; i++) {
        rows += j->rows[i];
        z->most = j->rows[i] > z->most ? j->rows[i] : z->most;
    }
    z->n = j->stats->sample_rows;
    z->x = pare_alloc_zero((size_t)j->cols + 1, sizeof *z->x);
    z->w = pare_alloc_zero((size_t)j->cols + 1, sizeof *z->w);
    z->s = pare_alloc_zero((size_t)j->cols + 1, sizeof *z->s);
    if (!z->x || !z->w || !z->s) return pare_no_memory(err, j->name, (size_t)j->cols * sizeof *z->s);
    if (!trial) return PARE_OK;
    z->a = pare_alloc_aligned(64, (size_t)(z->most * j->cols) * sizeof(float) + 64);
    z->q = pare_alloc_aligned(64, (size_t)(z->n * j->cols) * sizeof(float) + 64);
    z->y = pare_alloc_aligned(64, (size_t)(z->n * z->most) * sizeof(float) + 64);
    z->want = pare_alloc_aligned(64, (size_t)(z->n * rows) * sizeof(float) + 64);
    return z->a && z->q && z->y && z->want ? PARE_OK : pare_no_memory(err, j->name, (size_t)(z->most * j->cols) * sizeof(float));
}

static pare_status fold(pare_ctx *ctx, const pare_fold_job *job, float *scale, char note[200], pare_err *err)
{
    smooth z = { .ctx = ctx, .job = job };
    double alpha;
    pare_status st = PARE_OK;
    read_alpha(job->params, &alpha);
    PARE_TRY(make_room(&z, alpha < 0, err));
    largest(&z);
    PARE_TRY(tie(job, z.x, err));
    PARE_TRY(tie(job, z.w, err));
    if (alpha < 0) PARE_TRY(search(&z, scale, note, err));
    else {
        make_scales(&z, alpha, scale);
        pare_print(note, 200, "smoothed with alpha %g", alpha);
    }
out:
    pare_dealloc(z.x);
    pare_dealloc(z.w);
    pare_dealloc(z.s);
    pare_dealloc_aligned(z.a);
    pare_dealloc_aligned(z.q);
    pare_dealloc_aligned(z.y);
    pare_dealloc_aligned(z.want);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------------- rows */

static pare_status rows(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err)
{
    return pare_quantizer_for(scheme)->rows(k, scheme, in, scratch, out, err);
}

static size_t scratch_bytes(const pare_scheme *scheme, int64_t cols) { return pare_quantizer_for(scheme)->scratch(scheme, cols); }

const pare_method pare_m_smoothquant = {
    .name = "smoothquant",
    .help = "outliers of activations are divided out and multiplied into the weights, for 8-bit activations",
    .paper = "Xiao et al. 2022, arXiv 2211.10438",
    .needs = PARE_NEEDS_NOTHING,
    .fold_needs = PARE_NEEDS_MOMENTS | PARE_NEEDS_SAMPLE,
    .scope = PARE_SCOPE_LINEAR,
    .options = options,
    .prepare = prepare,
    .rows = rows,
    .scratch = scratch_bytes,
    .fold = fold,
};
