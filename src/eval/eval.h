/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/eval: what a model predicts, measured. Text is cut into windows by a protocol (protocols.def), the engine runs them, every
 * scored position gives one pare_score; perplexity, KL divergence and agreement are sums over these. The reference is a second engine
 * in the same pass, or a file of its distributions (reference.c).
 */
#ifndef PARE_EVAL_H
#define PARE_EVAL_H
#include "base/base.h"
#include "graph/graph.h"

/* ------------------------------------------------------------------------------------------------------------- protocols */
typedef struct pare_window {
    int64_t first, n;      /* tokens [first, first + n) of the text are fed */
    int64_t score;         /* positions score ... n - 2 of the window are scored: each predicts the token after it */
} pare_window;
typedef struct pare_protocol {
    const char *name, *help;
    int64_t ctx;           /* window when the caller names none */
    bool bos_each;         /* the first token of a window is replaced by BOS, where the tokenizer adds one */
    int64_t (*score)(int64_t ctx); /* first scored position */
} pare_protocol;
const pare_protocol *pare_protocol_find(const char *name);
const pare_protocol *const *pare_protocols(void); /* NULL-terminated */
/* Whole windows in n tokens, at most `limit` (0 = all); at least one short one when n >= 2 is less than a window. */
int64_t pare_protocol_windows(int64_t n, int64_t ctx, int64_t limit);
pare_window pare_protocol_window(const pare_protocol *p, int64_t n, int64_t ctx, int64_t i);

/* ---------------------------------------------------------------------------------------------------------------- scores */
typedef struct pare_score {
    float nll;             /* -ln p(next token) */
    float nll_ref, kl;     /* of the reference; KL(reference || model), nats */
    uint32_t same_top;     /* 1: both find the same token most likely */
} pare_score;
typedef PARE_VEC(pare_score) pare_scores;
void pare_scores_summarize(const pare_score *scores, int64_t n, bool compared, pare_eval_result *out);

/* ------------------------------------------------------------------------------------------------------- reference files */
/* What a reference file must agree on with the run that uses it. */
typedef struct pare_reference_key { char protocol[16]; uint32_t vocab, ctx; uint64_t windows; uint8_t text[16]; /* XXH3-128 of the ids fed */ } pare_reference_key;
typedef struct pare_reference_writer pare_reference_writer;
pare_status pare_reference_create(const char *path, const pare_reference_key *key, pare_reference_writer **out, pare_err *err);
/* Logits [n, vocab] of n scored positions of one window, and the tokens that follow them. */
pare_status pare_reference_add(pare_reference_writer *w, pare_ctx *ctx, const float *logits, const int32_t *next, int64_t n, pare_err *err);
pare_status pare_reference_commit(pare_reference_writer *w, pare_err *err); /* the file appears */
void pare_reference_abort(pare_reference_writer *w);

typedef struct pare_reference pare_reference;
pare_status pare_reference_open(const char *path, const pare_reference_key *key, pare_reference **out, pare_err *err);
void pare_reference_close(pare_reference *r);
/* Compares the next n positions with logits [n, vocab]; fills nll_ref, kl, same_top of scores. */
pare_status pare_reference_compare(pare_reference *r, pare_ctx *ctx, const float *logits, int64_t n, pare_score *scores, pare_err *err);
/* What tells this file from another one of the same text: its size and its first bytes of data. */
void pare_reference_identify(const pare_reference *r, pare_xxh128 *hash);
/* Passes over n positions (of windows that an earlier run has finished). */
pare_status pare_reference_skip(pare_reference *r, int64_t n, pare_err *err);

/* ------------------------------------------------------------------------------------------------------------- state file */
/* Finished windows of a long run, so that it can be continued after any interruption; bound to a fingerprint of everything that decides the scores. */
typedef struct pare_eval_state pare_eval_state;
/* Reads what is there into scores and windows (cut at the last whole window); another fingerprint: PARE_ERR_EXISTS. */
pare_status pare_eval_state_open(const char *path, const char fingerprint[33], pare_eval_state **out, pare_scores *scores, int64_t *windows, pare_err *err);
pare_status pare_eval_state_add(pare_eval_state *s, const pare_score *scores, int64_t n, pare_err *err); /* durable when it returns */
void pare_eval_state_close(pare_eval_state *s);

/* ----------------------------------------------------------------------------------------------------------------- runs */
typedef struct pare_perplexity_job {
    pare_engine *engine, *against;       /* against: NULL = none */
    const pare_protocol *protocol;
    const int32_t *ids; int64_t n;       /* the whole text */
    int32_t bos;                         /* that the tokenizer puts before a text; -1 = none */
    int64_t ctx, windows;
    const char *reference, *save_reference, *state; /* paths or NULL */
    char model_key[33];                  /* fingerprint of the model and its options, for state */
} pare_perplexity_job;
pare_status pare_perplexity(pare_ctx *ctx, const pare_perplexity_job *job, pare_eval_result *out, pare_err *err);

/* Sum of ln p of tokens [from, n) of a sequence, given what stands before each. */
pare_status pare_log_likelihood(pare_ctx *ctx, pare_engine *e, const int32_t *ids, int64_t n, int64_t from, double *sum, pare_err *err);

/* Cosines between the vectors [n, dim] of two models, and between neighbouring rows of each. */
void pare_similarity(const float *a, const float *b, int64_t n, int64_t dim, int64_t dim_b, pare_similarity_result *out);
#endif
