/* SPDX-License-Identifier: Apache-2.0 */
/* pare_evaluate*: text and files on one side, src/eval on the other. */
#include "flow/session.h"
#include <math.h>
#include <string.h>

#include "eval/eval.h"

/* What decides a model's predictions, as far as it can be seen without reading its weights: files with sizes and times, and the options. */
static pare_status model_key(const pare_session *s, const pare_session *against, char hex[33], pare_err *err)
{
    pare_xxh128 *h = NULL;
    char line[512];
    pare_status st = pare_xxh128_new(&h, err);
    if (st != PARE_OK) return st;
    for (const pare_session *x = s; x; x = x == s ? against : NULL) {
        pare_print(line, sizeof line, "%d %d %d %s|", (int)x->options.compute, (int)x->options.kv_dtype, (int)x->options.dtype, pare_ctx_isa(x->ctx));
        pare_xxh128_update(h, line, strlen(line));
        for (int i = 0; i < x->model->store->n_files; i++) {
            const pare_map *m = &x->model->store->files[i].map;
            pare_print(line, sizeof line, "%s %zu %lld|", x->model->store->files[i].name, m->n, (long long)m->mtime_ns);
            pare_xxh128_update(h, line, strlen(line));
        }
    }
    pare_xxh128_hex(h, hex);
    pare_xxh128_free(h);
    return PARE_OK;
}

/* The id that the tokenizer itself puts before a text, or -1: a model whose texts begin without BOS never saw one at the start of a window. */
static pare_status added_bos(const pare_session *s, int32_t *bos, pare_err *err)
{
    int32_t *with = NULL, *bare = NULL;
    int64_t n_with = 0, n_bare = 0;
    pare_status st;
    *bos = -1;
    PARE_TRY(pare_session_tokenize(s, "a", 1, true, &with, &n_with, err));
    PARE_TRY(pare_session_tokenize(s, "a", 1, false, &bare, &n_bare, err));
    if (n_with > n_bare && with[0] == s->info.bos) *bos = with[0];
out:
    pare_free(with);
    pare_free(bare);
    return st;
}

pare_status pare_evaluate(pare_session *s, const char *text, size_t bytes, const pare_eval_options *options, pare_eval_result *out, pare_err *err)
{
    static const pare_eval_options none = { 0 };
    const pare_eval_options *o = options ? options : &none;
    pare_perplexity_job job = { .engine = s->engine, .against = o->against ? o->against->engine : NULL, .bos = -1, .windows = o->windows,
                                .reference = o->reference, .save_reference = o->save_reference, .state = o->state };
    int32_t *ids = NULL;
    pare_status st;
    memset(out, 0, sizeof *out);
    PARE_TRY(pare_session_need_decoder(s, "perplexity", err));
    if (s->graph->encoder) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: perplexity of an encoder-decoder model needs pairs of texts", s->model->path);
    if (o->against) PARE_TRY(pare_session_need_decoder(o->against, "reference", err));
    if (o->against && o->reference) PARE_FAIL(err, PARE_ERR_USAGE, "two references: a model and a file");
    job.protocol = pare_protocol_find(o->protocol ? o->protocol : "gptq");
    if (!job.protocol) PARE_FAIL(err, PARE_ERR_USAGE, "there is no protocol '%s': gptq or llamacpp", o->protocol);
    if (o->windows < 0 || o->ctx < 0) PARE_FAIL(err, PARE_ERR_USAGE, "context %lld, windows %lld: not below 0", (long long)o->ctx, (long long)o->windows);
    job.ctx = o->ctx ? o->ctx : job.protocol->ctx;
    const int64_t limit = o->against && o->against->info.ctx < s->info.ctx ? o->against->info.ctx : s->info.ctx;
    if (job.ctx > limit && o->ctx) PARE_FAIL(err, PARE_ERR_USAGE, "windows of %lld tokens, and the model was opened for %lld", (long long)o->ctx, (long long)limit);
    if (job.ctx > limit) {
        pare_log(s->ctx, PARE_LOG_WARNING, "windows of %lld tokens: the model allows no more (the protocol's own are %lld)", (long long)limit, (long long)job.ctx);
        job.ctx = limit;
    }
    PARE_TRY(model_key(s, o->against, job.model_key, err));
    if (job.protocol->bos_each) PARE_TRY(added_bos(s, &job.bos, err));
    PARE_TRY(pare_session_tokenize(s, text, bytes, true, &ids, &job.n, err));
    job.ids = ids;
    st = pare_perplexity(s->ctx, &job, out, err);
out:
    pare_free(ids);
    return st;
}

/* ------------------------------------------------------------------------------------------------------ multiple choice */

/* One choice: ids of question + choice; the choice begins where the question's own tokens end. */
static pare_status score_choice(pare_session *s, const char *question, const char *choice, double *sum, pare_err *err)
{
    int32_t *both = NULL, *alone = NULL;
    int64_t n = 0, m = 0, same = 0;
    pare_str text = { 0 };
    pare_status st;
    pare_str_printf(&text, "%s%s%s", question, *question && *choice && *choice != ' ' && question[strlen(question) - 1] != ' ' && question[strlen(question) - 1] != '\n' ? " " : "", choice);
    if (text.failed) {
        st = pare_no_memory(err, "choice", text.n);
        goto out;
    }
    PARE_TRY(pare_session_tokenize(s, text.at, text.n, true, &both, &n, err));
    PARE_TRY(pare_session_tokenize(s, question, strlen(question), true, &alone, &m, err));
    while (same < m && same < n && both[same] == alone[same]) same++; /* a token may reach over the border: then it belongs to the choice */
    if (n > s->info.ctx) PARE_FAIL(err, PARE_ERR_DATA, "%lld tokens, and the context has %lld", (long long)n, (long long)s->info.ctx);
    PARE_TRY(pare_log_likelihood(s->ctx, s->engine, both, n, same < 1 ? 1 : same, sum, err));
out:
    pare_str_clear(&text);
    pare_free(both);
    pare_free(alone);
    return st;
}

