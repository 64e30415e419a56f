/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scale and zero point of one block of linear codes, and the search of the range with the least sum of |error|^p (p = 2: squared error), refined by
 * least squares.
 *
 *   symmetric    scale = absmax / D          D = (2^b - 1) / 2 (full range) or 2^(b-1) - 1 (narrow); 1 bit: D = 1
 *   asymmetric   lo = min(0, min x), hi = max(0, max x);  scale = (hi - lo) / (2^b - 1);  zero = rne(-lo / scale), at least
 *                zero_min (then the scale grows so that hi stays in reach)
 *
 * Codes come from the scale as stored (rounded to its dtype), and so does the zero point. A scale that would round to 0
 * becomes the smallest positive value of the dtype, one that would overflow its largest; a block of zeros has scale 1.
 * Ranges are computed in double: hi - lo of huge rows overflows f32. A scale is also kept so small that no code
 * dequantizes to infinity.
 *
 * Rules as in compressed-tensors' calculate_qparams (full) and GPTQ, torch and llama.cpp's int8 (narrow).
 */
#include <float.h>
#include <math.h>
#include <string.h>
#include "quant/range.h"

/* -------------------------------------------------------------------------------------------------- scales as stored */

float pare_scale_smallest(pare_dtype dtype)
{
    return dtype == PARE_F16 ? pare_f16_to_f32(1) : dtype == PARE_BF16 ? pare_bf16_to_f32(1) : ldexpf(1.0f, -149);
}

float pare_scale_largest(pare_dtype dtype)
{
    return dtype == PARE_F16 ? 65504.0f : dtype == PARE_BF16 ? pare_bf16_to_f32(0x7f7f) : FLT_MAX;
}

float pare_scale_store(pare_dtype dtype, double s)
{
    const float f = pare_round_to(dtype, (float)s);
    if (!(f > 0.0f)) return pare_scale_smallest(dtype);
    return f > pare_scale_largest(dtype) ? pare_scale_largest(dtype) : f;
}

float pare_scale_floor(pare_dtype dtype, double x)
{
    const float f = pare_scale_store(dtype, x);
    if ((double)f <= x) return f;
    if (dtype == PARE_F16) return pare_f16_to_f32((uint16_t)(pare_f32_to_f16(f) - 1)); /* positive: the pattern below */
    if (dtype == PARE_BF16) return pare_bf16_to_f32((uint16_t)(pare_f32_to_bf16(f) - 1));
    return nextafterf(f, 0.0f);
}

/* ------------------------------------------------------------------------------------------------------------ formulas */

void pare_ranger_init(const pare_scheme *s, pare_ranger *r)
{
    memset(r, 0, sizeof *r);
    const bool narrow = s->symmetric && (s->range == PARE_RANGE_NARROW || (s->range == PARE_RANGE_AUTO && s->bits == 8));
    r->bits = s->bits;
    r->middle = 1 << (s->bits - 1);
    r->umin = narrow ? 1 : 0;
    r->umax = (1 << s->bits) - 1;
    r->zero_min = s->zero_min;
    r->symmetric = s->symmetric;
    r->clip = s->clip != PARE_CLIP_NONE;
    r->p = s->clip == PARE_CLIP_LP ? s->clip_p > 0.0 ? (float)s->clip_p : 2.4f : 2.0f;
    r->scale_dtype = s->scale_dtype == PARE_DTYPE_NONE ? PARE_F32 : s->scale_dtype;
    r->divisor = narrow ? r->middle - 1 : s->bits == 1 ? 1.0 : r->umax / 2.0;
    r->smallest = pare_scale_smallest(r->scale_dtype);
    r->largest = pare_scale_largest(r->scale_dtype);
    if (r->symmetric) {
        const float cap = pare_scale_floor(r->scale_dtype, (double)FLT_MAX / (r->middle - r->umin));
        if (cap < r->largest) r->largest = cap;
    }
}

static float store(const pare_ranger *r, double s)
{
    const float f = r->scale_dtype == PARE_F32 ? (float)s : pare_round_to(r->scale_dtype, (float)s);
    if (!(f > 0.0f)) return r->smallest;
    return f > r->largest ? r->largest : f;
}

float pare_ranger_symmetric(const pare_ranger *r, double absmax)
{
    return absmax == 0.0 ? 1.0f : store(r, absmax / r->divisor);
}

