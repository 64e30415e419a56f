/* SPDX-License-Identifier: Apache-2.0 */
/* What pare_analyze() found, as tables: a row a layer, and a row a pitfall with its evidence. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "flow/analyze.h"

enum { MOST_NAMED = 8 };          /* layers named of one kind of finding */
#define SENSITIVE 5.0             /* times the middle layer's error */
#define SENSITIVE_ERROR 1e-3      /* an error below this hurts nobody */

pare_status pare_analyze_layers_table(const analysis *a, pare_table **out, pare_err *err) {
    pare_table *t = NULL;
    pare_status st = pare_table_new(&t, err);
    if (st != PARE_OK) return st;
    PARE_TRY(pare_table_column(t, "name", "layer", PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(t, "out", NULL, PARE_CELL_INT, NULL, err));
    PARE_TRY(pare_table_column(t, "in", NULL, PARE_CELL_INT, NULL, err));
    PARE_TRY(pare_table_column(t, "weight_absmax", "max |w|", PARE_CELL_REAL, NULL, err));
    PARE_TRY(pare_table_column(t, "weight_ratio", "max/std", PARE_CELL_REAL, NULL, err));
    PARE_TRY(pare_table_column(t, "weight_kurtosis", "kurtosis", PARE_CELL_REAL, NULL, err));
    PARE_TRY(pare_table_column(t, "input_absmax", "max |x|", PARE_CELL_REAL, NULL, err));
    PARE_TRY(pare_table_column(t, "input_ratio", "max/median channel", PARE_CELL_REAL, NULL, err));
    PARE_TRY(pare_table_column(t, "outlier_channels", "outlier channels", PARE_CELL_INT, NULL, err));
    PARE_TRY(pare_table_column(t, "worst_channel", "worst", PARE_CELL_INT, NULL, err));
    PARE_TRY(pare_table_column(t, "dead_channels", "dead", PARE_CELL_INT, NULL, err));
    PARE_TRY(pare_table_column(t, "tokens", NULL, PARE_CELL_INT, NULL, err));
    for (size_t i = 0; i < a->candidates.n; i++) PARE_TRY(pare_table_column(t, a->candidates.at[i].key, a->candidates.at[i].title, PARE_CELL_REAL, NULL, err));
    if (a->options->measure) PARE_TRY(pare_table_column(t, "kl_mean", "KL if alone", PARE_CELL_REAL, "nats", err));
    for (size_t r = 0; r < a->rows.n; r++) {
        const layer_row *row = &a->rows.at[r];
        PARE_TRY(pare_table_row(t, err));
        PARE_TRY(pare_table_text(t, "name", row->name, err));
        pare_table_int(t, "out", row->rows);
        pare_table_int(t, "in", row->cols);
        pare_table_real(t, "weight_absmax", row->w_absmax);
        if (row->w_std > 0) pare_table_real(t, "weight_ratio", row->w_absmax / row->w_std);
        pare_table_real(t, "weight_kurtosis", row->w_kurtosis);
        pare_table_real(t, "input_absmax", row->x_absmax);
        if (row->x_median > 0) pare_table_real(t, "input_ratio", row->x_absmax / row->x_median);
        pare_table_int(t, "outlier_channels", row->outliers);
        pare_table_int(t, "worst_channel", row->worst_channel);
        pare_table_int(t, "dead_channels", row->dead);
        pare_table_int(t, "tokens", row->tokens);
        for (size_t i = 0; i < a->candidates.n; i++) pare_table_real(t, a->candidates.at[i].key, row->error[i]);
        if (a->options->measure && !isnan(row->kl)) pare_table_real(t, "kl_mean", row->kl);
    }
    *out = t;
    t = NULL;
out:
    pare_table_free(t);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ findings */

static pare_status find(pare_table *t, const char *pitfall, const char *where, const char *evidence, const char *advice, pare_err *err) {
    pare_status st;
    PARE_TRY(pare_table_row(t, err));
    PARE_TRY(pare_table_text(t, "finding", pitfall, err));
    PARE_TRY(pare_table_text(t, "where", where, err));
    PARE_TRY(pare_table_text(t, "evidence", evidence, err));
    PARE_TRY(pare_table_text(t, "advice", advice, err));
out:
    return st;
}

/* The calibration text: too little of it, too much of the same, or nothing that the model knows. */
static pare_status judge_text(const analysis *a, pare_table *t, pare_err *err) {
    const int64_t tokens = a->texts->tokens;
    char text[256];
    int64_t widest = 0;
    pare_status st = PARE_OK;
    for (size_t r = 0; r < a->rows.n; r++)
        if (a->rows.at[r].cols > widest) widest = a->rows.at[r].cols;
    if (tokens < widest) {
        pare_print(text, sizeof text, "%lld tokens for a layer of %lld input channels: its Hessian cannot have full rank", (long long)tokens, (long long)widest);
        PARE_TRY(find(t, "too little calibration", a->texts->source, text, "more --samples, or a longer text", err));
    }
    if (tokens >= 256 && a->texts->distinct * 64 < tokens && a->texts->distinct < 64) {
        pare_print(text, sizeof text, "%lld tokens, only %lld different ones", (long long)tokens, (long long)a->texts->distinct);
        PARE_TRY(find(t, "monotonous calibration", a->texts->source, text, "a text like those that the model will see", err));
    }
    if (a->text_perplexity > 0.25 * (double)a->session->info.vocab) {
        pare_print(text, sizeof text, "the model's perplexity on it is %.4g, a guess among all ids would have %lld", a->text_perplexity, (long long)a->session->info.vocab);
        PARE_TRY(find(t, "calibration text that the model does not know", a->texts->source, text, "a text in the language and form that the model was trained on", err));
    }
    if (a->starved) {
        pare_print(text, sizeof text, "%lld layers of experts saw no token", (long long)a->starved);
        PARE_TRY(find(t, "experts without tokens", a->texts->source, text, "more --samples, or a text that is more varied", err));
    }
out:
    return st;
}

typedef struct ranked { double value; const layer_row *row; } ranked;
static int falling(const void *a, const void *b) {
    const double x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Layers whose error is far above the middle one's, worst first. */
static pare_status judge_errors(const analysis *a, size_t which, ranked *list, pare_table *t, pare_err *err) {
    const size_t n = a->rows.n;
    char text[256];
    pare_status st = PARE_OK;
    for (size_t r = 0; r < n; r++) list[r] = (ranked){a->rows.at[r].error[which], &a->rows.at[r]};
    qsort(list, n, sizeof *list, falling);
    const double middle = list[n / 2].value;
    for (size_t r = 0; r < n && r < MOST_NAMED && list[r].value > SENSITIVE * middle && list[r].value > SENSITIVE_ERROR; r++) {
        pare_print(text, sizeof text, "%s: %.3g of its output is error, the middle layer's %.3g", a->candidates.at[which].title, list[r].value, middle);
        PARE_TRY(find(t, "sensitive layer", list[r].row->name, text, "keep it (--ignore), give it more bits (a recipe), or use gptq", err));
    }
out:
    return st;
}

static pare_status judge_measured(const analysis *a, ranked *list, pare_table *t, pare_err *err) {
    char text[256];
    double sum = 0;
    pare_status st = PARE_OK;
    for (size_t r = 0; r < a->rows.n; r++) list[r] = (ranked){a->rows.at[r].kl, &a->rows.at[r]}, sum += a->rows.at[r].kl;
    qsort(list, a->rows.n, sizeof *list, falling);
    for (size_t r = 0; r < a->rows.n && r < MOST_NAMED && list[r].value > SENSITIVE * sum / (double)a->rows.n; r++) {
        pare_print(text, sizeof text, "%s: KL divergence %.3g nats from this layer alone, %.0f %% of the sum of all", a->candidates.at[0].title, list[r].value, 100 * list[r].value / sum);
        PARE_TRY(find(t, "sensitive layer (measured)", list[r].row->name, text, "keep it (--ignore), give it more bits (a recipe), or use gptq", err));
    }
out:
    return st;
}

static pare_status judge_inputs(const analysis *a, ranked *list, pare_table *t, pare_err *err) {
    char text[256];
    pare_status st = PARE_OK;
    for (size_t r = 0; r < a->rows.n; r++) list[r] = (ranked){a->rows.at[r].x_median > 0 ? a->rows.at[r].x_absmax / a->rows.at[r].x_median : 0, &a->rows.at[r]};
    qsort(list, a->rows.n, sizeof *list, falling);
    for (size_t r = 0; r < a->rows.n && r < MOST_NAMED && list[r].row->outliers > 0 && list[r].value > PARE_OUTLIER_RATIO; r++) {
        pare_print(text, sizeof text, "channel %lld reaches %.4g, the middle channel %.3g; %lld channels stand out", (long long)list[r].row->worst_channel, list[r].row->x_absmax,
                   list[r].row->x_median, (long long)list[r].row->outliers);
        PARE_TRY(find(t, "outlier activations", list[r].row->name, text, "8-bit activations lose the other channels: smoothquant or llm.int8", err));
    }
out:
    return st;
}

pare_status pare_analyze_findings_table(const analysis *a, pare_table **out, pare_err *err) {
    pare_table *t = NULL;
    ranked *list = pare_alloc((a->rows.n + 1) * sizeof *list);
    pare_status st = list ? pare_table_new(&t, err) : pare_no_memory(err, "findings", a->rows.n * sizeof *list);
    if (st != PARE_OK) goto out;
    PARE_TRY(pare_table_column(t, "finding", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(t, "where", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(t, "evidence", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(t, "advice", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(judge_text(a, t, err));
    if (a->rows.n > 0) {
        size_t fewest = 0; /* the candidate with the fewest bits tells layers apart best */
        for (size_t i = 1; i < a->candidates.n; i++)
            if (a->candidates.at[i].scheme.bits < a->candidates.at[fewest].scheme.bits) fewest = i;
        PARE_TRY(judge_errors(a, fewest, list, t, err));
        if (a->options->measure) PARE_TRY(judge_measured(a, list, t, err));
        PARE_TRY(judge_inputs(a, list, t, err));
    }
    *out = t;
    t = NULL;
out:
    pare_table_free(t);
    pare_dealloc(list);
    return st;
}
