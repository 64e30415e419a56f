/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/layout: how a quantized layer is stored as named tensors plus quantization_config in config.json, and
 * read back to a logical pare_qtensor. A layout is one l_*.c ending in a const pare_layout, plus one line in layouts.def.
 */
#ifndef PARE_LAYOUT_H
#define PARE_LAYOUT_H
#include <pare/report.h>
#include "base/base.h"
#include "file/file.h"
#include "kernel/wmat.h"
#include "num/num.h"
#include "quant/quant.h"

#define PARE_MAX_PARTS 24

/* ------------------------------------------------------------------------------------------------------------ reading */
/* How keys and values are kept at run time, with static scales from the checkpoint; kv_cache.c. dtype: i8 or f8_e4m3fn; NONE = nothing is said. */
typedef struct pare_kvscheme { pare_dtype dtype; bool per_head; } pare_kvscheme;

/* One logical weight of a checkpoint: a plain tensor or a quantized layer made of parts. */
typedef struct pare_weight {
    const char *name;              /* "model.layers.0.mlp.up_proj.weight" */
    int ndim; int64_t shape[PARE_MAX_DIMS];
    pare_dtype dtype;              /* plain: stored dtype; quantized: dtype it stands for (model dtype or scale dtype) */
    int64_t tensor;                /* plain: store tensor; quantized: -1 */
    const struct pare_layout *layout; /* NULL = plain */
    pare_scheme scheme;            /* quantized */
    pare_zero_kind zero_kind;
    int64_t part[PARE_MAX_PARTS];  /* store tensor indices in the layout's own order; -1 = absent */
    int n_parts;                   /* slots used in part[], absent ones included */
    int64_t info[4];               /* the layout's own small numbers (e.g. checkpoint_format v1/v2, group size) */
    uint64_t bytes;                /* stored bytes, all parts (an alias repeats its target's) */
    int64_t alias_of;              /* index of the earlier-named weight whose storage this one is, -1 = none */
    bool kv_scale;                 /* a scale of the key/value cache: has a meaning under pare_weights.kv only */
} pare_weight;

typedef struct pare_weights {
    pare_store *store;             /* borrowed */
    const struct pare_kernels *kernels;
    const struct pare_layout *layout; /* main layout found, or NULL */
    const char *unread;            /* quantization that config.json declares and pare cannot read ("hqq"), or NULL: its parts appear as plain tensors */
    pare_kvscheme kv;
    pare_weight *at; int64_t n;    /* in store order of the first part; aliases that only metadata names come last */
    pare_arena arena;
    struct pare_weight_index *index;
    pare_jdoc *quant_doc;          /* quantize_config.json and the like, when config.json has none */
} pare_weights;
/*
 * Groups raw tensors into logical weights; every store tensor lands in exactly one weight (a leftover part is an error that
 * names it). Warnings go to ctx's log. ctx may be NULL (best kernels, no log).
 */
pare_status pare_weights_new(pare_ctx *ctx, pare_store *store, pare_weights **out, pare_err *err);
void pare_weights_free(pare_weights *w);
int64_t pare_weights_find(const pare_weights *w, const char *name);
/* kv.dtype given: the scales [heads] of an attention module ("model.layers.0.self_attn"); one for all is repeated. */
pare_status pare_weights_kv_scales(const pare_weights *w, const char *module, int64_t heads, float *k, float *v, pare_err *err);
/*
 * prepare makes the bytes of all parts of a weight available (materializes what cannot be mapped, checks checksums); after it
 * the two functions below may read that weight from several threads until release. Without prepare: one thread.
 */
pare_status pare_weights_prepare(const pare_weights *w, int64_t i, pare_err *err);
void pare_weights_release(const pare_weights *w, int64_t i);
/*
 * Rows of a quantized weight that a piece must begin at a multiple of: 1, but the height of a tile, and where groups run over the flattened tensor
 * the rows after which one ends (64 channels of 96 in blocks of 64: 2). shape[0] where groups run across the tensor (HQQ's axis 0): no pieces.
 */
