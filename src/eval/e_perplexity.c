/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Perplexity and, against a reference, KL divergence and top-1 agreement: every window runs through the engine in slices whose logits fit into
 * LOGITS bytes; a slice is scored position by position in parallel, each position on its own, so that no number depends on threads.
 *
 *   perplexity = exp(mean nll),  nll(t) = -ln softmax(logits[t])[next token]
 *   KL(t) = sum_v p_ref(v) (ln p_ref(v) - ln p(v)),  in nats
 */
#include "eval/eval.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOGITS = 64 << 20, SLICE = 512 };

typedef struct slice_job {
    const pare_kernels *k;
    const float *logits, *ref; /* [n, vocab]; ref NULL = none */
    const int32_t *next;
    int64_t vocab;
    pare_score *scores;
} slice_job;

static pare_status score_position(void *arg, int64_t i, int worker, pare_err *err)
{
    const slice_job *j = arg;
    const float *row = j->logits + i * j->vocab;
    pare_score *s = &j->scores[i];
    (void)worker;
    const double lse = j->k->log_sum_exp(row, j->vocab);
    if (!isfinite(lse)) return pare_fail(err, PARE_ERR_DATA, "the model's logits are not all finite");
    s->nll = (float)(lse - (double)row[j->next[i]]);
    if (!j->ref) return PARE_OK;
    const float *ref = j->ref + i * j->vocab;
    const double lse_ref = j->k->log_sum_exp(ref, j->vocab);
    if (!isfinite(lse_ref)) return pare_fail(err, PARE_ERR_DATA, "the reference model's logits are not all finite");
    s->nll_ref = (float)(lse_ref - (double)ref[j->next[i]]);
    bool same = false;
    s->kl = (float)fmax(j->k->kl_divergence(ref, row, j->vocab, &same), 0);
    s->same_top = same;
    return PARE_OK;
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* The value below which a share q of the sorted values lies (nearest rank). */
static double quantile(const float *sorted, int64_t n, double q)
{
    int64_t rank = (int64_t)ceil(q * (double)n) - 1;
    return (double)sorted[rank < 0 ? 0 : rank];
}

void pare_scores_summarize(const pare_score *scores, int64_t n, bool compared, pare_eval_result *out)
{
    double sum = 0, squares = 0, ref = 0, kl = 0;
    int64_t same = 0;
    out->tokens = n;
    out->compared = compared && n > 0;
    if (n < 1) return;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)scores[i].nll;
        ref += (double)scores[i].nll_ref;
        kl += (double)scores[i].kl;
        same += scores[i].same_top;
    }
    out->nll = sum / (double)n;
    out->perplexity = exp(out->nll);
    for (int64_t i = 0; i < n; i++) squares += ((double)scores[i].nll - out->nll) * ((double)scores[i].nll - out->nll);
    out->nll_error = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : 0;
    if (!compared) return;
    out->perplexity_ref = exp(ref / (double)n);
    out->kl_mean = kl / (double)n;
    out->top1_agreement = (double)same / (double)n;
    float *sorted = pare_alloc((size_t)n * sizeof *sorted);
    if (!sorted) {
        out->kl_median = out->kl_p99 = out->kl_max = NAN;
        return;
    }
    for (int64_t i = 0; i < n; i++) sorted[i] = scores[i].kl;
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    out->kl_median = quantile(sorted, n, 0.5);
    out->kl_p99 = quantile(sorted, n, 0.99);
    out->kl_max = (double)sorted[n - 1];
    pare_dealloc(sorted);
}

/* ---------------------------------------------------------------------------------------------------------------- windows */

typedef struct perplexity_run {
    pare_ctx *ctx;
    const pare_perplexity_job *job;
    int64_t vocab, slice;      /* positions whose logits are held at once */
    float *logits, *ref;
    int32_t *ids;              /* of the window at hand */
    uint8_t *want;
    pare_reference *reference;
    pare_reference_writer *writer;
    pare_eval_state *state;
    pare_scores scores;
    int64_t done;              /* windows */
} perplexity_run;

/* Positions [at, at + n) of the window, of which those from `score` on count. */
static pare_status run_slice(perplexity_run *r, const pare_window *w, int64_t at, int64_t n, pare_err *err)
{
    const pare_perplexity_job *job = r->job;
    const int64_t first = w->score > at ? w->score : at, last = at + n < w->n - 1 ? at + n : w->n - 1, count = last > first ? last - first : 0;
    pare_status st;
    for (int64_t i = 0; i < n; i++) r->want[i] = at + i >= first && at + i < last;
    const pare_batch batch = { .n = n, .ids = r->ids + at, .want = r->want };
    if ((st = pare_engine_step(job->engine, &batch, r->logits, err)) != PARE_OK) return st;
    if (job->against && (st = pare_engine_step(job->against, &batch, r->ref, err)) != PARE_OK) return pare_context(err, st, "reference");
    if (!count) return PARE_OK;
    const size_t before = r->scores.n;
    for (int64_t i = 0; i < count; i++)
        if (!PARE_VEC_PUSH(&r->scores, (pare_score){ 0 })) return pare_no_memory(err, "scores", r->scores.n * sizeof(pare_score));
    slice_job j = { .k = r->ctx->kernels, .logits = r->logits, .ref = job->against ? r->ref : NULL, .next = r->ids + first + 1, .vocab = r->vocab, .scores = r->scores.at + before };
    if ((st = pare_parallel(r->ctx, count, score_position, &j, err)) != PARE_OK) return st;
    if (r->reference && (st = pare_reference_compare(r->reference, r->ctx, r->logits, count, j.scores, err)) != PARE_OK) return st;
    if (r->writer) st = pare_reference_add(r->writer, r->ctx, r->logits, j.next, count, err);
    return st;
}