static pare_status answer(pare_session *s, const pare_jval *q, const char *where, bool right[2], pare_err *err)
{
    const char *question = pare_j_text(pare_j_get(q, "question"), NULL);
    const pare_jval *choices = pare_j_get(q, "choices");
    const int64_t n = (int64_t)pare_j_count(choices), truth = pare_j_int(pare_j_get(q, "answer"), -1);
    double best[2] = { -INFINITY, -INFINITY };
    int64_t pick[2] = { -1, -1 };
    if (!question || pare_j_type(choices) != PARE_J_ARRAY || n < 2 || truth < 0 || truth >= n)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: expected {\"question\": text, \"choices\": [2 or more texts], \"answer\": index}", where);
    for (int64_t i = 0; i < n; i++) {
        const char *choice = pare_j_text(pare_j_at(choices, (size_t)i), NULL);
        double sum;
        if (!choice || !*choice) return pare_fail(err, PARE_ERR_FORMAT, "%s: choice %lld is no text", where, (long long)i);
        pare_status st = score_choice(s, question, choice, &sum, err);
        if (st != PARE_OK) return pare_context(err, st, "%s", where);
        const double score[2] = { sum, sum / (double)strlen(choice) };
        for (int k = 0; k < 2; k++)
            if (score[k] > best[k]) best[k] = score[k], pick[k] = i;
    }
    for (int k = 0; k < 2; k++) right[k] = pick[k] == truth;
    return PARE_OK;
}

pare_status pare_evaluate_choices(pare_session *s, const char *path, pare_choices_result *out, pare_err *err)
{
    char *text = NULL, where[512];
    size_t n = 0;
    int64_t hits[2] = { 0, 0 }, line = 0;
    const double start = pare_now();
    pare_status st;
    memset(out, 0, sizeof *out);
    PARE_TRY(pare_session_need_decoder(s, "score of a choice", err));
    if (s->graph->encoder) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: multiple choice is scored by decoder models only", s->model->path);
    PARE_TRY(pare_read_file(path, (size_t)1 << 30, &text, &n, err));
    for (char *at = text, *end = text + n; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t length = (size_t)((stop ? stop : end) - at);
        pare_jdoc *doc = NULL;
        bool right[2] = { false, false };
        line++;
        if (strspn(at, " \t\r") < length) {
            pare_print(where, sizeof where, "%s:%lld", path, (long long)line);
            st = pare_jdoc_parse(at, length, where, &doc, err);
            if (st == PARE_OK) st = answer(s, pare_jdoc_root(doc), where, right, err);
            pare_jdoc_free(doc);
            if (st != PARE_OK) goto out;
            out->questions++;
            hits[0] += right[0];
            hits[1] += right[1];
            pare_report_progress(s->ctx, "evaluate", NULL, (uint64_t)out->questions, 0, "questions");
        }
        at += length + 1;
    }
    if (!out->questions) PARE_FAIL(err, PARE_ERR_DATA, "%s: no questions", path);
    out->accuracy = (double)hits[0] / (double)out->questions;
    out->accuracy_normalized = (double)hits[1] / (double)out->questions;
    out->seconds = pare_now() - start;
out:
    pare_dealloc(text);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ similarity */

typedef PARE_VEC(float) floats;

static pare_status append_vector(pare_session *s, const char *text, size_t n, floats *out, int64_t *dim, pare_err *err)
{
    float *v = NULL;
    pare_status st = pare_session_embed(s, text, n, &v, dim, err);
    for (int64_t i = 0; st == PARE_OK && i < *dim; i++)
        if (!PARE_VEC_PUSH(out, v[i])) st = pare_no_memory(err, "vectors", out->n * sizeof *v);
    pare_free(v);
    return st;
}

pare_status pare_evaluate_similarity(pare_session *s, pare_session *against, const char *text, size_t bytes, pare_similarity_result *out, pare_err *err)
{
    floats a = { 0 }, b = { 0 };
    int64_t n = 0, dim = 0, dim_b = 0;
    const double start = pare_now();
    pare_status st = PARE_OK;
    memset(out, 0, sizeof *out);
    for (const char *at = text, *end = text + bytes; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t length = (size_t)((stop ? stop : end) - at);
        size_t blank = 0;
        while (blank < length && (at[blank] == ' ' || at[blank] == '\t' || at[blank] == '\r')) blank++;
        if (blank < length) {
            PARE_TRY(append_vector(s, at, length, &a, &dim, err));
            PARE_TRY(append_vector(against, at, length, &b, &dim_b, err));
            n++;
            pare_report_progress(s->ctx, "evaluate", NULL, (uint64_t)n, 0, "texts");
        }
        at += length + 1;
    }
    if (!n) PARE_FAIL(err, PARE_ERR_DATA, "the text has no line with words in it");
    pare_similarity(a.at, b.at, n, dim, dim_b, out);
    out->seconds = pare_now() - start;
out:
    PARE_VEC_CLEAR(&a);
    PARE_VEC_CLEAR(&b);
    return st;
}
