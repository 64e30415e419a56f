/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing the next token from logits: the filters of the field in the order in which transformers applies them. */
#ifndef PARE_GRAPH_SAMPLE_H
#define PARE_GRAPH_SAMPLE_H
#include "base/base.h"

typedef struct pare_sampler_options {
    double temperature;         /* 0 = the largest logit, the first of equals */
    int64_t top_k;              /* 0 = off */
    double top_p, min_p;        /* 0 = off (top_p 1 as well) */
    double repetition_penalty;  /* 0 or 1 = off */
    uint64_t seed;
} pare_sampler_options;

typedef struct pare_sampler pare_sampler;
/* Checks ranges: PARE_ERR_USAGE with the number. */
pare_status pare_sampler_new(const pare_sampler_options *options, int64_t vocab, pare_sampler **out, pare_err *err);
void pare_sampler_free(pare_sampler *s);
/* A token of the sequence: what the repetition penalty looks at. */
void pare_sampler_saw(pare_sampler *s, int32_t id);
/* The token at `position`: a pure function of options, position, logits and what was seen. PARE_ERR_DATA when no logit is a number. */
pare_status pare_sampler_next(pare_sampler *s, int64_t position, const float *logits, int32_t *id, pare_err *err);
#endif