int64_t pare_weights_row_unit(const pare_weight *weight);
bool pare_weight_flat(const pare_weight *weight); /* groups over the flattened tensor: scales of a piece are not rows of scales */
/*
 * Logical quantized tensor of rows [row0, row0+rows) of a quantized weight (rows = shape[0]: whole). Caller frees.
 * row0 must be a multiple of pare_weights_row_unit(); where that is shape[0], rows must be all.
 */
pare_status pare_weights_qtensor(const pare_weights *w, int64_t i, int64_t row0, int64_t rows, pare_qtensor **out, pare_err *err);
/*
 * Rows of a quantized weight in place, where the file stores them the way compute kernels read them (kernel/wmat.h): false where it does not.
 * Borrows the mapped file until pare_weights_release(); the weight must be prepared.
 */
bool pare_weights_view(const pare_weights *w, int64_t i, int64_t row0, int64_t rows, pare_wmat *out);
/* f32 values of rows of any weight. ctx may be NULL. */
pare_status pare_weights_read(pare_ctx *ctx, const pare_weights *w, int64_t i, int64_t row0, int64_t rows, float *out, pare_err *err);

/* ------------------------------------------------------------------------------------------------------------ writing */
/*
 * How the rows of a layer lie in a part, so that layers can be packed piece by piece:
 *   ROWS    row after row: unit_rows weight rows take unit_bytes bytes (a last short unit takes what is left)
 *   SHARED  pieces write disjoint bytes scattered over the whole part (transposes); a part that does not depend on rows
 *           (weight_shape, g_idx, a scale per tensor) is written by the piece with row0 == 0
 *   ONCE    rows meet in one byte (slabs): the layer must be packed by a single call, row0 = 0, rows = rows_total
 */
typedef enum pare_part_place { PARE_PART_ROWS = 1, PARE_PART_SHARED, PARE_PART_ONCE } pare_part_place;
typedef struct pare_part {
    char suffix[48];               /* replaces ".weight": ".qweight", ".weight_packed", ".weight._data" */
    pare_dtype dtype; int ndim; int64_t shape[4];
    pare_part_place place;
    int64_t unit_rows;             /* pieces start at a multiple of this (every place; 1 = anywhere) */
    uint64_t unit_bytes;           /* ROWS only */
} pare_part;
uint64_t pare_part_bytes(const pare_part *part);
/* ROWS: byte at which row `row` (a multiple of unit_rows, or the layer's row count) begins; SHARED and ONCE: 0. */
uint64_t pare_part_offset(const pare_part *part, int64_t row);
/* Row pieces of the layer must start at a multiple of this; 0 = one piece only. */
int64_t pare_parts_align(const pare_part *parts, int n);

/* Codes of some rows on their way into parts. */
typedef struct pare_pack_in {
    const pare_scheme *scheme;
    pare_dtype model_dtype;         /* as parts() was given it */
    int64_t rows_total, cols;       /* whole layer */
    int ndim; const int64_t *shape; /* the layer's own shape (a convolution's codes lie as [shape0, rest]); shape NULL = [rows_total, cols] */
    int64_t row0, rows;             /* this piece */
    const uint8_t *codes;           /* [rows, cols] */
    const float *scales;            /* of this piece: [rows, groups] (tensor scope: 1; block: [ceil(rows/block0), ceil(cols/block1)]) */
    const int32_t *zeros;           /* likewise; may be NULL when symmetric */
    const float *fzeros;            /* likewise: scheme.float_zero */
    float global_scale;             /* scheme.two_level; else 1 */
    const pare_nested *nested;      /* scheme.nested: of the whole layer (such layers are packed by one call) */
    const int32_t *g_idx;           /* [cols] of the whole layer, or NULL: group of a column = column / group_size */
    float input_scale;              /* act STATIC_TENSOR; 0 = not known */
} pare_pack_in;

typedef struct pare_layout_job {    /* what a layout may want to know of the whole job, for check and config */
    const pare_scheme *scheme;      /* default scheme */
    pare_dtype model_dtype;
    const char *const *quantized; int64_t n_quantized;     /* module names (without .weight), in order */
    const pare_scheme *const *schemes;                     /* scheme of each quantized module, as check() left it */
    const int64_t (*shapes)[2];                            /* [out, in] of each quantized module; NULL = unknown */
    const char *const *kept; int64_t n_kept;               /* linear modules left in float */
    pare_kvscheme kv;               /* scales of the key/value cache are written, too; dtype NONE = none */
    bool g_idx;                                            /* the groups of some module need not be neighbouring columns */
    const pare_jval *config;        /* model's config.json, or NULL */
} pare_layout_job;

