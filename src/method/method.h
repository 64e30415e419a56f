/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/method: algorithms that choose codes and scales, over the quantizers. A method is one m_*.c that ends in a const descriptor, plus one
 * line in methods.def. It declares what it needs to know of a layer's inputs; the flow collects exactly that, once, for any model
 * (flow/calibrate.h), and hands over plain structs of numbers. A method knows no model, no file and no layout.
 *
 * Three kinds of work, each a function pointer that may be NULL:
 *   rows    data-free: rows as they stream by, nothing else is known
 *   layer   one linear layer [rows, cols] with the statistics of its inputs -> qtensor
 *   fold    before that: a scale per input channel for layers whose input an earlier operation can divide by it for free (AWQ, SmoothQuant);
 *           layer (or rows) then sees W diag(s) and inputs x / s
 */
#ifndef PARE_METHOD_H
#define PARE_METHOD_H
#include "base/base.h"
#include "quant/quant.h"

/* What is known of the inputs of a layer; flags. */
typedef enum pare_needs {
    PARE_NEEDS_NOTHING = 0,
    PARE_NEEDS_MOMENTS = 1,   /* a channel: max |x|, mean |x|, mean x^2 */
    PARE_NEEDS_HESSIAN = 2,   /* sum of x x^T */
    PARE_NEEDS_DRIFT = 4,     /* sum of x (f - x)^T, f = what the float model has in the place of x */
    PARE_NEEDS_SAMPLE = 8,    /* some rows as they are */
    PARE_NEEDS_RANGE = 16     /* min, max and a histogram of all values: static activation scales */
} pare_needs;
typedef enum pare_scope { PARE_SCOPE_LINEAR = 1 } pare_scope;

#define PARE_RANGE_BINS 2048
/* Values of a layer's whole input: |x| in equal bins up to `top`, which grows by doubling (bins are joined), never in the order of arrival. */
typedef struct pare_input_range { float min, max, top; uint64_t bins[PARE_RANGE_BINS]; float average_max; /* exponential moving average of a window's max |x|, 0.9 */ } pare_input_range;

/* Inputs x of a layer over all calibration tokens, as the already quantized part of the model gives them (layer) or the float model (fold). */
typedef struct pare_stats {
    int64_t cols, tokens;
    const float *absmax, *mean_abs, *mean_sq;   /* [cols] */
    const float *hessian;                       /* [cols, cols], both triangles */
    const float *drift;                         /* [cols, cols]: row i, column j = sum x_i (f_j - x_j) */
    const float *sample; int64_t sample_rows;   /* [sample_rows, cols], spread evenly over the tokens */
    const pare_input_range *range;
} pare_stats;

typedef struct pare_layer_job {
    const char *name;            /* of the weight */
    const pare_scheme *scheme;
    const pare_params *params;
    uint64_t seed;
    int64_t rows, cols;
    float *w;                    /* [rows, cols]; the method may change it */
    const pare_stats *stats;     /* of x, already divided by fold scales */
} pare_layer_job;

typedef struct pare_layer_result {
    pare_qtensor *q;             /* the caller's to free */
    double loss;                 /* tr((W - Wq) H (W - Wq)^T) / tr(W H W^T) where H is known, else NAN */
    int retries;                 /* times that damping was raised because the Hessian was not positive definite */
    double damping;              /* that was used, in parts of the mean diagonal; 0 = none */
    int64_t dead;                /* input channels that were always 0 */
    char note[200];              /* what a reader of the report must know; "" = nothing */
} pare_layer_result;

/* Layers that read one value, which an earlier operation can divide by a scale a column. */
typedef struct pare_fold_job {
    const char *name;            /* of the first layer */
    const pare_params *params;
    int64_t cols;
    int n;                       /* layers */
    const float *const *w;       /* [n][rows[i], cols] */
    const int64_t *rows;
    const pare_scheme *const *schemes;
    const int32_t *tied;         /* [cols] or NULL: columns with the same number must get the same scale (heads that share a KV head) */
    const pare_stats *stats;     /* of the float model's x */
} pare_fold_job;

typedef struct pare_method {
    const char *name, *help, *paper;
    pare_needs needs, fold_needs;
    pare_needs (*more_needs)(const pare_params *params); /* what options add to needs; NULL = nothing */
    bool (*moves_groups)(const pare_params *params);     /* may put columns into groups of their own order (q->g_idx); NULL = never */
    pare_scope scope;
    const pare_option *options;    /* ends with name NULL */
    /* Turns options into scheme fields (e.g. clip=mse), refuses schemes it cannot serve. */
    pare_status (*prepare)(const pare_params *params, pare_scheme *scheme, pare_err *err);
    /* Data-free methods work on rows as they stream by. */
    pare_status (*rows)(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err);
    size_t (*scratch)(const pare_scheme *scheme, int64_t cols);
    pare_status (*layer)(pare_ctx *ctx, const pare_layer_job *job, pare_layer_result *out, pare_err *err);
    /* scale [cols], all > 0, 1 = leave alone; note: as in pare_layer_result */
    pare_status (*fold)(pare_ctx *ctx, const pare_fold_job *job, float *scale, char note[200], pare_err *err);
} pare_method;
const pare_method *pare_method_find(const char *name);   /* NULL when unknown */
const pare_method *const *pare_methods(void);            /* NULL-terminated */
/*
 * One whole matrix by any method: its layer() where it has one, else rows() piece by piece, else (schemes whose blocks cross rows) the quantizer. stats may
 * be NULL for methods that need none. fold() is not called. NaN or Inf in w: PARE_ERR_DATA.
 */
pare_status pare_method_apply(pare_ctx *ctx, const pare_method *m, const pare_layer_job *job, pare_layer_result *out, pare_err *err);
static inline pare_needs pare_method_needs(const pare_method *m, const pare_params *params)
{
    return m->more_needs && params ? m->needs | m->more_needs(params) : m->needs;
}
/* What a scheme asks for whatever the method: the range of inputs, where their scale is static. pare_method_apply() turns it into q->input_scale. */
static inline pare_needs pare_scheme_needs(const pare_scheme *s)
{
    return s->act == PARE_ACT_STATIC_TENSOR || (s->two_level && s->act == PARE_ACT_DYNAMIC_GROUP) ? PARE_NEEDS_RANGE : PARE_NEEDS_NOTHING;
}
/* Needs statistics of inputs? */
static inline bool pare_method_is_calibrated(const pare_method *m) { return m->needs != PARE_NEEDS_NOTHING || m->fold != NULL; }
#endif
