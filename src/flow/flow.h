/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/flow: the only floor that sees everything. A job goes plan -> stream -> finish:
 *
 *   plan.c      what happens to every tensor, exact output bytes and file names, before a weight is read
 *   stream.c    tensor by tensor, in parallel row pieces, appended to the shard files in plan order
 *   journal.c   what is already durable, so that an interrupted job can go on
 *   finish.c    index, config.json, companion files, pare.json, and the rename that makes the result visible
 */
#ifndef PARE_FLOW_H
#define PARE_FLOW_H
#include "base/base.h"
#include "file/file.h"
#include "layout/layout.h"
#include "method/method.h"
#include "quant/quant.h"

/* ---------------------------------------------------------------------------------------------------------- classify.c */
typedef enum pare_role {
    PARE_ROLE_LINEAR = 1, /* dense weight [out, in] */
    PARE_ROLE_CONV,       /* convolution weight [out, in, k...] */
    PARE_ROLE_HEAD,       /* output head: errors there are fed back, so it stays */
    PARE_ROLE_EMBEDDING,
    PARE_ROLE_ROUTER,     /* expert choice */
    PARE_ROLE_NORM,
    PARE_ROLE_CONV1D,     /* GPT-2's transposed dense layer [in, out] */
    PARE_ROLE_OTHER       /* biases, buffers, integers, recurrent weights, ... */
} pare_role;
pare_role pare_classify(const char *name, pare_dtype dtype, int ndim, const int64_t *shape, const char *model_type);
const char *pare_role_reason(pare_role role); /* why it is kept: "output head", "embedding", ... */
/* dtype that most float bytes of the checkpoint have; f32 when there is none. */
pare_dtype pare_model_dtype(const pare_weights *weights);

/* ------------------------------------------------------------------------------------------------------------ recipe.c */
typedef struct pare_recipe {
    pare_arena arena;
    struct pare_recipe_rule { pare_rule rule; pare_pattern *pattern; } *rules;
    size_t n;
    char *defaults_scheme, *defaults_method; /* "default": {...} of the recipe, or NULL */
} pare_recipe;
pare_status pare_recipe_load(const char *path, pare_recipe *out, pare_err *err);
void pare_recipe_clear(pare_recipe *recipe);
const pare_rule *pare_recipe_match(const pare_recipe *recipe, const char *tensor); /* first match, or NULL */

/* -------------------------------------------------------------------------------------------------------------- plan.c */
/* What a method said about a layer that was calibrated. */
typedef struct pare_work_record { double loss, damping; int64_t retries, dead, tokens; char note[200]; } pare_work_record;

typedef enum pare_action { PARE_ACTION_KEEP = 1, PARE_ACTION_CAST, PARE_ACTION_QUANTIZE, PARE_ACTION_DROP /* tied copy, or without a meaning in the output */,
                           PARE_ACTION_ADD /* made by calibration: a scale of the key/value cache */ } pare_action;

typedef struct pare_plan_item {
    int64_t weight;             /* index into pare_weights; ADD: -1 */
    const char *name, *module;  /* module: name without ".weight" */
    pare_action action;
    pare_role role;
    pare_dtype dtype;           /* KEEP, CAST: output dtype */
    pare_scheme scheme;         /* QUANTIZE */
    const pare_method *method;
    const char *tied_to;        /* DROP: name of the tensor that is written; NULL = none is */
    float *value;               /* ADD: [elements] */
    char reason[160];           /* why kept, or what was changed ("group 128 does not divide 172: channel") */
    pare_part parts[PARE_MAX_PARTS];
    int n_parts;
    uint64_t in_bytes, out_bytes;
    int ndim;
    int64_t shape[PARE_MAX_DIMS];
    int64_t rows, cols;         /* as a matrix: [shape0, rest] */
    bool calibrated;            /* goes through the walk of calibrate.c, which leaves its codes in the work store */
    int64_t fold_columns, fold_by; /* folds (plan->folds) whose scale multiplies its columns, and divides its rows or elements; -1 = none */
    /* filled by the run */
    pare_row_error error;
    bool measured;
    pare_work_record record;    /* calibrated: what its method said */
} pare_plan_item;

/* A scale a column that was folded into what makes the input of some layers. */
typedef struct pare_plan_fold {
    const char *name, *by_name; /* of the first layer; of what is divided */
    int64_t cols, rows;         /* rows of `by` when that is a matrix, else cols */
    const float *scale, *by;    /* [cols] columns are multiplied by; [rows] what makes them is divided by */
    float add;                  /* a norm's weight w stands for w + add */
    char note[200];
} pare_plan_fold;

/* A method with the options that the job gives it. */
typedef struct pare_plan_method { const pare_method *method; pare_params params; } pare_plan_method;

/* Scales of one key/value cache of the graph, those of its items: keys and values [ranges]; 0 ranges: none are made (cross-attention). */
typedef struct pare_plan_cache { int64_t ranges; float *value[2]; } pare_plan_cache;

typedef struct pare_plan_spec { int64_t item; int part; } pare_plan_spec; /* who owns an output tensor */

typedef struct pare_plan_shard {
    char *file;                 /* final file name in the folder */
    pare_spec *specs;           /* in file order */
    pare_plan_spec *owner;
    int64_t n;
    uint64_t file_bytes;
} pare_plan_shard;

/* A run of output tensors of one item that lie together in one shard; the unit of work and of resuming. */
typedef struct pare_plan_step { int shard; int64_t first, n, item; } pare_plan_step;

typedef struct pare_plan_warning { const char *name, *text; int64_t count; } pare_plan_warning; /* name: first tensor it is about */

