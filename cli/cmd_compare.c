/* SPDX-License-Identifier: Apache-2.0 */
/* pare compare A B: error of every tensor, in whatever format each side is. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "job.h"

static void put_shape(pare_json *j, const char *text) {
    pare_json_array(j, "shape");
    if (strcmp(text, "scalar") != 0)
        for (char *end; *text; text = *end ? end + 1 : end) pare_json_int(j, NULL, strtoll(text, &end, 10));
    pare_json_end(j);
}

static int print_json(const cli *c, const pare_compare_result *r) {
    pare_json *j = NULL;
    pare_err err = {0};
    if (pare_json_new(2, &j, &err) != PARE_OK) return cli_fail(c, &err);
    pare_json_object(j, NULL);
    pare_json_real(j, "mse", r->total.mse);
    pare_json_real(j, "sqnr_db", r->total.sqnr_db);
    pare_json_real(j, "max_abs", r->total.max_abs);
    pare_json_real(j, "cosine", r->total.cosine);
    pare_json_int(j, "only_in_a", r->only_a);
    pare_json_int(j, "only_in_b", r->only_b);
    pare_json_array(j, "tensors");
    for (int64_t row = 0; row < pare_table_rows(r->tensors); row++) {
        const char *text;
        double v;
        pare_json_object(j, NULL);
        pare_table_cell(r->tensors, row, 0, &text, NULL, NULL);
        pare_json_text(j, "name", text);
        pare_table_cell(r->tensors, row, 1, &text, NULL, NULL);
        put_shape(j, text);
        for (int col = 2; col < pare_table_columns(r->tensors); col++) {
            pare_table_cell(r->tensors, row, col, NULL, NULL, &v);
            pare_json_real(j, pare_table_key(r->tensors, col), v);
        }
        pare_json_end(j);
    }
    pare_json_end(j);
    pare_json_end(j);
    return cli_print_json(c, j);
}

/* SQNR of every tensor that differs, as bars. */
static int plot(const cli *c, const pare_compare_result *r, const char *dir) {
    const int64_t n = pare_table_rows(r->tensors);
    double *y = malloc(sizeof *y * (size_t)(n + 1));
    const char **labels = malloc(sizeof *labels * (size_t)(n + 1));
    char path[4096];
    pare_err err = {0};
    int64_t used = 0;
    if (!y || !labels) return cli_usage(c, "out of memory");
    for (int64_t i = 0; i < n; i++) {
        double v;
        const char *name;
        pare_table_cell(r->tensors, i, 3, NULL, NULL, &v);
        pare_table_cell(r->tensors, i, 0, &name, NULL, NULL);
        if (isfinite(v)) y[used] = v, labels[used++] = name;
    }
    mkdir(dir, 0777);
    snprintf(path, sizeof path, "%s/sqnr.svg", dir);
    const pare_series series = {.name = "SQNR", .y = y, .labels = labels, .n = used};
    const pare_chart chart = {.kind = PARE_CHART_BARS, .title = "Signal to quantization noise of every tensor that differs", .y_label = "SQNR, dB",
                              .series = &series, .n_series = 1};
    pare_status st = pare_plot_chart(path, &chart, &err);
    if (st == PARE_OK) {
        snprintf(path, sizeof path, "%s/sqnr.png", dir);
        st = pare_plot_chart(path, &chart, &err);
    }
    free(y);
    free(labels);
    return st == PARE_OK ? 0 : cli_fail(c, &err);
}

static int run(cli *c) {
    pare_compare_result r;
    char sqnr[32] = "identical";
    const char *a = cli_model_path(c, c->argv[0]), *b = a ? cli_model_path(c, c->argv[1]) : NULL;
    int code = 1;
    if (!a || !b) goto out;
    if (pare_compare_models(c->ctx, a, b, &r, &c->err) != PARE_OK) {
        code = cli_fail(c, &c->err);
        goto out;
    }
    cli_progress_end();
    code = cli_has(c, "plot") ? plot(c, &r, cli_text(c, "plot")) : 0;
    if (code == 0 && c->json)
        code = print_json(c, &r);
    else if (code == 0) {
        code = cli_print_table(c, r.tensors);
        if (isfinite(r.total.sqnr_db)) snprintf(sqnr, sizeof sqnr, "SQNR %.2f dB", r.total.sqnr_db);
        cli_print("together: %s, MSE %.6g, largest error %.6g, cosine %.9f\n", sqnr, r.total.mse, r.total.max_abs, r.total.cosine);
        if (r.only_a || r.only_b) cli_print("only in A: %lld tensors, only in B: %lld\n", (long long)r.only_a, (long long)r.only_b);
    }
    pare_table_free(r.tensors);
out:
    pare_free((void *)a);
    pare_free((void *)b);
    return code;
}

static const cli_flag flags[] = {{"plot", 0, "DIR", "draw the errors into this folder (SVG and PNG)", false}, {0}};

const cli_command cli_cmd_compare = {
    .name = "compare", .args = "A B", .summary = "Measure how far B's weights are from A's", .flags = flags, .min_args = 2, .max_args = 2, .run = run};
