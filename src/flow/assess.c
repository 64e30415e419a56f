/* SPDX-License-Identifier: Apache-2.0 */
/* pare_assess: two checkpoints of one model beside each other (what was lost, what was won), and the record of it in pare.json. */
#include <stdio.h>
#include <string.h>

#include "flow/session.h"
#include <pare/report.h>

enum { SPEED_PROMPT = 128, SPEED_TOKENS = 16, SPEED_DEPTH = 16 };

static pare_status open_model(pare_ctx *ctx, const char *model, const pare_assess_options *o, pare_compute compute, pare_session **out, pare_err *err) {
    const pare_session_options so = {.compute = compute, .ctx = o->ctx, .memory = o->memory};
    return pare_session_open(ctx, model, o->hub_cache, &so, out, err);
}

/* Prefill and decode of a few tokens; models that cannot be timed (encoders) give zeros. */
static pare_status speed_of(pare_session *s, double *prefill, double *decode, pare_err *err) {
    const int64_t most = s->info.ctx;
    pare_bench_options o = {.prompt = SPEED_PROMPT, .tokens = SPEED_TOKENS, .depth = SPEED_DEPTH, .repeat = 3};
    pare_bench_result r;
    *prefill = *decode = 0;
    if (s->graph->kind != PARE_G_DECODER || s->graph->encoder || most < 4) return PARE_OK;
    if (o.prompt > most) o.prompt = most;
    if (o.depth + o.tokens > most) o.depth = most / 2, o.tokens = most - o.depth;
    const pare_status st = pare_bench(s, &o, &r, err);
    pare_session_reset(s);
    if (st != PARE_OK) return st;
    *prefill = r.prefill_tokens_per_s;
    *decode = r.decode_tokens_per_s;
    return PARE_OK;
}

static uint64_t file_bytes(const pare_session *s) {
    uint64_t n = 0;
    for (int i = 0; i < s->model->store->n_files; i++) n += s->model->store->files[i].map.n;
    return n;
}

pare_status pare_assess(pare_ctx *ctx, const char *before, const char *after, const pare_assess_options *o, pare_assessment *out, pare_err *err) {
    pare_session *a = NULL, *b = NULL;
    pare_status st = PARE_OK;
    memset(out, 0, sizeof *out);
    /* the truth to compare with is exact, whatever mode the smaller model runs in */
    PARE_TRY(open_model(ctx, before, o, PARE_COMPUTE_EXACT, &a, err));
    PARE_TRY(open_model(ctx, after, o, o->compute, &b, err));
    out->bytes_before = file_bytes(a);
    out->bytes_after = file_bytes(b);
    out->encoder = a->graph->kind == PARE_G_ENCODER;
    if (out->encoder) {
        PARE_TRY(pare_evaluate_similarity(b, a, o->text, o->bytes, &out->similarity, err));
    } else {
        const pare_eval_options eo = {.protocol = o->protocol, .ctx = o->ctx, .windows = o->windows, .against = a};
        PARE_TRY(pare_evaluate(b, o->text, o->bytes, &eo, &out->eval, err));
    }
    if (!o->no_speed) {
        if (o->compute != PARE_COMPUTE_EXACT) {
            pare_session_close(a);
            a = NULL;
            PARE_TRY(open_model(ctx, before, o, o->compute, &a, err));
        }
        PARE_TRY(speed_of(a, &out->prefill_before, &out->decode_before, err));
        PARE_TRY(speed_of(b, &out->prefill_after, &out->decode_after, err));
    }
out:
    pare_session_close(a);
    pare_session_close(b);
    return st;
}