float pare_ranger_asymmetric(const pare_ranger *r, double lo, double hi, int32_t *zero)
{
    if (hi == lo) {
        *zero = r->zero_min;
        return 1.0f;
    }
    float scale = store(r, (hi - lo) / r->umax);
    double z = nearbyint(-lo / (double)scale);
    if (z > r->umax) z = r->umax;
    if (!(z >= 0.0)) z = 0.0; /* NaN: the caller counts such rows and does them again */
    if (z < r->zero_min) { /* a layout that cannot store this zero: the codes above it must still reach hi */
        z = r->zero_min;
        if (hi > 0.0 && r->zero_min < r->umax) scale = store(r, fmax(scale, hi / (r->umax - r->zero_min)));
    }
    *zero = (int32_t)z;
    const int32_t below = *zero, above = r->umax - *zero;
    const int32_t reach = below > above ? below : above;
    if ((double)scale * reach > FLT_MAX) scale = pare_scale_floor(r->scale_dtype, (double)FLT_MAX / reach);
    return scale;
}

/* ------------------------------------------------------------------------------------------- sums over a block's values */

typedef struct values_job { const pare_values *v; const pare_ranger *r; float scale; int32_t zero; } values_job;

static double sse_of(const pare_ranger *r, const pare_values *v, int64_t from, int64_t n, float scale, int32_t zero)
{
    if (r->p != 2.0f) return v->k->quant_lp(v->x + from, v->weight != NULL ? v->weight + from : NULL, n, scale, zero, r->umin, r->umax, r->p);
    if (v->weight != NULL) return v->k->quant_sse_weighted(v->x + from, v->weight + from, n, scale, zero, r->umin, r->umax);
    return v->k->quant_sse(v->x + from, n, scale, zero, r->umin, r->umax);
}

static const float *cut_of(const pare_values *v, int64_t i, int64_t *n)
{
    *n = v->n - i * PARE_CUT < PARE_CUT ? v->n - i * PARE_CUT : PARE_CUT;
    return v->x + i * PARE_CUT;
}

static pare_status sse_cut(void *arg, int64_t i, int worker, pare_err *err)
{
    const values_job *job = arg;
    int64_t n;
    (void)worker, (void)err;
    (void)cut_of(job->v, i, &n);
    job->v->part[i] = sse_of(job->r, job->v, i * PARE_CUT, n, job->scale, job->zero);
    return PARE_OK;
}

/* Squared error of the block under (scale, zero): cut by cut, added in order. */
static pare_status block_sse(const pare_ranger *r, const pare_values *v, float scale, int32_t zero, double *sse, pare_err *err)
{
    const int64_t cuts = pare_cuts(v->n);
    *sse = 0.0;
    if (v->ctx == NULL) {
        for (int64_t i = 0; i < cuts; i++) {
            int64_t n;
            (void)cut_of(v, i, &n);
            *sse += sse_of(r, v, i * PARE_CUT, n, scale, zero);
        }
        return PARE_OK;
    }
    values_job job = {v, r, scale, zero};
    const pare_status st = pare_parallel(v->ctx, cuts, sse_cut, &job, err);
    for (int64_t i = 0; st == PARE_OK && i < cuts; i++) *sse += v->part[i];
    return st;
}

/* Extremes of a piece: max |x| as hi (symmetric), else min and max with 0 between them. */
static void extremes(const pare_ranger *r, const pare_kernels *k, const float *x, int64_t n, double *lo, double *hi)
{
    float a = 0.0f, b = 0.0f;
    if (n == 0) {
    } else if (r->symmetric) {
        k->absmax_groups(x, n, n, &b);
    } else {
        k->minmax_groups(x, n, n, &a, &b);
    }
    *lo = a;
    *hi = b;
}

static pare_status extremes_cut(void *arg, int64_t i, int worker, pare_err *err)
{
    const values_job *job = arg;
    int64_t n;
    const float *x = cut_of(job->v, i, &n);
    (void)worker, (void)err;
    extremes(job->r, job->v->k, x, n, &job->v->part[2 * i], &job->v->part[2 * i + 1]);
    return PARE_OK;
}