static pare_status run_window(perplexity_run *r, const pare_window *w, pare_err *err)
{
    const pare_perplexity_job *job = r->job;
    pare_status st = PARE_OK;
    pare_engine_truncate(job->engine, 0, 0);
    if (job->against) pare_engine_truncate(job->against, 0, 0);
    memcpy(r->ids, job->ids + w->first, (size_t)w->n * sizeof *r->ids);
    if (job->protocol->bos_each && job->bos >= 0) r->ids[0] = job->bos;
    for (int64_t at = 0; at < w->n - 1 && st == PARE_OK; at += r->slice) /* the last token predicts nothing */
        st = run_slice(r, w, at, w->n - 1 - at < r->slice ? w->n - 1 - at : r->slice, err);
    return st;
}

/* "what" of the progress line: the value so far. */
static void report(const perplexity_run *r, int64_t windows)
{
    char item[96];
    double nll = 0, kl = 0;
    for (size_t i = 0; i < r->scores.n; i++) {
        nll += (double)r->scores.at[i].nll;
        kl += (double)r->scores.at[i].kl;
    }
    const double n = r->scores.n ? (double)r->scores.n : 1;
    if (r->job->against || r->reference)
        pare_print(item, sizeof item, "perplexity %.4f, KL %.5f", exp(nll / n), kl / n);
    else
        pare_print(item, sizeof item, "perplexity %.4f", exp(nll / n));
    pare_report_progress(r->ctx, "evaluate", item, (uint64_t)r->done, (uint64_t)windows, "windows");
}

static pare_status hash_text(const pare_perplexity_job *job, int64_t windows, char hex[33], pare_err *err)
{
    pare_xxh128 *h = NULL;
    pare_status st = pare_xxh128_new(&h, err);
    if (st != PARE_OK) return st;
    const int64_t used = windows > 0 && job->n > job->ctx ? windows * job->ctx : job->n;
    pare_xxh128_update(h, job->ids, (size_t)used * sizeof *job->ids);
    const int32_t bos = job->protocol->bos_each ? job->bos : -1;
    pare_xxh128_update(h, &bos, sizeof bos);
    pare_xxh128_hex(h, hex);
    pare_xxh128_free(h);
    return PARE_OK;
}

static pare_status open_files(perplexity_run *r, int64_t windows, pare_err *err)
{
    const pare_perplexity_job *job = r->job;
    pare_reference_key key = { .vocab = (uint32_t)r->vocab, .ctx = (uint32_t)job->ctx, .windows = (uint64_t)windows };
    char hex[33], all[256], fingerprint[33];
    pare_xxh128 *h = NULL;
    pare_status st;
    PARE_TRY(hash_text(job, windows, hex, err));
    pare_print(key.protocol, sizeof key.protocol, "%s", job->protocol->name);
    memcpy(key.text, hex, sizeof key.text);
    if (job->reference) PARE_TRY(pare_reference_open(job->reference, &key, &r->reference, err));
    if (job->save_reference) PARE_TRY(pare_reference_create(job->save_reference, &key, &r->writer, err));
    if (job->state) {
        pare_print(all, sizeof all, "%s|%s|%s|%lld|%lld|%d|%d", job->model_key, hex, key.protocol, (long long)job->ctx, (long long)windows, job->against != NULL,
                   job->reference != NULL);
        PARE_TRY(pare_xxh128_new(&h, err));
        pare_xxh128_update(h, all, strlen(all));
        if (r->reference) pare_reference_identify(r->reference, h);
        pare_xxh128_hex(h, fingerprint);
        PARE_TRY(pare_eval_state_open(job->state, fingerprint, &r->state, &r->scores, &r->done, err));
        if (r->done > windows) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: holds %lld windows of %lld", job->state, (long long)r->done, (long long)windows);
        if (r->reference) PARE_TRY(pare_reference_skip(r->reference, (int64_t)r->scores.n, err));
    }
out:
    pare_xxh128_free(h);
    return st;
}

