/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/quant: schemes, the logical quantized tensor, and the registry of quantizers (tensor -> qtensor).
 *
 * The blocks that share a scale are described for any rank by one block size a dimension (pare_grid): tensor = the whole
 * shape, channel on axis k = whole shape but 1 at k, group of g along axis k = 1 everywhere but g at k, tile = both sizes.
 *
 * Two families group the flattened tensor instead, e = index of an element in row-major order:
 *   FLAT_ALONG    scale e / g            bitsandbytes' blocks and HQQ's axis 1, where g does not divide a row (else it is the group along a row)
 *   FLAT_ACROSS   scale e % (numel / g)  HQQ's axis 0: the tensor seen as [g, numel / g], a scale a column
 * Then `block` and `blocks` hold g and n_scales in their last place, 1 elsewhere.
 */
#ifndef PARE_QUANT_H
#define PARE_QUANT_H
#include "base/base.h"
#include "kernel/kernel.h"
#include "num/num.h"

typedef enum pare_flat { PARE_FLAT_NONE = 0, PARE_FLAT_ALONG, PARE_FLAT_ACROSS } pare_flat;

typedef struct pare_grid {
    int ndim;
    pare_flat flat;
    int64_t shape[PARE_MAX_DIMS], block[PARE_MAX_DIMS], blocks[PARE_MAX_DIMS]; /* blocks = ceil(shape/block) */
    int64_t numel, n_scales;
} pare_grid;
pare_status pare_grid_init(const pare_scheme *scheme, int ndim, const int64_t *shape, pare_grid *grid, pare_err *err);
int64_t pare_grid_index(const pare_grid *grid, const int64_t *index); /* scale index of an element */

/* What a stored zero means. */
typedef enum pare_zero_kind {
    PARE_ZERO_SYM = 0, /* every zero is 2^(bits-1), and zeros says so */
    PARE_ZERO_INT,     /* W = (u - zeros[g]) * scales[g] */
    PARE_ZERO_SHIFT,   /* W = u * scales[g] - shifts[g], each step rounded to scale_dtype (quanto's float shift) */
    PARE_ZERO_FLOAT    /* W = (u - fzeros[g]) * scales[g] in f32 (HQQ) */
} pare_zero_kind;

/*
 * Scales that are codes themselves (QLoRA's double quantization as bitsandbytes stores it): scale[i] = map[codes[i]] * scales[i / block] + offset,
 * map = pare_dynamic_map() of 256 values.
 */
typedef struct pare_nested { uint8_t *codes; float *scales; float offset; int64_t block, n, n_scales; } pare_nested;

struct pare_qtensor {
    pare_scheme scheme;
    pare_grid grid;
    pare_zero_kind zero_kind;
    uint8_t *codes;        /* [numel], one byte each; CODE_FLOAT: bit pattern; CODE_TABLE: index */
    float *scales;         /* [n_scales], values as stored (nested: as they dequantize) */
    float global_scale;    /* scheme.two_level: multiplies every scale; else 1 */
    float *fzeros;         /* ZERO_FLOAT only */
    pare_nested *nested;   /* scheme.nested only */
    int32_t *zeros;        /* [n_scales]; always filled for CODE_INT (2^(bits-1) when symmetric) */
    float *shifts;         /* ZERO_SHIFT only */
    int32_t *g_idx;        /* [cols] group of each input channel when not col / group_size, else NULL */
    float input_scale;     /* act STATIC_TENSOR: x = code * input_scale; two_level with act DYNAMIC_GROUP: pare_rounder_global() of the inputs; 0 = not known */
    bool scale_after;      /* reserved for layouts that divide by the scale; false here */
};
pare_status pare_qtensor_new(const pare_scheme *scheme, int ndim, const int64_t *shape, pare_qtensor **out, pare_err *err); /* zeroed codes */

/*
 * Streaming form for matrices [rows, cols] whose blocks do not cross rows (channel axis 0, group along the last axis): the
 * flow hands over some rows at a time and takes codes, scales and zeros for them, the same bytes that quantize() gives.
 * Schemes whose blocks cross rows (tensor, column, tile) go through quantize() whole.
 */
typedef struct pare_rows_in {
    const void *data; pare_dtype dtype;      /* rows * cols elements, little-endian, contiguous */
    int64_t row0, rows, cols;
} pare_rows_in;
/*
 * error and nonfinite are set, not added to. A row with NaN or Inf is quantized with NaN as 0 and Inf as the largest finite
 * magnitude of the row, and its error is against that.
 */
typedef struct pare_rows_out {
    uint8_t *codes;                          /* [rows, cols] */
    float *scales; int32_t *zeros;           /* [rows, groups per row]; zeros may be NULL when symmetric, and other codes than integers leave them alone */
    float *fzeros;                           /* likewise, instead of zeros: scheme.float_zero */
    pare_row_error error;                    /* of dequantized against input, summed over the rows in order */
    int64_t nonfinite;
} pare_rows_out;

/* Rounding by column, see below. */
typedef struct pare_rounder { const pare_kernels *k; const pare_scheme *scheme; float global; void *scratch; } pare_rounder;