static pare_status block_extremes(const pare_ranger *r, const pare_values *v, double *lo, double *hi, pare_err *err)
{
    *lo = *hi = 0.0;
    if (v->ctx == NULL) {
        extremes(r, v->k, v->x, v->n, lo, hi);
        return PARE_OK;
    }
    values_job job = {v, r, 0.0f, 0};
    const pare_status st = pare_parallel(v->ctx, pare_cuts(v->n), extremes_cut, &job, err);
    for (int64_t i = 0; st == PARE_OK && i < pare_cuts(v->n); i++) {
        *lo = fmin(*lo, v->part[2 * i]);
        *hi = fmax(*hi, v->part[2 * i + 1]);
    }
    return st;
}

/* ------------------------------------------------------------------------------------------------------ clipping search */

/*
 * The range [a * lo, b * hi] with the least squared error; symmetric: a is not used. Starts from no clipping (a = b = 1)
 * and takes a candidate only when it is strictly better, so the result is never worse.
 */
typedef struct search {
    const pare_ranger *r;
    const pare_values *v;
    double lo, hi;
    double a, b, sse, last; /* best so far; error of the latest candidate */
    float scale;
    int32_t zero;
    pare_err *err;
} search;

static pare_status try_range(search *s, double a, double b)
{
    int32_t zero = s->r->middle;
    const float scale = s->r->symmetric ? pare_ranger_symmetric(s->r, b * s->hi) : pare_ranger_asymmetric(s->r, a * s->lo, b * s->hi, &zero);
    const pare_status st = block_sse(s->r, s->v, scale, zero, &s->last, s->err);
    if (st == PARE_OK && s->last < s->sse) {
        s->a = a, s->b = b, s->sse = s->last;
        s->scale = scale, s->zero = zero;
    }
    return st;
}

/* Low widths clip far: the best 2-bit range of normal values ends near half the largest of a group. */
static double factor_floor(const pare_ranger *r) { return r->bits <= 2 ? 0.2 : 0.35; }

/* Once the error is this much above the best, shrinking further only clips more. */
#define GIVE_UP 1.5

static pare_status search_symmetric(search *s)
{
    pare_status st = PARE_OK;
    /* Under the full range the positive end is one code short: a little more than absmax may pay. */
    const double top = s->r->middle > 1 ? s->r->divisor / (s->r->middle - 1) : 1.0;
    PARE_TRY(try_range(s, 1.0, 1.0));
    for (int i = 1; top - i / 20.0 > 1.0; i++) PARE_TRY(try_range(s, 1.0, 1.0 + i / 20.0));
    for (int i = 1; 1.0 - i / 20.0 >= factor_floor(s->r); i++) {
        PARE_TRY(try_range(s, 1.0, 1.0 - i / 20.0));
        if (s->last > GIVE_UP * s->sse) break;
    }
    for (int part = 40; part <= 160; part *= 2) {
        const double b = s->b;
        PARE_TRY(try_range(s, 1.0, b - 1.0 / part));
        PARE_TRY(try_range(s, 1.0, b + 1.0 / part));
    }
out:
    return st;
}

/* Both ends together, then one at a time around the best with ever smaller steps. */
static pare_status search_asymmetric(search *s)
{
    pare_status st = PARE_OK;
    PARE_TRY(try_range(s, 1.0, 1.0));
    for (int i = 1; 1.0 - i / 10.0 >= factor_floor(s->r); i++) {
        PARE_TRY(try_range(s, 1.0 - i / 10.0, 1.0 - i / 10.0));
        if (s->last > GIVE_UP * s->sse) break;
    }
    for (int part = 10; part <= 80; part *= 2) {
        const double h = 1.0 / part, a = s->a, b = s->b;
        if (s->lo < 0.0 && a - h > 0.0) PARE_TRY(try_range(s, a - h, b));
        if (s->lo < 0.0 && a + h <= 1.0) PARE_TRY(try_range(s, a + h, b));
        if (s->hi > 0.0 && b - h > 0.0) PARE_TRY(try_range(s, s->a, b - h));
        if (s->hi > 0.0 && b + h <= 1.0) PARE_TRY(try_range(s, s->a, b + h));
    }
out:
    return st;
}

/* ------------------------------------------------------------------------------------------------------- least squares */

static const float *weight_of(const search *s, int64_t cut) { return s->v->weight != NULL ? s->v->weight + cut * PARE_CUT : NULL; }