typedef struct pare_bind pare_bind; /* src/layout/bind.h */

typedef struct pare_layout {
    const char *name, *help;
    const char *loaders;            /* who loads it: "transformers, vLLM" */
    const char *packing;            /* the rules used, for the table in docs: "P1 along in" */
    const char *schemes;            /* one line for the support matrix: "int 2 3 4 8; sym asym; group channel" */
    const pare_option *options;     /* NULL = none */
    bool (*claims)(const pare_scheme *scheme); /* is it the one to take for this scheme when no layout was asked for? NULL = never */
    bool one_scheme;                /* loaders take one scheme for a whole checkpoint (AWQ and GPTQ: one group size) */
    bool g_idx;                     /* stores a group number for every column: groups need not be neighbours (pare_pack_in.g_idx) */
    bool convolutions;              /* loaders take quantized convolution weights, not only dense ones */
    bool kv_cache;                  /* config() can say how keys and values are kept: the flow writes A.k_scale and A.v_scale beside the layers */
    /* ---- writing (all NULL: read-only layout) */
    /*
     * Sets what the layout fixes (scale dtype, group size, zero_min) and refuses what it cannot store: PARE_ERR_UNSUPPORTED
     * with the numbers (this layer cannot be stored: the flow may keep it), PARE_ERR_USAGE (the scheme never can).
     * warn: a loader that will refuse or slow down, with the reason; "" = none.
     */
    pare_status (*check)(pare_scheme *scheme, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err);
    /* Parts of one layer (scheme as check() left it), in file order; parts[0] is the big one. parts has room for PARE_MAX_PARTS. */
    pare_status (*parts)(const pare_scheme *scheme, pare_dtype model_dtype, int ndim, const int64_t *shape, pare_part *parts, int *n, pare_err *err);
    /*
     * Packs one piece: row0 is a multiple of pare_parts_align(); dst[p] = part p's bytes + pare_part_offset(&parts[p], row0).
     * Called from several threads for different pieces; writes every byte of its rows, so dst need not be zeroed.
     */
    pare_status (*pack)(const pare_kernels *k, const pare_pack_in *in, const pare_part *parts, int n, uint8_t *const dst[], pare_err *err);
    /* Members of config.json's "quantization_config" object (object is open). NULL = the layout puts nothing into config.json. */
    pare_status (*config)(const pare_layout_job *job, pare_json *out, pare_err *err);
    /* Further small files of the folder ("quantize_config.json", "quanto_qmap.json"): calls emit(arg, name, text). May be NULL. */
    pare_status (*files)(const pare_layout_job *job, pare_status (*emit)(void *arg, const char *name, const char *text, pare_err *err), void *arg, pare_err *err);
    /*
     * Does the layout turn zero points into a float shift T(scale * zero), so that W = T(T(scale * code) - shift)? Then errors
     * are measured on those values. NULL = never.
     */
    bool (*float_shift)(const pare_scheme *scheme);
    /* ---- reading */
    /* Claims the tensors of its layers: for each, pare_bind_add(). Returns PARE_OK with nothing added when it finds nothing. */
    pare_status (*bind)(pare_bind *bind, pare_err *err);
    /* Fills codes, scales, zeros (and shifts, g_idx) of a new qtensor that holds rows [row0, row0+rows) of the layer. */
    pare_status (*read)(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *out, pare_err *err);
    /* f32 values of any rows, for layers whose pare_weights_row_unit() is all rows; NULL = the layout has none. */
    pare_status (*values)(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, float *out, pare_err *err);
    /* pare_weights_view() of this layout's layers; NULL = never. */
    bool (*view)(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_wmat *out);
} pare_layout;
const pare_layout *pare_layout_find(const char *name);
const pare_layout *const *pare_layouts(void);   /* NULL-terminated */
#endif