/* A quantizer: one file, one descriptor, one line in quantizers.def. Stateless; options arrive in the scheme. */
typedef struct pare_quantizer {
    const char *name, *help;
    /* Does this quantizer serve the scheme? (first match in quantizers.def order wins) */
    bool (*serves)(const pare_scheme *scheme);
    pare_status (*check)(const pare_scheme *scheme, int ndim, const int64_t *shape, pare_err *err);
    /* any rank, any grid; scale_in/zero_in NULL = find them */
    pare_status (*quantize)(pare_ctx *ctx, const float *x, const float *scales_in, const int32_t *zeros_in, pare_qtensor *q, pare_err *err);
    /* row-local streaming (pare_scheme_row_local); scratch: scratch() bytes of the worker's own, 64-byte aligned */
    pare_status (*rows)(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err);
    size_t (*scratch)(const pare_scheme *scheme, int64_t cols);
    /* pare_rounder_find() and pare_rounder_round(); NULL = not by column */
    pare_status (*find)(const pare_rounder *r, const float *x, int64_t rows, int64_t stride, int64_t n, const float *importance, float *scale, float *zero,
                        pare_err *err);
    void (*round)(const pare_rounder *r, int64_t rows, const float *x, const float *scale, const float *zero, uint8_t *code, float *value);
} pare_quantizer;
const pare_quantizer *pare_quantizer_for(const pare_scheme *scheme);
const pare_quantizer *const *pare_quantizers(void); /* NULL-terminated */
/*
 * True when a scheme's blocks never cross rows of a [rows, cols] matrix, so `rows` may be used block by block. False too for schemes that need
 * to see the whole tensor first: two_level, nested.
 */
bool pare_scheme_row_local(const pare_scheme *scheme, int64_t cols);
int64_t pare_scheme_groups_per_row(const pare_scheme *scheme, int64_t cols);
/* Fills name from the other fields ("W4A16:g64"). */
void pare_scheme_make_name(pare_scheme *scheme);
/* The registry of named schemes (schemes.def): name, help, scheme. NULL-terminated by name. */
typedef struct pare_scheme_row { const char *name, *help; pare_scheme scheme; } pare_scheme_row;
const pare_scheme_row *pare_schemes(int *n);
/* dequantizes rows given codes etc. with the qtensor's exact rule; r0..r0+rows of a 2-D (or flattened to [shape0, rest]) tensor */
pare_status pare_qtensor_dequant_rows(const pare_kernels *k, const pare_qtensor *q, int64_t row0, int64_t rows, float *out, pare_err *err);

/*
 * Rounding by column, for methods that feed errors on (GPTQ, LDLQ) under every grid that a row-local scheme describes: integers with whole or float zero
 * points, NF4, FP4, MXFP4, NVFP4, float8. One block = the columns of one row that share a scale.
 *   find()   parameters of `rows` blocks: block r is x[r * stride ... + n). importance [n] (> 0: weight of a column's squared error) or NULL = 1.
 *            scheme.clip decides how the range is searched; with importance the search weighs errors by it. Writes scale[r] (as stored)
 *            and zero[r] (as a float, whole unless scheme.float_zero). `global` is the tensor's second-level scale (two_level), else 1.
 *   round()  one column: code[r] and value[r] (dequantized) of x[r] for blocks with these parameters.
 * Both give what the quantizer of the scheme gives for the same block when importance is NULL. scratch: pare_rounder_scratch() bytes, of one thread.
 * find() refuses schemes without rounding by column with PARE_ERR_UNSUPPORTED; round() may be called only after a find() that did not.
 */
size_t pare_rounder_scratch(const pare_scheme *scheme, int64_t n);
pare_status pare_rounder_find(const pare_rounder *r, const float *x, int64_t rows, int64_t stride, int64_t n, const float *importance, float *scale, float *zero,
                              pare_err *err);
void pare_rounder_round(const pare_rounder *r, int64_t rows, const float *x, const float *scale, const float *zero, uint8_t *code, float *value);
/*
 * Scheme.nested: turns the scales of q into codes (fills q->nested) and rewrites them as they dequantize. The quantizers call it themselves; for methods
 * that fill a qtensor on their own, after the last scale.
 */
pare_status pare_qtensor_nest(pare_qtensor *q, pare_err *err);
/* The second-level scale that a two_level scheme gives a tensor with this max |x|. */
float pare_rounder_global(const pare_scheme *scheme, float absmax);

/* What each code of float or table codes stands for at scale 1: 256 values, or 16 over and over; integer codes: nothing is set. */
void pare_scheme_values(const pare_scheme *scheme, float values[256]);
/* The 256 values of the dynamic map (bitsandbytes: create_dynamic_map), and of a codebook (*n of them, ascending or not: index = code). */
const float *pare_dynamic_map(void);
const float *pare_codebook_values(pare_codebook book, int *n);

/* Error sums -> public struct. */
void pare_row_error_add(pare_row_error *total, const pare_row_error *part); /* in a fixed order chosen by the caller */
void pare_error_finish(const pare_row_error *sums, int64_t n, pare_error *out);
#endif