/* Sums that no code changes, cut by cut. */
static pare_zero_sums value_sums_of(const search *s)
{
    pare_zero_sums a = {0}, b;
    for (int64_t i = 0; i < pare_cuts(s->v->n); i++) {
        int64_t n;
        const float *x = cut_of(s->v, i, &n);
        s->v->k->value_sums(x, weight_of(s, i), n, &b);
        a.w += b.w, a.x += b.x, a.xx += b.xx;
    }
    return a;
}

/* Sums over the codes of the best pair so far, cut by cut. */
static void code_sums_of(const search *s, pare_zero_sums *a)
{
    pare_zero_sums b;
    a->u = a->uu = a->xu = 0.0;
    for (int64_t i = 0; i < pare_cuts(s->v->n); i++) {
        int64_t n;
        const float *x = cut_of(s->v, i, &n);
        s->v->k->zero_sums(x, weight_of(s, i), n, s->scale, (float)s->zero, s->r->umax, &b);
        a->u += b.u, a->uu += b.uu, a->xu += b.xu;
    }
}

/* The scale that is best for these codes and a zero point, as stored; 0: there is none. */
static float best_scale(const search *s, const pare_zero_sums *a, double zero)
{
    const double xr = a->xu - zero * a->x, rr = a->uu - 2.0 * zero * a->u + zero * zero * a->w;
    return rr > 0.0 && xr > 0.0 ? store(s->r, xr / rr) : 0.0f;
}

/* Takes a pair when it is strictly better. */
static pare_status try_pair(search *s, float scale, int32_t zero)
{
    double sse;
    if (scale == 0.0f || (scale == s->scale && zero == s->zero)) return PARE_OK;
    const int32_t below = zero - s->r->umin, above = s->r->umax - zero;
    if ((double)scale * (below > above ? below : above) > FLT_MAX) return PARE_OK;
    const pare_status st = block_sse(s->r, s->v, scale, zero, &sse, s->err);
    if (st == PARE_OK && sse < s->sse) s->sse = sse, s->scale = scale, s->zero = zero;
    return st;
}

/*
 * From the best range on: scale (and zero point) of least squares for the codes, codes for the scale, in turns while it helps.
 *   s = sum x (u - z) / sum (u - z)^2;   asymmetric: z = rne((sum u - sum x / t) / n), t the slope of the straight line through (u, x)
 */
static pare_status fit(search *s)
{
    pare_status st = PARE_OK;
    pare_zero_sums a = value_sums_of(s);
    for (int turn = 0; turn < 4; turn++) {
        const double before = s->sse;
        code_sums_of(s, &a);
        PARE_TRY(try_pair(s, best_scale(s, &a, s->zero), s->zero));
        const double spread = a.w * a.uu - a.u * a.u, slope = spread > 0.0 ? (a.w * a.xu - a.x * a.u) / spread : 0.0;
        if (!s->r->symmetric && slope > 0.0) {
            double z = nearbyint((a.u - a.x / slope) / a.w);
            z = z < s->r->zero_min ? s->r->zero_min : z > s->r->umax ? s->r->umax : z;
            PARE_TRY(try_pair(s, best_scale(s, &a, z), (int32_t)z));
        }
        if (!(s->sse < before)) break;
    }
out:
    return st;
}

pare_status pare_ranger_find_known(const pare_ranger *r, const pare_values *v, double lo, double hi, float *scale, int32_t *zero, pare_err *err)
{
    *zero = r->middle;
    *scale = r->symmetric ? pare_ranger_symmetric(r, hi) : pare_ranger_asymmetric(r, lo, hi, zero);
    if (!r->clip || hi == lo) return PARE_OK;
    search s = {.r = r, .v = v, .lo = lo, .hi = hi, .sse = HUGE_VAL, .scale = *scale, .zero = *zero, .err = err};
    pare_status st = r->symmetric ? search_symmetric(&s) : search_asymmetric(&s);
    if (st == PARE_OK) st = fit(&s);
    *scale = s.scale;
    *zero = s.zero;
    return st;
}

pare_status pare_ranger_find(const pare_ranger *r, const pare_values *v, float *scale, int32_t *zero, pare_err *err)
{
    double lo, hi;
    const pare_status st = block_extremes(r, v, &lo, &hi, err);
    return st == PARE_OK ? pare_ranger_find_known(r, v, lo, hi, scale, zero, err) : st;
}
