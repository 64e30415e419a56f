/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help for the tests of src/model: the tiny models of tests/golden/archs (what each is, and what transformers computes for it), made into
 * checkpoint folders, and engines over them. Their weights are not stored: every element is a function of its tensor's name and index.
 */
#ifndef MODEL_GOLDEN_H
#define MODEL_GOLDEN_H
#include "support/support.h"
#include "model/model.h"

enum { GOLDEN_MAX_ROWS = 64, GOLDEN_MAX_NAMES = 256 };

typedef struct golden {
    char name[64];
    pare_jdoc *doc;               /* NAME.json */
    const pare_jval *json;
    pare_store *numbers;          /* NAME.safetensors: logits [rows, vocab], hidden [tokens, dim], pooled [1, dim] */
    int32_t ids[GOLDEN_MAX_ROWS]; /* the prompt, then the continuation: one row of logits for each */
    int64_t n_prompt, n_steps;
    int32_t types[GOLDEN_MAX_ROWS];
    bool has_types;
    int32_t source[GOLDEN_MAX_ROWS]; /* encoder-decoder: what the encoder reads */
    int64_t n_source;
    double tolerance;             /* of the range of the golden's numbers */
    int64_t ctx;                  /* positions to ask for: more than the config's own where frequencies grow with the sequence; else 0 */
    bool chunks;                  /* false: a prompt cut into several steps has another result */
} golden;

/* Sorted names of all golden models. Returns how many; borrowed until the program ends. */
int golden_names(const char **names, int max);
golden *golden_open(const char *name);
void golden_free(golden *g);
/* "logits", "hidden", "pooled": borrowed [rows, cols] or NULL. */
const float *golden_numbers(const golden *g, const char *what, int64_t *rows, int64_t *cols);

/* What a test does to a checkpoint before it is written; returns false to leave the tensor out. May be NULL. */
typedef bool (*golden_edit_fn)(void *user, pare_spec *spec);
typedef struct golden_write_options {
    pare_dtype dtype;             /* NONE = as the golden says */
    golden_edit_fn edit;          /* changes names and shapes */
    void *user;
    const char *config;           /* text of config.json instead of the golden's own */
} golden_write_options;
/* Makes a new folder with config.json, model.safetensors and the companion files. Borrowed path (a few static buffers). */
const char *golden_write(const golden *g, const golden_write_options *options);
/* config.json of the golden with one key's value replaced by JSON text ("" removes the key). Free with pare_dealloc(). */
char *golden_config(const golden *g, const char *key, const char *value);

/* A checkpoint opened for running. */
typedef struct running { pare_store *store; pare_weights *weights; pare_engine *engine; } running;
pare_status running_open(pare_ctx *ctx, const char *folder, pare_dtype dtype, const pare_engine_options *options, running *r, pare_err *err);
void running_close(running *r);

/*
 * Rows of numbers beside each other, over the range of `want`: largest difference, root mean square, and the median of the rows' root mean
 * squares (which a single token that goes to another expert does not move).
 */
typedef struct distance { double max, rms, median; int64_t row, col; } distance;
distance distance_of(const float *want, const float *got, int64_t rows, int64_t cols);
int64_t best_of(const float *row, int64_t n);
#endif