pare_status pare_assess_check(pare_ctx *ctx, const char *model, const pare_assess_options *o, pare_err *err) {
    pare_session *s = NULL;
    pare_status st = open_model(ctx, model, o, PARE_COMPUTE_EXACT, &s, err);
    if (st == PARE_OK && s->graph->kind != PARE_G_ENCODER) st = pare_session_need_decoder(s, "perplexity", err);
    if (st == PARE_OK && !s->tokenizer) {
        pare_fail(err, PARE_ERR_USAGE, "%s: there is no tokenizer beside the weights, so a text cannot be evaluated", model);
        st = err ? err->code : PARE_ERR_USAGE;
    }
    pare_session_close(s);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------- table */

typedef struct measure { const char *what, *unit, *format; double before, after; bool pair; } measure;

static int list_measures(const pare_assessment *a, measure m[16]) {
    int n = 0;
    m[n++] = (measure){"weight files", "MB", "%.2f", (double)a->bytes_before * 1e-6, (double)a->bytes_after * 1e-6, true};
    if (a->encoder) {
        m[n++] = (measure){"cosine of vectors, mean", "", "%.6f", 1, a->similarity.cosine_mean, false};
        m[n++] = (measure){"cosine of vectors, worst", "", "%.6f", 1, a->similarity.cosine_min, false};
        m[n++] = (measure){"cosines of neighbours moved by", "", "%.6f", 0, a->similarity.pair_rmse, false};
    } else {
        m[n++] = (measure){"perplexity", "", "%.4f", a->eval.perplexity_ref, a->eval.perplexity, true};
        m[n++] = (measure){"KL divergence, mean", "nats", "%.6f", 0, a->eval.kl_mean, false};
        m[n++] = (measure){"KL divergence, median", "nats", "%.6f", 0, a->eval.kl_median, false};
        m[n++] = (measure){"KL divergence, 99 %", "nats", "%.6f", 0, a->eval.kl_p99, false};
        m[n++] = (measure){"KL divergence, worst", "nats", "%.4f", 0, a->eval.kl_max, false};
        m[n++] = (measure){"same top token", "%", "%.2f", 100, 100 * a->eval.top1_agreement, false};
    }
    if (a->decode_before > 0) {
        m[n++] = (measure){"prompt", "tokens/s", "%.1f", a->prefill_before, a->prefill_after, true};
        m[n++] = (measure){"generation", "tokens/s", "%.1f", a->decode_before, a->decode_after, true};
    }
    return n;
}

static pare_status put_number(pare_table *t, const char *key, const char *format, double v, pare_err *err) {
    char text[32];
    snprintf(text, sizeof text, format, v);
    return pare_table_text(t, key, text, err);
}

pare_status pare_assess_table(const pare_assessment *a, pare_table **out, pare_err *err) {
    measure m[16];
    const int n = list_measures(a, m);
    pare_table *t = NULL;
    pare_status st = pare_table_new(&t, err);
    *out = NULL;
    if (st != PARE_OK) return st;
    PARE_TRY(pare_table_column(t, "measure", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(t, "before", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(t, "after", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(t, "ratio", "after / before", PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(t, "unit", NULL, PARE_CELL_TEXT, NULL, err));
    for (int i = 0; i < n; i++) {
        PARE_TRY(pare_table_row(t, err));
        PARE_TRY(pare_table_text(t, "measure", m[i].what, err));
        PARE_TRY(pare_table_text(t, "unit", m[i].unit, err));
        PARE_TRY(put_number(t, "before", m[i].format, m[i].before, err));
        PARE_TRY(put_number(t, "after", m[i].format, m[i].after, err));
        if (m[i].pair && m[i].before > 0) PARE_TRY(put_number(t, "ratio", "%.4f", m[i].after / m[i].before, err));
    }
    *out = t;
    t = NULL;
out:
    pare_table_free(t);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ record */

static const char *compute_name(pare_compute c) { return c == PARE_COMPUTE_FAST ? "fast" : c == PARE_COMPUTE_BF16 ? "bf16" : "exact"; }

void pare_assess_json(pare_json *j, const char *key, const pare_assessment *a, const pare_assess_options *o) {
    pare_json_object(j, key);
    pare_json_text(j, "text", o->name);
    pare_json_text(j, "activations", compute_name(o->compute));
    if (a->encoder) {
        pare_json_int(j, "texts", a->similarity.texts);
        pare_json_real(j, "cosine_mean", a->similarity.cosine_mean);
        pare_json_real(j, "cosine_min", a->similarity.cosine_min);
        pare_json_real(j, "pair_rmse", a->similarity.pair_rmse);
    } else {
        pare_json_text(j, "protocol", o->protocol ? o->protocol : "gptq");
        pare_json_int(j, "tokens", a->eval.tokens);
        pare_json_int(j, "windows", a->eval.windows);
        pare_json_real(j, "perplexity_ref", a->eval.perplexity_ref);
        pare_json_real(j, "perplexity", a->eval.perplexity);
        pare_json_real(j, "kl_mean", a->eval.kl_mean);
        pare_json_real(j, "kl_median", a->eval.kl_median);
        pare_json_real(j, "kl_p99", a->eval.kl_p99);
        pare_json_real(j, "kl_max", a->eval.kl_max);
        pare_json_real(j, "top1_agreement", a->eval.top1_agreement);
    }
    pare_json_int(j, "bytes_before", (int64_t)a->bytes_before);
    pare_json_int(j, "bytes_after", (int64_t)a->bytes_after);
    if (a->decode_before > 0) {
        pare_json_real(j, "prefill_tokens_per_s_before", a->prefill_before);
        pare_json_real(j, "prefill_tokens_per_s", a->prefill_after);
        pare_json_real(j, "decode_tokens_per_s_before", a->decode_before);
        pare_json_real(j, "decode_tokens_per_s", a->decode_after);
    }
    pare_json_end(j);
}

/* Members of pare.json in their order, the record behind them: a record of an earlier evaluation gives way. */
pare_status pare_assess_record(const char *folder, const pare_assessment *a, const pare_assess_options *o, pare_err *err) {
    char *path = pare_path_join(folder, "pare.json"), *text = NULL;
    pare_jdoc *doc = NULL;
    pare_json *j = NULL;
    pare_status st = PARE_OK;
    if (!path) return pare_no_memory(err, folder, 0);
    PARE_TRY(pare_jdoc_load(path, (size_t)1 << 30, &doc, err));
    PARE_TRY(pare_json_new(2, &j, err));
    pare_json_object(j, NULL);
    for (size_t i = 0; i < pare_j_count(pare_jdoc_root(doc)); i++) {
        const char *key;
        char *member = NULL;
        const pare_jval *v = pare_j_member(pare_jdoc_root(doc), i, &key);
        if (strcmp(key, "evaluation") == 0) continue;
        PARE_TRY(pare_j_dump(v, 1, &member, err));
        pare_json_raw(j, key, member);
        pare_dealloc(member);
    }
    pare_assess_json(j, "evaluation", a, o);
    pare_json_end(j);
    PARE_TRY(pare_json_take(j, &text, err));
    st = pare_write_file_atomic(path, text, strlen(text), err);
out:
    pare_free(text);
    pare_json_free(j);
    pare_jdoc_free(doc);
    pare_dealloc(path);
    return st;
}