typedef struct pare_plan {
    pare_arena arena;
    pare_plan_item *items;  int64_t n_items;
    pare_plan_shard *shards; int n_shards;
    pare_plan_step *steps;  int64_t n_steps;
    const pare_layout *layout;      /* NULL: nothing is quantized (convert) */
    const pare_format *container;
    pare_dtype model_dtype;
    pare_scheme scheme;             /* default scheme */
    uint64_t input_bytes;                   /* of tensors: what progress counts */
    uint64_t input_file_bytes, output_bytes; /* of weight files, headers included */
    int64_t quantized, kept;
    PARE_VEC(pare_plan_warning) warnings;
    PARE_VEC(pare_plan_method) methods;
    int64_t calibrated;             /* items that go through the walk; 0 = no calibration */
    PARE_VEC(pare_plan_fold) folds;
    pare_kvscheme kv;               /* of the key/value cache; dtype NONE = left alone */
    pare_params kv_params;
    pare_plan_cache *caches; int64_t n_caches; /* as the graph's; 0 = no scales are made */
    const struct pare_calibration_texts *texts; /* of the run */
    const struct pare_workstore *work;
} pare_plan;

/* What kind of job the plan is for. */
typedef enum pare_plan_kind { PARE_PLAN_QUANTIZE = 1, PARE_PLAN_CONVERT, PARE_PLAN_DEQUANTIZE } pare_plan_kind;
pare_status pare_plan_new(pare_ctx *ctx, pare_plan_kind kind, const pare_weights *weights, const pare_quantize_options *options, pare_plan **out,
                          pare_err *err);
void pare_plan_free(pare_plan *plan);
/* One warning a text: the same reason for a hundred layers is said once, with the first name and the count. */
pare_status pare_plan_warn(pare_plan *plan, const char *name, const char *text, pare_err *err);
/* The options of a method of the plan. */
const pare_params *pare_plan_params(const pare_plan *plan, const pare_method *method);
bool pare_plan_moves_groups(const pare_plan *plan, const pare_plan_item *item); /* may its groups be other than neighbouring columns? */
pare_status pare_plan_table(const pare_plan *plan, pare_table **out, pare_err *err);
/*
 * SHA-256 of everything that determines the output: resuming with another one is refused. times: the input files' times
 * count, too, so that a changed file is noticed (not in pare.json, which must not differ between copies of an input).
 */
pare_status pare_plan_fingerprint(const pare_plan *plan, const pare_weights *weights, const pare_quantize_options *options, bool times, char hex[65],
                                  pare_err *err);

/* ------------------------------------------------------------------------------------------------------------ shards.c */
/* Second half of planning: output tensors -> shards -> steps, with exact bytes. */
pare_status pare_plan_lay_out(pare_plan *plan, uint64_t shard_size, pare_err *err);
/* Container metadata of a shard; lives in the plan's arena. */
typedef struct pare_kv pare_kv;
pare_status pare_plan_metadata(pare_plan *plan, int shard, pare_kv **kv, int *n, pare_err *err);

/* ----------------------------------------------------------------------------------------------------------- journal.c */
typedef struct pare_journal pare_journal;
typedef struct pare_journal_state { int64_t steps_done; int shards_done; } pare_journal_state;
/* Opens folder/journal (locked against a second process). resume: reads what is durable into plan items and state, refuses another fingerprint. */
pare_status pare_journal_open(const char *folder, const char *fingerprint, bool resume, pare_plan *plan, pare_journal **out, pare_journal_state *state,
                              char (*shard_hash)[65], pare_err *err);
/* Steps [from, to) are durable in their shard; their measures are kept with them. */
pare_status pare_journal_steps(pare_journal *j, const pare_plan *plan, int64_t from, int64_t to, pare_err *err);
pare_status pare_journal_shard(pare_journal *j, int shard, const char *hash, pare_err *err);
void pare_journal_close(pare_journal *j);
#define PARE_JOURNAL_NAME ".pare-journal"

/* ------------------------------------------------------------------------------------------------------------ stream.c */
typedef struct pare_stream_options { uint64_t memory; bool allow_nonfinite; uint64_t seed; } pare_stream_options;
/* Carries the plan out into folder; shard_hash [n_shards]. */
pare_status pare_stream_run(pare_ctx *ctx, pare_plan *plan, const pare_weights *weights, const char *folder, const pare_stream_options *options,
                            pare_journal *journal, const pare_journal_state *state, char (*shard_hash)[65], pare_err *err);

/* ------------------------------------------------------------------------------------------------------------ finish.c */
typedef struct pare_finish {
    const pare_plan *plan;
    const pare_weights *weights;
    const pare_quantize_options *options;
    const char *command;             /* "quantize", "convert", "dequantize" */
    const char *plan_hash;           /* fingerprint without times */
    const char *folder;              /* where the files are being made */
    const char (*shard_hash)[65];
    const char (*input_hash)[65];    /* one for each file of the store */
} pare_finish;
/* Only plan, weights and options are looked at. */
pare_status pare_finish_check(const pare_finish *f, pare_err *err);
pare_status pare_finish_folder(pare_ctx *ctx, const pare_finish *f, pare_err *err);
bool pare_input_hash_is_sha256(const pare_quantize_options *options);
void pare_plan_totals(const pare_plan *plan, double *bits_per_weight, double *sqnr_db);

/* -------------------------------------------------------------------------------------------------------------- misc */
struct pare_model {
    char *path;
    pare_store *store;
    pare_weights *weights;
    pare_model_info info;
    pare_model_tensor *tensors;
    pare_ctx *ctx;
};
#endif
