/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pare_compare_methods: one model made small in many ways, each measured against the original on one text: the table that one would otherwise fill by
 * hand. Each way is a whole job into a folder of its own, which is removed after it was measured unless the folders are wanted.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "flow/flow.h"
#include <pare/report.h>

/* "gptq", "rtn:clip=mse", "rtn@NF4", "smoothquant:alpha=0.5@W8A8": method, its options, a scheme of its own. */
typedef struct way {
    char method[32], scheme[40];
    const char *at[16];       /* "key=value" */
    size_t n_set;
    const char *label;        /* as given */
} way;

static pare_status bad_entry(const char *text, const char *why, pare_err *err) {
    pare_fail(err, PARE_ERR_USAGE, "method '%s': %s", text, why);
    return pare_hint(err, "METHOD[:KEY=VALUE,...][@SCHEME], such as gptq, rtn:clip=mse or rtn@NF4");
}

static pare_status parse_way(pare_arena *arena, const char *text, way *out, pare_err *err) {
    char *copy = pare_arena_strdup(arena, text), *at, *next;
    memset(out, 0, sizeof *out);
    out->label = text;
    if (!copy) return pare_no_memory(err, text, strlen(text));
    if ((at = strrchr(copy, '@')) != NULL) {
        *at = 0;
        if (!at[1] || strlen(at + 1) >= sizeof out->scheme) return bad_entry(text, "no scheme behind the @", err);
        pare_print(out->scheme, sizeof out->scheme, "%s", at + 1);
    }
    if ((at = strchr(copy, ':')) != NULL) *at++ = 0;
    if (!*copy || strlen(copy) >= sizeof out->method) return bad_entry(text, "no name of a method", err);
    pare_print(out->method, sizeof out->method, "%s", copy);
    if (!pare_method_find(out->method)) return bad_entry(text, "no such method (pare list methods)", err);
    for (; at && *at; at = next) {
        if ((next = strchr(at, ',')) != NULL) *next++ = 0;
        if (!strchr(at, '=')) return bad_entry(text, "an option is KEY=VALUE", err);
        if (out->n_set == sizeof out->at / sizeof *out->at) return bad_entry(text, "more than 16 options", err);
        out->at[out->n_set++] = at;
    }
    return PARE_OK;
}

/* The scheme of `bits` that a way without one of its own is measured at: W4A16, W4A16_ASYM:g64, W8A16 (per channel) ... */
static void scheme_name(const pare_compare_methods_options *o, int bits, char out[40]) {
    const char *asym = o->asymmetric ? "_ASYM" : "";
    if (o->per_channel)
        pare_print(out, 40, "W%dA16%s:channel", bits, asym);
    else if (o->group_size > 0)
        pare_print(out, 40, "W%dA16%s:g%lld", bits, asym, (long long)o->group_size);
    else
        pare_print(out, 40, "W%dA16%s", bits, asym);
}

static const struct { const char *key, *title; pare_cell_type type; const char *unit; } columns[] = {
    {"method", NULL, PARE_CELL_TEXT, NULL}, {"scheme", NULL, PARE_CELL_TEXT, NULL}, {"format", NULL, PARE_CELL_TEXT, NULL}, {"bits_per_weight", "bits/weight", PARE_CELL_REAL, NULL},
    {"bytes", NULL, PARE_CELL_BYTES, NULL}, {"sqnr_db", "SQNR", PARE_CELL_REAL, "dB"}, {"perplexity", NULL, PARE_CELL_REAL, NULL}, {"kl_mean", "KL mean", PARE_CELL_REAL, "nats"},
    {"kl_p99", "KL 99 %", PARE_CELL_REAL, "nats"}, {"top1_agreement", "same top", PARE_CELL_REAL, NULL}, {"decode_tokens_per_s", "tokens/s", PARE_CELL_REAL, NULL},
    {"seconds", "time to make", PARE_CELL_REAL, "s"}, {"note", NULL, PARE_CELL_TEXT, NULL}};

static pare_status new_table(pare_table **out, pare_err *err) {
    pare_status st = pare_table_new(out, err);
    for (size_t i = 0; st == PARE_OK && i < sizeof columns / sizeof *columns; i++)
        st = pare_table_column(*out, columns[i].key, columns[i].title, columns[i].type, columns[i].unit, err);
    return st;
}

static pare_status add_original(pare_table *t, const pare_assessment *a, pare_err *err) {
    pare_status st;
    PARE_TRY(pare_table_row(t, err));
    PARE_TRY(pare_table_text(t, "method", "original", err));
    pare_table_int(t, "bytes", (int64_t)a->bytes_before);
    if (!a->encoder) pare_table_real(t, "perplexity", a->eval.perplexity_ref);
    if (a->decode_before > 0) pare_table_real(t, "decode_tokens_per_s", a->decode_before);
out:
    return st;
}