static pare_status check_job(const pare_perplexity_job *job, pare_err *err)
{
    const pare_graph *g = pare_engine_graph(job->engine);
    if (job->n < 2) return pare_fail(err, PARE_ERR_DATA, "the text has %lld token%s: nothing to predict", (long long)job->n, job->n == 1 ? "" : "s");
    if (job->ctx < 2) return pare_fail(err, PARE_ERR_USAGE, "a context of %lld tokens: at least 2", (long long)job->ctx);
    if (job->against && pare_engine_graph(job->against)->vocab != g->vocab)
        return pare_fail(err, PARE_ERR_USAGE, "the reference has a vocabulary of %lld, this model one of %lld: their predictions cannot be compared",
                         (long long)pare_engine_graph(job->against)->vocab, (long long)g->vocab);
    if (job->save_reference && job->state)
        return pare_fail(err, PARE_ERR_USAGE, "a reference file is made in one go: without a state to continue from");
    return PARE_OK;
}

pare_status pare_perplexity(pare_ctx *ctx, const pare_perplexity_job *job, pare_eval_result *out, pare_err *err)
{
    pare_status st;
    const double start = pare_now();
    perplexity_run r = { .ctx = ctx, .job = job, .vocab = pare_engine_graph(job->engine)->vocab };
    const int64_t windows = pare_protocol_windows(job->n, job->ctx, job->windows);
    memset(out, 0, sizeof *out);
    PARE_TRY(check_job(job, err));
    r.slice = LOGITS / 4 / r.vocab;
    r.slice = r.slice < 1 ? 1 : r.slice > SLICE ? SLICE : r.slice;
    r.logits = pare_alloc_aligned(64, (size_t)r.slice * (size_t)r.vocab * 4);
    r.ref = job->against ? pare_alloc_aligned(64, (size_t)r.slice * (size_t)r.vocab * 4) : NULL;
    r.ids = pare_alloc((size_t)job->ctx * sizeof *r.ids);
    r.want = pare_alloc((size_t)r.slice);
    if (!r.logits || !r.ids || !r.want || (job->against && !r.ref)) {
        st = pare_no_memory(err, "logits", (size_t)r.slice * (size_t)r.vocab * 4);
        goto out;
    }
    PARE_TRY(open_files(&r, windows, err));
    while (r.done < windows) {
        const pare_window w = pare_protocol_window(job->protocol, job->n, job->ctx, r.done);
        const size_t before = r.scores.n;
        PARE_TRY(run_window(&r, &w, err));
        if (r.state) PARE_TRY(pare_eval_state_add(r.state, r.scores.at + before, (int64_t)(r.scores.n - before), err));
        r.done++;
        report(&r, windows);
    }
    if (r.writer) {
        st = pare_reference_commit(r.writer, err);
        r.writer = NULL;
        if (st != PARE_OK) goto out;
    }
    out->windows = windows;
    pare_scores_summarize(r.scores.at, (int64_t)r.scores.n, job->against || r.reference, out);
    out->seconds = pare_now() - start;
out:
    pare_reference_abort(r.writer);
    pare_reference_close(r.reference);
    pare_eval_state_close(r.state);
    PARE_VEC_CLEAR(&r.scores);
    pare_dealloc_aligned(r.logits);
    pare_dealloc_aligned(r.ref);
    pare_dealloc(r.ids);
    pare_dealloc(r.want);
    return st;
}

/* ------------------------------------------------------------------------------------------------------- log-likelihoods */

typedef struct sum_job { const pare_kernels *k; const int32_t *ids; int64_t n, vocab; double sum; } sum_job;

static pare_status add_row(void *user, int64_t token, const float *row, pare_err *err)
{
    sum_job *j = user;
    const double lse = j->k->log_sum_exp(row, j->vocab);
    if (!isfinite(lse)) return pare_fail(err, PARE_ERR_DATA, "the model's logits are not all finite");
    j->sum += (double)row[j->ids[token + 1]] - lse;
    return PARE_OK;
}

pare_status pare_log_likelihood(pare_ctx *ctx, pare_engine *e, const int32_t *ids, int64_t n, int64_t from, double *sum, pare_err *err)
{
    sum_job j = { .k = ctx->kernels, .ids = ids, .n = n, .vocab = pare_engine_graph(e)->vocab };
    *sum = 0;
    if (from < 1 || from >= n) return pare_fail(err, PARE_ERR_DATA, "nothing to score: %lld tokens, %lld given", (long long)n, (long long)from);
    uint8_t *want = pare_alloc_zero((size_t)n, 1);
    if (!want) return pare_no_memory(err, "tokens", (size_t)n);
    memset(want + from - 1, 1, (size_t)(n - from));
    pare_engine_truncate(e, 0, 0);
    const pare_batch batch = { .n = n - 1, .ids = ids, .want = want };
    pare_status st = pare_engine_step_rows(e, &batch, add_row, &j, err);
    pare_dealloc(want);
    *sum = j.sum;
    return st;
}
