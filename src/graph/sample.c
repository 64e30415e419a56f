/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of work: repetition penalty (Keskar et al. 2019, CTRL, section 4.1), temperature, top-k (Fan et al. 2018), top-p (Holtzman et al. 2020), min-p
 * (Nguyen et al. 2024), then one draw by inversion. Candidates are sorted by logit and id, so that ties fall the same way everywhere;
 * the random number is keyed by (seed, position): the same text on any number of threads.
 */
#include "graph/sample.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate { float logit; int32_t id; double p; } candidate;

struct pare_sampler {
    pare_sampler_options o;
    int64_t vocab;
    uint8_t *seen;     /* [vocab] */
    candidate *at;     /* [vocab] */
    uint64_t key;
};

pare_status pare_sampler_new(const pare_sampler_options *o, int64_t vocab, pare_sampler **out, pare_err *err)
{
    *out = NULL;
    if (!(o->temperature >= 0) || o->temperature > 1e3) return pare_fail(err, PARE_ERR_USAGE, "temperature %g is outside 0 ... 1000", o->temperature);
    if (!(o->top_p >= 0 && o->top_p <= 1)) return pare_fail(err, PARE_ERR_USAGE, "top-p %g is outside 0 ... 1", o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1)) return pare_fail(err, PARE_ERR_USAGE, "min-p %g is outside 0 ... 1", o->min_p);
    if (o->top_k < 0) return pare_fail(err, PARE_ERR_USAGE, "top-k %lld is negative", (long long)o->top_k);
    if (!(o->repetition_penalty >= 0) || o->repetition_penalty > 1e3) return pare_fail(err, PARE_ERR_USAGE, "repetition penalty %g is outside 0 ... 1000", o->repetition_penalty);
    pare_sampler *s = pare_alloc_zero(1, sizeof *s);
    if (!s) return pare_no_memory(err, "sampler", sizeof *s);
    s->o = *o;
    s->vocab = vocab;
    s->seen = pare_alloc_zero((size_t)vocab + 1, 1);
    s->at = pare_alloc_zero((size_t)vocab + 1, sizeof *s->at);
    s->key = pare_rng_key(o->seed, "sample");
    if (!s->seen || !s->at) {
        pare_sampler_free(s);
        return pare_no_memory(err, "sampler", (size_t)vocab * sizeof *s->at);
    }
    *out = s;
    return PARE_OK;
}

void pare_sampler_free(pare_sampler *s)
{
    if (!s) return;
    pare_dealloc(s->seen);
    pare_dealloc(s->at);
    pare_dealloc(s);
}

void pare_sampler_saw(pare_sampler *s, int32_t id)
{
    if (id >= 0 && id < s->vocab) s->seen[id] = 1;
}

static float penalized(const pare_sampler *s, float logit, int64_t id)
{
    const float p = (float)s->o.repetition_penalty;
    if (p == 0 || p == 1 || !s->seen[id]) return logit;
    return logit > 0 ? logit / p : logit * p;
}

static int by_logit(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The k-th largest logit: candidates below it cannot be chosen. Quickselect on a copy would need memory; a heap of k does not. */
static void sift(candidate *heap, int64_t n, int64_t i)
{
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= n) return;
        if (child + 1 < n && by_logit(&heap[child], &heap[child + 1]) < 0) child++; /* the worse of both on top */
        if (by_logit(&heap[i], &heap[child]) >= 0) return;
        candidate t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
        i = child;
    }
}

/* The candidates in falling order, at most `keep` of them (0 = all). Returns how many. */
static int64_t gather(pare_sampler *s, const float *logits, int64_t keep)
{
    int64_t n = 0;
    if (keep <= 0 || keep > s->vocab) keep = s->vocab;
    for (int64_t i = 0; i < s->vocab; i++) {
        candidate c = { penalized(s, logits[i], i), (int32_t)i, 0 };
        if (isnan(c.logit) || c.logit == -INFINITY) continue;
        if (n < keep) {
            s->at[n++] = c;
            if (n == keep && keep < s->vocab)
                for (int64_t j = n / 2; j-- > 0;) sift(s->at, n, j);
        } else if (by_logit(&c, &s->at[0]) < 0) {
            s->at[0] = c;
            sift(s->at, n, 0);
        }
    }
    qsort(s->at, (size_t)n, sizeof *s->at, by_logit);
    return n;
}

static int64_t greedy(const pare_sampler *s, const float *logits)
{
    int64_t best = -1;
    float top = -INFINITY;
    for (int64_t i = 0; i < s->vocab; i++) {
        float x = penalized(s, logits[i], i);
        if (x > top) { /* false for NaN */
            top = x;
            best = i;
        }
    }
    return best;
}

pare_status pare_sampler_next(pare_sampler *s, int64_t position, const float *logits, int32_t *id, pare_err *err)
{
    double sum = 0, kept = 0;
    if (s->o.temperature == 0 || s->o.top_k == 1) {
        int64_t best = greedy(s, logits);
        if (best < 0) return pare_fail(err, PARE_ERR_DATA, "position %lld: no logit is a finite number", (long long)position);
        *id = (int32_t)best;
        return PARE_OK;
    }
    int64_t n = gather(s, logits, s->o.top_k);
    if (!n || isinf(s->at[0].logit)) return pare_fail(err, PARE_ERR_DATA, "position %lld: no logit is a finite number", (long long)position);
    for (int64_t i = 0; i < n; i++) sum += s->at[i].p = exp(((double)s->at[i].logit - (double)s->at[0].logit) / s->o.temperature);
    if (s->o.top_p > 0 && s->o.top_p < 1) {
        int64_t m = 0;
        for (; m < n && kept < s->o.top_p * sum; m++) kept += s->at[m].p; /* the token that crosses the line stays */
        n = m ? m : 1;
    }
    if (s->o.min_p > 0)
        while (n > 1 && s->at[n - 1].p < s->o.min_p) n--; /* relative to the most likely one, whose p is 1 */
    sum = 0;
    for (int64_t i = 0; i < n; i++) sum += s->at[i].p;
    double u = pare_rng_uniform(s->key, (uint64_t)position) * sum;
    int64_t pick = 0;
    for (; pick < n - 1 && u >= s->at[pick].p; pick++) u -= s->at[pick].p;
    *id = s->at[pick].id;
    return PARE_OK;
}
