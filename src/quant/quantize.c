/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of quantizers and the public entry points over it: any float tensor in, logical quantized tensor out.
 */
#include <string.h>
#include "quant/blocks.h"

#define PARE_QUANTIZER(descriptor) extern const pare_quantizer descriptor;
#include "quant/quantizers.def"
#undef PARE_QUANTIZER

static const pare_quantizer *const all[] = {
#define PARE_QUANTIZER(descriptor) &descriptor,
#include "quant/quantizers.def"
#undef PARE_QUANTIZER
    NULL,
};

const pare_quantizer *const *pare_quantizers(void) { return all; }

const pare_quantizer *pare_quantizer_for(const pare_scheme *scheme)
{
    for (size_t i = 0; all[i] != NULL; i++)
        if (all[i]->serves(scheme)) return all[i];
    return NULL;
}

/* -------------------------------------------------------------------------------------------------- input as finite f32 */

typedef struct input_job {
    const pare_kernels *k;
    const uint8_t *data;
    pare_dtype dtype;
    size_t element;
    int64_t n;
    float *copy;       /* NULL: data is f32 already */
    int64_t *bad;      /* NaN and Inf of each cut */
} input_job;

static pare_status input_cut(void *arg, int64_t cut, int worker, pare_err *err)
{
    const input_job *job = arg;
    const int64_t at = cut * PARE_CUT, n = job->n - at < PARE_CUT ? job->n - at : PARE_CUT;
    const void *from = job->data + (size_t)at * job->element;
    const float *x = from;
    pare_status st = PARE_OK;
    (void)worker;
    if (job->copy != NULL) {
        x = job->copy + at;
        if (job->dtype == PARE_BF16) job->k->bf16_to_f32(job->copy + at, from, n);
        else if (job->dtype == PARE_F16) job->k->f16_to_f32(job->copy + at, from, n);
        else st = pare_to_f32(job->copy + at, job->dtype, from, n, err);
    }
    if (st == PARE_OK) job->bad[cut] = job->k->count_nonfinite(x, n);
    return st;
}

/* *x: data itself or *copy, which the caller frees (also after a failure). */
static pare_status read_input(pare_ctx *ctx, const void *data, pare_dtype dtype, int64_t n, const float **x, float **copy, pare_err *err)
{
    input_job job = {.k = pare_quant_kernels(ctx), .data = data, .dtype = dtype, .element = pare_dtype_bytes(dtype, 1), .n = n};
    pare_status st = PARE_OK;
    size_t bytes = 0;
    if (dtype != PARE_F32) {
        if (!pare_mul_size((size_t)n, sizeof(float), &bytes)) return pare_no_memory(err, "values as f32", SIZE_MAX);
        *copy = job.copy = pare_alloc(bytes);
        if (job.copy == NULL) return pare_no_memory(err, "values as f32", bytes);
    }
    *x = job.copy != NULL ? job.copy : data;
    job.bad = pare_alloc_zero((size_t)pare_cuts(n), sizeof *job.bad);
    if (job.bad == NULL) return pare_no_memory(err, "counts", (size_t)pare_cuts(n) * sizeof *job.bad);
    PARE_TRY(pare_quant_parallel(ctx, pare_cuts(n), input_cut, &job, err));
    int64_t bad = 0;
    for (int64_t i = 0; i < pare_cuts(n); i++) bad += job.bad[i];
    if (bad > 0) PARE_FAIL(err, PARE_ERR_DATA, "tensor: %lld of %lld values are NaN or infinite", (long long)bad, (long long)n);
out:
    pare_dealloc(job.bad);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ public API */

static pare_status check_request(pare_dtype dtype, const pare_scheme *scheme, const pare_quantizer **how, pare_err *err)
{
    const pare_dtype_info *info = pare_dtype_get_info(dtype);
    if (info == NULL || !pare_dtype_is_float(dtype) || info->bits < 8)
        return pare_fail(err, PARE_ERR_USAGE, "quantize: the values are %s; a float dtype of 8 bits or more is needed",
                         info != NULL ? info->name : "of no dtype");
    *how = pare_quantizer_for(scheme);
    return *how != NULL ? PARE_OK : pare_fail(err, PARE_ERR_UNSUPPORTED, "quantize: no quantizer serves this scheme");
}

pare_status pare_quantize_with(pare_ctx *ctx, const void *data, pare_dtype dtype, int ndim, const int64_t *shape, const pare_scheme *scheme,
                               const float *scales, const int32_t *zeros, pare_qtensor **out, pare_err *err)
{
    const pare_quantizer *how = NULL;
    const float *x = NULL;
    float *copy = NULL;
    pare_qtensor *q = NULL;
    pare_status st = pare_scheme_check(scheme, ndim, shape, err);
    *out = NULL;
    if (st == PARE_OK) st = check_request(dtype, scheme, &how, err);
    if (st != PARE_OK) return st;
    PARE_TRY(how->check(scheme, ndim, shape, err));
    PARE_TRY(pare_qtensor_new(scheme, ndim, shape, &q, err));
    PARE_TRY(read_input(ctx, data, dtype, q->grid.numel, &x, &copy, err));
    PARE_TRY(how->quantize(ctx, x, scales, zeros, q, err));
    *out = q;
    q = NULL;
out:
    pare_dealloc(copy);
    pare_qtensor_free(q);
    return st;
}

pare_status pare_quantize(pare_ctx *ctx, const void *data, pare_dtype dtype, int ndim, const int64_t *shape, const pare_scheme *scheme,
                          pare_qtensor **out, pare_err *err)
{
    return pare_quantize_with(ctx, data, dtype, ndim, shape, scheme, NULL, NULL, out, err);
}
