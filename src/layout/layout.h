/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/layout: how a quantized layer is stored as named tensors plus quantization_config in config.json, and
 * read back to a logical pare_qtensor. A layout is one l_*.c ending in a const pare_layout, plus one line in layouts.def.
 */
#ifndef PARE_LAYOUT_H
#define PARE_LAYOUT_H
#include "base/base.h"
#include "file/file.h"
#include "num/num.h"
#include "quant/quant.h"

#define PARE_MAX_PARTS 24

/* ------------------------------------------------------------------------------------------------------------ reading */
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
    int n_parts;
    int64_t info[4];               /* the layout's own small numbers (e.g. checkpoint_format v1/v2, group size) */
    uint64_t bytes;
    int64_t alias_of;              /* index of another weight, -1 = none */
} pare_weight;

typedef struct pare_weights {
    pare_store *store;             /* borrowed */
    const struct pare_layout *layout; /* main layout found, or NULL */
    pare_weight *at; int64_t n;
    pare_arena arena;
    struct pare_name_index *index;
} pare_weights;
/* Groups raw tensors into logical weights; every store tensor lands in exactly one weight (an unknown leftover part is an error that names it). */
pare_status pare_weights_new(pare_ctx *ctx, pare_store *store, pare_weights **out, pare_err *err);
void pare_weights_free(pare_weights *w);
int64_t pare_weights_find(const pare_weights *w, const char *name);
/* Logical quantized tensor of rows [row0, row0+rows) of a quantized weight (rows = shape[0]: whole). Caller frees. */
pare_status pare_weights_qtensor(const pare_weights *w, int64_t i, int64_t row0, int64_t rows, pare_qtensor **out, pare_err *err);
/* f32 values of rows of any weight. */
pare_status pare_weights_read(pare_ctx *ctx, const pare_weights *w, int64_t i, int64_t row0, int64_t rows, float *out, pare_err *err);

/* ------------------------------------------------------------------------------------------------------------ writing */
typedef struct pare_part { char suffix[48]; pare_dtype dtype; int ndim; int64_t shape[4]; } pare_part; /* suffix replaces ".weight": ".qweight", ".weight_packed" */

/* Codes of some rows on their way into parts. */
typedef struct pare_pack_in {
    const pare_scheme *scheme;
    int64_t rows_total, cols;       /* whole layer */
    int64_t row0, rows;             /* this piece */
    const uint8_t *codes;           /* [rows, cols] */
    const float *scales;            /* of this piece: [rows, groups] (tensor scope: 1) */
    const int32_t *zeros;
} pare_pack_in;

typedef struct pare_layout_job {    /* what a layout may want to know of the whole job, for check and config */
    const pare_scheme *scheme;      /* default scheme */
    pare_dtype model_dtype;
    const char *const *quantized; int64_t n_quantized;     /* module names (without .weight), in order */
    const pare_scheme *const *schemes;                     /* scheme of each quantized module */
    const char *const *kept; int64_t n_kept;               /* linear modules left in float */
    const pare_jval *config;        /* model's config.json, or NULL */
} pare_layout_job;

typedef struct pare_layout {
    const char *name, *help;
    const char *loaders;            /* who loads it: "transformers, vLLM" */
    const char *packing;            /* the rules used, for the table in docs: "P1 along in" */
    const char *schemes;            /* one line for the support matrix: "int 2 3 4 8; sym asym; group channel" */
    const pare_option *options;
    /* ---- writing (NULL members: read-only layout) */
    /* Sets what the layout fixes (scale dtype, range) and refuses what it cannot store. warn: a loader that will refuse, with the reason; "" = none. */
    pare_status (*check)(pare_scheme *scheme, pare_dtype model_dtype, const char *name, int ndim, const int64_t *shape, char warn[256], pare_err *err);
    /* Parts of one layer, in file order; parts[0] is the big one. */
    pare_status (*parts)(const pare_scheme *scheme, pare_dtype model_dtype, int ndim, const int64_t *shape, pare_part *parts, int *n, pare_err *err);
    /* Row pieces must start at a multiple of this; 0 = the layer must be packed in one piece (slabs, transposes). */
    int64_t row_align;
    /*
     * Packs one piece. dst[p]: when row_align > 0, part p's bytes for rows [row0, row0+rows) if the part's leading
     * dimension counts rows (or packed rows), else the whole part (written by the piece with row0 == 0). Called from several threads for different pieces.
     */
    pare_status (*pack)(const pare_kernels *k, const pare_pack_in *in, const pare_part *parts, int n, uint8_t *const dst[], pare_err *err);
    /* Members of config.json's "quantization_config" object (object is open). */
    pare_status (*config)(const pare_layout_job *job, struct pare_json *out, pare_err *err);
    /* Further small files of the folder ("quantize_config.json", "quanto_qmap.json"): calls emit(arg, name, text). May be NULL. */
    pare_status (*files)(const pare_layout_job *job, pare_status (*emit)(void *arg, const char *name, const char *text, pare_err *err), void *arg, pare_err *err);
    /* ---- reading */
    /* Claims the tensors of its layers: for each, appends a pare_weight through add(). Returns PARE_OK with nothing added when it finds nothing. */
    pare_status (*bind)(pare_store *store, pare_status (*add)(void *arg, const pare_weight *w, pare_err *err), void *arg, pare_err *err);
    pare_status (*read)(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *out, pare_err *err);
} pare_layout;
const pare_layout *pare_layout_find(const char *name);
const pare_layout *const *pare_layouts(void);   /* NULL-terminated */
/* For layouts: does a store tensor's name end in suffix; the stem is then names[0 .. n-len). */
#endif
