/* SPDX-License-Identifier: Apache-2.0 */
/* What each choice would cost for one model: a table on the terminal and a picture of size against error. */
#include <math.h>
#include <pare/pare.h>
#include <pare/report.h>
#include <stdio.h>
#include <stdlib.h>

static double real_of(const pare_table *t, int64_t row, int column) {
    double v = NAN;
    pare_table_cell(t, row, column, NULL, NULL, &v);
    return v;
}

int main(int argc, char **argv) {
    const int bits[] = {8, 4, 3, 2};
    const pare_sweep_options options = {.bits = bits, .n_bits = 4, .group_size = 64};
    pare_ctx *ctx = NULL;
    pare_model *model = NULL;
    pare_table *table = NULL;
    char *text = NULL;
    double *x = NULL, *y = NULL;
    pare_err err = {0};
    int code = 1;
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL PICTURE.svg\n", argv[0]);
        return 2;
    }
    if (pare_ctx_new(NULL, &ctx, &err) != PARE_OK || pare_model_open(ctx, argv[1], NULL, &model, &err) != PARE_OK ||
        pare_sweep(ctx, model, NULL, &options, &table, &err) != PARE_OK || pare_table_render(table, PARE_TABLE_TEXT, 0, &text, &err) != PARE_OK)
        goto out;
    fputs(text, stdout);
    const int64_t n = pare_table_rows(table);
    x = malloc(sizeof *x * (size_t)n);
    y = malloc(sizeof *y * (size_t)n);
    if (!x || !y) goto out;
    for (int64_t i = 0; i < n; i++) y[i] = real_of(table, i, 5), x[i] = real_of(table, i, 6); /* sqnr_db, bits_per_weight */
    const pare_series series = {.name = "schemes", .x = x, .y = y, .n = n};
    const pare_chart chart = {.kind = PARE_CHART_POINTS, .title = "Size against error", .x_label = "bits per weight", .y_label = "SQNR, dB", .series = &series, .n_series = 1};
    code = pare_plot_chart(argv[2], &chart, &err) == PARE_OK ? 0 : 1;
out:
    if (code) fprintf(stderr, "error: %s\n", err.text);
    free(x);
    free(y);
    pare_free(text);
    pare_table_free(table);
    pare_model_close(model);
    pare_ctx_free(ctx);
    return code;
}