static pare_status add_row(pare_table *t, const way *w, const char *scheme, const pare_quantize_options *q, const pare_job_result *r, const pare_assessment *a, pare_err *err) {
    pare_status st;
    PARE_TRY(pare_table_row(t, err));
    PARE_TRY(pare_table_text(t, "method", w->label, err));
    PARE_TRY(pare_table_text(t, "scheme", scheme, err));
    if (q->format) PARE_TRY(pare_table_text(t, "format", q->format, err));
    pare_table_real(t, "bits_per_weight", r->bits_per_weight);
    pare_table_int(t, "bytes", (int64_t)r->output_bytes);
    pare_table_real(t, "sqnr_db", r->sqnr_db);
    pare_table_real(t, "seconds", r->seconds);
    if (a->encoder) {
        char note[80];
        pare_print(note, sizeof note, "cosine %.6f mean, %.6f worst", a->similarity.cosine_mean, a->similarity.cosine_min);
        PARE_TRY(pare_table_text(t, "note", note, err));
    } else {
        pare_table_real(t, "perplexity", a->eval.perplexity);
        pare_table_real(t, "kl_mean", a->eval.kl_mean);
        pare_table_real(t, "kl_p99", a->eval.kl_p99);
        pare_table_real(t, "top1_agreement", a->eval.top1_agreement);
        if (a->decode_after > 0) pare_table_real(t, "decode_tokens_per_s", a->decode_after);
    }
out:
    return st;
}

/* A way that cannot be gone for this model (a scheme that the method or layout refuses) is a row that says why; other failures end the work. */
static pare_status add_refusal(pare_table *t, const way *w, const char *scheme, const pare_err *why, pare_err *err) {
    pare_status st;
    PARE_TRY(pare_table_row(t, err));
    PARE_TRY(pare_table_text(t, "method", w->label, err));
    PARE_TRY(pare_table_text(t, "scheme", scheme, err));
    PARE_TRY(pare_table_text(t, "note", why->text, err));
out:
    return st;
}

/* What a way left that did not end: nothing of it is of use. */
static void clear_way(const char *folder, bool keep_whole) {
    static const char *const endings[] = {".partial", ".replaced", ""};
    for (size_t i = 0; i < sizeof endings / sizeof *endings - (keep_whole ? 1 : 0); i++) {
        pare_str path = {0};
        pare_str_printf(&path, "%s%s", folder, endings[i]);
        if (!path.failed && path.at) pare_remove_tree(path.at, NULL);
        pare_str_clear(&path);
    }
}

static pare_status one_way(pare_ctx *ctx, const char *model, const pare_compare_methods_options *o, const way *w, const char *scheme, pare_table *t, pare_err *err) {
    pare_quantize_options q = o->quantize;
    pare_assessment a;
    pare_job_result r;
    pare_err why = {0};
    char name[128], *folder = NULL;
    pare_status st = PARE_OK;
    pare_print(name, sizeof name, "%s%s%s", w->label, w->scheme[0] ? "" : "-", w->scheme[0] ? "" : scheme);
    for (char *p = name; *p; p++)
        if (strchr("/:=,@ ", *p)) *p = '-';
    if (!(folder = pare_path_join(o->folder, name))) return pare_no_memory(err, name, 0);
    q.method = w->method;
    q.scheme_name = scheme;
    q.set = w->at;
    q.n_set = w->n_set;
    q.overwrite = true;
    q.resume = q.dry_run = false;
    st = pare_quantize_model(ctx, model, folder, &q, &r, NULL, &why);
    if (st == PARE_ERR_UNSUPPORTED || st == PARE_ERR_USAGE) {
        st = add_refusal(t, w, scheme, &why, err);
        goto out;
    }
    if (st != PARE_OK) {
        if (err) *err = why;
        goto out;
    }
    PARE_TRY(pare_assess(ctx, model, folder, &o->assess, &a, err));
    PARE_TRY(pare_assess_record(folder, &a, &o->assess, err));
    if (pare_table_rows(t) == 0) PARE_TRY(add_original(t, &a, err));
    PARE_TRY(add_row(t, w, scheme, &q, &r, &a, err));
    if (!o->keep) PARE_TRY(pare_remove_tree(folder, err));
out:
    if (st != PARE_OK) clear_way(folder, o->keep);
    pare_dealloc(folder);
    return st;
}

pare_status pare_compare_methods(pare_ctx *ctx, const char *model, const pare_compare_methods_options *o, pare_table **out, pare_err *err) {
    pare_arena arena = {0};
    pare_table *t = NULL;
    char scheme[40];
    way w;
    pare_status st = PARE_OK;
    *out = NULL;
    if (o->n_methods == 0 || o->n_bits == 0) return pare_fail(err, PARE_ERR_USAGE, "nothing to compare: %zu methods, %zu bit widths", o->n_methods, o->n_bits);
    for (size_t m = 0; m < o->n_methods; m++) PARE_TRY(parse_way(&arena, o->methods[m], &w, err)); /* all names are right before the work begins */
    PARE_TRY(pare_assess_check(ctx, model, &o->assess, err));
    PARE_TRY(pare_make_folder(o->folder, err));
    PARE_TRY(new_table(&t, err));
    for (size_t b = 0; b < o->n_bits; b++)
        for (size_t m = 0; m < o->n_methods; m++) {
            PARE_TRY(parse_way(&arena, o->methods[m], &w, err));
            if (w.scheme[0] && b > 0) continue; /* its own scheme: measured once */
            scheme_name(o, o->bits[b], scheme);
            PARE_TRY(one_way(ctx, model, o, &w, w.scheme[0] ? w.scheme : scheme, t, err));
        }
    *out = t;
    t = NULL;
out:
    pare_table_free(t);
    pare_arena_clear(&arena);
    return st;
}
